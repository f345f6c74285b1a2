package analyze

import "bugcheck/report"

// Stop codes about an interrupt level (IRQL) that is not what it has to be ("Bug Check
// Code Reference" in Microsoft's documentation).

// IRQL_GT_ZERO_AT_SYSTEM_SERVICE (0x4A): P1 the system call, P2 the IRQL.
func judge4A(j *judgement) {
	j.evidence(report.Recorded, parameter(2), report.T("The interrupt level (IRQL) is %d; on the way back to a program it has to be 0.", j.f.Parameters[1]))
	j.evidence(report.Derived, report.T("stop code"), report.T("The driver that raised it, or took a spin lock and did not give it back, has returned already: it is not on the stack any more."))
	j.limit(report.Low)
}

// WORKER_THREAD_RETURNED_AT_BAD_IRQL (0xE1): P1 the work routine, P2 the IRQL.
func judgeE1(j *judgement) {
	j.evidence(report.Recorded, parameter(2), report.T("The interrupt level (IRQL) was %d when the work was done; it has to be 0.", j.f.Parameters[1]))
}
