package pe_test

import (
	"testing"

	"bugcheck/internal/damage"
	"bugcheck/pe"
)

// FuzzOpen patches one of the samples and cuts it; past their number, the
// patches are the file itself. Then it asks everything.
func FuzzOpen(f *testing.F) {
	var files [][]byte
	for _, name := range []string{"x64", "arm64", "x86"} {
		im := samples()[name]
		files = append(files, im.file(), im.memory())
	}
	for i, b := range files {
		f.Add(uint8(i), uint32(0), []byte{})
		f.Add(uint8(i), uint32(len(b)/2), []byte{})
		for at := peAt + 4; at < peAt+0x180; at += 4 {
			f.Add(uint8(i), uint32(0), damage.Patch(at, 0xffffffff))
		}
	}
	f.Add(uint8(0xff), uint32(0), []byte("MZ"))
	f.Fuzz(func(t *testing.T, seed uint8, cut uint32, patches []byte) {
		b, layout := patches, pe.Layout(seed&1)
		if int(seed) < len(files) {
			b = damage.Patched(files[seed], patches)
			b = b[:len(b)-int(cut)%len(b)]
		}
		walkBytes(t, "fuzz", b, layout)
	})
}
