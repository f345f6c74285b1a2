package lab

import "bugcheck/lab/ram"

// Pool since 1903: a _SEGMENT_HEAP for each kind of pool. Its segments of 1 MiB start with an
// array that describes their pages; small blocks are chunks of VS subsegments, and in each
// chunk a POOL_HEADER stands as before. Sources: dt nt!_SEGMENT_HEAP and the structures below
// it; C. Bayet, P. Fariello, "Scoop the Windows 10 pool!", SSTIC 2020, for the encodings;
// MemProcFS vmm/vmmwinpool.c and dt nt!_HEAP_SEG_RANGE_TYPE for RangeFlags and for what 26100
// leaves out of a segment's signature; the low-fragmentation part stays empty.
const (
	segmentSize   = 1 << 20
	segmentUnits  = segmentSize / 0x1000
	firstUnit     = 2 // the descriptors take two pages
	vsUnits       = 16
	vsFirst       = 0x30 // where the first chunk of a subsegment stands
	chunkHeader   = 16
	heapSignature = 0xddeeddee
	treeSignature = 0xccddccdd
	vsSignature   = 0x2bed

	rangeAllocated = 0x1
	rangeFirst     = 0x2
	rangeVS        = 3 << 2 // HeapSegRangeVS
)

// buildHeaps makes ExPoolState and its heaps: nonpaged executable, which nothing uses,
// nonpaged and paged.
func (s *System) buildHeaps() {
	globals := s.record("_RTLP_HP_HEAP_GLOBALS", s.variable("RtlpHpHeapGlobals", 64))
	globals.set64("HeapKey", s.pool.keys[0])
	globals.set64("LfhKey", s.pool.keys[1])
	globals.write()
	state := s.variable("ExPoolState", s.layout.Size("_EX_POOL_HEAP_MANAGER_STATE"))
	node, _ := s.layout.Field("_EX_POOL_HEAP_MANAGER_STATE", "PoolNode")
	number, _ := s.layout.Field("_EX_POOL_HEAP_MANAGER_STATE", "NumberOfPools")
	s.word(state, globals.va)
	s.half(state+number, 1)
	unused := s.heap()
	s.pool.kinds[0].heap, s.pool.kinds[1].heap = s.heap(), s.heap()
	for i, h := range []uint64{unused, s.pool.kinds[0].heap, s.pool.kinds[1].heap} {
		s.word(state+node+8*uint64(i), h)
	}
}

// heap makes an empty _SEGMENT_HEAP.
func (s *System) heap() uint64 {
	h := s.record("_SEGMENT_HEAP", s.take(&s.regions.extra, s.layout.Size("_SEGMENT_HEAP")))
	h.set32("Signature", heapSignature)
	h.write()
	for i, size := range []uint64{segmentSize, 16 << 20} {
		c := s.record("_HEAP_SEG_CONTEXT", h.at("SegContexts")+uint64(i)*s.layout.Size("_HEAP_SEG_CONTEXT"))
		c.set64("SegmentMask", ^(size - 1))
		c.set8("UnitShift", uint8(12+4*i))
		c.set8("PagesPerUnitShift", uint8(4*i))
		c.set8("FirstDescriptorIndex", firstUnit)
		c.set32("MaxAllocationSize", uint32(size/256*254))
		c.set64("LfhContext", h.at("LfhContext"))
		c.set64("VsContext", h.at("VsContext"))
		c.set64("Heap", h.va)
		c.empty("SegmentListHead")
		c.write()
	}
	vs := s.record("_HEAP_VS_CONTEXT", h.at("VsContext"))
	vs.empty("SubsegmentList")
	vs.set64("BackendCtx", h.at("SegContexts"))
	vs.write()
	return h.va
}

// inHeap returns the address of a field of a structure inside a heap.
func (s *System) inHeap(heap uint64, part, structure, field string) uint64 {
	a, _ := s.layout.Field("_SEGMENT_HEAP", part)
	b, _ := s.layout.Field(structure, field)
	return heap + a + b
}

// allocPages returns the address of whole pages.
func (s *System) allocPages(k *poolKind, size uint64) uint64 {
	if !s.segmentHeap() {
		return s.pages(k, size)
	}
	if size > (segmentUnits-firstUnit)*0x1000 {
		k.next = (k.next + segmentSize - 1) &^ (segmentSize - 1)
		va := s.pages(k, size)
		k.next = (k.next + segmentSize - 1) &^ (segmentSize - 1)
		return va
	}
	return s.units(k, size/0x1000, 0)
}

// units takes pages of the segment in use, or of a new one, and describes them.
func (s *System) units(k *poolKind, n uint64, flags byte) uint64 {
	if k.segment == 0 || k.unit+n > segmentUnits {
		s.addSegment(k)
	}
	va := k.segment + k.unit*0x1000
	s.fail(s.Space.Map(va, n*0x1000, ram.Writable))
	for i := uint64(0); i < n; i++ {
		var d buf // _HEAP_PAGE_RANGE_DESCRIPTOR
		d.grow(0x20)
		d.put8(0x18, rangeAllocated|flags)
		d.put8(0x19, 1)
		d.put8(0x1f, uint8(i))
		if i == 0 {
			d.put32(0, treeSignature)
			d.put8(0x18, rangeAllocated|rangeFirst|flags)
			d.put8(0x1f, uint8(n))
		}
		s.put(k.segment+(k.unit+i)*0x20, d.b)
	}
	k.unit += n
	return va
}

// addSegment starts a _HEAP_PAGE_SEGMENT.
func (s *System) addSegment(k *poolKind) {
	k.segment = (k.next + segmentSize - 1) &^ (segmentSize - 1)
	k.next, k.unit = k.segment+segmentSize, firstUnit
	s.fail(s.Space.Map(k.segment, firstUnit*0x1000, ram.Writable))
	context, _ := s.layout.Field("_SEGMENT_HEAP", "SegContexts")
	signature := k.segment ^ (k.heap + context) ^ s.pool.keys[0]
	if s.Build < 26100 {
		signature ^= 0xa2e64eada2e64ead
	}
	s.word(k.segment+0x10, signature)
	k.segs = append(k.segs, k.segment)
	s.fail(s.InsertTail(s.inHeap(k.heap, "SegContexts", "_HEAP_SEG_CONTEXT", "SegmentListHead"), k.segment))
	s.word(s.inHeap(k.heap, "SegContexts", "_HEAP_SEG_CONTEXT", "SegmentCount"), uint64(len(k.segs)))
}

// allocChunk returns the address behind the POOL_HEADER of a chunk and how large its block
// is, which counts from that header on.
func (s *System) allocChunk(k *poolKind, size uint64, tag string) (va, n uint64) {
	want := size + chunkHeader
	at, room, ok := k.fit(want)
	if !ok {
		at, room = s.addSubsegment(k)
	}
	if room-want < 2*chunkHeader+poolHeader {
		want = room
	}
	s.chunk(k, at, want, s.before(at), true)
	s.put(at+chunkHeader, header(0, want-chunkHeader, k.paged, true, tag))
	if room > want {
		s.chunk(k, at+want, room-want, want, false)
		k.keep(at+want, room-want)
		s.after(k, at+room, room-want)
	}
	return at + chunkHeader + poolHeader, want - chunkHeader
}

// freeChunk frees a chunk. It stays apart from free neighbours, as with delayed freeing.
func (s *System) freeChunk(k *poolKind, va uint64) {
	at := va - poolHeader - chunkHeader
	size := s.sizes(at) >> 16 & 0xffff * 16
	s.chunk(k, at, size, s.before(at), false)
	k.keep(at, size)
}

// sizes returns _HEAP_VS_CHUNK_HEADER.Sizes decoded.
func (s *System) sizes(at uint64) uint64 { return s.peek(at) ^ at ^ s.pool.keys[0] }

// subsegment returns the subsegment that an address lies in.
func (s *System) subsegment(k *poolKind, at uint64) uint64 {
	for i := len(k.subs) - 1; i >= 0; i-- {
		if d := at - k.subs[i]; d < vsUnits*0x1000 {
			return k.subs[i]
		}
	}
	return 0
}

// before returns the size of the chunk before one that has been written, 0 before the first.
func (s *System) before(at uint64) uint64 { return s.sizes(at) >> 32 & 0xffff * 16 }

// chunk writes a _HEAP_VS_CHUNK_HEADER: MemoryCost, UnsafeSize, UnsafePrevSize, Allocated,
// encoded with its address and the heap's key; then the page of the subsegment it stands in.
func (s *System) chunk(k *poolKind, at, size, previous uint64, allocated bool) {
	v := size/16<<16 | previous/16<<32
	if allocated {
		v |= 1 << 48
	}
	s.word(at, v^at^s.pool.keys[0])
	page := (at - s.subsegment(k, at)) / 0x1000
	s.word(at+8, (page^at^s.pool.keys[0])&0xff)
}

// after tells the chunk at an address, if there is one, how long the chunk before it is.
func (s *System) after(k *poolKind, at, last uint64) {
	if at == s.subsegment(k, at-1)+vsUnits*0x1000 {
		return
	}
	v := s.sizes(at)&^(uint64(0xffff)<<32) | last/16<<32
	s.word(at, v^at^s.pool.keys[0])
}

// addSubsegment starts a _HEAP_VS_SUBSEGMENT and returns its only chunk, which is free.
func (s *System) addSubsegment(k *poolKind) (at, size uint64) {
	sub := s.units(k, vsUnits, rangeVS)
	k.subs = append(k.subs, sub)
	units := uint16((vsUnits*0x1000 - vsFirst) / 16)
	var w buf
	w.grow(vsFirst)
	w.put64(0x10, 1<<vsUnits-1)
	w.put16(0x20, units)
	w.put16(0x22, units^vsSignature|0x8000)
	s.put(sub, w.b)
	s.fail(s.InsertTail(s.inHeap(k.heap, "VsContext", "_HEAP_VS_CONTEXT", "SubsegmentList"), sub))
	s.word(s.inHeap(k.heap, "VsContext", "_HEAP_VS_CONTEXT", "TotalCommittedUnits"), uint64(len(k.subs))*vsUnits)
	s.chunk(k, sub+vsFirst, vsUnits*0x1000-vsFirst, 0, false)
	return sub + vsFirst, vsUnits*0x1000 - vsFirst
}
