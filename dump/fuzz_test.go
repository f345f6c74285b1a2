package dump_test

import (
	"bytes"
	"errors"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/damage"
	"bugcheck/lab"
)

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
		h := damage.HeaderOf(b)
		f.Add(uint8(i), uint32(0), []byte{})
		f.Add(uint8(i), uint32(len(b)/2), []byte{})
		for off := 4; off < 0x80; off += 4 {
			f.Add(uint8(i), uint32(0), damage.Patch(h.Size+off, 0xfffffff0))
		}
		f.Add(uint8(i), uint32(0), damage.Patch(bytes.Index(b, []byte("DumpBlob"))+0x10+20, 0x10000))
		f.Add(uint8(i), uint32(0), damage.Patch(0xf98, 5))
	}
	f.Add(uint8(0xff), uint32(0), []byte("PAGEDUMP"))
	f.Fuzz(func(t *testing.T, seed uint8, cut uint32, patches []byte) {
		b := patches
		if int(seed) < len(files) {
			b = damage.Patched(files[seed], patches)
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
	if file.User != nil { // FuzzMinidump walks those
		return
	}
	if h := damage.HeaderOf(b); file.Header.BugCheckCode != u32(b, h.Code) {
		t.Errorf("stop code %#x, the header holds %#x", file.Header.BugCheckCode, u32(b, h.Code))
	}
	walk(t, file)
}

func FuzzIdentify(f *testing.F) {
	for _, b := range []*lab.Build{lab.Windows26100, lab.Windows17763X86} {
		file := labBytes(f, lab.Machine(b))
		f.Add(file[:damage.HeaderOf(file).Size], int64(1<<20))
	}
	for _, s := range []string{"", "PAGEDUMP", "PAGEDU64", "PAGE", "MDMP", "PK\x03\x04", "text", "\xff\xfe", "\x00", "\x7fELF"} {
		f.Add([]byte(s), int64(len(s)))
	}
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		got := dump.Identify(head, size)
		if got.Text == "" || got.Kernel != (got.Arch != "") || got.Kernel && got.User {
			t.Errorf("Identify(%q…, %d) = %+v", head[:min(len(head), 16)], size, got)
		}
		if got.Kernel && !bytes.HasPrefix(head, []byte("PAGEDU")) {
			t.Errorf("Identify(%q…, %d) = %+v without the signature", head[:min(len(head), 16)], size, got)
		}
	})
}
