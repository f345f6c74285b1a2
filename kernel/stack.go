package kernel

import (
	"bytes"
	"errors"

	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
	"bugcheck/unwind"
)

// imageHeader is the part of an image in front of its first section; nothing
// returns to it.
const imageHeader = 0x1000

// Span is a stretch of the stack that holds a known structure, so that words in
// it are not return addresses.
type Span struct{ Start, End mem.VA }

// Stack lists the callers: the frame that the registers stand in, then what the
// unwind tables of the images say, where there are images; else the chain of frame
// pointers where the architecture keeps one (ARM64, x86), and words on the stack
// that could be return addresses. skip names structures that lie on the stack.
func (m *Machine) Stack(regs report.Registers, skip []Span) []report.Frame {
	frames, _ := m.Callers(regs, skip)
	return frames
}

// Callers lists what Stack does. The error says why unwind tables did not lead to the
// end of the stack; that a dump without programs' memory ends where the kernel was
// entered is none.
func (m *Machine) Callers(regs report.Registers, skip []Span) ([]report.Frame, error) {
	pc, okPC := regs.PC()
	_, okSP := regs.SP()
	if !okPC || !okSP || pc == 0 {
		return nil, nil
	}
	return m.walk(m.unwindRegisters(regs), m.walker(skip))
}

// frames lists the frame of start and its callers.
func (m *Machine) frames(start unwind.Registers, w *unwind.Walker) []report.Frame {
	frames, _ := m.walk(start, w) // what it could not unwind it marks
	return frames
}

// errNoCaller: a thread's first function has none, but it does not crash.
var errNoCaller = errors.New("the return address of the first function is zero")

func (m *Machine) walk(start unwind.Registers, w *unwind.Walker) ([]report.Frame, error) {
	var frames []report.Frame
	if caller, ok := m.untouched(start); ok {
		frames = m.describe(frames, unwind.Frame{PC: start.PC(), SP: start.SP(), Registers: start, Trust: report.TrustContext})
		start = caller
	}
	callers, err := w.Walk(start)
	last := 0 // the frame whose caller the tables do not lead to
	for i, f := range callers {
		if i == 0 && len(frames) > 0 {
			f.Trust = report.TrustUnwind
		}
		if f.Trust == report.TrustUnwind && last == i-1 {
			last = i
		}
		frames = m.describe(frames, f)
	}
	entered := m.isUser(callers[last].PC) && (last == 0 || callers[last].MachineFrame != 0)
	switch {
	case entered && m.Kind != dump.Full && m.Kind != dump.Active:
		err = nil
	case err == nil && len(frames) == 1:
		err = errNoCaller
	}
	return frames, err
}

// walker finds callers on the stacks of the processor that crashed, over the
// structures in skip.
func (m *Machine) walker(skip []Span) *unwind.Walker {
	stacks := m.stacks
	if base, ok := m.stackBase(); ok && len(stacks) == 0 {
		low, _, known := m.StackLimits()
		if !known {
			low = base - min(base, maxStack)
		}
		stacks = []StackRange{{StackThread, low, base}}
		if top := m.Blocks.StackTop; top < low || top >= base {
			stacks = append(stacks, StackRange{StackOther, top, top + mem.VA(len(m.Blocks.Stack))})
		}
	}
	return m.walkerOn(stacks, stackReader{m.Memory, skip})
}

func (m *Machine) walkerOn(stacks []StackRange, memory mem.Reader) *unwind.Walker {
	w := &unwind.Walker{Stack: memory, Modules: m.unwindModule, Plausible: m.mayReturnTo}
	for _, s := range stacks {
		w.Stacks = append(w.Stacks, unwind.Range{Start: s.Start, End: s.End})
	}
	return w
}

func (m *Machine) unwindRegisters(regs report.Registers) unwind.Registers {
	return unwind.FromReport(machines[m.Arch], regs)
}

var machines = map[dump.Arch]pe.Machine{dump.X64: pe.X64, dump.ARM64: pe.ARM64, dump.X86: pe.X86}

// unwindModule is the module that an address lies in, as unwinding needs it.
func (m *Machine) unwindModule(va mem.VA) (unwind.Module, bool) {
	i, ok := m.moduleIndex(va)
	if !ok {
		return unwind.Module{}, false
	}
	mod := unwind.Module{Base: m.Modules[i].Base, Image: m.image(i)}
	if s := m.Symbols(i); s != nil && s.PDB != nil {
		mod.Frames = s.PDB
	}
	return mod, true
}

// functionAlignment is that of function entries in images that Microsoft's
// compiler makes, bytes.
const functionAlignment = 16

// untouched finds the caller of code that has moved nothing yet, where its image
// is not at hand: the captured code at pc begins a function, so that the return
// address stands at the stack pointer and no register has changed.
func (m *Machine) untouched(r unwind.Registers) (unwind.Registers, bool) {
	mod, ok := m.unwindModule(r.PC())
	if m.Arch != dump.X64 || !ok || mod.Image != nil {
		return r, false
	}
	ret, err := mem.ReadVA(m.Memory, r.SP())
	if err != nil || !m.mayReturnTo(ret) {
		return r, false
	}
	code, err := mem.Read(m.Memory, r.PC(), 5)
	if err != nil || r.PC()%functionAlignment != 0 || !beginsFunction(code) {
		return r, false
	}
	r.Set("rip", uint64(ret))
	r.Set("rsp", uint64(r.SP()+8))
	r.Returned = true
	return r, true
}

// beginsFunction knows how KeBugCheckEx and KeBugCheck begin, where the context
// in a dump's header is taken: "mov [rsp+8],rcx", which saves the first argument
// while the stack pointer has not moved, or "sub rsp,28h".
func beginsFunction(code []byte) bool {
	return bytes.HasPrefix(code, []byte{0x48, 0x89, 0x4c, 0x24, 0x08}) || bytes.HasPrefix(code, []byte{0x48, 0x83, 0xec, 0x28})
}

// describe adds a frame to list by its names, behind the functions that are
// inlined in it. A return address stands behind the call: it is looked up by the
// byte before it.
func (m *Machine) describe(list []report.Frame, f unwind.Frame) []report.Frame {
	out := report.Frame{Address: report.Hex(f.PC), StackPointer: report.Hex(f.SP), Trust: f.Trust}
	i, ok := m.moduleIndex(f.PC)
	if !ok {
		return append(list, out)
	}
	mod, rva := m.Modules[i], pe.RVA(f.PC-m.Modules[i].Base)
	off := report.Hex(rva)
	out.Image, out.Module, out.Offset = mod.Name, mod.Module, &off
	s := m.Symbols(i)
	if s == nil {
		return append(list, out)
	}
	back := pe.RVA(0)
	if f.Registers.Returned && rva > 0 {
		back = 1
	}
	for _, p := range s.Places(rva - back) {
		named := out
		named.Symbol, named.File, named.Line, named.Inline = p.Symbol, p.File, int(p.Line), p.Inline
		named.Offset = nil
		if !p.Inline {
			off := report.Hex(p.Offset + uint32(back))
			named.Offset = &off
			out = named
			break
		}
		list = append(list, named)
	}
	return append(list, out)
}

// NameOf is the function that an address of code lies in, and the offset from its
// start; without symbols "" and the offset from the module's base.
func (m *Machine) NameOf(va mem.VA) (symbol string, offset uint64) {
	i, ok := m.moduleIndex(va)
	if !ok {
		return "", 0
	}
	rva := pe.RVA(va - m.Modules[i].Base)
	if s := m.Symbols(i); s != nil {
		if name, offset, ok := s.Name(rva); ok {
			return name, uint64(offset)
		}
	}
	return "", uint64(rva)
}

// stackReader is the machine's memory as a walk should see it: structures that
// are known to lie on the stack read as zero.
type stackReader struct {
	memory mem.Reader
	skip   []Span
}

func (r stackReader) ReadAt(p []byte, va mem.VA) (int, error) {
	n, err := r.memory.ReadAt(p, va)
	for _, s := range r.skip {
		for at := max(s.Start, va); at < min(s.End, va+mem.VA(n)); at++ {
			p[at-va] = 0
		}
	}
	return n, err
}

// mayReturnTo reports whether an address could be one that a call returns to:
// inside a module, behind its header, outside its unwind table, and, where the
// code in front of it is at hand, behind a call.
func (m *Machine) mayReturnTo(va mem.VA) bool {
	i, ok := m.moduleIndex(va)
	if !ok || va < m.Modules[i].Base+imageHeader {
		return false
	}
	mod := m.Modules[i]
	if mod.User { // the kernel enters a program and leaves it by trap frames alone
		return false
	}
	if va >= m.kernelData.Start && va < m.kernelData.End {
		return false
	}
	if mod.ExceptionTable != 0 && va >= mod.ExceptionTable && va < mod.ExceptionTable+mem.VA(mod.ExceptionSize) {
		return false
	}
	if m.Arch == dump.ARM64 && va%4 != 0 || !m.mayExecute(va, i) {
		return false
	}
	b, ok := m.codeBefore(va, i)
	return !ok || unwind.FollowsCall(machines[m.Arch], b)
}

// executable is IMAGE_SCN_MEM_EXECUTE of a section (winnt.h).
const executable = 0x20000000

// mayExecute reports that nothing is known against running the code at an address:
// it lies in a section of its image that holds code, where the image is at hand.
func (m *Machine) mayExecute(va mem.VA, index int) bool {
	image := m.image(index)
	if image == nil {
		return true
	}
	sections, err := image.Sections()
	rva := pe.RVA(va - m.Modules[index].Base)
	for _, s := range sections {
		if rva >= s.RVA && rva-s.RVA < pe.RVA(s.VirtualSize) {
			return s.Characteristics&executable != 0
		}
	}
	return err != nil
}

// codeBefore is the code in front of an address: as it was captured, else as it
// stands in the image.
func (m *Machine) codeBefore(va mem.VA, index int) ([]byte, bool) {
	b := make([]byte, unwind.LongestCall)
	at := va - unwind.LongestCall
	if _, err := m.Memory.ReadAt(b, at); err == nil {
		return b, true
	}
	image := m.image(index)
	if image == nil {
		return nil, false
	}
	_, err := image.ReadAt(b, pe.RVA(at-m.Modules[index].Base))
	return b, err == nil
}
