package pe_test

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"

	"bugcheck/mem"
	"bugcheck/pe"
)

// image is an image that a test builds. It shares no layout with the reader.
type image struct {
	machine uint16
	wide    bool
	base    uint64
	dirs    [16][2]uint32
	parts   []part
}

// part is a section with its data.
type part struct {
	name string
	rva  uint32
	data []byte
}

var order = binary.LittleEndian

func u16(v uint16) []byte { return order.AppendUint16(nil, v) }
func u32(v ...uint32) (b []byte) {
	for _, x := range v {
		b = order.AppendUint32(b, x)
	}
	return b
}
func u64(v uint64) []byte { return order.AppendUint64(nil, v) }

// number is v in the width of the image's addresses.
func (im image) number(v uint64) []byte {
	if im.wide {
		return u64(v)
	}
	return u32(uint32(v))
}

const (
	peAt        = 0x80
	headersSize = 0x400
)

// headers writes the first 0x400 bytes.
func (im image) headers() []byte {
	var b bytes.Buffer
	dos := make([]byte, peAt)
	copy(dos, "MZ")
	order.PutUint32(dos[0x3c:], peAt)
	b.Write(dos)
	optional := uint16(96 + 16*8)
	if im.wide {
		optional = 112 + 16*8
	}
	b.WriteString("PE\x00\x00")
	b.Write(u16(im.machine))
	b.Write(u16(uint16(len(im.parts))))
	b.Write(u32(0x5f2a3b4c, 0, 0))
	b.Write(u16(optional))
	b.Write(u16(0x2022))
	b.Write(im.optional())
	off := uint32(headersSize)
	for _, p := range im.parts {
		name := make([]byte, 8)
		copy(name, p.name)
		b.Write(name)
		raw := uint32(len(p.data)+0x1ff) &^ 0x1ff
		b.Write(u32(uint32(len(p.data)), p.rva, raw, off, 0, 0, 0, 0x40000040))
		off += raw
	}
	return append(b.Bytes(), make([]byte, headersSize-b.Len())...)
}

func (im image) optional() []byte {
	var b bytes.Buffer
	if im.wide {
		b.Write(u16(0x20b))
	} else {
		b.Write(u16(0x10b))
	}
	b.Write(u16(0x1f0e))
	b.Write(u32(0x1000, 0x2000, 0, 0x1010, 0x1000))
	if !im.wide {
		b.Write(u32(0x2000))
	}
	b.Write(im.number(im.base))
	b.Write(u32(0x1000, 0x200))
	b.Write(u32(10, 10, 10, 0, 0x8000, headersSize, 0xc0ffee))
	b.Write(u16(1))
	b.Write(u16(0x4160))
	for range 4 {
		b.Write(im.number(0x1000))
	}
	b.Write(u32(0, 16))
	for _, d := range im.dirs {
		b.Write(u32(d[0], d[1]))
	}
	return b.Bytes()
}

// file is the image as a linker writes it.
func (im image) file() []byte {
	b := im.headers()
	for _, p := range im.parts {
		b = append(b, p.data...)
		for len(b)%0x200 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// memory is the image as it lies in memory.
func (im image) memory() []byte {
	b := make([]byte, 0x8000)
	copy(b, im.headers())
	for _, p := range im.parts {
		copy(b[p.rva:], p.data)
	}
	return b
}

// area is a section that is being filled.
type area struct {
	rva uint32
	b   []byte
}

// put appends data on a multiple of 8, and returns where it stands.
func (a *area) put(data ...[]byte) uint32 {
	for len(a.b)%8 != 0 {
		a.b = append(a.b, 0)
	}
	at := a.rva + uint32(len(a.b))
	for _, d := range data {
		a.b = append(a.b, d...)
	}
	return at
}

func (a *area) text(s string) uint32 { return a.put([]byte(s), []byte{0}) }

// sample is an image that has one of everything.
func sample(machine uint16, wide bool) image {
	im := image{machine: machine, wide: wide, base: 0x10000000}
	data := &area{rva: 0x2000}
	im.dirs[0] = exportsInto(data)
	im.dirs[1] = im.importsInto(data)
	im.dirs[6] = debugInto(data)
	im.dirs[10] = im.loadConfigInto(data)
	code, pdata := im.functions(data)
	rsrc := &area{rva: 0x4000}
	resourcesInto(rsrc)
	im.dirs[2] = [2]uint32{0x4000, uint32(len(rsrc.b))}
	reloc := slicesConcat(u32(0x2000, 16), u16(0xa010), u16(0x3123), u16(0x4200), u16(0x7777),
		u32(0x3000, 12), u16(0xaffc), u16(0))
	im.dirs[5] = [2]uint32{0x5000, uint32(len(reloc))}
	im.parts = []part{{".text", 0x1000, code}, {".rdata", 0x2000, data.b}, {".rsrc", 0x4000, rsrc.b}, {".reloc", 0x5000, reloc}}
	if pdata != nil {
		im.dirs[3] = [2]uint32{0x6000, uint32(len(pdata))}
		im.parts = append(im.parts, part{".pdata", 0x6000, pdata})
	}
	return im
}

func slicesConcat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// exportsInto writes ordinals 5 to 8: two names, unused, a forwarder, no name.
func exportsInto(a *area) [2]uint32 {
	start := a.put(make([]byte, 40))
	module, one, other, fwd := a.text("sample.sys"), a.text("Alpha"), a.text("Beta"), a.text("Gamma")
	target := a.text("NTDLL.RtlAllocateHeap")
	functions := a.put(u32(0x1010, 0, target, 0x1020))
	names := a.put(u32(one, other, fwd))
	ordinals := a.put(u16(0), u16(0), u16(2))
	copy(a.b[start-a.rva:], u32(0, 0, 0, module, 5, 4, 3, functions, names, ordinals))
	return [2]uint32{start, a.rva + uint32(len(a.b)) - start}
}

func (im image) importsInto(a *area) [2]uint32 {
	module := a.text("ntoskrnl.exe")
	name := a.put(u16(0x11), []byte("KeBugCheckEx\x00"))
	flag := uint64(1) << 31
	if im.wide {
		flag = 1 << 63
	}
	table := slicesConcat(im.number(uint64(name)), im.number(flag|42), im.number(0))
	lookup, slots := a.put(table), a.put(table)
	return [2]uint32{a.put(u32(lookup, 0, 0, module, slots), make([]byte, 20)), 40}
}

const pdbPath = `C:\build\sample.pdb`

func debugInto(a *area) [2]uint32 {
	guid := []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	rsds := slicesConcat([]byte("RSDS"), guid, u32(0x1a), []byte(pdbPath), []byte{0})
	record, ex := a.put(rsds), a.put(u32(1))
	return [2]uint32{a.put(
		u32(0, 7, 0, 2, uint32(len(rsds)), record, 0),
		u32(0, 7, 0, 16, 0, 0, 0),
		u32(0, 7, 0, 20, 4, ex, 0),
	), 3 * 28}
}

func (im image) loadConfigInto(a *area) [2]uint32 {
	size, cookie, flags, chpe, eh := uint32(0xac), 0x3c, 0x58, 0x7c, 0xa4
	if im.wide {
		size, cookie, flags, chpe, eh = 0x118, 0x58, 0x90, 0xc8, 0x108
	}
	b := make([]byte, size)
	order.PutUint32(b, size)
	copy(b[cookie:], im.number(im.base+0x2abc))
	order.PutUint32(b[flags:], 0x10500)
	copy(b[chpe:], im.number(im.base+0x2def))
	copy(b[eh:], im.number(im.base+0x2100))
	return [2]uint32{a.put(b), size}
}

// functionCount makes the function table span two pages.
const functionCount = 600

// functions writes code and a function table of 600 entries of 8 bytes of code
// each, with a hole of 8 bytes behind each.
func (im image) functions(a *area) (code, pdata []byte) {
	record := a.put(u32(2)) // .xdata: 2 instructions of 4 bytes
	for i := range uint32(functionCount) {
		begin := 0x1000 + i
		switch {
		case im.machine == 0x8664:
			pdata = append(pdata, u32(begin*16-0xf000, begin*16-0xf000+8, record)...)
		case im.machine == 0xaa64 && i%2 == 0:
			pdata = append(pdata, u32(begin*16-0xf000, record)...)
		case im.machine == 0xaa64:
			pdata = append(pdata, u32(begin*16-0xf000, 1|2<<2)...)
		}
	}
	return bytes.Repeat([]byte{0xcc}, 0x100), pdata
}

// resourcesInto writes the three levels above a version resource.
func resourcesInto(a *area) {
	version := versionBytes()
	dir := func(id, at uint32) []byte { return slicesConcat(make([]byte, 12), u16(0), u16(1), u32(id, at)) }
	a.put(slicesConcat(make([]byte, 12), u16(0), u16(2), u32(3, 0x80000020), u32(16, 0x80000020)))
	a.put(dir(1, 0x80000038))
	a.put(dir(0x409, 0x50))
	a.put(u32(a.rva+0x60, uint32(len(version)), 0, 0))
	a.put(version)
}

func wide(s string) (b []byte) {
	for _, c := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, c)
	}
	return append(b, 0, 0)
}

func padded(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// node writes a block of a version resource.
func node(key string, valueLength, kind uint16, value []byte, inner ...[]byte) []byte {
	body := padded(slicesConcat(make([]byte, 6), wide(key)))
	body = append(body, value...)
	for _, n := range inner {
		body = append(padded(body), n...)
	}
	order.PutUint16(body, uint16(len(body)))
	order.PutUint16(body[2:], valueLength)
	order.PutUint16(body[4:], kind)
	return body
}

func str(key, value string) []byte { return node(key, uint16(len(value)+1), 1, wide(value)) }

func versionBytes() []byte {
	fixed := u32(0xfeef04bd, 0x10000, 10<<16, 19041<<16|1, 10<<16|1, 22000<<16|2, 0x3f, 1, 0x40004, 3, 0, 0, 0)
	return node("VS_VERSION_INFO", 52, 0, fixed,
		node("VarFileInfo", 0, 1, nil, node("Translation", 4, 0, u32(0x4b00409))),
		node("StringFileInfo", 0, 1, nil, node("040904b0", 0, 1, nil,
			str("CompanyName", "Häßlich & Söhne"),
			str("FileDescription", "Sample"),
			str("FileVersion", "10.0.19041.1 (WinBuild.160101.0800)"),
			str("OriginalFilename", "sample.sys"),
		)))
}

// samples are images of every machine and both widths.
func samples() map[string]image {
	return map[string]image{
		"x64":   sample(0x8664, true),
		"arm64": sample(0xaa64, true),
		"x86":   sample(0x14c, false),
	}
}

// memoryWithout is a reader of memory that lacks some pages, by their RVA.
type memoryWithout struct {
	b    []byte
	gone map[int64]bool
}

// ReadAt implements io.ReaderAt as an adapter of a mem.Reader does.
func (m memoryWithout) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if m.gone[at&^0xfff] || at >= int64(len(m.b)) {
			return n, &mem.Fault{Address: mem.VA(0xfffff80000000000 + uint64(at)), Reason: mem.NotInDump}
		}
		end := min(at&^0xfff+0x1000, int64(len(m.b)))
		n += copy(p[n:], m.b[at:end])
	}
	return n, nil
}

func openBytes(b []byte, layout pe.Layout) (*pe.File, error) {
	return pe.Open(bytes.NewReader(b), int64(len(b)), layout)
}
