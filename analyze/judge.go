package analyze

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bugcheck/kernel"
	"bugcheck/report"
)

// judgement is a verdict in the making.
type judgement struct {
	f       *Facts
	v       report.Verdict
	decided bool   // cause and culprit stand; the stack does not decide any more
	most    string // the highest confidence that the stop code allows; "" for any
	itself  bool   // the culprit called KeBugCheckEx itself
	placed  bool   // the evidence already says which code failed
	cause   string // whoever the stack shows: he noticed it; "" where he is to blame
	sure    string // how sure that is
	class   string
	what    report.Text // happened, where the stop code is not all of it
	bucket  string      // the whole bucket, where the class is not all of it
	nobody  bool        // no driver is at work where it was noticed: the stack suggests none
	gone    []string    // of the alternatives those that were unloaded: they open no report
	near    string      // the nearest driver on a stack of which nothing is certain; "" for none
	known   bool        // what says who did it, though no driver did
}

// Judge says who crashed Windows, or a program. It is a pure function of f.
func Judge(f Facts) report.Verdict {
	if f.User != nil {
		return judgeUser(&f)
	}
	r := ruleFor(f.Code)
	j := &judgement{f: &f, class: classOf(&f)}
	if r.judge != nil {
		r.judge(j)
	}
	if r.judge == nil && f.Exception != nil {
		judgeException(j)
	}
	j.judgePointed()
	j.judgeChanges()
	j.judgePage()
	j.judgeRAM()
	j.judgeBlock()
	if isHang(&f) && (r.judge == nil || waitCodes[f.Code]) {
		j.judgeStuck()
	}
	j.judgeHardware()
	j.judgeNamed()
	if !j.decided {
		j.judgeStack()
	}
	j.judgeNoticed()
	j.judgePending()
	j.judgeCrashTool()
	j.judgeWatched()
	j.name()
	j.alternatives()
	j.judgeKnown()
	j.summarize(r)
	j.v.NextSteps = nextSteps(j)
	return j.v
}

// evidence adds a fact that speaks for the verdict.
func (j *judgement) evidence(trust string, source, fact report.Text) {
	j.v.Evidence = append(j.v.Evidence, report.Evidence{Fact: fact, Source: source, Trust: trust})
}

// decide settles cause and confidence without a culprit among the drivers.
func (j *judgement) decide(cause, confidence string) {
	j.decided = true
	j.v.Cause, j.v.Confidence = cause, confidence
}

// convict settles the culprit.
func (j *judgement) convict(image, module, symbol, confidence string) {
	j.decide(report.CauseDriver, j.capped(confidence))
	j.v.Image, j.v.Module, j.v.Symbol = image, module, symbol
}

// noticed settles the cause and leaves it to the stack who is named: he met it, and
// is not to blame.
func (j *judgement) noticed(cause, confidence string) { j.cause, j.sure = cause, confidence }

// likely is noticed, with low confidence, unless the stack names a driver of a third
// party.
func (j *judgement) likely(cause string) {
	if f, ok := blamed(j.f); !ok || !thirdParty(f.Image) {
		j.noticed(cause, report.Low)
	}
}

// judgeNoticed applies noticed. Whom a scan alone found is no more than a guess, which
// hardware, or a cause that is sure, takes the ground from.
func (j *judgement) judgeNoticed() {
	switch j.v.Cause {
	case report.CauseDriver, report.CauseUnknown, report.CauseMemoryCorruption:
	default:
		return
	}
	if j.cause == "" {
		return
	}
	if j.bucket == noBucket && (j.cause == report.CauseHardware || j.sure != report.Low) {
		j.v.Image, j.v.Module = "", ""
	}
	j.v.Cause, j.v.Confidence = j.cause, j.sure
}

// limit caps the confidence in a culprit: where damage is found long after it was
// done, who found it is the detector, not the culprit.
func (j *judgement) limit(most string) { j.most = most }

func (j *judgement) capped(confidence string) string {
	if j.most == report.Low || j.most == report.Medium && confidence == report.High {
		return j.most
	}
	return confidence
}

// parameter is the source of a fact that a stop code parameter tells, 1 to 4.
func parameter(n int) report.Text { return report.T("parameter %d", n) }

// judgeNamed takes over the driver that Windows itself names (KiBugCheckDriver,
// which the blue screen shows as "What failed"): it does so only where the fault's
// own address lies in that driver.
func (j *judgement) judgeNamed() {
	if j.f.Named == "" {
		return
	}
	named := report.T("Windows itself named %s on the blue screen.", j.f.Named)
	if j.v.Cause == report.CauseHardware {
		named = report.T("Windows itself named %s on the blue screen: it names whose code failed, not why.", j.f.Named)
	}
	j.evidence(report.Recorded, report.T("driver named by Windows"), named)
	if !j.decided && thirdParty(j.f.Named) {
		j.placed = true
		j.convict(j.f.Named, kernel.ModuleName(j.f.Named), "", report.High)
	}
}

// judgeStack names the culprit by the first frame that is not to be ignored.
func (j *judgement) judgeStack() {
	frame, ok := blamed(j.f)
	switch {
	case ok && frame.Module == "nt":
		j.decideKernel(frame)
	case ok:
		j.convictFrame(frame)
	default:
		j.suspect()
	}
}

// decideKernel handles a fault inside the kernel itself: it is where every
// driver's mistake comes to light, so it proves nothing against Windows.
func (j *judgement) decideKernel(f Frame) {
	j.decide(report.CauseUnknown, report.Low)
	j.v.Image, j.v.Module, j.v.Symbol = f.Image, f.Module, f.Symbol
	if isMemoryManager(f.Symbol) {
		j.v.Cause, j.v.Image = report.CauseMemoryCorruption, "memory_corruption"
	}
	if j.f.Context.Fault {
		j.evidence(report.Recorded, j.contextSource(), report.T("The fault is in the Windows kernel itself, at %s; the kernel is where the mistakes of drivers and of memory come to light.", at(f)))
		j.nearestDriver()
	} else {
		j.evidence(report.Derived, report.T("stack"), report.T("The kernel stopped Windows itself, from %s: it noticed that something was wrong; who did it is not said by that.", at(f)))
	}
}

// nearestDriver names the driver whose addresses a scan meets first: a clue for
// where to look, too weak to make it a suspect.
func (j *judgement) nearestDriver() {
	for _, f := range j.f.Frames {
		if f.Trust == report.TrustScan && f.Module != "" && !soft[strings.ToLower(f.Module)] {
			j.near = f.Image
			j.evidence(report.Guessed, report.T("stack"), report.T("The nearest driver on the stack is %s; the call may have come from there.", describe(f.Image)))
			return
		}
	}
}

func (j *judgement) convictFrame(f Frame) {
	switch {
	case f.Trust != report.TrustContext && j.raised(f):
		j.itself = true
		j.convict(f.Image, f.Module, f.Symbol, report.Medium)
		j.evidence(report.Derived, report.T("stack"), report.T("%s stopped Windows itself: the call of KeBugCheckEx came from %s.", f.Image, at(f)))
		j.bootCodeLater()
	case f.Trust != report.TrustContext:
		j.convict(f.Image, f.Module, f.Symbol, report.Medium)
		j.evidence(report.Derived, report.T("stack"), report.T("The first caller on the stack that is not part of the Windows kernel is %s.", at(f)))
	default:
		j.convict(f.Image, f.Module, f.Symbol, confidenceAt(f))
		if !j.placed {
			j.evidence(report.Recorded, j.contextSource(), report.T("The instruction that failed lies in %s.", at(f)))
		}
	}
	if !thirdParty(f.Image) {
		j.evidence(report.Derived, report.T("list of Windows drivers"), report.T("%s is part of Windows: it may have been handed bad data by a driver that uses it, so the place of the fault alone does not prove that it is to blame.", f.Image))
		j.suggestClients(f)
	}
}

// confidenceAt is how sure a fault's own place makes: a third party's driver that fails
// is to blame; one of Windows may have been handed bad data.
func confidenceAt(f Frame) string {
	if thirdParty(f.Image) {
		return report.High
	}
	return report.Low
}

// raised reports that a frame is the caller of KeBugCheckEx: the first behind
// the header's context.
func (j *judgement) raised(f Frame) bool {
	return !j.f.Context.Fault && len(j.f.Frames) > 1 && j.f.Frames[1] == f
}

// bootCodeLater: a code of the start of Windows that comes long after it was not
// raised by Windows; drivers reuse such numbers.
func (j *judgement) bootCodeLater() {
	if isBootCodeLater(j.f) {
		j.evidence(report.Derived, report.T("stop code and uptime"), report.T("Windows raises this code only while it starts, but it had been up for %s: the driver used the number for a purpose of its own, and its usual meaning does not count.", report.Span(j.f.Uptime)))
	}
}

func isBootCodeLater(f *Facts) bool { return category(f.Code) == "boot" && f.Uptime > startTakes }

// startTakes is longer than any start of Windows.
const startTakes = 30 * time.Minute

// suspect handles a stack of which nothing is certain: a scanned frame may
// suggest, never convict, and never decides a bucket.
func (j *judgement) suspect() {
	j.decide(report.CauseUnknown, report.Low)
	found := suspects(j.f)
	if frame, ok := lastResort(j.f); ok && len(found) == 0 {
		j.decideKernel(frame)
		return
	}
	if len(found) != 1 {
		return
	}
	j.v.Cause, j.v.Image, j.v.Module = report.CauseDriver, found[0].Image, found[0].Module
	j.evidence(report.Guessed, report.T("stack"), report.T("%s is the only driver from outside Windows whose addresses lie on the stack (%d of them); without unwind data nobody can say that these calls were still in progress.", found[0].Image, found[0].count))
	j.bucket = noBucket
}

// noBucket stands for a bucket that the facts do not reach to.
const noBucket = "-"

// contextSource says where the frames begin.
func (j *judgement) contextSource() report.Text {
	if j.f.Context.Source.IsZero() {
		return report.T("context of the dump header")
	}
	return j.f.Context.Source
}

// at names the place of a frame.
func at(f Frame) string { return codeAt(f.Module, f.Symbol, f.Offset) }

// at names a place in a module.
func (p Place) at() string { return codeAt(p.Module, p.Symbol, p.Offset) }

// codeAt is module!symbol+0x1c, or module+0x1c without a symbol.
func codeAt(module, symbol string, offset uint64) string {
	if symbol != "" {
		return fmt.Sprintf("%s!%s+0x%x", module, symbol, offset)
	}
	return fmt.Sprintf("%s+0x%x", module, offset)
}

// name sets bucket and hash. A culprit that was found by its module alone gets
// the function of its first frame that is certain.
func (j *judgement) name() {
	if j.v.Symbol == "" && j.v.Module != "" {
		j.v.Symbol = symbolOf(certain(j.f), j.v.Module)
	}
	switch {
	case j.bucket == noBucket:
		return
	case j.bucket == "" && j.v.Module != "":
		j.bucket = j.class + "_" + function(j.v.Module, j.bucketSymbol())
	case j.bucket == "":
		return
	}
	if j.f.Live {
		j.bucket = "LKD_" + j.bucket
	}
	j.v.Bucket, j.v.BucketHash = j.bucket, BucketHash("km", j.bucket)
}

// bucketSymbol is the function as the bucket has it. A failed check in the kernel
// itself goes under the entry of the check, whatever noticed it (3 published
// cases), but for the list of timers, which is named.
func (j *judgement) bucketSymbol() string {
	if j.f.Code == 0x139 && j.v.Module == "nt" && j.v.Symbol != "" && !isTimerList(j.f) {
		return "KiFastFailDispatch"
	}
	return j.v.Symbol
}

// symbolOf is the function of the first frame in a module; "" if there is none.
func symbolOf(frames []Frame, module string) string {
	for _, f := range frames {
		if f.Module == module {
			return f.Symbol
		}
	}
	return ""
}

// function is the part of a bucket that names the code.
func function(module, symbol string) string {
	if symbol == "" {
		symbol = "unknown_function"
	}
	return module + "!" + symbol
}

// alternatives lists the other drivers that could be behind it: those of third
// parties on the stack, which a scan found.
func (j *judgement) alternatives() {
	j.v.Alternatives = slices.DeleteFunc(j.v.Alternatives, func(a report.Alternative) bool { return a.Image == j.v.Image })
	j.v.Alternatives = j.v.Alternatives[:min(len(j.v.Alternatives), maxAlternatives)]
	if j.v.Confidence == report.High && j.f.Context.Fault || j.v.Cause == report.CauseRequested || j.v.Cause == report.CauseHardware || j.nobody {
		return
	}
	for _, s := range suspects(j.f) {
		if s.Image == j.v.Image || j.hasAlternative(s.Image) || len(j.v.Alternatives) == maxAlternatives {
			continue
		}
		why := report.T("addresses of it on the stack: %d; it may have been at work", s.count)
		if s.certain {
			why = report.T("it is among the callers on the stack")
		}
		j.v.Alternatives = append(j.v.Alternatives, report.Alternative{Image: s.Image, Why: why})
	}
}

// maxAlternatives keeps the list to what a person can follow up.
const maxAlternatives = 5

func (j *judgement) hasAlternative(image string) bool {
	for _, a := range j.v.Alternatives {
		if a.Image == image {
			return true
		}
	}
	return false
}

// suggestFirst is suggest, ahead of all others.
func (j *judgement) suggestFirst(image string, why report.Text) {
	if image != "" && image != j.v.Image && !j.hasAlternative(image) {
		j.v.Alternatives = slices.Insert(j.v.Alternatives, 0, report.Alternative{Image: image, Why: why})
	}
}

// suggest adds an alternative ahead of those from the stack.
func (j *judgement) suggest(image string, why report.Text) {
	if image != "" && image != j.v.Image && !j.hasAlternative(image) {
		j.v.Alternatives = append(j.v.Alternatives, report.Alternative{Image: image, Why: why})
	}
}
