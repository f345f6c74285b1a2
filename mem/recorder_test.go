package mem

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecorder_Recorded(t *testing.T) {
	r := NewRecorder(NewRanges(file(0x3000), 0x3000, []Range{{Address: 0x10000, Size: 0x3000}}))
	for _, read := range []struct {
		va VA
		n  int
	}{
		{0x10010, 8},    // one line
		{0x10038, 16},   // over the border of two
		{0x10fff, 2},    // over the border of two pages
		{0x12fc0, 0x80}, // half of it is missing
		{0x20000, 8},    // nothing is there
		{0x11800, 0},    // nothing is asked
	} {
		_, _ = r.ReadAt(make([]byte, read.n), read.va)
	}
	want := []Recorded{{0x10000, 0x80}, {0x10fc0, 0x80}, {0x12fc0, 0x40}}
	if diff := cmp.Diff(want, r.Recorded()); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestRecorder_EndOfAddressSpace(t *testing.T) {
	r := NewRecorder(zeros{})
	if _, err := r.ReadAt(make([]byte, 64), 0xffffffffffffffc0); err != nil {
		t.Fatal(err)
	}
	want := []Recorded{{0xffffffffffffffc0, 64}}
	if diff := cmp.Diff(want, r.Recorded()); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// zeros is memory that is there everywhere.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ VA) (int, error) { return len(p), nil }
