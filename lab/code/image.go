package code

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
)

var le = binary.LittleEndian

// Section is one section of an image.
type Section struct {
	Name            string
	RVA, Size       uint32 // in memory; Size is not rounded
	Characteristics uint32 // IMAGE_SCN_ bits: what its pages allow

	offset, raw uint32 // in the file
}

type directory struct{ rva, size uint32 }

// Of the directories of the optional header, winnt.h.
const (
	importDirectory    = 1
	exceptionDirectory = 3
	relocDirectory     = 5
	debugDirectory     = 6
)

// The machines of the file header, winnt.h.
const (
	machineX64   = 0x8664
	machineARM64 = 0xaa64
)

var errCut = errors.New("its file is cut")

// at returns the bytes of the file from an RVA on, to the end of the section.
func (i *Image) at(rva uint32) []byte {
	for _, s := range i.Sections {
		if rva >= s.RVA && rva-s.RVA < s.raw {
			return i.File[s.offset+rva-s.RVA : s.offset+s.raw]
		}
	}
	return nil
}

// readHeaders reads the file header, the optional header of 64-bit images and
// the section table; winnt.h.
func (i *Image) readHeaders() error {
	b := i.File
	if len(b) < 0x400 {
		return errCut
	}
	pe := int(le.Uint32(b[0x3c:]))
	if pe > len(b)-0x200 || !bytes.Equal(b[pe:pe+4], []byte("PE\x00\x00")) {
		return errors.New("it has no PE header")
	}
	i.Machine = le.Uint16(b[pe+4:])
	i.Timestamp = le.Uint32(b[pe+8:])
	o := b[pe+24:]
	i.Entry, i.Preferred = le.Uint32(o[0x10:]), le.Uint64(o[0x18:])
	i.Size, i.headers, i.Checksum = le.Uint32(o[0x38:]), le.Uint32(o[0x3c:]), le.Uint32(o[0x40:])
	for n := range i.directories {
		i.directories[n] = directory{le.Uint32(o[0x70+8*n:]), le.Uint32(o[0x74+8*n:])}
	}
	table := o[le.Uint16(b[pe+20:]):]
	for n := range int(le.Uint16(b[pe+6:])) {
		s := table[40*n : 40*n+40]
		section := Section{
			Name: string(bytes.TrimRight(s[:8], "\x00")), Size: le.Uint32(s[8:]), RVA: le.Uint32(s[12:]),
			raw: le.Uint32(s[16:]), offset: le.Uint32(s[20:]), Characteristics: le.Uint32(s[36:]),
		}
		if uint64(section.offset)+uint64(section.raw) > uint64(len(b)) {
			return errCut
		}
		i.Sections = append(i.Sections, section)
	}
	return i.readDebug()
}

// readDebug finds the name of the symbol file in the RSDS record, which begins
// with the signature, a GUID and an age.
func (i *Image) readDebug() error {
	d := i.directories[debugDirectory]
	for b := i.at(d.rva); d.size >= 28 && len(b) >= 28; b, d.size = b[28:], d.size-28 {
		if le.Uint32(b[12:]) != 2 { // IMAGE_DEBUG_TYPE_CODEVIEW
			continue
		}
		r := i.at(le.Uint32(b[20:]))
		if len(r) < 25 || !bytes.Equal(r[:4], []byte("RSDS")) {
			break
		}
		name, _, _ := bytes.Cut(r[24:], []byte{0})
		i.PDBName = string(name)
		i.PDBKey = fmt.Sprintf("%08X%04X%04X%X%x", le.Uint32(r[4:]), le.Uint16(r[8:]), le.Uint16(r[10:]), r[12:20], le.Uint32(r[20:]))
		return nil
	}
	return errors.New("it names no symbol file")
}

// Mapped is the image as the loader lays it at base: headers and sections at
// their RVAs, relocated, its imports bound to what resolve says; nil binds them
// to 0. The result has Size bytes. A kernel keeps discardable sections only
// while it starts; Sections says which they are.
func (i *Image) Mapped(base uint64, resolve func(dll, symbol string) uint64) ([]byte, error) {
	m := make([]byte, i.Size)
	copy(m, i.File[:min(int(i.headers), len(i.File))])
	for _, s := range i.Sections {
		if uint64(s.RVA)+uint64(s.raw) > uint64(len(m)) {
			return nil, fmt.Errorf("section %s of %s lies behind its end", s.Name, i.Name)
		}
		copy(m[s.RVA:], i.File[s.offset:s.offset+min(s.raw, s.Size)])
	}
	pe := le.Uint32(m[0x3c:])
	le.PutUint64(m[pe+24+0x18:], base) // the loader writes ImageBase
	if err := i.relocate(m, base-i.Preferred); err != nil {
		return nil, err
	}
	return m, i.bind(m, resolve)
}

// relocate applies the blocks of base relocations, each of a page: its RVA, the
// block's size, entries of 4 bits of kind and 12 of offset. Only DIR64 (10) moves
// anything in images of 64 bits.
func (i *Image) relocate(m []byte, delta uint64) error {
	d := i.directories[relocDirectory]
	b := m[d.rva : d.rva+d.size]
	for len(b) >= 8 {
		page, size := le.Uint32(b), int(le.Uint32(b[4:]))
		if size < 8 || size > len(b) {
			return fmt.Errorf("relocations of %s: a block of %d bytes", i.Name, size)
		}
		for e := b[8:size]; len(e) >= 2; e = e[2:] {
			if v := le.Uint16(e); v>>12 == 10 {
				at := m[page+uint32(v&0xfff):]
				le.PutUint64(at, le.Uint64(at)+delta)
			}
		}
		b = b[size:]
	}
	return nil
}

// bind writes the addresses of imports. A descriptor has 20 bytes: the table of
// names, the name of the DLL at 12, the table of addresses at 16; an entry of a
// table of names is the RVA of a hint (2 bytes) and a name.
func (i *Image) bind(m []byte, resolve func(dll, symbol string) uint64) error {
	d := i.directories[importDirectory]
	for at := d.rva; at+20 <= d.rva+d.size; at += 20 {
		names, dll, slots := le.Uint32(m[at:]), le.Uint32(m[at+12:]), le.Uint32(m[at+16:])
		if names == 0 || dll == 0 {
			return nil
		}
		for ; le.Uint64(m[names:]) != 0; names, slots = names+8, slots+8 {
			entry := le.Uint64(m[names:])
			if entry>>63 != 0 {
				return fmt.Errorf("imports of %s: one by number", i.Name)
			}
			v := uint64(0)
			if resolve != nil {
				v = resolve(text(m[dll:]), text(m[entry+2:]))
			}
			le.PutUint64(m[slots:], v)
		}
	}
	return nil
}

func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// function is an entry of the function table.
type function struct {
	begin, end uint32
	unwind     uint32 // RVA of UNWIND_INFO or of the .xdata record; 0: packed
	packed     uint32 // ARM64
}

// readFunctions reads .pdata: on x64 RUNTIME_FUNCTION (begin, end, unwind); on
// ARM64 begin and either packed unwind data or the RVA of a record, whose low 18
// bits are the length in instructions.
func (i *Image) readFunctions() error {
	d := i.directories[exceptionDirectory]
	b := i.at(d.rva)
	if len(b) < int(d.size) {
		return errCut
	}
	b = b[:d.size]
	for size := i.entrySize(); len(b) >= size; b = b[size:] {
		f := function{begin: le.Uint32(b)}
		if i.Machine == machineX64 {
			f.end, f.unwind = le.Uint32(b[4:]), le.Uint32(b[8:])
		} else if v := le.Uint32(b[4:]); v&3 != 0 {
			f.packed, f.end = v, f.begin+v>>2&0x7ff*4
		} else {
			x := i.at(v)
			if len(x) < 4 {
				return errCut
			}
			f.unwind, f.end = v, f.begin+le.Uint32(x)&0x3ffff*4
		}
		i.functions = append(i.functions, f)
	}
	return nil
}

func (i *Image) entrySize() int {
	if i.Machine == machineX64 {
		return 12
	}
	return 8
}

// function finds the entry of the function table that an RVA lies in.
func (i *Image) function(rva uint32) (function, bool) {
	n := sort.Search(len(i.functions), func(k int) bool { return i.functions[k].begin > rva })
	if n == 0 || rva >= i.functions[n-1].end {
		return function{}, false
	}
	return i.functions[n-1], true
}
