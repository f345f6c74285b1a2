package kernel

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// vsRange is a subsegment of blocks of variable size, read whole; pages that are
// missing are zero in it.
type vsRange struct {
	m     *Machine
	start mem.VA
	b     []byte
	key   uint64
	hole  mem.VA // the first page that is missing; zero: none
}

// vsChunk is a HEAP_VS_CHUNK_HEADER with its block.
type vsChunk struct {
	off, size, previous uint64 // bytes
	allocated           bool
}

func (c vsChunk) end() uint64 { return c.off + c.size }

// vsBlock finds the block of variable size that va lies in.
func (m *Machine) vsBlock(keys heapKeys, r pageRange, va mem.VA) (PoolBlock, error) {
	if r.end-r.start > maxSubsegment {
		return PoolBlock{}, fmt.Errorf("VS subsegment at %v: 0x%x bytes are too many", r.start, uint64(r.end-r.start))
	}
	v := vsRange{m: m, start: r.start, b: make([]byte, r.end-r.start), key: keys.heap}
	for at := 0; at < len(v.b); at += pageSize {
		if n, _ := m.Memory.ReadAt(v.b[at:at+pageSize], v.start+mem.VA(at)); n < pageSize && v.hole == 0 {
			v.hole = v.start + mem.VA(at+n)
		}
	}
	var err error
	if v.hole != 0 {
		err = fmt.Errorf("VS subsegment at %v: %w", r.start, &mem.Fault{Address: v.hole, Reason: mem.NotInDump})
	} else if (le.U16(v.b, vsSize)^le.U16(v.b, vsSignature)^vsSignatureKey)&0x7fff != 0 {
		err = fmt.Errorf("VS subsegment at %v: size 0x%x and signature 0x%x do not belong together", r.start, le.U16(v.b, vsSize), le.U16(v.b, vsSignature))
	}
	p, ok := v.find(uint64(va - v.start))
	if !ok && err == nil {
		err = fmt.Errorf("VS subsegment at %v: no block holds %v", r.start, va)
	}
	return p, err
}

// chunk decodes the header at off; false if it can be none.
func (v vsRange) chunk(off uint64) (vsChunk, bool) {
	if off+vsFirstChunk > uint64(len(v.b)) { // Windows leaves no room for a last one so small
		return vsChunk{}, false
	}
	bits := le.U64(v.b, int(off)) ^ (uint64(v.start) + off) ^ v.key
	c := vsChunk{off: off, size: bits >> 16 & 0xffff * 16, previous: bits >> 32 & 0xffff * 16, allocated: bits>>48&0xff != 0}
	return c, c.size > vsChunkHeader && c.end() <= uint64(len(v.b)) && bits>>48&0xff <= 1
}

// find walks the chunks to the one that holds off. A header that does not fit the one
// before it is damaged: the walk goes on behind it.
func (v vsRange) find(off uint64) (PoolBlock, bool) {
	if off < vsFirstChunk {
		return PoolBlock{}, false
	}
	var before *PoolNeighbour
	last := uint64(0) // size of the chunk before
	for at := uint64(vsFirstChunk); at < uint64(len(v.b)); {
		c, ok := v.chunk(at)
		if !ok || c.previous != last && at != vsFirstChunk {
			next, found := v.resume(at)
			hole := v.m.damaged(v.start+mem.VA(at), next.off-at)
			if !found {
				hole.Size = 0
			}
			if !found || off < next.off {
				p := PoolBlock{Header: hole.Header, Address: hole.Header + vsChunkHeader + mem.VA(v.m.poolUnit()), Size: hole.Size,
					Kept: KeptInVS, Damaged: true, Text: hole.Text, Before: before}
				if found {
					p.After = v.neighbour(next)
				}
				return p, found || before != nil
			}
			before, at, last = hole, next.off, next.previous
			continue
		}
		if off < c.end() {
			return v.block(c, before), true
		}
		before, at, last = v.neighbour(c), c.end(), c.size
	}
	return PoolBlock{}, false
}

// resume finds the first chunk behind hole whose successor knows its size, or that is the
// subsegment's last and knows the size of the hole.
func (v vsRange) resume(hole uint64) (vsChunk, bool) {
	for off := hole + vsChunkHeader; off < uint64(len(v.b)); off += vsChunkHeader {
		c, ok := v.chunk(off)
		if !ok || c.previous == 0 || c.previous > off {
			continue
		}
		next, ok := v.chunk(c.end())
		if ok && next.previous == c.size || c.end() == uint64(len(v.b)) && c.previous == off-hole {
			return c, true
		}
	}
	return vsChunk{off: uint64(len(v.b))}, false
}

// header finds the POOL_HEADER in a chunk: at its start, or where the block would
// else lie in two pages, at the start of the second. Free chunks keep the links of a
// tree there; blocks of a page and more have none.
func (v vsRange) header(c vsChunk) (poolHeader, bool) {
	start := c.off + vsChunkHeader
	for _, off := range []uint64{start, (start + pageSize - 1) &^ (pageSize - 1)} {
		if h, ok := v.headerAt(c, off); ok && h.inPage() {
			return h, true
		}
	}
	return v.headerAt(c, start)
}

// headerAt reads the POOL_HEADER at off; false if it is none or reaches behind the chunk.
func (v vsRange) headerAt(c vsChunk, off uint64) (poolHeader, bool) {
	if off+v.m.poolUnit() > c.end() {
		return poolHeader{}, false
	}
	h := v.m.poolHeader(v.start+mem.VA(off), v.b[off:])
	return h, h.sound() && off+h.size <= c.end() && h.size > v.m.poolUnit()
}

// needsHeader reports that an allocated chunk is small enough to have a POOL_HEADER.
func (c vsChunk) needsHeader() bool { return c.allocated && c.size < pageSize }

func (v vsRange) neighbour(c vsChunk) *PoolNeighbour {
	at := v.start + mem.VA(c.off)
	n := &PoolNeighbour{Header: at, Size: c.size, Free: !c.allocated, Intact: true}
	switch h, ok := v.header(c); {
	case ok:
		n.Tag, n.Free = TagText(h.tag), n.Free || h.free()
	case c.needsHeader():
		n.Intact, n.Text = false, v.m.printable(at+vsChunkHeader)
	}
	return n
}

// block is the answer for a chunk. Size counts from the POOL_HEADER on, where there
// is one.
func (v vsRange) block(c vsChunk, before *PoolNeighbour) PoolBlock {
	at := v.start + mem.VA(c.off)
	p := PoolBlock{Header: at, Address: at + vsChunkHeader, Size: c.size, Free: !c.allocated, Kept: KeptInVS, Before: before}
	switch h, ok := v.header(c); {
	case ok:
		p = v.m.block(h, KeptInVS)
		p.Before, p.Free, p.Size = before, p.Free || !c.allocated, uint64(at-h.at)+c.size
	case c.needsHeader():
		p.Damaged, p.Text = true, v.m.printable(p.Address)
	}
	if next, ok := v.chunk(c.end()); ok && next.previous == c.size {
		p.After = v.neighbour(next)
	} else if c.end()+vsFirstChunk < uint64(len(v.b)) {
		p.After = v.m.damaged(v.start+mem.VA(c.end()), 0)
	}
	return p
}
