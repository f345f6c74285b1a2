package archive_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"bugcheck/internal/archive"
)

// alike is n bytes of one value.
type alike struct {
	n     int64
	value byte
}

func (a *alike) Read(p []byte) (int, error) {
	if a.n <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), a.n)
	for i := range p[:n] {
		p[i] = a.value
	}
	a.n -= n
	return int(n), nil
}

// bomb compresses a dump's signature and then far more than a dump shrinks from.
func bomb(tb testing.TB, open func(io.Writer) (io.WriteCloser, error)) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := open(&out)
	if err == nil {
		_, err = io.Copy(w, io.MultiReader(bytes.NewReader([]byte("PAGEDU64")), &alike{400 << 20, 0xaa}))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func zipEntry(w io.Writer) (io.WriteCloser, error) {
	z := zip.NewWriter(w)
	e, err := z.Create("MEMORY.DMP")
	return struct {
		io.Writer
		io.Closer
	}{e, z}, err
}

// noTemp makes an empty folder the one for temporary files, and checks that it is empty
// again at the end.
func noTemp(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// A member that is too large for memory is read from a temporary file: what lies between
// pages of zeros stands where it stood.
func TestEach_Large(t *testing.T) {
	const size = 40 << 20
	for name, open := range map[string]func(io.Writer) (io.WriteCloser, error){"x.gz": gz, "x.zip": zipEntry, "x.zst": zst, "x.xz": xzw} {
		noTemp(t)
		var out bytes.Buffer
		w, err := open(&out)
		if err == nil {
			_, err = io.Copy(w, io.MultiReader(strings.NewReader("PAGEDU64"), &alike{size, 0}, strings.NewReader("middle"), &alike{50, 0}, strings.NewReader("end"), &alike{70000, 0}))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		visits := 0
		err = archive.Each(archive.File{Name: name, ReaderAt: bytes.NewReader(out.Bytes()), Size: int64(out.Len())}, func(f archive.File) {
			visits++
			b := make([]byte, 60)
			if _, err := f.ReadAt(b, 8+size); err != nil || string(b) != "middle"+strings.Repeat("\x00", 50)+"end\x00" {
				t.Errorf("%s: %q, %v", name, b, err)
			}
			if want := int64(8 + size + 6 + 50 + 3 + 70000); f.Size != want {
				t.Errorf("%s: %d bytes, want %d", name, f.Size, want)
			}
			if n, err := f.ReadAt(b, f.Size-10); n != 10 || !errors.Is(err, io.EOF) {
				t.Errorf("%s: the end: %d bytes, %v", name, n, err)
			}
		})
		if err != nil || visits != 1 {
			t.Errorf("%s: %d visits, %v", name, visits, err)
		}
	}
}

func TestSpool(t *testing.T) {
	noTemp(t)
	for _, size := range []int64{0, 5, 33 << 20} {
		f, closeFile, err := archive.Spool("stdin", io.MultiReader(&alike{size, 1}, strings.NewReader("end")))
		if err != nil {
			t.Fatal(err)
		}
		var b [3]byte
		if _, err := f.ReadAt(b[:], size); f.Size != size+3 || string(b[:]) != "end" {
			t.Errorf("%d bytes: size %d, %q, %v", size, f.Size, b, err)
		}
		closeFile()
	}
}

func TestEach_TooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 400 MiB twice")
	}
	for name, open := range map[string]func(io.Writer) (io.WriteCloser, error){"x.gz": gz, "x.zip": zipEntry} {
		b := bomb(t, open)
		start := time.Now()
		v, err := each(t, name, b)
		if !errors.Is(err, archive.ErrTooLarge) || len(v.names) != 0 {
			t.Errorf("%s of %d KiB: visited %v, %v; want %v", name, len(b)>>10, v.names, err, archive.ErrTooLarge)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}
