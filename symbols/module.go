package symbols

import (
	"cmp"
	"slices"

	"bugcheck/pe"
)

// Module is what gives names to the addresses of one loaded image. All of it
// may be nil. It is immutable once it has been used.
type Module struct {
	Image      *pe.File // its file, or as it lies in the dump
	ISF        *ISF
	Mismatched bool // only files of another build were found

	exports []pe.Export // by address, with names
}

// NewModule reads the exports of image; what is missing of them is left out.
func NewModule(image *pe.File, isf *ISF, mismatched bool) *Module {
	m := &Module{Image: image, ISF: isf, Mismatched: mismatched}
	if image == nil {
		return m
	}
	list, _ := image.Exports()
	for _, e := range list {
		if e.Name != "" && e.RVA != 0 {
			m.exports = append(m.exports, e)
		}
	}
	slices.SortStableFunc(m.exports, func(a, b pe.Export) int { return cmp.Compare(a.RVA, b.RVA) })
	return m
}

// Name finds the symbol that rva lies in, and the distance to it. From exports
// it is the nearest one before: what lies between has none.
func (m *Module) Name(rva pe.RVA) (name string, offset uint32, ok bool) {
	if m.ISF != nil {
		return m.ISF.Name(rva)
	}
	i, found := slices.BinarySearchFunc(m.exports, rva, func(e pe.Export, rva pe.RVA) int { return cmp.Compare(e.RVA, rva) })
	if !found {
		i--
	}
	if i < 0 {
		return "", 0, false
	}
	for i > 0 && m.exports[i-1].RVA == m.exports[i].RVA {
		i--
	}
	return m.exports[i].Name, uint32(rva - m.exports[i].RVA), true
}

// Address finds a symbol by its name.
func (m *Module) Address(name string) (pe.RVA, bool) {
	if m.ISF != nil {
		if rva, ok := m.ISF.Address(name); ok {
			return rva, true
		}
	}
	i := slices.IndexFunc(m.exports, func(e pe.Export) bool { return e.Name == name })
	if i < 0 {
		return 0, false
	}
	return m.exports[i].RVA, true
}

// Field finds a member of a structure, bytes from its start; see ISF.Field.
func (m *Module) Field(structure, path string) (offset uint32, ok bool) {
	if m.ISF == nil {
		return 0, false
	}
	return m.ISF.Field(structure, path)
}

// Status is the report's word for where names come from: isf, export,
// mismatched or none.
func (m *Module) Status() string {
	switch {
	case m.ISF != nil:
		return "isf"
	case m.Mismatched:
		return "mismatched"
	case len(m.exports) > 0:
		return "export"
	}
	return "none"
}
