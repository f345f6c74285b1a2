package symbols

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"bugcheck/internal/le"
	"bugcheck/pe"
	"bugcheck/win"
)

// verify reads from a file which one it is; a *MismatchError if it is not q.
func verify(q Request, r io.ReaderAt, size int64, where string) error {
	key, err := keyOf(q.Kind, r, size)
	if err == nil && strings.EqualFold(key, q.Key) {
		return nil
	}
	return &MismatchError{Request: q, Where: where, Found: key, Err: err}
}

func keyOf(kind Kind, r io.ReaderAt, size int64) (string, error) {
	if kind == Image {
		image, err := pe.Open(r, size, pe.InFile)
		if err != nil {
			return "", err
		}
		return image.ImageKey(), nil
	}
	return pdbKey(r, size)
}

// errPDB is wrapped by what makes a file no PDB.
var errPDB = errors.New("not a valid PDB file")

const (
	msfMagic   = "Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00"
	msfHeader  = 0x38
	msfStreams = 1 << 16 // more than any file has
	infoStream = 1
	dbiStream  = 3
)

// msf finds streams in a PDB: the superblock, then the stream directory
// (llvm.org/docs/PDB/MsfFile.html).
type msf struct {
	r         io.ReaderAt
	block     uint32 // bytes of a block
	directory uint32 // bytes of the directory
	blockMap  uint32 // the block with the numbers of the directory's blocks
}

// pdbKey is the identity of a PDB: the GUID of the info stream, the age of the
// DBI stream, which is the one that images name; without such a stream that of
// the info stream (llvm.org/docs/PDB/PdbStream.html, DbiStream.html).
func pdbKey(r io.ReaderAt, size int64) (string, error) {
	b := make([]byte, msfHeader)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), b); err != nil || string(b[:len(msfMagic)]) != msfMagic {
		return "", fmt.Errorf("%w: no signature MSF 7.00", errPDB)
	}
	m := msf{r: r, block: le.U32(b, 0x20), directory: le.U32(b, 0x2c), blockMap: le.U32(b, 0x34)}
	if m.block < 0x200 || m.block > 1<<16 || m.block&(m.block-1) != 0 {
		return "", fmt.Errorf("%w: blocks of %d bytes", errPDB, m.block)
	}
	info, err := m.stream(infoStream, 0x1c)
	if err != nil {
		return "", err
	}
	id := pe.PDB{Age: le.U32(info, 8), GUID: win.GUID(info[0xc:0x1c])}
	if dbi, err := m.stream(dbiStream, 0xc); err == nil && le.U32(dbi, 0) == 1<<32-1 {
		id.Age = le.U32(dbi, 8)
	}
	return id.Key(), nil
}

// stream reads the first n bytes of a stream, which lie in one block.
func (m msf) stream(number, n uint32) ([]byte, error) {
	count, err := m.entry(0)
	if err != nil {
		return nil, err
	}
	if count <= number || count > msfStreams {
		return nil, fmt.Errorf("%w: %d streams", errPDB, count)
	}
	at := 4 + 4*uint64(count) // of the block numbers, in the directory
	for s := range number {
		size, err := m.entry(uint64(4 + 4*s))
		if err != nil {
			return nil, err
		}
		if size != 1<<32-1 { // a stream that was deleted
			at += 4 * ((uint64(size) + uint64(m.block) - 1) / uint64(m.block))
		}
	}
	size, err := m.entry(uint64(4 + 4*number))
	if err != nil {
		return nil, err
	}
	if size < n || size == 1<<32-1 {
		return nil, fmt.Errorf("%w: stream %d has %d bytes", errPDB, number, size)
	}
	first, err := m.entry(at)
	if err != nil {
		return nil, err
	}
	return m.read(int64(first)*int64(m.block), int(n))
}

// entry reads one number of the stream directory.
func (m msf) entry(at uint64) (uint32, error) {
	if at+4 > uint64(m.directory) {
		return 0, fmt.Errorf("%w: its directory is cut off", errPDB)
	}
	b, err := m.read(int64(m.blockMap)*int64(m.block)+int64(at)/int64(m.block)*4, 4)
	if err != nil {
		return 0, err
	}
	b, err = m.read(int64(le.U32(b, 0))*int64(m.block)+int64(at)%int64(m.block), 4)
	if err != nil {
		return 0, err
	}
	return le.U32(b, 0), nil
}

func (m msf) read(at int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if got, err := m.r.ReadAt(b, at); got < n {
		return nil, fmt.Errorf("%w: %d bytes at 0x%x: %w", errPDB, n, at, err)
	}
	return b, nil
}
