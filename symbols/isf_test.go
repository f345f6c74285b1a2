package symbols_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/symbols"
)

func BenchmarkOpenISF(b *testing.B) {
	files, _ := filepath.Glob(filepath.Join(corpus.Dir(b, "isf"), "*.xz"))
	data, err := os.ReadFile(files[0])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := symbols.OpenISF(bytes.NewReader(data), int64(len(data))); err != nil {
			b.Fatal(err)
		}
	}
}

func TestISF_Corpus(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(corpus.Dir(t, "isf"), "*.xz"))
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := symbols.OpenISF(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(f.PDB, f.PDB.Key(), f.Len(), f.Machine, f.Wide)
		rva, ok := f.Address("PsLoadedModuleList")
		t.Log(rva, ok)
		t.Log(f.Name(rva + 3))
		t.Log(f.Field("_EPROCESS", "Pcb.ThreadListHead.Blink"))
		t.Log(f.Member("_EPROCESS", "ImageFileName"))
		t.Log(f.SizeOf("[15]unsigned char"))
	}
}
