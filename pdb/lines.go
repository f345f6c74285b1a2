package pdb

import (
	"cmp"
	"fmt"
	"slices"

	"bugcheck/internal/le"
)

// Location is a function that was running at an address, and the line there.
type Location struct {
	Function string // as stored: qualified, without parameters
	File     string // "": not known
	Line     uint32 // 0: not known
	Inline   bool   // the compiler put this function into the next one
}

// The line tables of a module, called C13: parts of {kind (4), size (4), data},
// each padded to four bytes. Source: DEBUG_S_SUBSECTION_TYPE and CV_DebugSLines*
// in cvinfo.h.
const (
	partIgnored     = 0x80000000
	partLines       = 0xf2
	partChecksums   = 0xf4
	partFrameData   = 0xf5
	partInlinees    = 0xf6
	linesHeader     = 0xc
	blockHeader     = 0xc
	lineSize        = 8
	inlineeSize     = 12
	inlineesExtra   = 1 // entries have more files
	lineMask        = 0xffffff
	lineHidden      = 0xfeefee // code that no line stands for
	lineHiddenToo   = 0xf00f00
	haveColumns     = 1
	columnSize      = 4
	maxSameTables   = 256     // tables of one address that are compared
	maxBlocksOfFile = 1 << 16 // blocks of one table: a new one begins where the file changes
)

// lineTables are the parts of a module's line tables.
type lineTables struct {
	s         *stream
	tables    []lineTable // sorted by address
	checksums part
	inlinees  []inlinee // sorted by id
	frames    []part
}

// lineTable is where the lines of a stretch of code lie, mostly of a function.
type lineTable struct {
	at     address
	size   uint32 // of the code, bytes
	blocks part   // in the module's stream
	flags  uint16
}

// inlinee is where a function begins that was inlined.
type inlinee struct {
	id   TypeIndex
	file uint32 // offset in the checksums
	line uint32
}

// readLines finds the parts. What is damaged is left off, with an error.
func (m *module) readLines() (*lineTables, error) {
	t := &lineTables{s: m.open()}
	at := uint64(m.symbols) + uint64(m.c11)
	end := at + uint64(m.c13)
	if m.c13 == 0 || t.s == nil {
		return t, nil
	}
	if end > uint64(t.s.size) {
		return t, wrong("%s: %d bytes of lines do not fit", t.s.name, m.c13)
	}
	var err error
	for at+8 <= end {
		head, bad := t.s.bytes(uint32(at), 8)
		if bad != nil {
			return t.sorted(), fmt.Errorf("lines: %w", bad)
		}
		p := part{uint32(at) + 8, le.U32(head, 4)}
		if at += 8 + (uint64(p.size)+3)&^3; uint64(p.at)+uint64(p.size) > end {
			return t.sorted(), wrong("%s: part of %d bytes of lines at 0x%x", t.s.name, p.size, p.at)
		}
		keep(&err, t.add(le.U32(head, 0), p))
	}
	return t.sorted(), err
}

// add takes note of one part.
func (t *lineTables) add(kind uint32, p part) error {
	switch kind {
	case partChecksums:
		t.checksums = p
	case partFrameData:
		t.frames = append(t.frames, p)
	case partLines:
		b, err := t.s.bytes(p.at, min(p.size, linesHeader))
		if err != nil || len(b) < linesHeader {
			return wrong("%s: lines at 0x%x", t.s.name, p.at)
		}
		t.tables = append(t.tables, lineTable{newAddress(le.U16(b, 4), le.U32(b, 0)), le.U32(b, 8),
			part{p.at + linesHeader, p.size - linesHeader}, le.U16(b, 6)})
	case partInlinees:
		return t.addInlinees(p)
	}
	return nil
}

func (t *lineTables) addInlinees(p part) error {
	b, err := t.s.bytes(p.at, p.size)
	if err != nil {
		return err
	}
	c := le.NewCursor(b)
	extra := c.U32()&inlineesExtra != 0
	for c.Len() >= inlineeSize && c.Err() == nil {
		t.inlinees = append(t.inlinees, inlinee{TypeIndex(c.U32()), c.U32(), c.U32()})
		if extra {
			c.Skip(4 * c.Count(uint64(c.U32()), 4))
		}
	}
	return short(t.s.name+": inlined functions", c.Err())
}

func (t *lineTables) sorted() *lineTables {
	slices.SortStableFunc(t.tables, func(a, b lineTable) int { return cmp.Compare(a.at, b.at) })
	slices.SortStableFunc(t.inlinees, func(a, b inlinee) int { return cmp.Compare(a.id, b.id) })
	return t
}

// Lines says which functions were running at an address: the innermost first,
// functions that the compiler put into another before that other; the last one
// is the function itself. Nothing if no private symbols tell. What could be
// read is returned beside an error.
func (f *File) Lines(rva uint32) ([]Location, error) {
	at, ok := f.address(rva)
	if !ok {
		return nil, nil
	}
	modules, err := f.modules()
	mod := modules.containing(at)
	if mod == nil {
		return nil, err
	}
	tables, linesErr := mod.lines()
	code, codeErr := mod.code()
	keep(&err, linesErr)
	keep(&err, codeErr)
	p, inside := code.containing(at)
	own, found, bad := tables.line(f, at, p.size)
	keep(&err, bad)
	var list []Location
	if inside {
		r, bad := code.s.record(p.record)
		keep(&err, bad)
		if place, ok := locate(r); ok {
			own.Function, found = name(place.name), true
		}
		list, bad = tables.inlined(f, r, mod.symbols, uint32(at-p.at))
		keep(&err, bad)
	} else if public, ok := f.publicAt(at); ok {
		own.Function = name(public.name)
	}
	if !found {
		return nil, err
	}
	return append(list, own), err
}

// containing finds the table of an address. Those of functions that the linker
// left out stay, at the address of the one it kept (seen in the C runtime for
// ARM64): that one has as many bytes as the procedure.
func (t *lineTables) containing(at address, size uint32) (found lineTable, ok bool) {
	i := lastAt(t.tables, at, func(l lineTable) address { return l.at })
	if i < 0 {
		return found, false
	}
	begin := t.tables[i].at
	for _, l := range t.tables[i:min(i+maxSameTables, len(t.tables))] {
		if l.at != begin {
			break
		}
		if uint64(at-begin) < uint64(l.size) && (!ok || l.size == size) {
			found, ok = l, true
		}
	}
	return found, ok
}

// line finds the line of an address, in a procedure of size bytes: the last line
// that begins at or before it.
func (t *lineTables) line(f *File, at address, size uint32) (l Location, found bool, err error) {
	table, ok := t.containing(at, size)
	if !ok {
		return l, false, nil
	}
	var best struct{ file, offset, line uint32 }
	err = t.each(table, func(file, offset, line uint32) {
		if offset <= uint32(at-table.at) && (!found || offset >= best.offset) {
			best.file, best.offset, best.line, found = file, offset, line, true
		}
	})
	if !found {
		return l, false, err
	}
	l.Line = best.line
	if best.line == lineHidden || best.line == lineHiddenToo {
		l.Line = 0
	}
	var bad error
	l.File, bad = t.fileName(f, best.file)
	keep(&err, bad)
	return l, true, err
}

// each calls use with each line of a table: the offset of its file in the
// checksums, the offset of its code in the table's.
func (t *lineTables) each(l lineTable, use func(file, offset, line uint32)) error {
	b, err := t.s.bytes(l.blocks.at, l.blocks.size)
	if err != nil {
		return err
	}
	c := le.NewCursor(b)
	for range maxBlocksOfFile {
		if c.Len() < blockHeader || c.Err() != nil {
			break
		}
		file, n, size := c.U32(), c.U32(), c.U32()
		block := le.NewCursor(c.Bytes(int(max(size, blockHeader)) - blockHeader))
		for range block.Count(uint64(n), lineSize) {
			offset, flags := block.U32(), block.U32()
			use(file, offset, flags&lineMask)
		}
		if err := block.Err(); err != nil && c.Err() == nil {
			return short(t.s.name+": lines", err)
		}
	}
	return short(t.s.name+": lines", c.Err())
}

// fileName is the source file at an offset of the checksums, whose entries are
// {name (4), size (1), kind (1), checksum}, padded to four bytes.
func (t *lineTables) fileName(f *File, off uint32) (string, error) {
	if uint64(off)+4 > uint64(t.checksums.size) {
		return "", wrong("%s: no source file at 0x%x", t.s.name, off)
	}
	at, err := t.s.u32(t.checksums.at + off)
	if err != nil {
		return "", err
	}
	return f.nameAt(at)
}

// Line is one entry of a line table.
type Line struct {
	RVA  uint32 // where the code of the line begins
	File string
	Line uint32
}

// LineTable lists all entries of all line tables, in the order of the modules.
// What is damaged is left off; the error names the first such.
func (f *File) LineTable() ([]Line, error) {
	m, err := f.modules()
	var list []Line
	left := f.msf.size() // of text
	for _, mod := range m.list {
		tables, bad := mod.lines()
		keep(&err, bad)
		files := map[uint32]string{}
		for _, table := range tables.tables {
			keep(&err, tables.each(table, func(file, offset, line uint32) {
				text, ok := files[file]
				if !ok && left >= 0 {
					text, bad = tables.fileName(f, file)
					keep(&err, bad)
					files[file] = text
					left -= int64(len(text))
				}
				rva, _ := f.rva(table.at + address(offset))
				list = append(list, Line{rva, text, line})
			}))
		}
	}
	if left < 0 {
		keep(&err, wrong("the names of the source files together are longer than the PDB"))
	}
	return list, err
}
