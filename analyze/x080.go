package analyze

import "bugcheck/report"

// Hardware that reports an error by itself: NMI_HARDWARE_FAILURE (0x80), RECURSIVE_NMI
// (0x111), WHEA_INTERNAL_ERROR (0x122: memory or tables of the error handling itself).
// "Bug Check Code Reference" in Microsoft's documentation.

func judge80(j *judgement) {
	j.evidence(report.Derived, report.T("stop code"), report.T("An interrupt that cannot be held back (NMI) comes from the hardware, its firmware or its management controller, never from a driver."))
	j.evidence(report.Derived, report.T("stop code"), report.T("A management controller or a hypervisor can also send it because a person asked for it there."))
	j.decide(report.CauseHardware, report.Medium)
}

// uncorrected are the kinds of 0x122 by which an error had come before WHEA failed.
var uncorrected = map[uint64]bool{0x9: true, 0xa: true, 0xb: true}

func judge122(j *judgement) {
	if uncorrected[j.f.Parameters[0]] {
		j.decide(report.CauseHardware, report.Medium)
		return
	}
	j.decide(report.CauseFirmware, report.Low)
}
