package analyze

import "bugcheck/report"

// PAGE_FAULT_IN_NONPAGED_AREA (0x50): P1 address, P2 access, P3 instruction (if
// known). P2 holds bits since Windows 10 1507 (bit 1 write, bit 4 execution; on
// ARM bit 3 execution); before, 1 stood for a write.

const firstBitsBuild = 10240

func access50(f *Facts) string {
	p := f.Parameters[1]
	switch {
	case p&0x10 != 0, p&8 != 0 && f.Arch == "arm64":
		return "execute"
	case p&2 != 0:
		return "write"
	case p == 1 && f.Build != 0 && f.Build < firstBitsBuild:
		return "write"
	}
	return "read"
}

func collect50(c *collection) {
	p := c.facts.Parameters
	c.facts.Exception = &Exception{Code: statusAccessViolation, Address: p[2], Access: access50(&c.facts), Target: &p[0]}
	if p[2] != 0 {
		c.faultAt(p[2], parameter(3))
	}
}

func judge50(j *judgement) {
	p := j.f.Parameters
	kind := access50(j.f)
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("It was an attempt to %s 0x%x, where no memory is (or none that may be used so).", accessWord(kind), p[0]))
	j.describeTarget(p[0], j.f.Places[0], parameter(1))
	if j.f.Build >= firstBitsBuild { // before, it was reserved
		j.says(4)
	}
	if p[2] == p[0] && kind == "execute" {
		j.evidence(report.Recorded, parameter(3), report.T("The processor was to run that address itself: a call or return went through a bad pointer, so look at its caller on the stack, not at the address."))
		j.nearestCaller()
		return
	}
	if where := j.f.Places[2]; where.Kind == PlaceModule {
		j.placed = true
		j.evidence(report.Recorded, parameter(3), report.T("The access was made by the instruction at 0x%x, which lies in %s.", p[2], where.at()))
	}
}

// nearestCaller names the first candidate for who called the bad address: the
// return address of a call stands right at the stack pointer.
func (j *judgement) nearestCaller() {
	if len(j.f.Frames) < 2 || j.f.Frames[1].Trust != report.TrustScan {
		return
	}
	caller := j.f.Frames[1]
	j.evidence(report.Guessed, report.T("stack"), report.T("The nearest word on the stack that could be the caller's is %s.", at(caller)))
	j.suggestClients(caller)
}

// class50: read and write keep a literal (null), for the page type that was not
// looked up (3 published cases).
func class50(f *Facts) string {
	switch access50(f) {
	case "write":
		return verified(f, "AV_W_(null)")
	case "execute": // 2 published cases
		return verified(f, "AV_X_(null)_BAD_IP")
	}
	return verified(f, "AV_R_(null)")
}

func happened50(f *Facts) report.Text {
	switch access50(f) {
	case "execute":
		return report.T("it ran into an address where there is no code")
	case "write":
		return report.T("it wrote to kernel memory that is not there")
	}
	return report.T("it read kernel memory that is not there")
}
