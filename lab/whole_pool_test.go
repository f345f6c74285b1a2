package lab

import (
	"encoding/binary"
	"strings"
	"testing"
)

// found is a block that a walk over pool found: its tag and bytes, in use or free.
type found struct {
	tag   string
	bytes uint64
	used  bool
	paged bool
}

// classic walks the pages of 17763's pool: blocks fill each page, and each tells the size of
// the one before.
func (l looker) classic(from, to uint64, big map[uint64]bool) map[uint64]found {
	all := map[uint64]found{}
	for page := from; page < to; page += 0x1000 {
		if _, err := l.space.Translate(page); err != nil || big[page] {
			continue
		}
		previous := uint64(0)
		for at := page; at < page+0x1000; {
			h := l.bytes(at, 16)
			size := uint64(h[2]) * 16
			if uint64(h[0])*16 != previous || size == 0 && at != page {
				l.t.Fatalf("block at %#x: previous %#x, want %#x, size %#x", at, h[0], previous, size)
			}
			if size == 0 {
				size = 0x1000
			}
			all[at+16] = found{string(h[4:8]), size, h[3]&2 != 0, h[3]&1 != 0}
			previous = size
			at += size
		}
	}
	return all
}

// heap walks the segments of a heap by the descriptors of their pages, and the chunks of its
// VS subsegments.
func (l looker) heap(heap uint64) map[uint64]found {
	all := map[uint64]found{}
	key := l.u64(l.Symbol("RtlpHpHeapGlobals"))
	contexts, _ := l.layout.Field("_SEGMENT_HEAP", "SegContexts")
	list, _ := l.layout.Field("_HEAP_SEG_CONTEXT", "SegmentListHead")
	for _, segment := range l.walk(heap + contexts + list) {
		got := l.u64(segment+0x10) ^ segment ^ key
		if l.Build < 26100 {
			got ^= 0xa2e64eada2e64ead
		}
		if got != heap+contexts {
			l.t.Fatalf("segment %#x belongs to %#x", segment, got)
		}
		for unit := uint64(2); unit < 256; unit++ {
			d := l.bytes(segment+unit*0x20, 0x20)
			if d[0x18]&2 == 0 || d[0x18]&0xc != 0xc {
				continue
			}
			l.chunks(segment+unit*0x1000, uint64(d[0x1f])*0x1000, key, all)
		}
	}
	return all
}

func (l looker) chunks(sub, size, key uint64, all map[uint64]found) {
	units := binary.LittleEndian.Uint16(l.bytes(sub+0x20, 2))
	if signature := binary.LittleEndian.Uint16(l.bytes(sub+0x22, 2)); (units^signature^0x2bed)&0x7fff != 0 {
		l.t.Fatalf("subsegment %#x: size %#x, signature %#x", sub, units, signature)
	}
	previous := uint64(0)
	for at := sub + 0x30; at < sub+size; {
		v := l.u64(at) ^ at ^ key
		n := v >> 16 & 0xffff * 16
		if n == 0 || v>>32&0xffff*16 != previous {
			l.t.Fatalf("chunk at %#x: %#x, want previous %#x", at, v, previous)
		}
		if v>>48&0xff != 0 {
			if page := byte(l.u64(at+8) ^ at ^ key); uint64(page) != (at-sub)/0x1000 {
				l.t.Fatalf("chunk at %#x is in page %d", at, page)
			}
			h := l.bytes(at+16, 16)
			all[at+32] = found{string(h[4:8]), uint64(h[2]) * 16, true, h[3]&1 != 0}
		}
		previous = n
		at += n
	}
}

// walkPool finds all small blocks in use by what stands in memory.
func (l looker) walkPool(big map[uint64]bool) map[uint64]found {
	all := map[uint64]found{}
	for i, k := range l.pool.kinds {
		var part map[uint64]found
		if l.Build < 18362 {
			part = l.classic([]uint64{vaNonPaged, vaPaged}[i], k.next, big)
		} else {
			node, _ := l.layout.Field("_EX_POOL_HEAP_MANAGER_STATE", "PoolNode")
			part = l.heap(l.u64(l.Symbol("ExPoolState") + node + 8*uint64(i+1)))
		}
		for va, f := range part {
			if f.used {
				all[va] = f
			}
		}
	}
	return all
}

// bigs reads PoolBigPageTable: an address whose bit 0 is set was freed.
func (l looker) bigs() map[uint64]found {
	all := map[uint64]found{}
	table, size := l.u64(l.Symbol("PoolBigPageTable")), l.layout.Size("_POOL_TRACKER_BIG_PAGES")
	for i := uint64(0); i < uint64(len(l.pool.bigs)); i++ {
		e := table + i*size
		if va := l.u64(e); va&1 == 0 && va != 0 {
			all[va] = found{string(l.bytes(e+8, 4)), (l.u64(e+16) + 0xfff) &^ 0xfff, true, l.u32(e+12)>>8&1 != 0}
		}
	}
	return all
}

// checkPool holds memory against what was allocated, and both against PoolTrackTable.
func (l looker) checkPool(when string) {
	l.t.Helper()
	bigs := l.bigs()
	isBig := map[uint64]bool{}
	for va, f := range bigs {
		for at := va; at < va+f.bytes; at += 0x1000 {
			isBig[at] = true
		}
	}
	all := l.walkPool(isBig)
	for va, f := range bigs {
		all[va] = f
	}
	if want := sortedBlocks(l.System); len(want) != len(all) {
		l.t.Errorf("%d, %s: %d blocks in memory, %d allocated", l.Build, when, len(all), len(want))
	}
	type sums struct{ nonpaged, paged uint64 }
	bytes := map[string]sums{}
	for va, f := range all {
		if l.pool.blocks[va] == nil {
			l.t.Fatalf("%d, %s: block %q at %#x was not allocated", l.Build, when, f.tag, va)
		}
		s := bytes[f.tag]
		if f.paged {
			s.paged += f.bytes
		} else {
			s.nonpaged += f.bytes
		}
		bytes[f.tag] = s
	}
	table, size := l.u64(l.Symbol("PoolTrackTable")), l.layout.Size("_POOL_TRACKER_TABLE")
	for i := uint64(0); l.u32(table+i*size) != 0; i++ {
		e := table + i*size
		tag := string(l.bytes(e, 4))
		if got := (sums{l.u64(e + 8), l.u64(e + 0x20)}); got != bytes[tag] {
			l.t.Errorf("%d, %s: PoolTrackTable says %+v of %q, in memory are %+v", l.Build, when, got, tag, bytes[tag])
		}
		delete(bytes, tag)
	}
	if len(bytes) != 0 {
		l.t.Errorf("%d, %s: tags without an entry: %v", l.Build, when, bytes)
	}
}

func TestPool(t *testing.T) {
	for _, build := range []int{17763, 19041, 26100} {
		l := healthy(t, Plan{Arch: "x64", Build: build, Memory: 2 << 30})
		l.checkPool("healthy")
		var mine []uint64
		for i := uint64(0); i < 400; i++ {
			va, err := l.Alloc("Leak", 16+i*37%5000, i%3 == 0)
			if err != nil {
				t.Fatal(err)
			}
			mine = append(mine, va)
		}
		l.checkPool("allocated")
		for i, va := range mine {
			if i%2 == 0 {
				if err := l.Free(va); err != nil {
					t.Fatal(err)
				}
			}
		}
		l.checkPool("half of it freed")
		for i := 0; i < 300; i++ {
			if _, err := l.Alloc("More", uint64(32+i*53%900), i%2 == 0); err != nil {
				t.Fatal(err)
			}
		}
		l.checkPool("allocated again")
	}
}

// tree walks a tree of free chunks in order and returns its height in black nodes.
func (l looker) tree(node, parent uint64, each func(chunk uint64)) (black int) {
	if node == 0 {
		return 1
	}
	if p := l.u64(node + 16); p&^3 != parent {
		l.t.Fatalf("node %#x has parent %#x, want %#x", node, p, parent)
	}
	left := l.tree(l.u64(node), node, each)
	each(node - 8)
	if right := l.tree(l.u64(node+8), node, each); left != right {
		l.t.Fatalf("node %#x has %d black nodes to the left, %d to the right", node, left, right)
	}
	if l.u64(node+16)&1 != 0 {
		return left
	}
	return left + 1
}

func TestPool_FreeTree(t *testing.T) {
	l := healthy(t, Plan{Arch: "x64", Build: 22621, Memory: 1 << 30})
	var last uint64
	for i := 0; i < 49; i++ {
		va, err := l.Alloc("Fult", 480, false)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			last = va
			if err := l.Free(va); err != nil {
				t.Fatal(err)
			}
		}
	}
	key := l.u64(l.Symbol("RtlpHpHeapGlobals"))
	size, found, n := uint64(0), false, 0
	root := l.inHeap(l.pool.kinds[0].heap, "VsContext", "_HEAP_VS_CONTEXT", "FreeChunkTree")
	l.tree(l.u64(root), 0, func(chunk uint64) {
		v := l.u64(chunk) ^ chunk ^ key
		if v>>48&0xff != 0 || v>>16&0xffff < size {
			t.Fatalf("chunk %#x in the tree: %#x", chunk, v)
		}
		size, n = v>>16&0xffff, n+1
		found = found || chunk == last-32
	})
	if !found || n < 10 {
		t.Errorf("%d free chunks, the last freed among them: %v", n, found)
	}
}

func TestPool_FreeKeeps(t *testing.T) {
	l := healthy(t, Plan{Arch: "x64", Build: 17763, Memory: 1 << 30})
	var va uint64
	for i := 0; i < 2000; i++ { // those around it keep its page
		at, err := l.Alloc("Fult", 480, false)
		if err != nil {
			t.Fatal(err)
		}
		if at&0xfff > 0x400 && at&0xfff < 0xa00 {
			va = at
		}
	}
	l.put(va, []byte(strings.Repeat("O", 480)))
	if err := l.Free(va); err != nil {
		t.Fatal(err)
	}
	if b := l.bytes(va-16, 64); b[3] != 0 || string(b[48:]) != strings.Repeat("O", 16) {
		t.Errorf("the freed block is % x", b)
	}
	if l.Free(va) == nil {
		t.Error("a block was freed twice")
	}
	if _, err := l.Alloc("Fult", 0, false); err == nil {
		t.Error("no bytes were allocated")
	}
}

func TestPool_Large(t *testing.T) {
	l := healthy(t, Plan{Arch: "x64", Build: 19041, Memory: 4 << 30})
	before, _ := l.PoolUse("Leak")
	for i := 0; i < 100; i++ {
		if _, err := l.Alloc("Leak", 8<<20, false); err != nil {
			t.Fatal(err)
		}
	}
	if after, _ := l.PoolUse("Leak"); after-before != 800<<20 {
		t.Errorf("%d bytes leaked", after-before)
	}
	l.checkPool("leaked")
}
