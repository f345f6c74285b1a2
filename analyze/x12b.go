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
		j.evidence(report.Recorded, parameter(2), report.T("It is physical page 0x%x, which begins at physical address 0x%x: the same page or its neighbours in several dumps speak for a memory module.", p[1], p[1]<<frameShift))
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
		j.evidence(report.Recorded, parameter(4), report.T("It is physical page 0x%x, which begins at physical address 0x%x: the same page or its neighbours in several dumps speak for a memory module.", p[3], p[3]<<frameShift))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("Microsoft's documentation names faulty memory, a device or driver that wrote to the wrong physical page, and firmware that changed memory while the machine slept."))
	j.noticed(report.CauseMemoryCorruption, report.Low)
	j.limit(report.Low)
}

func happened1C7(*Facts) report.Text {
	return report.T("the store that keeps pages compressed in memory was found damaged")
}
