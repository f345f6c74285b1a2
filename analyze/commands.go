package analyze

import (
	"slices"
	"strings"

	"bugcheck/report"
)

// Commands that more than one step gives.
var (
	keepDumpsCommand   = report.Command(`reg add HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v CrashDumpEnabled /t REG_DWORD /d 7 /f`)
	repairImageCommand = report.Command("DISM /Online /Cleanup-Image /RestoreHealth")
	repairFilesCommand = report.Command("sfc /scannow")
	linkPowerCommand   = report.Command("powercfg /setacvalueindex scheme_current sub_pciexpress aspm 0")
	activateCommand    = report.Command("powercfg /setactive scheme_current")
)

// verifierCommand has driver verifier watch images, which are separated by commas, as for
// people.
func verifierCommand(checks, images string) report.Text {
	names := strings.Split(images, ", ")
	for i, name := range names {
		names[i] = typeable(name, "DRIVER.sys")
	}
	return report.Command("verifier %s /driver %s", checks, strings.Join(slices.Compact(names), " "))
}

// typeable is a file's name as it may stand in a command; a dump's names can hold
// anything, and one that is more than letters, digits and ._-+ gives way to instead.
func typeable(name, instead string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("._-+", r)
	}
	if name == "" || strings.HasPrefix(name, "-") || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return instead
	}
	return name
}

// trackCommand has the memory manager keep track of something.
func trackCommand(value string) report.Text {
	return report.Command(`reg add "HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management" /v %s /t REG_DWORD /d 1 /f`, value)
}
