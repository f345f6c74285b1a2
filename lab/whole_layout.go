package lab

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed structures.tsv
var structuresTSV string

// layout is where the fields of one kernel's structures stand. What never moved from
// 17763 to 26100 is not in it but in the code that writes it.
type layout struct{ fields map[string]uint64 }

// newLayout returns the layout of a build.
func newLayout(arch string, build int) (*layout, error) {
	want, column := fmt.Sprintf("%s %d", arch, build), -1
	l := &layout{map[string]uint64{}}
	for _, line := range strings.Split(structuresTSV, "\n") {
		cells := strings.Split(line, "\t")
		if strings.HasPrefix(line, "# structure\t") {
			for i, c := range cells {
				if c == want {
					column = i
				}
			}
		}
		if strings.HasPrefix(line, "#") || column < 0 || len(cells) <= column {
			continue
		}
		if v, err := strconv.ParseUint(cells[column], 0, 32); err == nil {
			l.fields[cells[0]+" "+cells[1]] = v
		}
	}
	if _, ok := l.Field("_EPROCESS", "UniqueProcessId"); !ok {
		return nil, fmt.Errorf("no layout of %s", want)
	}
	return l, nil
}

// Field returns the offset of a field, in bytes.
func (l *layout) Field(structure, path string) (uint64, bool) {
	v, ok := l.fields[structure+" "+path]
	return v, ok
}

// Size returns the size of a structure, 0 where it is not known.
func (l *layout) Size(structure string) uint64 { return l.fields[structure+" sizeof"] }

// record is a structure that is being filled, to be written when it is complete.
type record struct {
	s    *System
	name string
	va   uint64
	buf
}

// record starts a structure at va, all zero. Its size may be unknown: it grows.
func (s *System) record(structure string, va uint64) *record {
	r := &record{s: s, name: structure, va: va}
	r.grow(int(s.layout.Size(structure)))
	return r
}

// update starts a structure at va with what stands there.
func (s *System) update(structure string, va uint64) *record {
	r := s.record(structure, va)
	s.fail(s.Space.Read(va, r.b))
	return r
}

// off returns where a field stands, -1 where this build has none. "KTHREAD.Teb" is a
// field of the structure that r starts with.
func (r *record) off(field string) int {
	structure := r.name
	if base, rest, ok := strings.Cut(field, ":"); ok {
		structure, field = base, rest
	}
	v, ok := r.s.layout.Field(structure, field)
	if !ok {
		return -1
	}
	return int(v)
}

// at returns the address of a field.
func (r *record) at(field string) uint64 { return r.va + uint64(max(r.off(field), 0)) }

func (r *record) set64(field string, v uint64) {
	if o := r.off(field); o >= 0 {
		r.put64(o, v)
	}
}

func (r *record) set32(field string, v uint32) {
	if o := r.off(field); o >= 0 {
		r.put32(o, v)
	}
}

func (r *record) set16(field string, v uint16) {
	if o := r.off(field); o >= 0 {
		r.put16(o, v)
	}
}

func (r *record) set8(field string, v uint8) {
	if o := r.off(field); o >= 0 {
		r.put8(o, v)
	}
}

func (r *record) setBytes(field string, b []byte) {
	if o := r.off(field); o >= 0 {
		r.put(o, b)
	}
}

// empty makes a LIST_ENTRY point at itself.
func (r *record) empty(field string) {
	if o := r.off(field); o >= 0 {
		r.put64s(o, r.va+uint64(o), r.va+uint64(o))
	}
}

// setText writes a UNICODE_STRING whose characters stand at va.
func (r *record) setText(field, text string, va uint64) {
	if o := r.off(field); o >= 0 {
		r.putText(o, text, va)
	}
}

// putText writes a UNICODE_STRING: Length, MaximumLength, Buffer.
func (w *buf) putText(off int, text string, va uint64) {
	n := uint16(len(utf16le(text)))
	w.put16(off, n)
	w.put16(off+2, n+2)
	w.put64(off+8, va)
}

// write puts the structure into the kernel's memory.
func (r *record) write() { r.s.put(r.va, r.b) }
