// Package damage harms dumps for tests: pages zeroed, removed or cut, fields
// patched by a fuzzer. It knows of a dump only where its header keeps the stop
// code.
package damage

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"bugcheck/internal/corpus"
)

// PageSize is how much one damage hits, bytes.
const PageSize = 0x1000

// File is a file made of pieces, so that harming one page copies nothing.
type File [][]byte

// ReadAt implements io.ReaderAt.
func (f File) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for _, piece := range f {
		if off >= int64(len(piece)) {
			off -= int64(len(piece))
			continue
		}
		n += copy(p[n:], piece[off:])
		if off = 0; n == len(p) {
			return n, nil
		}
	}
	return n, io.EOF
}

// Size is the length of all pieces, bytes.
func (f File) Size() int64 {
	n := 0
	for _, piece := range f {
		n += len(piece)
	}
	return int64(n)
}

// Kind is something that happens to a page of a file.
type Kind struct {
	Name string
	File func(b []byte, at, end int) File
}

// Kinds are the three things that happen to the page from at to end.
var Kinds = []Kind{
	{"zeroed", func(b []byte, at, end int) File { return File{b[:at], make([]byte, end-at), b[end:]} }},
	{"removed", func(b []byte, at, end int) File { return File{b[:at], b[end:]} }},
	{"cut", func(b []byte, at, _ int) File { return File{b[:at]} }},
}

// Stride is the distance between two pages of a real dump that are harmed: every
// page where nothing may be left out, a sample elsewhere.
func Stride() int {
	switch {
	case testing.Short():
		return 211 * PageSize
	case corpus.All():
		return PageSize
	}
	return 37 * PageSize
}

// Header says where a dump of either width keeps its stop code.
type Header struct {
	Size, Code int // bytes
}

// HeaderOf tells the width by the signature; b holds at least 8 bytes.
func HeaderOf(b []byte) Header {
	if string(b[4:8]) == "DUMP" {
		return Header{Size: 0x1000, Code: 0x28}
	}
	return Header{Size: 0x2000, Code: 0x38}
}

// patchSize is the size of one patch: three bytes of offset, four of data.
const patchSize = 7

// Patched is base with patches over it: each an offset of three bytes, modulo
// the size, and the four bytes that come there. So a fuzzer's inputs stay small,
// and a mutation hits a field of a dump that is else whole.
func Patched(base, patches []byte) []byte {
	b := bytes.Clone(base)
	for ; len(patches) >= patchSize; patches = patches[patchSize:] {
		at := int(binary.LittleEndian.Uint32(patches)&0xffffff) % len(b)
		copy(b[at:], patches[3:patchSize])
	}
	return b
}

// Patch is one patch: the four bytes at an offset.
func Patch(at int, v uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{byte(at), byte(at >> 8), byte(at >> 16)}, v)
}
