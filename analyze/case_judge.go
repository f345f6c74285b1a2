package analyze

import (
	"slices"
	"strings"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

// memoryCodes are the stop codes by which Windows says that what memory holds is not what
// was put there: page tables, page lists, pool, code and lists that do not fit. Faulty
// memory and drivers that write where they must not both end in them.
var memoryCodes = map[uint32]bool{
	0x19: true, 0x1a: true, 0x4e: true, 0x50: true, 0xbe: true, 0xc2: true, 0xc5: true, 0x109: true, 0x12b: true, 0x139: true, 0x13a: true, 0xfc: true,
}

const (
	// shortTime is within what failures that differ are taken to have one cause.
	shortTime = 30 * 24 * time.Hour
	// manyPlaces is how many different failures no single driver makes.
	manyPlaces = 4
)

// judge decides the case. The order is that of how much each says: a bit that is wrong
// twice, a driver named twice, the same place twice, and only then what has nothing in
// common.
func (k *caseStory) judge() {
	for _, rule := range []func() bool{k.nothing, k.sameBit, k.sameDriver, k.single, k.requestedAll, k.samePlace, k.unrelated} {
		if rule() {
			break
		}
	}
	if lost := len(k.Crashes) - len(k.reports); lost > 0 && len(k.reports) > 0 {
		k.evidence(report.Recorded, report.T("event log"), report.T("Crashes that no dump was given of: %d. Who did those is not known.", lost))
	}
	k.lostSteps()
	k.eventEvidence()
	k.changeEvidence()
}

func (k *caseStory) decide(cause, confidence string, summary report.Text, steps []report.Text) {
	v := &k.Verdict
	v.Cause, v.Confidence, v.Summary, v.NextSteps = cause, confidence, summary, steps
}

func (k *caseStory) evidence(trust string, source, fact report.Text) {
	k.Verdict.Evidence = append(k.Verdict.Evidence, report.Evidence{Fact: fact, Source: source, Trust: trust})
}

// dumps is the source of what several dumps say together.
func (k *caseStory) dumps() report.Text { return report.T("%d dumps", len(k.reports)) }

func (k *caseStory) nothing() bool {
	if len(k.reports) > 0 {
		return false
	}
	if len(k.Crashes) == 0 {
		k.decide(report.CauseUnknown, report.Low, report.T("These files tell of no crash of Windows."), nil)
		return true
	}
	stops := 0
	for _, c := range k.Crashes {
		if c.Code != 0 {
			stops++
		}
	}
	summary, steps := report.T("Of %d crashes Windows left a stop code in %d; without a dump nobody can say who did them.", len(k.Crashes), stops), []report.Text(nil)
	switch {
	case stops == 0 && len(k.Crashes) == 1:
		summary, steps = report.T("The machine went off without a shutdown and without a stop code: power, a reset or a hang are more likely than a crash of Windows."), offSteps()
	case stops == 0:
		summary, steps = report.T("The machine went off %d times without a shutdown and without a stop code: power, resets or hangs are more likely than crashes of Windows.", len(k.Crashes)), offSteps()
	case len(k.Crashes) == 1:
		summary = report.T("Windows crashed once; without a dump nobody can say who did it.")
	case stops == len(k.Crashes):
		summary = report.T("Windows crashed %d times; without a dump nobody can say who did it.", stops)
	}
	k.decide(report.CauseUnknown, report.Low, summary, steps)
	return true
}

// offSteps are for a machine that went off without Windows' doing: no dump can be had of
// that, but a machine that hangs can be made to leave one
// (https://learn.microsoft.com/windows-hardware/drivers/debugger/forcing-a-system-crash-from-the-keyboard,
// https://learn.microsoft.com/powershell/module/hyper-v/debug-vm).
func offSteps() []report.Text {
	return []report.Text{
		report.T("Ask who switched it off. Look at the log of the management controller (iLO, iDRAC, BMC), of the host if the machine is virtual, and of the UPS at these times: power that fails and a reset leave nothing in Windows."),
		report.T("If it had hung: next time let it crash instead of switching it off, so that a dump says why. Send an NMI (an interrupt that stops Windows with a dump) from the management controller or the host (Hyper-V: Debug-VM NAME -InjectNonMaskableInterrupt -Force)."),
		report.T("If it goes off by itself: check the power supply, temperature and cooling, and test the memory."),
	}
}

// lostSteps are about the stops that no dump was given of. What Windows saved can be
// fetched, unless a later crash was saved in its place; where it saved nothing, the next
// crash has to leave something.
func (k *caseStory) lostSteps() {
	if k.Events == nil {
		return
	}
	var fetch []string
	later, unsaved := map[string]bool{}, false
	for _, in := range slices.Backward(k.Events.Incidents) {
		switch path := strings.ToLower(in.DumpPath); {
		case path != "" && len(in.Dumps) == 0 && !later[path]:
			fetch = append(fetch, in.DumpPath)
			later[path] = true
		case path != "":
			later[path] = true
		case in.Kind == report.IncidentStop && len(in.Dumps) == 0:
			unsaved = true
		}
	}
	var steps []report.Text
	if len(fetch) > 0 {
		steps = append(steps, report.T("Fetch what Windows saved and the files given do not hold: %s.", someOf(fetch)))
	}
	if unsaved {
		steps = append(steps, report.T("See to it that the next crash leaves a dump: %s, a page file of the system's choice on the system disk, then restart.", keepDumpsCommand))
	}
	next := &k.Verdict.NextSteps
	*next = append((*next)[:min(len(*next), maxSteps-len(steps))], steps...)
}

// sameBit: the same bit wrong in several places at different times is a line of a memory
// module or of its way to the processor; programs do not flip single bits, and not always
// the same (Schroeder, Pinheiro, Weber: DRAM Errors in the Wild, 2009, found that hard
// errors repeat where soft ones do not).
func (k *caseStory) sameBit() bool {
	count := map[int]int{}
	most := -1
	for _, c := range k.Crashes {
		if c.Bit != nil {
			count[*c.Bit]++
			if most < 0 || count[*c.Bit] > count[most] {
				most = *c.Bit
			}
		}
	}
	if most < 0 || count[most] < 2 {
		return false
	}
	k.Verdict.Bit = &most
	k.Verdict.Image, k.Verdict.Module = "memory_corruption", "memory_corruption"
	summary := report.T("Faulty memory crashes this machine: the same single bit (bit %d) was wrong in %d crashes.", most, count[most])
	if others := len(k.reports) - count[most]; others > 0 {
		summary = report.T("Faulty memory crashes this machine: the same single bit (bit %d) was wrong in %d crashes, and faulty memory can explain the other %d too.", most, count[most], others)
	}
	k.decide(report.CauseHardware, report.High, summary, k.memorySteps())
	k.evidence(report.Recorded, k.dumps(), report.T("Bit %d alone was wrong in %d crashes.", most, count[most]))
	k.evidence(report.Derived, k.dumps(), report.T("A driver's mistake damages bytes, and other ones each time; one bit that is always the same is a line of a memory module, its slot or the processor's memory controller."))
	k.diversity()
	return true
}

func (k *caseStory) memorySteps() []report.Text {
	s := k.reports[0].System
	return memorySteps(s != nil && s.Product == win.ProductWord(win.ProductWorkstation))
}

// diversity says how different the failures are.
func (k *caseStory) diversity() {
	codes, places := k.codes(), k.places()
	if len(codes) > 1 {
		k.evidence(report.Derived, k.dumps(), report.T("The %d crashes have %d different stop codes at %d different places: one driver fails at one place, damaged memory anywhere.", len(k.reports), len(codes), len(places)))
	}
}

// codes are the different stop codes, places the different failure buckets.
func (k *caseStory) codes() map[uint32]bool {
	m := map[uint32]bool{}
	for _, c := range k.Crashes {
		if c.Code != 0 {
			m[baseCode(c)] = true
		}
	}
	return m
}

func (k *caseStory) places() map[string]bool {
	m := map[string]bool{}
	for _, c := range k.Crashes {
		if c.Code != 0 {
			m[c.Code.String()+c.Bucket] = true
		}
	}
	return m
}

// blame is how often a driver is named: by verdicts that are sure, and as a suspect.
type blame struct {
	image         string
	sure, suspect int
	high          bool
}

func (b blame) all() int { return b.sure + b.suspect }

// sameDriver: a driver from outside Windows that half of the crashes name, at least two.
func (k *caseStory) sameDriver() bool {
	b, ok := k.mostBlamed()
	if !ok || b.all() < 2 || 2*b.all() < len(k.reports) {
		return false
	}
	k.Verdict.Image, k.Verdict.Module = b.image, strings.TrimSuffix(strings.ToLower(b.image), ".sys")
	confidence := report.Medium
	switch {
	case b.sure >= 2 && b.high:
		confidence = report.High
	case b.sure == 0:
		confidence = report.Low
	}
	steps := []report.Text{updateStep(b.image)}
	if !crashTools[strings.ToLower(b.image)] {
		steps = append(steps, verifierStep(b.image))
	}
	summary := report.T("%s crashes this machine again and again: %d of %d crashes.", b.image, b.all(), len(k.Crashes))
	if confidence == report.Low {
		summary = report.T("%s is a suspect in %d of %d crashes: look at it first.", b.image, b.all(), len(k.reports))
	}
	if step := k.otherStep(b.image); !step.IsZero() {
		steps = append(steps, step)
	}
	k.decide(report.CauseDriver, confidence, summary, steps)
	if b.sure > 0 {
		k.evidence(report.Derived, k.dumps(), report.T("Of %d crashes %d have a dump; %d of the dumps name %s, each by itself.", len(k.Crashes), len(k.reports), b.sure, describe(b.image)))
	}
	if b.suspect > 0 {
		k.evidence(report.Guessed, k.dumps(), report.T("In %d of the %d crashes %s is the first suspect.", b.suspect, len(k.reports), describe(b.image)))
	}
	if left := len(k.reports) - b.all(); left > 0 {
		k.evidence(report.Derived, k.dumps(), report.T("%d crashes are not explained by it: look at those for themselves.", left))
	}
	for _, g := range k.Repeated {
		if strings.EqualFold(g.Image, b.image) {
			k.Verdict.Bucket, k.Verdict.BucketHash = g.Bucket, BucketHash("km", g.Bucket)
			k.evidence(report.Recorded, k.dumps(), report.T("The same failure (%s) came %d times.", g.Bucket, g.Count))
			break
		}
	}
	return true
}

// otherStep is about the first crash that another failure than that of image made.
func (k *caseStory) otherStep(image string) report.Text {
	for i, c := range k.Crashes {
		named := strings.EqualFold(c.Image, image)
		for _, r := range k.reports {
			named = named || r.Dump.File == c.File && c.File != "" && strings.EqualFold(suspectOf(r), image)
		}
		if c.Code == 0 || named || slices.ContainsFunc(k.Crashes, func(o report.CaseCrash) bool { return o.Code == c.Code && strings.EqualFold(o.Image, image) }) {
			continue
		}
		if steps := Judge(Facts{Code: uint32(c.Code), RawCode: uint32(c.Code)}).NextSteps; len(steps) > 0 {
			return report.T("Crash %d (%s) is another failure. %s", i+1, c.Name, steps[0])
		}
	}
	return report.Text{}
}

// mostBlamed counts, a crash once, the drivers from outside Windows that verdicts name.
func (k *caseStory) mostBlamed() (blame, bool) {
	var list []*blame
	of := func(image string) *blame {
		for _, b := range list {
			if strings.EqualFold(b.image, image) {
				return b
			}
		}
		list = append(list, &blame{image: image})
		return list[len(list)-1]
	}
	for _, r := range k.reports {
		v := r.Verdict
		switch {
		case v.Cause == report.CauseDriver && v.Confidence != report.Low && thirdParty(v.Image):
			b := of(v.Image)
			b.sure++
			b.high = b.high || v.Confidence == report.High
		case v.Cause == report.CauseDriver && thirdParty(v.Image):
			of(v.Image).suspect++
		case len(v.Alternatives) > 0 && thirdParty(v.Alternatives[0].Image):
			of(v.Alternatives[0].Image).suspect++
		}
	}
	if len(list) == 0 {
		return blame{}, false
	}
	return *slices.MaxFunc(list, func(a, b *blame) int { return 2*(a.sure-b.sure) + a.suspect - b.suspect }), true
}

func (k *caseStory) requestedAll() bool {
	for _, r := range k.reports {
		if r.Verdict.Cause != report.CauseRequested {
			return false
		}
	}
	k.decide(report.CauseRequested, report.High, report.T("All %d crashes were asked for by somebody.", len(k.reports)), k.reports[0].Verdict.NextSteps)
	k.evidence(report.Recorded, k.dumps(), report.T("Every dump says that the crash was made on purpose."))
	return true
}

// single: one dump is no more than its own verdict.
func (k *caseStory) single() bool {
	if len(k.reports) != 1 {
		return false
	}
	k.Verdict = k.reports[0].Verdict
	k.Verdict.Evidence = slices.Clone(k.Verdict.Evidence)
	return true
}

// samePlace: the same failure each time, whoever did it. Chance does not come back to the
// same place, so it is neither a stray bit nor the power.
func (k *caseStory) samePlace() bool {
	n := len(k.reports)
	if len(k.Repeated) != 1 || k.Repeated[0].Count != n {
		return false
	}
	g := k.Repeated[0]
	first := k.reports[0].Verdict
	k.Verdict.Image, k.Verdict.Module, k.Verdict.Symbol = first.Image, first.Module, first.Symbol
	k.Verdict.Bucket, k.Verdict.BucketHash = g.Bucket, BucketHash("km", g.Bucket)
	k.Verdict.Alternatives = first.Alternatives
	cause := first.Cause
	steps := slices.DeleteFunc(slices.Clone(first.NextSteps), isMemoryTest)
	summary := report.T("The same failure came %d times, so it is no chance; the dumps do not show who causes it.", n)
	if k.early() {
		summary = report.T("The same failure came %d times, each time while Windows started: something that loads at the start causes it; the dumps do not show which.", n)
	}
	if cause != report.CauseUnknown {
		summary = report.T("The same failure came %d times. %s", n, first.Summary)
	}
	k.decide(cause, first.Confidence, summary, steps)
	k.evidence(report.Recorded, k.dumps(), report.T("The same failure (%s) came %d times.", g.Bucket, n))
	k.evidence(report.Derived, k.dumps(), report.T("Faulty memory and power failures strike at different places; what fails at the same place every time is a driver, a setting or a device."))
	if near := k.nearest(); near != "" && cause == report.CauseUnknown {
		k.evidence(report.Guessed, k.dumps(), report.T("In all of them the nearest driver on the stack is %s.", describe(near)))
	}
	return true
}

// nearest is the driver that is nearest on the stack of every dump, where nothing is
// certain of those; "" if they differ.
func (k *caseStory) nearest() string {
	near := ""
	for i, r := range k.reports {
		at := slices.IndexFunc(r.Stack, func(f report.Frame) bool {
			return f.Trust == report.TrustScan && f.Module != "" && !soft[strings.ToLower(f.Module)]
		})
		if at < 0 || i > 0 && !strings.EqualFold(r.Stack[at].Image, near) {
			return ""
		}
		near = r.Stack[at].Image
	}
	return near
}

// early reports that every crash came within minutes of the start.
func (k *caseStory) early() bool {
	for _, r := range k.reports {
		if u := up(r); u == 0 || u > startLoads {
			return false
		}
	}
	return true
}

// unrelated: failures that have nothing in common. What is told of them rests on how many
// they are and on how close they lie; that many different failures within a short time
// are seldom many causes is what support guides say of memory (Microsoft: "Blue screen
// data" and the pages of 0x1A, 0x50 and 0x4E name faulty memory among the causes).
func (k *caseStory) unrelated() bool {
	hardware, storage, memory := 0, 0, 0
	for _, r := range k.reports {
		switch r.Verdict.Cause {
		case report.CauseHardware:
			hardware++
		case report.CauseStorage:
			storage++
		}
	}
	for _, c := range k.Crashes {
		if memoryCodes[baseCode(c)] {
			memory++
		}
	}
	n, places := len(k.reports), len(k.places())
	close := k.First != nil && k.Last.Sub(*k.First) <= shortTime
	switch {
	case hardware > 0:
		k.decide(report.CauseHardware, report.Medium, report.T("Hardware is the most likely cause of these %d crashes: %d of them show it, and the others have no driver in common.", n, hardware), k.memorySteps())
		k.evidence(report.Derived, k.dumps(), report.T("%d of the %d crashes are told to be the hardware's doing, each by its own dump.", hardware, n))
	case storage > 0 && 2*storage >= n:
		k.decide(report.CauseStorage, report.Medium, report.T("Storage is the most likely cause: %d of %d crashes show that data did not come from the disk.", storage, n), storageSteps())
	case memory >= 2 && 3*memory >= 2*n && places > 1:
		k.decide(report.CauseMemoryCorruption, k.alike(places, close), report.T("Windows found its memory damaged in %d of %d crashes, in different ways: rule out faulty memory first, then drivers.", memory, n), k.memorySteps())
		k.evidence(report.Derived, k.dumps(), report.T("%d of %d stop codes mean that memory did not hold what was put there.", memory, n))
	case places >= manyPlaces && close:
		k.decide(report.CauseHardware, report.Low, report.T("%d crashes at %d different places within %d days, and no driver in common: memory, processor, power or overclocking are more likely than that many faulty drivers.", n, places, k.days()), k.memorySteps())
	default:
		k.decide(report.CauseUnknown, report.Low, report.T("The %d crashes have no driver and no place in common; they are too few to tell chance from a pattern.", n), append([]report.Text{memoryTestStep()}, k.reports[n-1].Verdict.NextSteps...))
	}
	if len(k.Verdict.NextSteps) > maxSteps {
		k.Verdict.NextSteps = k.Verdict.NextSteps[:maxSteps]
	}
	k.diversity()
	return true
}

// alike is how sure many different failures make.
func (k *caseStory) alike(places int, close bool) string {
	if places >= manyPlaces && close {
		return report.Medium
	}
	return report.Low
}

func (k *caseStory) days() int {
	if k.First == nil {
		return 0
	}
	return int(k.Last.Sub(*k.First).Hours()/24) + 1
}

// eventEvidence adds what the event log saw before the crashes. Where the dumps decide
// nothing, it does.
func (k *caseStory) eventEvidence() {
	if k.Events == nil {
		return
	}
	count := map[string]int{} // crashes that an event of the kind came before
	for _, in := range k.Events.Incidents {
		kinds := map[string]bool{}
		for _, e := range slices.Concat(in.Before, in.Records) {
			kinds[e.Kind] = true
		}
		for kind := range kinds {
			count[kind]++
		}
	}
	source := report.T("event log")
	open := k.Verdict.Confidence == report.Low && len(k.reports) > 0
	if n := count[report.EventHardware]; n > 0 {
		k.evidence(report.Recorded, source, report.T("The hardware reported errors of its own around %d of the crashes.", n))
		if open {
			k.decide(report.CauseHardware, report.Medium, report.T("Hardware is the most likely cause: it reported errors of its own around %d of the crashes.", n), machineCheckSteps())
		}
	}
	if n := count[report.EventStorage] + count[report.EventFileSystem]; n > 0 {
		k.evidence(report.Recorded, source, report.T("A disk, its controller or a file system reported errors before %d of the crashes.", min(n, len(k.Events.Incidents))))
		if open && k.Verdict.Cause == report.CauseUnknown {
			k.decide(report.CauseStorage, report.Medium, report.T("Storage is the most likely cause: a disk, its controller or a file system reported errors before the crashes."), storageSteps())
		}
	}
	if n := count[report.EventMemory]; n > 0 {
		k.evidence(report.Recorded, source, report.T("Memory ran short, or its test spoke, before %d of the crashes.", n))
	}
}

// changeEvidence: a blamed driver that came or changed in between.
func (k *caseStory) changeEvidence() {
	for _, c := range k.Changes {
		if c.Image != "" && strings.EqualFold(c.Image, k.Verdict.Image) && c.Kind != report.ChangeGone {
			k.evidence(report.Recorded, report.T("lists of drivers"), report.T("Between %s and %s: %s", c.Between[0], c.Between[1], c.What))
		}
	}
}
