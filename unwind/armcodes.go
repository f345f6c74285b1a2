package unwind

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

func lrUnknown() error { return fmt.Errorf("lr: %w", ErrUnknown) }

// runARM64 undoes unwind codes.
type runARM64 struct {
	w     *Walker
	r     Registers
	codes []byte // those left
	nexts int    // save_next codes before this one
	lr    bool   // lr has been restored
	done  bool
	exact bool   // pc is set, and no return address
	saved mem.VA // where the interrupted code's registers lie
	err   error
}

// next undoes one code. Source: "ARM64 exception handling"; the unwinder of .NET.
func (u *runARM64) next() {
	if len(u.codes) == 0 {
		// The end code may be left out where the codes fill their words.
		u.done = true
		return
	}
	c := u.codes[0]
	n, _ := codeLength(c)
	if n > len(u.codes) {
		u.err = invalid("unwind code 0x%x ends behind its words", c)
		return
	}
	b := u.codes[:n]
	u.codes = u.codes[n:]
	if c == codeSaveNext {
		u.nexts++
		return
	}
	if c >= 0xe0 && c != codeSaveAny {
		u.other(c, b)
	} else {
		u.save(c, b)
	}
	u.nexts = 0
}

// save undoes the codes that allocate and save.
func (u *runARM64) save(c byte, b []byte) {
	v := int(c)
	if len(b) > 1 {
		v = v<<8 | int(b[1])
	}
	z, x := v&0x3f*8, v>>6&0xf // the common fields: an offset, a register
	switch {
	case c < 0x20: // alloc_s
		u.r.v[sp] += uint64(v&0x1f) * 16
	case c < 0x40: // save_r19r20_x
		u.pair(x19, 0, v&0x1f*8)
	case c < 0x80: // save_fplr
		u.registers(fp, 2, z, 0)
	case c < 0xc0: // save_fplr_x
		u.registers(fp, 2, 0, z+8)
	case c < 0xc8: // alloc_m
		u.r.v[sp] += uint64(v&0x7ff) * 16
	case c < 0xcc: // save_regp
		u.pair(x19+x, z, 0)
	case c < 0xd0: // save_regp_x
		u.pair(x19+x, 0, z+8)
	case c < 0xd4: // save_reg
		u.registers(x19+x, 1, z, 0)
	case c < 0xd6: // save_reg_x
		u.registers(x19+v>>5&0xf, 1, 0, v&0x1f*8+8)
	case c < 0xd8: // save_lrpair
		u.registers(x19+2*(x&7), 1, z, 0)
		u.registers(lr, 1, z+8, 0)
	case c < 0xda, c >= 0xdc && c < 0xde: // save_fregp, save_freg
	case c < 0xdc: // save_fregp_x
		u.r.v[sp] += uint64(z + 8)
	case c == 0xde: // save_freg_x
		u.r.v[sp] += uint64(v&0x1f*8 + 8)
	case c == codeSaveAny:
		u.any(b)
	default:
		// alloc_z counts vectors, whose size the registers do not say.
		u.err = invalid("unwind code 0x%x", c)
	}
}

// pair restores a pair of registers, and those of the save_next codes before it.
func (u *runARM64) pair(reg, off, release int) { u.registers(reg, 2+2*u.nexts, off, release) }

// registers restores n registers from sp+off, then moves sp up by release.
func (u *runARM64) registers(reg, n, off, release int) {
	if reg+n > sp {
		u.err = invalid("unwind codes save x%d", reg+n-1)
		return
	}
	for i := range n {
		u.r.restore(u.w, reg+i, u.r.SP()+mem.VA(off+i*8))
		u.lr = u.lr || reg+i == lr
	}
	u.r.v[sp] += uint64(release)
}

// any undoes save_any_reg: a pair (bit 6 of the second byte), with writeback
// (bit 5), the register (bits 0 to 4); x, d or q registers (bits 6 and 7 of the
// third byte), the offset (bits 0 to 5).
func (u *runARM64) any(b []byte) {
	pair, back, reg := int(b[1]>>6&1), int(b[1]>>5&1), int(b[1]&0x1f)
	kind, off := b[2]>>6, int(b[2]&0x3f)
	if b[1]&0x80 != 0 || kind == 3 || pair == 0 && u.nexts > 0 {
		u.err = invalid("unwind code 0x%x", b)
		return
	}
	scale, release := 8, 0
	if pair == 1 || back == 1 || kind == 2 {
		scale = 16
	}
	if off *= scale; back == 1 {
		off, release = 0, off+scale
	}
	if kind != 0 {
		u.r.v[sp] += uint64(release)
		return
	}
	u.registers(reg, 1+pair+2*u.nexts, off, release)
}

// other undoes the codes from 0xe0 on.
func (u *runARM64) other(c byte, b []byte) {
	switch c {
	case codeAllocL:
		u.r.v[sp] += (uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])) * 16
	case codeSetFP:
		u.frame(0)
	case codeAddFP:
		u.frame(uint64(b[1]) * 8)
	case codeEnd:
		u.done = true
	case codeTrapFrame:
		u.trapFrame()
	case codeMachineFrame:
		u.machineFrame()
	case codeContext:
		u.context(contextARM64[:], 0x110)
	case codeECContext:
		u.context(contextEC[:], 0x128)
	case codeClear:
		u.clear()
	case codeNop, codeEndC:
	case codePAC:
		u.r.v[lr] = StripARM64(u.r.v[lr])
	default:
		if c < 0xf8 {
			u.err = invalid("unwind code 0x%x", c)
		}
	}
}

func (u *runARM64) frame(off uint64) {
	v, ok := u.r.get(fp)
	if !ok {
		u.err = fmt.Errorf("fp: %w", ErrUnknown)
		return
	}
	u.r.v[sp] = v - off
}

// interrupted leaves the registers of the code that was interrupted; those
// in set were saved with its pc and sp.
func (u *runARM64) interrupted(saved mem.VA, set uint64) {
	u.saved, u.exact = saved, true
	u.r.Returned = false
	keep := keptARM64 | set
	if !u.lr {
		keep &^= 1 << lr &^ set
	}
	u.r.forget(keep)
}

// field is a register and where it stands in a structure.
type field struct{ reg, off int }

// KTRAP_FRAME: x0 to x18 from 0xa0; as the unwinder of .NET gives it.
var trapARM64 = [...]field{{lr, 0x138}, {fp, 0x140}, {sp, 0x98}, {pc, 0x148}}

const trapSizeARM64 = 0x150

func (u *runARM64) trapFrame() {
	at := u.r.SP()
	b, err := mem.Read(u.w.Stack, at, trapSizeARM64)
	if err != nil {
		u.err = err
		return
	}
	for i := 0; i <= x18; i++ {
		u.r.set(i, le.U64(b, 0xa0+8*i))
	}
	u.load(b, trapARM64[:])
	u.interrupted(at, 1<<x19-1|1<<lr)
}

func (u *runARM64) load(b []byte, fields []field) {
	for _, f := range fields {
		u.r.set(f.reg, le.U64(b, f.off))
	}
}

// machineFrame: sp and pc lie on the stack.
func (u *runARM64) machineFrame() {
	at := u.r.SP()
	b, err := mem.Read(u.w.Stack, at, 16)
	if err != nil {
		u.err = err
		return
	}
	u.load(b, []field{{sp, 0}, {pc, 8}})
	u.interrupted(at, 0)
}

// CONTEXT of ARM64 and of ARM64EC, winnt.h. The latter has the layout of x64's,
// whose registers stand for those of ARM64.
var (
	contextARM64 = contextFields()
	contextEC    = [...]field{
		{8, 0x78}, {0, 0x80}, {1, 0x88}, {27, 0x90}, {sp, 0x98}, {fp, 0xa0}, {25, 0xa8}, {26, 0xb0}, {2, 0xb8}, {3, 0xc0},
		{4, 0xc8}, {5, 0xd0}, {19, 0xd8}, {20, 0xe0}, {21, 0xe8}, {22, 0xf0}, {pc, 0xf8}, {lr, 0x120},
	}
)

func contextFields() (fields [33]field) {
	for i := range fields {
		fields[i] = field{i, 8 + 8*i}
	}
	return fields
}

// unwoundToCall is the bit of ContextFlags that says that pc is a return address.
const unwoundToCall = 0x20000000

// context leaves a function that was entered with a CONTEXT on the stack.
func (u *runARM64) context(fields []field, size int) {
	at := u.r.SP()
	b, err := mem.Read(u.w.Stack, at, size)
	if err != nil {
		u.err = err
		return
	}
	flags := uint32(0)
	if size == 0x110 {
		flags = le.U32(b, 0)
	}
	u.r.known = 0
	u.load(b, fields)
	u.interrupted(at, 1<<numRegisters-1)
	u.r.Returned = flags&unwoundToCall != 0
}

// clear makes lr the pc, which is then no return address.
func (u *runARM64) clear() {
	v, ok := u.r.get(lr)
	if !ok {
		u.err = lrUnknown()
		return
	}
	u.r.set(pc, StripARM64(v))
	u.interrupted(0, 0)
}
