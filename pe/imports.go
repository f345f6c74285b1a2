package pe

import (
	"fmt"

	"bugcheck/internal/le"
)

// Import is what an image wants from one other image.
type Import struct {
	Module    string // ntoskrnl.exe
	Functions []ImportedFunction
}

// ImportedFunction is one function that an image calls elsewhere.
type ImportedFunction struct {
	Name    string // "" if it is imported by ordinal
	Ordinal uint16 // zero if it is imported by name
	Slot    RVA    // of its entry in the import address table
}

const (
	descriptorSize = 0x14
	maxImports     = 4096    // modules; the largest images import from some hundred
	maxImported    = 1 << 17 // functions of all modules
)

// Imports lists the imported modules and functions in the order of the image;
// nil if it has no import table. Delay-loaded modules are not in it. In memory
// Windows has discarded the table of most drivers (section INIT): then the
// error is a *Fault. Entries that cannot be read are left off.
func (f *File) Imports() ([]Import, error) {
	dir := f.Directories[ImportDirectory]
	if dir.RVA == 0 {
		return nil, nil
	}
	w := importWalk{pages: f.pages(), left: int(min(f.Size/int64(f.pointer()), maxImported))}
	var list []Import
	var first error
	for i := range maxImports {
		b, err := w.bytes(dir.RVA+RVA(i*descriptorSize), descriptorSize)
		if err != nil {
			keep(&first, fmt.Errorf("imports: module %d: %w", i, err))
			return list, first
		}
		d := descriptor(b)
		if d.name == 0 || d.slots == 0 {
			return list, first
		}
		imp, err := w.module(d)
		if err != nil {
			keep(&first, fmt.Errorf("imports: module %d %q: %w", i, imp.Module, err))
		}
		if imp.Module != "" || len(imp.Functions) > 0 {
			list = append(list, imp)
		}
	}
	keep(&first, wrong("imports: more than %d modules", maxImports))
	return list, first
}

type importWalk struct {
	*pages
	left int // functions that may still be read
}

// importDescriptor is IMAGE_IMPORT_DESCRIPTOR.
type importDescriptor struct{ names, name, slots RVA }

func descriptor(b []byte) importDescriptor {
	return importDescriptor{names: RVA(le.U32(b, 0x0)), name: RVA(le.U32(b, 0xc)), slots: RVA(le.U32(b, 0x10))}
}

func (w *importWalk) module(d importDescriptor) (Import, error) {
	var imp Import
	name, first := w.name(d.name)
	imp.Module = name
	if d.names == 0 && w.f.Layout == InMemory {
		// Without a lookup table the names stood in the slots, which now hold addresses.
		keep(&first, wrong("no lookup table"))
		return imp, first
	}
	if d.names == 0 {
		d.names = d.slots
	}
	size := w.f.pointer()
	for i := 0; ; i++ {
		thunk, err := w.thunk(d.names+RVA(i*size), size)
		if err != nil || thunk == 0 {
			keep(&first, err)
			return imp, first
		}
		if w.left--; w.left < 0 {
			keep(&first, wrong("more functions than the image can hold"))
			return imp, first
		}
		fn, err := w.function(thunk, size)
		if err != nil {
			keep(&first, fmt.Errorf("function %d: %w", i, err))
			continue
		}
		fn.Slot = d.slots + RVA(i*size)
		imp.Functions = append(imp.Functions, fn)
	}
}

// thunk reads an IMAGE_THUNK_DATA of size bytes.
func (w *importWalk) thunk(at RVA, size int) (uint64, error) {
	b, err := w.bytes(at, size)
	if err != nil {
		return 0, err
	}
	if size == 4 {
		return uint64(le.U32(b, 0)), nil
	}
	return le.U64(b, 0), nil
}

// function decodes a thunk: the top bit says that an ordinal follows, else it
// is the RVA of IMAGE_IMPORT_BY_NAME, whose first two bytes are a hint.
func (w *importWalk) function(thunk uint64, size int) (ImportedFunction, error) {
	if thunk>>(8*size-1) != 0 {
		return ImportedFunction{Ordinal: uint16(thunk)}, nil
	}
	if thunk >= 1<<31 {
		return ImportedFunction{}, wrong("no name can lie at 0x%x", thunk)
	}
	name, err := w.name(RVA(thunk) + 2)
	return ImportedFunction{Name: name}, err
}
