package kernel

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
)

// TrapFrame is a KTRAP_FRAME: the registers that a fault saved, some of them.
type TrapFrame struct {
	Address      mem.VA
	Size         uint64 // bytes, of what a trap from the kernel leaves
	Registers    report.Registers
	FaultAddress uint64 // zero on x86, whose frame does not hold it
	ErrorCode    uint64 // on ARM64 ESR_EL1
	FromUser     bool   // the fault came from user mode
}

// trapLayout says where an architecture's KTRAP_FRAME holds what.
type trapLayout struct {
	size     int // bytes; on x86 of what a trap from the kernel leaves
	fields   []field
	pc       int
	fault    int // -1: not in it
	error    int
	fromUser func(b []byte) bool
	// plausible checks what the processor itself stored; at is the frame's address.
	plausible func(b []byte, at mem.VA) bool
}

// dt nt!_KTRAP_FRAME; the layouts of x64 are the same from 7601 to 26100, of x86
// from 2600 to 19041, of ARM64 from 22000 to 26100.
var trapLayouts = map[dump.Arch]trapLayout{
	dump.X64: {
		size: 0x190, pc: 0x168, fault: 0xd0, error: 0x160,
		// A page-fault trap frame does not save rbx, rsi, rdi and r12 to r15: they
		// are left out, so that nobody takes the stale words there for registers.
		fields: []field{
			{"rax", 0x30}, {"rcx", 0x38}, {"rdx", 0x40}, {"rip", 0x168}, {"rsp", 0x180}, {"rbp", 0x158},
			{"r8", 0x48}, {"r9", 0x50}, {"r10", 0x58}, {"r11", 0x60},
		},
		fromUser:  func(b []byte) bool { return le.U16(b, 0x170)&3 == 3 },
		plausible: plausibleX64,
	},
	dump.X86: {
		size: 0x74, pc: 0x68, fault: -1, error: 0x64,
		fields: []field{
			{"ebx", 0x5c}, {"esi", 0x58}, {"edi", 0x54}, {"eip", 0x68}, {"ebp", 0x60},
		},
		fromUser:  func(b []byte) bool { return le.U16(b, 0x6c)&3 == 3 },
		plausible: plausibleX86,
	},
	dump.ARM64: {
		size: 0x150, pc: 0x148, fault: 8, error: 0x94,
		fields:    arm64TrapFields(), // x19 to x28 are not saved
		fromUser:  func(b []byte) bool { return le.U32(b, 0x90)&spsrMode == 0 },
		plausible: plausibleARM64,
	},
}

func arm64TrapFields() []field {
	fields := make([]field, 0, 23)
	for i := range 19 {
		fields = append(fields, field{fmt.Sprintf("x%d", i), 0xa0 + 8*i})
	}
	return append(fields, field{"fp", 0x140}, field{"lr", 0x138}, field{"sp", 0x98}, field{"pc", 0x148})
}

// TrapFrameAt reads a KTRAP_FRAME.
func (m *Machine) TrapFrameAt(va mem.VA) (TrapFrame, error) {
	b, err := mem.Read(m.Memory, va, trapLayouts[m.Arch].size)
	if err != nil {
		return TrapFrame{}, fmt.Errorf("trap frame at %v: %w", va, err)
	}
	return m.trapFrame(b, va), nil
}

func (m *Machine) trapFrame(b []byte, va mem.VA) TrapFrame {
	l := trapLayouts[m.Arch]
	t := TrapFrame{
		Address: va, Size: uint64(l.size), Registers: m.decode(b, l.fields), FromUser: l.fromUser(b),
		ErrorCode: uint64(le.U32(b, l.error)),
	}
	switch m.Arch {
	case dump.X64:
		t.ErrorCode = le.U64(b, l.error)
		t.Registers = append(t.Registers, report.Register{Name: "efl", Value: uint64(le.U32(b, 0x178))})
	case dump.X86:
		t.Registers = append(m.decode(b, volatileX86(b)), t.Registers...)
		t.Registers = append(t.Registers, report.Register{Name: "esp", Value: m.trapESP(va, t.FromUser)},
			report.Register{Name: "efl", Value: uint64(le.U32(b, 0x70))})
	}
	if l.fault >= 0 {
		t.FaultAddress = le.U64(b, l.fault)
	}
	return t
}

// Restored adds to the trap frame of a fault the registers that it does not save,
// where unwinding leads from the header's registers, which stand in KeBugCheckEx, to
// the frame without a guess: the functions between them have saved what they changed.
func (m *Machine) Restored(t TrapFrame) TrapFrame {
	callers, _ := m.walker(nil).Walk(m.unwindRegisters(m.HeaderRegisters()))
	pc, _ := t.Registers.PC()
	sp, _ := t.Registers.SP()
	for i, f := range callers {
		if i > 0 && f.Trust != report.TrustUnwind {
			return t
		}
		if f.MachineFrame == 0 || uint64(f.PC) != pc || uint64(f.SP) != sp {
			continue
		}
		for _, r := range f.Registers.Report() {
			if _, saved := t.Registers.Get(r.Name); !saved {
				t.Registers = append(t.Registers, r)
			}
		}
		return t
	}
	return t
}

// selectorX86 is ds and es of x86 Windows, in the kernel too.
const selectorX86 = 0x23

// volatileX86 finds edx, ecx and eax behind the segment registers es and ds, which
// stand 4 bytes higher up to Windows 7, where DbgArgPointer comes before them. Nil
// where neither place holds the selectors.
func volatileX86(b []byte) []field {
	for _, es := range []int{0x30, 0x34} {
		if le.U16(b, es) == selectorX86 && le.U16(b, es+4) == selectorX86 {
			return []field{{"eax", es + 16}, {"ecx", es + 12}, {"edx", es + 8}}
		}
	}
	return nil
}

// trapESP is the stack pointer of x86 code that trapped. A trap from the kernel
// pushes no esp: the frame lies on the same stack, and ends where it stood. From
// user mode HardwareEsp follows.
func (m *Machine) trapESP(va mem.VA, fromUser bool) uint64 {
	end := va + mem.VA(trapLayouts[dump.X86].size)
	if !fromUser {
		return uint64(end)
	}
	esp, _ := mem.ReadU32(m.Memory, end)
	return uint64(esp)
}

// FindTrapFrame looks in the captured stack for the KTRAP_FRAME of a fault at
// pc: pc at its place, and beside it what the processor stores with it. False if
// there is none.
func (m *Machine) FindTrapFrame(pc mem.VA) (TrapFrame, bool) {
	l := trapLayouts[m.Arch]
	if pc == 0 {
		return TrapFrame{}, false
	}
	for _, part := range m.stackParts() {
		for at := 0; at+l.size <= len(part.b); at += m.Arch.PointerSize() {
			frame, va := part.b[at:at+l.size], part.start+mem.VA(at)
			if there := field64(frame, l.pc, m.Arch); *there == uint64(pc) && l.plausible(frame, va) {
				return m.trapFrame(frame, va), true
			}
		}
	}
	return TrapFrame{}, false
}

// plausibleX64 checks the selectors that x64 Windows runs with (0x10 with 0x18 or 0
// in the kernel, 0x33 with 0x2b in user mode) and the flag bit that is always set.
func plausibleX64(b []byte, _ mem.VA) bool {
	cs, ss, flags := le.U16(b, 0x170), le.U16(b, 0x188), le.U32(b, 0x178)
	kernelCS := cs == 0x10 && (ss == 0x18 || ss == 0)
	return (kernelCS || cs == 0x33 && ss == 0x2b) && flags&2 != 0 && le.U64(b, 0x180)%8 == 0
}

// plausibleX86 checks the same of x86 Windows: cs is 8 in the kernel, 0x1b in user
// mode.
func plausibleX86(b []byte, _ mem.VA) bool {
	cs := le.U16(b, 0x6c)
	return (cs == 8 || cs == 0x1b) && le.U32(b, 0x70)&2 != 0
}

// maxStack is the size of the largest kernel stacks, bytes, generously: 72 KiB
// when expanded.
const maxStack = 256 << 10

// spsrMode are the bits of SPSR_EL1 that say where the exception came from: 0 is
// user mode (EL0t), 4 and 5 are the kernel (EL1t, EL1h); bit 4 would be AArch32.
const spsrMode = 0x1f

// plausibleARM64 checks the mode, that pc and sp are aligned as the processor
// demands, and that a frame of the kernel's lies on the stack that sp is on.
func plausibleARM64(b []byte, at mem.VA) bool {
	mode, sp := le.U32(b, 0x90)&spsrMode, mem.VA(le.U64(b, 0x98))
	if le.U64(b, 0x148)%4 != 0 {
		return false
	}
	switch mode {
	case 0:
		return sp%16 == 0 && sp != 0
	case 4, 5:
		return sp%16 == 0 && sp > at && sp-at < maxStack
	}
	return false
}
