package analyze

import "bugcheck/report"

// CRITICAL_PROCESS_DIED (0xEF): P1 the process object. Windows cannot go on
// without csrss, wininit, services, smss, lsass and the like.

func judgeEF(j *judgement) {
	j.evidence(report.Recorded, parameter(1), report.T("The process at 0x%x, which Windows cannot run without, ended.", j.f.Parameters[0]))
	if j.f.Process != "" {
		j.evidence(report.Recorded, report.T("process block"), report.T("The process that was current when it ended is %s.", j.f.Process))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("A program ended, no driver failed; behind it are most often a disk that could not deliver its pages, damaged system files, or a program with rights that ended it."))
	j.decide(report.CauseUnknown, report.Low)
}

func happenedEF(*Facts) report.Text {
	return report.T("a process that Windows cannot run without ended")
}
