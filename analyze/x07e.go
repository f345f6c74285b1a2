package analyze

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/report"
)

func archOf(f *Facts) dump.Arch { return dump.Arch(f.Arch) }

// SYSTEM_THREAD_EXCEPTION_NOT_HANDLED (0x7E, 0x1000007E): P1 status, P2
// instruction, P3 exception record, P4 context.
func collect7E(c *collection) {
	p := c.facts.Parameters
	c.recordAt(p[2])
	c.exceptionFrom(p[0], p[1])
	if !c.contextAt(p[3], report.T("context record (parameter 4)")) {
		c.faultAt(p[1], parameter(2))
	}
}

// SYSTEM_SERVICE_EXCEPTION (0x3B): P1 status, P2 instruction, P3 context.
func collect3B(c *collection) {
	p := c.facts.Parameters
	c.exceptionFrom(p[0], p[1])
	if !c.contextAt(p[2], report.T("context record (parameter 3)")) {
		c.faultAt(p[1], parameter(2))
	}
}

// KMODE_EXCEPTION_NOT_HANDLED (0x1E): P1 status, P2 instruction, P3 and P4 the
// exception's first two parameters: for an access violation the kind of access
// and the address.
func collect1E(c *collection) {
	p := c.facts.Parameters
	c.exceptionFrom(p[0], p[1])
	if x := c.facts.Exception; x.Code == statusAccessViolation {
		x.Access, x.Target = access(p[2]), &p[3]
	}
	c.faultAt(p[1], parameter(2))
}

// class1E keeps R or W (4 published cases, 1 hash checked). A status is in upper case
// in the new form (8 published buckets).
func class1E(f *Facts) string {
	x := f.Exception
	if x == nil || x.Code != statusAccessViolation {
		return verified(f, fmt.Sprintf("0x1E_%X", status(f)))
	}
	if x.Access == "write" {
		return verified(f, "AV_W")
	}
	return verified(f, "AV_R")
}

// KERNEL_MODE_EXCEPTION_NOT_HANDLED (0x8E, 32-bit systems): P1 status, P2
// instruction, P3 trap frame.
func collect8E(c *collection) {
	p := c.facts.Parameters
	c.exceptionFrom(p[0], p[1])
	c.faultAt(p[1], parameter(2))
}

// class8E keeps the code: no new-form log of a 32-bit system was seen.
func class8E(f *Facts) string { return verified(f, "0x8E") }
