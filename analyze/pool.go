package analyze

import (
	"fmt"

	"bugcheck/report"
)

// What the stop codes about damaged pool share (0x19, 0xC1, 0xC2, 0xC5, 0x13A): the kernel's
// allocator notices the damage long after it was done, so the caller on the
// stack is the detector, not the culprit, unless the call itself was wrong.

func happenedPool(f *Facts) report.Text {
	kind := f.Parameters[0]
	switch {
	case f.Code == 0xc2 && (kind == 0x06 || kind == 0x07):
		return report.T("it freed a block of memory a second time")
	case f.Code == 0x13a && wrongBlocks[kind]:
		return report.T("it gave back a block of memory that was not in use, as when a block is freed twice")
	case f.Code == 0xc2 && !damagedBlocksC2[kind], f.Code == 0x13a && wrongHeapCalls[kind]:
		return report.T("it used the kernel's memory pool in a way that is not allowed")
	case f.Code == 0x19 && kind == tailDamaged:
		return report.T("it wrote past the end of its block of memory")
	}
	return report.T("the kernel's memory pool was found damaged")
}

func (j *judgement) victim() {
	j.noticed(report.CauseMemoryCorruption, report.Low)
	j.limit(report.Low)
	j.evidence(report.Derived, report.T("stop code"), report.T("Whoever was on the processor found the damage; it was done earlier, by code that wrote past its block or used it after freeing it."))
}

// BAD_POOL_HEADER (0x19): P1 the kind. By 0x21 (bytes behind the block are damaged)
// and 0x22 (no record of the block) the block's own user is at fault; the others are
// damage that was done before.
func judgePoolHeader(j *judgement) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The pool block at 0x%x is damaged (kind 0x%x).", p[1], p[0]))
	}
	switch p[0] {
	case freeListLinks:
		j.victim()
		j.judgeLinks(p[1], p[2], p[3])
	case tailDamaged:
		j.limit(report.Medium)
		j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("Behind the block at 0x%x, %d bytes long, stands 0x%x: whoever has the block wrote past its end.", p[1], p[2], p[3]))
		j.describeFill(p[3], parameter(4))
	case notTracked:
	default:
		j.victim()
	}
}

// Kinds of 0x19.
const (
	freeListLinks = 0x03 // P2, P3 and P4 are equal in a list that is sound
	tailDamaged   = 0x21 // P2 the block, P3 its size, P4 what stands behind it
	notTracked    = 0x22
)

// judgeLinks: the links of a free list lead back to the entry between them.
func (j *judgement) judgeLinks(entry, forward, backward uint64) {
	for _, link := range []uint64{forward, backward} {
		if bit, one := oneBitApart(entry, link); one {
			j.evidence(report.Derived, report.T("parameters 2 to 4"), report.T("A link of the list, 0x%x, leads one bit (bit %d) past the entry at 0x%x: faulty memory leaves such a difference, software hardly ever does.", link, bit, entry))
			j.noticed(report.CauseHardware, report.Medium)
			return
		}
	}
	j.describeFill(forward, parameter(3))
	j.describeFill(backward, parameter(4))
}

func class19(f *Facts) string { return verified(f, fmt.Sprintf("0x19_%x", f.Parameters[0])) }

// DRIVER_CORRUPTED_EXPOOL (0xC5): as 0xA, by the pool's own code: P1 address, P2
// IRQL, P3 access, P4 instruction.
func collectC5(c *collection) { collectAccess(c) }

func judgeC5(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 to 4"), report.T("The pool's own code (at 0x%x) followed a bad address, 0x%x, at IRQL %d.", p[3], p[0], p[1]))
	j.describeTarget(p[0], j.f.Places[0], parameter(1))
	j.victim()
}

// POOL_CORRUPTION_IN_FILE_AREA (0xDE): the parameters are reserved.
func judgeDE(j *judgement) {
	j.evidence(report.Recorded, report.T("stop code"), report.T("The damaged pool holds pages of files on their way to the disk: check the files written last."))
	j.victim()
}

// KERNEL_MODE_HEAP_CORRUPTION (0x13A): P1 kind, P2 heap, P3 block.
func judge13A(j *judgement) {
	p := j.f.Parameters
	known := j.says(1)
	switch {
	case wrongBlocks[p[0]]:
		j.limit(report.Medium)
		j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("The heap at 0x%x was handed 0x%x, which is no block in use (kind 0x%x): the one who handed it over is to blame, unless the block's header was overwritten before.", p[1], p[2], p[0]))
		return
	case wrongHeapCalls[p[0]]:
		j.limit(report.Medium)
		j.evidence(report.Derived, parameter(1), report.T("So the call of the heap was wrong in itself: the one who made it is to blame."))
		return
	case known:
		j.evidence(report.Recorded, report.T("parameters 2 and 3"), report.T("The heap at 0x%x noticed it at the block at 0x%x.", p[1], p[2]))
	default:
		j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("The heap at 0x%x found the block at 0x%x damaged (kind 0x%x).", p[1], p[2], p[0]))
	}
	j.victim()
}

// wrongBlocks and wrongHeapCalls are the kinds of P1 (HEAP_FAILURE_TYPE in the public
// symbols of Windows 10 and 11) by which the call itself is wrong: a block that is not
// busy, one of another heap, one freed twice; an argument, a kind of allocation, a null
// heap, a size or an address that no heap can serve.
var (
	wrongBlocks    = map[uint64]bool{0x8: true, 0xc: true, 0xf: true, 0x11: true}
	wrongHeapCalls = map[uint64]bool{0x9: true, 0xa: true, 0x13: true, 0x14: true, 0x15: true, 0x16: true}
)

func class13A(f *Facts) string { return verified(f, fmt.Sprintf("0x13a_%x", f.Parameters[0])) }

// BAD_POOL_CALLER (0xC2): P1 what was wrong with the call.
func judgePoolCaller(j *judgement) {
	p := j.f.Parameters
	known := j.says(1)
	switch {
	case damagedBlocksC2[p[0]]:
		j.victim()
	case known:
		j.evidence(report.Derived, parameter(1), report.T("A call to the pool was wrong in itself: unlike damage found later, the caller is the one to blame."))
	default:
		j.evidence(report.Recorded, parameter(1), report.T("A call to the pool was wrong in itself (kind 0x%x): unlike damage found later, the caller is the one to blame.", p[0]))
	}
	j.poolCall(p)
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
