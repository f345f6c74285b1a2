package archive_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"bugcheck/internal/archive"
	"bugcheck/lab"
)

// labDump is a small dump; the drivers' names make it compressible.
func labDump(tb testing.TB) []byte {
	tb.Helper()
	b, err := lab.HighIRQLKernel(lab.Windows26100).Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// visited is what Each handed out, as "name: content's length", and the bytes.
type visited struct {
	names []string
	data  [][]byte
}

func each(tb testing.TB, name string, b []byte) (visited, error) {
	tb.Helper()
	var v visited
	err := archive.Each(archive.File{Name: name, ReaderAt: bytes.NewReader(b), Size: int64(len(b))}, func(f archive.File) {
		data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size))
		if err != nil || int64(len(data)) != f.Size {
			tb.Errorf("%s: %d of %d bytes, %v", f.Name, len(data), f.Size, err)
		}
		v.names, v.data = append(v.names, f.Name), append(v.data, data)
	})
	return v, err
}

// compress runs a writer over b.
func compress(tb testing.TB, b []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := open(&out)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func gz(w io.Writer) (io.WriteCloser, error)  { return gzip.NewWriter(w), nil }
func zst(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }
func xzw(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }

// member is a file in an archive.
type member struct {
	name string
	data []byte
}

func zipped(tb testing.TB, method uint16, members ...member) []byte {
	tb.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, m := range members {
		w, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: method})
		if err == nil {
			_, err = w.Write(m.data)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func TestEach_SingleFormats(t *testing.T) {
	dump := labDump(t)
	for _, tt := range []struct {
		ext  string
		open func(io.Writer) (io.WriteCloser, error)
	}{{".gz", gz}, {".zst", zst}, {".xz", xzw}} {
		for _, name := range []string{"MEMORY.DMP", "crash"} {
			v, err := each(t, name+tt.ext, compress(t, dump, tt.open))
			if err != nil || len(v.data) != 1 || v.names[0] != name || !bytes.Equal(v.data[0], dump) {
				t.Errorf("%s%s: visited %v, %v; want %s whole", name, tt.ext, v.names, err, name)
			}
		}
	}
}

// What is no archive is handed out as it is, whatever its name says.
func TestEach_Plain(t *testing.T) {
	for name, b := range map[string][]byte{"MEMORY.DMP": labDump(t), "a.zip": []byte("text"), "b.gz": {}, "c.7z": {0x1f}} {
		v, err := each(t, name, b)
		if err != nil || len(v.data) != 1 || v.names[0] != name || !bytes.Equal(v.data[0], b) {
			t.Errorf("%s: visited %v, %v; want the file itself", name, v.names, err)
		}
	}
}

func TestEach_Zip(t *testing.T) {
	dump := labDump(t)
	members := []member{
		{"readme.txt", []byte("the crash of yesterday")},
		{"Minidump/", nil},
		{"Minidump/031426-01.dmp", dump},
		{"logs/PAGE.txt", []byte("PAGEFILE")},
		{"tiny", []byte("PAGEDU")},
		{"../../etc/passwd", dump},
		{"user.dmp", []byte("MDMP\x93\xa7 a user-mode minidump")},
	}
	want := []string{"logs.zip/Minidump/031426-01.dmp", "logs.zip/../../etc/passwd", "logs.zip/user.dmp"}
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		v, err := each(t, "logs.zip", zipped(t, method, members...))
		if err != nil || fmt.Sprint(v.names) != fmt.Sprint(want) {
			t.Fatalf("method %d: visited %q, %v; want %q", method, v.names, err, want)
		}
		if !bytes.Equal(v.data[0], dump) || !bytes.Equal(v.data[1], dump) || string(v.data[2][:4]) != "MDMP" {
			t.Errorf("method %d: the members' bytes differ", method)
		}
	}
}

// An archive without a dump is an error that is not about damage.
func TestEach_NoDump(t *testing.T) {
	v, err := each(t, "a.zip", zipped(t, zip.Deflate, member{"a.txt", []byte("nothing in here")}, member{"b.png", []byte("\x89PNG\r\n\x1a\n....")}))
	if err == nil || len(v.names) != 0 || errors.Is(err, archive.ErrTooLarge) {
		t.Errorf("visited %v, %v; want an error and nothing", v.names, err)
	}
}

// damaged cuts an archive at 40 places and inverts a byte at 200: no panic, and
// what is handed out wrong is never without an error.
func damaged(t *testing.T, name string, b, dump []byte) {
	t.Helper()
	for i := range 40 {
		n := len(b) * i / 40
		if n < 8 {
			continue // no signature: a plain file
		}
		if v, err := each(t, name, b[:n]); err == nil {
			t.Errorf("%s cut at %d of %d: visited %v and no error", name, n, len(b), v.names)
		}
	}
	for i := range 200 {
		c := bytes.Clone(b)
		c[8+(len(b)-8)*i/200] ^= 0xff
		v, err := each(t, name, c)
		for j, data := range v.data {
			if err == nil && !bytes.HasPrefix(dump, data) {
				t.Errorf("%s with byte %#x inverted: %s of %d bytes differs, and no error says so", name, 8+(len(b)-8)*i/200, v.names[j], len(data))
			}
		}
	}
}

func TestEach_Damaged(t *testing.T) {
	dump := labDump(t)
	for name, b := range map[string][]byte{"x.gz": compress(t, dump, gz), "x.zst": compress(t, dump, zst), "x.xz": compress(t, dump, xzw)} {
		damaged(t, name, b, dump)
	}
}

// A file that is cut hands out its start beside the error.
func TestEach_CutKeepsStart(t *testing.T) {
	dump := labDump(t)
	b := compress(t, dump, gz)
	v, err := each(t, "x.gz", b[:len(b)*3/4])
	if err == nil || len(v.data) != 1 || len(v.data[0]) == 0 || !bytes.HasPrefix(dump, v.data[0]) {
		t.Errorf("visited %v, %v; want the start of the dump and an error", v.names, err)
	}
}

// TestEachOf_Nested: archives within archives, in any of the formats, with names as
// Windows packs them; what is not asked for is passed over.
func TestEachOf_Nested(t *testing.T) {
	log := append([]byte("ElfFile\x00"), make([]byte, 5000)...)
	inner := zipOf(t, map[string][]byte{`logs\System.evtx`: log, "readme.txt": []byte("a text that nobody asked for")})
	middle := zipOf(t, map[string][]byte{"inner.zip": inner, "MEMORY.DMP": labDump(t)})
	outer := zipOf(t, map[string][]byte{"host/collected.zip": middle})
	for what, want := range map[string]struct {
		head string
		name string
	}{
		"log":  {"ElfFile", "case.zip/host/collected.zip/inner.zip/logs/System.evtx"},
		"dump": {"PAGEDU", "case.zip/host/collected.zip/MEMORY.DMP"},
	} {
		var names []string
		err := archive.EachOf(archive.File{Name: "case.zip", ReaderAt: bytes.NewReader(outer), Size: int64(len(outer))},
			func(_ string, head []byte) bool { return bytes.HasPrefix(head, []byte(want.head)) },
			func(f archive.File) { names = append(names, f.Name) })
		if err != nil || len(names) != 1 || names[0] != want.name {
			t.Errorf("%s: got %q, %v, want %s", what, names, err, want.name)
		}
	}
	deep := outer
	for range 5 {
		deep = zipOf(t, map[string][]byte{"deeper.zip": deep})
	}
	err := archive.EachOf(archive.File{Name: "case.zip", ReaderAt: bytes.NewReader(deep), Size: int64(len(deep))},
		func(string, []byte) bool { return false }, func(archive.File) {})
	if !errors.Is(err, archive.ErrNothing) {
		t.Errorf("too deep: got %v, want ErrNothing", err)
	}
}

func zipOf(tb testing.TB, members map[string][]byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, b := range members {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestEach_Names: names in the code page of the machine that packed them.
func TestEach_Names(t *testing.T) {
	for packed, want := range map[string]string{
		"\x83\x8d\x83O\\MEMORY.DMP": "a.zip/\u30ed\u30b0/MEMORY.DMP", // Shift JIS
		"caf\x82/MEMORY.DMP":        "a.zip/caf\u00e9/MEMORY.DMP",    // code page 437
		"plain/MEMORY.DMP":          "a.zip/plain/MEMORY.DMP",
	} {
		v, err := each(t, "a.zip", zipOf(t, map[string][]byte{packed: labDump(t)}))
		if err != nil || len(v.names) != 1 || v.names[0] != want {
			t.Errorf("%q: got %q, %v, want %q", packed, v.names, err, want)
		}
	}
}
