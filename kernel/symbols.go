package kernel

import (
	"context"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/symbols"
	"bugcheck/unwind"
)

// OpenWith is Open with what finder has of the kernel and of the drivers that the
// crash speaks of: images, for their unwind tables, and symbol files. Without a
// finder it is Open.
func OpenWith(ctx context.Context, f *dump.File, finder *symbols.Finder) *Machine {
	m := Open(f)
	if finder == nil || len(m.Modules) == 0 {
		return m
	}
	indexes := m.Involved()
	wanted := make([]symbols.Wanted, len(indexes))
	for i, index := range indexes {
		wanted[i] = m.Wanted(index)
	}
	m.SymbolPath = finder.Path()
	m.symbols = make([]*symbols.Module, len(m.Modules))
	for i, found := range finder.Modules(ctx, wanted) {
		m.symbols[indexes[i]] = found.With(m.imageInMemory(indexes[i]), nil)
	}
	if m.User == nil {
		m.kernelSymbols(finder)
	}
	return m
}

// kernelSymbols looks for the kernel's symbols where its PDB was not found, and
// takes the layouts of its structures from them.
func (m *Machine) kernelSymbols(finder *symbols.Finder) {
	nt := m.symbols[0]
	if nt.PDB == nil && nt.ISF == nil {
		nt = nt.With(nil, finder.ISFWhere(m.isKernel))
		m.symbols[0] = nt
	}
	m.layout.fromTypes(nt)
	m.structures.types = nt
	m.readBrokenDriver()
}

// Wanted identifies the module with an index.
func (m *Machine) Wanted(index int) symbols.Wanted {
	mod := m.Modules[index]
	w := symbols.Wanted{Name: mod.Name, Timestamp: mod.Timestamp, Size: uint32(mod.Size), PDB: recordedPDB(mod)}
	if w.PDB != (pe.PDB{}) {
		return w
	}
	if image := m.imageInMemory(index); image != nil {
		w.PDB, _ = image.PDB() // where its page was captured
	}
	return w
}

// Symbols is what was found for the module with an index; nil: it was not looked
// for.
func (m *Machine) Symbols(index int) *symbols.Module {
	if index >= len(m.symbols) {
		return nil
	}
	return m.symbols[index]
}

// SymbolsOf is what was found for the module with an image name; nil: it was not
// looked for.
func (m *Machine) SymbolsOf(image string) *symbols.Module {
	for i := range m.symbols {
		if m.Modules[i].Name == image {
			return m.symbols[i]
		}
	}
	return nil
}

// Searched reports that symbols were looked for.
func (m *Machine) Searched() bool { return m.symbols != nil }

// Involved are the indexes of the modules that may be asked about: the kernel, and
// those that the stop code's parameters, the registers or the stack point into.
func (m *Machine) Involved() []int {
	in := make([]bool, len(m.Modules))
	mark := func(va mem.VA) {
		if i, ok := m.moduleIndex(va); ok && va >= m.Modules[i].Base+imageHeader {
			in[i] = true
		}
	}
	if len(in) > 0 && m.User == nil {
		in[0] = true
	}
	for _, p := range m.Header.Parameters {
		mark(mem.VA(p))
	}
	for _, r := range m.HeaderRegisters() {
		mark(mem.VA(r.Value))
	}
	for _, part := range m.stackParts() {
		m.eachWord(part.b, mark)
	}
	for _, p := range m.Header.Parameters {
		pc, stack := m.otherStack(mem.VA(p))
		mark(pc)
		m.eachWord(stack, mark)
	}
	var list []int
	for i, yes := range in {
		if yes {
			list = append(list, i)
		}
	}
	return list
}

// threadObject is DISPATCHER_HEADER.Type of a thread (KOBJECTS, ntdef.h).
const threadObject = 6

// otherStack is the stack of the thread, or of the processor, that a parameter points
// to, and where that processor was: some stop codes are about another than the current
// one. Empty: neither.
func (m *Machine) otherStack(va mem.VA) (pc mem.VA, stack []byte) {
	if m.User != nil || va == 0 || m.isUser(va) {
		return 0, nil
	}
	var from, to mem.VA
	if kind, err := mem.Read(m.Memory, va, 1); err == nil && kind[0] == threadObject {
		t, _ := m.ThreadAt(va)
		from, to = t.KernelStack, t.StackBase
	}
	if m.whole() {
		blocks, _ := m.processorBlocks() // those that can be read
		for _, b := range blocks {
			regs := m.savedRegisters(b.object)
			if sp, ok := regs.SP(); ok && b.at == va {
				at, _ := regs.PC()
				pc, from, to = mem.VA(at), mem.VA(sp), mem.VA(sp)+m.stackSize()
			}
		}
	}
	if from == 0 || to <= from || to-from > maxStack {
		return pc, nil
	}
	stack = make([]byte, to-from)
	n, _ := m.Memory.ReadAt(stack, from) // up to the end of the stack
	return pc, stack[:n]
}

// eachWord passes on the words of a stack, as return addresses.
func (m *Machine) eachWord(stack []byte, yield func(mem.VA)) {
	width := m.Arch.PointerSize()
	for at := 0; at+width <= len(stack); at += width {
		word := *field64(stack, at, m.Arch)
		if m.Arch == dump.ARM64 {
			word = unwind.StripARM64(word) // return addresses may be signed
		}
		yield(mem.VA(word))
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

// imageInMemory is the image of a module as the dump holds it; nil if its headers
// are not there.
func (m *Machine) imageInMemory(index int) *pe.File {
	if m.whole() {
		return m.images[index]
	}
	return openImage(m.Memory, m.Modules[index].Base, int64(m.Modules[index].Size))
}

// What KDDEBUGGER_DATA64 (wdbgexts.h) points at, by the kernel's names for it.
var debuggerDataNames = []struct {
	off  int
	name string
}{
	{0x48, "PsLoadedModuleList"}, {0x50, "PsActiveProcessHead"}, {0x58, "PspCidTable"},
	{0x60, "ExpSystemResourcesList"}, {0x78, "KeTimeIncrement"}, {0x80, "KeBugCheckCallbackListHead"},
	{0x88, "KiBugCheckData"}, {0x90, "IopErrorLogListHead"}, {0x98, "ObpRootDirectoryObject"},
}

// minNames is how many of these must be there for a kernel to be recognised by
// where they stand.
const minNames = 5

// isKernel reports that symbols are those of this machine's kernel: all that the
// debugger data block points at stands where they say. A small dump does not name
// the kernel's symbol file.
func (m *Machine) isKernel(isf *symbols.ISF) bool {
	b, base := m.Blocks.DebuggerData, m.Modules[0].Base
	same := 0
	for _, d := range debuggerDataNames {
		rva, ok := isf.Address(d.name)
		if !ok || d.off+8 > len(b) {
			continue
		}
		if base+mem.VA(rva) != mem.VA(le.U64(b, d.off)) {
			return false
		}
		same++
	}
	return same >= minNames
}
