package analyze

import "bugcheck/report"

// SYSTEM_EXIT_OWNED_MUTEX (0x39): a worker routine returned while its thread still
// held a mutex. P1 the routine, P2 its parameter, P3 the work item.

// judge39 names the routine: it is not on the stack any more (1 published case, the
// hash of its bucket checked).
func judge39(j *judgement) {
	where := j.f.Places[0]
	if where.Kind != PlaceModule {
		return
	}
	j.evidence(report.Recorded, parameter(1), report.T("The worker routine that returned while it still held a lock is %s.", where.at()))
	frame := Frame{Image: where.Image, Module: where.Module, Symbol: where.Symbol, Offset: where.Offset, Trust: report.TrustContext}
	if frame.Module == "nt" {
		j.decideKernel(frame)
		return
	}
	j.convict(frame.Image, frame.Module, frame.Symbol, confidenceAt(frame))
}

func happened39(*Facts) report.Text {
	return report.T("a worker routine returned while it still held a lock (a mutex)")
}
