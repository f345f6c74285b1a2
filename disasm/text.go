package disasm

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// register is the name of a register of x86asm.
func register(r x86asm.Reg) string {
	name := strings.ToLower(r.String())
	switch {
	case r >= x86asm.SPB && r <= x86asm.DIB:
		return name[:2] + "l"
	case r >= x86asm.R8L && r <= x86asm.R15L:
		return name[:len(name)-1] + "d"
	case r >= x86asm.X0 && r <= x86asm.X31:
		return "xmm" + name[1:]
	case r >= x86asm.Y0 && r <= x86asm.Y31:
		return "ymm" + name[1:]
	case r >= x86asm.Z0 && r <= x86asm.Z31:
		return "zmm" + name[1:]
	case r >= x86asm.M0 && r <= x86asm.M7:
		return "mm" + name[1:]
	case r >= x86asm.F0 && r <= x86asm.F7:
		return "st(" + name[1:] + ")"
	}
	return name
}

// writeText writes an instruction of x86asm.
func (x *x86) writeText(inst x86asm.Inst) {
	b := x.begin(x.out.Mnemonic)
	n := 0
	for i, arg := range inst.Args {
		if arg == nil {
			break
		}
		if x.hides(inst, i) {
			continue
		}
		if r, ok := arg.(x86asm.Reg); ok && i == 1 && r >= x86asm.K0 && r <= x86asm.K7 && inst.Op.String()[0] == 'V' && x.encoding == evex {
			if r != x86asm.K0 {
				b = append(append(append(b, '{'), register(r)...), '}')
			}
			if inst.Zeroing {
				b = append(b, "{z}"...)
			}
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = x.writeArg(b, inst, arg)
		n++
	}
	x.out.Text = strings.TrimRight(string(b), " ")
}

// begin starts a text with prefixes and a name.
func (x *x86) begin(name string) []byte {
	b := make([]byte, 0, 64)
	if x.lock {
		b = append(b, "lock "...)
	}
	if x.encoding == legacy && x.table == oneByte {
		switch c := x.opcode; {
		case c >= 0x6c && c <= 0x6f, c >= 0xa4 && c <= 0xaf && c != 0xa8 && c != 0xa9:
			name = strings.TrimRight(name, "bwdq")
			switch {
			case x.rep == 0xf3 && (c&^1 == 0xa6 || c&^1 == 0xae):
				b = append(b, "repe "...)
			case x.rep == 0xf3:
				b = append(b, "rep "...)
			case x.rep == 0xf2:
				b = append(b, "repne "...)
			}
		}
	}
	b = append(b, name...)
	for len(b) < 7 {
		b = append(b, ' ')
	}
	return append(b, ' ')
}

// hides: an operand that no debugger writes.
func (x *x86) hides(inst x86asm.Inst, i int) bool {
	if x.encoding != legacy || x.table != oneByte {
		return false
	}
	if x.opcode == 0xcc {
		return true
	}
	switch x.opcode &^ 1 {
	case 0xaa, 0xae: // stos, scas
		_, isReg := inst.Args[i].(x86asm.Reg)
		return isReg
	case 0xac: // lods
		return i == 0
	}
	return false
}

func (x *x86) writeArg(b []byte, inst x86asm.Inst, arg x86asm.Arg) []byte {
	switch a := arg.(type) {
	case x86asm.Reg:
		return append(b, register(a)...)
	case x86asm.Rel:
		return appendAddress(b, x.out.Target)
	case x86asm.Imm:
		return appendHex(b, x.cut(uint64(a), inst))
	case x86asm.Mem:
		return x.writeMemory(b, inst, a)
	}
	return append(b, strings.ToLower(arg.String())...)
}

// cut leaves of an immediate as much as the operand holds.
func (x *x86) cut(v uint64, inst x86asm.Inst) uint64 {
	size := inst.DataSize
	if r, ok := inst.Args[0].(x86asm.Reg); ok && r >= x86asm.AL && r <= x86asm.R15B {
		size = 8
	}
	if _, ok := inst.Args[0].(x86asm.Mem); ok && inst.MemBytes > 0 {
		size = min(size, inst.MemBytes*8)
	}
	if x.encoding != legacy || x.immSize == 1 && int64(v) >= 0 {
		size = 8
	}
	if size > 0 && size < 64 {
		v &= 1<<size - 1
	}
	return v
}

var sizes = map[int]string{1: "byte", 2: "word", 4: "dword", 6: "fword", 8: "qword", 10: "tbyte", 16: "xmmword", 32: "ymmword", 64: "zmmword"}

func (x *x86) writeMemory(b []byte, inst x86asm.Inst, a x86asm.Mem) []byte {
	m, size := x.memory, inst.MemBytes
	if !x.hasMem { // a string
		m = Memory{Base: register(a.Base)}
		if x.segment != "" && strings.HasSuffix(m.Base, "si") {
			m.Segment = x.segment
		}
		if a.Index != 0 {
			m.Index, m.Scale = register(a.Index), 1
		}
		size = 1
		if x.opcode&1 != 0 && x.opcode != 0xd7 {
			size = x.element()
		}
	}
	if name := sizes[size]; name != "" && x.out.Mnemonic != "lea" {
		b = append(append(b, name...), " ptr "...)
	}
	return append(b, m.String()...)
}
