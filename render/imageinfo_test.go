package render

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pe"
)

// TestImageInfo: what `bugcheck info` says of a driver's file.
func TestImageInfo(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(corpus.Dir(t, "pe"), "x64", "xcpt4.exe"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := pe.Open(bytes.NewReader(b), int64(len(b)), pe.InFile)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := ImageInfo(&out, "xcpt4.exe", f); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Windows image, x64", f.ImageKey(), "with unwind data", ".pdata", "xcpt4.pdb"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
