package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// IRQL_UNEXPECTED_VALUE (0xC8): P1 holds the IRQL from bit 16, the one that has to be from
// bit 8, and what was going on in the low byte: 0 and 1 an APC (P2 its kernel routine), 2
// a callout (P2 the routine), 3 an interrupt (P2 its service routine), 0xfe: P2 tells
// whether APCs are disabled ("Bug Check 0xC8" in Microsoft's documentation).

const (
	afterCallout   = 2
	afterInterrupt = 3
)

func judgeC8(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, parameter(1), report.T("The interrupt level (IRQL) is %d, and has to be %d.", p[0]>>16&0xff, p[0]>>8&0xff))
	switch kind := p[0] & 0xff; {
	case kind == afterCallout || kind == afterInterrupt:
		j.judgeRoutine(win.Pointer{Parameter: 2, Kind: win.PointerCode, Role: win.RoleNames})
	case kind < afterCallout:
		j.judgeRoutine(win.Pointer{Parameter: 2, Kind: win.PointerCode, Role: win.RolePoints})
	}
	j.limit(report.Medium)
}
