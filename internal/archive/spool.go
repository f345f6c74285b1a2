package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// MaxUnpacked bounds one unpacked member, bytes.
const MaxUnpacked = 64 << 30

// inMemory is how much of a member is held in memory: small dumps and most logs are
// shorter. The rest of a longer one lies in a temporary file.
const inMemory = 32 << 20

const (
	// grownFree is what every archive may unpack to, bytes without pages of zeros.
	grownFree = 256 << 20
	// maxGrown is how many times its own size a larger archive may: memory dumps shrink
	// to a third or a tenth, their pages of zeros left out.
	maxGrown = 100
)

// ErrTooLarge says that a member is larger than MaxUnpacked, or that an archive unpacks to
// more than a packed dump does.
var ErrTooLarge = fmt.Errorf("unpacks to far more than a packed dump does, or to more than %d GiB; unpack it first", int64(MaxUnpacked)>>30)

// budget is what an archive, with those in it, may still unpack to.
type budget struct {
	bytes int64 // in all
	data  int64 // without pages of zeros, which take no room
}

func newBudget(packed int64) *budget {
	return &budget{bytes: 4 * MaxUnpacked, data: grownFree + maxGrown*min(packed, MaxUnpacked)}
}

// spool is what was unpacked of a member: in memory, and in a temporary file from where it
// became too much for that.
type spool struct {
	left   *budget
	wanted func(head []byte) bool // nil: everything is
	head   []byte                 // its first bytes, once wanted was asked about them
	size   int64
	memory []byte
	file   *os.File // holds all of it, with holes for pages of zeros; nil if it is in memory
}

// errUnwanted ends the unpacking of a member that nobody asked for.
var errUnwanted = errors.New("not wanted")

// Write takes the next bytes of the member.
func (s *spool) Write(b []byte) (int, error) {
	if s.left.bytes -= int64(len(b)); s.size+int64(len(b)) > MaxUnpacked || s.left.bytes < 0 {
		return 0, ErrTooLarge
	}
	if err := s.ask(b); err != nil {
		return 0, err
	}
	if s.file == nil && len(s.memory)+len(b) > inMemory {
		if err := s.create(); err != nil {
			return 0, err
		}
	}
	if s.file != nil {
		return len(b), s.write(b)
	}
	s.memory = append(s.memory, b...)
	s.size += int64(len(b))
	return len(b), s.spend(len(b))
}

// ask looks at the first bytes, which may come in several pieces.
func (s *spool) ask(b []byte) error {
	if s.head != nil || len(s.memory)+len(b) < headSize {
		return nil
	}
	s.head = slices.Concat(s.memory, b[:min(len(b), headSize)])[:headSize]
	if s.wanted != nil && !s.wanted(s.head) {
		return errUnwanted
	}
	return nil
}

func (s *spool) spend(n int) error {
	if s.left.data -= int64(n); s.left.data < 0 {
		return ErrTooLarge
	}
	return nil
}

// create moves what is in memory to a file.
func (s *spool) create() (err error) {
	if s.file, err = os.CreateTemp("", "bugcheck-*"); err != nil {
		return err
	}
	_ = os.Remove(s.file.Name()) // where that is not possible while it is open, close does it
	b := s.memory
	s.memory, s.size = nil, 0
	s.left.data += int64(len(b))
	return s.write(b)
}

// write appends to the file.
func (s *spool) write(b []byte) error {
	for len(b) > 0 {
		n, zero := run(b)
		if !zero {
			if _, err := s.file.WriteAt(b[:n], s.size); err != nil {
				return err
			}
			if err := s.spend(n); err != nil {
				return err
			}
		}
		s.size += int64(n)
		b = b[n:]
	}
	return nil
}

// run is how many bytes b begins with that are pages of zeros, or pages of something else.
func run(b []byte) (n int, zero bool) {
	var zeroPage [4096]byte
	for n < len(b) {
		page := b[n:min(n+len(zeroPage), len(b))]
		is := bytes.Equal(page, zeroPage[:len(page)])
		if n > 0 && is != zero {
			break
		}
		zero = is
		n += len(page)
	}
	return n, zero
}

// as is what was unpacked, as a file; it is gone after close.
func (s *spool) as(name string) (File, error) {
	if s.file == nil {
		return File{Name: name, ReaderAt: bytes.NewReader(s.memory), Size: s.size}, nil
	}
	return File{Name: name, ReaderAt: s.file, Size: s.size}, s.file.Truncate(s.size)
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		_ = os.Remove(s.file.Name()) // most systems let create do it
	}
}

// Spool takes all of a stream, such as standard input, as a file. It is there until
// closeFile is called.
func Spool(name string, r io.Reader) (f File, closeFile func(), err error) {
	s := &spool{left: newBudget(MaxUnpacked)}
	if _, err := io.Copy(s, r); err != nil {
		s.close()
		return f, nil, err
	}
	f, err = s.as(name)
	return f, s.close, err
}
