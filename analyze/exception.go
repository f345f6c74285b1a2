package analyze

import (
	"fmt"
	"slices"

	"bugcheck/report"
	"bugcheck/win"
)

// What the stop codes for unhandled exceptions share (0x1E, 0x3B, 0x7E, 0x8E).

const (
	statusAccessViolation = 0xc0000005
	statusBreakpoint      = 0x80000003
	statusInPageError     = 0xc0000006
)

// exceptionFrom fills in what the parameters say where no record was captured:
// the status and the instruction.
func (c *collection) exceptionFrom(status uint64, address uint64) {
	if c.facts.Exception == nil {
		c.facts.Exception = &Exception{Code: uint32(status), Address: address}
	}
}

func judgeException(j *judgement) {
	x := j.f.Exception
	if x == nil {
		return
	}
	where, source := j.exceptionPlace(), j.exceptionSource()
	switch where.Kind {
	case PlaceModule:
		j.placed = true
		j.evidence(report.Recorded, source, report.T("Exception %s came from the instruction at 0x%x, which lies in %s.", win.Status(x.Code), x.Address, where.at()))
	case PlaceUnloaded:
		j.evidence(report.Recorded, source, report.T("Exception %s came from 0x%x, where %s was before it was unloaded: code ran in a driver that was gone.", win.Status(x.Code), x.Address, where.Image))
		j.convict(where.Image, where.Module, "", report.High)
	default:
		j.evidence(report.Recorded, source, report.T("Exception %s came from 0x%x, which lies in no loaded driver.", win.Status(x.Code), x.Address))
	}
	switch {
	case x.Target == nil || x.Access == "":
	case *x.Target == notTold && refused(j.f):
		j.evidence(report.Recorded, report.T("exception record"), report.T("It was an attempt to %s memory, but the processor did not tell the address (all ones).", accessWord(x.Access)))
	case *x.Target == notTold && j.writes() && x.Access == "read":
		j.evidence(report.Recorded, report.T("exception record"), readForWrite())
	case *x.Target == notTold:
		j.evidence(report.Recorded, report.T("exception record"), report.T("It was an attempt to %s memory, but the processor did not tell the address (all ones): it does so when a pointer is not canonical, so no pointer at all.", accessWord(x.Access)))
	case x.Access == "execute" && *x.Target < nullPages:
		j.evidence(report.Derived, report.T("exception record"), report.T("The processor was to run that address itself: a call went through a null pointer, or a return met a stack that had been overwritten."))
	default:
		j.evidence(report.Recorded, report.T("exception record"), report.T("It was an attempt to %s 0x%x.", accessWord(x.Access), *x.Target))
		j.describeAccess(*x.Target)
	}
	j.judgeExceptionKind(x)
}

// writes reports that the instruction that failed writes to memory and does not read it.
func (j *judgement) writes() bool {
	i := j.f.Instruction
	return i != nil && len(i.Memory) == 1 && i.Memory[0].Write && !i.Memory[0].Read
}

func readForWrite() report.Text {
	return report.T("A read without an address (all ones) was recorded, as happens with a pointer that is not canonical, so no pointer at all; the instruction itself writes.")
}

// exceptionSource says where the exception's address stands: where the registers are not
// those of the fault, in the parameters.
func (j *judgement) exceptionSource() report.Text {
	if i := slices.Index(j.f.Parameters[:], j.f.Exception.Address); i >= 0 && !j.f.Context.Fault {
		return parameter(i + 1)
	}
	return j.contextSource()
}

// exceptionPlace is where the exception's instruction lies: the parameter that
// holds it has been looked up.
func (j *judgement) exceptionPlace() Place {
	for i, p := range j.f.Parameters {
		if p == j.f.Exception.Address {
			return j.f.Places[i]
		}
	}
	if len(j.f.Frames) > 0 && j.f.Context.Fault && j.f.Frames[0].Module != "" {
		f := j.f.Frames[0]
		return Place{Kind: PlaceModule, Image: f.Image, Module: f.Module, Symbol: f.Symbol, Offset: f.Offset}
	}
	return Place{}
}

// notTold stands as the address of a general protection fault, where the
// processor does not tell it.
const notTold = ^uint64(0)

// describeAccess says what kind of address an access violation touched.
func (j *judgement) describeAccess(target uint64) {
	arch := archOf(j.f)
	j.describeTarget(target, Place{Kind: classify(target, arch), Bit: canonicalBit(target, arch)}, report.T("exception record"))
}

// classException is the class for 0x3B and 0x7E: AV for access violations, else
// with the status, in upper case (14 published cases; lower case is that of older
// debuggers).
func classException(f *Facts) string {
	if f.Exception != nil && f.Exception.Code == statusAccessViolation {
		return verified(f, "AV")
	}
	return verified(f, fmt.Sprintf("0x%X_%X", f.Code, status(f)))
}

func status(f *Facts) uint32 {
	if f.Exception != nil {
		return f.Exception.Code
	}
	return uint32(f.Parameters[0])
}

func happenedException(f *Facts) report.Text {
	if f.Exception == nil {
		return report.T("an exception in the kernel was not handled")
	}
	x := f.Exception
	switch {
	case refused(f):
		return report.T("an access to memory was refused, although the address can exist")
	case x.Code == statusAccessViolation && x.Access != "" && x.Target != nil && *x.Target == notTold:
		return report.T("it used an invalid pointer")
	case x.Code == statusAccessViolation && x.Access == "execute" && x.Target != nil && *x.Target < nullPages:
		return report.T("it ran into address zero, as after a call through a null pointer or a return over a destroyed stack")
	case x.Code == statusAccessViolation && x.Access != "" && x.Target != nil && *x.Target < nullPages:
		return report.T("it used a null pointer")
	case x.Code == statusAccessViolation && x.Access == "write":
		return report.T("it wrote to an address where it must not")
	case x.Code == statusAccessViolation && x.Access == "execute":
		return report.T("it ran into an address where there is no code")
	case x.Code == statusAccessViolation && x.Access == "read":
		return report.T("it read from an address where it must not")
	case x.Code == statusAccessViolation:
		return report.T("it touched an address where it must not")
	case happenedByKind[x.Code] != nil:
		return happenedByKind[x.Code]()
	}
	return report.T("it raised exception %s, which nobody handled", win.Status(x.Code))
}
