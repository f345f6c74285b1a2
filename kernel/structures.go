package kernel

import (
	_ "embed"
	"strings"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/symbols"
)

// structures says where fields stand in this kernel's structures: its symbols
// know, else the table of public layouts does.
type structures struct {
	types *symbols.Module // of the kernel; nil: none
	table map[string]int  // "_EPROCESS ImageFileName"; nil: no kernel of the table is this one
}

//go:embed structures.tsv
var structureTable string

// sizeField is the row of the table that holds a structure's size.
const sizeField = "sizeof"

// Field is where a member stands in a structure, bytes from its start; a dotted
// name goes into structures inside it. It is -1 where neither the symbols nor the
// table know it: this kernel has no such field, or its layout is not known.
func (m *Machine) Field(structure, path string) int {
	s := m.structures
	if s.types != nil {
		if at, ok := s.types.Field(structure, path); ok {
			return int(at)
		}
	}
	if at, ok := s.table[structure+" "+path]; ok {
		return at
	}
	return -1
}

// SizeOf is the size of a structure in bytes; zero: not known.
func (m *Machine) SizeOf(structure string) int {
	s := m.structures
	if s.types != nil {
		if n, ok := s.types.SizeOf(structure); ok {
			return int(n)
		}
	}
	return s.table[structure+" "+sizeField]
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
