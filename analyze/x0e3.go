package analyze

import "bugcheck/report"

// RESOURCE_NOT_OWNED (0xE3): P1 the ERESOURCE, P2 the thread that was to release it.
func judgeE3(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The thread at 0x%x was to release the lock (ERESOURCE) at 0x%x, which it does not have.", p[1], p[0]))
	j.evidence(report.Derived, report.T("stop code"), report.T("Whoever calls to release it is on the stack; released twice, or by another thread than took it."))
}

func happenedE3(*Facts) report.Text {
	return report.T("a thread released a lock that it does not have")
}
