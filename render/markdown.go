package render

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"bugcheck/report"
)

// Markdown writes the report for a ticket or a wiki: the text's order, as GitHub
// Flavored Markdown. Text from the dump is escaped.
func Markdown(w io.Writer, r *report.Report, opts Options) error {
	opts.Color = false
	p := &page{r: r, opts: opts, tr: translator(opts.Lang)}
	p.line("# " + md(p.text(r.Verdict.Summary)))
	p.markdownOverview()
	p.markdownKnownIssues()
	p.markdownEvidence()
	p.markdownSteps()
	p.markdownEvents()
	p.markdownStack()
	p.markdownParameters()
	p.markdownRest()
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// mdEscapes are the characters that mean something in Markdown or HTML.
var mdEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"|", `\|`, "#", `\#`, "~", `\~`, "!", `\!`,
)

func md(s string) string { return mdEscapes.Replace(s) }

// code writes s as a code span, whatever is in it.
func code(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }

func (p *page) mdRow(label, value string) {
	if value != "" {
		p.line(fmt.Sprintf("| %s | %s |", md(p.say(label)), value))
	}
}

func (p *page) markdownOverview() {
	p.line("")
	p.line("| | |")
	p.line("|---|---|")
	p.mdRow("File", code(p.r.Dump.File))
	p.mdRow("Cause", md(p.cause()))
	if b := p.r.Bugcheck; b != nil {
		p.mdRow("Stop code", md(fmt.Sprintf("0x%08X %s", uint32(b.Code), b.Name)))
		p.mdRow("Meaning", md(p.text(b.Meaning)))
	}
	p.mdRow("Exception", md(p.exception()))
	p.mdRow("When", md(p.when()))
	p.mdRow("Where", md(p.where()))
	p.mdRow("System", md(p.system()))
	p.mdRow("Machine", md(p.machine()))
	p.mdRow("Owner", md(strings.Join(p.r.Verdict.Owners, p.say(", "))))
	if p.r.Verdict.Bucket != "" {
		p.mdRow("Bucket", code(p.r.Verdict.Bucket)+"<br>"+code(p.r.Verdict.BucketHash))
	}
	p.markdownDebugger()
}

func (p *page) markdownDebugger() {
	d := p.r.Debugger
	if d == nil {
		return
	}
	var parts []string
	for _, s := range []string{d.Image, d.Symbol, d.Bucket, d.BucketHash} {
		if s != "" {
			parts = append(parts, code(s))
		}
	}
	if text := p.text(d.Difference); text != "" {
		parts = append(parts, md(text))
	}
	p.mdRow("WinDbg said", strings.Join(parts, "<br>"))
}

func (p *page) mdHeading(s string) {
	p.line("")
	p.line("## " + md(s))
	p.line("")
}

func (p *page) markdownKnownIssues() {
	if len(p.r.KnownIssues) == 0 {
		return
	}
	p.mdHeading(p.say("Known issues, by your rules"))
	for _, k := range p.r.KnownIssues {
		line := "- " + md(p.say("%s (rule %s)", k.Name, k.Rule))
		if k.Advice != "" {
			line += "<br>" + md(k.Advice)
		}
		if k.Link != "" {
			line += "<br>" + mdLink(k.Link)
		}
		p.line(line)
	}
}

// plainLink is an address that cannot end an autolink early or hide another.
var plainLink = regexp.MustCompile(`^https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+$`)

// mdLink writes the address of a page as a link, and anything else as code.
func mdLink(s string) string {
	if plainLink.MatchString(s) {
		return "<" + s + ">"
	}
	return code(s)
}

func (p *page) markdownEvidence() {
	if len(p.r.Verdict.Evidence) == 0 {
		return
	}
	p.mdHeading(p.say("Why"))
	for i, e := range p.r.Verdict.Evidence {
		p.line(fmt.Sprintf("%d. *%s* %s", i+1, md(p.say(e.Trust)), md(p.say("%s [%s]", e.Fact, e.Source))))
	}
	for _, s := range p.suspects() {
		p.line(fmt.Sprintf("- %s %s", md(p.say("or")), md(s)))
	}
}

// markdownEvents writes what event logs tell of the crash.
func (p *page) markdownEvents() {
	in := p.r.Incident
	if in == nil {
		return
	}
	p.mdHeading(p.say("Event log"))
	p.mdIncident(in)
}

func (p *page) markdownStack() {
	if len(p.r.Stack) == 0 {
		return
	}
	p.mdHeading(p.say("Stack"))
	p.line("```text")
	width := p.trustWidth(p.r.Stack)
	for i, f := range p.r.Stack {
		if i == shownFrames && !p.opts.All {
			p.line(p.say("    … %d more (--all lists them)", len(p.r.Stack)-i))
			break
		}
		p.line(fmt.Sprintf("%3d %s %s", i, pad(p.say(f.Trust), width), strings.ReplaceAll(frameName(f), "```", "'''")))
	}
	p.line("```")
	if scanned(p.r.Stack) {
		p.line("")
		p.line(md(p.aboutScanned()))
	}
}

func (p *page) markdownParameters() {
	if p.r.Bugcheck == nil {
		return
	}
	p.mdHeading(p.say("Stop code parameters"))
	for i, v := range p.r.Bugcheck.Parameters {
		text := md(p.text(v.Meaning))
		if note := p.text(v.Note); note != "" {
			text += ": " + md(note)
		}
		p.line(fmt.Sprintf("%d. %s %s", i+1, code(v.Value.String()), text))
	}
}

func (p *page) markdownRest() {
	if third := p.thirdPartyText(); third != "" {
		p.mdHeading(p.say("Third party"))
		p.line(md(third))
	}
	p.mdNotes(p.noteTexts())
}

func (p *page) mdNotes(notes []string) {
	if len(notes) == 0 {
		return
	}
	p.mdHeading(p.say("Notes"))
	for _, n := range notes {
		p.line("- " + md(n))
	}
}
