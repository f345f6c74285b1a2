package analyze

import "bugcheck/report"

// WORKER_THREAD_RETURNED_WITH_NON_DEFAULT_WORKLOAD_CLASS (0x1D6): P1 the routine.
func judge1D6(j *judgement) {
	j.evidence(report.Recorded, parameter(1), report.T("The routine at 0x%x left its thread's workload class changed.", j.f.Parameters[0]))
	j.judgePlace(1)
}

func happened1D6(*Facts) report.Text {
	return report.T("a driver's work item left a setting of its thread changed")
}
