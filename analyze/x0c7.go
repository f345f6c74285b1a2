package analyze

import "bugcheck/report"

// TIMER_OR_DPC_INVALID (0xC7): a timer or a DPC (deferred procedure, which runs ahead
// of all threads) lies where none may be. P1 the kind ("Bug Check 0xC7:
// TIMER_OR_DPC_INVALID", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0xc7--timer-or-dpc-invalid).

// countKindsC7 are those whose P2 is a routine, P3 and P4 the thread's count of APC
// locks (a 16-bit number) before and after it.
var countKindsC7 = map[uint64]bool{4: true, 5: true}

func judgeC7(j *judgement) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("A timer or a deferred procedure (DPC), at 0x%x, is not valid (kind %d).", p[1], p[0]))
	}
	if p[0] <= 2 {
		j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("0x%x lies in memory from 0x%x to 0x%x, which is being given back: whoever has that memory left a timer or a deferred procedure running in it.", p[1], p[2], p[3]))
	}
	if countKindsC7[p[0]] {
		j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("The thread's count of APC locks was %d before the routine at 0x%x ran and %d after it: the driver that has the routine is at fault.", int16(p[2]), p[1], int16(p[3])))
	}
}

func happenedC7(f *Facts) report.Text {
	if f.Parameters[0] >= 4 {
		return report.T("its deferred procedure left APCs (calls that Windows queues to a thread) turned off or on")
	}
	return report.T("a timer or a deferred procedure lies in memory where none may be")
}
