package pdb

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"bugcheck/internal/le"
)

// Kind is what a symbol is.
type Kind uint8

// The kinds.
const (
	Public    Kind = iota + 1 // a function or data that other modules could see; its size is not known
	Procedure                 // a function, from private symbols
	Thunk                     // a jump that the linker or compiler made
	Data                      // a variable, from private symbols
)

func (k Kind) String() string {
	switch k {
	case Public:
		return "public"
	case Procedure:
		return "procedure"
	case Thunk:
		return "thunk"
	case Data:
		return "data"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Symbol is a name for an address of the image.
type Symbol struct {
	Name         string // as stored: a public C++ name is decorated, that of a procedure is not
	RVA          uint32 // zero if the code that it names is not in the image
	Size         uint32 // bytes; 0: not known
	Displacement uint32 // of the address that At was asked for, in the code as it was linked
	Kind         Kind
	Function     bool      // code, as far as the symbol says
	Type         TypeIndex // of a procedure or data; 0: not known
}

// Records of symbols: SYM_ENUM_e and the structures under it in cvinfo.h. A
// record is its length (2), which does not count itself, its kind (2) and data.
const (
	symEnd           = 0x0006
	symThunk         = 0x1102
	symBlock         = 0x1103
	symWith          = 0x1104
	symPublicOld     = 0x1009 // names begin with their length, as those of Windows XP
	symData          = 0x110c // S_LDATA32
	symGlobalData    = 0x110d
	symPublic        = 0x110e
	symProcedure     = 0x110f // S_LPROC32
	symGlobalProc    = 0x1110
	symProcedureRef  = 0x1125
	symLocalProcRef  = 0x1127
	symSeparated     = 0x1132 // S_SEPCODE
	symProcedureID   = 0x1146 // S_LPROC32_ID
	symGlobalProcID  = 0x1147
	symInlineSite    = 0x114d
	symInlineSiteEnd = 0x114e
	symProcIDEnd     = 0x114f
	symProcDPC       = 0x1155
	symProcDPCID     = 0x1156
	symInlineSite2   = 0x115d
	recordHead       = 4
)

// record is one record of a symbol or type stream.
type record struct {
	at   uint32 // in its stream
	kind uint16
	data []byte // behind the kind
}

// next is where the next record lies.
func (r record) next() uint32 { return r.at + recordHead + uint32(len(r.data)) }

// record reads the record at off.
func (s *stream) record(off uint32) (record, error) {
	head, err := s.bytes(off, recordHead)
	if err != nil {
		return record{}, err
	}
	n := le.U16(head, 0)
	if n < 2 {
		return record{}, wrong("%s: record of %d bytes at 0x%x", s.name, n, off)
	}
	data, err := s.bytes(off+recordHead, uint32(n)-2)
	return record{off, le.U16(head, 2), data}, err
}

// place is what a symbol record says: a name, and where what it names lies.
type place struct {
	at       address
	size     uint32
	name     []byte // as stored
	kind     Kind
	function bool
	typ      TypeIndex
}

// locate decodes a symbol record; false for kinds that name no place, and for
// records that are too short.
func locate(r record) (p place, ok bool) {
	b := r.data
	switch r.kind {
	case symPublic, symPublicOld, symData, symGlobalData:
		if len(b) < 10 {
			return place{}, false
		}
		p = place{at: newAddress(le.U16(b, 8), le.U32(b, 4)), kind: Public, name: untilNUL(b[10:])}
	case symThunk:
		if len(b) < 21 {
			return place{}, false
		}
		return place{at: newAddress(le.U16(b, 16), le.U32(b, 12)), size: uint32(le.U16(b, 18)), kind: Thunk, function: true, name: untilNUL(b[21:])}, true
	}
	switch r.kind {
	case symPublicOld:
		p.name = b[min(11, len(b)):]
		p.name = p.name[:min(len(p.name), int(b[min(10, len(b)-1)]))]
		fallthrough
	case symPublic:
		p.function = le.U32(b, 0)&3 != 0
		return p, true
	case symData, symGlobalData:
		p.kind, p.typ = Data, TypeIndex(le.U32(b, 0))
		return p, true
	}
	if !isProcedure(r.kind) || len(b) < 35 {
		return place{}, false
	}
	p = place{at: newAddress(le.U16(b, 32), le.U32(b, 28)), size: le.U32(b, 12), kind: Procedure, function: true, name: untilNUL(b[35:])}
	if r.kind == symProcedure || r.kind == symGlobalProc || r.kind == symProcDPC {
		p.typ = TypeIndex(le.U32(b, 24)) // the others have the number of an id
	}
	return p, true
}

// symbol makes the symbol of a place; its RVA stays zero if the image has no
// such place.
func (f *File) symbol(p place) Symbol {
	s := Symbol{Name: name(p.name), Size: p.size, Kind: p.kind, Function: p.function, Type: p.typ}
	s.RVA, _ = f.rva(p.at)
	return s
}

func isProcedure(kind uint16) bool {
	switch kind {
	case symProcedure, symGlobalProc, symProcedureID, symGlobalProcID, symProcDPC, symProcDPCID:
		return true
	}
	return false
}

func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// procedures are the functions of a module, sorted by address.
type procedures struct {
	s    *stream
	list []procedure
}

// procedure is where a function lies and where its record is.
type procedure struct {
	at     address
	size   uint32
	record uint32
}

// readProcedures indexes the symbols of a module. What is damaged is left off,
// with an error.
func (m *module) readProcedures() (*procedures, error) {
	p := &procedures{s: m.open()}
	end := min(m.symbols, p.s.len())
	for off := uint32(4); off+recordHead <= end; { // behind the signature
		r, err := p.s.record(off)
		if err != nil {
			return p.sorted(), fmt.Errorf("symbols: %w", err)
		}
		if off = r.next(); isProcedure(r.kind) || r.kind == symThunk {
			if at, ok := locate(r); ok {
				p.list = append(p.list, procedure{at.at, at.size, r.at})
			}
		}
	}
	return p.sorted(), nil
}

func (p *procedures) sorted() *procedures {
	slices.SortStableFunc(p.list, func(a, b procedure) int { return cmp.Compare(a.at, b.at) })
	return p
}

// containing finds the function whose code contains an address.
func (p *procedures) containing(at address) (procedure, bool) {
	i := lastAt(p.list, at, func(p procedure) address { return p.at })
	if i < 0 || uint64(at-p.list[i].at) >= uint64(p.list[i].size) {
		return procedure{}, false
	}
	return p.list[i], true
}

// At finds the symbol of an address: the procedure that contains it, else the
// nearest public symbol at or before it in the same section. Of several at one
// address it is the first stored: linkers sort publics by name there.
// A million look-ups take about a second.
func (f *File) At(rva uint32) (Symbol, bool) {
	at, ok := f.address(rva)
	if !ok {
		return Symbol{}, false
	}
	p, ok := f.procedureAt(at)
	if !ok {
		if p, ok = f.publicAt(at); !ok {
			return Symbol{}, false
		}
	}
	sym := f.symbol(p)
	sym.Displacement = uint32(at - p.at)
	return sym, true
}

// procedureAt finds the function that contains an address.
func (f *File) procedureAt(at address) (place, bool) {
	m, _ := f.modules()
	mod := m.containing(at)
	if mod == nil {
		return place{}, false
	}
	code, _ := mod.code()
	p, ok := code.containing(at)
	if !ok {
		return place{}, false
	}
	r, err := code.s.record(p.record)
	if err != nil {
		return place{}, false
	}
	return locate(r)
}

// Procedures lists the functions of all modules in the order of the modules:
// none in a public PDB. What is damaged is left off; the error names the first
// such.
func (f *File) Procedures() ([]Symbol, error) {
	m, err := f.modules()
	var list []Symbol
	for _, mod := range m.list {
		code, bad := mod.code()
		keep(&err, bad)
		for _, p := range code.list {
			r, bad := code.s.record(p.record)
			keep(&err, bad)
			if at, ok := locate(r); ok && at.kind == Procedure {
				list = append(list, f.symbol(at))
			}
		}
	}
	return list, err
}
