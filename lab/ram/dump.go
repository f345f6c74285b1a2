package ram

import (
	"fmt"
	"io"
)

// File is what a dump is written to: an *os.File, or bytes in a test.
type File interface {
	io.WriterAt
	Truncate(size int64) error
}

// Format is a kind of dump file.
type Format int

const (
	Full         Format = iota // DumpType 1: all runs of memory, one after another
	FullBitmap                 // 5, FDMP: all pages; what Windows 8 and later write as a complete dump
	ActiveBitmap               // 5, FDMP: without free and standby pages
	KernelBitmap               // 6, SDMP: the kernel's pages
	Summary                    // 2, SDMP: the kernel's pages, as up to Windows 7
	Automatic                  // 7, SDMP: the kernel's pages
	KernelRanges               // 8, RDMP: the kernel's pages, as .dump /k writes them
	UserRanges                 // 9, RDMP: the kernel's and the processes' pages, .dump /ka
	FullRanges                 // 0xa, RDMP: all pages, .dump /f
	Live                       // 6, SDMP: the kernel's pages, of a machine that goes on
	ELF                        // a virtual machine's core: QEMU's dump-guest-memory with the guest's header
)

// container is how a file tells which pages it holds.
type container int

const (
	runs   container = iota // the header's runs
	bitmap                  // a bit a frame
	ranges                  // pairs of frame and count
	elf
)

// formatFacts is what sets a format apart. Sources: DUMP_TYPE_ values of rizinorg/rizin
// librz/bin/format/dmp/dmp_specs.h; 0vercl0k/kdmp-parser-rs src/structs.rs; the attribute
// bits: dt nt!_DUMP_FILE_ATTRIBUTES on 19041, LiveDumpGeneratedDump 0x10.
type formatFacts struct {
	name       string
	dumpType   uint32
	attributes uint32
	container  container
	signature  string
	keeps      [ClassStandby + 1]bool
	all        bool // every frame of every run, in use or not
}

var (
	kernelOnly = [ClassStandby + 1]bool{ClassKernel: true}
	active     = [ClassStandby + 1]bool{ClassKernel: true, ClassUser: true}
)

var formats = [...]formatFacts{
	Full:         {name: "full", dumpType: 1, container: runs, all: true},
	FullBitmap:   {name: "full-bitmap", dumpType: 5, container: bitmap, signature: "FDMP", all: true},
	ActiveBitmap: {name: "active", dumpType: 5, container: bitmap, signature: "FDMP", keeps: active},
	KernelBitmap: {name: "kernel", dumpType: 6, container: bitmap, signature: "SDMP", keeps: kernelOnly},
	Summary:      {name: "summary", dumpType: 2, container: bitmap, signature: "SDMP", keeps: kernelOnly},
	Automatic:    {name: "automatic", dumpType: 7, container: bitmap, signature: "SDMP", keeps: kernelOnly},
	KernelRanges: {name: "kernel-ranges", dumpType: 8, container: ranges, keeps: kernelOnly},
	UserRanges:   {name: "user-ranges", dumpType: 9, container: ranges, keeps: active},
	FullRanges:   {name: "full-ranges", dumpType: 0xa, container: ranges, all: true},
	Live:         {name: "live", dumpType: 6, attributes: 0x10, container: bitmap, signature: "SDMP", keeps: kernelOnly},
	ELF:          {name: "elf", dumpType: 1, container: elf, all: true},
}

// Formats returns all formats in order.
func Formats() []Format {
	var all []Format
	for f := range formats {
		all = append(all, Format(f))
	}
	return all
}

// String returns the format's name, as in "kernel-ranges".
func (f Format) String() string {
	if f < 0 || int(f) >= len(formats) {
		return fmt.Sprintf("format %d", int(f))
	}
	return formats[f].name
}

// ParseFormat returns the format of a name.
func ParseFormat(name string) (Format, error) {
	for f := range formats {
		if formats[f].name == name {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("no dump format is called %q", name)
}

// Dump writes the memory as a file of a format. Pages that hold nothing but zeros are not
// written: where they would stand, the file has holes.
func (m *Memory) Dump(w File, format Format, h *Header) error {
	if format < 0 || int(format) >= len(formats) {
		return fmt.Errorf("dump: no %v", format)
	}
	f := formats[format]
	kept := m.kept(f)
	d := m.layout(f, h, kept)
	if err := w.Truncate(0); err != nil {
		return fmt.Errorf("dump %s: %w", f.name, err)
	}
	if err := w.Truncate(int64(d.size)); err != nil {
		return fmt.Errorf("dump %s: %w", f.name, err)
	}
	for _, p := range d.parts {
		if err := writeSparse(w, p.data, p.at); err != nil {
			return fmt.Errorf("dump %s: %w", f.name, err)
		}
	}
	if err := m.writePages(w, kept, d.first); err != nil {
		return fmt.Errorf("dump %s: %w", f.name, err)
	}
	return nil
}

// kept returns the frames that a format keeps, in rising order.
func (m *Memory) kept(f formatFacts) []Run {
	if f.all {
		return m.Runs()
	}
	var out []Run
	for _, pfn := range sortedKeys(m.class) {
		if !f.keeps[m.class[pfn]] {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Base+out[n-1].Count == pfn {
			out[n-1].Count++
			continue
		}
		out = append(out, Run{pfn, 1})
	}
	return out
}

// part is a piece of the file.
type part struct {
	at   uint64
	data []byte
}

// layout is where things stand in a file: parts, from first on the pages that are kept, one
// after another, then the secondary data.
type layout struct {
	first, size uint64
	parts       []part
}

func (m *Memory) layout(f formatFacts, h *Header, kept []Run) layout {
	var d layout
	switch f.container {
	case runs:
		d = layout{first: headerSize}
	case bitmap:
		d = m.bitmap(f, kept)
	case ranges:
		d = rangeList(f, kept)
	case elf:
		return m.elf(f, h, kept)
	}
	end := d.first + PageSize*count(kept)
	d.size = end + uint64(len(h.Secondary))
	d.parts = append(d.parts, part{0, m.header(h, f, d.size)}, part{end, h.Secondary})
	return d
}

func count(kept []Run) (n uint64) {
	for _, r := range kept {
		n += r.Count
	}
	return n
}

// bitmap lays out the bitmap header at 0x2000: 'SDMP' or 'FDMP', 'DUMP', at 0x20 where the
// pages start, the number of pages in the file, the number of bits; the bits follow at 0x38.
// Source: 0vercl0k/kdmp-parser-rs src/structs.rs; volatility3's crash_common.json.
func (m *Memory) bitmap(f formatFacts, kept []Run) layout {
	last := m.runs[len(m.runs)-1]
	bits := last.Base + last.Count
	b := make([]byte, 0x38+(bits+7)/8)
	first := (headerSize + uint64(len(b)) + PageSize - 1) &^ (PageSize - 1)
	copy(b, f.signature+"DUMP")
	put64(b, 0x20, first, count(kept), bits)
	for _, r := range kept {
		setBits(b[0x38:], r)
	}
	return layout{first: first, parts: []part{{headerSize, b}}}
}

func setBits(b []byte, r Run) {
	for i := r.Base; i < r.Base+r.Count; {
		if i%8 == 0 && i+8 <= r.Base+r.Count {
			b[i/8] = 0xff
			i += 8
			continue
		}
		b[i/8] |= 1 << (i % 8)
		i++
	}
}

// rangeList lays out the range header at 0x2000: 0x40, 'RDMP', 'DUMP', at 0x10 the size of the
// ranges (and of the 0x20 bytes in front of them), where the pages start; from 0x30 on pairs
// of frame and count up to an empty one. A complete dump counts ranges at 0x20 and pages at
// 0x28. Source: 0vercl0k/kdmp-parser-rs src/structs.rs and parse.rs, which ask that the two
// sizes agree. Empty pairs fill the space up to the first page, so that pages stand at
// multiples of their size.
func rangeList(f formatFacts, kept []Run) layout {
	end := headerSize + 0x30 + 0x10*uint64(len(kept)+1)
	first := (end + PageSize - 1) &^ (PageSize - 1)
	b := make([]byte, first-headerSize)
	put32(b, 0, 0x40)
	copy(b[4:], "RDMPDUMP")
	put64(b, 0x10, first-headerSize-0x20, first)
	if f.all {
		put32(b, 0x20, uint32(len(kept)))
		put64(b, 0x28, count(kept))
	}
	for i, r := range kept {
		put64(b, 0x30+0x10*i, r.Base, r.Count)
	}
	return layout{first: first, parts: []part{{headerSize, b}}}
}

// writeSparse writes b at an offset, but for its pages that hold only zeros.
func writeSparse(w File, b []byte, at uint64) error {
	for len(b) > 0 {
		n := min(uint64(len(b)), PageSize-at%PageSize)
		if !isZero(b[:n]) {
			if _, err := w.WriteAt(b[:n], int64(at)); err != nil {
				return err
			}
		}
		b, at = b[n:], at+n
	}
	return nil
}

// writePages writes the pages that hold something; neighbours in the file in one go.
func (m *Memory) writePages(w File, kept []Run, first uint64) error {
	var (
		batch []byte
		at    uint64 // where batch goes
	)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := w.WriteAt(batch, int64(at))
		batch = batch[:0]
		return err
	}
	for _, pfn := range sortedKeys(m.pages) {
		p := m.pages[pfn]
		for len(kept) > 0 && pfn >= kept[0].Base+kept[0].Count {
			first += PageSize * kept[0].Count
			kept = kept[1:]
		}
		if len(kept) == 0 {
			break
		}
		if pfn < kept[0].Base || isZero(p[:]) {
			continue
		}
		offset := first + PageSize*(pfn-kept[0].Base)
		if offset != at+uint64(len(batch)) || len(batch) >= 1<<20 {
			if err := flush(); err != nil {
				return err
			}
			at = offset
		}
		batch = append(batch, p[:]...)
	}
	return flush()
}

var zeros [PageSize]byte

func isZero(b []byte) bool { return string(b) == string(zeros[:len(b)]) }
