package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// adviceByCategory is what to do about a stop code of which the dump does not
// show the cause, by the category that the catalogue puts it in. Categories that
// are not here (pool, memory, exceptions, locks …) get the general advice.
var adviceByCategory = map[string]func() []report.Text{
	"boot": bootSteps, "registry": registrySteps, "storage": storageSteps, "filesystem": storageSteps,
	"paging": storageSteps, "hardware": machineCheckSteps, "firmware": firmwareSteps, "watchdog": watchdogSteps,
	"video": displaySteps, "usb": usbSteps, "network": networkSteps, "verifier": verifierSteps,
	"hypervisor": hypervisorSteps, "resource": resourceSteps, "livedump": liveSteps,
	"critical-process": func() []report.Text { return criticalProcessSteps(nil) },
}

// categoryAdvice is the advice for a code's category; nil if there is none.
func categoryAdvice(code uint32) []report.Text {
	if c, _ := win.English.Code(code); c.Live {
		return liveSteps()
	}
	if advice := adviceByCategory[category(code)]; advice != nil {
		return advice()
	}
	return nil
}

// category is where the catalogue puts a stop code.
func category(code uint32) string {
	c, _ := win.English.Code(code)
	return c.Category
}

func bootSteps() []report.Text {
	return []report.Text{
		report.T("Undo what changed last: in the recovery environment, uninstall the last update or driver, or use a restore point."),
		report.T("Look at the firmware settings: was the mode of the disk controller (AHCI, RAID, VMD) or the boot order changed? On a virtual machine: the type of disk controller."),
		report.T("Check the system volume: in the recovery environment find the letter that Windows' volume has there (diskpart, list volume), then chkdsk X: /f with that letter, then start-up repair."),
		report.T("Take out hardware that was added lately, and test the memory (MemTest86)."),
	}
}

func registrySteps() []report.Text {
	return []report.Text{
		report.T("Check the health of the system disk (SMART data, disk and Ntfs events in the System log)."),
		report.T("Repair the system: in the recovery environment find the letter that Windows' volume has there (diskpart, list volume), then chkdsk X: /f with that letter, then start-up repair or a restore point."),
	}
}

func firmwareSteps() []report.Text {
	return []report.Text{
		report.T("Update the firmware (BIOS) of the machine and set it to its defaults."),
		report.T("Undo hardware changes and overclocking."),
	}
}

func watchdogSteps() []report.Text {
	return []report.Text{
		report.T("Update the drivers and the firmware of storage (SSD and controller first), network and display, and the firmware (BIOS)."),
		report.T("On a virtual machine: look at the host, which may not have given the processor any time."),
		report.T("Look in the System log at the minutes before the crash for what hung: display, disk, driver and power events."),
	}
}

func displaySteps() []report.Text {
	return []report.Text{
		report.T("Update the display driver; if it was updated lately, go back to the version before."),
		report.T("Check temperature, fans and power supply of the graphics card, and set its clocks to the standard values."),
	}
}

func usbSteps() []report.Text {
	return []report.Text{
		report.T("Unplug USB devices and hubs that are not needed; put the others on another port."),
		report.T("Update the drivers and the firmware of the USB controller, of docks and of devices, and the firmware (BIOS)."),
	}
}

func networkSteps() []report.Text {
	return []report.Text{
		report.T("Update the drivers of the network adapters, and VPN, firewall and anti-virus software, which hook into the network."),
		report.T("Turn off offloads and teaming of the adapter for a trial, if it happens again."),
	}
}

func verifierSteps() []report.Text {
	return []report.Text{
		report.T("Driver verifier is on and stopped Windows at a driver's mistake: verifier /query shows which drivers it watches; update or remove the one that the dump has on its stack."),
		report.T("To run without it: verifier /reset, then restart (from safe mode if Windows does not start)."),
	}
}

func hypervisorSteps() []report.Text {
	return []report.Text{
		report.T("Update the firmware (BIOS), its microcode and Windows on the host; run the processor at its standard speed."),
		hypervisorOffStep(),
	}
}

func hypervisorOffStep() report.Text {
	return report.T("If no virtual machines are needed, turn the hypervisor off for a trial: %s, then restart.", report.Command("bcdedit /set hypervisorlaunchtype off"))
}

func resourceSteps() []report.Text {
	return []report.Text{
		report.T("Find out what uses up memory before it happens again: Task Manager for programs, poolmon (Windows Driver Kit) for drivers."),
		report.T("Give Windows a page file that it manages itself, or more memory."),
	}
}

func liveSteps() []report.Text {
	return []report.Text{
		report.T("Nothing needs to be done at once: Windows noticed a problem, wrote this down and went on."),
		report.T("If it comes often or something does not work, update the driver and the firmware of the device that the code speaks of."),
	}
}
