package pe_test

import (
	"errors"
	"slices"
	"testing"

	"bugcheck/mem"
	"bugcheck/pe"

	"github.com/google/go-cmp/cmp"
)

// open opens bytes that must be an image.
func open(t testing.TB, b []byte, layout pe.Layout) *pe.File {
	t.Helper()
	f, err := openBytes(b, layout)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// eachSample runs a test on every sample in both layouts.
func eachSample(t *testing.T, test func(t *testing.T, im image, f *pe.File)) {
	for name, im := range samples() {
		t.Run(name+" file", func(t *testing.T) { test(t, im, open(t, im.file(), pe.InFile)) })
		t.Run(name+" memory", func(t *testing.T) { test(t, im, open(t, im.memory(), pe.InMemory)) })
	}
}

// check compares what a method returned, and wants no error.
func check[T any](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestOpen_Headers(t *testing.T) {
	eachSample(t, func(t *testing.T, im image, f *pe.File) {
		check(t, "header", f.Header, nil, pe.Header{
			Machine: pe.Machine(im.machine), Timestamp: 0x5f2a3b4c, Characteristics: 0x2022, Wide: im.wide,
			EntryPoint: 0x1010, ImageBase: 0x10000000, SectionAlignment: 0x1000, FileAlignment: 0x200,
			SizeOfImage: 0x8000, SizeOfHeaders: 0x400, Checksum: 0xc0ffee, Subsystem: 1, DLLCharacteristics: 0x4160,
		})
		check(t, "image key", f.ImageKey(), nil, "5F2A3B4C8000")
		sections, err := f.Sections()
		if err != nil || len(sections) != len(im.parts) {
			t.Fatalf("%d sections, %v; want %d", len(sections), err, len(im.parts))
		}
		for i, p := range im.parts {
			if s := sections[i]; s.Name != p.name || uint32(s.RVA) != p.rva || s.VirtualSize != uint32(len(p.data)) || s.Characteristics != 0x40000040 {
				t.Errorf("section %d: %+v, want %s at %#x, %d bytes", i, s, p.name, p.rva, len(p.data))
			}
		}
		for i, d := range im.dirs {
			check(t, "directory", f.Directories[i], nil, pe.Directory{RVA: pe.RVA(d[0]), Size: d[1]})
		}
	})
}

func TestOpen_Refuses(t *testing.T) {
	patch := func(at int, b ...byte) []byte {
		return append(slices.Clone(sample(0x8664, true).file()[:at]), append(b, sample(0x8664, true).file()[at+len(b):]...)...)
	}
	for _, tt := range []struct {
		what string
		b    []byte
		want error
	}{
		{"empty", nil, new(pe.Fault)},
		{"text", []byte("hello"), pe.ErrFormat},
		{"MZ alone", []byte("MZ"), new(pe.Fault)},
		{"e_lfanew past the end", patch(0x3c, 0, 0, 1, 0), new(pe.Fault)},
		{"e_lfanew past 256 MiB", patch(0x3c, 0xff, 0xff, 0xff, 0xff), pe.ErrFormat},
		{"no PE", patch(peAt, 'N', 'E'), pe.ErrFormat},
		{"magic of a ROM image", patch(peAt+24, 7, 1), pe.ErrFormat},
		{"optional header too short", patch(peAt+20, 8, 0), pe.ErrFormat},
		{"cut in the optional header", patch(0x100)[:0x100], new(pe.Fault)},
	} {
		_, err := openBytes(tt.b, pe.InFile)
		var fault *pe.Fault
		if isFault := errors.As(err, &fault); err == nil || isFault == errors.Is(tt.want, pe.ErrFormat) || !isFault && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want a %T", tt.what, err, tt.want)
		}
	}
}

func TestOpen_CutSectionTable(t *testing.T) {
	im := sample(0x8664, true)
	f := open(t, im.file()[:peAt+24+240+40+20], pe.InFile)
	sections, err := f.Sections()
	var fault *pe.Fault
	if len(sections) != 1 || sections[0].Name != ".text" || !errors.As(err, &fault) {
		t.Errorf("%v, %v; want .text and a *Fault", sections, err)
	}
}

func TestExports(t *testing.T) {
	eachSample(t, func(t *testing.T, _ image, f *pe.File) {
		got, err := f.Exports()
		check(t, "exports", got, err, []pe.Export{
			{Name: "Alpha", Ordinal: 5, RVA: 0x1010},
			{Name: "Beta", Ordinal: 5, RVA: 0x1010},
			{Name: "Gamma", Ordinal: 7, Forwarder: "NTDLL.RtlAllocateHeap"},
			{Ordinal: 8, RVA: 0x1020},
		})
	})
}

func TestImports(t *testing.T) {
	eachSample(t, func(t *testing.T, im image, f *pe.File) {
		got, err := f.Imports()
		if len(got) != 1 || len(got[0].Functions) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		slot := got[0].Functions[0].Slot
		check(t, "imports", got, err, []pe.Import{{Module: "ntoskrnl.exe", Functions: []pe.ImportedFunction{
			{Name: "KeBugCheckEx", Slot: slot}, {Ordinal: 42, Slot: slot + pe.RVA(len(im.number(0)))},
		}}})
	})
}

// Borland's linker wrote no lookup table: the names stand in the slots until
// the image is loaded.
func TestImports_NoLookupTable(t *testing.T) {
	im := sample(0x14c, false)
	data := im.parts[1].data
	at := im.dirs[1][0] - 0x2000
	order.PutUint32(data[at:], 0)
	got, err := open(t, im.file(), pe.InFile).Imports()
	if err != nil || len(got) != 1 || len(got[0].Functions) != 2 || got[0].Functions[0].Name != "KeBugCheckEx" {
		t.Errorf("in a file: %+v, %v", got, err)
	}
	got, err = open(t, im.memory(), pe.InMemory).Imports()
	if !errors.Is(err, pe.ErrFormat) || len(got) != 1 || got[0].Module != "ntoskrnl.exe" || got[0].Functions != nil {
		t.Errorf("in memory: %+v, %v; want the module and an error", got, err)
	}
}

func TestDebug(t *testing.T) {
	eachSample(t, func(t *testing.T, _ image, f *pe.File) {
		pdb, err := f.PDB()
		check(t, "PDB path", pdb.Path, err, pdbPath)
		check(t, "PDB key", pdb.Key(), nil, "00112233445566778899AABBCCDDEEFF1a")
		check(t, "key of no PDB", pe.PDB{}.Key(), nil, "")
		repro, err := f.Reproducible()
		check(t, "reproducible", repro, err, true)
		ex, err := f.ExtendedCharacteristics()
		check(t, "extended characteristics", ex, err, pe.CETCompatible)
		list, err := f.DebugEntries()
		if err != nil || len(list) != 3 || list[0].Timestamp != 7 {
			t.Errorf("entries %+v, %v", list, err)
		}
	})
}

// The data of a debug entry may lie behind the sections, where it is not mapped.
func TestPDB_NotMapped(t *testing.T) {
	im := sample(0x8664, true)
	entry := im.parts[1].data[im.dirs[6][0]-0x2000:]
	b := im.file()
	rva := order.Uint32(entry[0x14:])
	record := slices.Clone(im.parts[1].data[rva-0x2000:][:order.Uint32(entry[0x10:])])
	order.PutUint32(entry[0x14:], 0)
	order.PutUint32(entry[0x18:], uint32(len(b)))
	pdb, err := open(t, append(im.file(), record...), pe.InFile).PDB()
	check(t, "PDB path", pdb.Path, err, pdbPath)
	if pdb, err := open(t, im.memory(), pe.InMemory).PDB(); pdb.Path != "" || !errors.Is(err, pe.ErrFormat) {
		t.Errorf("in memory: %+v, %v; want an error", pdb, err)
	}
}

func TestVersion(t *testing.T) {
	eachSample(t, func(t *testing.T, _ image, f *pe.File) {
		got, err := f.Version()
		check(t, "version", got, err, pe.Version{
			File: pe.VersionNumber{10, 0, 19041, 1}, Product: pe.VersionNumber{10, 1, 22000, 2}, Flags: 1,
			Strings: map[string]string{
				"CompanyName":      "Häßlich & Söhne",
				"FileDescription":  "Sample",
				"FileVersion":      "10.0.19041.1 (WinBuild.160101.0800)",
				"OriginalFilename": "sample.sys",
			},
		})
		check(t, "number", got.File.String(), nil, "10.0.19041.1")
	})
}

// A directory of resources that contains itself ends.
func TestVersion_Cycle(t *testing.T) {
	im := sample(0x8664, true)
	order.PutUint32(im.parts[2].data[0x20+0x14:], 0x80000020)
	if v, err := open(t, im.file(), pe.InFile).Version(); !errors.Is(err, pe.ErrFormat) {
		t.Errorf("%+v, %v; want an error", v, err)
	}
}

func TestRelocations(t *testing.T) {
	eachSample(t, func(t *testing.T, _ image, f *pe.File) {
		got, err := f.Relocations()
		check(t, "relocations", got, err, []pe.Relocation{
			{RVA: 0x2010, Type: pe.RelocDir64}, {RVA: 0x2123, Type: pe.RelocHighLow},
			{RVA: 0x2200, Type: pe.RelocHighAdj}, {RVA: 0x3ffc, Type: pe.RelocDir64},
		})
	})
}

func TestLoadConfig(t *testing.T) {
	eachSample(t, func(t *testing.T, im image, f *pe.File) {
		got, err := f.LoadConfig()
		base := mem.VA(im.base)
		check(t, "load configuration", got, err, pe.LoadConfig{
			Size: im.dirs[10][1], SecurityCookie: base + 0x2abc, GuardFlags: 0x10500,
			CHPEMetadata: base + 0x2def, EHContinuations: base + 0x2100,
		})
	})
}

// The linker of Go leaves the function table unsorted (seen in Go 1.26). The
// format says that it is sorted, and Function relies on it: Functions lists all.
func TestFunction_Unsorted(t *testing.T) {
	im := sample(0x8664, true)
	table := im.parts[4].data
	first := slices.Clone(table[:12])
	copy(table, table[12:])
	copy(table[len(table)-12:], first)
	f := open(t, im.file(), pe.InFile)
	list, err := f.Functions()
	if len(list) != functionCount || err != nil || list[functionCount-1].Begin != 0x1000 {
		t.Errorf("%d functions, %v; want all", len(list), err)
	}
	if fn, ok, err := f.Function(0x1010); !ok || err != nil || fn.Begin != 0x1010 {
		t.Errorf("one in its place: %+v, %v, %v", fn, ok, err)
	}
	if fn, ok, err := f.Function(0x1000); ok || err != nil {
		t.Errorf("one out of place: %+v, %v, %v", fn, ok, err)
	}
}

func TestFunction(t *testing.T) {
	eachSample(t, func(t *testing.T, im image, f *pe.File) {
		list, err := f.Functions()
		want := functionCount
		if im.machine == 0x14c {
			want = 0
		}
		if len(list) != want || err != nil {
			t.Fatalf("%d functions, %v; want %d", len(list), err, want)
		}
		if _, ok, err := f.Function(0xfff); ok || err != nil {
			t.Errorf("before the first: found, %v", err)
		}
		for i, fn := range list {
			if fn.Begin != pe.RVA(0x1000+16*i) || fn.End != fn.Begin+8 || (fn.Packed != 0) == (fn.Unwind != 0) {
				t.Fatalf("function %d: %+v", i, fn)
			}
			for _, d := range []pe.RVA{0, 7} {
				got, ok, err := f.Function(fn.Begin + d)
				if !ok || err != nil || got != fn {
					t.Fatalf("Function(%v) = %+v, %v, %v; want %+v", fn.Begin+d, got, ok, err, fn)
				}
			}
			if got, ok, err := f.Function(fn.End); ok || err != nil {
				t.Fatalf("Function(%v), between two: %+v, %v", fn.End, got, err)
			}
		}
	})
}

// A function in four entries: where it begins; a part whose UNWIND_INFO names that
// entry behind three codes; a part whose entry stands for the second; and one that
// names itself, which no linker writes.
func TestPrimary(t *testing.T) {
	xdata := slicesConcat(
		[]byte{1, 0, 0, 0}, // 0x5000: version 1, no flags
		[]byte{1 | 4<<3, 0, 3, 0, 4, 0x52, 4, 0x60, 0, 0, 0, 0}, // 0x5004: chained
		u32(0x1000, 0x1040, 0x5000),
		[]byte{1 | 4<<3, 0, 0, 0}, // 0x501c: chained to itself
		u32(0x1300, 0x1340, 0x501c),
	)
	pdata := u32(0x1000, 0x1040, 0x5000, 0x1100, 0x1140, 0x5004, 0x1200, 0x1240, 0x600c|1, 0x1300, 0x1340, 0x501c)
	im := image{machine: 0x8664, wide: true, base: 0x140000000, parts: []part{
		{".text", 0x1000, make([]byte, 0x400)}, {".xdata", 0x5000, xdata}, {".pdata", 0x6000, pdata},
	}}
	im.dirs[3] = [2]uint32{0x6000, uint32(len(pdata))}
	f := open(t, im.file(), pe.InFile)
	for _, tt := range []struct {
		at, want pe.RVA
		fails    bool
	}{{0x1010, 0x1000, false}, {0x1110, 0x1000, false}, {0x1210, 0x1000, false}, {0x1310, 0x1300, true}} {
		fn, ok, err := f.Function(tt.at)
		if !ok || err != nil {
			t.Fatalf("Function(%v): %v, %v", tt.at, ok, err)
		}
		got, err := f.Primary(fn)
		if got.Begin != tt.want || (err != nil) != tt.fails {
			t.Errorf("Primary of %v = %+v, %v; want one at %v", tt.at, got, err, tt.want)
		}
	}
}

func TestFile_OffsetAndRVA(t *testing.T) {
	eachSample(t, func(t *testing.T, im image, f *pe.File) {
		b := im.file()
		for _, p := range im.parts {
			for i := range p.data {
				off, ok := f.Offset(pe.RVA(p.rva) + pe.RVA(i))
				if !ok || b[off] != p.data[i] {
					t.Fatalf("Offset(%#x) = %#x, %v", p.rva+uint32(i), off, ok)
				}
				if rva, ok := f.RVA(off); !ok || rva != pe.RVA(p.rva)+pe.RVA(i) {
					t.Fatalf("RVA(%#x) = %v, %v", off, rva, ok)
				}
			}
		}
		if _, ok := f.Offset(0x7fff); ok {
			t.Error("an RVA in no section has an offset")
		}
		if _, ok := f.RVA(int64(len(b))); ok {
			t.Error("an offset past the end has an RVA")
		}
	})
}

// In a file, what lies behind the data of a section reads as zeros up to the
// end of its last page.
func TestFile_ReadAt(t *testing.T) {
	im := sample(0x8664, true)
	f := open(t, im.file(), pe.InFile)
	b := make([]byte, 0x2000)
	n, err := f.ReadAt(b, 0x1000)
	if n != len(b) || err != nil || b[0xff] != 0xcc || b[0x100] != 0 || b[0xfff] != 0 || b[0x1000] != im.parts[1].data[0] {
		t.Errorf("ReadAt over two sections: %d, %v", n, err)
	}
	n, err = f.ReadAt(b, 0x2800)
	var fault *pe.Fault
	if n != 0x800 || !errors.As(err, &fault) || fault.RVA != 0x3000 {
		t.Errorf("ReadAt over the end of a section: %d, %v; want a *Fault at +0x3000", n, err)
	}
	if n, err := f.ReadAt(b, 0xffffffff); n != 0 || err == nil {
		t.Errorf("ReadAt at the end of the address space: %d, %v", n, err)
	}
}
