package mem

import (
	"io"
	"sort"
)

// Range is a run of captured memory: Size bytes of it at Address, standing at
// Offset in the file.
type Range struct {
	Address VA
	Size    uint64 // bytes
	Offset  int64  // in the file, bytes
}

// End is the address behind the last byte; it never wraps in a Ranges.
func (r Range) End() VA { return r.Address + VA(r.Size) }

// Ranges reads memory that a file holds as runs. It is immutable and safe for
// concurrent use. The zero value holds nothing.
type Ranges struct {
	file io.ReaderAt
	size int64 // of the file, bytes
	runs []Range
}

// NewRanges returns a reader of the runs in file, which is size bytes long.
// Runs may overlap, come in any order and lie past the end of the file; empty
// runs and those that wrap around the address space are dropped.
func NewRanges(file io.ReaderAt, size int64, runs []Range) *Ranges {
	kept := make([]Range, 0, len(runs))
	for _, r := range runs {
		if r.Size != 0 && r.Offset >= 0 && uint64(r.Address)+r.Size > uint64(r.Address) {
			kept = append(kept, r)
		}
	}
	sort.SliceStable(kept, func(i, j int) bool { return kept[i].Address < kept[j].Address })
	return &Ranges{file: file, size: size, runs: kept}
}

// Runs lists what is captured, by rising address. The caller must not change it.
func (m *Ranges) Runs() []Range { return m.runs }

// ReadAt implements Reader.
func (m *Ranges) ReadAt(p []byte, va VA) (int, error) {
	done := 0
	for done < len(p) {
		at := va + VA(done)
		run, ok := m.find(at)
		if !ok {
			return done, &Fault{Address: at, Reason: NotInDump}
		}
		skip := uint64(at - run.Address)
		n := min(uint64(len(p)-done), run.Size-skip)
		off := run.Offset + int64(skip)
		if off >= m.size {
			return done, &Fault{Address: at, Reason: PastEnd}
		}
		got, _ := m.file.ReadAt(p[done:done+int(min(n, uint64(m.size-off)))], off)
		if got == 0 {
			return done, &Fault{Address: at, Reason: PastEnd}
		}
		done += got
	}
	return done, nil
}

// overlapsSearched bounds the walk back over runs that overlap: a triage dump
// nests at most a few (a stack inside a captured block).
const overlapsSearched = 16

// find returns a run that holds va, the one that starts nearest before it.
func (m *Ranges) find(va VA) (Range, bool) {
	i := sort.Search(len(m.runs), func(i int) bool { return m.runs[i].Address > va })
	for n := 0; n < overlapsSearched && i > 0; n++ {
		i--
		if va < m.runs[i].End() {
			return m.runs[i], true
		}
	}
	return Range{}, false
}
