package kernel_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
)

var userBuilds = []*lab.Build{lab.Windows19041, lab.Windows17763X86, lab.Windows22000ARM64}

func openUser(tb testing.TB, d *lab.UserDump) *kernel.Machine {
	tb.Helper()
	b, err := d.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		tb.Fatal(err)
	}
	return kernel.Open(f)
}

// A module of a program is called by its name without the extension, whatever
// that is; none is nt.
func TestOpen_UserModuleNames(t *testing.T) {
	d := lab.NullRead(lab.Windows19041)
	for i, name := range []string{"DbgX.Shell.exe", "win32ole.so", "7-zip.dll", "noextension", "ntoskrnl2.exe"} {
		d.Modules[i].Path = `C:\x\` + name
	}
	var got []string
	for _, m := range openUser(t, d).Modules[:5] {
		got = append(got, m.Module)
	}
	if want := []string{"DbgX_Shell", "win32ole", "7_zip", "noextension", "ntoskrnl2"}; !slices.Equal(got, want) {
		t.Errorf("modules %v, want %v", got, want)
	}
}

func TestMachine_User(t *testing.T) {
	for _, b := range userBuilds {
		d := lab.NullRead(b)
		m := openUser(t, d)
		p, ok := m.Process()
		if !ok || p.Name != "example.exe" || p.PID == nil || *p.PID != uint64(d.ID) {
			t.Errorf("%v: process %+v, %v", b, p, ok)
		}
		th, ok := m.Thread()
		if !ok || uint64(th.Address) != d.Threads[0].TEB || *th.ID != uint64(d.Threads[0].ID) {
			t.Errorf("%v: thread %+v, %v", b, th, ok)
		}
		if pc, _ := m.HeaderRegisters().PC(); pc != d.Exception.Address {
			t.Errorf("%v: pc %#x, want %#x", b, pc, d.Exception.Address)
		}
		if pc, _ := m.UserRegisters(m.User.Threads[0]).PC(); pc != d.Exception.Address {
			t.Errorf("%v: the thread's pc %#x", b, pc)
		}
		if m.BuildLab() == "" || m.Version() == "" || m.Processor().Family != 6 {
			t.Errorf("%v: lab %q, version %q, processor %+v", b, m.BuildLab(), m.Version(), m.Processor())
		}
		if n := len(m.Stack(m.HeaderRegisters(), nil)); n != 5 {
			t.Errorf("%v: %d frames, want 5", b, n)
		}
	}
}

// Symbols are looked for of the modules that the crashing thread's stack and
// registers point into, by the symbol file that the dump names.
func TestInvolved_User(t *testing.T) {
	for _, b := range userBuilds {
		d := lab.NullRead(b)
		m := openUser(t, d)
		var names []string
		for _, i := range m.Involved() {
			names = append(names, m.Modules[i].Name)
		}
		if want := []string{"example.exe", "ntdll.dll", "kernel32.dll", "plugin.dll"}; !slices.Equal(names, want) {
			t.Errorf("%v: %v, want %v", b, names, want)
		}
		if w := m.Wanted(0); w.PDB.GUID != d.Modules[0].GUID || w.PDB.Age != 1 || w.PDB.Path != d.Modules[0].PDB || w.Timestamp != d.Modules[0].Timestamp {
			t.Errorf("%v: %+v, want what the dump names", b, w)
		}
		if w := m.Wanted(1); w.PDB.Path != "" {
			t.Errorf("%v: %+v has no symbol file in the dump", b, w)
		}
	}
}

// Return addresses of ARM64 programs may be signed.
func TestStack_SignedUser(t *testing.T) {
	d := lab.NullRead(lab.Windows22000ARM64)
	want := addresses(openUser(t, d).Stack(openUser(t, d).HeaderRegisters(), nil))
	stack := d.Threads[0].Stack.Data
	for at := 8; at < len(stack); at += 8 {
		if v := binary.LittleEndian.Uint64(stack[at:]); v>>40 == 0x7f { // an address of code
			binary.LittleEndian.PutUint64(stack[at:], v|0x2b4c<<48)
		}
	}
	m := openUser(t, d)
	if got := addresses(m.Stack(m.HeaderRegisters(), nil)); len(got) != 5 || !slices.Equal(got, want) {
		t.Errorf("frames %x, want %x", got, want)
	}
	if n := len(m.Involved()); n != 4 {
		t.Errorf("%d modules are involved, want 4", n)
	}
}

// The stack's ends come from the TEB, else from the captured stack and the region
// that it lies in.
func TestStackLimits_User(t *testing.T) {
	for _, b := range userBuilds {
		d := lab.NullRead(b)
		stack := d.Threads[0].Stack
		end := stack.Address + uint64(len(stack.Data))
		low, high, ok := openUser(t, d).StackLimits()
		if !ok || uint64(low) != stack.Address || uint64(high) != end {
			t.Errorf("%v: %v to %v, %v; want the captured stack", b, low, high, ok)
		}
		d.Regions = []lab.UserRegion{{Base: end - 0x8000, Size: 0x8000, State: dump.MemCommit, Protect: 4}}
		if openUser(t, lab.NullRead(b)).StackRecorded() || !openUser(t, d).StackRecorded() {
			t.Errorf("%v: only the region records the stack's ends", b)
		}
		if low, _, _ := openUser(t, d).StackLimits(); uint64(low) != end-0x8000 {
			t.Errorf("%v: %v, want where the region begins", b, low)
		}
		teb := lab.Words(d.Threads[0].TEB, 0, end, end-0x6000)
		if b == lab.Windows17763X86 {
			teb = lab.Words32(d.Threads[0].TEB, 0, uint32(end), uint32(end-0x6000))
		}
		d.Memory = append(d.Memory, teb)
		if low, high, ok := openUser(t, d).StackLimits(); !ok || uint64(low) != end-0x6000 || uint64(high) != end {
			t.Errorf("%v: %v to %v, %v; want what the TEB says", b, low, high, ok)
		}
	}
}

// wow64 is the x86 null read as a 64-bit tool dumps it: x64 threads, the x86
// registers and stack in memory, the 32-bit TEB behind the 64-bit one.
func wow64() *lab.UserDump {
	x86, d := lab.NullRead(lab.Windows17763X86), lab.NullRead(lab.Windows19041)
	d.Modules = append(x86.Modules, lab.UserModule{Path: `C:\Windows\System32\wow64.dll`, Base: 0x7ffd11000000, Size: 0x1000},
		lab.UserModule{Path: `C:\Windows\System32\wow64cpu.dll`, Base: 0x76f00000, Size: 0x1000})
	d.Exception = x86.Exception
	stack := x86.Threads[0].Stack
	end := uint32(stack.Address) + uint32(len(stack.Data))
	d.Threads[0].TEB = 0x2ea000
	d.Memory = append(x86.Memory, lab.Words(0x2ea000+0x1488, 0x2dfd20), lab.Words32(0x2ea000+0x2000, 0, end, end-0x6000),
		lab.Block{Address: 0x2dfd24, Data: x86.Threads[0].Registers.Context()}, stack)
	return d
}

// A dump of an x86 program by a 64-bit tool shows the x86 side: registers, stack,
// its ends.
func TestMachine_WOW64(t *testing.T) {
	want := openUser(t, lab.NullRead(lab.Windows17763X86))
	d := wow64()
	m := openUser(t, d)
	got := addresses(m.Stack(m.HeaderRegisters(), nil))
	if len(got) != 5 || !slices.Equal(got, addresses(want.Stack(want.HeaderRegisters(), nil))) {
		t.Errorf("frames %x", got)
	}
	low, high, ok := m.StackLimits()
	if _, end, _ := want.StackLimits(); !ok || high != end || low != end-0x6000 {
		t.Errorf("stack %v to %v, %v", low, high, ok)
	}
	d.Memory = append(d.Memory[:2:2], d.Memory[3:]...) // without the 32-bit TEB nothing tells the ends
	if low, high, ok := openUser(t, d).StackLimits(); ok {
		t.Errorf("stack %v to %v, but only the 64-bit side's is known", low, high)
	}
	if n := len(openUser(t, d).Involved()); n < 4 {
		t.Errorf("%d modules are involved, want those of the x86 stack", n)
	}
}

func TestCPPException(t *testing.T) {
	for _, b := range userBuilds {
		d := lab.UncaughtCPP(b)
		x, ok := openUser(t, d).CPPException(d.Exception.Parameters)
		if want := []string{".?AVruntime_error@std@@", ".?AVexception@std@@"}; !ok || !slices.Equal(x.Types, want) || x.What != "the settings file has no end" {
			t.Errorf("%v: %+v, %v", b, x, ok)
		}
		whole := d.Memory
		for cut := range whole { // a part that is not in the dump leaves the rest
			d.Memory = slices.Delete(slices.Clone(whole), cut, cut+1)
			if x, ok := openUser(t, d).CPPException(d.Exception.Parameters); !ok || len(x.Types) == 2 && x.What != "" {
				t.Errorf("%v without part %d: %+v, %v", b, cut, x, ok)
			}
		}
		for _, bad := range [][]uint64{nil, {1, 2, 3, 4}, {0x19930520, 0}, {0x19930520, ^uint64(0), ^uint64(0), ^uint64(0)}} {
			if x, _ := openUser(t, d).CPPException(bad); len(x.Types) != 0 {
				t.Errorf("%v: %x gives %+v", b, bad, x)
			}
		}
	}
}

func TestHeapFailure(t *testing.T) {
	d := lab.HeapCorruption(lab.Windows19041)
	m := openUser(t, d)
	if got := m.HeapFailure(d.Exception.Parameters); got != "block_not_busy" {
		t.Errorf("got %q", got)
	}
	if got := m.HeapFailure([]uint64{d.Threads[0].TEB}); got != "" {
		t.Errorf("memory that is not there gives %q", got)
	}
}

func TestStowedException(t *testing.T) {
	for _, b := range userBuilds {
		d := lab.Hang(b)
		array, first, text := uint64(0x500000), uint64(0x510000), uint64(0x520000)
		words := func(at uint64, v ...uint64) lab.Block {
			if b != lab.Windows17763X86 {
				return lab.Words(at, v...)
			}
			var w []uint32
			for _, x := range v {
				w = append(w, uint32(x))
			}
			return lab.Words32(at, w...)
		}
		head := lab.Words32(first, 0x30, 0x53453032, 0x80070057, 0x13c8<<2|2)
		d.Memory = []lab.Block{words(array, first), head, words(first+0x10, text), {Address: text, Data: []byte("n\x00o\x00\x00\x00")}}
		s, ok := openUser(t, d).StowedException([]uint64{array, 1})
		if !ok || s.HResult != 0x80070057 || s.Count != 1 || s.Text != "no" {
			t.Errorf("%v: %+v, %v", b, s, ok)
		}
		if _, ok := openUser(t, d).StowedException([]uint64{first, 1}); ok {
			t.Errorf("%v: an array of something else was taken for errors", b)
		}
	}
}
