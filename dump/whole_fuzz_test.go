package dump_test

import (
	"bytes"
	"errors"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/damage"
)

// FuzzWhole patches a whole-memory dump and cuts it; past their number, the
// patches are the file itself.
func FuzzWhole(f *testing.F) {
	var files [][]byte
	for i, c := range wholeCases() {
		b := c.bytes()
		files = append(files, b)
		f.Add(uint8(i), uint32(0), []byte{})
		f.Add(uint8(i), uint32(len(b)/2), []byte{})
		for off := 0; off < 0x40; off += 4 {
			f.Add(uint8(i), uint32(0), damage.Patch(c.headerSize()+off, 0xfffffff0))
			f.Add(uint8(i), uint32(0), damage.Patch(off, 0x40))
			f.Add(uint8(i), uint32(0), damage.Patch(0x88+off, 0x7fffffff))
		}
		f.Add(uint8(i), uint32(0), damage.Patch(map[bool]int{true: 0xf98, false: 0xf88}[c.wide()], 9))
	}
	f.Add(uint8(0xff), uint32(0), []byte("\x7fELF\x02\x01"))
	f.Fuzz(func(t *testing.T, seed uint8, cut uint32, patches []byte) {
		b := patches
		if int(seed) < len(files) {
			b = damage.Patched(files[seed], patches)
			b = b[:len(b)-int(cut)%len(b)]
		}
		file, err := dump.Open(bytes.NewReader(b), int64(len(b)))
		switch {
		case err != nil && (!errors.Is(err, dump.ErrFormat) || err.Error() == ""):
			t.Errorf("Open: %v, want a *FormatError", err)
		case err == nil && file.Physical != nil:
			walkWhole(t, file)
		}
	})
}
