package unwind

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
)

// Unwind operations: UNWIND_OP_CODES of winnt.h, "x64 exception handling".
const (
	opPushNonvol    = 0
	opAllocLarge    = 1
	opAllocSmall    = 2
	opSetFPReg      = 3
	opSaveNonvol    = 4
	opSaveNonvolFar = 5
	opEpilog        = 6 // version 2; before that a save of 64 bits of an xmm register, of the same length
	opSpare         = 7 // as 6, with a far offset
	opSaveXMM       = 8
	opSaveXMMFar    = 9
	opPushMachFrame = 10
)

const (
	flagChained      = 4  // UNW_FLAG_CHAININFO
	maxChained       = 32 // UNWIND_CHAIN_LIMIT
	maxEpilogs       = 128
	runtimeFunction  = 12
	unwindInfoHeader = 4
)

// op64 is an operation of a prologue.
type op64 struct {
	at   uint8 // offset behind its instruction, from the begin of the function
	code uint8
	info uint8  // the register, or whether there is an error code
	size uint32 // bytes: of the allocation, or where the register is saved
}

// part64 is one UNWIND_INFO, its codes in their order: the last instruction of
// the prologue comes first.
type part64 struct {
	begin  pe.RVA
	prolog uint8 // its length, bytes
	frame  uint8 // frame register; 0: none
	offset uint8 // of the frame register from the base of the frame, in units of 16 bytes
	ops    []op64
}

// info64 is the unwind data of a function table entry.
type info64 struct {
	begin, end pe.RVA // of the entry
	version    uint8
	parts      []part64 // the entry's own, then what it is chained to
	epilog     uint8    // version 2: size of each epilogue, bytes
	epilogs    []pe.RVA // version 2: where they begin
}

// primary is where the function begins that a part of it is chained to.
func (u *info64) primary() pe.RVA { return u.parts[len(u.parts)-1].begin }

// decode64 decodes the unwind data of an entry and what that is chained to.
func decode64(f *pe.File, fn pe.Function) (*info64, error) {
	u := &info64{}
	for range maxChained {
		if fn.Unwind&1 != 0 {
			// RUNTIME_FUNCTION_INDIRECT: the address of the entry that counts.
			b, err := read(f, fn.Unwind&^1, runtimeFunction)
			if err != nil {
				return nil, err
			}
			fn = entry64(b)
			continue
		}
		parent, err := u.decode(f, fn)
		if err != nil || parent.End == 0 {
			return u, err
		}
		fn = parent
	}
	return nil, invalid("its unwind data is chained more than %d times", maxChained)
}

func read(f *pe.File, at pe.RVA, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("unwind data: %w", err)
	}
	return b, nil
}

func entry64(b []byte) pe.Function {
	return pe.Function{Begin: pe.RVA(le.U32(b, 0)), End: pe.RVA(le.U32(b, 4)), Unwind: pe.RVA(le.U32(b, 8))}
}

// decode adds the UNWIND_INFO of fn, and returns the entry that it is chained
// to. Layout: version (3 bits) and flags (5) 0x0, size of prolog 0x1, count of
// codes 0x2, frame register (4 bits) and offset (4) 0x3, codes of 2 bytes, an
// even number of them; then the parent's entry if it is chained.
func (u *info64) decode(f *pe.File, fn pe.Function) (parent pe.Function, err error) {
	head, err := read(f, fn.Unwind, unwindInfoHeader)
	if err != nil {
		return parent, err
	}
	version, flags, count := head[0]&7, head[0]>>3, int(head[2])
	if version != 1 && version != 2 {
		return parent, invalid("UNWIND_INFO has version %d", version)
	}
	codes, err := read(f, fn.Unwind+unwindInfoHeader, count*2)
	if err != nil {
		return parent, err
	}
	p := part64{begin: fn.Begin, prolog: head[1], frame: head[3] & 15, offset: head[3] >> 4}
	if p.ops, err = ops64(codes); err != nil {
		return parent, err
	}
	if len(u.parts) == 0 {
		u.begin, u.end, u.version = fn.Begin, fn.End, version
		u.readEpilogs(codes)
	}
	u.parts = append(u.parts, p)
	if flags&flagChained == 0 {
		return parent, nil
	}
	b, err := read(f, fn.Unwind+unwindInfoHeader+pe.RVA(count+count&1)*2, runtimeFunction)
	if err != nil {
		return parent, err
	}
	parent = entry64(b)
	if parent.End <= parent.Begin {
		return parent, invalid("it is chained to an entry that ends at %v before it begins", parent.End)
	}
	return parent, nil
}

// slots is the length of an operation in codes.
func slots(op, info uint8) int {
	switch op {
	case opAllocLarge:
		if info == 0 {
			return 2
		}
		return 3
	case opSaveNonvol, opSaveXMM, opEpilog:
		return 2
	case opSaveNonvolFar, opSaveXMMFar, opSpare:
		return 3
	}
	return 1
}

// ops64 decodes the codes: offset in the prologue, operation (4 bits) and info
// (4 bits), then the operand. What unwinding does not use is left out.
func ops64(b []byte) ([]op64, error) {
	ops := make([]op64, 0, len(b)/2)
	for len(b) > 0 {
		o := op64{at: b[0], code: b[1] & 15, info: b[1] >> 4}
		n := slots(o.code, o.info) * 2
		if o.code > opPushMachFrame || o.code == opAllocLarge && o.info > 1 || n > len(b) {
			return nil, invalid("unwind code %d with info %d and %d bytes left", o.code, o.info, len(b))
		}
		switch {
		case o.code == opAllocSmall:
			o.size = uint32(o.info)*8 + 8
		case n == 4:
			o.size = uint32(le.U16(b, 2)) * 8
		case n == 6:
			o.size = le.U32(b, 2)
		}
		if o.code < opEpilog || o.code == opPushMachFrame {
			ops = append(ops, o)
		}
		b = b[n:]
	}
	return ops, nil
}

// readEpilogs decodes the UWOP_EPILOG codes, which come first. The first has
// the size, and in bit 0 of its info whether one epilogue ends the function;
// the others have the distance of an epilogue from the end of the function, 0
// for none. Source: the unwinder of .NET.
func (u *info64) readEpilogs(b []byte) {
	for i := 0; u.version == 2 && i+1 < len(b) && b[i+1]&15 == opEpilog && i < maxEpilogs*2; i += 2 {
		from := uint32(b[i]) | uint32(b[i+1]>>4)<<8
		if i == 0 {
			if u.epilog = b[0]; b[1]>>4&1 == 0 {
				continue
			}
			from = uint32(u.epilog)
		}
		if from != 0 {
			u.epilogs = append(u.epilogs, u.end-pe.RVA(from))
		}
	}
}

// step64 unwinds one frame.
func (w *Walker) step64(r Registers) (Registers, mem.VA, error) {
	at := r.PC()
	if r.Returned {
		// A call may be the last instruction of its function.
		at--
	}
	fn := w.function(at)
	switch {
	case fn.err != nil:
		return r, 0, fn.err
	case !fn.mapped:
		return w.badCall(r)
	case !fn.found:
		// A leaf function calls nothing, and moves no stack pointer.
		if r.Returned {
			return r, 0, ErrNoTable
		}
		return w.return64(r)
	}
	rva := pe.RVA(r.PC() - fn.module.Base)
	if !r.Returned {
		if caller, saved, ok, err := w.epilogue64(r, fn, rva); ok {
			return caller, saved, err
		}
	}
	return w.prologue64(r, fn.x64, rva)
}

// return64 does what a ret does.
func (w *Walker) return64(r Registers) (Registers, mem.VA, error) {
	ret, err := w.u64(r.SP())
	if err != nil {
		return r, 0, err
	}
	r.set(rip, ret)
	r.v[rsp] += 8
	r.forget(kept64)
	r.Returned = true
	return r, 0, nil
}

// prologue64 undoes those operations of the prologue that were done before rva.
func (w *Walker) prologue64(r Registers, u *info64, rva pe.RVA) (Registers, mem.VA, error) {
	base, err := u.parts[0].base(&r, rva, len(u.parts) > 1)
	if err != nil {
		return r, 0, err
	}
	for _, p := range u.parts {
		done := uint32(rva - p.begin) // code outside of the entry has run all of its prologue
		for _, o := range p.ops {
			if done < uint32(o.at) {
				continue
			}
			if o.code == opPushMachFrame {
				return w.machineFrame64(r, o.info)
			}
			if err := w.undo64(&r, p, o, base); err != nil {
				return r, 0, err
			}
		}
	}
	return w.return64(r)
}

// base is the base of the frame, which offsets of saved registers count from.
func (p *part64) base(r *Registers, rva pe.RVA, chained bool) (uint64, error) {
	if p.frame == 0 {
		return r.v[rsp], nil
	}
	set := chained || uint32(rva-p.begin) >= uint32(p.prolog)
	for _, o := range p.ops {
		set = set || o.code == opSetFPReg && uint32(rva-p.begin) >= uint32(o.at)
	}
	if !set {
		return r.v[rsp], nil
	}
	return p.fixed(r)
}

// fixed is what the frame register says of the stack pointer.
func (p *part64) fixed(r *Registers) (uint64, error) {
	v, ok := r.get(int(p.frame))
	if !ok {
		return 0, fmt.Errorf("%s: %w", machine64.names[p.frame], ErrUnknown)
	}
	return v - uint64(p.offset)*16, nil
}

func (w *Walker) undo64(r *Registers, p part64, o op64, base uint64) (err error) {
	switch o.code {
	case opPushNonvol:
		at := r.SP()
		r.v[rsp] += 8
		r.restore(w, int(o.info), at)
	case opAllocLarge, opAllocSmall:
		r.v[rsp] += uint64(o.size)
	case opSetFPReg:
		r.v[rsp], err = p.fixed(r)
	case opSaveNonvol, opSaveNonvolFar:
		r.restore(w, int(o.info), mem.VA(base+uint64(o.size)))
	}
	return err
}

// machineFrame64 leaves a function that the processor entered by itself: rip,
// cs, flags, rsp and ss lie on the stack, below them an error code if code is 1.
func (w *Walker) machineFrame64(r Registers, code uint8) (Registers, mem.VA, error) {
	at := r.SP() + mem.VA(code&1)*8
	b, err := mem.Read(w.Stack, at, 0x20)
	if err != nil {
		return r, 0, err
	}
	r.set(rip, le.U64(b, 0))
	r.set(rsp, le.U64(b, 0x18))
	r.forget(kept64)
	r.Returned = false
	return r, at, nil
}
