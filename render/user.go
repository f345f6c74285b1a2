package render

import (
	"fmt"
	"strings"

	"bugcheck/report"
)

// What the formats have of a program's dump in place of a stop code.

// user reports a user-mode minidump.
func (p *page) user() bool { return p.r.Bugcheck == nil }

// exception says which exception ended the program.
func (p *page) exception() string {
	x := p.r.Exception
	if x == nil || !p.user() {
		return ""
	}
	text := fmt.Sprintf("0x%08X %s", uint32(x.Code), x.Reason)
	if x.Target != nil && uint64(*x.Target) != ^uint64(0) { // all ones: not told
		return p.say("%s, address %s", text, address(uint64(*x.Target)))
	}
	return text
}

// userThread says which thread of how many the report is about.
func (p *page) userThread() []string {
	r := p.r
	if r.Thread == nil || r.Thread.ID == nil {
		return nil
	}
	name := fmt.Sprint(*r.Thread.ID)
	if r.Thread.Name != "" {
		name += " (" + r.Thread.Name + ")"
	}
	if r.Process != nil && r.Process.Threads > 1 {
		return []string{p.say("thread %s of %d", name, r.Process.Threads)}
	}
	return []string{p.say("thread %s", name)}
}

// userRegisters writes the registers at the exception, four a line: without a
// debugger at hand they are what a developer asks for first.
func (p *page) userRegisters() {
	if !p.user() || p.r.Exception == nil || len(p.r.Registers) == 0 {
		return
	}
	p.heading(p.say("Registers"))
	wide := p.r.Dump.Architecture != "x86"
	var line strings.Builder
	perLine := 6
	if wide {
		perLine = 3
	}
	for i, reg := range p.r.Registers {
		value := fmt.Sprintf("%08x", reg.Value)
		if wide {
			value = address(reg.Value)
		}
		fmt.Fprintf(&line, "  %3s %s", reg.Name, value)
		if (i+1)%perLine == 0 {
			p.line(line.String())
			line.Reset()
		}
	}
	if line.Len() > 0 {
		p.line(line.String())
	}
}

// userGroup is what a program's dumps without a bucket are counted under.
func userGroup(r *report.Report, code string) string {
	name := "?"
	if r.Process != nil {
		name = r.Process.Name
	}
	if r.Exception == nil {
		return name
	}
	return name + " " + code + " " + r.Exception.Reason
}

// windbgUserHeader is the title that the debugger gives a program's dump.
func windbgUserHeader(b *strings.Builder) {
	blank := "*" + strings.Repeat(" ", 77) + "*"
	title := "*                        Exception Analysis                                   *"
	fmt.Fprintf(b, "%s\n%s\n%s\n%s\n%s\n\n", stars, blank, title, blank, stars)
}

// windbgRecord writes the exception record as the debugger's .exr does.
func windbgRecord(b *strings.Builder, r *report.Report) {
	x := r.Exception
	if x == nil {
		return
	}
	where := ""
	if len(r.Stack) > 0 && r.Stack[0].Module != "" {
		where = " (" + frameName(r.Stack[0]) + ")"
	}
	text := fmt.Sprintf(" (.exr -1)\nExceptionAddress: %016x%s\n   ExceptionCode: %08x\nNumberParameters: %d", uint64(x.Address), where, uint32(x.Code), len(x.Parameters))
	for i, p := range x.Parameters {
		text += fmt.Sprintf("\n   Parameter[%d]: %016x", i, uint64(p))
	}
	field(b, "EXCEPTION_RECORD", text)
}
