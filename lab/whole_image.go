package lab

import (
	"hash/fnv"
	"strings"
)

// header is an image of which only the headers, the version and the symbol identity exist:
// what a debugger looks at of a module that it never steps into. Its sections are .text,
// .data and .rsrc, their pages zero.
type headerImage struct {
	name      string // ntoskrnl.exe
	machine   machine
	size      uint32
	data      uint32 // where .data starts
	timestamp uint32
	checksum  uint32
	build     int
	dll       bool // a user-mode library or program, not a driver
}

// rsrc returns where .rsrc starts: the last two pages.
func (h *headerImage) rsrc() uint32 { return h.size - 0x2000 }

// bytes returns the headers (a page) and the resources (two), as they lie in memory.
// Source: the PE format, learn.microsoft.com/windows/win32/debug/pe-format.
func (h *headerImage) bytes() (head, resources []byte) {
	var w buf
	w.grow(0x1000)
	w.put(0, []byte("MZ"))
	w.put32(0x3c, 0x80)
	w.put(0x80, []byte("PE\x00\x00"))
	w.put16(0x84, uint16(h.machine))
	w.put16(0x86, 3) // sections
	w.put32(0x88, h.timestamp)
	w.put16(0x94, 0xf0)
	w.put16(0x96, 0x22) // executable, large addresses
	if h.dll {
		w.put16(0x96, 0x2022)
	}
	h.optional(&w)
	flags := map[string]uint32{".text": 0x68000020, ".data": 0xc8000040, ".rsrc": 0x42000040}
	for i, c := range []struct {
		name     string
		from, to uint32
	}{{".text", 0x1000, h.data}, {".data", h.data, h.rsrc()}, {".rsrc", h.rsrc(), h.size}} {
		at := 0x188 + 40*i
		w.put(at, []byte(c.name))
		w.put32s(at+8, c.to-c.from, c.from, c.to-c.from, c.from)
		w.put32(at+36, flags[c.name])
	}
	h.debugDirectory(&w)
	return w.b, h.version()
}

// optional writes IMAGE_OPTIONAL_HEADER64 at 0x98.
func (h *headerImage) optional(w *buf) {
	w.put16(0x98, 0x20b)
	w.put32(0x9c, h.data-0x1000)   // SizeOfCode
	w.put32s(0xa8, 0x1000, 0x1000) // AddressOfEntryPoint, BaseOfCode
	w.put64(0xb0, 0x140000000)
	w.put32s(0xb8, 0x1000, 0x1000, 10, 10, 10, 0, h.size, 0x400, h.checksum, 1)
	if h.dll {
		w.put16(0xdc, 3)
	}
	w.put64s(0xe0, 0x100000, 0x1000, 0x100000, 0x1000)
	w.put32(0x104, 16)                        // NumberOfRvaAndSizes
	w.put32s(0x108+8*2, h.rsrc(), 0x2000)     // resources
	w.put32s(0x108+8*6, debugDirectory, 0x1c) // debug
}

const debugDirectory = 0x300 // in the headers' page

// debugDirectory writes an IMAGE_DEBUG_DIRECTORY of type 2 and its RSDS record.
func (h *headerImage) debugDirectory(w *buf) {
	pdb := h.name[:strings.LastIndexByte(h.name, '.')] + ".pdb"
	w.put32s(debugDirectory, 0, h.timestamp, 0, 2, uint32(24+len(pdb)+1), debugDirectory+0x40, debugDirectory+0x40)
	w.put(debugDirectory+0x40, []byte("RSDS"))
	f := fnv.New128a()
	f.Write([]byte(h.name))
	f.Write([]byte{byte(h.timestamp), byte(h.timestamp >> 8), byte(h.timestamp >> 16), byte(h.timestamp >> 24)})
	w.put(debugDirectory+0x44, f.Sum(nil))
	w.put32(debugDirectory+0x54, 1)
	w.put(debugDirectory+0x58, []byte(pdb))
}

// version returns the resource section: the directory of type RT_VERSION (16), name 1,
// language 0x409, and VS_VERSIONINFO. Source: learn.microsoft.com VS_VERSIONINFO.
func (h *headerImage) version() []byte {
	info := h.versionInfo()
	var w buf
	for i, id := range []uint32{16, 1, 0x409} {
		at := i * 0x18
		w.put16(at+14, 1)
		next := uint32(at + 0x18)
		if i < 2 {
			next |= 0x80000000
		}
		w.put32s(at+16, id, next)
	}
	w.put32s(0x48, h.rsrc()+0x60, uint32(len(info)))
	w.put(0x60, info)
	return w.b
}

func (h *headerImage) versionInfo() []byte {
	var fixed buf
	fixed.grow(52)
	version := []uint32{10 << 16, uint32(h.build)<<16 | 1}
	fixed.put32s(0, 0xfeef04bd, 0x10000, version[0], version[1], version[0], version[1], 0x3f, 0, 0x40004, 3)
	text := func(key, value string) []byte {
		v := append(utf16le(value), 0, 0)
		return versionNode(key, uint16(len(v)/2), 1, v)
	}
	number := "10.0." + decimal(h.build) + ".1"
	table := versionNode("040904B0", 0, 1, text("CompanyName", "Microsoft Corporation"), text("FileDescription", h.name),
		text("FileVersion", number), text("InternalName", h.name), text("OriginalFilename", h.name),
		text("ProductName", "Microsoft\u00ae Windows\u00ae Operating System"), text("ProductVersion", number))
	return versionNode("VS_VERSION_INFO", 52, 0, fixed.b, versionNode("StringFileInfo", 0, 1, table),
		versionNode("VarFileInfo", 0, 1, versionNode("Translation", 4, 0, []byte{9, 4, 0xb0, 4})))
}

// versionNode returns a node: length, length of its value, kind, key, value and children,
// each at a multiple of 4.
func versionNode(key string, value, kind uint16, parts ...[]byte) []byte {
	var w buf
	w.put16(2, value)
	w.put16(4, kind)
	w.put(6, append(utf16le(key), 0, 0))
	for _, p := range parts {
		w.align(4)
		w.put(len(w.b), p)
	}
	w.put16(0, uint16(len(w.b)))
	return w.b
}

func decimal(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return decimal(n/10) + string(rune('0'+n%10))
}

// hash32 returns a number that stands for a text: what a linker without a clock writes for a time.
func hash32(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}
