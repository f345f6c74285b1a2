package pe

import (
	"fmt"

	"bugcheck/internal/le"
)

// Function is an entry of the function table. Begin and End bound the code that
// its unwind data is for; a function may have several entries.
type Function struct {
	Begin, End RVA    // End is behind the last byte; zero if the .xdata record is missing
	Unwind     RVA    // of UNWIND_INFO (x64; if odd, of another entry, plus 1) or the .xdata record (ARM64); zero if Packed is not
	Packed     uint32 // ARM64: the unwind data itself; its low two bits are 1 or 2
}

// The largest images have some 600,000 entries.
const maxFunctions = 1 << 21

// Sizes of an entry. x64: RUNTIME_FUNCTION {begin, end, unwind data}. ARM64:
// IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY {begin, .xdata record or packed data}.
// Sources: the pages "x64 exception handling" and "ARM64 exception handling" of
// Microsoft's documentation.
const (
	function64  = 12
	functionARM = 8
)

// functionTable is where the entries lie: sorted by Begin.
type functionTable struct {
	f    *File
	at   RVA
	n    int // entries
	size int // of one, bytes
}

// table finds the function table. An x86 image has none: its frames are chained
// on the stack.
func (f *File) table() (functionTable, error) {
	t := functionTable{f: f, at: f.Directories[ExceptionDirectory].RVA}
	switch f.Header.Machine {
	case X64:
		t.size = function64
	case ARM64:
		t.size = functionARM
	default:
		return t, nil
	}
	if t.at == 0 {
		return t, nil
	}
	n := f.Directories[ExceptionDirectory].Size / uint32(t.size)
	if err := f.check("functions", t.at, n, t.size, maxFunctions); err != nil {
		return t, fmt.Errorf("function table: %w", err)
	}
	t.n = int(n)
	return t, nil
}

func (t functionTable) entry(i int) RVA { return t.at + RVA(i*t.size) }

// Functions decodes the whole function table; nil if there is none. Entries on
// missing pages are left off, and the error names the first.
func (f *File) Functions() ([]Function, error) {
	t, err := f.table()
	var list []Function
	p := f.pages()
	for i := range t.n {
		b, bad := p.bytes(t.entry(i), t.size)
		if bad != nil {
			keep(&err, fmt.Errorf("function table: entry %d: %w", i, bad))
			continue
		}
		fn, bad := decodeFunction(b, p.u32)
		if bad != nil {
			keep(&err, fmt.Errorf("function table: entry %d: %w", i, bad))
		}
		list = append(list, fn)
	}
	return list, err
}

// Function finds the entry whose code contains rva, in a logarithmic number of
// reads; false if there is none. Where pages of the table are missing, entries
// on the others are still found; a *Fault says that the entry may lie on one of
// those. On ARM64 a missing .xdata record gives the entry without its End, true
// and the *Fault: whether it contains rva is then not known.
//
// A table that its linker did not sort is searched as if it were: some entries
// are not found (TestFunction_Unsorted).
func (f *File) Function(rva RVA) (Function, bool, error) {
	t, err := f.table()
	if err != nil || t.n == 0 {
		return Function{}, false, err
	}
	i, hole := t.last(rva)
	if i < 0 {
		return Function{}, false, wrapFunction(rva, hole)
	}
	b := make([]byte, t.size)
	if _, err := f.ReadAt(b, t.entry(i)); err != nil {
		return Function{}, false, wrapFunction(rva, err)
	}
	fn, err := decodeFunction(b, f.u32)
	if err != nil {
		return fn, true, wrapFunction(rva, err)
	}
	if rva < fn.Begin || rva >= fn.End {
		return Function{}, false, wrapFunction(rva, hole)
	}
	return fn, true, nil
}

func wrapFunction(rva RVA, err error) error {
	if err != nil {
		return fmt.Errorf("function at %v: %w", rva, err)
	}
	return nil
}

// last is the index of the last readable entry that begins at or before rva; -1
// if none does. hole is not nil if entries right behind it are missing.
func (t functionTable) last(rva RVA) (index int, hole error) {
	// Entries below lo begin at or before rva; those from hi on begin behind it
	// or, from hi up to the first readable one, are missing.
	lo, hi, index := 0, t.n, -1
	for lo < hi {
		mid := lo + (hi-lo)/2
		i, begin, missing := t.readable(mid, hi)
		if i < hi && begin <= rva {
			lo, index = i+1, i
			continue
		}
		hi, hole = mid, missing
	}
	return index, hole
}

// readable finds the first entry from i on that can be read, looking once a
// page; hi if there is none before it. missing is why entry i cannot be read.
func (t functionTable) readable(i, hi int) (index int, begin RVA, missing error) {
	var b [4]byte
	for i < hi {
		at := t.entry(i)
		_, err := t.f.ReadAt(b[:], at)
		if err == nil {
			return i, RVA(le.U32(b[:], 0)), missing
		}
		keep(&missing, err)
		next := uint64(at)&^(pageSize-1) + pageSize - uint64(t.at)
		i = int((next + uint64(t.size) - 1) / uint64(t.size))
	}
	return hi, 0, missing
}

// decodeFunction decodes an entry; u32 reads the head of its .xdata record.
func decodeFunction(b []byte, u32 func(RVA) (uint32, error)) (Function, error) {
	if len(b) == function64 {
		return Function{Begin: RVA(le.U32(b, 0)), End: RVA(le.U32(b, 4)), Unwind: RVA(le.U32(b, 8))}, nil
	}
	begin, data := RVA(le.U32(b, 0)), le.U32(b, 4)
	switch data & 3 {
	case 0:
		// The record's first word has the length in its low 18 bits, in instructions.
		fn := Function{Begin: begin, Unwind: RVA(data)}
		head, err := u32(fn.Unwind)
		if err == nil {
			fn.End = begin + RVA(head&0x3ffff)*4
		}
		return fn, err
	case 1, 2:
		return Function{Begin: begin, Packed: data, End: begin + RVA(data>>2&0x7ff)*4}, nil
	}
	return Function{Begin: begin}, wrong("reserved unwind data 0x%x", data)
}

// Flags of UNWIND_INFO: the low three bits of its first byte are the version.
const flagChained = 4 << 3 // UNW_FLAG_CHAININFO

// A function is split into a handful of parts; Microsoft's own unwinder follows
// 32 links.
const maxChained = 32

// Primary follows an entry for a part of a function, such as rarely executed code
// that was moved away, to the entry where the function begins. It returns fn itself
// where that is the beginning, and on ARM64, whose entries are not chained. Where
// the chain cannot be followed, the last entry reached comes with the error.
func (f *File) Primary(fn Function) (Function, error) {
	if f.Header.Machine != X64 {
		return fn, nil
	}
	for range maxChained {
		next, ok, err := f.chained(fn)
		if err != nil || !ok {
			return fn, err
		}
		fn = next
	}
	return fn, wrong("function at %v: more than %d chained entries", fn.Begin, maxChained)
}

// chained is the entry that fn is chained to: another entry of the table, if its
// unwind address is odd, or the one behind the unwind codes of its UNWIND_INFO.
func (f *File) chained(fn Function) (next Function, ok bool, err error) {
	at := fn.Unwind &^ 1
	if fn.Unwind&1 == 0 {
		var head [4]byte
		if _, err := f.ReadAt(head[:], at); err != nil {
			return fn, false, err
		}
		if head[0]&flagChained == 0 {
			return fn, false, nil
		}
		at += 4 + RVA(head[2]+head[2]&1)*2 // the codes fill a multiple of 4 bytes
	}
	b := make([]byte, function64)
	if _, err := f.ReadAt(b, at); err != nil {
		return fn, false, err
	}
	next, err = decodeFunction(b, nil)
	return next, true, err
}
