package timeline

import (
	"fmt"
	"slices"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

const (
	// beforeWindow is how long before the end what went wrong is taken to have led to it.
	beforeWindow = 24 * time.Hour
	// changedWindow is how long before the end what is new is told: two weeks see a monthly
	// update, and what came in the week after it.
	changedWindow = 14 * 24 * time.Hour
	// afterStart is how long after a start errors of the hardware are those of the crash:
	// the machine keeps them, and Windows reads them when it starts.
	afterStart = 10 * time.Minute
	// maxEvents bounds each list of an incident.
	maxEvents = 50
)

// crash is an incident in the making.
type crash struct {
	report.Incident
	stop    *stop
	session *session // of the start after it
	end     *time.Time
}

// incidents makes one of each start that had no shutdown before it.
func (s *story) incidents() {
	s.boots()
	var before *session
	for _, c := range s.starts {
		if c.crashed() {
			s.crashes = append(s.crashes, s.incident(before, c))
		}
		before = c
	}
	for _, c := range s.crashes {
		s.out.Incidents = append(s.out.Incidents, c.Incident)
	}
}

func (s *story) incident(before, after *session) *crash {
	c := &crash{session: after, Incident: report.Incident{RestartedAt: after.started()}}
	for _, r := range []*record{after.sign, after.unclean, after.stop} {
		if r != nil {
			c.Records = append(c.Records, *r.said)
		}
	}
	c.why(after)
	c.when(before, after)
	c.surroundings(s, after)
	c.noDump(after)
	c.Summary = c.sentence(s.lang)
	if c.stop != nil {
		c.Bugcheck = bugcheck(*c.stop, s.lang)
	}
	return c
}

// why sets kind and stop code. Event 1001 has it in full; event 41 repeats it, and has it
// alone where no dump was found.
func (c *crash) why(after *session) {
	var u unclean
	if after.unclean != nil {
		u = after.unclean.unclean()
	}
	if after.stop != nil {
		if p, ok := after.stop.stop(); ok {
			c.stop = &p
		}
		c.DumpPath, c.ReportID = after.stop.value("param2", 1), after.stop.value("param3", 2)
	}
	if u.code != 0 && c.stop == nil {
		c.stop = &u.stop
	}
	switch {
	case c.stop != nil || after.stop != nil:
		c.Kind = report.IncidentStop
	case u.held || !u.pressed.IsZero():
		c.Kind = report.IncidentPowerButton
	case u.asleep || u.standby:
		c.Kind = report.IncidentSleep
	default:
		c.Kind = report.IncidentUnexplained
	}
	if c.stop != nil && u.code != 0 && win.BaseCode(u.code) != win.BaseCode(c.stop.code) {
		c.Evidence = append(c.Evidence, report.Evidence{
			Fact:   report.T("The events 41 and 1001 name different stop codes: 0x%08X and 0x%08X.", u.code, c.stop.code),
			Source: report.T("events 41 and 1001"), Trust: report.Recorded,
		})
	}
	if u.fromFW && after.stop == nil {
		c.Evidence = append(c.Evidence, report.Evidence{
			Fact:   report.T("The stop code was kept by the machine's firmware; Windows found no dump that told of it."),
			Source: report.T("event 41"), Trust: report.Recorded,
		})
	}
}

// when sets the time of the end: the power button's, the last sign of life, else the last
// event that was logged before it.
func (c *crash) when(before, after *session) {
	set := func(t time.Time, trust string, source report.Text) {
		if c.At == nil && !t.IsZero() {
			c.At, c.AtTrust, c.AtSource = &t, trust, source
		}
	}
	if after.unclean != nil {
		if p := after.unclean.unclean().pressed; !p.IsZero() && c.fits(p, before) {
			set(p, report.Recorded, report.T("event 41, when the power button was pressed"))
		}
	}
	if after.sign != nil {
		if l, ok := after.sign.lastSign(); ok {
			set(l.utc, report.Recorded, report.T("event 6008, the last sign of life"))
			zone := int(l.zone.Minutes())
			c.ZoneMinutes = &zone
		} else if t, ok := c.fromWords(before, after.sign); ok {
			set(t, report.Guessed, report.T("event 6008, whose words are in the machine's own time"))
		}
	}
	if before != nil {
		if t := before.last(); t != nil {
			set(*t, report.Derived, report.T("the last event that was logged before it; the end came later"))
		}
	}
	if c.At == nil && c.RestartedAt != nil {
		set(*c.RestartedAt, report.Guessed, report.T("the start of Windows after it; the end itself was earlier"))
	}
	c.end = c.At
}

// slack is how much clocks may differ: a start's first events can be hours off, where the
// machine's clock keeps local time.
const slack = 15 * time.Hour

// fits reports that a time can be that of the end: it lies between the events before it
// and the start after it.
func (c *crash) fits(t time.Time, before *session) bool {
	if c.RestartedAt != nil && t.After(c.RestartedAt.Add(slack)) {
		return false
	}
	if before != nil {
		if l := before.last(); l != nil && t.Before(l.Add(-slack)) {
			return false
		}
	}
	return true
}

// fromWords reads a last sign of life that was told in words alone.
func (c *crash) fromWords(before *session, sign *record) (time.Time, bool) {
	for _, t := range ownTimes(sign.value("", 0), sign.value("", 1)) {
		if c.fits(t, before) {
			return t, true
		}
	}
	return time.Time{}, false
}

// surroundings gathers what went wrong before the end, and what was new.
func (c *crash) surroundings(s *story, after *session) {
	if c.end == nil {
		return
	}
	for _, start := range s.starts {
		if start == after {
			break
		}
		for _, r := range start.records {
			c.consider(r)
		}
	}
	for _, r := range after.records {
		if r.known.kind == report.EventHardware && c.RestartedAt != nil && r.Time.Sub(*c.RestartedAt).Abs() < afterStart {
			c.Records = append(c.Records, *r.said)
		}
	}
	c.Before, c.Changed = together(c.Before), together(c.Changed)
}

// consider takes a record of before the end.
func (c *crash) consider(r *record) {
	ago := c.end.Sub(r.Time)
	switch r.known.kind {
	case report.EventHardware, report.EventStorage, report.EventFileSystem, report.EventDisplay, report.EventDriver, report.EventService, report.EventMemory:
		if ago > -time.Minute && ago <= beforeWindow {
			c.Before = append(c.Before, *r.said)
		}
	case report.EventInstalled:
		if ago > 0 && ago <= changedWindow {
			c.Changed = append(c.Changed, *r.said)
		}
	case report.EventClock:
		if ago > -time.Minute && ago <= beforeWindow && r.jump().Abs() > 5*time.Minute {
			c.Before = append(c.Before, *r.said)
		}
	}
}

// together draws events that say the same into one, which stands where the last of them
// did, and keeps the last maxEvents.
func together(list []report.Event) []report.Event {
	last := map[string]int{}
	count := map[string]int{}
	for i, e := range list {
		k := e.What.String()
		last[k] = i
		count[k]++
	}
	var out []report.Event
	for i, e := range list {
		if k := e.What.String(); last[k] == i {
			if count[k] > 1 {
				e.Count = count[k]
			}
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b report.Event) int { return a.At.Compare(b.At) })
	return out[max(0, len(out)-maxEvents):]
}

// noDump says why there is no dump, or none to be found, as far as the start after it
// tells.
func (c *crash) noDump(after *session) {
	if c.Kind != report.IncidentStop {
		return
	}
	for _, r := range after.records {
		if r.known.kind == report.EventDump && !r.is("volmgr", 162) && near(r, c.RestartedAt) {
			c.Records = append(c.Records, *r.said)
			c.NoDump = r.said.What
		}
	}
	if c.NoDump.IsZero() && after.stop == nil {
		c.NoDump = report.T("No event says that a dump was saved. Look at the settings under System, Advanced, Startup and Recovery, and at the size of the page file.")
	}
}

func near(r *record, start *time.Time) bool {
	return start == nil || r.Time.Sub(*start).Abs() < time.Hour
}

func bugcheck(p stop, lang win.Lang) *report.Bugcheck {
	b := &report.Bugcheck{Code: report.Hex32(p.code)}
	if known, ok := lang.Code(win.BaseCode(p.code)); ok {
		b.Name = known.Name
	}
	for _, v := range p.parameters {
		b.Parameters = append(b.Parameters, report.Parameter{Value: report.Hex(v)})
	}
	return b
}

// sentence says what happened.
func (c *crash) sentence(lang win.Lang) report.Text {
	switch {
	case c.Kind == report.IncidentStop && c.stop != nil:
		number := fmt.Sprintf("0x%08X", c.stop.code)
		known, ok := lang.Code(win.BaseCode(c.stop.code))
		if !ok {
			return report.T("Windows stopped with the code %s, which is none that is documented: a driver or a tool used a number of its own.", number)
		}
		return report.T("Windows stopped with the code %s.", number+" "+known.Name)
	case c.Kind == report.IncidentStop:
		return report.T("Windows stopped with a code that the event does not tell.")
	case c.Kind == report.IncidentPowerButton:
		return report.T("The power button was held down until the machine went off; Windows did not shut down.")
	case c.Kind == report.IncidentSleep:
		return report.T("The machine ended without a shutdown on its way into sleep, in it, or out of it.")
	}
	return report.T("The machine ended without a shutdown and without a stop code: power was lost, it was reset, or it hung and was switched off.")
}
