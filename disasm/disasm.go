// Package disasm decodes one instruction of x86, x64 or ARM64 and says what a
// crash asks of it: how long it is, which memory it touches and from which
// registers the address comes, and where it goes next.
//
// golang.org/x/arch knows most instructions. In front of it stands a table of
// those that it does not know or calls by a wrong name; lengths and operands
// in memory are decoded here in either case, and an instruction of x86 whose
// length is in doubt is an error.
//
// Sources: Intel 64 and IA-32 Architectures Software Developer's Manual,
// volume 2; Arm Architecture Reference Manual for A-profile, chapter C4.
package disasm

import (
	"errors"
	"fmt"
)

// Flow is where an instruction goes.
type Flow uint8

// The flows.
const (
	None        Flow = iota // to the next instruction
	Call                    // to a target, and back
	Jump                    // to a target
	Conditional             // to a target or to the next instruction
	Return                  // to where it was called from, or to what it interrupted
	Interrupt               // into the system, or to a breakpoint
)

func (f Flow) String() string {
	return [...]string{"none", "call", "jump", "conditional", "return", "interrupt"}[f]
}

// Instruction is one instruction.
type Instruction struct {
	Length    int      // bytes
	Text      string   // as a debugger writes it: "mov     eax,dword ptr [rcx+10h]"
	Mnemonic  string   // "mov", "stosq"; without lock and rep
	Memory    []Memory // what it reads and writes, implied operands included
	Flow      Flow
	Target    uint64 // of a call or jump, if HasTarget
	HasTarget bool   // the target stands in the instruction
}

// ErrFormat is wrapped by every error of this package.
var ErrFormat = errors.New("not an instruction")

// FormatError says why bytes are not decoded.
type FormatError struct {
	What string // "needs more than 2 bytes"
}

func (e *FormatError) Error() string { return e.What }

// Is makes errors.Is(err, ErrFormat) hold.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

func wrong(format string, args ...any) error {
	return &FormatError{What: fmt.Sprintf(format, args...)}
}

// Decode decodes the instruction at the start of code, which lies at address
// pc. arch is "x86", "x64" or "arm64". Bytes behind the instruction do not
// matter. The error is a *FormatError.
//
// An instruction of AVX-512 that has no name here comes back with its length,
// the mnemonic "vex" or "evex", and without operands in memory.
func Decode(arch string, code []byte, pc uint64) (Instruction, error) {
	switch arch {
	case "x64":
		return decodeX86(code, pc, 64)
	case "x86":
		return decodeX86(code, pc, 32)
	case "arm64":
		return decodeARM64(code, pc)
	}
	return Instruction{}, wrong("no such machine as %q", arch)
}
