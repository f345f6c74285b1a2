package pdb

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sync"

	"bugcheck/internal/le"
)

// The DBI stream: a header, then parts whose sizes it has. Source: NewDBIHdr in
// PDB/dbi/dbi.h of microsoft-pdb, "The PDB DBI Stream" of LLVM.
const (
	dbiHeaderSize    = 0x40
	dbiSignature     = 0xffffffff
	dbiStripped      = 0x2
	maxDebugStreams  = 16 // there are 11
	moduleHeaderSize = 0x40
	maxModules       = 1 << 16 // contributions number them with 16 bits
)

// Indexes of the optional debug header: DBGTYPE in pdb.h of microsoft-pdb.
const (
	debugFPO              = 0
	debugOmapToSource     = 3
	debugOmapFromSource   = 4
	debugSections         = 5
	debugNewFPO           = 9
	debugOriginalSections = 10
)

// dbi is what the header of the DBI stream says.
type dbi struct {
	s                         *stream
	globals, publics, records uint16 // stream numbers
	modules, contributions    part
	files                     part
	debug                     []uint16 // stream numbers by debug*
}

// part is where a part of a stream lies.
type part struct{ at, size uint32 }

// readDBI decodes the header, the sections and the OMAPs. A PDB that a compiler
// wrote has types only, and no DBI stream.
func (f *File) readDBI() error {
	d := dbi{s: f.msf.stream(streamDBI, "DBI stream")}
	if d.s == nil {
		return nil
	}
	b, err := d.s.bytes(0, dbiHeaderSize)
	if err != nil {
		return err
	}
	if le.U32(b, 0) != dbiSignature {
		return wrong("the header is of an old format, which is not read")
	}
	f.Age = le.U32(b, 8)
	f.Machine = le.U16(b, 0x3a)
	f.Stripped = le.U16(b, 0x38)&dbiStripped != 0
	d.globals, d.publics, d.records = le.U16(b, 0xc), le.U16(b, 0x10), le.U16(b, 0x14)
	if err := d.layOut(b); err != nil {
		return err
	}
	f.dbi = d
	f.records = f.msf.stream(stream16(d.records), "symbol records")
	f.frameData = f.debugStream(debugNewFPO, "frame data")
	f.fpo = f.debugStream(debugFPO, "FPO data")
	return f.readSections()
}

// stream16 widens a stream number; none stays none.
func stream16(number uint16) uint32 {
	if number == none {
		return absent
	}
	return uint32(number)
}

// layOut finds the parts: modules, section contributions, section map, file
// info, type servers, names for edit and continue, debug header.
func (d *dbi) layOut(b []byte) error {
	at := uint32(dbiHeaderSize)
	parts := make([]part, 7)
	for i, off := range []int{0x18, 0x1c, 0x20, 0x24, 0x28, 0x34, 0x30} {
		size := le.U32(b, off)
		if size > d.s.size-at {
			return wrong("part %d of %d bytes does not fit", i, size)
		}
		parts[i] = part{at, size}
		at += size
	}
	d.modules, d.contributions, d.files = parts[0], parts[1], parts[3]
	debug, err := d.s.bytes(parts[6].at, min(parts[6].size, 2*maxDebugStreams))
	if err != nil {
		return err
	}
	for i := 0; i+2 <= len(debug); i += 2 {
		d.debug = append(d.debug, le.U16(debug, i))
	}
	return nil
}

// debugStream finds a stream of the optional debug header; nil if there is none.
func (f *File) debugStream(index int, name string) *stream {
	if index >= len(f.dbi.debug) {
		return nil
	}
	return f.msf.stream(stream16(f.dbi.debug[index]), name)
}

// modules is the list of object files, and which code each contributed.
type modules struct {
	list          []*module
	contributions []contribution // sorted
}

// module is an object file, or the import library of a DLL.
type module struct {
	f        *File
	index    int
	at       uint32 // of its record in the DBI stream
	number   uint16 // of its stream; none
	symbols  uint32 // bytes in its stream
	c11, c13 uint32 // bytes of line tables, behind the symbols
	open     func() *stream
	code     func() (*procedures, error)
	lines    func() (*lineTables, error)
}

// contribution is a stretch of a section that came from a module.
type contribution struct {
	at     address
	size   uint32
	module uint16
}

// readModules decodes the list of modules and the section contributions. What
// is damaged is left off, with an error.
func (f *File) readModules() (*modules, error) {
	m := &modules{}
	if f.dbi.s == nil {
		return m, nil
	}
	part := f.dbi.modules
	b, err := f.dbi.s.bytes(part.at, part.size)
	if err != nil {
		return m, fmt.Errorf("modules: %w", err)
	}
	c := le.NewCursor(b)
	taken := map[uint16]bool{none: true}
	for c.Len() >= moduleHeaderSize && len(m.list) < maxModules {
		at := uint32(c.Pos())
		head := c.Bytes(moduleHeaderSize)
		skipText(c)
		skipText(c)
		c.Skip(-c.Pos() & 3)
		if err := c.Err(); err != nil {
			return m, short(fmt.Sprintf("modules: entry %d", len(m.list)), err)
		}
		mod := f.newModule(len(m.list), part.at+at, head)
		if taken[mod.number] && mod.number != none {
			keep(&err, wrong("modules: entry %d has the stream of another", mod.index))
			mod.number = none
		}
		taken[mod.number] = true
		m.list = append(m.list, mod)
	}
	var bad error
	m.contributions, bad = f.readContributions()
	keep(&err, bad)
	return m, err
}

// newModule decodes MODI (dbi.h).
func (f *File) newModule(index int, at uint32, head []byte) *module {
	m := &module{f: f, index: index, at: at, number: le.U16(head, 0x22),
		symbols: le.U32(head, 0x24), c11: le.U32(head, 0x28), c13: le.U32(head, 0x2c)}
	m.open = sync.OnceValue(func() *stream {
		return f.msf.stream(stream16(m.number), fmt.Sprintf("module %d", index))
	})
	m.code = sync.OnceValues(m.readProcedures)
	m.lines = sync.OnceValues(m.readLines)
	return m
}

func skipText(c *le.Cursor) {
	for c.Err() == nil && c.U8() != 0 {
	}
}

// Versions of the contributions: DBISCImpv in dbi.h.
const (
	contributionsV60 = 0xeffe0000 + 19970605
	contributionsV2  = 0xeffe0000 + 20140516
)

// readContributions decodes the section contributions, sorted by address, as
// linkers write them.
func (f *File) readContributions() ([]contribution, error) {
	part := f.dbi.contributions
	if part.size < 4 {
		return nil, nil
	}
	b, err := f.dbi.s.bytes(part.at, part.size)
	if err != nil {
		return nil, fmt.Errorf("section contributions: %w", err)
	}
	size := 0x1c
	switch le.U32(b, 0) {
	case contributionsV60:
	case contributionsV2:
		size = 0x20
	default:
		return nil, wrong("section contributions: version 0x%x", le.U32(b, 0))
	}
	b = b[4:]
	list := make([]contribution, 0, len(b)/size)
	for ; len(b) >= size; b = b[size:] {
		c := contribution{at: newAddress(le.U16(b, 0), le.U32(b, 4)), size: le.U32(b, 8), module: le.U16(b, 16)}
		if c.size != 0 {
			list = append(list, c)
		}
	}
	byAddress := func(a, b contribution) int { return cmp.Compare(a.at, b.at) }
	if !slices.IsSortedFunc(list, byAddress) {
		slices.SortStableFunc(list, byAddress)
	}
	return list, nil
}

// containing finds the module that contributed the code or data at an address.
func (m *modules) containing(at address) *module {
	i := lastAt(m.contributions, at, func(c contribution) address { return c.at })
	if i < 0 {
		return nil
	}
	c := m.contributions[i]
	if uint64(at-c.at) >= uint64(c.size) || int(c.module) >= len(m.list) {
		return nil
	}
	return m.list[c.module]
}

// Module is an object file that was linked, or the import library of a DLL.
type Module struct {
	Name   string // "C:\src\myfault.obj", "Import:ntoskrnl.exe", "* Linker *"
	Object string // the library it came from; the same as Name if from none
	Files  []string
}

// Modules lists the object files with their source files. What is damaged is
// left off; the error names the first such.
func (f *File) Modules() ([]Module, error) {
	m, err := f.modules()
	files, filesErr := f.fileInfo(len(m.list))
	keep(&err, filesErr)
	var list []Module
	for i, mod := range m.list {
		one, bad := mod.describe()
		if keep(&err, bad); bad != nil {
			continue
		}
		if i < len(files) {
			one.Files = files[i]
		}
		list = append(list, one)
	}
	return list, err
}

func (m *module) describe() (Module, error) {
	at := m.at + moduleHeaderSize
	var one Module
	var err error
	if one.Name, err = m.f.dbi.s.text(at); err != nil {
		return one, fmt.Errorf("module %d: %w", m.index, err)
	}
	// The name as shown may differ in length from the one stored: find its end again.
	for {
		b, err := m.f.dbi.s.bytes(at, 1)
		if err != nil {
			return one, fmt.Errorf("module %d: %w", m.index, err)
		}
		if at++; b[0] == 0 {
			break
		}
	}
	one.Object, err = m.f.dbi.s.text(at)
	return one, err
}

// fileInfo decodes the source files of n modules: two counts, an index and a
// number of files for each module, an offset for each file, then the names. The
// number of files in the header is cut to 16 bits, so the sum is used instead.
func (f *File) fileInfo(n int) ([][]string, error) {
	part := f.dbi.files
	if part.size == 0 || n == 0 {
		return nil, nil
	}
	b, err := f.dbi.s.bytes(part.at, part.size)
	if err != nil {
		return nil, fmt.Errorf("file info: %w", err)
	}
	c := le.NewCursor(b)
	n = min(n, int(c.U16()))
	c.Skip(2 + 2*n)
	counts := make([]int, n)
	total := 0
	for i := range counts {
		counts[i] = int(c.U16())
		total += counts[i]
	}
	offsets := le.NewCursor(c.Bytes(c.Count(uint64(total), 4) * 4))
	if err := c.Err(); err != nil {
		return nil, short("file info", err)
	}
	return filesOf(counts, offsets, c.Bytes(c.Len()))
}

// filesOf cuts the names out; one text serves all modules that have the file.
func filesOf(counts []int, offsets *le.Cursor, texts []byte) (files [][]string, err error) {
	known := map[uint32]string{}
	left := len(texts)
	files = make([][]string, len(counts))
	for i, n := range counts {
		for range n {
			at := offsets.U32()
			text, ok := known[at]
			if !ok {
				if at >= uint32(len(texts)) {
					keep(&err, wrong("file info: module %d: a name at 0x%x of 0x%x", i, at, len(texts)))
					continue
				}
				raw, _, _ := bytes.Cut(texts[at:], []byte{0})
				if left -= len(raw); left < 0 {
					return files, wrong("file info: the names lie in each other")
				}
				text = name(raw[:min(len(raw), maxPath)])
				known[at] = text
			}
			files[i] = append(files[i], text)
		}
	}
	return files, err
}

// maxPath bounds the name of a source file; Windows has no longer ones.
const maxPath = 1 << 15

// keep stores the first error of a walk that goes on.
func keep(first *error, err error) {
	if *first == nil {
		*first = err
	}
}
