// Package eventlog writes Windows event logs (.evtx) as the event log service lays them
// out: a file header, chunks of 64 KiB with their tables of names and templates, records
// in binary XML whose templates are written once a chunk.
//
// It imports nothing of ours: what it writes is a witness for the readers.
//
// The format: Microsoft's [MS-EVEN6] §2.2 and the libevtx project's description
// (https://github.com/libyal/libevtx/blob/main/documentation/Windows%20XML%20Event%20Log%20(EVTX).asciidoc).
package eventlog

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Event is one record.
type Event struct {
	Provider string
	GUID     [16]byte // of the provider; zero for programs that log the old way
	Source   string   // the old name of a provider; "" if it has none
	ID       uint16
	Version  uint8
	Level    uint8
	Task     uint16
	Keywords uint64
	Time     time.Time
	Process  uint32
	Thread   uint32
	Channel  string
	Computer string
	Data     []Value
	Binary   []byte // behind the strings of an old event
	User     string // the element below UserData that holds Data; "": they stand in EventData
}

// Value is a named value: a string, uint8, uint16, uint32, uint64, bool, [16]byte (a GUID),
// Hex32, Hex64, time.Time (a FILETIME) or []byte. Values without names are written as old
// programs log: an array of strings.
type Value struct {
	Name  string
	Value any
}

// Hex32 and Hex64 are numbers that are written in hexadecimal.
type (
	Hex32 uint32
	Hex64 uint64
)

const (
	fileHeader  = 0x1000
	chunkSize   = 0x10000
	recordsAt   = 0x200
	nameTable   = 0x80  // 64 offsets
	templateTab = 0x180 // 32 offsets

	// Dirty in Options: the log was not closed.
	flagDirty = 1
)

// Options say how a log was left.
type Options struct {
	Dirty bool   // Windows died with the log open: the file's header lags behind
	First uint64 // number of the first record; zero: 1
}

// Write returns a log of events in their order.
func Write(events []Event, o Options) []byte {
	w := &writer{next: max(o.First, 1)}
	for i := range events {
		w.add(&events[i])
	}
	w.close()
	head := header(len(w.chunks), w.next, o.Dirty)
	for _, c := range w.chunks {
		head = append(head, c...)
	}
	return head
}

// header is that of the file. One that was left dirty knows of the first chunk alone.
func header(chunks int, next uint64, dirty bool) []byte {
	b := make([]byte, fileHeader)
	copy(b, "ElfFile\x00")
	le := binary.LittleEndian
	if dirty {
		chunks, next = 1, 1
		le.PutUint32(b[0x78:], flagDirty)
	}
	le.PutUint64(b[0x10:], uint64(max(chunks, 1)-1)) // the chunk that is written to
	le.PutUint64(b[0x18:], next)
	le.PutUint32(b[0x20:], 0x80)
	le.PutUint16(b[0x24:], 1) // version 3.1
	le.PutUint16(b[0x26:], 3)
	le.PutUint16(b[0x28:], fileHeader)
	le.PutUint16(b[0x2a:], uint16(chunks))
	le.PutUint32(b[0x7c:], crc32.ChecksumIEEE(b[:0x78]))
	return b
}

// writer fills chunk after chunk.
type writer struct {
	chunks [][]byte
	c      *chunk
	next   uint64 // number of the next record
}

// add writes an event, into a new chunk if it does not fit into this one.
func (w *writer) add(e *Event) {
	if w.c == nil {
		w.c = newChunk(w.next)
	}
	if !w.c.record(e, w.next) {
		w.close()
		w.c = newChunk(w.next)
		if !w.c.record(e, w.next) {
			panic("eventlog: an event that no chunk can hold")
		}
	}
	w.next++
}

func (w *writer) close() {
	if w.c != nil {
		w.chunks = append(w.chunks, w.c.close(w.next-1))
		w.c = nil
	}
}
