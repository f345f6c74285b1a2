package ram

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"os"
	"testing"
	"time"
)

// walk goes through page tables as the processors' manuals say: Intel SDM volume 3, 4.5;
// Arm ARM D8.2. It returns the physical address, or false.
func walk(m *Memory, root, va uint64, levels int, arm bool) (uint64, bool) {
	table := root
	for level := levels - 1; level >= 0; level-- {
		var b [8]byte
		if m.Read(table+(va>>(12+9*level)&0x1ff)*8, b[:]) != nil {
			return 0, false
		}
		e := binary.LittleEndian.Uint64(b[:])
		page := e&0x80 != 0
		if arm {
			page = e&2 == 0
		}
		next := e & 0xffffffffff000
		if arm {
			next = e & 0xfffffffff000
		}
		switch {
		case e&1 == 0:
			return 0, false
		case level == 0:
			return next | va&0xfff, !arm || e&2 != 0
		case page && level == 1:
			return next&^0x1fffff | va&0x1fffff, true
		}
		table = next
	}
	return 0, false
}

var machines = []struct {
	name, arch string
	levels     int
	kernel     uint64
}{
	{"x64", "x64", 4, 0xfffff80312a00000},
	{"x64, 5 levels", "x64", 5, 0xff11800312a00000},
	{"ARM64", "arm64", 4, 0xfffff80312a00000},
}

func TestSpace_Walked(t *testing.T) {
	for _, tt := range machines {
		m := New(tt.arch, 1<<30)
		m.Levels = tt.levels
		system, user := m.NewSpace(), m.NewSpace()
		const code = 0x7ff712340000
		check(t, system.Map(tt.kernel, 0x400000, Executable|Large))
		check(t, system.Map(tt.kernel-0x100000000, 0x5000, Writable))
		check(t, user.Map(code, 0x3000, Executable))
		check(t, system.Write(tt.kernel+0x3ffff0, []byte("end of the image")))
		check(t, user.Write(code+0xffa, []byte("across pages")))
		for _, f := range []struct {
			s    *Space
			va   uint64
			want string
		}{
			{system, tt.kernel + 0x3ffff0, "end of the image"},
			{user, tt.kernel + 0x3ffff0, "end of the image"},
			{user, tt.kernel - 0x100000000 + 0x4ff8, "\x00\x00\x00\x00"},
			{user, code + 0xffa, "across"},
			{user, code + 0x1000, " pages"},
			{system, code, ""},
			{user, code + 0x3000, ""},
			{user, tt.kernel + 0x400000, ""},
		} {
			pa, ok := walk(m, f.s.Root(), f.va, tt.levels, tt.arch == "arm64")
			got := make([]byte, len(f.want))
			if ok != (f.want != "") || m.Read(pa, got) != nil || string(got) != f.want {
				t.Errorf("%s: %#x is %q, mapped %v; want %q", tt.name, f.va, got, ok, f.want)
			}
			if own, err := f.s.Translate(f.va); (err == nil) != ok || ok && own != pa {
				t.Errorf("%s: Translate(%#x) = %#x, %v; the walk found %#x, %v", tt.name, f.va, own, err, pa, ok)
			}
		}
	}
}

// Through the self-map an entry of the page table is memory: PTE_BASE + the page's number * 8.
func TestSpace_SelfMap(t *testing.T) {
	m := New("x64", 1<<28)
	s := m.NewSpace()
	const va = 0xfffff80312a01000
	check(t, s.Map(va, 0x1000, Writable))
	e, err := s.PTE(va)
	check(t, err)
	pa, ok := walk(m, s.Root(), 0xfffff68000000000+va>>9&0x7ffffffff8, 4, false)
	if !ok || pa != e.Address {
		t.Errorf("the entry of %#x in the self-map is at %#x, %v; want %#x", uint64(va), pa, ok, e.Address)
	}
	if got := e.Get(); got&0xfff != 0x963 || got>>63 != 1 {
		t.Errorf("entry %#x, want a writable global page without execution", got)
	}
}

func TestSpace_SoftwareEntries(t *testing.T) {
	const va, mask = 0x1c2_3a40_0000, 0x2000_0000_0000
	for _, tt := range []struct {
		arch string
		mask uint64
		// What stands around the frame of a page to be read and written.
		transition, paged, proto, zero uint64
	}{
		{"x64", 0, 0x880, 0x4d2_0000_1084, 0x9000_1234_0000_0480, 0x80},
		{"x64", mask, 0x880, 0x4d2_0000_1084, 0x9000_1234_0000_0480, 0x80},
		{"arm64", 0, 0x808, 0x4d2_0000_2048, 0x9000_1234_0000_0408, 0x8},
	} {
		m := New(tt.arch, 1<<28)
		m.InvalidPTEMask = tt.mask
		s := m.NewSpace()
		check(t, s.Map(va, 0x3000, Writable))
		frame := func(i uint64) uint64 { e, _ := s.PTE(va + i*PageSize); return e.Frame() }
		first, second := frame(0), frame(1)
		check(t, s.Write(va, []byte("still there")))
		check(t, s.Transition(va, 0x1000))
		check(t, s.PageOut(va+0x1000, 0x1000, 1, 0x4d2))
		check(t, s.Prototype(va+0x2000, 0xffff900012340000))
		check(t, s.DemandZero(va+0x40000000, 0x1000, Writable))
		for i, want := range map[uint64]uint64{va: first<<12 | tt.transition ^ tt.mask, va + 0x1000: tt.paged ^ tt.mask,
			va + 0x2000: tt.proto ^ tt.mask, va + 0x40000000: tt.zero} {
			e, err := s.PTE(i)
			check(t, err)
			if e.Get() != want {
				t.Errorf("%s, mask %#x: entry of %#x is %#x, want %#x", tt.arch, tt.mask, i, e.Get(), want)
			}
			if err := s.Write(i, []byte{1}); !errors.Is(err, errNotMapped) {
				t.Errorf("%s: write at %#x: %v", tt.arch, i, err)
			}
		}
		if m.Class(first) != ClassStandby || m.Class(second) != ClassFree {
			t.Errorf("%s: classes %d, %d of the frames that were given up", tt.arch, m.Class(first), m.Class(second))
		}
		b := make([]byte, 11)
		if err := m.Read(first<<12, b); err != nil || string(b) != "still there" {
			t.Errorf("%s: the page in transition holds %q", tt.arch, b)
		}
	}
}

func TestMap_Refused(t *testing.T) {
	m := New("x64", 16<<20)
	s := m.NewSpace()
	check(t, s.Map(0xfffff80000000000, 0x200000, Large))
	for _, err := range []error{s.Map(0xfffff80000001000, 0x1000, 0), s.MapFrame(0xfffff80000001000, 5, 0),
		s.Map(0xfffff90000000000, 1<<30, 0), s.Write(0x1000, []byte{1}), s.DemandZero(0xfffff80000000000, 1, 0),
		m.Write(0xa0000, []byte{1}), s.PageOut(0x1000, 1, 0, 0)} {
		if err == nil {
			t.Error("no error where a page cannot be mapped or is not")
		}
	}
}

var header = Header{Build: 19041, Processors: 2, Code: 0xd1, Parameters: [4]uint64{0xffff8a0000001000, 2, 0, 4},
	Context: bytes.Repeat([]byte{0xc1}, 0x4d0), DirectoryTableBase: 0x1ad000, PfnDataBase: 0xffffca8000000000,
	PsLoadedModuleList: 0xfffff80313000010, PsActiveProcessHead: 0xfffff80313000020, KdDebuggerDataBlock: 0xfffff80313000030,
	Time: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Uptime: time.Hour, ProductType: 3, SuiteMask: 0x110, BootID: 42}

// small returns 64 MiB with pages of each class that hold their frame's number.
func small(t *testing.T) *Memory {
	m := New("x64", 64<<20)
	s := m.NewSpace()
	check(t, s.Map(0xfffff80312a00000, 0x20000, Executable))
	check(t, s.Map(0x7ff700000000, 0x20000, Writable))
	check(t, s.Map(0x7ff710000000, 0x8000, Writable))
	check(t, s.Transition(0x7ff710000000, 0x8000))
	m.Used(func(pfn uint64, c Class) {
		check(t, m.Write(pfn<<12+0xff8, binary.LittleEndian.AppendUint64(nil, pfn)))
	})
	return m
}

// memFile is a File in memory.
type memFile struct{ b []byte }

func (f *memFile) WriteAt(p []byte, at int64) (int, error) { return copy(f.b[at:], p), nil }
func (f *memFile) Truncate(n int64) error                  { f.b = make([]byte, n); return nil }

func dumped(t *testing.T, m *Memory, f Format) []byte {
	var w memFile
	check(t, m.Dump(&w, f, &header))
	return w.b
}

func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

func TestDump_Header(t *testing.T) {
	b := dumped(t, small(t), Full)
	if string(b[:8]) != "PAGEDU64" || string(b[0xfb0:0xfb8]) != "PAGEPAGE" {
		t.Errorf("signature %q, comment %q", b[:8], b[0xfb0:0xfb8])
	}
	for at, want := range map[int]uint64{0x10: 0x1ad000, 0x20: 0xfffff80313000010, 0x28: 0xfffff80313000020, 0x48: 2, 0x80: 0xfffff80313000030,
		0x90: 0x4000 - 0x61, 0x98: 1, 0xa0: 0x9f, 0xa8: 0x100, 0xb0: 0x3f00, 0x348: 0xc1c1c1c1c1c1c1c1,
		0xfa0: uint64(len(b)), 0xfa8: 134179540130000000, 0x1030: 36000000000} {
		if got := u64(b, at); got != want {
			t.Errorf("8 bytes at %#x are %#x, want %#x", at, got, want)
		}
	}
	for at, want := range map[int]uint32{8: 15, 0xc: 19041, 0x30: 0x8664, 0x34: 2, 0x38: 0xd1, 0x88: 2, 0xf00: 0x80000003, 0xf98: 1,
		0x1040: 3, 0x1044: 0x110, 0x1048: 0, 0x1050: 0, 0x1054: 42} {
		if got := u32(b, at); got != want {
			t.Errorf("4 bytes at %#x are %#x, want %#x", at, got, want)
		}
	}
}

// pages reads a dump back: which frames it holds, and where.
func pages(t *testing.T, b []byte) map[uint64]int {
	got := map[uint64]int{}
	add := func(pfn, n uint64, at *int) {
		for i := uint64(0); i < n; i++ {
			got[pfn+i] = *at
			*at += PageSize
		}
	}
	switch kind := u32(b, 0xf98); {
	case string(b[:4]) == "\x7fELF":
		for i := 1; i < int(binary.LittleEndian.Uint16(b[0x38:])); i++ {
			p := b[0x40+0x38*i:]
			at := int(u64(p, 8))
			add(u64(p, 0x18)>>12, u64(p, 0x28)>>12, &at)
		}
	case kind == 1:
		at := 0x2000
		for i := 0; i < int(u32(b, 0x88)); i++ {
			add(u64(b, 0x98+16*i), u64(b, 0xa0+16*i), &at)
		}
	case kind >= 8:
		at := int(u64(b, 0x2018))
		if string(b[0x2004:0x200c]) != "RDMPDUMP" || u32(b, 0x2000) != 0x40 || int(u64(b, 0x2010))-0x20 != at-0x2040 {
			t.Errorf("type %d: range header % x", kind, b[0x2000:0x2030])
		}
		for p := 0x2030; p < at && u64(b, p) != 0; p += 16 {
			add(u64(b, p), u64(b, p+8), &at)
		}
		if kind == 10 && (u32(b, 0x2020) != 2 || u64(b, 0x2028) != uint64(len(got))) {
			t.Errorf("type 10 counts %d ranges, %d pages", u32(b, 0x2020), u64(b, 0x2028))
		}
	default:
		at, set := int(u64(b, 0x2020)), 0
		for i := uint64(0); i < u64(b, 0x2030); i++ {
			if b[0x2038+i/8]>>(i%8)&1 != 0 {
				add(i, 1, &at)
			}
		}
		for _, x := range b[0x2038:u64(b, 0x2020)] {
			set += bits.OnesCount8(x)
		}
		if want := map[uint32]string{2: "SDMP", 5: "FDMP", 6: "SDMP", 7: "SDMP"}[kind]; string(b[0x2000:0x2008]) != want+"DUMP" || u64(b, 0x2028) != uint64(set) {
			t.Errorf("type %d: signature %q, %d pages, %d bits", kind, b[0x2000:0x2008], u64(b, 0x2028), set)
		}
	}
	return got
}

func TestDump_Pages(t *testing.T) {
	m := small(t)
	all := int(m.Frames())
	kernel, user := int(m.InUse(ClassKernel)), int(m.InUse(ClassUser))
	if kernel != 32+8 || user != 32 || m.InUse(ClassStandby) != 8 {
		t.Fatalf("%d kernel, %d user, %d standby frames", kernel, user, m.InUse(ClassStandby))
	}
	for _, f := range Formats() {
		want, keeps := kernel, func(c Class) bool { return c == ClassKernel }
		switch f {
		case Full, FullBitmap, FullRanges, ELF:
			want, keeps = all, func(Class) bool { return true }
		case ActiveBitmap, UserRanges:
			want, keeps = kernel+user, func(c Class) bool { return c == ClassKernel || c == ClassUser }
		}
		b := dumped(t, m, f)
		got := pages(t, b)
		if len(got) != want {
			t.Errorf("%v: %d pages, want %d", f, len(got), want)
		}
		m.Used(func(pfn uint64, c Class) {
			at, ok := got[pfn]
			if ok != keeps(c) || ok && u64(b, at+0xff8) != pfn {
				t.Errorf("%v: frame %#x of class %d is at %#x, %v", f, pfn, c, at, ok)
			}
		})
		if !bytes.Equal(b, dumped(t, small(t), f)) {
			t.Errorf("%v: the same memory gave another file", f)
		}
		if p, err := ParseFormat(f.String()); err != nil || p != f {
			t.Errorf("ParseFormat(%q) = %v, %v", f.String(), p, err)
		}
	}
}

func TestDump_ELFHeaderNote(t *testing.T) {
	b := dumped(t, small(t), ELF)
	note := u64(b, 0x40+8)
	for i := 0; i < 2; i++ {
		note += 12 + 8 + uint64(u32(b, int(note)+4))
	}
	n := b[note:]
	if u32(n, 0) != 11 || u32(n, 4) != 0x2000 || string(n[12:22]) != "VMCOREINFO" || string(n[24:32]) != "PAGEDU64" || u32(n, 24+0x38) != 0xd1 {
		t.Errorf("the third note is % x", n[:64])
	}
}

func TestDump_Refused(t *testing.T) {
	if err := small(t).Dump(&memFile{}, Format(99), &header); err == nil {
		t.Error("a dump of format 99")
	}
	if _, err := ParseFormat("tiny"); err == nil {
		t.Error("a format called tiny")
	}
}

// counted is a file that counts what is written to it.
type counted struct {
	*os.File
	n int
}

func (f *counted) WriteAt(p []byte, at int64) (int, error) {
	f.n += len(p)
	return f.File.WriteAt(p, at)
}

// A machine of 64 GiB costs what is in use.
func TestDump_Sparse(t *testing.T) {
	m := New("x64", 64<<30)
	s := m.NewSpace()
	check(t, s.Map(0xfffff80312a00000, 0x1000000, Executable))
	for va := uint64(0xfffff80312a00000); va < 0xfffff80313a00000; va += 0x4000 {
		check(t, s.Write(va, []byte("code")))
	}
	for _, f := range []Format{Full, FullBitmap, KernelBitmap, FullRanges, ELF} {
		file, err := os.Create(t.TempDir() + "/MEMORY.DMP")
		check(t, err)
		start := time.Now()
		w := &counted{File: file}
		check(t, m.Dump(w, f, &header))
		took := time.Since(start)
		info, err := file.Stat()
		check(t, err)
		if w.n > 16<<20 || took > 2*time.Second {
			t.Errorf("%v: %d bytes written in %v", f, w.n, took)
		}
		if f != KernelBitmap && info.Size() < 64<<30-1<<22 {
			t.Errorf("%v: %d bytes long", f, info.Size())
		}
		file.Close()
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewSpace_SystemRoot(t *testing.T) {
	for _, tt := range machines {
		m := New(tt.arch, 16<<20)
		if got := m.NewSpace().Root(); got != 0x1ad000 {
			t.Errorf("%s: the first top-level table is at %#x, want 0x1ad000", tt.name, got)
		}
		if got := m.NewSpace().Root(); got == 0x1ad000 {
			t.Errorf("%s: both top-level tables are at %#x", tt.name, got)
		}
	}
}
