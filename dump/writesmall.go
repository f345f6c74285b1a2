package dump

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// Small is a 64-bit small dump to be written: what WriteSmall puts into the file.
// Addresses are those of the crashed machine.
type Small struct {
	Header   []byte // DUMP_HEADER64 of the dump that it is made from
	Drivers  []Driver
	Unloaded []Unloaded
	Blocks   Blocks // Stack and StackTop, PRCB, Process, Thread, DebuggerData, BrokenDriver
	Captured []Captured
	Tagged   []Tagged
}

// Captured is a piece of memory that a small dump keeps.
type Captured struct {
	Address mem.VA
	Data    []byte
}

// maxSmall bounds what WriteSmall makes, bytes: offsets in a small dump have 32 bits,
// and Windows' own are a few MiB.
const maxSmall = 512 << 20

// Where a TRIAGE_DUMP64 keeps what, as decodeTriage reads it.
const (
	triageSize         = 0x04
	triageValid        = 0x08
	triageContext      = 0x0c
	triageMemory       = 0x14
	triageUnloaded     = 0x18
	triagePRCB         = 0x1c
	triageProcess      = 0x20
	triageThread       = 0x24
	triageStack        = 0x28
	triageDrivers      = 0x30
	triageStrings      = 0x38
	triageBroken       = 0x40
	triageOptions      = 0x44
	triageTop          = 0x48
	triageDebuggerData = 0x70
	triageBlocks       = 0x78
	triageDirectory    = 0x80 // bytes of it
)

// optionsFull is the TriageOptions of a dump that was made out of a larger one.
const optionsFull = 0xffffffff

// WriteSmall writes a small dump in the layout that Windows makes when it converts a
// larger dump, which debuggers read (docs/formats/small-dump.md).
func WriteSmall(w io.Writer, s Small) error {
	b, err := s.bytes()
	if err != nil {
		return fmt.Errorf("small dump: %w", err)
	}
	_, err = w.Write(b)
	return err
}

func (s Small) bytes() ([]byte, error) {
	if len(s.Header) < header64Size {
		return nil, errors.New("there is no 64-bit header to begin with")
	}
	size := len(s.Blocks.Stack)
	for _, c := range s.Captured {
		size += len(c.Data)
	}
	if size > maxSmall {
		return nil, fmt.Errorf("%d bytes of memory are more than a small dump holds", size)
	}
	o := &smallFile{b: append([]byte(nil), s.Header[:header64Size]...)}
	o.b = append(o.b, make([]byte, triageDirectory)...)
	o.header()
	o.part(triageMemory, memoryHead())
	o.part(triageUnloaded, unloadedList(s.Unloaded))
	o.part(triagePRCB, s.Blocks.PRCB)
	o.part(triageProcess, s.Blocks.Process)
	o.part(triageThread, s.Blocks.Thread)
	o.part(triageStack, s.Blocks.Stack)
	o.word(triageStack+4, uint32(len(s.Blocks.Stack)))
	binary.LittleEndian.PutUint64(o.b[header64Size+triageTop:], uint64(s.Blocks.StackTop))
	o.part(triageDebuggerData, s.Blocks.DebuggerData)
	o.word(triageDebuggerData+4, uint32(len(s.Blocks.DebuggerData)))
	o.drivers(s.Drivers, s.Blocks.BrokenDriver)
	o.blocks(s.Captured)
	o.finish()
	o.tagged(s.Tagged)
	binary.LittleEndian.PutUint64(o.b[0xfa0:], uint64(len(o.b))) // RequiredDumpSpace
	return o.b, nil
}

// smallFile is the file in the making.
type smallFile struct{ b []byte }

// header makes the header that of a small dump.
func (o *smallFile) header() {
	binary.LittleEndian.PutUint32(o.b[0xf98:], 4)      // DumpType
	binary.LittleEndian.PutUint32(o.b[0x1038:], 0xcff) // MiniDumpFields, as converted dumps have it
	if le.U32(o.b, 0x1050) != unset {
		binary.LittleEndian.PutUint32(o.b[0x1050:], le.U32(o.b, 0x1050)&^attrInsufficient)
	}
	o.word(triageContext, 0x348)
	o.word(triageContext+4, 0xf00)
	o.word(triageOptions, optionsFull)
}

// word sets a field of the directory.
func (o *smallFile) word(field int, v uint32) {
	binary.LittleEndian.PutUint32(o.b[header64Size+field:], v)
}

func (o *smallFile) align() {
	for len(o.b)%8 != 0 {
		o.b = append(o.b, 0)
	}
}

// part adds bytes that a field of the directory points to; none: the field stays 0.
func (o *smallFile) part(field int, data []byte) {
	if len(data) == 0 {
		return
	}
	o.align()
	o.word(field, uint32(len(o.b)))
	o.b = append(o.b, data...)
}

// memoryHead is a DUMP_MM_STORAGE64 that knows nothing, as converted dumps have it.
func memoryHead() []byte {
	b := make([]byte, mmSize64)
	binary.LittleEndian.PutUint32(b, 1)
	binary.LittleEndian.PutUint32(b[4:], mmSize64)
	return b
}

func unloadedList(list []Unloaded) []byte {
	e := X64.entries()
	list = list[:min(len(list), maxUnloaded)]
	b := make([]byte, e.unloadedHead+uint64(len(list))*e.unloaded)
	binary.LittleEndian.PutUint64(b, uint64(len(list)))
	for i, u := range list {
		at := b[e.unloadedHead+uint64(i)*e.unloaded:]
		name := encodeUTF16(u.Name)
		name = name[:min(len(name), 24)]
		binary.LittleEndian.PutUint16(at, uint16(len(name)))
		binary.LittleEndian.PutUint16(at[2:], uint16(len(name)))
		copy(at[0x10:], name)
		binary.LittleEndian.PutUint64(at[0x28:], uint64(u.Start))
		binary.LittleEndian.PutUint64(at[0x30:], uint64(u.End))
	}
	return b
}

func encodeUTF16(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// drivers adds the driver list and the pool of their names, that of the driver which
// Windows itself names at its end.
func (o *smallFile) drivers(list []Driver, broken string) {
	list = list[:min(len(list), maxDrivers)]
	size := int(X64.entries().driver)
	o.align()
	at := len(o.b)
	o.word(triageDrivers, uint32(at))
	o.word(triageDrivers+4, uint32(len(list)))
	o.b = append(o.b, make([]byte, size*len(list))...)
	pool := len(o.b)
	for i, d := range list {
		name := d.Path
		if name == "" {
			name = d.Name
		}
		place := o.name(name) // moves o.b
		binary.LittleEndian.PutUint32(o.b[at+i*size:], place)
		driverEntry(o.b[at+i*size:], d)
	}
	if broken != "" {
		o.word(triageBroken, o.name(broken))
	}
	o.word(triageStrings, uint32(pool))
	o.word(triageStrings+4, uint32(len(o.b)-pool))
}

// name adds a name to the pool and returns its place.
func (o *smallFile) name(s string) uint32 {
	o.align()
	at := uint32(len(o.b))
	text := encodeUTF16(s)
	text = text[:min(len(text), maxName)]
	o.b = binary.LittleEndian.AppendUint32(o.b, uint32(len(text)/2))
	o.b = append(append(o.b, text...), 0, 0)
	return at
}

// driverEntry writes what driver reads.
func driverEntry(b []byte, d Driver) {
	binary.LittleEndian.PutUint64(b[0x18:], uint64(d.ExceptionTable))
	binary.LittleEndian.PutUint32(b[0x20:], d.ExceptionSize)
	binary.LittleEndian.PutUint64(b[0x38:], uint64(d.Base))
	binary.LittleEndian.PutUint64(b[0x40:], uint64(d.EntryPoint))
	binary.LittleEndian.PutUint32(b[0x48:], uint32(d.Size))
	if d.Verified {
		binary.LittleEndian.PutUint32(b[0x70:], imageVerifying)
	}
	binary.LittleEndian.PutUint32(b[0x80:], d.Checksum)
	binary.LittleEndian.PutUint32(b[0x88:], d.Timestamp)
}

// blocks adds the list of data blocks, and the blocks.
func (o *smallFile) blocks(list []Captured) {
	list = list[:min(len(list), maxBlocks)]
	o.align()
	at := len(o.b)
	o.word(triageBlocks, uint32(at))
	o.word(triageBlocks+4, uint32(len(list)))
	o.b = append(o.b, make([]byte, blockSize*len(list))...)
	for i, c := range list {
		e := o.b[at+i*blockSize:] // before o.b moves
		binary.LittleEndian.PutUint64(e, uint64(c.Address))
		binary.LittleEndian.PutUint32(e[8:], uint32(len(o.b)))
		binary.LittleEndian.PutUint32(e[0xc:], uint32(len(c.Data)))
		o.b = append(o.b, c.Data...)
	}
}

// finish adds the end mark and says where the dump proper ends.
func (o *smallFile) finish() {
	o.align()
	o.b = append(o.b, "\x00\x00\x00\x00TRGD"...)
	o.word(triageSize, uint32(len(o.b)))
	o.word(triageValid, uint32(len(o.b)-4))
}

// tagged adds secondary data behind the dump proper, as readTagged reads it.
func (o *smallFile) tagged(list []Tagged) {
	if len(list) == 0 {
		return
	}
	head := make([]byte, blobFileHeader)
	copy(head, "DumpBlob")
	binary.LittleEndian.PutUint32(head[8:], blobFileHeader)
	binary.LittleEndian.PutUint32(head[12:], le.U32(o.b, 0xc)) // the build
	o.b = append(o.b, head...)
	for _, t := range list[:min(len(list), maxTagged)] {
		h := make([]byte, blobHeader)
		pad := -len(t.Data) & 7
		binary.LittleEndian.PutUint32(h, blobHeader)
		copy(h[4:], t.GUID[:])
		binary.LittleEndian.PutUint32(h[20:], uint32(len(t.Data)))
		binary.LittleEndian.PutUint32(h[28:], uint32(pad))
		o.b = append(append(append(o.b, h...), t.Data...), make([]byte, pad)...)
	}
}
