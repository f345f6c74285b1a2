package analyze

import (
	"fmt"
	"strings"

	"bugcheck/report"
	"bugcheck/win"
)

// DRIVER_VERIFIER_DETECTED_VIOLATION (0xC4): driver verifier stopped Windows on
// purpose, at the moment a driver broke a rule. P1 is the rule ("Bug Check 0xC4",
// https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0xc4--driver-verifier-detected-violation).

// unloadedWithPool is the rule for a driver that leaves pool behind; P2 points
// to its name, P3 is reserved, P4 counts the blocks.
const unloadedWithPool = 0x62

// Rules that no driver's call on the stack breaks.
var (
	// lateRules are found by a timer or at shutdown: the stack is the verifier's.
	lateRules = map[uint64]bool{
		0x115: true, 0x135: true, 0x92003: true, 0x9200d: true, 0x9200f: true, 0x92010: true, 0x92011: true, 0x92012: true,
		0x94007: true, 0x94008: true, 0x94009: true, 0x9400b: true, 0x9400c: true,
	}
	sectorRules  = map[uint64]bool{0xa0: true, 0xa1: true, 0xa2: true} // P4 the sector
	overrunRules = map[uint64]bool{0x51: true, 0x52: true, 0x53: true, 0x54: true, 0x59: true}
	lockRules    = map[uint64]bool{0x1000: true, 0x1001: true}
)

const firmwareWrote = 0xb7 // P2 pages damaged, P3 first, P4 last

func judgeC4(j *judgement) {
	p := j.f.Parameters
	known := j.says(1)
	switch {
	case lateRules[p[0]]:
		j.limit(report.Low)
		j.evidence(report.Derived, parameter(1), report.T("Driver verifier found that something took too long: the stack is that of the check, not of the driver that is late."))
	case sectorRules[p[0]]:
		j.decide(report.CauseStorage, report.Medium)
		j.evidence(report.Derived, parameter(4), report.T("What came back of sector %d is not what had been written: disk, cable, controller or memory changed it, no driver broke a rule.", p[3]))
	case p[0] == firmwareWrote:
		j.decide(report.CauseFirmware, report.Medium)
		j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("%d physical pages were changed while the machine slept, from 0x%x to 0x%x: the firmware (BIOS) writes to memory that is not its own.", p[1], p[2], p[3]))
	case known:
		j.evidence(report.Derived, report.T("stop code"), report.T("Driver verifier stops Windows while the rule is being broken: who is on the stack is who did it."))
	default:
		j.evidence(report.Recorded, parameter(1), report.T("Driver verifier caught a driver breaking rule 0x%x while it did it: who is on the stack is who did it.", p[0]))
	}
	j.details4(p)
}

// details4 adds what the other parameters tell.
func (j *judgement) details4(p [4]uint64) {
	switch {
	case p[0] == unloadedWithPool:
		j.evidence(report.Recorded, parameter(4), report.T("The driver was unloaded and left %d blocks of pool behind.", p[3]))
	case overrunRules[p[0]]:
		j.evidence(report.Derived, parameter(1), report.T("The damage was found when the block was freed: whoever had it wrote past its end before that."))
	case lockRules[p[0]]:
		j.evidence(report.Derived, parameter(1), report.T("A debugger shows the locks and who takes them in which order: !deadlock. Several drivers may have to be asked, for each order may be right by itself."))
	}
}

// verifierRule is the name of the rule that parameter 1 stands for; "" if the
// catalogue has none.
func verifierRule(f *Facts) string {
	v, ok := win.English.Value(f.Code, 1, f.Parameters[0])
	name, _, hasName := strings.Cut(strings.TrimPrefix(v.Meaning, "Rule "), ":")
	if !ok || !hasName || !strings.HasPrefix(v.Meaning, "Rule ") {
		return ""
	}
	return name
}

// classC4: verifier is on by the nature of the code (3 published cases).
func classC4(f *Facts) string { return fmt.Sprintf("0xc4_%x_VRF", f.Parameters[0]) }

func happenedC4(f *Facts) report.Text {
	switch rule := verifierRule(f); {
	case sectorRules[f.Parameters[0]]:
		return report.T("a sector came back from the disk changed")
	case f.Parameters[0] == firmwareWrote:
		return report.T("the firmware wrote to memory of Windows while the machine slept")
	case rule != "":
		return report.T("it broke the rule %s of driver verifier (0x%x)", rule, f.Parameters[0])
	}
	return report.T("it broke a rule of driver verifier (0x%x)", f.Parameters[0])
}
