package pdb

import (
	"cmp"
	"fmt"
	"slices"

	"bugcheck/internal/le"
)

// address is a place as symbols name it: the number of a section, from 1, in the
// high half, and the offset in the section in the low half.
type address uint64

func newAddress(section uint16, offset uint32) address {
	return address(section)<<32 | address(offset)
}

func (a address) section() uint16 { return uint16(a >> 32) }
func (a address) offset() uint32  { return uint32(a) }

// section is a section of the image: where it lies and how long it is.
type section struct{ rva, size uint32 }

const (
	sectionSize = 0x28 // IMAGE_SECTION_HEADER
	maxSections = 96   // the loader of Windows refuses more
	pageSize    = 0x1000
)

// readSections decodes the section headers and opens the OMAPs. Where pages of
// an image were rearranged after linking, symbols refer to the original
// sections, and an OMAP leads from there to the image.
func (f *File) readSections() error {
	s := f.debugStream(debugSections, "section headers")
	f.toImage = omap{f.debugStream(debugOmapFromSource, "OMAP from source")}
	f.fromImage = omap{f.debugStream(debugOmapToSource, "OMAP to source")}
	if original := f.debugStream(debugOriginalSections, "original section headers"); original != nil && f.toImage.len() > 0 {
		s = original
	}
	n := min(s.len()/sectionSize, maxSections)
	b, err := s.bytes(0, n*sectionSize)
	if err != nil && n > 0 {
		return fmt.Errorf("section headers: %w", err)
	}
	for ; len(b) >= sectionSize; b = b[sectionSize:] {
		f.sections = append(f.sections, section{rva: le.U32(b, 0xc), size: max(le.U32(b, 0x8), le.U32(b, 0x10))})
	}
	return nil
}

// address is the place of an RVA of the image; false if it lies in no section,
// or in code that was added after linking.
func (f *File) address(rva uint32) (address, bool) {
	if f.fromImage.len() > 0 {
		to, ok := f.fromImage.translate(rva)
		if !ok {
			return 0, false
		}
		rva = to
	}
	for i, s := range f.sections {
		// A section fills its last page.
		if rva >= s.rva && uint64(rva-s.rva) < (uint64(s.size)+pageSize-1)&^(pageSize-1) {
			return newAddress(uint16(i+1), rva-s.rva), true
		}
	}
	return 0, false
}

// rva is the RVA in the image of a place; false if its section does not exist,
// as for absolute symbols, or the code was removed after linking.
func (f *File) rva(at address) (uint32, bool) {
	i := int(at.section()) - 1
	if i < 0 || i >= len(f.sections) {
		return 0, false
	}
	rva := uint64(f.sections[i].rva) + uint64(at.offset())
	if rva > 1<<32-1 {
		return 0, false
	}
	if f.toImage.len() == 0 {
		return uint32(rva), true
	}
	if to, ok := f.toImage.translate(uint32(rva)); ok {
		return to, true
	}
	return f.trimmed(at, uint32(rva))
}

// maxInstruction is the length of the longest x86 instruction, bytes.
const maxInstruction = 15

// trimmed is the RVA of a public function of which the first instruction was
// removed: its next stretch. Seen in the public PDB of user32.dll of Windows 7,
// where functions like GetKeyNameTextW lost two bytes (TestOMAP).
func (f *File) trimmed(at address, rva uint32) (uint32, bool) {
	i := f.toImage.after(rva)
	b, err := f.toImage.bytes(i*omapSize, omapSize)
	if err != nil || le.U32(b, 4) == 0 || le.U32(b, 0)-rva > maxInstruction {
		return 0, false
	}
	p, ok := f.publicAt(at + address(le.U32(b, 0)-rva))
	return le.U32(b, 4), ok && p.at == at
}

// omap is a table that translates RVAs: {from, to} of 4 bytes each, sorted; a
// stretch ends where the next begins, and to is zero for one that was removed.
// Source: OMAP in cvinfo.h, "OMAP" in Microsoft's documentation of DbgHelp.
type omap struct{ *stream }

const omapSize = 8

func (o omap) translate(rva uint32) (uint32, bool) {
	i := o.after(rva)
	if i == 0 {
		return 0, false
	}
	b, err := o.bytes((i-1)*omapSize, omapSize)
	if err != nil || le.U32(b, 4) == 0 {
		return 0, false
	}
	return le.U32(b, 4) + rva - le.U32(b, 0), true
}

// after is the index of the first stretch that begins behind rva.
func (o omap) after(rva uint32) uint32 {
	lo, hi := uint32(0), o.len()/omapSize
	for lo < hi {
		mid := lo + (hi-lo)/2
		if from, err := o.u32(mid * omapSize); err == nil && from <= rva {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// lastAt is the index of the last of sorted entries that begins at or before
// at, the first of equals; -1 if none does.
func lastAt[T any](list []T, at address, begin func(T) address) int {
	compare := func(e T, at address) int { return cmp.Compare(begin(e), at) }
	i, found := slices.BinarySearchFunc(list, at, compare)
	if found {
		return i
	}
	if i == 0 {
		return -1
	}
	i, _ = slices.BinarySearchFunc(list, begin(list[i-1]), compare)
	return i
}
