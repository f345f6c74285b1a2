package code

import (
	"errors"
	"fmt"
	"slices"
)

// Frame is one function on a stack that Forge is to lay.
type Frame struct {
	// Image has the function. Nil: the code lies in no image, but at Base, where a
	// call through a bad pointer or a trashed return address led.
	Image *Image
	Base  uint64 // where the image is loaded
	// PC is the RVA of the next instruction: the return address behind a call
	// (CallSite), the one that was interrupted (Symbol), or a function's begin,
	// which has done nothing to the stack yet.
	PC uint32
	// Alloca is what the function has taken from the stack beyond its fixed frame;
	// a multiple of 16. Only a function with a frame pointer may.
	Alloca uint64
	// Stack moves to another stack, when it is not zero: it is the first address
	// above that one. A function that the processor enters (KiPageFault,
	// KiSystemCall64) begins there; one with a frame pointer, such as
	// KxRetireDpcList, moves there after its prologue.
	Stack uint64
	// Jumped says that the function was not called but jumped to, or returned to:
	// there is no return address for it. Only a leaf or code in no image may.
	Jumped bool
	// Trap says how the processor entered the function. Nil for others, and for
	// zero values.
	Trap *Trap
	// Set are registers that the function has given values itself: volatile ones, or
	// those that it has saved for its caller.
	Set []Value
}

// Trap is what an interrupt leaves beyond what was interrupted.
type Trap struct {
	User      bool   // the code that was interrupted ran in user mode
	ErrorCode uint64 // x64
	Flags     uint64 // EFLAGS, or SPSR on ARM64; 0: usual ones
	Volatile  []Value
	// Contents is what the KTRAP_FRAME holds where Forge writes nothing: it writes
	// what the unwind codes read, the fields above, and Volatile. Nil: zeros.
	Contents []byte
}

// Value is a register by its name in lower case: "rcx", "x8".
type Value struct {
	Name  string
	Value uint64
}

// Registers are the values of registers at one frame's PC.
type Registers struct {
	PC, SP uint64
	// R is in the processor's order: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 …
	// r15; or x0 … x30. Of volatile registers it has those that Forge was given.
	R [31]uint64
	// Vector has xmm0 … xmm15, the low half first. On ARM64 our code saves none.
	Vector [16][2]uint64
}

// Placed is a frame that was laid.
type Placed struct {
	Frame     Frame
	Registers Registers // in the function, at PC
	// TrapFrame is the address of the KTRAP_FRAME, in a function that the processor
	// entered; else 0.
	TrapFrame uint64
}

// Run is memory that a stack takes up, from Start up to the top of the stack.
type Run struct {
	Start uint64
	Data  []byte
}

// Forged is a stack that was laid.
type Forged struct {
	Runs   []Run    // one a stack, in the order in which they were reached
	Frames []Placed // as they were given: the outermost first
}

// Read returns the word of the forged memory at an address.
func (f *Forged) Read(at uint64) (v uint64, ok bool) {
	for _, r := range f.Runs {
		if at >= r.Start && at-r.Start+8 <= uint64(len(r.Data)) {
			return le.Uint64(r.Data[at-r.Start:]), true
		}
	}
	return 0, false
}

// Write changes the word of the forged memory at an address: an argument in its
// home, a field of a trap frame.
func (f *Forged) Write(at, v uint64) bool {
	for _, r := range f.Runs {
		if at >= r.Start && at-r.Start+8 <= uint64(len(r.Data)) {
			le.PutUint64(r.Data[at-r.Start:], v)
			return true
		}
	}
	return false
}

// Forge lays frames downward from top, the first address above the outermost
// frame, which returns to 0. The unwind codes of each function say how large its
// frame is and where it saves registers; initial are the registers before the
// outermost function. All else is filled with what fill says of an address, or,
// if that is nil, with Junk: plausible words, some of them return addresses that
// are stale.
func Forge(arch string, top uint64, frames []Frame, initial Registers, fill func(addr uint64) uint64) (*Forged, error) {
	if len(frames) == 0 || top%16 != 0 {
		return nil, fmt.Errorf("forge %d frames below %#x", len(frames), top)
	}
	if fill == nil {
		fill = Junk(top, frames)
	}
	s := &stack{fill: fill, words: map[uint64]uint64{}, regs: initial}
	s.regs.SP = top
	s.regs.PC = 0
	s.begin(top)
	forged := &Forged{}
	for n, f := range frames {
		placed, err := s.lay(arch, f)
		if err == nil {
			err = s.set(arch, f.Set, &placed)
		}
		if err != nil {
			return nil, fmt.Errorf("frame %d, %s: %w", n, f.name(), err)
		}
		forged.Frames = append(forged.Frames, placed)
	}
	forged.Runs = s.runs()
	return forged, nil
}

// set gives registers the values that a function has put there: volatile ones, and
// those that it has saved before.
func (s *stack) set(arch string, values []Value, p *Placed) error {
	for _, v := range values {
		n, volatile := slices.Index(names64[:], v.Name), false
		if arch == "arm64" {
			if _, err := fmt.Sscanf(v.Name, "x%d", &n); err != nil {
				n = -1
			}
			volatile = n < 19
		} else {
			volatile = n < 3 || n >= 8 && n < 12
		}
		if n < 0 || n >= len(s.regs.R) {
			return fmt.Errorf("no register %q", v.Name)
		}
		if !volatile && !slices.Contains(s.saved, n) {
			return fmt.Errorf("it has not saved %s, so it can put nothing there", v.Name)
		}
		s.regs.R[n], p.Registers.R[n] = v.Value, v.Value
	}
	return nil
}

// stack is the stacks while they are laid.
type stack struct {
	fill  func(uint64) uint64
	words map[uint64]uint64
	regs  Registers
	spans []span
	swaps uint64 // registers that got a new value so far
	saved []int  // registers that the last function has saved
}

// span is a stack: its top, and how far down it is used.
type span struct{ low, top uint64 }

func (s *stack) begin(top uint64) { s.spans = append(s.spans, span{top, top}) }

func (s *stack) lay(arch string, f Frame) (Placed, error) {
	machine := map[string]uint16{"x64": machineX64, "arm64": machineARM64}[arch]
	if machine == 0 || f.Image != nil && f.Image.Machine != machine {
		return Placed{}, fmt.Errorf("its image is not for %q", arch)
	}
	if f.Jumped && f.Image != nil {
		if _, found := f.Image.function(f.PC); found {
			return Placed{}, errors.New("only a leaf can be jumped to")
		}
	}
	if arch == "x64" {
		return s.lay64(f)
	}
	return s.layARM64(f)
}

// name is for errors.
func (f Frame) name() string {
	if f.Image == nil {
		return fmt.Sprintf("%#x", f.Base)
	}
	name, offset, _ := f.Image.Near(f.PC)
	return fmt.Sprintf("%s!%s+%#x", f.Image.Name, name, offset)
}

// function is the function table's entry for the frame.
func (f Frame) function() (function, bool) {
	if f.Image == nil {
		return function{}, false
	}
	return f.Image.function(f.PC)
}

// down moves the stack pointer.
func (s *stack) down(n uint64) {
	s.regs.SP -= n
	last := &s.spans[len(s.spans)-1]
	last.low = min(last.low, s.regs.SP)
}

func (s *stack) write(at, v uint64) { s.words[at] = v }

// contents writes given bytes, whole words of them.
func (s *stack) contents(at uint64, b []byte) {
	for ; len(b) >= 8; at, b = at+8, b[8:] {
		s.write(at, le.Uint64(b))
	}
}

// fresh is a value that a register gets in a function that has saved it.
func (s *stack) fresh() uint64 {
	s.swaps++
	h := mix(s.swaps ^ s.regs.SP)
	switch h % 4 {
	case 0:
		return h >> 8 & 0xfff
	case 1:
		return s.regs.SP + h>>8&0x1f8 // a local variable
	}
	return block(s.regs.SP, h)
}

// block is an address that could be one of pool, or on a user's stack of a heap.
func block(stack, h uint64) uint64 {
	if stack>>63 == 0 {
		return 0x1d400000000 | h>>16&0x3fffffff0
	}
	return 0xffffa08000000000 | h>>16&0x3ffffffff0
}

// runs is what was written, and what was not filled up.
func (s *stack) runs() []Run {
	var list []Run
	for _, sp := range s.spans {
		r := Run{Start: sp.low, Data: make([]byte, sp.top-sp.low)}
		for at := sp.low; at < sp.top; at += 8 {
			v, ok := s.words[at]
			if !ok {
				v = s.fill(at)
			}
			le.PutUint64(r.Data[at-sp.low:], v)
		}
		list = append(list, r)
	}
	return list
}

// mix spreads the bits of a word (splitmix64).
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// Junk is what lies on a stack between what is in use, by address: zeros, small
// numbers, addresses of pool and of the stack, and return addresses of calls in
// the images of frames, as calls leave them that have long returned.
func Junk(seed uint64, frames []Frame) func(addr uint64) uint64 {
	var stale [2][]uint64 // of the user's images, of the kernel's
	seen := map[*Image]bool{}
	for _, f := range frames {
		if f.Image != nil && !seen[f.Image] {
			seen[f.Image] = true
			for _, rva := range f.Image.CallSites() {
				half := &stale[f.Base>>63]
				*half = append(*half, f.Base+uint64(rva))
			}
		}
	}
	return func(addr uint64) uint64 {
		h, half := mix(seed^addr), stale[addr>>63]
		switch k := h % 16; {
		case k < 5:
			return 0
		case k < 8:
			return h >> 8 & 0xffff
		case k < 11:
			return block(addr, h)
		case k < 13:
			return addr + h>>8&0x3f8
		case k < 15 && len(half) > 0:
			return half[h>>8%uint64(len(half))]
		}
		return h >> 32
	}
}
