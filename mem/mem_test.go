package mem

import (
	"bytes"
	"errors"
	"testing"
)

func file(n int) *bytes.Reader {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return bytes.NewReader(b)
}

func TestRanges_ReadAt(t *testing.T) {
	m := NewRanges(file(64), 64, []Range{
		{Address: 0x2000, Size: 16, Offset: 32},
		{Address: 0x1000, Size: 16, Offset: 0},
		{Address: 0x1010, Size: 8, Offset: 16},             // adjacent to the one before
		{Address: 0x3000, Size: 32, Offset: 48},            // half of it past the end
		{Address: 0xfffffffffffffff0, Size: 64, Offset: 0}, // wraps
		{Address: 0x1004, Size: 4, Offset: 40},             // inside another
	})
	for _, tt := range []struct {
		va    VA
		n     int
		got   int
		first byte
		bad   VA
	}{
		{0x1000, 4, 4, 0, 0},
		{0x1008, 16, 16, 8, 0}, // over the seam
		{0x1006, 4, 4, 42, 0},  // the inner run, then the outer
		{0x1010, 16, 8, 16, 0x1018},
		{0x2008, 16, 8, 40, 0x2010},
		{0x3000, 32, 16, 48, 0x3010},
		{0x4000, 1, 0, 0, 0x4000},
		{0xfffffffffffffff0, 1, 0, 0, 0xfffffffffffffff0},
	} {
		p := make([]byte, tt.n)
		got, err := m.ReadAt(p, tt.va)
		if got != tt.got || p[0] != tt.first {
			t.Errorf("ReadAt(%v, %d) = %d bytes starting with %d, want %d with %d", tt.va, tt.n, got, p[0], tt.got, tt.first)
		}
		var f *Fault
		switch {
		case tt.bad == 0 && err != nil:
			t.Errorf("ReadAt(%v, %d): %v", tt.va, tt.n, err)
		case tt.bad != 0 && (!errors.As(err, &f) || f.Address != tt.bad):
			t.Errorf("ReadAt(%v, %d): got %v, want a Fault at %v", tt.va, tt.n, err, tt.bad)
		}
	}
}

func TestVA_String(t *testing.T) {
	if got, want := VA(0xfffff8047bdf5a80).String(), "fffff804`7bdf5a80"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
