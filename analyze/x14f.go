package analyze

import "bugcheck/report"

// PDC_WATCHDOG_TIMEOUT (0x14F): P2 the kind of component that hangs.
var pdcClients = map[uint64]report.Text{
	0x1: report.T("a component that had to be told did not answer"), 0x2: report.T("a component did not answer while the machine slept lightly"),
	0x3: report.T("a component kept the machine awake for too long"), 0x100: report.T("the screen could not be turned on in time"),
}

func judge14F(j *judgement) {
	p := j.f.Parameters
	if what, ok := pdcClients[p[1]]; ok {
		j.evidence(report.Recorded, parameter(2), report.T("What did not end: %s.", what))
	}
	j.evidence(report.Recorded, parameter(1), report.T("The component has the number 0x%x; only the pdc debugger extension of Microsoft names it.", p[0]))
	if p[1] == 0x100 {
		j.suggestKinds(report.T("it is the display driver, which has to turn the screen on"), "display")
	}
	j.detector()
}

func happened14F(*Facts) report.Text {
	return report.T("the machine could not leave its light sleep in time")
}
