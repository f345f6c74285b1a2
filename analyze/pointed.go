package analyze

import (
	"slices"
	"strings"

	"bugcheck/kernel"
	"bugcheck/report"
	"bugcheck/win"
)

// What the objects that the parameters point at say of the crash. Whoever the
// documentation calls the culprit is convicted, everybody else suggested: a device
// that a crash is about may have been ill used by a driver that the dump does not
// show.

// judgePointed tells what each parameter points at. A parameter of which the code's
// own rule has spoken is left to that.
func (j *judgement) judgePointed() {
	for _, p := range win.Pointers(j.f.Code, j.f.Parameters[0]) {
		if j.hasEvidence(parameter(p.Parameter)) {
			continue
		}
		switch p.Kind {
		case win.PointerCode:
			j.judgeRoutine(p)
		case win.PointerStatus:
			j.tellStatus(p.Parameter)
		case win.PointerTag:
			if s := tag(j.f.Parameters[p.Parameter-1]); s != "" {
				j.evidence(report.Recorded, parameter(p.Parameter), report.T("Its letters are %s.", s))
			}
		case win.PointerInstruction:
			j.tellInstruction(p.Parameter)
		default:
			j.tellPointed(p)
		}
	}
	j.tellValues()
}

// tellValues says what the value of parameter 1 means, where no rule has spoken of it.
// Values of the others hold for some values of it alone, so they are told where it has
// none.
func (j *judgement) tellValues() {
	if ruleFor(j.f.Code).judge != nil {
		return
	}
	first := j.tellValue(1)
	for n := 2; n <= 4 && !first; n++ {
		j.tellValue(n)
	}
}

// tellValue says what the value of parameter n means, if the catalogue lists it.
func (j *judgement) tellValue(n int) bool {
	v, ok := win.English.Value(j.f.Code, n, j.f.Parameters[n-1])
	if ok && !j.hasEvidence(parameter(n)) {
		j.evidence(report.Recorded, parameter(n), report.T(v.Meaning))
	}
	return ok
}

// hasEvidence reports that something was said by a source already.
func (j *judgement) hasEvidence(source report.Text) bool {
	want := source.String()
	return slices.ContainsFunc(j.v.Evidence, func(e report.Evidence) bool { return e.Source.String() == want })
}

// tellInstruction places the instruction that the parameter names.
func (j *judgement) tellInstruction(n int) {
	if where := j.f.Places[n-1]; where.Kind == PlaceModule {
		j.placed = true
		j.evidence(report.Recorded, parameter(n), report.T("The instruction at 0x%x lies in %s.", j.f.Parameters[n-1], where.at()))
	}
}

// tellStatus names the status that a parameter is.
func (j *judgement) tellStatus(n int) {
	v := j.f.Parameters[n-1]
	if status := uint32(v); status != 0 && isStatus(v) && (win.StatusName(status) != "" || status>>30 == severityError) {
		j.evidence(report.Recorded, parameter(n), report.T("The status is %s.", win.Status(status)))
	}
}

// severityError stands in the two top bits of a status that is an error.
const severityError = 3

// judgeRoutine says whose routine a parameter is. One of the kernel is nobody's: it
// runs what drivers hand it.
func (j *judgement) judgeRoutine(p win.Pointer) {
	n, where := p.Parameter, j.f.Places[p.Parameter-1]
	switch where.Kind {
	case PlaceModule:
		j.evidence(report.Recorded, parameter(n), report.T("It is code of %s (%s).", describe(where.Image), where.at()))
	case PlaceUnloaded:
		j.evidence(report.Recorded, parameter(n), report.T("It lies where %s was before it was unloaded.", where.Image))
	default:
		return
	}
	if where.Module != "nt" {
		j.concern(p, where.Image, where.Symbol, report.High)
	}
}

// concern draws the conclusion that the table allows: who the parameter names is the
// culprit, who it points at a suspect.
func (j *judgement) concern(p win.Pointer, image, symbol, confidence string) {
	switch {
	case image == "":
	case p.Role == win.RoleNames && !j.decided:
		if !thirdParty(image) {
			confidence = report.Medium
		}
		j.evidence(report.Derived, report.T("documentation of the stop code"), report.T("By it, parameter %d leads to the driver at fault.", p.Parameter))
		j.convict(image, kernel.ModuleName(image), symbol, confidence)
	case p.Role != win.RoleTells && thirdParty(image):
		j.suggest(image, report.T("parameter %d leads to it (%s)", p.Parameter, kindWords[p.Kind]()))
	}
}

// kindWords are the kinds of objects for people.
var kindWords = map[string]func() report.Text{
	win.PointerIRP:      func() report.Text { return report.T("an I/O request") },
	win.PointerDevice:   func() report.Text { return report.T("a device") },
	win.PointerDriver:   func() report.Text { return report.T("a driver object") },
	win.PointerFile:     func() report.Text { return report.T("an open file") },
	win.PointerThread:   func() report.Text { return report.T("a thread") },
	win.PointerProcess:  func() report.Text { return report.T("a process") },
	win.PointerResource: func() report.Text { return report.T("a lock") },
	win.PointerObject:   func() report.Text { return report.T("an object of the kernel") },
	win.PointerType:     func() report.Text { return report.T("a type of objects") },
	win.PointerCode:     func() report.Text { return report.T("code") },
	win.PointerWorkItem: func() report.Text { return report.T("a work item, by which a driver has a system thread do something") },
	win.PointerCallers:  func() report.Text { return report.T("addresses of callers in a record of the kernel") },
	win.PointerName:     func() report.Text { return report.T("a name") },
}

// tellPointed tells what was found at a parameter.
func (j *judgement) tellPointed(p win.Pointer) {
	for _, o := range j.f.Pointed {
		if o.Parameter != p.Parameter {
			continue
		}
		if what := o.describe(); !what.IsZero() {
			j.evidence(report.Recorded, parameter(o.Parameter), what)
		}
		if o.Counts != nil {
			j.tellCounts(o)
		}
		if p.Kind == win.PointerWorkItem && j.decided { // the routine itself is known
			return
		}
		p.Kind = o.Kind
		j.concern(p, o.Driver, o.Symbol, confidenceOf(o.Kind))
		if p.Role == win.RoleNames {
			p.Role = win.RolePoints // of the drivers of a request one alone can be named
		}
		for _, d := range o.Stack {
			j.concern(p, d, "", report.Low)
		}
	}
}

// confidenceOf is how sure the way from a kind of object to a driver is: of some the
// object itself says it, of others it follows from the memory around.
func confidenceOf(kind string) string {
	switch kind {
	case win.PointerDriver, win.PointerDevice, win.PointerName:
		return report.High
	}
	return report.Medium
}

// named are the kinds of which nothing but a name is told, owned those of which nothing
// but a driver is.
var (
	named = map[string]bool{win.PointerProcess: true, win.PointerType: true, win.PointerName: true, win.PointerObject: true}
	owned = map[string]bool{win.PointerWorkItem: true, win.PointerCallers: true}
)

// describe says what an object is; zero where only its driver or counts are known.
func (o Pointed) describe() report.Text {
	if o.Name == "" && named[o.Kind] || o.Driver == "" && owned[o.Kind] {
		return report.Text{}
	}
	switch o.Kind {
	case win.PointerIRP:
		return o.describeIRP()
	case win.PointerDevice:
		return o.ofDriver(report.T("device"))
	case win.PointerDriver:
		return o.ofDriver(report.T("driver object"))
	case win.PointerFile:
		return o.ofDriver(report.T("open file"))
	case win.PointerThread:
		return o.describeThread()
	case win.PointerResource:
		return o.describeLock()
	case win.PointerProcess:
		return report.T("It is the process %s.", win.Clean(o.Name))
	case win.PointerType:
		return report.T("The type of the object is %s.", win.Clean(o.Name))
	case win.PointerWorkItem:
		return report.T("It is a work item of %s, by which a driver has a system thread do something.", describe(o.Driver))
	case win.PointerCallers:
		return report.T("The first of the callers saved there that is no part of the kernel is %s.", describe(o.Driver))
	case win.PointerName:
		return report.T("It reads: %s", win.Clean(o.Name))
	}
	return report.T("The object is %s.", win.Clean(o.Name))
}

// ofDriver names something that belongs to a driver.
func (o Pointed) ofDriver(what report.Text) report.Text {
	switch name := win.Clean(o.Name); {
	case o.Driver == "" && name == "":
		return report.Text{}
	case o.Driver == "":
		return report.T("It is: %s %s.", what, name)
	case name == "":
		return report.T("It is: %s of %s.", what, describe(o.Driver))
	default:
		return report.T("It is: %s %s of %s.", what, name, describe(o.Driver))
	}
}

func (o Pointed) describeIRP() report.Text {
	what := o.What
	if what == "" {
		what = "?"
	}
	switch {
	case len(o.Stack) > 1:
		return report.T("It is an I/O request (%s) that went through %s.", what, strings.Join(o.Stack, ", "))
	case o.Driver != "":
		return report.T("It is an I/O request (%s) to %s.", what, describe(o.Driver))
	}
	return report.T("It is an I/O request (%s); which driver has it is not in the dump.", what)
}

func (o Pointed) describeThread() report.Text {
	if o.Driver != "" {
		return report.T("It is thread %d of %s, which is inside %s.", o.Thread, orUnknown(o.Process), describe(o.Driver))
	}
	return report.T("It is thread %d of %s.", o.Thread, orUnknown(o.Process))
}

func (o Pointed) describeLock() report.Text {
	switch {
	case o.Thread == 0:
		return report.T("The lock is free or its owner is not in the dump; threads that wait for it: %d.", o.Waiters)
	case o.Driver != "":
		return report.T("The lock is held by thread %d of %s, which is inside %s; threads that wait for it: %d.", o.Thread, orUnknown(o.Process), describe(o.Driver), o.Waiters)
	}
	return report.T("The lock is held by thread %d of %s; threads that wait for it: %d.", o.Thread, orUnknown(o.Process), o.Waiters)
}

// tellCounts says how often an object is in use. The count of references of Windows 8
// and later runs ahead of the use by what processors keep in stock, so that its value
// says something only where it is zero or below.
func (j *judgement) tellCounts(o Pointed) {
	switch {
	case o.Counts.References < 0:
		j.evidence(report.Recorded, report.T("header of the object"), report.T("It counts %d references: it was released more often than it was taken.", o.Counts.References))
	case o.Counts.References == 0:
		j.evidence(report.Recorded, report.T("header of the object"), report.T("It counts no reference any more; handles that are still open: %d.", o.Counts.Handles))
	default:
		j.evidence(report.Recorded, report.T("header of the object"), report.T("It counts references: %d, open handles: %d.", o.Counts.References, o.Counts.Handles))
	}
}
