package analyze

import (
	"slices"

	"bugcheck/report"
)

// IRQL_NOT_LESS_OR_EQUAL (0xA) and DRIVER_IRQL_NOT_LESS_OR_EQUAL (0xD1): memory
// was touched that was not there, at an IRQL where Windows cannot fetch it.
// P1 address, P2 IRQL, P3 access (bit 0 write, bit 3 execute), P4 instruction.

func collectAccess(c *collection) {
	p := c.facts.Parameters
	c.facts.Exception = &Exception{Code: 0xc0000005, Address: p[3], Access: accessBits(p[2]), Target: &p[0]}
	irql := uint8(p[1])
	if p[1] <= 31 {
		c.facts.IRQL = &irql
	}
	c.faultAt(p[3], parameter(4))
}

// accessBits reads parameter 3 of 0xA and 0xD1.
func accessBits(p uint64) string {
	switch {
	case p&8 != 0:
		return "execute"
	case p&1 != 0:
		return "write"
	}
	return "read"
}

func judgeAccess(j *judgement) {
	p := j.f.Parameters
	if where := j.f.Places[3]; where.Kind == PlaceModule {
		j.placed = true
		j.evidence(report.Recorded, parameter(4), report.T("The access was made by the instruction at 0x%x, which lies in %s.", p[3], where.at()))
	} else if where.Kind == PlaceUnloaded {
		j.evidence(report.Recorded, parameter(4), report.T("The instruction at 0x%x lies where %s was before it was unloaded: code ran in a driver that was gone.", p[3], where.Image))
		j.convict(where.Image, where.Module, "", report.High)
	}
	if p[1] == 0xff { // how Windows records it; no processor has such a level
		j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("It was an attempt to %s 0x%x while the processor took no interrupts (recorded as IRQL 255); memory that is not resident cannot be brought in then.", accessWord(accessBits(p[2])), p[0]))
	} else {
		j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("It was an attempt to %s 0x%x at IRQL %d; at IRQL 2 and above, memory that is not resident cannot be brought in.", accessWord(accessBits(p[2])), p[0], p[1]))
	}
	j.describeTarget(p[0], j.f.Places[0], parameter(1))
}

// describeTarget says what kind of address was touched.
func (j *judgement) describeTarget(addr uint64, p Place, source report.Text) {
	j.describeFill(addr, source)
	switch p.Kind {
	case PlaceNull:
		if follows(j.f) == followsNo { // no pointer of its instruction is null
			return
		}
		if addr == 0 {
			j.evidence(report.Derived, source, report.T("The address is zero: a null pointer was used."))
			return
		}
		j.evidence(report.Derived, source, report.T("The address lies in the null page: a null pointer was used, with an offset."))
	case PlaceUser:
		j.evidence(report.Derived, source, report.T("The address belongs to user mode: a pointer from a program was used in the kernel, or a stray one."))
	case PlaceOneBit:
		j.evidence(report.Derived, source, report.T("The address is not canonical, but would be if bit %d were flipped: a single wrong bit speaks for faulty memory or a faulty processor.", p.Bit))
	case PlaceNonCanonical:
		j.evidence(report.Derived, source, report.T("The address is not canonical, so it is no pointer at all; the data it came from was probably overwritten."))
	case PlaceUnloaded:
		j.evidence(report.Derived, source, report.T("The address lies where %s was before it was unloaded.", p.Image))
		j.suggest(p.Image, report.T("the address that was touched lies where it was before it was unloaded"))
	case PlaceModule:
		j.evidence(report.Derived, source, report.T("The address lies in %s.", p.at()))
	case PlaceStack:
		j.evidence(report.Derived, source, report.T("The address lies on the stack of the current thread."))
	}
}

// classAccess: code that was not in memory has a class of its own, and so has a
// fault while interrupts were disabled, which Windows reports as IRQL 0xff (1 and 2
// published cases).
func classAccess(f *Facts) string {
	switch {
	case accessBits(f.Parameters[2]) == "execute" && f.Places[3].Kind != PlaceUnloaded:
		if ranNowhere(f) {
			return verified(f, "AV") + "_CODE_AV_BAD_IP"
		}
		return verified(f, "AV") + "_CODE_AV_PAGED_IP"
	case f.Parameters[1] == interruptsDisabled:
		return verified(f, "DISABLED_INTERRUPT_FAULT")
	}
	return verified(f, "AV")
}

// ranNowhere reports an instruction outside every module: BAD_IP instead of PAGED_IP,
// code that was paged out (1 published bucket, and 4; in one of these _VRF stands
// behind AV).
func ranNowhere(f *Facts) bool {
	i := slices.IndexFunc(f.Frames, func(fr Frame) bool { return fr.Trust == report.TrustContext })
	return f.Context.Fault && i >= 0 && f.Frames[i].Module == ""
}

// interruptsDisabled stands as the IRQL of a fault while the processor took no
// interrupts.
const interruptsDisabled = 0xff

func happenedAccess(f *Facts) report.Text {
	if f.Places[0].Kind == PlaceNull {
		return report.T("it used a null pointer")
	}
	switch accessBits(f.Parameters[2]) {
	case "execute":
		return report.T("it ran code that was not in memory, at a raised interrupt level (IRQL) at which Windows cannot fetch it")
	case "write":
		return report.T("it wrote to memory that was not there, at a raised interrupt level (IRQL) at which Windows cannot fetch it")
	}
	return report.T("it read memory that was not there, at a raised interrupt level (IRQL) at which Windows cannot fetch it")
}

// accessWord is the noun for an access, to be translated.
func accessWord(access string) report.Text {
	switch access {
	case "write":
		return report.T("write")
	case "execute":
		return report.T("execute")
	}
	return report.T("read")
}
