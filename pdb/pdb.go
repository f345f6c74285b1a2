// Package pdb reads Microsoft's symbol files (.pdb): addresses to names, names
// to addresses, source lines with inlined calls, layouts of types, and what
// unwinding x86 code needs.
//
// Open reads the directory and some headers. Everything else is read when it is
// first asked for, in blocks of 64 KiB that are kept, and decoded on demand. A
// public PDB of Microsoft has public symbols and types, but no procedures and no
// lines: each question has an answer for that. An index that could not be built,
// because of damage or an error of the reader, is not built again.
//
// The package does not look for files (package symbols does) and does not
// undecorate C++ names. Not read: PDBs before MSF 7.00, portable PDBs of .NET,
// line tables older than C13, managed code.
//
// Sources: github.com/microsoft/microsoft-pdb (Microsoft's own code, MIT), its
// cvinfo.h for records; "The PDB File Format" in LLVM's documentation
// (llvm.org/docs/PDB). Layouts: docs/formats/pdb.md.
package pdb

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// File is an opened symbol file. It does not change and, where its reader is,
// is safe for concurrent use.
type File struct {
	GUID      win.GUID // identity, with Age
	Age       uint32   // of the DBI stream, which images name; of the file if it has no DBI
	FileAge   uint32   // of the PDB stream: raised each time the file is written
	Signature uint32   // the time of creation, or a hash
	Version   uint32   // of the format: 20000404 is VC70, which all linkers write
	Machine   uint16   // IMAGE_FILE_MACHINE_*: 0x14c x86, 0x8664 x64, 0xaa64 ARM64
	Stripped  bool     // private symbols were removed, as from Microsoft's public PDBs

	msf      *msf
	named    map[string]uint32 // streams by name
	minimal  bool              // linked with /debug:fastlink: larger hashes
	hasIDs   bool              // stream 4 holds ids
	dbi      dbi
	sections []section // of the image before its pages were rearranged, if they were
	fromImage,
	toImage omap // empty: nothing was rearranged
	frameData, fpo *stream // of x86 code

	records *stream // of publics and globals
	names   func() (*stream, error)
	modules func() (*modules, error)
	publics func() (*publics, error)
	globals func() (*hash, error)
	types   func() (*types, error)
	ids     func() (*types, error)
}

// ErrFormat is wrapped by every error that says that bytes are not what they
// should be in a PDB, and of no other error.
var ErrFormat = errors.New("not a valid PDB")

// FormatError says what is wrong in a PDB.
type FormatError struct {
	What string // "stream 5 ends at 0x200"
}

func (e *FormatError) Error() string { return e.What }

// Is makes errors.Is(err, ErrFormat) hold.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

func wrong(format string, args ...any) error {
	return &FormatError{What: fmt.Sprintf(format, args...)}
}

// short turns the error of a cursor into a *FormatError; nil stays nil.
func short(what string, err error) error {
	if err == nil {
		return nil
	}
	return wrong("%s: %v", what, err)
}

// Open reads the directory and the headers of the PDB in r, which is size bytes
// long. It fails with a *FormatError when r holds no PDB, another kind of PDB or
// one that is cut off, else with the error of r. Damage in other streams does
// not matter here.
func Open(r io.ReaderAt, size int64) (*File, error) {
	m, err := openMSF(r, size)
	if err != nil {
		return nil, err
	}
	f := &File{msf: m}
	if err := f.readInfo(); err != nil {
		return nil, fmt.Errorf("PDB stream: %w", err)
	}
	if err := f.readDBI(); err != nil {
		return nil, fmt.Errorf("DBI stream: %w", err)
	}
	f.names = sync.OnceValues(f.openNames)
	f.modules = sync.OnceValues(f.readModules)
	f.publics = sync.OnceValues(f.readPublics)
	f.globals = sync.OnceValues(f.readGlobals)
	f.types = sync.OnceValues(func() (*types, error) { return f.readTypes(streamTPI, "types") })
	f.ids = sync.OnceValues(func() (*types, error) { return f.readTypes(streamIPI, "ids") })
	return f, nil
}

// Key is the folder under which symbol servers keep the file: the GUID's 32
// digits in upper case, then the age in hexadecimal.
func (f *File) Key() string {
	g := f.GUID[:]
	return fmt.Sprintf("%08X%04X%04X%X%x", le.U32(g, 0), le.U16(g, 4), le.U16(g, 6), g[8:], f.Age)
}
