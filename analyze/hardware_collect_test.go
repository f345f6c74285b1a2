package analyze

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"bugcheck/disasm"
	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/symbols"
)

// whole plays a fault of the lab and opens its dump.
func whole(t *testing.T, kind, arch, flip string) (*lab.Crash, *kernel.Machine) {
	t.Helper()
	return changed(t, kind, arch, flip, nil)
}

// changed is whole of a machine that was changed before.
func changed(t *testing.T, kind, arch, flip string, change func(*lab.Crash)) (*lab.Crash, *kernel.Machine) {
	t.Helper()
	c, err := lab.Play(kind, lab.Options{Arch: arch, Build: 26100, Memory: 1 << 30, Flip: flip})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(c)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "MEMORY.DMP"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := c.Write(file, "kernel"); err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	d, err := dump.Open(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return c, kernel.Open(d)
}

// faultOn is a collection of a fault with these registers.
func faultOn(m *kernel.Machine, target uint64, registers ...report.Register) *collection {
	c := &collection{m: m, registers: registers}
	c.facts = Facts{Arch: string(m.Arch), Whole: true, Context: Context{Fault: true},
		Exception: &Exception{Code: statusAccessViolation, Access: "read", Target: &target}}
	return c
}

func pc(m *kernel.Machine, v uint64) report.Register {
	if m.Arch == dump.ARM64 {
		return report.Register{Name: "pc", Value: v}
	}
	return report.Register{Name: "rip", Value: v}
}

func sp(m *kernel.Machine, v uint64) report.Register {
	if m.Arch == dump.ARM64 {
		return report.Register{Name: "sp", Value: v}
	}
	return report.Register{Name: "rsp", Value: v}
}

func TestCollectLanding(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		crash, m := whole(t, "receive-ring", arch, "")
		code := crash.Parameters[3] // mov rax,[rsi+8] has 4 bytes, as all of ARM64's have
		low, _, ok := m.StackLimits()
		if !ok {
			t.Fatal("no stack")
		}
		ring := crash.Blocks("LnRx")[0]
		for _, tt := range []struct {
			name string
			at   uint64
			want string
		}{
			{"code", code, ""},
			{"the next instruction", code + 4, ""},
			{"inside of it", code + 2, LandingInside},
			{"a stack", uint64(low) + 0x100, LandingStack},
			{"pool", ring + 0x10, LandingPool},
			{"data of the kernel", crash.Symbol("KdDebuggerDataBlock"), LandingData},
			{"nothing", 0xffffb40000001001, LandingNowhere},
		} {
			c := faultOn(m, 0, pc(m, tt.at), sp(m, uint64(low)+0x800))
			c.collectLanding()
			got := ""
			if l := c.facts.Landing; l != nil {
				got = l.Kind
			}
			if got != tt.want {
				t.Errorf("%s, %s at %#x: %q, want %q", arch, tt.name, tt.at, got, tt.want)
			}
		}
	}
}

// A return takes its address from below the stack pointer, or from lr.
func TestCollectLanding_Return(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		crash, m := whole(t, "receive-ring", arch, "")
		ring := crash.Blocks("LnRx")[0] + 0x10
		at, slot := ring, crash.Crashed.Thread.StackBase-0x800
		for arch == "x64" { // two words that differ
			at, _ = crash.Word(slot)
			if next, _ := crash.Word(slot + 8); next != at {
				break
			}
			slot += 8
		}
		for _, by := range []string{"", LandingReturn} {
			regs := report.Registers{pc(m, at), sp(m, slot+16)}
			if by != "" {
				regs = report.Registers{pc(m, at), sp(m, slot+8), {Name: "lr", Value: at}}
			}
			c := faultOn(m, 0, regs...)
			l := Landing{Address: at, Kind: LandingNowhere}
			c.cameBy(&l)
			if l.By != by {
				t.Errorf("%s: by %q, want %q", arch, l.By, by)
			}
		}
	}
}

func TestInstructionAt(t *testing.T) {
	// push rbx; sub rsp, 20h; mov rax, [rsi+8]; a byte that x64 does not have; nop
	code := []byte{0x53, 0x48, 0x83, 0xec, 0x20, 0x48, 0x8b, 0x46, 0x08, 0x06, 0x90}
	for offset, want := range []int{0, 1, 1, 1, 1, 5, 5, 5, 5, -1, -1, -1} {
		got, ok := instructionAt("x64", code, offset)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("offset %d: the instruction begins at %d, want %d", offset, got, want)
		}
	}
}

func TestCollectOneBits_Pointer(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		crash, m := whole(t, "receive-ring", arch, lab.FlipPTE) // both buffers are there
		first := crash.Blocks("LnRx")[0]
		code := crash.Parameters[3]
		for _, tt := range []struct {
			name   string
			target uint64
			want   int // -1: none
		}{
			{"a block of pool", first ^ 1<<45, 45},
			{"a block of pool, not canonical", first ^ 1<<52, 52},
			{"the lowest bit that counts", first ^ 1<<lowestBit, lowestBit},
			{"a lower bit: software does that too", first ^ 1<<(lowestBit-1), -1},
			{"bit 63: software marks pointers there", first ^ 1<<63, -1},
			{"code", code ^ 1<<40, 40},
			{"two bits", first ^ 3<<45, -1},
			{"memory that is there", first, -1},
			{"a null pointer", 8, -1},
			{"a program's address", 0x1d412345678, -1},
			{"letters", 0x4141414141414141, -1},
			{"a small negative number", ^uint64(0) - 0x17, -1},
		} {
			c := faultOn(m, tt.target, pc(m, code), sp(m, crash.Crashed.Thread.StackBase-0x800))
			c.collectOneBits()
			got := -1
			for _, b := range c.facts.OneBits {
				if b.Kind == OneBitPointer {
					got = b.Bit
				}
			}
			if got != tt.want {
				t.Errorf("%s, %s (%#x): bit %d, want %d", arch, tt.name, tt.target, got, tt.want)
			}
		}
	}
}

// The pointer that was wrong is found where it was read from, not the good ones beside it.
func TestCollectOneBits_Holder(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		crash, m := whole(t, "receive-ring", arch, lab.FlipPointer)
		first := crash.Blocks("LnRx")[0]
		wrong := crash.Parameters[0] - 8
		for _, tt := range []struct {
			name  string
			value uint64 // of the register that the instruction goes through
			want  uint64
		}{{"the wrong register", wrong, first}, {"another", first + 0x800000, 0}} {
			c := faultOn(m, crash.Parameters[0], pc(m, crash.Parameters[3]), report.Register{Name: "rbx", Value: first})
			c.facts.Instruction = &Instruction{Memory: []Operand{{Known: true, Value: tt.value}}}
			c.collectOneBits()
			if len(c.facts.OneBits) != 1 || c.facts.OneBits[0].At != tt.want {
				t.Errorf("%s, %s: %+v, want it at %#x", arch, tt.name, c.facts.OneBits, tt.want)
			}
		}
	}
}

// What stands beside a good pointer in a register is enough where the memory is not in the
// dump: of a small one.
func TestCollectOneBits_Beside(t *testing.T) {
	crash, m := whole(t, "receive-ring", "x64", "")
	const gone = 0xffffb30d12345000
	for _, tt := range []struct {
		name string
		held uint64
		want bool
	}{
		{"beside", gone + 0x4000, true},
		{"itself", gone, true},
		{"far away", gone + 0x100000, false},
	} {
		c := faultOn(m, gone^1<<45, pc(m, crash.Parameters[3]), sp(m, crash.Crashed.Thread.StackBase-0x100), report.Register{Name: "rbx", Value: tt.held})
		c.collectOneBits()
		if got := len(c.facts.OneBits) == 1 && c.facts.OneBits[0].Bit == 45; got != tt.want {
			t.Errorf("%s: %v", tt.name, c.facts.OneBits)
		}
	}
}

// Memory that is paged out would be there: an address of it is no wrong one.
func TestCollectOneBits_PagedOut(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		var bad uint64
		crash, m := changed(t, "receive-ring", arch, lab.FlipPTE, func(c *lab.Crash) {
			good := c.Blocks("LnRx")[0]
			bad = good ^ 1<<45
			if err := c.Space.Map(bad, 0x1000, 0); err != nil {
				t.Fatal(err)
			}
			entry, err := c.Space.PTE(bad)
			if err != nil {
				t.Fatal(err)
			}
			entry.Set(0x12345<<32 | 4<<5 | 4<<1)
		})
		c := faultOn(m, bad, pc(m, crash.Parameters[3]))
		c.collectOneBits()
		if len(c.facts.OneBits) > 0 {
			t.Errorf("%s: %+v", arch, c.facts.OneBits)
		}
	}
}

// Bad pointers of other kinds must not look like hardware: addresses in the kernel's half
// by chance, past the end of pool, into memory that was freed.
func TestCollectOneBits_Chance(t *testing.T) {
	crash, m := whole(t, "leak-nonpaged", "x64", "")
	blocks := crash.Blocks("Leak")
	r := rand.New(rand.NewPCG(1, 26100))
	found := 0
	for i := range 3000 {
		target := 0xffff800000000000 | r.Uint64()>>17
		switch i % 3 {
		case 1:
			target = blocks[r.IntN(len(blocks))] + r.Uint64()>>(28+r.IntN(20))
		case 2:
			target = blocks[r.IntN(len(blocks))] - r.Uint64()>>(28+r.IntN(20))
		}
		c := faultOn(m, target, pc(m, crash.Parameters[3]), sp(m, crash.Crashed.Thread.StackBase-0x800), report.Register{Name: "rbx", Value: blocks[0]})
		c.collectOneBits()
		found += len(c.facts.OneBits)
	}
	if found > 3 {
		t.Errorf("%d of 3000 bad pointers look as if one bit were wrong", found)
	}
	t.Logf("%d of 3000", found)
}

func TestCollectOneBits_Entry(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		for i, tt := range []struct {
			name, flip string
			change     func(entry uint64) uint64
			want       int
		}{
			{"valid", lab.FlipPTE, nil, 0},
			{"no page", "", nil, -1},
			{"the address is wrong, not the entry", lab.FlipPointer, nil, -1},
			{"a page that was made invalid to forbid its use", lab.FlipPTE, func(e uint64) uint64 { return noAccess(arch, e) }, -1},
			{"the number of the page", lab.FlipPTE, func(e uint64) uint64 { return e ^ 1 ^ 1<<33 }, 33},
			{"the number of the page, over what there can be", lab.FlipPTE, func(e uint64) uint64 { return e ^ 1 ^ 1<<46 }, 46},
			{"two bits", lab.FlipPTE, func(e uint64) uint64 { return e ^ 1 ^ 3<<33 }, -1},
			{"all of it", lab.FlipPTE, func(uint64) uint64 { return 0x2000000000 }, 37},
			{"a page that was never used", lab.FlipPTE, func(uint64) uint64 { return 4 << 5 }, -1},
		} {
			if arch == "arm64" && i > 3 {
				break // the rest is the same
			}
			crash, m := changed(t, "receive-ring", arch, tt.flip, func(c *lab.Crash) {
				if tt.change == nil {
					return
				}
				entry, err := c.Space.PTE(c.Parameters[0])
				if err != nil {
					t.Fatal(err)
				}
				entry.Set(tt.change(entry.Get()))
			})
			c := faultOn(m, crash.Parameters[0], pc(m, crash.Parameters[3]))
			c.wrongEntry(crash.Parameters[0])
			got := -1
			for _, b := range c.facts.OneBits {
				got = b.Bit
			}
			if got != tt.want {
				t.Errorf("%s, %s: bit %d, want %d", arch, tt.name, got, tt.want)
			}
		}
	}
}

// noAccess is what MmProtectMdlSystemAddress makes of an entry with PAGE_NOACCESS: a
// transition entry (bit 11) with protection 24, whose page is in use all the same.
func noAccess(arch string, entry uint64) uint64 {
	page := entry & 0x0000fffffffff000
	if arch == "arm64" {
		return page | 24<<1 | 1<<11
	}
	return page | 24<<5 | 1<<11
}

// No page that is mapped looks as if a bit of its entry were wrong.
func TestCollectOneBits_SoundEntries(t *testing.T) {
	crash, m := whole(t, "high-irql-kernel", "x64", "")
	n := 0
	for _, va := range append(crash.Blocks("LnRx"), crash.Symbol("NtReadFile"), crash.Symbol("KdDebuggerDataBlock"), crash.Crashed.Address, crash.Crashed.Thread.Address) {
		for page := va &^ 0xfff; page < va+0x40000; page += 0x1000 {
			c := faultOn(m, page)
			c.wrongEntry(page)
			if len(c.facts.OneBits) > 0 {
				t.Errorf("page %#x: %+v", page, c.facts.OneBits)
			}
			n++
		}
	}
	if n < 100 {
		t.Errorf("%d pages", n)
	}
}

func TestCollectOneBits_Link(t *testing.T) {
	crash, m := whole(t, "receive-ring", "x64", "")
	entry := mem.VA(crash.Processes[2].Address)
	off, ok := crash.Field("_EPROCESS", "ActiveProcessLinks")
	if !ok {
		t.Fatal("no such field")
	}
	entry += mem.VA(off)
	next, err := mem.ReadU64(m.Memory, entry)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		to   uint64
		want int
	}{{next, -1}, {next ^ 1<<44, 44}, {next ^ 1<<30, 30}, {next ^ 1<<50, 50}, {next ^ 5<<44, -1}, {0, -1}} {
		c := faultOn(m, 0)
		c.wrongLink(entry, 0, tt.to)
		got := -1
		for _, b := range c.facts.OneBits {
			got = b.Bit
		}
		if got != tt.want {
			t.Errorf("a link to %#x instead of %#x: bit %d, want %d", tt.to, next, got, tt.want)
		}
	}
}

// A trap frame of an earlier fault at the same instruction says nothing of this one.
func TestDecodeFault_OtherFault(t *testing.T) {
	crash, m := whole(t, "receive-ring", "x64", "")
	c := faultOn(m, crash.Parameters[0], pc(m, crash.Parameters[3]), report.Register{Name: "rsi", Value: 0x1000})
	c.onlyPC = true
	if c.decodeFault(); c.facts.Instruction == nil || c.facts.Instruction.Plain {
		t.Errorf("by an instruction pointer alone: %+v", c.facts.Instruction)
	}
	c.onlyPC = false
	for _, tt := range []struct {
		trap kernel.TrapFrame
		want string
	}{
		{kernel.TrapFrame{Address: 0x1000, FaultAddress: crash.Parameters[0]}, followsNo},
		{kernel.TrapFrame{Address: 0x1000, FaultAddress: 0x1008}, followsUnknown},
	} {
		c.trap = tt.trap
		c.decodeFault()
		if c.facts.Instruction == nil {
			t.Fatal("no instruction")
		}
		if got := follows(&c.facts); got != tt.want {
			t.Errorf("fault at %#x: follows %q, want %q", tt.trap.FaultAddress, got, tt.want)
		}
	}
}

func TestPlain(t *testing.T) {
	for _, tt := range []struct {
		code []byte
		want bool
	}{
		{[]byte{0x48, 0x8b, 0x46, 0x08}, true},                   // mov rax,[rsi+8]
		{[]byte{0x0f, 0xb6, 0x01}, true},                         // movzx eax, byte ptr [rcx]
		{[]byte{0x0f, 0x44, 0xc1}, true},                         // cmove eax,ecx
		{[]byte{0x74, 0x10}, true},                               // je
		{[]byte{0xe8, 0, 0, 0, 0}, true},                         // call of a target
		{[]byte{0xff, 0xd0}, false},                              // call rax: the target may be bad
		{[]byte{0xff, 0xe0}, false},                              // jmp rax
		{[]byte{0xc3}, false},                                    // ret
		{[]byte{0x8e, 0xd8}, false},                              // mov ds,ax loads a descriptor
		{[]byte{0x0f, 0x22, 0xd8}, false},                        // mov cr3,rax
		{[]byte{0xf3, 0xa4}, false},                              // rep movsb
		{[]byte{0x0f, 0x28, 0x01}, false},                        // movaps wants alignment
		{[]byte{0x0f, 0x30}, false},                              // wrmsr
		{[]byte{0xf7, 0xf1}, false},                              // div ecx fails otherwise too
		{[]byte{0x66, 0x0f, 0x6f, 0x00}, false},                  // movdqa
		{[]byte{0xf0, 0x48, 0x0f, 0xc7, 0x0e}, false},            // cmpxchg16b
		{[]byte{0x65, 0x48, 0x8b, 0x04, 0x25, 8, 0, 0, 0}, true}, // mov rax, gs:[8]: its operand is not known
	} {
		if got := plain("x64", decoded(t, "x64", tt.code)); got != tt.want {
			t.Errorf("% x: %v", tt.code, got)
		}
	}
	for _, tt := range []struct {
		code []byte
		want bool
	}{
		{[]byte{0x89, 0x06, 0x40, 0xf9}, true},  // ldr x9,[x20,#8]
		{[]byte{0xa0, 0x02, 0x1f, 0xd6}, false}, // br x21
		{[]byte{0xc0, 0x03, 0x5f, 0xd6}, false}, // ret
		{[]byte{0x00, 0x00, 0xc0, 0x3d}, false}, // ldr q0,[x0]
	} {
		if got := plain("arm64", decoded(t, "arm64", tt.code)); got != tt.want {
			t.Errorf("% x: %v", tt.code, got)
		}
	}
}

func decoded(t *testing.T, arch string, code []byte) disasm.Instruction {
	t.Helper()
	in, err := disasm.Decode(arch, code, 0xfffff80317091020)
	if err != nil {
		t.Fatalf("% x: %v", code, err)
	}
	return in
}

// On the stack of the function that failed, its callers are those of code that was entered
// as it should be; on another place of the stack they are not. ARM64 is not unwound from
// where no instruction can begin.
func TestCollectLanding_Entered(t *testing.T) {
	crash, m := whole(t, "receive-ring", "x64", "")
	at, err := strconv.ParseUint(crash.Truth.Stack[0].StackPointer, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		sp   uint64
		want bool
	}{{at, true}, {at + 0x20, false}} {
		c := faultOn(m, 0, pc(m, crash.Parameters[3]+2), sp(m, tt.sp))
		c.walk()
		c.collectLanding()
		if l := c.facts.Landing; l == nil || l.Kind != LandingInside || l.Entered != tt.want {
			t.Errorf("sp %#x: %+v", tt.sp, l)
		}
	}
}

// Code that was patched in memory has other instructions than its image: an address where
// one of them begins is sound.
func TestCollectLanding_Patched(t *testing.T) {
	for _, patched := range []bool{false, true} {
		crash, m := changed(t, "receive-ring", "x64", "", func(c *lab.Crash) {
			if patched { // mov rax,[rsi+8] becomes four instructions
				if err := c.Space.Write(c.Parameters[3], []byte{0x90, 0x90, 0x90, 0x90}); err != nil {
					t.Fatal(err)
				}
			}
		})
		dir := t.TempDir()
		if err := crash.WriteSymbols(dir); err != nil {
			t.Fatal(err)
		}
		finder, err := symbols.Open(symbols.Options{Path: dir, Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		m = kernel.OpenWith(t.Context(), m.File, finder)
		t.Cleanup(finder.Close)
		c := faultOn(m, 0, pc(m, crash.Parameters[3]+2), sp(m, crash.Crashed.Thread.StackBase-0x800))
		c.collectLanding()
		if inside := c.facts.Landing != nil; inside == patched {
			t.Errorf("patched %v: %+v", patched, c.facts.Landing)
		}
	}
}
