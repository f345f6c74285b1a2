package lab

import (
	"fmt"
	"sort"
)

// A small dump of a whole machine, in the layout that Windows makes at the next start from
// a larger dump: New.

// capture is a piece of the kernel's memory for the data blocks.
type capture struct{ va, size uint64 }

// Keep adds memory to the data blocks of small dumps, as Windows adds what a stop code's
// parameters point at.
func (s *System) Keep(va, size uint64) { s.kept = append(s.kept, capture{va, size}) }

// Small returns the machine's small dump.
func (s *System) Small() ([]byte, error) {
	h, err := s.header()
	if err != nil {
		return nil, err
	}
	stack, sp, err := s.smallStack()
	if err != nil {
		return nil, fmt.Errorf("lab: small dump: %w", err)
	}
	block := s.Symbol("KdDebuggerDataBlock")
	debugger := s.structure(block, s.peek(block+0x14)&0xffff) // its header says its size
	w := &buf{}
	w.grow(header64 + triage64)
	t := s.Crashed.Thread
	for _, p := range []part{
		{smallFigures(), fMm}, {s.smallUnloaded(), fUnloaded},
		{s.structure(s.Crashed.Address, s.layout.Size("_KPRCB")), fPrcb},
		{s.structure(t.Process.Address, s.layout.Size("_EPROCESS")), fProcess}, {s.structure(t.Address, s.layout.Size("_ETHREAD")), fThread},
		{stack, fCallStack}, {debugger, 0x70},
	} {
		w.align(8)
		w.put32(header64+p.field, uint32(len(w.b)))
		w.put(len(w.b), p.data)
	}
	w.put32(header64+fSizeOfStack, uint32(len(stack)))
	w.put64(header64+fTopOfStack, sp)
	w.put32(header64+0x74, uint32(len(debugger)))
	s.smallDrivers(w)
	s.smallBlocks(w, sp)
	w.align(8)
	w.grow(len(w.b) + 8)
	w.put(len(w.b), []byte("TRGD"))
	w.put32s(header64+fSizeOfDump, uint32(len(w.b)), uint32(len(w.b)-4))
	w.put32s(header64+fContext, 0x348, 0xf00)
	w.put32(header64+fTriageOptions, 0xffffffff)
	w.put(len(w.b), h.Secondary)
	w.put(0, s.Memory.SmallHeader(h, uint64(len(w.b))))
	return w.b, s.err
}

// structure reads size bytes of the kernel's memory.
func (s *System) structure(va, size uint64) []byte {
	b := make([]byte, size)
	s.fail(s.Space.Read(va, b))
	return b
}

func smallFigures() []byte {
	var w buf
	w.grow(mmSize)
	w.put32s(0, 1, mmSize)
	return w.b
}

// smallStack is the stack that KeBugCheckEx was called on, from its stack pointer up to
// where memory ends.
func (s *System) smallStack() (b []byte, sp uint64, err error) {
	at := 0x98 // CONTEXT.Rsp; winnt.h
	if s.Arch == "arm64" {
		at = 0x100
	}
	for i, x := range s.Crashed.Context[at : at+8] {
		sp |= uint64(x) << (8 * i)
	}
	end := sp&^0xfff + 0x1000
	for page := make([]byte, 1); end-sp < 0x10000 && s.Space.Read(end, page) == nil; end += 0x1000 {
	}
	b = make([]byte, end-sp)
	return b, sp, s.Space.Read(sp, b)
}

func (s *System) smallUnloaded() []byte {
	var w buf
	w.put64(0, uint64(len(s.Unloaded)))
	for i, u := range s.Unloaded {
		at := 8 + i*unloaded64
		name := utf16le(u.Name)
		name = name[:min(len(name), 24)]
		w.put16(at, uint16(len(name)))
		w.put16(at+2, uint16(len(name)))
		w.put(at+16, name)
		w.put64s(at+0x28, u.Start, u.End)
	}
	return w.b
}

func (s *System) smallDrivers(w *buf) {
	w.align(8)
	list := len(w.b)
	w.put32s(header64+fDriverList, uint32(list), uint32(len(s.Modules)))
	w.grow(list + driver64*len(s.Modules))
	w.align(8)
	pool := len(w.b)
	for i, m := range s.Modules {
		e := list + i*driver64
		w.put32(e, uint32(len(w.b)))
		w.text(m.Path)
		w.put64(e+0x38, m.Base)
		w.put32(e+0x48, m.Size)
		w.put32(e+0x80, m.Checksum)
		w.put32(e+0x88, m.Timestamp)
	}
	w.put32s(header64+fStringPool, uint32(pool), uint32(len(w.b)-pool))
}

// smallBlocks writes the data blocks: the page of each address that a register or a
// parameter holds, the stack of the thread where the stop came on another one, what Keep
// was told, and the kernel's usual variables.
func (s *System) smallBlocks(w *buf, sp uint64) {
	all := append([]capture{{s.Symbol("KiProcessorBlock"), uint64(8 * s.Plan.Processors)}, {s.Symbol("NtBuildLabEx"), 0x80}}, s.kept...)
	for _, v := range append(s.contextWords(), s.Parameters[:]...) {
		all = append(all, capture{v &^ 0xfff, 0x1000})
	}
	if t := s.Crashed.Thread; sp < t.StackLimit || sp >= t.StackBase {
		all = append(all, capture{t.StackLimit, t.StackBase - t.StackLimit})
	}
	blocks := s.readable(all, sp)
	w.align(8)
	dir := len(w.b)
	w.put32s(header64+0x78, uint32(dir), uint32(len(blocks)))
	w.grow(dir + 16*len(blocks))
	for i, b := range blocks {
		w.put64(dir+16*i, b.Address)
		w.put32s(dir+16*i+8, uint32(len(w.b)), uint32(len(b.Data)))
		w.put(len(w.b), b.Data)
	}
}

// contextWords are the registers of the header's CONTEXT that hold addresses: winnt.h.
func (s *System) contextWords() []uint64 {
	from, to := 0x78, 0x100 // Rax to Rip
	if s.Arch == "arm64" {
		from, to = 8, 0x110 // X0 to Pc
	}
	var list []uint64
	for at := from; at < to; at += 8 {
		v := uint64(0)
		for i, x := range s.Crashed.Context[at : at+8] {
			v |= uint64(x) << (8 * i)
		}
		list = append(list, v)
	}
	return list
}

// readable reads those captures that lie in the kernel's memory, but for the stack that the
// dump has anyway, each once.
func (s *System) readable(all []capture, sp uint64) []Block {
	sort.SliceStable(all, func(i, j int) bool { return all[i].va < all[j].va })
	var list []Block
	end := uint64(0)
	for _, c := range all {
		if from := max(c.va, end); from > c.va { // what an earlier one has
			c.size -= min(c.size, from-c.va)
			c.va = from
		}
		if c.size == 0 || c.va>>47 == 0 || c.va+c.size < c.va || c.va&^0xfff == sp&^0xfff {
			continue
		}
		b := make([]byte, c.size)
		if s.Space.Read(c.va, b) != nil {
			continue
		}
		list = append(list, Block{c.va, b})
		end = c.va + c.size
	}
	return list
}
