package lab

import (
	"fmt"

	"bugcheck/lab/code"
)

// Flips are the bits that a fault of the hardware can change, by the names that Options.Flip
// has for them.
const (
	FlipCode    = "code"    // of the instruction that fails
	FlipPointer = "pointer" // of a pointer in memory that the instruction goes through
	FlipPTE     = "pte"     // of the page table entry of what the pointer leads to
)

// The bits that are flipped.
const (
	flippedPointer = 45 // of 48 that count: it still is an address of the kernel's half
	flippedPTE     = 0  // valid: the processor takes the page for one that is not there
)

// flippedCode is a bit of the instruction at LabnetDrainReceiveRing_fault: the byte, the bit
// of it, and the register that the instruction goes through then.
var flippedCode = map[string]struct {
	at       uint64
	bit      int
	register string
}{
	"x64":   {2, 2, "rdx"}, // mov rax,[rsi+8] is 48 8b 46 08; 42 stands for [rdx+8]
	"arm64": {1, 1, "x4"},  // ldr x9,[x20,#8] is f9400689; f9400489 stands for [x4,#8]
}

// A receive ring: buffers of a page, each of which begins with the address of the next.
const (
	tagRing    = "LnRx"
	ringBuffer = 0x1000 // bytes
	ringLeft   = 0x3e   // buffers that are still to be looked at
	afterNext  = 8      // where the driver reads behind the address of the next buffer
)

// playReceiveRing lets a network driver walk its receive ring from the first buffer to the
// second. Without a flip it has freed that one before, and the mistake is its own.
func playReceiveRing(c *Crash) error {
	s := c.System
	first, second := s.alloc(tagRing, ringBuffer, false), s.alloc(tagRing, ringBuffer, false)
	next, touched := second, second+afterNext
	verdict := TruthVerdict{Cause: "hardware"}
	g := c.idleDPC("ndis!ndisMiniportDpc")
	g.call("labnet!LabnetInterruptDpc")
	g.register("rbx", "x21", first) // its first argument, which it keeps
	g.call("labnet!LabnetDrainReceiveRing")
	left := code.Value{Name: "rdx", Value: ringLeft}
	if s.Arch == "arm64" {
		left.Name = "x4"
	}
	switch c.flip {
	case FlipCode:
		flip := flippedCode[s.Arch]
		g.flipCode("LabnetDrainReceiveRing_fault", flip.at, flip.bit)
		left.Name, touched, verdict.Bit = flip.register, ringLeft+afterNext, &flip.bit
	case FlipPointer:
		bit := flippedPointer
		next, touched, verdict.Bit = next^1<<bit, touched^1<<bit, &bit
	case FlipPTE:
		bit := flippedPTE
		s.recordFrames()
		entry, err := s.Space.PTE(second)
		if err != nil {
			return err
		}
		entry.Set(entry.Get() ^ 1<<bit)
		verdict.Bit = &bit
	default:
		verdict = TruthVerdict{Cause: "driver", Image: "labnet.sys"}
		if err := s.Free(second); err != nil {
			return err
		}
	}
	s.word(first, next)
	g.at("LabnetDrainReceiveRing_fault").register("rsi", "x20", next)
	g.pageFault(touched, faultRead, left, code.Value{Name: "rcx", Value: 1}, code.Value{Name: "x10", Value: ringLeft})
	g.call("nt!KiBugCheckDispatch", "nt!KeBugCheckEx").lay()
	fault := g.placed("labnet!LabnetDrainReceiveRing").Registers.PC
	g.raised = 0xa
	g.stop(0xd1, [4]uint64{touched, 2, 0, fault}, "labnet.sys")
	return c.finish(g, "labnet!LabnetDrainReceiveRing", verdict)
}

// register gives a register of the innermost function a value: one on x64, another on ARM64.
func (g *stage) register(x64, arm64 string, v uint64) {
	if g.err != nil {
		return
	}
	name := x64
	if g.s.Arch == "arm64" {
		name = arm64
	}
	f := &g.frames[len(g.frames)-1]
	f.Set = append(f.Set, code.Value{Name: name, Value: v})
}

// flipCode flips a bit of the innermost function's code in memory: of the byte so far behind
// a label.
func (g *stage) flipCode(label string, at uint64, bit int) {
	if g.err != nil {
		return
	}
	f := g.frames[len(g.frames)-1]
	rva, ok := f.Image.Symbol(label)
	if !ok {
		g.fail(fmt.Errorf("no label %s in %s", label, f.Image.Name))
		return
	}
	va := f.Base + uint64(rva) + at
	b := make([]byte, 1)
	g.fail(g.s.Space.Read(va, b))
	g.s.put(va, []byte{b[0] ^ 1<<bit})
}
