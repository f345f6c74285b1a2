package disasm

import (
	"math/bits"
	"strconv"
	"strings"
)

// Memory is one operand in memory. Its address is
// Base + Index×Scale + Displacement, cut to Bits bits, from the start of
// Segment. What is relative to the instruction is added up already: it has no
// Base, and Displacement is the address.
type Memory struct {
	Base         string // the register: "rcx", "x1", "sp"; "" is none
	Index        string // the register: "rax", "w2", "ymm3" of several at once; "" is none
	Scale        int    // of Index: 1, 2, 4, 8 or 16
	Signed       bool   // Index is a register of 32 bits with a sign
	Displacement int64
	Segment      string // "fs" or "gs", on x86 any; "" is flat memory
	Bits         int    // of the address: 16, 32 or 64
	Size         int    // bytes; 0 is not known
	Bit          string // of bt and its like: the register that counts bits from the address on
	Read, Write  bool
}

// Address is the effective address. get tells the value of a register by its
// name, and whether it is known; it is asked for whole registers ("rax" for
// eax), and for "fs_base" and "gs_base". The address is not known where one of
// its registers is not, or where Index is a vector.
func (m Memory) Address(get func(register string) (uint64, bool)) (uint64, bool) {
	address := uint64(m.Displacement)
	if m.Base != "" {
		v, ok := value(m.Base, m.Bits, get)
		if !ok {
			return 0, false
		}
		address += v
	}
	if m.Index != "" {
		v, ok := value(m.Index, m.Bits, get)
		if !ok {
			return 0, false
		}
		if m.Signed {
			v = uint64(int64(int32(v)))
		}
		address += v * uint64(m.Scale)
	}
	if m.Bit != "" && (m.Size == 2 || m.Size == 4 || m.Size == 8) {
		v, ok := value(m.Bit, 8*m.Size, get)
		if !ok {
			return 0, false
		}
		// The element that holds the bit, counted from the address up or down.
		unused := 64 - 8*m.Size
		bit := int64(v<<unused) >> unused
		address += uint64(bit>>bits.TrailingZeros(uint(8*m.Size))) * uint64(m.Size)
	}
	if m.Bits < 64 {
		address &= 1<<m.Bits - 1
	}
	if m.Segment == "fs" || m.Segment == "gs" {
		base, ok := get(m.Segment + "_base")
		if !ok {
			return 0, false
		}
		address += base
	}
	return address, true
}

// value is that of a register that may be a part of another.
func value(name string, bits int, get func(string) (uint64, bool)) (uint64, bool) {
	whole, width := Whole(name)
	v, ok := get(whole)
	if !ok && whole != name {
		v, ok = get(name)
	}
	if !ok && whole[0] == 'r' && bits == 32 {
		v, ok = get("e" + whole[1:]) // the registers of x86
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v, ok
}

// Whole is the register of 64 bits of which name is a part, and the width of
// that part, which starts at bit 0, in bits: "rax" and 8 for "al", "x3" and 32
// for "w3". Another name comes back as it is, with 64.
func Whole(name string) (whole string, bits int) {
	switch {
	case len(name) > 1 && name[0] == 'w' && isNumber(name[1:]):
		return "x" + name[1:], 32
	case name == "wsp":
		return "sp", 32
	case len(name) > 1 && name[0] == 'r' && name[1] >= '0' && name[1] <= '9':
		return wholeNumbered(name)
	case len(name) == 3 && name[0] == 'e':
		return "r" + name[1:], 32
	case len(name) == 2 && strings.HasSuffix(name, "l") && strings.Contains("abcd", name[:1]):
		return "r" + name[:1] + "x", 8
	}
	switch name {
	case "ax", "bx", "cx", "dx", "si", "di", "bp", "ip":
		return "r" + name, 16
	}
	return name, 64
}

// wholeNumbered is Whole of r8 to r15 and their parts.
func wholeNumbered(name string) (string, int) {
	n := len(name) - 1
	switch name[n] {
	case 'd', 'l':
		return name[:n], 32
	case 'w':
		return name[:n], 16
	case 'b':
		return name[:n], 8
	}
	return name, 64
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 8)
	return err == nil
}

// String is the operand without its size: "gs:[rcx+rax*4-8]".
func (m Memory) String() string {
	b := make([]byte, 0, 32)
	if m.Segment != "" {
		b = append(append(b, m.Segment...), ':')
	}
	b = append(append(b, '['), m.Base...)
	if m.Index != "" {
		if m.Base != "" {
			b = append(b, '+')
		}
		b = append(b, m.Index...)
		if m.Scale != 1 {
			b = strconv.AppendInt(append(b, '*'), int64(m.Scale), 10)
		}
	}
	switch d := m.Displacement; {
	case m.Base == "" && m.Index == "":
		b = appendAddress(b, uint64(d))
	case d < 0:
		b = appendHex(append(b, '-'), uint64(-d))
	case d > 0:
		b = appendHex(append(b, '+'), uint64(d))
	}
	return string(append(b, ']'))
}

// appendHex writes a number as debuggers do: 8, 0Ah, 10h.
func appendHex(b []byte, v uint64) []byte {
	if v < 10 {
		return append(b, byte('0'+v))
	}
	s := strings.ToUpper(strconv.FormatUint(v, 16))
	if s[0] > '9' {
		b = append(b, '0')
	}
	return append(append(b, s...), 'h')
}

// appendAddress writes an address: fffff805`11d3e000 above 4 GiB.
func appendAddress(b []byte, v uint64) []byte {
	if v < 1<<32 {
		return appendHex(b, v)
	}
	s := strconv.FormatUint(v, 16)
	for range 16 - len(s) {
		b = append(b, '0')
	}
	return append(append(append(b, s[:len(s)-8]...), '`'), s[len(s)-8:]...)
}
