package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pdb"
	"bugcheck/render"
)

// The counts are those of llvm-pdbutil.
func TestSymbolInfo(t *testing.T) {
	r, err := os.Open(filepath.Join(corpus.Dir(t, "pe"), "x64", "xcpt4.pdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := pdb.Open(r, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := render.SymbolInfo(&out, "xcpt4.pdb", info.Size(), f); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"symbol file, x64", "C8C2329E0E9949E68B6F132BECA69E7E1", "Publics      386\n", "Procedures   277\n", "Lines        2013\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
