package pe

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// Types of entries of the debug directory: IMAGE_DEBUG_TYPE_*.
const (
	DebugCodeView        = 2
	DebugRepro           = 16
	DebugCharacteristics = 20 // IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS
)

// CETCompatible in ExtendedCharacteristics: the image may run with shadow
// stacks (IMAGE_DLLCHARACTERISTICS_EX_CET_COMPAT).
const CETCompatible = 0x1

// Debug is one entry of the debug directory.
type Debug struct {
	Type      uint32
	Timestamp uint32
	Size      uint32 // of its data, bytes
	RVA       RVA    // zero: the data is not mapped
	Offset    uint32 // of the data in the file
}

// PDB names the symbol file that belongs to an image.
type PDB struct {
	GUID win.GUID
	Age  uint32
	Path string // as the linker wrote it: a name or a whole path
}

// Key is the folder under which symbol servers keep the file: the GUID's 32
// digits in upper case, then the age in hexadecimal; "" for the zero PDB.
func (p PDB) Key() string {
	if p == (PDB{}) {
		return ""
	}
	g := p.GUID[:]
	return fmt.Sprintf("%08X%04X%04X%X%x", le.U32(g, 0), le.U16(g, 4), le.U16(g, 6), g[8:], p.Age)
}

const (
	debugEntrySize = 0x1c
	maxDebug       = 64 // linkers write at most one entry of each of some 20 types
	rsdsSize       = 0x18
)

// DebugEntries lists the debug directory; nil if there is none. Entries that
// cannot be read are left off.
func (f *File) DebugEntries() ([]Debug, error) {
	dir := f.Directories[DebugDirectory]
	if dir.RVA == 0 {
		return nil, nil
	}
	var list []Debug
	var first error
	n := dir.Size / debugEntrySize
	if n > maxDebug {
		first = wrong("debug directory: %d entries, more than %d", n, maxDebug)
		n = maxDebug
	}
	p := f.pages()
	for i := range RVA(n) {
		b, err := p.bytes(dir.RVA+i*debugEntrySize, debugEntrySize)
		if err != nil {
			keep(&first, fmt.Errorf("debug directory: entry %d: %w", i, err))
			continue
		}
		list = append(list, debugEntry(b))
	}
	return list, first
}

// debugEntry decodes IMAGE_DEBUG_DIRECTORY.
func debugEntry(b []byte) Debug {
	return Debug{
		Timestamp: le.U32(b, 0x4),
		Type:      le.U32(b, 0xc),
		Size:      le.U32(b, 0x10),
		RVA:       RVA(le.U32(b, 0x14)),
		Offset:    le.U32(b, 0x18),
	}
}

// data reads at most n bytes of an entry's data: where it is mapped, or else
// where the file holds it.
func (f *File) data(d Debug, n uint32) ([]byte, error) {
	b := make([]byte, min(d.Size, n))
	var done int
	var err error
	switch {
	case d.RVA != 0:
		done, err = f.ReadAt(b, d.RVA)
	case f.Layout == InMemory || d.Offset == 0:
		return nil, wrong("the data is not in the image")
	default:
		if done, err = f.readRaw(b, int64(d.Offset), 0); err != nil {
			err = fmt.Errorf("offset 0x%x of the file, not mapped: %w", d.Offset, err)
		}
	}
	return b[:done], err
}

// debugOf returns the data of the first entry of a type, at most n bytes; ok
// says that there is an entry.
func (f *File) debugOf(kind, n uint32) (data []byte, ok bool, err error) {
	list, err := f.DebugEntries()
	for _, d := range list {
		if d.Type == kind {
			data, err = f.data(d, n)
			return data, true, err
		}
	}
	return nil, false, err
}

// PDB returns the symbol file of the image: the CodeView record RSDS. Without
// one it is zero, and the error is nil where nothing is damaged. A path that
// is cut off is returned as far as it goes, with the error.
func (f *File) PDB() (PDB, error) {
	b, ok, err := f.debugOf(DebugCodeView, rsdsSize+maxName)
	if ok && err == nil && (len(b) < rsdsSize || string(b[:4]) != "RSDS") {
		err = wrong("the record is not RSDS")
	}
	if err != nil {
		err = fmt.Errorf("CodeView record: %w", err)
	}
	if !ok || len(b) < rsdsSize || string(b[:4]) != "RSDS" {
		return PDB{}, err
	}
	return PDB{GUID: win.GUID(b[4:0x14]), Age: le.U32(b, 0x14), Path: win.ASCII(b[rsdsSize:])}, err
}

// Reproducible reports that the image was linked so that the same input gives
// the same bytes: its timestamp is a hash, and says no time.
func (f *File) Reproducible() (bool, error) {
	_, ok, err := f.debugOf(DebugRepro, 0)
	if ok {
		err = nil
	}
	return ok, err
}

// ExtendedCharacteristics are the flags IMAGE_DLLCHARACTERISTICS_EX_*, such as
// CETCompatible; zero where the image has none.
func (f *File) ExtendedCharacteristics() (uint32, error) {
	b, ok, err := f.debugOf(DebugCharacteristics, 4)
	if ok && err == nil && len(b) < 4 {
		err = &le.ShortError{Want: 4, Have: len(b)}
	}
	if err != nil {
		return 0, fmt.Errorf("extended characteristics: %w", err)
	}
	if !ok {
		return 0, nil
	}
	return le.U32(b, 0), nil
}
