package archive_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
)

// number7z is a NUMBER of 7zFormat.txt (7-Zip's documentation): one byte, or
// 0xff and eight.
func number7z(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	return binary.LittleEndian.AppendUint64([]byte{0xff}, uint64(n))
}

// stored7z is a .7z of members that are not compressed, after 7zFormat.txt:
// signature header, packed streams, header. Each member is a folder of one
// coder, Copy.
func stored7z(members ...member) []byte {
	var packed, sizes, folders, crcs, names []byte
	for _, m := range members {
		packed = append(packed, m.data...)
		sizes = append(sizes, number7z(len(m.data))...)
		folders = append(folders, 1, 1, 0) // one coder, whose id is one byte: Copy
		crcs = binary.LittleEndian.AppendUint32(crcs, crc32.ChecksumIEEE(m.data))
		for _, c := range []byte(m.name) {
			names = append(names, c, 0)
		}
		names = append(names, 0, 0)
	}
	n := number7z(len(members))
	header := bytes.Join([][]byte{
		{1, 4, 6, 0}, n, {9}, sizes, {0}, // Header, MainStreamsInfo, PackInfo, Size
		{7, 0xb}, n, {0}, folders, {0xc}, sizes, {0xa, 1}, crcs, {0}, // UnpackInfo, CodersUnpackSize, CRC
		{8, 0, 0, 5}, n, {0x11}, number7z(len(names) + 1), {0}, names, {0, 0}, // SubStreamsInfo, FilesInfo, Names
	}, nil)
	start := binary.LittleEndian.AppendUint64(nil, uint64(len(packed)))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(header)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(header))
	b := binary.LittleEndian.AppendUint32([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), crc32.ChecksumIEEE(start))
	return bytes.Join([][]byte{b, start, packed, header}, nil)
}

func members7z(dump []byte) []member {
	return []member{{"a.txt", []byte("a text of some length")}, {"b.dmp", dump}, {"c.dmp", dump[:0x5000]}}
}

func check7z(t *testing.T, b, dump []byte) {
	t.Helper()
	v, err := each(t, "x.7z", b)
	if err != nil || fmt.Sprint(v.names) != "[x.7z/b.dmp x.7z/c.dmp]" {
		t.Fatalf("visited %v, %v; want b.dmp and c.dmp", v.names, err)
	}
	if !bytes.Equal(v.data[0], dump) || !bytes.Equal(v.data[1], dump[:0x5000]) {
		t.Error("the members' bytes differ")
	}
}

func TestEach_Stored7z(t *testing.T) {
	dump := labDump(t)
	check7z(t, stored7z(members7z(dump)...), dump)
}

// A .7z as 7-Zip makes it: compressed, with a compressed header.
func TestEach_7z(t *testing.T) {
	dump := labDump(t)
	check7z(t, system7z(t, members7z(dump)...), dump)
}

// system7z makes a .7z with the system's program; the library only reads.
func system7z(t *testing.T, members ...member) []byte {
	t.Helper()
	program := ""
	for _, name := range []string{"7z", "7zz", "7za", "7zr"} {
		if p, err := exec.LookPath(name); err == nil && program == "" {
			program = p
		}
	}
	if program == "" {
		corpus.Missing(t, "no 7z program to make an archive with")
	}
	dir, args := t.TempDir(), []string{"a", "-bd", "x.7z"}
	for _, m := range members {
		if err := os.WriteFile(filepath.Join(dir, m.name), m.data, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, m.name)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "x.7z"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A 7z whose header is damaged: an error, no panic.
func TestEach_Damaged7z(t *testing.T) {
	whole := stored7z(members7z(labDump(t))...)
	for n := 8; n < len(whole); n += 997 {
		if v, err := each(t, "x.7z", whole[:n]); err == nil {
			t.Errorf("cut at %d of %d: visited %v and no error", n, len(whole), v.names)
		}
	}
	for i := 1; i <= 115; i++ { // the header is the end of the file
		b := bytes.Clone(whole)
		b[len(b)-i] ^= 0xff
		if v, err := each(t, "x.7z", b); err == nil {
			t.Errorf("byte %d from the end inverted: visited %v and no error", i, v.names)
		}
	}
	head := string(whole[:8])
	for _, b := range []string{head, head + strings.Repeat("\x00", 24), head + strings.Repeat("\xff", 24), head + strings.Repeat("\xff", 4096)} {
		if v, err := each(t, "x.7z", []byte(b)); err == nil || len(v.names) != 0 {
			t.Errorf("%d bytes: visited %v, %v; want an error", len(b), v.names, err)
		}
	}
}
