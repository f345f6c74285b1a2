package disasm

import (
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// decodeX86 decodes with the scan, the table and x86asm: the length is the
// scan's, and x86asm must agree; the name is the table's, else x86asm's.
func decodeX86(code []byte, pc uint64, bits int) (Instruction, error) {
	s, ok := scanX86(code, bits)
	if !ok {
		if s.at >= len(s.code) && len(s.code) == len(code) {
			return Instruction{}, wrong("the bytes end inside of an instruction")
		}
		return Instruction{}, wrong("no instruction has the opcode %02x", s.opcode)
	}
	x := x86{scan: s, pc: pc}
	if s.relative {
		x.memory.Displacement += int64(pc) + int64(s.length())
		if s.addr == 32 {
			x.memory.Displacement &= 1<<32 - 1
		}
	}
	x.out.Length = s.length()
	x.flow()
	if e, ok := x.lookUp(); ok {
		x.known(e)
	} else if err := x.library(); err != nil {
		return Instruction{}, err
	}
	x.implied()
	return x.out, nil
}

// x86 is an instruction that is being decoded.
type x86 struct {
	scan
	pc  uint64
	out Instruction
}

// library takes name and operands from x86asm.
func (x *x86) library() error {
	inst, ok := x.ask(x.code)
	if !ok && x.encoding != legacy {
		inst, ok = x.askAgain()
	}
	if !ok {
		return x.unnamed()
	}
	x.out.Mnemonic = mnemonic(inst)
	// x86asm takes the numbers of 16 bits that these repeat for whole vectors.
	if x.encoding == evex && x.table == map0F3A && strings.HasSuffix(x.out.Mnemonic, "ph") && x.hasMem && x.code[x.payload+2]&0x10 != 0 {
		return x.unnamed()
	}
	if size := x.sizeByName(); size != 0 {
		inst.MemBytes = size
	}
	if x.hasMem {
		x.memoryOf(inst)
	}
	x.writeText(inst)
	return nil
}

// ask is x86asm's answer, if it holds for the same bytes.
func (x *x86) ask(code []byte) (x86asm.Inst, bool) {
	if x.encoding == evex && x.table > map0F3A {
		return x86asm.Inst{}, false // maps 5 and 6 read as others there
	}
	inst, err := x86asm.Decode(code, x.bits)
	return inst, err == nil && inst.Op != 0 && inst.Len == x.length()
}

// askAgain asks without the bits of VEX and EVEX that many instructions ignore
// and x86asm does not: W, and the length of a vector where there is only one
// number.
func (x *x86) askAgain() (x86asm.Inst, bool) {
	code := slices.Clone(x.code[:x.length()])
	at := x.payload
	if code[at-1] == 0xc5 {
		code[at] &^= 4
	} else {
		code[at+1] &^= 0x80
		if inst, ok := x.ask(code); ok {
			return inst, true
		}
		code[at+1] |= x.code[at+1] & 0x80
		if x.encoding == vex {
			code[at+1] &^= 4
		} else if x.modrm < 0xc0 || code[at+2]&0x10 == 0 {
			code[at+2] &^= 0x60
		}
	}
	inst, ok := x.ask(code)
	name := inst.Op.String()
	return inst, ok && (strings.HasSuffix(name, "SS") || strings.HasSuffix(name, "SD") || strings.HasSuffix(name, "SI"))
}

// unnamed is an instruction of which only the length is known.
func (x *x86) unnamed() error {
	switch x.encoding {
	case vex:
		x.out.Mnemonic = "vex"
	case evex:
		x.out.Mnemonic = "evex"
	default:
		if e, ok := x.spare(); ok {
			x.known(e)
			return nil
		}
		return wrong("no instruction is known for %x", x.code[:x.length()])
	}
	x.out.Text = x.out.Mnemonic
	return nil
}

// memoryOf makes the operand in memory that ModR/M names an operand that is
// read or written.
func (x *x86) memoryOf(inst x86asm.Inst) {
	m := x.memory
	m.Size = inst.MemBytes
	first := true
	for i, arg := range inst.Args {
		mem, ok := arg.(x86asm.Mem)
		if !ok {
			continue
		}
		first = i == 0
		if x.encoding == evex && x.short {
			m.Displacement = mem.Disp
		}
		if mem.Index >= x86asm.X0 {
			m.Index, m.Scale = register(mem.Index), int(mem.Scale)
		}
	}
	if bit, ok := inst.Args[1].(x86asm.Reg); ok && x.encoding == legacy && x.table == map0F && x.opcode&0xe7 == 0xa3 {
		m.Bit = register(bit) // bt, bts, btr, btc
	}
	m.Read, m.Write = access(x.out.Mnemonic, first)
	x.memory = m
	if x.popsTo(m) {
		m.Displacement += int64(x.operand())
	}
	if m.Read || m.Write {
		x.out.Memory = append(x.out.Memory, m)
	}
}

// sizeByName is the size of an operand in memory that x86asm does not say; 0
// where it says it, or where it depends on what the processor has (xsave).
func (x *x86) sizeByName() int {
	name := x.out.Mnemonic
	switch name {
	case "fld", "fstp":
		if x.opcode == 0xdb {
			return 10
		}
	case "fbld", "fbstp":
		return 10
	case "fnstenv", "fldenv":
		return 28
	case "fnsave", "frstor":
		return 108
	case "fxsave", "fxrstor", "fxsave64", "fxrstor64":
		return 512
	case "clflush":
		return 64
	case "sgdt", "sidt", "lgdt", "lidt":
		return 2 + x.bits/8
	case "lss", "lfs", "lgs", "call", "jmp":
		if x.wide && (name[0] == 'l' || x.modrm>>3&7 == 3 || x.modrm>>3&7 == 5) {
			return 10
		}
	}
	if isGather(name) {
		return elementOf(name)
	}
	return 0
}

// isGather: one that reads or writes several places, by a vector of indexes.
func isGather(name string) bool {
	return strings.HasPrefix(name, "vgather") || strings.HasPrefix(name, "vpgather") ||
		strings.HasPrefix(name, "vscatter") || strings.HasPrefix(name, "vpscatter")
}

// elementOf is the size of what lies at each of those places, bytes.
func elementOf(name string) int {
	if strings.HasSuffix(name, "pd") || strings.HasSuffix(name, "q") {
		return 8
	}
	return 4
}

// popsTo: pop into memory whose address comes from the stack pointer, which
// has moved by then.
func (x *x86) popsTo(m Memory) bool {
	return x.encoding == legacy && x.table == oneByte && x.opcode == 0x8f && (m.Base == "rsp" || m.Base == "esp")
}

// operand is the size of what push and pop move, bytes.
func (x *x86) operand() int {
	switch {
	case x.narrow && !x.wide:
		return 2
	case x.bits == 64:
		return 8
	}
	return 4
}

// mnemonic is the name of an instruction.
func mnemonic(inst x86asm.Inst) string {
	name := strings.ToLower(inst.Op.String())
	switch inst.Op {
	case x86asm.MOVSD_XMM, x86asm.CMPSD_XMM:
		return name[:5]
	case x86asm.LRET:
		return "retf"
	case x86asm.ICEBP:
		return "int1"
	case x86asm.INT:
		if inst.Opcode>>24 == 0xcc {
			return "int3"
		}
	case x86asm.LCALL:
		return "call"
	case x86asm.LJMP:
		return "jmp"
	case x86asm.FWAIT:
		return "wait"
	}
	return name
}

// stores are the instructions that write their first operand and do not read
// it, by the start of their names; reads are those that only read it, though
// it stands first; untouched are those that only form the address.
var (
	stores = []string{
		"mov", "vmov", "set", "fst", "fist", "fbstp", "fnst", "fnsave", "stmxcsr", "vstmxcsr",
		"fxsave", "xsave", "sgdt", "sidt", "sldt", "str", "smsw", "pop", "pextr", "vpextr",
		"extractps", "vextract", "vmptrst", "vcvtps2ph", "vpmov", "vscatter", "vpscatter",
		"vcompress", "vpcompress", "vmaskmov", "vpmaskmov", "vmread", "kmov", "maskmov",
	}
	reads = map[string]bool{
		"cmp": true, "test": true, "push": true, "call": true, "jmp": true, "lcall": true, "ljmp": true,
		"bt": true, "mul": true, "imul": true, "div": true, "idiv": true, "ldmxcsr": true, "vldmxcsr": true,
		"lgdt": true, "lidt": true, "lldt": true, "lmsw": true, "ltr": true, "verr": true, "verw": true,
		"vmptrld": true, "vmclear": true, "vmxon": true, "clflush": true, "clflushopt": true, "clwb": true,
	}
	untouched = map[string]bool{
		"lea": true, "nop": true, "invlpg": true, "prefetch": true, "prefetchw": true, "prefetchwt1": true,
		"prefetchnta": true, "prefetcht0": true, "prefetcht1": true, "prefetcht2": true, "cldemote": true,
		"bndmk": true, "ud0": true, "ud1": true,
	}
)

// access says what an instruction does with its operand in memory, which is
// its first operand or a later one.
func access(name string, first bool) (read, write bool) {
	switch {
	case untouched[name] || strings.HasPrefix(name, "vgatherpf") || strings.HasPrefix(name, "vscatterpf"):
		return false, false
	case name == "xchg":
		return true, true
	case !first || reads[name]:
		return true, false
	}
	for _, start := range stores {
		if strings.HasPrefix(name, start) {
			return false, true
		}
	}
	// Of the floating point unit, what does not store only reads.
	if name[0] == 'f' || strings.HasPrefix(name, "xrstor") {
		return true, false
	}
	return true, true
}

// flow finds where the instruction goes.
func (x *x86) flow() {
	if x.encoding != legacy {
		return
	}
	switch x.table {
	case oneByte:
		x.flowOneByte()
	case map0F:
		switch c := x.opcode; {
		case c >= 0x80 && c < 0x90:
			x.to(Conditional)
		case c == 0x05, c == 0x34, c == 0x0b, c == 0xb9, c == 0xff:
			x.out.Flow = Interrupt
		case c == 0x07, c == 0x35, c == 0xaa:
			x.out.Flow = Return
		}
	}
}

func (x *x86) flowOneByte() {
	switch c := x.opcode; {
	case c >= 0x70 && c < 0x80, c >= 0xe0 && c <= 0xe3:
		x.to(Conditional)
	case c == 0xe8:
		x.to(Call)
	case c == 0xe9, c == 0xeb:
		x.to(Jump)
	case c == 0x9a:
		x.out.Flow = Call
	case c == 0xea:
		x.out.Flow = Jump
	case c == 0xc2, c == 0xc3, c == 0xca, c == 0xcb, c == 0xcf:
		x.out.Flow = Return
	case c == 0xcc, c == 0xcd, c == 0xce, c == 0xf1:
		x.out.Flow = Interrupt
	case c == 0xc7 && x.modrm == 0xf8: // xbegin
		x.to(Conditional)
	case c == 0xff:
		switch x.modrm >> 3 & 7 {
		case 2, 3:
			x.out.Flow = Call
		case 4, 5:
			x.out.Flow = Jump
		}
	}
}

// to is a flow to where the immediate says.
func (x *x86) to(f Flow) {
	x.out.Flow, x.out.HasTarget = f, true
	x.out.Target = x.pc + uint64(x.length()) + uint64(x.immediate)
	if x.bits == 32 {
		x.out.Target &= 1<<32 - 1
		if x.narrow && x.immSize == 2 {
			x.out.Target &= 1<<16 - 1
		}
	}
}
