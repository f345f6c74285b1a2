package lab

import (
	"encoding/binary"
	"time"
	"unicode/utf16"
)

// buf is a growing little-endian buffer: a write past the end makes it longer,
// with zeros between.
type buf struct{ b []byte }

// grow makes the buffer at least n bytes long.
func (w *buf) grow(n int) {
	if n > len(w.b) {
		w.b = append(w.b, make([]byte, n-len(w.b))...)
	}
}

func (w *buf) put(off int, p []byte) {
	w.grow(off + len(p))
	copy(w.b[off:], p)
}

func (w *buf) put8(off int, v uint8) { w.put(off, []byte{v}) }

func (w *buf) put16(off int, v uint16) {
	w.grow(off + 2)
	binary.LittleEndian.PutUint16(w.b[off:], v)
}

func (w *buf) put32(off int, v uint32) {
	w.grow(off + 4)
	binary.LittleEndian.PutUint32(w.b[off:], v)
}

func (w *buf) put64(off int, v uint64) {
	w.grow(off + 8)
	binary.LittleEndian.PutUint64(w.b[off:], v)
}

// put64s writes the values one after another, 8 bytes each.
func (w *buf) put64s(off int, v ...uint64) {
	for i, x := range v {
		w.put64(off+8*i, x)
	}
}

// put32s writes the values one after another, 4 bytes each.
func (w *buf) put32s(off int, v ...uint32) {
	for i, x := range v {
		w.put32(off+4*i, x)
	}
}

// ptr writes a pointer of the size that the machine has, 4 or 8 bytes.
func (w *buf) ptr(off, size int, v uint64) {
	if size == 4 {
		w.put32(off, uint32(v))
		return
	}
	w.put64(off, v)
}

// fill covers bytes from to to with repetitions of a 4-byte pattern that starts
// at a multiple of 4.
func (w *buf) fill(from, to int, pattern string) {
	w.grow(to)
	for i := from; i < to; i++ {
		w.b[i] = pattern[i%len(pattern)]
	}
}

// align makes the length a multiple of n with zeros.
func (w *buf) align(n int) { w.grow((len(w.b) + n - 1) / n * n) }

// utf16le returns s in UTF-16LE, without an end mark.
func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// secondsTo1970 lies between 1601-01-01, where a FILETIME starts, and 1970-01-01.
const secondsTo1970 = 11644473600

// filetime returns t in 100 ns since 1601-01-01 UTC; t must not be before it.
func filetime(t time.Time) uint64 {
	return uint64(t.Unix()+secondsTo1970)*1e7 + uint64(t.Nanosecond()/100)
}

// Words returns a Block of the values at addr, 8 bytes each.
func Words(addr uint64, v ...uint64) Block {
	var w buf
	w.put64s(0, v...)
	return Block{Address: addr, Data: w.b}
}

// Words32 returns a Block of the values at addr, 4 bytes each: the words of an x86 stack.
func Words32(addr uint64, v ...uint32) Block {
	var w buf
	w.put32s(0, v...)
	return Block{Address: addr, Data: w.b}
}
