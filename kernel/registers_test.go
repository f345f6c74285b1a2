package kernel_test

import (
	"fmt"
	"testing"

	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/report"
)

// registers are what the debugger's names stand for in a recipe's registers.
func registers(r lab.Registers) map[string]uint64 {
	switch r := r.(type) {
	case lab.X64:
		return map[string]uint64{"rax": r.Rax, "rbx": r.Rbx, "rcx": r.Rcx, "rdx": r.Rdx, "rsi": r.Rsi, "rdi": r.Rdi,
			"rip": r.Rip, "rsp": r.Rsp, "rbp": r.Rbp, "r8": r.R8, "r9": r.R9, "r10": r.R10, "r11": r.R11,
			"r12": r.R12, "r13": r.R13, "r14": r.R14, "r15": r.R15, "efl": uint64(r.EFlags)}
	case lab.ARM64:
		m := map[string]uint64{"fp": r.Fp, "lr": r.Lr, "sp": r.Sp, "pc": r.Pc}
		for i, v := range r.X {
			m[fmt.Sprintf("x%d", i)] = v
		}
		return m
	case lab.X86:
		return map[string]uint64{"eax": uint64(r.Eax), "ebx": uint64(r.Ebx), "ecx": uint64(r.Ecx), "edx": uint64(r.Edx),
			"esi": uint64(r.Esi), "edi": uint64(r.Edi), "eip": uint64(r.Eip), "esp": uint64(r.Esp), "ebp": uint64(r.Ebp),
			"efl": uint64(r.EFlags)}
	}
	return nil
}

func checkRegisters(t *testing.T, what string, got report.Registers, want map[string]uint64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d registers, want %d", what, len(got), len(want))
	}
	for name, w := range want {
		if v, ok := got.Get(name); !ok || v != w {
			t.Errorf("%s: %s = %#x, %v; want %#x", what, name, v, ok, w)
		}
	}
}

// distinct are registers that all differ, so that a wrong offset shows.
func distinct(b *lab.Build) lab.Registers {
	switch open := lab.Machine(b).Registers.(type) {
	case lab.ARM64:
		for i := range open.X {
			open.X[i] = 0x1100 + uint64(i)
		}
		open.Fp, open.Lr, open.Sp, open.Pc, open.Cpsr = 0x2100, 0x2200, 0x2300, 0x2400, 0x60000204
		return open
	case lab.X86:
		return lab.X86{Eax: 1, Ebx: 2, Ecx: 3, Edx: 4, Esi: 5, Edi: 6, Ebp: 7, Esp: 8, Eip: 9, EFlags: 10}
	}
	return lab.X64{Rax: 1, Rcx: 2, Rdx: 3, Rbx: 4, Rsp: 5, Rbp: 6, Rsi: 7, Rdi: 8, R8: 9, R9: 10, R10: 11, R11: 12,
		R12: 13, R13: 14, R14: 15, R15: 16, Rip: 17, EFlags: 18}
}

func TestHeaderRegisters(t *testing.T) {
	for _, b := range builds {
		d := lab.HighIRQLKernel(b)
		d.Registers = distinct(b)
		checkRegisters(t, b.String(), open(t, d).HeaderRegisters(), registers(d.Registers))
	}
}

func TestContextAt(t *testing.T) {
	for _, b := range builds {
		d := lab.HighIRQLKernel(b)
		want, va := distinct(b), d.Stack.Base-0x800
		d.Stack.Contents = append(d.Stack.Contents, lab.Block{Address: va, Data: want.Context()})
		m := open(t, d)
		got, err := m.ContextAt(mem.VA(va))
		if err != nil {
			t.Fatalf("%v: ContextAt: %v", b, err)
		}
		checkRegisters(t, b.String(), got, registers(want))
		for _, va := range []uint64{0x1000, d.Stack.Base - 0x40} {
			if _, err := m.ContextAt(mem.VA(va)); !mem.IsMissing(err) {
				t.Errorf("%v: ContextAt(%#x): %v, want a fault", b, va, err)
			}
		}
	}
}

func TestExceptionRecordAt(t *testing.T) {
	for _, b := range builds {
		d := lab.HighIRQLKernel(b)
		va := d.Stack.Base - 0x800
		for _, want := range []lab.Exception{
			{Code: 0xc0000005, Address: d.Address("myfault.sys", 0x1730), Parameters: []uint64{1, 0x10}},
			{Code: 0xc0000409, Flags: 1, Address: 0x1234, Parameters: []uint64{3}},
			{Code: 0x80000003},
			{Code: 0xe06d7363, Parameters: make([]uint64, 400)}, // of which 15 can be there
		} {
			record := want.Record64()
			if isX86(d) {
				record = want.Record32()
			}
			d.Stack.Contents = append(d.Stack.Contents, lab.Block{Address: va, Data: record})
			got, err := open(t, d).ExceptionRecordAt(mem.VA(va))
			if err != nil {
				t.Fatalf("%v: ExceptionRecordAt: %v", b, err)
			}
			if got.Code != want.Code || got.Flags != want.Flags || got.Address != mem.VA(want.Address) ||
				fmt.Sprint(got.Parameters) != fmt.Sprint(want.Parameters[:min(len(want.Parameters), 15)]) {
				t.Errorf("%v: ExceptionRecordAt = %+v, want %+v", b, got, want)
			}
		}
		if _, err := open(t, d).ExceptionRecordAt(mem.VA(d.Stack.Base - 8)); !mem.IsMissing(err) {
			t.Errorf("%v: a record that ends behind the stack: %v, want a fault", b, err)
		}
	}
}

// What the stop codes' parameters point at.
func TestParameters(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		m, p := open(t, d), d.Parameters
		va := func(i int) mem.VA { return mem.VA(p[i]) }
		switch d.Code {
		case 0x1000007e:
			checkRecord(t, m, va(2), 0xc0000005, p[1])
			checkContext(t, m, va(3), p[1])
		case 0x3b:
			checkContext(t, m, va(2), p[1])
		case 0x139:
			checkRecord(t, m, va(2), 0xc0000409, d.Address("myfault.sys", 0)+p[0])
		}
	})
}

func checkContext(t *testing.T, m *kernel.Machine, va mem.VA, pc uint64) {
	t.Helper()
	regs, err := m.ContextAt(va)
	if got, _ := regs.PC(); err != nil || got != pc {
		t.Errorf("the context at %v has pc %#x, error %v; want %#x", va, got, err, pc)
	}
}

// checkRecord checks the exception's code, and that it was raised near an address.
func checkRecord(t *testing.T, m *kernel.Machine, va mem.VA, code uint32, near uint64) {
	t.Helper()
	e, err := m.ExceptionRecordAt(va)
	if err != nil || e.Code != code || uint64(e.Address)>>16 != near>>16 {
		t.Errorf("the record at %v: %+v, error %v; want %#x near %#x", va, e, err, code, near)
	}
}

func TestTrapFrameAt(t *testing.T) {
	for _, b := range []*lab.Build{lab.Windows17763, lab.Windows19041, lab.Windows26100} {
		d := lab.HighIRQLKernel(b)
		va := d.Stack.Base - 0x800
		for _, user := range []bool{false, true} {
			r := distinct(b).(lab.X64)
			r.User = user
			frame := r.TrapFrame(lab.Trap{FaultAddress: 0x1234567890, ErrorCode: 0x2b})
			d.Stack.Contents = append(d.Stack.Contents, lab.Block{Address: va, Data: frame})
			got, err := open(t, d).TrapFrameAt(mem.VA(va))
			if err != nil || got.Address != mem.VA(va) || got.FaultAddress != 0x1234567890 || got.ErrorCode != 0x2b || got.FromUser != user {
				t.Fatalf("%v: TrapFrameAt = %+v, %v; want fault address 0x1234567890, error code 0x2b, user %v", b, got, err, user)
			}
			want := registers(r)
			for _, unsaved := range []string{"rbx", "rsi", "rdi", "r12", "r13", "r14", "r15"} {
				delete(want, unsaved)
			}
			checkRegisters(t, b.String(), got.Registers, want)
		}
		if _, err := open(t, d).TrapFrameAt(mem.VA(d.Stack.Base - 0x100)); !mem.IsMissing(err) {
			t.Errorf("%v: a frame that ends behind the stack: %v, want a fault", b, err)
		}
	}
}

// What a trap frame of ARM64 or x86 saves, from the kernel and from user mode.
func TestTrapFrameAt_OtherArchitectures(t *testing.T) {
	for _, b := range []*lab.Build{lab.Windows22000ARM64, lab.Windows26100ARM64, lab.Windows17763X86} {
		d := lab.HighIRQLKernel(b)
		va := d.Stack.Base - 0x800
		for _, user := range []bool{false, true} {
			want, trap := registers(distinct(b)), lab.Trap{FaultAddress: 0x1234567890, ErrorCode: 0x2b}
			frame := trapOf(distinct(b), user).TrapFrame(trap)
			d.Stack.Contents = append(d.Stack.Contents, lab.Block{Address: va, Data: frame})
			if isX86(d) {
				trap.FaultAddress = 0 // not saved
				if !user {
					want["esp"] = va + 0x74 // the frame ends where the stack stood
				}
			}
			for i := 19; i <= 28; i++ {
				delete(want, fmt.Sprintf("x%d", i)) // not saved
			}
			got, err := open(t, d).TrapFrameAt(mem.VA(va))
			if err != nil || got.FaultAddress != trap.FaultAddress || got.ErrorCode != trap.ErrorCode || got.FromUser != user {
				t.Fatalf("%v: TrapFrameAt = %+v, %v; want %+v, user %v", b, got, err, trap, user)
			}
			checkRegisters(t, b.String(), got.Registers, want)
		}
		if _, err := open(t, d).TrapFrameAt(mem.VA(d.Stack.Base - 0x20)); !mem.IsMissing(err) {
			t.Errorf("%v: a frame that ends behind the stack: %v, want a fault", b, err)
		}
	}
}

// trapOf marks registers as those of user mode, or not.
func trapOf(r lab.Registers, user bool) lab.Registers {
	switch r := r.(type) {
	case lab.ARM64:
		if user {
			r.Cpsr = 0x60000000
		}
		return r
	case lab.X86:
		r.User = user
		return r
	}
	return r
}

func TestFindTrapFrame(t *testing.T) {
	for _, b := range builds {
		d := lab.HighIRQLKernel(b)
		m := open(t, d)
		f, ok := m.FindTrapFrame(mem.VA(d.Parameters[3]))
		target := d.Parameters[0]
		if isX86(d) {
			target = 0
		}
		if pc, _ := f.Registers.PC(); !ok || pc != d.Parameters[3] || f.FaultAddress != target || f.FromUser {
			t.Errorf("%v: FindTrapFrame(%#x) = %+v, %v; want the fault of parameter 1", b, d.Parameters[3], f, ok)
		}
		if at, err := m.TrapFrameAt(f.Address); err != nil || fmt.Sprint(at) != fmt.Sprint(f) {
			t.Errorf("%v: TrapFrameAt(%v) = %+v, %v; want the same frame", b, f.Address, at, err)
		}
		entered := mem.VA(0x7ffd5a2a0a84) // where the lab's thread entered the kernel
		if isX86(d) {
			entered = 0x77a51c0c
		}
		user, ok := m.FindTrapFrame(entered)
		if arm64 := d.Build == lab.Windows22000ARM64 || d.Build == lab.Windows26100ARM64; !arm64 && (!ok || user.Address != mem.VA(d.Thread.TrapFrame) || !user.FromUser) {
			t.Errorf("%v: the system call's frame = %+v, %v; want %#x from user mode", b, user, ok, d.Thread.TrapFrame)
		}
		for _, pc := range []uint64{0, 1, d.Parameters[3] + 1, d.Drivers[0].Base} {
			if f, ok := m.FindTrapFrame(mem.VA(pc)); ok {
				t.Errorf("%v: FindTrapFrame(%#x) = %v, want none", b, pc, f.Address)
			}
		}
	}
}

// The address of the fault also stands elsewhere on the stack: without the
// selectors and flags beside it, that is no trap frame.
func TestFindTrapFrame_NotAFrame(t *testing.T) {
	d := lab.Machine(lab.Windows26100)
	pc := d.Address("Ntfs.sys", 0x4000)
	at := d.Stack.Base - 0x400
	for _, tt := range []struct {
		name               string
		cs, flags, rsp, ss uint64
		want               bool
	}{
		{"kernel", 0x10, 0x50202, at + 0x190, 0x18, true},
		{"kernel, no ss", 0x10, 0x202, at + 0x190, 0, true},
		{"user", 0x33, 0x246, 0x3e0d5fe8f8, 0x2b, true},
		{"zeros", 0, 0, 0, 0, false},
		{"user's cs, kernel's ss", 0x33, 0x246, 0x3e0d5fe8f8, 0x18, false},
		{"flags without bit 1", 0x10, 0x50200, at + 0x190, 0x18, false},
		{"crooked rsp", 0x10, 0x50202, at + 0x191, 0x18, false},
	} {
		d.Stack.Contents = []lab.Block{lab.Words(at+0x168, pc, tt.cs, tt.flags, tt.rsp, tt.ss)}
		f, ok := open(t, d).FindTrapFrame(mem.VA(pc))
		if ok != tt.want || ok && f.Address != mem.VA(at) {
			t.Errorf("%s: FindTrapFrame = %v, %v; want %v", tt.name, f.Address, ok, tt.want)
		}
	}
}
