package code

import (
	"errors"
	"fmt"
	"slices"
)

// Unwind codes of x64, winnt.h; "x64 exception handling".
const (
	opPush      = 0
	opAlloc     = 1
	opAllocS    = 2
	opSetFP     = 3
	opSave      = 4
	opSaveFar   = 5
	opXMM       = 8
	opXMMFar    = 9
	opPushFrame = 10
)

const (
	rspIndex = 4
	rbpIndex = 5
)

// code64 is one unwind code.
type code64 struct {
	offset byte // of the end of its instruction from the function's begin
	op     byte
	info   byte
	value  uint64 // size or offset, bytes
}

// info64 is the unwind data of a function, codes in the order of the prologue.
type info64 struct {
	codes   []code64
	fp      byte   // register, 0: none
	fpShift uint64 // bytes from rsp, when it is set
}

// unwind64 decodes UNWIND_INFO: version and flags, the size of the prologue, the
// count of codes, the frame register and its offset, then the codes of 2 bytes
// each, last first. Our compiler chains no functions (flag 4).
func (i *Image) unwind64(f function) (info64, error) {
	b := i.at(f.unwind)
	if len(b) < 4 || len(b) < 4+2*int(b[2]) {
		return info64{}, errCut
	}
	if b[0]&7 != 1 || b[0]>>3&4 != 0 {
		return info64{}, fmt.Errorf("UNWIND_INFO of version %d with flags %d", b[0]&7, b[0]>>3)
	}
	codes, err := codes64(b[4 : 4+2*int(b[2])])
	return info64{codes: codes, fp: b[3] & 15, fpShift: uint64(b[3]>>4) * 16}, err
}

// codes64 decodes codes and returns them in the order of the prologue.
func codes64(b []byte) ([]code64, error) {
	var list []code64
	for len(b) > 0 {
		c := code64{offset: b[0], op: b[1] & 15, info: b[1] >> 4}
		slots := 1
		switch c.op {
		case opPush, opSetFP, opPushFrame:
		case opAllocS:
			c.value = uint64(c.info)*8 + 8
		case opAlloc, opSaveFar, opXMMFar:
			if slots = 3; c.op == opAlloc && c.info == 0 {
				slots = 2
			}
		case opSave, opXMM:
			slots = 2
		default:
			return nil, fmt.Errorf("unwind code %d", c.op)
		}
		if len(b) < 2*slots {
			return nil, errCut
		}
		switch slots {
		case 3:
			c.value = uint64(le.Uint32(b[2:]))
		case 2:
			scale := map[byte]uint64{opAlloc: 8, opSave: 8, opXMM: 16}[c.op]
			c.value = uint64(le.Uint16(b[2:])) * scale
		}
		list = append([]code64{c}, list...)
		b = b[2*slots:]
	}
	return list, nil
}

// lay64 enters a function as a call or the processor does, and runs its prologue.
func (s *stack) lay64(f Frame) (Placed, error) {
	fn, found := f.function()
	var u info64
	if found {
		var err error
		if u, err = f.Image.unwind64(fn); err != nil {
			return Placed{}, err
		}
	}
	p := Placed{Frame: f}
	trap := len(u.codes) > 0 && u.codes[0].op == opPushFrame
	switch {
	case trap:
		p.TrapFrame = s.machineFrame64(f, u.codes[0].info == 1)
	case !f.Jumped:
		s.down(8)
		s.write(s.regs.SP, s.regs.PC)
	}
	s.saved = s.prologue64(u, f.PC-fn.begin)
	if err := s.move64(f, u, trap); err != nil {
		return p, err
	}
	for _, r := range s.saved {
		s.regs.R[r] = s.fresh()
	}
	s.regs.PC = f.Base + uint64(f.PC)
	s.regs.R[rspIndex] = s.regs.SP
	if trap {
		s.volatile64(f.Trap, p.TrapFrame)
	}
	p.Registers = s.regs
	return p, nil
}

// prologue64 does what the prologue has done at an offset into the function. It
// returns the registers that are free for other values.
func (s *stack) prologue64(u info64, at uint32) (fresh []int) {
	var saves []code64
	set := false
	for _, c := range u.codes {
		if uint32(c.offset) > at {
			break
		}
		switch c.op {
		case opPush:
			s.down(8)
			s.write(s.regs.SP, s.regs.R[c.info])
			fresh = append(fresh, int(c.info))
		case opAlloc, opAllocS:
			s.down(c.value)
		case opSetFP:
			s.regs.R[u.fp] = s.regs.SP + u.fpShift
			set = true
		case opSave, opSaveFar, opXMM, opXMMFar:
			saves = append(saves, c)
		}
	}
	base := s.regs.SP
	if set {
		base = s.regs.R[u.fp] - u.fpShift
		fresh = slices.DeleteFunc(fresh, func(r int) bool { return r == int(u.fp) })
	}
	for _, c := range saves {
		if c.op == opSave || c.op == opSaveFar {
			s.write(base+c.value, s.regs.R[c.info])
			fresh = append(fresh, int(c.info))
			continue
		}
		v := &s.regs.Vector[c.info]
		s.write(base+c.value, v[0])
		s.write(base+c.value+8, v[1])
		*v = [2]uint64{s.fresh(), 0}
	}
	return fresh
}

// move64 takes memory for an alloca, or goes to another stack.
func (s *stack) move64(f Frame, u info64, trap bool) error {
	switch {
	case f.Alloca != 0 && (u.fp == 0 || f.Alloca%16 != 0):
		return errors.New("it can take no more memory from the stack: it has no frame pointer")
	case f.Stack != 0 && !trap && u.fp == 0:
		return errors.New("it can go to no other stack: it has no frame pointer")
	case f.Stack%16 != 0:
		return fmt.Errorf("a stack that ends at %#x", f.Stack)
	}
	s.down(f.Alloca)
	if f.Stack != 0 && !trap {
		s.regs.SP = f.Stack
		s.begin(f.Stack)
		s.down(0x20) // homes of the arguments of what is called there
	}
	return nil
}

// machineFrame64 pushes what the processor does: ss, rsp, eflags, cs, rip, and for
// some exceptions an error code, from an address that is a multiple of 16. It returns
// where the KTRAP_FRAME begins, whose end that is.
func (s *stack) machineFrame64(f Frame, code bool) (trapFrame uint64) {
	trap := f.Trap
	if trap == nil {
		trap = &Trap{}
	}
	pc, sp := s.regs.PC, s.regs.SP
	if f.Stack != 0 {
		s.regs.SP = f.Stack
		s.begin(f.Stack)
	} else {
		s.down(s.regs.SP & 15)
	}
	cs, ss, flags := uint64(0x10), uint64(0x18), trap.Flags
	if trap.User {
		cs, ss = 0x33, 0x2b
	}
	if flags == 0 {
		flags = 0x10246
	}
	// A KTRAP_FRAME has room for an error code, whether there is one or not.
	end := s.regs.SP
	s.contents(end-ktrapSize64, trap.Contents[:min(len(trap.Contents), ktrapSize64)])
	s.down(0x28)
	for n, v := range []uint64{pc, cs, flags, sp, ss} {
		s.write(s.regs.SP+uint64(n)*8, v)
	}
	s.write(s.regs.SP-8, trap.ErrorCode)
	if code {
		s.down(8)
	}
	return end - ktrapSize64
}

// ktrapSize64 is the size of KTRAP_FRAME on x64, dt nt!_KTRAP_FRAME.
const ktrapSize64 = 0x190

// names64 are the registers in the order of their encoding.
var names64 = [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// volatile64 writes the registers of KTRAP_FRAME: rax, rcx, rdx, r8 to r11 from
// 0x30 on, and rbx, rdi, rsi at 0x140, if they are given.
func (s *stack) volatile64(t *Trap, at uint64) {
	if t == nil {
		return
	}
	offsets := map[string]uint64{
		"rax": 0x30, "rcx": 0x38, "rdx": 0x40, "r8": 0x48, "r9": 0x50, "r10": 0x58, "r11": 0x60,
		"rbx": 0x140, "rdi": 0x148, "rsi": 0x150, "cr2": 0xd0,
	}
	for _, v := range t.Volatile {
		if off, ok := offsets[v.Name]; ok {
			s.write(at+off, v.Value)
		}
	}
}
