package kernel

import (
	"reflect"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/mem"
)

const (
	physicalVariable = worldData + 0x10
	pfnVariable      = worldData + 0x18
	descriptorAt     = mem.VA(0xffffa00d_60000000)
	partitionAt      = worldData + 0x20040
	memoryStateAt    = worldData + 0x30040
	pagingFileAt     = mem.VA(0xffffa00d_61000000)
	pfnDatabase      = mem.VA(0xffffe700_00000000)
)

var memoryVariables = map[int]mem.VA{kdbgPhysicalMemory: physicalVariable, kdbgPfnDatabase: pfnVariable}

// vmWorld is 19041's memory manager: 4 GiB in two runs and one paging file.
func vmWorld() world {
	w := world{}
	w.words(physicalVariable, descriptorAt, pfnDatabase)
	w.words(descriptorAt, 2, 0x100000, 1, 0x9f, 0x100, 0xfff61)
	for at, v := range map[mem.VA]mem.VA{
		0x8c0: 1000, 0x900: 200, 0x940: 3000, 0x1000: 0,
		0x1840: 0x180000, 0x1848: 0x300000,
		0x1b00: 1, 0x1b08: 0x100060, 0x1b10: 0x100000, 0x1b18: 1, 0x1b20: pagingFileAt,
		0x1bc0: 4200, 0x1c00: 0x80000, 0x1d28: 0x170000, 0x1d40: 50, 0x1d80: 5, 0x1da8: 0x200000, 0x1dc8: 700,
	} {
		w.words(partitionAt+at, v)
	}
	for at, v := range map[mem.VA]mem.VA{
		0x8: 0x7000, 0x2630: 0xe0000, 0x2638: 0x8000000, 0x2628: 0x9000, 0x26c8: 0x40000,
		0x1d40: partitionAt, 0x1d48: memoryStateAt + 0x1d40,
	} {
		w.words(memoryStateAt+at, v)
	}
	w.words(pagingFileAt, 0x100000, 0x200000, 0x80000, 0xf0000, 0x12000)
	w.text(pagingFileAt+0x60, texts, `\??\C:\pagefile.sys`)
	return w
}

func amount(n uint64) *uint64 { return &n }

// wantMemory is what vmWorld says.
func wantMemory() VirtualMemory {
	return VirtualMemory{
		Runs:     []PhysicalRun{{0x1000, 0x9f}, {0x100000, 0xfff61}},
		Physical: amount(0x100000), Available: amount(4200), ResidentAvailable: amount(0x80000), Zeroed: amount(1000), Free: amount(200),
		Standby: amount(3000), Modified: amount(50), ModifiedNoWrite: amount(5), Bad: amount(0),
		Committed: amount(0x170000), CommitLimit: amount(0x200000), CommitPeak: amount(0x180000), CommitMaximum: amount(0x300000),
		SharedCommit: amount(700), ProcessCommit: amount(0x40000),
		NonPagedPool: amount(0x7000), NonPagedPoolMax: amount(0xe0000), PagedPool: amount(0x9000), PagedPoolMax: amount(0x8000000),
		PagingFiles: []PagingFile{{`\??\C:\pagefile.sys`, 0x100000, 0x80000, 0x200000, 0xf0000, 0x12000}},
	}
}

func TestVirtualMemory(t *testing.T) {
	for _, symbols := range []map[string]mem.VA{
		nil, // found by what stands in them
		{"MmPhysicalMemoryBlock": physicalVariable, "MiSystemPartition": partitionAt, "MiState": memoryStateAt},
	} {
		m := vmWorld().machine("19041", memoryVariables)
		if symbols != nil {
			withSymbols(t, m, symbols)
		}
		got, err := m.VirtualMemory()
		if err != nil || !reflect.DeepEqual(got, wantMemory()) {
			t.Errorf("symbols %v: %+v, %v\nwant %+v", symbols != nil, got, err, wantMemory())
		}
	}
}

// What cannot be found is nil, the rest is there.
func TestVirtualMemory_Torn(t *testing.T) {
	runs := wantMemory().Runs
	partition := func(change func(v *VirtualMemory)) VirtualMemory { v := wantMemory(); change(&v); return v }
	noState := func(v *VirtualMemory) {
		v.NonPagedPool, v.NonPagedPoolMax, v.PagedPool, v.PagedPoolMax, v.ProcessCommit = nil, nil, nil, nil, nil
	}
	for _, tt := range []struct {
		name string
		harm func(w world)
		want VirtualMemory
		err  string
	}{
		{"no physical memory block", func(w world) { delete(w, descriptorAt) }, VirtualMemory{}, "MmPhysicalMemoryBlock: ffffa00d`60000000 is not in the dump"},
		{"too many runs", func(w world) { w.u32(descriptorAt, 0xffffffff) }, VirtualMemory{}, "4294967295 runs are too many"},
		{"a run too long", func(w world) { w.words(descriptorAt+0x28, 1<<50) }, VirtualMemory{Runs: runs[:1], Physical: amount(0x9f)}, "run 1 has 0x4000000000000 pages"},
		{"no partition", func(w world) { w.words(partitionAt+0x1b08, 7) }, VirtualMemory{Runs: runs, Physical: amount(0x100000)}, "no variable of the kernel looks like it"},
		{"no state", func(w world) { w.words(memoryStateAt+0x1d40, 0) }, partition(noState), "MiState"},
		{"no paging file", func(w world) { delete(w, pagingFileAt) }, partition(func(v *VirtualMemory) { v.PagingFiles = nil }), "paging file 0: ffffa00d`61000000"},
		{"too many paging files", func(w world) { w.u32(partitionAt+0x1b18, 17) }, partition(func(v *VirtualMemory) { v.PagingFiles = nil }), "17 are too many"},
		{"a page of the partition", func(w world) { delete(w, partitionAt&^0xfff) },
			partition(func(v *VirtualMemory) { v.Zeroed, v.Free, v.Standby = nil, nil, nil }), ""},
		{"a number that cannot be", func(w world) { w.words(partitionAt+0x1d28, 1<<60) }, partition(func(v *VirtualMemory) { v.Committed = nil }), ""},
	} {
		w := vmWorld()
		tt.harm(w)
		got, err := w.machine("19041", memoryVariables).VirtualMemory()
		if !reflect.DeepEqual(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v\nwant %+v, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// TestVirtualMemory_DebuggerData: older kernels' variables, and a small dump's figures.
func TestVirtualMemory_DebuggerData(t *testing.T) {
	w := world{}
	w.words(worldData, 0x1234, 0x5678000)
	m := w.machine("19041", map[int]mem.VA{kdbgCommitted: worldData, kdbgNonPagedMax: worldData + 8, kdbgAvailable: 0x123})
	m.Blocks.Memory = dump.MemoryFigures{Known: true, Committed: 1, CommitLimit: 0x9999, PagedUsed: 5}
	got, err := m.VirtualMemory()
	want := VirtualMemory{Committed: amount(0x1234), NonPagedPoolMax: amount(0x5678), CommitLimit: amount(0x9999), PagedPool: amount(5),
		CommitPeak: amount(0), NonPagedPool: amount(0), PagedPoolMax: amount(0)}
	if err == nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
}

func TestPFN(t *testing.T) {
	w := vmWorld()
	entry := pfnDatabase + 0x1234*0x30
	w.words(entry, 0, 0xfffff6fb_7dbed001, 0x80, 3|1<<63)
	w.u16(entry+0x20, 2)
	w.u8(entry+0x22, 0x16, 0x85)
	m := w.machine("19041", memoryVariables)
	got, err := m.PFN(0x1234abc)
	want := PFN{Page: 0x1234000, Entry: entry, State: "active", Active: true, Shares: 3, References: 2, PTE: 0xfffff6fb_7dbed000, OriginalPTE: 0x80,
		Modified: true, Priority: 5, ParityError: true}
	if err != nil || got != want {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
	w.u8(entry+0x22, 0x22, 0x10)
	got, err = w.machine("19041", memoryVariables).PFN(0x1234000)
	if err != nil || got.State != "standby" || got.Active || got.Shares != 0 || !got.Reading || !got.PageError || got.Modified {
		t.Errorf("on the standby list: %+v, %v", got, err)
	}
	for _, tt := range []struct {
		pa   mem.PA
		harm func(w world)
		err  string
	}{
		{0x99999000, func(world) {}, "page frame 99999000: ffffe700`"},
		{1 << 60, func(world) {}, "no such page"},
		{0x1000, func(w world) { w.words(pfnVariable, 0) }, "a database at 00000000`00000000"},
		{0x1000, func(w world) { delete(w, worldData) }, "MmPfnDatabase: fffff804`10400018 is not in the dump"},
	} {
		w := vmWorld()
		tt.harm(w)
		if got, err := w.machine("19041", memoryVariables).PFN(tt.pa); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("PFN(%v): %+v, %v; want %q", tt.pa, got, err, tt.err)
		}
	}
}
