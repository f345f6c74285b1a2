package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// The firmware's description of the machine (ACPI): ACPI_BIOS_ERROR (0xA5, P1 the kind,
// each with a meaning in the catalogue), ACPI_BIOS_FATAL_ERROR (0xE0: the BIOS itself asks
// for the stop), ACPI_FIRMWARE_WATCHDOG_TIMEOUT (0x1D0). "Bug Check 0xA5" in Microsoft's
// documentation: the BIOS does not keep to the ACPI specification.

// acpiNotEntered: ACPI mode could not be entered; P2 says at which step. At step 2
// Windows had no memory.
const (
	acpiNotEntered = 0x11
	acpiNoMemory   = 2
)

func judgeA5(j *judgement) {
	p := j.f.Parameters
	j.tellValue(1)
	if p[0] == acpiNotEntered {
		j.tellValue(2)
		if p[1] == acpiNoMemory {
			return
		}
	}
	if _, ok := win.English.Value(j.f.Code, 1, p[0]); !ok {
		j.decide(report.CauseFirmware, report.Low)
		return
	}
	j.decide(report.CauseFirmware, report.Medium)
}

func judgeFirmware(j *judgement) { j.decide(report.CauseFirmware, report.Medium) }
