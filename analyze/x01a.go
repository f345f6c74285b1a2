package analyze

import (
	"fmt"
	"math/bits"

	"bugcheck/report"
)

// MEMORY_MANAGEMENT (0x1A): P1 says what was found; the other parameters depend
// on it.

const (
	corruptPTE     = 0x41792 // P2 page table entry, P3 its low part
	corruptPTE790  = 0x41790
	badSystemPTE   = 0x402
	pageHashBroken = 0x3f
)

// oneWrongBit is the bit that is set in a value that should be zero, if exactly
// one is.
func oneWrongBit(v uint64) (int, bool) {
	return bits.TrailingZeros64(v), bits.OnesCount64(v) == 1
}

func judge1A(j *judgement) {
	p := j.f.Parameters
	switch p[0] {
	case corruptPTE:
		j.judgeCorruptPTE(p[1], p[2])
	case pageHashBroken:
		j.evidence(report.Recorded, parameter(1), report.T("A page that was read back from disk is not what was written: its checksum differs."))
		j.decide(report.CauseHardware, report.Medium)
	default:
		j.evidence(report.Recorded, parameter(1), report.T("The memory manager found its own records damaged (kind 0x%x); it noticed the damage, it did not do it.", p[0]))
	}
	if page := j.f.Page; page != nil {
		j.evidence(report.Recorded, report.T("page tables"), report.T("The entry at 0x%x still holds 0x%x in the dump.", p[1], page.PTE))
	}
}

// judgeCorruptPTE: the entry should be empty, so any bit set in it is one too
// many. Exactly one is the mark of a memory cell or a line that flips; more
// are not.
func (j *judgement) judgeCorruptPTE(address, contents uint64) {
	bit, one := oneWrongBit(contents)
	if !one {
		j.evidence(report.Recorded, parameter(3), report.T("A page table entry that should be empty holds 0x%x: %d bits are set.", contents, bits.OnesCount64(contents)))
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
	if bit, one := oneWrongBit(f.Parameters[2]); f.Parameters[0] == corruptPTE && one {
		return report.T("a page table entry had one bit too many (bit %d)", bit)
	}
	return report.T("the memory manager found its records damaged")
}
