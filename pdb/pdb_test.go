package pdb_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bugcheck/pdb"

	gocmp "github.com/google/go-cmp/cmp"
)

// procedureRecord is S_GPROC32 with what is in it, and its end.
func procedureRecord(name string, offset, size uint32, inner ...[]byte) []byte {
	return join(record(0x1110, u32(0, 0, 0, size, 0, size, 0x1003, offset), u16(1), []byte{0}, text(name)), join(inner...), record(0x6))
}

// basic is a PDB with a bit of everything: sections at 0x1000 and 0x5000.
func basic() book {
	list := join(u16(0x1203), member("First", 0x74, 0), member("Link", 0x1003, 8), member("Flag", 0x1004, 16), member("Inner", 0x1005, 24))
	return book{
		machine: 0x8664, age: 3, features: []uint32{20140508}, size: 0x800,
		publics: []public{
			{"KeBugCheckEx", 1, 0x100, 2}, {"Alias", 1, 0x300, 2}, {"Beta", 1, 0x300, 2}, {"?f@@YAXXZ", 1, 0x2000, 2},
			{"Data", 2, 0x10, 0}, {"Absolute", 9, 0x10, 0},
		},
		records:  join(record(0x1125, u32(0, 4), u16(1), text("Private")), record(0x110d, u32(0x74, 0x20), u16(2), text("Global"))),
		sections: [][2]uint32{{0x1000, 0x3000}, {0x5000, 0x100}},
		types: [][]byte{
			join(u16(0x1203), member("Value", 0x23, 4)),                                     // 0x1000
			structure("_NODE", 0, 0, 0x80),                                                  // 0x1001
			list,                                                                            // 0x1002
			join(u16(0x1002), u32(0x1001, 0x1000c)),                                         // 0x1003: pointer
			join(u16(0x1205), u32(0x75), []byte{3, 5}),                                      // 0x1004: bits
			structure("_INNER", 0x1000, 12, 0),                                              // 0x1005
			structure("_NODE", 0x1002, 40, 0),                                               // 0x1006
			join(u16(0x1503), u32(0x1001, 0x23), u16(80), text("")),                         // 0x1007: array
			join(u16(0x1008), u32(0x22), make([]byte, 8)),                                   // 0x1008: function
			join(u16(0x1002), u32(0x1008, 0x1000c)),                                         // 0x1009
			join(u16(0x1001), u32(0x1007), u16(1)),                                          // 0x100a: const
			join(u16(0x1507, 2, 0), u32(0x20, 0x100c), text("_KIND")),                       // 0x100b
			join(u16(0x1203), fill(join(u16(0x1502, 3, 0x8000), []byte{0xff}, text("No")))), // 0x100c
		},
		typeHash: true,
		ids:      [][]byte{join(u16(0x1601), u32(0, 0x1008), text("inlined"))},
		symbols: procedureRecord("Private", 0x500, 0x40,
			record(0x114d, u32(0, 0, 0x1000), []byte{6, 4, 3, 0x10, 4, 8, 0, 0})),
		names: join([]byte{0}, text(`c:\a.c`), text("$T0 .raSearch = ")),
		c13: join(
			u32(0xf4, 8, 1, 0),
			u32(0xf6, 16, 0, 0x1000, 0, 100),
			u32(0xf2, 12+12+16, 0x500), u16(1, 0), u32(0x40, 0, 2, 28, 0, 10, 0x20, 11|0x80000000)),
	}
}

func TestFile_Basic(t *testing.T) {
	for _, pageSize := range []int{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536} {
		f := openBytes(t, basic().write(pageSize))
		if f.Key() != key+"3" || f.FileAge != 10 || f.Machine != 0x8664 || f.Signature != 0x5f000000 {
			t.Errorf("%d: %+v, key %s", pageSize, f, f.Key())
		}
		checkAt(t, f, map[uint32]string{
			0x1100: "KeBugCheckEx+0", 0x12ff: "KeBugCheckEx+1ff", 0x1300: "Alias+0", 0x1305: "Alias+5", 0x1500: "Private+0", 0x153f: "Private+3f",
			0x1540: "Alias+240", 0x3001: "?f@@YAXXZ+1", 0x5010: "Data+0", 0x500f: "", 0x10ff: "", 0x0: "", 0x4fff: "", 0x5100: "Data+f0", 0x6000: "", 0xffffffff: "",
		})
		if list, err := f.Publics(); len(list) != 6 || err != nil {
			t.Errorf("%d publics, %v", len(list), err)
		}
	}
}

// checkAt asks for the symbol of some addresses: name+displacement, "" for none.
func checkAt(t *testing.T, f *pdb.File, want map[uint32]string) {
	t.Helper()
	for rva, name := range want {
		got := ""
		if s, ok := f.At(rva); ok {
			got = fmt.Sprintf("%s+%x", s.Name, s.Displacement)
		}
		if got != name {
			t.Errorf("At(%x) = %q, want %q", rva, got, name)
		}
	}
}

func TestFind(t *testing.T) {
	f := openBytes(t, basic().write(4096))
	for name, want := range map[string]pdb.Symbol{
		"KeBugCheckEx": {Name: "KeBugCheckEx", RVA: 0x1100, Kind: pdb.Public, Function: true},
		"Data":         {Name: "Data", RVA: 0x5010, Kind: pdb.Public},
		"Private":      {Name: "Private", RVA: 0x1500, Size: 0x40, Kind: pdb.Procedure, Function: true, Type: 0x1003},
		"Global":       {Name: "Global", RVA: 0x5020, Kind: pdb.Data, Type: 0x74},
	} {
		if got, ok := f.Find(name); !ok || got != want {
			t.Errorf("Find(%q) = %+v, %v; want %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "kebugcheckex", "KeBugCheck", "f", "Absolute", "NoSuch8x"} {
		if got, ok := f.Find(name); ok {
			t.Errorf("Find(%q) = %+v", name, got)
		}
	}
}

// On x86 C names are decorated, by the way of calling and the bytes of arguments.
func TestFind_X86(t *testing.T) {
	b := basic()
	b.machine = 0x14c
	b.publics = []public{{"_KeBugCheckEx@20", 1, 0x10, 2}, {"@KfRaiseIrql@4", 1, 0x20, 2}, {"_memcpy", 1, 0x30, 2}}
	f := openBytes(t, b.write(4096))
	for name, rva := range map[string]uint32{"KeBugCheckEx": 0x1010, "KfRaiseIrql": 0x1020, "memcpy": 0x1030, "_memcpy": 0x1030, "@KfRaiseIrql@4": 0x1020} {
		if got, ok := f.Find(name); !ok || got.RVA != rva {
			t.Errorf("Find(%q) = %+v, %v; want %x", name, got, ok, rva)
		}
	}
	b.machine = 0x8664
	if got, ok := openBytes(t, b.write(4096)).Find("KeBugCheckEx"); ok {
		t.Errorf("x64: %+v", got)
	}
}

// PDBs of Windows XP have names with their length in front; those that
// /debug:fastlink made have more buckets.
func TestPublics_OtherForms(t *testing.T) {
	old, fast := basic(), basic()
	old.oldNames = true
	fast.features = append(fast.features, 0x494e494d)
	for what, b := range map[string]book{"old": old, "fast": fast} {
		f := openBytes(t, b.write(1024))
		for _, p := range b.publics[:5] {
			if got, ok := f.Find(p.name); !ok || got.Name != p.name || got.Kind != pdb.Public {
				t.Errorf("%s: Find(%q) = %+v, %v", what, p.name, got, ok)
			}
		}
		checkAt(t, f, map[uint32]string{0x1100: "KeBugCheckEx+0", 0x5010: "Data+0"})
	}
}

func TestType(t *testing.T) {
	for _, hashed := range []bool{true, false} {
		b := basic()
		b.typeHash = hashed
		f := openBytes(t, b.write(512))
		want := pdb.Type{Name: "_NODE", Kind: pdb.Struct, Index: 0x1006, Size: 40, Fields: []pdb.Field{
			{Name: "First", Offset: 0, Size: 4, Type: "Int4B", Index: 0x74},
			{Name: "Link", Offset: 8, Size: 8, Type: "Ptr64 _NODE", Index: 0x1003},
			{Name: "Flag", Offset: 16, Size: 4, Bit: 5, Bits: 3, Type: "Pos 5, 3 Bits", Index: 0x1004},
			{Name: "Inner", Offset: 24, Size: 12, Type: "_INNER", Index: 0x1005},
		}}
		got, ok, err := f.Type("_NODE")
		if d := gocmp.Diff(want, got); d != "" || !ok || err != nil {
			t.Errorf("hashed %v: %v, %v (-want +got):\n%s", hashed, ok, err, d)
		}
		for path, want := range map[string]uint32{"First": 0, "Link": 8, "Inner.Value": 28} {
			if got, ok := f.Field("_NODE", path); !ok || got != want {
				t.Errorf("Field(%q) = %d, %v; want %d", path, got, ok, want)
			}
		}
		for _, path := range []string{"", "first", "First.x", "Inner.", "Inner.Value.x", "Link.First"} {
			if got, ok := f.Field("_NODE", path); ok {
				t.Errorf("Field(%q) = %d", path, got)
			}
		}
		kind, ok, err := f.Type("_KIND")
		if d := gocmp.Diff(pdb.Type{Name: "_KIND", Kind: pdb.Enum, Index: 0x100b, Size: 1, Base: "UChar", Values: []pdb.Value{{Name: "No", Value: -1}}}, kind); d != "" || !ok || err != nil {
			t.Errorf("_KIND: %v, %v (-want +got):\n%s", ok, err, d)
		}
		if typ, ok, err := f.Type("_NO"); ok || err != nil {
			t.Errorf("_NO: %+v, %v, %v", typ, ok, err)
		}
		if list, err := f.Types(); !slices.Equal(list, []string{"_INNER", "_NODE", "_KIND"}) || err != nil {
			t.Errorf("types %v, %v", list, err)
		}
	}
}

func TestTypeText(t *testing.T) {
	f := openBytes(t, basic().write(4096))
	for index, want := range map[pdb.TypeIndex]string{
		0x3: "Void", 0x603: "Ptr64 Void", 0x422: "Ptr32 Uint4B", 0x71: "Wchar", 0x1007: "[2] _NODE", 0x1009: "Ptr64     unsigned long",
		0x100a: "[2] _NODE", 0x100b: "_KIND", 0x2000: "?", 0x5f: "?", 0x1002: "?",
	} {
		if got := f.TypeText(index); got != want {
			t.Errorf("TypeText(%x) = %q, want %q", index, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	f := openBytes(t, basic().write(4096))
	outer := func(line uint32) pdb.Location { return pdb.Location{Function: "Private", File: `c:\a.c`, Line: line} }
	inner := pdb.Location{Function: "inlined", File: `c:\a.c`, Line: 102, Inline: true}
	for rva, want := range map[uint32][]pdb.Location{
		0x1500: {outer(10)}, 0x150f: {outer(10)}, 0x1510: {inner, outer(10)}, 0x1517: {inner, outer(10)}, 0x1518: {outer(10)},
		0x1520: {outer(11)}, 0x153f: {outer(11)}, 0x1540: nil, 0x1100: nil, 0x5010: nil, 0x0: nil,
	} {
		got, err := f.Lines(rva)
		if d := gocmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("Lines(%x): %v (-want +got):\n%s", rva, err, d)
		}
	}
}

func TestModules(t *testing.T) {
	got, err := openBytes(t, basic().write(4096)).Modules()
	if d := gocmp.Diff([]pdb.Module{{Name: "a.obj", Object: "a.lib", Files: []string{"a.c"}}}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

// rearranged is a PDB of an image whose pages were moved after linking: what was
// linked at 0x1300 lies at 0x3000; 0x1400 and the first bytes of 0x1600 were
// removed, at 0x3100 is new code.
func rearranged() book {
	b := basic()
	b.original, b.sections = b.sections, [][2]uint32{{0x1000, 0x2000}, {0x3000, 0x1000}, {0x8000, 0x100}}
	b.fromSource = []uint32{0x1000, 0x1000, 0x1300, 0x3000, 0x1400, 0, 0x1500, 0x1300, 0x1600, 0, 0x1602, 0x1400, 0x5000, 0x8000}
	b.toSource = []uint32{0x1000, 0x1000, 0x1300, 0x1500, 0x1400, 0x1602, 0x3000, 0x1300, 0x3100, 0, 0x8000, 0x5000}
	b.publics = append(b.publics, public{"Removed", 1, 0x400, 2}, public{"Trimmed", 1, 0x600, 2})
	b.frame = join(u32(0x1500, 0x40, 4, 8, 0, 8), u16(5, 12), u32(4))
	return b
}

func TestOMAP(t *testing.T) {
	f := openBytes(t, rearranged().write(4096))
	checkAt(t, f, map[uint32]string{
		0x1100: "KeBugCheckEx+0", 0x3000: "Alias+0", 0x3005: "Alias+5", 0x1300: "Private+0", 0x133f: "Private+3f", 0x8010: "Data+0", 0x1400: "Trimmed+2", 0x3100: "", 0x3fff: "", 0xfff: "",
	})
	for name, rva := range map[string]uint32{"Alias": 0x3000, "Private": 0x1300, "Data": 0x8010, "KeBugCheckEx": 0x1100, "Trimmed": 0x1400} {
		if got, ok := f.Find(name); !ok || got.RVA != rva {
			t.Errorf("Find(%q) = %+v, %v; want %x", name, got, ok, rva)
		}
	}
	if got, ok := f.Find("Removed"); ok {
		t.Errorf("Find(Removed) = %+v", got)
	}
	if got, err := f.Lines(0x1310); len(got) != 2 || err != nil || got[1].Line != 10 {
		t.Errorf("Lines = %+v, %v", got, err)
	}
	if got, ok := f.FrameData(0x1320); !ok || got.RVA != 0x1300 || got.Size != 0x40 || got.Program != "$T0 .raSearch = " {
		t.Errorf("FrameData = %+v, %v", got, ok)
	}
	list, err := f.Publics()
	i := slices.IndexFunc(list, func(s pdb.Symbol) bool { return s.Name == "Removed" })
	if err != nil || i < 0 || list[i].RVA != 0 {
		t.Errorf("publics %+v, %v", list, err)
	}
}

func TestFPO(t *testing.T) {
	b := basic()
	b.machine = 0x14c
	b.fpo = join(u32(0x1100, 0x20, 3), u16(2, 7|3<<8|1<<11|1<<12|1<<14), u32(0x1200, 0x10, 0), u16(0, 0xc000))
	f := openBytes(t, b.write(4096))
	want := pdb.FPO{RVA: 0x1100, Size: 0x20, Locals: 12, Params: 8, Prolog: 7, Regs: 3, SEH: true, UseBP: true, Type: 1}
	for _, rva := range []uint32{0x1100, 0x111f} {
		if got, ok := f.FPO(rva); !ok || got != want {
			t.Errorf("FPO(%x) = %+v, %v; want %+v", rva, got, ok, want)
		}
	}
	if got, ok := f.FPO(0x1205); !ok || got != (pdb.FPO{RVA: 0x1200, Size: 0x10, Type: 3}) {
		t.Errorf("FPO(1205) = %+v, %v", got, ok)
	}
	for _, rva := range []uint32{0, 0x10ff, 0x1120, 0x1210, 0xffffffff} {
		if got, ok := f.FPO(rva); ok {
			t.Errorf("FPO(%x) = %+v", rva, got)
		}
	}
	if got, ok := f.FrameData(0x1100); ok {
		t.Errorf("FrameData = %+v", got)
	}
}

// A module may have its frame data itself, behind the RVA that it counts from;
// stretches lie in each other.
func TestFrameData_OfModule(t *testing.T) {
	b := basic()
	entry := func(begin, size uint32) []byte { return join(u32(begin, size, 0, 4, 0, 8), u16(1, 4), u32(1|2|4)) }
	data := join(u32(0x1500), entry(0, 0x40), entry(1, 0x10), entry(2, 4))
	b.c13 = join(b.c13, u32(0xf5, uint32(len(data))), data)
	f := openBytes(t, b.write(4096))
	for rva, want := range map[uint32]uint32{0x1500: 0x1500, 0x1501: 0x1501, 0x1505: 0x1502, 0x1506: 0x1501, 0x1511: 0x1500, 0x153f: 0x1500, 0x1540: 0} {
		got, ok := f.FrameData(rva)
		if got.RVA != want || ok != (want != 0) || ok && (!got.SEH || !got.CPPEH || !got.FunctionStart || got.Params != 4) {
			t.Errorf("FrameData(%x) = %+v, %v; want %x", rva, got, ok, want)
		}
	}
}

// A directory so large that its map takes several pages.
func TestOpen_LargeDirectory(t *testing.T) {
	streams := basic().streams()
	for range 40000 {
		streams = append(streams, []byte{1})
	}
	for _, spread := range []bool{false, true} {
		c := container{pageSize: 512, spread: spread}
		b := c.write(streams)
		if maps := order.Uint32(b[0x34+4*4:]); maps == 0 {
			t.Fatal("the map has fewer than five pages")
		}
		f := openBytes(t, b)
		checkAt(t, f, map[uint32]string{0x1100: "KeBugCheckEx+0", 0x5010: "Data+0"})
	}
}

// far is a file of which pages from a number on lie far behind.
type far struct {
	b    []byte
	from int64
	by   int64
}

func (f far) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.from {
		if off < f.from+f.by {
			return 0, io.EOF
		}
		off -= f.by
	}
	return bytes.NewReader(f.b).ReadAt(p, off)
}

// Pages beyond 4 GiB are read.
func TestOpen_Beyond4GiB(t *testing.T) {
	const pageSize, by = 4096, 1 << 21
	c := container{pageSize: pageSize}
	b := c.write(basic().streams())
	order.PutUint32(b[0x28:], order.Uint32(b[0x28:])+by)
	from := int64(3 * pageSize)
	mapPage := order.Uint32(b[0x34:])
	order.PutUint32(b[0x34:], mapPage+by)
	dir := b[mapPage*pageSize:]
	dirPage := order.Uint32(dir)
	order.PutUint32(dir, dirPage+by)
	list := b[dirPage*pageSize:][4+4*sCount:]
	for ; order.Uint32(list) != 0; list = list[4:] {
		order.PutUint32(list, order.Uint32(list)+by)
	}
	f, err := pdb.Open(far{b, from, by * pageSize}, int64(len(b))+by*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	checkAt(t, f, map[uint32]string{0x1100: "KeBugCheckEx+0", 0x5010: "Data+0"})
}

// What is no PDB is refused in one clear line.
func TestOpen_Refused(t *testing.T) {
	whole := basic().write(1024)
	patched := func(at int, v uint32) []byte {
		b := bytes.Clone(whole)
		order.PutUint32(b[at:], v)
		return b
	}
	for _, tt := range []struct {
		b    []byte
		want string
	}{
		{nil, "the file is empty"},
		{[]byte("MZ"), "not a PDB"},
		{bytes.Repeat([]byte{0}, 4096), "not a PDB"},
		{[]byte("BSJB\x01\x00\x01\x00\x00\x00\x00\x00\x0c\x00\x00\x00PDB v1.0"), "portable PDB"},
		{[]byte("Microsoft C/C++ program database 2.00\r\n\x1aJG\x00\x00" + strings.Repeat("x", 99)), "old format"},
		{[]byte("Microsoft C/C++ MSF 7.00"), "cut off"},
		{whole[:len(whole)-1], "cut off"},
		{whole[:4096], "cut off"},
		{patched(0x20, 1000), "pages of 1000 bytes"},
		{patched(0x20, 0), "pages of 0 bytes"},
		{patched(0x20, 1<<17), "pages of 131072 bytes"},
		{patched(0x28, 0x7fffffff), "cut off"},
		{patched(0x2c, 0xffffffff), "do not fit"},
		{patched(0x34, 0xffffffff), "directory: map"},
	} {
		f, err := pdb.Open(bytes.NewReader(tt.b), int64(len(tt.b)))
		if !errors.Is(err, pdb.ErrFormat) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open(%.20q…) = %v, %v; want %q", tt.b, f, err, tt.want)
		}
	}
}

// An error of the reader is not said to be one of the format.
func TestOpen_ReadError(t *testing.T) {
	_, err := pdb.Open(broken{}, 1<<20)
	if errors.Is(err, pdb.ErrFormat) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, os.ErrDeadlineExceeded }

// A PDB that a compiler wrote has types and no DBI stream.
func TestOpen_TypesOnly(t *testing.T) {
	s := basic().streams()
	s[sDBI] = nil
	f := openBytes(t, (&container{pageSize: 4096}).write(s))
	if _, ok, err := f.Type("_NODE"); !ok || err != nil {
		t.Errorf("Type: %v, %v", ok, err)
	}
	if got, ok := f.At(0x1100); ok {
		t.Errorf("At = %+v", got)
	}
	if f.Key() != key+"a" {
		t.Errorf("key %s", f.Key())
	}
	if list, err := f.Publics(); list != nil || err != nil {
		t.Errorf("publics %v, %v", list, err)
	}
}

// Several goroutines may ask one file.
func TestFile_Concurrent(t *testing.T) {
	b := basic().write(512)
	want, errs := walk(t, "alone", openBytes(t, b))
	if len(errs) != 0 {
		t.Fatal(errs)
	}
	f := openBytes(t, b)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, errs := walk(t, "together", f); len(errs) != 0 || !gocmp.Equal(want, got) {
				t.Errorf("%v (-want +got):\n%s", errs, gocmp.Diff(want, got))
			}
		})
	}
	wg.Wait()
}

// An independent reader reads what the tests write.
func TestBuild_Readable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "basic.pdb")
	if err := os.WriteFile(path, basic().write(4096), 0o600); err != nil {
		t.Fatal(err)
	}
	out := dump(t, sample{pdb: path}, "--summary", "--publics", "--globals", "--symbols", "--types", "--ids", "-l", "--il")
	for _, want := range []string{"`KeBugCheckEx`", "`Global`", "`Private`", "`_NODE`", "name = inlined", `c:\a.c`, "line/addr entries = 2"} {
		if !strings.Contains(out, want) {
			t.Errorf("llvm-pdbutil does not say %s", want)
		}
	}
}

// Structures and unions in the form with wide properties.
func TestType_Wide(t *testing.T) {
	b := basic()
	b.typeHash = false
	b.types = [][]byte{
		join(u16(0x1203), member("Value", 0x23, 4)),
		join(u16(0x1609), u32(0x200, 0x1000, 0, 0), u16(1, 12), text("_WIDE"), text(".?AU_WIDE@@")),
		join(u16(0x160a), u32(0, 0x1000), u16(1, 0x8002, 0x9000), text("_ONE_OF")),
	}
	f := openBytes(t, b.write(4096))
	for _, want := range []pdb.Type{{Name: "_WIDE", Kind: pdb.Struct, Size: 12, Index: 0x1001}, {Name: "_ONE_OF", Kind: pdb.Union, Size: 0x9000, Index: 0x1002}} {
		want.Fields = []pdb.Field{{Name: "Value", Offset: 4, Size: 8, Type: "Uint8B", Index: 0x23}}
		got, ok, err := f.Type(want.Name)
		if d := gocmp.Diff(want, got); d != "" || !ok || err != nil {
			t.Errorf("%v, %v (-want +got):\n%s", ok, err, d)
		}
	}
}
