package kernel

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
)

// field is a register and where it stands in a structure.
type field struct {
	name string
	off  int
}

// Where the registers stand in a CONTEXT (winnt.h), in the order of the
// debugger's r command.
var (
	contextX64 = []field{
		{"rax", 0x78}, {"rbx", 0x90}, {"rcx", 0x80}, {"rdx", 0x88}, {"rsi", 0xa8}, {"rdi", 0xb0},
		{"rip", 0xf8}, {"rsp", 0x98}, {"rbp", 0xa0}, {"r8", 0xb8}, {"r9", 0xc0}, {"r10", 0xc8}, {"r11", 0xd0},
		{"r12", 0xd8}, {"r13", 0xe0}, {"r14", 0xe8}, {"r15", 0xf0},
	}
	contextX86 = []field{
		{"eax", 0xb0}, {"ebx", 0xa4}, {"ecx", 0xac}, {"edx", 0xa8}, {"esi", 0xa0}, {"edi", 0x9c},
		{"eip", 0xb8}, {"esp", 0xc4}, {"ebp", 0xb4}, {"efl", 0xc0},
	}
	contextARM64 = arm64Fields()
	// A page-fault trap frame does not save rbx, rsi, rdi and r12 to r15: they
	// are left out, so that nobody takes the stale words there for registers.
	trapX64 = []field{
		{"rax", 0x30}, {"rcx", 0x38}, {"rdx", 0x40}, {"rip", 0x168}, {"rsp", 0x180}, {"rbp", 0x158},
		{"r8", 0x48}, {"r9", 0x50}, {"r10", 0x58}, {"r11", 0x60},
	}
)

func arm64Fields() []field {
	fields := make([]field, 0, 33)
	for i := range 29 {
		fields = append(fields, field{fmt.Sprintf("x%d", i), 8 + 8*i})
	}
	return append(fields, field{"fp", 0xf0}, field{"lr", 0xf8}, field{"sp", 0x100}, field{"pc", 0x108})
}

// Sizes in bytes of what is read of the structures.
const (
	contextSizeX64   = 0x100
	contextSizeARM64 = 0x110
	contextSizeX86   = 0xcc
	trapSizeX64      = 0x190 // dt nt!_KTRAP_FRAME, unchanged from 7601 to 26100
)

func (m *Machine) contextFields() ([]field, int) {
	switch m.Arch {
	case dump.ARM64:
		return contextARM64, contextSizeARM64
	case dump.X86:
		return contextX86, contextSizeX86
	}
	return contextX64, contextSizeX64
}

func (m *Machine) decode(b []byte, fields []field) report.Registers {
	regs := make(report.Registers, 0, len(fields)+1)
	for _, f := range fields {
		v := uint64(0)
		if m.Arch == dump.X86 {
			v = uint64(le.U32(b, f.off))
		} else {
			v = le.U64(b, f.off)
		}
		regs = append(regs, report.Register{Name: f.name, Value: v})
	}
	return regs
}

// HeaderRegisters are those of the dump header's CONTEXT: the processor inside
// KeBugCheckEx. Nil if the header is cut.
func (m *Machine) HeaderRegisters() report.Registers {
	fields, size := m.contextFields()
	if len(m.Context) < size {
		return nil
	}
	regs := m.decode(m.Context, fields)
	if m.Arch == dump.X64 {
		regs = append(regs, report.Register{Name: "efl", Value: uint64(le.U32(m.Context, 0x44))})
	}
	return regs
}

// ContextAt reads a CONTEXT from memory.
func (m *Machine) ContextAt(va mem.VA) (report.Registers, error) {
	fields, size := m.contextFields()
	b, err := mem.Read(m.Memory, va, size)
	if err != nil {
		return nil, fmt.Errorf("context at %v: %w", va, err)
	}
	regs := m.decode(b, fields)
	if m.Arch == dump.X64 {
		regs = append(regs, report.Register{Name: "efl", Value: uint64(le.U32(b, 0x44))})
	}
	return regs, nil
}

// ExceptionRecordAt reads an EXCEPTION_RECORD from memory.
func (m *Machine) ExceptionRecordAt(va mem.VA) (*dump.ExceptionRecord, error) {
	size, decode := dump.ExceptionRecord64Size, dump.ExceptionRecord64
	if m.Arch == dump.X86 {
		size, decode = dump.ExceptionRecord32Size, dump.ExceptionRecord32
	}
	b, err := mem.Read(m.Memory, va, size)
	if err != nil {
		return nil, fmt.Errorf("exception record at %v: %w", va, err)
	}
	return decode(b), nil
}

// TrapFrame is a KTRAP_FRAME: the registers that a fault saved, some of them.
type TrapFrame struct {
	Address      mem.VA
	Registers    report.Registers
	FaultAddress uint64
	ErrorCode    uint64
	FromUser     bool // the fault came from user mode
}

// TrapFrameAt reads an x64 KTRAP_FRAME.
func (m *Machine) TrapFrameAt(va mem.VA) (TrapFrame, error) {
	if m.Arch != dump.X64 {
		return TrapFrame{}, fmt.Errorf("trap frame at %v: only x64 trap frames are decoded, this is %s", va, m.Arch)
	}
	b, err := mem.Read(m.Memory, va, trapSizeX64)
	if err != nil {
		return TrapFrame{}, fmt.Errorf("trap frame at %v: %w", va, err)
	}
	return m.trapFrame(b, va), nil
}

func (m *Machine) trapFrame(b []byte, va mem.VA) TrapFrame {
	regs := append(m.decode(b, trapX64), report.Register{Name: "efl", Value: uint64(le.U32(b, 0x178))})
	return TrapFrame{
		Address:      va,
		Registers:    regs,
		FaultAddress: le.U64(b, 0xd0),
		ErrorCode:    le.U64(b, 0x160),
		FromUser:     le.U16(b, 0x170)&3 == 3,
	}
}

// FindTrapFrame looks in the captured stack for the KTRAP_FRAME of a fault at
// pc: the words rip, cs, flags, rsp and ss as the processor pushes them, in a
// stack that reaches up to rsp. False if there is none.
func (m *Machine) FindTrapFrame(pc mem.VA) (TrapFrame, bool) {
	if m.Arch != dump.X64 || pc == 0 {
		return TrapFrame{}, false
	}
	b := m.Blocks.Stack
	for at := 0; at+trapSizeX64 <= len(b); at += 8 {
		frame := b[at : at+trapSizeX64]
		if mem.VA(le.U64(frame, 0x168)) != pc || !isMachineFrame(frame) {
			continue
		}
		return m.trapFrame(frame, m.Blocks.StackTop+mem.VA(at)), true
	}
	return TrapFrame{}, false
}

// isMachineFrame checks the selectors that x64 Windows runs with (0x10/0x18 in
// the kernel, 0x33/0x2b in user mode) and the flag bit that is always set.
func isMachineFrame(b []byte) bool {
	cs, ss, flags := le.U16(b, 0x170), le.U16(b, 0x188), le.U32(b, 0x178)
	kernelCS := cs == 0x10 && (ss == 0x18 || ss == 0)
	return (kernelCS || cs == 0x33 && ss == 0x2b) && flags&2 != 0 && le.U64(b, 0x180)%8 == 0
}
