package analyze

import "bugcheck/report"

// APC_INDEX_MISMATCH (0x1): P1 the system call or work routine, P3 the thread's counts
// of disabled APCs: kernel APCs in the low half, special ones in the high half.
// KERNEL_APC_PENDING_DURING_EXIT (0x20): P1 the APC, P2 the count for kernel APCs, 16
// bits. Both counts go down when a driver enters a critical or guarded region and up when
// it leaves it, and must be zero at the end ("Bug Check 0x1" and "0x20" in Microsoft's
// documentation).

func judge1(j *judgement) {
	p := j.f.Parameters
	j.judgeAPCCount(int16(p[2]), parameter(3))
	if special := int16(p[2] >> 16); special != 0 {
		j.evidence(report.Recorded, parameter(3), report.T("The count for guarded regions, which also hold back special APCs, is %d.", special))
	}
	j.limit(report.Medium)
}

func judge20(j *judgement) {
	j.judgeAPCCount(int16(j.f.Parameters[1]), parameter(2))
	j.limit(report.Medium)
}

// judgeAPCCount reads the count of a thread's disabled APCs. File systems and their
// filters use these regions the most, so they are the first to ask.
func (j *judgement) judgeAPCCount(count int16, source report.Text) {
	switch {
	case count < 0:
		j.evidence(report.Recorded, source, report.T("The count of disabled calls to the thread (APCs) is %d: a driver entered a critical region more often than it left it.", count))
	case count > 0:
		j.evidence(report.Recorded, source, report.T("The count of disabled calls to the thread (APCs) is %d: a driver left a critical region more often than it entered it.", count))
	default:
		return
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("It was noticed when the code came back, so the driver that did it may not be on the stack any more; file system filters are the usual ones."))
	j.suggestClients(Frame{Image: "fltmgr.sys", Module: "fltmgr"})
}
