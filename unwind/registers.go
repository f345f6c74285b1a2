package unwind

import (
	"math/bits"

	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
)

// Registers are the integer registers of one frame, each known or not. The
// zero value of a machine knows none. Registers can be compared.
type Registers struct {
	Machine pe.Machine
	// Returned says that PC is a return address: the call before it has not
	// returned yet. Else the instruction at PC is the next to run.
	Returned bool

	known  uint64 // bit i: v[i] is known
	v      [numRegisters]uint64
	params uint32 // x86: bytes of parameters of the call that has not returned, which lie above esp
}

const numRegisters = 33

// Indexes of x64 registers: the processor's numbers.
const (
	rax = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r8
	r9
	r10
	r11
	r12
	r13
	r14
	r15
	rip
)

// Indexes of ARM64 registers: x0 is 0.
const (
	x18 = 18
	x19 = 19
	fp  = 29
	lr  = 30
	sp  = 31
	pc  = 32
)

// Indexes of x86 registers: the processor's numbers.
const (
	eax = iota
	ecx
	edx
	ebx
	esp
	ebp
	esi
	edi
	eip
)

// What a function preserves for its caller, with the program counter and the
// stack pointer: "x64 ABI conventions", "Overview of ARM64 ABI conventions".
// x18 points to the processor or thread block in Windows, and never changes.
const (
	kept64    = 1<<rbx | 1<<rsp | 1<<rbp | 1<<rsi | 1<<rdi | 0xf<<r12 | 1<<rip
	keptARM64 = 0x7ff<<x18 | 1<<fp | 1<<lr | 1<<sp | 1<<pc
	keptX86   = 1<<ebx | 1<<esp | 1<<ebp | 1<<esi | 1<<edi | 1<<eip
)

// machine is what differs between the machines.
type machine struct {
	names  []string // by index
	order  []int    // indexes in the order of the debugger's r command
	pc, sp int
	kept   uint64
}

var (
	machine64 = machine{
		names: []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"},
		order: []int{rax, rbx, rcx, rdx, rsi, rdi, rip, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15},
		pc:    rip, sp: rsp, kept: kept64,
	}
	machineX86 = machine{
		names: []string{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip"},
		order: []int{eax, ebx, ecx, edx, esi, edi, eip, esp, ebp},
		pc:    eip, sp: esp, kept: keptX86,
	}
	machineARM64 = machine{
		names: []string{"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
			"x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "fp", "lr", "sp", "pc"},
		order: []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, fp, lr, sp, pc},
		pc:    pc, sp: sp, kept: keptARM64,
	}
)

func (r *Registers) machine() *machine {
	switch r.Machine {
	case pe.ARM64:
		return &machineARM64
	case pe.X86:
		return &machineX86
	}
	return &machine64
}

// FromReport takes the registers of a report; those that unwinding does not
// know, such as efl, are dropped. PC is the next instruction to run.
func FromReport(m pe.Machine, from report.Registers) Registers {
	r := Registers{Machine: m}
	for _, reg := range from {
		r.Set(reg.Name, reg.Value)
	}
	return r
}

// Report lists the known registers in the order of the debugger's r command.
func (r Registers) Report() report.Registers {
	m := r.machine()
	var list report.Registers
	for _, i := range m.order {
		if v, ok := r.get(i); ok {
			list = append(list, report.Register{Name: m.names[i], Value: v})
		}
	}
	return list
}

func (r *Registers) index(name string) int {
	for i, n := range r.machine().names {
		if n == name {
			return i
		}
	}
	return -1
}

// Get returns a register by the name that a report gives it (rax, x19, ebp),
// and whether it is known.
func (r Registers) Get(name string) (uint64, bool) {
	if i := r.index(name); i >= 0 {
		return r.get(i)
	}
	return 0, false
}

// Set makes a register known; a name that the machine does not have is ignored.
func (r *Registers) Set(name string, value uint64) {
	if i := r.index(name); i >= 0 {
		r.set(i, value)
	}
}

// PC is the instruction pointer; zero if it is not known.
func (r Registers) PC() mem.VA { return mem.VA(r.v[r.machine().pc]) }

// SP is the stack pointer; zero if it is not known.
func (r Registers) SP() mem.VA { return mem.VA(r.v[r.machine().sp]) }

func (r *Registers) get(i int) (uint64, bool) { return r.v[i], r.known>>i&1 != 0 }

func (r *Registers) set(i int, v uint64) {
	if r.Machine == pe.X86 {
		v &= 0xffffffff
	}
	r.v[i], r.known = v, r.known|1<<i
}

// forget keeps the registers in mask.
func (r *Registers) forget(mask uint64) {
	for lost := r.known &^ mask; lost != 0; lost &= lost - 1 {
		r.v[bits.TrailingZeros64(lost)] = 0
	}
	r.known &= mask
}

// restore reads a register from memory; it is not known where that is missing.
func (r *Registers) restore(w *Walker, i int, va mem.VA) {
	v, err := w.u64(va)
	if err != nil {
		r.v[i], r.known = 0, r.known&^(1<<i)
		return
	}
	r.set(i, v)
}
