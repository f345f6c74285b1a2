package pe

import (
	"bytes"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// extent is a run of bytes of the image.
type extent struct {
	off  int64  // where it stands in the reader
	n    uint64 // bytes
	zero bool   // the file does not hold them: the loader makes zeros
}

// extent finds the bytes from rva on; false if no section has them.
func (f *File) extent(rva uint64) (extent, bool) {
	if f.Layout == InMemory {
		return extent{off: int64(rva), n: 1<<32 - rva}, rva < 1<<32
	}
	return f.fileExtent(rva)
}

// fileExtent is extent for the layout of the file.
func (f *File) fileExtent(rva uint64) (extent, bool) {
	if end := f.headersEnd(); rva < end {
		return extent{off: int64(rva), n: end - rva}, true
	}
	for _, s := range f.sections {
		start, size := uint64(s.RVA), s.span()
		if rva < start || rva-start >= size {
			continue
		}
		skip, raw := rva-start, min(s.stored(), size)
		if skip >= raw {
			return extent{n: size - skip, zero: true}, true
		}
		return extent{off: int64(s.Offset) + int64(skip), n: raw - skip}, true
	}
	return extent{}, false
}

// headersEnd is where the headers end in both layouts: a section may not begin
// inside them, whatever SizeOfHeaders says.
func (f *File) headersEnd() uint64 {
	end := uint64(f.Header.SizeOfHeaders)
	for _, s := range f.sections {
		end = min(end, uint64(s.RVA))
	}
	return end
}

// span is the size of a section in memory: whole pages, so that the padding
// behind VirtualSize is readable as it is after loading. A VirtualSize of zero,
// which old linkers left, means RawSize.
func (s Section) span() uint64 {
	n := uint64(s.VirtualSize)
	if n == 0 {
		n = uint64(s.RawSize)
	}
	if s.RVA%pageSize == 0 {
		n = (n + pageSize - 1) &^ (pageSize - 1)
	}
	return n
}

// stored is how many bytes of a section the file holds.
func (s Section) stored() uint64 {
	if s.Offset == 0 {
		return 0
	}
	return uint64(s.RawSize)
}

// Offset converts an RVA to an offset in the file, whatever the layout the
// image is read in; false if the file does not hold that byte.
func (f *File) Offset(rva RVA) (int64, bool) {
	e, ok := f.fileExtent(uint64(rva))
	return e.off, ok && !e.zero
}

// RVA converts an offset in the file to an RVA; false if the byte is not
// mapped, as the signature and the debug data of some linkers are not.
func (f *File) RVA(offset int64) (RVA, bool) {
	if offset >= 0 && uint64(offset) < f.headersEnd() {
		return RVA(offset), true
	}
	for _, s := range f.sections {
		skip := offset - int64(s.Offset)
		if skip < 0 || uint64(skip) >= min(s.stored(), s.span()) {
			continue
		}
		if rva := int64(s.RVA) + skip; rva < 1<<32 {
			return RVA(rva), true
		}
	}
	return 0, false
}

// ReadAt fills p from rva on and returns how many bytes it read; when that is
// less than len(p), the error is a *Fault with the first byte that is missing.
func (f *File) ReadAt(p []byte, rva RVA) (int, error) {
	done := 0
	for done < len(p) {
		at := uint64(rva) + uint64(done)
		e, ok := f.extent(at)
		if !ok {
			return done, &Fault{RVA: RVA(at), Reason: "is in no section"}
		}
		part := p[done : done+int(min(uint64(len(p)-done), e.n))]
		if e.zero {
			clear(part)
			done += len(part)
			continue
		}
		n, err := f.readRaw(part, e.off, RVA(at))
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// u32 reads one number.
func (f *File) u32(rva RVA) (uint32, error) {
	var b [4]byte
	if _, err := f.ReadAt(b[:], rva); err != nil {
		return 0, err
	}
	return le.U32(b[:], 0), nil
}

// check refuses a table of n entries of size bytes that is larger than the
// image it should lie in, or has more than most entries.
func (f *File) check(what string, at RVA, n uint32, size, most int) error {
	bytes := uint64(n) * uint64(size)
	if n > uint32(most) || bytes > uint64(f.Size) || uint64(at)+bytes > 1<<32 {
		return wrong("%d %s at %v cannot be", n, what, at)
	}
	return nil
}

const (
	// A decorated C++ name of Visual C++ is cut at 4096 characters; other
	// compilers go a little further.
	maxName = 0x4000
	// Names of one table together: those of the largest images take 8 MiB.
	maxText   = 1 << 26
	pagesKept = 16
)

// pages reads the scattered parts of a table: the last few pages stay in
// memory. A page that is missing fails only the reads that touch it.
type pages struct {
	f    *File
	kept [pagesKept]page
	text int64 // bytes of names that may still be read
}

type page struct {
	at    RVA
	valid bool
	b     []byte // up to the first byte that is missing
}

// pages starts to read a table. Its names together are bounded by the size of
// the image: they lie side by side there, so only a hostile image has more.
func (f *File) pages() *pages { return &pages{f: f, text: min(f.Size, maxText)} }

func (p *pages) page(rva RVA) []byte {
	at := rva &^ (pageSize - 1)
	k := &p.kept[at/pageSize%pagesKept]
	if !k.valid || k.at != at {
		b := k.b[:cap(k.b)]
		if b == nil {
			b = make([]byte, pageSize)
		}
		n, _ := p.f.ReadAt(b, at)
		*k = page{at: at, valid: true, b: b[:n]}
	}
	return k.b
}

// bytes returns the n bytes at rva, valid until the next call, or a *Fault.
func (p *pages) bytes(rva RVA, n int) ([]byte, error) {
	off := int(rva % pageSize)
	if b := p.page(rva); off+n <= len(b) {
		return b[off : off+n], nil
	}
	b := make([]byte, n)
	_, err := p.f.ReadAt(b, rva)
	return b, err
}

func (p *pages) u16(rva RVA) (uint16, error) {
	b, err := p.bytes(rva, 2)
	if err != nil {
		return 0, err
	}
	return le.U16(b, 0), nil
}

func (p *pages) u32(rva RVA) (uint32, error) {
	b, err := p.bytes(rva, 4)
	if err != nil {
		return 0, err
	}
	return le.U32(b, 0), nil
}

// name reads the text at rva up to its NUL, and cleans it.
func (p *pages) name(rva RVA) (string, error) {
	var text []byte
	for at := rva; len(text) <= maxName; {
		off := int(at % pageSize)
		b := p.page(at)
		if off >= len(b) {
			return "", p.missing(at)
		}
		part, _, ended := bytes.Cut(b[off:], []byte{0})
		text = append(text, part...)
		if p.text -= int64(len(part)); p.text < 0 {
			return "", wrong("the names together are longer than the image")
		}
		if ended {
			return win.ASCII(text), nil
		}
		at += RVA(len(part))
	}
	return "", wrong("the name at %v does not end", rva)
}

// missing is the *Fault of a byte that its page does not have.
func (p *pages) missing(rva RVA) error {
	_, err := p.f.ReadAt(make([]byte, 1), rva)
	return err
}

// keep stores the first error of a walk that goes on.
func keep(first *error, err error) {
	if *first == nil {
		*first = err
	}
}
