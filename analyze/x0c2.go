package analyze

import "bugcheck/report"

// BAD_POOL_CALLER (0xC2), what the other parameters say by the kind ("Bug Check 0xC2:
// BAD_POOL_CALLER", https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0xc2--bad-pool-caller).

// damagedBlocksC2 are the kinds that are no mistake of the call: the header, or the
// pointer to the process that pays for the block, was overwritten before.
var damagedBlocksC2 = map[uint64]bool{0x01: true, 0x02: true, 0x04: true, 0x0b: true}

func (j *judgement) poolCall(p [4]uint64) {
	switch p[0] {
	case 0x06, 0x07:
		if p[3] != 0 && p[0] == 0x07 {
			j.evidence(report.Recorded, parameter(4), report.T("The block at 0x%x had been freed before.", p[3]))
		}
		if p[0] == 0x07 && p[1]>>32 == 0 && isPrintable(rawTag(p[1])) { // since Windows 10 (published logs)
			j.evidence(report.Recorded, parameter(2), report.T("Its tag is %s.", tagOf(p[1])))
		}
		j.evidence(report.Derived, parameter(1), report.T("The one on the stack freed it the second time; if another driver freed it first, that one is at fault. Special pool tells which."))
	case 0x08, 0x09:
		j.evidence(report.Recorded, report.T("parameters 2 and 3"), report.T("It was done at IRQL %d, with %s: paged pool may be used up to IRQL 1, nonpaged pool up to IRQL 2.", p[1], poolType(p[2])))
	case 0x0a:
		j.evidence(report.Recorded, report.T("parameters 2 to 4"), report.T("The block at 0x%x has the tag %s and was freed with the tag %s: the owner of the second tag freed what belongs to the first.", p[1], tagOf(p[2]), tagOf(p[3])))
	case 0x40:
		j.evidence(report.Derived, parameter(2), report.T("0x%x is an address of user mode: a pointer from a program, or one that was overwritten.", p[1]))
	case 0x46, 0x99:
		j.describeFill(p[1], parameter(2))
	}
}

// poolType is POOL_TYPE, of which bit 0 is set for paged pool (wdm.h).
func poolType(v uint64) report.Text {
	if v&1 != 0 {
		return report.T("paged pool")
	}
	return report.T("nonpaged pool")
}

// tagOf is a pool tag that stands in a parameter, as a person reads it.
func tagOf(v uint64) string {
	b := []byte(rawTag(v))
	for i := range b {
		if b[i] < ' ' || b[i] > '~' {
			b[i] = '?'
		}
	}
	return tagWord(string(b))
}

func rawTag(v uint64) string {
	return string([]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
}
