package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

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
		p.line("| | |")
		p.line("|---|---|")
		if in.At != nil {
			p.mdRow("When", md(p.say("%s (%s)", in.At.UTC().Format(secondsUTC), p.text(in.AtSource))))
		}
		if in.RestartedAt != nil {
			p.mdRow("Restarted", in.RestartedAt.UTC().Format(secondsUTC))
		}
		if in.DumpPath != "" {
			p.mdRow("Dump", code(in.DumpPath))
		}
		if !in.NoDump.IsZero() {
			p.mdRow("No dump", md(p.text(in.NoDump)))
		}
		p.mdRow("Bucket", md(in.Bucket))
		p.mdEvents(in)
	}
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// mdEvents writes an incident's events as rows of a table.
func (p *page) mdEvents(in *report.Incident) {
	for _, list := range []struct {
		label  string
		events []report.Event
	}{{p.say("Before it"), in.Before}, {p.say("New"), in.Changed}, {p.say("Events"), in.Records}} {
		for _, e := range list.events {
			p.line(fmt.Sprintf("| %s | %s %s |", md(list.label), e.At.UTC().Format(secondsUTC), md(p.text(e.What))))
		}
	}
}

// pictured is how many lines a picture has at most; the last ones.
const pictured = 40

// picture draws incidents with what came before them as a Mermaid timeline, which GitHub,
// GitLab and most wikis show. Days are its columns.
func (p *page) picture(incidents []report.Incident) {
	type moment struct{ day, text string }
	var list []moment
	for _, in := range incidents {
		events := slices.Concat(in.Changed, in.Before)
		slices.SortStableFunc(events, func(a, b report.Event) int { return a.At.Compare(b.At) })
		for _, e := range events {
			list = append(list, moment{e.At.UTC().Format("2006-01-02"), e.At.UTC().Format("15.04") + " " + p.text(e.What)})
		}
		if in.At != nil {
			list = append(list, moment{in.At.UTC().Format("2006-01-02"), in.At.UTC().Format("15.04") + " " + p.text(in.Summary)})
		}
	}
	if len(list) == 0 {
		return
	}
	p.line("")
	p.line("```mermaid")
	p.line("timeline")
	day := ""
	for _, m := range list[max(0, len(list)-pictured):] {
		if m.day != day {
			day = m.day
			p.line("    " + day + " : " + mermaid(m.text))
		} else {
			p.line("               : " + mermaid(m.text))
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
