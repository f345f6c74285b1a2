package unwind

import (
	"math/bits"

	"bugcheck/internal/le"
	"bugcheck/pe"
)

// simARM64 runs ARM64 code. It decodes the few fields that matter by itself:
// Arm Architecture Reference Manual, C4.1 "A64 instruction set encoding".
type simARM64 struct{ o *oracle }

func (*simARM64) sp() int { return sp }

func (*simARM64) entryState() state {
	s := state{word: 8}
	for i := range sp {
		s.regs[i] = value{entry, int64(i)}
	}
	s.regs[lr] = value{entry, retval}
	s.regs[sp] = value{onStack, -8}
	return s
}

// signed is a return address with pointer authentication.
const signed = 41

const signedValue = entryRet&0xffffffffffff | 0x12a4<<48

const zr = 31

// get reads a general register; 31 reads as zero.
func (s *state) get(i uint32) value {
	if i == zr {
		return value{constant, 0}
	}
	return s.regs[i]
}

// put writes a general register; 31 is written nowhere.
func (s *state) put(i uint32, v value) {
	if i != zr {
		s.regs[i] = v
	}
}

// putSP writes a general register or, for 31, the stack pointer.
func (s *state) putSP(i uint32, v value) {
	if i != zr {
		s.regs[i] = v
		return
	}
	if v.kind != onStack {
		v = value{onStack, dynamic}
	}
	s.regs[sp] = v
	s.below(v.n)
}

func signExtend(v uint32, n int) int64 { return int64(int32(v<<(32-n)) >> (32 - n)) }

func (x *simARM64) op(rva pe.RVA) uint32 {
	var b [4]byte
	_, _ = x.o.f.ReadAt(b[:], rva)
	return le.U32(b[:], 0)
}

func (x *simARM64) exec(rva pe.RVA, s *state) step {
	op := x.op(rva)
	st := step{length: 4, falls: true}
	switch {
	case op>>25&0xf == 0xa || op>>25&0xf == 0xb:
		return x.branch(op, rva, s)
	case op>>25&5 == 4:
		x.memory(op, s)
	case op>>26&7 == 4:
		x.immediate(op, s)
	case op>>25&7 == 5:
		x.register(op, s)
	case op>>25&7 == 7:
		convert := op&0x5f20fc00 == 0x1e200000 && (op>>16&7 < 2 || op>>16&7 > 3 && op>>16&7 != 7)
		if convert || op&0xbfe0fc00 == 0x0e003c00 || op&0xbfe0fc00 == 0x0e002c00 {
			s.put(op&31, value{})
		}
	case op>>16 == 0: // udf
		st.falls = false
	default:
		return step{problem: "an instruction that is not known"}
	}
	return st
}

func (x *simARM64) branch(op uint32, rva pe.RVA, s *state) step {
	st := step{length: 4, falls: true}
	to := func(imm uint32, n int) { st.targets = []pe.RVA{rva + pe.RVA(signExtend(imm, n)*4)} }
	switch {
	case op>>26 == 0x05: // b
		to(op, 26)
		st.falls = false
	case op>>26 == 0x25: // bl
		to(op, 26)
		moved := x.moves(st.targets[0])
		st.targets = nil
		x.call(s, rva)
		s.putSP(zr, value{onStack, s.regs[sp].n + moved})
		st.call = moved == 0
	case op>>24 == 0x54, op>>25&0x3f == 0x1a: // b.cond, cbz
		to(op>>5, 19)
	case op>>25&0x3f == 0x1b: // tbz
		to(op>>5, 14)
	case op&0xfffffc1f == 0xd61f0000: // br
		return step{length: 4, switchy: true}
	case op&0xfefff800 == 0xd61f0800, op&0xfffffc1f == 0xd65f0000, op&0xfffffbff == 0xd65f0bff: // braa, ret, retaa
		return step{length: 4, ret: true}
	case op&0xfffffc1f == 0xd63f0000, op&0xfefff800 == 0xd63f0800: // blr, blraa
		x.call(s, rva)
		st.call = true
	case op&0xffe0001f == 0xd4200000: // brk
		st.falls = false // what follows a breakpoint may be data
	case op == 0xd503233f || op == 0xd503237f: // paciasp, pacibsp
		if s.regs[lr] == (value{entry, retval}) {
			s.regs[lr].n = signed
		}
	case op == 0xd50323bf || op == 0xd50323ff: // autiasp, autibsp
		if s.regs[lr] == (value{entry, signed}) {
			s.regs[lr].n = retval
		}
	case op>>20 == 0xd53: // mrs
		s.put(op&31, value{})
	}
	return st
}

// call forgets what a call may change. The one that probes the stack, before
// x15 is taken from sp, keeps x15.
func (x *simARM64) call(s *state, rva pe.RVA) {
	probe := x.op(rva+4) == 0xcb2f73ff
	for i := range lr + 1 {
		if i < x18 && (i != 15 || !probe) || i == lr {
			s.regs[i] = value{}
		}
	}
	s.below(s.regs[sp].n)
}

// moves is by how much a called function leaves the stack pointer moved: the
// helpers that push and pop Visual C++'s cookie do.
func (x *simARM64) moves(rva pe.RVA) (sum int64) {
	const most = 12
	for range most {
		op := x.op(rva)
		switch {
		case op&0xfffffc1f == 0xd65f0000:
			return sum
		case op&0xff8003ff == 0xd10003ff: // sub sp, sp
			sum -= int64(op >> 10 & 0xfff)
		case op&0xff8003ff == 0x910003ff: // add sp, sp
			sum += int64(op >> 10 & 0xfff)
		case op>>25&0xf == 0xa && op&0xfffff01f != 0xd503201f && op>>24 != 0x54, op&0x3a800000 == 0x28800000:
			return 0
		}
		rva += 4
	}
	return 0
}

// memory runs loads and stores.
func (x *simARM64) memory(op uint32, s *state) {
	rt, rn, rt2 := op&31, op>>5&31, op>>10&31
	vector := op>>26&1 != 0
	at := s.regs[min(rn, sp)]
	switch {
	case op&0x3a000000 == 0x28000000: // ldp, stp
		size := int64(4) << (op >> 30)
		if !vector {
			size = 4 << (op >> 31)
		}
		off, mode := signExtend(op>>15, 7)*size, op>>23&3
		at, after := indexed(at, off, mode)
		x.access(s, op>>22&1 != 0, vector, rt, at, size)
		at.n += size
		x.access(s, op>>22&1 != 0, vector, rt2, at, size)
		s.writeBack(rn, after, mode)
	case op&0x3b000000 == 0x39000000: // ldr, str with an offset
		size := x.size(op)
		at.n += int64(op>>10&0xfff) * size
		x.access(s, x.loads(op), vector, rt, at, size)
	case op&0x3b200000 == 0x38000000: // ldur, ldr with writeback
		mode := [4]uint32{2, 1, 2, 3}[op>>10&3]
		at, after := indexed(at, signExtend(op>>12, 9), mode)
		x.access(s, x.loads(op), vector, rt, at, x.size(op))
		s.writeBack(rn, after, mode)
	case op&0x3b200000 == 0x38200000: // register offset, atomics
		if !vector {
			s.put(rt, value{})
		}
	case op&0x3b000000 == 0x18000000: // ldr literal
		if !vector {
			s.put(rt, value{})
		}
	case op&0x3f000000 == 0x08000000: // exclusive, ordered
		if op>>22&1 != 0 {
			s.put(rt, value{})
		}
		s.put(op>>16&31, value{})
	}
}

func (x *simARM64) size(op uint32) int64 {
	if op>>26&1 != 0 && op>>23&1 != 0 {
		return 16
	}
	return 1 << (op >> 30)
}

func (x *simARM64) loads(op uint32) bool {
	if op>>26&1 != 0 {
		return op>>22&1 != 0
	}
	return op>>22&3 != 0
}

// indexed is where an access with an addressing mode is, and what the base
// register is moved to: 1 behind it, 3 before it; with 0 and 2 it stays.
func indexed(at value, off int64, mode uint32) (from, after value) {
	moved := value{}
	if at.kind == onStack || at.kind == constant {
		moved = value{at.kind, at.n + off}
	}
	if mode == 1 {
		return at, moved
	}
	return moved, moved
}

func (s *state) writeBack(rn uint32, v value, mode uint32) {
	if mode == 1 || mode == 3 {
		s.putSP(rn, v)
	}
}

func (x *simARM64) access(s *state, load, vector bool, rt uint32, at value, size int64) {
	switch {
	case load && !vector:
		v := value{}
		if at.kind == onStack && size == 8 {
			v = s.load(at.n)
		}
		s.put(rt, v)
	case !load && at.kind == onStack:
		v := value{}
		if !vector && size == 8 {
			v = s.get(rt)
		}
		s.store(at.n, size, v)
	}
}

// immediate runs data processing with an immediate.
func (x *simARM64) immediate(op uint32, s *state) {
	rd, rn := op&31, op>>5&31
	switch op >> 23 & 0x3f {
	case 0x22: // add, sub
		imm := int64(op >> 10 & 0xfff)
		if op>>22&1 != 0 {
			imm <<= 12
		}
		if op>>30&1 != 0 {
			imm = -imm
		}
		v := s.regs[min(rn, sp)]
		if v.n += imm; op>>31 == 0 || v.kind != onStack && v.kind != constant {
			v = value{}
		}
		if op>>29&1 != 0 {
			s.put(rd, value{})
		} else {
			s.putSP(rd, v)
		}
	case 0x24: // logical
		v, mask := s.get(rn), int64(bits.RotateLeft64(1<<(op>>10&63+1)-1, -int(op>>16&63)))
		if op>>22&1 != 0 && op>>29&3 == 0 && v.kind == onStack {
			v.n = (v.n+topSigned)&mask - topSigned
		} else {
			v = value{}
		}
		if op>>29&3 == 3 {
			s.put(rd, value{})
		} else {
			s.putSP(rd, v)
		}
	case 0x25: // movn, movz, movk
		imm, shift := int64(op>>5&0xffff), op>>21&3*16
		v := value{constant, imm << shift}
		switch op >> 29 & 3 {
		case 0:
			v.n = ^v.n
		case 3:
			old := s.get(rd)
			v = value{old.kind, old.n&^(0xffff<<shift) | imm<<shift}
			if old.kind != constant {
				v = value{}
			}
		}
		s.put(rd, v)
	default:
		s.put(rd, value{})
	}
}

// register runs data processing with registers.
func (x *simARM64) register(op uint32, s *state) {
	rd, rn, rm := op&31, op>>5&31, op>>16&31
	switch {
	case op&0xffe0ffe0 == 0xaa0003e0: // mov
		s.put(rd, s.get(rm))
	case op&0x1fe00000 == 0x0b200000 && op>>29&1 == 0: // add, sub, extended
		v, m := s.regs[min(rn, sp)], s.get(rm)
		if v.kind == onStack && m.kind == constant && op>>30&1 != 0 {
			v.n -= m.n << (op >> 10 & 7)
		} else {
			v = value{}
		}
		s.putSP(rd, v)
	default:
		s.put(rd, value{})
	}
}
