package dump_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"bugcheck/dump"
	"bugcheck/lab"
)

// patchSize is the size of one patch: where, in the file, and four bytes.
const patchSize = 7

// patched is base with patches over it: an offset of three bytes, modulo the
// size, and the four bytes that come there. So inputs stay small, and a
// mutation hits a field of a dump that is else whole.
func patched(base, patches []byte) []byte {
	b := bytes.Clone(base)
	for ; len(patches) >= patchSize; patches = patches[patchSize:] {
		at := int(binary.LittleEndian.Uint32(patches)&0xffffff) % len(b)
		copy(b[at:], patches[3:patchSize])
	}
	return b
}

// patch sets the four bytes at an offset.
func patch(at int, v uint32) []byte {
	return append([]byte{byte(at), byte(at >> 8), byte(at >> 16)}, words32(v)...)
}

// smallLabs are dumps of every build in both layouts, with few drivers.
func smallLabs(tb testing.TB) [][]byte {
	var files [][]byte
	for _, b := range builds {
		for _, l := range layouts {
			d := crash(b, l)
			d.Drivers = append(d.Drivers[:1:1], d.Drivers[len(d.Drivers)-3:]...)
			files = append(files, labBytes(tb, d))
		}
	}
	return files
}

// FuzzOpen patches one of the lab's dumps and cuts it; past their number, the
// patches are the file itself.
func FuzzOpen(f *testing.F) {
	files := smallLabs(f)
	for i, b := range files {
		h := headerOf(b)
		f.Add(uint8(i), uint32(0), []byte{})
		f.Add(uint8(i), uint32(len(b)/2), []byte{})
		for off := 4; off < 0x80; off += 4 {
			f.Add(uint8(i), uint32(0), patch(h.size+off, 0xfffffff0))
		}
		f.Add(uint8(i), uint32(0), patch(bytes.Index(b, []byte("DumpBlob"))+0x10+20, 0x10000))
		f.Add(uint8(i), uint32(0), patch(0xf98, 5))
	}
	f.Add(uint8(0xff), uint32(0), []byte("PAGEDUMP"))
	f.Fuzz(func(t *testing.T, seed uint8, cut uint32, patches []byte) {
		b := patches
		if int(seed) < len(files) {
			b = patched(files[seed], patches)
			b = b[:len(b)-int(cut)%len(b)]
		}
		checkOpen(t, b)
	})
}

// checkOpen opens any bytes: either a *FormatError, or a file whose stop code
// is the header's and all of which can be asked.
func checkOpen(t *testing.T, b []byte) {
	file, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		if !errors.Is(err, dump.ErrFormat) || err.Error() == "" {
			t.Errorf("Open: %v, want a *FormatError", err)
		}
		return
	}
	if h := headerOf(b); file.Header.BugCheckCode != u32(b, h.code) {
		t.Errorf("stop code %#x, the header holds %#x", file.Header.BugCheckCode, u32(b, h.code))
	}
	walk(t, file)
}

func FuzzIdentify(f *testing.F) {
	for _, b := range []*lab.Build{lab.Windows26100, lab.Windows17763X86} {
		file := labBytes(f, lab.Machine(b))
		f.Add(file[:headerOf(file).size], int64(1<<20))
	}
	for _, s := range []string{"", "PAGEDUMP", "PAGEDU64", "PAGE", "MDMP", "PK\x03\x04", "text", "\xff\xfe", "\x00", "\x7fELF"} {
		f.Add([]byte(s), int64(len(s)))
	}
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		got := dump.Identify(head, size)
		if got.Text == "" || got.Kernel != (got.Arch != "") {
			t.Errorf("Identify(%q…, %d) = %+v", head[:min(len(head), 16)], size, got)
		}
		if got.Kernel && !bytes.HasPrefix(head, []byte("PAGEDU")) {
			t.Errorf("Identify(%q…, %d) = %+v without the signature", head[:min(len(head), 16)], size, got)
		}
	})
}
