// Package evtx turns a Windows event log file (.evtx) into records: when, who
// logged what, and the values that came with it.
//
// It reads exported logs, and those that were copied while Windows wrote them or
// when it died: the file's header is not believed, chunks are looked for at their
// places, and records beyond what a chunk's header tells of are taken when they
// continue it. A damaged record costs itself, not its chunk. It does not know the
// messages' texts, which stand in the files of the programs that log.
//
// The format: Microsoft's [MS-EVEN6] §2.2 and the libevtx project's description
// (https://github.com/libyal/libevtx/blob/main/documentation/Windows%20XML%20Event%20Log%20(EVTX).asciidoc).
package evtx

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"bugcheck/internal/le"
	"bugcheck/win"
)

const (
	headerSize = 0x1000  // of the file, before the first chunk
	chunkSize  = 0x10000 // every chunk
	recordsAt  = 0x200   // in a chunk: behind its header and its tables
	recordHead = 24      // magic, size, number, time
	recordTail = 4       // the size again
)

// Magics of the file, of a chunk, of a record.
var (
	fileMagic   = []byte("ElfFile\x00")
	chunkMagic  = []byte("ElfChnk\x00")
	recordMagic = []byte("**\x00\x00")
)

// ErrFormat says that a file is no event log.
var ErrFormat = errors.New("not a Windows event log (.evtx)")

// Record is one event.
type Record struct {
	ID       uint64    // number in its log: rises by one a record
	Time     time.Time // UTC; zero if not a date
	Provider string    // who logged it
	Source   string    // the name that old programs log under; "" if there is none
	Event    uint16    // its number with that provider
	Version  uint8     // of the layout of Data
	Level    uint8     // 1 critical, 2 error, 3 warning, 4 information, 0 always
	Channel  string    // System, Application, …
	Computer string
	Data     []Value // of EventData, else of UserData
}

// Value is one value of an event; Name is "" where old programs log without names.
type Value struct{ Name, Text string }

// Get returns the text of the value with a name.
func (r *Record) Get(name string) (string, bool) {
	for _, v := range r.Data {
		if v.Name == name {
			return v.Text, true
		}
	}
	return "", false
}

// Damage says what of a file could not be read.
type Damage struct {
	Header  bool // the file's header is not that of an event log
	Dirty   bool // the file was not closed: Windows was writing, or died
	Cut     bool // it ends within a chunk
	Chunks  int  // chunks without a header of their own
	Records int  // records that are not whole or not to be understood
}

// Any reports that something is missing.
func (d Damage) Any() bool { return d.Header || d.Cut || d.Chunks > 0 || d.Records > 0 }

// Detect reports that a file begins as an event log does.
func Detect(head []byte) bool { return bytes.HasPrefix(head, fileMagic) }

// Read passes every record that want lets through to visit, in the order of the file,
// which is that of time but where an old log was overwritten from its start. want sees
// records without their Data, which is not decoded for the others; a nil want takes all.
// Read returns what could not be read; an error only if there is no event log at all,
// reading fails, or visit does.
func Read(r io.ReaderAt, size int64, want func(*Record) bool, visit func(Record) error) (Damage, error) {
	var damage Damage
	head := make([]byte, headerSize)
	n, err := readAt(r, head, 0)
	if err != nil {
		return damage, err
	}
	damage.Header = n < 0x80 || !Detect(head)
	damage.Dirty = !damage.Header && le.U32(head, 0x78)&1 != 0
	chunk := make([]byte, chunkSize)
	found := false
	for at := int64(headerSize); at < size; at += chunkSize {
		n, err := readAt(r, chunk, at)
		if err != nil {
			return damage, fmt.Errorf("chunk at 0x%x: %w", at, err)
		}
		damage.Cut = damage.Cut || n < chunkSize
		c := newReader(chunk[:n], want)
		found = found || c.headed
		if damage.Header && !found { // it may be any file at all
			continue
		}
		if err := c.each(visit); err != nil {
			return damage, err
		}
		damage.Records += c.bad
		if !c.headed && (c.bad > 0 || c.good > 0) {
			damage.Chunks++
		}
	}
	if damage.Header && !found {
		return damage, ErrFormat
	}
	return damage, nil
}

// readAt fills b as far as the file reaches.
func readAt(r io.ReaderAt, b []byte, at int64) (int, error) {
	n, err := r.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// reader reads one chunk.
type reader struct {
	chunk
	want   func(*Record) bool
	headed bool   // the chunk has its header
	end    int    // where its header says that records end
	last   uint64 // the record number that it says is the last
	good   int
	bad    int
}

func newReader(b []byte, want func(*Record) bool) *reader {
	c := &reader{chunk: chunk{b: b}, want: want, end: len(b)}
	c.headed = len(b) >= recordsAt && bytes.HasPrefix(b, chunkMagic)
	if c.headed && headerHolds(b) {
		c.end = min(int(le.U32(b, 0x30)), len(b))
		c.last = le.U64(b, 0x20)
	}
	return c
}

// headerHolds checks a chunk header's CRC32: of its first 120 bytes and its tables.
func headerHolds(b []byte) bool {
	sum := crc32.ChecksumIEEE(b[:0x78])
	return crc32.Update(sum, crc32.IEEETable, b[0x80:recordsAt]) == le.U32(b, 0x7c)
}

// each passes on the records of the chunk. Behind the end that the header tells of lie
// records that it does not know yet, which go on counting, and remains of older ones,
// which do not.
func (c *reader) each(visit func(Record) error) error {
	for at := recordsAt; at+recordHead+recordTail <= len(c.b); {
		size, whole := c.record(at)
		known := at < c.end
		switch {
		case size == 0 && known: // not a record: the next one that looks like one
			next := c.next(at)
			if next < len(c.b) || !c.blank(at, min(c.end, next)) {
				c.bad++
			}
			at = next
			continue
		case size == 0, !known && le.U64(c.b, at+8) != c.last+1:
			return nil
		}
		c.last = le.U64(c.b, at+8)
		if err := c.take(c.b[at:at+size], at, whole, visit); err != nil {
			return err
		}
		at += size
	}
	return nil
}

// record is the size of the record at an offset, zero if there is none, and whether its
// end bears the size again.
func (c *reader) record(at int) (size int, whole bool) {
	if !bytes.HasPrefix(c.b[at:], recordMagic) {
		return 0, false
	}
	n := le.U32(c.b, at+4)
	if n < recordHead+recordTail || uint64(n) > uint64(len(c.b)-at) {
		return 0, false
	}
	return int(n), le.U32(c.b, at+int(n)-recordTail) == n
}

// next is where the next record may begin, the end of the chunk if there is none.
// Records are aligned to 8 bytes.
func (c *reader) next(at int) int {
	for at = (at + 8) &^ 7; at+recordHead+recordTail <= len(c.b); at += 8 {
		if size, whole := c.record(at); size > 0 && whole {
			return at
		}
	}
	return len(c.b)
}

// blank reports that a stretch holds nothing but zeros.
func (c *reader) blank(from, to int) bool {
	for _, b := range c.b[min(from, to):to] {
		if b != 0 {
			return false
		}
	}
	return true
}

// take decodes one record and passes it on.
func (c *reader) take(b []byte, at int, whole bool, visit func(Record) error) error {
	e, err := c.event(at+recordHead, at+len(b)-recordTail)
	if err != nil || !whole {
		c.bad++
		return nil
	}
	c.good++
	r := Record{ID: le.U64(b, 8)}
	r.Time, _ = win.FileTime(le.U64(b, 16))
	e.identity(&r)
	if c.want != nil && !c.want(&r) {
		return nil
	}
	e.fill(&r)
	return visit(r)
}
