package analyze

import (
	"slices"

	"bugcheck/report"
	"bugcheck/win"
)

// summarize writes the one sentence that an operator reads first: what happened
// and who did it, as sure as the verdict is.
func (j *judgement) summarize(r rule) {
	what := report.T("stop code 0x%08x", j.f.Code)
	if j.f.Name != "" {
		what = report.T("stop code %s (0x%08x)", j.f.Name, j.f.Code)
	}
	switch {
	case !j.what.IsZero():
		what = j.what
	case r.happened != nil:
		what = r.happened(j.f)
	case j.itself && j.v.Cause == report.CauseDriver && j.v.Confidence != report.Low && thirdParty(j.v.Image):
		what = report.T("it stopped Windows itself, with %s", what)
	case win.English.Happened(j.f.Code) != "":
		what = report.T(win.English.Happened(j.f.Code))
	}
	j.v.Summary = j.sentence(what)
}

func (j *judgement) sentence(what report.Text) report.Text {
	v := &j.v
	if wentOn(j.f) && !j.isGraphicsReset() {
		return j.liveSentence(what)
	}
	switch v.Cause {
	case report.CauseRequested:
		if s := j.f.Stuck; s != nil && s.Short.Tag != "" && len(v.Alternatives) > 0 {
			return report.T("Windows was stopped on purpose when memory had run short; %s holds the most of it.", v.Alternatives[0].Image)
		}
		if len(v.Alternatives) > 0 {
			return report.T("Windows was stopped on purpose: %s. If it hung before, the first suspect is %s.", what, v.Alternatives[0].Image)
		}
		return report.T("Windows was stopped on purpose: %s.", what)
	case report.CauseHardware:
		if v.Confidence != report.High {
			return report.T("Hardware most likely made Windows stop: %s.", what)
		}
		return report.T("Hardware made Windows stop: %s.", what)
	case report.CauseFirmware:
		return report.T("The firmware (BIOS) made Windows stop: %s.", what)
	case report.CauseStorage:
		return report.T("Storage made Windows stop: %s.", what)
	case report.CauseDriver:
		return j.driverSentence(what)
	}
	first := j.firstSuspect()
	switch {
	case j.known:
		return report.T("Windows stopped: %s.", what)
	case v.Cause == report.CauseMemoryCorruption && thirdParty(v.Image) && first == "":
		return report.T("Windows stopped: %s. It was found while %s was at work; who did it, the dump does not show.", what, v.Image)
	case v.Module == "nt" && first != "":
		return report.T("Windows stopped in its own kernel: %s. The dump does not show who caused that; the first suspect is %s.", what, first)
	case v.Module == "nt":
		return report.T("Windows stopped in its own kernel: %s. The dump does not show who caused that.", what)
	case first != "":
		return report.T("Windows stopped: %s. The dump does not show who caused that; the first suspect is %s.", what, first)
	}
	return report.T("Windows stopped: %s. The dump does not show who caused that.", what)
}

// firstSuspect is the alternative to begin with; "" where there is none, or only drivers
// that had left.
func (j *judgement) firstSuspect() string {
	if a := j.v.Alternatives; len(a) > 0 && !slices.Contains(j.gone, a[0].Image) {
		return a[0].Image
	}
	return ""
}

// resetCodes are those by which Windows says that a graphics card did not answer.
var resetCodes = map[uint32]bool{0x116: true, 0x117: true, 0x141: true}

// isGraphicsReset reports a stop code about a graphics card that did not answer, with its
// driver named.
func (j *judgement) isGraphicsReset() bool {
	return resetCodes[j.f.Code] && j.v.Cause == report.CauseDriver && thirdParty(j.v.Image)
}

// liveSentence is sentence for a crash that was none.
func (j *judgement) liveSentence(what report.Text) report.Text {
	v := &j.v
	switch driver := v.Cause == report.CauseDriver; {
	case v.Cause == report.CauseRequested:
		return report.T("This dump was asked for, and Windows went on: %s.", what)
	case driver && v.Confidence == report.High:
		return report.T("%s made Windows report a failure and go on: %s.", v.Image, what)
	case driver && v.Confidence == report.Medium:
		return report.T("%s most likely made Windows report a failure and go on: %s.", v.Image, what)
	case driver:
		return report.T("Windows reported a problem and went on: %s. The first suspect is %s, but the dump does not prove it.", what, v.Image)
	case causesOfLive[v.Cause] != nil:
		return report.T("Windows reported a problem and went on: %s. It comes from %s.", what, causesOfLive[v.Cause]())
	case len(v.Alternatives) > 0:
		return report.T("Windows reported a problem and went on: %s. The dump does not show who caused that; the first suspect is %s.", what, v.Alternatives[0].Image)
	}
	return report.T("Windows reported a problem and went on: %s. The dump does not show who caused that.", what)
}

// causesOfLive are the causes that name a part of the machine.
var causesOfLive = map[string]func() report.Text{
	report.CauseHardware: func() report.Text { return report.T("the hardware") },
	report.CauseFirmware: func() report.Text { return report.T("the firmware (BIOS)") },
	report.CauseStorage:  func() report.Text { return report.T("the storage") },
}

// wentOn reports that Windows did not stop: a live dump, or a small one of a code that
// is raised for live dumps alone.
func wentOn(f *Facts) bool {
	code, _ := win.English.Code(f.Code)
	return f.Live || code.Live
}

func (j *judgement) driverSentence(what report.Text) report.Text {
	v := &j.v
	context := len(j.f.Frames) > 0 && j.f.Context.Fault && j.f.Frames[0].Image == v.Image
	switch {
	case j.isGraphicsReset():
		return report.T("The graphics card that %s drives stopped answering and could not be reset in time.", v.Image)
	case context && !thirdParty(v.Image):
		return report.T("Windows stopped in %s: %s. That does not prove that %s is to blame.", v.Image, what, v.Image)
	case v.Confidence == report.High:
		return report.T("%s crashed Windows: %s.", v.Image, what)
	case v.Confidence == report.Medium:
		return report.T("%s most likely crashed Windows: %s.", v.Image, what)
	case context:
		return report.T("Windows stopped in %s: %s. That does not prove that %s is to blame.", v.Image, what, v.Image)
	}
	return report.T("Windows stopped: %s. The first suspect is %s, but the dump does not prove it.", what, v.Image)
}
