package analyze

import (
	"slices"
	"strings"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

// nextSteps says what to do, most useful first: at most four things.
func nextSteps(j *judgement) []report.Text {
	var steps []report.Text
	switch {
	case j.v.Cause == report.CauseRequested:
		return requestedSteps(j)
	case j.v.Cause == report.CauseMemoryCorruption && isPoolCode[j.f.Code] || j.f.Code == 0xc1:
		return poolSteps(j)
	case j.v.Cause == report.CauseStorage && startsFrom[j.f.Code]:
		return bootSteps()
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
	if j.f.Uptime > 0 && j.f.Uptime < earlyCrash {
		steps = append([]report.Text{report.T("It crashed while it started. If Windows does not start any more: from the recovery environment, uninstall the last update or driver, or start in safe mode.")}, steps...)
	}
	return steps[:min(len(steps), maxSteps)]
}

// maxSteps is what an operator reads before acting.
const maxSteps = 4

// earlyCrash is an uptime that nobody had time to log on in.
const earlyCrash = time.Minute

// stepsByCode are the stop codes that call for something of their own.
var stepsByCode = map[uint32]func(*judgement) []report.Text{
	0x116: graphicsSteps, 0x117: graphicsSteps, 0x141: graphicsSteps,
	0x9f: powerSteps, 0xef: criticalProcessSteps, 0x101: processorSteps,
}

// crashTools are drivers that crash Windows because they are told to.
var crashTools = map[string]bool{"myfault.sys": true}

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

// kindOf is what an image is for; "" if not known.
func kindOf(image string) string {
	d, _ := win.English.Driver(image)
	return d.Kind
}

// verifierStep takes images separated by commas, as for people.
func verifierStep(images string) report.Text {
	return report.T("If it happens again, let driver verifier watch: verifier /standard /driver %s, then restart. The machine gets slower and crashes at the next mistake, so not where it must stay up; if it no longer starts: safe mode, verifier /reset.", strings.ReplaceAll(images, ",", ""))
}

func keepDumpStep(j *judgement) report.Text {
	if j.f.Whole {
		return report.T("Keep this dump: the maker of a driver, or whoever debugs it, needs the memory that it holds.")
	}
	return report.T("Keep this dump, and C:\\Windows\\MEMORY.DMP if there is one: a debugger sees more in it than in a small dump. If there is none, have Windows write it next time: reg add HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl /v CrashDumpEnabled /t REG_DWORD /d 2 /f")
}

func memoryTestStep() report.Text {
	return report.T("Test the memory overnight (mdsched.exe or MemTest86): single wrong bits look like a bad driver.")
}

func driverSteps(j *judgement) []report.Text {
	v := &j.v
	suspects := v.Image
	steps := []report.Text{updateStep(v.Image)}
	if !thirdParty(v.Image) {
		if suspects = thirdPartyNames(j); suspects != "" {
			steps = append(steps, report.T("Update the drivers that work with it: %s.", suspects))
		}
	}
	if suspects = j.unwatched(suspects); suspects != "" && !j.itself && !crashTools[v.Image] {
		steps = append(steps, verifierStep(suspects))
	}
	if v.Confidence != report.High {
		steps = append(steps, keepDumpStep(j))
	}
	return steps
}

// updateStep says how to get a driver that works.
func updateStep(image string) report.Text {
	switch {
	case crashTools[strings.ToLower(image)]:
		return report.T("%s crashes Windows on purpose: ask who ran it, then remove it.", describe(image))
	case thirdParty(image):
		return report.T("Update %s from its maker, or uninstall it if the machine does not need it; if it was updated lately, go back to the version before.", describe(image))
	case slices.Contains([]string{"power", "bus"}, kindOf(image)):
		return report.T("Update the firmware (BIOS) of the machine, then Windows: %s works with what the firmware tells it.", describe(image))
	}
	return report.T("Install the pending Windows updates: %s comes with Windows.", describe(image))
}

func unknownSteps(j *judgement) []report.Text {
	var steps []report.Text
	if third := thirdPartyNames(j); third != "" {
		steps = append(steps, report.T("Update the drivers from outside Windows that were at work: %s.", third))
		if third = j.unwatched(third); third != "" {
			steps = append(steps, verifierStep(third))
		}
	}
	if advice := categoryAdvice(j.f.Code); advice != nil {
		return append(append(steps, advice...), keepDumpStep(j))
	}
	if len(steps) == 0 {
		steps = append(steps, report.T("Install pending Windows, driver and firmware updates; if something was installed or changed just before, undo that first."))
	}
	return append(steps, memoryTestStep(), keepDumpStep(j))
}

// thirdPartyNames lists the suspects for a command line.
func thirdPartyNames(j *judgement) string {
	var names []string
	for _, a := range j.v.Alternatives {
		if thirdParty(a.Image) {
			names = append(names, a.Image)
		}
	}
	return strings.Join(names, ", ")
}

func memorySteps() []report.Text {
	return []report.Text{
		report.T("On a server, look at the log of its management controller (iLO, iDRAC, BMC) and at the WHEA-Logger events: they may name the memory module."),
		report.T("Run memory and processor at their standard speeds: overclocking, XMP and EXPO off in the firmware settings."),
		report.T("Test the memory overnight (MemTest86, or mdsched.exe), then module by module; replace the module that fails."),
		report.T("Update the firmware (BIOS). If the memory passes and it happens again, suspect processor, mainboard and power supply."),
	}
}

func machineCheckSteps() []report.Text {
	return []report.Text{
		report.T("Look at the WHEA-Logger events of the System log, and on a server at the log of its management controller: they name processor, memory or PCI device, and show whether corrected errors came before."),
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

// isPoolCode are the stop codes about damaged pool, startsFrom those about the disk
// that Windows starts from.
var (
	isPoolCode = map[uint32]bool{0x19: true, 0xc2: true, 0xc5: true, 0x13a: true}
	startsFrom = map[uint32]bool{0x7b: true, 0xed: true}
)

// poolSteps catch whoever writes past a block while it does it.
func poolSteps(j *judgement) []report.Text {
	var steps []report.Text
	names := thirdPartyNames(j)
	if thirdParty(j.v.Image) {
		names = joinNames(names, j.v.Image)
	}
	switch first, _, _ := strings.Cut(names, ","); {
	case crashTools[strings.ToLower(first)]:
		steps = append(steps, updateStep(first))
	case names != "":
		steps = append(steps, report.T("Update the drivers from outside Windows that were at work: %s.", names))
	}
	return append(steps, specialPoolStep(names), memoryTestStep(), keepDumpStep(j))
}

func joinNames(names, more string) string {
	if names == "" {
		return more
	}
	return names + ", " + more
}

// specialPoolStep takes images separated by commas, as for people.
func specialPoolStep(images string) report.Text {
	if images == "" {
		return report.T("If it happens again, let driver verifier with special pool catch the writer: run verifier.exe, create standard settings, select the drivers that are not from Microsoft, restart. It stops Windows at the next write past a block, in the driver that does it. If Windows no longer starts: safe mode, verifier /reset.")
	}
	return report.T("Let special pool catch the writer: verifier /flags 0x1 /driver %s, then restart. It stops Windows at the next write past a block, in the driver that does it (other mistakes too: verifier /standard instead of /flags 0x1). If Windows no longer starts: safe mode, verifier /reset.", strings.ReplaceAll(images, ",", ""))
}

func requestedSteps(j *judgement) []report.Text {
	f := j.f
	var steps []report.Text
	for _, a := range j.v.Alternatives[:min(len(j.v.Alternatives), 1)] {
		steps = append(steps, hungStep(a.Image))
	}
	return append(steps, askSteps(f)...)
}

// hungStep is what to do about a driver that others waited for.
func hungStep(image string) report.Text {
	if crashTools[strings.ToLower(image)] {
		return updateStep(image)
	}
	return report.T("If the machine hung: update %s from its maker first, and ask the maker with this dump.", describe(image))
}

func askSteps(f *Facts) []report.Text {
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
		report.T("Reinstall the display driver (%s): remove it completely first, then take the current version from the maker of the card.", orUnknown(j.v.Image)),
		report.T("Check temperature, fans and power supply of the graphics card, and set its clocks to the standard values."),
		report.T("If it happens again with a fresh driver and standard clocks, try the card in another machine: if it fails there too, the card is faulty."),
	}
}

func powerSteps(j *judgement) []report.Text {
	names := thirdPartyNames(j)
	if j.v.Cause == report.CauseDriver {
		names = j.v.Image
	}
	if j.v.Cause == report.CauseDriver && kindOf(j.v.Image) == "storage" {
		return []report.Text{
			report.T("Check the disks and the RAID: the controller's own tool, SMART data, and disk and controller events in the System log before the crash."),
			report.T("Update the storage driver (%s) and the firmware of controller and disks.", describe(j.v.Image)),
			report.T("Until then, let the disks run: in the power plan, turn off hard disk after: never; PCI Express link state power management: off; fast startup off."),
			keepDumpStep(j),
		}
	}
	first := report.T("Update the drivers of network, graphics and USB devices, the chipset drivers and the firmware (BIOS).")
	if names != "" {
		first = report.T("Update the driver of the device that did not answer: %s, and the firmware (BIOS) and chipset drivers.", names)
	}
	return []report.Text{
		first,
		report.T("Until then, stop Windows from turning off the device to save power (Device Manager, Power Management), and turn fast startup off."),
		keepDumpStep(j),
	}
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
