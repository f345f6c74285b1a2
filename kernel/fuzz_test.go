package kernel_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"bugcheck/dump"
	"bugcheck/kernel"
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
	return binary.LittleEndian.AppendUint32([]byte{byte(at), byte(at >> 8), byte(at >> 16)}, v)
}

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
		h := headerOf(b)
		kdbg, thread := int(u32(b, h.size+0x70)), int(u32(b, h.size+0x24))
		f.Add(uint8(i), uint32(0), []byte{})
		f.Add(uint8(i), uint32(len(b)/3), []byte{})
		f.Add(uint8(i), uint32(0), patch(kdbg+0x2b4, 0xffffffff))
		f.Add(uint8(i), uint32(0), patch(thread+0x38, 0xffffffff))
		f.Add(uint8(i), uint32(0), patch(h.size+0x48, 0xfffffff8))
	}
	f.Fuzz(func(t *testing.T, seed uint8, cut uint32, patches []byte) {
		b := patches
		if int(seed) < len(files) {
			b = patched(files[seed], patches)
			b = b[:len(b)-int(cut)%len(b)]
		}
		file, err := dump.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		m := kernel.Open(file)
		if len(m.Modules) != len(file.Drivers) {
			t.Errorf("%d modules of %d drivers", len(m.Modules), len(file.Drivers))
		}
		walk(t, m)
	})
}
