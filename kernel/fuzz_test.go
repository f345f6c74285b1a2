package kernel_test

import (
	"bytes"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/damage"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/symbols"
)

// powerFailure is stop code 0x9F with an IRP and a list of power requests.
func powerFailure() *lab.Dump {
	d := powerMachine(0, 1, 2, -1)
	d.Code, d.Parameters = 0x9f, [4]uint64{3, deviceAt, powerAt, irpAt}
	return d
}

// smallLabs are dumps of every build and recipe, with few drivers.
func smallLabs(tb testing.TB) [][]byte {
	list := []*lab.Dump{powerFailure()}
	for _, b := range builds {
		for _, r := range recipes {
			list = append(list, r.make(b))
		}
	}
	var files [][]byte
	for _, d := range list {
		d.Drivers = append(d.Drivers[:1:1], d.Drivers[len(d.Drivers)-4:]...)
		files = append(files, labBytes(tb, d))
	}
	return files
}

// FuzzMachine patches one of the lab's dumps and cuts it; past their number,
// the patches are the file itself. Then everything reachable is asked.
func FuzzMachine(f *testing.F) {
	files := smallLabs(f)
	for i, b := range files {
		h := damage.HeaderOf(b)
		kdbg, thread := int(u32(b, h.Size+0x70)), int(u32(b, h.Size+0x24))
		f.Add(uint8(i), uint32(0), []byte{})
		f.Add(uint8(i), uint32(len(b)/3), []byte{})
		f.Add(uint8(i), uint32(0), damage.Patch(kdbg+0x2b4, 0xffffffff))
		f.Add(uint8(i), uint32(0), damage.Patch(thread+0x38, 0xffffffff))
		f.Add(uint8(i), uint32(0), damage.Patch(h.Size+0x48, 0xfffffff8))
	}
	nowhere, err := symbols.Open(symbols.Options{Offline: true}) // images are looked for in the dump's memory alone
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, seed uint8, cut uint32, patches []byte) {
		b := patches
		if int(seed) < len(files) {
			b = damage.Patched(files[seed], patches)
			b = b[:len(b)-int(cut)%len(b)]
		}
		file, err := dump.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		m := kernel.OpenWith(t.Context(), file, nowhere)
		if len(m.Modules) != len(file.Drivers) {
			t.Errorf("%d modules of %d drivers", len(m.Modules), len(file.Drivers))
		}
		walk(t, m)
	})
}
