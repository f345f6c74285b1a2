package analyze

import (
	"fmt"

	"bugcheck/report"
)

// CRITICAL_PROCESS_DIED (0xEF): P1 the process object. Windows cannot go on
// without csrss, wininit, services, smss, lsass and the like.

func judgeEF(j *judgement) {
	j.evidence(report.Recorded, parameter(1), report.T("The process at 0x%x, which Windows cannot run without, ended.", j.f.Parameters[0]))
	if j.f.Process != "" {
		j.evidence(report.Recorded, report.T("process block"), report.T("The process that was current when it ended is %s.", j.f.Process))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("A program ended, no driver failed; behind it are most often a disk that could not deliver its pages, damaged system files, or a program with rights that ended it."))
	j.decide(report.CauseUnknown, report.Low)
	j.bucket = bucketEF(j.f)
}

// bucketEF: the process, the code that the debugger takes for its status, and the
// program's function that ended it: the first that is not the kernel's. Only a log
// has that much (1 published case).
func bucketEF(f *Facts) string {
	if f.Process == "" || f.Exception == nil {
		return ""
	}
	for _, fr := range f.Frames {
		if fr.Module != "" && fr.Module != "nt" {
			return fmt.Sprintf("0xEF_%s_BUGCHECK_CRITICAL_PROCESS_%x_%s", f.Process, f.Exception.Code, function(fr.Module, fr.Symbol))
		}
	}
	return ""
}

func happenedEF(*Facts) report.Text {
	return report.T("a process that Windows cannot run without ended")
}
