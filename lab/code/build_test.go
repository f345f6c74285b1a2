package code

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"bugcheck/internal/corpus"
)

var update = flag.Bool("update", false, "pack what build.sh makes into data")

// TestRebuild builds all images from their sources: the archives must hold just
// that. With -update it packs them.
func TestRebuild(t *testing.T) {
	if *update && corpus.All() {
		t.Fatal("-update is not for CI")
	}
	if testing.Short() && !*update {
		t.Skip("builds for half a minute")
	}
	for _, tool := range []string{"clang-19", "lld-link-19", "llvm-rc-19", "llvm-objdump-19", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			corpus.Missing(t, tool+" is not here")
		}
	}
	// What a test opens, its cached result depends on.
	sources, err := filepath.Glob("src/*")
	if err != nil || len(sources) == 0 {
		t.Fatalf("sources: %v, %v", sources, err)
	}
	for _, name := range append(sources, "build.sh") {
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if out, err := exec.Command("./build.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	for _, arch := range []string{"x64", "arm64"} {
		built := archive(t, filepath.Join(dir, arch+".files"))
		name := "data/" + arch + ".tar.zst"
		if *update {
			pack(t, name, built)
			continue
		}
		if packed := entries(t, unzstd(t, name)); len(packed) == 0 {
			t.Errorf("%s is empty", name)
		} else {
			compare(t, name, packed, entries(t, built))
		}
	}
}

// archive makes a tar of a folder, whose bytes depend on names and contents alone.
func archive(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Size: int64(len(file)), Mode: 0o644}); err != nil {
			return err
		}
		_, err = w.Write(file)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pack(t *testing.T, name string, b []byte) {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	z := w.EncodeAll(b, nil)
	t.Logf("%s: %d bytes of %d", name, len(z), len(b))
	if err := os.WriteFile(name, z, 0o644); err != nil {
		t.Fatal(err)
	}
}

func unzstd(t *testing.T, name string) []byte {
	t.Helper()
	packed, err := archives.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := r.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func entries(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func compare(t *testing.T, name string, packed, built map[string][]byte) {
	t.Helper()
	for file, b := range built {
		if !bytes.Equal(packed[file], b) {
			t.Errorf("%s in %s is not what build.sh makes", file, name)
		}
	}
	for file := range packed {
		if built[file] == nil {
			t.Errorf("%s in %s is not built any more", file, name)
		}
	}
}
