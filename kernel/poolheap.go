package kernel

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// The kernel's segment heap, 64-bit. Layouts: dt nt!_HEAP_PAGE_SEGMENT,
// _HEAP_PAGE_RANGE_DESCRIPTOR, _HEAP_SEG_CONTEXT, _HEAP_VS_SUBSEGMENT,
// _HEAP_VS_CHUNK_HEADER, _HEAP_LFH_SUBSEGMENT and _HEAP_SEG_RANGE_TYPE in the public
// symbols of 17763 to 22621, the same in all. How they are encoded: MemProcFS
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
	lfhBlockOffsets     = 0x28
	lfhBitmap           = 0x30

	// maxSubsegment bounds a range that is read whole, bytes: a segment of small pages.
	maxSubsegment = 1 << 20
)

// _HEAP_SEG_RANGE_TYPE: what a range of pages is, bits 2 and 3 of RangeFlags.
const (
	rangeLFH = 2
	rangeVS  = 3
)

// heapKeys are what the heap's headers are mixed with.
type heapKeys struct{ heap, lfh uint64 }

// heapKeys reads RTLP_HP_HEAP_GLOBALS: HeapKey, LfhKey. Its address is a symbol, or
// the first pointer of ExPoolState.
func (m *Machine) heapKeys() (heapKeys, bool) {
	at, ok := m.Variable("RtlpHpHeapGlobals")
	if !ok {
		state, known := m.Variable("ExPoolState")
		globals, err := mem.ReadVA(m.Memory, state)
		if !known || err != nil {
			return heapKeys{}, false
		}
		at = globals
	}
	b, err := mem.Read(m.Memory, at, 16)
	if err != nil {
		return heapKeys{}, false
	}
	return heapKeys{le.U64(b, 0), le.U64(b, 8)}, true
}

// pageRange is a run of pages of a heap's segment.
type pageRange struct {
	start, end mem.VA
	flags      byte
	heap       mem.VA // SEGMENT_HEAP
}

// segmentRange finds the range of pages that va lies in, in the segments of 1 MiB and
// of 16 MiB that it may belong to. False: it lies in none.
func (m *Machine) segmentRange(keys heapKeys, va mem.VA) (r pageRange, ok bool, err error) {
	for _, size := range []mem.VA{1 << 20, 1 << 24} {
		segment := va &^ (size - 1)
		signature, errRead := mem.ReadU64(m.Memory, segment+segmentSignature)
		if errRead != nil {
			continue
		}
		for _, key := range []uint64{signatureKey, 0} {
			context := mem.VA(signature ^ uint64(segment) ^ keys.heap ^ key)
			b := []byte(nil)
			if m.isKernelAddress(context) {
				b = m.readUpTo(context, contextSize)
			}
			if len(b) < contextSize || mem.VA(le.U64(b, 0)) != -size || b[contextUnitShift] > 20 || b[contextUnitShift] < 12 {
				continue
			}
			r, err = m.pageRange(segment, va, b)
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
	keys, ok := m.heapKeys()
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
	if pool := m.heapPool(r.heap); pool != "" {
		p.Pool = pool
	}
	return p, p.Kept != "", err
}

const (
	maxPools     = 64 // EX_POOL_HEAP_MANAGER_STATE.PoolNode has 64 elements
	heapsOfNode  = 4  // EX_HEAP_POOL_NODE.Heaps
	firstOfPaged = 2  // _EX_HEAP_TYPE: ExHeapTypePagedMin
)

// heapPool says which pool a heap of ExPoolState is; "": not known.
func (m *Machine) heapPool(heap mem.VA) Pool {
	state, ok := m.Variable("ExPoolState")
	f := &fields{m: m}
	count, nodes := f.at("_EX_POOL_HEAP_MANAGER_STATE", "NumberOfPools"), f.at("_EX_POOL_HEAP_MANAGER_STATE", "PoolNode")
	size := m.SizeOf("_EX_HEAP_POOL_NODE")
	if !ok || f.err() != nil || size < 8*heapsOfNode {
		return ""
	}
	n, err := mem.ReadU32(m.Memory, state+mem.VA(count))
	if err != nil || n > maxPools {
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

// lfhBlock finds the block of one size.
func (m *Machine) lfhBlock(keys heapKeys, r pageRange, va mem.VA) (PoolBlock, error) {
	b, err := mem.Read(m.Memory, r.start, lfhBitmap)
	if err != nil {
		return PoolBlock{}, fmt.Errorf("LFH subsegment at %v: %w", r.start, err)
	}
	offsets := le.U32(b, lfhBlockOffsets) ^ uint32(keys.lfh) ^ uint32(r.start)>>12
	if high := le.U32(b, lfhBlockOffsets) ^ uint32(keys.lfh) ^ uint32(r.start>>12); !lfhFits(offsets, r) {
		offsets = high // 26100 keeps the address's upper bits
	}
	if !lfhFits(offsets, r) {
		return PoolBlock{}, fmt.Errorf("LFH subsegment at %v: block size 0x%x, first at 0x%x do not fit", r.start, offsets&0xffff, offsets>>16)
	}
	size, first := mem.VA(offsets&0xffff), r.start+mem.VA(offsets>>16)
	if va < first {
		return PoolBlock{}, fmt.Errorf("LFH subsegment at %v: the address lies in its header", r.start)
	}
	index := (va - first) / size
	if first+(index+1)*size > r.end {
		return PoolBlock{}, fmt.Errorf("LFH subsegment at %v: the address lies behind its last block", r.start)
	}
	n := m.lfhNeighbour(r, first, size, index)
	p := PoolBlock{Header: n.Header, Address: n.Header + mem.VA(m.poolUnit()), Size: uint64(size), Tag: n.Tag, Free: n.Free, Kept: KeptInLFH, Damaged: !n.Intact}
	if h := m.readUpTo(n.Header, 16); len(h) == 16 && n.Intact && !n.Free {
		p.Pool = m.poolHeader(n.Header, h).pool()
	}
	if index > 0 {
		p.Before = m.lfhNeighbour(r, first, size, index-1)
	}
	if first+(index+2)*size <= r.end {
		p.After = m.lfhNeighbour(r, first, size, index+1)
	}
	return p, nil
}

// lfhFits reports that decoded offsets can be a subsegment's.
func lfhFits(offsets uint32, r pageRange) bool {
	size, first := mem.VA(offsets&0xffff), mem.VA(offsets>>16)
	return size >= 16 && size%16 == 0 && size < pageSize && first >= lfhBitmap && r.start+first+size <= r.end
}

// lfhNeighbour describes a block by its index. A free block keeps the header of the
// last that had it.
func (m *Machine) lfhNeighbour(r pageRange, first, size, index mem.VA) *PoolNeighbour {
	at := first + index*size
	bits := m.readUpTo(r.start+lfhBitmap+index/4, 1)
	free := len(bits) == 1 && bits[0]>>(index%4*2)&1 == 0
	b := m.readUpTo(at, 16)
	if len(b) == 16 {
		if h := m.poolHeader(at, b); h.plausible() && h.size <= uint64(size) {
			n := neighbour(h)
			n.Size, n.Free = uint64(size), free || h.free()
			return n
		}
	}
	n := &PoolNeighbour{Header: at, Size: uint64(size), Free: free, Intact: free}
	if !free {
		n.Text = m.printable(at)
	}
	return n
}
