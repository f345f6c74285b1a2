package unwind

import (
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
)

// The longest epilogue: lea, 15 pops, a prefix, a jump.
const maxEpilogue = 64

// epilogue64 does what is left of an epilogue; false if rva is in none. In
// version 2 the unwind data says where epilogues are, and what they do follows
// from the pushes. In version 1 the code says it: an epilogue is
//
//	add rsp, n | lea rsp, [frame register + n]
//	pop register ...
//	ret | iretq | jmp to another function
//
// and the first line, being the first, may be done already. Source: "x64 prolog
// and epilog" in Microsoft's documentation; the unwinder of .NET.
func (w *Walker) epilogue64(r Registers, fn *function, rva pe.RVA) (caller Registers, saved mem.VA, ok bool, err error) {
	u := fn.x64
	if u.version == 2 {
		for _, begin := range u.epilogs {
			if rva >= begin && rva-begin < pe.RVA(u.epilog) {
				caller, saved, err = w.pops64(r, u, uint32(rva-begin))
				return caller, saved, true, err
			}
		}
		return r, 0, false, nil
	}
	if rva < u.begin || rva >= u.end {
		return r, 0, false, nil // of an indirect entry, which has no epilogue
	}
	var buf [maxEpilogue]byte
	e := epilogue{w: w, fn: fn, r: r, at: rva}
	e.b = w.code(fn.module, buf[:min(maxEpilogue, u.end-rva)], r.PC())
	if !e.run() {
		return r, 0, false, nil
	}
	if e.iret {
		caller, saved, err = w.machineFrame64(e.r, 0)
	} else {
		caller, saved, err = w.return64(e.r)
	}
	return caller, saved, true, err
}

// pops64 does the pops of a version 2 epilogue that lie at or behind offset done.
func (w *Walker) pops64(r Registers, u *info64, done uint32) (Registers, mem.VA, error) {
	at := uint32(0)
	for _, p := range u.parts {
		for _, o := range p.ops {
			switch {
			case o.code == opPushMachFrame:
				return w.machineFrame64(r, 0) // the error code is off the stack
			case o.code == opPushNonvol:
				if at >= done {
					slot := r.SP()
					r.v[rsp] += 8
					r.restore(w, int(o.info), slot)
				}
				if at++; o.info >= r8 {
					at++
				}
			case o.code == opAllocSmall && o.size == 8 && at > 0:
				// The flags were pushed, and are popped into a volatile register.
				if at >= done {
					r.v[rsp] += 8
				}
				at++
			}
		}
	}
	return w.return64(r)
}

// epilogue runs code that may be an epilogue.
type epilogue struct {
	w  *Walker
	fn *function
	r  Registers
	b  []byte // what is left of the code
	at pe.RVA // of b

	iret bool // it ends in iretq
}

func (e *epilogue) skip(n int) {
	e.b, e.at = e.b[n:], e.at+pe.RVA(n)
}

// run reports whether the code is an epilogue up to its return or jump.
func (e *epilogue) run() bool {
	e.release()
	for e.pop() {
	}
	b := e.b
	if len(b) > 1 && (b[0] == 0xf2 || b[0] == 0xf3) { // bnd, rep: without effect
		b = b[1:]
	}
	if len(b) == 0 {
		return false
	}
	switch b[0] {
	case 0xc3:
		return true
	case 0xc2: // ret n
		return len(b) >= 3
	case 0x48:
		if e.iret = len(b) > 1 && b[1] == 0xcf; e.iret {
			return true
		}
	}
	return e.leaves()
}

// release does an add or lea that frees the frame.
func (e *epilogue) release() {
	b := e.b
	if len(b) < 4 || b[0]&0xf8 != 0x48 {
		return
	}
	n := 0
	switch {
	case b[0] == 0x48 && b[1] == 0x83 && b[2] == 0xc4: // add rsp, imm8
		n = 4
	case b[0] == 0x48 && b[1] == 0x81 && b[2] == 0xc4: // add rsp, imm32
		n = 7
	case b[0]&0xfe == 0x48 && b[1] == 0x8d && b[2]&0xf8 == 0x60: // lea rsp, [reg+disp8]
		n = 4
	case b[0]&0xfe == 0x48 && b[1] == 0x8d && b[2]&0xf8 == 0xa0: // lea rsp, [reg+disp32]
		n = 7
	}
	if n == 0 || n > len(b) {
		return
	}
	v := uint64(int64(int8(b[3])))
	if n == 7 {
		v = uint64(int64(int32(le.U32(b, 3))))
	}
	if b[1] == 0x8d {
		frame := b[0]&1<<3 | b[2]&7
		base, ok := e.r.get(int(frame))
		if frame&7 == rsp || frame != e.fn.x64.parts[0].frame || !ok {
			return
		}
		e.r.v[rsp] = base
	}
	e.r.v[rsp] += v
	e.skip(n)
}

// pop does one pop of a register.
func (e *epilogue) pop() bool {
	b, reg, n := e.b, 0, 1
	if len(b) > 1 && b[0]&0xf0 == 0x40 {
		reg, n, b = int(b[0]&1)<<3, 2, b[1:]
	}
	if len(b) == 0 || b[0]&0xf8 != 0x58 {
		return false
	}
	reg |= int(b[0] & 7)
	slot := e.r.SP()
	e.r.v[rsp] += 8
	e.r.restore(e.w, reg, slot)
	e.skip(n)
	return true
}

// leaves reports whether the code is a jump to another function, which ends an
// epilogue. A jump inside of the function, whose parts may lie apart, does not.
func (e *epilogue) leaves() bool {
	b := e.b
	if len(b) > 1 && b[0] == 0xf2 {
		b = b[1:]
	}
	if len(b) < 2 {
		return false
	}
	next := e.at + pe.RVA(len(e.b)-len(b))
	switch {
	case b[0] == 0xeb:
		return e.outside(next + 2 + pe.RVA(int32(int8(b[1]))))
	case b[0] == 0xe9 && len(b) >= 5:
		return e.outside(next + 5 + pe.RVA(le.U32(b, 1)))
	case b[0] == 0xff && b[1] == 0x25: // jmp [rip+disp32]
		return true
	case b[0]&0xf8 == 0x48 && b[1] == 0xff && len(b) > 2 && b[2]&0x38 == 0x20:
		// The operand size, which means nothing here, marks a jump to a function.
		return true
	}
	return false
}

func (e *epilogue) outside(target pe.RVA) bool {
	u := e.fn.x64
	if target >= u.begin && target < u.end {
		return target == u.begin && len(u.parts) == 1
	}
	other := e.w.function(e.fn.module.Base + mem.VA(target))
	if other.x64 == nil || other.x64.primary() != u.primary() {
		return true
	}
	return target == u.primary()
}
