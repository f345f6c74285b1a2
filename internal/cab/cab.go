// Package cab unpacks Windows cabinets (.cab, and compressed symbol files such
// as ntoskrnl.pd_ or myfault.sy_): stored, MSZIP and LZX folders.
//
// Output is bounded by what the caller allows, and block checksums are
// verified. Cabinets that continue in another file and the Quantum method,
// which no Windows tool has written since 1999, are refused.
//
// Sources: "Microsoft Cabinet Format" ([MS-CAB] in Microsoft's open
// specifications), [MS-MCI] for MSZIP, [MS-PATCH] for LZX.
package cab

import (
	"errors"
	"fmt"
	"io"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// ErrFormat is wrapped by every error that says that bytes are not what they
// should be in a cabinet.
var ErrFormat = errors.New("not a valid cabinet")

// ErrTooLarge says that a member is larger than the caller allows.
var ErrTooLarge = errors.New("the unpacked file is larger than allowed")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// Member is one file of a cabinet.
type Member struct {
	Name string
	Size uint32 // unpacked, bytes

	folder int
	offset uint32 // in the unpacked folder
}

// File is an opened cabinet.
type File struct {
	Members []Member

	r            io.ReaderAt
	size         int64
	folders      []folder
	blockReserve int // bytes that each block header has for applications
}

// folder is CFFOLDER: a run of blocks that are compressed as one stream.
type folder struct {
	start  uint32 // of its first block in the file
	blocks int
	method uint16
}

const (
	headerSize = 0x24
	folderSize = 8
	memberSize = 0x10
	maxName    = 256     // with its NUL, the format's own limit
	maxMembers = 1 << 12 // a compressed symbol file has one

	flagPrevious = 1
	flagNext     = 2
	flagReserve  = 4
)

// Open reads the directory of the cabinet in r, size bytes long: CFHEADER,
// CFFOLDER and CFFILE of [MS-CAB] 2.1 to 2.3.
func Open(r io.ReaderAt, size int64) (*File, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), h[:]); err != nil {
		return nil, wrong("the header is cut off")
	}
	if string(h[:4]) != "MSCF" {
		return nil, wrong("no signature MSCF")
	}
	flags := le.U16(h[:], 0x1e)
	if flags&(flagPrevious|flagNext) != 0 {
		return nil, wrong("it is a part of a set of cabinets")
	}
	f := &File{r: r, size: size}
	at, folderReserve, err := f.reserves(flags)
	if err != nil {
		return nil, err
	}
	if err := f.readFolders(at, int(le.U16(h[:], 0x1a)), folderSize+folderReserve); err != nil {
		return nil, err
	}
	return f, f.readMembers(int64(le.U32(h[:], 0x10)), int(le.U16(h[:], 0x1c)))
}

// reserves decodes the optional sizes of the areas for applications, and says
// where the folders begin.
func (f *File) reserves(flags uint16) (at int64, perFolder int, err error) {
	if flags&flagReserve == 0 {
		return headerSize, 0, nil
	}
	b, err := f.bytes(headerSize, 4)
	if err != nil {
		return 0, 0, err
	}
	f.blockReserve = int(b[3])
	return headerSize + 4 + int64(le.U16(b, 0)), int(b[2]), nil
}

// bytes reads n bytes at at; n is small.
func (f *File) bytes(at int64, n int) ([]byte, error) {
	if at < 0 || at+int64(n) > f.size {
		return nil, wrong("%d bytes at 0x%x lie past its end", n, at)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(f.r, at, int64(n)), b); err != nil {
		return nil, fmt.Errorf("cabinet: %d bytes at 0x%x: %w", n, at, err)
	}
	return b, nil
}

func (f *File) readFolders(at int64, n, size int) error {
	for i := range n {
		b, err := f.bytes(at+int64(i)*int64(size), folderSize)
		if err != nil {
			return err
		}
		f.folders = append(f.folders, folder{start: le.U32(b, 0), blocks: int(le.U16(b, 4)), method: le.U16(b, 6)})
	}
	return nil
}

func (f *File) readMembers(at int64, n int) error {
	if n > maxMembers {
		return wrong("%d files, more than %d", n, maxMembers)
	}
	for range n {
		b, err := f.bytes(at, int(min(memberSize+maxName, max(f.size-at, memberSize))))
		if err != nil {
			return err
		}
		m := Member{Size: le.U32(b, 0), offset: le.U32(b, 4), folder: int(le.U16(b, 8))}
		length := 0
		for length < len(b)-memberSize && b[memberSize+length] != 0 {
			length++
		}
		if memberSize+length == len(b) {
			return wrong("a file's name does not end")
		}
		if m.folder >= len(f.folders) {
			return wrong("a file lies in folder %d of %d", m.folder, len(f.folders))
		}
		m.Name = win.ASCII(b[memberSize : memberSize+length])
		f.Members = append(f.Members, m)
		at += int64(memberSize + length + 1)
	}
	return nil
}

// Unpack writes a member to w, if it has at most limit bytes. What was written
// before an error is not to be used.
func (f *File) Unpack(w io.Writer, m Member, limit int64) error {
	if int64(m.Size) > limit {
		return ErrTooLarge
	}
	fold := f.folders[m.folder]
	if uint64(m.offset)+uint64(m.Size) > uint64(fold.blocks)*frameSize {
		return wrong("a file of %d bytes in %d blocks", m.Size, fold.blocks)
	}
	d, err := f.decoder(fold)
	if err != nil {
		return err
	}
	skip, left := int64(m.offset), int64(m.Size)
	for left > 0 {
		b, err := d.next()
		if err != nil {
			return err
		}
		n := min(skip, int64(len(b)))
		skip -= n
		b = b[n:]
		b = b[:min(left, int64(len(b)))]
		if _, err := w.Write(b); err != nil {
			return err
		}
		left -= int64(len(b))
	}
	return nil
}
