package kernel

import (
	"bytes"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
)

// Limits on a stack walk: kernel stacks are 24 KiB, 72 KiB when expanded; a
// walk that names more frames than this has lost its way.
const (
	maxFrames = 1024
	maxScan   = 256 << 10 // bytes of stack looked through
)

// imageHeader is the part of an image in front of its first section; nothing
// returns to it.
const imageHeader = 0x1000

// Span is a stretch of the stack that holds a known structure, so that words in
// it are not return addresses.
type Span struct{ Start, End mem.VA }

// Stack lists the callers that registers and memory show: the frame that the
// registers stand in, then frames by frame pointers where the architecture keeps
// them (ARM64, x86), then words on the stack that could be return addresses.
// skip names structures that lie on the stack.
func (m *Machine) Stack(regs report.Registers, skip []Span) []report.Frame {
	pc, okPC := regs.PC()
	sp, okSP := regs.SP()
	if !okPC || !okSP || pc == 0 {
		return nil
	}
	frames := []report.Frame{m.frame(mem.VA(pc), mem.VA(sp), report.TrustContext)}
	from := mem.VA(sp)
	if m.Arch != dump.X64 {
		frames, from = m.framePointers(frames, regs)
	} else if ret, ok := m.certainReturn(mem.VA(pc), from); ok {
		from += 8
		frames = append(frames, m.frame(ret, from, report.TrustUnwind))
	}
	return m.scan(frames, from, skip)
}

// functionAlignment is that of function entries in images that Microsoft's
// compiler makes, bytes.
const functionAlignment = 16

// certainReturn is the return address that stands at the stack pointer where
// nothing is guessed about it: pc is the first instruction of a function, or no
// code at all (a call went through a bad pointer).
func (m *Machine) certainReturn(pc, sp mem.VA) (mem.VA, bool) {
	ret, err := mem.ReadVA(m.Memory, sp)
	if err != nil || !m.mayReturnTo(ret) {
		return 0, false
	}
	if _, inModule := m.ModuleAt(pc); !inModule {
		_, err := mem.Read(m.Memory, ret-longestCall, longestCall)
		return ret, err == nil // mayReturnTo has found a call there
	}
	code, err := mem.Read(m.Memory, pc, 5)
	return ret, err == nil && pc%functionAlignment == 0 && beginsFunction(code)
}

// beginsFunction knows how KeBugCheckEx and KeBugCheck begin, where the context
// in a dump's header is taken: "mov [rsp+8],rcx", which saves the first argument
// while the stack pointer has not moved, or "sub rsp,28h".
func beginsFunction(code []byte) bool {
	return bytes.HasPrefix(code, []byte{0x48, 0x89, 0x4c, 0x24, 0x08}) || bytes.HasPrefix(code, []byte{0x48, 0x83, 0xec, 0x28})
}

// frame describes an address of code.
func (m *Machine) frame(pc, sp mem.VA, trust string) report.Frame {
	f := report.Frame{Address: report.Hex(pc), StackPointer: report.Hex(sp), Trust: trust}
	if mod, ok := m.ModuleAt(pc); ok {
		off := report.Hex(pc - mod.Base)
		f.Image, f.Module, f.Offset = mod.Name, mod.Module, &off
	}
	return f
}

// framePointers follows the chain of saved frame pointers: each record is the
// caller's frame pointer and the return address. It returns the address behind
// the last record, from where on only scanning helps.
func (m *Machine) framePointers(frames []report.Frame, regs report.Registers) ([]report.Frame, mem.VA) {
	sp, _ := regs.SP()
	fp, ok := regs.Get("fp")
	if !ok {
		fp, ok = regs.Get("ebp")
	}
	width := mem.VA(m.Arch.PointerSize())
	at, end := mem.VA(fp), mem.VA(sp)
	for ok && len(frames) < maxFrames && at >= end && at%width == 0 {
		next, err1 := m.pointer(at)
		ret, err2 := m.pointer(at + width)
		ret = m.code(ret)
		if _, inModule := m.ModuleAt(ret); err1 != nil || err2 != nil || !inModule {
			break
		}
		frames = append(frames, m.frame(ret, at+2*width, report.TrustFramePointer))
		end, at = at+2*width, next
	}
	return frames, end
}

// code strips the pointer authentication bits that ARM64 keeps above bit 47 of
// a return address.
func (m *Machine) code(va mem.VA) mem.VA {
	if m.Arch == dump.ARM64 && va&(1<<47) != 0 {
		return va | 0xffff<<48
	}
	return va
}

// scan adds the words above sp that could be return addresses.
func (m *Machine) scan(frames []report.Frame, sp mem.VA, skip []Span) []report.Frame {
	width := mem.VA(m.Arch.PointerSize())
	sp = (sp + width - 1) &^ (width - 1)
	b := m.stackBytes(sp)
	for at := mem.VA(0); at+width <= mem.VA(len(b)) && len(frames) < maxFrames; at += width {
		word := mem.VA(le.U32(b, int(at)))
		if width == 8 {
			word = m.code(mem.VA(le.U64(b, int(at))))
		}
		if m.mayReturnTo(word) && !inSpans(sp+at, skip) {
			frames = append(frames, m.frame(word, sp+at+width, report.TrustScan))
		}
	}
	return frames
}

// stackBytes reads the stack from sp up, as far as it was captured and as the
// thread's stack reaches.
func (m *Machine) stackBytes(sp mem.VA) []byte {
	n := uint64(maxScan)
	if base, ok := m.stackBase(); ok && base > sp && uint64(base-sp) < n {
		n = uint64(base - sp)
	}
	b := make([]byte, n)
	got, _ := m.Memory.ReadAt(b, sp)
	return b[:got]
}

// mayReturnTo reports whether an address could be one that a call returns to:
// inside a module, behind its header, outside its unwind table, and, where the
// code in front of it was captured, behind a call.
func (m *Machine) mayReturnTo(va mem.VA) bool {
	mod, ok := m.ModuleAt(va)
	if !ok || va < mod.Base+imageHeader {
		return false
	}
	if va >= m.kernelData.Start && va < m.kernelData.End {
		return false
	}
	if mod.ExceptionTable != 0 && va >= mod.ExceptionTable && va < mod.ExceptionTable+mem.VA(mod.ExceptionSize) {
		return false
	}
	if m.Arch == dump.ARM64 {
		return va%4 == 0 && m.followsCallARM64(va)
	}
	return m.followsCallX86(va)
}

// longestCall is the length of the longest x64 call that ends at a return
// address: FF /2 with SIB, displacement and a prefix.
const longestCall = 8

// followsCallX86 checks the bytes before va; code that was not captured passes.
func (m *Machine) followsCallX86(va mem.VA) bool {
	b, err := mem.Read(m.Memory, va-longestCall, longestCall)
	if err != nil {
		return true
	}
	if b[longestCall-5] == 0xe8 {
		return true
	}
	for n := 2; n < longestCall; n++ {
		if b[longestCall-n] == 0xff && callLength(b[longestCall-n:]) == n {
			return true
		}
	}
	return false
}

// callLength is the length of an indirect call (FF /2) at the start of b, or 0.
func callLength(b []byte) int {
	if len(b) < 3 {
		b = append(b[:len(b):len(b)], 0)
	}
	modrm := b[1]
	mod, reg, rm := modrm>>6, modrm>>3&7, modrm&7
	if reg != 2 {
		return 0
	}
	n := 2
	noBase := mod == 0 && rm == 5 // RIP-relative
	if mod != 3 && rm == 4 {
		n++
		noBase = mod == 0 && b[2]&7 == 5
	}
	switch {
	case mod == 1:
		n++
	case mod == 2 || noBase:
		n += 4
	}
	return n
}

// followsCallARM64 checks for BL, BLR or an authenticated BLR before va.
func (m *Machine) followsCallARM64(va mem.VA) bool {
	op, err := mem.ReadU32(m.Memory, va-4)
	if err != nil {
		return true
	}
	return op>>26 == 0x25 || op&0xfffffc1f == 0xd63f0000 || op&0xfefff800 == 0xd63f0800
}

func inSpans(va mem.VA, spans []Span) bool {
	for _, s := range spans {
		if va >= s.Start && va < s.End {
			return true
		}
	}
	return false
}
