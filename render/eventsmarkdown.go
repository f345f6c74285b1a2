package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bugcheck/report"
)

// EventsMarkdown writes the story of event logs for a ticket, with a picture of it.
func EventsMarkdown(w io.Writer, e *report.Events, opts Options) error {
	opts.Color = false
	p := &page{opts: opts, tr: translator(opts.Lang), r: &report.Report{}}
	p.line("# " + md(p.text(e.Summary)))
	p.picture(e.Incidents)
	for i := range e.Incidents {
		in := &e.Incidents[i]
		p.mdHeading(fmt.Sprintf("%d. %s", i+1, p.text(in.Summary)))
		p.mdIncident(in)
	}
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// mdIncident writes what is told of an incident as a table.
func (p *page) mdIncident(in *report.Incident) {
	p.line("| | |")
	p.line("|---|---|")
	if in.At != nil {
		p.mdRow("When", md(p.say("%s (%s)", in.At.UTC().Format(secondsUTC), p.text(in.AtSource))))
	}
	p.mdRow("Local time", ownTime(in))
	if b := in.Bugcheck; b != nil {
		var values []string
		for _, v := range b.Parameters {
			values = append(values, code(v.Value.String()))
		}
		p.mdRow("Parameters", strings.Join(values, " "))
	}
	if in.RestartedAt != nil {
		p.mdRow("Restarted", in.RestartedAt.UTC().Format(secondsUTC))
	}
	if in.DumpPath != "" {
		p.mdRow("Dump", code(in.DumpPath))
	}
	for _, d := range in.Dumps {
		p.mdRow("Dump", md(p.say("%s (same %s)", d.File, p.text(d.Tied))))
		if d.Verdict != nil {
			p.mdRow("Verdict", md(p.text(d.Verdict.Summary)))
		}
	}
	if !in.NoDump.IsZero() {
		p.mdRow("No dump", md(p.text(in.NoDump)))
	}
	if in.Bucket != "" {
		p.mdRow("Bucket", code(in.Bucket))
	}
	for _, e := range in.Evidence {
		p.mdRow("Evidence", md(p.say("%s [%s]", e.Fact, report.T(e.Trust))))
	}
	p.mdEvents(in)
}

// mdEvents writes an incident's events as rows of a table.
func (p *page) mdEvents(in *report.Incident) {
	for _, list := range []struct {
		label  string
		events []report.Event
	}{{p.say("Before it"), in.Before}, {p.say("New"), in.Changed}, {p.say("Events"), in.Records}} {
		for _, e := range list.events {
			p.line(fmt.Sprintf("| %s | %s |", md(list.label), md(p.event(e))))
		}
	}
}

// pictured is how many lines a picture has at most; the last ones.
const pictured = 40

// picture draws incidents with what came before them as a Mermaid timeline, which GitHub,
// GitLab and most wikis show. Days are its columns.
func (p *page) picture(incidents []report.Incident) {
	type moment struct {
		at   time.Time
		text string
	}
	var list []moment
	for _, in := range incidents {
		for _, e := range slices.Concat(in.Changed, in.Before) {
			list = append(list, moment{e.At, p.text(e.What)})
		}
		if in.At != nil {
			list = append(list, moment{*in.At, p.text(in.Summary)})
		}
	}
	if len(list) == 0 {
		return
	}
	slices.SortStableFunc(list, func(a, b moment) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.text, b.text))
	})
	list = slices.CompactFunc(list, func(a, b moment) bool { return a.at.Equal(b.at) && a.text == b.text })
	p.line("")
	p.line("```mermaid")
	p.line("timeline")
	p.line("    title " + mermaid(p.say("All times UTC")))
	day := ""
	for _, m := range list[max(0, len(list)-pictured):] {
		text := mermaid(m.at.UTC().Format("15:04") + " " + m.text)
		if d := m.at.UTC().Format(time.DateOnly); d != day {
			day = d
			p.line("    " + day + " : " + text)
		} else {
			p.line("               : " + text)
		}
	}
	p.line("```")
}

// mermaid makes text one that Mermaid takes as it is: colons part, and backquotes, hashes
// and semicolons mean something.
func mermaid(s string) string {
	s = strings.NewReplacer(":", "\u2236", "`", "'", "#", "", ";", ",", "\n", " ").Replace(s)
	if c := []rune(s); len(c) > maxPictured {
		s = string(c[:maxPictured]) + "…"
	}
	return s
}

// maxPictured is how many characters of a text fit into a picture.
const maxPictured = 90
