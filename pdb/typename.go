package pdb

import (
	"fmt"
	"strings"

	"bugcheck/internal/le"
)

// simpleType is a type without a record: how dt writes it, how C does, its size.
type simpleType struct {
	dt, c string
	size  uint64 // bytes
}

// simple lists the simple types by the low byte of their number: TYPE_ENUM_e in
// cvinfo.h.
var simple = map[uint8]simpleType{
	0x03: {"Void", "void", 0},
	0x08: {"HRESULT", "HRESULT", 4},
	0x10: {"Char", "signed char", 1},
	0x20: {"UChar", "unsigned char", 1},
	0x68: {"Char", "signed char", 1},
	0x69: {"UChar", "unsigned char", 1},
	0x70: {"Char", "char", 1},
	0x71: {"Wchar", "wchar_t", 2},
	0x7a: {"Char16", "char16_t", 2},
	0x7b: {"Char32", "char32_t", 4},
	0x7c: {"Char8", "char8_t", 1},
	0x11: {"Int2B", "short", 2},
	0x21: {"Uint2B", "unsigned short", 2},
	0x72: {"Int2B", "short", 2},
	0x73: {"Uint2B", "unsigned short", 2},
	0x12: {"Int4B", "long", 4},
	0x22: {"Uint4B", "unsigned long", 4},
	0x74: {"Int4B", "int", 4},
	0x75: {"Uint4B", "unsigned int", 4},
	0x13: {"Int8B", "int64", 8},
	0x23: {"Uint8B", "unsigned int64", 8},
	0x76: {"Int8B", "int64", 8},
	0x77: {"Uint8B", "unsigned int64", 8},
	0x14: {"Int16B", "int128", 16},
	0x24: {"Uint16B", "unsigned int128", 16},
	0x78: {"Int16B", "int128", 16},
	0x79: {"Uint16B", "unsigned int128", 16},
	0x30: {"Bool", "bool", 1},
	0x31: {"Bool2B", "bool16", 2},
	0x32: {"Bool4B", "bool32", 4},
	0x33: {"Bool8B", "bool64", 8},
	0x46: {"Float2B", "half", 2},
	0x40: {"Float", "float", 4},
	0x41: {"Double", "double", 8},
	0x42: {"Float10B", "long double", 10},
	0x43: {"Float16B", "float128", 16},
}

// pointerSizes are the sizes of pointers to simple types, by the mode in bits 8
// to 10 of their number; 0 is no pointer.
var pointerSizes = [8]uint64{0, 2, 4, 4, 4, 6, 8, 16}

// unknownType is written for a type that cannot be read.
const unknownType = "?"

// text writes a type as dt does: without const and volatile, pointers and arrays
// in front.
func (t *types) text(index TypeIndex, depth int) string {
	if index < firstIndex {
		return simpleText(index)
	}
	r, err := t.record(index)
	if err != nil || depth > maxTypeDepth || len(r.data) < 4 {
		return unknownType
	}
	inner := TypeIndex(le.U32(r.data, 0))
	switch r.kind {
	case leafModifier:
		return t.text(inner, depth+1)
	case leafPointer:
		return fmt.Sprintf("Ptr%d %s", 8*t.size(index, depth), t.text(inner, depth+1))
	case leafArray:
		return t.arrayText(index, inner, depth)
	case leafProcedure, leafMethod:
		return "    " + t.cText(inner, depth+1)
	case leafBitfield:
		return bitText(r)
	}
	if u, ok := decodeUDT(r); ok {
		return name(u.name)
	}
	return unknownType
}

func simpleText(index TypeIndex) string {
	s, ok := simple[uint8(index)]
	if !ok {
		s.dt = unknownType
	}
	if size := pointerSizes[index>>8&7]; size != 0 {
		return fmt.Sprintf("Ptr%d %s", 8*size, s.dt)
	}
	return s.dt
}

func (t *types) arrayText(index, element TypeIndex, depth int) string {
	n := uint64(0)
	if size := t.size(element, depth+1); size != 0 {
		n = t.size(index, depth) / size
	}
	return fmt.Sprintf("[%d] %s", n, t.text(element, depth+1))
}

func bitText(r record) string {
	if len(r.data) < 6 {
		return unknownType
	}
	unit := "Bits"
	if r.data[4] == 1 {
		unit = "Bit"
	}
	return fmt.Sprintf("Pos %d, %d %s", r.data[5], r.data[4], unit)
}

// cText writes the result of a function, which dt writes as C does.
func (t *types) cText(index TypeIndex, depth int) string {
	if index < firstIndex {
		s, ok := simple[uint8(index)]
		if !ok {
			s.c = unknownType
		}
		if pointerSizes[index>>8&7] != 0 {
			s.c += "*"
		}
		return s.c
	}
	r, err := t.record(index)
	if err != nil || depth > maxTypeDepth || len(r.data) < 4 {
		return unknownType
	}
	switch inner := TypeIndex(le.U32(r.data, 0)); r.kind {
	case leafModifier:
		return t.cText(inner, depth+1)
	case leafPointer:
		return t.cText(inner, depth+1) + "*"
	}
	return strings.TrimSpace(t.text(index, depth+1))
}

// size is the size of a type, bytes; 0 if it has none.
func (t *types) size(index TypeIndex, depth int) uint64 {
	if index < firstIndex {
		if size := pointerSizes[index>>8&7]; size != 0 {
			return size
		}
		return simple[uint8(index)].size
	}
	r, err := t.record(index)
	if err != nil || depth > maxTypeDepth || len(r.data) < 8 {
		return 0
	}
	switch r.kind {
	case leafModifier, leafBitfield:
		return t.size(TypeIndex(le.U32(r.data, 0)), depth+1)
	case leafPointer:
		return pointerSize(le.U32(r.data, 4))
	case leafArray:
		c := le.NewCursor(r.data)
		c.Skip(8)
		return numeric(c)
	case leafEnum:
		return t.size(TypeIndex(le.U32(r.data, 4)), depth+1)
	}
	if _, u, ok := t.definition(index); ok {
		return u.size
	}
	return 0
}

// pointerSize reads the size of a pointer from its attributes: bits 13 to 18,
// which some old compilers leave zero; then by its kind in bits 0 to 4.
func pointerSize(attributes uint32) uint64 {
	if size := attributes >> 13 & 0x3f; size != 0 {
		return uint64(size)
	}
	if attributes&0x1f == 0xc {
		return 8
	}
	return 4
}
