package render

import (
	"fmt"
	"slices"
	"strings"

	"bugcheck/report"
)

func (p *page) steps() { p.doList(p.r.Verdict.NextSteps) }

// doList writes what to do, each command on a line of its own, to be copied as it is.
func (p *page) doList(steps []report.Text) {
	if len(steps) == 0 {
		return
	}
	p.heading(p.say("Do"))
	for i, s := range steps {
		label := "then"
		if i == 0 {
			label = "now"
		}
		lead := "  " + pad(p.say(label), 8)
		for i, part := range aroundCommands(p.text(s), s.Commands()) {
			if part = strings.TrimLeft(part, " ,;.、。"); part == "" {
				continue
			}
			if i%2 == 1 {
				p.line(strings.Repeat(" ", cells(lead)+2) + part)
				continue
			}
			p.block(lead, "", part)
			lead = strings.Repeat(" ", cells(lead))
		}
	}
	if needElevation(steps) {
		p.block(strings.Repeat(" ", 10), "", p.elevation())
	}
}

func (p *page) markdownSteps() {
	steps := p.r.Verdict.NextSteps
	if len(steps) == 0 {
		return
	}
	p.mdHeading(p.say("Do"))
	for i, s := range steps {
		parts := aroundCommands(p.text(s), s.Commands())
		for i, part := range parts {
			if i%2 == 1 {
				parts[i] = code(part)
			} else {
				parts[i] = md(part)
			}
		}
		p.line(fmt.Sprintf("%d. %s", i+1, strings.Join(parts, "")))
	}
	if needElevation(steps) {
		p.line("")
		p.line(md(p.elevation()))
	}
}

func (p *page) elevation() string {
	return p.say("Commands: in a command prompt started as administrator.")
}

// aroundCommands splits a sentence at its commands: what is before the first, the
// command, what is between it and the next, and so on.
func aroundCommands(s string, commands []string) []string {
	var parts []string
	for _, c := range commands {
		before, after, ok := strings.Cut(s, c)
		if !ok {
			break
		}
		parts = append(parts, before, c)
		s = after
	}
	return append(parts, s)
}

// needElevation reports steps with commands that change Windows, as all do but those that
// look: this program, and cmdlets that get something.
func needElevation(steps []report.Text) bool {
	return slices.ContainsFunc(steps, func(s report.Text) bool {
		return slices.ContainsFunc(s.Commands(), func(c string) bool {
			return !strings.HasPrefix(c, "bugcheck ") && !strings.HasPrefix(c, "Get-")
		})
	})
}
