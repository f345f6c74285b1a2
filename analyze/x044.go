package analyze

import "bugcheck/report"

// Stop codes about one I/O request, which P1 points at: INCONSISTENT_IRP (0x2A),
// NO_MORE_IRP_STACK_LOCATIONS (0x35), MULTIPLE_IRP_COMPLETE_REQUESTS (0x44),
// CANCEL_STATE_IN_COMPLETED_IRP (0x48, P2 the cancel routine). The table of pointers
// leads to the drivers that the request went through ("Bug Check Code Reference" in
// Microsoft's documentation).

func judge44(j *judgement) {
	j.evidence(report.Derived, report.T("stop code"), report.T("Seldom does one driver complete its own request twice: mostly two drivers each take the request for theirs. The stack shows the second; the first has gone on."))
	j.limit(report.Medium)
}

func judge35(j *judgement) {
	j.evidence(report.Derived, report.T("stop code"), report.T("A request is made with room for the drivers below the one that makes it. A driver that was put in between later, or one that passes the same request on again, uses up that room."))
	j.limit(report.Medium)
}

func judge36(j *judgement) {
	j.evidence(report.Derived, report.T("stop code"), report.T("A driver deletes its own devices: the driver that the device belongs to is the one to ask."))
	j.limit(report.Medium)
}

// requestSteps have the I/O manager's own checks watch who handles requests wrongly:
// flag 0x10 of driver verifier is I/O verification ("Driver Verifier options").
func requestSteps(j *judgement) []report.Text {
	var steps []report.Text
	names := thirdPartyNames(j)
	if thirdParty(j.v.Image) {
		names = joinNames(names, j.v.Image)
	}
	if names == "" {
		return unknownSteps(j)
	}
	steps = append(steps, report.T("Update the drivers from outside Windows that were at work: %s.", names))
	return append(steps, ioVerifierStep(names), keepDumpStep(j))
}
