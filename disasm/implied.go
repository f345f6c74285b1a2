package disasm

// implied adds the operands in memory that an instruction of x86 does not
// name: the stack, and the strings at rsi and rdi.
func (x *x86) implied() {
	if x.encoding != legacy {
		if x.encoding == vex && x.table == map0F && x.opcode == 0xf7 {
			x.at("di", 0, 16, false, true) // vmaskmovdqu
		}
		return
	}
	switch x.table {
	case oneByte:
		x.impliedOneByte()
	case map0F:
		switch x.opcode {
		case 0xa0, 0xa8:
			x.push(x.operand())
		case 0xa1, 0xa9:
			x.pop(x.operand())
		case 0xf7:
			size := 8
			if x.pp == 1 {
				size = 16
			}
			x.at("di", 0, size, false, true) // maskmovq, maskmovdqu
		}
	}
}

func (x *x86) impliedOneByte() {
	switch c := x.opcode; {
	case c >= 0x50 && c < 0x58, c == 0x68, c == 0x6a, c == 0x06, c == 0x0e, c == 0x16, c == 0x1e, c == 0x9c:
		x.push(x.operand())
	case c >= 0x58 && c < 0x60, c == 0x07, c == 0x17, c == 0x1f, c == 0x8f, c == 0x9d:
		x.pop(x.operand())
	case c == 0x60:
		x.push(8 * x.operand())
	case c == 0x61:
		x.pop(8 * x.operand())
	case c == 0xe8:
		x.push(x.bits / 8)
	case c == 0x9a:
		x.push(2 * x.operand())
	case c == 0xff:
		x.impliedFF()
	case c == 0xc2, c == 0xc3:
		x.pop(x.bits / 8)
	case c == 0xca, c == 0xcb:
		x.pop(2 * x.far())
	case c == 0xcf:
		n := 3
		if x.bits == 64 {
			n = 5 // x64 always takes rsp and ss too
		}
		x.pop(n * x.far())
	case c == 0xc8:
		x.push(x.operand())
	case c == 0xc9:
		x.at("bp", 0, x.operand(), true, false)
	case c == 0xd7:
		m := Memory{Base: x.pointer(3), Index: "al", Scale: 1, Bits: x.addr, Segment: x.segment, Size: 1, Read: true}
		x.out.Memory = []Memory{m}
	default:
		x.strings()
	}
}

func (x *x86) impliedFF() {
	switch x.modrm >> 3 & 7 {
	case 2:
		x.push(x.bits / 8)
	case 3:
		x.push(2 * x.far())
	case 6:
		x.push(x.operand())
	}
}

// far is the size of what far returns and calls move: 4 bytes without a prefix,
// on x64 too.
func (x *x86) far() int {
	switch {
	case x.wide:
		return 8
	case x.narrow:
		return 2
	}
	return 4
}

// strings adds the operands of movs, cmps, stos, lods, scas, ins and outs.
func (x *x86) strings() {
	size := 1
	if x.opcode&1 != 0 {
		size = x.element()
	}
	switch x.opcode &^ 1 {
	case 0x6c:
		x.destination(size, false, true)
	case 0x6e, 0xac:
		x.source(size)
	case 0xa4:
		x.source(size)
		x.destination(size, false, true)
	case 0xa6:
		x.source(size)
		x.destination(size, true, false)
	case 0xaa:
		x.destination(size, false, true)
	case 0xae:
		x.destination(size, true, false)
	}
}

// element is the size of one element of a string of words, bytes.
func (x *x86) element() int {
	switch {
	case x.wide && x.opcode > 0x6f: // ins and outs have no form of 8 bytes
		return 8
	case x.narrow:
		return 2
	}
	return 4
}

// source and destination are at rsi and rdi; a prefix changes only the segment
// of the source.
func (x *x86) source(size int) {
	m := Memory{Base: x.pointer(6), Bits: x.addr, Segment: x.segment, Size: size, Read: true}
	x.out.Memory = append(x.out.Memory, m)
}

func (x *x86) destination(size int, read, write bool) {
	m := Memory{Base: x.pointer(7), Bits: x.addr, Size: size, Read: read, Write: write}
	x.out.Memory = append(x.out.Memory, m)
}

func (x *x86) push(size int) { x.at("sp", -int64(size), size, false, true) }

func (x *x86) pop(size int) { x.at("sp", 0, size, true, false) }

// at adds size bytes at a register, whose width is that of the machine.
func (x *x86) at(name string, displacement int64, size int, read, write bool) {
	m := Memory{Base: "e" + name, Bits: 32, Displacement: displacement, Size: size, Read: read, Write: write}
	if x.bits == 64 {
		m.Base, m.Bits = "r"+name, 64
	}
	x.out.Memory = append(x.out.Memory, m)
}
