package archive_test

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"

	"bugcheck/internal/archive"
)

// FuzzEach: no panic, and what is handed out can be read and is bounded.
func FuzzEach(f *testing.F) {
	dump := append([]byte("PAGEDU64"), bytes.Repeat([]byte("a small dump "), 20)...)
	f.Add(dump)
	f.Add(compress(f, dump, gz))
	f.Add(compress(f, dump, zst))
	f.Add(compress(f, dump, xzw))
	f.Add(zipped(f, zip.Store, member{"a.dmp", dump}, member{"b.txt", []byte("text of a note")}))
	f.Add(zipped(f, zip.Deflate, member{"d/a.dmp", dump}, member{"d/b.dmp", dump}))
	f.Add(stored7z(member{"a.dmp", dump}, member{"b.txt", []byte("text of a note")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		visits := 0
		err := archive.Each(archive.File{Name: "x", ReaderAt: bytes.NewReader(b), Size: int64(len(b))}, func(m archive.File) {
			visits++
			if m.Size > archive.MaxUnpacked || m.Name == "" {
				t.Errorf("%q of %d bytes", m.Name, m.Size)
			}
			if n, err := io.Copy(io.Discard, io.NewSectionReader(m, 0, m.Size)); n != m.Size || err != nil {
				t.Errorf("%q: %d of %d bytes, %v", m.Name, n, m.Size, err)
			}
		})
		if err == nil && visits == 0 {
			t.Error("no dump, and no error")
		}
	})
}
