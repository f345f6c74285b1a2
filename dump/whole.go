package dump

import (
	"io"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// Limits on the page map of a whole-memory dump.
const (
	maxRuns64     = 43      // DUMP_HEADER64: (0x348 - 0x98) / 16
	maxRuns32     = 86      // DUMP_HEADER: (0x320 - 0x6c) / 8
	maxPages      = 1 << 32 // 16 TiB of physical addresses: a bitmap of 512 MiB
	maxPageRanges = 1 << 23 // of an RDMP dump: 8 Mi holes in 64 GiB
	maxRunSize    = 1 << 40 // pages: more than any processor addresses
	maxOffset     = 1 << 61 // in the file, bytes: sums of it and a run do not overflow
)

// wholeLayout says where a width keeps what of whole-memory dumps.
type wholeLayout struct {
	header     int // bytes; what follows is the memory or its map
	descriptor int // PHYSICAL_MEMORY_DESCRIPTOR
	runs       int // the first PHYSICAL_MEMORY_RUN
	run        int // its size
	maxRuns    int
	oldBitmap  int // of a SUMMARY_DUMP of Windows 7 and before, from its start
}

func (a Arch) wholeLayout() wholeLayout {
	if a == X86 {
		return wholeLayout{header: header32Size, descriptor: 0x64, runs: 0x6c, run: 8, maxRuns: maxRuns32, oldBitmap: 0x20}
	}
	return wholeLayout{header: header64Size, descriptor: 0x88, runs: 0x98, run: 16, maxRuns: maxRuns64, oldBitmap: 0x28}
}

// readWhole finds the map of a dump of physical memory. head is the start of
// the file. DumpType tells a dump that lists its runs in the header; what the
// others hold, the signature behind the header tells.
func (f *File) readWhole(r io.ReaderAt, head []byte) {
	l := f.Arch.wholeLayout()
	at := head[l.header:]
	f.PhysicalPages = f.physicalPages(head)
	switch {
	case f.Header.DumpType == 1:
		f.pages = f.headerRuns(head, int64(l.header))
	case len(at) < bitmapHead:
		f.Truncated = true
		f.note("memory", "The file ends behind its header: there is no memory in it.")
	case string(at[:4]) == "SDMP" || string(at[:4]) == "FDMP":
		f.pages = f.readBitmap(r, at, l)
	case string(at[4:8]) == "RDMP" && le.U32(at, 0) == rangesMarker:
		f.pages = f.readRanges(r, at, l)
	default:
		f.note("memory", "The map of the physical pages is missing or damaged (dump type %d): no memory can be read.", f.Header.DumpType)
	}
	f.openMemory(r)
	if f.Kind == Full && f.Header.DumpType == 5 && f.pages.pages() < f.PhysicalPages-f.PhysicalPages/filtered {
		f.Kind = Active
	}
	f.checkWritten(head)
	f.readTagged(r, f.pages.end())
}

// checkWritten notes what the header says of how the dump was written.
func (f *File) checkWritten(head []byte) {
	status := le.U32(head, map[bool]int{true: 0xf9c, false: 0x1048}[f.Arch == X86])
	if status != 0 && status != unset {
		f.note("header", "Windows notes that writing the dump ended with status 0x%x.", status)
	}
	if !f.Truncated && f.Header.RequiredSize > uint64(f.Size) {
		f.Truncated = true
		f.note("memory", "The dump should be %d bytes long and is %d: what Windows writes behind the memory is missing.", f.Header.RequiredSize, f.Size)
	}
}

// filtered: where more than one page in 16 of the machine's memory is missing from
// a bitmap of all memory, Windows left out what was not active. A little is missing
// anyhow: memory of the secure kernel, bad pages.
const filtered = 16

// openMemory makes the readers over the page map.
func (f *File) openMemory(r io.ReaderAt) {
	if f.pages == nil {
		f.pages = pageRuns(nil)
	}
	f.Physical = mem.Cached(&physical{file: r, size: f.Size, m: f.pages})
	f.Paging = f.paging()
	f.Memory = f.Space(f.Header.DirectoryTable)
	f.countPages()
}

// countPages counts the pages of the file, and notes what its end cuts off.
func (f *File) countPages() {
	total := f.pages.pages()
	if f.Pages = f.pages.within(f.Size); f.Pages < total {
		f.Truncated = true
		f.note("memory", "The file is cut: %d of %d pages are there.", f.Pages, total)
	}
}

// paging tells the format of the page tables.
func (f *File) paging() mem.Paging {
	p := mem.Paging{Limit: f.physicalLimit(), OldPageFile: f.Header.Build < 17763}
	switch {
	case f.Arch == ARM64:
		p.Kind = mem.PagingARM64
	case f.Arch == X86 && f.Header.PAE:
		p.Kind = mem.PagingPAE
	case f.Arch == X86:
		p.Kind = mem.PagingX86
	case !f.maps(p) && f.maps(mem.Paging{Kind: mem.PagingLA57}):
		p.Kind = mem.PagingLA57
	}
	p.MaskUnknown = !p.OldPageFile && p.Kind != mem.PagingARM64 && p.Kind != mem.PagingX86
	return p
}

// maps reports whether page tables of a format lead to PsLoadedModuleList. The
// header does not say how many levels an x64 machine used.
func (f *File) maps(p mem.Paging) bool {
	_, err := mem.NewSpace(f.Physical, p, f.Header.DirectoryTable).Translate(f.Header.LoadedModules)
	return err == nil
}

// physicalLimit is the end of the last page in the map.
func (f *File) physicalLimit() mem.PA {
	switch m := f.pages.(type) {
	case *bitmap:
		return mem.PA(m.limit * mem.PageSize)
	case pageRuns:
		if n := len(m); n > 0 {
			return mem.PA((m[n-1].first + m[n-1].count) * mem.PageSize)
		}
	}
	return 0
}

// physicalPages is NumberOfPages of the header's descriptor; 0 if it is not set.
func (f *File) physicalPages(head []byte) uint64 {
	d := head[f.Arch.wholeLayout().descriptor:]
	n := uint64(le.U32(d, 4))
	if f.Arch != X86 {
		n = le.U64(d, 8)
	}
	if n > maxRunSize || le.U32(d, 0) == unset {
		return 0
	}
	return n
}

// headerRuns decodes PHYSICAL_MEMORY_DESCRIPTOR (mindumpdef.h of the Windows
// SDK; qemu include/qemu/win_dump_defs.h): the pages of its runs stand behind the
// header, one run behind the other.
func (f *File) headerRuns(head []byte, off int64) pageMap {
	l := f.Arch.wholeLayout()
	count := le.U32(head, l.descriptor)
	if count == unset || count > uint32(l.maxRuns) {
		f.note("memory", "The header's count of %d runs of physical memory cannot be right: no memory can be read.", count)
		return nil
	}
	list := make([]pageRun, 0, count)
	for i := range int(count) {
		b := head[l.runs+i*l.run:]
		r := pageRun{first: uint64(le.U32(b, 0)), count: uint64(le.U32(b, 4)), off: off}
		if f.Arch != X86 {
			r.first, r.count = le.U64(b, 0), le.U64(b, 8)
		}
		if r.first > maxRunSize || r.count > maxRunSize {
			f.note("memory", "Run %d of the header cannot be right (%d pages from page 0x%x): what follows is not read.", i, r.count, r.first)
			break
		}
		list = append(list, r)
		off += int64(r.count * mem.PageSize)
	}
	return f.mapOf(list, f.PhysicalPages)
}

// mapOf makes the map of runs and compares it with the count that stands beside
// them; 0: none.
func (f *File) mapOf(list []pageRun, counted uint64) pageMap {
	runs, lost := newPageRuns(list)
	if lost > 0 {
		f.note("memory", "%d pages are listed twice; the first place counts.", lost)
	}
	f.compareCount(counted, runs.pages()+lost)
	return runs
}

func (f *File) compareCount(counted, found uint64) {
	if counted != 0 && counted != found {
		f.note("memory", "The header counts %d pages, its map %d; the map is used.", counted, found)
	}
}
