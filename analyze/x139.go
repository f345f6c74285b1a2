package analyze

import (
	"fmt"

	"bugcheck/report"
	"bugcheck/win"
)

// KERNEL_SECURITY_CHECK_FAILURE (0x139): a check that the compiler or the
// kernel planted failed (__fastfail). P1 which, P2 trap frame, P3 exception record.

func collect139(c *collection) {
	p := c.facts.Parameters
	c.recordAt(p[2])
	c.trapAt(p[1], report.T("trap frame (parameter 2)"))
}

// failedCheck is what the codes of __fastfail have in common that guard the same.
// Their numbers and names stand in winnt.h; those up to 39 are described under "Bug
// Check 0x139", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x139--kernel-security-check-failure.
type failedCheck struct {
	codes    []uint64
	found    bool        // the one who noticed is often not the one who did it
	fact     report.Text // what follows
	happened report.Text
}

var failedChecks = []failedCheck{
	{
		codes: []uint64{0, 2}, // the older /GS, /GS
		fact:  report.T("A guard value on the stack was overwritten: a function wrote past a local buffer. The function that noticed is the one whose stack was damaged."), happened: report.T("a buffer on the kernel stack was overrun"),
	},
	{
		codes: []uint64{3}, found: true, // LIST_ENTRY
		fact: report.T("A linked list did not point back to itself: an entry was freed or removed twice, or overwritten. Who noticed is often not who did it."), happened: report.T("a linked list of the kernel was found damaged"),
	},
	{
		codes: []uint64{29}, found: true, // RTL_BALANCED_NODE
		fact: report.T("A balanced tree of the kernel, such as the one that keeps track of pool blocks, was damaged: a block was freed twice or written past its end."), happened: report.T("a tree of the kernel was found damaged"),
	},
	{
		codes: []uint64{4}, found: true, // INCORRECT_STACK
		fact: report.T("The stack pointer did not lie in the thread's stack: the stack had run out, a driver had switched stacks, or a register had been overwritten."), happened: report.T("the stack pointer was found outside the thread's stack"),
	},
	{
		codes: []uint64{1, 10, 31, 46, 64, 65}, found: true, // VTGuard, CFG, its suppression, XFG, CastGuard
		fact: report.T("A call was about to go through a pointer to something that is no function to be called so: the pointer, or the object that holds it, was overwritten or freed before. The caller noticed."), happened: report.T("a call through a bad function pointer was stopped"),
	},
	{
		codes: []uint64{38, 44, 47, 57, 67}, found: true, // longjmp, return addresses, shadow stack
		fact: report.T("A return address was not the one that had been put there: something wrote over the stack, or a driver that patches the kernel changes return addresses."), happened: report.T("a changed return address was found on the kernel stack"),
	},
	{
		codes: []uint64{8, 28, 37}, // array, buffer and jump table bounds
		fact:  report.T("The function that failed used an index or a length beyond the end: the mistake is its own, or its caller's who passed the number."), happened: report.T("an access beyond the end of a buffer or table was stopped"),
	},
	{
		codes: []uint64{5, 7, 9, 23, 26, 27, 56}, // arguments, exit, registry, calls that are forbidden
		fact:  report.T("Nothing was damaged: code called a function in a way that is not allowed, and who called stands on the stack."), happened: report.T("code called a function in a way that is not allowed"),
	},
	{
		codes: []uint64{14}, found: true, // reference count
		fact: report.T("An object was released once too often, or its count was overwritten: the one that noticed may be one who released it rightly."), happened: report.T("the reference count of an object was found impossible"),
	},
	{
		codes: []uint64{30, 32, 33, 36, 40}, found: true, // next thread, APCs, idle, lock, thread
		fact: report.T("The records of threads, locks or processors contradict themselves: a driver left a lock or a region it had entered, or entered one it did not leave, or overwrote them."), happened: report.T("the records of threads and locks were found contradictory"),
	},
	{
		codes: []uint64{12, 13, 18, 21, 39, 48, 59, 60}, found: true, // contexts, exception chains, flags
		fact: report.T("A saved state of the processor, or the chain of exception handlers, was not valid: it was overwritten, or code tried to take over the thread."), happened: report.T("a saved state of the processor was found damaged"),
	},
	{
		codes: []uint64{11, 19, 34, 49}, found: true, // writes to what is read-only, import tables
		fact: report.T("Something wrote to data that must stay as they are: a driver that patches other code, or one with a stray pointer."), happened: report.T("data that must not change were found changed"),
	},
	{
		codes: []uint64{35, 50, 61, 63, 70}, found: true, // heap, tracing, physical pages, fiber data
		fact: report.T("Records of the kernel were found damaged: a block was written past its end or after it had been freed, or memory is faulty."), happened: report.T("records of the kernel were found damaged"),
	},
	{
		codes: []uint64{58, 66}, // host of a virtual machine
		fact:  report.T("It concerns the host of this virtual machine: look there for updates and for errors at that time."), happened: report.T("the host of the virtual machine did what it must not"),
	},
}

func checkOf(code uint64) failedCheck {
	for _, c := range failedChecks {
		for _, n := range c.codes {
			if n == code {
				return c
			}
		}
	}
	return failedCheck{happened: report.T("a security check in the kernel found damaged data")}
}

func judge139(j *judgement) {
	code := j.f.Parameters[0]
	name := win.FastFailName(code)
	if name == "" {
		name = "?"
	}
	j.evidence(report.Recorded, parameter(1), report.T("Check %d (%s) failed.", code, name))
	c := checkOf(code)
	if c.found {
		j.limit(report.Medium)
	}
	if !c.fact.IsZero() {
		j.evidence(report.Derived, parameter(1), c.fact)
	} else {
		j.says(1)
	}
}

// class139: P1 in hexadecimal and the check's name; code 4 has a name of its
// own (5 published cases).
func class139(f *Facts) string {
	code := f.Parameters[0]
	if code == 4 {
		return "0x139_MISSING_GSFRAME"
	}
	class := fmt.Sprintf("0x139_%x", code)
	if name := win.FastFailName(code); name != "" {
		class += "_" + name
	}
	if isTimerList(f) {
		class += "_KTIMER_LIST_CORRUPTION"
	}
	return verified(f, class)
}

// isTimerList reports that the damaged list is that of the timers: the check that
// failed stands in the function that walks it. The debugger has a class of its own
// for that (the crashes of 1 machine, the hash checked).
func isTimerList(f *Facts) bool {
	for _, fr := range certain(f) {
		if fr.Module != "nt" || fr.Symbol != "KiFastFailDispatch" {
			return f.Code == 0x139 && f.Parameters[0] == 3 && fr.Module == "nt" && fr.Symbol == "KiProcessExpiredTimerList"
		}
	}
	return false
}

func happened139(f *Facts) report.Text { return checkOf(f.Parameters[0]).happened }
