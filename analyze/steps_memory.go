package analyze

import (
	"strings"

	"bugcheck/report"
)

// Next steps of the stop codes about memory, pool and driver verifier.

// caughtSteps: a mistake was caught while it was made, so what is left to do is to get a
// driver without it.
func caughtSteps(j *judgement) []report.Text {
	if !thirdParty(j.v.Image) {
		return append(verifierSteps(), keepDumpStep(j))
	}
	steps := []report.Text{updateStep(j.v.Image)}
	if !crashTools[strings.ToLower(j.v.Image)] {
		steps = append(steps, report.T("Send this dump to the maker of %s: it was written at the moment of the mistake, and shows the maker the line of code.", j.v.Image))
	}
	return append(steps, report.T("Driver verifier is on: the machine is slower and stops at every mistake of the drivers it watches. To turn it off: verifier /reset, then restart (from safe mode if Windows does not start)."))
}

func dmaSteps(j *judgement) []report.Text {
	if j.f.Parameters[0] != deviceStopped {
		return caughtSteps(j)
	}
	return []report.Text{
		report.T("Find the device: it is the one that was at work then; the System log (Kernel-PnP, WHEA-Logger, disk and network events) and what was plugged in last (docks, Thunderbolt, USB4, cards) tell."),
		report.T("Update its driver and its firmware, and the firmware (BIOS) of the machine."),
		report.T("Take the device out for a trial; a device that nobody knows at a port that reaches memory (Thunderbolt, ExpressCard, PCIe) may be an attack."),
		keepDumpStep(j),
	}
}

// damagedSteps: memory was found damaged; whether a cell or a driver did it, the next
// crashes tell, and a test of the memory.
func damagedSteps(j *judgement) []report.Text {
	if j.v.Cause == report.CauseDriver {
		return driverSteps(j)
	}
	names := thirdPartyNames(j)
	steps := []report.Text{
		report.T("Run memory and processor at their standard speeds: overclocking, XMP and EXPO off in the firmware settings."),
		memoryTestStep(),
	}
	return append(steps, specialPoolStep(names), keepDumpStep(j))
}

// patchedSteps: Windows found its code or tables changed.
func patchedSteps(j *judgement) []report.Text {
	return []report.Text{
		report.T("Update or remove software that hooks into the kernel: anti-virus, anti-cheat, game cheats, tuning and monitoring tools."),
		report.T("Look for rootkits from outside Windows: Microsoft Defender Offline (Start-MpWDOScan in PowerShell as administrator; it restarts the machine)."),
		report.T("Repair the system files: %s, then %s.", repairImageCommand, repairFilesCommand),
		memoryTestStep(),
	}
}

func mappingSteps(j *judgement) []report.Text {
	var steps []report.Text
	if thirdParty(j.v.Image) {
		steps = append(steps, updateStep(j.v.Image))
	}
	return append(steps,
		report.T("If it happens again, have Windows count who maps memory: %s, then restart. The next crash then has the code 0xD8 and names the driver; !sysptes 4 in a debugger lists them all.", trackCommand("TrackPtes")),
		report.T("Backup software and display drivers ask for large mappings: update those first. On 32-bit Windows, which has little room for mappings: remove /3GB (bcdedit /deletevalue increaseuserva), or go to 64-bit Windows."),
		keepDumpStep(j),
	)
}

func cacheSteps(j *judgement) []report.Text {
	return []report.Text{
		report.T("Check the health of the system disk (SMART data, disk and Ntfs events in the System log)."),
		report.T("Update software that filters files: anti-virus, backup, encryption, synchronisation."),
		report.T("Find out what uses up memory before it happens again: Task Manager for programs, poolmon (Windows Driver Kit) for drivers."),
		keepDumpStep(j),
	}
}
