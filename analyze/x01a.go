package analyze

import (
	"fmt"
	"math/bits"

	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/report"
)

// MEMORY_MANAGEMENT (0x1A): P1 says what was found; the other parameters depend
// on it.

const (
	corruptPTE     = 0x41792 // P2 page table entry, P3 its low part
	corruptPTE790  = 0x41790
	pageHashBroken = 0x3f   // P3 checksum of the page as read, P4 as written
	outOfStep      = 0x403  // P3 and P4: two records that must be equal
	otherPTE       = 0x404  // P2 and P4: the same
	freePoolPage   = 0x5200 // P2 free block, P3 what it holds, P4 what it must hold
	brokenTables   = 0x61941
)

// callKinds1A are the kinds by which a call of the memory manager was wrong in
// itself, and hardwareKinds1A those of which Microsoft's documentation says that
// hardware is probably to blame ("Bug Check 0x1A: MEMORY_MANAGEMENT",
// https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x1a--memory-management).
// Of all others the memory manager only found the damage.
var (
	callKinds1A = map[uint64]bool{
		0x777: true, 0x1000: true, 0x1010: true, 0x1233: true, 0x1234: true, 0x1235: true, 0x1236: true, 0x1240: true,
		0x4477: true, 0x5305: true, 0x15000: true, 0x41286: true, 0x61946: true,
	}
	hardwareKinds1A = map[uint64]bool{0x31: true, 0x403: true, 0x5003: true}
)

// collect1A: of a fault by damaged page tables P2 is the address. A published log has the
// processor's error code in P3 and the trap frame in P4; the documentation does not say
// so, and they are taken only where the frame bears them out.
func collect1A(c *collection) {
	p := c.facts.Parameters
	if p[0] != brokenTables || c.m.Arch == dump.X86 {
		return
	}
	t, err := c.m.TrapFrameAt(mem.VA(p[3]))
	if err != nil || t.FaultAddress != p[1] || t.ErrorCode != p[2] {
		return
	}
	c.startTrap(t, report.T("trap frame (parameter 4)"))
	pc, _ := t.Registers.PC()
	c.facts.Exception = &Exception{Code: statusAccessViolation, Address: pc, Access: c.pageFaultAccess(p[2]), Target: &p[1]}
}

// pageFaultAccess reads the error code of a page fault on x64 (W/R, I/D); "" elsewhere.
func (c *collection) pageFaultAccess(code uint64) string {
	switch {
	case c.m.Arch != dump.X64:
		return ""
	case code&0x10 != 0:
		return "execute"
	case code&2 != 0:
		return "write"
	}
	return "read"
}

// reservedBit is set in the processor's error code of a page fault where an entry of the
// page tables had a bit set that must be zero (Intel SDM volume 3, 4.7: RSVD).
const reservedBit = 1 << 3

// oneWrongBit is the bit that is set in a value that should be zero, if exactly
// one is.
func oneWrongBit(v uint64) (int, bool) {
	return bits.TrailingZeros64(v), bits.OnesCount64(v) == 1
}

func judge1A(j *judgement) {
	p := j.f.Parameters
	switch kind := p[0]; {
	case kind == corruptPTE:
		j.judgeCorruptPTE(p[1], p[2])
	case kind == pageHashBroken:
		j.says(1)
		j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("At offset 0x%x of the page file the checksum is 0x%x, where 0x%x was written: the page changed in memory, on the way or on the disk.", p[1], p[2], p[3]))
		j.decide(report.CauseHardware, report.Medium)
		j.bucket = "PAGE_HASH_ERRORS_0x1a_3f" // 1 published bucket
	case callKinds1A[kind]:
		j.says(1)
		j.evidence(report.Derived, parameter(1), report.T("So the call itself was wrong: the driver that made it is to be asked, not one that may have damaged memory before."))
	default:
		j.judgeFound1A(kind)
	}
	if page := j.f.Page; page != nil {
		j.evidence(report.Recorded, report.T("page tables"), report.T("The entry at 0x%x still holds 0x%x in the dump.", p[1], page.PTE))
		if page.Physical != 0 {
			j.evidence(report.Recorded, report.T("page tables"), report.T("It lies in RAM at physical address 0x%x: the same place in several dumps speaks for a memory module.", page.Physical))
		}
	}
}

// judgeFound1A: the memory manager found damage.
func (j *judgement) judgeFound1A(kind uint64) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("The memory manager found its own records damaged (kind 0x%x).", kind))
	}
	j.noticed(report.CauseMemoryCorruption, report.Low)
	switch {
	case kind == outOfStep && j.recordsApart(p[2], p[3], report.T("parameters 3 and 4")):
	case kind == otherPTE && j.recordsApart(p[1], p[3], report.T("parameters 2 and 4")):
	case kind == brokenTables && j.f.Exception != nil && j.f.Arch == "x64" && p[2]&reservedBit != 0:
		j.evidence(report.Recorded, report.T("parameters 3 and 4"), report.T("The processor found a bit set in an entry of the page tables that must be zero (error code 0x%x): memory that flipped it, or a driver that writes page tables itself.", p[2]))
	case kind == freePoolPage:
		j.judgeFreeBlock(p[1], p[2], p[3])
	case hardwareKinds1A[kind]:
		j.evidence(report.Derived, parameter(1), report.T("Of this kind Microsoft's documentation says that hardware is probably to blame: memory first."))
	default:
		j.foundLater()
	}
}

// recordsApart: of two records that must be equal, one bit differs.
func (j *judgement) recordsApart(a, b uint64, source report.Text) bool {
	bit, one := oneBitApart(a, b)
	if one {
		j.evidence(report.Derived, source, report.T("The two records, 0x%x and 0x%x, differ in exactly one bit, bit %d: faulty or overclocked memory leaves such a difference, software hardly ever does.", a, b, bit))
		j.noticed(report.CauseHardware, report.High)
	}
	return one
}

// foundLater says what detector and culprit are where damage was found.
func (j *judgement) foundLater() {
	j.evidence(report.Derived, parameter(1), report.T("Whoever was on the processor found the damage, and did not do it: faulty memory, or a driver that wrote where it must not, did it earlier."))
}

// judgeFreeBlock: somebody wrote to a block of pool that is on a free list.
func (j *judgement) judgeFreeBlock(block, found, want uint64) {
	j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("The free block at 0x%x holds 0x%x, where 0x%x must stand: its former owner wrote to it after freeing it, or somebody wrote past the end of the page before.", block, found, want))
	if bit, one := oneBitApart(found, want); one {
		j.evidence(report.Derived, report.T("parameters 3 and 4"), report.T("The two differ in one bit alone, bit %d: faulty memory does that, and so does a driver that sets a flag in memory it no longer owns.", bit))
	}
	j.describeFill(found, parameter(3))
}

// judgeCorruptPTE: the entry should be empty, so any bit set in it is one too
// many. Exactly one is the mark of a memory cell or a line that flips; more
// are not.
func (j *judgement) judgeCorruptPTE(address, contents uint64) {
	bit, one := oneWrongBit(contents)
	if !one {
		j.evidence(report.Recorded, parameter(3), report.T("A page table entry that should be empty holds 0x%x: %d bits are set.", contents, bits.OnesCount64(contents)))
		j.noticed(report.CauseMemoryCorruption, report.Low)
		j.foundLater()
		return
	}
	j.evidence(report.Recorded, report.T("parameters 2 and 3"), report.T("The page table entry at 0x%x holds 0x%x: exactly one bit, bit %d, is set.", address, contents, bit))
	j.evidence(report.Derived, parameter(3), report.T("Such an entry should be empty, so that bit is one too many. Software hardly ever flips a single bit; faulty or overclocked memory, or a faulty processor, does."))
	j.decide(report.CauseHardware, report.High)
	j.v.Bit = &bit
	j.v.Image, j.v.Module = "memory_corruption", "memory_corruption"
	j.bucket = "MEMORY_CORRUPTION_ONE_BIT"
}

func class1A(f *Facts) string { return verified(f, fmt.Sprintf("0x1a_%x", f.Parameters[0])) }

func happened1A(f *Facts) report.Text {
	kind := f.Parameters[0]
	switch bit, one := oneWrongBit(f.Parameters[2]); {
	case kind == corruptPTE && one:
		return report.T("one bit in memory was wrong (bit %d of a page table entry)", bit)
	case kind == pageHashBroken:
		return report.T("a page came back from the page file changed")
	case callKinds1A[kind]:
		return report.T("a driver called the memory manager in a way that is not allowed")
	}
	return report.T("the memory manager found its records damaged")
}
