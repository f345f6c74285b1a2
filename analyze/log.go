package analyze

import (
	"slices"
	"strings"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/report"
	"bugcheck/win"
	"bugcheck/windbglog"
)

// LogFacts are what a debugger's log says, in Judge's terms.
func LogFacts(l *windbglog.Log) Facts {
	f, _ := logFacts(l)
	return f
}

// logFacts also returns the number of the frame that the log's stack lacks, or -1.
func logFacts(l *windbglog.Log) (f Facts, added int) {
	f = Facts{
		Arch: l.Arch, Build: l.Build, RawCode: l.Code, Code: win.BaseCode(l.Code), Name: l.Name, Process: win.Clean(l.Process),
		IRQL: l.IRQL, Uptime: l.Uptime, Verifier: l.Verifier, BadStack: l.BadStack, CPUVendor: l.Vendor, CodeDiffer: win.Clean(l.Corruptor),
		Live: strings.HasPrefix(l.Said.Bucket, "LKD_"), Workstation: l.ProductType == win.ProductWorkstation,
	}
	if s, ok := win.English.Code(f.Code); ok {
		f.Name = s.Name
		f.Live = f.Live || s.Live
	}
	for i, a := range l.Arguments[:min(len(l.Arguments), 4)] {
		f.Parameters[i] = narrow(a, l.Arch)
	}
	f.Exception = logException(l, &f)
	f.Frames = logFrames(l, &f)
	f.Frames, added = withFault(l, &f)
	f.Context = logContext(&f)
	if f.Code == 0x101 {
		f.Hung = hungOfLog(f.Frames)
	}
	for i, p := range f.Parameters[:min(len(l.Arguments), 4)] {
		f.Places[i] = logPlace(l, &f, p)
	}
	f.Images = logImages(l)
	return f, added
}

// narrow undoes the sign extension that newer debuggers print for 32-bit machines.
func narrow(v uint64, arch string) uint64 {
	if arch == string(dump.X86) {
		return v & 0xffffffff
	}
	return v
}

// logException is the fault, by the parameters where the stop code has it there,
// else by the log's own EXCEPTION_CODE. Parameters go first: a debugger without
// the right symbols prints another code (1 published log).
func logException(l *windbglog.Log, f *Facts) *Exception {
	p := f.Parameters
	x := &Exception{Access: l.Access}
	if l.Exception != nil {
		x.Code = *l.Exception
	}
	if x.Code == statusInPageError {
		x.Status = l.Detail
	}
	switch {
	case f.Code == 0x3b || f.Code == 0x7e || f.Code == 0x8e: // they need no more than two
		if len(l.Arguments) > 0 {
			x.Code = uint32(p[0])
		}
		x.Address = p[1]
		return x.orNone()
	case len(l.Arguments) < 3:
		x.Address = p[1]
		return x.orNone()
	}
	switch f.Code {
	case 0x0a, 0xd1, 0xc5:
		*x = Exception{Code: statusAccessViolation, Address: p[3], Access: accessBits(p[2]), Target: &p[0]}
	case 0x50:
		*x = Exception{Code: statusAccessViolation, Address: p[2], Access: access50(f), Target: &p[0]}
	case 0x1e:
		x.Code, x.Address = uint32(p[0]), p[1]
		if x.Code == statusAccessViolation {
			x.Access = access(p[2])
		}
		if x.Code == statusAccessViolation && len(l.Arguments) > 3 {
			x.Target = &p[3]
		}
	case 0xbe:
		*x = Exception{Code: statusAccessViolation, Access: "write", Target: &p[0]}
	}
	return x.orNone()
}

func (x *Exception) orNone() *Exception {
	if x.Code == 0 {
		return nil
	}
	return x
}

// logFrames are the frames that belong to the kernel; for CRITICAL_PROCESS_DIED all,
// since a program ended. The one at the fault is
// known by its address, or stands right below the entry of the trap.
func logFrames(l *windbglog.Log, f *Facts) []Frame {
	var frames []Frame
	atFault, below := false, false
	for i, fr := range l.Frames {
		address := narrow(fr.Address, l.Arch)
		if i > 0 && f.Code != 0xef && isUserFrame(l, fr) {
			break
		}
		out := Frame{Image: logImage(l, fr.Module), Module: fr.Module, Symbol: logSymbol(fr), Offset: fr.Offset, Trust: report.TrustUnwind}
		if l.Doubt >= 0 && i >= l.Doubt {
			out.Trust = report.TrustFramePointer
		}
		if f.Exception != nil && !atFault && (below || address != 0 && address == f.Exception.Address) {
			out.Trust, atFault = report.TrustContext, true
		}
		below = isTrap(out)
		frames = append(frames, out)
	}
	if len(frames) > 0 && f.Exception != nil && !atFault && !isBugCheck(frames[0]) {
		frames[0].Trust = report.TrustContext // the debugger began at the fault's own context
	}
	return frames
}

// isUserFrame reports a frame of a program: its stack is the program's. A stray
// number on the kernel's stack that looks like such an address is none.
func isUserFrame(l *windbglog.Log, fr windbglog.Frame) bool {
	at := fr.Address
	if fr.StackPointer != 0 {
		at = fr.StackPointer
	}
	return at != 0 && classify(narrow(at, l.Arch), dump.Arch(l.Arch)) == PlaceUser
}

// withFault puts the instruction at the fault below the machinery of the stop, for a
// stack that lacks it, where the log names the instruction elsewhere. It returns
// the number of that frame, or -1.
func withFault(l *windbglog.Log, f *Facts) ([]Frame, int) {
	known := func(fr Frame) bool { return fr.Trust == report.TrustContext }
	if f.Exception == nil || len(f.Frames) == 0 || slices.ContainsFunc(f.Frames, known) {
		return f.Frames, -1
	}
	p := logPlace(l, f, f.Exception.Address)
	if p.Kind != PlaceModule {
		return f.Frames, -1
	}
	at := slices.IndexFunc(f.Frames, func(fr Frame) bool {
		return !isBugCheck(fr) && (fr.Module != "nt" || !matches(plumbing, fr.Symbol))
	})
	if at < 0 {
		at = len(f.Frames)
	}
	fault := Frame{Image: p.Image, Module: p.Module, Symbol: p.Symbol, Offset: p.Offset, Trust: report.TrustContext}
	return slices.Insert(f.Frames, at, fault), at
}

// logSymbol drops the underscore that 32-bit symbols may carry: _KiTrap0E.
func logSymbol(f windbglog.Frame) string {
	symbol := win.Clean(f.Symbol)
	if f.Module == "nt" && strings.HasPrefix(symbol, "_K") {
		return symbol[1:]
	}
	return symbol
}

// traps are the entries of the kernel's trap handlers: what stands below one was
// running when the processor raised the exception.
var traps = []string{
	"KiPageFault*", "KiTrap*", "KiGeneralProtectionFault*", "KiInvalidOpcodeFault*", "KiBreakpointTrap*",
	"KiDebugServiceTrap*", "KiDivideErrorFault*", "KiStackFault*", "KiSegmentNotPresentFault*", "KiAlignmentFault*",
	"KiRaiseSecurityCheckFailure", "KiDoubleFaultAbort*",
}

func isTrap(f Frame) bool { return f.Module == "nt" && matches(traps, f.Symbol) }

// isBugCheck reports a frame of stopping Windows itself.
func isBugCheck(f Frame) bool {
	return f.Module == "nt" && (strings.HasPrefix(f.Symbol, "KeBugCheck") || strings.HasPrefix(f.Symbol, "KiBugCheck") || strings.Contains(f.Symbol, "BreakWithStatus") || strings.Contains(f.Symbol, "BreakPointWithStatus"))
}

func logContext(f *Facts) Context {
	c := Context{Source: report.T("stack of the log")}
	for _, fr := range f.Frames {
		c.Fault = c.Fault || fr.Trust == report.TrustContext
	}
	return c
}

// logImage is the file of a module: as the log pairs them, else as the table of
// drivers has it, else a guess that holds for nearly every driver.
func logImage(l *windbglog.Log, module string) string {
	switch {
	case module == "":
		return ""
	case module == "nt":
		return "ntoskrnl.exe"
	case strings.EqualFold(module, l.Said.Module) && strings.EqualFold(kernel.ModuleName(l.Said.Image), module):
		return l.Said.Image
	}
	for _, ext := range []string{".sys", ".dll", ".exe"} {
		if _, ok := win.English.Driver(module + ext); ok {
			return module + ext
		}
	}
	return module + ".sys"
}

// logPlace is what an address points at, as far as the log names addresses: on the
// stack, at faulting instructions, in a list of modules.
func logPlace(l *windbglog.Log, f *Facts, address uint64) Place {
	for _, fr := range l.Frames {
		if address != 0 && narrow(fr.Address, l.Arch) == address && fr.Module != "" {
			return Place{Kind: PlaceModule, Image: logImage(l, fr.Module), Module: fr.Module, Symbol: logSymbol(fr), Offset: fr.Offset}
		}
	}
	for _, p := range l.Points {
		if address != 0 && narrow(p.Address, l.Arch) == address {
			return Place{Kind: PlaceModule, Image: logImage(l, p.Module), Module: p.Module, Symbol: win.Clean(p.Symbol), Offset: p.Offset}
		}
	}
	for _, m := range l.Modules {
		start, end := narrow(m.Start, l.Arch), narrow(m.End, l.Arch)
		if address < start || address >= end {
			continue
		}
		if m.Unloaded {
			return Place{Kind: PlaceUnloaded, Image: m.Name, Module: kernel.ModuleName(m.Name), Offset: address - start}
		}
		return Place{Kind: PlaceModule, Image: logImage(l, m.Name), Module: m.Name, Offset: address - start}
	}
	arch := dump.Arch(f.Arch)
	return Place{Kind: classify(address, arch), Bit: canonicalBit(address, arch)}
}

// logImages are the drivers that a list of modules names.
func logImages(l *windbglog.Log) []Image {
	var list []Image
	for _, m := range l.Modules {
		if !m.Unloaded && classify(narrow(m.Start, l.Arch), dump.Arch(l.Arch)) == PlaceSystem {
			list = append(list, Image{Image: logImage(l, m.Name), Module: m.Name})
		}
	}
	for _, fr := range l.Frames { // a list that was cut lacks drivers that are at work
		if len(list) > 0 && fr.Module != "" && !slices.ContainsFunc(list, func(i Image) bool { return i.Module == fr.Module }) {
			list = append(list, Image{Image: logImage(l, fr.Module), Module: fr.Module})
		}
	}
	return list
}
