package analyze

import "bugcheck/report"

// CLOCK_WATCHDOG_TIMEOUT (0x101): P1 ticks waited, P3 PRCB of the processor that
// hangs, P4 its number.

func judge101(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("Processor %d did not answer the clock interrupt for %d ticks.", p[3], p[0]))
	j.evidence(report.Derived, report.T("stop code"), report.T("The stack is that of the processor that noticed; the one that hangs is processor %d.", p[3]))
	j.decide(report.CauseUnknown, report.Low)
	j.bucket = "CLOCK_WATCHDOG_TIMEOUT"
}

func class101(*Facts) string { return "CLOCK_WATCHDOG_TIMEOUT" }

func happened101(f *Facts) report.Text {
	return report.T("processor %d stopped answering", f.Parameters[3])
}
