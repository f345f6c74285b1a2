package analyze

import "bugcheck/report"

// CRITICAL_STRUCTURE_CORRUPTION (0x109): Windows looks from time to time whether its
// code and tables are what they were at the start. P4 what was changed, P3 often where
// ("Bug Check 0x109", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x109---critical-structure-corruption).
// The documentation knows three causes: a driver that changes the kernel, a debugger's
// breakpoint, hardware.

// registerKinds are kinds that do not lie in memory: no faulty memory changes them.
// codeKinds are code, which a debugger's breakpoint changes too.
var (
	registerKinds = map[uint64]bool{0x07: true, 0x15: true, 0x16: true, 0x17: true, 0x26: true}
	codeKinds     = map[uint64]bool{0x01: true, 0x06: true, 0x0a: true, 0x0c: true, 0x21: true, 0x22: true, 0x102: true}
	poolKinds     = map[uint64]bool{0x27: true, 0x28: true, 0x29: true, 0x101: true}
)

func judge109(j *judgement) {
	p := j.f.Parameters
	if !j.says(4) {
		j.evidence(report.Recorded, parameter(4), report.T("Code or a table of the kernel is not what it was when Windows started (kind 0x%x).", p[3]))
	}
	if where := j.f.Places[2]; where.Kind == PlaceModule {
		j.evidence(report.Recorded, parameter(3), report.T("What was changed lies at 0x%x, in %s.", p[2], where.at()))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("Windows looks for such changes from time to time: the stack is that of the check, and whoever made the change is not on it."))
	switch kind := p[3]; {
	case registerKinds[kind]:
		j.evidence(report.Derived, parameter(4), report.T("It is a register of the processor, so faulty memory is out: a driver set it, or a hypervisor."))
	case codeKinds[kind]:
		j.evidence(report.Derived, parameter(4), report.T("Changed code means a driver that patches the kernel, a breakpoint of a debugger, or, where one bit differs, faulty memory."))
	case poolKinds[kind]:
		j.evidence(report.Derived, parameter(4), report.T("Whoever wrote past a block of pool, or used one after freeing it, did it; it need not be meant as an attack."))
	default:
		j.evidence(report.Derived, parameter(4), report.T("Drivers that hide something or hook the system change such data, and so does faulty memory."))
	}
	j.noticed(report.CauseMemoryCorruption, report.Low)
	j.limit(report.Low)
}

func happened109(*Facts) report.Text {
	return report.T("the kernel's own code or tables were found changed")
}
