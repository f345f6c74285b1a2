package analyze

import (
	"fmt"

	"bugcheck/report"
)

// What the stop codes about damaged pool share (0x19, 0xC1, 0xC2, 0xC5, 0x13A): the kernel's
// allocator notices the damage long after it was done, so the caller on the
// stack is the detector, not the culprit, unless the call itself was wrong.

func happenedPool(f *Facts) report.Text {
	if f.Code == 0xc2 {
		return report.T("it used the kernel's memory pool in a way that is not allowed")
	}
	return report.T("the kernel's memory pool was found damaged")
}

func (j *judgement) victim() {
	j.noticed(report.CauseMemoryCorruption, report.Low)
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

// SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION (0xC1): P1 the address being freed, P4
// what is wrong; 0x32 is a single wrong bit.
func judgeC1(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("Special pool found what surrounds the block at 0x%x overwritten (kind 0x%x): whoever had the block wrote past it.", p[0], p[3]))
	if p[3] == 0x32 {
		j.evidence(report.Derived, parameter(4), report.T("A single bit is wrong: software hardly ever flips a single bit; faulty memory does."))
	}
	j.limit(report.Medium)
}

// DRIVER_CORRUPTED_EXPOOL (0xC5): as 0xA, by the pool's own code: P1 address, P2
// IRQL, P3 access, P4 instruction.
func collectC5(c *collection) { collectAccess(c) }

func judgeC5(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 to 4"), report.T("The pool's own code (at 0x%x) followed a bad address, 0x%x, at IRQL %d.", p[3], p[0], p[1]))
	j.victim()
}

func happenedC1(*Facts) report.Text { return report.T("a block of special pool was found overrun") }

// KERNEL_MODE_HEAP_CORRUPTION (0x13A): P1 kind, P2 heap, P3 block.
func judge13A(j *judgement) {
	p := j.f.Parameters
	if wrongHeapCalls[p[0]] {
		j.limit(report.Medium)
		j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("The heap at 0x%x was handed 0x%x, which is no block in use (kind 0x%x): the one who handed it over is to blame, unless the block's header was overwritten before.", p[1], p[2], p[0]))
		return
	}
	j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("The heap at 0x%x found the block at 0x%x damaged (kind 0x%x).", p[1], p[2], p[0]))
	j.victim()
}

// wrongHeapCalls are those kinds of P1 (HEAP_FAILURE_TYPE) by which the call itself
// is wrong: a block that is not busy, an argument that is not valid, a block of
// another heap, a block freed twice.
var wrongHeapCalls = map[uint64]bool{0x8: true, 0x9: true, 0xc: true, 0x11: true}

func class13A(f *Facts) string { return verified(f, fmt.Sprintf("0x13a_%x", f.Parameters[0])) }

// BAD_POOL_CALLER (0xC2): P1 what was wrong with the call.
func judgePoolCaller(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, parameter(1), report.T("A call to the pool was wrong in itself (kind 0x%x): unlike damage found later, the caller is the one to blame.", p[0]))
	if p[0] == 7 {
		j.evidence(report.Recorded, parameter(4), report.T("The block at 0x%x had been freed before.", p[3]))
	}
}

// classC2: of a block that was freed before, Windows 10 tells the pool tag in P2, and
// it is part of the class, blanks as _ (2 published cases, 1 hash checked).
func classC2(f *Facts) string {
	class := fmt.Sprintf("0xc2_%x", f.Parameters[0])
	if tag := bucketTag(f.Parameters[1]); f.Parameters[0] == 7 && tag != "" {
		class += "_" + tag
	}
	return verified(f, class)
}

// bucketTag is a pool tag as buckets write it; "" for a number that is none.
func bucketTag(v uint64) string {
	if v>>32 != 0 {
		return ""
	}
	var b []byte
	for ; len(b) < 4; v >>= 8 {
		switch c := byte(v); {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
			b = append(b, c)
		case c >= ' ' && c < 0x7f:
			b = append(b, '_')
		default:
			return ""
		}
	}
	return string(b)
}
