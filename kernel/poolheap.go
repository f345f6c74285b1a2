package kernel

import (
	"fmt"
	"sync/atomic"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// The kernel's segment heap, 64-bit. Layouts: dt nt!_HEAP_PAGE_SEGMENT,
// _HEAP_PAGE_RANGE_DESCRIPTOR, _HEAP_SEG_CONTEXT, _HEAP_VS_SUBSEGMENT,
// _HEAP_VS_CHUNK_HEADER and _HEAP_SEG_RANGE_TYPE in the public symbols of 17763 to
// 22621, the same in all. How they are encoded: MemProcFS
// vmm/vmmwinpool.c; Synacktiv, "Scoop the Windows 10 pool!".
const (
	segmentSignature    = 0x10
	signatureKey        = 0xa2e64eada2e64ead // up to 22631; none in 26100
	segmentDescriptor   = 0x20               // size; one a unit
	descriptorFlags     = 0x18               // RangeFlags
	descriptorUnit      = 0x1f               // UnitOffset, of the first UnitSize
	rangeAllocated      = 0x1
	rangeFirst          = 0x2
	contextUnitShift    = 0x8
	contextFirst        = 0xa // FirstDescriptorIndex
	contextHeap         = 0x38
	contextSize         = 0x40
	vsSize, vsSignature = 0x20, 0x22
	vsSignatureKey      = 0x2bed
	vsFirstChunk        = 0x30
	vsChunkHeader       = 0x10

	// maxSubsegment bounds a range that is read whole, bytes: a segment of small pages.
	maxSubsegment = 1 << 20
)

// _HEAP_SEG_RANGE_TYPE: what a range of pages is, bits 2 and 3 of RangeFlags.
const (
	rangeLFH = 2
	rangeVS  = 3
)

// heapKeys are what the heap's headers are mixed with.
type heapKeys struct {
	heap, lfh uint64
	globals   mem.VA // RTLP_HP_HEAP_GLOBALS: HeapKey, LfhKey
}

// heapFound remembers where the heap's variables were found without symbols; zero: not
// yet.
type heapFound struct{ globals, state atomic.Uint64 }

// heapKeys reads RtlpHpHeapGlobals. Without symbols it is the variable whose first word
// turns the signature of va's segment into the address of a heap's context.
func (m *Machine) heapKeys(va mem.VA) (heapKeys, bool) {
	at, ok := m.Variable("RtlpHpHeapGlobals")
	if state, known := m.Variable("ExPoolState"); !ok && known {
		globals, err := mem.ReadVA(m.Memory, state)
		at, ok = globals, err == nil
	}
	if !ok {
		at, ok = m.findHeapKeys(va)
	}
	b, err := mem.Read(m.Memory, at, 16)
	if !ok || err != nil {
		return heapKeys{}, false
	}
	return heapKeys{le.U64(b, 0), le.U64(b, 8), at}, true
}

func (m *Machine) findHeapKeys(va mem.VA) (mem.VA, bool) {
	if at := mem.VA(m.heapFound.globals.Load()); at != 0 {
		return at, true
	}
	segments := m.segments(va)
	at, ok := m.findWords(func(words []byte, _ mem.VA) bool {
		for _, s := range segments {
			if _, ok := m.segmentContext(s, le.U64(words, 0)); ok {
				return true
			}
		}
		return false
	})
	m.heapFound.globals.Store(uint64(at))
	return at, ok
}

// segment is a place where a segment may begin.
type segment struct{ start, size, signature mem.VA }

// segments are those that va may lie in: of 1 MiB and of 16 MiB.
func (m *Machine) segments(va mem.VA) []segment {
	var list []segment
	for _, size := range []mem.VA{1 << 20, 1 << 24} {
		start := va &^ (size - 1)
		if signature, err := mem.ReadVA(m.Memory, start+segmentSignature); err == nil && signature != 0 {
			list = append(list, segment{start, size, signature})
		}
	}
	return list
}

// segmentContext reads the HEAP_SEG_CONTEXT that a segment belongs to under a key; false
// if there is none.
func (m *Machine) segmentContext(s segment, heapKey uint64) ([]byte, bool) {
	for _, key := range []mem.VA{signatureKey, 0} {
		context := s.signature ^ s.start ^ mem.VA(heapKey) ^ key
		if context%8 != 0 || !m.isKernelAddress(context) {
			continue
		}
		b := m.readUpTo(context, contextSize)
		if len(b) == contextSize && mem.VA(le.U64(b, 0)) == -s.size && b[contextUnitShift] >= 12 && b[contextUnitShift] <= 20 {
			return b, true
		}
	}
	return nil, false
}

// pageRange is a run of pages of a heap's segment.
type pageRange struct {
	start, end mem.VA
	flags      byte
	heap       mem.VA // SEGMENT_HEAP
}

// segmentRange finds the range of pages that va lies in. False: it lies in none.
func (m *Machine) segmentRange(keys heapKeys, va mem.VA) (r pageRange, ok bool, err error) {
	for _, s := range m.segments(va) {
		if context, ok := m.segmentContext(s, keys.heap); ok {
			r, err = m.pageRange(s.start, va, context)
			return r, err == nil, err
		}
	}
	return pageRange{}, false, nil
}

// pageRange reads the descriptors of a segment; context is its HEAP_SEG_CONTEXT.
func (m *Machine) pageRange(segment, va mem.VA, context []byte) (pageRange, error) {
	shift := context[contextUnitShift]
	index := int((va - segment) >> shift)
	r := pageRange{heap: mem.VA(le.U64(context, contextHeap))}
	if index < int(context[contextFirst]) {
		return r, fmt.Errorf("segment at %v: the address lies in its descriptors", segment)
	}
	d, err := m.descriptor(segment, index)
	if err != nil {
		return r, err
	}
	if d[descriptorFlags]&rangeAllocated != 0 && d[descriptorFlags]&rangeFirst == 0 {
		if index -= int(d[descriptorUnit]); index < int(context[contextFirst]) {
			return r, fmt.Errorf("segment at %v: descriptor %d points out of it", segment, index+int(d[descriptorUnit]))
		}
		if d, err = m.descriptor(segment, index); err != nil {
			return r, err
		}
	}
	r.flags = d[descriptorFlags]
	r.start = segment + mem.VA(index)<<shift
	r.end = r.start + max(mem.VA(d[descriptorUnit]), 1)<<shift
	if r.flags&rangeAllocated == 0 { // of a free range inner descriptors say nothing
		r.start, r.end = va&^(1<<shift-1), va&^(1<<shift-1)+1<<shift
	}
	if va >= r.end {
		return r, fmt.Errorf("segment at %v: descriptor %d ends at %v, before %v", segment, index, r.end, va)
	}
	return r, nil
}

func (m *Machine) descriptor(segment mem.VA, index int) ([]byte, error) {
	at := segment + mem.VA(index*segmentDescriptor)
	d, err := mem.Read(m.Memory, at, segmentDescriptor)
	if err != nil {
		return nil, fmt.Errorf("segment at %v: descriptor %d: %w", segment, index, err)
	}
	return d, nil
}

// heapBlock finds the block of the segment heap that va lies in. False: va lies in no
// segment, or the heap's keys are not known.
func (m *Machine) heapBlock(va mem.VA) (p PoolBlock, ok bool, err error) {
	if m.Arch == dump.X86 {
		return p, false, nil
	}
	keys, ok := m.heapKeys(va)
	if !ok {
		return p, false, nil
	}
	r, ok, err := m.segmentRange(keys, va)
	if !ok {
		return p, false, err
	}
	switch kind := r.flags >> 2 & 3; {
	case r.flags&rangeAllocated == 0:
		p = PoolBlock{Header: r.start, Address: r.start, Free: true, Kept: KeptInRange}
	case kind == rangeVS:
		p, err = m.vsBlock(keys, r, va)
	case kind == rangeLFH:
		p, err = m.lfhBlock(keys, r, va)
	default:
		p = PoolBlock{Header: r.start, Address: r.start, Size: uint64(r.end - r.start), Kept: KeptInRange}
	}
	if pool := m.heapPool(keys, r.heap); pool != "" {
		p.Pool = pool
	}
	return p, p.Kept != "", err
}

const (
	maxPools     = 64 // EX_POOL_HEAP_MANAGER_STATE.PoolNode has 64 elements
	heapsOfNode  = 4  // EX_HEAP_POOL_NODE.Heaps
	firstOfPaged = 2  // _EX_HEAP_TYPE: ExHeapTypePagedMin
)

// poolState finds ExPoolState: by symbols, else as the variable that begins with the
// address of the heap's keys.
func (m *Machine) poolState(keys heapKeys) (mem.VA, bool) {
	if va, ok := m.Variable("ExPoolState"); ok {
		return va, true
	}
	if at := mem.VA(m.heapFound.state.Load()); at != 0 {
		return at, true
	}
	at, ok := m.findWords(func(words []byte, _ mem.VA) bool { return mem.VA(le.U64(words, 0)) == keys.globals })
	m.heapFound.state.Store(uint64(at))
	return at, ok
}

// heapPool says which pool a heap of ExPoolState is; "": not known.
func (m *Machine) heapPool(keys heapKeys, heap mem.VA) Pool {
	f := &fields{m: m}
	count, nodes := f.at("_EX_POOL_HEAP_MANAGER_STATE", "NumberOfPools"), f.at("_EX_POOL_HEAP_MANAGER_STATE", "PoolNode")
	size := m.SizeOf("_EX_HEAP_POOL_NODE")
	if f.err() != nil || size < 8*heapsOfNode {
		return ""
	}
	state, ok := m.poolState(keys)
	n, err := mem.ReadU32(m.Memory, state+mem.VA(count))
	if !ok || err != nil || n > maxPools {
		return ""
	}
	for node := range int(n) {
		b := m.readUpTo(state+mem.VA(nodes+node*size), 8*heapsOfNode)
		for i := 0; 8*i+8 <= len(b); i++ {
			if mem.VA(le.U64(b, 8*i)) != heap {
				continue
			}
			if i >= firstOfPaged {
				return Paged
			}
			return NonPaged
		}
	}
	return ""
}

// lfhRange is a subsegment of blocks of one size.
type lfhRange struct {
	m                 *Machine
	start, end, first mem.VA
	size, bitmap      mem.VA // bytes of a block; where BlockBitmap is
}

// lfhBlock finds the block of one size that va lies in.
func (m *Machine) lfhBlock(keys heapKeys, r pageRange, va mem.VA) (PoolBlock, error) {
	l, err := m.lfhRange(keys, r)
	if err != nil {
		return PoolBlock{}, fmt.Errorf("LFH subsegment at %v: %w", r.start, err)
	}
	if va < l.first {
		return PoolBlock{}, fmt.Errorf("LFH subsegment at %v: the address lies in its header", r.start)
	}
	index := (va - l.first) / l.size
	if l.first+(index+1)*l.size > l.end {
		return PoolBlock{}, fmt.Errorf("LFH subsegment at %v: the address lies behind its last block", r.start)
	}
	n := l.block(index)
	p := PoolBlock{Header: n.Header, Address: n.Header + mem.VA(m.poolUnit()), Size: n.Size, Tag: n.Tag, Free: n.Free, Kept: KeptInLFH, Damaged: !n.Intact, Text: n.Text}
	if h := m.readUpTo(n.Header, 16); len(h) == 16 && n.Intact && !n.Free {
		p.Pool = m.poolHeader(n.Header, h).pool()
	}
	if index > 0 {
		p.Before = l.block(index - 1)
	}
	if l.first+(index+2)*l.size <= l.end {
		p.After = l.block(index + 1)
	}
	return p, nil
}

// lfhRange decodes the header of a subsegment: 26100's is longer.
func (m *Machine) lfhRange(keys heapKeys, r pageRange) (lfhRange, error) {
	f := &fields{m: m}
	offsets, bitmap := f.at("_HEAP_LFH_SUBSEGMENT", "BlockOffsets"), f.at("_HEAP_LFH_SUBSEGMENT", "BlockBitmap")
	if err := f.err(); err != nil {
		return lfhRange{}, err
	}
	v, err := mem.ReadU32(m.Memory, r.start+mem.VA(offsets))
	if err != nil {
		return lfhRange{}, err
	}
	var l lfhRange
	for _, page := range []uint32{uint32(r.start) >> 12, uint32(r.start >> 12)} { // 26100 keeps the address's upper bits
		v := v ^ uint32(keys.lfh) ^ page
		l = lfhRange{m: m, start: r.start, end: r.end, first: r.start + mem.VA(v>>16), size: mem.VA(v & 0xffff), bitmap: mem.VA(bitmap)}
		if l.size >= 16 && l.size%16 == 0 && l.size < pageSize && l.first >= l.start+l.bitmap && l.first+l.size <= l.end {
			return l, nil
		}
	}
	return l, fmt.Errorf("block size 0x%x, first at 0x%x do not fit", uint64(l.size), uint64(l.first-l.start))
}

// block describes a block by its index. A free block keeps the header of the last that
// had it.
func (l lfhRange) block(index mem.VA) *PoolNeighbour {
	at := l.first + index*l.size
	bits := l.m.readUpTo(l.start+l.bitmap+index/4, 1)
	free := len(bits) == 1 && bits[0]>>(index%4*2)&1 == 0
	b := l.m.readUpTo(at, 16)
	if len(b) == 16 {
		if h := l.m.poolHeader(at, b); h.plausible() && h.size <= uint64(l.size) {
			n := neighbour(h)
			n.Size, n.Free = uint64(l.size), free || h.free()
			return n
		}
	}
	n := &PoolNeighbour{Header: at, Size: uint64(l.size), Free: free, Intact: free}
	if !free {
		n.Text = l.m.printable(at)
	}
	return n
}
