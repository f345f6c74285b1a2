package lab

import (
	"fmt"
	"math/bits"
	"sort"

	"bugcheck/lab/ram"
)

// pool is the kernel's dynamic memory: two regions, blocks with POOL_HEADERs, the tables that
// count them. Before 1903 pages are cut into blocks as Windows always did; since then
// the same headers stand in the chunks of a segment heap.
type pool struct {
	kinds  [2]poolKind // nonpaged, paged
	blocks map[uint64]*block
	tags   map[string]*tagCount
	order  []*tagCount // as they stand in PoolTrackTable
	table  uint64      // PoolTrackTable's first entry
	big    uint64      // PoolBigPageTable's first entry
	bigs   []uint64    // what stands in it, by index; 0: free
	keys   [2]uint64   // RtlpHpHeapGlobals: HeapKey, LfhKey

	complete bool // the machine is made: from now on tables and trees are kept up to date
}

// poolKind is nonpaged or paged pool.
type poolKind struct {
	paged   bool
	next    uint64         // the first address that no page has
	free    [4097][]uint64 // where blocks that are free start, by their size in 16 bytes
	some    [65]uint64     // which of the lists are not empty, a bit each
	heap    uint64         // _SEGMENT_HEAP, or POOL_DESCRIPTOR in 17763
	segment uint64         // the _HEAP_PAGE_SEGMENT in use
	unit    uint64         // the next free page of it
	segs    []uint64       // all of them
	subs    []uint64       // VS subsegments
}

// block is an allocation.
type block struct {
	tag   *tagCount
	size  uint64 // bytes with the header
	paged bool
	big   int // index in PoolBigPageTable, -1: none
}

// tagCount is an entry of PoolTrackTable.
type tagCount struct {
	tag   string
	index int
	kinds [2]struct{ bytes, allocs, frees uint64 }
}

const (
	poolTags    = 2048 // entries of PoolTrackTable
	poolBigs    = 65536
	poolHeader  = 16
	poolLargest = 0xfe0 // bytes of the largest block that is not whole pages
)

// buildPool makes the tables and the first pages of both kinds.
func (s *System) buildPool() {
	p := &pool{blocks: map[uint64]*block{}, tags: map[string]*tagCount{}, keys: [2]uint64{0x9a3c5e71d24b86f0, 0x4d1f70b2a96e3c85}}
	s.pool = p
	p.kinds[0] = poolKind{next: vaNonPaged}
	p.kinds[1] = poolKind{next: vaPaged, paged: true}
	tracker, big := s.layout.Size("_POOL_TRACKER_TABLE"), s.layout.Size("_POOL_TRACKER_BIG_PAGES")
	p.table = s.take(&s.regions.extra, poolTags*tracker)
	p.big = s.take(&s.regions.extra, poolBigs*big)
	s.pointer("PoolTrackTable", p.table)
	tables := s.variable("ExPoolTagTables", 0x800) // one for each processor; all is counted on the first
	s.word(tables, p.table)
	for i := 1; i < s.Plan.Processors; i++ {
		s.word(tables+8*uint64(i), s.take(&s.regions.extra, poolTags*tracker))
	}
	s.pointer("PoolTrackTableSize", poolTags)
	s.pointer("PoolTrackTableMask", poolTags-2)
	s.pointer("PoolBigPageTable", p.big)
	s.pointer("PoolBigPageTableSize", poolBigs)
	s.variable("PoolTrackTableExpansion", 8)
	s.variable("PoolTrackTableExpansionSize", 8)
	for i := 0; i < poolBigs; i++ { // bit 0 of an address: the place is free
		if i%4096 == 0 {
			s.word(p.big+uint64(i)*big, 1)
		}
	}
	if s.segmentHeap() {
		s.buildHeaps()
	} else {
		s.buildDescriptors()
	}
}

// segmentHeap reports whether the pool is a segment heap: from 1903 (18362) on.
func (s *System) segmentHeap() bool { return s.Build >= 18362 }

// Alloc allocates pool as ExAllocatePoolWithTag does and returns its address. Blocks of a
// page and more have no header but an entry in PoolBigPageTable.
func (s *System) Alloc(tag string, size uint64, paged bool) (uint64, error) {
	if len(tag) != 4 || size == 0 {
		return 0, fmt.Errorf("pool: %d bytes with tag %q", size, tag)
	}
	k := s.pool.kind(paged)
	var va uint64
	b := &block{tag: s.tag(tag), paged: paged, big: -1}
	switch {
	case size > poolLargest:
		b.size = (size + 0xfff) &^ 0xfff
		va = s.allocPages(k, b.size)
		b.big = s.addBig(va, tag, size, paged)
	case s.segmentHeap():
		b.size = (size + poolHeader + 15) &^ 15
		va, b.size = s.allocChunk(k, b.size, tag)
		if s.pool.complete {
			s.freeTree(k)
		}
	default:
		b.size = (size + poolHeader + 15) &^ 15
		va, b.size = s.allocBlock(k, b.size, tag)
	}
	s.pool.blocks[va] = b
	s.count(b, 1)
	return va, s.err
}

// Free frees what Alloc returned, as ExFreePool does: the header says so, the block goes to
// its free list, the first words of what it held are overwritten by the links.
func (s *System) Free(va uint64) error {
	b := s.pool.blocks[va]
	if b == nil {
		return fmt.Errorf("pool: no block at %#x", va)
	}
	delete(s.pool.blocks, va)
	k := s.pool.kind(b.paged)
	switch {
	case b.big >= 0:
		entry := s.layout.Size("_POOL_TRACKER_BIG_PAGES")
		s.word(s.pool.big+uint64(b.big)*entry, va|1)
		s.pool.bigs[b.big] = 0
		s.freeUnits(k, va, b.size)
		s.Space.Unmap(va, b.size)
	case s.segmentHeap():
		s.freeChunk(k, va)
		s.freeTree(k)
	default:
		s.freeBlock(k, va)
	}
	s.count(b, -1)
	return s.err
}

// alloc is Alloc for the lab's own structures.
func (s *System) alloc(tag string, size uint64, paged bool) uint64 {
	va, err := s.Alloc(tag, size, paged)
	s.fail(err)
	return va
}

func (p *pool) kind(paged bool) *poolKind {
	if paged {
		return &p.kinds[1]
	}
	return &p.kinds[0]
}

func (s *System) tag(tag string) *tagCount {
	t := s.pool.tags[tag]
	if t == nil {
		t = &tagCount{tag: tag, index: len(s.pool.order)}
		s.pool.tags[tag] = t
		s.pool.order = append(s.pool.order, t)
	}
	return t
}

// count adds an allocation to its tag's entry, or takes one away.
func (s *System) count(b *block, n int) {
	k := &b.tag.kinds[0]
	if b.paged {
		k = &b.tag.kinds[1]
	}
	if n > 0 {
		k.allocs++
		k.bytes += b.size
	} else {
		k.frees++
		k.bytes -= b.size
	}
	if s.pool.complete {
		s.writeTag(b.tag)
	}
}

// writeTag writes an entry of PoolTrackTable.
func (s *System) writeTag(t *tagCount) {
	r := s.record("_POOL_TRACKER_TABLE", s.pool.table+uint64(t.index)*s.layout.Size("_POOL_TRACKER_TABLE"))
	r.setBytes("Key", []byte(t.tag))
	for i, kind := range []string{"NonPaged", "Paged"} {
		r.set64(kind+"Bytes", t.kinds[i].bytes)
		r.set64(kind+"Allocs", t.kinds[i].allocs)
		r.set64(kind+"Frees", t.kinds[i].frees)
	}
	r.write()
}

// PoolUse returns the bytes of a tag that are allocated now, nonpaged and paged.
func (s *System) PoolUse(tag string) (nonpaged, paged uint64) {
	if t := s.pool.tags[tag]; t != nil {
		return t.kinds[0].bytes, t.kinds[1].bytes
	}
	return 0, 0
}

// PoolTotals returns all bytes that are allocated, nonpaged and paged.
func (s *System) PoolTotals() (nonpaged, paged uint64) {
	for _, t := range s.pool.order {
		nonpaged += t.kinds[0].bytes
		paged += t.kinds[1].bytes
	}
	return nonpaged, paged
}

// addBig enters whole pages into PoolBigPageTable and returns the index there.
func (s *System) addBig(va uint64, tag string, size uint64, paged bool) int {
	i := len(s.pool.bigs)
	if i >= poolBigs {
		s.fail(fmt.Errorf("pool: all %d places for big blocks are in use", poolBigs))
		return 0
	}
	s.pool.bigs = append(s.pool.bigs, va)
	r := s.record("_POOL_TRACKER_BIG_PAGES", s.pool.big+uint64(i)*s.layout.Size("_POOL_TRACKER_BIG_PAGES"))
	r.set64("Va", va)
	r.setBytes("Key", []byte(tag))
	kind := uint32(0x200) // NonPagedPoolNx
	if paged {
		kind = 1
	}
	r.set32("Pattern", kind<<8)
	r.set64("NumberOfBytes", size)
	r.write()
	return i
}

// pages maps fresh pages of pool.
func (s *System) pages(k *poolKind, size uint64) uint64 {
	va := k.next
	s.fail(s.Space.Map(va, size, ram.Writable))
	k.next += size
	return va
}

// header returns a POOL_HEADER. The types: bit 1 says that the block is in use, bit 0
// paged pool. dt nt!_POOL_HEADER; volatility3's pool scanner.
func header(previous, size uint64, paged, inUse bool, tag string) []byte {
	kind := byte(0)
	if inUse {
		kind = 2
	}
	if paged && inUse {
		kind |= 1
	}
	return append([]byte{byte(previous / 16), 0, byte(size / 16), kind}, tag+"\x00\x00\x00\x00\x00\x00\x00\x00"...)
}

// fit takes the smallest free block that has room for size bytes from its list, of equals
// the one that was freed last.
func (k *poolKind) fit(size uint64) (va, n uint64, ok bool) {
	for c := size / 16; c < uint64(len(k.free)); {
		some := k.some[c/64] >> (c % 64)
		if some == 0 {
			c = (c/64 + 1) * 64
			continue
		}
		c += uint64(bits.TrailingZeros64(some))
		l := k.free[c]
		k.set(c, l[:len(l)-1])
		return l[len(l)-1], c * 16, true
	}
	return 0, 0, false
}

// set replaces the list of a size, in 16 bytes.
func (k *poolKind) set(c uint64, l []uint64) {
	k.free[c] = l
	k.some[c/64] &^= 1 << (c % 64)
	if len(l) > 0 {
		k.some[c/64] |= 1 << (c % 64)
	}
}

// keep puts a free block on its list.
func (k *poolKind) keep(va, size uint64) { k.set(size/16, append(k.free[size/16], va)) }

// drop takes a block of a known size from its list and reports whether it was there.
func (k *poolKind) drop(va, size uint64) bool {
	l := k.free[size/16]
	for i, x := range l {
		if x == va {
			k.set(size/16, append(l[:i:i], l[i+1:]...))
			return true
		}
	}
	return false
}

// Blocks returns the addresses of all blocks in use of a tag, lowest first.
func (s *System) Blocks(tag string) []uint64 {
	var all []uint64
	for va, b := range s.pool.blocks {
		if b.tag.tag == tag {
			all = append(all, va)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	return all
}
