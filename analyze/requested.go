package analyze

import "bugcheck/report"

// Crashes that somebody asked for: MANUALLY_INITIATED_CRASH (0xE2) and
// MANUALLY_INITIATED_POWER_BUTTON_HOLD (0x1C8). No driver is to blame.

func judgeE2(j *judgement) {
	j.decide(report.CauseRequested, report.High)
	j.evidence(report.Recorded, report.T("stop code"), report.T("This code is raised on request only: by the keyboard (Ctrl+ScrollLock twice), by a debugger or a tool, or by a management controller."))
	j.judgeStuck()
}

// judgeRequested: LIVE_SYSTEM_DUMP (0x161: P1 the requester's letters) and
// MANUALLY_INITIATED_BLACKSCREEN_HOTKEY_LIVE_DUMP (0x21C8), by which Windows goes on.
func judgeRequested(j *judgement) {
	j.decide(report.CauseRequested, report.High)
	j.evidence(report.Recorded, report.T("stop code"), report.T("This code is raised on request only, by a tool or by keys, and Windows goes on."))
	j.judgeStuck()
}

func happenedE2(*Facts) report.Text {
	return report.T("a crash dump was asked for by keyboard, debugger or tool")
}

func judge1C8(j *judgement) {
	j.decide(report.CauseRequested, report.High)
	j.evidence(report.Recorded, report.T("stop code and parameter 1"), report.T("Windows raises this code when the power button is held down; it was held for %d ms.", j.f.Parameters[0]))
	j.evidence(report.Derived, report.T("stop code"), report.T("People hold the power button when a machine no longer answers; this dump shows that moment, not what had made it hang."))
	j.judgeStuck()
}

func happened1C8(*Facts) report.Text { return report.T("someone held down the power button") }
