package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"bugcheck/report"
)

// shownEvents is how many events of a list the text shows without --all.
const shownEvents = 8

// Events writes the story of event logs for an operator: how many crashes, then each
// with its time, what Windows recorded of it, what led up to it, what was new.
func Events(w io.Writer, e *report.Events, opts Options) error {
	p := &page{opts: opts, tr: translator(opts.Lang), r: &report.Report{}}
	for _, l := range wrap(p.text(e.Summary), columns) {
		p.line(p.paint(bold, l))
	}
	p.line("")
	p.eventLogs(e.Logs)
	for i := range e.Incidents {
		p.incident(i+1, &e.Incidents[i])
	}
	p.eventBoots(e.Boots)
	p.topNotes(e.Notes)
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// eventLog writes what event logs tell of a report's crash.
func (p *page) eventLog() {
	in := p.r.Incident
	if in == nil {
		return
	}
	p.heading(p.say("Event log"))
	p.incidentFacts(in)
}

func (p *page) eventLogs(logs []report.EventLog) {
	for _, l := range logs {
		what := p.say("%d records", l.Records)
		if l.From != nil && l.To != nil {
			what = p.say("%d records, %s to %s", l.Records, l.From.UTC().Format(time.DateTime), l.To.UTC().Format(secondsUTC))
		}
		name := l.File
		if l.Channel != "" {
			name += " (" + l.Channel + ")"
		}
		p.block("  "+Printable(name)+"  ", "", what)
	}
}

const secondsUTC = "2006-01-02 15:04:05 UTC"

// incident writes one: its first line alone says what happened and when.
func (p *page) incident(n int, in *report.Incident) {
	at := p.say("time unknown")
	if in.At != nil {
		at = in.At.UTC().Format(secondsUTC)
	}
	p.line("")
	p.block(fmt.Sprintf("%d  %s  ", n, at), bold, p.text(in.Summary))
	if !in.AtSource.IsZero() {
		p.fact(p.say("Time from"), p.say("%s (%s)", p.text(in.AtSource), p.say(in.AtTrust)))
	}
	if b := in.Bugcheck; b != nil {
		var list []string
		for _, v := range b.Parameters {
			list = append(list, v.Value.String())
		}
		p.fact(p.say("Parameters"), strings.Join(list, " "))
	}
	p.incidentFacts(in)
}

// incidentFacts writes what is told of an incident beside its first line.
func (p *page) incidentFacts(in *report.Incident) {
	if own := ownTime(in); own != "" {
		p.fact(p.say("Local time"), own)
	}
	if in.RestartedAt != nil {
		p.fact(p.say("Restarted"), in.RestartedAt.UTC().Format(secondsUTC))
	}
	p.incidentDumps(in)
	for _, e := range in.Evidence {
		p.fact(p.say("Evidence"), p.say("%s [%s]", e.Fact, report.T(e.Trust)))
	}
	p.eventList(p.say("Before it"), in.Before)
	p.eventList(p.say("New"), in.Changed)
	p.eventList(p.say("Events"), in.Records)
}

// ownTime is when it was by the machine's own clock; "" where that is UTC or not known.
func ownTime(in *report.Incident) string {
	if in.At == nil || in.ZoneMinutes == nil || *in.ZoneMinutes == 0 {
		return ""
	}
	return in.At.In(time.FixedZone("", *in.ZoneMinutes*60)).Format("2006-01-02 15:04:05 UTC-07:00")
}

func (p *page) incidentDumps(in *report.Incident) {
	if in.DumpPath != "" {
		p.fact(p.say("Dump"), p.say("saved as %s", in.DumpPath))
	}
	for _, d := range in.Dumps {
		p.fact(p.say("Dump"), p.say("%s (same %s)", d.File, p.text(d.Tied)))
		if d.Verdict != nil {
			p.fact(p.say("Verdict"), p.text(d.Verdict.Summary))
		}
	}
	if !in.NoDump.IsZero() {
		p.fact(p.say("No dump"), p.text(in.NoDump))
	}
	if in.Bucket != "" {
		p.fact(p.say("Bucket"), in.Bucket)
	}
}

// fact writes a label and what it is.
func (p *page) fact(label, text string) {
	p.block("     "+pad(label, 14), "", text)
}

// eventList writes events, the last ones where there are many.
func (p *page) eventList(label string, list []report.Event) {
	if len(list) == 0 {
		return
	}
	left := 0
	if n := len(list); n > shownEvents && !p.opts.All {
		left = n - shownEvents
		list = list[left:]
	}
	if left > 0 {
		p.fact(label, p.say("%d more, older; --all shows them", left))
		label = ""
	}
	for _, e := range list {
		p.fact(label, p.event(e))
		label = ""
	}
}

// event is one in a line: when, what, its provider and number.
func (p *page) event(e report.Event) string {
	what := p.text(e.What)
	if e.Count > 1 {
		what = p.say("%s (%d times, the last time then)", what, e.Count)
	}
	return p.say("%s  %s  [%s %d]", e.At.UTC().Format(secondsUTC), what, strings.TrimPrefix(e.Provider, "Microsoft-Windows-"), e.ID)
}

// eventBoots says how often Windows started, and with --all when.
func (p *page) eventBoots(boots []report.Boot) {
	if len(boots) == 0 {
		return
	}
	p.heading(p.say("Starts of Windows"))
	if !p.opts.All {
		p.line("  " + p.say("%d; --all lists them", len(boots)))
		return
	}
	for _, b := range boots {
		if b.At == nil {
			continue
		}
		what := p.say("the log does not tell how it ended")
		switch {
		case b.Clean != nil && *b.Clean && b.Seconds != nil:
			what = p.say("shut down after %s", p.text(report.Span(time.Duration(*b.Seconds)*time.Second)))
		case b.Clean != nil && *b.Clean:
			what = p.say("shut down")
		case b.Clean != nil:
			what = p.say("ended without a shutdown")
		}
		if !b.By.IsZero() {
			what = p.say("%s: %s", what, p.text(b.By))
		}
		p.block("  "+b.At.UTC().Format(secondsUTC)+"  ", "", what)
	}
}
