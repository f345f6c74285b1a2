package analyze

import (
	"fmt"

	"bugcheck/report"
	"bugcheck/win"
)

// UNEXPECTED_KERNEL_MODE_TRAP (0x7F): P1 the processor's exception; for 8, a
// double fault, P2 the task state or trap frame. On x64 P4 is the instruction; older
// kernels have control registers in P2 and P3 there, as published logs show (0x80050033
// is a CR0: https://bbs.kanxue.com/thread-154014-1.htm). What the traps mean: "Bug Check
// 0x7F" in Microsoft's documentation.

// Vectors of the processor (Intel SDM volume 3, table 6-1).
const (
	trapDivide       = 0
	trapNMI          = 2
	trapOverflow     = 4
	trapBound        = 5
	trapOpcode       = 6
	doubleFault      = 8
	trapStack        = 12
	trapProtection   = 13
	trapMachineCheck = 18
)

func collect7F(c *collection) {
	p := c.facts.Parameters
	if p[0] == doubleFault && classify(p[1], c.m.Arch) == PlaceSystem {
		c.trapAt(p[1], report.T("trap frame (parameter 2)"))
	}
	if c.registers == nil && c.facts.Places[3].Kind == PlaceModule {
		c.faultAt(p[3], parameter(4))
	}
}

// trapMeanings say what a trap speaks for.
var trapMeanings = map[uint64]func() report.Text{
	trapDivide:   exceptionMeanings[statusDivideByZero],
	trapOverflow: func() report.Text { return report.T("A check for a number that is too large failed.") },
	trapBound: func() report.Text {
		return report.T("A check for a place outside a list failed: a mistake in that code, or in what it was given.")
	},
	trapOpcode: exceptionMeanings[statusIllegalInstruction],
	doubleFault: func() report.Text {
		return report.T("A double fault in the kernel nearly always means that a kernel stack ran out: too many nested calls, often of several filter drivers on top of each other.")
	},
	trapStack: func() report.Text {
		return report.T("The stack pointer led to where no stack is: the stack was used up, or its pointer was overwritten.")
	},
	trapProtection: func() report.Text {
		return report.T("The code used a pointer that is none, or a register in a way that the processor forbids: it was given bad data, or was overwritten.")
	},
}

// hardwareTraps are the exceptions by which hardware reports an error.
var hardwareTraps = map[uint64]bool{trapNMI: true, trapMachineCheck: true}

func judge7F(j *judgement) {
	p := j.f.Parameters
	name := win.TrapName(p[0])
	if name == "" {
		name = "?"
	}
	j.evidence(report.Recorded, parameter(1), report.T("The processor raised exception %d (%s) in kernel mode.", p[0], name))
	if fr, n := mostRepeated(j.f); p[0] == doubleFault && n >= recursion {
		j.evidence(report.Derived, report.T("stack"), report.T("The caller %s stands on the stack %d times.", at(fr), n))
	}
	if meaning := trapMeanings[p[0]]; meaning != nil {
		j.evidence(report.Derived, parameter(1), meaning())
	}
	if hardwareTraps[p[0]] {
		j.evidence(report.Derived, parameter(1), report.T("That exception is how hardware reports an error; no driver raises it."))
		j.decide(report.CauseHardware, report.Medium)
		return
	}
	if where := j.f.Places[3]; where.Kind == PlaceModule && p[0] != doubleFault {
		j.placed = true
		j.evidence(report.Recorded, parameter(4), report.T("The instruction at 0x%x lies in %s.", p[3], where.at()))
	}
}

func class7F(f *Facts) string { return verified(f, fmt.Sprintf("0x7f_%x", f.Parameters[0])) }

// mostRepeated is the caller that stands on the stack the most often.
func mostRepeated(f *Facts) (most Frame, count int) {
	counts := map[Frame]int{}
	for _, fr := range certain(f) {
		if counts[fr]++; counts[fr] > count && fr.Module != "" {
			most, count = fr, counts[fr]
		}
	}
	return most, count
}

func happened7F(f *Facts) report.Text {
	switch _, n := mostRepeated(f); f.Parameters[0] {
	case doubleFault:
		if n >= recursion {
			return report.T("it called itself again and again until the kernel stack was used up")
		}
		return report.T("a second fault came while the first was being handled, as when a kernel stack runs out")
	case trapDivide:
		return report.T("it divided a whole number by zero")
	case trapOpcode:
		return report.T("it ran into bytes that are no instruction of this processor")
	case trapNMI, trapMachineCheck:
		return report.T("hardware reported an error that cannot be corrected")
	}
	return report.T("the processor raised an exception that the kernel cannot handle")
}
