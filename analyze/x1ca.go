package analyze

import "bugcheck/report"

// SYNTHETIC_WATCHDOG_TIMEOUT (0x1CA): P1 the time since the watchdog was last reset, in
// units of 100 ns, P4 the processor that keeps the clock.
func collect1CA(c *collection) {
	n := c.facts.Parameters[3]
	c.collectHung(func(number uint32, _ bool) bool { return uint64(number) == n })
}

// unitsASecond is how many of the units of interrupt time make a second.
const unitsASecond = 10_000_000

func judge1CA(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("No clock tick was handled for %d s; the clock is kept by processor %d.", p[0]/unitsASecond, p[3]))
	j.judgeDPC()
	j.judgeHung()
	j.noticed(report.CauseUnknown, report.Low)
}

func happened1CA(*Facts) report.Text {
	return report.T("the whole machine stopped handling its clock")
}
