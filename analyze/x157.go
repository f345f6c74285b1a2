package analyze

import "bugcheck/report"

// KERNEL_THREAD_PRIORITY_FLOOR_VIOLATION (0x157): P1 the thread, P2 the priority, P3 what
// is wrong ("Bug Check 0x157" in Microsoft's documentation).
func judge157(j *judgement) {
	p := j.f.Parameters
	switch p[2] {
	case 1:
		j.evidence(report.Recorded, parameter(3), report.T("The counter for priority %d ran over: the promise was made too often.", p[1]))
	case 2:
		j.evidence(report.Recorded, parameter(3), report.T("The counter for priority %d ran below zero: the promise was taken back more often than it was made.", p[1]))
	case 3:
		j.evidence(report.Recorded, parameter(3), report.T("Priority %d is none that may be promised.", p[1]))
	}
	j.limit(report.Medium)
}
