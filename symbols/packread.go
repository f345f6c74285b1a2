package symbols

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"

	"bugcheck/internal/cab"
)

// pack is a .zip on the path: a store, or any folder of files, read in place.
// Entries that are stored are read where they lie; others are unpacked into
// memory.
type pack struct {
	path string

	once  sync.Once
	err   error
	file  *os.File
	r     io.ReaderAt // file
	size  int64
	names map[string][]*zip.File // by lower-case base name
	isfs  []*zip.File
}

// maxEntries bounds the directory of a pack.
const maxEntries = 1 << 20

func (p *pack) open() {
	file, err := os.Open(p.path)
	if err != nil {
		p.err = notHere(err)
		return
	}
	info, err := file.Stat()
	if err == nil {
		p.size = info.Size()
		err = p.index(file)
	}
	if err != nil {
		file.Close()
		p.err = fmt.Errorf("%s: %w", p.path, err)
		return
	}
	p.file = file
}

func (p *pack) index(r io.ReaderAt) error {
	z, err := zip.NewReader(r, p.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	if len(z.File) > maxEntries {
		return fmt.Errorf("%d entries, more than %d", len(z.File), maxEntries)
	}
	p.r, p.names = r, map[string][]*zip.File{}
	for _, e := range z.File {
		name := strings.ToLower(baseName(e.Name))
		if isISFName(name) {
			p.isfs = append(p.isfs, e)
		}
		p.names[name] = append(p.names[name], e)
	}
	return nil
}

func (p *pack) close() {
	p.once.Do(func() { p.err = os.ErrClosed })
	if p.file != nil {
		p.file.Close()
	}
}

func (p *pack) find(_ context.Context, f *Finder, q Request) (located, error) {
	p.once.Do(p.open)
	if p.err != nil {
		return located{}, p.err
	}
	best := errNotHere
	for _, e := range p.candidates(q) {
		at, err := p.entry(f, q, e)
		if err == nil {
			return at, nil
		}
		if errors.Is(best, errNotHere) {
			best = err
		}
	}
	return located{}, best
}

// candidates are the entries of that name; those that lie in a folder of that
// identity come first.
func (p *pack) candidates(q Request) []*zip.File {
	var right, others []*zip.File
	for _, name := range []string{q.Name, packedName(q.Name)} {
		for _, e := range p.names[strings.ToLower(name)] {
			if strings.EqualFold(path.Base(path.Dir(strings.ReplaceAll(e.Name, `\`, "/"))), q.Key) {
				right = append(right, e)
			} else {
				others = append(others, e)
			}
		}
	}
	all := append(right, others...)
	return all[:min(len(all), maxCandidates)]
}

// entry opens an entry, and checks its identity.
func (p *pack) entry(f *Finder, q Request, e *zip.File) (located, error) {
	where := p.path + "/" + e.Name
	r, size, err := p.reader(e)
	if err != nil {
		return located{}, fmt.Errorf("%s: %w", where, err)
	}
	if isCabinet(r) {
		return f.unpacked(q, r, size, where)
	}
	if b, ok := r.(*memory); ok {
		return f.inMemory(q, b.bytes, where)
	}
	return located{r: r, size: size, where: where}, verify(q, r, size, where)
}

// memory is an entry that was unpacked.
type memory struct {
	*bytes.Reader
	bytes []byte
}

// reader gives random access to an entry.
func (p *pack) reader(e *zip.File) (io.ReaderAt, int64, error) {
	if e.Method == zip.Store {
		at, err := e.DataOffset()
		size := int64(e.UncompressedSize64)
		if err != nil || size < 0 || at < 0 || at > p.size-size || e.Flags&1 != 0 {
			return nil, 0, errors.Join(zip.ErrFormat, err)
		}
		return io.NewSectionReader(p.r, at, size), size, nil
	}
	if e.UncompressedSize64 > maxInMemory {
		return nil, 0, cab.ErrTooLarge
	}
	r, err := e.Open()
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxInMemory+1))
	if err == nil && len(b) > maxInMemory {
		err = cab.ErrTooLarge
	}
	if err != nil {
		return nil, 0, err
	}
	return &memory{bytes.NewReader(b), b}, int64(len(b)), nil
}
