package pdb_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"bugcheck/internal/damage"
	"bugcheck/pdb"

	gocmp "github.com/google/go-cmp/cmp"
)

// contents is everything that a PDB says.
type contents struct {
	Publics, Procedures []pdb.Symbol
	Modules             []pdb.Module
	Types               []pdb.Type
	Lines               []pdb.Line
	At                  []pdb.Symbol
	Found               []pdb.Symbol
	Locations           [][]pdb.Location
	Frames              []pdb.FrameData
	FPO                 []pdb.FPO
}

// walkLimit bounds how many of each kind a walk looks up one by one.
const walkLimit = 40

// walk asks a PDB everything. Each error must be of the one kind.
func walk(t testing.TB, what string, f *pdb.File) (c contents, errs []error) {
	t.Helper()
	keep := func(err error) {
		if err == nil {
			return
		}
		if errs = append(errs, err); !errors.Is(err, pdb.ErrFormat) || err.Error() == "" || bytes.ContainsRune([]byte(err.Error()), '\n') {
			t.Errorf("%s: %v (%T) is of no known kind", what, err, err)
		}
	}
	var err error
	c.Publics, err = f.Publics()
	keep(err)
	c.Procedures, err = f.Procedures()
	keep(err)
	c.Modules, err = f.Modules()
	keep(err)
	c.Lines, err = f.LineTable()
	keep(err)
	names, err := f.Types()
	keep(err)
	for _, name := range names[:min(len(names), walkLimit)] {
		typ, _, err := f.Type(name)
		keep(err)
		c.Types = append(c.Types, typ)
		for _, field := range typ.Fields[:min(len(typ.Fields), walkLimit)] {
			f.Field(name, field.Name)
			_, _, err := f.TypeAt(field.Index)
			keep(err)
		}
	}
	for _, s := range slices.Concat(c.Publics[:min(len(c.Publics), walkLimit)], c.Procedures[:min(len(c.Procedures), walkLimit)]) {
		found, _ := f.Find(s.Name)
		c.Found = append(c.Found, found)
		for _, rva := range []uint32{s.RVA, s.RVA + 1, s.RVA + s.Size} {
			at, _ := f.At(rva)
			lines, err := f.Lines(rva)
			keep(err)
			frame, _ := f.FrameData(rva)
			fpo, _ := f.FPO(rva)
			c.At, c.Locations, c.Frames, c.FPO = append(c.At, at), append(c.Locations, lines), append(c.Frames, frame), append(c.FPO, fpo)
		}
	}
	_ = f.Key() + f.TypeText(0x1001)
	return c, errs
}

// walkBytes opens bytes that may be no PDB, and asks everything.
func walkBytes(t testing.TB, what string, b []byte) {
	t.Helper()
	f, err := pdb.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		if !errors.Is(err, pdb.ErrFormat) {
			t.Errorf("%s: %v (%T) is of no known kind", what, err, err)
		}
		return
	}
	walk(t, what, f)
}

func books() map[string]book {
	x86 := basic()
	x86.machine = 0x14c
	x86.fpo = join(u32(0x1100, 0x20, 3), u16(2, 7))
	x86.frame = join(u32(0x1500, 0x40, 4, 8, 0, 8), u16(5, 12), u32(4))
	x86.typeHash = false
	return map[string]book{"basic": basic(), "rearranged": rearranged(), "x86": x86}
}

// Each page of a PDB zeroed in turn, removed, and the file cut there.
func TestOpen_Damage(t *testing.T) {
	for name, book := range books() {
		b := book.write(512)
		for at := 0; at < len(b); at += 512 {
			for _, k := range damage.Kinds {
				what := fmt.Sprintf("%s: %#x %s", name, at, k.Name)
				file := k.File(b, at, at+512)
				f, err := pdb.Open(file, file.Size())
				if err != nil {
					if !errors.Is(err, pdb.ErrFormat) {
						t.Errorf("%s: %v (%T)", what, err, err)
					}
					continue
				}
				if k.Name != "zeroed" {
					t.Errorf("%s: opened, but it is shorter than its header says", what)
				}
				walk(t, what, f)
			}
		}
	}
}

// A file cut at any length is refused in one line.
func TestOpen_Cut(t *testing.T) {
	b := basic().write(512)
	for n := range len(b) {
		if _, err := pdb.Open(bytes.NewReader(b[:n]), int64(n)); !errors.Is(err, pdb.ErrFormat) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// Each stream shortened to each length: what is left of it is read.
func TestOpen_StreamsCut(t *testing.T) {
	for name, book := range books() {
		for i, s := range book.streams() {
			for n := 0; n < len(s); n += 1 + n/64 {
				streams := book.streams()
				streams[i] = s[:n]
				walkBytes(t, fmt.Sprintf("%s: stream %d cut at %d", name, i, n), (&container{pageSize: 512}).write(streams))
			}
		}
	}
}

// A stream that is damaged does not hide what lies in others.
func TestOpen_PartsLeft(t *testing.T) {
	whole, _ := walk(t, "whole", openBytes(t, basic().write(512)))
	for _, tt := range []struct {
		stream int
		harmed func(got contents) bool
		mend   func(got *contents)
	}{
		{sTPI, func(c contents) bool { return c.Types == nil }, func(c *contents) { c.Types = whole.Types }},
		{sModule, func(c contents) bool { return c.Procedures == nil }, nil},
		{sPublics, func(c contents) bool { return c.Publics == nil }, nil},
	} {
		streams := basic().streams()
		streams[tt.stream] = bytes.Repeat([]byte{0xee}, len(streams[tt.stream]))
		got, errs := walk(t, "damaged", openBytes(t, (&container{pageSize: 512}).write(streams)))
		if len(errs) == 0 || !tt.harmed(got) {
			t.Errorf("stream %d: %v, %+v", tt.stream, errs, got)
		}
		if tt.mend != nil {
			if tt.mend(&got); !gocmp.Equal(whole, got) {
				t.Errorf("stream %d (-whole +got):\n%s", tt.stream, gocmp.Diff(whole, got))
			}
		} else if !gocmp.Equal(whole.Types, got.Types) || !gocmp.Equal(whole.Modules, got.Modules) {
			t.Errorf("stream %d: %+v", tt.stream, got)
		}
	}
}

// Every field holds what it should not.
func TestOpen_HostileFields(t *testing.T) {
	for name, book := range books() {
		b := book.write(512)
		step := 2
		if testing.Short() {
			step = 34
		}
		for at := 0; at+4 <= len(b); at += step {
			was := order.Uint32(b[at:])
			if was == 0 && at%64 != 0 {
				continue // mostly empty buckets
			}
			for _, v := range []uint32{0, 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, was + 1, was ^ 0x8000} {
				order.PutUint32(b[at:], v)
				walkBytes(t, fmt.Sprintf("%s: %#x at %#x", name, v, at), b)
			}
			order.PutUint32(b[at:], was)
		}
	}
}

// Each page of a real PDB zeroed, and the file cut there.
func TestCorpus_Damage(t *testing.T) {
	for i, s := range real(t) {
		b, err := os.ReadFile(s.pdb)
		if err != nil {
			t.Fatal(err)
		}
		step := damage.Stride() / damage.PageSize // one page of so many
		for at := i % step * damage.PageSize; at < len(b); at += step * damage.PageSize {
			for _, k := range damage.Kinds {
				file := k.File(b, at, min(at+damage.PageSize, len(b)))
				f, err := pdb.Open(file, file.Size())
				if err != nil {
					if !errors.Is(err, pdb.ErrFormat) {
						t.Errorf("%s: %v (%T)", s.name, err, err)
					}
					continue
				}
				walk(t, fmt.Sprintf("%s: %#x %s", s.name, at, k.Name), f)
			}
		}
	}
}

// A type that is a member of itself, and lists of fields that go on in a circle,
// end.
func TestType_Circles(t *testing.T) {
	b := basic()
	b.types = [][]byte{
		join(u16(0x1203), member("Self", 0x1001, 0), u16(0x1404, 0), u32(0x1000)),
		structure("_LOOP", 0x1000, 8, 0),
		join(u16(0x1001), u32(0x1002), u16(1)),
		join(u16(0x1002), u32(0x1003, 0x1000c)),
		join(u16(0x1203), fill(join(u16(0x1400, 3), u32(0x1005), u16(0)))),
		structure("_BASE", 0x1004, 8, 0),
		join(u16(0x1503), u32(0x1006, 0x23), u16(80), text("")),
	}
	f := openBytes(t, b.write(512))
	if typ, ok, err := f.Type("_LOOP"); !ok || !errors.Is(err, pdb.ErrFormat) || len(typ.Fields) == 0 {
		t.Errorf("_LOOP: %v, %v, %d fields", ok, err, len(typ.Fields))
	}
	if typ, ok, err := f.Type("_BASE"); !ok || err != nil || len(typ.Fields) != 1 {
		t.Errorf("_BASE: %v, %v, %+v", ok, err, typ)
	}
	if off, ok := f.Field("_BASE", "x"); ok {
		t.Errorf("Field = %d", off)
	}
	for index := pdb.TypeIndex(0x1000); index < 0x1008; index++ {
		if text := f.TypeText(index); len(text) > 1000 {
			t.Errorf("TypeText(%x) has %d bytes", index, len(text))
		}
	}
}

// Each class has the one before twice as a base: a search does not take the
// power of two.
func TestField_ManyBases(t *testing.T) {
	b := basic()
	b.types = [][]byte{join(u16(0x1203), member("Last", 0x74, 4)), structure("_C0", 0x1000, 8, 0)}
	for i := range 60 {
		base := fill(join(u16(0x1400, 3), u32(0x1001+2*uint32(i)), u16(8)))
		b.types = append(b.types, join(u16(0x1203), base, base), structure(fmt.Sprintf("_C%d", i+1), 0x1002+2*uint32(i), 8, 0))
	}
	f := openBytes(t, b.write(4096))
	if off, ok := f.Field("_C60", "Last"); !ok || off != 60*8+4 {
		t.Errorf("Field(Last) = %d, %v", off, ok)
	}
	if off, ok := f.Field("_C60", "None"); ok {
		t.Errorf("Field(None) = %d", off)
	}
}

// Many publics that are one long record are not copied again and again.
func TestPublics_SharedRecord(t *testing.T) {
	s := basic().streams()
	const n = 20000
	s[sRecords] = record(0x110e, u32(2, 0), u16(1), bytes.Repeat([]byte("A"), 60000))
	s[sPublics] = join(u32(0, 4*n, 0, 0, 0, 0, 0), make([]byte, 4*n))
	f := openBytes(t, (&container{pageSize: 512}).write(s))
	list, err := f.Publics()
	if len(list) != 1 || !errors.Is(err, pdb.ErrFormat) {
		t.Errorf("%d publics, %v", len(list), err)
	}
	checkAt(t, f, map[uint32]string{0x1004: list[0].Name + "+4"})
}

// Many modules that share a stream are not read again and again.
func TestModules_SharedStream(t *testing.T) {
	b := basic()
	b.copies = 1000
	f := openBytes(t, b.write(512))
	list, err := f.Procedures()
	if len(list) != 1 || !errors.Is(err, pdb.ErrFormat) {
		t.Errorf("%d procedures, %v", len(list), err)
	}
	b.copies = 1 << 16
	if modules, _ := openBytes(t, b.write(4096)).Modules(); len(modules) != 1<<16 {
		t.Errorf("%d modules", len(modules))
	}
}

// More in the directory than the file has is refused.
func TestOpen_StreamsTooLarge(t *testing.T) {
	b := basic().write(512)
	page := order.Uint32(b[order.Uint32(b[0x34:])*512:])
	sizes := b[page*512+4:]
	order.PutUint32(sizes[4*sTPI:], 0x7fffffff)
	if f, err := pdb.Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, pdb.ErrFormat) {
		t.Errorf("%v, %v", f, err)
	}
}
