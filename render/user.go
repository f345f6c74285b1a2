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
		return []string{p.say("thread %s (one of %d)", name, r.Process.Threads)}
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

// userThreads writes what the other threads were doing: all of their first frames
// with All, else those of a dump that no exception explains, one line each.
func (p *page) userThreads() {
	threads := p.r.Threads
	if len(threads) == 0 || p.r.Exception != nil && !p.opts.All {
		return
	}
	p.heading(p.say("Other threads"))
	for i, t := range threads {
		if i == shownFrames && !p.opts.All {
			p.line(p.say("    … %d more (--all lists them)", len(threads)-i))
			return
		}
		head := fmt.Sprintf("  %d %s", t.ID, t.Name)
		if !p.opts.All {
			if len(t.Stack) > 0 {
				head = fmt.Sprintf("%s  %s", strings.TrimRight(head, " "), frameName(t.Stack[0]))
			}
			p.line(head)
			continue
		}
		p.line(head)
		for n, f := range t.Stack {
			p.line(fmt.Sprintf("  %3d %s %s", n, pad(p.say(f.Trust), p.trustWidth(t.Stack)), frameName(f)))
		}
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

// nullPages are the lowest addresses, which the debugger calls null.
const nullPages = 0x10000

// userKeys writes which kind of null pointer a program used.
func userKeys(pair func(key, value string), r *report.Report) {
	x := r.Exception
	if r.Bugcheck != nil || x == nil || x.Target == nil || x.Access == "execute" {
		return
	}
	switch target := uint64(*x.Target); {
	case target == 0:
		pair("AV.Dereference", "NullPtr")
	case target < nullPages:
		pair("AV.Dereference", "NullClassPtr")
	}
}

// failFastKeys writes which check failed.
func failFastKeys(pair func(key, value string), r *report.Report) {
	if x := r.Exception; r.Bugcheck == nil && x != nil && strings.HasPrefix(x.Reason, "FAST_FAIL_") && len(x.Parameters) > 0 {
		pair("FailFast.Name", strings.TrimPrefix(x.Reason, "FAST_FAIL_"))
		pair("FailFast.Type", fmt.Sprint(uint64(x.Parameters[0])))
	}
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
