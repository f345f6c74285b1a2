package archive_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"bugcheck/internal/archive"
)

// zeros is n zero bytes, behind a dump's signature.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.n)
	clear(p[:n])
	z.n -= n
	return int(n), nil
}

// bomb compresses a dump's signature and then more zeros than may be unpacked.
func bomb(tb testing.TB, open func(io.Writer) (io.WriteCloser, error)) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := open(&out)
	if err == nil {
		_, err = io.Copy(w, io.MultiReader(bytes.NewReader([]byte("PAGEDU64")), &zeros{archive.MaxUnpacked + 1<<20}))
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

func TestEach_TooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 256 MiB twice")
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
