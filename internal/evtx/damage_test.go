package evtx_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"bugcheck/internal/evtx"
	"bugcheck/lab/eventlog"
)

const page = 0x1000

// TestDamage_EachPage: a page that is gone costs its own records, those that need a name
// or a template that stood in it, and is told of.
func TestDamage_EachPage(t *testing.T) {
	whole := eventlog.Write(events(1500), eventlog.Options{})
	for at := 0; at < len(whole); at += page {
		for name, fill := range map[string]byte{"zeroed": 0, "ones": 0xff, "text": 'A'} {
			b := bytes.Clone(whole)
			for i := at; i < at+page; i++ {
				b[i] = fill
			}
			got, damage := read(t, b, nil)
			used := bytes.Count(whole[at:at+page], []byte{0}) < page
			if used && !damage.Any() {
				t.Errorf("page 0x%x %s: %d records, and no word of the damage", at, name, len(got))
			}
			if at >= page && len(got) < 1500-chunkHolds(t, whole, at) {
				t.Errorf("page 0x%x %s: %d records left: more than its chunk's are lost", at, name, len(got))
			}
			if at < page && len(got) != 1500 {
				t.Errorf("file header %s: %d records, want all", name, len(got))
			}
		}
	}
}

// chunkHolds is the number of records of the chunk that an offset lies in.
func chunkHolds(t *testing.T, log []byte, at int) int {
	t.Helper()
	from := page + (at-page)/0x10000*0x10000
	one := append(bytes.Clone(log[:page]), log[from:from+0x10000]...)
	list, _ := read(t, one, nil)
	return len(list)
}

func TestDamage_Cut(t *testing.T) {
	whole := eventlog.Write(events(1500), eventlog.Options{})
	for at := page; at < len(whole); at += page {
		got, damage := read(t, whole[:at+7], nil)
		if !damage.Cut {
			t.Errorf("cut at 0x%x: not told (%d records)", at, len(got))
		}
	}
}

// record is a chunk with one record of the binary XML given; offsets begin at the chunk.
func record(xml []byte) []byte {
	b := make([]byte, page+0x10000)
	copy(b, "ElfFile\x00")
	c := b[page:]
	copy(c, "ElfChnk\x00")
	r := c[0x200:]
	copy(r, "**\x00\x00")
	copy(r[24:], xml)
	n := uint32(24+len(xml)+4+7) &^ 7
	binary.LittleEndian.PutUint32(r[4:], n)
	binary.LittleEndian.PutUint32(r[n-4:], n)
	return b
}

const xmlAt = 0x200 + 24

// template is an instance whose definition, at an offset in the chunk, is here.
func template(at uint32, body []byte, args uint32) []byte {
	le := binary.LittleEndian
	b := []byte{0x0c, 1, 0, 0, 0, 0}
	b = le.AppendUint32(b, at)
	b = append(b, make([]byte, 20)...)
	b = le.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	return le.AppendUint32(b, args)
}

// again is an instance of a definition elsewhere, without values.
func again(at uint32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{0x0c, 1, 0, 0, 0, 0}, at)
	return append(b, 0, 0, 0, 0)
}

// builder writes binary XML to a record, with its names in line.
type builder struct{ b []byte }

func (x *builder) u16(v int) { x.b = binary.LittleEndian.AppendUint16(x.b, uint16(v)) }
func (x *builder) u32(v int) { x.b = binary.LittleEndian.AppendUint32(x.b, uint32(v)) }

// element opens an element; the caller ends it with a 4.
func (x *builder) element(name string) {
	x.b = append(x.b, 0x01, 0xff, 0xff, 0, 0, 0, 0)
	x.u32(xmlAt + len(x.b) + 4)
	x.b = append(x.b, 0, 0, 0, 0, 0, 0)
	x.u16(len(name))
	for _, c := range name {
		x.u16(int(c))
	}
	x.b = append(x.b, 0, 0, 0x02)
}

// TestHostile: each of these would take a reader without limits for ever, or all memory.
func TestHostile(t *testing.T) {
	self := template(xmlAt+10, bytes.Repeat(again(xmlAt+10), 100), 0)
	deep := bytes.Repeat([]byte{0x01, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x02}, 4000)
	// A ladder: each template holds the one before a hundred times.
	var ladder []byte
	at := uint32(xmlAt)
	inner := []byte{}
	for range 20 {
		tpl := template(at+10, inner, 0)
		ladder = append(ladder, tpl...)
		inner = bytes.Repeat(again(at+10), 100)
		at += uint32(len(tpl))
	}
	for name, xml := range map[string][]byte{
		"a template in itself": self, "deep nesting": deep, "a ladder of templates": ladder,
		"2^32 values": template(xmlAt+10, nil, 0xffffffff), "a body of 4 GiB": append(template(xmlAt+10, nil, 0)[:30], 0xff, 0xff, 0xff, 0xff),
		"no such token": {0x3f},
	} {
		b := record(xml)
		n := 0
		_, err := evtx.Read(bytes.NewReader(b), int64(len(b)), nil, func(evtx.Record) error { n++; return nil })
		if err != nil || n > 1 {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
	}
}

// TestHostile_Text: a value of 30 KB that stands in 6,000 places does not become 90 MB.
func TestHostile_Text(t *testing.T) {
	var x builder
	x.b = append(x.b, 0x0c, 1, 0, 0, 0, 0)
	x.u32(xmlAt + len(x.b) + 4)
	x.b = append(x.b, make([]byte, 24)...)
	from := len(x.b)
	x.element("Event")
	x.element("EventData")
	x.element("Data")
	x.b = append(x.b, bytes.Repeat([]byte{0x0e, 0, 0, 1}, 6000)...)
	x.b = append(x.b, 4, 4, 4)
	binary.LittleEndian.PutUint32(x.b[from-4:], uint32(len(x.b)-from))
	x.u32(1)
	x.u16(30000)
	x.u16(1)
	x.b = append(x.b, bytes.Repeat([]byte{'x', 0}, 15000)...)
	got, _ := read(t, record(x.b), nil)
	if len(got) != 1 || len(got[0].Data) != 1 || len(got[0].Data[0].Text) < 15000 || len(got[0].Data[0].Text) > 1<<20 {
		t.Errorf("got %d records; want one, whose text is bounded", len(got))
	}
}

func FuzzRead(f *testing.F) {
	f.Add(eventlog.Write(events(40), eventlog.Options{}))
	f.Add(eventlog.Write(events(3), eventlog.Options{Dirty: true}))
	f.Add(record(template(xmlAt+10, bytes.Repeat(again(xmlAt+10), 100), 0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := evtx.Read(bytes.NewReader(b), int64(len(b)), nil, func(r evtx.Record) error {
			size := 0
			for _, v := range r.Data {
				size += len(v.Text)
			}
			if size > 4<<20 {
				t.Errorf("a record of %d bytes of text out of a chunk of 64 KiB", size)
			}
			return nil
		})
		_ = err
	})
}
