package pdb

import "bugcheck/internal/le"

// FrameData says how to unwind a stretch of x86 code (FRAMEDATA, cvinfo.h).
type FrameData struct {
	RVA           uint32 // where the stretch begins
	Size          uint32 // of the stretch, bytes
	Locals        uint32 // bytes
	Params        uint32 // bytes
	StackMax      uint32 // bytes
	Prolog        uint16 // bytes of the stretch
	SavedRegs     uint16 // bytes
	SEH, CPPEH    bool
	FunctionStart bool
	Program       string // postfix: "$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + ="
}

// FPO says how to unwind a stretch of x86 code that has no program (FPO_DATA,
// winnt.h).
type FPO struct {
	RVA    uint32 // where the function begins
	Size   uint32 // of the function, bytes
	Locals uint32 // bytes
	Params uint32 // bytes
	Prolog uint8  // bytes
	Regs   uint8  // registers saved
	SEH    bool
	UseBP  bool
	Type   uint8 // FRAME_FPO 0, FRAME_TRAP 1, FRAME_TSS 2, FRAME_NONFPO 3
}

const (
	frameDataSize = 32
	fpoSize       = 16
	maxNested     = 64 // stretches that begin in one function: one for each push of its prolog
)

// frames is a table of stretches of code, sorted by where they begin.
type frames struct {
	s     *stream
	part  part
	entry uint32 // size of one, bytes
	base  uint32 // added to where stretches begin
}

// find reads the last entry that begins at or before rva and contains it:
// stretches of one function lie in each other.
func (t frames) find(rva uint32) ([]byte, bool) {
	rva -= t.base
	lo, hi := uint32(0), t.part.size/t.entry
	for lo < hi {
		mid := lo + (hi-lo)/2
		begin, err := t.s.u32(t.part.at + mid*t.entry)
		if err != nil {
			return nil, false
		}
		if begin <= rva {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for range min(lo, maxNested) {
		lo--
		b, err := t.s.bytes(t.part.at+lo*t.entry, t.entry)
		if err != nil {
			return nil, false
		}
		if rva-le.U32(b, 0) < le.U32(b, 4) {
			return b, true
		}
	}
	return nil, false
}

// source is the RVA as it was before pages were rearranged, which the tables
// use.
func (f *File) source(rva uint32) (uint32, bool) {
	if f.fromImage.len() == 0 {
		return rva, true
	}
	return f.fromImage.translate(rva)
}

// image is the RVA in the image of one before pages were rearranged.
func (f *File) image(rva uint32) uint32 {
	if f.toImage.len() == 0 {
		return rva
	}
	rva, _ = f.toImage.translate(rva)
	return rva
}

// FrameData finds the innermost stretch of x86 code with unwinding data that
// contains an address; false if there is none, as on other machines.
func (f *File) FrameData(rva uint32) (FrameData, bool) {
	source, ok := f.source(rva)
	if !ok {
		return FrameData{}, false
	}
	for _, t := range f.frameTables(rva) {
		b, ok := t.find(source)
		if !ok {
			continue
		}
		flags := le.U32(b, 28)
		d := FrameData{
			RVA: f.image(le.U32(b, 0) + t.base), Size: le.U32(b, 4), Locals: le.U32(b, 8), Params: le.U32(b, 12), StackMax: le.U32(b, 16),
			Prolog: le.U16(b, 24), SavedRegs: le.U16(b, 26), SEH: flags&1 != 0, CPPEH: flags&2 != 0, FunctionStart: flags&4 != 0,
		}
		var err error
		d.Program, err = f.nameAt(le.U32(b, 20))
		return d, err == nil
	}
	return FrameData{}, false
}

// frameTables finds the table of the whole image, else those of the module that
// contains rva. Before its entries there may be the RVA that they count from.
func (f *File) frameTables(rva uint32) []frames {
	if f.frameData != nil {
		return []frames{withBase(f.frameData, part{0, f.frameData.size})}
	}
	at, _ := f.address(rva)
	m, _ := f.modules()
	mod := m.containing(at)
	if mod == nil {
		return nil
	}
	lines, _ := mod.lines()
	var list []frames
	for _, p := range lines.frames {
		list = append(list, withBase(lines.s, p))
	}
	return list
}

func withBase(s *stream, p part) frames {
	t := frames{s: s, part: p, entry: frameDataSize}
	if p.size%frameDataSize == 4 {
		t.base, _ = s.u32(p.at)
		t.part = part{p.at + 4, p.size - 4}
	}
	return t
}

// FPO finds the data about the frame of the x86 function that contains an
// address, as old compilers and assemblers write it; false if there is none.
func (f *File) FPO(rva uint32) (FPO, bool) {
	source, ok := f.source(rva)
	if !ok {
		return FPO{}, false
	}
	b, ok := frames{s: f.fpo, part: part{0, f.fpo.len()}, entry: fpoSize}.find(source)
	if !ok {
		return FPO{}, false
	}
	bits := le.U16(b, 14)
	return FPO{
		RVA: f.image(le.U32(b, 0)), Size: le.U32(b, 4), Locals: 4 * le.U32(b, 8), Params: 4 * uint32(le.U16(b, 12)),
		Prolog: uint8(bits), Regs: uint8(bits >> 8 & 7), SEH: bits&0x800 != 0, UseBP: bits&0x1000 != 0, Type: uint8(bits >> 14),
	}, true
}
