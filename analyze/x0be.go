package analyze

import "bugcheck/report"

// ATTEMPTED_WRITE_TO_READONLY_MEMORY (0xBE): P1 address, P2 page table entry, P3
// trap frame.

func collectBE(c *collection) {
	p := c.facts.Parameters
	c.trapAt(p[2], report.T("trap frame (parameter 3)"))
	x := &Exception{Code: statusAccessViolation, Access: "write", Target: &p[0]}
	x.Address, _ = c.registers.PC()
	c.facts.Exception = x
}

func judgeBE(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("Something wrote to 0x%x, whose page table entry (0x%x) allows reading only.", p[0], p[1]))
	j.describeTarget(p[0], j.f.Places[0], parameter(1))
}

func happenedBE(*Facts) report.Text { return report.T("it wrote to memory that may only be read") }
