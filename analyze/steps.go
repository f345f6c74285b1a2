package analyze

import (
	"strings"

	"bugcheck/report"
	"bugcheck/win"
)

// nextSteps says what to do, most useful first: at most four things.
func nextSteps(j *judgement) []report.Text {
	var steps []report.Text
	switch {
	case j.v.Cause == report.CauseRequested:
		steps = requestedSteps(j.f)
	case j.v.Cause == report.CauseStorage:
		steps = storageSteps()
	case j.v.Cause == report.CauseHardware && j.f.Code == 0x124:
		steps = machineCheckSteps()
	case j.v.Cause == report.CauseHardware:
		steps = memorySteps()
	case stepsByCode[j.f.Code] != nil:
		steps = stepsByCode[j.f.Code](j)
	case j.v.Cause == report.CauseDriver:
		steps = driverSteps(j)
	default:
		steps = unknownSteps(j)
	}
	return steps[:min(len(steps), maxSteps)]
}

// maxSteps is what an operator reads before acting.
const maxSteps = 4

// stepsByCode are the stop codes that call for something of their own.
var stepsByCode = map[uint32]func(*judgement) []report.Text{
	0x116: graphicsSteps, 0x117: graphicsSteps, 0x141: graphicsSteps,
	0x9f: powerSteps, 0xef: criticalProcessSteps, 0x101: processorSteps,
}

// describe names an image with what is known of it.
func describe(image string) report.Text {
	d, ok := win.English.Driver(image)
	if !ok {
		return report.T("%s", image)
	}
	what := report.T(d.What)
	if d.Microsoft() {
		return report.T("%s (Windows: %s)", image, what)
	}
	return report.T("%s (%s: %s)", image, d.Owner, what)
}

// verifierStep takes images separated by commas, as for people.
func verifierStep(images string) report.Text {
	if !strings.Contains(images, ",") {
		return report.T("If it happens again, let Windows watch the driver and crash at its next mistake: verifier /standard /driver %s, restart; verifier /reset ends that.", images)
	}
	return report.T("If it happens again, let Windows watch these drivers and crash at their next mistake: verifier /standard /driver %s, restart; verifier /reset ends that.", strings.ReplaceAll(images, ",", ""))
}

func driverSteps(j *judgement) []report.Text {
	v := &j.v
	var steps []report.Text
	suspects := v.Image
	if thirdParty(v.Image) {
		steps = append(steps, report.T("Update %s from its maker, or take it off if the machine does not need it; if it was updated lately, go back to the version before.", describe(v.Image)))
	} else {
		steps = append(steps, report.T("Install the pending Windows updates: %s comes with Windows.", describe(v.Image)))
		if suspects = thirdPartyNames(j); suspects != "" {
			steps = append(steps, report.T("Update the drivers that work with it: %s.", suspects))
		}
	}
	if suspects != "" {
		steps = append(steps, verifierStep(suspects))
	}
	if v.Confidence != report.High {
		steps = append(steps, keepDumpStep())
	}
	return steps
}

func unknownSteps(j *judgement) []report.Text {
	var steps []report.Text
	if third := thirdPartyNames(j); third != "" {
		steps = append(steps, report.T("Update the drivers from outside Windows that were at work: %s.", third), verifierStep(third))
	} else {
		steps = append(steps, report.T("Install pending Windows, driver and firmware updates."),
			report.T("If it happens again, let Windows watch all drivers that are not Microsoft's: verifier /standard /all, restart; verifier /reset ends that."))
	}
	steps = append(steps, report.T("Test the memory overnight (mdsched.exe or MemTest86): single wrong bits look like a bad driver."), keepDumpStep())
	return steps
}

// thirdPartyNames lists at most three suspects for a command line.
func thirdPartyNames(j *judgement) string {
	var names []string
	for _, a := range j.v.Alternatives {
		if thirdParty(a.Image) && len(names) < 3 {
			names = append(names, a.Image)
		}
	}
	return strings.Join(names, ", ")
}

func keepDumpStep() report.Text {
	return report.T("Keep this dump and compare it with the next one; set Windows to write a kernel memory dump (wmic recoveros set DebugInfoType = 2), which shows far more than a small one.")
}

func memorySteps() []report.Text {
	return []report.Text{
		report.T("Run memory and processor at their standard speeds: overclocking, XMP and EXPO off in the firmware settings."),
		report.T("Test the memory overnight (MemTest86, or mdsched.exe), then module by module; replace the module that fails."),
		report.T("Update the firmware (BIOS) of the machine."),
		report.T("If the memory passes and it happens again, suspect processor, mainboard and power supply."),
	}
}

func machineCheckSteps() []report.Text {
	return []report.Text{
		report.T("Look at the WHEA-Logger events of the System log: they name processor, memory or PCI device, and show whether corrected errors came before."),
		report.T("Run memory and processor at their standard speeds, check cooling, and update the firmware (BIOS)."),
		report.T("If it happens again, have the vendor replace the part that the events name: on a server, open a hardware case with this record."),
	}
}

func storageSteps() []report.Text {
	return []report.Text{
		report.T("Check the disk's health (SMART data, the controller's log) and its cables; back up the data before anything else."),
		report.T("Look for disk, storahci, stornvme and Ntfs events in the System log before the crash."),
		report.T("Update the firmware of disk and controller, then run chkdsk on the system volume."),
	}
}

func requestedSteps(f *Facts) []report.Text {
	if f.Code == 0x1c8 {
		return []report.Text{
			report.T("Ask who held the power button, and what no longer answered."),
			report.T("Look in the System log at the minutes before the crash for what hung: display, disk, driver and power events."),
		}
	}
	return []report.Text{report.T("Ask who asked for the crash; if it was done because the machine hung, look at the running threads in this dump, not at the crash itself.")}
}

func graphicsSteps(j *judgement) []report.Text {
	return []report.Text{
		report.T("Install the display driver (%s) anew: remove it completely first, then take the current version from the maker of the card.", orUnknown(j.v.Image)),
		report.T("Check temperature, fans and power supply of the graphics card, and set its clocks to the standard values."),
		report.T("If it happens again with a fresh driver and standard clocks, try the card in another machine: it is failing."),
	}
}

func powerSteps(j *judgement) []report.Text {
	var steps []report.Text
	names := thirdPartyNames(j)
	if j.v.Cause == report.CauseDriver {
		names = j.v.Image
	}
	if names != "" {
		steps = append(steps, report.T("Update the driver of the device that did not answer: %s, and the firmware (BIOS) and chipset drivers.", names))
	} else {
		steps = append(steps, report.T("Update the drivers of network, graphics and USB devices, the chipset drivers and the firmware (BIOS)."))
	}
	return append(steps,
		report.T("Until then, forbid the device to be switched off to save power (Device Manager, Power Management), and turn fast startup off."),
		keepDumpStep())
}

func criticalProcessSteps(*judgement) []report.Text {
	return []report.Text{
		report.T("Check the health of the system disk (SMART data, disk and Ntfs events in the System log)."),
		report.T("Repair the system files: DISM /Online /Cleanup-Image /RestoreHealth, then sfc /scannow."),
		report.T("Look in the Application log for an error report of the process that ended, and whether security software or a script ended it."),
	}
}

func processorSteps(*judgement) []report.Text {
	return []report.Text{
		report.T("Run the processor at its standard speed and voltage, and update the firmware (BIOS) and its microcode."),
		report.T("On a virtual machine: look at the host, which may not have given the processor any time."),
		report.T("If it happens again on a physical machine, have the processor and mainboard tested."),
	}
}
