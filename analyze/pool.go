package analyze

import (
	"fmt"

	"bugcheck/report"
)

// What the stop codes about damaged pool share (0x19, 0xC2, 0x13A): the kernel's
// allocator notices the damage long after it was done, so the caller on the
// stack is the detector, not the culprit, unless the call itself was wrong.

func happenedPool(f *Facts) report.Text {
	if f.Code == 0xc2 {
		return report.T("it used the kernel's memory pool in a way that is not allowed")
	}
	return report.T("the kernel's memory pool was found damaged")
}

func (j *judgement) victim() {
	j.limit(report.Low)
	j.evidence(report.Derived, report.T("stop code"), report.T("Whoever was on the processor found the damage; it was done earlier, by code that wrote past its block or used it after freeing it."))
}

// BAD_POOL_HEADER (0x19).
func judgePoolHeader(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The pool block at 0x%x is damaged (kind 0x%x).", p[1], p[0]))
	if p[0] != 0x21 && p[0] != 0x22 {
		j.victim()
	}
}

func class19(f *Facts) string { return verified(f, fmt.Sprintf("0x19_%x", f.Parameters[0])) }

// KERNEL_MODE_HEAP_CORRUPTION (0x13A): P1 kind, P2 heap, P3 block.
func judge13A(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("The heap at 0x%x found the block at 0x%x damaged (kind 0x%x).", p[1], p[2], p[0]))
	j.victim()
}

func class13A(f *Facts) string { return verified(f, fmt.Sprintf("0x13a_%x", f.Parameters[0])) }

// BAD_POOL_CALLER (0xC2): P1 what was wrong with the call.
func judgePoolCaller(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, parameter(1), report.T("A call to the pool was wrong in itself (kind 0x%x): unlike damage found later, the caller is the one to blame.", p[0]))
	if p[0] == 7 {
		j.evidence(report.Recorded, parameter(4), report.T("The block at 0x%x had been freed before.", p[3]))
	}
}

func classC2(f *Facts) string { return verified(f, fmt.Sprintf("0xc2_%x", f.Parameters[0])) }
