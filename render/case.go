package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"bugcheck/report"
)

// Place says which of several cases is written.
type Place struct{ N, Of int }

// Case writes the story of a machine's crashes for an operator: the verdict over all of
// them, why, what to do, then the crashes in order, what came again, what changed.
func Case(w io.Writer, c *report.Case, at Place, opts Options) error {
	p := &page{opts: opts, tr: translator(opts.Lang), r: &report.Report{Verdict: c.Verdict}}
	if at.Of > 1 {
		p.caseDivider(at)
	}
	p.summary()
	p.caseOverview(c)
	p.evidence()
	p.steps()
	p.caseCrashes(c.Crashes)
	p.caseRepeated(c.Repeated)
	p.caseChanges(c.Changes)
	if c.Events != nil {
		p.heading(p.say("Event log"))
		p.block("  ", "", p.text(c.Events.Summary))
		for i := range c.Events.Incidents {
			p.incident(i+1, &c.Events.Incidents[i])
		}
		p.topNotes(c.Events.Notes)
	}
	p.topNotes(c.Notes)
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// caseDivider stands above each of several machines.
func (p *page) caseDivider(at Place) {
	if at.N == 1 {
		p.block("", "", p.say("The dumps look like those of %d machines; each is told for itself.", at.Of))
	}
	p.line("")
	p.line(p.paint(bold, "== "+p.say("Machine %d of %d", at.N, at.Of)))
	p.line("")
}

func (p *page) caseOverview(c *report.Case) {
	if len(c.Crashes) > 0 {
		p.row("Cause", p.cause())
		p.row("Crashes", p.caseSpan(c))
	}
	p.row("Machine", machineLine(c.Machine))
	for _, f := range c.Machine.Info {
		p.block("    "+pad(p.say(f.Name), p.labelWidth()-4), "", f.Value)
	}
	if c.Verdict.Bucket != "" {
		p.row("Bucket", strings.TrimSpace(c.Verdict.Bucket+" "+c.Verdict.BucketHash))
	}
}

// infoNames are the lines of System Information that a case shows.
var infoNames = []string{"Windows", "Version", "Manufacturer", "Model", "Processor", "Firmware", "Mainboard", "Memory", "Page file", "Virtualization-based security"}

// caseSpan is how many crashes there were, from when to when, how often.
func (p *page) caseSpan(c *report.Case) string {
	switch {
	case c.First == nil:
		return p.say("%d", len(c.Crashes))
	case c.PerDay == 0:
		return p.say("%d, %s", len(c.Crashes), c.First.UTC().Format(secondsUTC))
	}
	from, to := c.First.UTC().Format(secondsUTC), c.Last.UTC().Format(secondsUTC)
	if rate := p.rate(c); rate != "" {
		return p.say("%d, from %s to %s (%s)", len(c.Crashes), from, to, rate)
	}
	return p.say("%d, from %s to %s", len(c.Crashes), from, to)
}

// rated is from how many crashes on a rate says something.
const rated = 5

// rate is how often a machine crashes, in a unit of time that was seen to its end.
func (p *page) rate(c *report.Case) string {
	days := c.Last.Sub(*c.First).Hours() / 24
	switch {
	case len(c.Crashes) < rated:
		return ""
	case c.PerDay >= 1 && days >= 1:
		return p.say("%s a day", fmt.Sprintf("%.1f", c.PerDay))
	case c.PerDay*30 >= 1 && days >= 30:
		return p.say("%s a month", fmt.Sprintf("%.1f", c.PerDay*30))
	case days >= 365:
		return p.say("%s a year", fmt.Sprintf("%.1f", c.PerDay*365))
	}
	return ""
}

func machineLine(m report.CaseMachine) string {
	var parts []string
	for _, s := range []string{strings.TrimSpace(m.Manufacturer + " " + m.Model), m.Processor, m.Architecture} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// shownCrashes is how many crashes the text lists without --all: the last ones.
const shownCrashes = 20

func (p *page) caseCrashes(list []report.CaseCrash) {
	if len(list) == 0 {
		return
	}
	p.heading(p.say("Crashes (times in UTC)"))
	left := 0
	if n := len(list); n > shownCrashes && !p.opts.All {
		left = n - shownCrashes
		p.line("  " + p.say("%d more, older; --all shows them", left))
	}
	for i, c := range list[left:] {
		p.caseCrash(left+i+1, c)
	}
}

func (p *page) caseCrash(n int, c report.CaseCrash) {
	at := pad(p.say("time unknown"), len(time.DateTime))
	if c.At != nil {
		at = c.At.UTC().Format(time.DateTime)
	}
	code := ""
	if c.Code != 0 {
		code = fmt.Sprintf("0x%08X %s", uint32(c.Code), c.Name)
	}
	p.block(fmt.Sprintf("%3d  %s  ", n, at), "", strings.TrimSpace(code))
	lead := strings.Repeat(" ", 5)
	p.block(lead, "", p.text(c.Summary))
	var facts []string
	if c.UptimeSeconds != nil {
		facts = append(facts, p.say("up for %s", p.text(report.Span(time.Duration(*c.UptimeSeconds)*time.Second))))
	}
	if c.Bucket != "" {
		facts = append(facts, c.Bucket)
	}
	if c.File != "" {
		facts = append(facts, c.File)
	} else {
		facts = append(facts, p.say("no dump"))
	}
	p.block(lead, dim, strings.Join(facts, ", "))
}

func (p *page) caseRepeated(groups []report.CaseGroup) {
	if len(groups) == 0 {
		return
	}
	p.heading(p.say("Again and again"))
	for _, g := range groups {
		what := p.say("%d times", g.Count)
		if g.First != nil && g.Last != nil {
			what = p.say("%d times, first %s, last %s", g.Count, g.First.UTC().Format(time.DateTime), g.Last.UTC().Format(secondsUTC))
		}
		p.block("  "+g.Bucket+"  ", "", what)
	}
}

// shownChanges is how many changes the text lists without --all: the last ones.
const shownChanges = 12

func (p *page) caseChanges(list []report.CaseChange) {
	if len(list) == 0 {
		return
	}
	p.heading(p.say("Changed in between"))
	if n := len(list); n > shownChanges && !p.opts.All {
		p.line("  " + p.say("%d more; --all shows them", n-shownChanges))
		list = list[n-shownChanges:]
	}
	between := ""
	for _, c := range list {
		if b := p.say("%s to %s", c.Between[0], c.Between[1]); b != between {
			between = b
			p.line("  " + b)
		}
		p.block("    ", "", p.text(c.What))
	}
}

// CaseMarkdown writes the story for a ticket.
func CaseMarkdown(w io.Writer, c *report.Case, opts Options) error {
	opts.Color = false
	p := &page{opts: opts, tr: translator(opts.Lang), r: &report.Report{Verdict: c.Verdict}}
	p.line("# " + md(p.text(c.Verdict.Summary)))
	p.line("")
	p.line("| | |")
	p.line("|---|---|")
	if len(c.Crashes) > 0 {
		p.mdRow("Cause", md(p.cause()))
		p.mdRow("Crashes", md(p.caseSpan(c)))
	}
	p.mdRow("Machine", md(machineLine(c.Machine)))
	if c.Verdict.Bucket != "" {
		p.mdRow("Bucket", code(c.Verdict.Bucket))
	}
	p.markdownEvidence()
	p.markdownSteps()
	if c.Events != nil {
		p.picture(c.Events.Incidents)
	}
	p.caseMarkdownCrashes(c)
	p.caseMarkdownEvents(c.Events)
	p.r.Notes = c.Notes
	p.mdNotes(p.noteTexts())
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (p *page) caseMarkdownCrashes(c *report.Case) {
	p.line("")
	p.line("## " + p.say("Crashes"))
	p.line("")
	p.line("| " + strings.Join([]string{p.say("When"), p.say("Stop code"), p.say("Bucket"), p.say("Verdict"), p.say("Dump")}, " | ") + " |")
	p.line("|---|---|---|---|---|")
	for _, k := range c.Crashes {
		at, stop, bucket := "", "", ""
		if k.At != nil {
			at = k.At.UTC().Format(secondsUTC)
		}
		if k.Code != 0 {
			stop = fmt.Sprintf("0x%08X %s", uint32(k.Code), k.Name)
		}
		if k.Bucket != "" {
			bucket = code(k.Bucket)
		}
		p.line("| " + strings.Join([]string{at, md(stop), bucket, md(p.text(k.Summary)), md(k.File)}, " | ") + " |")
	}
	if len(c.Changes) > 0 {
		p.line("")
		p.line("## " + p.say("Changed in between"))
		p.line("")
		for _, k := range c.Changes {
			p.line("- " + md(p.say("%s to %s", k.Between[0], k.Between[1])+": "+p.text(k.What)))
		}
	}
}

func (p *page) caseMarkdownEvents(e *report.Events) {
	if e == nil {
		return
	}
	p.mdHeading(p.say("Event log"))
	p.line(md(p.text(e.Summary)))
	for i := range e.Incidents {
		in := &e.Incidents[i]
		p.line("")
		p.line(fmt.Sprintf("### %d. %s", i+1, md(p.text(in.Summary))))
		p.line("")
		p.mdIncident(in)
	}
	p.r.Notes = e.Notes
	p.mdNotes(p.noteTexts())
}

// Comparison writes what two dumps have in common.
func Comparison(w io.Writer, c *report.Comparison, opts Options) error {
	p := &page{opts: opts, tr: translator(opts.Lang), r: &report.Report{}}
	p.line(p.paint(bold, p.text(c.Summary)))
	p.heading(p.say("Crashes"))
	for i := range c.Crashes {
		p.caseCrash(i+1, c.Crashes[i])
	}
	p.compareList(p.say("Equal"), c.Equal)
	p.compareList(p.say("Different"), c.Differ)
	p.caseChanges(c.Changes)
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (p *page) compareList(label string, list []report.Text) {
	if len(list) == 0 {
		return
	}
	p.heading(label)
	for _, t := range list {
		p.block("  ", "", p.text(t))
	}
}
