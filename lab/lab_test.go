package lab

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func u16(b []byte, off int) uint16 { return binary.LittleEndian.Uint16(b[off:]) }
func u32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
func u64(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

var builds = Builds()

var recipes = map[string]func(*Build) *Dump{
	"HighIRQLKernel": HighIRQLKernel, "SystemThreadException": SystemThreadException,
	"SystemServiceException": SystemServiceException, "SecurityCheckFailure": SecurityCheckFailure,
}

// each calls f with every recipe of every build in both layouts.
func each(t *testing.T, f func(t *testing.T, d *Dump, file []byte)) {
	for name, recipe := range recipes {
		for _, b := range builds {
			for layout, l := range map[string]Layout{"old": Old, "new": New} {
				t.Run(name+"/"+b.String()+"/"+layout, func(t *testing.T) {
					d := recipe(b)
					d.Layout = l
					f(t, d, write(t, d))
				})
			}
		}
	}
}

func write(t *testing.T, d *Dump) []byte {
	t.Helper()
	file, err := d.Bytes()
	if err != nil {
		t.Fatalf("Bytes: %v", err)
	}
	return file
}

// triage is where the triage header starts.
func triage(d *Dump) int {
	if d.Build == Windows17763X86 {
		return 0x1000
	}
	return 0x2000
}

func TestBytes_Ends(t *testing.T) {
	each(t, func(t *testing.T, d *Dump, file []byte) {
		tr := triage(d)
		size, valid := int(u32(file, tr+4)), int(u32(file, tr+8))
		if valid != size-4 || string(file[valid:valid+4]) != "TRGD" {
			t.Errorf("SizeOfDump %#x, ValidOffset %#x, there %q", size, valid, file[valid:valid+4])
		}
		if d.Layout == Old && size%512 != 0 {
			t.Errorf("SizeOfDump %#x of an old layout is not whole sectors", size)
		}
		if end := walkTagged(t, file, size, nil); end != len(file) {
			t.Errorf("tagged data end at %#x, the file at %#x", end, len(file))
		}
		if need := int(u64(file, 0xfa0)); need < len(file) || d.Layout == Old && need != len(file) {
			t.Errorf("RequiredDumpSpace %#x, file %#x", need, len(file))
		}
	})
}

// walkTagged calls f with each blob and returns where they end.
func walkTagged(t *testing.T, file []byte, at int, f func(guid, data []byte)) int {
	if string(file[at:at+8]) != "DumpBlob" || u32(file, at+8) != 16 || u32(file, at+12)&0xfffffff != u32(file, 0xc) {
		t.Fatalf("file header of the tagged data: % x", file[at:at+16])
	}
	at += 16
	for at+32 <= len(file) && u32(file, at) == 32 {
		n, pre, post := int(u32(file, at+20)), int(u32(file, at+24)), int(u32(file, at+28))
		if f != nil {
			f(file[at+4:at+20], file[at+32+pre:at+32+pre+n])
		}
		at += 32 + pre + n + post
	}
	return at
}

// TestBytes_Order: which part follows which, as in real files of both layouts.
func TestBytes_Order(t *testing.T) {
	const mm, unloaded, prcb, process, thread, stack, drivers, pool = 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x30, 0x38
	each(t, func(t *testing.T, d *Dump, file []byte) {
		kd, blocks := 0x70, 0x78
		if triage(d) == 0x1000 {
			kd, blocks = 0x58, 0x60
		}
		order := []int{mm, prcb, process, thread, stack, kd, unloaded, drivers, pool, blocks}
		options := uint32(0x41)
		if d.Layout == New {
			order = []int{mm, unloaded, prcb, process, thread, stack, kd, drivers, pool, blocks}
			options = 0xffffffff
		}
		last := triage(d)
		for _, f := range order {
			if at := int(u32(file, triage(d)+f)); at <= last || at >= len(file) || at%8 != 0 {
				t.Errorf("field %#x: part at %#x, the one before it at %#x, file %#x", f, at, last, len(file))
			} else {
				last = at
			}
		}
		if got := u32(file, triage(d)+0x44); got != options {
			t.Errorf("TriageOptions %#x, want %#x", got, options)
		}
	})
}

func TestBytes_Header64(t *testing.T) {
	d := HighIRQLKernel(Windows17763)
	d.Comment = "made by hand"
	file := write(t, d)
	for _, c := range []struct {
		off  int
		want uint64
		name string
	}{
		{0x00, 0x3436554445474150, "PAGEDU64"},
		{0x08, 17763<<32 | 15, "versions"},
		{0x10, d.Process.DirectoryTableBase, "DirectoryTableBase"},
		{0x30, 2<<32 | 0x8664, "machine, processors"},
		{0x38, 0x45474150_000000d1, "BugCheckCode and unused"},
		{0x40, 0xffff8c0f3d2d4010, "parameter 1"},
		{0x48, 2, "parameter 2"},
		{0x50, 0, "parameter 3"},
		{0x58, d.Address("MYFAULT.SYS", 0x1981), "parameter 4"},
		{0x348 + 0xf8, d.Drivers[0].Base + 0x1b3440, "CONTEXT.Rip"},
		{0xf00, 0x0000000180000003, "exception code, flags"},
		{0xf10, d.Drivers[0].Base + 0x1b3440, "exception address"},
		{0xf98, 0x45474150_00000004, "DumpType and unused"},
		{0xfa8, 134179540130000000, "SystemTime"},
		{0xfb0, 0x207962206564616d, "Comment"},
		{0x1030, 43345000000, "SystemUpTime"},
		{0x1038, 0xdff, "MiniDumpFields, SecondaryDataState"},
		{0x1040, 0x110_00000003, "ProductType, SuiteMask"},
		{0x1050, 42<<32 | 8, "Attributes, BootId"},
		{0x1ff8, 0x4547415045474150, "unused end"},
	} {
		if got := u64(file, c.off); got != c.want {
			t.Errorf("%s at %#x: %#x, want %#x", c.name, c.off, got, c.want)
		}
	}
}

func TestBytes_Header32(t *testing.T) {
	d := HighIRQLKernel(Windows17763X86)
	file := write(t, d)
	if string(file[:8]) != "PAGEDUMP" {
		t.Errorf("signature %q", file[:8])
	}
	for _, c := range []struct {
		off  int
		want uint32
		name string
	}{
		{0x08, 15, "MajorVersion"}, {0x0c, 17763, "MinorVersion"}, {0x20, 0x14c, "MachineImageType"},
		{0x24, 2, "NumberProcessors"}, {0x28, 0xd1, "BugCheckCode"}, {0x2c, 0xa8c14010, "parameter 1"},
		{0x38, uint32(d.Address("myfault.sys", 0x1981)), "parameter 4"},
		{0x320, 0x10007, "ContextFlags"}, {0x320 + 0xb8, uint32(d.Drivers[0].Base) + 0x1b3440, "CONTEXT.Eip"},
		{0x320 + 0xc4, uint32(d.Stack.Address), "CONTEXT.Esp"}, {0x7d0, 0x80000003, "ExceptionCode"},
		{0x7dc, uint32(d.Drivers[0].Base) + 0x1b3440, "ExceptionAddress"},
		{0xf88, 4, "DumpType"}, {0xf94, 1, "ProductType"}, {0xffc, 0x45474150, "unused end"},
		{0x1048, uint32(d.Stack.Address), "TopOfStack"}, {0x105c, 0x380, "DebuggerDataSize"},
	} {
		if got := u32(file, c.off); got != c.want {
			t.Errorf("%s at %#x: %#x, want %#x", c.name, c.off, got, c.want)
		}
	}
	if file[0x5c] != 1 {
		t.Errorf("PaeEnabled %d", file[0x5c])
	}
	if up := u64(file, 0xfb8); up != 43345000000 {
		t.Errorf("SystemUpTime %d", up)
	}
}

// TestBytes_Unwritten: what a layout's writer leaves unwritten shows the pattern.
func TestBytes_Unwritten(t *testing.T) {
	old, recent := write(t, Machine(Windows17763)), write(t, Machine(Windows19041))
	for _, c := range []struct {
		off      int
		old, new bool // unwritten?
	}{
		{0x3c, true, true}, {0x60, false, true}, {0x88, false, true}, {0x348 + 0x4d0, true, false}, {0xf20, true, true},
		{0xfb0, true, true}, {0x103c, false, true}, {0x1048, true, false}, {0x1054, false, true},
	} {
		for name, got := range map[string][2]bool{
			"old": {string(old[c.off:c.off+4]) == "PAGE", c.old}, "new": {string(recent[c.off:c.off+4]) == "PAGE", c.new}} {
			if got[0] != got[1] {
				t.Errorf("%s layout at %#x: unwritten %v, want %v", name, c.off, got[0], got[1])
			}
		}
	}
}

// TestBytes_Objects: the fields of EPROCESS, ETHREAD and KPRCB stand where the build has them.
func TestBytes_Objects(t *testing.T) {
	for _, c := range []struct {
		build                                        *Build
		name, id, parent, cid, apcProcess, base, mhz int
		prcbSize, processSize, threadSize            int
	}{
		{Windows17763, 0x450, 0x2e0, 0x3e0, 0x638, 0xb8, 0x38, 0x44, 0x7ec0, 0x850, 0x810},
		{Windows19041, 0x5a8, 0x440, 0x540, 0x478, 0xb8, 0x38, 0x44, 0xaf00, 0xa40, 0x898},
		{Windows26100, 0x338, 0x1d0, 0x2d0, 0x508, 0xb8, 0x38, 0x44, 0xcf00, 0x840, 0x788},
		{Windows22000ARM64, 0x560, 0x3f8, 0x4f8, 0x4e8, 0xb0, 0x38, 0x6f4, 0x9680, 0xc80, 0x910},
		{Windows26100ARM64, 0x328, 0x1c0, 0x2c0, 0x4e8, 0xb0, 0x38, 0x774, 0x9f00, 0x900, 0x768},
		{Windows17763X86, 0x17c, 0xb4, 0x140, 0x37c, 0x80, 0x28, 0x3c0, 0x5f00, 0x408, 0x480},
	} {
		t.Run(c.build.String(), func(t *testing.T) {
			d := HighIRQLKernel(c.build)
			file := write(t, d)
			tr, word := triage(d), func(off int) uint64 { return u64(file, off) }
			if tr == 0x1000 {
				word = func(off int) uint64 { return uint64(u32(file, off)) }
			}
			prcb, process, thread := int(u32(file, tr+0x1c)), int(u32(file, tr+0x20)), int(u32(file, tr+0x24))
			stack := int(u32(file, tr+0x28))
			if got := cstring(file[process+c.name : process+c.name+15]); got != d.Process.Name[:14] {
				t.Errorf("ImageFileName %q, want %q", got, d.Process.Name[:14])
			}
			for _, f := range []struct {
				name      string
				got, want uint64
			}{
				{"sizeof KPRCB", uint64(process - prcb), uint64(c.prcbSize)},
				{"sizeof EPROCESS", uint64(thread - process), uint64(c.processSize)},
				{"sizeof ETHREAD", uint64(stack - thread), uint64(c.threadSize)},
				{"UniqueProcessId", word(process + c.id), 4312},
				{"InheritedFromUniqueProcessId", word(process + c.parent), 3908},
				{"Cid.UniqueProcess", word(thread + c.cid), 4312},
				{"ApcState.Process", word(thread + c.apcProcess), d.Process.Address},
				{"StackBase", word(thread + c.base), d.Stack.Base},
				{"MHz", uint64(u32(file, prcb+c.mhz)), 2494},
			} {
				if f.got != f.want {
					t.Errorf("%s %#x, want %#x", f.name, f.got, f.want)
				}
			}
		})
	}
}

func cstring(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func TestBytes_Processor(t *testing.T) {
	d := HighIRQLKernel(Windows17763)
	file := write(t, d)
	p := int(u32(file, 0x201c))
	for _, c := range []struct {
		name string
		off  int
		want string
	}{
		{"Number", 0x24, "\x01\x00\x00\x00"}, {"CpuType, CpuID, CpuStep", 0x40, "\x06\x01\x04\x55"},
		{"CpuVendor", 0x8d, "\x02"}, {"VendorString", 0x6290, "GenuineIntel\x00"},
		{"UpdateSignature", 0x62a8, "\x00\x00\x00\x00\x06\x70\x00\x02"},
		{"Cr8", 0x1a0, "\x02"}, {"DebuggerSavedIRQL", 0x5b98, "\x02"},
	} {
		if got := string(file[p+c.off : p+c.off+len(c.want)]); got != c.want {
			t.Errorf("KPRCB.%s: % x, want % x", c.name, got, c.want)
		}
	}
	if got := u64(file, p+8); got != d.Thread.Address {
		t.Errorf("KPRCB.CurrentThread %#x, want %#x", got, d.Thread.Address)
	}
}

func TestBytes_Drivers(t *testing.T) {
	each(t, func(t *testing.T, d *Dump, file []byte) {
		tr, entry, base, size, stamp, sum := triage(d), 0x90, 0x38, 0x48, 0x88, 0x80
		if tr == 0x1000 {
			entry, base, size, stamp, sum = 0x4c, 0x1c, 0x24, 0x48, 0x44
		}
		list, n := int(u32(file, tr+0x30)), int(u32(file, tr+0x34))
		if n != len(d.Drivers) || n < 40 {
			t.Fatalf("%d drivers, recipe has %d", n, len(d.Drivers))
		}
		for i, r := range d.Drivers {
			e := list + i*entry
			want := r.Path
			if d.Layout == Old {
				want = r.Path[strings.LastIndex(r.Path, `\`)+1:]
			}
			if got := text(file, int(u32(file, e))); got != want {
				t.Errorf("driver %d is called %q, want %q", i, got, want)
			}
			if u32(file, e+base) != uint32(r.Base) || u32(file, e+size) != r.Size || u32(file, e+stamp) != r.Timestamp || u32(file, e+sum) != r.Checksum {
				t.Errorf("driver %d (%s): base, size, timestamp or checksum is not where it belongs", i, want)
			}
		}
		if u32(file, tr+0x38) != u32(file, list) {
			t.Errorf("string pool at %#x, first name at %#x", u32(file, tr+0x38), u32(file, list))
		}
	})
}

// text reads a name of the string pool.
func text(file []byte, off int) string {
	u := make([]uint16, u32(file, off))
	for i := range u {
		u[i] = u16(file, off+4+2*i)
	}
	return string(utf16.Decode(u))
}

func TestBytes_Unloaded(t *testing.T) {
	for _, c := range []struct {
		build                          *Build
		layout                         Layout
		count, entry, name, start, len int
	}{
		{Windows17763, Old, 8, 0x38, 16, 40, 8 + 50*0x38},
		{Windows17763, New, 8, 0x38, 16, 40, 8 + 3*0x38},
		{Windows17763X86, Old, 4, 0x28, 8, 32, 4 + 50*0x28},
	} {
		d := Machine(c.build)
		d.Layout = c.layout
		d.Unloaded = []Unloaded{{"averylongname.sys", 0x8f210000, 0x8f22c000}, {"b.sys", 0x8f000000, 0x8f001000}, {"c.sys", 1, 2}}
		file := write(t, d)
		at := int(u32(file, triage(d)+0x18))
		if u32(file, at) != 3 {
			t.Errorf("%v: count %d", c, u32(file, at))
		}
		first := at + c.count
		if got := u32(file, first); got != 24<<16|24 {
			t.Errorf("%v: length and maximum %#x, want 24 bytes", c, got)
		}
		if got := string(file[first+c.name : first+c.name+24]); got != string(utf16le("averylongnam")) {
			t.Errorf("%v: name % x", c, got)
		}
		if got := u32(file, first+c.entry+c.start); got != 0x8f000000 {
			t.Errorf("%v: second start %#x", c, got)
		}
		next := int(u32(file, triage(d)+0x1c)) // KPRCB in the new layout, the driver list in the old
		if c.layout == Old {
			next = int(u32(file, triage(d)+0x30))
		}
		if next-at != (c.len+7)&^7 {
			t.Errorf("%v: %#x bytes, want %#x", c, next-at, c.len)
		}
	}
}

func TestBytes_DataBlocks(t *testing.T) {
	each(t, func(t *testing.T, d *Dump, file []byte) {
		tr, dirField, entry, address := triage(d), 0x78, 16, func(off int) uint64 { return u64(file, off) }
		if tr == 0x1000 {
			dirField, entry, address = 0x60, 12, func(off int) uint64 { return uint64(u32(file, off)) }
		}
		dir, n := int(u32(file, tr+dirField)), int(u32(file, tr+dirField+4))
		found := map[uint64]bool{}
		for i := range n {
			e := dir + i*entry
			off, size := int(u32(file, e+entry-8)), int(u32(file, e+entry-4))
			if off < dir+n*entry || off+size > int(u32(file, tr+8)) {
				t.Errorf("block %d: %#x+%#x is outside of the blocks", i, off, size)
			}
			found[address(e)] = true
			for _, b := range d.Blocks {
				if b.Address == address(e) && !bytes.Equal(b.Data, file[off:off+size]) {
					t.Errorf("block %d at %#x holds something else than the recipe's", i, b.Address)
				}
			}
		}
		for _, b := range d.Blocks {
			if !found[b.Address] {
				t.Errorf("no block at %#x", b.Address)
			}
		}
		if found[d.Processor.Address] != (d.Layout == New) {
			t.Errorf("KPRCB among the blocks: %v", found[d.Processor.Address])
		}
	})
}

func TestBytes_Deterministic(t *testing.T) {
	for name, recipe := range recipes {
		for _, b := range builds {
			if !bytes.Equal(write(t, recipe(b)), write(t, recipe(b))) {
				t.Errorf("%s on %s: two writings differ", name, b)
			}
		}
	}
	d := HighIRQLKernel(Windows19041)
	if !bytes.Equal(write(t, d), write(t, d)) {
		t.Error("writing a recipe changes it")
	}
}

func TestBytes_BadRecipes(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(*Dump)
	}{
		{"no build", "no build", func(d *Dump) { d.Build = nil }},
		{"no registers", "no registers", func(d *Dump) { d.Registers = nil }},
		{"other machine", "machine", func(d *Dump) { d.Registers = ARM64{} }},
		{"layout", "layout", func(d *Dump) { d.Layout = 7 }},
		{"no processor", "0 processors", func(d *Dump) { d.Processors = 0 }},
		{"processor number", "processor 2 of 2", func(d *Dump) { d.Processor.Number = 2 }},
		{"no drivers", "no drivers", func(d *Dump) { d.Drivers = nil }},
		{"no driver path", "driver 3", func(d *Dump) { d.Drivers[3].Path = "" }},
		{"long driver path", "driver 3", func(d *Dump) { d.Drivers[3].Path = strings.Repeat("x", 0x8000) }},
		{"unloaded", "unloaded", func(d *Dump) { d.Unloaded = make([]Unloaded, 51) }},
		{"early", "FILETIME", func(d *Dump) { d.Time = time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"no time of creation", "FILETIME", func(d *Dump) { d.Process.Created = time.Time{} }},
		{"uptime", "uptime", func(d *Dump) { d.Uptime = -1 }},
		{"long comment", "comment", func(d *Dump) { d.Comment = strings.Repeat("x", 128) }},
		{"comment", "ASCII", func(d *Dump) { d.Comment = "é" }},
		{"zero in the comment", "ASCII", func(d *Dump) { d.Comment = "a\x00b" }},
		{"vendor", "vendor", func(d *Dump) { d.Processor.Vendor = "GenuineIntel?" }},
		{"stack order", "stack", func(d *Dump) { d.Stack.Address = d.Stack.Base }},
		{"stack upside down", "stack", func(d *Dump) { d.Stack.Address = d.Stack.Base + 8 }},
		{"stack limit", "stack", func(d *Dump) { d.Stack.Limit = d.Stack.Base }},
		{"below the stack", "stack", func(d *Dump) { d.put(Words(d.Stack.Address-8, 1)) }},
		{"above the stack", "stack", func(d *Dump) { d.put(Words(d.Stack.Base-4, 1)) }},
		{"address overflow", "stack", func(d *Dump) { d.put(Words(1<<64-4, 1)) }},
		{"huge stack", "limit", func(d *Dump) { d.Stack.Base += 1 << 40 }},
		{"huge slack", "limit", func(d *Dump) { d.Slack = make([]byte, 64<<20) }},
		{"GUID", "blob 0", func(d *Dump) { d.Tagged = []Blob{{GUID: "bc5c008f"}} }},
		{"SMBIOS", "SMBIOS", func(d *Dump) { d.SMBIOS.Product = "a\x00b" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := HighIRQLKernel(Windows17763)
			c.spoil(d)
			if _, err := d.Bytes(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	d := HighIRQLKernel(Windows17763X86)
	d.Drivers[5].Base = 1 << 32
	if _, err := d.Bytes(); err == nil || !strings.Contains(err.Error(), "32-bit") {
		t.Errorf("a 64-bit driver base on x86: error %v", err)
	}
}

// TestBytes_Bare: a recipe with as little as a dump can hold still makes one.
func TestBytes_Bare(t *testing.T) {
	for _, b := range builds {
		d := &Dump{Build: b, Registers: Machine(b).Registers, Processors: 1, Drivers: []Driver{{Path: "x"}},
			Time: time.Unix(0, 0), Process: Process{Created: time.Unix(0, 0)}, Stack: Stack{Base: 8}}
		file := write(t, d)
		if size := int(u32(file, triage(d)+4)); size != len(file) {
			t.Errorf("%s: SizeOfDump %#x, file %#x", b, size, len(file))
		}
	}
}
