package analyze

import "bugcheck/report"

// WIN32K_POWER_WATCHDOG_TIMEOUT (0x19C): P1 what Windows waited for, P2 the thread.
const (
	powerToGraphics = 0x30
	powerToMonitor  = 0x50
)

// powerWaits are the kinds of 0x19C ("Bug Check 0x19C" in Microsoft's documentation).
var powerWaits = map[uint64]report.Text{
	0x10: report.T("the queue of power requests made no progress"), 0x20: report.T("the power manager had been asked to change the power state"),
	powerToGraphics: report.T("the graphics system had been asked to power on"), 0x40: report.T("the window manager (DWM) had been asked to draw"),
	powerToMonitor: report.T("the driver of the monitor had been asked to power on"),
}

func collect19C(c *collection) { c.aboutThread(c.facts.Parameters[1]) }

func judge19C(j *judgement) {
	kind := j.f.Parameters[0]
	if what, ok := powerWaits[kind]; ok {
		j.evidence(report.Recorded, parameter(1), report.T("What did not end: %s.", what))
	}
	j.evidence(report.Recorded, parameter(2), report.T("The thread at 0x%x was to change the power state of the screen.", j.f.Parameters[1]))
	j.judgeThread(parameter(2))
	if kind == powerToGraphics || kind == powerToMonitor {
		j.suggestKinds(report.T("it is the display driver, which has to turn the screen on"), "display")
	}
	j.detector()
}

func happened19C(*Facts) report.Text {
	return report.T("the screen could not be turned on or off in time")
}
