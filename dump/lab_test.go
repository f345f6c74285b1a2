package dump_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"bugcheck/dump"
	"bugcheck/lab"
	"bugcheck/mem"
)

var builds = lab.Builds()

// layouts are both orders of a triage dump's parts.
var layouts = []lab.Layout{lab.Old, lab.New}

// eachLab runs a test on a crash of every build in both layouts.
func eachLab(t *testing.T, test func(t *testing.T, d *lab.Dump)) {
	for _, b := range builds {
		for _, l := range layouts {
			d := crash(b, l)
			t.Run(labName(d), func(t *testing.T) { test(t, d) })
		}
	}
}

func labName(d *lab.Dump) string {
	return fmt.Sprintf("%v %s", d.Build, map[lab.Layout]string{lab.Old: "old", lab.New: "new"}[d.Layout])
}

// crash is a recipe that fills every field which a dump records.
func crash(b *lab.Build, l lab.Layout) *lab.Dump {
	d := lab.HighIRQLKernel(b)
	d.Layout = l
	d.Comment = "the fault lab's crash"
	d.Tagged = []lab.Blob{
		{GUID: "6c7ac389-4313-47dc-9f34-a8800a0fb56c", Data: processorEntry()},
		{GUID: "2b88b710-1c93-4f7c-b06c-655ecc50decc", Data: words32(0x10, 0xf0000000|19045, 0)},
		{GUID: "00112233-4455-6677-8899-aabbccddeeff", Data: []byte("thirteen byte")},
		{GUID: "270a33fd-3da6-460d-ba89-3c1bae21e39b"},
	}
	d.Slack = make([]byte, 0x300)
	return d
}

// processorEntry is the registry's CentralProcessor\0 as Windows adds it: name
// length, name, type, data length, data.
func processorEntry() []byte {
	var b []byte
	for _, v := range []struct {
		name string
		kind uint32
		data []byte
	}{
		{"ProcessorNameString", 1, utf16z("Example CPU @ 2.50GHz")},
		{"Identifier", 1, utf16z("Example64 Family 6 Model 85 Stepping 4")},
		{"VendorIdentifier", 1, utf16z("GenuineExample")},
		{"Update Revision", 3, []byte{1, 2, 3}},
		{"~MHz", 4, words32(2494)},
	} {
		name := utf16z(v.name)
		b = append(append(b, words32(uint32(len(name)))...), name...)
		b = append(append(b, words32(v.kind, uint32(len(v.data)))...), v.data...)
	}
	return b
}

// utf16z is ASCII text in UTF-16 with a closing zero.
func utf16z(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return append(b, 0, 0)
}

func words32(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

func labBytes(tb testing.TB, d *lab.Dump) []byte {
	tb.Helper()
	b, err := d.Bytes()
	if err != nil {
		tb.Fatalf("%s: %v", labName(d), err)
	}
	return b
}

func open(tb testing.TB, b []byte) *dump.File {
	tb.Helper()
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	return f
}

func u32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }

func put32(b []byte, off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }

// walk calls everything that can be asked of an opened dump, and checks what
// must hold of any file.
func walk(tb testing.TB, f *dump.File) {
	tb.Helper()
	f.SMBIOS()
	f.Processor()
	f.BootBuild()
	total := int64(0)
	for _, g := range f.Tagged {
		if _, ok := f.Tag(g.GUID.String()); !ok {
			tb.Errorf("Tag(%v) finds nothing, but the block is listed", g.GUID)
		}
		_ = g.Name()
		total += int64(len(g.Data))
	}
	if total > f.Size {
		tb.Errorf("tagged data of %d bytes in a file of %d", total, f.Size)
	}
	for _, n := range f.Notes {
		if n.Where == "" || n.Text.String() == "" {
			tb.Errorf("note %+v has no place or no text", n)
		}
	}
	if f.Truncated && len(f.Notes) == 0 {
		tb.Error("the file is truncated, and no note says where")
	}
	walkMemory(tb, f.Memory, f.Runs)
}

// walkMemory reads the start and the end of every captured run.
func walkMemory(tb testing.TB, m mem.Reader, runs []mem.Range) {
	tb.Helper()
	p, last := make([]byte, 64), mem.VA(0)
	for _, r := range runs {
		if r.Address < last || r.End() <= r.Address {
			tb.Fatalf("run %v of %d bytes behind one at %v: not in order", r.Address, r.Size, last)
		}
		last = r.Address
		for _, va := range []mem.VA{r.Address, r.End() - 1} {
			if n, err := m.ReadAt(p, va); n < len(p) && !mem.IsMissing(err) {
				tb.Fatalf("ReadAt(%v) = %d bytes, error %v: want a fault", va, n, err)
			}
		}
	}
}
