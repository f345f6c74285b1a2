package dump_test

import (
	"bytes"
	"fmt"
	"testing"

	"bugcheck/dump"
	"bugcheck/lab/ram"
	"bugcheck/mem"
)

// labFile is a dump of the lab's in memory.
type labFile struct{ b []byte }

func (f *labFile) WriteAt(p []byte, at int64) (int, error) { return copy(f.b[at:], p), nil }
func (f *labFile) Truncate(n int64) error                  { f.b = make([]byte, n); return nil }

// labMachine is a machine of the lab with pages of every kind.
type labMachine struct {
	memory *ram.Memory
	space  *ram.Space
	pages  []labPage
}

type labPage struct {
	va    uint64
	state mem.PageState
	p     ram.Protection
	user  bool
	data  []byte // what stands there, where it can be read
	kept  ram.Class
}

const (
	labKernel = uint64(0xfffff80412340000)
	labPaged  = uint64(0xffffb08011100000)
	labLarge  = uint64(0xfffff80500000000)
	labUser   = uint64(0x7ff612340000)
	labProto  = uint64(0xffffc98745432000)
)

// newLabMachine maps pages, then takes some away as the memory manager does.
func newLabMachine(t *testing.T, arch string, levels int, mask uint64) *labMachine {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m := ram.New(arch, 96<<20)
	m.Levels, m.InvalidPTEMask = levels, mask
	l := &labMachine{memory: m, space: m.NewSpace()}
	s := l.space
	add := func(va uint64, p ram.Protection, state mem.PageState) {
		must(s.Map(va, ram.PageSize, p))
		data := fill(va, ram.PageSize)
		must(s.Write(va, data))
		kept := ram.ClassKernel
		if va>>47 == 0 {
			kept = ram.ClassUser
		}
		l.pages = append(l.pages, labPage{va: va, state: state, p: p, user: va>>47 == 0, data: data, kept: kept})
	}
	for i, p := range []ram.Protection{0, ram.Writable, ram.Executable, ram.Writable | ram.Executable, ram.CopyOnWrite} {
		add(labKernel+uint64(i)*ram.PageSize, p, mem.Valid)
		add(labUser+uint64(i)*ram.PageSize, p, mem.Valid)
	}
	add(labProto, ram.Writable, mem.Valid)
	add(labPaged, ram.Writable, mem.Transition)
	add(labPaged+0x1000, ram.Writable, mem.PagedOut)
	add(labPaged+0x2000, ram.Writable, mem.Prototype)
	must(s.Transition(labPaged, ram.PageSize))
	must(s.PageOut(labPaged+0x1000, ram.PageSize, 1, 0x1234))
	must(s.Prototype(labPaged+0x2000, labProto))
	must(s.DemandZero(labPaged+0x3000, ram.PageSize, ram.Writable))
	must(s.Map(labLarge, 1, ram.Large|ram.Executable))
	large := fill(labLarge, ram.PageSize)
	must(s.Write(labLarge+0x123000, large))
	l.pages = append(l.pages, labPage{va: labPaged + 0x3000, state: mem.DemandZero},
		labPage{va: labLarge + 0x123000, state: mem.Valid, p: ram.Executable, data: large, kept: ram.ClassKernel},
		labPage{va: labPaged + 0x200000, state: mem.Unmapped})
	return l
}

func (l *labMachine) dump(t *testing.T, format ram.Format) []byte {
	t.Helper()
	var f labFile
	h := &ram.Header{Build: 22621, Processors: 2, Code: 0xd1, DirectoryTableBase: l.space.Root(), PsLoadedModuleList: labKernel}
	if err := l.memory.Dump(&f, format, h); err != nil {
		t.Fatal(err)
	}
	return f.b
}

// Dumps that the lab writes are read as its machine has it: every page of every
// kind, in every format.
func TestLab_Whole(t *testing.T) {
	for _, tt := range []struct {
		arch   string
		levels int
		mask   uint64
		kind   mem.PagingKind
	}{
		{"x64", 4, 0, mem.PagingX64}, {"x64", 4, 0x2000_0000_0000, mem.PagingX64}, {"x64", 5, 0, mem.PagingLA57}, {"arm64", 4, 0, mem.PagingARM64},
	} {
		l := newLabMachine(t, tt.arch, tt.levels, tt.mask)
		for _, format := range ram.Formats() {
			t.Run(fmt.Sprintf("%s %d levels mask %x %v", tt.arch, tt.levels, tt.mask, format), func(t *testing.T) {
				f := open(t, l.dump(t, format))
				if f.Paging.Kind != tt.kind || f.Header.BugCheckCode != 0xd1 && format != ram.ELF || f.PhysicalPages != l.memory.Frames() {
					t.Errorf("paging %v, stop code %#x, %d pages in the machine", f.Paging.Kind, f.Header.BugCheckCode, f.PhysicalPages)
				}
				if format != ram.ELF && len(f.Notes) > 0 || f.Truncated {
					t.Errorf("notes %v, truncated %v", f.Notes, f.Truncated)
				}
				for _, p := range l.pages {
					checkLabPage(t, l, f, p, format, tt.mask)
				}
			})
		}
	}
}

// keeps says which pages a format holds.
func keeps(format ram.Format, p labPage) bool {
	switch format {
	case ram.Full, ram.FullBitmap, ram.FullRanges, ram.ELF:
		return true
	case ram.ActiveBitmap, ram.UserRanges:
		return p.state != mem.Transition
	}
	return p.state != mem.Transition && p.kept == ram.ClassKernel
}

func checkLabPage(t *testing.T, l *labMachine, f *dump.File, p labPage, format ram.Format, mask uint64) {
	t.Helper()
	paging := f.Paging
	if paging.MaskUnknown != (paging.Kind != mem.PagingARM64) {
		t.Errorf("paging %+v: is the mask known?", paging)
	}
	paging.InvalidPteMask, paging.MaskUnknown = mask, false
	s := mem.NewSpace(f.Physical, paging, f.Header.DirectoryTable)
	info, err := s.Page(mem.VA(p.va))
	if err != nil || info.State != p.state {
		if keeps(format, p) || p.kept == ram.ClassKernel {
			t.Errorf("%#x: %+v, %v; want %v", p.va, info, err, p.state)
		}
		return
	}
	if entry, err := l.space.PTE(p.va); err == nil && (entry.Get() != info.PTE || mem.PA(entry.Address) != info.Entry || entry.Level != info.Level) {
		t.Errorf("%#x: entry %x at %v, level %d; the machine has %+v", p.va, info.PTE, info.Entry, info.Level, entry)
	}
	switch p.state {
	case mem.Valid:
		want, _ := l.space.Translate(p.va)
		if pa, err := f.Memory.(*mem.Space).Translate(mem.VA(p.va)); err != nil || uint64(pa) != want {
			t.Errorf("%#x: at %v, %v; want %#x", p.va, pa, err, want)
		}
		if info.Writable != (p.p&ram.Writable != 0) || info.Executable != (p.p&ram.Executable != 0) || info.User != p.user {
			t.Errorf("%#x: %+v; want protection %b, user %v", p.va, info, p.p, p.user)
		}
	case mem.PagedOut:
		if info.PageFile != 1 || info.PageFileOffset != 0x1234 {
			t.Errorf("%#x: page %#x of file %d, want 0x1234 of 1", p.va, info.PageFileOffset, info.PageFile)
		}
		return
	case mem.Prototype:
		if info.PrototypePTE != mem.VA(labProto) {
			t.Errorf("%#x: prototype %v, want %#x", p.va, info.PrototypePTE, labProto)
		}
		return
	case mem.DemandZero, mem.Unmapped:
		return
	}
	got := make([]byte, ram.PageSize) // by File.Memory, which does not know the mask
	n, err := f.Memory.ReadAt(got, mem.VA(p.va))
	switch {
	case keeps(format, p) && (err != nil || !bytes.Equal(got, p.data)):
		t.Errorf("%#x (%v): %d bytes, %v", p.va, p.state, n, err)
	case !keeps(format, p) && !mem.IsMissing(err):
		t.Errorf("%#x (%v): %d bytes, %v; want a fault", p.va, p.state, n, err)
	}
}

func TestLab_WholeKinds(t *testing.T) {
	l := newLabMachine(t, "x64", 4, 0)
	for format, want := range map[ram.Format]dump.Kind{
		ram.Full: dump.Full, ram.FullBitmap: dump.Full, ram.ActiveBitmap: dump.Active, ram.KernelBitmap: dump.Kernel, ram.Summary: dump.Kernel,
		ram.Automatic: dump.Automatic, ram.KernelRanges: dump.Kernel, ram.UserRanges: dump.Active, ram.FullRanges: dump.Full, ram.Live: dump.Live, ram.ELF: dump.Full,
	} {
		if f := open(t, l.dump(t, format)); f.Kind != want {
			t.Errorf("%v: kind %q, want %q", format, f.Kind, want)
		}
	}
}
