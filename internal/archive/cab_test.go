package archive_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bugcheck/internal/corpus"
)

// TestEach_Cab: a cabinet that another program packed, with names as Windows has them, by
// itself and in a zip.
func TestEach_Cab(t *testing.T) {
	gcab, err := exec.LookPath("gcab")
	if err != nil {
		corpus.Missing(t, "gcab is not here")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "MEMORY.DMP"), labDump(t), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "readme.txt"), []byte("nothing of use in here"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(gcab, "-c", "-z", "logs.cab", "MEMORY.DMP", "readme.txt")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcab: %v\n%s", err, out)
	}
	packed, err := os.ReadFile(filepath.Join(dir, "logs.cab"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"logs.cab": packed, "outer.zip": zipOf(t, map[string][]byte{"logs.cab": packed})} {
		v, err := each(t, name, b)
		if err != nil || len(v.data) != 1 || !bytes.Equal(v.data[0], labDump(t)) {
			t.Errorf("%s: got %q, %v", name, v.names, err)
		}
	}
}
