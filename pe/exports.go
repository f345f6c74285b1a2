package pe

import (
	"fmt"
	"slices"

	"bugcheck/internal/le"
)

// Export is a function or variable that an image offers under one name. One
// with several names stands once for each.
type Export struct {
	Name      string // "" if it has an ordinal alone
	Ordinal   uint32
	RVA       RVA    // zero for a forwarder
	Forwarder string // NTDLL.RtlAllocateHeap or NTDLL.#12; "" if it is no forwarder
}

// An ordinal has 16 bits, and a function has at most a few names.
const maxExports = 1 << 17

// exportTable is IMAGE_EXPORT_DIRECTORY.
type exportTable struct {
	dir       Directory
	base      uint32 // the first ordinal
	functions uint32
	names     uint32
	addresses RVA // 4 bytes a function
	pointers  RVA // 4 bytes a name
	ordinals  RVA // 2 bytes a name
}

// Exports lists what the image exports, by rising ordinal; nil if it has no
// export table. Entries on missing pages are left off, and the error names the
// first.
func (f *File) Exports() ([]Export, error) {
	dir := f.Directories[ExportDirectory]
	if dir.RVA == 0 {
		return nil, nil
	}
	p := f.pages()
	t, err := p.exportTable(dir)
	if err != nil {
		return nil, fmt.Errorf("exports: %w", err)
	}
	list, named, err := p.namedExports(t)
	unnamed, err2 := p.unnamedExports(t, named)
	keep(&err, err2)
	list = append(list, unnamed...)
	slices.SortStableFunc(list, func(a, b Export) int { return int(a.Ordinal) - int(b.Ordinal) })
	if err != nil {
		err = fmt.Errorf("exports: %w", err)
	}
	return list, err
}

func (p *pages) exportTable(dir Directory) (exportTable, error) {
	b, err := p.bytes(dir.RVA, 0x28)
	if err != nil {
		return exportTable{}, err
	}
	t := exportTable{
		dir:       dir,
		base:      le.U32(b, 0x10),
		functions: le.U32(b, 0x14),
		names:     le.U32(b, 0x18),
		addresses: RVA(le.U32(b, 0x1c)),
		pointers:  RVA(le.U32(b, 0x20)),
		ordinals:  RVA(le.U32(b, 0x24)),
	}
	if err := p.f.check("functions", t.addresses, t.functions, 4, maxExports); err != nil {
		return t, err
	}
	return t, p.f.check("names", t.pointers, t.names, 4, maxExports)
}

// namedExports walks the names, and says which functions have one.
func (p *pages) namedExports(t exportTable) (list []Export, named []bool, err error) {
	named = make([]bool, t.functions)
	for i := range t.names {
		e, index, bad := p.namedExport(t, RVA(i))
		if index < t.functions {
			named[index] = true
		}
		if bad != nil {
			keep(&err, fmt.Errorf("name %d: %w", i, bad))
			continue
		}
		list = append(list, e)
	}
	return list, named, err
}

// namedExport reads name i. The index of its function is returned even where
// the name is missing; it is past the table where it is not known.
func (p *pages) namedExport(t exportTable, i RVA) (Export, uint32, error) {
	index, err := p.u16(t.ordinals + 2*i)
	if err != nil {
		return Export{}, t.functions, err
	}
	if uint32(index) >= t.functions {
		return Export{}, t.functions, wrong("it belongs to function %d of %d", index, t.functions)
	}
	at, err := p.u32(t.pointers + 4*i)
	if err != nil {
		return Export{}, uint32(index), err
	}
	if at == 0 {
		return Export{}, uint32(index), wrong("it is nowhere")
	}
	name, err := p.name(RVA(at))
	if err != nil {
		return Export{}, uint32(index), err
	}
	e, err := p.export(t, uint32(index))
	e.Name = name
	return e, uint32(index), err
}

// unnamedExports walks the functions without a name; unused ordinals have the
// address zero.
func (p *pages) unnamedExports(t exportTable, named []bool) (list []Export, err error) {
	for i, has := range named {
		if has {
			continue
		}
		e, bad := p.export(t, uint32(i))
		if bad != nil {
			keep(&err, fmt.Errorf("function %d: %w", i, bad))
			continue
		}
		if e.RVA != 0 || e.Forwarder != "" {
			list = append(list, e)
		}
	}
	return list, err
}

// export reads function index of the table. An address inside the export
// directory is that of a forwarder's text.
func (p *pages) export(t exportTable, index uint32) (Export, error) {
	e := Export{Ordinal: t.base + index}
	at, err := p.u32(t.addresses + RVA(4*index))
	if err != nil {
		return e, err
	}
	if at-uint32(t.dir.RVA) >= t.dir.Size {
		e.RVA = RVA(at)
		return e, nil
	}
	e.Forwarder, err = p.name(RVA(at))
	return e, err
}
