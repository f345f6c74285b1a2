package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"testing"

	"bugcheck/internal/archive"
)

// A damaged member of a zip or 7z is handed out; the error must say so.
func TestEach_DamagedMember(t *testing.T) {
	dump := labDump(t)
	for name, b := range map[string][]byte{"x.zip": zipped(t, zip.Store, member{"a.dmp", dump}), "y.zip": zipped(t, zip.Deflate, member{"a.dmp", dump}), "x.7z": stored7z(member{"a.dmp", dump})} {
		c := bytes.Clone(b)
		c[len(c)/2] ^= 0xff
		v, err := each(t, name, c)
		if err == nil {
			t.Errorf("%s: byte inverted in the member, visited %v, no error", name, v.names)
		}
	}
}

func TestEach_TooLargeZstdXz(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 400 MiB twice")
	}
	for name, b := range map[string][]byte{"x.zst": bomb(t, zst), "x.xz": bomb(t, xzw)} {
		v, err := each(t, name, b)
		if !errors.Is(err, archive.ErrTooLarge) {
			t.Errorf("%s of %d KiB: %v, %v; want ErrTooLarge", name, len(b)>>10, v.names, err)
		}
	}
}

// An .xz whose block header asks for a dictionary of 3 or 4 GiB.
func TestEach_HostileXzDictionary(t *testing.T) {
	b := compress(t, []byte("PAGEDU64 a small dump"), xzw)
	// block header at 12: size byte, flags, filter id 0x21, props size 1, dict byte, padding, crc32
	n := (int(b[12]) + 1) * 4
	i := 12 + bytes.Index(b[12:12+n], []byte{0x21, 0x01})
	b[i+2] = 40
	binary.LittleEndian.PutUint32(b[12+n-4:], crc32.ChecksumIEEE(b[12:12+n-4]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := each(t, "x.xz", b)
	if err == nil {
		t.Error("no error")
	}
	runtime.ReadMemStats(&after)
	if (after.TotalAlloc-before.TotalAlloc)>>20 > 512 {
		t.Errorf("allocated %d MiB", (after.TotalAlloc-before.TotalAlloc)>>20)
	}
}

// A .7z whose coder, LZMA2, asks for a dictionary of 3 or 4 GiB.
func TestEach_Hostile7zDictionary(t *testing.T) {
	old := stored7z(member{"a.dmp", []byte("PAGEDU64 a small dump")})
	// replace the coder {1, 1, 0} by {1, 0x21, 0x21, 1, 40}
	i := bytes.LastIndex(old, []byte{0xb, 1, 0, 1, 1, 0}) + 3
	packed := binary.LittleEndian.Uint64(old[12:])
	header := append(append(append([]byte(nil), old[32+packed:i]...), 1, 0x21, 0x21, 1, 39), old[i+3:]...)
	start := binary.LittleEndian.AppendUint64(nil, packed)
	start = binary.LittleEndian.AppendUint64(start, uint64(len(header)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(header))
	b := binary.LittleEndian.AppendUint32([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), crc32.ChecksumIEEE(start))
	b = bytes.Join([][]byte{b, start, old[32 : 32+packed], header}, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := each(t, "x.7z", b)
	if err == nil {
		t.Error("no error")
	}
	runtime.ReadMemStats(&after)
	if (after.TotalAlloc-before.TotalAlloc)>>20 > 512 {
		t.Errorf("a .7z of %d bytes made Each allocate %d MiB", len(b), (after.TotalAlloc-before.TotalAlloc)>>20)
	}
}
