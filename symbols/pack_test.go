package symbols_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bugcheck/symbols"
)

// TestWritePack_ReadInPlace: what a pack was made of is found in it, with no
// other place on the path, and what was missing stands in its manifest.
func TestWritePack_ReadInPlace(t *testing.T) {
	id, gone := sampleID(1, "sample.pdb"), sampleID(2, "gone.pdb")
	pdb, image := makePDB(id, 50_000), makeImage(0x5f2a3b4c, 0x8000)
	from := t.TempDir()
	write(t, makeCabinet("sample.pdb", pdb), from, "sample.pd_")
	write(t, image, from, "sys", "Sample.sys")
	requests := []symbols.Request{symbols.PDBRequest(id), symbols.ImageRequest("Sample.sys", 0x5f2a3b4c, 0x8000), symbols.PDBRequest(gone), symbols.PDBRequest(id)}
	var b bytes.Buffer
	results, err := open(t, symbols.Options{Path: from}).WritePack(ctx, &b, requests)
	if err != nil || len(results) != 4 || results[0].Err != nil || results[1].Err != nil || !errors.Is(results[2].Err, symbols.ErrNotFound) {
		t.Fatalf("%v, %+v", err, results)
	}
	packPath := write(t, b.Bytes(), t.TempDir(), "pack.zip")
	f := open(t, symbols.Options{Path: packPath})
	found, err := f.PDB(ctx, id)
	if !bytes.Equal(content(t, found, err), pdb) {
		t.Error("another PDB than was packed")
	}
	if want := packPath + "/sa/sample.pdb/" + id.Key() + "/sample.pdb"; found.Where != want {
		t.Errorf("found at %s, want %s", found.Where, want)
	}
	found, err = f.Image(ctx, "sample.SYS", 0x5f2a3b4c, 0x8000)
	if !bytes.Equal(content(t, found, err), image) {
		t.Error("another image than was packed")
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range z.File {
		if strings.HasSuffix(e.Name, ".pdb") && e.Method != zip.Store {
			t.Errorf("%s is compressed", e.Name)
		}
	}
	manifest, err := z.Open("manifest.txt")
	if err != nil {
		t.Fatal(err)
	}
	back, err := symbols.ReadManifest(manifest)
	if diff := cmp.Diff(requests[:3], back); err != nil || diff != "" {
		t.Errorf("manifest: %v\n%s", err, diff)
	}
}

// TestWritePack_ISF packs the named files of Volatility, from a folder and from
// another pack.
func TestWritePack_ISF(t *testing.T) {
	f, err := openISF(t, []byte(isfSample))
	if err != nil {
		t.Fatal(err)
	}
	from := t.TempDir()
	where := write(t, []byte(isfSample), from, "x", "ntkrnlmp.pdb", strings.TrimSuffix(f.PDB.Key(), "3")+"-3.json")
	write(t, []byte(isfSample), from, "unwanted.json")
	for i := range 2 {
		var b bytes.Buffer
		finder := open(t, symbols.Options{Path: from})
		if isf, err := finder.ISF(ctx, f.PDB); err != nil || isf.Where != where {
			t.Fatalf("round %d: %v, %v", i, isf, err)
		}
		if _, err := finder.WritePack(ctx, &b, nil, where); err != nil {
			t.Fatal(err)
		}
		from = write(t, b.Bytes(), t.TempDir(), "pack.zip")
		finder = open(t, symbols.Options{Path: from})
		if refs := finder.ISFs(); len(refs) != 1 || refs[0].PDB.Path != "ntkrnlmp.pdb" {
			t.Errorf("round %d: %+v", i, refs)
		}
		isf, err := finder.ISF(ctx, f.PDB)
		if err != nil {
			t.Fatal(err)
		}
		where = isf.Where
	}
}

// TestPack_Encrypted: what cannot be read is told.
func TestPack_Encrypted(t *testing.T) {
	id := sampleID(1, "a.pdb")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "a.pdb", Method: zip.Store, Flags: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(makePDB(id, 0))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, symbols.Options{Path: write(t, b.Bytes(), t.TempDir(), "x.zip")}).PDB(ctx, id)
	if !errors.Is(err, symbols.ErrNotFound) || !errors.Is(err, zip.ErrFormat) {
		t.Errorf("got %v", err)
	}
}

// TestPack_Foreign: a zip that somebody made by hand, compressed, with folders
// of its own, a wrong file of the same name, and a cabinet.
func TestPack_Foreign(t *testing.T) {
	one, two := sampleID(1, "one.pdb"), sampleID(2, "two.pdb")
	path := filepath.Join(t.TempDir(), "their symbols.zip")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(file)
	for _, e := range []struct {
		name string
		data []byte
	}{
		{`a\ONE.PDB`, makePDB(sampleID(9, ""), 10)},
		{`b/One.pdb`, makePDB(one, 100_000)},
		{"../../two.pd_", makeCabinet("two.pdb", makePDB(two, 10))},
	} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Deflate})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	f := open(t, symbols.Options{Path: path})
	found, err := f.PDB(ctx, one)
	if got := content(t, found, err); len(got) != 100_000+7*0x200 {
		t.Errorf("%d bytes", len(got))
	}
	found, err = f.PDB(ctx, two)
	content(t, found, err)
	if _, err := f.PDB(ctx, sampleID(3, "one.pdb")); !errors.Is(err, symbols.ErrMismatch) {
		t.Errorf("another identity: %v", err)
	}
}

func TestPack_Damaged(t *testing.T) {
	path := write(t, []byte("PK\x03\x04 no zip"), t.TempDir(), "x.zip")
	_, err := open(t, symbols.Options{Path: path}).PDB(ctx, sampleID(1, "a.pdb"))
	if !errors.Is(err, symbols.ErrNotFound) || !errors.Is(err, zip.ErrFormat) {
		t.Errorf("got %v", err)
	}
	_, err = open(t, symbols.Options{Path: "/nowhere/x.zip"}).PDB(ctx, sampleID(1, "a.pdb"))
	if want := (&symbols.NotFoundError{}); !errors.As(err, &want) || want.Err != nil {
		t.Errorf("a pack that is not there: %v", err)
	}
}

func TestManifest(t *testing.T) {
	key := sampleID(1, "").Key()
	const image = "5F2A3B4C8000"
	text := "\ufeff# a comment\r\n\r\nntkrnlmp.pdb," + key + ",pdb\r\nmyfault.sys , " + image + " , IMAGE\nfrom symchk.pdb," + key + ",1\nhal.dll," + image + "\n"
	want := []symbols.Request{{Name: "ntkrnlmp.pdb", Key: key, Kind: symbols.PDB}, {Name: "myfault.sys", Key: image, Kind: symbols.Image},
		{Name: "from symchk.pdb", Key: key, Kind: symbols.PDB}, {Name: "hal.dll", Key: image, Kind: symbols.Image}}
	got, err := symbols.ReadManifest(strings.NewReader(text))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
	var b bytes.Buffer
	if err := symbols.WriteManifest(&b, append(got, got[0], symbols.Request{Name: "a/b", Key: key})); err != nil {
		t.Fatal(err)
	}
	back, err := symbols.ReadManifest(&b)
	if diff := cmp.Diff(want, back); err != nil || diff != "" {
		t.Errorf("written and read again: %v\n%s", err, diff)
	}
	got, err = symbols.ReadManifest(strings.NewReader("good.pdb," + key + ",pdb\n../bad.pdb," + key + "\nlast.pdb," + key))
	if !errors.Is(err, symbols.ErrManifest) || !strings.Contains(err.Error(), "line 2") || len(got) != 2 {
		t.Errorf("a bad line: %v, %v", got, err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("# x\nntkrnlmp.pdb," + sampleID(1, "").Key() + ",pdb\nhal.dll,5F2A3B4C8000,image\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := symbols.ReadManifest(bytes.NewReader(b))
		if err != nil && !errors.Is(err, symbols.ErrManifest) {
			t.Errorf("%v does not wrap ErrManifest", err)
		}
		for _, q := range got {
			if strings.ContainsAny(q.Name, `/\`) || q.Name == ".." {
				t.Errorf("the name %q", q.Name)
			}
		}
		var out bytes.Buffer
		if err := symbols.WriteManifest(&out, got); err != nil {
			t.Fatal(err)
		}
		if _, err := symbols.ReadManifest(&out); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
