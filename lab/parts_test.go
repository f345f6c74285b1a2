package lab

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestContexts(t *testing.T) {
	x := X64{Rax: 1, Rbx: 2, Rsp: 3, R15: 4, Rip: 5, EFlags: 6}.Context()
	a := ARM64{Fp: 1, Lr: 2, Sp: 3, Pc: 4, Cpsr: 5, X: [29]uint64{28: 6}}.Context()
	i := X86{Eax: 1, Ebp: 2, Eip: 3, Esp: 4, EFlags: 5, Edi: 6}.Context()
	if len(x) != 0x4d0 || len(a) != 0x390 || len(i) != 0x2cc {
		t.Fatalf("sizes %#x, %#x, %#x", len(x), len(a), len(i))
	}
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"x64 flags", uint64(u32(x, 0x30)), 0x10000f}, {"x64 cs", uint64(u16(x, 0x38)), 0x10}, {"rax", u64(x, 0x78), 1},
		{"rbx", u64(x, 0x90), 2}, {"rsp", u64(x, 0x98), 3}, {"r15", u64(x, 0xf0), 4}, {"rip", u64(x, 0xf8), 5},
		{"x64 eflags", uint64(u32(x, 0x44)), 6},
		{"arm64 flags", uint64(u32(a, 0)), 0x400007}, {"cpsr", uint64(u32(a, 4)), 5}, {"x28", u64(a, 0xe8), 6},
		{"fp", u64(a, 0xf0), 1}, {"lr", u64(a, 0xf8), 2}, {"sp", u64(a, 0x100), 3}, {"pc", u64(a, 0x108), 4},
		{"x86 flags", uint64(u32(i, 0)), 0x10007}, {"edi", uint64(u32(i, 0x9c)), 6}, {"eax", uint64(u32(i, 0xb0)), 1},
		{"ebp", uint64(u32(i, 0xb4)), 2}, {"eip", uint64(u32(i, 0xb8)), 3}, {"esp", uint64(u32(i, 0xc4)), 4},
		{"x86 eflags", uint64(u32(i, 0xc0)), 5}, {"x86 cs", uint64(u32(i, 0xbc)), 8},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

// TestTrapFrames_User: a frame from user mode holds the registers that one from kernel mode does not.
func TestTrapFrames_User(t *testing.T) {
	x := X64{Rbx: 7, Rdi: 8, Rsi: 9, Rsp: 10, User: true}.TrapFrame(Trap{})
	if u64(x, 0x140) != 7 || u64(x, 0x148) != 8 || u64(x, 0x150) != 9 || x[0x28] != 1 || u64(x, 0x188) != 0x2b {
		t.Errorf("x64: % x", x[0x140:])
	}
	i := X86{Esp: 7, User: true}.TrapFrame(Trap{})
	if u32(i, 0x74) != 7 || u32(i, 0x78) != 0x23 || u32(i, 0x6c) != 0x1b {
		t.Errorf("x86: % x", i[0x68:])
	}
}

// TestException_Parameters: NumberParameters may lie; the record's size does not grow.
func TestException_Parameters(t *testing.T) {
	e := Exception{Parameters: make([]uint64, 20)}
	if r := e.Record64(); len(r) != 0x98 || u32(r, 0x18) != 20 {
		t.Errorf("64-bit record: %d bytes, NumberParameters %d", len(r), u32(r, 0x18))
	}
	if r := e.Record32(); len(r) != 0x50 || u32(r, 0x10) != 20 {
		t.Errorf("32-bit record: %d bytes, NumberParameters %d", len(r), u32(r, 0x10))
	}
}

func TestTagged(t *testing.T) {
	d := Machine(Windows19041)
	d.Tagged = []Blob{{"00112233-4455-6677-8899-aabbccddeeff", []byte("abcde")}, {"00000000-0000-0000-0000-000000000000", nil}}
	guids := []string{"33221100554477668899aabbccddeeff", strings.Repeat("0", 32), "8f005cbc3a1ed744988d86f6884c6758"}
	for _, l := range []Layout{Old, New} {
		d.Layout = l
		d.Slack = make([]byte, 100)
		file := write(t, d)
		n, first := 0, []byte(nil)
		end := walkTagged(t, file, int(u32(file, 0x2004)), func(guid, data []byte) {
			if n < len(guids) && hex.EncodeToString(guid) != guids[n] {
				t.Errorf("layout %d: tag %d is %x, want %s", l, n, guid, guids[n])
			}
			if n == 0 {
				first = data
			}
			n++
		})
		if n != 3 || string(first) != "abcde" || end != len(file)-100 || len(bytes.Trim(file[end:], "\x00")) != 0 {
			t.Errorf("layout %d: %d blobs, the first %q, end %#x, file %#x", l, n, first, end, len(file))
		}
		if padded := u32(file, int(u32(file, 0x2004))+16+28); padded != map[Layout]uint32{Old: 0, New: 3}[l] {
			t.Errorf("layout %d: %d bytes of padding after 5 bytes", l, padded)
		}
	}
	d.Tagged, d.SMBIOS, d.Slack = nil, nil, nil
	if file := write(t, d); int(u32(file, 0x2004)) != len(file) {
		t.Errorf("a recipe without tagged data: SizeOfDump %#x, file %#x", u32(file, 0x2004), len(file))
	}
}

func TestSMBIOS(t *testing.T) {
	raw, err := (&SMBIOS{Manufacturer: "Example Systems", Product: "Lab 1", BIOSVendor: "V", BIOSVersion: "1", BIOSRelease: "02/29/2024"}).raw()
	if err != nil {
		t.Fatal(err)
	}
	if int(u32(raw, 4)) != len(raw)-8 || raw[1] != 3 {
		t.Errorf("RawSMBIOSData: length %d of %d, version %d", u32(raw, 4), len(raw)-8, raw[1])
	}
	got := map[byte][]string{} // structure type → its texts
	places := map[byte][]int{0: {4, 5, 8}, 1: {4, 5, 7}}
	b := raw[8:]
	for len(b) >= 4 {
		n := int(b[1])
		end := n + bytes.Index(b[n:], []byte{0, 0})
		texts := append([]string{""}, strings.Split(string(b[n:end]), "\x00")...)
		for _, p := range places[b[0]] {
			got[b[0]] = append(got[b[0]], texts[b[p]])
		}
		if b[0] == 127 && end+2 != len(b) {
			t.Errorf("%d bytes after the end", len(b)-end-2)
		}
		b = b[end+2:]
	}
	for typ, want := range map[byte]string{0: "V|1|02/29/2024", 1: "Example Systems|Lab 1|"} {
		if strings.Join(got[typ], "|") != want {
			t.Errorf("structure %d: %q, want %q", typ, got[typ], want)
		}
	}
}

func TestDebuggerData(t *testing.T) {
	for _, c := range []struct {
		build  *Build
		size   int
		fields map[int]uint16
	}{
		{Windows17763, 0x380, map[int]uint16{0x2a8: 0x850, 0x2ac: 0x3e0, 0x2b0: 0x7ec0, 0x2b4: 8, 0x2b6: 0x44, 0x2ba: 0x6290,
			0x2bc: 0x1f0, 0x2be: 0x24, 0x2c0: 0x810, 0x2e6: 0x180, 0x340: 0x30, 0x344: 0x38, 0x34c: 0x670, 0x2a0: 0xb8}},
		{Windows26100, 0x3a0, map[int]uint16{0x2a8: 0x840, 0x2b0: 0xcf00, 0x2c0: 0x788, 0x380: 0x420, 0x384: 0x418, 0x398: 0x8768}},
		{Windows22000ARM64, 0x380, map[int]uint16{0x2a8: 0xc80, 0x2ac: 0x4f8, 0x2b8: 0x6f0, 0x2bc: 0x360, 0x2e6: 0x980, 0x33a: 0x898}},
		{Windows17763X86, 0x380, map[int]uint16{0x2a8: 0x408, 0x2ae: 0x18, 0x2be: 0x3cc, 0x2e6: 0x120, 0x2f4: 8}},
	} {
		d := Machine(c.build)
		file := write(t, d)
		field := triage(d) + 0x70
		if triage(d) == 0x1000 {
			field = 0x1058
		}
		kd := file[u32(file, field):][:u32(file, field+4)]
		if len(kd) != c.size || string(kd[0x10:0x14]) != "KDBG" || int(u32(kd, 0x14)) != c.size {
			t.Errorf("%s: %d bytes, tag %q, size %#x", c.build, len(kd), kd[0x10:0x14], u32(kd, 0x14))
		}
		if got := u64(kd, 0x18); uint32(got) != uint32(d.Drivers[0].Base) || got>>32 < 0xfffff000 {
			t.Errorf("%s: KernBase %#x", c.build, got)
		}
		for off, want := range c.fields {
			if got := u16(kd, off); got != want {
				t.Errorf("%s: KDDEBUGGER_DATA64+%#x is %#x, want %#x", c.build, off, got, want)
			}
		}
		header := uint64(u32(file, 0x18))
		if triage(d) == 0x2000 {
			header = u64(file, 0x20)
		}
		if list := u64(kd, 0x48); uint32(list) != uint32(header) || list == 0 {
			t.Errorf("%s: PsLoadedModuleList %#x here, %#x in the header", c.build, list, header)
		}
	}
}

func TestMachine_DriversApart(t *testing.T) {
	for _, b := range builds {
		d := Machine(b)
		for i, r := range d.Drivers {
			for _, o := range d.Drivers[:i] {
				if r.Base < o.Base+uint64(o.Size) && o.Base < r.Base+uint64(r.Size) {
					t.Errorf("%s: %s and %s overlap", b, r.Path, o.Path)
				}
			}
			if b == Windows17763X86 && (r.Base+uint64(r.Size))>>32 != 0 {
				t.Errorf("%s: %s ends above 4 GiB", b, r.Path)
			}
		}
		if s := d.Drivers[0].Size; s < variables+0x10000 {
			t.Errorf("%s: the kernel's %#x bytes do not hold its variables", b, s)
		}
	}
}

func TestDump_Address(t *testing.T) {
	d := Machine(Windows17763)
	if got, want := d.Address("NTOSKRNL.EXE", 0x10), d.Drivers[0].Base+0x10; got != want {
		t.Errorf("kernel+0x10 is %#x, want %#x", got, want)
	}
	if got := d.Address("absent.sys", 0x10); got != 0 {
		t.Errorf("a driver that is not loaded is at %#x", got)
	}
}

// TestKernelFunctions: a name that nobody wrote down would be the image's start.
func TestKernelFunctions(t *testing.T) {
	for _, b := range builds {
		for name, recipe := range recipes {
			d := recipe(b)
			for _, blk := range d.Stack.Contents {
				if n := len(blk.Data); n >= 8 && n < 0x40 {
					if v := u64(blk.Data, n-8); v > d.Drivers[0].Base && v < d.Drivers[0].Base+0x1000 {
						t.Errorf("%s on %s: return address nt+%#x", name, b, v-d.Drivers[0].Base)
					}
				}
			}
		}
	}
}
