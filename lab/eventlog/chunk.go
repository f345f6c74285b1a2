package eventlog

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"time"
	"unicode/utf16"
)

// chunk is one in the making. Names and templates are written where they first occur.
type chunk struct {
	b         []byte
	first     uint64
	last      int // where the last record begins
	names     map[string]int
	templates map[string]int
}

func newChunk(first uint64) *chunk {
	c := &chunk{b: make([]byte, recordsAt), first: first, names: map[string]int{}, templates: map[string]int{}}
	copy(c.b, "ElfChnk\x00")
	return c
}

// record appends an event; false, and nothing, if it does not fit.
func (c *chunk) record(e *Event, number uint64) bool {
	undo := chunk{b: append([]byte(nil), c.b...), first: c.first, last: c.last, names: maps.Clone(c.names), templates: maps.Clone(c.templates)}
	at := len(c.b)
	c.u32(0x00002a2a)
	c.u32(0)
	c.u64(number)
	c.u64(fileTime(e.Time))
	c.fragment()
	c.event(e, number)
	c.b = append(c.b, 0) // the end of the fragment
	for (len(c.b)+4)%8 != 0 {
		c.b = append(c.b, 0)
	}
	c.u32(uint32(len(c.b) - at + 4))
	c.patch(at+4, len(c.b)-at)
	if len(c.b) > chunkSize {
		*c = undo
		return false
	}
	c.last = at
	return true
}

// close fills in the chunk's header.
func (c *chunk) close(last uint64) []byte {
	le := binary.LittleEndian
	end := len(c.b)
	records := crc32.ChecksumIEEE(c.b[recordsAt:])
	b := append(c.b, make([]byte, chunkSize-end)...)
	le.PutUint64(b[0x08:], c.first)
	le.PutUint64(b[0x10:], last)
	le.PutUint64(b[0x18:], c.first)
	le.PutUint64(b[0x20:], last)
	le.PutUint32(b[0x28:], 0x80)
	le.PutUint32(b[0x2c:], uint32(c.last))
	le.PutUint32(b[0x30:], uint32(end))
	le.PutUint32(b[0x34:], records)
	sum := crc32.ChecksumIEEE(b[:0x78])
	le.PutUint32(b[0x7c:], crc32.Update(sum, crc32.IEEETable, b[0x80:recordsAt]))
	return b
}

func (c *chunk) u8(v uint8)   { c.b = append(c.b, v) }
func (c *chunk) u16(v uint16) { c.b = binary.LittleEndian.AppendUint16(c.b, v) }
func (c *chunk) u32(v uint32) { c.b = binary.LittleEndian.AppendUint32(c.b, v) }
func (c *chunk) u64(v uint64) { c.b = binary.LittleEndian.AppendUint64(c.b, v) }

func (c *chunk) patch(at, v int) { binary.LittleEndian.PutUint32(c.b[at:], uint32(v)) }

func (c *chunk) offset(at int) int { return int(binary.LittleEndian.Uint32(c.b[at:])) }

// chars appends the characters of a string.
func (c *chunk) chars(s string) int {
	u := utf16.Encode([]rune(s))
	for _, v := range u {
		c.u16(v)
	}
	return len(u)
}

// counted appends a string behind its length.
func (c *chunk) counted(s string) {
	at := len(c.b)
	c.u16(0)
	n := c.chars(s) // before c.b is looked at: it moves as it grows
	binary.LittleEndian.PutUint16(c.b[at:], uint16(n))
}

// name appends a name's offset, and the name itself where it is the first: the next of
// its hash chain, its hash, its length, its characters, a zero.
func (c *chunk) name(s string) {
	if at, ok := c.names[s]; ok {
		c.u32(uint32(at))
		return
	}
	at := len(c.b) + 4
	c.names[s] = at
	c.u32(uint32(at))
	h := hash(s)
	slot := nameTable + 4*int(h%64)
	c.u32(uint32(c.offset(slot)))
	c.patch(slot, at)
	c.u16(h)
	c.counted(s)
	c.u16(0)
}

// hash is that of a name, by which the chunk's table is made.
func hash(s string) uint16 {
	var h uint32
	for _, v := range utf16.Encode([]rune(s)) {
		h = h*65599 + uint32(v)
	}
	return uint16(h)
}

// epoch is 1970-01-01 as a FILETIME.
const epoch = 116444736000000000

func fileTime(t time.Time) uint64 {
	return uint64(t.UnixNano()/100 + epoch)
}
