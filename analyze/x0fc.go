package analyze

import "bugcheck/report"

// ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY (0xFC): P1 the address that was to be run, P2
// its page table entry, P3 trap frame in practice (documented as reserved;
// https://www.sysnative.com/forums/threads/debugging-stop-0xfc-attempted_execute_of_noexecute_memory.36609/).
// The fault is the jump itself, so the code at P1 is nobody's: the caller on the stack
// is to be asked.

func collectFC(c *collection) {
	p := c.facts.Parameters
	c.facts.Exception = &Exception{Code: statusAccessViolation, Address: p[0], Access: "execute", Target: &p[0]}
	c.trapAt(p[2], report.T("trap frame (parameter 3)"))
}

func judgeFC(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The processor was to run 0x%x, whose page table entry (0x%x) says that no code is there.", p[0], p[1]))
	j.describeFill(p[0], parameter(1))
	switch where := j.f.Places[0]; where.Kind {
	case PlaceStack:
		j.evidence(report.Derived, parameter(1), report.T("The address lies on a stack: a return address or a function pointer was overwritten."))
	case PlaceModule:
		j.limit(report.Medium)
		j.evidence(report.Derived, parameter(1), report.T("The address lies in %s, in a part that holds data.", where.at()))
	case PlaceUnloaded:
		j.evidence(report.Derived, parameter(1), report.T("The address lies where %s was before it was unloaded.", where.Image))
		j.suggest(where.Image, report.T("the address that was touched lies where it was before it was unloaded"))
	case PlaceUser:
		j.evidence(report.Derived, parameter(1), report.T("The address belongs to user mode: a pointer from a program was used in the kernel, or a stray one."))
	default:
		j.evidence(report.Derived, parameter(1), report.T("A call or return went through a bad pointer, so look at its caller on the stack, not at the address."))
	}
	j.nearestCaller()
}

func happenedFC(*Facts) report.Text { return report.T("it ran into memory that holds no code") }
