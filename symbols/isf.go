package symbols

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"

	"bugcheck/pe"
	"bugcheck/win"
)

// ISF is a symbol file of the memory forensics framework Volatility
// ("intermediate symbol format", JSON): the names and structures of one build
// of a module. It is immutable and safe for concurrent use.
type ISF struct {
	PDB     pe.PDB     // the symbol file it was made from; zero where it does not say
	Machine pe.Machine // 0 where it does not say
	Wide    bool       // pointers have 8 bytes
	Where   string     // the place that a Finder has it from; else ""

	text    string   // all names
	symbols []symbol // by name
	byRVA   []uint32 // indexes of symbols, by address
	types   []ISFType
	sizes   map[string]uint32 // of base types, bytes
}

// symbol is a name in ISF.text with its address.
type symbol struct {
	name, end uint32
	rva       pe.RVA
}

// ISFType is a structure or a union.
type ISFType struct {
	Name   string
	Size   uint32 // bytes
	Union  bool
	Fields []ISFField // by name
}

// ISFField is a member of a structure.
type ISFField struct {
	Name   string
	Offset uint32 // bytes
	Type   string // "unsigned long", "_LIST_ENTRY", "*_EPROCESS", "[32]unsigned char"
	Bit    uint8  // of a bit field: its lowest bit
	Bits   uint8  // of a bit field: its width; else 0
}

// ErrISF is wrapped by every error that says that bytes are no symbol file of
// Volatility.
var ErrISF = errors.New("not a valid ISF symbol file")

// maxISF bounds an unpacked ISF file, bytes; those of kernels have 6 MiB.
const maxISF = 256 << 20

// Len is the number of symbols.
func (f *ISF) Len() int { return len(f.symbols) }

func (f *ISF) nameOf(s symbol) string { return f.text[s.name:s.end] }

// Symbols calls yield for every symbol by rising address until it returns false.
func (f *ISF) Symbols(yield func(name string, rva pe.RVA) bool) {
	for _, i := range f.byRVA {
		if s := f.symbols[i]; !yield(f.nameOf(s), s.rva) {
			return
		}
	}
}

// Address finds a symbol by its exact name.
func (f *ISF) Address(name string) (pe.RVA, bool) {
	i, ok := slices.BinarySearchFunc(f.symbols, name, func(s symbol, name string) int {
		return strings.Compare(f.nameOf(s), name)
	})
	if !ok {
		return 0, false
	}
	return f.symbols[i].rva, true
}

// Name finds the symbol that rva lies in: the nearest one that does not stand
// behind it, and the distance to it. Of several at one address it is the first
// by name that is no label of the compiler ($$0). How far a symbol reaches is
// not known.
func (f *ISF) Name(rva pe.RVA) (name string, offset uint32, ok bool) {
	at := func(i int) pe.RVA { return f.symbols[f.byRVA[i]].rva }
	i, found := slices.BinarySearchFunc(f.byRVA, rva, func(i uint32, rva pe.RVA) int {
		return cmp.Compare(f.symbols[i].rva, rva)
	})
	if !found {
		if i--; i < 0 {
			return "", 0, false
		}
		for i > 0 && at(i-1) == at(i) {
			i--
		}
	}
	best := i
	for i < len(f.byRVA) && at(i) == at(best) && strings.HasPrefix(f.nameOf(f.symbols[f.byRVA[i]]), "$") {
		i++
	}
	if i < len(f.byRVA) && at(i) == at(best) {
		best = i
	}
	return f.nameOf(f.symbols[f.byRVA[best]]), uint32(rva - at(best)), true
}

// Type finds a structure by its name.
func (f *ISF) Type(name string) (*ISFType, bool) {
	i, ok := slices.BinarySearchFunc(f.types, name, func(t ISFType, name string) int {
		return strings.Compare(t.Name, name)
	})
	if !ok {
		return nil, false
	}
	return &f.types[i], true
}

// Types lists all structures by name. The caller must not change them.
func (f *ISF) Types() []ISFType { return f.types }

// Field finds a member of a structure by name, bytes from its start. A dotted
// name goes into structures inside it: Field("_EPROCESS", "Pcb.ThreadListHead").
func (f *ISF) Field(structure, path string) (offset uint32, ok bool) {
	field, ok := f.field(structure, path)
	return field.Offset, ok
}

// Member is Field with all that is known; Offset counts from the start of the
// outermost structure.
func (f *ISF) Member(structure, path string) (ISFField, bool) { return f.field(structure, path) }

func (f *ISF) field(structure, path string) (ISFField, bool) {
	name, rest, deeper := strings.Cut(path, ".")
	t, ok := f.Type(structure)
	if !ok {
		return ISFField{}, false
	}
	i, ok := slices.BinarySearchFunc(t.Fields, name, func(m ISFField, name string) int {
		return strings.Compare(m.Name, name)
	})
	if !ok {
		return ISFField{}, false
	}
	member := t.Fields[i]
	if !deeper {
		return member, true
	}
	inner, ok := f.field(member.Type, rest) // the path grows shorter
	inner.Offset += member.Offset
	return inner, ok
}

// SizeOf is the size of a type as ISFField.Type writes it, bytes.
func (f *ISF) SizeOf(name string) (uint32, bool) {
	count := uint64(1)
	for strings.HasPrefix(name, "[") {
		n, rest, ok := strings.Cut(name[1:], "]")
		if !ok || len(n) > 9 {
			return 0, false
		}
		var v uint64
		for _, c := range n {
			v = v*10 + uint64(c-'0')
		}
		if count *= v; count > 1<<32 {
			return 0, false
		}
		name = rest
	}
	size, ok := f.plainSize(name)
	if total := count * uint64(size); ok && total < 1<<32 {
		return uint32(total), true
	}
	return 0, false
}

func (f *ISF) plainSize(name string) (uint32, bool) {
	if strings.HasPrefix(name, "*") {
		if f.Wide {
			return 8, true
		}
		return 4, true
	}
	if t, ok := f.Type(name); ok {
		return t.Size, true
	}
	n, ok := f.sizes[name]
	return n, ok
}

// OpenISF decodes an ISF file of size bytes: plain, or packed by gzip or xz.
// What was decoded before damage is returned beside the error.
func OpenISF(r io.ReaderAt, size int64) (*ISF, error) {
	b, err := unpackISF(r, size)
	if len(b) == 0 && err != nil {
		return nil, err
	}
	f, decodeErr := decodeISF(b)
	if err == nil {
		err = decodeErr
	}
	return f, err
}

// guidOf reads a GUID of 32 hexadecimal digits, as symbol servers write it.
func guidOf(s string) (win.GUID, bool) {
	var b [16]byte
	if len(s) != 32 {
		return win.GUID{}, false
	}
	for i := range b {
		hi, lo := hexDigit(s[2*i]), hexDigit(s[2*i+1])
		if hi < 0 || lo < 0 {
			return win.GUID{}, false
		}
		b[i] = byte(hi<<4 | lo)
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5], b[6], b[7] = b[5], b[4], b[7], b[6]
	return win.GUID(b), true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
