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
	case j.v.Cause == report.CauseMemoryCorruption && isPoolCode[j.f.Code]:
		return poolSteps(j)
	case j.v.Cause == report.CauseStorage && startsFrom[j.f.Code]:
		return bootSteps()
	case j.v.Cause == report.CauseStorage:
		steps = storageSteps()
	case j.v.Cause == report.CauseHardware && hardwareSteps[j.f.Code] != nil:
		steps = hardwareSteps[j.f.Code](j.f)
	case j.v.Cause == report.CauseHardware:
		steps = memorySteps(j.f.Workstation)
	case j.v.Cause == report.CauseFirmware:
		steps = firmwareSteps()
	case stepsByCode[j.f.Code] != nil:
		steps = stepsByCode[j.f.Code](j)
	case j.v.Cause == report.CauseDriver:
		steps = driverSteps(j)
	default:
		steps = unknownSteps(j)
	}
	if j.whileStarting() {
		steps = append([]report.Text{report.T("It crashed while it started. If Windows does not start any more: from the recovery environment, uninstall the last update or driver, or start in safe mode.")}, steps...)
	}
	return steps[:min(len(steps), maxSteps)]
}

// maxSteps is what an operator reads before acting.
const maxSteps = 4

// earlyCrash is an uptime within which Windows may still be starting.
const earlyCrash = time.Minute

// starters are the processes that run while Windows starts, before anybody logs on.
var starters = map[string]bool{"": true, "system": true, "idle": true, "registry": true, "smss.exe": true, "csrss.exe": true, "wininit.exe": true, "services.exe": true}

// whileStarting reports a crash that may come again at every start, by other than the
// machine's parts.
func (j *judgement) whileStarting() bool {
	switch j.v.Cause {
	case report.CauseHardware, report.CauseStorage, report.CauseFirmware:
		return false
	}
	return j.f.Uptime > 0 && j.f.Uptime < earlyCrash && starters[strings.ToLower(j.f.Process)]
}

func anyMachineCheck(*Facts) []report.Text { return machineCheckSteps() }

// hardwareSteps are what to do about the hardware that a stop code is about, where that
// is not the memory.
var hardwareSteps = map[uint32]func(*Facts) []report.Text{
	0x124: steps124, 0x9c: anyMachineCheck, 0x80: anyMachineCheck, 0x111: anyMachineCheck, 0x122: anyMachineCheck,
	0xfe: func(*Facts) []report.Text { return usbSteps() }, 0x144: func(*Facts) []report.Text { return usbSteps() },
}

// stepsByCode are the stop codes that call for something of their own.
var stepsByCode = map[uint32]func(*judgement) []report.Text{
	0x116: graphicsSteps, 0x117: graphicsSteps, 0x141: graphicsSteps, 0xea: graphicsSteps,
	0x10e: graphicsSteps, 0x113: graphicsSteps, 0x119: graphicsSteps, 0x193: graphicsSteps, 0x1b8: graphicsSteps, 0x19c: graphicsSteps,
	0x9f: powerSteps, 0xef: criticalProcessSteps, 0xf4: criticalProcessSteps, 0x101: processorSteps, 0x1ca: processorSteps,
	0x10d: frameworkSteps, 0x133: longDPCSteps, 0x14f: lightSleepSteps, 0x15c: lightSleepSteps, 0x15f: lightSleepSteps, 0xa0: powerSteps, 0x1d5: lateDriverSteps, 0xca: lateDriverSteps,
	0x1cc: lockSteps, 0x1a1: lockSteps,
	0xc1: caughtSteps, 0xc4: caughtSteps, 0xc6: caughtSteps, 0xc9: caughtSteps, 0xcc: caughtSteps, 0xcd: caughtSteps,
	0xd5: caughtSteps, 0xd6: caughtSteps, 0xf1: caughtSteps, 0xf6: caughtSteps, 0xe6: dmaSteps,
	0x1a: damagedSteps, 0x4e: damagedSteps, 0xdb: damagedSteps, 0x127: damagedSteps, 0x1c7: damagedSteps,
	0x109: patchedSteps, 0x3f: mappingSteps, 0xd8: mappingSteps, 0x34: cacheSteps,
	0x18: referenceSteps, 0x35: requestSteps, 0x44: requestSteps, 0x48: requestSteps,
	0x76: lockedPagesSteps, 0xcb: lockedPagesSteps,
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
	return report.T("If it happens again, let driver verifier watch: %s, then restart. The machine gets slower and crashes at the next mistake, so not where it must stay up; if it no longer starts: safe mode, verifier /reset.", verifierCommand("/standard", images))
}

// ioVerifierStep is verifierStep with the checks of the I/O manager alone.
func ioVerifierStep(images string) report.Text {
	return report.T("If it happens again, let driver verifier watch how requests are handled: %s, then restart. It stops Windows in the driver that makes the mistake; if Windows no longer starts: safe mode, verifier /reset.", verifierCommand("/flags 0x10", images))
}

func keepDumpStep(j *judgement) report.Text {
	if j.f.Whole {
		return report.T("Keep this dump: the maker of a driver, or whoever debugs it, needs the memory that it holds.")
	}
	return report.T("Keep this dump, and C:\\Windows\\MEMORY.DMP if there is one: a debugger sees more in it than in a small dump. If there is none, have Windows write it next time: %s, then restart.", keepDumpsCommand)
}

func memoryTestStep() report.Text {
	return report.T("Test the memory when the machine can be down for a night: MemTest86, or mdsched.exe (F1, extended, pass count 0). Single wrong bits look like a bad driver.")
}

func isMemoryTest(t report.Text) bool { return t.Format == memoryTestStep().Format }

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
	if third := thirdPartyNames(j); crashTools[strings.ToLower(third)] {
		return append(steps, updateStep(third), keepDumpStep(j))
	} else if third != "" {
		steps = append(steps, j.updateNames(third))
		if third = j.unwatched(third); third != "" {
			steps = append(steps, verifierStep(third))
		}
	}
	if advice := categoryAdvice(j.f.Code); advice != nil {
		return append(append(steps, advice...), keepDumpStep(j))
	}
	if len(steps) == 0 {
		steps = append(steps, undoStep())
	}
	if kindOf(j.near) == "virtualization" {
		return append(steps, hypervisorOffStep(), keepDumpStep(j))
	}
	if !orderly[category(j.f.Code)] {
		steps = append(steps, memoryTestStep())
	}
	return append(steps, keepDumpStep(j))
}

// orderly are the categories of stop codes by which Windows tells of a wrong call, a count
// or a wait that does not fit: of a driver's order, not of what memory holds.
var orderly = map[string]bool{"locking": true, "object": true, "irp": true, "driver-framework": true, "pnp": true, "power": true, "manual": true}

// updateNames is the step about suspects, images separated by commas.
func (j *judgement) updateNames(names string) report.Text {
	if names == strings.Join(j.gone, ", ") {
		return report.T("Update the drivers that had been unloaded before the crash: %s.", names)
	}
	return report.T("Update the drivers from outside Windows that were at work: %s.", names)
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

// memorySteps are about memory modules. Only servers have a log of them outside Windows;
// workstations are the ones that run beyond standard speeds.
func memorySteps(workstation bool) []report.Text {
	speeds := report.T("Run memory and processor at their standard speeds: overclocking, XMP and EXPO off in the firmware settings.")
	test := report.T("Test the memory when the machine can be down for a night: MemTest86, or mdsched.exe (F1, extended, pass count 0); then module by module. Replace the module that fails.")
	firmware := report.T("Update the firmware (BIOS). If the memory passes and it happens again, suspect processor, mainboard and power supply.")
	if workstation {
		events := report.T("Look at the WHEA-Logger events of the System log: they may name the memory module.")
		return []report.Text{speeds, test, events, firmware}
	}
	return []report.Text{moduleLogStep(), speeds, test, firmware}
}

func moduleLogStep() report.Text {
	return report.T("On a server, look at the log of its management controller (iLO, iDRAC, BMC) and at the WHEA-Logger events: they may name the memory module.")
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
	isPoolCode = map[uint32]bool{0x19: true, 0xc2: true, 0xc5: true, 0xde: true, 0x13a: true}
	startsFrom = map[uint32]bool{0x7b: true, 0xed: true, 0xc0000221: true}
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
		steps = append(steps, j.updateNames(names))
	default:
		steps = append(steps, undoStep())
	}
	if !j.writtenText() {
		steps = append(steps, memoryTestStep())
	}
	return append(steps, specialPoolStep(names), keepDumpStep(j))
}

// writtenText reports that what damaged the memory is readable text: programs write text,
// faulty memory does not.
func (j *judgement) writtenText() bool {
	b := j.f.Block
	return b != nil && (b.Text != "" || b.Before != nil && b.Before.Text != "" || b.After != nil && b.After.Text != "")
}

func undoStep() report.Text {
	return report.T("Install pending Windows, driver and firmware updates; if something was installed or changed just before, undo that first.")
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
		return report.T("If it happens again, let driver verifier with special pool catch the writer: run verifier.exe, create standard settings, select the drivers that are not from Microsoft, restart. It stops Windows at the next write past a block, in the driver that does it, so not where it must stay up; if Windows no longer starts: safe mode, verifier /reset.")
	}
	return report.T("If it happens again, let special pool catch the writer: %s, then restart. It stops Windows at the next write past a block, in the driver that does it (other mistakes too: verifier /standard instead of /flags 0x1), so not where it must stay up; if Windows no longer starts: safe mode, verifier /reset.", verifierCommand("/flags 0x1", images))
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
	first := report.T("Update the display driver; if it was updated lately, go back to the version before.")
	if name := displayDriver(j); name != "" {
		first = report.T("Reinstall the display driver (%s): remove it completely first, then take the current version from the maker of the card.", name)
	}
	return []report.Text{
		first,
		report.T("Check temperature, fans and power supply of the graphics card, and set its clocks to the standard values."),
		report.T("If it happens again with a fresh driver and standard clocks, try the card in another machine: if it fails there too, the card is faulty."),
	}
}

// displayDriver is the display driver that the verdict speaks of; "" if it names none.
func displayDriver(j *judgement) string {
	if thirdParty(j.v.Image) {
		return j.v.Image
	}
	for _, a := range j.v.Alternatives {
		if kindOf(a.Image) == "display" {
			return a.Image
		}
	}
	return ""
}

// frameworkSteps: the framework keeps a log of what its drivers did.
func frameworkSteps(j *judgement) []report.Text {
	log := report.T("Whoever debugs the driver sees in the framework's log what it did last: in the debugger !wdfkd.wdfcrashdump, then !wdfkd.wdflogdump with the driver's name.")
	if thirdParty(j.v.Image) {
		log = report.T("Whoever debugs the driver sees in the framework's log what it did last: in the debugger !wdfkd.wdfcrashdump %s, then !wdfkd.wdflogdump %s.", j.v.Module, j.v.Module)
	}
	steps := driverSteps(j)
	if !thirdParty(j.v.Image) {
		steps = unknownSteps(j)
	}
	return append(steps[:min(len(steps), maxSteps-1)], log)
}

// longDPCSteps: what keeps the processor is best seen in a trace.
func longDPCSteps(j *judgement) []report.Text {
	trace := report.T("If it happens again: record what keeps the processors, %s, use the machine for some minutes until it stutters, %s; Windows Performance Analyzer shows the time in DPCs and ISRs by driver.", report.Command("wpr -start CPU -filemode"), report.Command(`wpr -stop C:\dpc.etl`))
	switch {
	case crashTools[strings.ToLower(j.v.Image)]:
		return []report.Text{updateStep(j.v.Image), keepDumpStep(j)}
	case thirdParty(j.v.Image): // driver verifier does not measure time
		return []report.Text{updateStep(j.v.Image), trace, keepDumpStep(j)}
	}
	return append(watchdogSteps()[:2], trace)
}

// lightSleepSteps are about a machine that sleeps lightly (modern standby): Windows itself
// keeps account of what keeps it awake.
func lightSleepSteps(j *judgement) []report.Text {
	return append([]report.Text{report.T("See what kept the machine awake or did not wake up: %s, and %s.", report.Command(`powercfg /sleepstudy /output C:\sleepstudy.html`), report.Command(`powercfg /systempowerreport /output C:\power.html`))}, powerSteps(j)...)
}

// lateDriverSteps are about the driver of a device, and the device itself.
func lateDriverSteps(j *judgement) []report.Text {
	if !thirdParty(j.v.Image) {
		return unknownSteps(j)
	}
	return []report.Text{
		updateStep(j.v.Image),
		report.T("Look for the device itself: take it out or turn it off in Device Manager for a trial, and look for its events in the System log (Kernel-PnP, UserPnp)."),
		keepDumpStep(j),
	}
}

// lockSteps are about whoever has what others wait for.
func lockSteps(j *judgement) []report.Text {
	steps := liveSteps()
	if thirdParty(j.v.Image) {
		steps = append([]report.Text{updateStep(j.v.Image)}, steps...)
	}
	return append(steps, report.T("If it comes again while the machine does not answer, have Windows 11 write a dump of the kernel: Task Manager, Details, right click on System, Create live kernel memory dump file; in a debugger !locks shows who has what."))
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

func criticalProcessSteps(j *judgement) []report.Text {
	look := report.T("Look in the Application log for an error report of the process that ended, and whether security software or a script ended it.")
	steps := []report.Text{
		report.T("Check the health of the system disk (SMART data, disk and Ntfs events in the System log)."),
		report.T("Repair the system files: %s, then %s. If Windows does not start, in the recovery environment, X: being the Windows volume there: %s, then %s.", repairImageCommand, repairFilesCommand, report.Command(`DISM /Image:X:\ /Cleanup-Image /RevertPendingActions`), report.Command(`sfc /scannow /offbootdir=X:\ /offwindir=X:\Windows`)),
	}
	if j != nil && j.endedBy() != "" {
		look = report.T("Find out why %s ended it: look in the System, Application and Security logs at the minutes before the crash for services that were stopped, updates, scripts and security software.", j.endedBy())
		return append([]report.Text{look}, steps...)
	}
	return append(steps, look)
}

// processorSteps begin with the driver that the processor was last seen in: to replace it
// is quick to try, and hardware is suspected when that did not help.
func processorSteps(j *judgement) []report.Text {
	var steps []report.Text
	if names := thirdPartyNames(j); names != "" {
		steps = append(steps, report.T("Update the driver that the processor was in: %s; if it was updated lately, go back to the version before.", names))
	}
	return append(steps,
		report.T("Run the processor at its standard speed and voltage, and update the firmware (BIOS) and its microcode."),
		report.T("On a virtual machine: look at the host, which may not have given the processor any time."),
		report.T("If it happens again on a physical machine, have the processor and mainboard tested."))
}
