package kernel_test

import (
	"strings"
	"testing"

	"bugcheck/kernel"
	"bugcheck/mem"
)

// long makes a ring of entries 16 bytes apart behind a head.
func (w *world) long(head mem.VA, n int) {
	base := (w.heap + 0xfff) &^ 0xfff
	w.heap = base + mem.VA(16*n) + 0x10000
	b := make([]byte, 16*n+0x10000)
	for i := range n {
		next, last := base+mem.VA(16*(i+1)), base+mem.VA(16*(i-1))
		if i == 0 {
			last = head
		}
		if i == n-1 {
			next = head
		}
		put64(b, 16*i, uint64(next))
		put64(b, 16*i+8, uint64(last))
	}
	w.put(base, b)
	w.putVA(head, base)
	w.putVA(head+8, base+mem.VA(16*(n-1)))
}

// Lists that are longer than any machine's are cut, and the error says so.
func TestLists_TooLong(t *testing.T) {
	w := newWorld(t, "x64 19041")
	w.long(w.processes, 150_000)
	list, err := w.open().Processes()
	if len(list) != 100_000 || err == nil || !strings.Contains(err.Error(), "more entries than are followed") {
		t.Errorf("%d processes, %v; want 100000 and an error", len(list), err)
	}

	w = newWorld(t, "x64 19041")
	w.long(w.modules, 5000)
	m := w.open()
	if len(m.Modules) > 4096 || !strings.Contains(notes(m), "more entries than are followed") {
		t.Errorf("%d modules, notes:\n%s", len(m.Modules), notes(m))
	}

	w = newWorld(t, "x64 19041")
	w.long(w.system+w.at("_EPROCESS ThreadListHead"), 70_000)
	threads, err := w.open().Threads(kernel.Process{Address: w.system})
	if len(threads) != 65_536 || err == nil || !strings.Contains(err.Error(), w.system.String()) {
		t.Errorf("%d threads, %v; want 65536 and an error that names the process", len(threads), err)
	}
}

// A process list that is a cycle, one that ends, one that leads nowhere.
func TestProcesses_Torn(t *testing.T) {
	links := func(w *world) (first, second mem.VA) {
		first = mem.VA(w.read64(w.processes))
		return first, mem.VA(w.read64(first))
	}
	for _, tt := range []struct {
		name  string
		tear  func(w *world)
		count int
		want  string
	}{
		{"a cycle", func(w *world) { a, b := links(w); w.putVA(b, a) }, 3, "the list comes back to"},
		{"an end", func(w *world) { a, _ := links(w); w.putVA(a, 0) }, 3, "00000000`00000000 is no entry"},
		{"nowhere", func(w *world) { a, _ := links(w); w.put64(a, 0xdeadbeef_00000000) }, 3, "deadbeef`00000000"},
		{"an entry that was overwritten", func(w *world) { _, b := links(w); w.put64(b, 0x41); w.put64(b+8, 0x41) }, 2, "not back"},
		{"a head that is gone", func(w *world) { w.put64(w.processes, 0) }, 3, "is no entry"},
	} {
		w := newWorld(t, "x64 19041")
		tt.tear(w)
		list, err := w.open().Processes()
		if len(list) != tt.count || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d processes, %v; want %d and an error with %q", tt.name, len(list), err, tt.count, tt.want)
		}
	}
}

// A table of handles that leads to itself is counted within a bound.
func TestHandles_Cycle(t *testing.T) {
	w := newWorld(t, "x64 19041")
	table := mem.VA(w.read64(w.notmyfault + w.at("_EPROCESS ObjectTable")))
	page := (w.alloc(0x2000) + 0xfff) &^ 0xfff
	for i := range 512 {
		w.putVA(page+mem.VA(8*i), page)
	}
	w.putVA(table+w.at("_HANDLE_TABLE TableCode"), page+2)
	m := w.open()
	p, err := m.ProcessAt(w.notmyfault)
	if err != nil || p.Handles == nil || *p.Handles > 1<<25 {
		t.Errorf("handles %v, %v", p.Handles, err)
	}
}
