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
	for _, b := range broken {
		if b.first <= f.Parameters[0] && f.Parameters[0] <= b.last {
			return report.T("%s (rule 0x%x of driver verifier)", b.what, f.Parameters[0])
		}
	}
	return report.T("it broke a rule of driver verifier (0x%x)", f.Parameters[0])
}

// broken says what the rules without a name have in common, by their numbers; the
// evidence has each in full.
var broken = []struct {
	first, last uint64
	what        report.Text
}{
	{0x00, 0x03, report.T("it asked for memory in a way that is not allowed")},
	{0x10, 0x10, report.T("it gave back memory that it had not been given")},
	{0x11, 0x12, report.T("it gave back memory at an interrupt level (IRQL) that is too high for that")},
	{0x13, 0x13, report.T("it gave back the same memory twice")},
	{0x15, 0x15, freedInUse},
	{0x16, 0x16, report.T("it gave back memory that it had not been given")},
	{0x17, 0x17, freedInUse},
	{0x30, 0x31, report.T("it changed the interrupt level (IRQL) in a way that is not allowed")},
	{0x32, 0x3a, wrongLock},
	{0x3b, 0x3b, report.T("it waited where a thread must not wait")},
	{0x3c, 0x3c, report.T("it used a handle that is not valid there")},
	{0x3d, 0x3e, wrongLock},
	{0x3f, 0x3f, report.T("it let go of an object more often than it had taken it")},
	{0x40, 0x42, wrongLock},
	{0x51, 0x59, report.T("it wrote past the end of its memory")},
	{0x60, 0x60, leftMemory},
	{0x62, 0x62, leftMemory},
	{0x6f, 0x7f, wrongPages},
	{0x80, 0x80, report.T("it called a function of Windows at an interrupt level (IRQL) that is too high for it")},
	{0x81, 0x89, wrongPages},
	{0xb0, 0xb6, wrongPages},
	{0xb8, 0xb9, wrongPages},
	{0xc0, 0xc6, report.T("it did not put interrupts or APCs (calls that Windows queues to a thread) back as they had been")},
	{0xcc, 0xcc, freedInUse},
	{0xd2, 0xd2, freedInUse},
	{0xe0, 0xe3, report.T("it handed Windows an address of a program where only the kernel's may be used")},
	{0xf5, 0xf7, report.T("it used a handle that is not valid there")},
	{0x120, 0x123, report.T("it waited where a thread must not wait")},
	{0x1000, 0x1001, report.T("it took locks in an order in which threads can block each other for ever")},
	{0x1002, 0x1009, wrongLock},
	{0x2000, 0x2005, report.T("it uses memory in a way that memory integrity (HVCI) does not allow")},
}

var (
	freedInUse = report.T("it gave back memory that held something still in use")
	wrongLock  = report.T("it took or released a lock in a way that is not allowed")
	leftMemory = report.T("it was unloaded and left memory behind")
	wrongPages = report.T("it locked, mapped or released pages of memory in a way that is not allowed")
)
