package analyze

import (
	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// collection is what one run of Collect finds, beyond Facts itself.
type collection struct {
	m         *kernel.Machine
	reference *kernel.Machine // of another dump, whose code is compared; nil: there is none
	facts     Facts
	registers report.Registers
	onlyPC    bool             // of registers only the instruction pointer is the fault's
	trap      kernel.TrapFrame // that registers are of; zero for others
	restored  map[string]bool  // registers that the fault did not save: unwinding found them
	frames    []report.Frame
	spans     []kernel.Span // structures on the stack that hold no return addresses
	notes     []report.Note
	threads   []report.ThreadStack // of a program: those that the report is not about
}

// Collect reads from the machine everything that the verdict may depend on.
func Collect(m *kernel.Machine) Facts { return collect(m, nil).facts }

func collect(m, reference *kernel.Machine) *collection {
	if m.User != nil {
		return collectUser(m)
	}
	c := &collection{m: m, reference: reference}
	h := m.Header
	f := &c.facts
	f.Arch, f.Build, f.Live = string(m.Arch), h.Build, m.Kind == dump.Live
	f.Whole, f.Workstation = m.Physical != nil, h.ProductType == win.ProductWorkstation
	f.Uptime, f.At = h.Uptime, h.Time
	f.RawCode, f.Code, f.Parameters = h.BugCheckCode, win.BaseCode(h.BugCheckCode), h.Parameters
	if code, ok := win.English.Code(f.Code); ok {
		f.Name = code.Name
	}
	for i, p := range h.Parameters {
		f.Places[i] = place(m, p)
	}
	if p, ok := m.Process(); ok {
		f.Process = p.Name
	}
	if irql, ok := m.IRQL(); ok {
		f.IRQL = &irql
	}
	for _, mod := range m.Modules {
		if mod.User {
			continue
		}
		f.Images = append(f.Images, Image{Image: mod.Name, Module: mod.Module, Built: built(mod.Timestamp)})
	}
	for _, u := range m.Unloaded {
		f.Unloaded = append(f.Unloaded, u.Name)
	}
	f.Named = m.Blocks.BrokenDriver
	f.CPUVendor = m.Processor().Vendor
	f.Verifier = m.Blocks.Memory.VerifyLevel != 0 && m.Blocks.Memory.Known
	ruleFor(f.Code).find(c)
	if c.registers == nil {
		c.followContext()
	}
	c.collectPointed()
	c.walk()
	c.collectWhole()
	return c
}

// walk lists the frames from the registers that find chose, else from the
// header's.
func (c *collection) walk() {
	if c.registers == nil {
		c.registers = c.m.HeaderRegisters()
		c.facts.Context.Kind = report.ContextHeader
		pc, _ := c.registers.PC()
		c.facts.Context.Fault = c.facts.Exception != nil && pc == c.facts.Exception.Address && pc != 0
	}
	var err error
	if c.frames, err = c.m.Callers(c.registers, c.spans); err != nil && c.m.Physical != nil {
		c.note("stack", report.T("Unwind data do not lead to its end: %v.", stepText(err)))
	}
	if pc, _ := c.registers.PC(); pc == 0 && c.m.Physical != nil {
		c.note("stack", report.T("Where it begins holds no instruction pointer: no frame is known."))
	}
	if c.onlyPC {
		c.frames = fromFault(notCertain(c.frames))
		c.registers = keep(c.registers, "rip", "pc", "eip")
	}
	c.facts.Frames = factFrames(kernelFrames(c.m, c.frames))
}

// kernelFrames cuts a stack where the program called the kernel: what a program
// does crashes no Windows by itself.
func kernelFrames(m *kernel.Machine, frames []report.Frame) []report.Frame {
	for i, f := range frames {
		if mod, ok := m.ModuleAt(mem.VA(f.Address)); ok && mod.User {
			return frames[:i]
		}
	}
	return frames
}

// factFrames are the frames as Judge needs them. A function that was inlined is
// part of the frame behind it: which one a compiler inlines differs from build to
// build, and a verdict should not. What was unwound from a scanned frame is worth
// no more than that one.
func factFrames(frames []report.Frame) []Frame {
	var list []Frame
	guessed := false
	for _, f := range frames {
		if f.Inline {
			continue
		}
		out := Frame{Image: f.Image, Module: f.Module, Symbol: f.Symbol, Trust: f.Trust}
		if guessed = guessed || f.Trust == report.TrustScan; guessed {
			out.Trust = report.TrustScan
		}
		if f.Offset != nil {
			out.Offset = uint64(*f.Offset)
		}
		list = append(list, out)
	}
	return list
}

// notCertain marks callers as scanned that were found by a stack pointer which is
// not the fault's own.
func notCertain(frames []report.Frame) []report.Frame {
	for i := range frames {
		if frames[i].Trust == report.TrustUnwind {
			frames[i].Trust = report.TrustScan
		}
	}
	return frames
}

// fromFault drops the frames of trap and bug check in front of the fault, where
// the walk met the fault again: x86 keeps it in the chain of frame pointers. An
// address that only a scan found may be left over from an earlier call.
func fromFault(frames []report.Frame) []report.Frame {
	for i := range frames {
		if frames[i].Trust == report.TrustFramePointer && frames[i].Address == frames[0].Address {
			frames[i].Trust = report.TrustContext
			return frames[i:]
		}
	}
	return frames
}

func (c *collection) note(where string, t report.Text) {
	c.notes = append(c.notes, report.Note{Where: where, Text: t})
}

// exception takes over an exception record.
func (c *collection) exception(e *dump.ExceptionRecord) {
	x := &Exception{Code: e.Code, Address: uint64(e.Address)}
	if (e.Code == 0xc0000005 || e.Code == 0xc0000006) && len(e.Parameters) >= 2 {
		x.Access, x.Target = access(e.Parameters[0]), &e.Parameters[1]
	}
	if e.Code == statusInPageError && len(e.Parameters) >= 3 {
		x.Status = uint32(e.Parameters[2])
	}
	c.facts.Exception = x
}

// access is the word for ExceptionInformation[0] of an access violation
// (winnt.h, EXCEPTION_RECORD).
func access(kind uint64) string {
	switch kind {
	case 0:
		return "read"
	case 1:
		return "write"
	case 8:
		return "execute"
	}
	return ""
}

// recordAt reads the exception record that a parameter points to and keeps it
// out of the frames; a missing one is noted.
func (c *collection) recordAt(addr uint64) {
	if addr == 0 {
		return
	}
	e, err := c.m.ExceptionRecordAt(mem.VA(addr))
	if err != nil {
		c.note("exception record", report.T("It is not in the dump: %v.", err.Error()))
		return
	}
	c.exception(e)
	c.skip(addr, 0x98)
}

// contextSizes are those of a CONTEXT, bytes (winnt.h).
var contextSizes = map[dump.Arch]uint64{dump.X64: 0x4d0, dump.ARM64: 0x390, dump.X86: 0x2cc}

// contextAt starts the frames from the CONTEXT that a parameter points to.
func (c *collection) contextAt(addr uint64, source report.Text) bool {
	if addr == 0 {
		return false
	}
	regs, err := c.m.ContextAt(mem.VA(addr))
	if err != nil {
		c.note("context", report.T("It is not in the dump: %v.", err.Error()))
		return false
	}
	if pc, _ := regs.PC(); pc == 0 {
		return false
	}
	c.start(regs, Context{Kind: report.ContextRecord, Address: addr, Source: source})
	c.skip(addr, contextSizes[c.m.Arch])
	return true
}

// trapAt starts the frames from the trap frame that a parameter points to.
func (c *collection) trapAt(addr uint64, source report.Text) {
	if addr == 0 {
		return
	}
	t, err := c.m.TrapFrameAt(mem.VA(addr))
	if err != nil {
		c.note("trap frame", report.T("It cannot be read: %v.", err.Error()))
		return
	}
	c.startTrap(t, source)
}

// faultAt starts the frames from the trap frame of a fault at pc, looked for on
// the stack. Without one the first frame is pc all the same, as the stop code's
// parameter says so, and the others are looked for from KeBugCheckEx up.
func (c *collection) faultAt(pc uint64, source report.Text) {
	if t, ok := c.m.FindTrapFrame(mem.VA(pc)); ok {
		c.startTrap(t, report.T("trap frame at %v, found on the stack by its instruction pointer", t.Address))
		return
	}
	regs := c.m.HeaderRegisters()
	if _, ok := regs.SP(); !ok || pc == 0 {
		return
	}
	for i := range regs {
		switch regs[i].Name {
		case "rip", "pc", "eip":
			regs[i].Value = pc
		}
	}
	c.registers = keep(regs, "rip", "pc", "eip", "rsp", "sp", "esp", "ebp")
	c.onlyPC = true
	c.facts.Context = Context{Kind: report.ContextParameter, Source: source, Fault: true}
}

func (c *collection) startTrap(t kernel.TrapFrame, source report.Text) {
	saved := t.Registers
	c.trap = t
	t = c.m.Restored(t)
	c.restored = map[string]bool{}
	for _, r := range t.Registers {
		if _, ok := saved.Get(r.Name); !ok {
			c.restored[r.Name] = true
		}
	}
	c.start(t.Registers, Context{Kind: report.ContextTrapFrame, Address: uint64(t.Address), Source: source})
	c.skip(uint64(t.Address), t.Size)
}

func (c *collection) start(regs report.Registers, from Context) {
	from.Fault = true
	c.registers, c.facts.Context = regs, from
}

func (c *collection) skip(addr, size uint64) {
	c.spans = append(c.spans, kernel.Span{Start: mem.VA(addr), End: mem.VA(addr + size)})
}

// keep leaves only the named registers: the others are not those of the fault.
func keep(regs report.Registers, names ...string) report.Registers {
	var kept report.Registers
	for _, r := range regs {
		for _, n := range names {
			if r.Name == n {
				kept = append(kept, r)
			}
		}
	}
	return kept
}
