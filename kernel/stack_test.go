package kernel_test

import (
	"fmt"
	"testing"

	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/report"
)

// walkStack opens a recipe and walks from the header's registers.
func walkStack(t *testing.T, d *lab.Dump) []report.Frame {
	t.Helper()
	m := open(t, d)
	return m.Stack(m.HeaderRegisters(), nil)
}

// addresses are the frames' addresses, for comparing.
func addresses(frames []report.Frame) []string {
	var a []string
	for _, f := range frames {
		a = append(a, fmt.Sprintf("%#x %s", uint64(f.Address), f.Trust))
	}
	return a
}

func checkAddresses(t *testing.T, what string, frames []report.Frame, want []string) {
	t.Helper()
	if got := addresses(frames); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: frames %v, want %v", what, got, want)
	}
}

func framed(trust string, addresses ...uint64) []string {
	var a []string
	for _, v := range addresses {
		a = append(a, fmt.Sprintf("%#x %s", v, trust))
	}
	return a
}

// Every recipe leaves myfault.sys's and the kernel's callers on the stack.
func TestStack_Recipes(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		frames := walkStack(t, d)
		images := map[string]int{}
		for _, f := range frames[1:] {
			images[f.Image]++
		}
		if pc, _ := open(t, d).HeaderRegisters().PC(); uint64(frames[0].Address) != pc || frames[0].Trust != report.TrustContext {
			t.Errorf("frame 0 = %v %s, want the context's pc %#x", frames[0].Address, frames[0].Trust, pc)
		}
		if images["myfault.sys"] == 0 || images["ntoskrnl.exe"] < 2 {
			t.Errorf("callers by image: %v; want the fault's driver and the kernel", images)
		}
		for _, f := range frames {
			base := d.Address(f.Image, 0)
			if base == 0 || f.Offset == nil || uint64(*f.Offset) != uint64(f.Address)-base {
				t.Errorf("frame at %v: %s + %v, the image is at %#x", f.Address, f.Image, f.Offset, base)
			}
		}
	})
}

// quiet is a machine whose registers stand in the kernel, over an empty stack
// of 0x800 bytes.
func quiet(b *lab.Build) (d *lab.Dump, sp uint64) {
	d = lab.Machine(b)
	sp = d.Stack.Base - 0x800
	d.Stack.Address = sp
	pc := d.Drivers[0].Base + 0x1b3440
	switch d.Registers.(type) {
	case lab.ARM64:
		d.Registers = lab.ARM64{Pc: pc, Sp: sp, Fp: 0}
	case lab.X86:
		d.Registers = lab.X86{Eip: uint32(pc), Esp: uint32(sp), Ebp: 0}
	default:
		d.Registers = lab.X64{Rip: pc, Rsp: sp}
	}
	return d, sp
}

// What may be a return address: not in a module's header, not outside modules,
// not in the unwind table. In no case is code captured here.
func TestStack_ScanFilters(t *testing.T) {
	d, sp := quiet(lab.Windows26100)
	ntfs := d.Address("Ntfs.sys", 0)
	last := d.Drivers[0].Base + uint64(d.Drivers[0].Size) - 1
	d.Stack.Contents = []lab.Block{lab.Words(sp, 0, ntfs+0xfff, ntfs+0x1000, 1, ntfs+0x5678, 0x7ffd57b1f10b, ntfs+0x5680, ntfs+0x5e7f,
		ntfs+0x5e80, last, d.Thread.Address)}
	b := labBytes(t, d)
	list := int(u32(b, 0x2000+0x30)) // DriverList
	for i, r := range d.Drivers {
		if r.Base == ntfs { // its ExceptionTable and ExceptionTableSize
			put64(b, list+i*0x90+0x18, ntfs+0x5680)
			put32(b, list+i*0x90+0x20, 0x800)
		}
	}
	m := openBytes(t, b)
	want := append(framed(report.TrustContext, d.Drivers[0].Base+0x1b3440),
		framed(report.TrustScan, ntfs+0x1000, ntfs+0x5678, ntfs+0x5e80, last)...)
	checkAddresses(t, "scan", m.Stack(m.HeaderRegisters(), nil), want)
	want = append(framed(report.TrustContext, d.Drivers[0].Base+0x1b3440), framed(report.TrustScan, ntfs+0x1000, last)...)
	checkAddresses(t, "scan with a span", m.Stack(m.HeaderRegisters(), []kernel.Span{{Start: mem.VA(sp + 0x20), End: mem.VA(sp + 0x48)}}), want)
	for _, f := range m.Stack(m.HeaderRegisters(), nil)[1:] {
		if va, err := mem.ReadVA(m.Memory, mem.VA(f.StackPointer-8)); err != nil || va != mem.VA(f.Address) {
			t.Errorf("below the stack pointer %v of %v stands %v, %v", f.StackPointer, f.Address, va, err)
		}
	}
}

// Where the code before an address was captured, a call must end there.
func TestStack_ScanCalls(t *testing.T) {
	type code struct {
		name  string
		bytes string
		want  bool
	}
	x64 := []code{
		{"call near", "\xe8\x11\x22\x33\x44", true},
		{"call rax", "\xff\xd0", true},
		{"call r10", "\x41\xff\xd2", true},
		{"call [rip+disp]", "\xff\x15\x11\x22\x33\x44", true},
		{"call [rdx+8]", "\xff\x52\x08", true},
		{"call [rsp+20h]", "\xff\x54\x24\x20", true},
		{"call [rsp+200h]", "\xff\x94\x24\x00\x02\x00\x00", true},
		{"call [rax+rcx*8]", "\xff\x14\xc8", true},
		{"jmp near", "\xe9\x11\x22\x33\x44", false},
		{"jmp [rip+disp]", "\xff\x25\x11\x22\x33\x44", false},
		{"push [rip+disp]", "\xff\x35\x11\x22\x33\x44", false},
		{"nops", "\x90\x90\x90\x90\x90", false},
	}
	arm64 := []code{
		{"bl", "\x00\xff\xff\x97", true},
		{"bl forward", "\x10\x00\x00\x94", true},
		{"blr x8", "\x00\x01\x3f\xd6", true},
		{"blraaz x8", "\x1f\x09\x3f\xd6", true},
		{"b", "\x00\xff\xff\x17", false},
		{"br x8", "\x00\x01\x1f\xd6", false},
		{"ret", "\xc0\x03\x5f\xd6", false},
		{"nop", "\x1f\x20\x03\xd5", false},
	}
	for b, codes := range map[*lab.Build][]code{lab.Windows26100: x64, lab.Windows19041: x64, lab.Windows26100ARM64: arm64} {
		for _, c := range codes {
			d, sp := quiet(b)
			ret := d.Address("Ntfs.sys", 0x5000)
			page := lab.Block{Address: ret - 0x100, Data: make([]byte, 0x200)}
			copy(page.Data[0x100-len(c.bytes):], c.bytes)
			d.Blocks = []lab.Block{page}
			d.Stack.Contents = []lab.Block{lab.Words(sp+0x40, ret)}
			if got := len(walkStack(t, d)) == 2; got != c.want {
				t.Errorf("%v: %s before %#x: listed %v, want %v", b, c.name, ret, got, c.want)
			}
		}
	}
}

// An ARM64 return address is a multiple of 4, and may be signed.
func TestStack_ScanARM64(t *testing.T) {
	d, sp := quiet(lab.Windows22000ARM64)
	ntfs := d.Address("Ntfs.sys", 0x5000)
	d.Stack.Contents = []lab.Block{lab.Words(sp, ntfs+2, ntfs, ntfs&^(0x7f<<56)|0x2a<<56)}
	want := append(framed(report.TrustContext, d.Drivers[0].Base+0x1b3440), framed(report.TrustScan, ntfs, ntfs)...)
	checkAddresses(t, "ARM64", walkStack(t, d), want)
}

// chains are frame-pointer chains of the machines that have them: word writes
// a record of {next, return address} at an address.
func TestStack_FramePointers(t *testing.T) {
	for _, b := range []*lab.Build{lab.Windows22000ARM64, lab.Windows26100ARM64, lab.Windows17763X86} {
		d, sp := quiet(b)
		nt, ntfs := d.Drivers[0].Base, d.Address("Ntfs.sys", 0)
		first, second, third := sp+0x40, sp+0x90, sp+0x200
		for _, tt := range []struct {
			name    string
			links   []uint64 // {at, next, return address}…
			pointer int      // frames found by frame pointer
			scan    int
		}{
			{"three links", []uint64{first, second, ntfs + 0x5000, second, third, nt + 0x2000, third, 0, ntfs + 0x6000}, 3, 0},
			{"a link back", []uint64{first, second, ntfs + 0x5000, second, first, nt + 0x2000, third, 0, ntfs + 0x6000}, 2, 1},
			{"a link to itself", []uint64{first, first, ntfs + 0x5000, second, third, nt + 0x2000}, 1, 1},
			{"a crooked link", []uint64{first, second + 1, ntfs + 0x5000, second, third, nt + 0x2000}, 1, 1},
			{"a return to nowhere", []uint64{first, second, 0x1234, second, third, nt + 0x2000}, 0, 1},
			{"a link out of the stack", []uint64{first, d.Stack.Base + 0x40000, ntfs + 0x5000, third, 0, nt + 0x2000}, 1, 1},
		} {
			d.Registers = withFramePointer(d.Registers, first)
			d.Stack.Contents = nil
			for i := 0; i < len(tt.links); i += 3 {
				d.Stack.Contents = append(d.Stack.Contents, link(d, tt.links[i], tt.links[i+1], tt.links[i+2]))
			}
			frames := walkStack(t, d)
			var got [2]int
			for _, f := range frames {
				switch f.Trust {
				case report.TrustFramePointer:
					got[0]++
				case report.TrustScan:
					got[1]++
				}
			}
			if want := [2]int{tt.pointer, tt.scan}; got != want {
				t.Errorf("%v: %s: %v by frame pointer and by scan, want %v: %v", b, tt.name, got, want, addresses(frames))
			}
			if tt.pointer > 0 && uint64(frames[1].Address) != ntfs+0x5000 {
				t.Errorf("%v: %s: the first caller is %v, want %#x", b, tt.name, frames[1].Address, ntfs+0x5000)
			}
		}
	}
}

func withFramePointer(r lab.Registers, fp uint64) lab.Registers {
	switch r := r.(type) {
	case lab.ARM64:
		r.Fp = fp
		return r
	case lab.X86:
		r.Ebp = uint32(fp)
		return r
	}
	return r
}

func link(d *lab.Dump, at, next, ret uint64) lab.Block {
	if isX86(d) {
		return lab.Words32(at, uint32(next), uint32(ret))
	}
	return lab.Words(at, next, ret)
}

// A signed return address in a frame record names the same module.
func TestStack_SignedFramePointers(t *testing.T) {
	d, sp := quiet(lab.Windows26100ARM64)
	ntfs := d.Address("Ntfs.sys", 0x5000)
	d.Registers = withFramePointer(d.Registers, sp+0x40)
	d.Stack.Contents = []lab.Block{lab.Words(sp+0x40, 0, ntfs&^(0x7f<<56)|0x2a<<56)}
	want := append(framed(report.TrustContext, d.Drivers[0].Base+0x1b3440), framed(report.TrustFramePointer, ntfs)...)
	checkAddresses(t, "signed", walkStack(t, d), want)
}

// The walk ends at the stack's base, even where more memory was captured behind.
func TestStack_EndsAtBase(t *testing.T) {
	d, sp := quiet(lab.Windows26100)
	ntfs := d.Address("Ntfs.sys", 0x5000)
	d.Stack.Contents = []lab.Block{lab.Words(d.Stack.Base-8, ntfs)}
	d.Blocks = []lab.Block{lab.Words(d.Stack.Base, ntfs+1, ntfs+2)}
	want := append(framed(report.TrustContext, d.Drivers[0].Base+0x1b3440), framed(report.TrustScan, ntfs)...)
	checkAddresses(t, "end", walkStack(t, d), want)
	m := open(t, d)
	if got := m.Stack(report.Registers{{Name: "rip", Value: ntfs}}, nil); got != nil {
		t.Errorf("without a stack pointer: %v, want no frames", addresses(got))
	}
	if got := m.Stack(report.Registers{{Name: "rip", Value: ntfs}, {Name: "rsp", Value: sp + 3}}, nil); len(got) != 2 {
		t.Errorf("with a crooked stack pointer: %v, want the one word above", addresses(got))
	}
}

// A stack full of addresses gives a bounded number of frames.
func TestStack_Bounded(t *testing.T) {
	d := lab.Machine(lab.Windows26100)
	d.Stack.Address = d.Stack.Limit
	ntfs := d.Address("Ntfs.sys", 0x5000)
	words := make([]uint64, (d.Stack.Base-d.Stack.Limit)/8)
	for i := range words {
		words[i] = ntfs + uint64(i)
	}
	d.Stack.Contents = []lab.Block{lab.Words(d.Stack.Address, words...)}
	d.Registers = lab.X64{Rip: ntfs, Rsp: d.Stack.Address}
	if got := walkStack(t, d); len(got) != 1024 {
		t.Errorf("%d frames of %d words, want the limit of 1024", len(got), len(words))
	}
}

// A context that stands at a function's first instruction, or at no code at
// all, has its return address right at the stack pointer.
func TestStack_CertainReturn(t *testing.T) {
	const saveArgument, reserve, elsewhere = "\x48\x89\x4c\x24\x08", "\x48\x83\xec\x28\xe8", "\x90\x90\x90\x90\x90"
	for _, tt := range []struct {
		name string
		pc   uint64 // from the kernel's base; 0: a bad pointer
		code string
		want string
	}{
		{"saves its argument", 0x1b3440, saveArgument, report.TrustUnwind},
		{"reserves stack", 0x1b3440, reserve, report.TrustUnwind},
		{"not at a function's start", 0x1b3440, elsewhere, report.TrustScan},
		{"not aligned as a function", 0x1b3444, saveArgument, report.TrustScan},
		{"code not captured", 0x1b3440, "", report.TrustScan},
		{"a bad pointer", 0, "", report.TrustUnwind},
	} {
		d, sp := quiet(lab.Windows26100)
		pc, ret := d.Drivers[0].Base+tt.pc, d.Address("Ntfs.sys", 0x5000)
		if tt.pc == 0 {
			pc = 0x41414141
		}
		d.Registers = lab.X64{Rip: pc, Rsp: sp}
		d.Blocks = []lab.Block{{Address: ret - 8, Data: []byte("\x90\x90\x90\xe8\x11\x22\x33\x44")}}
		if tt.code != "" {
			d.Blocks = append(d.Blocks, lab.Block{Address: pc, Data: []byte(tt.code)})
		}
		d.Stack.Contents = []lab.Block{lab.Words(sp, ret)}
		want := append(framed(report.TrustContext, pc), framed(tt.want, ret)...)
		checkAddresses(t, tt.name, walkStack(t, d), want)
	}
}

// FF 14 with a SIB byte without base register: mod 0, base 5 has a displacement of four bytes.
func TestStack_ScanCallsSIB(t *testing.T) {
	for name, c := range map[string]string{"call [rax*8+disp32]": "\xff\x14\xc5\x11\x22\x33\x44", "call [disp32]": "\xff\x14\x25\x11\x22\x33\x44"} {
		d, sp := quiet(lab.Windows26100)
		ret := d.Address("Ntfs.sys", 0x5000)
		page := lab.Block{Address: ret - 0x100, Data: make([]byte, 0x200)}
		copy(page.Data[0x100-len(c):], c)
		d.Blocks = []lab.Block{page}
		d.Stack.Contents = []lab.Block{lab.Words(sp+0x40, ret)}
		if got := len(walkStack(t, d)); got != 2 {
			t.Errorf("%s before %#x: %d frames, want 2", name, ret, got)
		}
	}
}

// A stack at the very end of the address space: no frame lies behind that.
func TestStack_EndOfAddressSpace(t *testing.T) {
	d, _ := quiet(lab.Windows17763X86)
	nt := uint32(d.Drivers[0].Base) + 0x2000
	d.Registers = lab.X86{Eip: nt, Esp: 0xfffffff4, Ebp: 0xfffffff8}
	d.Blocks = []lab.Block{lab.Words32(0xfffffff4, 0, 0, nt)} // the last word of memory
	frames := walkStack(t, d)
	checkAddresses(t, "end", frames, framed(report.TrustContext, uint64(nt)))
}
