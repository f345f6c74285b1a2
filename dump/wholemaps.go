package dump

import (
	"io"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// bitmapHead is the size of the header before a bitmap, bytes; that before PFN
// ranges is smaller.
const bitmapHead = 0x38

// bitmapPlace is what the header before a bitmap says.
type bitmapPlace struct {
	bits    uint64 // how many pages have a bit
	present uint64 // how many bits are set
	pages   uint64 // offset of the first page in the file, bytes
	offset  int    // of the bitmap behind the header, bytes
}

// decodeBitmapHead decodes a summary header: that of Windows 8 and later
// (kdmp-parser-rs src/structs.rs BmpHeader64; rizin dmp_specs.h; both widths, as
// volatility3's crash_common.json has it) or the one before (SUMMARY_DUMP32 and
// SUMMARY_DUMP64 of the driver kit's dump header). The old one repeats its size
// before the bitmap; the words of the new one at that place are not used.
func decodeBitmapHead(b []byte, l wholeLayout) bitmapPlace {
	size, bits := le.U32(b, 0xc), le.U32(b, 0x10)
	if bits != 0 && bits == le.U32(b, 0x18) && size%mem.PageSize == 0 && int(size) >= l.header {
		return bitmapPlace{bits: uint64(bits), present: uint64(le.U32(b, 0x14)), pages: uint64(size), offset: l.oldBitmap}
	}
	return bitmapPlace{pages: le.U64(b, 0x20), present: le.U64(b, 0x28), bits: le.U64(b, 0x30), offset: bitmapHead}
}

// readBitmap reads a bitmap and counts it; b is what stands behind the header.
func (f *File) readBitmap(r io.ReaderAt, b []byte, l wholeLayout) pageMap {
	p := decodeBitmapHead(b, l)
	if string(b[4:8]) != "DUMP" {
		f.note("memory", "The mark of a finished map (DUMP) is missing: Windows did not finish this dump.")
	}
	start := int64(l.header + p.offset)
	if p.bits > maxPages {
		f.note("memory", "The count of 0x%x pages in the bitmap cannot be right; the first 0x%x are read.", p.bits, uint64(maxPages))
		p.bits = maxPages
	}
	size := (p.bits + 7) / 8
	if left := uint64(max(f.Size-start, 0)); size > left {
		f.Truncated = true
		f.note("memory", "The file ends inside the bitmap of its pages: 0x%x of 0x%x bytes are there.", left, size)
		size = left
		p.bits = size * 8
	}
	end := uint64(start) + size
	if p.pages < end || p.pages > maxOffset {
		guess := (end + mem.PageSize - 1) &^ (mem.PageSize - 1)
		f.note("memory", "The first page cannot stand at offset 0x%x; it is looked for behind the bitmap, at 0x%x.", p.pages, guess)
		p.pages = guess
	}
	m := newBitmap(io.NewSectionReader(r, start, int64(size)), p.bits, int64(p.pages))
	f.compareCount(p.present, m.pages())
	return m
}

// The header before PFN ranges (kdmp-parser-rs src/structs.rs: RdmpHeader64,
// KernelRdmpHeader64, FullRdmpHeader64).
const (
	rangesMarker = 0x40
	rangesHead   = 0x30
	rangeSize    = 0x10
)

// readRanges reads a list of {first page, count}; b is what stands behind the
// header. It ends where the pages start, or with an empty range before.
func (f *File) readRanges(r io.ReaderAt, b []byte, l wholeLayout) pageMap {
	if string(b[8:12]) != "DUMP" {
		f.note("memory", "The mark of a finished map (DUMP) is missing: Windows did not finish this dump.")
	}
	first, counted := le.U64(b, 0x18), uint64(0)
	if f.Header.DumpType == 0xa {
		counted = le.U64(b, 0x28)
	}
	start := uint64(l.header) + rangesHead
	if first < start || first > maxOffset {
		f.note("memory", "The first page cannot stand at offset 0x%x: no memory can be read.", first)
		return nil
	}
	size := first - start
	if left := uint64(max(f.Size-int64(start), 0)); size > left {
		f.Truncated = true
		f.note("memory", "The file ends inside the list of its pages: 0x%x of 0x%x bytes are there.", left, size)
		size = left
	}
	return f.mapOf(f.ranges64(io.NewSectionReader(r, int64(start), int64(size)), int64(first), counted), counted)
}

// ranges64 reads PFN ranges a page of the file at a time; counted bounds the
// pages, as a list may be longer than what is in use (0: it does not).
func (f *File) ranges64(r io.Reader, off int64, counted uint64) []pageRun {
	var list []pageRun
	var b [mem.PageSize]byte
	for total := uint64(0); len(list) < maxPageRanges; {
		n, _ := io.ReadFull(r, b[:])
		for e := b[:n-n%rangeSize]; len(e) > 0; e = e[rangeSize:] {
			p := pageRun{first: le.U64(e, 0), count: le.U64(e, 8), off: off}
			if p.count == 0 || p.first == 0 && len(list) > 0 || counted != 0 && total >= counted {
				return list
			}
			if p.first > maxRunSize || p.count > maxRunSize || off > maxOffset {
				f.note("memory", "Range %d of the pages cannot be right (%d pages from page 0x%x): what follows is not read.", len(list), p.count, p.first)
				return list
			}
			list = append(list, p)
			total, off = total+p.count, off+int64(p.count*mem.PageSize)
		}
		if n < len(b) {
			return list
		}
	}
	f.note("memory", "The list of pages is too long; the first %d ranges are read.", maxPageRanges)
	return list
}
