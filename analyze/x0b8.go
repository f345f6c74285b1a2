package analyze

import "bugcheck/report"

// ATTEMPTED_SWITCH_FROM_DPC (0xB8): a deferred procedure (DPC), which runs ahead of all
// threads, waited. P1 the thread that ran, P2 the thread that was to run.

func judgeB8(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The thread at 0x%x was to give way to the one at 0x%x while a deferred procedure ran on top of it.", p[0], p[1]))
	j.evidence(report.Derived, report.T("stop code"), report.T("A deferred procedure may not wait. The driver that has it, or the one whose function it called, is on the stack."))
}

func happenedB8(*Facts) report.Text {
	return report.T("a deferred procedure waited, which none may")
}

// CACHE_MANAGER (0x34): P1 the number of a source file and a line in it ("Bug Check
// 0x34", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x34--cache-manager).
func judge34(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, parameter(1), report.T("The cache of file data found something impossible (its source file 0x%x, line %d).", p[0]>>16&0xffff, p[0]&0xffff))
	j.evidence(report.Derived, report.T("stop code"), report.T("Nonpaged pool (the drivers' memory that always stays in RAM) that had run out, a filter driver of the file system, or a disk that does not deliver its pages is behind it."))
	j.limit(report.Low)
}

func happened34(*Facts) report.Text {
	return report.T("the cache of file data found something impossible")
}
