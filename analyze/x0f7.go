package analyze

import "bugcheck/report"

// DRIVER_OVERRAN_STACK_BUFFER (0xF7): the guard value (cookie) that the compiler puts
// between a function's buffers and its return address was not what it must be when the
// function returned. P1 found, P2 expected, P3 the complement of P2 ("Bug Check 0xF7",
// https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0xf7--driver-overran-stack-buffer).
// On the stack it stands mixed (xor) with the stack pointer, and P1 is what came out of
// undoing that: of zeros on the stack, the stack pointer itself
// (https://learn.microsoft.com/cpp/build/reference/gs-buffer-security-check).

func judgeF7(j *judgement) {
	p := j.f.Parameters
	source := report.T("parameters 1 to 3")
	j.evidence(report.Recorded, source, report.T("The guard value on the stack came out as 0x%x, where 0x%x is right.", p[0], p[1]))
	bit, one := oneBitApart(p[0], p[1])
	switch {
	case p[2] != complement(p[1], j.f.Arch):
		j.evidence(report.Derived, source, report.T("The driver keeps the right value twice, and its two copies (0x%x and the complement 0x%x) do not agree: not the stack but the driver's own data were overwritten.", p[1], p[2]))
		j.limit(report.Medium)
		return
	case one:
		j.evidence(report.Derived, source, report.T("The two differ in exactly one bit, bit %d: a write past a buffer changes many bits, faulty memory one.", bit))
		j.noticed(report.CauseHardware, report.Medium)
		return
	case j.f.Places[0].Kind == PlaceStack:
		j.evidence(report.Derived, parameter(1), report.T("That is an address of the stack itself: zeros were written over the guard value."))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("A guard value on the stack was overwritten: a function wrote past a local buffer. The function that noticed is the one whose stack was damaged."))
}

func complement(v uint64, arch string) uint64 {
	if arch == "x86" {
		return uint64(^uint32(v))
	}
	return ^v
}

func happenedF7(*Facts) report.Text { return report.T("it wrote past a buffer on the kernel stack") }
