package symbols_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bugcheck/internal/corpus"
	"bugcheck/pe"
	"bugcheck/symbols"
)

const isfSample = `{
 "base_types": {"pointer": {"endian": "little", "kind": "int", "signed": false, "size": 8}, "unsigned char": {"size": 1}, "unsigned long": {"size": 4}},
 "enums": {"E": {"base": "int", "constants": {"A": -1}, "size": 4}},
 "metadata": {"format": "6.1.0", "producer": {"name": "volatility3"},
  "windows": {"pdb": {"GUID": "01020304050607080102030405060708", "age": 3, "database": "ntkrnlmp.pdb", "machine_type": 34404}}},
 "symbols": {
  "b": {"address": 8192}, "a\u0021\"b": {"address": 4096, "linkage_name": "_a"}, "$$0": {"address": 8192}, "c": {"address": 8192},
  "far": {"address": 18446744073709551615}, "odd": {"address": "text"}, "none": {}, "$$1": {"address": 12288}},
 "user_types": {
  "_OUTER": {"kind": "struct", "size": 64, "fields": {
    "List": {"offset": 16, "type": {"kind": "struct", "name": "_LIST"}},
    "Name": {"offset": 32, "type": {"kind": "array", "count": 4, "subtype": {"kind": "array", "count": 2, "subtype": {"kind": "base", "name": "unsigned char"}}}},
    "Next": {"offset": 40, "type": {"kind": "pointer", "subtype": {"kind": "pointer", "subtype": {"kind": "struct", "name": "_OUTER"}}}},
    "Flag": {"offset": 48, "type": {"kind": "bitfield", "bit_position": 5, "bit_length": 2, "type": {"kind": "base", "name": "unsigned long"}}}}},
  "_LIST": {"kind": "union", "size": 16, "fields": {"Blink": {"offset": 8, "type": {"kind": "pointer", "subtype": {"kind": "struct", "name": "_LIST"}}}, "Self": {"offset": 0, "type": {"kind": "struct", "name": "_LIST"}}}}}
}`

func openISF(t testing.TB, b []byte) (*symbols.ISF, error) {
	t.Helper()
	return symbols.OpenISF(bytes.NewReader(b), int64(len(b)))
}

func TestISF_Sample(t *testing.T) {
	f, err := openISF(t, []byte(isfSample))
	if err != nil {
		t.Fatal(err)
	}
	if f.PDB.Key() != "010203040506070801020304050607083" || f.PDB.Path != "ntkrnlmp.pdb" || f.Machine != pe.X64 || !f.Wide {
		t.Errorf("identity: %+v %v", f.PDB, f.Machine)
	}
	type named struct {
		Name   string
		Offset uint32
		OK     bool
	}
	for rva, want := range map[pe.RVA]named{
		0xfff: {}, 0x1000: {`a!"b`, 0, true}, 0x1fff: {`a!"b`, 0xfff, true}, 0x2000: {"b", 0, true}, 0x2010: {"b", 0x10, true}, 0x3001: {"$$1", 1, true},
	} {
		var got named
		if got.Name, got.Offset, got.OK = f.Name(rva); got != want {
			t.Errorf("Name(%v) = %+v, want %+v", rva, got, want)
		}
	}
	for name, want := range map[string]pe.RVA{"a!\"b": 0x1000, "b": 0x2000, "c": 0x2000, "far": 0, "odd": 0, "none": 0, "zz": 0} {
		if got, ok := f.Address(name); got != want || ok == (want == 0) {
			t.Errorf("Address(%q) = %v, %v; want %v", name, got, ok, want)
		}
	}
	for path, want := range map[string]symbols.ISFField{
		"Name":            {Name: "Name", Offset: 32, Type: "[4][2]unsigned char"},
		"Next":            {Name: "Next", Offset: 40, Type: "**_OUTER"},
		"Flag":            {Name: "Flag", Offset: 48, Type: "unsigned long", Bit: 5, Bits: 2},
		"List.Blink":      {Name: "Blink", Offset: 24, Type: "*_LIST"},
		"List.Self.Blink": {Name: "Blink", Offset: 24, Type: "*_LIST"},
		"Next.Blink":      {}, "Gone": {}, "List.": {}, "": {},
	} {
		got, ok := f.Member("_OUTER", path)
		if !ok {
			got = symbols.ISFField{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for name, want := range map[string]uint32{"_OUTER": 64, "*void": 8, "[4][2]unsigned char": 8, "unsigned long": 4, "[9999999999]unsigned long": 0, "[999999999][999999999]x": 0, "[2": 0, "gone": 0} {
		if got, ok := f.SizeOf(name); got != want || ok == (want == 0) {
			t.Errorf("SizeOf(%q) = %d, %v; want %d", name, got, ok, want)
		}
	}
	if typ, ok := f.Type("_LIST"); !ok || !typ.Union || typ.Size != 16 {
		t.Errorf("_LIST: %+v", typ)
	}
}

func TestISF_Damage(t *testing.T) {
	for i := range len(isfSample) - 2 {
		f, err := openISF(t, []byte(isfSample[:i]))
		if !errors.Is(err, symbols.ErrISF) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
		walkISF(f)
	}
	cut, err := openISF(t, []byte(isfSample[:strings.Index(isfSample, "user_types")]))
	if cut == nil || err == nil || cut.Len() != 5 {
		t.Errorf("cut behind the symbols: %v, %v", cut, err)
	}
	deep := `{"symbols":` + strings.Repeat(`{"a":`, 100_000)
	if _, err := openISF(t, []byte(deep)); !errors.Is(err, symbols.ErrISF) || !strings.Contains(err.Error(), "deep") {
		t.Errorf("100000 levels: %v", err)
	}
	for _, text := range []string{"", "[]", "{}", `{"symbols":1}x`, `{"a":{}}`, "\x1f\x8b junk", "\xfd7zXZ\x00junk"} {
		if _, err := openISF(t, []byte(text)); !errors.Is(err, symbols.ErrISF) && text != `{"symbols":1}x` {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestISF_Bomb: gzip that unpacks to more than is allowed is refused.
func TestISF_Bomb(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte("{"))
	spaces := bytes.Repeat([]byte(" "), 1<<20)
	for range 257 {
		_, _ = z.Write(spaces)
	}
	_ = z.Close()
	if _, err := openISF(t, b.Bytes()); !errors.Is(err, symbols.ErrISF) || !strings.Contains(err.Error(), "256 MiB") {
		t.Errorf("got %v", err)
	}
}

// walkISF asks everything.
func walkISF(f *symbols.ISF) {
	if f == nil {
		return
	}
	for name, rva := range f.Symbols {
		f.Address(name)
		f.Name(rva)
	}
	f.Name(0)
	f.Name(1<<32 - 1)
	for _, typ := range f.Types() {
		f.SizeOf(typ.Name)
		for _, m := range typ.Fields {
			f.Member(typ.Name, m.Name+"."+m.Name+"."+m.Name)
			f.SizeOf(m.Type)
		}
	}
}

func FuzzISF(f *testing.F) {
	f.Add([]byte(isfSample))
	f.Fuzz(func(t *testing.T, b []byte) {
		isf, err := openISF(t, b)
		if err != nil && !errors.Is(err, symbols.ErrISF) {
			t.Errorf("%v does not wrap ErrISF", err)
		}
		walkISF(isf)
	})
}

// TestFinder_ISF finds files by their names, in folders and packs, and checks
// what they say.
func TestFinder_ISF(t *testing.T) {
	f, err := openISF(t, []byte(isfSample))
	if err != nil {
		t.Fatal(err)
	}
	id := f.PDB
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(isfSample))
	_ = z.Close()
	guid := strings.TrimSuffix(id.Key(), "3")
	for name, data := range map[string][]byte{
		guid + "-3.json": []byte(isfSample), "symbols/windows/ntkrnlmp.pdb/" + strings.ToLower(guid) + "-3.json.gz": packed.Bytes(),
	} {
		dir := t.TempDir()
		write(t, data, dir, name)
		write(t, []byte("{}"), dir, "other.json")
		finder := open(t, symbols.Options{Path: dir})
		if refs := finder.ISFs(); len(refs) != 2 {
			t.Errorf("%s: %d candidates, want 2", name, len(refs))
		}
		if isf, err := finder.ISF(ctx, id); err != nil || isf.Len() != 5 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := finder.ISF(ctx, sampleID(1, "x.pdb")); !errors.Is(err, symbols.ErrNotFound) {
			t.Errorf("another identity: %v", err)
		}
	}
	dir := t.TempDir()
	write(t, []byte(isfSample), dir, guid+"-4.json")
	id.Age = 4
	if _, err := open(t, symbols.Options{Path: dir}).ISF(ctx, id); !errors.Is(err, symbols.ErrMismatch) {
		t.Errorf("a file that says it is another: %v", err)
	}
}

// TestISF_Corpus holds real files against the standard library's JSON.
func TestISF_Corpus(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		corpus.Missing(t, "xz is not installed")
	}
	dir := corpus.Dir(t, "isf")
	refs := open(t, symbols.Options{Path: dir}).ISFs()
	if len(refs) < 3 {
		t.Fatalf("%d files", len(refs))
	}
	for _, ref := range refs {
		isf, err := ref.Open()
		if err != nil {
			t.Fatal(err)
		}
		if isf.PDB.GUID != ref.PDB.GUID || isf.PDB.Age != ref.PDB.Age {
			t.Errorf("%s: it says %v, its name %v", ref.Where, isf.PDB, ref.PDB)
		}
		compareISF(t, isf, ref.Where)
	}
}

func compareISF(t *testing.T, isf *symbols.ISF, path string) {
	out, err := exec.Command("xz", "-dc", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Symbols   map[string]struct{ Address uint64 }
		UserTypes map[string]struct {
			Size   uint32
			Kind   string
			Fields map[string]struct{ Offset uint32 }
		} `json:"user_types"`
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, s := range want.Symbols {
		if s.Address < 1<<32 {
			n++
			if got, ok := isf.Address(name); !ok || uint64(got) != s.Address {
				t.Fatalf("%s: %v, %v; want 0x%x", name, got, ok, s.Address)
			}
			if _, offset, ok := isf.Name(pe.RVA(s.Address)); !ok || offset != 0 {
				t.Fatalf("%s: its address has the offset %d", name, offset)
			}
		}
	}
	if isf.Len() != n || len(isf.Types()) != len(want.UserTypes) {
		t.Errorf("%d symbols, want %d; %d types, want %d", isf.Len(), n, len(isf.Types()), len(want.UserTypes))
	}
	for name, typ := range want.UserTypes {
		got, ok := isf.Type(name)
		if !ok || got.Size != typ.Size || got.Union != (typ.Kind == "union") || len(got.Fields) != len(typ.Fields) {
			t.Fatalf("%s: %+v", name, got)
		}
		for field, m := range typ.Fields {
			if offset, ok := isf.Field(name, field); !ok || offset != m.Offset {
				t.Fatalf("%s.%s: %d, %v; want %d", name, field, offset, ok, m.Offset)
			}
		}
	}
}

func BenchmarkOpenISF(b *testing.B) {
	files, _ := filepath.Glob(filepath.Join(corpus.Dir(b, "isf"), "*.xz"))
	data, err := os.ReadFile(files[0])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := openISF(b, data); err != nil {
			b.Fatal(err)
		}
	}
}
