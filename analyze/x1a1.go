package analyze

import "bugcheck/report"

// WIN32K_CALLOUT_WATCHDOG_LIVEDUMP (0x1A1): P1 the thread.
func collect1A1(c *collection) { c.aboutThread(c.facts.Parameters[0]) }

func judge1A1(j *judgement) {
	j.evidence(report.Recorded, parameter(1), report.T("The thread at 0x%x held up a call into the window system.", j.f.Parameters[0]))
	j.judgeThread(parameter(1))
	j.detector()
}

func happened1A1(*Facts) report.Text {
	return report.T("a call into the window system did not come back in time")
}
