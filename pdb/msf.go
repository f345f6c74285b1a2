package pdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"bugcheck/internal/le"
)

// The container: a file of pages that holds numbered streams. Source:
// PDB/msf/msf.cpp of microsoft-pdb, "The MSF File Format" of LLVM.
const (
	magic       = "Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00"
	magicOld    = "Microsoft C/C++ program database"
	magicNET    = "BSJB"
	headerSize  = 0x34      // of the fixed part; pages of the directory's map follow
	absent      = 1<<32 - 1 // size of a stream that is not there
	minPage     = 0x200
	maxPage     = 0x10000
	chunkSize   = 1 << chunkShift // what is read of a stream at once, and kept
	chunkShift  = 16
	pageNumSize = 4
)

// The streams with fixed numbers.
const (
	streamPDB = 1
	streamTPI = 2
	streamDBI = 3
	streamIPI = 4
)

// none is the number of a stream that a header says is not there.
const none = 0xffff

// msf is the container.
type msf struct {
	r        io.ReaderAt
	pageSize uint32
	pages    uint32 // in the file
	streams  []extent
	lists    []byte // page numbers of all streams
}

// extent is where a stream's pages are listed.
type extent struct {
	size  uint32 // bytes
	first uint32 // index of its first page in lists
}

func openMSF(r io.ReaderAt, size int64) (*msf, error) {
	head := make([]byte, min(max(size, 0), headerSize))
	if err := readFull(r, head, 0); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := checkMagic(head); err != nil {
		return nil, err
	}
	m := &msf{r: r, pageSize: le.U32(head, 0x20), pages: le.U32(head, 0x28)}
	if s := m.pageSize; s < minPage || s > maxPage || s&(s-1) != 0 {
		return nil, wrong("pages of %d bytes", s)
	}
	if have := size / int64(m.pageSize); int64(m.pages) > have {
		return nil, wrong("cut off: %d of %d pages of %d bytes are there", have, m.pages, m.pageSize)
	}
	dir, err := m.directory(le.U32(head, 0x2c))
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if err := m.readDirectory(dir); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	return m, nil
}

func checkMagic(head []byte) error {
	switch {
	case bytes.HasPrefix(head, []byte(magicOld)):
		return wrong("a PDB of the old format (MSF 2.00), which is not read")
	case bytes.HasPrefix(head, []byte(magicNET)):
		return wrong("a portable PDB of .NET, which is not read")
	case len(head) == 0:
		return wrong("the file is empty")
	case len(head) >= len(magic) && string(head[:len(magic)]) != magic, !bytes.HasPrefix([]byte(magic), head[:min(len(head), len(magic))]):
		return wrong("not a PDB: no signature MSF 7.00")
	case len(head) < headerSize:
		return wrong("cut off: the file has %d bytes", len(head))
	}
	return nil
}

// directory reads the bytes of the directory. Its pages are listed in the map,
// whose pages are listed in the header.
func (m *msf) directory(size uint32) ([]byte, error) {
	n := m.count(size)
	mapPages := m.count(n * pageNumSize)
	if n > m.pages {
		return nil, wrong("%d bytes do not fit", size)
	}
	list := make([]byte, mapPages*pageNumSize)
	if err := readFull(m.r, list, headerSize); err != nil {
		return nil, err
	}
	whole := &stream{m: m, size: n * pageNumSize, pages: list, chunks: chunks(n * pageNumSize)}
	list, err := whole.bytes(0, whole.size)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	return (&stream{m: m, size: size, pages: list, chunks: chunks(size)}).bytes(0, size)
}

// readDirectory decodes the sizes of the streams. Together they have no more
// pages than the file, so what is read of them is bounded; the old directory,
// stream 0, may lie on pages used again.
func (m *msf) readDirectory(dir []byte) error {
	c := le.NewCursor(dir)
	n := c.Count(uint64(c.U32()), pageNumSize)
	sizes := le.NewCursor(c.Bytes(n * pageNumSize))
	if err := c.Err(); err != nil {
		return short("streams", err)
	}
	m.lists = dir[c.Pos():]
	m.streams = make([]extent, n)
	var first, used uint64
	for i := range m.streams {
		size := sizes.U32()
		if size == absent {
			size = 0
		}
		m.streams[i] = extent{size: size, first: uint32(first)}
		first += uint64(m.count(size))
		if i > 0 {
			used += uint64(m.count(size))
		}
		if first > uint64(len(m.lists)/pageNumSize) || used > uint64(m.pages) {
			return wrong("the %d bytes of stream %d do not fit", size, i)
		}
	}
	return nil
}

// size is the length of the file, bytes.
func (m *msf) size() int64 { return int64(m.pages) * int64(m.pageSize) }

// count is the number of pages that size bytes take.
func (m *msf) count(size uint32) uint32 {
	return uint32((uint64(size) + uint64(m.pageSize) - 1) / uint64(m.pageSize))
}

// stream is one stream. Its bytes are read in chunks when they are first asked
// for. A nil stream has none.
type stream struct {
	m      *msf
	name   string
	size   uint32 // bytes
	pages  []byte // page numbers
	chunks []atomic.Pointer[[]byte]
}

func chunks(size uint32) []atomic.Pointer[[]byte] {
	return make([]atomic.Pointer[[]byte], (uint64(size)+chunkSize-1)/chunkSize)
}

// stream finds a stream by number; nil if there is none.
func (m *msf) stream(number uint32, name string) *stream {
	if number >= uint32(len(m.streams)) || m.streams[number].size == 0 {
		return nil
	}
	e := m.streams[number]
	list := m.lists[e.first*pageNumSize:][:m.count(e.size)*pageNumSize]
	return &stream{m: m, name: name, size: e.size, pages: list, chunks: chunks(e.size)}
}

func (s *stream) len() uint32 {
	if s == nil {
		return 0
	}
	return s.size
}

// bytes returns n bytes at off, which the caller does not change; copied only
// where they lie in several chunks.
func (s *stream) bytes(off, n uint32) ([]byte, error) {
	if uint64(off)+uint64(n) > uint64(s.len()) {
		return nil, s.pastEnd(off, n)
	}
	if n == 0 {
		return nil, nil
	}
	c, err := s.chunk(off >> chunkShift)
	if err != nil {
		return nil, err
	}
	at := off % chunkSize
	if end := at + n; end <= uint32(len(c)) && end >= at {
		return c[at:end:end], nil
	}
	b := append(make([]byte, 0, n), c[at:]...)
	for uint32(len(b)) < n {
		if c, err = s.chunk((off + uint32(len(b))) >> chunkShift); err != nil {
			return nil, err
		}
		b = append(b, c[:min(uint32(len(c)), n-uint32(len(b)))]...)
	}
	return b, nil
}

func (s *stream) pastEnd(off, n uint32) error {
	if s == nil {
		return wrong("the stream is not there")
	}
	return wrong("%s: %d bytes at 0x%x lie past its end at 0x%x", s.name, n, off, s.size)
}

// chunk returns chunk i, read if it was not yet.
func (s *stream) chunk(i uint32) ([]byte, error) {
	if c := s.chunks[i].Load(); c != nil {
		return *c, nil
	}
	c := make([]byte, min(chunkSize, s.size-i<<chunkShift))
	size := s.m.pageSize
	first := i << chunkShift / size
	for done := uint32(0); done < uint32(len(c)); {
		run := s.run(first+done/size, uint32(len(c))-done)
		page := le.U32(s.pages, int(first+done/size)*pageNumSize)
		if uint64(page)+uint64(s.m.count(run)) > uint64(s.m.pages) {
			return nil, wrong("%s: page %d of %d", s.name, page, s.m.pages)
		}
		if err := readFull(s.m.r, c[done:done+run], int64(page)*int64(size)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		done += run
	}
	s.chunks[i].Store(&c)
	return c, nil
}

// run is how many of the want bytes from page i on lie one behind another in
// the file.
func (s *stream) run(i, want uint32) uint32 {
	size := s.m.pageSize
	page := le.U32(s.pages, int(i)*pageNumSize)
	n := uint32(1)
	for n*size < want && le.U32(s.pages, int(i+n)*pageNumSize) == page+n {
		n++
	}
	return min(n*size, want)
}

// readFull fills p from off. A file that ends before is a *FormatError.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n >= len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return wrong("the file ends at 0x%x", off+int64(max(n, 0)))
	}
	return err
}

// u32 reads one field.
func (s *stream) u32(off uint32) (uint32, error) {
	b, err := s.bytes(off, 4)
	if err != nil {
		return 0, err
	}
	return le.U32(b, 0), nil
}

// maxText bounds a text that a NUL should end; the longest names that Microsoft's
// tools write have 4 KiB, those of other compilers less than a record.
const maxText = 1 << 16

// text reads a NUL-terminated text at off.
func (s *stream) text(off uint32) (string, error) {
	for n := uint32(256); ; n *= 4 {
		if off >= s.len() {
			return "", s.pastEnd(off, 1)
		}
		left := s.size - off
		b, err := s.bytes(off, min(n, left))
		if err != nil {
			return "", err
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return name(b[:i]), nil
		}
		if n >= min(left, maxText) {
			return "", wrong("%s: the text at 0x%x does not end", s.name, off)
		}
	}
}
