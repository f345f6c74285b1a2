// Package le reads little-endian fields from bytes that may be short or
// hostile.
//
// Two shapes: U16, U32 and U64 for a structure whose length the caller has
// checked once, and Cursor for a stream whose length is only known by reading.
package le

import "fmt"

// U16 reads the 16-bit field at off. The caller has checked the length.
func U16(b []byte, off int) uint16 {
	_ = b[off+1]
	return uint16(b[off]) | uint16(b[off+1])<<8
}

// U32 reads the 32-bit field at off. The caller has checked the length.
func U32(b []byte, off int) uint32 {
	_ = b[off+3]
	return uint32(b[off]) | uint32(b[off+1])<<8 | uint32(b[off+2])<<16 | uint32(b[off+3])<<24
}

// U64 reads the 64-bit field at off. The caller has checked the length.
func U64(b []byte, off int) uint64 {
	return uint64(U32(b, off)) | uint64(U32(b, off+4))<<32
}

// ShortError says that the bytes end before a field does.
type ShortError struct {
	Offset int // where the field starts, bytes
	Want   int // its size, bytes
	Have   int // bytes in all
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("%d bytes at offset 0x%x are wanted, but the data ends at 0x%x", e.Want, e.Offset, e.Have)
}

// Cursor reads fields one after another. After the first error every getter
// returns zero and the error stays; ask Err once at the end.
// The zero Cursor has no bytes.
type Cursor struct {
	b   []byte
	pos int
	err error
}

// NewCursor returns a cursor at the start of b.
func NewCursor(b []byte) *Cursor { return &Cursor{b: b} }

// Err is the first error met: nil or a *ShortError.
func (c *Cursor) Err() error { return c.err }

// Pos is the offset of the next byte.
func (c *Cursor) Pos() int { return c.pos }

// Len is the number of bytes not yet read.
func (c *Cursor) Len() int { return len(c.b) - c.pos }

// Bytes returns the next n bytes, not copied; nil past the end.
func (c *Cursor) Bytes(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n < 0 || n > c.Len() {
		c.err = &ShortError{Offset: c.pos, Want: n, Have: len(c.b)}
		return nil
	}
	b := c.b[c.pos : c.pos+n : c.pos+n]
	c.pos += n
	return b
}

// Skip passes over n bytes.
func (c *Cursor) Skip(n int) { c.Bytes(n) }

// U8 reads one byte.
func (c *Cursor) U8() uint8 {
	if b := c.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads 16 bits.
func (c *Cursor) U16() uint16 {
	if b := c.Bytes(2); b != nil {
		return U16(b, 0)
	}
	return 0
}

// U32 reads 32 bits.
func (c *Cursor) U32() uint32 {
	if b := c.Bytes(4); b != nil {
		return U32(b, 0)
	}
	return 0
}

// U64 reads 64 bits.
func (c *Cursor) U64() uint64 {
	if b := c.Bytes(8); b != nil {
		return U64(b, 0)
	}
	return 0
}

// Count checks that n entries of size bytes each fit into what is left, and
// returns n; else it sets the error and returns 0. It stands before every make
// whose length comes from a file.
func (c *Cursor) Count(n uint64, size int) int {
	if c.err != nil {
		return 0
	}
	if size <= 0 || n > uint64(c.Len()/size) {
		c.err = &ShortError{Offset: c.pos, Want: saturate(n, size), Have: len(c.b)}
		return 0
	}
	return int(n)
}

func saturate(n uint64, size int) int {
	const most = int(^uint(0) >> 1)
	if size <= 0 || n > uint64(most/size) {
		return most
	}
	return int(n) * size
}
