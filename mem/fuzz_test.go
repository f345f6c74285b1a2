package mem_test

import (
	"testing"

	"bugcheck/internal/memtest"
	"bugcheck/mem"
)

// FuzzSpace translates over page tables of any bytes: six pages, repeated, with
// entries that lead to each other.
func FuzzSpace(f *testing.F) {
	for kind := range uint8(6) {
		f.Add(kind, uint64(0xfffff80412345678), uint64(0x1000), uint64(0), []byte("\x67\x10\x00\x00\x00\x00\x00\x00"))
		f.Add(kind, uint64(0x82345678), uint64(0x1000), uint64(1<<45), []byte("\x03\x20\x00\x00\x00\x00\x00\x00\xe3\x30\x00\x00\x00\x00\x00\x80"))
		f.Add(kind, ^uint64(0), uint64(0x3000), uint64(0), []byte("\x80\x08\x34\x12"))
	}
	f.Fuzz(func(t *testing.T, kind uint8, va, root, mask uint64, pattern []byte) {
		m := memtest.New()
		for page := range 6 {
			b := m.Page(mem.PA(page * mem.PageSize))
			for i := 0; i < len(b) && len(pattern) > 0; i += len(pattern) {
				copy(b[i:], pattern)
			}
		}
		p := mem.Paging{Kind: mem.PagingKind(kind % 7), InvalidPteMask: mask, Limit: mem.PA(root), OldPageFile: kind&0x80 != 0}
		s := mem.NewSpace(mem.Cached(m), p, mem.PA(root))
		info, err := s.Page(mem.VA(va))
		if err != nil && !mem.IsMissing(err) {
			t.Errorf("Page(%v): %v, want a fault", mem.VA(va), err)
		}
		pa, errT := s.Translate(mem.VA(va))
		mapped := err == nil && info.Size != 0
		if mapped != (errT == nil) || mapped && (pa < info.Base || uint64(pa-info.Base) >= info.Size) {
			t.Errorf("Page(%v) = %+v, %v, but Translate gives %v, %v", mem.VA(va), info, err, pa, errT)
		}
		b := make([]byte, 3*mem.PageSize)
		if n, err := s.ReadAt(b, mem.VA(va)); n < len(b) && !mem.IsMissing(err) {
			t.Errorf("ReadAt(%v) = %d, %v: want a fault", mem.VA(va), n, err)
		}
	})
}
