package windbglog

import (
	"regexp"
	"strconv"
	"strings"
)

// The lines of a stack. 64-bit debuggers print stack pointer, return address,
// four words and the call site, with colons between; 32-bit ones the same without
// colons; k numbers its lines and leaves the words out; people who tidy up keep
// the call sites, with or without the stack pointers, and add remarks.
var (
	frameColons = regexp.MustCompile("^(?:[0-9a-f]{2,3} )?([0-9a-f`]{8,17}) +([0-9a-f`]{8,17}|\\(Inline Function\\)|--------`--------) *: .*: (.+)$")
	frameWords  = regexp.MustCompile("^([0-9a-f]{8}) ([0-9a-f]{8}) [0-9a-f]{8} [0-9a-f]{8} [0-9a-f]{8} (.+)$")
	frameShort  = regexp.MustCompile("^(?:[0-9a-f]{2,3} )?([0-9a-f`]{8,17}) +([0-9a-f`]{8,17}|\\(Inline Function\\)|--------`--------)(?: *:)? +(\\S.*)$")
	frameAlone  = regexp.MustCompile("^([0-9a-f]{8}`[0-9a-f]{8}) +([\\w.]+(?:!|\\+0x)\\S.*)$")
	frameSite   = regexp.MustCompile(`^(?:#?[0-9a-f]{1,3} *:? |\.\.\. )? *(\S+?!.+|[\w.]+\+0x[0-9a-f]+)$`)
	frameCut    = regexp.MustCompile("^([0-9a-f`]{8,17}) +([0-9a-f`]{8,17})(?: *:)?(?: +[0-9a-f`]{8,17}){3,4} *:?$")
	sourceLine  = regexp.MustCompile(` \[[^\]]* @ \d+\]\s*$`)
	trustWord   = regexp.MustCompile(`  \[(?:context|unwind|frame_pointer|scan)\]$`) // of bugcheck's own format
	annotation  = regexp.MustCompile(` +(?:;|<-+|←|-->|\((?:TrapFrame|Inline Function) @|\[\w+\+0x[0-9a-f]+\]$).*$`)
	callSite    = regexp.MustCompile(`^([\w.]+)\+0x([0-9a-f]+)$`)
	moduleName  = regexp.MustCompile(`^[\w.]+$`)
)

// frame reads one line of the stack; false for a line that is none.
func frame(line string) (f Frame, next uint64, inline, ok bool) {
	for _, r := range []*regexp.Regexp{frameColons, frameWords, frameShort} {
		if m := r.FindStringSubmatch(line); m != nil {
			if f, ok = site(m[3]); ok {
				f.StackPointer = hex(m[1])
				return f, hex(m[2]), strings.ContainsAny(m[2], "I-"), true
			}
		}
	}
	if m := frameAlone.FindStringSubmatch(line); m != nil {
		f, ok = site(m[2])
		f.StackPointer = hex(m[1])
		return f, 0, false, ok
	}
	if m := frameSite.FindStringSubmatch(annotation.ReplaceAllString(line, "")); m != nil {
		f, ok = site(m[1])
	}
	return f, 0, false, ok
}

// site reads a call site: module!function+0x1c, module+0x1c, 0xffff….
func site(s string) (f Frame, ok bool) {
	s = strings.TrimSpace(sourceLine.ReplaceAllString(annotation.ReplaceAllString(trustWord.ReplaceAllString(s, ""), ""), ""))
	if module, function, found := strings.Cut(s, "!"); found && moduleName.MatchString(module) && function != "" {
		f.Module, f.Symbol = module, strings.TrimSpace(function)
		if i := strings.LastIndex(function, "+0x"); i > 0 {
			if v, err := strconv.ParseUint(function[i+3:], 16, 64); err == nil {
				f.Symbol, f.Offset = strings.TrimSpace(function[:i]), v
			}
		}
		return f, true
	}
	if m := callSite.FindStringSubmatch(s); m != nil {
		return Frame{Module: m[1], Offset: hex(m[2])}, true
	}
	if a, found := strings.CutPrefix(s, "0x"); found {
		v, err := strconv.ParseUint(strings.ReplaceAll(a, "`", ""), 16, 64)
		return Frame{Address: v}, err == nil
	}
	return Frame{}, false
}

// stackLine takes a line inside STACK_TEXT. The address of a frame is the return
// address of the line above it; functions that were inlined are left out.
func (p *parser) stackLine(line string) {
	if m := frameCut.FindStringSubmatch(line); m != nil {
		p.cut = m // its call site was wrapped to the next line
		return
	}
	p.called(line)
	f, next, inline, ok := frame(line)
	if !ok || inline || len(p.log.Frames) >= maxFrames {
		return
	}
	if p.cut != nil && f.StackPointer == 0 {
		f.StackPointer, next = hex(p.cut[1]), hex(p.cut[2])
	}
	p.cut = nil
	if f.StackPointer == 0 && p.addressed {
		return // prose behind the stack that looks like a call site
	}
	p.addressed = p.addressed || f.StackPointer != 0
	if f.Address == 0 {
		f.Address = p.returns
	}
	p.returns = next
	p.log.Frames = append(p.log.Frames, f)
}

// warning handles the debugger's own doubt about the frames that follow.
func (p *parser) warning(line string) bool {
	if !p.stack || !strings.Contains(line, "Stack unwind information not available") {
		return false
	}
	if p.log.Doubt < 0 {
		p.log.Doubt = len(p.log.Frames)
	}
	return true
}

func hex(s string) uint64 {
	v, _ := strconv.ParseUint(strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(s), "`", ""), "0x"), 16, 64)
	return v
}
