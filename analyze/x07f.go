package analyze

import (
	"fmt"

	"bugcheck/report"
	"bugcheck/win"
)

// UNEXPECTED_KERNEL_MODE_TRAP (0x7F): P1 the processor's exception; for 8, a
// double fault, P2 the task state or trap frame.

const doubleFault = 8

func collect7F(c *collection) {
	if c.facts.Parameters[0] == doubleFault {
		c.trapAt(c.facts.Parameters[1], report.T("trap frame (parameter 2)"))
	}
}

func judge7F(j *judgement) {
	p := j.f.Parameters
	name := win.TrapName(p[0])
	if name == "" {
		name = "?"
	}
	j.evidence(report.Recorded, parameter(1), report.T("The processor raised exception %d (%s) in kernel mode.", p[0], name))
	if p[0] == doubleFault {
		j.evidence(report.Derived, parameter(1), report.T("A double fault in the kernel nearly always means that a kernel stack ran out: too many nested calls, often of several filter drivers on top of each other."))
	}
}

func class7F(f *Facts) string { return verified(f, fmt.Sprintf("0x7f_%x", f.Parameters[0])) }

func happened7F(f *Facts) report.Text {
	if f.Parameters[0] == doubleFault {
		return report.T("a second fault came while the first was being handled, as when a kernel stack runs out")
	}
	return report.T("the processor raised an exception that the kernel cannot handle")
}
