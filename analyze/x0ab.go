package analyze

import "bugcheck/report"

// Things that ran out or were not given back, with the figures in the parameters ("Bug
// Check Code Reference" in Microsoft's documentation). The stack shows who came last.

// SESSION_HAS_VALID_POOL_ON_EXIT (0xAB): P1 the session, P2 and P3 bytes of paged and
// nonpaged pool.
func judgeAB(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("Session %d left %d bytes of paged and %d bytes of nonpaged pool behind.", p[0], p[1], p[2]))
	j.evidence(report.Derived, report.T("stop code"), report.T("Memory of a session belongs to drivers of display and printers; the stack is that of the end of the session and does not show which."))
	for _, i := range j.f.Images {
		if kindOf(i.Image) == "display" && thirdParty(i.Image) && len(j.v.Alternatives) < maxAlternatives {
			j.suggest(i.Image, report.T("drivers of this kind allocate memory of sessions; nothing else points there"))
		}
	}
	j.limit(report.Low)
}

// NO_PAGES_AVAILABLE (0x4D), DIRTY_MAPPED_PAGES_CONGESTION (0xEB) and
// DIRTY_NOWRITE_PAGES_CONGESTION (0xFD): P1 pages that still have to be written, P4 the
// last status of writing.
func judgeDirty(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, parameter(1), report.T("Pages that still had to be written to disk: %d (%d MiB).", p[0], p[0]>>pagesToMiB))
	status := uint32(p[3])
	switch {
	case j.f.Code == 0xeb: // its parameters hold no status
		j.noticed(report.CauseStorage, report.Low)
	case ofStorage[status] && isStatus(p[3]):
		j.tellStatus(4)
		j.noticed(report.CauseStorage, report.Medium)
	default:
		j.tellStatus(4)
	}
	j.limit(report.Low)
}

// pagesToMiB: pages are 4 KiB on every Windows that writes dumps today.
const pagesToMiB = 8
