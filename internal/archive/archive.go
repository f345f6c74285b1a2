// Package archive opens the dumps inside compressed files and archives (.zip, .cab,
// .7z, .gz, .zst, .xz), also archives within archives, in place, so that nobody has to
// unpack what support people send each other.
//
// It knows formats by their first bytes, not by names, and bounds what it unpacks.
package archive

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/bodgit/sevenzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"

	"bugcheck/internal/cab"
)

// maxDictionary bounds the memory that a compressed stream asks for before it
// unpacks anything, bytes: xz -9 and 7z's largest preset ask for 64 MiB.
const maxDictionary = 64 << 20

// maxWindow is the same for zstd, whose --ultra asks for 128 MiB.
const maxWindow = 128 << 20

// maxMembers bounds how many members of an archive are looked at.
const maxMembers = 10_000

// errChecksum says that a member is not what was packed.
var errChecksum = errors.New("checksum error: what was unpacked is damaged, and was used as it is")

// ErrNothing says that an archive holds nothing that is wanted.
var ErrNothing = errors.New("no dump is in the archive")

// File is a file or a member of an archive.
type File struct {
	Name string // "logs.zip/MEMORY.DMP" for a member
	io.ReaderAt
	Size int64 // bytes
}

// Each calls visit for every dump in f: for f itself unless it is compressed or
// an archive, then for its members that begin like a dump. It returns the first
// error of the archive; an archive without a dump is an error. visit must not
// keep the File.
func Each(f File, visit func(File)) error {
	return EachOf(f, func(_ string, head []byte) bool { return isDump(head) }, visit)
}

// EachOf is Each for other members than dumps: wanted tells them by their name and
// their first eight bytes.
func EachOf(f File, wanted func(name string, head []byte) bool, visit func(File)) error {
	return each(f, &members{wanted: wanted, visit: visit, left: newBudget(f.Size)})
}

// each visits f, or what is in it.
func each(f File, m *members) error {
	var head [headSize]byte
	n, _ := f.ReadAt(head[:], 0)
	m.archive = f.Name
	switch start := string(head[:n]); {
	case strings.HasPrefix(start, magicZip):
		return eachZip(f, m)
	case strings.HasPrefix(start, magic7z):
		return each7z(f, m)
	case strings.HasPrefix(start, magicCab):
		return eachCab(f, m)
	case strings.HasPrefix(start, "\x1f\x8b"):
		return single(f, ".gz", m, func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })
	case strings.HasPrefix(start, "\x28\xb5\x2f\xfd"):
		return single(f, ".zst", m, openZstd)
	case strings.HasPrefix(start, "\xfd7zXZ\x00"):
		return single(f, ".xz", m, func(r io.Reader) (io.Reader, error) { return xz.NewReader(r, maxDictionary) })
	}
	m.visit(f)
	return nil
}

// First bytes of archives of several files; those are looked into within others too.
const (
	magicZip = "PK\x03\x04"
	magic7z  = "7z\xbc\xaf\x27\x1c"
	magicCab = "MSCF"
)

// maxNested is how deep archives may lie within each other: a collector's archive of
// archives has two.
const maxNested = 3

func openZstd(r io.Reader) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// single unpacks a format that holds one file.
func single(f File, ext string, m *members, open func(io.Reader) (io.Reader, error)) error {
	r, err := open(io.NewSectionReader(f, 0, f.Size))
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	s := &spool{left: m.left}
	defer s.close()
	_, err = io.Copy(s, r)
	if errors.Is(err, ErrTooLarge) || err != nil && s.size == 0 {
		return fmt.Errorf("unpack: %w", err)
	}
	unpacked, failed := s.as(strings.TrimSuffix(f.Name, ext))
	if failed != nil {
		return fmt.Errorf("unpack: %w", failed)
	}
	m.visit(unpacked)
	if err != nil {
		return fmt.Errorf("unpack: the archive is damaged, its first %d bytes were used: %w", s.size, err)
	}
	return nil
}

func eachZip(f File, m *members) error {
	z, err := zip.NewReader(f, f.Size)
	if err != nil {
		return fmt.Errorf("open zip: %w", err)
	}
	for _, e := range z.File {
		m.member(e.Name, e.UncompressedSize64, 0, copyOf(e.Open))
	}
	return m.end()
}

// copyOf copies what open opens.
func copyOf(open func() (io.ReadCloser, error)) func(io.Writer) error {
	return func(w io.Writer) error {
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(w, r)
		return err
	}
}

func eachCab(f File, m *members) error {
	c, err := cab.Open(f, f.Size)
	if err != nil {
		return fmt.Errorf("open cab: %w", err)
	}
	for _, e := range c.Members {
		m.member(e.Name, uint64(e.Size), 0, func(w io.Writer) error { return c.Unpack(w, e, MaxUnpacked) })
	}
	return m.end()
}

func each7z(f File, m *members) error {
	limitDictionaries()
	z, err := open7z(f)
	if err != nil {
		return fmt.Errorf("open 7z: %w", err)
	}
	for _, e := range z.File {
		m.member(e.Name, e.UncompressedSize, e.CRC32, copyOf(e.Open))
	}
	return m.end()
}

func open7z(f File) (z *sevenzip.Reader, err error) {
	defer contain(&err)
	return sevenzip.NewReader(f, f.Size)
}

// members visits those members of an archive, and of archives in it, that are wanted.
type members struct {
	archive string // the one that is looked into
	depth   int
	wanted  func(name string, head []byte) bool
	visit   func(File)
	seen    int
	left    *budget
	found   bool
	err     error
}

// member takes a member that is wanted, or an archive. What was unpacked of it is taken
// also where the rest is damaged. sum is its CRC-32 where the library does not check it
// itself, else 0.
func (m *members) member(name string, size uint64, sum uint32, unpack func(io.Writer) error) {
	if m.seen++; m.seen > maxMembers || size < headSize {
		return
	}
	name = path.Clean(plain(name))
	s := &spool{left: m.left, wanted: func(head []byte) bool {
		return isArchive(head) && m.depth < maxNested || m.wanted(name, head)
	}}
	defer s.close()
	err := checked(s, sum, unpack)
	if errors.Is(err, errUnwanted) || s.size <= headSize && err == nil {
		return
	}
	if err != nil {
		m.fail(name, err)
	}
	if errors.Is(err, ErrTooLarge) || s.size <= headSize {
		return
	}
	f, err := s.as(m.archive + "/" + name)
	if err != nil {
		m.fail(name, err)
		return
	}
	if isArchive(s.head) {
		m.nested(name, f)
		return
	}
	m.found = true
	m.visit(f)
}

// checked unpacks to w.
func checked(w io.Writer, sum uint32, unpack func(io.Writer) error) (err error) {
	defer contain(&err)
	crc := crc32.NewIEEE()
	if sum != 0 {
		w = io.MultiWriter(w, crc)
	}
	if err := unpack(w); err != nil {
		return err
	}
	if sum != 0 && crc.Sum32() != sum {
		return errChecksum
	}
	return nil
}

// nested looks into an archive within an archive; one without what is wanted is no error.
func (m *members) nested(name string, f File) {
	outer := m.archive
	m.depth++
	if err := each(f, m); err != nil && !errors.Is(err, ErrNothing) {
		m.fail(name, err)
	}
	m.depth--
	m.archive = outer
}

// plain makes a name that Windows packed one of the usual kind: in UTF-8, with slashes.
// Archives from Japanese machines have names in Shift JIS and do not say so; other code
// pages cannot be told from each other, and Latin letters are read as those of the first
// PCs, which the zip format names as its own.
func plain(name string) string {
	if !utf8.ValidString(name) {
		s, err := japanese.ShiftJIS.NewDecoder().String(name)
		if err != nil || strings.ContainsRune(s, utf8.RuneError) {
			s, _ = charmap.CodePage437.NewDecoder().String(name)
		}
		name = s
	}
	return strings.ReplaceAll(name, `\`, "/")
}

func isArchive(head []byte) bool {
	return bytes.HasPrefix(head, []byte(magicZip)) || bytes.HasPrefix(head, []byte(magic7z)) || bytes.HasPrefix(head, []byte(magicCab))
}

// headSize is how much tells a dump from other files, bytes.
const headSize = 8

// contain turns a panic into an error. The 7z library panics on crafted headers
// (a nil dereference in streamsInfo.FileFolderAndSize, v1.6.5, found by
// FuzzEach); nothing of ours runs under it.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the archive is damaged: %v", p)
	}
}

func isDump(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PAGEDU")) || bytes.HasPrefix(head, []byte("MDMP"))
}

func (m *members) fail(name string, err error) {
	if m.err == nil {
		m.err = fmt.Errorf("member %q: %w", name, err)
	}
}

func (m *members) end() error {
	if m.err == nil && !m.found {
		return ErrNothing
	}
	return m.err
}
