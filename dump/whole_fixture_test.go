package dump_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"bugcheck/internal/memtest"
	"bugcheck/mem"
)

// whole is a whole-memory dump to be written: header, map and pages.
type whole struct {
	memory     *memtest.Memory
	arch       uint32 // machine type
	pae        bool
	dumpType   uint32
	form       form
	root       mem.PA
	attributes uint32
	build      uint32
	count      uint64 // what the map counts; 0: what it holds
}

// form is how a dump lists its pages.
type form int

const (
	runs    form = iota // in the header
	sdmp                // a bitmap, as Windows 8 and later write it
	fdmp                // the same of all memory
	oldSDMP             // a bitmap, as Windows 7 wrote it
	rdmp                // ranges of pages
	elfCore             // an ELF core with a header in its notes
)

func (f form) String() string {
	return [...]string{"runs", "SDMP", "FDMP", "old SDMP", "RDMP", "ELF"}[f]
}

func (w *whole) wide() bool { return w.arch != 0x14c }

func (w *whole) headerSize() int {
	if w.wide() {
		return 0x2000
	}
	return 0x1000
}

// put writes a field of the width of a header.
func (w *whole) put(b []byte, off32, off64 int, v uint64) {
	if w.wide() {
		binary.LittleEndian.PutUint64(b[off64:], v)
	} else {
		binary.LittleEndian.PutUint32(b[off32:], uint32(v))
	}
}

// moduleList is PsLoadedModuleList of the fixtures.
func (w *whole) moduleList() mem.VA {
	if w.wide() {
		return 0xfffff80412345010
	}
	return 0x82345010
}

// debuggerData is KdDebuggerDataBlock of the fixtures.
func (w *whole) debuggerData() mem.VA { return w.moduleList() + 0x10000 }

// header is a DUMP_HEADER or DUMP_HEADER64: fields over PAGE.
func (w *whole) header() []byte {
	b := bytes.Repeat([]byte("PAGE"), w.headerSize()/4)
	copy(b[4:], map[bool]string{true: "DU64", false: "DUMP"}[w.wide()])
	put32(b, 0x8, 15)
	put32(b, 0xc, w.build)
	w.put(b, 0x10, 0x10, uint64(w.root))
	w.put(b, 0x18, 0x20, uint64(w.moduleList()))
	machine, code, kind, attributes := 0x30, 0x38, 0xf98, 0x1050
	if !w.wide() {
		machine, code, kind, attributes = 0x20, 0x28, 0xf88, 0x8a0
		b[0x5c] = map[bool]byte{true: 1}[w.pae]
	}
	put32(b, machine, w.arch)
	if w.form != elfCore { // the driver made the header before the crash
		put32(b, code, 0xd1)
	} else {
		put32(b, code, 0)
	}
	w.put(b, 0x60, 0x80, uint64(w.debuggerData()))
	put32(b, kind, w.dumpType)
	put32(b, attributes, w.attributes)
	list := w.memory.Runs()
	put32(b, map[bool]int{true: 0x88, false: 0x64}[w.wide()], uint32(len(list)))
	w.put(b, 0x68, 0x90, uint64(len(w.memory.Numbers())))
	for i, r := range list {
		if i == 43 { // more do not fit
			break
		}
		w.put(b, 0x6c+8*i, 0x98+16*i, r[0])
		w.put(b, 0x70+8*i, 0xa0+16*i, r[1])
	}
	return b
}

// bytes is the dump.
func (w *whole) bytes() []byte {
	b := w.header()
	pages := w.memory.Numbers()
	count := w.count
	if count == 0 {
		count = uint64(len(pages))
	}
	switch w.form {
	case sdmp, fdmp, oldSDMP:
		b = append(b, w.bitmap(pages, count)...)
	case rdmp:
		b = append(b, w.ranges(count)...)
	case elfCore:
		b = w.elf(b)
	}
	for _, n := range pages {
		b = append(b, w.memory.Page(mem.PA(n*mem.PageSize))...)
	}
	return b
}

// bitmap is a summary header with the bitmap, up to the first page.
func (w *whole) bitmap(pages []uint64, count uint64) []byte {
	bits := pages[len(pages)-1] + 3
	head := 0x38
	if w.form == oldSDMP {
		head = map[bool]int{true: 0x28, false: 0x20}[w.wide()]
	}
	size := (head + int(bits+7)/8 + 0xfff) &^ 0xfff
	b := make([]byte, size)
	copy(b, map[bool]string{true: "FDMPDUMP", false: "SDMPDUMP"}[w.form == fdmp])
	if w.form == oldSDMP {
		for off, v := range map[int]uint64{8: 1, 0xc: uint64(w.headerSize() + size), 0x10: bits, 0x14: count, 0x18: bits} {
			put32(b, off, uint32(v))
		}
	} else {
		copy(b[8:], bytes.Repeat([]byte("PAGE"), 6))
		for off, v := range map[int]uint64{0x20: uint64(w.headerSize() + size), 0x28: count, 0x30: bits} {
			binary.LittleEndian.PutUint64(b[off:], v)
		}
	}
	for _, n := range pages {
		b[head+int(n/8)] |= 1 << (n % 8)
	}
	return b
}

// elf is an ELF core up to the first page: its header, program headers, and notes
// of a processor and of the dump header.
func (w *whole) elf(header []byte) []byte {
	list := w.memory.Runs()
	note := func(name string, kind uint32, data []byte) []byte {
		b := words32(uint32(len(name)+1), uint32(len(data)), kind)
		b = append(b, name...)
		b = append(b, make([]byte, 4-len(name)%4)...)
		return append(b, append(data, make([]byte, -len(data)&3)...)...)
	}
	notes := append(note("CORE", 1, make([]byte, 333)), note("VMCOREINFO", 0, header)...)
	at := 0x40 + 0x38*(len(list)+1)
	b := make([]byte, at)
	copy(b, "\x7fELF\x02\x01\x01")
	b[0x10], b[0x12], b[0x20], b[0x36] = 4, 62, 0x40, 0x38
	binary.LittleEndian.PutUint16(b[0x38:], uint16(len(list)+1))
	segment := func(i int, kind uint32, off, pa, size uint64) {
		put32(b, 0x40+0x38*i, kind)
		for field, v := range map[int]uint64{8: off, 0x18: pa, 0x20: size, 0x28: size} {
			binary.LittleEndian.PutUint64(b[0x40+0x38*i+field:], v)
		}
	}
	segment(0, 4, uint64(at), 0, uint64(len(notes)))
	off := uint64(at + len(notes))
	for i, r := range list {
		segment(i+1, 1, off, r[0]*mem.PageSize, r[1]*mem.PageSize)
		off += r[1] * mem.PageSize
	}
	return append(b, notes...)
}

// ranges is an RDMP header with its ranges, up to the first page.
func (w *whole) ranges(count uint64) []byte {
	list := w.memory.Runs()
	b := make([]byte, (0x30+16*len(list)+0xfff)&^0xfff)
	put32(b, 0, 0x40)
	copy(b[4:], "RDMPDUMP")
	binary.LittleEndian.PutUint64(b[0x10:], uint64(len(b)-0x20))
	binary.LittleEndian.PutUint64(b[0x18:], uint64(w.headerSize()+len(b)))
	if w.dumpType == 0xa {
		put32(b, 0x20, uint32(len(list)))
		binary.LittleEndian.PutUint64(b[0x28:], count)
	}
	for i, r := range list {
		binary.LittleEndian.PutUint64(b[0x30+16*i:], r[0])
		binary.LittleEndian.PutUint64(b[0x38+16*i:], r[1])
	}
	return b
}

// wholeCase is a fixture with what a reader must find in it.
type wholeCase struct {
	whole
	paging mem.PagingKind
	chunks []memtest.Chunk // of virtual memory
}

func (c *wholeCase) name() string {
	machine := map[uint32]string{0x8664: "x64", 0xaa64: "ARM64", 0x14c: "x86"}[c.arch]
	if c.pae {
		machine += " PAE"
	}
	if c.paging == mem.PagingLA57 {
		machine += " 5 levels"
	}
	return fmt.Sprintf("%s %v type %d", machine, c.form, c.dumpType)
}

// newWhole fills a machine: page tables, scattered pages, and the list that the
// header names.
func newWhole(kind mem.PagingKind, dumpType uint32, f form) *wholeCase {
	m := memtest.New()
	tables := memtest.NewTables(m, kind)
	c := &wholeCase{paging: kind, whole: whole{memory: m, dumpType: dumpType, form: f, root: tables.Root, build: 19041, arch: 0x8664}}
	switch kind {
	case mem.PagingARM64:
		c.arch = 0xaa64
	case mem.PagingX86, mem.PagingPAE:
		c.arch, c.pae = 0x14c, kind == mem.PagingPAE
	}
	list := c.moduleList() &^ 0xfff
	c.chunks = []memtest.Chunk{{Address: list, Data: fill(1, 3*mem.PageSize)}, {Address: 0x10000, Data: fill(2, mem.PageSize)}}
	for _, chunk := range c.chunks {
		tables.Place(chunk.Address, chunk.Data)
	}
	c.placeDebuggerData(tables)
	for _, n := range []uint64{1, 2, 0x7f, 0x80, 0x3ff, 0x400, 0x401, 0x1fff, 0x2000, 0x4321} { // pages that nothing maps
		m.Put(mem.PA(n*mem.PageSize), fill(n, mem.PageSize))
	}
	return c
}

// placeDebuggerData puts a KDDEBUGGER_DATA64 there that leads to KiBugCheckData.
func (c *wholeCase) placeDebuggerData(tables *memtest.Tables) {
	b := make([]byte, 0x200)
	copy(b[0x10:], "KDBG")
	binary.LittleEndian.PutUint64(b[0x88:], uint64(c.debuggerData()+0x100))
	for i, v := range []uint64{0xd1, 8, 2, 1, 0xf} {
		c.put(b[0x100:], 4*i, 8*i, v)
	}
	tables.Place(c.debuggerData(), b)
}

func fill(seed uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = byte(seed >> 56)
	}
	return b
}

// wholeCases are all formats and machines.
func wholeCases() []*wholeCase {
	var list []*wholeCase
	for _, kind := range []mem.PagingKind{mem.PagingX64, mem.PagingLA57, mem.PagingARM64} {
		list = append(list, newWhole(kind, 1, runs), newWhole(kind, 5, fdmp), newWhole(kind, 6, sdmp), newWhole(kind, 2, oldSDMP),
			newWhole(kind, 8, rdmp), newWhole(kind, 9, rdmp), newWhole(kind, 0xa, rdmp), newWhole(kind, 1, elfCore))
	}
	for _, kind := range []mem.PagingKind{mem.PagingX86, mem.PagingPAE} {
		list = append(list, newWhole(kind, 1, runs), newWhole(kind, 5, fdmp), newWhole(kind, 6, sdmp), newWhole(kind, 2, oldSDMP), newWhole(kind, 1, elfCore))
	}
	return list
}

func eachWhole(t *testing.T, test func(t *testing.T, c *wholeCase)) {
	for _, c := range wholeCases() {
		t.Run(c.name(), func(t *testing.T) { test(t, c) })
	}
}
