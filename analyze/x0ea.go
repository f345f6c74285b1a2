package analyze

import (
	"strings"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// THREAD_STUCK_IN_DEVICE_DRIVER (0xEA): P1 the thread, P3 the driver's name.
func collectEA(c *collection) {
	p := c.facts.Parameters
	c.aboutThread(p[0])
	if name := c.m.UnicodeString(mem.VA(p[2])); isPrintable(name) {
		c.facts.Message = name[strings.LastIndexByte(name, '\\')+1:]
	}
}

func judgeEA(j *judgement) {
	j.evidence(report.Recorded, parameter(1), report.T("The thread at 0x%x did not come out of a driver that waits for its hardware.", j.f.Parameters[0]))
	found := j.judgeThread(parameter(1))
	name := j.f.Message
	if name == "" {
		return
	}
	if !strings.Contains(name, ".") {
		name += ".sys"
	}
	j.evidence(report.Recorded, parameter(3), report.T("The driver that Windows names is %s.", name))
	if !found || j.v.Confidence != report.High {
		j.convict(name, kernel.ModuleName(name), "", report.High)
	}
}

func happenedEA(*Facts) report.Text {
	return report.T("a driver waited without end for its hardware")
}
