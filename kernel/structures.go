package kernel

import (
	_ "embed"
	"strings"
	"sync"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/symbols"
)

// structures says where fields stand in this kernel's structures: its symbols
// know, else the table of public layouts does, else the debugger data block.
type structures struct {
	types *symbols.Module // of the kernel; nil: none
	table map[string]int  // "_EPROCESS ImageFileName"
	asked *sync.Map       // what the symbols said, by the same keys; -1: nothing
}

// findLayouts takes the kernel of the table that is this one, and what the debugger
// data block says besides.
func (s *structures) findLayouts(f *dump.File) {
	kdbg := f.Blocks.DebuggerData
	s.table, s.asked = findTable(f.Arch, kdbg), &sync.Map{}
	if s.table == nil {
		s.table = map[string]int{}
	}
	for _, d := range debuggerFields {
		if _, known := s.table[d.key]; known || d.off+d.size > len(kdbg) {
			continue
		}
		v := int(le.U16(kdbg, d.off))
		if d.size == 4 {
			v = int(le.U32(kdbg, d.off))
		}
		if v != 0 && v < maxObject {
			s.table[d.key] = v
		}
	}
}

// add takes over what the smaller table of layouts, which has more kernels, says.
func (s *structures) add(fields []layoutField) {
	for _, f := range fields {
		key := f.structure + " " + f.field
		if _, known := s.table[key]; !known && *f.to >= 0 {
			s.table[key] = *f.to
		}
	}
}

// debuggerFields are the fields whose place KDDEBUGGER_DATA64 (wdbgexts.h) itself
// holds, and the sizes of structures. Zero there means that a kernel does not say.
var debuggerFields = []struct {
	off, size int
	key       string
}{
	{0x298, 2, "_KTHREAD NextProcessor"}, {0x29a, 2, "_KTHREAD Teb"}, {0x29c, 2, "_KTHREAD KernelStack"},
	{0x29e, 2, "_KTHREAD InitialStack"}, {0x2a0, 2, "_KTHREAD ApcState.Process"}, {0x2a2, 2, "_KTHREAD State"},
	{0x2a8, 2, "_EPROCESS sizeof"}, {0x2aa, 2, "_EPROCESS Peb"}, {0x2ac, 2, "_EPROCESS InheritedFromUniqueProcessId"},
	{0x2ae, 2, "_KPROCESS DirectoryTableBase"},
	{0x2b0, 2, "_KPRCB sizeof"}, {0x2b2, 2, "_KPRCB DpcRoutineActive"}, {0x2b4, 2, "_KPRCB CurrentThread"},
	{0x2b6, 2, "_KPRCB MHz"}, {0x2b8, 2, "_KPRCB CpuType"}, {0x2ba, 2, "_KPRCB VendorString"},
	{0x2bc, 2, "_KPRCB ProcessorState.ContextFrame"}, {0x2be, 2, "_KPRCB Number"}, {0x2c0, 2, "_ETHREAD sizeof"},
	{0x2e6, 2, "_KPCR Prcb"}, {0x2f2, 2, "_KPRCB ProcessorState.SpecialRegisters"}, {0x338, 2, "_KPRCB Context"},
	{0x340, 4, "_KTHREAD StackLimit"}, {0x344, 4, "_KTHREAD StackBase"}, {0x34c, 4, "_ETHREAD IrpList"},
	{0x350, 2, "_KPRCB IdleThread"}, {0x354, 2, "_KPRCB DpcStack"}, {0x356, 2, "_KPRCB IsrStack"},
	{0x35c, 2, "_KTHREAD WaitReason"},
}

//go:embed structures.tsv
var structureTable string

// sizeField is the row of the table that holds a structure's size.
const sizeField = "sizeof"

// Field is where a member stands in a structure, bytes from its start; a dotted
// name goes into structures inside it. It is -1 where neither the symbols nor the
// table know it: this kernel has no such field, or its layout is not known.
func (m *Machine) Field(structure, path string) int {
	s := &m.structures
	key := structure + " " + path
	if at := s.ask(key, func() (uint32, bool) { return s.types.Field(structure, path) }); at >= 0 {
		return at
	}
	if at, ok := s.table[key]; ok {
		return at
	}
	return -1
}

// SizeOf is the size of a structure in bytes; zero: not known.
func (m *Machine) SizeOf(structure string) int {
	s := &m.structures
	key := structure + " " + sizeField
	if n := s.ask(key, func() (uint32, bool) { return s.types.SizeOf(structure) }); n >= 0 {
		return n
	}
	return s.table[key]
}

// ask asks the symbols, which have to decode their types, once for each key; -1:
// they do not know.
func (s *structures) ask(key string, symbols func() (uint32, bool)) int {
	if s.types == nil || s.asked == nil {
		return -1
	}
	if v, ok := s.asked.Load(key); ok {
		return v.(int)
	}
	answer := -1
	if v, ok := symbols(); ok {
		answer = int(v)
	}
	s.asked.Store(key, answer)
	return answer
}

// Variable is the address of one of the kernel's variables by its name; only
// symbols know it.
func (m *Machine) Variable(name string) (mem.VA, bool) {
	if m.structures.types == nil || len(m.Modules) == 0 {
		return 0, false
	}
	rva, ok := m.structures.types.Address(name)
	return m.Modules[0].Base + mem.VA(rva), ok
}

// column is one kernel of the table, by what its debugger data block says too.
type column struct {
	arch                           string
	eprocess, ethread, prcb, cid   int
	index                          int
	sameThread, sameProcessorBlock bool
}

// findTable picks the kernel of the table whose structures have the sizes that
// the debugger data block says: they change whenever a field moves. EPROCESS must
// fit; of several the one whose ETHREAD and KPRCB fit too is taken.
func findTable(arch dump.Arch, kdbg []byte) map[string]int {
	if len(kdbg) < kdbgSizeEThread+2 {
		return nil
	}
	at := func(off int) int { return int(le.U16(kdbg, off)) }
	best := column{index: -1}
	for _, c := range columns() {
		if c.arch != string(arch) || c.eprocess != at(kdbgSizeEProcess) || c.cid != at(kdbgParentCID) {
			continue
		}
		c.sameThread, c.sameProcessorBlock = c.ethread == at(kdbgSizeEThread), c.prcb == at(kdbgSizePrcb)
		if best.index < 0 || c.fits() > best.fits() {
			best = c
		}
	}
	if best.index < 0 {
		return nil
	}
	return best.fields()
}

func (c column) fits() int {
	n := 0
	if c.sameThread {
		n += 2
	}
	if c.sameProcessorBlock {
		n++
	}
	return n
}

// firstColumn is that of the first kernel: structure and field stand before it.
const firstColumn = 2

// rows yields the cells of the table's lines; those that start with # are its
// comments, the last of them its head.
func rows(yield func(cells []string) bool) {
	for line := range strings.Lines(structureTable) {
		if !yield(strings.Split(strings.TrimRight(line, "\r\n"), "\t")) {
			return
		}
	}
}

// columns lists the kernels of the table.
func columns() []column {
	var list []column
	for cells := range rows {
		if strings.HasPrefix(cells[0], "#") {
			list = nil
			for i := firstColumn; i < len(cells); i++ {
				arch, _, _ := strings.Cut(cells[i], " ")
				list = append(list, column{arch: arch, index: i})
			}
			continue
		}
		key := cells[0] + " " + cells[1]
		for i := range list {
			v := offset(cells[list[i].index])
			switch key {
			case "_EPROCESS sizeof":
				list[i].eprocess = v
			case "_ETHREAD sizeof":
				list[i].ethread = v
			case "_KPRCB sizeof":
				list[i].prcb = v
			case "_EPROCESS InheritedFromUniqueProcessId":
				list[i].cid = v
			}
		}
	}
	return list
}

// fields are the offsets and sizes that the table has of a kernel.
func (c column) fields() map[string]int {
	known := map[string]int{}
	for cells := range rows {
		if strings.HasPrefix(cells[0], "#") || len(cells) <= c.index {
			continue
		}
		if v := offset(cells[c.index]); v >= 0 && (v > 0 || cells[1] != sizeField) {
			known[cells[0]+" "+cells[1]] = v
		}
	}
	// Where only EPROCESS is this kernel's, the others' fields may stand elsewhere.
	for key := range known {
		thread := strings.HasPrefix(key, "_ETHREAD ") || strings.HasPrefix(key, "_KTHREAD ")
		if thread && !c.sameThread || strings.HasPrefix(key, "_KPRCB ") && !c.sameProcessorBlock {
			delete(known, key)
		}
	}
	return known
}
