package code

import (
	"errors"
	"fmt"
)

const (
	fpIndex = 29
	lrIndex = 30
)

// codeARM64 is what one instruction of a prologue does: it takes memory, stores
// registers, or sets fp.
type codeARM64 struct {
	alloc uint64 // bytes taken before the store
	off   uint64 // from sp, of the store or of fp
	regs  []int  // that are stored, side by side: x registers
	fp    bool
	trap  bool // the function was entered by an exception: a KTRAP_FRAME lies above
	none  bool // it is no instruction
}

// The unwind codes that begin with 0xe0 and more, "ARM64 exception handling".
const (
	armAllocL   = 0xe0
	armSetFP    = 0xe1
	armAddFP    = 0xe2
	armNop      = 0xe3
	armEnd      = 0xe4
	armEndC     = 0xe5
	armSaveNext = 0xe6
	armTrap     = 0xe8
)

// unwindARM64 decodes the unwind data of a function into what its prologue does,
// in its order.
func (i *Image) unwindARM64(f function) ([]codeARM64, error) {
	if f.packed != 0 {
		return packedARM64(f.packed)
	}
	b := i.at(f.unwind)
	if len(b) < 8 {
		return nil, errCut
	}
	// Length (18 bits), version (2), X, E, count of epilogues (5), of words of
	// codes (5); a second word with both counts if they are 0; a word an epilogue
	// unless E is set, which makes the count an index.
	head := le.Uint32(b)
	epilogues, words, single := head>>22&31, head>>27, head>>21&1 != 0
	b = b[4:]
	if epilogues == 0 && words == 0 {
		v := le.Uint32(b)
		epilogues, words, b = v&0xffff, v>>16&0xff, b[4:]
	}
	if !single && int(epilogues)*4 <= len(b) {
		b = b[epilogues*4:]
	}
	if int(words)*4 > len(b) {
		return nil, errCut
	}
	return codesARM64(b[:words*4])
}

// codesARM64 decodes codes, which stand last instruction first.
func codesARM64(b []byte) ([]codeARM64, error) {
	var list []codeARM64
	nexts := 0
	for len(b) > 0 && b[0] != armEnd && b[0] != armEndC {
		n := lengthARM64(b[0])
		if n == 0 || n > len(b) {
			return nil, fmt.Errorf("unwind code %#x", b[0])
		}
		c := one(b[:n])
		switch {
		case b[0] == armSaveNext:
			nexts++
		case nexts > 0:
			// Pairs that follow this one: the last first, as codes stand.
			for ; nexts > 0; nexts-- {
				pair := codeARM64{off: c.off + uint64(nexts)*16}
				for _, r := range c.regs {
					pair.regs = append(pair.regs, r+2*nexts)
				}
				list = append(list, pair)
			}
			list = append(list, c)
		default:
			list = append(list, c)
		}
		b = b[n:]
	}
	for l, r := 0, len(list)-1; l < r; l, r = l+1, r-1 {
		list[l], list[r] = list[r], list[l]
	}
	return list, nil
}

// lengthARM64 is the length of a code in bytes; 0: none that our images use.
func lengthARM64(c byte) int {
	switch {
	case c < 0xc0:
		return 1
	case c < 0xd8 || c == armAddFP:
		return 2
	case c == armAllocL:
		return 4
	case c == armSetFP, c == armNop, c == armSaveNext, c == armTrap:
		return 1
	}
	return 0
}

// one decodes a code.
func one(b []byte) codeARM64 {
	c := b[0]
	v := uint64(c)
	if len(b) > 1 {
		v = v<<8 | uint64(b[1])
	}
	z, x := v&0x3f*8, int(v>>6&0xf) // the common fields: an offset, a register
	switch {
	case c < 0x20: // alloc_s
		return codeARM64{alloc: v & 0x1f * 16}
	case c < 0x40: // save_r19r20_x
		return codeARM64{alloc: v & 0x1f * 8, regs: []int{19, 20}}
	case c < 0x80: // save_fplr
		return codeARM64{off: z, regs: []int{fpIndex, lrIndex}}
	case c < 0xc0: // save_fplr_x
		return codeARM64{alloc: z + 8, regs: []int{fpIndex, lrIndex}}
	case c < 0xc8: // alloc_m
		return codeARM64{alloc: v & 0x7ff * 16}
	case c < 0xcc: // save_regp
		return codeARM64{off: z, regs: []int{19 + x, 20 + x}}
	case c < 0xd0: // save_regp_x
		return codeARM64{alloc: z + 8, regs: []int{19 + x, 20 + x}}
	case c < 0xd4: // save_reg
		return codeARM64{off: z, regs: []int{19 + x}}
	case c < 0xd6: // save_reg_x
		return codeARM64{alloc: v&0x1f*8 + 8, regs: []int{19 + int(v>>5&0xf)}}
	case c < 0xd8: // save_lrpair
		return codeARM64{off: z, regs: []int{19 + 2*(x&7), lrIndex}}
	case c == armAllocL:
		return codeARM64{alloc: (uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])) * 16}
	case c == armSetFP:
		return codeARM64{fp: true}
	case c == armAddFP:
		return codeARM64{fp: true, off: uint64(b[1]) * 8}
	case c == armTrap:
		return codeARM64{trap: true, none: true}
	}
	return codeARM64{} // nop
}

// packedARM64 is what packed unwind data stands for, as far as our compiler makes
// it: registers from x19 on (RegI), then locals, with fp and lr at their low end
// (CR 3) or without them (CR 0); no vectors (RegF), no homes (H).
func packedARM64(v uint32) ([]codeARM64, error) {
	count, cr, frame := int(v>>16&15), v>>21&3, uint64(v>>23)*16
	if v>>13&7 != 0 || v>>20&1 != 0 || cr == 1 || cr == 2 || v&3 != 1 {
		return nil, fmt.Errorf("packed unwind data %#x", v)
	}
	var list []codeARM64
	for n := 0; n < count; n += 2 {
		c := codeARM64{off: uint64(n) * 8, regs: []int{19 + n, 20 + n}[:min(2, count-n)]}
		if n == 0 {
			c.alloc = (uint64(count)*8 + 15) &^ 15
			frame -= c.alloc
		}
		list = append(list, c)
	}
	switch {
	case cr == 3 && frame <= 512:
		return append(list, codeARM64{alloc: frame, regs: []int{fpIndex, lrIndex}}, codeARM64{fp: true}), nil
	case cr == 3:
		return append(list, codeARM64{alloc: frame}, codeARM64{regs: []int{fpIndex, lrIndex}}, codeARM64{fp: true}), nil
	case frame > 0:
		list = append(list, codeARM64{alloc: frame})
	}
	return list, nil
}

// layARM64 enters a function as a call or an exception does, and runs its prologue.
func (s *stack) layARM64(f Frame) (Placed, error) {
	fn, found := f.function()
	var codes []codeARM64
	if found {
		var err error
		if codes, err = f.Image.unwindARM64(fn); err != nil {
			return Placed{}, err
		}
	}
	p := Placed{Frame: f}
	trap := len(codes) > 0 && codes[0].trap
	if trap {
		p.TrapFrame = s.trapARM64(f)
	} else if !f.Jumped {
		s.regs.R[lrIndex] = s.regs.PC // what a call does
	}
	fresh, hasFP := s.prologueARM64(codes, (f.PC-fn.begin)/4)
	if hasFP {
		s.down(f.Image.localsARM64(fn, codes, f.PC))
	}
	if err := s.moveARM64(f, hasFP, trap); err != nil {
		return p, err
	}
	s.saved = fresh
	for _, r := range fresh {
		switch {
		case r == lrIndex:
			s.regs.R[r] = f.Base + uint64(f.PC) // of the call it is in, or of its last one
		case r != fpIndex || !hasFP:
			s.regs.R[r] = s.fresh()
		}
	}
	s.regs.PC = f.Base + uint64(f.PC)
	p.Registers = s.regs
	return p, nil
}

// localsARM64 is what a function with a frame pointer takes for its local variables: the
// unwind codes end with the one that sets fp, so that "sub sp, sp, #n" behind it has none.
func (i *Image) localsARM64(f function, codes []codeARM64, pc uint32) uint64 {
	at := f.begin
	for _, c := range codes {
		if !c.none {
			at += 4
		}
	}
	b := i.at(at)
	if pc <= at || len(b) < 4 || le.Uint32(b)&0xff8003ff != 0xd10003ff {
		return 0
	}
	w := le.Uint32(b)
	return uint64(w>>10&0xfff) << (w >> 22 & 1 * 12)
}

// prologueARM64 does what so many instructions of the prologue do. It returns the
// registers that are saved, and whether fp finds the frame.
func (s *stack) prologueARM64(codes []codeARM64, done uint32) (fresh []int, hasFP bool) {
	for _, c := range codes {
		if !c.none {
			if done == 0 {
				break
			}
			done--
		}
		s.down(c.alloc)
		if c.fp {
			s.regs.R[fpIndex], hasFP = s.regs.SP+c.off, true
			continue
		}
		for n, r := range c.regs {
			s.write(s.regs.SP+c.off+uint64(n)*8, s.regs.R[r])
			fresh = append(fresh, r)
		}
	}
	return fresh, hasFP
}

func (s *stack) moveARM64(f Frame, hasFP, trap bool) error {
	if trap {
		return nil
	}
	if (f.Alloca != 0 || f.Stack != 0) && !hasFP {
		return errors.New("it can move sp no further: it has no frame pointer")
	}
	if f.Alloca%16 != 0 || f.Stack%16 != 0 {
		return fmt.Errorf("a stack pointer that is moved by %#x or to %#x", f.Alloca, f.Stack)
	}
	s.down(f.Alloca)
	if f.Stack != 0 {
		s.regs.SP = f.Stack
		s.begin(f.Stack)
	}
	return nil
}

// ktrapSizeARM64 is the size of KTRAP_FRAME on ARM64: ntddk.h.
const ktrapSizeARM64 = 0x150

// trapARM64 writes a KTRAP_FRAME below what was interrupted, or on the stack that
// the exception goes to: the fault's address at 8, SPSR at 0x90, ESR behind it, sp,
// x0 to x18 from 0xa0, lr, fp, and pc at 0x148.
func (s *stack) trapARM64(f Frame) uint64 {
	trap := f.Trap
	if trap == nil {
		trap = &Trap{}
	}
	was := s.regs
	if f.Stack != 0 {
		s.regs.SP = f.Stack
		s.begin(f.Stack)
	}
	s.down(ktrapSizeARM64)
	at := s.regs.SP
	s.contents(at, make([]byte, ktrapSizeARM64))
	s.contents(at, trap.Contents[:min(len(trap.Contents), ktrapSizeARM64)])
	spsr := trap.Flags
	if spsr == 0 && !trap.User {
		spsr = 0x60000004
	}
	s.write(at+0x90, spsr&0xffffffff|trap.ErrorCode<<32)
	s.write(at+0x98, was.SP)
	for r := range 19 {
		s.write(at+0xa0+uint64(r)*8, was.R[r])
	}
	for _, v := range trap.Volatile {
		var r uint64
		if v.Name == "far" {
			s.write(at+8, v.Value)
		} else if n, _ := fmt.Sscanf(v.Name, "x%d", &r); n == 1 && r < 19 {
			s.write(at+0xa0+r*8, v.Value)
		}
	}
	s.write(at+0x138, was.R[lrIndex])
	s.write(at+0x140, was.R[fpIndex])
	s.write(at+0x148, was.PC)
	return at
}
