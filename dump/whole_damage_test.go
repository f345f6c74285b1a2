package dump_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bugcheck/dump"
	"bugcheck/internal/damage"
	"bugcheck/internal/memtest"
	"bugcheck/mem"
)

// walkWhole asks all that can be asked of a whole-memory dump, and checks what
// must hold of any.
func walkWhole(tb testing.TB, f *dump.File) {
	tb.Helper()
	walk(tb, f)
	if f.Physical == nil || f.Runs != nil {
		tb.Fatalf("physical memory %v, %d runs: not a whole-memory dump", f.Physical, len(f.Runs))
	}
	p := make([]byte, 3*mem.PageSize)
	end, pages, n := mem.PA(0), uint64(0), 0
	for r := range f.PhysicalRuns() {
		if r.Address < end || r.Size == 0 || r.Offset < 0 || r.Offset >= f.Size || r.Size > uint64(f.Size-r.Offset) {
			tb.Fatalf("run %+v behind one that ends at %v, in a file of %d bytes", r, end, f.Size)
		}
		if end, pages = r.Address+mem.PA(r.Size), pages+r.Size/mem.PageSize; n < 64 {
			if got, err := f.Physical.ReadPhysical(p[:min(r.Size, uint64(len(p)))], r.Address); uint64(got) != min(r.Size, uint64(len(p))) {
				tb.Fatalf("ReadPhysical(%v) of a run of %d bytes: %d, %v", r.Address, r.Size, got, err)
			}
		}
		n++
	}
	if pages != f.Pages {
		tb.Errorf("%d pages in runs, Pages %d", pages, f.Pages)
	}
	for _, va := range []mem.VA{0, 0x10000, f.Header.LoadedModules, f.Header.DebuggerData, f.Header.ProcessHead, ^mem.VA(0) - 0x100} {
		if got, err := f.Memory.ReadAt(p, va); got < len(p) && !mem.IsMissing(err) {
			tb.Errorf("ReadAt(%v) = %d bytes, %v; want a fault", va, got, err)
		}
		_, _ = f.Space(mem.PA(va)).Page(va)
	}
}

// firstPage is the offset of the first page in a fixture.
func firstPage(c *wholeCase, b []byte) int {
	return len(b) - len(c.memory.Numbers())*mem.PageSize
}

// Each page of header and map, and some of the memory, zeroed, removed, and the
// file cut there.
func TestWhole_Damage(t *testing.T) {
	eachWhole(t, func(t *testing.T, c *wholeCase) {
		b := c.bytes()
		first := firstPage(c, b)
		for at := 0; at < len(b); at += damage.PageSize {
			for _, kind := range damage.Kinds {
				file := kind.File(b, at, min(at+damage.PageSize, len(b)))
				what := fmt.Sprintf("page at %#x %s", at, kind.Name)
				f, err := dump.Open(file, file.Size())
				if err != nil {
					if at >= c.headerSize() && c.form != elfCore || !errors.Is(err, dump.ErrFormat) {
						t.Errorf("%s: Open: %v", what, err)
					}
					continue
				}
				if f.Physical == nil { // the page with DumpType is gone
					continue
				}
				walkWhole(t, f)
				if at >= c.headerSize() && c.form != elfCore && f.Header.BugCheckCode != 0xd1 {
					t.Errorf("%s: stop code %#x", what, f.Header.BugCheckCode)
				}
				if at >= c.headerSize() && (at < first || kind.Name != "zeroed") && len(f.Notes) == 0 && f.Pages < uint64(len(c.memory.Numbers())) {
					t.Errorf("%s: %d pages, and no note", what, f.Pages)
				}
				if at >= first && kind.Name == "cut" {
					checkCut(t, what, c, f, uint64(at-first)/mem.PageSize)
				}
			}
		}
	})
}

// checkCut checks a dump that was cut behind its first pages.
func checkCut(t *testing.T, what string, c *wholeCase, f *dump.File, kept uint64) {
	t.Helper()
	if !f.Truncated || f.Pages != kept {
		t.Errorf("%s: truncated %v, %d pages, want %d", what, f.Truncated, f.Pages, kept)
	}
	numbers := c.memory.Numbers()
	last := mem.PA(numbers[len(numbers)-1] * mem.PageSize)
	_, err := f.Physical.ReadPhysical(make([]byte, mem.PageSize), last)
	var fault *mem.Fault
	if !errors.As(err, &fault) || fault.Reason != mem.PastEnd || fault.Page != last {
		t.Errorf("%s: the last page: %v, want %q", what, err, mem.PastEnd)
	}
}

// What a header or map says of a dump that was not finished, or cannot be right.
func TestWhole_Notes(t *testing.T) {
	put64 := func(off int, v uint64) func(b []byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[off:], v); return b }
	}
	for _, tt := range []struct {
		name   string
		form   form
		kind   uint32
		change func(b []byte) []byte
		want   string // in a note
		pages  bool   // all are read
	}{
		{"not finished, bitmap", sdmp, 6, func(b []byte) []byte { copy(b[0x2004:], "PAGE"); return b }, "did not finish", true},
		{"not finished, ranges", rdmp, 8, func(b []byte) []byte { copy(b[0x2008:], "\x00\x00\x00\x00"); return b }, "did not finish", true},
		{"signature gone", sdmp, 6, func(b []byte) []byte { copy(b[0x2000:], "PAGE"); return b }, "map of the physical pages is missing", false},
		{"writer status", fdmp, 5, func(b []byte) []byte { put32(b, 0x1048, 0xc000007f); return b }, "status 0xc000007f", true},
		{"space", fdmp, 5, func(b []byte) []byte { put32(b, 0x1050, 4); return b }, "space for the dump was too small", true},
		{"required size", runs, 1, func(b []byte) []byte { return put64(0xfa0, uint64(len(b))+0x1000)(b) }, "what Windows writes behind the memory", true},
		{"count of the bitmap", sdmp, 6, put64(0x2028, 7), "The header counts 7 pages", true},
		{"count of the ranges", rdmp, 0xa, put64(0x2028, 1000), "The header counts 1000 pages", true},
		{"count of the runs", runs, 1, put64(0x90, 7), "The header counts 7 pages", true},
		{"first page 0", sdmp, 6, put64(0x2020, 0), "first page cannot stand", true},
		{"first page wild", fdmp, 5, put64(0x2020, 1<<63), "first page cannot stand", true},
		{"first page of ranges", rdmp, 8, put64(0x2018, 7), "first page cannot stand", false},
		{"bits", sdmp, 6, put64(0x2030, 1<<60), "pages in the bitmap cannot be right", false},
		{"bits behind the file", sdmp, 6, put64(0x2030, 1<<24), "ends inside the bitmap", false},
		{"run count", runs, 1, func(b []byte) []byte { put32(b, 0x88, 44); return b }, "count of 44 runs", false},
		{"run wild", runs, 1, put64(0xa8, 1<<60), "Run 1 of the header cannot be right", false},
		{"range wild", rdmp, 8, put64(0x2040, 1<<60), "Range 1 of the pages cannot be right", false},
		{"ranges behind the file", rdmp, 8, put64(0x2018, 1<<40), "ends inside the list", false},
		{"twice", rdmp, 8, put64(0x2040, 1), "listed twice", false},
		{"range of page 0", rdmp, 8, put64(0x2040, 0), "", false},
		{"more ranges than pages", rdmp, 0xa, put64(0x2028, 3), "The header counts 3 pages", false},
		{"nothing behind the header", sdmp, 6, func(b []byte) []byte { return b[:0x2010] }, "ends behind its header", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newWhole(mem.PagingX64, tt.kind, tt.form)
			f := open(t, tt.change(c.bytes()))
			walkWhole(t, f)
			if off, ok := f.PageOffset(0); ok {
				t.Errorf("page 0, which the machine does not have, stands at %#x", off)
			}
			text := fmt.Sprint(f.Notes)
			if all := uint64(len(c.memory.Numbers())); (f.Pages == all) != tt.pages {
				t.Errorf("%d of %d pages, want all: %v", f.Pages, all, tt.pages)
			}
			if !strings.Contains(text, tt.want) || f.Header.BugCheckCode != 0xd1 {
				t.Errorf("notes %s, stop code %#x; want %q", text, f.Header.BugCheckCode, tt.want)
			}
			if tt.pages {
				memtest.Reader(t, f.Memory, c.chunks)
			}
		})
	}
}

// A range that is too long takes all pages that the file has, and the rest is
// said to be cut off.
func TestWhole_LongRange(t *testing.T) {
	c := newWhole(mem.PagingX64, 9, rdmp)
	b := c.bytes()
	binary.LittleEndian.PutUint64(b[0x2038:], 1<<39)
	f := open(t, b)
	walkWhole(t, f)
	if !f.Truncated || f.Pages != uint64(len(c.memory.Numbers())) || !strings.Contains(fmt.Sprint(f.Notes), "The file is cut") {
		t.Errorf("truncated %v, %d pages, notes %v", f.Truncated, f.Pages, f.Notes)
	}
}

// A header whose count of the machine's pages was not written.
func TestWhole_NoCount(t *testing.T) {
	c := newWhole(mem.PagingX64, 6, sdmp)
	b := c.bytes()
	copy(b[0x88:0x348], bytes.Repeat([]byte("PAGE"), 0x2c0/4))
	if f := open(t, b); f.PhysicalPages != 0 || f.Pages != uint64(len(c.memory.Numbers())) || len(f.Notes) > 0 {
		t.Errorf("%d of %d pages, notes %v", f.Pages, f.PhysicalPages, f.Notes)
	}
}

// Tagged data stands behind the memory.
func TestWhole_Tagged(t *testing.T) {
	for _, tt := range []struct {
		form form
		kind uint32
	}{{runs, 1}, {sdmp, 6}, {rdmp, 8}} {
		b := newWhole(mem.PagingX64, tt.kind, tt.form).bytes()
		b = append(b, "DumpBlob\x10\x00\x00\x00\x00\x00\x00\x00"...)
		b = append(b, words32(0x20, 1, 2, 3, 4, 5, 0, 0)...)
		f := open(t, append(b, "bytes"...))
		if len(f.Tagged) != 1 || string(f.Tagged[0].Data) != "bytes" || len(f.Notes) > 0 {
			t.Errorf("%v: %+v, notes %v", tt.form, f.Tagged, f.Notes)
		}
	}
}

func TestWhole_Kinds(t *testing.T) {
	for _, tt := range []struct {
		kind, attributes uint32
		form             form
		want             dump.Kind
	}{
		{1, 0, runs, dump.Full}, {5, 0, fdmp, dump.Full}, {5, 0x40, fdmp, dump.Active}, {5, 0, sdmp, dump.Active}, {6, 0, sdmp, dump.Kernel},
		{7, 0, sdmp, dump.Automatic}, {2, 0, oldSDMP, dump.Kernel}, {8, 0, rdmp, dump.Kernel}, {9, 0, rdmp, dump.Active}, {0xa, 0, rdmp, dump.Full},
		{6, 0x10, sdmp, dump.Live}, {1, 0x10, runs, dump.Live}, {1, 0, elfCore, dump.Full},
	} {
		c := newWhole(mem.PagingX64, tt.kind, tt.form)
		c.attributes = tt.attributes
		if f := open(t, c.bytes()); f.Kind != tt.want || f.Pages == 0 {
			t.Errorf("type %d, attributes %#x, %v: kind %q with %d pages, want %q", tt.kind, tt.attributes, tt.form, f.Kind, f.Pages, tt.want)
		}
	}
}

// An ELF core without Windows' header, and one whose machine had not crashed.
func TestELF(t *testing.T) {
	c := newWhole(mem.PagingX64, 1, elfCore)
	b := c.bytes()
	plain := bytes.Replace(b, []byte("PAGEDU64"), []byte("LINUX!!!"), 1)
	_, err := dump.Open(bytes.NewReader(plain), int64(len(plain)))
	if !errors.Is(err, dump.ErrFormat) || !strings.Contains(err.Error(), "fwcfg") || strings.Contains(err.Error(), "\n") {
		t.Errorf("without the note: %v", err)
	}
	at := bytes.Index(b, append(words32(0xd1, 0), words32(8, 0)...))
	for _, tt := range []struct {
		name  string
		patch func(b []byte)
		code  uint32
		notes int
	}{
		{"crashed", func([]byte) {}, 0xd1, 0},
		{"still running", func(b []byte) { put32(b, at, 0) }, 0x161, 0},
		{"block encoded", func(b []byte) { copy(b[bytes.Index(b, []byte("KDBG")):], "!!!!") }, 0, 1},
		{"plain copy", func(b []byte) {
			h := b[bytes.Index(b, []byte("PAGEDU64")):]
			copy(h[0x40:0x48], h[0x80:0x88])
			binary.LittleEndian.PutUint64(h[0x80:], uint64(c.moduleList()))
		}, 0xd1, 0},
	} {
		f := bytes.Clone(b)
		tt.patch(f)
		got := open(t, f)
		if got.Header.BugCheckCode != tt.code || len(got.Notes) != tt.notes || got.Header.DebuggerData != c.debuggerData() {
			t.Errorf("%s: stop code %#x, debugger data %v, notes %v; want %#x and %d notes", tt.name, got.Header.BugCheckCode, got.Header.DebuggerData, got.Notes, tt.code, tt.notes)
		}
	}
	many := bytes.Clone(b) // PN_XNUM: the count stands in the first section
	put32(many, 0x38, 0xffff)
	binary.LittleEndian.PutUint64(many[0x28:], uint64(len(many)))
	section := make([]byte, 0x40)
	put32(section, 0x2c, u32(b, 0x38)&0xffff)
	if got := open(t, append(many, section...)); got.Pages != uint64(len(c.memory.Numbers())) || len(got.Notes) > 0 {
		t.Errorf("PN_XNUM: %d pages, notes %v", got.Pages, got.Notes)
	}
}

// sparse is a file of 64 GiB and a little of which only the header is written.
func sparse(t testing.TB, size int64, pieces map[int64][]byte) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "MEMORY.DMP"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for off, b := range pieces {
		if _, err := file.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

const gib64 = 64 << 30 / mem.PageSize // pages

// A machine of 64 GiB: opening reads header and map, and keeps no entry a page.
func TestWhole_Sparse(t *testing.T) {
	c := newWhole(mem.PagingX64, 1, runs)
	for _, tt := range []struct {
		name string
		form form
		kind uint32
	}{{"runs", runs, 1}, {"bitmap", fdmp, 5}, {"ranges", rdmp, 0xa}} {
		t.Run(tt.name, func(t *testing.T) {
			w := c.whole
			w.form, w.dumpType = tt.form, tt.kind
			first, pieces := w.sparsePieces()
			data := fill(1, mem.PageSize)
			pieces[first+(gib64-1)*mem.PageSize] = data
			size := first + gib64*mem.PageSize
			file := sparse(t, size, pieces)
			var f *dump.File
			start := time.Now()
			got := allocated(func() { f, _ = dump.Open(file, size) })
			if f == nil || f.Pages != gib64 || len(f.Notes) > 0 || f.PhysicalPages != gib64 {
				t.Fatalf("%+v", f)
			}
			if took := time.Since(start); got > 16<<20 || took > 2*time.Second {
				t.Errorf("opening took %v and %d KiB", took, got>>10)
			}
			p := make([]byte, mem.PageSize)
			if n, err := f.Physical.ReadPhysical(p, mem.PA((gib64+0x100000-1)*mem.PageSize)); err != nil || !bytes.Equal(p, data) {
				t.Errorf("the last page: %d bytes, %v", n, err)
			}
			n := 0
			for range f.PhysicalRuns() {
				n++
			}
			if n != 2 {
				t.Errorf("%d runs, want 2: below and above the hole under 4 GiB", n)
			}
		})
	}
}

// sparsePieces are header and map of a machine of 64 GiB with a hole from 3 to
// 7 GiB, and the offset of the first page.
func (w *whole) sparsePieces() (int64, map[int64][]byte) {
	const hole, behind = 0xc0000, 0x1c0000
	list := [][2]uint64{{0, hole}, {behind, gib64 - hole}}
	header := w.header()
	put32(header, 0x88, uint32(len(list)))
	binary.LittleEndian.PutUint64(header[0x90:], gib64)
	for i, r := range list {
		binary.LittleEndian.PutUint64(header[0x98+16*i:], r[0])
		binary.LittleEndian.PutUint64(header[0xa0+16*i:], r[1])
	}
	switch w.form {
	case fdmp:
		bits := uint64(behind + gib64 - hole)
		m := make([]byte, (0x38+bits/8+0xfff)&^0xfff)
		copy(m, "FDMPDUMP")
		binary.LittleEndian.PutUint64(m[0x20:], uint64(0x2000+len(m)))
		binary.LittleEndian.PutUint64(m[0x28:], gib64)
		binary.LittleEndian.PutUint64(m[0x30:], bits)
		for _, r := range list {
			for n := r[0]; n < r[0]+r[1]; n += 8 {
				m[0x38+n/8] = 0xff
			}
		}
		return int64(0x2000 + len(m)), map[int64][]byte{0: header, 0x2000: m}
	case rdmp:
		m := make([]byte, 0x1000)
		put32(m, 0, 0x40)
		copy(m[4:], "RDMPDUMP")
		binary.LittleEndian.PutUint64(m[0x18:], 0x3000)
		binary.LittleEndian.PutUint64(m[0x28:], gib64)
		copy(m[0x30:], header[0x98:0xb8])
		return 0x3000, map[int64][]byte{0: header, 0x2000: m}
	}
	return 0x2000, map[int64][]byte{0: header}
}

// Ranges whose sizes add up to more than a file can have.
func TestWhole_RangesOverflow(t *testing.T) {
	c := newWhole(mem.PagingX64, 8, rdmp)
	b := c.header()
	list := make([]byte, 0x30+16*4096)
	put32(list, 0, 0x40)
	copy(list[4:], "RDMPDUMP")
	binary.LittleEndian.PutUint64(list[0x18:], uint64(0x2000+len(list)))
	for i := range 4096 {
		binary.LittleEndian.PutUint64(list[0x30+16*i:], 1)
		binary.LittleEndian.PutUint64(list[0x38+16*i:], 1<<40)
	}
	f := openBounded(t, "4096 ranges of 2^40 pages", append(b, list...))
	walkWhole(t, f)
	if f.Pages != 0 || !noted(f, "memory") {
		t.Errorf("%d pages, notes %v", f.Pages, f.Notes)
	}
}

// Counts of an enemy over a sparse file that is as large as they say: what Open
// allocates is bounded all the same.
func TestWhole_HostileSparse(t *testing.T) {
	const size = 1 << 41
	header := newWhole(mem.PagingX64, 6, sdmp).header()
	bitmap := make([]byte, 0x40)
	copy(bitmap, "SDMPDUMP")
	binary.LittleEndian.PutUint64(bitmap[0x20:], 1<<40)
	binary.LittleEndian.PutUint64(bitmap[0x30:], 1<<30)
	ranges := make([]byte, 0x40)
	put32(ranges, 0, 0x40)
	copy(ranges[4:], "RDMPDUMP")
	binary.LittleEndian.PutUint64(ranges[0x18:], 1<<40)
	pages := len(newWhole(mem.PagingX64, 1, runs).memory.Numbers())
	blob := append([]byte("DumpBlob\x10\x00\x00\x00\x00\x00\x00\x00"), words32(0x20, 1, 2, 3, 4, 0xf0000000, 0, 0)...)
	for name, tt := range map[string]struct {
		pieces map[int64][]byte
		most   uint64
	}{
		"bitmap": {map[int64][]byte{0: header, 0x2000: bitmap}, 160 << 20},
		"ranges": {map[int64][]byte{0: header, 0x2000: ranges}, 4 << 20},
		"tagged": {map[int64][]byte{0: newWhole(mem.PagingX64, 1, runs).header(), 0x2000 + int64(pages)*mem.PageSize: blob}, 4 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			file := sparse(t, size, tt.pieces)
			got := allocated(func() {
				f, err := dump.Open(file, size)
				if err != nil {
					t.Fatal(err)
				}
				walkWhole(t, f)
			})
			if got > tt.most {
				t.Errorf("%d MiB allocated, want at most %d", got>>20, tt.most>>20)
			}
		})
	}
}
