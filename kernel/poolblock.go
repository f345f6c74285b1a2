package kernel

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// Pool is which of the two a block comes from; "": not known.
type Pool string

// The pools.
const (
	Paged    Pool = "paged"
	NonPaged Pool = "nonpaged"
)

// How a block is kept.
const (
	KeptInPage  = "page"    // a chain of POOL_HEADERs in one page, up to 17763
	KeptInVS    = "vs"      // the segment heap's blocks of variable size
	KeptInLFH   = "lfh"     // its low fragmentation heap: blocks of one size
	KeptInRange = "range"   // pages of a segment
	KeptBig     = "big"     // pages that PoolBigPageTable lists
	KeptSpecial = "special" // special pool: a page for each block
)

// PoolBlock is the piece of pool that an address lies in.
type PoolBlock struct {
	Header  mem.VA // of the POOL_HEADER or of the heap's own header; the block itself where it has none
	Address mem.VA // that the block's owner got
	Size    uint64 // bytes from Header on; zero: not known
	Tag     string // "": not known, or its header is damaged
	Pool    Pool
	Free    bool
	Kept    string
	Damaged bool   // its own header is not what it must be
	Text    string // printable text where a damaged header should be
	// Guessed: only the header's looks and a neighbour say that a block is there.
	Guessed       bool
	Before, After *PoolNeighbour // nil: none, or not known
}

// PoolNeighbour is the block that begins behind another, or ends before it.
type PoolNeighbour struct {
	Header mem.VA
	Size   uint64 // bytes; zero: not known
	Tag    string
	Free   bool
	Intact bool   // its header is what it must be
	Text   string // printable text where a damaged header should be
}

// poolHeader is a POOL_HEADER (dt nt!_POOL_HEADER: the same from 7601 to 26100). In
// the segment heap PreviousSize and BlockSize are not kept up.
type poolHeader struct {
	at             mem.VA
	previous, size uint64 // bytes
	index, kind    byte   // PoolIndex, PoolType
	tag            uint32
}

const (
	poolInUse      = 0x2  // of PoolType: the block is allocated
	poolIsPaged    = 0x1  // of PoolType, while it is
	poolTypeUnused = 0x90 // bits of PoolType that no kernel sets
	maxPoolIndex   = 0x1f // text that ran over a header has more
)

// poolUnit is the granularity of pool blocks and the size of their header, bytes.
func (m *Machine) poolUnit() uint64 { return 2 * uint64(m.Arch.PointerSize()) }

// poolHeader decodes the header at the start of b.
func (m *Machine) poolHeader(at mem.VA, b []byte) poolHeader {
	if m.Arch == dump.X86 {
		low, high := le.U16(b, 0), le.U16(b, 2)
		return poolHeader{at, uint64(low&0x1ff) * 8, uint64(high&0x1ff) * 8, byte(low >> 9), byte(high >> 9), le.U32(b, 4)}
	}
	return poolHeader{at, uint64(b[0]) * 16, uint64(b[2]) * 16, b[1], b[3], le.U32(b, 4)}
}

func (h poolHeader) free() bool  { return h.kind&poolInUse == 0 }
func (h poolHeader) end() mem.VA { return h.at + mem.VA(h.size) }

// plausible reports that the header may be one: a block of its page with a tag.
func (h poolHeader) plausible() bool { return h.sound() && h.inPage() }

func (h poolHeader) sound() bool {
	return h.size > 0 && h.index <= maxPoolIndex && h.kind&poolTypeUnused == 0 && plausibleTag(h.tag)
}

func (h poolHeader) inPage() bool { return h.at&(pageSize-1)+mem.VA(h.size) <= pageSize }

func (h poolHeader) pool() Pool {
	switch {
	case h.free():
		return ""
	case h.kind&poolIsPaged != 0:
		return Paged
	}
	return NonPaged
}

func (m *Machine) block(h poolHeader, kept string) PoolBlock {
	return PoolBlock{Header: h.at, Address: h.at + mem.VA(m.poolUnit()), Size: h.size,
		Tag: TagText(h.tag), Pool: h.pool(), Free: h.free(), Kept: kept}
}

func neighbour(h poolHeader) *PoolNeighbour {
	return &PoolNeighbour{Header: h.at, Size: h.size, Tag: TagText(h.tag), Free: h.free(), Intact: true}
}

// damaged is the neighbour whose header, at va, is not one.
func (m *Machine) damaged(va mem.VA, size uint64) *PoolNeighbour {
	return &PoolNeighbour{Header: va, Size: size, Text: m.printable(va)}
}

const (
	minText = 4
	maxText = 64
)

// printable is the text at va; "" where fewer than four characters stand there.
func (m *Machine) printable(va mem.VA) string {
	b := m.readUpTo(va, maxText)
	n := 0
	for n < len(b) && b[n] >= ' ' && b[n] <= '~' {
		n++
	}
	if n < minText {
		return ""
	}
	return string(b[:n])
}

// PoolBlock finds the block of pool that va lies in: in PoolBigPageTable and in the
// segment heap where symbols say how, in the page's chain of headers, in special
// pool, else by the looks of the headers around it.
func (m *Machine) PoolBlock(va mem.VA) (PoolBlock, error) {
	b, err := m.poolBlock(va)
	if b.Damaged {
		b.Text = m.printable(b.Header)
	}
	return b, err
}

func (m *Machine) poolBlock(va mem.VA) (PoolBlock, error) {
	if !m.isKernelAddress(va) {
		return PoolBlock{}, fmt.Errorf("pool block at %v: it is no kernel address", va)
	}
	big, isBig, errBig := m.bigBlock(va)
	if isBig && !big.Free {
		return big, nil
	}
	b, ok, errHeap := m.heapBlock(va)
	if ok {
		return b, errHeap
	}
	page := m.readUpTo(va&^(pageSize-1), pageSize)
	if len(page) == pageSize {
		for _, find := range []func(mem.VA, []byte) (PoolBlock, bool){m.chainBlock, m.specialBlock} {
			if b, ok := find(va, page); ok {
				return b, nil
			}
		}
	}
	if isBig {
		return big, nil
	}
	if b, ok := m.guessedBlock(va); ok {
		return b, firstError(errHeap, errBig)
	}
	if err := firstError(errHeap, errBig); err != nil {
		return PoolBlock{}, fmt.Errorf("pool block at %v: %w", va, err)
	}
	if len(page) < pageSize {
		return PoolBlock{}, fmt.Errorf("pool block at %v: %w", va, &mem.Fault{Address: va&^(pageSize-1) + mem.VA(len(page)), Reason: mem.NotInDump})
	}
	return PoolBlock{}, fmt.Errorf("pool block at %v: nothing in its page looks like a pool header", va)
}

// POOL_TRACKER_BIG_PAGES (dt, 15063 to 26100; ntdiff/headers). Bit 0 of Va marks a
// free entry.
const (
	bigKey      = 0x8
	bigType     = 0xc // PoolType: bits 8 to 19
	bigBytes    = 0x10
	bigMinSize  = 0x18
	maxBigPages = 1 << 22
)

// bigBlock looks va up in PoolBigPageTable; false where symbols do not say where it
// is. A free entry is the answer only where no other holds va.
func (m *Machine) bigBlock(va mem.VA) (found PoolBlock, ok bool, err error) {
	size := m.SizeOf("_POOL_TRACKER_BIG_PAGES")
	rows := m.smallVariable("PoolBigPageTableSize", maxBigPages)
	if rows == 0 || size < bigMinSize || size > trackerChunk || m.Arch == dump.X86 {
		return PoolBlock{}, false, nil
	}
	table, err := m.kernelPointer("PoolBigPageTable", kdbgOnlySymbols)
	if err != nil {
		return PoolBlock{}, false, err
	}
	for done := 0; done < rows; {
		n := min(rows-done, trackerChunk/size)
		at := table + mem.VA(done*size)
		b := m.readUpTo(at, n*size)
		if len(b) < n*size {
			err = firstError(err, fmt.Errorf("PoolBigPageTable: %w", &mem.Fault{Address: at + mem.VA(len(b)), Reason: mem.NotInDump}))
		}
		done += n
		for ; len(b) >= size; b = b[size:] {
			start, length := mem.VA(le.U64(b, 0)), le.U64(b, bigBytes)
			free := start&1 != 0
			start &^= 1
			if va < start || uint64(va-start) >= length || free && ok {
				continue
			}
			found, ok = bigEntry(b, start, length, free), true
			if !free {
				return found, true, nil
			}
		}
	}
	return found, ok, err
}

func bigEntry(b []byte, start mem.VA, length uint64, free bool) PoolBlock {
	p := PoolBlock{Header: start, Address: start, Size: length, Tag: TagText(le.U32(b, bigKey)), Free: free, Kept: KeptBig, Pool: NonPaged}
	if le.U32(b, bigType)>>8&poolIsPaged != 0 {
		p.Pool = Paged
	}
	return p
}
