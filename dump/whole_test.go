package dump_test

import (
	"bytes"
	"slices"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/memtest"
	"bugcheck/mem"
)

// Every kind on every machine: virtual memory, physical memory, counts.
func TestWhole_Conformance(t *testing.T) {
	eachWhole(t, func(t *testing.T, c *wholeCase) {
		f := open(t, c.bytes())
		if len(f.Notes) > 0 || f.Truncated || f.Runs != nil || f.Header.BugCheckCode != 0xd1 {
			t.Errorf("notes %v, truncated %v, %d runs, stop code %#x", f.Notes, f.Truncated, len(f.Runs), f.Header.BugCheckCode)
		}
		if n := uint64(len(c.memory.Numbers())); f.Pages != n || f.PhysicalPages != n || f.Paging.Kind != c.paging {
			t.Errorf("%d of %d pages, paging %d; want %d, %d", f.Pages, f.PhysicalPages, f.Paging.Kind, n, c.paging)
		}
		memtest.Reader(t, f.Memory, c.chunks)
		memtest.Reader(t, f.Space(c.root), c.chunks)
		memtest.Physical(t, f.Physical, physicalChunks(c.memory))
		checkRuns(t, f, c.memory)
	})
}

// physicalChunks are the runs of a memory with their data.
func physicalChunks(m *memtest.Memory) []memtest.Chunk {
	var list []memtest.Chunk
	for _, r := range m.Runs() {
		data := make([]byte, r[1]*mem.PageSize)
		_, _ = m.ReadPhysical(data, mem.PA(r[0]*mem.PageSize))
		list = append(list, memtest.Chunk{Address: mem.VA(r[0] * mem.PageSize), Data: data})
	}
	return list
}

// checkRuns checks that PhysicalRuns yields the memory's runs.
func checkRuns(t *testing.T, f *dump.File, m *memtest.Memory) {
	t.Helper()
	want := m.Runs()
	i := 0
	for r := range f.PhysicalRuns() {
		if i >= len(want) || r.Address != mem.PA(want[i][0]*mem.PageSize) || r.Size != want[i][1]*mem.PageSize {
			t.Errorf("run %d: %+v, want %x", i, r, want)
			return
		}
		i++
	}
	for _, n := range m.Numbers() {
		off, ok := f.PageOffset(mem.PA(n*mem.PageSize + 0x123))
		if _, behind := f.PageOffset(mem.PA((n + 1) * mem.PageSize)); !ok || off <= 0 || behind != hasPage(m, n+1) {
			t.Errorf("page %#x at %#x, %v; the one behind it %v", n, off, ok, behind)
		}
	}
	if i != len(want) {
		t.Errorf("%d runs, want %d", i, len(want))
	}
}

func hasPage(m *memtest.Memory, n uint64) bool { return slices.Contains(m.Numbers(), n) }

// A page of another process is found by its own root.
func TestFile_Space(t *testing.T) {
	c := newWhole(mem.PagingX64, 6, sdmp)
	other := memtest.NewTables(c.memory, mem.PagingX64)
	other.Place(0x10000, []byte("another process"))
	f := open(t, c.bytes())
	if got, err := mem.Read(f.Space(other.Root), 0x10000, 15); err != nil || string(got) != "another process" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := mem.Read(f.Memory, 0x10000, 16); err != nil || !bytes.Equal(got, c.chunks[1].Data[:16]) {
		t.Errorf("the header's process: % x, %v", got, err)
	}
}
