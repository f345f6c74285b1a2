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

// decodeContext decodes the CONTEXT that b begins with; nil if b is shorter.
func (m *Machine) decodeContext(b []byte) report.Registers {
	fields, size := m.contextFields()
	if len(b) < size {
		return nil
	}
	regs := m.decode(b, fields)
	if m.Arch == dump.X64 {
		regs = append(regs, report.Register{Name: "efl", Value: uint64(le.U32(b, 0x44))})
	}
	return regs
}

// HeaderRegisters are those of the dump header's CONTEXT: the processor inside
// KeBugCheckEx. Nil if the header is cut.
func (m *Machine) HeaderRegisters() report.Registers { return m.decodeContext(m.Context) }

// ContextAt reads a CONTEXT from memory.
func (m *Machine) ContextAt(va mem.VA) (report.Registers, error) {
	_, size := m.contextFields()
	b, err := mem.Read(m.Memory, va, size)
	if err != nil {
		return nil, fmt.Errorf("context at %v: %w", va, err)
	}
	return m.decodeContext(b), nil
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
