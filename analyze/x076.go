package analyze

import "bugcheck/report"

// PROCESS_HAS_LOCKED_PAGES (0x76): P1 0: P2 the process that ended, P3 pages still locked,
// P4 the saved callers, where Windows keeps them; P1 1: P2 an MDL that was unlocked
// wrongly. DRIVER_LEFT_LOCKED_PAGES_IN_PROCESS (0xCB) is raised instead where Windows
// keeps track: P1 the record with the callers, P3 the MDL, P4 the pages ("Bug Check 0x76"
// and "0xCB" in Microsoft's documentation).

func judge76(j *judgement) {
	p := j.f.Parameters
	if p[0] == 0 {
		j.evidence(report.Recorded, parameter(3), report.T("Pages that are still locked: %d.", p[2]))
	}
	j.judgeLockedPages(p[3] != 0)
}

func judgeCB(j *judgement) {
	j.evidence(report.Recorded, parameter(4), report.T("Pages that are still locked: %d.", j.f.Parameters[3]))
	j.judgeLockedPages(true)
}

// judgeLockedPages: the stack is that of the end of the process, at which nothing but the
// record of callers names a driver.
func (j *judgement) judgeLockedPages(tracked bool) {
	j.evidence(report.Derived, report.T("stop code"), report.T("It was noticed when the process ended: the stack does not show the driver that locked the pages."))
	if !tracked {
		j.evidence(report.Recorded, parameter(4), report.T("Windows does not keep track of who locks pages on this machine."))
	}
	j.limit(report.Low)
}

func lockedPagesSteps(j *judgement) []report.Text {
	steps := unknownSteps(j)
	if j.f.Code == 0x76 && j.f.Parameters[3] == 0 {
		track := report.T("Have Windows keep track of who locks pages, then restart; the next crash names the driver: %s", trackCommand("TrackLockedPages"))
		steps = append([]report.Text{track}, steps...)
	}
	return steps
}
