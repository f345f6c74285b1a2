package analyze

import "bugcheck/report"

// Special pool caught in the act: PAGE_FAULT_IN_FREED_SPECIAL_POOL (0xCC),
// PAGE_FAULT_BEYOND_END_OF_ALLOCATION (0xCD), and the same by the code of a driver that
// driver verifier watches (0xD5, 0xD6). P1 address, P2 access (bit 0 write), P3
// instruction. Special pool gives a block a page of its own, by default at the page's
// end, with pages around it that nobody may touch
// (https://learn.microsoft.com/windows-hardware/drivers/devtest/special-pool).

func collectCC(c *collection) {
	p := c.facts.Parameters
	c.facts.Exception = &Exception{Code: statusAccessViolation, Address: p[2], Access: accessCC(&c.facts), Target: &p[0]}
	c.faultAt(p[2], parameter(3))
}

// accessCC reads parameter 2 as that of 0x50, which the same function of the memory
// manager writes.
func accessCC(f *Facts) string {
	switch {
	case f.Parameters[1]&0x10 != 0:
		return "execute"
	case f.Parameters[1]&3 != 0:
		return "write"
	}
	return "read"
}

// guardCodes are those of an access past the end of a block, specialCodes all that speak
// of a block in special pool.
var (
	guardCodes   = map[uint32]bool{0xcd: true, 0xd6: true}
	specialCodes = map[uint32]bool{0xc1: true, 0xcd: true, 0xd6: true}
)

func judgeCC(j *judgement) {
	p := j.f.Parameters
	kind := accessWord(accessCC(j.f))
	if guardCodes[j.f.Code] {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("It was an attempt to %s 0x%x, in the guard page beside a block of special pool.", kind, p[0]))
		j.guardDistance(p[0])
	} else {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("It was an attempt to %s 0x%x, which was a block of special pool until it was freed.", kind, p[0]))
		j.evidence(report.Derived, report.T("stop code"), report.T("Whoever made the access kept a pointer to a block that is gone. If another driver freed the block too early, that one is at fault."))
	}
	j.accessBy(2)
}

// guardDistance says how far past the end of the page that holds the block an address
// lies: the block ends there, or less than an alignment in front of it.
func (j *judgement) guardDistance(addr uint64) {
	if offset := addr & (1<<frameShift - 1); offset < 1<<frameShift-nearPageEnd {
		j.evidence(report.Derived, parameter(1), report.T("That is %d bytes behind the end of the page in front, where special pool puts a block by default: the code ran past the end of its block.", offset))
		return
	}
	j.evidence(report.Derived, parameter(1), report.T("That is close to the end of its page: the code went in front of its block, or past the end of one by most of a page."))
}

// nearPageEnd is a distance in front of a block, bytes, that speaks for an index below
// zero or a header that is not there.
const nearPageEnd = 0x100

// accessBy names the code whose instruction parameter n (from 0) holds.
func (j *judgement) accessBy(n int) {
	if where := j.f.Places[n]; where.Kind == PlaceModule {
		j.placed = true
		j.evidence(report.Recorded, parameter(n+1), report.T("The access was made by the instruction at 0x%x, which lies in %s.", j.f.Parameters[n], where.at()))
	}
}

// TERMINAL_SERVER_DRIVER_MADE_INCORRECT_MEMORY_REFERENCE (0xCF), laid out as 0xCC: the
// kernel's memory of a logon was touched by a process that belongs to none.
func judgeCF(j *judgement) {
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("It was an attempt to %s 0x%x, in the kernel's memory of one logon (session), by a process that belongs to none.", accessWord(accessCC(j.f)), j.f.Parameters[0]))
	j.accessBy(2)
}

func happenedCF(*Facts) report.Text {
	return report.T("it used memory of a logon from a process that belongs to none")
}

func happenedCC(f *Facts) report.Text {
	if guardCodes[f.Code] {
		if accessCC(f) == "write" {
			return report.T("it wrote past the end of its block of memory")
		}
		return report.T("it read past the end of its block of memory")
	}
	if accessCC(f) == "write" {
		return report.T("it wrote to memory that had been freed")
	}
	return report.T("it used memory that had been freed")
}
