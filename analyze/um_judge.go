package analyze

import (
	"strings"

	"bugcheck/report"
)

// judgeUser says why a program ended, or why its dump was taken.
func judgeUser(f *Facts) report.Verdict {
	j := &judgement{f: f}
	r := userRule{}
	switch {
	case f.User.Lost:
		r = lostRule
	case f.Exception == nil:
		r = requestedRule
	default:
		r = userRuleFor(f.Exception.Code)
	}
	j.userEvidence()
	if r.judge != nil {
		r.judge(j)
	}
	if !j.decided {
		j.userCulprit(r)
	}
	j.userAlternatives()
	j.userBucket(r)
	j.userSummary(r)
	j.v.NextSteps = userSteps(j, r)
	return j.v
}

// userRule is what is special about one way in which programs end.
type userRule struct {
	happened func(f *Facts) report.Text // a clause: "it used a null pointer"
	judge    func(j *judgement)
	class    func(f *Facts) string // of the bucket, the code behind it left out; "": none is known
	raised   bool                  // a library of Windows raised it for who called; it stands at the fault, as always
	steps    func(j *judgement) []report.Text
}

// userEvidence says what the exception is and where it came from.
func (j *judgement) userEvidence() {
	x, u := j.f.Exception, j.f.User
	if x == nil {
		return
	}
	source := report.T("exception record")
	frame, ok := j.faultFrame()
	switch {
	case ok:
		j.placed = true
		j.evidence(report.Recorded, source, report.T("Exception 0x%08x (%s) came from %s.", x.Code, u.Reason, at(frame)))
	case u.At.Kind == PlaceUnloaded:
		j.evidence(report.Recorded, source, report.T("Exception 0x%08x (%s) came from 0x%x, where %s was before it was unloaded: code ran in a library that was gone.", x.Code, u.Reason, x.Address, u.At.Image))
	case x.Address == 0:
		j.evidence(report.Recorded, source, report.T("The exception is 0x%08x (%s); it names no instruction.", x.Code, u.Reason))
	default:
		j.evidence(report.Recorded, source, report.T("Exception 0x%08x (%s) came from 0x%x, which lies in no module.", x.Code, u.Reason, x.Address))
	}
	if u.Thread != "" {
		j.evidence(report.Recorded, report.T("thread names"), report.T("The thread is called %s.", u.Thread))
	}
	if u.Verifier {
		j.evidence(report.Recorded, report.T("loaded modules"), report.T("Application Verifier was on: it stops a program at its mistake, not at what comes of it later."))
	}
}

// faultFrame is the frame that the registers stand in; false if it lies in no
// module.
func (j *judgement) faultFrame() (Frame, bool) {
	f := j.f.Frames
	return first(f), len(f) > 0 && f[0].Trust == report.TrustContext && f[0].Module != ""
}

func first(f []Frame) Frame {
	if len(f) == 0 {
		return Frame{}
	}
	return f[0]
}

// userCertain are the frames that a verdict on a program may rest on.
func userCertain(f *Facts) []Frame {
	var list []Frame
	for _, frame := range f.Frames {
		if frame.Trust == report.TrustScan {
			break
		}
		if frame.Module != "" {
			list = append(list, frame)
		}
	}
	return list
}

// userCulprit names the first module on the stack that is not a library working
// on what its caller handed it.
func (j *judgement) userCulprit(r userRule) {
	frames := userCertain(j.f)
	for i, f := range frames {
		if j.f.User.carrier(f.Image) || userEntry(frames[i:]) {
			continue
		}
		j.convictProgram(f, i == 0 && f.Trust == report.TrustContext)
		return
	}
	j.decide(report.CauseUnknown, report.Low)
	if f, ok := j.faultFrame(); ok && r.raised {
		j.evidence(report.Derived, report.T("stack"), report.T("%s is where every exception is raised from; who raised it stands further down.", f.Image))
	} else if ok {
		j.v.Image, j.v.Module, j.v.Symbol = f.Image, f.Module, f.Symbol
		j.evidence(report.Derived, report.T("stack"), report.T("%s works on what its callers hand it: that the fault is there does not prove that it is to blame.", f.Image))
	}
	j.nearestModule()
}

// userEntry reports that only the start of a thread is left of a stack.
func userEntry(frames []Frame) bool {
	return len(frames) > 0 && strings.HasPrefix(frames[0].Symbol, "BaseThreadInitThunk")
}

func (j *judgement) convictProgram(f Frame, atFault bool) {
	confidence := report.Medium
	switch {
	case atFault:
		confidence = report.High
	case j.f.Exception != nil:
		j.evidence(report.Derived, report.T("stack"), report.T("The first caller on the stack that is not a library of Windows is %s.", at(f)))
	}
	j.decide(report.CauseProgram, j.capped(confidence))
	j.v.Image, j.v.Module, j.v.Symbol = f.Image, f.Module, f.Symbol
}

// nearestModule names the module of the program whose address a scan meets
// first: where to look, no more.
func (j *judgement) nearestModule() {
	for _, f := range j.f.Frames {
		if f.Trust == report.TrustScan && f.Module != "" && !j.f.User.carrier(f.Image) {
			j.evidence(report.Guessed, report.T("stack"), report.T("The nearest address on the stack that is not of a library of Windows lies in %s; the call may have come from there.", at(f)))
			return
		}
	}
}

// userAlternatives lists the other modules that are not Windows' own and stand
// on the stack.
func (j *judgement) userAlternatives() {
	if j.v.Confidence == report.High || j.v.Cause == report.CauseRequested || j.v.Cause == report.CauseStorage {
		return
	}
	count, order := map[string]int{}, []string{}
	for _, f := range j.f.Frames {
		if f.Image == "" || f.Image == j.v.Image || strings.EqualFold(f.Image, j.f.User.Program) || j.f.User.carrier(f.Image) {
			continue
		}
		if count[f.Image]++; count[f.Image] == 1 {
			order = append(order, f.Image)
		}
	}
	for _, image := range order[:min(len(order), maxAlternatives)] {
		j.suggest(image, report.T("addresses of it on the stack: %d; it may have been at work", count[image]))
	}
}

// userSummary writes the sentence that is read first.
func (j *judgement) userSummary(r userRule) {
	what := report.T("it raised exception 0x%08x", code(j.f))
	if r.happened != nil {
		what = r.happened(j.f)
	}
	j.v.Summary = j.userSentence(j.program(), what)
}

// program is the name of the crashed program.
func (j *judgement) program() any {
	if j.f.User.Program == "" {
		return report.T("A program")
	}
	return j.f.User.Program
}

func code(f *Facts) uint32 {
	if f.Exception == nil {
		return 0
	}
	return f.Exception.Code
}

func (j *judgement) userSentence(program any, what report.Text) report.Text {
	v := &j.v
	own := strings.EqualFold(v.Image, j.f.User.Program)
	switch {
	case j.f.User.Lost:
		return report.T("%s: the dump is damaged or cut off, and what ended the program can no longer be read in it.", program)
	case j.f.Exception == nil && v.Cause == report.CauseUnknown:
		return report.T("This dump of %s was taken while an exception was being handled, but does not record it.", program)
	case v.Cause == report.CauseRequested:
		return report.T("This dump of %s records no crash: %s.", program, what)
	case v.Cause == report.CauseStorage:
		return report.T("Storage made %s crash: %s.", program, what)
	case v.Cause == report.CauseMemoryCorruption:
		return report.T("%s crashed: %s. The dump does not show who did the damage.", program, what)
	case v.Cause == report.CauseProgram && own && v.Confidence != report.Low:
		return report.T("%s crashed: %s.", program, what)
	case v.Cause == report.CauseProgram && v.Confidence == report.High:
		return report.T("%s crashed in %s: %s.", program, v.Image, what)
	case v.Cause == report.CauseProgram && v.Confidence == report.Medium:
		return report.T("%s crashed, most likely through %s: %s.", program, v.Image, what)
	case v.Image != "" && !own:
		return report.T("%s crashed in %s: %s. That does not prove that %s is to blame.", program, v.Image, what, v.Image)
	}
	return report.T("%s crashed: %s. The dump does not show who caused that.", program, what)
}
