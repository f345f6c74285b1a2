package lab

import "testing"

// word returns the word of size bytes at addr of the call stack.
func stackWord(t *testing.T, d *Dump, file []byte, addr uint64, size int) uint64 {
	t.Helper()
	tr := triage(d)
	if addr < d.Stack.Address || addr+uint64(size) > d.Stack.Base {
		t.Fatalf("%#x is not on the stack %#x-%#x", addr, d.Stack.Address, d.Stack.Base)
	}
	off := int(u32(file, tr+0x28)) + int(addr-d.Stack.Address)
	if size == 4 {
		return uint64(u32(file, off))
	}
	return u64(file, off)
}

// TestHighIRQLKernel_X64: the trap frame, KiBugCheckDispatch's frame and KeBugCheckEx's
// arguments stand as real dumps of this stop code have them.
func TestHighIRQLKernel_X64(t *testing.T) {
	for _, b := range []*Build{Windows17763, Windows19041, Windows26100} {
		d := HighIRQLKernel(b)
		file := write(t, d)
		nt, rsp := d.Drivers[0].Base, d.Stack.Address
		if top := u64(file, 0x2048); top != rsp || u64(file, 0x348+0x98) != rsp {
			t.Errorf("%s: TopOfStack %#x, CONTEXT.Rsp %#x, want %#x", b, top, u64(file, 0x348+0x98), rsp)
		}
		if size := u32(file, 0x202c); uint64(size) != d.Stack.Base-rsp {
			t.Errorf("%s: SizeOfCallStack %#x", b, size)
		}
		trap := rsp + 0x148
		for _, c := range []struct {
			name string
			at   uint64
			want uint64
		}{
			{"return to KiBugCheckDispatch", rsp, nt + 0x1c5b69},
			{"home of rcx", rsp + 8, 0xa},
			{"home of rdx", rsp + 0x10, d.Parameters[0]},
			{"fifth argument", rsp + 0x28, d.Parameters[3]},
			{"KEXCEPTION_FRAME.Rbx", rsp + 8 + 0x100, d.Parameters[0]},
			{"return to KiPageFault", trap - 8, nt + 0x1c1e68},
			{"KTRAP_FRAME.FaultAddress", trap + 0xd0, d.Parameters[0]},
			{"KTRAP_FRAME.Rbx", trap + 0x140, 0},
			{"KTRAP_FRAME.ErrorCode", trap + 0x160, 0},
			{"KTRAP_FRAME.Rip", trap + 0x168, d.Parameters[3]},
			{"KTRAP_FRAME.SegCs", trap + 0x170, 0x10},
			{"KTRAP_FRAME.Rsp", trap + 0x180, trap + 0x190},
			{"KTRAP_FRAME.SegSs", trap + 0x188, 0x18},
			{"user trap frame's SegCs", d.Thread.TrapFrame + 0x170, 0x33},
		} {
			if got := stackWord(t, d, file, c.at, 8); got != c.want {
				t.Errorf("%s: %s at %#x: %#x, want %#x", b, c.name, c.at, got, c.want)
			}
		}
	}
}

// TestStack_ReturnAddresses: on x64 the words that lie in drivers are the published stack,
// in its order, the instruction of the fault (in the frame and as a parameter), and no more.
func TestStack_ReturnAddresses(t *testing.T) {
	d := HighIRQLKernel(Windows17763)
	file := write(t, d)
	nt, my := d.Drivers[0].Base, d.Address("myfault.sys", 0)
	want := []uint64{nt + 0x1c5b69, my + 0x1981, nt + 0x1c1e68, my + 0x1981, my + 0x1d3d, my + 0x1ea1,
		nt + 0x31f89, nt + 0x518bd1, nt + 0x517d9c, nt + 0x516f96, nt + 0x1c5725}
	var got []uint64
	for a := d.Stack.Address; a < d.Stack.Base; a += 8 {
		v := stackWord(t, d, file, a, 8)
		for _, r := range d.Drivers {
			if v >= r.Base && v < r.Base+uint64(r.Size) {
				got = append(got, v)
			}
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d words lie in drivers: %#x\nwant %d: %#x", len(got), got, len(want), want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("word %d: %#x, want %#x", i, got[i], want[i])
		}
	}
}

// TestExceptions_Pointers: parameters that are pointers lead to what they promise.
func TestExceptions_Pointers(t *testing.T) {
	for _, c := range []struct {
		build                    *Build
		word                     int // bytes
		recordAddress, contextPC uint64
		trapPC                   uint64
		information              uint64 // of EXCEPTION_RECORD
	}{
		{Windows17763, 8, 0x10, 0xf8, 0x168, 0x20}, {Windows19041, 8, 0x10, 0xf8, 0x168, 0x20},
		{Windows22000ARM64, 8, 0x10, 0x108, 0x148, 0x20}, {Windows26100ARM64, 8, 0x10, 0x108, 0x148, 0x20},
		{Windows17763X86, 4, 0xc, 0xb8, 0x68, 0x14},
	} {
		t.Run(c.build.String(), func(t *testing.T) {
			d := SystemThreadException(c.build)
			file, p := write(t, d), d.Parameters
			word := func(a uint64) uint64 { return stackWord(t, d, file, a, c.word) }
			if code := stackWord(t, d, file, p[2], 4); code != 0xc0000005 || uint32(p[0]) != 0xc0000005 {
				t.Errorf("0x7E: parameter 1 %#x, record's code %#x", p[0], code)
			}
			if word(p[2]+c.recordAddress) != p[1] || word(p[2]+c.information+uint64(c.word)) != 0x10 {
				t.Errorf("0x7E: record says %#x at %#x, parameter 2 is %#x", word(p[2]+c.information+uint64(c.word)), word(p[2]+c.recordAddress), p[1])
			}
			if pc := word(p[3] + c.contextPC); pc != p[1] || pc != d.Address("myfault.sys", pc-d.Address("myfault.sys", 0)) {
				t.Errorf("0x7E: context's pc %#x, parameter 2 %#x", pc, p[1])
			}

			d = SystemServiceException(c.build)
			file, p = write(t, d), d.Parameters
			if c.word == 8 && word(p[2]+c.contextPC) != p[1] || c.word == 4 && (d.Code != 0x8e || word(p[2]+c.trapPC) != p[1]) {
				t.Errorf("%#x: parameter 3 leads not to parameter 2's instruction", d.Code)
			}

			d = SecurityCheckFailure(c.build)
			file, p = write(t, d), d.Parameters
			pc := word(p[1] + c.trapPC)
			if stackWord(t, d, file, p[2], 4) != 0xc0000409 || pc == 0 || word(p[2]+c.recordAddress) != pc || p[0] != 3 {
				t.Errorf("0x139: trap frame's pc %#x, record's %#x, parameter 1 %#x", pc, word(p[2]+c.recordAddress), p[0])
			}
		})
	}
}

// TestSystemThreadException_Header: with 0x1000007E the header's context is the fault's, the
// stack still starts in KeBugCheckEx, and its exception address depends on the layout.
func TestSystemThreadException_Header(t *testing.T) {
	for _, b := range []*Build{Windows17763, Windows19041} {
		d := SystemThreadException(b)
		file := write(t, d)
		if rip, code := u64(file, 0x348+0xf8), u32(file, 0x38); rip != d.Parameters[1] || code != 0x1000007e {
			t.Errorf("%s: code %#x, rip %#x, want 0x1000007e, %#x", b, code, rip, d.Parameters[1])
		}
		if rsp := u64(file, 0x348+0x98); rsp <= u64(file, 0x2048) {
			t.Errorf("%s: rsp %#x is not above TopOfStack %#x", b, rsp, u64(file, 0x2048))
		}
		want := d.Parameters[1]
		if b == Windows19041 {
			want = d.Drivers[0].Base + 0x1b3440
		}
		if got := u64(file, 0xf10); got != want {
			t.Errorf("%s: exception address %#x, want %#x", b, got, want)
		}
		// The distances are those of real dumps of 19041.
		if p := d.Parameters; p[2]-d.Stack.Address != 0x1000 || p[3]-d.Stack.Address != 0x838 {
			t.Errorf("%s: record at TopOfStack+%#x, context at +%#x", b, p[2]-d.Stack.Address, p[3]-d.Stack.Address)
		}
		if got := stackWord(t, d, file, d.Stack.Address+8, 8); got != 0x7e {
			t.Errorf("%s: home of rcx %#x, want 0x7e", b, got)
		}
	}
}

// chain follows frame pointers of a machine whose frame records are {next, return address}.
func chain(t *testing.T, d *Dump, file []byte, at uint64, size int) []uint64 {
	var returns []uint64
	for at != 0 && len(returns) < 50 {
		returns = append(returns, stackWord(t, d, file, at+uint64(size), size))
		next := stackWord(t, d, file, at, size)
		if next != 0 && next <= at {
			t.Fatalf("frame pointer falls from %#x to %#x", at, next)
		}
		at = next
	}
	return returns
}

func TestHighIRQLKernel_FramePointers(t *testing.T) {
	for _, c := range []struct {
		build *Build
		size  int
		// places in myfault.sys that the chain passes
		want []uint64
	}{
		{Windows22000ARM64, 8, []uint64{0x1bd0, 0x1d54}},
		{Windows17763X86, 4, []uint64{0x1981, 0x1d3d, 0x1ea1}}, // a trap frame links too
	} {
		d := HighIRQLKernel(c.build)
		file := write(t, d)
		fp := u64(file, 0x348+0xf0)
		if c.size == 4 {
			fp = uint64(u32(file, 0x320+0xb4))
		}
		my := d.Address("myfault.sys", 0)
		var got []uint64
		for _, r := range chain(t, d, file, fp, c.size) {
			if r >= my && r < my+0x8000 {
				got = append(got, r-my)
			}
		}
		if len(got) != len(c.want) {
			t.Fatalf("%s: in myfault.sys %#x, want %#x", c.build, got, c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: in myfault.sys %#x, want %#x", c.build, got, c.want)
			}
		}
	}
}

func TestHighIRQLKernel_TrapFrames(t *testing.T) {
	d := HighIRQLKernel(Windows22000ARM64)
	file := write(t, d)
	trap := d.Stack.Address + 0x20 + 0x140
	for _, c := range []struct{ off, want uint64 }{
		{8, d.Parameters[0]}, {0x148, d.Parameters[3]}, {0x98, trap + 0x160}, {0x140, trap + 0x160}} {
		if got := stackWord(t, d, file, trap+c.off, 8); got != c.want {
			t.Errorf("ARM64 trap frame +%#x: %#x, want %#x", c.off, got, c.want)
		}
	}
	if esr := stackWord(t, d, file, trap+0x94, 4); esr != 0x96000007 {
		t.Errorf("ARM64 Esr %#x", esr)
	}

	d = HighIRQLKernel(Windows17763X86)
	file = write(t, d)
	trap = d.Stack.Address + 0x40 + 0x140
	for _, c := range []struct{ off, want uint64 }{
		{8, 0xbadb0d00}, {0x5c, d.Parameters[0]}, {0x68, d.Parameters[3]}, {0x6c, 8}} {
		if got := stackWord(t, d, file, trap+c.off, 4); got != c.want {
			t.Errorf("x86 trap frame +%#x: %#x, want %#x", c.off, got, c.want)
		}
	}
}

// TestMyfaultCode: the data block around the fault holds the faulting instruction.
func TestMyfaultCode(t *testing.T) {
	for _, c := range []struct {
		recipe func(*Build) *Dump
		build  *Build
		want   string
	}{
		{HighIRQLKernel, Windows19041, "\x8b\x03"}, {HighIRQLKernel, Windows17763X86, "\x8b\x03"},
		{HighIRQLKernel, Windows22000ARM64, "\x68\x02\x40\xb9"}, {SystemThreadException, Windows17763, "\x8b\x43\x10"},
		{SecurityCheckFailure, Windows17763, "\xcd\x29"},
	} {
		d := c.recipe(c.build)
		pc, b := d.Address("myfault.sys", 0x1730), d.Blocks[0]
		if c.build == Windows17763 || c.build == Windows17763X86 {
			pc = d.Address("myfault.sys", 0x1981)
		}
		if got := string(b.Data[pc-b.Address:][:len(c.want)]); got != c.want {
			t.Errorf("%s, stop code %#x: % x at the fault, want % x", c.build, d.Code, got, c.want)
		}
	}
}

// TestThread_OwnStack: a crash on a DPC stack leaves the thread's own bounds in ETHREAD.
func TestThread_OwnStack(t *testing.T) {
	d := HighIRQLKernel(Windows19041)
	d.Thread.StackLimit, d.Thread.StackBase = 0xffffc50e70000000, 0xffffc50e70007000
	file := write(t, d)
	thread := int(u32(file, 0x2024))
	if got := u64(file, thread+0x38); got != d.Thread.StackBase {
		t.Errorf("KTHREAD.StackBase %#x, want %#x", got, d.Thread.StackBase)
	}
	if got := u64(file, thread+0x28); got != d.Thread.StackBase-0x3d0 {
		t.Errorf("KTHREAD.InitialStack %#x", got)
	}
	if got := u64(file, 0x2048); got != d.Stack.Address {
		t.Errorf("TopOfStack %#x, want %#x", got, d.Stack.Address)
	}
}
