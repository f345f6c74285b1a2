package symbols_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pe"
	"bugcheck/symbols"
)

var ctx = context.Background()

// TestPDB_Places puts one file in every place that a path can find it in.
func TestPDB_Places(t *testing.T) {
	id := sampleID(1, `C:\build\Sample.pdb`)
	key, pdb := id.Key(), makePDB(id, 70_000)
	for _, tt := range []struct {
		name  string
		path  string // $ is the test's folder
		place string
		data  []byte
	}{
		{"flat store", "srv*$", "Sample.pdb/" + key + "/Sample.pdb", pdb},
		{"other case", "srv*$", "sample.PDB/" + strings.ToLower(key) + "/SAMPLE.pdb", pdb},
		{"two tiers", "srv*$", "Sa/Sample.pdb/" + key + "/Sample.pdb", pdb},
		{"packed", "srv*$", "Sample.pdb/" + key + "/Sample.pd_", makeCabinet("Sample.pdb", pdb)},
		{"packed under the plain name", "srv*$", "Sample.pdb/" + key + "/Sample.pdb", makeCabinet("x", pdb)},
		{"folder", "$", "Sample.pdb", pdb},
		{"folder of a kind", "$", "sys/Sample.pdb", pdb},
		{"symbols, folder of a kind", "$", "symbols/dll/sample.pdb", pdb},
		{"somewhere below", "nowhere;$", "a/b/c/SAMPLE.PDB", pdb},
		{"packed, below", "$", "a/sample.pd_", makeCabinet("sample.pdb", pdb)},
		{"a store named as a folder", "$", "Sa/Sample.pdb/" + key + "/Sample.pdb", pdb},
		{"quotes and semicolons", `;"$";`, "Sample.pdb", pdb},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, tt.data, dir, tt.place)
			f := open(t, symbols.Options{Path: strings.ReplaceAll(tt.path, "$", dir)})
			found, err := f.PDB(ctx, id)
			if got := content(t, found, err); !bytes.Equal(got, pdb) {
				t.Errorf("%d bytes, want the %d of the file", len(got), len(pdb))
			}
			if !strings.HasPrefix(found.Where, dir) {
				t.Errorf("found at %q, want a place below %q", found.Where, dir)
			}
			other := sampleID(2, id.Path)
			if _, err := f.PDB(ctx, other); !errors.Is(err, symbols.ErrNotFound) && !errors.Is(err, symbols.ErrMismatch) {
				t.Errorf("another identity: %v", err)
			}
		})
	}
}

func TestImage_Folders(t *testing.T) {
	dir := t.TempDir()
	write(t, makeImage(0x5f2a3b4c, 0x8000), dir, "drivers", "Sample.sys")
	f := open(t, symbols.Options{Images: []string{filepath.Join(dir, "drivers")}})
	found, err := f.Image(ctx, `\SystemRoot\System32\drivers\sample.sys`, 0x5f2a3b4c, 0x8000)
	if got := content(t, found, err); len(got) != 0x400 {
		t.Errorf("%d bytes", len(got))
	}
	var wrong *symbols.MismatchError
	_, err = f.Image(ctx, "sample.sys", 0x5f2a3b4d, 0x8000)
	if !errors.As(err, &wrong) || wrong.Found != "5F2A3B4C8000" || wrong.Key != "5F2A3B4D8000" {
		t.Errorf("another build: %v", err)
	}
	if state := f.State(); len(state.Found) != 1 || len(state.Missing) != 1 || state.Missing[0].Key != "5F2A3B4D8000" {
		t.Errorf("state: %+v", state)
	}
}

// TestPDB_RightOneBehindWrong: a file of another build does not hide the right
// one, and is told only if there is none.
func TestPDB_RightOneBehindWrong(t *testing.T) {
	id, other := sampleID(1, "a.pdb"), sampleID(2, "a.pdb")
	dir := t.TempDir()
	write(t, makePDB(other, 0), dir, "one", "a.pdb")
	write(t, []byte("not a PDB"), dir, "two", "a.pdb")
	right := write(t, makePDB(id, 0), dir, "three", "x", "a.pdb")
	path := join(filepath.Join(dir, "one"), filepath.Join(dir, "two"))
	f := open(t, symbols.Options{Path: join(path, filepath.Join(dir, "three"))})
	found, err := f.PDB(ctx, id)
	content(t, found, err)
	if found.Where != right {
		t.Errorf("found at %s", found.Where)
	}
	var wrong *symbols.MismatchError
	_, err = open(t, symbols.Options{Path: path}).PDB(ctx, id)
	if !errors.As(err, &wrong) || wrong.Found != other.Key() || wrong.Where != filepath.Join(dir, "one", "a.pdb") {
		t.Errorf("only wrong ones: %v", err)
	}
}

func TestPDB_Pointer(t *testing.T) {
	id := sampleID(1, "a.pdb")
	dir := t.TempDir()
	target := write(t, makePDB(id, 100), dir, "elsewhere", "files", "a.pdb")
	key := filepath.Join(dir, "store", "a.pdb", id.Key())
	for _, text := range []string{"PATH:" + target, "path:" + target + "\r\n", "PATH:../../../elsewhere/files/a.pdb"} {
		write(t, []byte(text), key, "file.ptr")
		f := open(t, symbols.Options{Path: "srv*" + filepath.Join(dir, "store")})
		found, err := f.PDB(ctx, id)
		if content(t, found, err); found.Where == "" {
			t.Errorf("%q: no place", text)
		}
	}
	for text, want := range map[string]string{"MSG: it was archived": "it was archived", "PATH:" + dir + "/gone": "not found", "junk": "neither"} {
		write(t, []byte(text), key, "file.ptr")
		_, err := open(t, symbols.Options{Path: "srv*" + filepath.Join(dir, "store")}).PDB(ctx, id)
		if !errors.Is(err, symbols.ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestPDB_Cascade: what a farther store has is copied to all nearer ones.
func TestPDB_Cascade(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	dir := t.TempDir()
	c1, c2, c3 := filepath.Join(dir, "c1"), filepath.Join(dir, "c2"), filepath.Join(dir, "c3")
	place := filepath.Join("sample.pdb", id.Key(), "sample.pdb")
	write(t, makeCabinet("sample.pdb", makePDB(id, 5000)), c3, strings.TrimSuffix(place, "b")+"_")
	write(t, nil, c2, "index2.txt")
	f := open(t, symbols.Options{Path: "srv*" + c1 + "*" + c2 + "*" + c3})
	found, err := f.PDB(ctx, id)
	if content(t, found, err); found.Where != filepath.Join(c1, place) {
		t.Errorf("found at %s", found.Where)
	}
	if _, err := os.Stat(filepath.Join(c2, "sa", place)); err != nil {
		t.Errorf("the store of two tiers: %v", err)
	}
	if err := os.RemoveAll(c1); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(c3); err != nil {
		t.Fatal(err)
	}
	f = open(t, symbols.Options{Path: "cache*" + c1 + ";" + c2})
	found, err = f.PDB(ctx, id)
	if content(t, found, err); found.Where != filepath.Join(c1, place) {
		t.Errorf("with cache*: found at %s", found.Where)
	}
	for _, c := range []string{c1, c2} {
		for _, name := range list(t, c) {
			if strings.HasSuffix(name, ".tmp") {
				t.Errorf("%s is left in %s", name, c)
			}
		}
	}
}

func TestFind_HostileNames(t *testing.T) {
	f := open(t, symbols.Options{Path: t.TempDir()})
	for _, name := range []string{"", ".", "..", `..\..\x`, "/etc/", "a:b.pdb", "a\x00.pdb", "a\n.pdb", strings.Repeat("a", 300), "a,b.pdb", "..."} {
		id := sampleID(1, name)
		if _, err := f.PDB(ctx, id); !errors.Is(err, symbols.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, key := range []string{"", "../../../x", "12345678", "ABCDEFGHIJKL", strings.Repeat("A", 50)} {
		if _, err := f.Find(ctx, symbols.Request{Name: "a.pdb", Key: key, Kind: symbols.PDB}); !errors.Is(err, symbols.ErrNotFound) {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

// TestPDB_DamagedCabinet tells the reason, and leaves nothing behind.
func TestPDB_DamagedCabinet(t *testing.T) {
	id := sampleID(1, "a.pdb")
	dir := t.TempDir()
	write(t, makeCabinet("a.pdb", makePDB(id, 100))[:200], dir, "store", "a.pdb", id.Key(), "a.pd_")
	_, err := open(t, symbols.Options{Path: "srv*" + filepath.Join(dir, "cache") + "*" + filepath.Join(dir, "store")}).PDB(ctx, id)
	if !errors.Is(err, symbols.ErrNotFound) || !strings.Contains(err.Error(), "not a valid cabinet") {
		t.Errorf("got %v", err)
	}
	if left := list(t, filepath.Join(dir, "cache")); left != nil {
		t.Errorf("left in the cache: %v", left)
	}
}

// TestPDB_Corpus: real images name real symbol files, beside them.
func TestPDB_Corpus(t *testing.T) {
	dir := corpus.Dir(t, "pe")
	images, _ := filepath.Glob(filepath.Join(dir, "*", "*.[ed][xl][el]"))
	if len(images) < 4 {
		t.Fatalf("%d images", len(images))
	}
	f := open(t, symbols.Options{Path: dir})
	for _, name := range images {
		image := openImage(t, name)
		id, err := image.PDB()
		if err != nil {
			t.Fatal(err)
		}
		found, err := f.PDB(ctx, id)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found.Close()
		if want := strings.TrimSuffix(name, filepath.Ext(name)) + ".pdb"; found.Where != want {
			t.Errorf("%s: found %s", name, found.Where)
		}
		image2, err := f.Image(ctx, name, image.Header.Timestamp, image.Header.SizeOfImage)
		if err != nil || image2.Where != name {
			t.Errorf("%s: as an image: %s, %v", name, image2.Where, err)
		}
		image2.Close()
	}
}

func openImage(t *testing.T, name string) *pe.File {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	image, err := pe.Open(bytes.NewReader(b), int64(len(b)), pe.InFile)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestFinder_ModuleIsShared: two dumps of one machine load its modules once.
func TestFinder_ModuleIsShared(t *testing.T) {
	dir := t.TempDir()
	write(t, makeImage(0x5f2a3b4c, 0x8000), dir, "sample.sys")
	isf := write(t, []byte(isfSample), dir, "kernel.json")
	f := open(t, symbols.Options{Path: dir})
	w := symbols.Wanted{Name: "sample.sys", Timestamp: 0x5f2a3b4c, Size: 0x8000}
	one, asked := f.Module(ctx, w), 0
	any := func(*symbols.ISF) bool { asked++; return true }
	two := f.ISFWhere(any)
	// What was loaded is not read again: it is not there any more.
	for _, name := range []string{filepath.Join(dir, "sample.sys"), isf} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if again := f.Modules(ctx, []symbols.Wanted{w, w}); one.Image == nil || again[0] != one || again[1] != one {
		t.Errorf("the module was loaded again: %p, %p", one, again)
	}
	if again := f.ISFWhere(any); two == nil || again != two || asked != 2 {
		t.Errorf("the ISF was decoded again: %p, %p", two, again)
	}
}

// TestPDB_Gcab reads a real symbol file out of a cabinet that an independent
// writer packed.
func TestPDB_Gcab(t *testing.T) {
	if _, err := exec.LookPath("gcab"); err != nil {
		corpus.Missing(t, "gcab is not installed")
	}
	from := filepath.Join(corpus.Dir(t, "pe"), "x64")
	id, err := openImage(t, filepath.Join(from, "xcpt4.exe")).PDB()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(from, "xcpt4.pdb"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	packed := write(t, nil, dir, "store", "xcpt4.pdb", id.Key(), "xcpt4.pd_")
	cmd := exec.Command("gcab", "-c", "-z", "-n", packed, "xcpt4.pdb")
	cmd.Dir = from
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcab: %v: %s", err, out)
	}
	f := open(t, symbols.Options{Path: "srv*" + filepath.Join(dir, "cache") + "*" + filepath.Join(dir, "store")})
	found, err := f.PDB(ctx, id)
	if !bytes.Equal(content(t, found, err), want) || !strings.HasPrefix(found.Where, filepath.Join(dir, "cache")) {
		t.Errorf("found at %s: other bytes than were packed", found.Where)
	}
}

// TestPDB_AgreesWithLLVM: the identity of real symbol files as an independent
// reader tells it.
func TestPDB_AgreesWithLLVM(t *testing.T) {
	tool := ""
	for _, name := range []string{"llvm-pdbutil-19", "llvm-pdbutil"} {
		if path, err := exec.LookPath(name); err == nil && tool == "" {
			tool = path
		}
	}
	if tool == "" {
		corpus.Missing(t, "llvm-pdbutil is not installed")
	}
	files, _ := filepath.Glob(filepath.Join(corpus.Dir(t, "pe"), "*", "*.pdb"))
	for _, name := range files {
		out, err := exec.Command(tool, "dump", "-summary", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		_, guid, _ := strings.Cut(string(out), "GUID: {")
		guid, _, _ = strings.Cut(guid, "}")
		_, age, _ := strings.Cut(string(out), "Age: ")
		age, _, _ = strings.Cut(age, "\n")
		f := open(t, symbols.Options{Path: filepath.Dir(name)})
		key := strings.ReplaceAll(guid, "-", "") + age // one digit in these files
		found, err := f.Find(ctx, symbols.Request{Name: filepath.Base(name), Key: key, Kind: symbols.PDB})
		if err != nil {
			t.Errorf("%s: llvm-pdbutil says %s: %v", name, key, err)
		}
		found.Close()
	}
}
