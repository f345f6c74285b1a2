package analyze

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

// Cases makes one story of the reports on each machine: which failure comes again, what
// failures that differ have in common, what changed in between. events, which may be nil,
// are told of by the event logs that were given with them. It is a pure function.
func Cases(reports []*report.Report, events *report.Events) []report.Case {
	reports, notes := distinct(reports)
	groups := machines(reports)
	if len(groups) == 0 {
		groups = [][]*report.Report{nil}
	}
	owner := ownerOf(groups, events)
	if events != nil && owner < 0 { // the logs are of a machine that no dump is of
		owner = len(groups)
		groups = append(groups, nil)
	}
	var cases []report.Case
	for i, g := range groups {
		k := &caseStory{reports: g, Case: report.Case{Schema: report.Schema, Crashes: []report.CaseCrash{}}}
		if i == 0 {
			k.Notes = notes
		}
		if i == owner {
			k.Events = events
		}
		k.tell()
		cases = append(cases, k.Case)
	}
	return cases
}

// caseStory is a case in the making.
type caseStory struct {
	report.Case
	reports []*report.Report // with a stop code, in order of time
}

func (k *caseStory) tell() {
	if len(k.reports) > 0 {
		k.Machine = machineOf(k.reports[0])
	}
	k.crashes()
	k.rate()
	k.repeated()
	for i := 1; i < len(k.reports); i++ {
		k.changes(k.reports[i-1], k.reports[i])
	}
	k.judge()
}

// distinct drops what is no crash of Windows, and the same crash given twice, and sorts
// the rest by time.
func distinct(reports []*report.Report) (list []*report.Report, notes []report.Note) {
	seen := map[string]string{}
	for _, r := range reports {
		if r.Bugcheck == nil {
			notes = append(notes, report.Note{Where: r.Dump.File, Text: report.T("This is a program's dump, not one of Windows: it is not part of the story.")})
			continue
		}
		if r.Dump.Kind == "live" {
			notes = append(notes, report.Note{Where: r.Dump.File, Text: report.T("Windows made this report and went on: it is no crash. %s", r.Verdict.Summary)})
			continue
		}
		key := fmt.Sprint(crashedAt(r), r.Bugcheck.Code, r.Bugcheck.Parameters)
		if other, ok := seen[key]; ok {
			notes = append(notes, report.Note{Where: r.Dump.File, Text: report.T("This is of the same crash as %s, which is told once.", other)})
			continue
		}
		seen[key] = r.Dump.File
		list = append(list, r)
	}
	list, notes = withoutTwins(list, notes)
	slices.SortStableFunc(list, func(a, b *report.Report) int { return crashedAt(a).Compare(crashedAt(b)) })
	return list, notes
}

// withoutTwins drops logs without a time that are of the same crash as another report: the
// addresses among the parameters make it so.
func withoutTwins(list []*report.Report, notes []report.Note) (kept []*report.Report, _ []report.Note) {
	for _, r := range list {
		twin := slices.IndexFunc(list, func(o *report.Report) bool {
			return !crashedAt(o).IsZero() && sameStop(o.Bugcheck, r.Bugcheck)
		})
		if twin >= 0 && crashedAt(r).IsZero() && r.Dump.Source == report.SourceLog {
			notes = append(notes, report.Note{Where: r.Dump.File, Text: report.T("This is of the same crash as %s, which is told once.", list[twin].Dump.File)})
			continue
		}
		kept = append(kept, r)
	}
	return kept, notes
}

// sameStop reports the same stop code with the same parameters, of which one says something.
func sameStop(a, b *report.Bugcheck) bool {
	says := slices.ContainsFunc(a.Parameters, func(p report.Parameter) bool { return p.Value != 0 })
	return says && a.Code == b.Code && slices.EqualFunc(a.Parameters, b.Parameters, func(x, y report.Parameter) bool { return x.Value == y.Value })
}

func crashedAt(r *report.Report) time.Time {
	if r.System == nil || r.System.CrashedAt == nil {
		return time.Time{}
	}
	return *r.System.CrashedAt
}

// machines groups reports by what they say of their machine. No dump has a machine's
// name; processor, maker and model tell machines apart, and cannot prove them one.
func machines(reports []*report.Report) (groups [][]*report.Report) {
	for _, r := range reports {
		i := slices.IndexFunc(groups, func(g []*report.Report) bool { return agree(machineOf(g[0]), machineOf(r)) })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

func machineOf(r *report.Report) report.CaseMachine {
	m := report.CaseMachine{Architecture: r.Dump.Architecture}
	if s := r.System; s != nil {
		m.Processor, m.Processors = s.Processor, s.Processors
		if m.Processor == "" {
			m.Processor = s.ProcessorID
		}
		m.Manufacturer, m.Model = deref(s.Manufacturer), deref(s.Model)
		if m.Model == "" && s.Baseboard != "" { // which begins with its maker's name
			m.Manufacturer, m.Model = "", s.Baseboard
		}
	}
	return m
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// agree reports that nothing that both say differs.
func agree(a, b report.CaseMachine) bool {
	same := func(a, b string) bool { return a == "" || b == "" || a == b }
	return a.Architecture == b.Architecture && same(a.Processor, b.Processor) && same(a.Manufacturer, b.Manufacturer) && same(a.Model, b.Model) &&
		(a.Processors == 0 || b.Processors == 0 || a.Processors == b.Processors)
}

// ownerOf is the group whose dumps the event logs tell of most. Logs that tell of none are
// taken for those of the only machine there is; -1 where there are several.
func ownerOf(groups [][]*report.Report, events *report.Events) int {
	best, most := -1, 0
	if len(groups) == 1 {
		best = 0
	}
	for i, g := range groups {
		n := 0
		for _, r := range g {
			if incidentOf(events, r) != nil {
				n++
			}
		}
		if n > most {
			best, most = i, n
		}
	}
	return best
}

// incidentOf is what the event logs tell of a dump's crash; nil if nothing.
func incidentOf(events *report.Events, r *report.Report) *report.Incident {
	if events == nil {
		return nil
	}
	for i := range events.Incidents {
		if slices.ContainsFunc(events.Incidents[i].Dumps, func(d report.IncidentDump) bool { return d.File == r.Dump.File }) {
			return &events.Incidents[i]
		}
	}
	return nil
}

// crashes lists those of the dumps, and those that the event log alone knows.
func (k *caseStory) crashes() {
	for _, r := range k.reports {
		c := report.CaseCrash{
			File: r.Dump.File, Bucket: r.Verdict.Bucket, Cause: r.Verdict.Cause, Confidence: r.Verdict.Confidence,
			Image: r.Verdict.Image, Bit: r.Verdict.Bit, Summary: r.Verdict.Summary,
		}
		if r.Bugcheck != nil { // compare takes programs' dumps too
			c.Code, c.Name = r.Bugcheck.Code, r.Bugcheck.Name
		}
		if r.System != nil {
			c.At, c.UptimeSeconds = r.System.CrashedAt, r.System.UptimeSeconds
		}
		k.Crashes = append(k.Crashes, c)
	}
	if k.Events != nil {
		for _, in := range k.Events.Incidents {
			if len(in.Dumps) > 0 {
				continue
			}
			c := report.CaseCrash{At: in.At, Summary: in.Summary}
			if in.Bugcheck != nil {
				c.Code, c.Name = in.Bugcheck.Code, in.Bugcheck.Name
			}
			k.Crashes = append(k.Crashes, c)
		}
	}
	slices.SortStableFunc(k.Crashes, func(a, b report.CaseCrash) int { return timeOf(a.At).Compare(timeOf(b.At)) })
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// rate sets the first and the last crash, and how many there were a day.
func (k *caseStory) rate() {
	for _, c := range k.Crashes {
		if c.At == nil {
			continue
		}
		if k.First == nil {
			k.First = c.At
		}
		k.Last = c.At
	}
	if k.First != nil && k.Last.After(*k.First) {
		days := max(k.Last.Sub(*k.First).Hours()/24, 1)
		k.PerDay = float64(len(k.Crashes)) / days
	}
}

func (k *caseStory) repeated() {
	for i, c := range k.Crashes {
		if c.Bucket == "" || slices.ContainsFunc(k.Crashes[:i], func(o report.CaseCrash) bool { return o.Bucket == c.Bucket }) {
			continue
		}
		g := report.CaseGroup{Bucket: c.Bucket, Image: c.Image}
		for _, o := range k.Crashes[i:] {
			if o.Bucket != c.Bucket {
				continue
			}
			g.Count++
			if g.First == nil {
				g.First = o.At
			}
			g.Last = o.At
		}
		if g.Count > 1 {
			k.Repeated = append(k.Repeated, g)
		}
	}
}

// startLoads is how long after a start drivers are still being loaded: before that, what
// is not there says nothing.
const startLoads = 2 * time.Minute

// changes tells one dump's drivers, Windows and firmware from those of the dump before.
func (k *caseStory) changes(was, is *report.Report) {
	between := [2]string{was.Dump.File, is.Dump.File}
	add := func(kind, image string, what report.Text) {
		k.Changes = append(k.Changes, report.CaseChange{Between: between, Kind: kind, Image: image, What: what})
	}
	if a, b := was.System, is.System; a != nil && b != nil {
		if a.Version != b.Version && a.Version != "" && b.Version != "" {
			add(report.ChangeSystem, "", report.T("Windows was %s before, and is %s now.", a.Version, b.Version))
		} else if x, y := kernelBuilt(was), kernelBuilt(is); x != y && x != 0 && y != 0 {
			add(report.ChangeSystem, "", report.T("Windows was updated: the kernel is of another date."))
		}
		if deref(a.Bios) != deref(b.Bios) && a.Bios != nil && b.Bios != nil {
			add(report.ChangeFirmware, "", report.T("The firmware was %s before, and is %s now.", *a.Bios, *b.Bios))
		}
	}
	if len(was.Modules) == 0 || len(is.Modules) == 0 { // a log, or a dump that lost the list
		return
	}
	before, now := driversOf(was), driversOf(is)
	for _, m := range is.Modules {
		if old, ok := before[strings.ToLower(m.Image)]; thirdParty(m.Image) && ok && old.Timestamp != m.Timestamp {
			add(report.ChangeUpdated, m.Image, report.T("%s is of another build than before.", describe(m.Image)))
		} else if thirdParty(m.Image) && !ok && up(was) > startLoads {
			add(report.ChangeNew, m.Image, report.T("%s was not loaded before.", describe(m.Image)))
		}
	}
	for _, m := range was.Modules {
		if _, ok := now[strings.ToLower(m.Image)]; thirdParty(m.Image) && !ok && up(is) > startLoads {
			add(report.ChangeGone, m.Image, report.T("%s is not loaded any more.", describe(m.Image)))
		}
	}
}

func kernelBuilt(r *report.Report) report.Hex32 {
	if len(r.Modules) == 0 {
		return 0
	}
	return r.Modules[0].Timestamp
}

// driversOf are a report's modules by name; drivers that Windows loads as copies to write
// dumps with (dump_…) come and go.
func driversOf(r *report.Report) map[string]report.Module {
	m := map[string]report.Module{}
	for _, d := range r.Modules {
		m[strings.ToLower(d.Image)] = d
	}
	return m
}

func up(r *report.Report) time.Duration {
	if r.System == nil || r.System.UptimeSeconds == nil {
		return 0
	}
	return time.Duration(*r.System.UptimeSeconds) * time.Second
}

// baseCode is a crash's stop code without the bit that marks small dumps.
func baseCode(c report.CaseCrash) uint32 { return win.BaseCode(uint32(c.Code)) }
