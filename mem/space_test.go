package mem_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"bugcheck/internal/memtest"
	"bugcheck/mem"
)

// random is n bytes that look like nothing.
func random(seed uint64, n int) []byte {
	rnd := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, n)
	_, _ = rnd.Read(b)
	return b
}

// formats are all kinds of page tables, with a kernel address of each.
var formats = []struct {
	name   string
	kind   mem.PagingKind
	kernel mem.VA
	large  []int // levels that map pages besides 1
}{
	{"x64", mem.PagingX64, 0xfffff80412345000, []int{2, 3}},
	{"x64 with 5 levels", mem.PagingLA57, 0xff11223344556000, []int{2, 3}},
	{"ARM64", mem.PagingARM64, 0xfffff80412345000, []int{2, 3}},
	{"x86", mem.PagingX86, 0x82345000, []int{2}},
	{"PAE", mem.PagingPAE, 0x82345000, []int{2}},
}

func TestSpace_Conformance(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			m := memtest.New()
			tables := memtest.NewTables(m, f.kind)
			chunks := []memtest.Chunk{
				{Address: f.kernel, Data: random(1, 3*mem.PageSize)},
				{Address: 0x10000, Data: random(2, mem.PageSize)},
				{Address: f.kernel + 0x10ff0, Data: random(3, 2*mem.PageSize+16)},
			}
			for _, c := range chunks {
				tables.Place(c.Address, c.Data)
			}
			for name, phys := range map[string]mem.PhysicalReader{"plain": m, "cached": mem.Cached(m)} {
				t.Run(name, func(t *testing.T) {
					memtest.Reader(t, mem.NewSpace(phys, mem.Paging{Kind: f.kind}, tables.Root), chunks)
				})
			}
		})
	}
}

func TestCached_Conformance(t *testing.T) {
	m := memtest.New()
	chunks := []memtest.Chunk{{Address: 0x5000, Data: random(1, 2*mem.PageSize)}, {Address: 0x105000, Data: random(2, mem.PageSize)}}
	for _, c := range chunks { // pages 5 and 0x105 share a slot
		m.Put(mem.PA(c.Address), c.Data)
	}
	memtest.Physical(t, m, chunks)
	memtest.Physical(t, mem.Cached(m), chunks)
}

// Pages of every size: where they lie, and what they allow.
func TestSpace_LargePages(t *testing.T) {
	for _, f := range formats {
		for _, level := range append([]int{1}, f.large...) {
			m := memtest.New()
			tables := memtest.NewTables(m, f.kind)
			size := mem.VA(map[int]uint64{1: 1 << 12, 2: 1 << 21, 3: 1 << 30}[level])
			if f.kind == mem.PagingX86 && level == 2 {
				size = 1 << 22
			}
			base, pa := f.kernel&^(size-1), mem.PA(0x4_c000_0000)
			if f.kind == mem.PagingX86 && level == 1 {
				pa = 0xc0000000
			}
			entry := tables.Map(base, pa, level)
			s := mem.NewSpace(m, mem.Paging{Kind: f.kind}, tables.Root)
			info, err := s.Page(base + 0x123)
			want := mem.PageInfo{State: mem.Valid, PTE: tables.PageEntry(pa, level), Entry: entry, Level: level,
				Base: pa, Size: uint64(size), Writable: true, Executable: true}
			if err != nil || info != want {
				t.Errorf("%s level %d: %+v, %v; want %+v", f.name, level, info, err, want)
			}
			if got, err := s.Translate(base + size - 1); err != nil || got != pa+mem.PA(size)-1 {
				t.Errorf("%s level %d: the last byte is at %v, %v; want %v", f.name, level, got, err, pa+mem.PA(size)-1)
			}
			if got, err := s.Translate(base + size); err == nil {
				t.Errorf("%s level %d: the byte behind it is at %v", f.name, level, got)
			}
		}
	}
}

// Software entries are told apart.
func TestSpace_SoftwareEntries(t *testing.T) {
	const swizzled = 0x2000_0000_0000
	page := mem.PA(0x7000)
	for _, tt := range []struct {
		name   string
		paging mem.Paging
		pte    uint64
		want   mem.PageInfo
		text   string
	}{
		{"nothing", mem.Paging{}, 0, mem.PageInfo{State: mem.Unmapped}, "is not mapped (level 1)"},
		{"decommitted", mem.Paging{}, 0x200, mem.PageInfo{State: mem.Unmapped}, "is not mapped (level 1)"},
		{"demand zero", mem.Paging{}, 0x80, mem.PageInfo{State: mem.DemandZero}, "is demand zero (level 1)"},
		{"paged out", mem.Paging{}, 0x1234_0000_1084, mem.PageInfo{State: mem.PagedOut, PageFile: 1, PageFileOffset: 0x1234}, "is paged out (level 1)"},
		{"paged out, Windows 7", mem.Paging{OldPageFile: true}, 0x1234_0000_0084, mem.PageInfo{State: mem.PagedOut, PageFile: 2, PageFileOffset: 0x1234}, "is paged out (level 1)"},
		{"paged out, with the mask", mem.Paging{InvalidPteMask: swizzled}, 0x3234_0000_2080, mem.PageInfo{State: mem.PagedOut, PageFile: 2, PageFileOffset: 0x1234}, "is paged out (level 1)"},
		{"paged out, swizzled", mem.Paging{InvalidPteMask: swizzled}, 0x3234_0000_2090, mem.PageInfo{State: mem.PagedOut, PageFile: 2, PageFileOffset: 0x3234}, "is paged out (level 1)"},
		{"before the mask", mem.Paging{InvalidPteMask: swizzled, OldPageFile: true}, 0x3234_0000_0084, mem.PageInfo{State: mem.PagedOut, PageFile: 2, PageFileOffset: 0x3234}, "is paged out (level 1)"},
		{"prototype", mem.Paging{}, 0xa98765432100_0480, mem.PageInfo{State: mem.Prototype, PrototypePTE: 0xffffa98765432100}, "is a prototype PTE (level 1)"},
		{"prototype, mask not known", mem.Paging{MaskUnknown: true}, 0xa98765432100_0480, mem.PageInfo{State: mem.Prototype}, "is a prototype PTE (level 1)"},
		{"prototype, swizzled", mem.Paging{MaskUnknown: true}, 0xa98765432100_0490, mem.PageInfo{State: mem.Prototype, PrototypePTE: 0xffffa98765432100}, "is a prototype PTE (level 1)"},
		{"prototype of a VAD", mem.Paging{}, 0xffffffff0000_0480, mem.PageInfo{State: mem.Prototype}, "is a prototype PTE (level 1)"},
		{"transition", mem.Paging{}, 0x7880, mem.PageInfo{State: mem.Transition, Base: page, Size: 0x1000}, ""},
		{"transition with the mask", mem.Paging{InvalidPteMask: swizzled}, 0x2000_0000_7880, mem.PageInfo{State: mem.Transition, Base: page, Size: 0x1000}, ""},
		{"transition with an unknown mask", mem.Paging{Limit: 0x8000}, 0x2000_0000_7880, mem.PageInfo{State: mem.Transition, Base: page, Size: 0x1000}, ""},
		{"transition, swizzled", mem.Paging{InvalidPteMask: 0x7000}, 0x7890, mem.PageInfo{State: mem.Transition, Base: page, Size: 0x1000}, ""},
		{"ARM64 demand zero", mem.Paging{Kind: mem.PagingARM64}, 0x8, mem.PageInfo{State: mem.DemandZero}, "is demand zero (level 1)"},
		{"ARM64 paged out", mem.Paging{Kind: mem.PagingARM64}, 0x5678_0000_0048, mem.PageInfo{State: mem.PagedOut, PageFile: 1, PageFileOffset: 0x5678}, "is paged out (level 1)"},
		{"ARM64 transition", mem.Paging{Kind: mem.PagingARM64}, 0x7808, mem.PageInfo{State: mem.Transition, Base: page, Size: 0x1000}, ""},
		{"ARM64 reserved", mem.Paging{Kind: mem.PagingARM64}, 0x7001, mem.PageInfo{State: mem.Unmapped}, "is not mapped (level 1)"},
		{"PAE paged out", mem.Paging{Kind: mem.PagingPAE}, 0x1234_0000_1080, mem.PageInfo{State: mem.PagedOut, PageFile: 1, PageFileOffset: 0x1234}, "is paged out (level 1)"},
		{"PAE prototype", mem.Paging{Kind: mem.PagingPAE}, 0x8a001000_00000480, mem.PageInfo{State: mem.Prototype, PrototypePTE: 0x8a001000}, "is a prototype PTE (level 1)"},
		{"x86 paged out", mem.Paging{Kind: mem.PagingX86}, 0x12345_082, mem.PageInfo{State: mem.PagedOut, PageFile: 1, PageFileOffset: 0x12345}, "is paged out (level 1)"},
		{"x86 transition", mem.Paging{Kind: mem.PagingX86}, 0x7880, mem.PageInfo{State: mem.Transition, Base: page, Size: 0x1000}, ""},
	} {
		m := memtest.New()
		tables := memtest.NewTables(m, tt.paging.Kind)
		va := mem.VA(0x12345000)
		tt.want.Entry, tt.want.PTE, tt.want.Level = tables.Set(va, 1, tt.pte), tt.pte, 1
		data := random(1, mem.PageSize)
		m.Put(page, data)
		s := mem.NewSpace(m, tt.paging, tables.Root)
		if info, err := s.Page(va + 8); err != nil || info != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, info, err, tt.want)
		}
		got, err := mem.Read(s, va+8, 16)
		switch {
		case tt.text == "" && (err != nil || !bytes.Equal(got, data[8:24])):
			t.Errorf("%s: read % x, %v", tt.name, got, err)
		case tt.text != "" && (err == nil || err.Error() != "00000000`12345008 "+tt.text):
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.text)
		}
	}
}

// What stops a translation at each level, with the words for it.
func TestSpace_Faults(t *testing.T) {
	m := memtest.New()
	tables := memtest.NewTables(m, mem.PagingX64)
	s := mem.NewSpace(m, mem.Paging{}, tables.Root|7) // a PCID in the low bits
	tables.Set(0xfffff80000000000, 3, 0)
	tables.Set(0xfffff80100000000, 3, 0x5000|0x67) // a table that the dump lacks
	tables.Map(0xfffff80200000000, 0x1a2b3000, 1)  // a page that the dump lacks
	tables.Set(0xfffff80300000000, 2, 0x1234_0000_0080)
	for _, tt := range []struct {
		va   mem.VA
		want string
	}{
		{0xffff900000000000, "ffff9000`00000000 is not mapped (level 4)"},
		{0xfffff80000000000, "fffff800`00000000 is not mapped (level 3)"},
		{0xfffff80100000123, "fffff801`00000123: page 5 is not in the dump (page table of level 2)"},
		{0xfffff80200000123, "fffff802`00000123: page 1a2b3 is not in the dump"},
		{0xfffff80300000000, "fffff803`00000000 is paged out (level 2)"},
		{0x0000800000000000, "00008000`00000000 is not mapped (level 4)"},
	} {
		if _, err := mem.ReadU64(s, tt.va); err == nil || err.Error() != tt.want {
			t.Errorf("%v: %v, want %q", tt.va, err, tt.want)
		}
	}
	_, err := mem.ReadU32(mem.NewSpace(nil, mem.Paging{}, 0), 0x1000)
	if want := "00000000`00001000: page 0 is not in the dump (page table of level 4)"; err == nil || err.Error() != want {
		t.Errorf("without memory: %v, want %q", err, want)
	}
}

// A table in transition still leads on; a table that points to itself ends.
func TestSpace_Tables(t *testing.T) {
	m := memtest.New()
	tables := memtest.NewTables(m, mem.PagingX64)
	va := mem.VA(0xffffb00012345000)
	tables.Place(va, []byte("still here"))
	pde := tables.Entry(va, 2)
	var b [8]byte
	_, _ = m.ReadPhysical(b[:], pde)
	m.Put(pde, []byte{b[0]&^1 | 0x80, b[1] | 8}) // Valid off, Protection, Transition
	s := mem.NewSpace(m, mem.Paging{}, tables.Root)
	if got, err := mem.Read(s, va, 10); err != nil || string(got) != "still here" {
		t.Errorf("behind a table in transition: %q, %v", got, err)
	}
	pxe4 := tables.Entry(va, 4) // bit 7 is reserved there, and makes no page of 512 GiB
	_, _ = m.ReadPhysical(b[:], pxe4)
	m.Put(pxe4, []byte{b[0] | 0x80})
	if got, err := mem.Read(mem.NewSpace(m, mem.Paging{}, tables.Root), va, 10); err != nil || string(got) != "still here" {
		t.Errorf("behind a table of level 4 with bit 7: %q, %v", got, err)
	}
	self := mem.VA(0x1ed) // the index of PXE_BASE before Windows 10
	tables.Set(0xffff000000000000|self<<39, 4, uint64(tables.Root)|0x63)
	pxe := 0xffff000000000000 | self<<39 | self<<30 | self<<21 | self<<12
	got, err := mem.ReadU64(s, pxe+self*8)
	if err != nil || got != uint64(tables.Root)|0x63 {
		t.Errorf("the root through itself: %x, %v", got, err)
	}
}

// Rights are those that all levels give.
func TestSpace_Rights(t *testing.T) {
	for _, tt := range []struct {
		name                       string
		kind                       mem.PagingKind
		pde, pte                   uint64 // bits over the address
		writable, executable, user bool
	}{
		{"all", mem.PagingX64, 0x67, 0x67, true, true, true},
		{"no execute", mem.PagingX64, 0x67, 1<<63 | 0x67, true, false, true},
		{"no execute above", mem.PagingX64, 1<<63 | 0x67, 0x67, true, false, true},
		{"read only", mem.PagingX64, 0x67, 0x25, false, true, true},
		{"written never", mem.PagingX64, 0x67, 0x825, true, true, true},
		{"kernel above", mem.PagingX64, 0x63, 0x67, true, true, false},
		{"ARM64 user code", mem.PagingARM64, 3, 0x7c3 | 1<<53, false, true, true},
		{"ARM64 user data", mem.PagingARM64, 3, 0x743 | 1<<54, true, false, true},
		{"ARM64 kernel code", mem.PagingARM64, 3, 0x783 | 1<<54, false, true, false},
		{"ARM64 kernel data", mem.PagingARM64, 3, 0x703 | 3<<53, true, false, false},
		{"ARM64 written never", mem.PagingARM64, 3, 0x783 | 3<<53 | 1<<55, true, false, false},
		{"PAE", mem.PagingPAE, 0x67, 1<<63 | 0x25, false, false, true},
		{"x86", mem.PagingX86, 0x67, 0x25, false, true, true},
	} {
		m := memtest.New()
		tables := memtest.NewTables(m, tt.kind)
		va := mem.VA(0x12345000)
		tables.Map(va, 0x9000, 1)
		table := uint64(tables.Entry(va, 1)) &^ 0xfff
		tables.Set(va, 1, 0x9000|tt.pte)
		tables.Set(va, 2, table|tt.pde)
		info, err := mem.NewSpace(m, mem.Paging{Kind: tt.kind}, tables.Root).Page(va)
		if err != nil || info.Writable != tt.writable || info.Executable != tt.executable || info.User != tt.user {
			t.Errorf("%s: %+v, %v", tt.name, info, err)
		}
	}
}

// A shared page is read through its prototype PTE while it is in memory.
func TestSpace_Prototype(t *testing.T) {
	va, proto := mem.VA(0x7ffb12345000), mem.VA(0xffffc98765432108)
	for _, tt := range []struct {
		name string
		pte  uint64
		ok   bool
	}{
		{"valid", 0x9000 | 0x121, true},
		{"in transition", 0x9000 | 0x880, true},
		{"paged out", 0x1234_0000_0080, false},
		{"in its file", 0x8000_1234_0000_0400, false},
		{"pointing to itself", uint64(proto)<<16 | 0x400, false},
	} {
		m := memtest.New()
		tables := memtest.NewTables(m, mem.PagingX64)
		m.Put(0x9000, []byte("shared"))
		var b [8]byte
		for i := range b {
			b[i] = byte(tt.pte >> (8 * i))
		}
		tables.Place(proto, b[:])
		tables.Set(va, 1, uint64(proto)<<16|0x400)
		s := mem.NewSpace(m, mem.Paging{}, tables.Root)
		info, err := s.Page(va)
		if err != nil || info.State != mem.Prototype || info.PrototypePTE != proto || (info.Size == mem.PageSize) != tt.ok {
			t.Errorf("%s: %+v, %v", tt.name, info, err)
		}
		got, err := mem.Read(s, va, 6)
		if tt.ok && (err != nil || string(got) != "shared") || !tt.ok && !mem.IsMissing(err) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

// A read over the end of the address space does not go on at its start, though
// both are mapped.
func TestSpace_Wraps(t *testing.T) {
	m := memtest.New()
	tables := memtest.NewTables(m, mem.PagingX64)
	top := ^mem.VA(0) - 0xfff
	tables.Place(top, random(1, mem.PageSize))
	tables.Place(0, random(2, mem.PageSize))
	n, err := mem.NewSpace(m, mem.Paging{}, tables.Root).ReadAt(make([]byte, 16), top+0xff8)
	var f *mem.Fault
	if n != 8 || !errors.As(err, &f) || f.Address != 0 {
		t.Errorf("over the end: %d bytes, %v; want 8 and a fault", n, err)
	}
	last := ^mem.PA(0) - 0xfff
	m.Put(last, random(3, mem.PageSize))
	m.Put(0, random(4, mem.PageSize))
	if n, err := mem.Cached(m).ReadPhysical(make([]byte, 16), last+0xff8); n != 8 || !mem.IsMissing(err) {
		t.Errorf("over the end of physical addresses: %d bytes, %v; want 8 and a fault", n, err)
	}
}

// What stands in a directory base besides the address is left out.
func TestSpace_Root(t *testing.T) {
	for _, tt := range []struct {
		kind  mem.PagingKind
		shift mem.PA // of the table in its page
		or    mem.PA
	}{{mem.PagingX64, 0, 0xabc}, {mem.PagingX64, 0, 1 << 63}, {mem.PagingARM64, 0, 0x7 << 52}, {mem.PagingPAE, 0x560, 0x18}, {mem.PagingX86, 0, 0x18}} {
		m := memtest.New()
		tables := memtest.NewTables(m, tt.kind)
		tables.Root += tt.shift
		tables.Place(0x12345678, []byte("found"))
		if got, err := mem.Read(mem.NewSpace(m, mem.Paging{Kind: tt.kind}, tables.Root|tt.or), 0x12345678, 5); err != nil || string(got) != "found" {
			t.Errorf("paging %d, root %v: %q, %v", tt.kind, tables.Root|tt.or, got, err)
		}
	}
}

// A page of 32-bit kernels is found by the address as a 64-bit debugger writes
// it, too.
func TestSpace_SignExtended(t *testing.T) {
	m := memtest.New()
	tables := memtest.NewTables(m, mem.PagingPAE)
	tables.Place(0x82345678, []byte("x86"))
	s := mem.NewSpace(m, mem.Paging{Kind: mem.PagingPAE}, tables.Root)
	for _, va := range []mem.VA{0x82345678, 0xffffffff82345678} {
		if got, err := mem.Read(s, va, 3); err != nil || string(got) != "x86" {
			t.Errorf("%v: %q, %v", va, got, err)
		}
	}
	var f *mem.Fault
	if _, err := mem.Read(s, 0x182345678, 3); !errors.As(err, &f) || f.HasPage {
		t.Errorf("an address of 33 bits: %v", err)
	}
}
