package pe

import (
	"fmt"

	"bugcheck/internal/le"
)

// Types of base relocations: IMAGE_REL_BASED_*.
const (
	RelocHigh    = 1
	RelocLow     = 2
	RelocHighLow = 3 // 32 bits
	RelocHighAdj = 4
	RelocDir64   = 10
)

// Relocation is a place that Windows changes when it loads the image somewhere
// else than at ImageBase.
type Relocation struct {
	RVA  RVA
	Type uint8
}

const (
	relocBlockHead = 8
	maxRelocBlock  = 1 << 14 // a block is for one page: at most one entry of 2 bytes a byte, and a head
	maxRelocBytes  = 1 << 25 // the largest images have 2 MiB
)

// Relocations lists the base relocations in the order of the image, the padding
// left off; nil if it has none. It ends at the first block that is damaged or
// missing; Windows discards the table after loading a driver.
func (f *File) Relocations() ([]Relocation, error) {
	dir := f.Directories[RelocationDirectory]
	if dir.RVA == 0 || dir.Size == 0 {
		return nil, nil
	}
	if err := f.check("bytes", dir.RVA, dir.Size, 1, maxRelocBytes); err != nil {
		return nil, fmt.Errorf("base relocations: %w", err)
	}
	var list []Relocation
	p := f.pages()
	for at := uint32(0); at+relocBlockHead <= dir.Size; {
		b, err := p.relocBlock(dir.RVA+RVA(at), dir.Size-at)
		if err != nil {
			return list, fmt.Errorf("base relocations: block at %v: %w", dir.RVA+RVA(at), err)
		}
		list = appendRelocs(list, b)
		at += uint32(len(b))
	}
	return list, nil
}

// relocBlock reads an IMAGE_BASE_RELOCATION and its entries.
func (p *pages) relocBlock(at RVA, most uint32) ([]byte, error) {
	size, err := p.u32(at + 4)
	if err != nil {
		return nil, err
	}
	if size < relocBlockHead || size > min(most, maxRelocBlock) || size%2 != 0 {
		return nil, wrong("a block of %d bytes", size)
	}
	return p.bytes(at, int(size))
}

// appendRelocs decodes a block: an entry has 4 bits of type and 12 of offset.
// Type 0 is padding; RelocHighAdj takes the next entry as its operand.
func appendRelocs(list []Relocation, b []byte) []Relocation {
	page := RVA(le.U32(b, 0))
	for at := relocBlockHead; at < len(b); at += 2 {
		e := le.U16(b, at)
		if e>>12 == 0 {
			continue
		}
		list = append(list, Relocation{RVA: page + RVA(e&0xfff), Type: uint8(e >> 12)})
		if e>>12 == RelocHighAdj {
			at += 2
		}
	}
	return list
}
