package unwind

import (
	"bytes"
	"encoding/binary"
	"testing"

	"bugcheck/mem"
	"bugcheck/pe"
)

var order = binary.LittleEndian

func words(v ...uint32) (b []byte) {
	for _, x := range v {
		b = order.AppendUint32(b, x)
	}
	return b
}

// Where the parts of a test image lie, in its file as in memory.
const (
	textRVA  = 0x1000
	rdataRVA = 0x10000
	pdataRVA = 0x20000
	imageEnd = 0x40000
)

// imageBytes writes an image with code, unwind data and a function table.
func imageBytes(m pe.Machine, text, rdata, pdata []byte) []byte {
	b := make([]byte, imageEnd)
	copy(b, "MZ")
	order.PutUint32(b[0x3c:], 0x80)
	h := b[0x80:]
	copy(h, "PE\x00\x00")
	order.PutUint16(h[4:], uint16(m))
	order.PutUint16(h[6:], 3)
	order.PutUint16(h[0x14:], 0xf0) // size of the optional header
	order.PutUint16(h[0x16:], 0x22)
	o := h[0x18:]
	order.PutUint16(o, 0x20b)
	order.PutUint64(o[0x18:], 0x140000000)
	order.PutUint32(o[0x20:], 0x1000)
	order.PutUint32(o[0x24:], 0x1000)
	order.PutUint32(o[0x38:], imageEnd)
	order.PutUint32(o[0x3c:], 0x1000)
	order.PutUint16(o[0x44:], 1)
	order.PutUint32(o[0x6c:], 16)
	order.PutUint32(o[0x70+3*8:], pdataRVA)
	order.PutUint32(o[0x70+3*8+4:], uint32(len(pdata)))
	section := o[0xf0:]
	for i, s := range []struct {
		name      string
		rva, end  uint32
		data      []byte
		character uint32
	}{{".text", textRVA, rdataRVA, text, 0x60000020}, {".rdata", rdataRVA, pdataRVA, rdata, 0x40000040}, {".pdata", pdataRVA, imageEnd, pdata, 0x40000040}} {
		e := section[i*0x28:]
		copy(e, s.name)
		order.PutUint32(e[8:], s.end-s.rva)
		order.PutUint32(e[0xc:], s.rva)
		order.PutUint32(e[0x10:], s.end-s.rva)
		order.PutUint32(e[0x14:], s.rva)
		order.PutUint32(e[0x24:], s.character)
		copy(b[s.rva:s.end], s.data)
	}
	return b
}

func openBytes(t testing.TB, b []byte) *pe.File {
	t.Helper()
	f, err := pe.Open(bytes.NewReader(b), int64(len(b)), pe.InMemory)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// memory is a stack of words; what is not there is a fault.
type memory map[mem.VA]uint64

func (m memory) ReadAt(p []byte, va mem.VA) (int, error) {
	for i := range p {
		at := va + mem.VA(i)
		w, ok := m[at&^7]
		if !ok {
			return i, &mem.Fault{Address: at, Reason: mem.NotInDump}
		}
		p[i] = byte(w >> (8 * (at & 7)))
	}
	return len(p), nil
}

// push writes words upwards from va.
func (m memory) push(va mem.VA, words ...uint64) {
	for i, w := range words {
		m[va+mem.VA(i)*8] = w
	}
}

// put32 writes 32-bit words upwards from va.
func (m memory) put32(va mem.VA, words ...uint32) {
	for i, w := range words {
		at := va + mem.VA(i)*4
		shift := 8 * (at & 4)
		m[at&^7] = m[at&^7]&^(0xffffffff<<shift) | uint64(w)<<shift
	}
}

// walker unwinds with one image at base.
func walker(f *pe.File, m mem.Reader) *Walker {
	return &Walker{Stack: m, Modules: func(pc mem.VA) (Module, bool) {
		return Module{Base: base, Image: f}, pc >= base && pc < base+imageEnd
	}}
}

// registers sets some by name.
func registers(m pe.Machine, set map[string]uint64) Registers {
	r := Registers{Machine: m}
	for name, v := range set {
		r.Set(name, v)
	}
	return r
}

// expect compares registers by name.
func expect(t *testing.T, what string, r Registers, want map[string]uint64) {
	t.Helper()
	for name, v := range want {
		if got, ok := r.Get(name); !ok || got != v {
			t.Errorf("%s: %s = %x (known: %v), want %x", what, name, got, ok, v)
		}
	}
}

// without is an image in memory that lacks the page at an RVA.
func without(t testing.TB, f *pe.File, page int64) *pe.File {
	t.Helper()
	b := make([]byte, imageEnd)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	g, err := pe.Open(holed{b, page}, imageEnd, pe.InMemory)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

type holed struct {
	b    []byte
	page int64
}

func (h holed) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		at := off + int64(i)
		if at >= h.page && at < h.page+0x1000 || at >= int64(len(h.b)) {
			return i, &mem.Fault{Address: base + mem.VA(at), Reason: mem.NotInDump}
		}
		p[i] = h.b[at]
	}
	return len(p), nil
}
