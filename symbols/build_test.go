package symbols_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/pe"
	"bugcheck/symbols"
	"bugcheck/win"
)

var order = binary.LittleEndian

func u32(v ...uint32) (b []byte) {
	for _, x := range v {
		b = order.AppendUint32(b, x)
	}
	return b
}

// sampleID is a PDB that images name.
func sampleID(n byte, path string) pe.PDB {
	return pe.PDB{GUID: win.GUID{n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Age: 0x1a, Path: path}
}

// makePDB writes a PDB with the streams that hold its identity, and size bytes
// of content behind them.
func makePDB(id pe.PDB, size int) []byte {
	const block = 0x200
	b := make([]byte, 7*block+size)
	copy(b, "Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00")
	// Streams: 0 and 2 are empty, 1 is in block 4, 3 in block 5. The directory
	// is in block 3, its number in block 2.
	directory := u32(4, 0, 0x1c, 1<<32-1, 0xc, 4, 5)
	copy(b[0x20:], u32(block, 1, uint32(len(b)/block), uint32(len(directory)), 0, 2))
	copy(b[2*block:], u32(3))
	copy(b[3*block:], directory)
	copy(b[4*block:], u32(20000404, 1, 1)) // the age of this stream is another
	copy(b[4*block+12:], id.GUID[:])
	copy(b[5*block:], u32(1<<32-1, 19990903, id.Age))
	for i := 7 * block; i < len(b); i++ {
		b[i] = byte(i * i >> 7)
	}
	return b
}

// makeImage writes the headers of an image.
func makeImage(timestamp, size uint32) []byte {
	b := make([]byte, 0x400)
	copy(b, "MZ")
	copy(b[0x3c:], u32(0x80))
	copy(b[0x80:], "PE\x00\x00\x64\x86")
	copy(b[0x88:], u32(timestamp))
	b[0x94], b[0x98], b[0x99] = 0xf0, 0x0b, 0x02
	copy(b[0x98+0x38:], u32(size))
	return b
}

// makeCabinet packs a file without compression.
func makeCabinet(name string, data []byte) []byte {
	var blocks []byte
	n := 0
	for rest := data; len(rest) > 0; n++ {
		part := rest[:min(len(rest), 0x8000)]
		rest = rest[len(part):]
		blocks = append(blocks, u32(0, uint32(len(part))|uint32(len(part))<<16)...)
		blocks = append(blocks, part...)
	}
	file := append(u32(uint32(len(data)), 0, 0, 0), name+"\x00"...)
	b := make([]byte, 0x24)
	copy(b, "MSCF")
	copy(b[0x10:], u32(0x2c))
	b[0x18], b[0x19], b[0x1a], b[0x1c] = 3, 1, 1, 1
	b = append(b, u32(uint32(0x2c+len(file)), uint32(n))...)
	return append(append(b, file...), blocks...)
}

// write puts a file below dir.
func write(t testing.TB, data []byte, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t testing.TB, o symbols.Options) *symbols.Finder {
	t.Helper()
	f, err := symbols.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// content reads all of what was found.
func content(t testing.TB, found symbols.Found, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	b := make([]byte, found.Size)
	if n, err := found.ReadAt(b, 0); n < len(b) {
		t.Fatalf("%s: %d of %d bytes: %v", found.Where, n, len(b), err)
	}
	return b
}

// list names the files below dir, without the mark of a store.
func list(t testing.TB, dir string) (names []string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && path != dir && d.Name() != "pingme.txt" && (!d.IsDir() || empty(path)) {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return nil
	})
	return names
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

func join(path ...string) string { return strings.Join(path, ";") }
