package symbols

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"bugcheck/pdb"
	"bugcheck/pe"
	"bugcheck/report"
	"bugcheck/undname"
)

// Module is what was found for a loaded image. It is immutable and safe for
// concurrent use; the zero Module knows nothing.
type Module struct {
	Image   *pe.File  // nil: not found
	PDB     *pdb.File // nil: not found
	ISF     *ISF      // nil: not found, or there is a PDB
	Missing []Request // what was looked for and is not there
	Errs    []error   // why, one for each of Missing: *NotFoundError, *MismatchError, damage

	files   []Found
	exports []pe.Export // functions with a name, by RVA
	x86     bool        // names of C functions are decorated
}

// Place is what stands at an address: a function, or one that is inlined there.
type Place struct {
	Symbol string // undecorated, with its classes and namespaces
	Offset uint32 // from its start, bytes; of an inlined function zero
	File   string // of the source; "" if not known
	Line   uint32 // zero: not known
	Inline bool
}

// Places lists what stands at rva, inlined functions first, the innermost of
// them first of all; nil where no name is known.
func (m *Module) Places(rva pe.RVA) []Place {
	name, offset, ok := m.Name(rva)
	if !ok {
		return nil
	}
	last := Place{Symbol: name, Offset: offset}
	if m.PDB == nil {
		return []Place{last}
	}
	var list []Place
	lines, _ := m.PDB.Lines(uint32(rva)) // a public PDB has none
	for _, l := range lines {
		if l.Inline {
			list = append(list, Place{Symbol: undname.Name(l.Function), File: l.File, Line: l.Line, Inline: true})
			continue
		}
		last.File, last.Line = l.File, l.Line
	}
	return append(list, last)
}

// maxReach is how far behind a public symbol, whose size nobody recorded, its
// function may reach where no function table tells, bytes. Few functions of
// Windows are larger, and what lies farther away is code that was moved there.
const maxReach = 64 << 10

// Name finds the function that rva lies in, and how far behind its start.
func (m *Module) Name(rva pe.RVA) (name string, offset uint32, ok bool) {
	switch {
	case m.PDB != nil:
		name, offset, ok = m.pdbName(rva)
	case m.ISF != nil:
		name, offset, ok = m.ISF.Name(rva)
		ok = ok && offset < maxReach && isCode(name)
	default:
		name, offset, ok = m.exportName(rva)
	}
	if !ok {
		return "", 0, false
	}
	return m.plain(name), offset, true
}

// isCode tells names that compilers give to constants: strings (??_C@), tables of
// classes (??_7, ??_R0 and their like), numbers (__real@, __xmm@).
func isCode(name string) bool {
	for _, prefix := range []string{"??_C@", "??_7", "??_8", "??_R", "__real@", "__xmm@", "__ymm@"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// pdbName takes a procedure that contains rva, else the public symbol that the
// function table says it belongs to, else the nearest one.
func (m *Module) pdbName(rva pe.RVA) (string, uint32, bool) {
	sym, ok := m.PDB.At(uint32(rva))
	if !ok || sym.Kind != pdb.Public {
		return sym.Name, sym.Displacement, ok
	}
	part, begin, ok := m.function(rva)
	switch {
	case !ok:
		return sym.Name, sym.Displacement, sym.Displacement < maxReach && isCode(sym.Name)
	case pe.RVA(sym.Displacement) <= rva-part:
		return sym.Name, sym.Displacement, true // a label inside the function counts too
	}
	// Rarely executed code lies far away from its function, behind others' names.
	home, ok := m.PDB.At(uint32(begin))
	return home.Name, uint32(rva - begin), ok && home.Displacement == 0 && begin < rva
}

// function finds in the function table the part of a function that rva lies in,
// and where the function begins.
func (m *Module) function(rva pe.RVA) (part, begin pe.RVA, ok bool) {
	if m.Image == nil {
		return 0, 0, false
	}
	fn, ok, err := m.Image.Function(rva)
	if !ok || err != nil {
		return 0, 0, false
	}
	home, err := m.Image.Primary(fn)
	return fn.Begin, home.Begin, err == nil
}

// exportName names an exported function. Exports have no size: an address
// belongs to one if the function table says that its function begins there, or
// if it is the very first.
func (m *Module) exportName(rva pe.RVA) (string, uint32, bool) {
	begin := rva
	if _, b, ok := m.function(rva); ok && b <= rva {
		begin = b
	}
	i, ok := slices.BinarySearchFunc(m.exports, begin, func(e pe.Export, at pe.RVA) int { return cmp.Compare(e.RVA, at) })
	if !ok {
		return "", 0, false
	}
	return m.exports[i].Name, uint32(rva - begin), true
}

// plain undecorates a name.
func (m *Module) plain(name string) string {
	if m.x86 {
		name = undname.CName(name)
	}
	return undname.Name(name)
}

// Address finds a symbol by its name as it is stored.
func (m *Module) Address(name string) (pe.RVA, bool) {
	switch {
	case m.PDB != nil:
		sym, ok := m.PDB.Find(name)
		return pe.RVA(sym.RVA), ok
	case m.ISF != nil:
		return m.ISF.Address(name)
	}
	for _, e := range m.exports {
		if e.Name == name {
			return e.RVA, true
		}
	}
	return 0, false
}

// Field finds a member of a structure, bytes from its start; a dotted name goes
// into structures inside it.
func (m *Module) Field(structure, field string) (offset uint32, ok bool) {
	switch {
	case m.PDB != nil:
		return m.PDB.Field(structure, field)
	case m.ISF != nil:
		return m.ISF.Field(structure, field)
	}
	return 0, false
}

// SizeOf is the size of a structure, bytes.
func (m *Module) SizeOf(structure string) (size uint32, ok bool) {
	switch {
	case m.PDB != nil:
		t, found, err := m.PDB.Type(structure)
		return uint32(t.Size), found && err == nil
	case m.ISF != nil:
		return m.ISF.SizeOf(structure)
	}
	return 0, false
}

// Status is what names rest on, a word of the report: pdb, isf, export, none or
// mismatched.
func (m *Module) Status() string {
	switch {
	case m.PDB != nil:
		return report.SymbolsPDB
	case m.ISF != nil:
		return report.SymbolsISF
	case slices.ContainsFunc(m.Errs, func(err error) bool { return errors.Is(err, ErrMismatch) }):
		return report.SymbolsMismatched
	case len(m.exports) > 0:
		return report.SymbolsExport
	}
	return report.SymbolsNone
}

// Lacks reports that a file of a kind was looked for and not found.
func (m *Module) Lacks(kind Kind) bool {
	return slices.ContainsFunc(m.Missing, func(q Request) bool { return q.Kind == kind })
}

// With returns the module with an image or an ISF where it has none.
func (m *Module) With(image *pe.File, isf *ISF) *Module {
	with := *m
	if with.Image == nil {
		with.Image = image
	}
	if with.PDB == nil && with.ISF == nil {
		with.ISF = isf
	}
	return &with
}

// load finds the image, and the symbol file that it names.
func (f *Finder) load(ctx context.Context, w Wanted) *Module {
	m := &Module{}
	if w.Timestamp != 0 && w.Size != 0 {
		m.loadImage(ctx, f, w)
	}
	if w.PDB == (pe.PDB{}) && m.Image != nil {
		w.PDB, _ = m.Image.PDB()
	}
	if w.PDB != (pe.PDB{}) {
		m.loadPDB(ctx, f, w.PDB)
	}
	return m
}

func (m *Module) loadImage(ctx context.Context, f *Finder, w Wanted) {
	q := ImageRequest(w.Name, w.Timestamp, w.Size)
	found, err := f.Find(ctx, q)
	if err != nil {
		m.miss(q, err)
		return
	}
	m.files = append(m.files, found)
	image, err := pe.Open(found, found.Size, pe.InFile)
	if err != nil {
		m.miss(q, err)
		return
	}
	m.Image, m.x86 = image, image.Header.Machine == pe.X86
	list, _ := image.Exports() // as far as they can be read
	for _, e := range list {
		if e.Name != "" && e.RVA != 0 {
			m.exports = append(m.exports, e)
		}
	}
	slices.SortStableFunc(m.exports, func(a, b pe.Export) int { return cmp.Compare(a.RVA, b.RVA) })
}

func (m *Module) loadPDB(ctx context.Context, f *Finder, want pe.PDB) {
	q := PDBRequest(want)
	found, err := f.Find(ctx, q)
	if err == nil {
		m.files = append(m.files, found)
		m.PDB, err = pdb.Open(found, found.Size)
	}
	if err == nil {
		m.x86 = m.x86 || m.PDB.Machine == uint16(pe.X86)
		return
	}
	if m.ISF, _ = f.ISF(ctx, want); m.ISF == nil {
		m.miss(q, err)
	}
}

func (m *Module) miss(q Request, err error) {
	m.Missing, m.Errs = append(m.Missing, q), append(m.Errs, err)
}

func (m *Module) close() {
	if m == nil {
		return
	}
	for _, f := range m.files {
		f.Close()
	}
}
