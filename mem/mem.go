// Package mem is the memory of the crashed machine: addresses, why a read
// failed, readers of captured ranges, and address spaces that page tables
// describe.
//
// It knows nothing of dump formats; package dump makes its readers.
package mem

import (
	"errors"
	"fmt"

	"bugcheck/internal/le"
)

// VA is a virtual address of the crashed machine.
type VA uint64

// String writes the address as debuggers do: fffff804`7bdf5a80.
func (a VA) String() string { return fmt.Sprintf("%08x`%08x", uint64(a)>>32, uint64(a)&0xffffffff) }

// PA is a physical address of the crashed machine.
type PA uint64

func (a PA) String() string { return fmt.Sprintf("%x", uint64(a)) }

// PageSize is the size of a page of physical memory, bytes.
const PageSize = 0x1000

// Fault says which address could not be read, and why.
type Fault struct {
	Address VA     // the first byte that is missing; a physical address where a PhysicalReader says it
	Reason  string // "is not in the dump", "is paged out"
	// Level is that of the page table whose entry stopped the translation, or
	// could not be read: 1 holds pages, 2 holds tables of level 1. 0: it was no
	// page table.
	Level   int
	Page    PA   // the physical page that is missing, where HasPage is set
	HasPage bool // the dump lacks Page: the address itself is mapped
}

func (f *Fault) Error() string {
	s := f.Address.String()
	if f.HasPage {
		s += fmt.Sprintf(": page %x", uint64(f.Page)/PageSize)
	}
	s += " " + f.Reason
	switch {
	case f.Level > 0 && f.HasPage:
		s += fmt.Sprintf(" (page table of level %d)", f.Level)
	case f.Level > 0:
		s += fmt.Sprintf(" (level %d)", f.Level)
	}
	return s
}

// Why a read fails on what was captured. Translation has the words of PageState
// besides.
const (
	NotInDump = "is not in the dump"
	PastEnd   = "lies past the end of the file"
)

// Reader reads the memory of the crashed machine. ReadAt fills p from va on
// and returns how many bytes it read; when that is less than len(p), the error
// is a *Fault with the first address that is missing. Safe for concurrent use.
type Reader interface {
	ReadAt(p []byte, va VA) (int, error)
}

// PhysicalReader reads physical memory of the crashed machine. ReadPhysical
// fills p from pa on and returns how many bytes it read; when that is less than
// len(p), the error is a *Fault that names the page. Safe for concurrent use.
type PhysicalReader interface {
	ReadPhysical(p []byte, pa PA) (int, error)
}

// Read returns the n bytes at va, or an error: no partial result.
func Read(r Reader, va VA, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := r.ReadAt(b, va); err != nil {
		return nil, err
	}
	return b, nil
}

// ReadU32 reads a 32-bit value at va.
func ReadU32(r Reader, va VA) (uint32, error) {
	var b [4]byte
	if _, err := r.ReadAt(b[:], va); err != nil {
		return 0, err
	}
	return le.U32(b[:], 0), nil
}

// ReadU64 reads a 64-bit value at va.
func ReadU64(r Reader, va VA) (uint64, error) {
	var b [8]byte
	if _, err := r.ReadAt(b[:], va); err != nil {
		return 0, err
	}
	return le.U64(b[:], 0), nil
}

// ReadVA reads a 64-bit pointer at va.
func ReadVA(r Reader, va VA) (VA, error) {
	v, err := ReadU64(r, va)
	return VA(v), err
}

// IsMissing reports whether err says that memory is absent.
func IsMissing(err error) bool {
	var f *Fault
	return errors.As(err, &f)
}
