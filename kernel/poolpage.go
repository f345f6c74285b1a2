package kernel

import (
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// chain walks POOL_HEADERs from off, each as far from the last as both say, until the
// page's end or one that does not fit. before is the size of the block before off.
func (m *Machine) chain(page mem.VA, b []byte, off, before uint64) (list []poolHeader, end uint64) {
	for off < pageSize {
		h := m.poolHeader(page+mem.VA(off), b[off:])
		if h.size == 0 || off+h.size > pageSize || h.previous != before {
			break
		}
		list = append(list, h)
		off, before = off+h.size, h.size
	}
	return list, off
}

// chainBlock finds the block in a page of POOL_HEADERs. Where one of them is damaged
// the chain goes on at the next from which on all fit up to the page's end.
func (m *Machine) chainBlock(va mem.VA, b []byte) (PoolBlock, bool) {
	page := va &^ (pageSize - 1)
	head, broken := m.chain(page, b, 0, 0)
	if broken == pageSize {
		return m.blockOf(head, va, nil, nil)
	}
	tail, resumed := m.resume(page, b, broken)
	// Two headers that fit are no chance; of one, it and the chain's end must look well.
	if len(head) == 0 || len(head) == 1 && (len(tail) == 0 || !head[0].plausible() || !tail[0].plausible()) {
		return PoolBlock{}, false
	}
	size := resumed - broken
	if len(tail) == 0 || tail[0].previous != size {
		size = 0
	}
	hole := m.damaged(page+mem.VA(broken), size)
	if p, ok := m.blockOf(head, va, nil, hole); ok {
		return p, true
	}
	if p, ok := m.blockOf(tail, va, hole, nil); ok {
		return p, true
	}
	p := PoolBlock{Header: hole.Header, Address: hole.Header + mem.VA(m.poolUnit()), Size: size, Kept: KeptInPage, Damaged: true, Text: hole.Text}
	if len(head) > 0 {
		p.Before = neighbour(head[len(head)-1])
	}
	if len(tail) > 0 {
		p.After = neighbour(tail[0])
	}
	return p, true
}

// resume finds the first header behind off from which on the chain fits to the end of
// the page.
func (m *Machine) resume(page mem.VA, b []byte, off uint64) ([]poolHeader, uint64) {
	for off += m.poolUnit(); off < pageSize; off += m.poolUnit() {
		before := m.poolHeader(page+mem.VA(off), b[off:]).previous
		if before == 0 || before > off {
			continue
		}
		if list, end := m.chain(page, b, off, before); end == pageSize {
			return list, off
		}
	}
	return nil, pageSize
}

// blockOf is the block of a chain that va lies in, with its neighbours; before and
// after are those of the whole chain.
func (m *Machine) blockOf(list []poolHeader, va mem.VA, before, after *PoolNeighbour) (PoolBlock, bool) {
	for i, h := range list {
		if va < h.at || va >= h.end() {
			continue
		}
		p := m.block(h, KeptInPage)
		p.Before, p.After = before, after
		if i > 0 {
			p.Before = neighbour(list[i-1])
		}
		if i+1 < len(list) {
			p.After = neighbour(list[i+1])
		}
		return p, true
	}
	return PoolBlock{}, false
}

// Special pool (as ReactOS ntoskrnl/mm/ARM3/special.c lays it out): the header at the
// page's start holds the block's size and flags in Ulong1's lower half and in
// BlockSize the byte that fills the page up to the block, which ends with the page.
const (
	specialPaged    = 0x8000
	specialVerifier = 0x4000
	minSpecialFill  = 16
)

// specialBlock finds the block in a page of special pool, by the bytes that fill it.
func (m *Machine) specialBlock(va mem.VA, b []byte) (PoolBlock, bool) {
	page, unit := va&^(pageSize-1), m.poolUnit()
	flags := uint64(le.U16(b, 0))
	size := flags &^ (specialPaged | specialVerifier)
	fill := b[2]
	room := pageSize - unit
	if size == 0 || size > room-minSpecialFill || !plausibleTag(le.U32(b, 4)) {
		return PoolBlock{}, false
	}
	if b[0] == fill && b[1] == fill && b[4] == fill { // the header is what fills the page
		return PoolBlock{}, false
	}
	start := (pageSize - size) &^ (unit - 1)
	for _, c := range b[unit:start] {
		if c != fill {
			return PoolBlock{}, false
		}
	}
	p := PoolBlock{Header: page, Address: page + mem.VA(start), Size: size, Tag: TagText(le.U32(b, 4)), Pool: NonPaged, Kept: KeptSpecial, Guessed: true}
	if flags&specialPaged != 0 {
		p.Pool = Paged
	}
	return p, true
}

// guessedBlock takes the nearest header before va that covers it and has a neighbour
// to bear it out; one at the start of a page needs none. It looks one page back.
func (m *Machine) guessedBlock(va mem.VA) (PoolBlock, bool) {
	page, unit := va&^(pageSize-1), int(m.poolUnit())
	start := page - pageSize
	b := m.readUpTo(start, 3*pageSize)
	if len(b) <= pageSize {
		start, b = page, m.readUpTo(page, 2*pageSize)
	}
	for off := min(int(va-start), len(b)-unit) &^ (unit - 1); off >= 0; off -= unit {
		h := m.poolHeader(start+mem.VA(off), b[off:])
		if !h.sound() || h.free() && h.kind != 0 || va >= h.end() || h.size < 2*uint64(unit) {
			continue
		}
		before, after := m.headerBefore(start, b, off), m.headerAfter(start, b, off+int(h.size))
		first := h.inPage() && h.at&(pageSize-1) <= mem.VA(unit)
		if before == nil && after == nil && !first {
			continue
		}
		p := m.block(h, "")
		p.Guessed, p.Before, p.After = true, before, after
		if after == nil && off+int(h.size)+unit <= len(b) {
			p.After = m.damaged(h.end(), 0)
		}
		return p, true
	}
	return PoolBlock{}, false
}

// headerAfter is the block whose header stands at off, or one unit behind it where
// the segment heap has a header of its own between.
func (m *Machine) headerAfter(start mem.VA, b []byte, off int) *PoolNeighbour {
	unit := int(m.poolUnit())
	for _, at := range []int{off, off + unit} {
		if at+unit > len(b) {
			return nil
		}
		if h := m.poolHeader(start+mem.VA(at), b[at:]); h.sound() && h.size >= uint64(2*unit) && !h.free() {
			return neighbour(h)
		}
	}
	return nil
}

// headerBefore is the block that ends at off, or one unit before it.
func (m *Machine) headerBefore(start mem.VA, b []byte, off int) *PoolNeighbour {
	unit := int(m.poolUnit())
	for at := off - 2*unit; at >= 0 && off-at <= pageSize; at -= unit {
		h := m.poolHeader(start+mem.VA(at), b[at:])
		gap := off - at - int(h.size)
		if h.sound() && !h.free() && h.size >= uint64(2*unit) && (gap == 0 || gap == unit) {
			return neighbour(h)
		}
	}
	return nil
}
