package analyze

import "bugcheck/report"

// Code or data of a driver that is gone: DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_
// OPERATIONS (0xCE: P1 address, P2 access, P3 instruction) and SYSTEM_SCAN_AT_RAISED_
// IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD (0xD4: P1 address, P2 IRQL, P3 access, P4
// instruction). Both say that the address lies in an unloaded driver, and that this one
// is at fault ("Bug Check Code Reference" in Microsoft's documentation).

func collectCE(c *collection) {
	if c.facts.Code == 0xd4 {
		collectAccess(c)
		return
	}
	collectCC(c)
}

func judgeCE(j *judgement) {
	p := j.f.Parameters
	where := j.f.Places[0]
	if where.Kind != PlaceUnloaded {
		j.evidence(report.Recorded, parameter(1), report.T("0x%x belonged to a driver that had been unloaded; which one, the dump does not hold.", p[0]))
		j.limit(report.Low)
		return
	}
	j.evidence(report.Recorded, parameter(1), report.T("0x%x lies where %s was before it was unloaded.", p[0], where.Image))
	j.evidence(report.Derived, report.T("stop code"), report.T("A driver has to cancel its timers, deferred procedures and work items before it lets itself be unloaded; %s left something that still led there.", where.Image))
	j.convict(where.Image, where.Module, "", report.High)
}

func happenedCE(*Facts) report.Text {
	return report.T("a driver was unloaded while something still led to its code")
}
