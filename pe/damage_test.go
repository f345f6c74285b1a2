package pe_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"bugcheck/internal/damage"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"

	"github.com/google/go-cmp/cmp"
)

// contents is everything that an image says, and the errors met.
type contents struct {
	Sections    []pe.Section
	Exports     []pe.Export
	Imports     []pe.Import
	Debug       []pe.Debug
	PDB         pe.PDB
	Version     pe.Version
	Functions   []pe.Function
	Relocations []pe.Relocation
	LoadConfig  pe.LoadConfig
	Extended    uint32
	Repro       bool
}

// walk asks an image everything. Each error must be of one of the three kinds.
func walk(t testing.TB, what string, f *pe.File) (c contents, errs []error) {
	t.Helper()
	all := make([]error, 11)
	c.Sections, all[0] = f.Sections()
	c.Exports, all[1] = f.Exports()
	c.Imports, all[2] = f.Imports()
	c.Debug, all[3] = f.DebugEntries()
	c.PDB, all[4] = f.PDB()
	c.Version, all[5] = f.Version()
	c.Functions, all[6] = f.Functions()
	c.Relocations, all[7] = f.Relocations()
	c.LoadConfig, all[8] = f.LoadConfig()
	c.Extended, all[9] = f.ExtendedCharacteristics()
	c.Repro, all[10] = f.Reproducible()
	for _, rva := range []pe.RVA{0, 0x1004, 0x2000, 0xffffffff, f.Header.EntryPoint} {
		fn, ok, err := f.Function(rva)
		all = append(all, err)
		if ok && err == nil && (rva < fn.Begin || rva >= fn.End) {
			t.Errorf("%s: Function(%v) = %+v", what, rva, fn)
		}
		if off, ok := f.Offset(rva); ok && off < 0 {
			t.Errorf("%s: Offset(%v) = %d", what, rva, off)
		}
		f.RVA(int64(rva))
	}
	for _, err := range all {
		if err != nil {
			kind(t, what, err)
			errs = append(errs, err)
		}
	}
	_ = f.ImageKey() + c.PDB.Key() + f.Header.Machine.String() + c.Version.File.String()
	return c, errs
}

// kind checks that an error is a *Fault, a *FormatError or a *le.ShortError.
func kind(t testing.TB, what string, err error) {
	t.Helper()
	var fault *pe.Fault
	var short *le.ShortError
	if !errors.As(err, &fault) && !errors.As(err, &short) && !errors.Is(err, pe.ErrFormat) || err.Error() == "" {
		t.Errorf("%s: %v (%T) is of no known kind", what, err, err)
	}
}

// walkBytes opens bytes that may be no image, and asks everything.
func walkBytes(t testing.TB, what string, b []byte, layout pe.Layout) {
	t.Helper()
	f, err := openBytes(b, layout)
	if err != nil {
		kind(t, what, err)
		return
	}
	walk(t, what, f)
}

// mapped lays a file out as it lies in memory.
func mapped(t *testing.T, b []byte, f *pe.File) []byte {
	t.Helper()
	m := make([]byte, f.Header.SizeOfImage)
	copy(m, b[:f.Header.SizeOfHeaders])
	sections, err := f.Sections()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		copy(m[s.RVA:s.RVA+pe.RVA(s.VirtualSize)], b[s.Offset:s.Offset+s.RawSize])
	}
	return m
}

// In memory an image says what it says in its file.
func TestCorpus_Memory(t *testing.T) {
	eachImage(t, func(t *testing.T, _ string, b []byte, f *pe.File) {
		want, errs := walk(t, "file", f)
		if len(errs) != 0 {
			t.Fatal(errs)
		}
		got, errs := walk(t, "memory", open(t, mapped(t, b, f), pe.InMemory))
		if d := cmp.Diff(want, got); d != "" || len(errs) != 0 {
			t.Errorf("%v (-file +memory):\n%s", errs, d)
		}
	})
}

// With each page of the memory missing, what is on the others is found, and
// the errors name the page.
func TestCorpus_MissingPages(t *testing.T) {
	eachImage(t, func(t *testing.T, _ string, b []byte, f *pe.File) {
		whole, _ := walk(t, "file", f)
		m := mapped(t, b, f)
		for at := int64(0); at < int64(len(m)); at += 0x1000 {
			checkMissing(t, fmt.Sprintf("page at %#x missing", at), m, at, whole)
		}
	})
}

func TestOpen_MissingPages(t *testing.T) {
	for name, im := range samples() {
		m := im.memory()
		whole, errs := walk(t, name, open(t, m, pe.InMemory))
		if len(errs) != 0 {
			t.Fatal(errs)
		}
		for at := int64(0); at < int64(len(m)); at += 0x1000 {
			checkMissing(t, fmt.Sprintf("%s: page at %#x missing", name, at), m, at, whole)
		}
	}
}

func checkMissing(t *testing.T, what string, m []byte, at int64, whole contents) {
	t.Helper()
	f, err := pe.Open(memoryWithout{m, map[int64]bool{at: true}}, int64(len(m)), pe.InMemory)
	if at == 0 {
		if !mem.IsMissing(err) {
			t.Errorf("%s: %v, want the reader's *mem.Fault", what, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got, errs := walk(t, what, f)
	for _, err := range errs {
		var fault *pe.Fault
		if !mem.IsMissing(err) || !errors.As(err, &fault) || int64(fault.RVA)&^0xfff != at {
			t.Errorf("%s: %v, want a *mem.Fault inside a *Fault there", what, err)
		}
	}
	if len(errs) == 0 {
		if d := cmp.Diff(whole, got); d != "" {
			t.Errorf("%s: no error, but (-whole +got):\n%s", what, d)
		}
	}
	checkParts(t, what, got, whole)
	checkLookup(t, what, f, got, whole)
}

// checkParts checks that nothing is there which the whole image does not say.
func checkParts(t *testing.T, what string, got, whole contents) {
	t.Helper()
	for _, e := range got.Exports {
		if !slices.Contains(whole.Exports, e) && e.Name != "" {
			t.Errorf("%s: export %+v is invented", what, e)
		}
	}
	for _, fn := range got.Functions {
		if fn.End != 0 && !slices.Contains(whole.Functions, fn) {
			t.Errorf("%s: function %+v is invented", what, fn)
		}
	}
	if n := len(got.Relocations); !slices.Equal(got.Relocations, whole.Relocations[:n]) {
		t.Errorf("%s: relocations are invented", what)
	}
}

// checkLookup looks every function up: those that could be listed are found,
// the others are said to be missing.
func checkLookup(t *testing.T, what string, f *pe.File, got, whole contents) {
	t.Helper()
	for _, fn := range whole.Functions {
		found, ok, err := f.Function(fn.Begin)
		switch listed := slices.Contains(got.Functions, fn); {
		case listed && (!ok || err != nil || found != fn):
			t.Errorf("%s: Function(%v) = %+v, %v, %v; want %+v", what, fn.Begin, found, ok, err, fn)
		case !listed && !mem.IsMissing(err):
			t.Errorf("%s: Function(%v) = %+v, %v, %v; want a *mem.Fault", what, fn.Begin, found, ok, err)
		}
	}
}

// All pages of the function table but the last are missing.
func TestFunction_MostPagesMissing(t *testing.T) {
	m := sample(0x8664, true).memory()
	f, err := pe.Open(memoryWithout{m, map[int64]bool{0x6000: true}}, int64(len(m)), pe.InMemory)
	if err != nil {
		t.Fatal(err)
	}
	if fn, ok, err := f.Function(0x1000 + 16*599); !ok || err != nil || fn.Begin != 0x1000+16*599 {
		t.Errorf("an entry on the last page: %+v, %v, %v", fn, ok, err)
	}
	if fn, ok, err := f.Function(0x1000); ok || !mem.IsMissing(err) {
		t.Errorf("an entry on the missing page: %+v, %v, %v; want a *mem.Fault", fn, ok, err)
	}
	if fn, ok, err := f.Function(0x1000 + 16*599 + 8); ok || err != nil {
		t.Errorf("behind the last: %+v, %v, %v; want no error", fn, ok, err)
	}
}

// Without its .xdata record, an ARM64 function has no known end.
func TestFunction_RecordMissing(t *testing.T) {
	m := sample(0xaa64, true).memory()
	f, err := pe.Open(memoryWithout{m, map[int64]bool{0x2000: true}}, int64(len(m)), pe.InMemory)
	if err != nil {
		t.Fatal(err)
	}
	fn, ok, err := f.Function(0x1004)
	if !ok || fn.Begin != 0x1000 || fn.Unwind == 0 || fn.End != 0 || !mem.IsMissing(err) {
		t.Errorf("%+v, %v, %v; want the entry without its end, and a *mem.Fault", fn, ok, err)
	}
}

// Every field of the headers and of the tables holds what it should not.
func TestOpen_HostileFields(t *testing.T) {
	for name, im := range samples() {
		for layout, b := range [][]byte{im.file(), im.memory()} {
			for at := 0; at < len(b); at += 4 {
				if at >= headersSize && at%0x1000 > 0x600 {
					continue // the same entries again
				}
				was := order.Uint32(b[at:])
				for _, v := range []uint32{0, 1, 0x2000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff} {
					order.PutUint32(b[at:], v)
					walkBytes(t, fmt.Sprintf("%s layout %d: %#x at %#x", name, layout, v, at), b, pe.Layout(layout))
				}
				order.PutUint32(b[at:], was)
			}
		}
	}
}

const block = 0x200

// Each 512 bytes of an image zeroed, removed, and the file cut there.
func harm(t *testing.T, name string, b []byte, layout pe.Layout) {
	t.Helper()
	for at := 0; at < len(b); at += block {
		for _, k := range damage.Kinds {
			what := fmt.Sprintf("%s: %#x %s", name, at, k.Name)
			file := k.File(b, at, min(at+block, len(b)))
			f, err := pe.Open(file, file.Size(), layout)
			if err != nil {
				kind(t, what, err)
				if at >= headersSize {
					t.Errorf("%s: %v, but the headers are whole", what, err)
				}
				continue
			}
			_, errs := walk(t, what, f)
			if k.Name == "cut" && at == headersSize && len(errs) == 0 {
				t.Errorf("%s: no error", what)
			}
		}
	}
}

func TestOpen_Damage(t *testing.T) {
	for name, im := range samples() {
		harm(t, name+" file", im.file(), pe.InFile)
		harm(t, name+" memory", im.memory(), pe.InMemory)
	}
}

func TestCorpus_Damage(t *testing.T) {
	eachImage(t, func(t *testing.T, _ string, b []byte, f *pe.File) {
		harm(t, "file", b, pe.InFile)
		harm(t, "memory", mapped(t, b, f), pe.InMemory)
	})
}

// Several goroutines may ask one image.
func TestFile_Concurrent(t *testing.T) {
	f := open(t, sample(0xaa64, true).file(), pe.InFile)
	want, _ := walk(t, "alone", f)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got, errs := walk(t, "together", f); len(errs) != 0 || !cmp.Equal(want, got) {
				t.Errorf("%v (-want +got):\n%s", errs, cmp.Diff(want, got))
			}
		})
	}
	wg.Wait()
}

// Counts and sizes that cannot be are refused, and the rest is used.
func TestHostileCounts(t *testing.T) {
	im := sample(0x8664, true)
	exports := im.dirs[0][0] - 0x2000
	for _, tt := range []struct {
		what string
		harm func(im *image)
		ask  func(f *pe.File) (int, error)
		want int
	}{
		{"functions exported", func(im *image) { order.PutUint32(im.parts[1].data[exports+0x14:], 0xffffffff) },
			func(f *pe.File) (int, error) { l, err := f.Exports(); return len(l), err }, 0},
		{"names exported", func(im *image) { order.PutUint32(im.parts[1].data[exports+0x18:], 0xffffffff) },
			func(f *pe.File) (int, error) { l, err := f.Exports(); return len(l), err }, 0},
		{"debug entries", func(im *image) { im.dirs[6][1] = 0xffffffff },
			func(f *pe.File) (int, error) { l, err := f.DebugEntries(); return min(len(l), 65), err }, 64},
		{"functions", func(im *image) { im.dirs[3][1] = 0xffffffff },
			func(f *pe.File) (int, error) { l, err := f.Functions(); return len(l), err }, 0},
		{"functions that would fill more than the image", func(im *image) { im.dirs[3][1] = 0x100000 },
			func(f *pe.File) (int, error) { l, err := f.Functions(); return len(l), err }, 0},
		{"relocations", func(im *image) { im.dirs[5][1] = 0xffffffff },
			func(f *pe.File) (int, error) { l, err := f.Relocations(); return len(l), err }, 0},
		{"relocation block", func(im *image) { order.PutUint32(im.parts[3].data[20:], 0xfffffff0) },
			func(f *pe.File) (int, error) { l, err := f.Relocations(); return len(l), err }, 3},
		{"resource size", func(im *image) { order.PutUint32(im.parts[2].data[0x54:], 0xffffffff) },
			func(f *pe.File) (int, error) { v, err := f.Version(); return len(v.Strings), err }, 0},
	} {
		im := sample(0x8664, true)
		tt.harm(&im)
		got, err := tt.ask(open(t, im.file(), pe.InFile))
		if got != tt.want || !errors.Is(err, pe.ErrFormat) {
			t.Errorf("%s: %d, %v; want %d and a *FormatError", tt.what, got, err, tt.want)
		}
	}
}

// More sections than Windows loads.
func TestSections_TooMany(t *testing.T) {
	b := sample(0x8664, true).file()
	order.PutUint16(b[peAt+6:], 0xffff)
	list, err := open(t, b, pe.InFile).Sections()
	if len(list) != 96 || list[0].Name != ".text" || !errors.Is(err, pe.ErrFormat) {
		t.Errorf("%d sections, %v; want 96 and a *FormatError", len(list), err)
	}
}

// Many names that are one long text are not copied again and again.
func TestExports_OverlappingNames(t *testing.T) {
	im := image{machine: 0x8664, wide: true, base: 1 << 32}
	const n = 8192
	names := bytes.Repeat(u32(0x1000+40+6*n), n)
	data := slicesConcat(u32(0, 0, 0, 0, 1, 1, n, 0x1000, 0x1000+40, 0x1000+40+4*n),
		names, make([]byte, 2*n), bytes.Repeat([]byte("A"), 0x3000))
	im.parts = []part{{".edata", 0x1000, data}}
	im.dirs[0] = [2]uint32{0x1000, 40}
	b := im.file()
	list, err := open(t, b, pe.InFile).Exports()
	total := 0
	for _, e := range list {
		total += len(e.Name)
	}
	if !errors.Is(err, pe.ErrFormat) || total > len(b) || total == 0 {
		t.Errorf("%d names, %d bytes of text, from %d bytes; %v", len(list), total, len(b), err)
	}
}
