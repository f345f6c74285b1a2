package symbols

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pe"
)

// Dumps of one machine share its modules; of very many machines the oldest are
// forgotten.
func TestModule_Kept(t *testing.T) {
	f, err := Open(Options{Path: t.TempDir(), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := func(i int) Wanted { return Wanted{Name: "x.sys", Timestamp: uint32(i + 1), Size: 0x1000} }
	first := f.Module(t.Context(), want(0))
	if again := f.Module(t.Context(), want(0)); again != first {
		t.Error("the second dump's module was looked for anew")
	}
	for i := range maxModules {
		f.Module(t.Context(), want(i+1))
	}
	if n := len(f.loaded.modules); n != maxModules || len(f.loaded.order) != n {
		t.Errorf("%d modules are kept, in order %d; want %d", n, len(f.loaded.order), maxModules)
	}
	if again := f.Module(t.Context(), want(0)); again == first {
		t.Error("the oldest module was not forgotten")
	}
}

// compiled is the module of a source in testdata, with its public symbol file.
func compiled(t *testing.T, source string) *Module {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	run(t, "clang-19", "-target", "x86_64-pc-windows-msvc", "-c", filepath.Join("testdata", source), "-o", in("x.obj"))
	run(t, "lld-link-19", "/driver", "/subsystem:native", "/nodefaultlib", "/machine:x64", "/entry:Home", "/Brepro",
		"/debug:full", "/pdb:"+in("x.pdb"), "/pdbaltpath:%_PDB%", "/out:"+in("x.sys"), in("x.obj"))
	b, err := os.ReadFile(in("x.sys"))
	if err != nil {
		t.Fatal(err)
	}
	image, err := pe.Open(bytes.NewReader(b), int64(len(b)), pe.InFile)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(Options{Path: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	m := f.Module(t.Context(), Wanted{Name: "x.sys", Timestamp: image.Header.Timestamp, Size: image.Header.SizeOfImage})
	if m.Image == nil || m.PDB == nil {
		t.Fatalf("found %+v", m)
	}
	return m
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		corpus.Missing(t, name+" is not here")
	}
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Code that was moved away from its function keeps its function's name; a public
// symbol in the midst of a function names what is behind it.
func TestModule_MovedCode(t *testing.T) {
	m := compiled(t, "moved-x64.s")
	home, ok := m.Address("Home")
	if !ok {
		t.Fatal("no Home")
	}
	for _, tt := range []struct {
		at     pe.RVA // behind Home
		name   string
		offset uint32
	}{{0, "Home", 0}, {9, "Home", 9}, {10, "Decoy", 0}, {11, "Home", 11}, {16, "Home", 16}} {
		name, offset, ok := m.Name(home + tt.at)
		if !ok || name != tt.name || offset != tt.offset {
			t.Errorf("Home+%v: %s+%#x, %v; want %s+%#x", tt.at, name, offset, ok, tt.name, tt.offset)
		}
	}
	without := &Module{PDB: m.PDB} // nothing tells of the part then
	if name, offset, _ := without.Name(home + 16); name != "Decoy" || offset != 6 {
		t.Errorf("without the image: %s+%#x, want Decoy+0x6", name, offset)
	}
}

// Without a function table a symbol names what is near it, and constants no code.
func TestModule_Reach(t *testing.T) {
	const file = `{"metadata":{"format":"6.1.0"},"base_types":{},"enums":{},"user_types":{},
		"symbols":{"NtClose":{"address":4096},"??_C@_0BA@text@":{"address":81920},"NtOpenFile":{"address":1048576}}}`
	isf, err := OpenISF(strings.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	m := (&Module{}).With(nil, isf)
	for _, tt := range []struct {
		rva  pe.RVA
		want string
	}{{4095, ""}, {4096, "NtClose"}, {4096 + maxReach - 1, "NtClose"}, {4096 + maxReach, ""}, {81930, ""}, {1048580, "NtOpenFile"}} {
		if name, _, _ := m.Name(tt.rva); name != tt.want {
			t.Errorf("%v: %q, want %q", tt.rva, name, tt.want)
		}
	}
}
