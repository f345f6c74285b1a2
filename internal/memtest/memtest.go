// Package memtest makes physical memory and page tables for tests, and holds
// what every reader of memory must do. Its page tables are written from the
// processors' manuals, not with package mem's own decoder. Used by tests alone.
package memtest

import (
	"encoding/binary"
	"maps"
	"slices"

	"bugcheck/mem"
)

// Memory is sparse physical memory.
type Memory struct {
	pages map[uint64][]byte
	free  uint64 // the next page that NewPage hands out
}

// New returns memory without pages; NewPage starts at page 0x100.
func New() *Memory { return &Memory{pages: map[uint64][]byte{}, free: 0x100} }

// NewPage adds a page of zeros that is not used yet.
func (m *Memory) NewPage() mem.PA {
	for m.pages[m.free] != nil {
		m.free++
	}
	pa := mem.PA(m.free * mem.PageSize)
	m.Page(pa)
	return pa
}

// Page is the page with pa in it, added where it is missing.
func (m *Memory) Page(pa mem.PA) []byte {
	n := uint64(pa / mem.PageSize)
	if m.pages[n] == nil {
		m.pages[n] = make([]byte, mem.PageSize)
	}
	return m.pages[n]
}

// Drop takes the page with pa in it away.
func (m *Memory) Drop(pa mem.PA) { delete(m.pages, uint64(pa/mem.PageSize)) }

// Put writes data at pa, adding pages.
func (m *Memory) Put(pa mem.PA, data []byte) {
	for len(data) > 0 {
		n := copy(m.Page(pa)[pa%mem.PageSize:], data)
		data, pa = data[n:], pa+mem.PA(n)
	}
}

// Put64 writes a 64-bit value at pa.
func (m *Memory) Put64(pa mem.PA, v uint64) { m.Put(pa, binary.LittleEndian.AppendUint64(nil, v)) }

// Numbers are the numbers of the pages, rising.
func (m *Memory) Numbers() []uint64 { return slices.Sorted(maps.Keys(m.pages)) }

// Runs are the pages as runs {first, count}.
func (m *Memory) Runs() [][2]uint64 {
	var runs [][2]uint64
	for _, n := range m.Numbers() {
		if k := len(runs); k > 0 && runs[k-1][0]+runs[k-1][1] == n {
			runs[k-1][1]++
			continue
		}
		runs = append(runs, [2]uint64{n, 1})
	}
	return runs
}

// ReadPhysical implements mem.PhysicalReader.
func (m *Memory) ReadPhysical(p []byte, pa mem.PA) (int, error) {
	done := 0
	for done < len(p) {
		at := pa + mem.PA(done)
		page := m.pages[uint64(at/mem.PageSize)]
		if page == nil || at < pa {
			return done, mem.MissingPage(at, mem.NotInDump)
		}
		done += copy(p[done:], page[at%mem.PageSize:])
	}
	return done, nil
}

// Tables are page tables in a Memory.
type Tables struct {
	Memory *Memory
	Kind   mem.PagingKind
	Root   mem.PA
}

// NewTables adds an empty uppermost table.
func NewTables(m *Memory, kind mem.PagingKind) *Tables {
	return &Tables{Memory: m, Kind: kind, Root: m.NewPage()}
}

// shape is how a format cuts an address: shift and index bits of a level, size
// of an entry.
func (t *Tables) shape(level int) (shift, indexBits, entry uint64) {
	switch t.Kind {
	case mem.PagingX86:
		return 12 + 10*uint64(level-1), 10, 4
	case mem.PagingPAE:
		if level == 3 {
			return 30, 2, 8
		}
	}
	return 12 + 9*uint64(level-1), 9, 8
}

func (t *Tables) levels() int {
	switch t.Kind {
	case mem.PagingX86:
		return 2
	case mem.PagingPAE:
		return 3
	case mem.PagingLA57:
		return 5
	}
	return 4
}

// tableEntry is an entry that points to a table; all rights.
func (t *Tables) tableEntry(pa mem.PA, level int) uint64 {
	switch {
	case t.Kind == mem.PagingARM64:
		return uint64(pa) | 3
	case t.Kind == mem.PagingPAE && level == 3:
		return uint64(pa) | 1
	}
	return uint64(pa) | 0x67
}

// PageEntry is a valid entry for a page at a level: kernel, writable, executable.
func (t *Tables) PageEntry(pa mem.PA, level int) uint64 {
	switch {
	case t.Kind == mem.PagingARM64 && level > 1:
		return uint64(pa) | 0x701 // valid block, inner shareable, accessed
	case t.Kind == mem.PagingARM64:
		return uint64(pa) | 0x703
	case t.Kind == mem.PagingX86 && level > 1:
		return uint64(pa)&0xffffffff | uint64(pa)>>32<<13 | 0xe3
	case level > 1:
		return uint64(pa) | 0xe3
	}
	return uint64(pa) | 0x63
}

// Entry returns where the entry for va in its table of a level stands; tables
// above that are missing are added.
func (t *Tables) Entry(va mem.VA, level int) mem.PA {
	table := t.Root
	for l := t.levels(); ; l-- {
		shift, n, size := t.shape(l)
		pa := table + mem.PA(uint64(va)>>shift&(1<<n-1)*size)
		if l == level {
			return pa
		}
		var b [8]byte
		_, _ = t.Memory.ReadPhysical(b[:size], pa)
		next := binary.LittleEndian.Uint64(b[:])
		if next == 0 {
			next = t.tableEntry(t.Memory.NewPage(), l)
			t.put(pa, next, size)
		}
		table = mem.PA(next & 0x000f_ffff_ffff_f000)
	}
}

func (t *Tables) put(pa mem.PA, v, size uint64) {
	t.Memory.Put(pa, binary.LittleEndian.AppendUint64(nil, v)[:size])
}

// Set writes the entry for va at a level as it is.
func (t *Tables) Set(va mem.VA, level int, entry uint64) mem.PA {
	pa := t.Entry(va, level)
	_, _, size := t.shape(level)
	t.put(pa, entry, size)
	return pa
}

// Map maps va to pa with a page of a level: 1 for 4 KiB.
func (t *Tables) Map(va mem.VA, pa mem.PA, level int) mem.PA {
	return t.Set(va, level, t.PageEntry(pa, level))
}

// Place puts data at va: pages are added and mapped as needed.
func (t *Tables) Place(va mem.VA, data []byte) {
	for len(data) > 0 {
		page := va &^ (mem.PageSize - 1)
		pa, err := mem.NewSpace(t.Memory, mem.Paging{Kind: t.Kind}, t.Root).Translate(page)
		if err != nil {
			pa = t.Memory.NewPage()
			t.Map(page, pa, 1)
		}
		n := min(len(data), mem.PageSize-int(va-page))
		t.Memory.Put(pa+mem.PA(va-page), data[:n])
		data, va = data[n:], va+mem.VA(n)
	}
}
