package disasm

import "encoding/binary"

// The opcode maps.
const (
	oneByte = 0
	map0F   = 1
	map0F38 = 2
	map0F3A = 3
)

type encoding uint8

const (
	legacy encoding = iota
	vex
	evex
)

const maxLength = 15 // bytes; the processor refuses more

// scan is what the bytes of an instruction of x86 say before its meaning is
// looked up: prefixes, opcode, operand in memory, length.
type scan struct {
	code []byte
	at   int
	bits int // 32 or 64
	bad  bool

	narrow   bool   // 66: operands of 16 bits, or another instruction
	addr     int    // bits of an address
	segment  string // of a prefix
	lock     bool
	rep      byte // F2, F3 or 0
	rex      byte
	encoding encoding
	payload  int  // where the bytes of VEX and EVEX start
	table    int  // opcode map
	pp       byte // 0 none, 1 66, 2 F3, 3 F2
	wide     bool // W: operands of 64 bits
	long     byte // L of VEX: vectors of 256 bits
	x, b     byte // bits that extend the index and base registers: 0 or 8
	r        byte

	opcode    byte
	modrm     byte
	hasModRM  bool
	hasMem    bool
	memory    Memory
	relative  bool // to rip: Displacement still lacks the address behind it
	short     bool // the displacement has one byte, which EVEX multiplies
	immediate int64
	immSize   int // bytes
}

func (s *scan) byte() byte {
	if s.at >= len(s.code) {
		s.bad = true
		return 0
	}
	s.at++
	return s.code[s.at-1]
}

// signed reads n bytes: 1, 2, 4 or 8.
func (s *scan) signed(n int) int64 {
	if s.at+n > len(s.code) {
		s.bad = true
		s.at = len(s.code)
		return 0
	}
	b := s.code[s.at:]
	s.at += n
	switch n {
	case 1:
		return int64(int8(b[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// scanX86 reads the bytes of one instruction; false are too few, or none that
// the opcode maps have.
func scanX86(code []byte, bits int) (scan, bool) {
	s := scan{code: code[:min(len(code), maxLength)], bits: bits, addr: bits}
	s.prefixes()
	s.readOpcode()
	if s.bad {
		return s, false
	}
	layout := s.layout()
	if layout&withModRM != 0 {
		s.readModRM()
	}
	s.readImmediate(layout)
	return s, !s.bad && layout != invalid
}

// length is that of the whole instruction.
func (s *scan) length() int { return s.at }

func (s *scan) prefixes() {
	for s.at < len(s.code) {
		c := s.byte()
		switch c {
		case 0x66:
			s.narrow = true
		case 0x67:
			s.addr = s.bits / 2
		case 0xf0:
			s.lock = true
		case 0xf2, 0xf3:
			s.rep = c
		case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65:
			name := map[byte]string{0x26: "es", 0x2e: "cs", 0x36: "ss", 0x3e: "ds", 0x64: "fs", 0x65: "gs"}[c]
			if s.bits == 32 || c >= 0x64 {
				s.segment = name
			}
		default:
			if s.bits == 64 && c&0xf0 == 0x40 {
				s.rex = c
				continue // it counts only right before the opcode
			}
			s.at--
			return
		}
		s.rex = 0
	}
}

// readOpcode reads the opcode with its map, and the prefixes that hold one.
func (s *scan) readOpcode() {
	s.wide, s.r, s.x, s.b = s.rex&8 != 0, s.rex&4<<1, s.rex&2<<2, s.rex&1<<3
	s.opcode = s.byte()
	next := byte(0)
	if s.at < len(s.code) {
		next = s.code[s.at]
	}
	s.payload = s.at
	vector := s.bits == 64 || next >= 0xc0
	switch {
	case s.opcode == 0xc5 && vector:
		s.vex2(s.byte())
		return
	case s.opcode == 0xc4 && vector:
		s.vex3(s.byte(), s.byte())
		return
	case s.opcode == 0x62 && vector:
		s.evex(s.byte(), s.byte(), s.byte())
		return
	case s.opcode == 0x0f:
		s.table, s.opcode = map0F, s.byte()
	}
	switch {
	case s.rep == 0xf3:
		s.pp = 2
	case s.rep == 0xf2:
		s.pp = 3
	case s.narrow:
		s.pp = 1
	}
	if s.table == map0F && s.opcode == 0x38 {
		s.table, s.opcode = map0F38, s.byte()
	} else if s.table == map0F && s.opcode == 0x3a {
		s.table, s.opcode = map0F3A, s.byte()
	}
}

func (s *scan) vex2(p byte) {
	s.encoding, s.table, s.pp, s.long = vex, map0F, p&3, p>>2&1
	s.r = ^p & 0x80 >> 4
	s.opcode = s.byte()
}

func (s *scan) vex3(p, q byte) {
	s.encoding, s.table, s.pp, s.long = vex, int(p&0x1f), q&3, q>>2&1
	s.extend(p, q)
	s.opcode = s.byte()
}

func (s *scan) evex(p, q, _ byte) {
	s.encoding, s.table, s.pp = evex, int(p&7), q&3
	s.extend(p, q)
	s.opcode = s.byte()
	if p&8 != 0 || q&4 == 0 {
		s.bad = true // APX
	}
}

// extend takes the bits that VEX and EVEX hold the other way round.
func (s *scan) extend(p, q byte) {
	s.wide = q&0x80 != 0
	if s.bits == 64 {
		s.r, s.x, s.b = ^p&0x80>>4, ^p&0x40>>3, ^p&0x20>>2
	}
}

// layout says what stands behind an opcode.
type layout uint8

const (
	invalid layout = 1 << iota // never beside another
	withModRM
	imm8
	imm16
	immZ     // 2 or 4 bytes
	immV     // 2, 4 or 8 bytes
	moffs    // an address
	toBranch // imm8 or immZ is relative to the next instruction
)

func (s *scan) layout() layout {
	if s.encoding != legacy {
		return s.vectorLayout()
	}
	switch s.table {
	case map0F:
		return s.layout0F()
	case map0F38:
		return withModRM
	case map0F3A:
		return withModRM | imm8
	}
	return s.layoutOneByte()
}

func (s *scan) vectorLayout() layout {
	switch s.table {
	case map0F:
		switch s.opcode {
		case 0x77:
			return 0
		case 0x70, 0x71, 0x72, 0x73, 0xc2, 0xc4, 0xc5, 0xc6:
			return withModRM | imm8
		}
		return withModRM
	case map0F38, 5, 6:
		return withModRM
	case map0F3A:
		return withModRM | imm8
	}
	return invalid
}

// layoutOneByte is the table of the opcodes of one byte (volume 2, table A-2).
func (s *scan) layoutOneByte() layout {
	c := s.opcode
	if s.bits == 64 && not64[c] {
		return invalid
	}
	switch {
	case c < 0x40:
		return [...]layout{withModRM, withModRM, withModRM, withModRM, imm8, immZ, 0, 0}[c&7]
	case c >= 0x70 && c < 0x80, c >= 0xe0 && c <= 0xe3, c == 0xeb:
		return imm8 | toBranch
	case c >= 0x84 && c <= 0x8f, c >= 0xd0 && c <= 0xd3, c >= 0xd8 && c <= 0xdf:
		return withModRM
	case c >= 0xa0 && c <= 0xa3:
		return moffs
	case c >= 0xb0 && c < 0xb8:
		return imm8
	case c >= 0xb8 && c < 0xc0:
		return immV
	}
	switch c {
	case 0x62, 0x63, 0xc4, 0xc5, 0xfe, 0xff:
		return withModRM
	case 0x68, 0xa9:
		return immZ
	case 0x69, 0x81, 0xc7:
		return withModRM | immZ
	case 0x6b, 0x80, 0x82, 0x83, 0xc0, 0xc1, 0xc6:
		return withModRM | imm8
	case 0x6a, 0xa8, 0xcd, 0xd4, 0xd5, 0xe4, 0xe5, 0xe6, 0xe7:
		return imm8
	case 0x9a, 0xea:
		return immZ | imm16
	case 0xc2, 0xca:
		return imm16
	case 0xc8:
		return imm16 | imm8
	case 0xe8, 0xe9:
		return immZ | toBranch
	case 0xf6:
		return withModRM | s.immediateOfTest(imm8)
	case 0xf7:
		return withModRM | s.immediateOfTest(immZ)
	}
	return 0
}

// immediateOfTest: of the instructions that share F6 and F7 only test has one.
func (s *scan) immediateOfTest(l layout) layout {
	if s.at < len(s.code) && s.code[s.at]>>3&7 < 2 {
		return l
	}
	return 0
}

// not64 are opcodes that x64 does not have.
var not64 = [256]bool{
	0x06: true, 0x07: true, 0x0e: true, 0x16: true, 0x17: true, 0x1e: true, 0x1f: true,
	0x27: true, 0x2f: true, 0x37: true, 0x3f: true, 0x60: true, 0x61: true, 0x82: true,
	0x9a: true, 0xce: true, 0xd4: true, 0xd5: true, 0xd6: true, 0xea: true,
}

// layout0F is the table of the opcodes behind 0F (volume 2, table A-3).
func (s *scan) layout0F() layout {
	switch c := s.opcode; {
	case c >= 0x80 && c < 0x90:
		return immZ | toBranch
	case c >= 0x70 && c <= 0x73, c == 0xa4, c == 0xac, c == 0xba, c == 0xc2, c >= 0xc4 && c <= 0xc6, c == 0x0f:
		return withModRM | imm8
	case c == 0x78 && (s.pp == 1 || s.pp == 3):
		return withModRM | imm16 // extrq, insertq: two of one byte
	case c == 0x04, c == 0x0a, c == 0x0c, c >= 0x24 && c <= 0x27, c == 0x36, c >= 0x39 && c <= 0x3f, c == 0x7a, c == 0x7b, c == 0xa6, c == 0xa7:
		return invalid
	case c >= 0x05 && c <= 0x0b, c == 0x0e, c >= 0x30 && c <= 0x37, c == 0x77,
		c >= 0xa0 && c <= 0xa2, c >= 0xa8 && c <= 0xaa, c >= 0xc8 && c <= 0xcf:
		return 0
	}
	return withModRM
}

func (s *scan) readImmediate(l layout) {
	z := 4
	if s.narrow && !s.wide {
		z = 2
	}
	read := func(n int) {
		s.immediate = s.signed(n)
		s.immSize = n
	}
	if l&immZ != 0 {
		// On x64 Intel's processors ignore 66 before a near branch; those of AMD
		// read 2 bytes. No compiler writes it.
		if l&toBranch != 0 && s.bits == 64 {
			z = 4
		}
		read(z)
	}
	if l&immV != 0 {
		if s.wide {
			z = 8
		}
		read(z)
	}
	if l&imm16 != 0 {
		read(2)
	}
	if l&imm8 != 0 {
		read(1)
	}
	if l&moffs != 0 {
		s.hasMem = true
		s.memory = Memory{Displacement: s.signed(s.addr / 8), Bits: s.addr, Segment: s.segment}
		if s.addr < 64 {
			s.memory.Displacement &= 1<<s.addr - 1
		}
	}
}

// registers64 are the registers by number; those of 32 bits start with e or
// end with d.
var registers64 = [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

var registers32 = [16]string{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"}

var registers16 = [8]string{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"}

// pointer is the register by number that is as wide as an address.
func (s *scan) pointer(n byte) string {
	switch s.addr {
	case 64:
		return registers64[n]
	case 32:
		return registers32[n]
	}
	return registers16[n&7]
}

// readModRM reads ModR/M and what it says follows (volume 2, 2.1.5).
func (s *scan) readModRM() {
	s.modrm, s.hasModRM = s.byte(), true
	mod, rm := s.modrm>>6, s.modrm&7
	if mod == 3 || s.table == map0F && s.encoding == legacy && s.opcode >= 0x20 && s.opcode <= 0x23 {
		return // the control and debug registers have no form in memory
	}
	s.hasMem = true
	s.memory = Memory{Bits: s.addr, Segment: s.segment}
	if s.addr == 16 {
		s.memory16(mod, rm)
		return
	}
	switch {
	case rm == 4:
		s.readSIB(mod)
	case rm == 5 && mod == 0:
		s.memory.Displacement = s.signed(4)
		if s.relative = s.bits == 64; !s.relative {
			s.memory.Displacement &= 1<<32 - 1
		}
		return
	default:
		s.memory.Base = s.pointer(rm | s.b)
	}
	switch mod {
	case 1:
		s.memory.Displacement, s.short = s.signed(1), true
	case 2:
		s.memory.Displacement = s.signed(4)
	}
}

func (s *scan) readSIB(mod byte) {
	sib := s.byte()
	if index := sib>>3&7 | s.x; index != 4 {
		s.memory.Index, s.memory.Scale = s.pointer(index), 1<<(sib>>6)
	}
	if sib&7 == 5 && mod == 0 {
		s.memory.Displacement = s.signed(4)
		if s.memory.Index == "" && s.addr == 32 {
			s.memory.Displacement &= 1<<32 - 1
		}
		return
	}
	s.memory.Base = s.pointer(sib&7 | s.b)
}

// memory16 is an address of 16 bits (volume 2, table 2-1).
func (s *scan) memory16(mod, rm byte) {
	m := &s.memory
	m.Base = [...]string{"bx", "bx", "bp", "bp", "si", "di", "bp", "bx"}[rm]
	if rm < 4 {
		m.Index, m.Scale = [...]string{"si", "di"}[rm&1], 1
	}
	switch {
	case mod == 0 && rm == 6:
		m.Base, m.Displacement = "", s.signed(2)&0xffff
	case mod == 1:
		m.Displacement = s.signed(1)
	case mod == 2:
		m.Displacement = s.signed(2)
	}
}
