package disasm

import (
	"encoding/binary"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/arch/arm64/arm64asm"
)

// decodeARM64 decodes one word. Memory and flow come from the encoding itself,
// because arm64asm keeps its offsets to itself; names and operands come from
// the table, else from arm64asm.
func decodeARM64(code []byte, pc uint64) (Instruction, error) {
	if len(code) < 4 {
		return Instruction{}, wrong("the bytes end inside of an instruction")
	}
	w := word{binary.LittleEndian.Uint32(code), pc}
	out := Instruction{Length: 4}
	w.flow(&out)
	if m, ok := w.memory(); ok {
		out.Memory = []Memory{m}
	}
	if name, operands, ok := w.known(); ok {
		out.Mnemonic = name
		out.Text = textARM64(name, operands)
		return out, nil
	}
	inst, err := libraryARM64(code[:4])
	if err != nil || inst.Op == 0 {
		return Instruction{}, wrong("no instruction is known for %08x", w.w)
	}
	name, operands, _ := strings.Cut(arm64asm.GNUSyntax(inst), " ")
	if better, ok := unsigned[name]; ok {
		name = better
	}
	out.Mnemonic = name
	out.Text = textARM64(name, w.targets(inst, operands))
	return out, nil
}

// unsigned are the conditions that debuggers call after comparisons.
var unsigned = map[string]string{"b.cs": "b.hs", "b.cc": "b.lo"}

// libraryLock: arm64asm notes in a table of its own which of its formats were
// met, without a lock.
var libraryLock sync.Mutex

func libraryARM64(code []byte) (arm64asm.Inst, error) {
	libraryLock.Lock()
	defer libraryLock.Unlock()
	return arm64asm.Decode(code)
}

var relative = regexp.MustCompile(`\.[+-]0x[0-9a-f]+`)

// targets writes addresses for what is relative to the instruction.
func (w word) targets(inst arm64asm.Inst, operands string) string {
	for _, arg := range inst.Args {
		offset, ok := arg.(arm64asm.PCRel)
		if !ok {
			continue
		}
		from := w.pc
		if inst.Op == arm64asm.ADRP {
			from &^= 0xfff
		}
		address := string(appendAddress(nil, from+uint64(offset)))
		return relative.ReplaceAllLiteralString(operands, address)
	}
	return operands
}

// textARM64 writes a line as debuggers do.
func textARM64(name, operands string) string {
	if operands == "" {
		return name
	}
	return name + strings.Repeat(" ", max(12-len(name), 1)) + strings.ReplaceAll(operands, ", ", ",")
}

// word is an instruction and where it lies.
type word struct {
	w  uint32
	pc uint64
}

// field is n bits from bit at.
func (w word) field(at, n int) uint32 { return w.w >> at & (1<<n - 1) }

// signed is a field with a sign.
func (w word) signed(at, n int) int64 { return int64(int32(w.w<<(32-at-n)) >> (32 - n)) }

// is reports whether the bits of mask are value.
func (w word) is(mask, value uint32) bool { return w.w&mask == value }

// flow finds where an instruction goes (C4.1.93: branches, exceptions, system).
func (w word) flow(out *Instruction) {
	to := func(f Flow, offset int64) {
		out.Flow, out.Target, out.HasTarget = f, w.pc+uint64(offset), true
	}
	switch {
	case w.is(0xfc000000, 0x14000000):
		to(Jump, w.signed(0, 26)*4)
	case w.is(0xfc000000, 0x94000000):
		to(Call, w.signed(0, 26)*4)
	case w.is(0xff000000, 0x54000000), w.is(0x7e000000, 0x34000000):
		to(Conditional, w.signed(5, 19)*4)
	case w.is(0x7e000000, 0x36000000):
		to(Conditional, w.signed(5, 14)*4)
	case w.is(0xfe000000, 0xd6000000):
		switch w.field(21, 3) {
		case 0:
			out.Flow = Jump
		case 1:
			out.Flow = Call
		default: // ret, eret, drps
			out.Flow = Return
		}
	case w.is(0xff000000, 0xd4000000), w.is(0xffff0000, 0):
		out.Flow = Interrupt
	}
}

// generalRegister is x or w by number, 31 is zero.
func generalRegister(n uint32, wide bool) string {
	const names = "0 1 2 3 4 5 6 7 8 9 10111213141516171819202122232425262728293031"
	letter := "w"
	if wide {
		letter = "x"
	}
	if n == 31 {
		return letter + "zr"
	}
	return letter + strings.TrimSpace(names[2*n:2*n+2])
}

// base is a register of addresses, 31 is the stack pointer.
func base(n uint32) string {
	if n == 31 {
		return "sp"
	}
	return generalRegister(n, true)
}

// memory finds the operand in memory (C4.1.94: loads and stores).
func (w word) memory() (Memory, bool) {
	m := Memory{Base: base(w.field(5, 5)), Bits: 64}
	ok := false
	switch {
	case w.is(0xffffffe0, 0xd50b7420): // dc zva
		return Memory{Base: base(w.field(0, 5)), Bits: 64, Size: 64, Write: true}, true
	case w.is(0x3f000000, 0x08000000):
		ok = w.exclusive(&m)
	case w.is(0x3b000000, 0x18000000):
		ok = w.literal(&m)
	case w.is(0x3a000000, 0x28000000):
		ok = w.pair(&m)
	case w.is(0x3f200c00, 0x19000000): // ldapur, stlur
		m.Displacement, m.Size = w.signed(12, 9), 1<<w.field(30, 2)
		m.Write = w.field(22, 2) == 0
		m.Read, ok = !m.Write, true
	case w.is(0xff200400, 0xf8200400): // ldraa, ldrab
		m.Displacement = (w.signed(22, 1)<<9 | int64(w.field(12, 9))) * 8
		m.Size, m.Read, ok = 8, true, true
	case w.is(0x3b200c00, 0x38200000):
		ok = w.atomic(&m)
	case w.is(0x3a000000, 0x38000000):
		ok = w.single(&m)
	case w.is(0xbe000000, 0x0c000000):
		ok = w.structures(&m)
	}
	return m, ok
}

// exclusive: ldxr, stxr, ldar, stlr, cas and their like.
func (w word) exclusive(m *Memory) bool {
	size, isPair, isCompare := w.field(30, 2), w.is(0x00a00000, 0x00200000), w.is(0x00a00000, 0x00a00000)
	m.Size = 1 << size
	if isPair {
		if size < 2 { // casp
			isCompare, size = true, size+2
		}
		m.Size = 2 << size
	}
	m.Read = isCompare || w.field(22, 1) == 1
	m.Write = isCompare || !m.Read
	return true
}

// literal: ldr from the code.
func (w word) literal(m *Memory) bool {
	*m = Memory{Bits: 64, Displacement: int64(w.pc) + w.signed(5, 19)*4, Read: true}
	opc, vector := w.field(30, 2), w.field(26, 1) == 1
	switch {
	case opc == 3: // prfm
		return false
	case vector:
		m.Size = 4 << opc
	case opc == 1:
		m.Size = 8
	default:
		m.Size = 4
	}
	return true
}

// pair: ldp, stp, ldnp, stnp, ldpsw.
func (w word) pair(m *Memory) bool {
	opc, vector, load := w.field(30, 2), w.field(26, 1) == 1, w.field(22, 1) == 1
	size := 4
	switch {
	case opc == 3:
		return false
	case vector:
		size = 4 << opc
	case opc == 2:
		size = 8
	case opc == 1 && !load: // stgp: 16 bytes, in steps of 16
		m.Displacement, m.Size, m.Write = w.signed(15, 7)*16, 16, true
		return true
	}
	m.Size, m.Read, m.Write = 2*size, load, !load
	if w.field(23, 2) != 1 { // not added after the access
		m.Displacement = w.signed(15, 7) * int64(size)
	}
	return true
}

// atomic: ldadd, swp and their like, ldapr.
func (w word) atomic(m *Memory) bool {
	if w.field(26, 1) == 1 {
		return false
	}
	m.Size, m.Read, m.Write = 1<<w.field(30, 2), true, true
	if w.field(15, 1) == 1 {
		switch w.field(12, 3) {
		case 4:
			m.Write = false // ldapr
		case 1, 2, 3, 5:
			m.Size = 64 // ld64b, st64b
			m.Write = w.field(12, 3) != 5
			m.Read = !m.Write
		}
	}
	return true
}

// single: ldr, str, ldur, stur and their like, of one register.
func (w word) single(m *Memory) bool {
	size, opc := w.field(30, 2), w.field(22, 2)
	load := opc != 0
	if w.field(26, 1) == 1 {
		size |= opc & 2 << 1
		load = opc&1 == 1
	} else if size == 3 && opc == 2 { // prfm
		return false
	}
	if size > 4 {
		return false
	}
	m.Size, m.Read, m.Write = 1<<size, load, !load
	switch {
	case w.field(24, 1) == 1:
		m.Displacement = int64(w.field(10, 12)) << size
	case w.field(21, 1) == 0:
		if w.field(10, 2) != 1 { // not added after the access
			m.Displacement = w.signed(12, 9)
		}
	default:
		return w.indexed(m, size)
	}
	return true
}

// indexed: an address with a register that may be extended and shifted.
func (w word) indexed(m *Memory, size uint32) bool {
	option := w.field(13, 3)
	if option&2 == 0 || w.field(10, 2) != 2 {
		return false
	}
	m.Index = generalRegister(w.field(16, 5), option&1 == 1)
	m.Signed = option == 6
	m.Scale = 1
	if w.field(12, 1) == 1 {
		m.Scale = 1 << size
	}
	if strings.HasSuffix(m.Index, "zr") {
		m.Index, m.Scale, m.Signed = "", 0, false
	}
	return true
}

// structures: ld1 to ld4 and st1 to st4 (C4.1.94: Advanced SIMD).
func (w word) structures(m *Memory) bool {
	m.Read = w.field(22, 1) == 1
	m.Write = !m.Read
	opcode := w.field(12, 4)
	if w.field(24, 1) == 0 {
		registers := map[uint32]int{0: 4, 2: 4, 4: 3, 6: 3, 7: 1, 8: 2, 10: 2}[opcode]
		m.Size = registers * (8 << w.field(30, 1))
		return registers > 0
	}
	registers := int(opcode>>1&1<<1|w.field(21, 1)) + 1
	switch opcode >> 2 {
	case 0:
		m.Size = registers
	case 1:
		m.Size = 2 * registers
	case 2:
		m.Size = 4 * registers << w.field(10, 1)
	case 3: // to all lanes
		m.Size = registers << w.field(10, 2)
	}
	return true
}
