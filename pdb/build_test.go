package pdb_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"bugcheck/pdb"
)

var order = binary.LittleEndian

func u16(v ...uint16) (b []byte) {
	for _, v := range v {
		b = order.AppendUint16(b, v)
	}
	return b
}

func u32(v ...uint32) (b []byte) {
	for _, v := range v {
		b = order.AppendUint32(b, v)
	}
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func pad(b []byte, to int) []byte { return append(b, make([]byte, -len(b)&(to-1))...) }

// container writes streams as MSF 7.00; a nil stream is absent.
type container struct {
	pageSize int
	spread   bool // no two pages of a stream lie side by side
	file     []byte
	next     int
}

// page takes a page; those of the free page map are passed over.
func (c *container) page(b []byte) uint32 {
	for c.next%c.pageSize == 1 || c.next%c.pageSize == 2 {
		c.next++
	}
	n := c.next
	c.next++
	if c.spread {
		c.next++
	}
	if need := c.next * c.pageSize; len(c.file) < need {
		c.file = append(c.file, make([]byte, need-len(c.file))...)
	}
	copy(c.file[n*c.pageSize:], b)
	return uint32(n)
}

func (c *container) pages(b []byte) (list []uint32) {
	for chunk := range slices.Chunk(b, c.pageSize) {
		list = append(list, c.page(chunk))
	}
	return list
}

// write lays the streams out; it returns the file.
func (c *container) write(streams [][]byte) []byte {
	c.next = 3
	sizes := make([]uint32, len(streams))
	var lists []uint32
	for i, s := range streams {
		sizes[i] = uint32(len(s))
		if s == nil {
			sizes[i] = 0xffffffff
		}
		lists = append(lists, c.pages(s)...)
	}
	dir := join(u32(uint32(len(streams))), u32(sizes...), u32(lists...))
	dirPages := c.pages(dir)
	mapPages := c.pages(u32(dirPages...))
	head := join([]byte("Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00"),
		u32(uint32(c.pageSize), 1, uint32(len(c.file)/c.pageSize), uint32(len(dir)), 0), u32(mapPages...))
	copy(c.file, head)
	return c.file
}

// public is a public symbol of a synthetic PDB.
type public struct {
	name    string
	section uint16
	offset  uint32
	flags   uint32
}

// book is a synthetic PDB.
type book struct {
	machine    uint16
	age        uint32
	features   []uint32
	publics    []public
	records    []byte // of globals, behind those of publics
	sections   [][2]uint32
	original   [][2]uint32
	toSource   []uint32 // pairs
	fromSource []uint32
	types      [][]byte // kind and data
	typeHash   bool
	ids        [][]byte
	symbols    []byte // of the one module, behind the signature
	c13        []byte
	size       uint32 // of the code of the module, from 1:0
	names      []byte // of /names
	fpo, frame []byte
	oldNames   bool // S_PUB32_ST
	noHash     bool
	copies     int // of the module, more than one
}

// The numbers of the streams of a book.
const (
	sInfo = 1 + iota
	sTPI
	sDBI
	sIPI
	sNames
	sPublics
	sGlobals
	sRecords
	sSections
	sTypeHash
	sModule
	sFPO
	sFrame
	sToSource
	sFromSource
	sOriginal
	sCount
)

func record(kind uint16, data ...[]byte) []byte {
	b := join(data...)
	b = append(b, make([]byte, -(len(b))&3)...)
	return join(u16(uint16(len(b)+2), kind), b)
}

func text(s string) []byte { return append([]byte(s), 0) }

// streams makes the streams of a book.
func (b book) streams() [][]byte {
	s := make([][]byte, sCount)
	s[0] = []byte{}
	s[sInfo] = b.info()
	s[sTPI], s[sTypeHash] = typeStream(b.types, b.typeHash)
	s[sIPI], _ = typeStream(b.ids, false)
	s[sNames] = join(u32(0xeffeeffe, 1, uint32(len(b.names))), b.names, u32(0, 0))
	s[sPublics], s[sGlobals], s[sRecords] = b.symbolStreams()
	s[sSections] = headers(b.sections)
	s[sModule] = join(u32(4), b.symbols, b.c13, u32(0))
	s[sFPO], s[sFrame] = b.fpo, b.frame
	if b.original != nil {
		s[sOriginal], s[sToSource], s[sFromSource] = headers(b.original), u32(b.toSource...), u32(b.fromSource...)
	}
	s[sDBI] = b.dbi()
	return s
}

func (b book) write(pageSize int) []byte {
	return (&container{pageSize: pageSize}).write(b.streams())
}

var guid = []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}

const key = "00112233445566778899AABBCCDDEEFF"

func (b book) info() []byte {
	return join(u32(20000404, 0x5f000000, b.age+7), guid,
		u32(7), text("/names"), u32(1, 1, 1, 1, 0, 0, sNames), u32(0), u32(b.features...))
}

// typeStream writes a type stream, and its hash stream.
func typeStream(types [][]byte, hashed bool) (stream, hash []byte) {
	var records []byte
	var marks []uint32
	var hashes []byte
	for i, t := range types {
		if i%16 == 0 {
			marks = append(marks, 0x1000+uint32(i), uint32(len(records)))
		}
		records = append(records, record(order.Uint16(t), t[2:])...)
		hashes = append(hashes, u32(hashOf(typeName(t))%0x1000)...)
	}
	number := uint16(0xffff)
	if hashed {
		number = sTypeHash
		hash = join(hashes, u32(marks...))
	}
	head := join(u32(20040203, 56, 0x1000, 0x1000+uint32(len(types)), uint32(len(records))), u16(number, 0xffff),
		u32(4, 0x1000, 0, uint32(len(hashes)), uint32(len(hashes)), uint32(4*len(marks)), 0, 0))
	return join(head, records), hash
}

// typeName cuts the name out of a structure that structure wrote.
func typeName(t []byte) string {
	at := map[uint16]int{0x1505: 20, 0x1507: 14}[order.Uint16(t)]
	if at == 0 {
		return ""
	}
	name, _, _ := bytes.Cut(t[at:], []byte{0})
	return string(name)
}

func hashOf(name string) uint32 {
	var h uint32
	b := []byte(name)
	for ; len(b) >= 4; b = b[4:] {
		h ^= order.Uint32(b)
	}
	if len(b) >= 2 {
		h ^= uint32(order.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		h ^= uint32(b[0])
	}
	h |= 0x20202020
	h ^= h >> 11
	return h ^ h>>16
}

// structure writes LF_STRUCTURE; properties 0x80 is a forward reference.
func structure(name string, fields uint32, size uint16, properties uint16) []byte {
	return join(u16(0x1505, 1, properties), u32(fields, 0, 0), u16(size), text(name))
}

func member(name string, typ uint32, offset uint16) []byte {
	return fill(join(u16(0x150d, 3), u32(typ), u16(offset), text(name)))
}

// fill pads an entry of a field list.
func fill(b []byte) []byte {
	for n := -len(b) & 3; n > 0; n-- {
		b = append(b, 0xf0|byte(n))
	}
	return b
}

func headers(sections [][2]uint32) []byte {
	var b []byte
	for _, s := range sections {
		b = append(b, join(make([]byte, 8), u32(s[1], s[0], s[1], 0x400, 0, 0, 0, 0x60000020))...)
	}
	return b
}

// symbolStreams writes the publics, the globals and the records of both.
func (b book) symbolStreams() (publics, globals, records []byte) {
	var offsets, addresses []uint32
	sorted := slices.Clone(b.publics)
	slices.SortStableFunc(sorted, func(a, b public) int {
		return cmpPair(uint32(a.section), a.offset, uint32(b.section), b.offset)
	})
	var names []string
	for _, p := range sorted {
		addresses = append(addresses, uint32(len(records)))
		offsets = append(offsets, uint32(len(records)))
		names = append(names, p.name)
		if b.oldNames {
			records = append(records, record(0x1009, u32(p.flags, p.offset), u16(p.section), []byte{byte(len(p.name))}, []byte(p.name))...)
		} else {
			records = append(records, record(0x110e, u32(p.flags, p.offset), u16(p.section), text(p.name))...)
		}
	}
	hash := b.hash(names, offsets)
	publics = join(u32(uint32(len(hash)), uint32(4*len(addresses)), 0, 0, 0, 0, 0), hash, u32(addresses...))
	offsets, names = nil, nil
	for rest := b.records; len(rest) > 0; {
		n := int(order.Uint16(rest)) + 2
		offsets = append(offsets, uint32(len(records)+len(b.records)-len(rest)))
		at := 14 // of the name, in the records that tests use
		name, _, _ := bytes.Cut(rest[at:n], []byte{0})
		names = append(names, string(name))
		rest = rest[n:]
	}
	return publics, b.hash(names, offsets), append(records, b.records...)
}

func cmpPair(a, b, c, d uint32) int {
	if a != c {
		return int(a) - int(c)
	}
	return int(b) - int(d)
}

// hash writes the hash of some names.
func (b book) hash(names []string, offsets []uint32) []byte {
	n := uint32(4096)
	if slices.Contains(b.features, 0x494e494d) {
		n = 0x3ffff
	}
	if b.noHash {
		return join(u32(0xffffffff, 0xeffe0000+19990810, 0, 0))
	}
	buckets := make([][]uint32, n)
	for i, name := range names {
		at := hashOf(name) % n
		buckets[at] = append(buckets[at], offsets[i])
	}
	present := make([]uint32, n/32+1)
	var starts []uint32
	var entries []byte
	for i, list := range buckets {
		if len(list) > 0 {
			present[i/32] |= 1 << (i % 32)
			starts = append(starts, uint32(len(entries)/8*12))
		}
		for _, off := range list {
			entries = append(entries, u32(off+1, 1)...)
		}
	}
	return join(u32(0xffffffff, 0xeffe0000+19990810, uint32(len(entries)), uint32(4*len(present)+4*len(starts))), entries, u32(present...), u32(starts...))
}

func (b book) dbi() []byte {
	module := pad(join(u32(0), u16(1, 0), u32(0, b.size, 0x60000020), u16(0, 0), u32(0, 0), u16(0, sModule),
		u32(uint32(4+len(b.symbols)), 0, uint32(len(b.c13))), u16(0, 0), u32(0, 0, 0), text("a.obj"), text("a.lib")), 4)
	module = bytes.Repeat(module, 1+b.copies)
	contributions := join(u32(0xeffe0000+19970605), u16(1, 0), u32(0, b.size, 0x60000020), u16(0, 0), u32(0, 0))
	files := join(u16(1, 1, 0, 1), u32(0), text("a.c"))
	files = pad(files, 4)
	debug := make([]uint16, 11)
	for i := range debug {
		debug[i] = 0xffff
	}
	debug[5] = sSections
	if b.fpo != nil {
		debug[0] = sFPO
	}
	if b.frame != nil {
		debug[9] = sFrame
	}
	if b.original != nil {
		debug[3], debug[4], debug[10] = sToSource, sFromSource, sOriginal
	}
	head := join(u32(0xffffffff, 19990903, b.age), u16(sGlobals, 0x8e0b, sPublics, 0, sRecords, 0),
		u32(uint32(len(module)), uint32(len(contributions)), 0, uint32(len(files)), 0, 0, uint32(2*len(debug)), 0), u16(0, b.machine), u32(0))
	return join(head, module, contributions, files, u16(debug...))
}

func openBytes(t testing.TB, b []byte) *pdb.File {
	t.Helper()
	f, err := pdb.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
