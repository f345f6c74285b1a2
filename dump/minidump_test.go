package dump_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/damage"
	"bugcheck/lab"
	"bugcheck/mem"
)

// programs are the lab's recipes of programs' crashes.
var programs = []struct {
	name string
	make func(*lab.Build) *lab.UserDump
}{
	{"null read", lab.NullRead}, {"stack exhaustion", lab.StackExhaustion}, {"fast fail", lab.FastFailExit},
	{"heap", lab.HeapCorruption}, {"C++", lab.UncaughtCPP}, {"in-page", lab.InPageError},
	{"unloaded", lab.UnloadedCode}, {"hang", lab.Hang},
}

// full adds to a recipe everything that the lab can write.
func full(d *lab.UserDump) *lab.UserDump {
	d.Comment, d.Requesting = "a comment", d.Threads[0].ID
	d.Annotations = [][2]string{{"version", "2.4.0"}, {"channel", "stable"}}
	d.Threads[0].Name = "main thread"
	d.Regions = []lab.UserRegion{
		{Base: 0x20000, Size: 0x1000, State: dump.MemReserve, Type: 0x20000},
		{Base: 0x10000, Size: 0x2000, State: dump.MemCommit, Protect: 0x20, Type: 0x1000000},
	}
	return d
}

func userBytes(tb testing.TB, d *lab.UserDump) []byte {
	tb.Helper()
	b, err := d.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func eachProgram(t *testing.T, f func(t *testing.T, d *lab.UserDump)) {
	t.Helper()
	for _, b := range []*lab.Build{lab.Windows19041, lab.Windows17763X86, lab.Windows22000ARM64} {
		for _, p := range programs {
			t.Run(fmt.Sprintf("%s %v", p.name, b), func(t *testing.T) { f(t, p.make(b)) })
		}
	}
}

// What the lab wrote is read back.
func TestMinidump_RoundTrip(t *testing.T) {
	eachProgram(t, func(t *testing.T, d *lab.UserDump) {
		for _, variant := range []func(){func() {}, func() { full(d) }, func() { d.Align = true }, func() { d.Memory64 = true }} {
			variant()
			checkUser(t, open(t, userBytes(t, d)), d)
		}
	})
}

func checkUser(t *testing.T, f *dump.File, d *lab.UserDump) {
	t.Helper()
	walk(t, f)
	u := f.User
	if f.Kind != dump.Minidump || f.Truncated || len(f.Notes) != 0 || !f.Header.Time.Equal(d.Time) || f.Header.Build != d.Build.Number() || f.Header.Comment != d.Comment {
		t.Errorf("kind %s, truncated %v, notes %v, time %v, build %d, comment %q", f.Kind, f.Truncated, f.Notes, f.Header.Time, f.Header.Build, f.Header.Comment)
	}
	if u.Process.ID == nil || *u.Process.ID != d.ID || !u.Process.Created.Equal(d.Started) {
		t.Errorf("process %+v, want %d from %v", u.Process, d.ID, d.Started)
	}
	checkUserModules(t, f, d)
	checkUserThreads(t, f, d)
	if (f.Exception == nil) != (d.Exception == nil) {
		t.Fatalf("exception %+v, want %+v", f.Exception, d.Exception)
	}
	if x := f.Exception; x != nil && (x.Code != d.Exception.Code || uint64(x.Address) != d.Exception.Address || !slices.Equal(x.Parameters, d.Exception.Parameters) || *u.ExceptionThread != d.Threads[d.Faulting].ID) {
		t.Errorf("exception %+v of thread %d, want %+v", x, *u.ExceptionThread, d.Exception)
	}
	for _, b := range d.Memory {
		got, err := mem.Read(f.Memory, mem.VA(b.Address), len(b.Data))
		if err != nil || !bytes.Equal(got, b.Data) {
			t.Errorf("memory at %#x: %x, %v; want %x", b.Address, got, err, b.Data)
		}
	}
	if len(d.Regions) > 0 {
		if r, ok := u.RegionAt(0x11fff); !ok || !r.Executable() || r.Base != 0x10000 {
			t.Errorf("RegionAt(0x11fff) = %+v, %v", r, ok)
		}
		if r, ok := u.RegionAt(0x12000); ok {
			t.Errorf("RegionAt(0x12000) = %+v, which is between two", r)
		}
	}
	if len(u.Annotations) != len(d.Annotations) || len(d.Annotations) > 0 && u.Annotations[1] != (dump.Annotation{Key: "channel", Value: "stable"}) {
		t.Errorf("annotations %v, want %v", u.Annotations, d.Annotations)
	}
}

func checkUserModules(t *testing.T, f *dump.File, d *lab.UserDump) {
	t.Helper()
	if len(f.Drivers) != len(d.Modules) || len(f.Unloaded) != len(d.Unloaded) {
		t.Fatalf("%d modules, %d unloaded; want %d, %d", len(f.Drivers), len(f.Unloaded), len(d.Modules), len(d.Unloaded))
	}
	for i, want := range d.Modules {
		m := f.Drivers[i]
		version := fmt.Sprintf("%d.%d.%d.%d", want.Version[0], want.Version[1], want.Version[2], want.Version[3])
		if m.Path != want.Path || !strings.HasSuffix(want.Path, `\`+m.Name) || uint64(m.Base) != want.Base || m.Size != uint64(want.Size) ||
			m.Timestamp != want.Timestamp || m.Version != version || m.PDB.Path != want.PDB || m.PDB.GUID != want.GUID || m.PDB.Age != want.Age {
			t.Errorf("module %d: %+v, want %+v", i, m, want)
		}
	}
	for i, want := range d.Unloaded {
		if u := f.Unloaded[i]; u.Name != want.Name || uint64(u.Start) != want.Start || uint64(u.End) != want.End {
			t.Errorf("unloaded %d: %+v, want %+v", i, u, want)
		}
	}
}

func checkUserThreads(t *testing.T, f *dump.File, d *lab.UserDump) {
	t.Helper()
	if len(f.User.Threads) != len(d.Threads) {
		t.Fatalf("%d threads, want %d", len(f.User.Threads), len(d.Threads))
	}
	for i, want := range d.Threads {
		got := f.User.Threads[i]
		if got.ID != want.ID || uint64(got.TEB) != want.TEB || got.Name != want.Name || uint64(got.Stack) != want.Stack.Address || int(got.StackSize) != len(want.Stack.Data) {
			t.Errorf("thread %d: %+v, want %+v", i, got, want)
		}
		if c := want.Registers.Context(); !bytes.Equal(f.ThreadContext(got), c) || !bytes.Equal(f.Context, c) {
			t.Errorf("thread %d: the context is not the one written", i)
		}
	}
}

// The thread that the report is about: the exception's, else the one that asked,
// else the first.
func TestUser_CrashThread(t *testing.T) {
	two := func(d *lab.UserDump) *lab.UserDump {
		second := d.Threads[0]
		second.ID = 77
		d.Threads = append(d.Threads, second)
		return d
	}
	asked, faulted := two(lab.Hang(lab.Windows19041)), two(lab.NullRead(lab.Windows19041))
	asked.Requesting, faulted.Faulting = 77, 1
	for name, tt := range map[string]struct {
		d    *lab.UserDump
		want uint32
	}{"first": {two(lab.Hang(lab.Windows19041)), 5064}, "asked": {asked, 77}, "exception": {faulted, 77}} {
		got, ok := open(t, userBytes(t, tt.d)).User.CrashThread()
		if !ok || got.ID != tt.want {
			t.Errorf("%s: thread %d, %v; want %d", name, got.ID, ok, tt.want)
		}
	}
}

// An x86 process on 64-bit Windows, and Breakpad's first number for ARM64.
func TestMinidump_Architectures(t *testing.T) {
	for _, tt := range []struct {
		build  *lab.Build
		number uint16
		want   dump.Arch
	}{
		{lab.Windows17763X86, 10, dump.X86}, {lab.Windows22000ARM64, 0x8003, dump.ARM64},
		{lab.Windows19041, 5, ""}, {lab.Windows19041, 6, ""},
	} {
		d := lab.NullRead(tt.build)
		d.Architecture = tt.number
		b := userBytes(t, d)
		f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
		if tt.want == "" {
			if !errors.Is(err, dump.ErrFormat) {
				t.Errorf("architecture %#x: %v, want a *FormatError", tt.number, err)
			}
			continue
		}
		if err != nil || f.Arch != tt.want || f.Context == nil {
			t.Errorf("architecture %#x: %v, want %s", tt.number, err, tt.want)
		}
	}
}

// Without its system information a dump is still read: the size of the registers
// tells the processor.
func TestMinidump_NoSystemInfo(t *testing.T) {
	for _, b := range []*lab.Build{lab.Windows19041, lab.Windows17763X86, lab.Windows22000ARM64} {
		for _, align := range []bool{false, true} {
			d := lab.NullRead(b)
			d.Align = align
			file := userBytes(t, d)
			want := open(t, file)
			put32(file, 0x20, 0xffff) // the first stream is the system's
			f := open(t, file)
			if f.Arch != want.Arch || len(f.Drivers) != len(d.Modules) || !noted(f, "system information") {
				t.Errorf("%v: %s, %d modules, notes %v", b, f.Arch, len(f.Drivers), f.Notes)
			}
		}
	}
}

// A dump that Breakpad wrote elsewhere is named, not read.
func TestMinidump_OtherSystems(t *testing.T) {
	b := userBytes(t, lab.NullRead(lab.Windows19041))
	put32(b, int(u32(b, 0x28))+0x14, 0x8201)
	_, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if !errors.Is(err, dump.ErrFormat) || !strings.Contains(err.Error(), "Linux") {
		t.Errorf("got %v, want a word of Linux", err)
	}
}

// stream finds a stream's entry in the directory: where it stands in the file.
func stream(tb testing.TB, b []byte, kind uint32) int {
	tb.Helper()
	for i := range int(u32(b, 8)) {
		if at := int(u32(b, 0xc)) + 12*i; u32(b, at) == kind {
			return at
		}
	}
	tb.Fatalf("no stream %d", kind)
	return 0
}

// Of two streams with one type the first counts, and it is told.
func TestMinidump_TwoStreams(t *testing.T) {
	d := lab.NullRead(lab.Windows19041)
	d.Streams = []lab.UserStream{{Type: 4, Data: []byte{1, 0, 0, 0}}}
	f := open(t, userBytes(t, d))
	if len(f.Drivers) != len(d.Modules) || !noted(f, "stream directory") {
		t.Errorf("%d modules, notes %v", len(f.Drivers), f.Notes)
	}
}

// Counts and sizes that lie: what is there is read, the rest noted, and nothing
// is allocated for it.
func TestMinidump_Hostile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		where string
		harm  func(b []byte)
	}{
		{"streams", "stream directory", func(b []byte) { put32(b, 8, 0xffffffff) }},
		{"modules", "ModuleListStream", func(b []byte) { put32(b, int(u32(b, stream(t, b, 4)+8)), 0xffffffff) }},
		{"threads", "ThreadListStream", func(b []byte) { put32(b, int(u32(b, stream(t, b, 3)+8)), 0xffffffff) }},
		{"memory", "MemoryListStream", func(b []byte) { put32(b, int(u32(b, stream(t, b, 5)+8)), 0xffffffff) }},
		{"stream size", "ModuleListStream", func(b []byte) { put32(b, stream(t, b, 4)+4, 0xffffffff) }},
		{"stream place", "ModuleListStream", func(b []byte) { put32(b, stream(t, b, 4)+8, 0xfffffff0) }},
		{"short exception", "ExceptionStream", func(b []byte) { put32(b, stream(t, b, 6)+4, 0x20) }},
		{"exception's context", "exception", func(b []byte) { put32(b, int(u32(b, stream(t, b, 6)+8))+0xa4, 0xfffffff0) }},
		{"parameters", "exception", func(b []byte) { put32(b, int(u32(b, stream(t, b, 6)+8))+0x20, 0xffffffff) }},
		{"regions", "MemoryInfoListStream", func(b []byte) {
			binary.LittleEndian.PutUint64(b[u32(b, stream(t, b, 16)+8)+8:], 1<<63)
		}},
		{"region size", "MemoryInfoListStream", func(b []byte) { put32(b, int(u32(b, stream(t, b, 16)+8))+4, 0) }},
		{"region head", "MemoryInfoListStream", func(b []byte) { put32(b, int(u32(b, stream(t, b, 16)+8)), 0xffffffff) }},
		{"captured", "memory", func(b []byte) { put32(b, int(u32(b, stream(t, b, 5)+8))+4+12, 0xfffffff0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := userBytes(t, full(lab.NullRead(lab.Windows19041)))
			tt.harm(b)
			f := openBounded(t, tt.name, b)
			if !noted(f, tt.where) {
				t.Errorf("no note of %s: %v", tt.where, f.Notes)
			}
			walkUser(t, f)
		})
	}
}

// Thousands of entries that share one long name.
func TestMinidump_SharedNames(t *testing.T) {
	d := lab.NullRead(lab.Windows19041)
	name := make([]byte, 1040)
	for i := range name {
		name[i] = 'a' * byte(1-i%2)
	}
	const handles = 1 << 14
	list := make([]byte, 0x10+0x20*handles)
	put32(list, 0, 0x10)
	put32(list, 4, 0x20)
	put32(list, 8, handles)
	d.Streams = []lab.UserStream{{Type: 0x7777, Data: append([]byte{0x10, 4, 0, 0}, name...)}, {Type: 12, Data: list}}
	b := userBytes(t, d)
	text, at := u32(b, stream(t, b, 0x7777)+8), int(u32(b, stream(t, b, 12)+8))
	for i := range handles {
		put32(b, at+0x10+0x20*i+8, text)
		put32(b, at+0x10+0x20*i+12, text)
	}
	f := openBounded(t, "names", b)
	if f.User.HandleCount != handles || !noted(f, "names") {
		t.Errorf("%d handles, notes %v", f.User.HandleCount, f.Notes)
	}
}

// Memory lists of 64 bits whose places run over the end of the numbers.
func TestMinidump_Memory64(t *testing.T) {
	d := lab.NullRead(lab.Windows19041)
	list := make([]byte, 0x10+0x30)
	for i, v := range []uint64{3, 1 << 61, 0x1000, 1 << 62, 0x2000, 1 << 62, 0x3000, 1 << 63} {
		binary.LittleEndian.PutUint64(list[8*i:], v)
	}
	d.Streams = []lab.UserStream{{Type: 9, Data: list}}
	f := openBounded(t, "memory64", userBytes(t, d))
	if !f.Truncated || !noted(f, "memory") {
		t.Errorf("truncated %v, notes %v", f.Truncated, f.Notes)
	}
	if _, err := mem.Read(f.Memory, 0x1000, 1); !mem.IsMissing(err) {
		t.Errorf("a byte that is not in the file was read: %v", err)
	}
}

// An x86 program whose dump a 64-bit tool took: the x86 contexts are taken from
// memory.
func TestMinidump_WOW64(t *testing.T) {
	x86, d := lab.NullRead(lab.Windows17763X86), lab.NullRead(lab.Windows19041)
	d.Modules = append(x86.Modules, lab.UserModule{Path: `C:\Windows\System32\wow64.dll`, Base: 0x7ffd11000000, Size: 0x1000},
		lab.UserModule{Path: `C:\Windows\System32\wow64cpu.dll`, Base: 0x76f00000, Size: 0x1000})
	d.Exception = x86.Exception
	teb, area := uint64(0x2ea000), uint64(0x2dfd20)
	d.Threads[0].TEB = teb
	whole := d.Memory
	d.Memory = append(d.Memory, lab.Words(teb+0x1488, area), lab.Block{Address: area + 4, Data: x86.Threads[0].Registers.Context()}, x86.Threads[0].Stack)
	f := open(t, userBytes(t, d))
	if f.Arch != dump.X86 || !f.User.WOW64 || !bytes.Equal(f.Context, x86.Threads[0].Registers.Context()) || !noted(f, "WOW64") {
		t.Errorf("arch %s, WOW64 %v, notes %v: want the x86 side", f.Arch, f.User.WOW64, f.Notes)
	}
	if c := f.ThreadContext(f.User.Threads[0]); !bytes.Equal(c, f.Context) {
		t.Error("the thread's context is not the x86 one")
	}
	d.Memory = whole
	if f := open(t, userBytes(t, d)); f.Arch != dump.X64 || !f.User.WOW64 || !noted(f, "WOW64") {
		t.Errorf("without the memory: arch %s, notes %v; want x64 and a note", f.Arch, f.Notes)
	}
}

// walkUser asks everything of a user-mode minidump.
func walkUser(tb testing.TB, f *dump.File) {
	tb.Helper()
	u := f.User
	walk(tb, f)
	if t, ok := u.CrashThread(); ok {
		f.ThreadContext(t)
	}
	for i, t := range u.Threads {
		if i < 100 {
			f.ThreadContext(t)
			u.RegionAt(t.TEB)
		}
	}
	for _, s := range u.Streams {
		_ = s.Name()
	}
	if f.Arch == "" || len(u.Handles) > int(u.HandleCount) {
		tb.Errorf("arch %q, %d of %d handles", f.Arch, len(u.Handles), u.HandleCount)
	}
}

// Each page of a dump zeroed, removed, and the file cut there.
func TestMinidump_Damage(t *testing.T) {
	eachProgram(t, func(t *testing.T, d *lab.UserDump) {
		b := userBytes(t, full(d))
		for at := 0; at < len(b); at += damage.PageSize / 8 { // the lab's files are small
			for _, kind := range damage.Kinds {
				harmed := kind.File(b, at, min(at+damage.PageSize/8, len(b)))
				f, err := dump.Open(harmed, harmed.Size())
				if err != nil {
					if !errors.Is(err, dump.ErrFormat) || at > 0x800 {
						t.Errorf("page at %#x %s: %v", at, kind.Name, err)
					}
					continue
				}
				walkUser(t, f)
				if kind.Name == "cut" && !f.Truncated && len(f.Notes) == 0 {
					t.Errorf("cut at %#x: no note", at)
				}
			}
		}
	})
}

// FuzzMinidump patches one of the lab's dumps and cuts it; past their number, the
// patches are the file itself.
func FuzzMinidump(f *testing.F) {
	var files [][]byte
	for _, b := range []*lab.Build{lab.Windows19041, lab.Windows17763X86, lab.Windows22000ARM64} {
		for _, p := range programs {
			files = append(files, userBytes(f, full(p.make(b))))
		}
	}
	for i, b := range files {
		f.Add(uint8(i), uint32(0), []byte{})
		f.Add(uint8(i), uint32(len(b)/2), []byte{})
		for _, e := range []int{0, 1, 2, 3, 4, 5, 6, 7} {
			f.Add(uint8(i), uint32(0), damage.Patch(0x20+12*e+4, 0xfffffff0))
			f.Add(uint8(i), uint32(0), damage.Patch(int(u32(b, 0x20+12*e+8)), 0xfffffff0))
		}
	}
	f.Add(uint8(0xff), uint32(0), []byte("MDMP\x93\xa7\x00\x00\xff\xff\xff\xff\x20\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, seed uint8, cut uint32, patches []byte) {
		b := patches
		if int(seed) < len(files) {
			b = damage.Patched(files[seed], patches)
			b = b[:len(b)-int(cut)%len(b)]
		}
		file, err := dump.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, dump.ErrFormat) || err.Error() == "" {
				t.Errorf("Open: %v, want a *FormatError", err)
			}
			return
		}
		if file.User != nil {
			walkUser(t, file)
		}
	})
}
