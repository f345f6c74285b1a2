package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// FAULTY_HARDWARE_CORRUPTED_PAGE (0x12B): P1 the address of the page, P2 the physical
// page. The documentation calls it a hardware memory error. In published logs of
// compressed memory P1 is a status instead, 0xC00002C4, and the address is not told.

func judge12B(j *judgement) {
	p := j.f.Parameters
	if isStatus(p[0]) && uint32(p[0])>>30 == 3 {
		j.evidence(report.Recorded, parameter(1), report.T("The store that keeps pages compressed in memory could not read a page back (%s): its bytes are not what had been put there.", win.Status(uint32(p[0]))))
		j.decide(report.CauseHardware, report.Medium)
	} else {
		j.evidence(report.Recorded, parameter(1), report.T("Windows found a single wrong bit in the page at 0x%x.", p[0]))
		j.decide(report.CauseHardware, report.High)
	}
	if p[1] < 1<<52 && p[1] != 0 {
		j.physicalPage(2)
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("Microsoft's documentation calls this an error of the memory. Seldom a device or a driver that writes to physical memory which is not its own looks the same."))
}

func happened12B(*Facts) report.Text {
	return report.T("a page of memory did not hold what had been put there")
}

// DATA_BUS_ERROR (0x2E): P1 virtual, P2 physical address. Parity errors of memory are
// the usual cause; the other is a driver that uses an address where no device answers
// ("Bug Check 0x2E", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x2e--data-bus-error).
func judge2E(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("An access of 0x%x, physical address 0x%x, was answered with an error by the hardware.", p[0], p[1]))
	j.evidence(report.Derived, report.T("stop code"), report.T("A parity error of memory or cache is the usual cause; a driver that uses an address where no device answers is the other."))
	j.noticed(report.CauseHardware, report.Medium)
	j.limit(report.Low)
}

func happened2E(*Facts) report.Text {
	return report.T("the hardware reported an error when memory was accessed")
}

// STORE_DATA_STRUCTURE_CORRUPTION (0x1C7): the store, which compresses memory, found its
// tables changed. P1 the kind, P2 buffer, P3 checksum, P4 physical page ("Bug Check
// 0x1C7", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x1c7--store-data-structure-corruption).
func judge1C7(j *judgement) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("The store that keeps pages compressed in memory found its tables damaged (kind 0x%x).", p[0]))
	}
	if p[0] <= 2 && p[3] != 0 && p[3] < 1<<52 {
		j.physicalPage(4)
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("Microsoft's documentation names faulty memory, a device or driver that wrote to the wrong physical page, and firmware that changed memory while the machine slept."))
	j.noticed(report.CauseMemoryCorruption, report.Low)
	j.limit(report.Low)
}

func happened1C7(*Facts) report.Text {
	return report.T("the store that keeps pages compressed in memory was found damaged")
}

// PAGE_NOT_ZERO (0x127): a free page that had been filled with zeros held something else.
// P1 address, P2 physical page. The documentation names hardware, and a privileged
// component that wrote to a page after giving it back ("Bug Check 0x127",
// https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x127---page-not-zero).
func judge127(j *judgement) {
	j.physicalPage(2)
	j.evidence(report.Derived, report.T("stop code"), report.T("The page lay free and filled with zeros: faulty memory changed it, or a device or driver that still wrote to it."))
	j.noticed(report.CauseMemoryCorruption, report.Low)
	j.limit(report.Low)
}

func happened127(*Facts) report.Text {
	return report.T("a page of memory that should hold zeros did not")
}

// MEMORY_IMAGE_CORRUPT (0xA2): a checksum of memory taken before the machine slept was
// another when it woke. P1 the kind; of 3 P2 the first page and P3 their number ("Bug
// Check 0xA2", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0xa2--memory-image-corrupt).
func judgeA2(j *judgement) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("Memory changed while the machine slept (kind 0x%x).", p[0]))
	}
	if p[0] == 3 {
		j.evidence(report.Recorded, report.T("parameters 2 and 3"), report.T("It lies in %d pages from physical address 0x%x on.", p[2], p[1]<<frameShift))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("No driver ran then: memory that does not keep its contents, or firmware (BIOS) or a device that wrote to it while the machine slept."))
	j.decide(report.CauseHardware, report.Medium)
}

func happenedA2(*Facts) report.Text {
	return report.T("memory changed while the machine slept")
}
