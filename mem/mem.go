// Package mem is the memory of the crashed machine: addresses, why a read
// failed, and readers of captured ranges.
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

// Fault says which address could not be read, and why.
type Fault struct {
	Address VA
	Reason  string // "is not in the dump", "lies past the end of the file"
}

func (f *Fault) Error() string { return f.Address.String() + " " + f.Reason }

// Why a read fails on captured ranges.
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
