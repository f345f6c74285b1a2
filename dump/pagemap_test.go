package dump

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"bugcheck/mem"
)

// plainMap says where pages stand, one entry a page.
type plainMap map[uint64]int64

// checkMap compares a map with a plain one over all its pages and some more.
func checkMap(t *testing.T, what string, m pageMap, want plainMap, limit uint64) {
	t.Helper()
	run := uint64(0) // pages in a row from here on; counted from behind
	for i := range limit + 3 {
		page := limit + 2 - i
		off, n := m.find(page, 1)
		place, there := want[page]
		if there != (n == 1) || there && off != place {
			t.Fatalf("%s: find(%#x) = %#x, %d; want %#x, %v", what, page, off, n, place, there)
		}
		if run++; !there || want[page+1] != place+mem.PageSize {
			run = 1
		}
		if _, n := m.find(page, 1000); there && n != min(run, 1000) {
			t.Fatalf("%s: find(%#x, 1000) gives %d pages, want %d", what, page, n, run)
		}
	}
	found := plainMap{}
	for page := uint64(0); ; {
		r := m.next(page)
		if r.count == 0 {
			break
		}
		for i := range r.count {
			found[r.first+i] = r.off + int64(i*mem.PageSize)
		}
		page = r.first + r.count
	}
	if len(found) != len(want) || m.pages() != uint64(len(want)) {
		t.Errorf("%s: next finds %d pages, pages() %d; want %d", what, len(found), m.pages(), len(want))
	}
	for page, off := range want {
		if found[page] != off {
			t.Fatalf("%s: next: page %#x at %#x, want %#x", what, page, found[page], off)
		}
	}
}

// A bitmap of any pages, dense and thin, whose end is in the middle of a word.
func TestBitmap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, limit := range []uint64{0, 1, 63, 64, 65, 511, 512, 513, 3000, 5000} {
		for _, share := range []int{1, 2, 50, 1 << 30} {
			b := make([]byte, (limit+7)/8)
			want, off := plainMap{}, int64(0x3000)
			for page := range limit {
				if rnd.IntN(share) == 0 || page/700%3 == 1 || page%4096 == 2048 {
					b[page/8] |= 1 << (page % 8)
					want[page] = off
					off += mem.PageSize
				}
			}
			if limit%8 != 0 {
				b[len(b)-1] |= 0x80 // stands for no page
			}
			m := newBitmap(bytes.NewReader(b), limit, 0x3000)
			checkMap(t, "bitmap", m, want, limit)
			if m.end() != off {
				t.Errorf("%d pages: the last ends at %#x, want %#x", limit, m.end(), off)
			}
		}
	}
}

// A bitmap that the file cuts holds what is there.
func TestBitmap_Short(t *testing.T) {
	m := newBitmap(bytes.NewReader([]byte{0xff, 0xff, 0x0f}), 1000, 0)
	if m.limit != 24 || m.pages() != 20 {
		t.Errorf("limit %d, %d pages; want 24, 20", m.limit, m.pages())
	}
}

// Runs in any order, that touch and overlap.
func TestPageRuns(t *testing.T) {
	list := []pageRun{{50, 10, 0x1000}, {10, 5, 0xb000}, {15, 5, 0x10000}, {55, 10, 0x20000}, {52, 2, 0x40000}, {0, 0, 0x50000}, {90, 1, 0x60000}}
	want := plainMap{}
	for _, r := range list {
		for i := range r.count {
			if _, ok := want[r.first+i]; !ok {
				want[r.first+i] = r.off + int64(i*mem.PageSize)
			}
		}
	}
	m, lost := newPageRuns(list)
	checkMap(t, "runs", m, want, 100)
	if lost != 7 || len(m) != 4 || m.end() != 0x61000 {
		t.Errorf("%d pages lost, runs %v, end %#x; want 7, four, 0x61000", lost, m, m.end())
	}
}
