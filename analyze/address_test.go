package analyze

import (
	"testing"

	"bugcheck/dump"
)

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		addr uint64
		arch dump.Arch
		want string
		bit  int
	}{
		{0, dump.X64, PlaceNull, -1},
		{0x29, dump.X64, PlaceNull, -1},
		{0x10000, dump.X64, PlaceUser, -1},
		{0x7fff_ffff_ffff, dump.X64, PlaceUser, -1},
		{0xffff_8000_0000_0000, dump.X64, PlaceSystem, -1},
		{0xffff_ffff_ffff_ffff, dump.X64, PlaceSystem, -1},
		{0xffff_0000_0000_1000 | 1<<47, dump.X64, PlaceSystem, -1},
		{0xfffb_f804_7bdf_5a80, dump.X64, PlaceOneBit, 50}, // fffff804`7bdf5a80 with bit 50 lost
		{0xffff_7804_7bdf_5a80, dump.X64, PlaceOneBit, 47},
		{0x0010_0000_1234_5678, dump.X64, PlaceOneBit, 52},
		{0x4141_4141_4141_4141, dump.X64, PlaceNonCanonical, -1},
		{0x7fff_0000, dump.X86, PlaceUser, -1},
		{0x8000_0000, dump.X86, PlaceSystem, -1},
	} {
		if got := classify(tt.addr, tt.arch); got != tt.want {
			t.Errorf("classify(0x%x, %s) = %s, want %s", tt.addr, tt.arch, got, tt.want)
		}
		if tt.want != PlaceOneBit {
			continue
		}
		if got := canonicalBit(tt.addr, tt.arch); got != tt.bit {
			t.Errorf("canonicalBit(0x%x) = %d, want %d", tt.addr, got, tt.bit)
		}
	}
}
