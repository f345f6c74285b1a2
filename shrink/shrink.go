// Package shrink turns a dump of a whole machine into a small dump with the same
// verdict: it analyses the dump, keeps what the analysis read of the kernel's
// memory, and leaves out all that belongs to programs.
package shrink

import (
	"errors"
	"fmt"
	"io"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/pe"
)

// Options say what else to keep.
type Options struct {
	Stacks bool // the kernel stacks of all threads
}

// Kept is what came into a small dump.
type Kept struct {
	Memory int // bytes of captured memory
	Pieces int // captured blocks
	Stacks int // of other threads
}

// userEnd is where the addresses of the kernel begin: the upper half.
const userEnd = mem.VA(1) << 63

// maxStack bounds a kernel stack, bytes: the largest are 72 KiB, those of DPCs and
// double faults 24 KiB; no build has more than this.
const maxStack = 256 << 10

// Write makes a small dump of f and writes it to w. It refuses small dumps, which
// are small already, programs' dumps and those of 32-bit Windows.
func Write(w io.Writer, f *dump.File, opts Options) (Kept, error) {
	switch {
	case f.User != nil:
		return Kept{}, errors.New("a program's dump, not one of a machine")
	case f.Physical == nil:
		return Kept{}, errors.New("it is a small dump already")
	case f.Arch == dump.X86:
		return Kept{}, errors.New("dumps of 32-bit Windows cannot be made smaller")
	}
	read := mem.NewRecorder(f.Memory)
	recorded := *f
	recorded.Memory = read
	m := kernel.Open(&recorded)
	analyze.Report(m, "", "")
	k := &keeper{m: m, from: f.Memory}
	k.currentStack()
	if opts.Stacks {
		k.threadStacks()
	}
	recordedMemory := read.Recorded()
	k.images(recordedMemory)
	for _, r := range recordedMemory {
		k.keep(r.Address, r.Size)
	}
	err := dump.WriteSmall(w, dump.Small{
		Header: f.Head(), Drivers: drivers(m), Unloaded: m.Unloaded, Blocks: k.blocks, Captured: k.captured, Tagged: f.Tagged,
	})
	return k.kept, err
}

func drivers(m *kernel.Machine) []dump.Driver {
	list := make([]dump.Driver, 0, len(m.Modules))
	for _, mod := range m.Modules {
		list = append(list, mod.Driver)
	}
	return list
}

// keeper gathers what is kept.
type keeper struct {
	m        *kernel.Machine
	from     mem.Reader
	blocks   dump.Blocks
	captured []dump.Captured
	kept     Kept
}

// keep captures what is there of n bytes at va, unless it is a program's.
func (k *keeper) keep(va mem.VA, n uint64) {
	if va < userEnd {
		return
	}
	b := make([]byte, n)
	got, _ := k.from.ReadAt(b, va)
	if got == 0 {
		return
	}
	k.captured = append(k.captured, dump.Captured{Address: va, Data: b[:got]})
	k.kept.Memory += got
	k.kept.Pieces++
}

// currentStack takes over the blocks of the processor that crashed, and the stack
// that it was on, from its stack pointer up.
func (k *keeper) currentStack() {
	b := k.m.Blocks
	k.blocks = dump.Blocks{PRCB: b.PRCB, Process: b.Process, Thread: b.Thread, DebuggerData: b.DebuggerData, BrokenDriver: b.BrokenDriver}
	sp, ok := k.m.HeaderRegisters().SP()
	if !ok || mem.VA(sp) < userEnd {
		return
	}
	end := mem.VA(sp) + maxStack
	if low, high, ok := k.m.StackLimits(); ok && mem.VA(sp) >= low && mem.VA(sp) < high {
		end = high
	}
	stack := make([]byte, min(uint64(end-mem.VA(sp)), maxStack))
	n, _ := k.from.ReadAt(stack, mem.VA(sp))
	k.blocks.Stack, k.blocks.StackTop = stack[:n], mem.VA(sp)
}

// imageHeader is how much of an image holds its headers, bytes.
const imageHeader = 0x1000

// images captures the headers and the function tables of the images that were looked
// at, whole: with them the small dump is unwound as the large one was.
func (k *keeper) images(looked []mem.Recorded) {
	seen := map[mem.VA]bool{}
	for _, r := range looked {
		mod, ok := k.m.ModuleAt(r.Address)
		if !ok || seen[mod.Base] || r.Address < mod.Base+imageHeader {
			continue
		}
		seen[mod.Base] = true
		k.keep(mod.Base, imageHeader)
		image, err := pe.Open(imageAt{k.from, mod.Base}, int64(mod.Size), pe.InMemory)
		if err != nil {
			continue
		}
		table := image.Directories[pe.ExceptionDirectory]
		k.keep(mod.Base+mem.VA(table.RVA), min(uint64(table.Size), mod.Size))
	}
}

// imageAt is the memory of the machine as an image's.
type imageAt struct {
	memory mem.Reader
	base   mem.VA
}

func (r imageAt) ReadAt(p []byte, off int64) (int, error) {
	return r.memory.ReadAt(p, r.base+mem.VA(off))
}

// threadStacks captures the kernel stack of every thread, and its ETHREAD.
func (k *keeper) threadStacks() {
	processes, _ := k.m.Processes() // those that could be listed
	for _, p := range processes {
		threads, _ := k.m.Threads(p)
		for _, t := range threads {
			if t.KernelStack < t.StackLimit || t.KernelStack >= t.StackBase || t.StackBase-t.KernelStack > maxStack {
				continue
			}
			k.keep(t.Address, uint64(k.m.SizeOf("_ETHREAD")))
			k.keep(t.KernelStack, uint64(t.StackBase-t.KernelStack))
			k.kept.Stacks++
		}
	}
}

// String says what was kept in a line.
func (k Kept) String() string {
	return fmt.Sprintf("%d bytes of kernel memory in %d pieces, the stacks of %d other threads", k.Memory, k.Pieces, k.Stacks)
}
