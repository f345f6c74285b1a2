package analyze

import "bugcheck/report"

// DRIVER_VERIFIER_DMA_VIOLATION (0xE6): driver verifier's checks of DMA, by which
// devices read and write memory themselves; kind 0x26 comes from the IOMMU, without
// driver verifier ("Bug Check 0xE6",
// https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0xe6--driver-verifier-dma-violation).

const (
	counterBack   = 0x01
	counterJump   = 0x02
	outsideBuffer = 0x0f // P2 where the damage begins
	deviceStopped = 0x26
)

func judgeE6(j *judgement) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("Driver verifier caught a driver breaking rule 0x%x while it did it: who is on the stack is who did it.", p[0]))
	}
	switch p[0] {
	case deviceStopped:
		j.limit(report.Low)
		j.evidence(report.Derived, parameter(1), report.T("A device did it on its own, so the stack does not show its driver: the driver gave the device a wrong address, or the device or its firmware is faulty."))
	case counterBack, counterJump:
		j.limit(report.Low)
		j.evidence(report.Derived, parameter(1), report.T("A clock of the machine is at fault, not the code on the stack: firmware (BIOS), mainboard, or the host of a virtual machine."))
	case outsideBuffer:
		j.limit(report.Medium)
		j.evidence(report.Derived, parameter(1), report.T("The damage is found when the driver gives the buffer back: the driver named the device a wrong length, or the device did not keep to it."))
	}
}

func happenedE6(f *Facts) report.Text {
	if f.Parameters[0] == deviceStopped {
		return report.T("a device reached for memory that it had not been given")
	}
	return report.T("it used DMA (memory that devices read and write themselves) in a way that is not allowed (0x%x)", f.Parameters[0])
}
