package kernel

import (
	"reflect"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/mem"
)

const poolPageAt = mem.VA(0xffffa00d_20000000)

// header writes a POOL_HEADER; sizes in units of 16.
func (w world) header(va mem.VA, previous, size, kind byte, tag string) {
	w.u8(va, previous, 0, size, kind)
	w.write(va+4, []byte(tag))
}

// chainWorld is a page of four blocks: 0x200, 0x810 (Leak, paged), 0x100 (free), the rest.
func chainWorld() world {
	w := world{}
	w.header(poolPageAt, 0, 0x20, 2, "Proc")
	w.header(poolPageAt+0x200, 0x20, 0x81, 3, "Leak")
	w.header(poolPageAt+0xa10, 0x81, 0x10, 0, "Free")
	w.header(poolPageAt+0xb10, 0x10, 0x4f, 0xb, "Fil\xe5")
	return w
}

func TestPoolBlock_Chain(t *testing.T) {
	proc := &PoolNeighbour{Header: poolPageAt, Size: 0x200, Tag: "Proc", Intact: true}
	leak := &PoolNeighbour{Header: poolPageAt + 0x200, Size: 0x810, Tag: "Leak", Intact: true}
	free := &PoolNeighbour{Header: poolPageAt + 0xa10, Size: 0x100, Tag: "Free", Free: true, Intact: true}
	file := &PoolNeighbour{Header: poolPageAt + 0xb10, Size: 0x4f0, Tag: "File", Intact: true}
	overrun := &PoolNeighbour{Header: poolPageAt + 0xa10, Size: 0x100, Text: strings.Repeat("O", 32)}
	for _, tt := range []struct {
		name string
		at   mem.VA
		harm func(w world)
		want PoolBlock
	}{
		{"first", 0x10, nil, PoolBlock{Header: poolPageAt, Address: poolPageAt + 0x10, Size: 0x200, Tag: "Proc", Pool: NonPaged, After: leak}},
		{"inside", 0x777, nil, PoolBlock{Header: poolPageAt + 0x200, Address: poolPageAt + 0x210, Size: 0x810, Tag: "Leak", Pool: Paged, Before: proc, After: free}},
		{"free", 0xa10, nil, PoolBlock{Header: poolPageAt + 0xa10, Address: poolPageAt + 0xa20, Size: 0x100, Tag: "Free", Free: true, Before: leak, After: file}},
		{"last", 0xfff, nil, PoolBlock{Header: poolPageAt + 0xb10, Address: poolPageAt + 0xb20, Size: 0x4f0, Tag: "File", Pool: Paged, Before: free}},
		{"before an overrun", 0x800, func(w world) { w.write(poolPageAt+0xa08, []byte(strings.Repeat("O", 40))) },
			PoolBlock{Header: poolPageAt + 0x200, Address: poolPageAt + 0x210, Size: 0x810, Tag: "Leak", Pool: Paged, Before: proc, After: overrun}},
		{"behind an overrun", 0xc00, func(w world) { w.write(poolPageAt+0xa10, []byte(strings.Repeat("O", 32))) },
			PoolBlock{Header: poolPageAt + 0xb10, Address: poolPageAt + 0xb20, Size: 0x4f0, Tag: "File", Pool: Paged, Before: overrun}},
		{"overrun itself", 0xa20, func(w world) { w.write(poolPageAt+0xa10, []byte(strings.Repeat("O", 32))) },
			PoolBlock{Header: poolPageAt + 0xa10, Address: poolPageAt + 0xa20, Size: 0x100, Damaged: true, Text: strings.Repeat("O", 32), Before: leak, After: file}},
	} {
		w := chainWorld()
		if tt.harm != nil {
			tt.harm(w)
		}
		tt.want.Kept = KeptInPage
		got, err := w.machine("17763", nil).PoolBlock(poolPageAt + tt.at)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %s, %v\nwant %s", tt.name, describe(got), err, describe(tt.want))
		}
	}
}

func describe(p PoolBlock) string {
	var b strings.Builder
	for _, n := range []*PoolNeighbour{p.Before, p.After} {
		if n != nil {
			b.WriteString(" " + n.Header.String() + " " + n.Tag + " " + n.Text)
		}
	}
	p.Before, p.After = nil, nil
	return strings.TrimSpace(strings.Join([]string{p.Header.String(), p.Address.String(), p.Tag, string(p.Pool), p.Kept, b.String()}, " "))
}

func TestPoolBlock_ChainX86(t *testing.T) {
	w := world{}
	const page = mem.VA(0x85000000)
	w.u16(page, 0)
	w.u16(page+2, 0x40|2<<9)
	w.write(page+4, []byte("Proc"))
	w.u16(page+0x200, 0x40)
	w.u16(page+0x202, 0x1c0|3<<9)
	w.write(page+0x204, []byte("Leak"))
	m := w.machine("17763", nil)
	m.Arch = dump.X86
	got, err := m.PoolBlock(page + 0x300)
	if err != nil || got.Header != page+0x200 || got.Address != page+0x208 || got.Size != 0xe00 || got.Tag != "Leak" || got.Pool != Paged {
		t.Errorf("%s, size %#x, %v", describe(got), got.Size, err)
	}
}

func TestPoolBlock_Special(t *testing.T) {
	w := world{}
	fill := make([]byte, worldPage)
	for i := range fill {
		fill[i] = 0x5a
	}
	w.write(poolPageAt, fill)
	w.u16(poolPageAt, 0x8000|0x123)
	w.write(poolPageAt+4, []byte("Leak"))
	w.write(poolPageAt+0xed0, make([]byte, 0x123))
	got, err := w.machine("19041", nil).PoolBlock(poolPageAt + 0xf00)
	want := PoolBlock{Header: poolPageAt, Address: poolPageAt + 0xed0, Size: 0x123, Tag: "Leak", Pool: Paged, Kept: KeptSpecial, Guessed: true}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	w.u8(poolPageAt+0x400, 0)
	if got, err := w.machine("19041", nil).PoolBlock(poolPageAt + 0xf00); err == nil && got.Kept == KeptSpecial {
		t.Errorf("another byte amid the filling: %+v", got)
	}
}

// TestPoolBlock_Guess: the segment heap without symbols.
func TestPoolBlock_Guess(t *testing.T) {
	w := world{}
	w.header(poolPageAt+0x140, 0, 0x10, 2, "Proc") // a VS block; its neighbour's own header is 16 bytes
	w.header(poolPageAt+0x250, 0, 0x81, 3, "Leak")
	w.header(poolPageAt+0xa70, 0, 0x20, 2, "Thre")
	m := w.machine("19041", nil)
	got, err := m.PoolBlock(poolPageAt + 0x900)
	want := PoolBlock{Header: poolPageAt + 0x250, Address: poolPageAt + 0x260, Size: 0x810, Tag: "Leak", Pool: Paged, Guessed: true,
		Before: &PoolNeighbour{Header: poolPageAt + 0x140, Size: 0x100, Tag: "Proc", Intact: true},
		After:  &PoolNeighbour{Header: poolPageAt + 0xa70, Size: 0x200, Tag: "Thre", Intact: true}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s, %v\nwant %s", describe(got), err, describe(want))
	}
	w.write(poolPageAt+0xa58, []byte(strings.Repeat("O", 64))) // the block runs over
	got, err = w.machine("19041", nil).PoolBlock(poolPageAt + 0x900)
	want.After = &PoolNeighbour{Header: poolPageAt + 0xa60, Text: strings.Repeat("O", 56)}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("overrun: %s, %v\nwant %s", describe(got), err, describe(want))
	}
	for _, va := range []mem.VA{poolPageAt + 0xf00, poolPageAt + 0x20} {
		if got, err := m.PoolBlock(va); err == nil {
			t.Errorf("PoolBlock(%v) = %s, want an error", va, describe(got))
		}
	}
}

func TestPoolBlock_Nowhere(t *testing.T) {
	m := world{}.machine("19041", nil)
	for va, want := range map[mem.VA]string{0x1000: "no kernel address", poolPageAt: "ffffa00d`20000000 is not in the dump"} {
		if _, err := m.PoolBlock(va); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("PoolBlock(%v): %v, want %q", va, err, want)
		}
	}
}

const (
	heapKey   = 0x1122334455667788
	lfhKey    = 0x99aabbccddeeff00
	globalsAt = worldData + 0x2000
	stateAt   = worldData + 0x4000
	segmentAt = mem.VA(0xffffa00d_30000000)
	heapAt    = mem.VA(0xffffa00d_2f000000)
	vsAt      = segmentAt + 0x10000 // 16 pages of blocks of variable size
	lfhAt     = segmentAt + 0x30000
	rangeAt   = segmentAt + 0x40000
	bigTable  = mem.VA(0xffffa00d_2e000000)
	bigAt     = mem.VA(0xffffa00d_2d000000)
)

// chunks writes HEAP_VS_CHUNK_HEADERs one behind the other; sizes in bytes, free
// ones negative.
func (w world) chunks(at mem.VA, sizes ...int) {
	last := 0
	for _, size := range sizes {
		allocated := uint64(1)
		if size < 0 {
			allocated, size = 0, -size
		}
		bits := uint64(size/16)<<16 | uint64(last/16)<<32 | allocated<<48
		w.words(at, mem.VA(bits^uint64(at)^heapKey))
		at, last = at+mem.VA(size), size
	}
}

func (w world) descriptor(at mem.VA, flags, units byte) {
	d := segmentAt + (at-segmentAt)>>12*0x20
	w.u8(d+0x18, flags)
	w.u8(d+0x1f, units)
	for i := range mem.VA(units) {
		if i > 0 {
			w.u8(d+i*0x20+0x18, flags&^2)
			w.u8(d+i*0x20+0x1f, byte(i))
		}
	}
}

// heapWorld is a paged heap with one segment: a range of blocks of variable size, one
// of blocks of 0x40, one of pages; and a table of big blocks.
func heapWorld() world {
	w := world{}
	w.words(globalsAt, heapKey, lfhKey)
	w.words(stateAt, globalsAt)
	w.u32(stateAt+0x38d0, 1)
	w.words(stateAt+0x3900, heapAt+0x10000, heapAt+0x20000, heapAt)
	w.words(heapAt+0x100, ^mem.VA(1<<20-1))
	w.u8(heapAt+0x108, 12, 0, 2)
	w.words(heapAt+0x138, heapAt)
	w.write(segmentAt, make([]byte, 0x2000))
	w.words(segmentAt+0x10, segmentAt^(heapAt+0x100)^heapKey^0xa2e64eada2e64ead)
	w.descriptor(vsAt, 0xf, 16)
	w.u16(vsAt+0x20, 0xfff)
	w.u16(vsAt+0x22, 0xfff^0x2bed|0x8000)
	w.chunks(vsAt+0x30, 0x110, 0x820, -0x300, 0x210, 0x390, 0xee00)
	w.header(vsAt+0x40, 0, 0x10, 2, "Proc")
	w.header(vsAt+0x150, 0, 0x81, 3, "Leak")
	w.header(vsAt+0xc70, 0, 0x20, 3, "Thre")
	w.header(vsAt+0x1000, 0, 0x20, 3, "Edge") // else it would lie in two pages
	for i := range mem.VA(16) {
		w.u8(vsAt+i*0x1000+0xff0, 0)
	}
	w.descriptor(lfhAt, 0xb, 1)
	w.u32(lfhAt+0x28, 0x40|0x80<<16^lfhKey&0xffffffff^uint32(lfhAt&0xffffffff)>>12)
	w.u8(lfhAt+0x30, 0b00010101)
	w.header(lfhAt+0x80, 0, 4, 3, "AAAA")
	w.header(lfhAt+0xc0, 0, 4, 3, "BBBB")
	w.write(lfhAt+0x100, []byte("overrun!overrun!"))
	w.header(lfhAt+0x140, 0, 4, 3, "DDDD")
	w.descriptor(rangeAt, 3, 8)
	w.words(bigTable, 0, 0, 0)
	for i, e := range []struct {
		va   mem.VA
		size mem.VA
		tag  string
	}{{bigAt | 1, 0x3000, "Old "}, {bigAt + 0x10000, 0x5000, "Big "}, {rangeAt, 0x7800, "Rang"}} {
		at := bigTable + mem.VA(i+1)*0x18
		w.words(at, e.va)
		w.write(at+8, []byte(e.tag))
		w.u32(at+0xc, 1<<8)
		w.words(at+0x10, e.size)
	}
	w.words(worldData, bigTable, 100)
	return w
}

func heapMachine(t *testing.T, w world) *Machine {
	m := w.machine("19041", nil)
	for _, f := range []struct {
		key string
		at  int
	}{{"_EX_POOL_HEAP_MANAGER_STATE NumberOfPools", 0x38d0}, {"_EX_POOL_HEAP_MANAGER_STATE PoolNode", 0x3900},
		{"_EX_HEAP_POOL_NODE sizeof", 0x20c0}, {"_POOL_TRACKER_BIG_PAGES sizeof", 0x18}} {
		if got := m.structures.table[f.key]; got != f.at {
			t.Errorf("the table has %#x for %s, want %#x", got, f.key, f.at)
		}
	}
	return withSymbols(t, m, map[string]mem.VA{"ExPoolState": stateAt, "PoolBigPageTable": worldData, "PoolBigPageTableSize": worldData + 8})
}

func TestPoolBlock_Heap(t *testing.T) {
	for _, tt := range []struct {
		name          string
		at            mem.VA
		want          PoolBlock
		before, after string // tag or text of the neighbours
	}{
		{"vs, first", vsAt + 0x50, PoolBlock{Header: vsAt + 0x40, Address: vsAt + 0x50, Size: 0x100, Tag: "Proc", Kept: KeptInVS}, "", "Leak"},
		{"vs", vsAt + 0x700, PoolBlock{Header: vsAt + 0x150, Address: vsAt + 0x160, Size: 0x810, Tag: "Leak", Kept: KeptInVS}, "Proc", ""},
		{"vs, free", vsAt + 0xa00, PoolBlock{Header: vsAt + 0x960, Address: vsAt + 0x970, Size: 0x300, Free: true, Kept: KeptInVS}, "Leak", "Thre"},
		{"vs, at a page's start", vsAt + 0x1100, PoolBlock{Header: vsAt + 0x1000, Address: vsAt + 0x1010, Size: 0x200, Tag: "Edge", Kept: KeptInVS}, "Thre", ""},
		{"vs, of many pages", vsAt + 0x2000, PoolBlock{Header: vsAt + 0x1200, Address: vsAt + 0x1210, Size: 0xee00, Kept: KeptInVS}, "Edge", ""},
		{"lfh", lfhAt + 0xd8, PoolBlock{Header: lfhAt + 0xc0, Address: lfhAt + 0xd0, Size: 0x40, Tag: "BBBB", Kept: KeptInLFH}, "AAAA", "overrun!overrun!"},
		{"lfh, overrun", lfhAt + 0x118, PoolBlock{Header: lfhAt + 0x100, Address: lfhAt + 0x110, Size: 0x40, Kept: KeptInLFH, Damaged: true, Text: "overrun!overrun!"}, "BBBB", "DDDD"},
		{"lfh, free", lfhAt + 0x150, PoolBlock{Header: lfhAt + 0x140, Address: lfhAt + 0x150, Size: 0x40, Tag: "DDDD", Free: true, Kept: KeptInLFH}, "overrun!overrun!", ""},
		{"pages", rangeAt + 0x7900, PoolBlock{Header: rangeAt, Address: rangeAt, Size: 0x8000, Kept: KeptInRange}, "", ""},
		{"big pages of a range", rangeAt + 0x7000, PoolBlock{Header: rangeAt, Address: rangeAt, Size: 0x7800, Tag: "Rang", Kept: KeptBig}, "", ""},
		{"big", bigAt + 0x14fff, PoolBlock{Header: bigAt + 0x10000, Address: bigAt + 0x10000, Size: 0x5000, Tag: "Big ", Kept: KeptBig}, "", ""},
		{"big, freed", bigAt + 0x2000, PoolBlock{Header: bigAt, Address: bigAt, Size: 0x3000, Tag: "Old ", Free: true, Kept: KeptBig}, "", ""},
		{"no range", segmentAt + 0x90123, PoolBlock{Header: segmentAt + 0x90000, Address: segmentAt + 0x90000, Free: true, Kept: KeptInRange}, "", ""},
	} {
		tt.want.Pool = Paged
		got, err := heapMachine(t, heapWorld()).PoolBlock(tt.at)
		if tt.want.Kept != KeptBig { // the keys are found without symbols too
			found, errFound := heapWorld().machine("19041", map[int]mem.VA{kdbgPoolTrackTable: trackVariable}).PoolBlock(tt.at)
			if errFound != nil || !reflect.DeepEqual(found, got) {
				t.Errorf("%s, without symbols: %+v, %v\nwant %+v", tt.name, found, errFound, got)
			}
		}
		said := func(n *PoolNeighbour) string {
			if n == nil {
				return ""
			}
			return n.Tag + n.Text
		}
		if said(got.Before) != tt.before || said(got.After) != tt.after {
			t.Errorf("%s: between %q and %q, want %q and %q", tt.name, said(got.Before), said(got.After), tt.before, tt.after)
		}
		got.Before, got.After = nil, nil
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", tt.name, got, err, tt.want)
		}
	}
}

// TestPoolBlock_HeapOverrun: NotMyFault's 2048 bytes run over the header behind them.
func TestPoolBlock_HeapOverrun(t *testing.T) {
	w := heapWorld()
	w.write(vsAt+0x150+0x10, []byte(strings.Repeat("O", 0x810)))
	for _, tt := range []struct {
		at   mem.VA
		want PoolBlock
	}{
		{vsAt + 0x700, PoolBlock{Header: vsAt + 0x150, Address: vsAt + 0x160, Size: 0x810, Tag: "Leak", Pool: Paged, Kept: KeptInVS,
			Before: &PoolNeighbour{Header: vsAt + 0x30, Size: 0x110, Tag: "Proc", Intact: true},
			After:  &PoolNeighbour{Header: vsAt + 0x960, Text: strings.Repeat("O", 16)}}},
		{vsAt + 0x970, PoolBlock{Header: vsAt + 0x960, Address: vsAt + 0x980, Size: 0x300, Pool: Paged, Kept: KeptInVS, Damaged: true, Text: strings.Repeat("O", 16),
			Before: &PoolNeighbour{Header: vsAt + 0x140, Size: 0x820, Tag: "Leak", Intact: true},
			After:  &PoolNeighbour{Header: vsAt + 0xc60, Size: 0x210, Tag: "Thre", Intact: true}}},
		{vsAt + 0xc80, PoolBlock{Header: vsAt + 0xc70, Address: vsAt + 0xc80, Size: 0x200, Tag: "Thre", Pool: Paged, Kept: KeptInVS,
			Before: &PoolNeighbour{Header: vsAt + 0x960, Size: 0x300, Text: strings.Repeat("O", 16)},
			After:  &PoolNeighbour{Header: vsAt + 0xe70, Size: 0x390, Tag: "Edge", Intact: true}}},
	} {
		got, err := heapMachine(t, w).PoolBlock(tt.at)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%v: %+v, %v\nbefore %+v\nafter %+v", tt.at, got, err, got.Before, got.After)
		}
	}
}

// TestPoolBlock_HeapLast: the block behind the one that is destroyed is the last.
func TestPoolBlock_HeapLast(t *testing.T) {
	w := heapWorld()
	w.chunks(vsAt+0x30, 0x110, 0x820, 0x300, -(0x10000 - 0xc60))
	w.write(vsAt+0x960, []byte(strings.Repeat("O", 0x20)))
	got, err := heapMachine(t, w).PoolBlock(vsAt + 0x970)
	if err != nil || got.Size != 0x300 || !got.Damaged || got.After == nil || got.After.Header != vsAt+0xc60 || !got.After.Free {
		t.Errorf("%+v, %v; behind it %+v", got, err, got.After)
	}
}

func TestPoolBlock_HeapTorn(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   mem.VA
		harm func(w world)
		err  string
		kept string
	}{
		{"a page of the subsegment is missing", vsAt + 0x700, func(w world) { delete(w, vsAt+0x3000) }, "ffffa00d`30013000 is not in the dump", KeptInVS},
		{"its header is wrong", vsAt + 0x700, func(w world) { w.u16(vsAt+0x20, 1) }, "do not belong together", KeptInVS},
		{"the descriptors are missing", vsAt + 0x700, func(w world) { delete(w, segmentAt) }, "", ""},
		{"a descriptor points out of the segment", vsAt + 0x1700, func(w world) { w.u8(segmentAt+0x11*0x20+0x1f, 0xff) }, "descriptor 17 points out of it", ""},
		{"a block size of zero", lfhAt + 0xd8, func(w world) { w.u32(lfhAt+0x28, lfhKey&0xffffffff^uint32(lfhAt&0xffffffff)>>12) }, "block size 0x0", ""},
		{"in the header of a subsegment", lfhAt + 0x10, func(w world) {}, "in its header", ""},
		{"in the descriptors", segmentAt + 0x123, func(w world) {}, "in its descriptors", ""},
		{"the table of big blocks is missing", bigAt + 0x14000, func(w world) { delete(w, bigTable) }, "PoolBigPageTable: ffffa00d`2e000000 is not in the dump", ""},
		{"another heap's segment", vsAt + 0x700, func(w world) { w.words(heapAt+0x100, 0) }, "", ""},
	} {
		w := heapWorld()
		tt.harm(w)
		got, err := heapMachine(t, w).PoolBlock(tt.at)
		if got.Kept != tt.kept || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %+v, %v; want %q", tt.name, got, err, tt.err)
		}
	}
}
