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

func judge139(j *judgement) {
	code := j.f.Parameters[0]
	name := win.FastFailName(code)
	if name == "" {
		name = "?"
	}
	j.evidence(report.Recorded, parameter(1), report.T("Check %d (%s) failed.", code, name))
	switch code {
	case 2:
		j.evidence(report.Derived, parameter(1), report.T("A guard value on the stack was overwritten: a function wrote past a local buffer. The function that noticed is the one whose stack was damaged."))
	case 3:
		j.limit(report.Medium)
		j.evidence(report.Derived, parameter(1), report.T("A linked list did not point back to itself: an entry was freed or removed twice, or overwritten. Who noticed is often not who did it."))
	case 0x1d:
		j.limit(report.Medium)
		j.evidence(report.Derived, parameter(1), report.T("The tree that keeps track of pool blocks was damaged: a block was freed twice or written past its end."))
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

func happened139(f *Facts) report.Text {
	switch f.Parameters[0] {
	case 2:
		return report.T("a buffer on the kernel stack was overrun")
	case 3:
		return report.T("a linked list of the kernel was found damaged")
	}
	return report.T("a security check in the kernel found damaged data")
}
