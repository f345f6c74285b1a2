// Package kernel is the crashed machine as objects: its modules, the process,
// thread and processor that were current, its stacks.
//
// It looks things up in an opened dump and judges nothing. Where a structure's
// layout is not certain, what is read by it is marked as a guess.
package kernel

import (
	"path"
	"sort"
	"strings"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/symbols"
)

// Machine is an opened dump: the root object. It is immutable and safe for
// concurrent use.
type Machine struct {
	*dump.File
	Modules    []Module          // in load order
	SymbolPath string            // where symbols were looked for; "": nowhere
	byBase     []int             // indexes of Modules by rising base
	symbols    []*symbols.Module // as Modules; nil: not looked for
	layout     layout
	structures structures
	// Of whole memory.
	kernelBase  mem.VA
	program     mem.VA       // EPROCESS whose address space Memory is
	torn        bool         // the list of modules is not complete
	images      []*pe.File   // as Modules, as they lie in memory; nil: the headers are not there
	processorAt mem.VA       // the KPRCB of the processor that crashed
	stacks      []StackRange // of that processor and its thread
	otherStacks []stackPart  // words of those that the stack pointer does not lie on
	// kernelData is a stretch of the kernel image that holds variables, not code.
	kernelData Span
	heapFound  *heapFound // shared with what As makes
}

// Module is a loaded driver or the kernel.
type Module struct {
	dump.Driver
	Module string // the debugger's name: nt, amdppm
	User   bool   // it is the current program's, not the kernel's
}

// Open prepares a dump for questions. It never fails: what is missing shows in
// the answers, and of whole memory in the machine's own notes.
func Open(f *dump.File) *Machine {
	m := &Machine{heapFound: &heapFound{}, File: f}
	if m.whole() {
		m.readWhole()
	}
	m.structures.findLayouts(m.File)
	m.layout = findLayout(m.File)
	m.structures.add(m.layout.fields())
	m.addModules()
	m.capturedImages()
	if m.whole() {
		m.readCurrent()
		m.program = m.processAddress()
		m.readUserModules()
		m.checkBugCheck()
	}
	m.sortModules()
	m.layout.complete(m)
	m.smallDumpStacks()
	if m.whole() {
		m.probeLayouts()
	}
	if m.torn {
		m.findUnlisted()
	}
	m.kernelData = m.findKernelData()
	return m
}

// addModules names the drivers of the dump.
func (m *Machine) addModules() {
	for i, d := range m.Drivers {
		name := ModuleName(d.Name)
		if m.User != nil {
			name = userModuleName(d.Name)
		} else if i == 0 {
			name = "nt"
		}
		m.Modules = append(m.Modules, Module{Driver: d, Module: name, User: m.User == nil && m.isUser(d.Base)})
	}
}

func (m *Machine) sortModules() {
	m.byBase = make([]int, len(m.Modules))
	for i := range m.byBase {
		m.byBase[i] = i
	}
	sort.SliceStable(m.byBase, func(i, j int) bool {
		return m.Modules[m.byBase[i]].Base < m.Modules[m.byBase[j]].Base
	})
}

// findKernelData takes from the debugger data block where the kernel's variables
// are: what lies between two of them is no code.
func (m *Machine) findKernelData() Span {
	b := m.Blocks.DebuggerData
	if b == nil || len(m.Modules) == 0 {
		return Span{}
	}
	nt := m.Modules[0]
	s := Span{Start: m.Header.DebuggerData, End: m.Header.DebuggerData}
	for off := kdbgFirstVariable; off <= kdbgLastVariable; off += 8 {
		va := mem.VA(le.U64(b, off))
		if va >= s.Start && va < nt.End() {
			s.End = max(s.End, va)
		}
	}
	if s.Start < nt.Base {
		return Span{}
	}
	return s
}

// ModuleName is the name that debuggers give an image: without its extension,
// other characters than letters, digits and underscores as underscores; nt for
// the kernel.
func ModuleName(image string) string {
	base := image
	switch strings.ToLower(base) {
	case "ntoskrnl.exe", "ntkrnlmp.exe", "ntkrnlpa.exe", "ntkrpamp.exe":
		return "nt"
	}
	if ext := path.Ext(base); len(ext) == 4 {
		base = strings.TrimSuffix(base, ext)
	}
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, base)
}

// ModuleAt returns the module that va lies in.
func (m *Machine) ModuleAt(va mem.VA) (Module, bool) {
	if i, ok := m.moduleIndex(va); ok {
		return m.Modules[i], true
	}
	return Module{}, false
}

// moduleIndex is the index of the module that va lies in.
func (m *Machine) moduleIndex(va mem.VA) (int, bool) {
	i := sort.Search(len(m.byBase), func(i int) bool { return m.Modules[m.byBase[i]].Base > va })
	if i == 0 {
		return 0, false
	}
	i = m.byBase[i-1]
	return i, va < m.Modules[i].End()
}

// ModuleNamed returns the module with an image name, in any case.
func (m *Machine) ModuleNamed(image string) (Module, bool) {
	for _, mod := range m.Modules {
		if strings.EqualFold(mod.Name, image) {
			return mod, true
		}
	}
	return Module{}, false
}

// UnloadedAt returns the unloaded driver whose place va lies in.
func (m *Machine) UnloadedAt(va mem.VA) (dump.Unloaded, bool) {
	for _, u := range m.Unloaded {
		if va >= u.Start && va < u.End {
			return u, true
		}
	}
	return dump.Unloaded{}, false
}

// pointer reads a pointer of the machine's width.
func (m *Machine) pointer(va mem.VA) (mem.VA, error) {
	return m.pointerIn(m.Memory, va)
}
