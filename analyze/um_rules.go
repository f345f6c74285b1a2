package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// requestedRule is for a dump without an exception: the program ran when it was
// taken.
var requestedRule = userRule{happened: happenedRequested, judge: judgeRequestedDump, class: class("BREAKPOINT"), steps: hangSteps}

// lostRule is for a dump whose exception is in a part that is missing: nothing
// is known of it.
var lostRule = userRule{judge: judgeLost}

// userRules by exception code. What each bucket class rests on:
// docs/minidumps.md.
var userRules = map[uint32]userRule{
	statusAccessViolation:    {happened: happenedUserAccess, judge: judgeUserAccess, class: classUserAV},
	statusInPageError:        {happened: happenedInPage, judge: judgeInPage, steps: inPageSteps},
	statusStackOverflow:      {happened: happenedStackOverflow, judge: judgeStackOverflow, class: class("STACK_OVERFLOW"), steps: stackSteps},
	statusStackBufferOverrun: {happened: happenedFastFail, judge: judgeFastFail, class: classFastFail, steps: fastFailSteps},
	statusFailFast:           {happened: happenedText(report.T("it ended itself, because of an error that it would not go on with")), class: class("FAIL_FAST_EXCEPTION")},
	statusHeapCorruption:     {happened: happenedText(report.T("its heap was found damaged")), judge: judgeHeap, steps: heapSteps},
	statusCPP:                {happened: happenedCPP, judge: judgeCPP, raised: true},
	statusCLR:                {happened: happenedText(report.T("an exception of .NET was not handled")), judge: judgeCLR, steps: clrSteps, raised: true},
	statusCLR2:               {happened: happenedText(report.T("an exception of .NET was not handled")), judge: judgeCLR, steps: clrSteps, raised: true},
	statusStowed:             {happened: happenedText(report.T("an error in a Windows Runtime call was not handled")), judge: judgeStowed, raised: true},
	statusBreakpoint:         {happened: happenedText(report.T("it ran into a breakpoint in its code, with no debugger there")), judge: judgeBreakpoint, class: class("BREAKPOINT")},
	statusWX86Breakpoint:     {happened: happenedText(report.T("it ran into a breakpoint in its code, with no debugger there")), judge: judgeBreakpoint},
	statusIllegalInstruction: {happened: happenedText(report.T("it ran into bytes that are no instruction of this processor")), judge: judgeIllegal, class: class("ILLEGAL_INSTRUCTION")},
	statusPrivileged:         {happened: happenedText(report.T("it ran into an instruction that only Windows itself may use")), judge: judgeIllegal},
	statusDivideByZero:       {happened: happenedText(report.T("it divided a whole number by zero")), judge: (*judgement).judgeInstruction, class: class("INTEGER_DIVIDE_BY_ZERO")},
	statusIntegerOverflow:    {happened: happenedText(report.T("a division came to more than its result can hold"))},
	statusGuardPage:          {happened: happenedText(report.T("it touched a guard page"))},
	statusMisaligned:         {happened: happenedText(report.T("it touched an address that is not aligned"))},
	statusInvalidParameter:   {happened: happenedAssertion, judge: judgeAssertion},
	statusCRTParameter:       {happened: happenedAssertion, judge: judgeAssertion},
	statusAssertion:          {happened: happenedText(report.T("a check in its own code failed")), judge: judgeAssertion},
	statusFatalAppExit:       {happened: happenedText(report.T("it ended itself (abort)")), judge: judgeAssertion},
	statusNoncontinuable:     {happened: happenedText(report.T("an exception came from where the program cannot go on"))},
	statusInvalidHandle:      {happened: happenedText(report.T("it used a handle that is not valid"))},
	statusUserCallback:       {happened: happenedText(report.T("an exception in one of its window procedures was not handled"))},
	statusPossibleDeadlock:   {happened: happenedText(report.T("it waited for a lock longer than allowed"))},
	statusNoMemory:           {happened: happenedText(report.T("it ran out of memory")), judge: judgeNoMemory, steps: memoryUseSteps},
	statusOutOfMemory:        {happened: happenedText(report.T("it ran out of memory")), judge: judgeNoMemory, steps: memoryUseSteps},
	statusNoModule:           {happened: happenedText(report.T("a library that it needs was not found")), steps: missingSteps},
	statusNoProcedure:        {happened: happenedText(report.T("a library that it needs is of another version: a function is not in it")), steps: missingSteps},
	statusHang:               {happened: happenedText(report.T("it no longer answered, and Windows took this dump")), judge: judgeHang, steps: hangSteps},
	statusSimulated:          {happened: happenedText(report.T("the program asked for it itself")), judge: judgeSimulated, steps: hangSteps},
}

func userRuleFor(code uint32) userRule {
	if r, ok := userRules[code]; ok {
		return r
	}
	r := userRule{}
	if win.StatusName(code) == "" { // a program's own code: 1 published log
		r.class = class("APPLICATION_FAULT")
	}
	return r
}

func happenedText(t report.Text) func(*Facts) report.Text {
	return func(*Facts) report.Text { return t }
}

func happenedUserAccess(f *Facts) report.Text {
	if f.User.At.Kind == PlaceUnloaded {
		return report.T("it ran into the place of a library that had been unloaded")
	}
	return happenedException(f)
}

// judgeUserAccess says what an access violation touched.
func judgeUserAccess(j *judgement) {
	x, u := j.f.Exception, j.f.User
	source := report.T("exception record")
	if u.At.Kind == PlaceUnloaded {
		j.decide(report.CauseProgram, report.High)
		j.v.Image, j.v.Module = u.At.Image, u.At.Module
		j.bucket = noBucket
	}
	if x.Target == nil || x.Access == "" {
		return
	}
	if wrong := *x.Target == notTold && archOf(j.f).PointerSize() == 8; wrong && x.Access == "read" && u.Bad != nil && u.Bad.Write {
		j.evidence(report.Recorded, source, readForWrite())
	} else if wrong {
		j.evidence(report.Recorded, source, report.T("It was an attempt to %s memory, but the processor did not tell the address (all ones): it does so when a pointer is not canonical, so no pointer at all.", accessWord(x.Access)))
	} else {
		j.evidence(report.Recorded, source, report.T("It was an attempt to %s 0x%x.", accessWord(x.Access), *x.Target))
		if *x.Target != x.Address || u.At.Kind != PlaceUnloaded {
			j.describeUserTarget(*x.Target)
		}
	}
	j.judgeOperand()
	j.judgeFlips()
}

// describeUserTarget says what kind of address was touched.
func (j *judgement) describeUserTarget(addr uint64) {
	t, u, source := j.f.User.Target, j.f.User, report.T("exception record")
	if u.StackRecorded && addr < u.Stack[0] && u.Stack[0]-addr <= stackGap && u.SP < u.Stack[0]+stackGap {
		j.evidence(report.Derived, report.T("stack"), report.T("The address lies just below the stack of the thread: the stack was used up."))
		return
	}
	switch t.Kind {
	case PlaceNull, PlaceUnloaded, PlaceOneBit, PlaceNonCanonical:
		j.describeTarget(addr, t.Place, source)
	case PlaceSystem:
		j.evidence(report.Derived, source, report.T("The address belongs to the kernel, where no program may read or write: it is no pointer of this program."))
		return
	case PlaceModule:
		j.evidence(report.Derived, source, report.T("The address lies in %s.", t.at()))
	case PlaceStack:
		j.evidence(report.Derived, source, report.T("The address lies on the stack of the current thread."))
	}
	if text := t.memory(j.f.Exception.Access); !text.IsZero() {
		j.evidence(report.Recorded, report.T("list of memory regions"), text)
	}
	if printableWord(addr) {
		j.evidence(report.Guessed, source, report.T("The address reads as text (%q): a pointer was overwritten by a string.", asText(addr)))
	}
}

// stackGap is how far below a stack an access still is one of the stack: a page
// of guard and a large frame.
const stackGap = 0x10000

// memory says what the list of regions knows of the place.
func (t UserTarget) memory(access string) report.Text {
	const free, reserved = 0x10000, 0x2000
	switch {
	case !t.Known:
		return report.Text{}
	case t.State == free:
		return report.T("There is no memory at this address: it was freed, or never was any.")
	case t.State == reserved:
		return report.T("The address is reserved, but no memory stands behind it.")
	case t.Protect&0x100 != 0:
		return report.T("The address lies in a guard page.")
	case t.Protect&1 != 0:
		return report.T("The memory there must not be touched (PAGE_NOACCESS).")
	case access == "write" && t.Protect&0xcc == 0:
		return report.T("The memory there is read-only (protection 0x%x).", t.Protect)
	case access == "execute" && t.Protect&0xf0 == 0:
		return report.T("The memory there is data (protection 0x%x): no code may run in it.", t.Protect)
	}
	return report.Text{}
}

// asText is an address as the characters that it is made of, the lowest byte
// first.
func asText(addr uint64) string {
	var b []byte
	for ; addr != 0; addr >>= 8 {
		b = append(b, byte(addr))
	}
	return string(b)
}

// printableWord reports an address of four or more bytes that all are letters,
// digits or punctuation.
func printableWord(addr uint64) bool {
	s := asText(addr)
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return len(s) >= 4
}

// judgeFlips says where one wrong bit could have led away from.
func (j *judgement) judgeFlips() {
	if flips := j.f.User.Flips; len(flips) == 1 {
		j.evidence(report.Guessed, report.T("captured memory"), report.T("With bit %d the other way the address would be 0x%x, where the program has memory: faulty memory is possible, but so is chance.", flips[0].Bit, flips[0].Address))
	}
}
