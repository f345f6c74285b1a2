// Package pe reads Windows images (.sys, .exe, .dll): headers, sections,
// exports, imports, the debug directory, the version resource, the function
// table that unwinding needs, base relocations and the load configuration.
//
// An image comes in one of two layouts: as the linker wrote the file, or as it
// lies in the memory of a dump, where pages may be missing. A table is decoded
// when it is asked for; what can be read of it is returned beside the error.
// The package decodes and judges nothing: signatures are not checked, unwind
// codes are not run, symbols are not looked up.
//
// Sources: "PE Format" in Microsoft's documentation
// (learn.microsoft.com/windows/win32/debug/pe-format) and winnt.h of the
// Windows SDK. Layouts: docs/formats/pe.md.
package pe

import (
	"errors"
	"fmt"
	"io"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

// Layout is how an image lies in what it is read from.
type Layout int

// The layouts.
const (
	InFile   Layout = iota // sections at their file offsets
	InMemory               // sections at their RVAs, offset 0 is the image base
)

// RVA is an address relative to the base of an image.
type RVA uint32

func (r RVA) String() string { return fmt.Sprintf("+0x%x", uint32(r)) }

// Machine is the processor that an image is made for: IMAGE_FILE_MACHINE_*.
type Machine uint16

// The machines that Windows 7 and later run on.
const (
	X86   Machine = 0x14c
	X64   Machine = 0x8664
	ARM64 Machine = 0xaa64
)

func (m Machine) String() string {
	switch m {
	case X86:
		return "x86"
	case X64:
		return "x64"
	case ARM64:
		return "arm64"
	}
	return fmt.Sprintf("machine 0x%x", uint16(m))
}

// Header is what the COFF header and the optional header say.
type Header struct {
	Machine            Machine
	Timestamp          uint32 // a hash in reproducible builds: see File.Reproducible
	Characteristics    uint16 // IMAGE_FILE_*
	Wide               bool   // PE32+: addresses of 8 bytes
	EntryPoint         RVA    // zero: none
	ImageBase          mem.VA // as linked; in memory Windows writes the real base here
	SectionAlignment   uint32 // bytes
	FileAlignment      uint32 // bytes
	SizeOfImage        uint32 // bytes
	SizeOfHeaders      uint32 // bytes
	Checksum           uint32
	Subsystem          uint16 // IMAGE_SUBSYSTEM_*: 1 is a driver
	DLLCharacteristics uint16 // IMAGE_DLLCHARACTERISTICS_*
}

// Section is one entry of the section table.
type Section struct {
	Name            string // at most 8 characters; /4 and such refer to a symbol table that is not read
	RVA             RVA
	VirtualSize     uint32 // bytes in memory
	Offset          uint32 // of its data in the file
	RawSize         uint32 // bytes in the file
	Characteristics uint32 // IMAGE_SCN_*
}

// Directory is where a table lies; the zero Directory is none.
type Directory struct {
	RVA  RVA
	Size uint32 // bytes
}

// Indexes of File.Directories: IMAGE_DIRECTORY_ENTRY_*. Those that are not
// named here are not decoded.
const (
	ExportDirectory     = 0
	ImportDirectory     = 1
	ResourceDirectory   = 2
	ExceptionDirectory  = 3
	RelocationDirectory = 5
	DebugDirectory      = 6
	LoadConfigDirectory = 10
)

// File is an opened image. It is immutable and, where its reader is, safe for
// concurrent use.
type File struct {
	Layout      Layout
	Size        int64 // of what it is read from, bytes
	Header      Header
	Directories [16]Directory // those that the header lacks are zero

	r           io.ReaderAt
	sections    []Section
	sectionsErr error
}

// ErrFormat is wrapped by every error that says that bytes are not what they
// should be in an image; a page that is missing is a *Fault.
var ErrFormat = errors.New("not a valid Windows image")

// FormatError says what is wrong in an image.
type FormatError struct {
	What string // "no signature MZ", "4294967295 names"
}

func (e *FormatError) Error() string { return e.What }

// Is makes errors.Is(err, ErrFormat) hold.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

func wrong(format string, args ...any) error {
	return &FormatError{What: fmt.Sprintf(format, args...)}
}

// Fault says which bytes of an image could not be read, and why.
type Fault struct {
	RVA    RVA
	Reason string // "is in no section", "cannot be read"
	Err    error  // the reader's own error, such as a *mem.Fault; may be nil
}

func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%v %s: %v", f.RVA, f.Reason, f.Err)
	}
	return fmt.Sprintf("%v %s", f.RVA, f.Reason)
}

// Unwrap returns the reader's error.
func (f *Fault) Unwrap() error { return f.Err }

const (
	dosHeaderSize   = 0x40
	coffSize        = 0x18 // with the signature PE\0\0
	optional32      = 0x60 // up to the data directories
	optional64      = 0x70
	sectionSize     = 0x28
	maxSections     = 96      // the loader of Windows refuses more
	maxHeaderOffset = 1 << 28 // the loader looks for the PE header below 256 MiB
	pageSize        = 0x1000
)

// Open decodes the headers of the image in r, which is size bytes long; in
// memory that is the size of the image. It fails with a *FormatError when r
// holds no image, with a *Fault when the headers cannot be read. Nothing else
// is read, and damage elsewhere does not matter.
func Open(r io.ReaderAt, size int64, layout Layout) (*File, error) {
	if size < 0 {
		return nil, fmt.Errorf("size %d is negative", size)
	}
	f := &File{Layout: layout, Size: size, r: r}
	dos, err := f.head(0, dosHeaderSize)
	if len(dos) >= 2 && string(dos[:2]) != "MZ" {
		return nil, wrong("no signature MZ")
	}
	if err != nil {
		return nil, fmt.Errorf("DOS header: %w", err)
	}
	at := le.U32(dos, 0x3c)
	if at > maxHeaderOffset {
		return nil, wrong("the PE header would lie at 0x%x", at)
	}
	if err := f.readHeaders(RVA(at)); err != nil {
		return nil, err
	}
	return f, nil
}

// head reads n bytes of the headers, which lie at the same place in both
// layouts; fewer, with the error, where they end.
func (f *File) head(at RVA, n int) ([]byte, error) {
	b := make([]byte, n)
	done, err := f.readRaw(b, int64(at), at)
	return b[:done], err
}

// readRaw fills p from offset off of the reader; rva names it in the error.
func (f *File) readRaw(p []byte, off int64, rva RVA) (int, error) {
	want := len(p)
	if off >= f.Size {
		return 0, &Fault{RVA: rva, Reason: f.pastEnd()}
	}
	p = p[:min(int64(want), f.Size-off)]
	n, err := f.r.ReadAt(p, off)
	switch n = min(max(n, 0), len(p)); {
	case n == want:
		return n, nil
	case n == len(p) || err == nil || errors.Is(err, io.EOF):
		return n, &Fault{RVA: rva + RVA(n), Reason: f.pastEnd()}
	}
	return n, &Fault{RVA: rva + RVA(n), Reason: "cannot be read", Err: err}
}

func (f *File) pastEnd() string {
	if f.Layout == InMemory {
		return "lies past the end of the image"
	}
	return mem.PastEnd
}

// readHeaders decodes IMAGE_NT_HEADERS at at: the signature, IMAGE_FILE_HEADER,
// IMAGE_OPTIONAL_HEADER32 or 64, then the section table behind it.
func (f *File) readHeaders(at RVA) error {
	b, err := f.head(at, coffSize+optional64+len(f.Directories)*8)
	if len(b) >= 4 && string(b[:4]) != "PE\x00\x00" {
		return wrong("no signature PE at 0x%x", uint32(at))
	}
	if len(b) < coffSize+2 {
		return fmt.Errorf("PE header: %w", err)
	}
	f.Header.Machine = Machine(le.U16(b, 0x4))
	sections, optional := le.U16(b, 0x6), le.U16(b, 0x14)
	f.Header.Timestamp = le.U32(b, 0x8)
	f.Header.Characteristics = le.U16(b, 0x16)
	if err := f.readOptional(b[coffSize:], int(optional), err); err != nil {
		return err
	}
	f.sections, f.sectionsErr = f.readSections(at+coffSize+RVA(optional), int(sections))
	return nil
}

// readOptional decodes an IMAGE_OPTIONAL_HEADER of size bytes; b may be cut,
// because of cut, or be longer.
func (f *File) readOptional(b []byte, size int, cut error) error {
	h, fixed := &f.Header, optional32
	switch magic := le.U16(b, 0); magic {
	case 0x10b:
		// PE32.
	case 0x20b:
		h.Wide, fixed = true, optional64
	default:
		return wrong("the optional header has the unknown magic 0x%x", magic)
	}
	if size < fixed {
		return wrong("the optional header has %d bytes, not %d", size, fixed)
	}
	if len(b) < fixed {
		return fmt.Errorf("optional header: %w", cut)
	}
	h.EntryPoint = RVA(le.U32(b, 0x10))
	h.ImageBase = mem.VA(le.U32(b, 0x1c))
	if h.Wide {
		h.ImageBase = mem.VA(le.U64(b, 0x18))
	}
	h.SectionAlignment = le.U32(b, 0x20)
	h.FileAlignment = le.U32(b, 0x24)
	h.SizeOfImage = le.U32(b, 0x38)
	h.SizeOfHeaders = le.U32(b, 0x3c)
	h.Checksum = le.U32(b, 0x40)
	h.Subsystem = le.U16(b, 0x44)
	h.DLLCharacteristics = le.U16(b, 0x46)
	f.readDirectories(b[fixed:], min(le.U32(b, fixed-4), uint32((size-fixed)/8)))
	return nil
}

// readDirectories decodes n IMAGE_DATA_DIRECTORY, as far as b goes.
func (f *File) readDirectories(b []byte, n uint32) {
	n = min(n, uint32(len(b)/8), uint32(len(f.Directories)))
	for i := range int(n) {
		f.Directories[i] = Directory{RVA: RVA(le.U32(b, i*8)), Size: le.U32(b, i*8+4)}
	}
}

// readSections decodes n IMAGE_SECTION_HEADER at at.
func (f *File) readSections(at RVA, n int) ([]Section, error) {
	var tooMany error
	if n > maxSections {
		tooMany = wrong("sections: %d of them, more than %d", n, maxSections)
		n = maxSections
	}
	if n == 0 {
		return nil, nil
	}
	b, err := f.head(at, n*sectionSize)
	list := make([]Section, len(b)/sectionSize)
	for i := range list {
		list[i] = section(b[i*sectionSize:])
	}
	if err != nil {
		return list, fmt.Errorf("sections: entry %d: %w", len(list), err)
	}
	return list, tooMany
}

func section(b []byte) Section {
	return Section{
		Name:            win.ASCII(b[:8]),
		VirtualSize:     le.U32(b, 0x8),
		RVA:             RVA(le.U32(b, 0xc)),
		RawSize:         le.U32(b, 0x10),
		Offset:          le.U32(b, 0x14),
		Characteristics: le.U32(b, 0x24),
	}
}

// Sections lists the section table in its order. The caller must not change it.
// The error says what of it is missing.
func (f *File) Sections() ([]Section, error) { return f.sections, f.sectionsErr }

// ImageKey is the folder under which symbol servers keep the image:
// timestamp and SizeOfImage, 5F2A3B4Cab6000.
func (f *File) ImageKey() string {
	return fmt.Sprintf("%08X%x", f.Header.Timestamp, f.Header.SizeOfImage)
}

// pointer is the size of an address in the image, bytes.
func (f *File) pointer() int {
	if f.Header.Wide {
		return 8
	}
	return 4
}
