package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

func happenedRequested(f *Facts) report.Text {
	if f.User.Requester {
		return report.T("the program asked for it itself")
	}
	return report.T("it was taken while the program ran")
}

// judgeRequestedDump: without an exception nobody is at fault; the dump is about
// what the program was doing.
func judgeRequestedDump(j *judgement) {
	j.decide(report.CauseRequested, report.High)
	for _, f := range userCertain(j.f) {
		if exceptionDispatch[f.Symbol] {
			j.decide(report.CauseUnknown, report.Low)
			j.evidence(report.Derived, report.T("stack"), report.T("%s stands on the stack: an exception was being handled, which whoever wrote the dump did not record.", at(f)))
			break
		}
	}
	j.evidence(report.Recorded, report.T("stream directory"), report.T("The dump holds no exception: somebody or some program had it written (Task Manager, ProcDump, a watchdog)."))
	j.waiting()
}

func judgeLost(j *judgement) {
	j.decide(report.CauseUnknown, report.Low)
	j.waiting()
}

// exceptionDispatch are the functions of ntdll and KernelBase that an exception
// goes through on its way to a handler.
var exceptionDispatch = map[string]bool{
	"KiUserExceptionDispatch": true, "KiUserExceptionDispatcher": true, "RtlDispatchException": true, "UnhandledExceptionFilter": true,
	"RtlUserUnhandledException": true, "RaiseException": true, "RtlReportException": true,
}

// waiting says where the thread stands that the report shows.
func (j *judgement) waiting() {
	frame, ok := j.faultFrame()
	if !ok {
		return
	}
	j.evidence(report.Recorded, report.T("registers of the thread"), report.T("The thread stands in %s.", at(frame)))
	for _, f := range j.f.Frames[1:] {
		if f.Module == "" || j.f.User.carrier(f.Image) {
			continue
		}
		trust := report.Derived
		if f.Trust == report.TrustScan {
			trust = report.Guessed
		}
		j.evidence(trust, report.T("stack"), report.T("The first caller on the stack that is not a library of Windows is %s.", at(f)))
		break
	}
	j.judgeRunning()
}

// judgeHang: Windows Error Reporting gives the dump of a program that does not
// answer an exception code of its own.
func judgeHang(j *judgement) {
	j.decide(report.CauseUnknown, report.Low)
	j.waiting()
}

// judgeSimulated: Crashpad's DumpWithoutCrash.
func judgeSimulated(j *judgement) {
	j.decide(report.CauseRequested, report.High)
	j.evidence(report.Recorded, report.T("exception record"), report.T("The exception is one that Crashpad makes up for a dump without a crash."))
	j.waiting()
}

// judgeInPage: parameter 3 of the record is the status that the read of the page
// came to (winnt.h, EXCEPTION_RECORD).
func judgeInPage(j *judgement) {
	x, u := j.f.Exception, j.f.User
	source := report.T("exception record")
	j.decide(report.CauseStorage, report.Medium)
	if x.Target != nil {
		j.evidence(report.Recorded, source, report.T("It was an attempt to %s 0x%x.", accessWord(x.Access), *x.Target))
	}
	if len(u.Parameters) > 2 {
		j.evidence(report.Recorded, source, report.T("The page could not be read: status %s.", win.Status(uint32(u.Parameters[2]))))
	}
	if u.Target.Kind == PlaceModule {
		j.evidence(report.Derived, report.T("loaded modules"), report.T("The page belongs to the file of %s.", u.Target.Image))
	}
	j.evidence(report.Derived, source, report.T("A page could not be read back from disk; that is a fault of the storage or the path to it, not of the code that asked for it."))
}

func happenedInPage(f *Facts) report.Text {
	if f.User.Target.Kind == PlaceModule {
		return report.T("a page of %s could not be read", f.User.Target.Image)
	}
	return report.T("a page that was needed could not be read from disk")
}

func happenedStackOverflow(f *Facts) report.Text {
	if f.User.Repeated.Count > 0 {
		return report.T("its stack was used up by calls that repeat themselves")
	}
	return report.T("its stack was used up")
}

func judgeStackOverflow(j *judgement) {
	u := j.f.User
	if !u.StackRecorded && u.Stack[1] > u.SP {
		j.evidence(report.Recorded, report.T("stack"), report.T("0x%x bytes of the stack were captured above the stack pointer 0x%x.", u.Stack[1]-u.SP, u.SP))
	} else if u.Stack[1] > u.Stack[0] {
		j.evidence(report.Recorded, report.T("stack"), report.T("The stack pointer 0x%x is 0x%x bytes above the lowest address of the stack, which has 0x%x bytes.", u.SP, u.SP-min(u.SP, u.Stack[0]), u.Stack[1]-u.Stack[0]))
	}
	r := u.Repeated
	if r.Count == 0 || r.At.Module == "" {
		return
	}
	trust := report.Derived
	if r.At.Trust == report.TrustScan {
		trust = report.Guessed
	}
	j.evidence(trust, report.T("stack"), report.T("The return address %s stands on the stack %d times or more: a function that calls itself, by itself or through others, does not end.", at(r.At), r.Count))
}

func happenedFastFail(f *Facts) report.Text {
	if len(f.User.Parameters) == 0 {
		return report.T("a check that guards against damage failed, and it was ended at once")
	}
	switch f.User.Parameters[0] {
	case 0, 2:
		return report.T("a buffer on the stack was overrun")
	case 3:
		return report.T("a linked list was found damaged")
	case 7:
		return report.T("it ended itself (abort)")
	case 10, 64:
		return report.T("it called through a pointer that leads to no function")
	}
	return report.T("a check that guards against damage failed, and it was ended at once")
}

// fastFailMeaning are the codes of __fastfail that come most often (winnt.h;
// 7 is what abort and std::terminate of the Universal C Runtime raise).
var fastFailMeaning = map[uint64]report.Text{
	0:  report.T("A guard value on the stack was overwritten: a function wrote past a local buffer. The function that noticed is the one whose stack was damaged."),
	2:  report.T("A guard value on the stack was overwritten: a function wrote past a local buffer. The function that noticed is the one whose stack was damaged."),
	3:  report.T("A linked list did not point back to itself: an entry was freed or removed twice, or overwritten. Who noticed is often not who did it."),
	5:  report.T("A function of the C runtime was given an argument that it does not take."),
	7:  report.T("The program called abort or std::terminate, or a framework did so for it: as a rule an exception was not caught or a check failed. No memory needs to be damaged."),
	8:  report.T("An index was outside the bounds of its container."),
	10: report.T("Control Flow Guard stopped an indirect call: the pointer does not lead to the start of a function. It was overwritten, or its object was freed."),
	14: report.T("A reference count went below zero or beyond its limit: an object was released too often."),
	64: report.T("Control Flow Guard stopped an indirect call: the pointer does not lead to the start of a function. It was overwritten, or its object was freed."),
}

func judgeFastFail(j *judgement) {
	if len(j.f.User.Parameters) == 0 {
		return
	}
	code := j.f.User.Parameters[0]
	name := win.FastFailName(code)
	if name == "" {
		name = "?"
	}
	j.evidence(report.Recorded, report.T("exception record"), report.T("Check %d (%s) failed.", code, name))
	if t := fastFailMeaning[code]; !t.IsZero() {
		j.evidence(report.Derived, report.T("exception record"), t)
	}
	if code == 3 {
		j.limit(report.Medium)
	}
	j.judgeStored()
}

// judgeHeap: the heap's own checks notice damage at a later call, of whomever.
func judgeHeap(j *judgement) {
	if h := j.f.User.Heap; h != "" {
		j.evidence(report.Recorded, report.T("captured memory"), report.T("The heap's own record of it says heap_failure_%s.", h))
		if t := heapMeaning[h]; !t.IsZero() {
			j.evidence(report.Derived, report.T("captured memory"), t)
		}
	}
	j.evidence(report.Derived, report.T("exception record"), report.T("The heap checks itself when a block is allocated or freed: the damage was done before, and who stands on the stack is who met it."))
	j.nearestModule()
	j.heapBucket()
}

// heapMeaning are the failures whose names say what was done wrong.
var heapMeaning = map[string]report.Text{
	"block_not_busy":              report.T("A block was freed that was not in use: it was freed twice, or the pointer is not one that the heap gave out."),
	"buffer_overrun":              report.T("A block was written past its end."),
	"buffer_underrun":             report.T("A block was written before its start."),
	"entry_corruption":            report.T("The head of a block was overwritten: as a rule the block before it was written past its end."),
	"multiple_entries_corruption": report.T("The heads of several blocks were overwritten: as a rule a block before them was written past its end."),
}

func happenedCPP(f *Facts) report.Text {
	if x := f.User.CPP; x != nil && x.Type != "" {
		return report.T("a C++ exception of type %s was not caught", x.Type)
	}
	return report.T("a C++ exception was not caught")
}

func judgeCPP(j *judgement) {
	x := j.f.User.CPP
	switch {
	case x == nil || x.Type == "":
		j.evidence(report.Derived, report.T("exception record"), report.T("The type of the thrown object is not in the dump."))
	default:
		j.evidence(report.Recorded, report.T("captured memory"), report.T("The thrown object is of type %s.", x.Type))
	}
	if x != nil && x.What != "" {
		j.evidence(report.Recorded, report.T("captured memory"), report.T("Its message is: %s", x.What))
	}
}

func judgeCLR(j *judgement) {
	if p := j.f.User.Parameters; len(p) > 0 && p[0] != 0 {
		j.evidence(report.Recorded, report.T("exception record"), report.T("Its HRESULT is 0x%08x.", uint32(p[0])))
	}
	j.evidence(report.Derived, report.T("exception record"), report.T("Type and message of a .NET exception stand in the managed heap, which needs a .NET debugger (dotnet-dump, SOS), and in the Application log (source .NET Runtime)."))
}

func judgeStowed(j *judgement) {
	s := j.f.User.Stowed
	if s == nil {
		j.evidence(report.Derived, report.T("exception record"), report.T("The errors behind it are not in the dump."))
		return
	}
	j.evidence(report.Recorded, report.T("captured memory"), report.T("The first of %d errors behind it has HRESULT 0x%08x.", s.Count, s.HResult))
	if s.Text != "" {
		j.evidence(report.Recorded, report.T("captured memory"), report.T("Its message is: %s", s.Text))
	}
}

func judgeBreakpoint(j *judgement) {
	if j.f.User.Verifier {
		j.limit(report.Medium)
	}
	j.evidence(report.Derived, report.T("exception record"), report.T("Programs put breakpoints where they do not expect to come: a failed check, DebugBreak, or the end of a function that does not return."))
	j.judgeStored()
}

func judgeIllegal(j *judgement) {
	j.judgeInstruction()
	if _, ok := j.faultFrame(); !ok {
		return
	}
	j.evidence(report.Derived, report.T("exception record"), report.T("Either the program was built for a newer processor, or it means to stop there (ud2), or the code was overwritten or jumped into at the wrong place."))
	j.judgeStored()
}

func happenedAssertion(f *Facts) report.Text {
	if a := f.User.Assertion; a != nil && a.Type == 2 {
		return report.T("it called a pure virtual function")
	}
	return report.T("a function was given an argument that it does not take")
}

func judgeAssertion(j *judgement) { j.judgeStored() }

// judgeStored adds the check that Breakpad recorded.
func (j *judgement) judgeStored() {
	a := j.f.User.Assertion
	if a == nil || a.Expression == "" && a.Function == "" && a.File == "" {
		return
	}
	j.evidence(report.Recorded, report.T("Breakpad assertion"), report.T("The check that failed: %s, in %s, %s line %d.", a.Expression, a.Function, a.File, a.Line))
}

func judgeNoMemory(j *judgement) {
	j.limit(report.Low)
	j.evidence(report.Derived, report.T("exception record"), report.T("Who asks last is not who took the memory: what grew shows in the program's memory over time."))
}
