package mem_test

import (
	"bytes"
	"testing"

	"bugcheck/internal/memtest"
	"bugcheck/mem"
)

func TestRanges_Conformance(t *testing.T) {
	a, b := random(1, 3*mem.PageSize), random(2, 100)
	file := append(append([]byte("head"), a...), b...)
	r := mem.NewRanges(bytes.NewReader(file), int64(len(file)), []mem.Range{
		{Address: 0xfffff80412345678, Size: 0x1800, Offset: 4},
		{Address: 0xfffff80412345678 + 0x1800, Size: uint64(len(a)) - 0x1800, Offset: 4 + 0x1800},
		{Address: 0x1000, Size: 100, Offset: 4 + int64(len(a))},
	})
	memtest.Reader(t, r, []memtest.Chunk{{Address: 0xfffff80412345678, Data: a}, {Address: 0x1000, Data: b}})
}
