package render

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"bugcheck/report"
	"bugcheck/win"
)

// Lines writes many reports as one line each, then a summary by failure bucket.
// It keeps counts, not reports. The zero value is ready.
type Lines struct {
	total     int
	notOpened int // files that were no dumps
	groups    map[string]*group
}

// group is what the dumps with the same bucket share.
type group struct {
	name        string
	count       int
	first, last string // days of the crashes
}

// Printable makes a name or message safe for a terminal.
func Printable(s string) string { return win.Clean(s) }

// fileColumns is how much of a file's name a line shows.
const fileColumns = 24

// shorten cuts s to n columns, the end of it kept: there stand date and number.
func shorten(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && cells(string(runes))+1 > n {
		runes = runes[1:]
	}
	return "…" + string(runes)
}

// NotOpened counts a file that was no dump.
func (l *Lines) NotOpened() { l.notOpened++ }

// Add writes one line: file, day, stop code, verdict.
func (l *Lines) Add(w io.Writer, r *report.Report, opts Options) error {
	p := &page{r: r, opts: opts, tr: translator(opts.Lang)}
	day, code := "-", "-"
	if r.System != nil && r.System.CrashedAt != nil {
		day = r.System.CrashedAt.Format("2006-01-02")
	}
	if r.Bugcheck != nil {
		code = fmt.Sprintf("0x%X", uint32(r.Bugcheck.Code))
	} else if r.Exception != nil {
		code = fmt.Sprintf("0x%08X", uint32(r.Exception.Code))
	}
	l.count(r, code, day)
	who := p.blame()
	if r.Dump.Truncated {
		who = p.say("%s, dump cut off", who)
	}
	if len(r.KnownIssues) > 0 {
		who = p.say("%s, known issue: %s", who, r.KnownIssues[0].Name)
	}
	p.line(fmt.Sprintf("%s %s %s %s", pad(shorten(Printable(r.Dump.File), fileColumns), fileColumns), pad(day, 10), pad(code, 10), who))
	_, err := io.WriteString(w, p.String())
	return err
}

// blame is the verdict in a few words.
func (p *page) blame() string {
	v := &p.r.Verdict
	who := p.say(causeWords[v.Cause])
	switch {
	case (v.Cause == report.CauseDriver || v.Cause == report.CauseProgram) && v.Image != "":
		who = v.Image
	case len(v.Alternatives) > 0 && v.Cause == report.CauseUnknown:
		who = p.say("%s, perhaps %s", who, v.Alternatives[0].Image)
	}
	color := map[string]string{report.High: green, report.Medium: yellow, report.Low: red}[v.Confidence]
	return p.say("%s (confidence: %s)", who, p.paint(color, p.say(v.Confidence)))
}

func (l *Lines) count(r *report.Report, code, day string) {
	if l.groups == nil {
		l.groups = map[string]*group{}
	}
	l.total++
	name := r.Verdict.Bucket
	switch {
	case name == "" && r.Bugcheck != nil:
		name = code + " " + r.Bugcheck.Name
	case name == "" && r.Bugcheck == nil:
		name = userGroup(r, code)
	case r.Verdict.Module == "nt" && r.Verdict.Symbol == "":
		// Without symbols every fault in the kernel has the same bucket; its
		// place, which is stable over restarts, tells them apart.
		name += kernelPlace(r)
	}
	g := l.groups[name]
	if g == nil {
		g = &group{name: name, first: day, last: day}
		l.groups[name] = g
	}
	g.count++
	g.first, g.last = min(g.first, day), max(g.last, day)
}

// kernelPlace is the first place in the kernel that the stack is sure of.
func kernelPlace(r *report.Report) string {
	for i, f := range sure(r.Stack) {
		if f.Module == "nt" && (i > 0 || r.Exception != nil) {
			return " (" + frameName(f) + ")"
		}
	}
	return ""
}

// Summary writes how many dumps there were and how often each bucket came,
// the most frequent first.
func (l *Lines) Summary(w io.Writer, opts Options) error {
	p := &page{opts: opts, tr: translator(opts.Lang)}
	groups := make([]*group, 0, len(l.groups))
	for _, g := range l.groups {
		groups = append(groups, g)
	}
	sort.Slice(groups, func(i, j int) bool {
		if groups[i].count != groups[j].count {
			return groups[i].count > groups[j].count
		}
		return groups[i].name < groups[j].name
	})
	p.heading(p.say("%d dumps, failure buckets: %d", l.total, len(groups)))
	if l.notOpened > 0 {
		p.line(p.say("Files that could not be opened as dumps: %d", l.notOpened))
	}
	for _, g := range groups {
		days := g.first
		if g.last != g.first {
			days = p.say("%s to %s", g.first, g.last)
		}
		p.line(strings.TrimRight(fmt.Sprintf("%5d  %s  %s", g.count, pad(g.name, 46), days), " "))
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// DemoHint says what to try after the demo.
func DemoHint(opts Options) string {
	p := &page{opts: opts, tr: translator(opts.Lang)}
	p.heading(p.say("What to try next"))
	for _, l := range [][2]string{
		{"bugcheck demo --dump demo.dmp", p.say("keep this dump")},
		{"bugcheck analyze demo.dmp --format windbg", p.say("the same in the debugger's words")},
		{`bugcheck analyze C:\Windows\Minidump`, p.say("your own dumps, and a summary")},
		{"bugcheck explain 0xD1", p.say("what a stop code means, without a dump")},
	} {
		p.line("  " + pad(l[0], 44) + l[1])
	}
	return strings.TrimLeft(p.String(), "\n")
}
