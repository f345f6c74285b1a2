package analyze

import "bugcheck/report"

// SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION (0xC1): special pool gives each block a page
// of its own, fills the rest of it and looks at that when the block is freed. P4 the
// kind; of 0x20 to 0x24 and 0x32 P1 is the block, of 0x30 and 0x31 the IRQL ("Bug Check
// 0xC1", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0xc1--special-pool-detected-memory-corruption).

const (
	specialNotAllocated = 0x20
	specialBadAddress   = 0x21
	specialBadSize      = 0x22 // P2 bytes asked for, P3 bytes given
	specialBeside       = 0x23 // P2 the damaged bytes
	specialBehind       = 0x24 // P2 the damaged bytes
	specialAllocIRQL    = 0x30 // P1 IRQL, P2 pool type
	specialFreeIRQL     = 0x31
	specialOneBit       = 0x32 // P2 the damaged byte
)

func judgeC1(j *judgement) {
	p := j.f.Parameters
	if !j.says(4) {
		j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("Special pool found what surrounds the block at 0x%x overwritten (kind 0x%x): whoever had the block wrote past it.", p[0], p[3]))
	}
	j.limit(report.Medium)
	switch p[3] {
	case specialBeside, specialBehind, specialOneBit:
		j.judgeAround(p[0], p[1])
	case specialBadSize:
		j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("0x%x was freed; %d bytes had been asked for, %d are computed from the address.", p[0], p[1], p[2]))
	case specialNotAllocated, specialBadAddress:
		j.evidence(report.Recorded, parameter(1), report.T("0x%x was freed, by whoever is on the stack.", p[0]))
	case specialAllocIRQL, specialFreeIRQL:
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("It was done at IRQL %d, with %s: paged pool may be used up to IRQL 1, nonpaged pool up to IRQL 2.", p[0], poolType(p[1])))
	}
	if p[3] == specialOneBit {
		j.evidence(report.Derived, parameter(4), report.T("A single bit is wrong: software hardly ever flips a single bit; faulty memory does."))
		j.noticed(report.CauseHardware, report.Medium)
	}
}

// judgeAround says where the damage lies, seen from the block.
func (j *judgement) judgeAround(block, damage uint64) {
	switch {
	case damage == 0 || damage>>frameShift != block>>frameShift: // not recorded on every version
		j.evidence(report.Recorded, parameter(1), report.T("The block is at 0x%x: whoever had it wrote outside it.", block))
	case damage < block:
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The damage is at 0x%x, %d bytes in front of the block at 0x%x: whoever had the block wrote before its start.", damage, block-damage, block))
	default:
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The damage is at 0x%x, %d bytes behind the start of the block at 0x%x: whoever had the block wrote past its end.", damage, damage-block, block))
	}
}

func happenedC1(f *Facts) report.Text {
	switch f.Parameters[3] {
	case specialNotAllocated, specialBadAddress, specialBadSize, specialFreeIRQL:
		return report.T("it freed special pool in a way that is not allowed")
	case specialAllocIRQL:
		return report.T("it asked for special pool at an IRQL where that is not allowed")
	case specialOneBit:
		return report.T("a single bit beside a block of special pool was found wrong")
	}
	return report.T("a block of special pool was found overrun")
}
