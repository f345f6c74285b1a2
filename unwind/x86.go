package unwind

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pdb"
)

// FPO_DATA.Type, winnt.h: a function that omits the frame pointer. Of the
// others nothing follows but that there is a chain of frame pointers.
const frameFPO = 0

// Limits of a scan for the return address that a program asks for (.raSearch).
const maxReturnSearch = 64 // words

// stepX86 unwinds one frame by what the PDB says. Other code keeps a chain of
// frame pointers, which a walk follows.
func (w *Walker) stepX86(r Registers) (Registers, error) {
	at := r.PC()
	if r.Returned {
		at--
	}
	m, ok := w.module(at)
	if !ok {
		caller, _, err := w.badCall(r)
		return caller, err
	}
	if !r.Returned {
		if caller, ok, err := w.epilogue86(r, m); ok {
			return caller, err
		}
	}
	if m.Frames == nil {
		return r, ErrNoTable
	}
	rva := uint32(at - m.Base)
	if d, ok := m.Frames.FrameData(rva); ok && d.Program != "" {
		return w.runProgram(r, d)
	}
	if d, ok := m.Frames.FPO(rva); ok && d.Type == frameFPO {
		return w.stepFPO(r, d, rva)
	}
	return r, ErrNoTable
}

// returnX86 does what a ret does.
func (w *Walker) returnX86(r Registers) (Registers, error) {
	ret, err := mem.ReadU32(w.Stack, r.SP())
	if err != nil {
		return r, err
	}
	r.set(eip, uint64(ret))
	r.set(esp, r.v[esp]+4)
	r.forget(keptX86)
	r.Returned, r.params = true, 0
	return r, nil
}

// epilogue86 does what is left of an epilogue; false if the code at eip is none.
// No record describes epilogues. One frees the frame (add esp; lea esp, [ebp-n];
// mov esp, ebp; leave), pops registers, and returns or jumps to a function.
func (w *Walker) epilogue86(r Registers, m Module) (caller Registers, ok bool, err error) {
	var buf [maxEpilogue]byte
	b := w.code(m, buf[:], r.PC())
	at := uint32(r.PC() - m.Base)
	for len(b) > 1 {
		n := w.release86(&r, b)
		if n == 0 || n > len(b) {
			break
		}
		b, at = b[n:], at+uint32(n)
	}
	switch {
	case len(b) >= 1 && b[0] == 0xc3, len(b) >= 3 && b[0] == 0xc2:
	case len(b) >= 5 && b[0] == 0xe9 && m.begins(at+5+le.U32(b, 1)):
	default:
		return r, false, nil
	}
	caller, err = w.returnX86(r)
	if m.Frames != nil {
		d, _ := m.Frames.FrameData(at)
		caller.params = d.Params
	}
	return caller, true, err
}

// begins reports whether a function begins at rva.
func (m Module) begins(rva uint32) bool {
	if m.Frames == nil {
		return false
	}
	d, ok := m.Frames.FrameData(rva)
	return ok && d.FunctionStart && d.RVA == rva
}

// release86 does one instruction of an epilogue, and returns its length; 0 if
// it is none.
func (w *Walker) release86(r *Registers, b []byte) int {
	frame, known := r.get(ebp)
	switch {
	case b[0]&0xf8 == 0x58 && b[0]&7 != esp: // pop
		w.pop86(r, int(b[0]&7))
		return 1
	case b[0] == 0x83 && b[1] == 0xc4 && len(b) > 2: // add esp, imm8
		r.set(esp, r.v[esp]+uint64(int64(int8(b[2]))))
		return 3
	case b[0] == 0x81 && b[1] == 0xc4 && len(b) > 5: // add esp, imm32
		r.set(esp, r.v[esp]+uint64(le.U32(b, 2)))
		return 6
	case b[0] == 0x8d && b[1] == 0x65 && len(b) > 2 && known: // lea esp, [ebp+disp8]
		r.set(esp, frame+uint64(int64(int8(b[2]))))
		return 3
	case (b[0] == 0x89 && b[1] == 0xec || b[0] == 0x8b && b[1] == 0xe5) && known: // mov esp, ebp
		r.set(esp, frame)
		return 2
	case b[0] == 0xc9 && known: // leave
		r.set(esp, frame)
		w.pop86(r, ebp)
		return 1
	}
	return 0
}

func (w *Walker) pop86(r *Registers, i int) {
	v, err := mem.ReadU32(w.Stack, r.SP())
	r.set(i, uint64(v))
	if err != nil {
		r.forget(^uint64(1 << i))
	}
	r.set(esp, r.v[esp]+4)
}

// stepFPO unwinds a function without a frame pointer: above esp lie the
// parameters of a call that has not returned, the saved registers, the local
// variables, and the return address. Which registers are saved where is not
// said: those that may be are not known in the caller.
func (w *Walker) stepFPO(r Registers, d pdb.FPO, rva uint32) (Registers, error) {
	if !r.Returned && rva-d.RVA < uint32(d.Prolog) {
		if rva != d.RVA {
			return r, invalid("the instruction pointer is in the prologue")
		}
		caller, err := w.returnX86(r)
		caller.params = d.Params
		return caller, err
	}
	r.set(esp, r.v[esp]+uint64(r.params)+uint64(d.Locals)+uint64(d.Regs)*4)
	r, err := w.returnX86(r)
	if d.Regs > 0 {
		lost := uint64(1<<ebx | 1<<esi | 1<<edi)
		if d.UseBP {
			lost |= 1 << ebp
		}
		r.forget(keptX86 &^ lost)
	}
	r.params = d.Params
	return r, err
}

// runProgram unwinds by the program of a FRAMEDATA.
func (w *Walker) runProgram(r Registers, d pdb.FrameData) (Registers, error) {
	start := r.v[esp] + uint64(r.params) + uint64(d.Locals) + uint64(d.SavedRegs)
	p := program{stack: w.Stack, r: r, vars: map[string]uint32{
		".cbLocals": d.Locals, ".cbParams": d.Params, ".cbSavedRegs": uint32(d.SavedRegs), ".cbCalleeParams": r.params,
		".raSearchStart": uint32(start), ".raSearch": uint32(start),
	}}
	p.search = func() uint32 { return w.searchReturn(uint32(start)) }
	if err := p.run(d.Program); err != nil {
		return r, fmt.Errorf("frame program %q: %w", d.Program, err)
	}
	for name, v := range p.vars {
		if i := r.index(trimDollar(name)); i >= 0 {
			r.set(i, uint64(v))
		}
	}
	r.forget(keptX86 &^ p.lost)
	r.Returned, r.params = true, d.Params
	return r, nil
}

func trimDollar(s string) string {
	if len(s) > 0 && s[0] == '$' {
		return s[1:]
	}
	return ""
}

// searchReturn finds the first word from start on that could be a return
// address: the sizes of a record do not count what the code has pushed.
func (w *Walker) searchReturn(start uint32) uint32 {
	if w.Plausible == nil {
		return start
	}
	for i := range uint32(maxReturnSearch) {
		v, err := mem.ReadU32(w.Stack, mem.VA(start)+mem.VA(i)*4)
		if err != nil {
			break
		}
		if w.Plausible(mem.VA(v)) {
			return start + i*4
		}
	}
	return start
}
