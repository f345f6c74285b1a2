// Package unwind turns registers, a stack and unwind tables into frames.
//
// One step is a function of the registers, the memory and the tables of the
// image that the instruction pointer lies in: UNWIND_INFO on x64, .pdata and
// .xdata on ARM64, the frame data of the PDB on x86. A walk takes steps, and
// says of each frame how it was found: where a table or an image is missing it
// follows frame pointers (ARM64, x86), or looks for a word on the stack that
// could be a return address.
//
// It does not know names, nor what a KTRAP_FRAME holds beyond what unwind codes
// say, nor vector registers. Sources: "x64 exception handling" and "ARM64
// exception handling" in Microsoft's documentation, winnt.h, cvinfo.h; for what
// those leave open the unwinder of .NET (github.com/dotnet/runtime,
// src/coreclr/unwinder), which is Windows' own. Layouts: docs/formats/unwind.md.
package unwind

import (
	"errors"
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pdb"
	"bugcheck/pe"
)

// Range is a part of the address space: a stack. End is behind its last byte.
type Range struct {
	Start, End mem.VA
}

func (r Range) contains(va mem.VA) bool { return va >= r.Start && va < r.End }

// FrameTables is what the symbol file of an x86 image says of its frames, by an
// RVA; false if it says nothing.
type FrameTables interface {
	FrameData(rva uint32) (pdb.FrameData, bool)
	FPO(rva uint32) (pdb.FPO, bool)
}

// Module is the driver or program that an address lies in.
type Module struct {
	Base   mem.VA
	Image  *pe.File    // nil: not had
	Frames FrameTables // x86; nil: not had
}

// Walker finds callers. It keeps what it has decoded of tables, so that one
// Walker should serve all walks of a machine; it is not safe for concurrent use.
type Walker struct {
	// Stack is the memory of the crashed machine: the stacks, and the code that
	// no image has.
	Stack mem.Reader
	// Modules finds the module that an address lies in.
	Modules func(pc mem.VA) (Module, bool)
	// Plausible reports whether a word could be a return address. Nil: the walk
	// does not scan, and takes any link of a chain of frame pointers that lies
	// in a module.
	Plausible func(ret mem.VA) bool
	// Stacks are those that the stack pointer may move to without rising: the
	// stacks of the thread, of DPCs, interrupts and double faults. A scan ends
	// where the stack does that it began in.
	Stacks []Range

	cache  map[mem.VA]*function
	window window
	frames []Frame // those of the walk, in room that is used again
}

// window is the part of the stack that was read last: frames lie side by side.
type window struct {
	at mem.VA
	n  int // bytes that are there
	b  [windowSize]byte
}

const windowSize = 512

// u64 reads a word of the stack.
func (w *Walker) u64(va mem.VA) (uint64, error) {
	n := &w.window
	if va < n.at || va-n.at+8 > mem.VA(n.n) {
		n.at = va
		if n.n, _ = w.Stack.ReadAt(n.b[:], va); n.n < 8 {
			n.n = 0
			return mem.ReadU64(w.Stack, va) // for its error
		}
	}
	return le.U64(n.b[:], int(va-n.at)), nil
}

// Why a step fails; each may be wrapped. A stack that cannot be read is a
// *mem.Fault, a table that cannot be read a *pe.Fault.
var (
	ErrNoImage = errors.New("its image is not here")
	ErrNoTable = errors.New("no unwind data describes it")
	ErrFormat  = errors.New("its unwind data is not valid")
	ErrUnknown = errors.New("a register that is needed is not known")
	ErrStack   = errors.New("the stack pointer does not rise")
	ErrZero    = errors.New("its return address, amid the stack, is zero")
)

// StepError says from which function no step led to its caller, and why.
type StepError struct {
	PC  mem.VA
	Err error
}

func (e *StepError) Error() string { return fmt.Sprintf("function at %v: %v", e.PC, e.Err) }

// Unwrap returns the reason.
func (e *StepError) Unwrap() error { return e.Err }

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrFormat)...)
}

// function is the unwind data of one address. The fields that are not of the
// module's machine are zero.
type function struct {
	module Module
	mapped bool // module is known
	entry  pe.Function
	found  bool // entry is known: the address is in no leaf function
	x64    *info64
	arm64  *infoARM64
	err    error
}

// Addresses whose unwind data a Walker keeps: some 10,000 are met on all the
// stacks of a large machine.
const maxCached = 1 << 16

// function finds the unwind data for pc: of a return address, for the call
// before it.
func (w *Walker) function(pc mem.VA) *function {
	if fn, ok := w.cache[pc]; ok {
		return fn
	}
	fn := &function{}
	if fn.module, fn.mapped = w.module(pc); fn.mapped {
		fn.err = fn.load(pc)
	}
	if w.cache == nil || len(w.cache) >= maxCached {
		w.cache = map[mem.VA]*function{}
	}
	w.cache[pc] = fn
	return fn
}

func (w *Walker) module(pc mem.VA) (Module, bool) {
	if w.Modules == nil {
		return Module{}, false
	}
	m, ok := w.Modules(pc)
	return m, ok && pc >= m.Base && pc-m.Base < 1<<32
}

// load reads the function table, and decodes the unwind data.
func (fn *function) load(pc mem.VA) (err error) {
	f := fn.module.Image
	if f == nil {
		return ErrNoImage
	}
	if f.Directories[pe.ExceptionDirectory].RVA == 0 {
		return ErrNoTable
	}
	fn.entry, fn.found, err = f.Function(pe.RVA(pc - fn.module.Base))
	if err != nil || !fn.found {
		return err
	}
	switch f.Header.Machine {
	case pe.X64:
		fn.x64, err = decode64(f, fn.entry)
	case pe.ARM64:
		fn.arm64, err = decodeARM64(f, fn.entry)
	}
	return err
}

// Step finds the registers of the caller: those that a function must preserve,
// as they will be when it returns. An instruction pointer of zero means that
// there is no caller. It uses tables alone and guesses nothing.
func (w *Walker) Step(r Registers) (Registers, error) {
	w.window.n = 0
	caller, _, err := w.step(r)
	return caller, err
}

// step also returns where the interrupted code's registers were saved, if the
// function was entered by an interrupt or a trap.
func (w *Walker) step(r Registers) (caller Registers, saved mem.VA, err error) {
	switch r.Machine {
	case pe.X64:
		caller, saved, err = w.step64(r)
	case pe.ARM64:
		caller, saved, err = w.stepARM64(r)
	case pe.X86:
		caller, err = w.stepX86(r)
	default:
		err = fmt.Errorf("%v cannot be unwound", r.Machine)
	}
	if err != nil {
		return r, 0, &StepError{r.PC(), err}
	}
	return caller, saved, nil
}

// code reads the code at va: from the image, which has all of it, else from
// memory. Fewer bytes come back where it ends.
func (w *Walker) code(m Module, p []byte, va mem.VA) []byte {
	if m.Image != nil {
		if n, err := m.Image.ReadAt(p, pe.RVA(va-m.Base)); err == nil || n > 0 {
			return p[:n]
		}
	}
	n, _ := w.Stack.ReadAt(p, va)
	return p[:n]
}
