package analyze

import "bugcheck/report"

// No entries are left that map memory into the kernel's address space:
// NO_MORE_SYSTEM_PTES (0x3F: P1 kind, P2 asked for, P3 free, P4 all) and
// DRIVER_USED_EXCESSIVE_PTES (0xD8: P1 the name of the driver that has the most, P2 how
// many it has, P3 free, P4 all).

func judgeD8(j *judgement) {
	p := j.f.Parameters
	if j.f.Code == 0x3f {
		j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("%d entries were asked for; %d of %d were free.", p[1], p[2], p[3]))
		if p[2] >= p[1] && p[1] > 0 {
			j.evidence(report.Derived, report.T("parameters 2 and 3"), report.T("Enough were free, but not side by side: many mappings of different length come and go, or many are never given back."))
		}
	} else if p[0] != 0 {
		j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("One driver holds %d entries of %d; %d were free.", p[1], p[3], p[2]))
	} else {
		j.evidence(report.Recorded, report.T("parameters 3 and 4"), report.T("%d of %d entries were free; Windows does not name the driver that holds the most.", p[2], p[3]))
	}
	if j.f.Code == 0xd8 && p[0] != 0 {
		return // Windows names the one
	}
	j.limit(report.Medium)
	j.evidence(report.Derived, report.T("stop code"), report.T("The one on the stack asked for memory to be mapped when nothing was left; who used it up is another question."))
}

func happenedD8(*Facts) report.Text {
	return report.T("the entries that map memory into the kernel's address space had run out")
}

// SYSTEM_PTE_MISUSE (0xDA): a driver gave back what it had not taken. P1 the kind; of
// 0x101, 0x104 and 0x108 P3 is the caller's tag and P4 the owner's.
func judgeDA(j *judgement) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("A driver used the mapping of memory in a way that is not allowed (kind 0x%x).", p[0]))
	}
	switch p[0] {
	case 0x101, 0x104, 0x108:
		j.evidence(report.Recorded, report.T("parameters 3 and 4"), report.T("The caller's tag is %s, the owner's %s.", tagOf(p[2]), tagOf(p[3])))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("So the call itself was wrong: the driver that made it is to be asked, not one that may have damaged memory before."))
}

func happenedDA(*Facts) report.Text {
	return report.T("it gave back a mapping of memory that it did not have, or not so")
}

// DRIVER_CORRUPTED_SYSPTES (0xDB): as 0xC5, of the entries that map memory: P1 address,
// P2 IRQL, P3 access, P4 instruction.
func judgeDB(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 to 4"), report.T("The memory manager's own code (at 0x%x) followed a bad address, 0x%x, at IRQL %d.", p[3], p[0], p[1]))
	j.describeTarget(p[0], j.f.Places[0], parameter(1))
	j.noticed(report.CauseMemoryCorruption, report.Low)
	j.limit(report.Low)
	j.evidence(report.Derived, report.T("stop code"), report.T("Whoever was on the processor found the damage, and did not do it: faulty memory, or a driver that wrote where it must not, did it earlier."))
}

func happenedDB(*Facts) report.Text {
	return report.T("the entries that map memory into the kernel's address space were found overwritten")
}

// LOCKED_PAGES_TRACKER_CORRUPTION (0xD9): a driver locked or released the pages of a
// transfer (MDL) out of order. P1 the kind, P2 or P3 the record.
func judgeD9(j *judgement) {
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("The lists of locked pages contradict each other (kind 0x%x).", j.f.Parameters[0]))
	}
	j.limit(report.Medium)
	j.evidence(report.Derived, report.T("stop code"), report.T("A driver locked, unlocked or used again the pages of a transfer out of order; the one on the stack handles that transfer now."))
}

func happenedD9(*Facts) report.Text {
	return report.T("the lists of locked pages were found contradictory")
}
