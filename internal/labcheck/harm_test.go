package labcheck_test

import (
	"encoding/binary"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/labcheck"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
)

// specimen is a dump of a machine of the lab, to be harmed.
type specimen struct {
	crash *lab.Crash
	kind  string // of dump
	file  *labcheck.File
	whole *dump.File      // unharmed
	m     *kernel.Machine // unharmed
}

func newSpecimen(tb testing.TB, name, arch string, build int, kind string) *specimen {
	tb.Helper()
	c, err := lab.Play(name, lab.Options{Arch: arch, Build: build})
	if err != nil {
		tb.Fatal(err)
	}
	s := &specimen{crash: c, kind: kind, file: &labcheck.File{}}
	if err := c.Write(s.file, kind); err != nil {
		tb.Fatal(err)
	}
	if s.whole, err = dump.Open(s.file, s.file.Size()); err != nil {
		tb.Fatal(err)
	}
	s.m = kernel.Open(s.whole)
	return s
}

// first is the offset of the first page of memory in the file.
func (s *specimen) first() int64 {
	for r := range s.whole.PhysicalRuns() {
		return r.Offset
	}
	return s.file.Size()
}

// offset is where in the file the byte at an address of the System process stands.
func (s *specimen) offset(tb testing.TB, va mem.VA) int64 {
	tb.Helper()
	pa, err := s.whole.Space(mem.PA(s.crash.Processes[1].Space.Root())).Translate(va)
	if err != nil {
		tb.Fatal(err)
	}
	off, ok := s.whole.PageOffset(pa)
	if !ok {
		tb.Fatalf("%v is not in the dump", va)
	}
	return off + int64(pa%mem.PageSize)
}

// word reads 8 bytes of the machine's memory.
func (s *specimen) word(tb testing.TB, va mem.VA) uint64 {
	tb.Helper()
	v, err := s.crash.Word(uint64(va))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// harmed is a file with other bytes in some places, and perhaps without a page.
type harmed struct {
	file *labcheck.File
	over map[int64][]byte // by offset in the file as it was; inside of one page each
	gone int64            // the page that is not there; 0: none
}

func (h *harmed) size() int64 {
	if h.gone != 0 {
		return h.file.Size() - mem.PageSize
	}
	return h.file.Size()
}

// ReadAt implements io.ReaderAt.
func (h *harmed) ReadAt(p []byte, off int64) (int, error) {
	if h.gone == 0 || off+int64(len(p)) <= h.gone {
		return h.read(p, off)
	}
	before := 0
	if off < h.gone {
		before = int(h.gone - off)
		if n, err := h.read(p[:before], off); err != nil {
			return n, err
		}
	}
	n, err := h.read(p[before:], off+int64(before)+mem.PageSize)
	return before + n, err
}

func (h *harmed) read(p []byte, off int64) (int, error) {
	n, err := h.file.ReadAt(p, off)
	for at, b := range h.over {
		if at < off+int64(n) && at+int64(len(b)) > off {
			from := max(at, off)
			copy(p[from-off:n], b[from-at:])
		}
	}
	return n, err
}

// Where a SUMMARY_DUMP keeps the count of its pages and the bitmap of them
// (DUMP_HEADER64 and what follows it, github.com/rekall rekall-core/rekall/plugins/overlays/windows/crashdump.py).
const (
	summaryPages  = 0x2028
	summaryBitmap = 0x2038
)

// drop takes a page out of a dump with a bitmap: its bit, its bytes, one of the count.
func (s *specimen) drop(page int64) *harmed {
	h := &harmed{file: s.file, over: map[int64][]byte{}, gone: page}
	var b [8]byte
	_, _ = s.file.ReadAt(b[:], summaryPages)
	h.over[summaryPages] = binary.LittleEndian.AppendUint64(nil, binary.LittleEndian.Uint64(b[:])-1)
	for r := range s.whole.PhysicalRuns() {
		if page < r.Offset || page >= r.Offset+int64(r.Size) {
			continue
		}
		pfn := (int64(r.Address) + page - r.Offset) / mem.PageSize
		_, _ = s.file.ReadAt(b[:1], summaryBitmap+pfn/8)
		h.over[summaryBitmap+pfn/8] = []byte{b[0] &^ (1 << (pfn % 8))}
	}
	return h
}

// filled lays other bytes over a page.
func (s *specimen) filled(page int64, b []byte) *harmed {
	return &harmed{file: s.file, over: map[int64][]byte{page: b}}
}

// noise is a page of random bytes.
func noise(seed int64) []byte {
	r := rand.New(rand.NewPCG(uint64(seed), 26100))
	b := make([]byte, mem.PageSize)
	for at := 0; at < len(b); at += 8 {
		binary.LittleEndian.PutUint64(b[at:], r.Uint64())
	}
	return b
}

// recorded notes which pages of a file are read.
type recorded struct {
	io.ReaderAt
	pages map[int64]bool
}

func (r recorded) ReadAt(p []byte, off int64) (int, error) {
	for at := off &^ (mem.PageSize - 1); at < off+int64(len(p)); at += mem.PageSize {
		r.pages[at] = true
	}
	return r.ReaderAt.ReadAt(p, off)
}

// read lists the pages of the file that f reads of it.
func (s *specimen) read(tb testing.TB, f func(m *kernel.Machine)) []int64 {
	tb.Helper()
	r := recorded{s.file, map[int64]bool{}}
	d, err := dump.Open(r, s.file.Size())
	if err != nil {
		tb.Fatal(err)
	}
	f(kernel.Open(d))
	return slices.Sorted(maps.Keys(r.pages))
}
