package le

import (
	"errors"
	"testing"
)

func TestCursor_StickyError(t *testing.T) {
	c := NewCursor([]byte{1, 2, 0, 3, 0, 0, 0, 4})
	if got := []uint64{uint64(c.U8()), uint64(c.U16()), uint64(c.U32())}; got[0] != 1 || got[1] != 2 || got[2] != 3 {
		t.Fatalf("fields: got %v, want 1 2 3", got)
	}
	if got := c.U64(); got != 0 {
		t.Errorf("past the end: got %d, want 0", got)
	}
	if got := c.U8(); got != 0 {
		t.Errorf("after an error: got %d, want 0 although a byte is left", got)
	}
	var short *ShortError
	if !errors.As(c.Err(), &short) || short.Offset != 7 || short.Want != 8 || short.Have != 8 {
		t.Errorf("error: got %v, want a ShortError at 7 for 8 of 8", c.Err())
	}
}

func TestCursor_CountRefusesWhatCannotFit(t *testing.T) {
	for _, tt := range []struct {
		n    uint64
		size int
		want int
	}{{2, 4, 2}, {3, 4, 0}, {1 << 63, 8, 0}, {1, 0, 0}, {0, 8, 0}} {
		c := NewCursor(make([]byte, 8))
		if got := c.Count(tt.n, tt.size); got != tt.want {
			t.Errorf("Count(%d, %d) of 8 bytes = %d, want %d", tt.n, tt.size, got, tt.want)
		}
	}
}

func TestCursor_NegativeLength(t *testing.T) {
	c := NewCursor(make([]byte, 8))
	if b := c.Bytes(-1); b != nil || c.Err() == nil {
		t.Errorf("Bytes(-1) = %v, %v; want nil and an error", b, c.Err())
	}
}
