package pdb_test

import (
	"testing"

	"bugcheck/internal/damage"
)

// FuzzOpen opens any bytes as a PDB and asks everything.
func FuzzOpen(f *testing.F) {
	for _, book := range books() {
		f.Add(book.write(512))
	}
	f.Fuzz(func(t *testing.T, b []byte) { walkBytes(t, "fuzz", b) })
}

// FuzzPatched patches a PDB that is else whole.
func FuzzPatched(f *testing.F) {
	base := rearranged().write(512)
	for at := 0; at < len(base); at += 97 {
		f.Add(damage.Patch(at, 0xffffffff))
	}
	f.Fuzz(func(t *testing.T, patches []byte) { walkBytes(t, "fuzz", damage.Patched(base, patches)) })
}
