package windbglog

import (
	"regexp"
	"slices"
	"strings"
)

// People paste a log from PROCESS_NAME or STACK_TEXT on, without its head. The stop
// code is then on the stack, where the debugger prints what KeBugCheckEx was called
// with, or in the failure bucket (6 published texts).
var (
	bugCheckCall = regexp.MustCompile("^(?:[0-9a-f]{2,3} )?[0-9a-f`]{8,17} +[0-9a-f`]{8,17} *: ((?:" + word64 + " ){4}): nt!KeBugCheckEx\\b")
	bucketCode   = regexp.MustCompile(`^(?:LKD_|X64_)?0x([0-9A-Fa-f]{1,8})_`)
)

// called keeps the words of the call of KeBugCheckEx.
func (p *parser) called(line string) {
	if m := bugCheckCall.FindStringSubmatch(line); m != nil && p.call == nil {
		for _, word := range strings.Fields(m[1]) {
			p.call = append(p.call, hex(word))
		}
	}
}

// headless finds the stop code of a log that lacks its head, and as many of the
// parameters as the stack has: three.
func (p *parser) headless() {
	if p.log.Code != 0 {
		return
	}
	if m := bucketCode.FindStringSubmatch(p.log.Said.Bucket); m != nil {
		p.log.Code = uint32(hex(m[1]))
	}
	if len(p.call) == 4 && p.call[0]>>32 == 0 {
		p.log.Code = uint32(p.call[0])
		p.calledWith(p.call[1:])
	}
}

// calledWith takes the parameters as the blue screen shows them. The kernel changes some
// behind KeBugCheckEx: of a page fault, the trap frame becomes the address of the
// instruction, and 0xA in a driver becomes 0xD1 (5 published logs whose head
// shows the one and whose stack the other).
func (p *parser) calledWith(args []uint64) {
	i := slices.IndexFunc(p.log.Frames, func(f Frame) bool { return f.Module == "nt" && strings.HasPrefix(f.Symbol, "KiPageFault") })
	trap := i >= 0 && i+1 < len(p.log.Frames)
	switch p.log.Code {
	case 0xa:
		if !trap {
			args = nil
			break
		}
		at := p.log.Frames[i+1]
		args = append(slices.Clone(args), at.Address)
		if at.Module != "nt" && at.Module != "hal" {
			p.log.Code = 0xd1
		}
	case 0x50:
		args = slices.Clone(args[:2])
		if trap {
			args = append(args, p.log.Frames[i+1].Address)
		}
	}
	for n, v := range args {
		if p.args[n] == nil {
			p.args[n] = &v
		}
	}
}
