package kernel

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/mem"
)

// maxAddress64 is where user addresses end on x64 and ARM64.
const maxAddress64 = 1 << 47

// isUser reports that an address is a program's, not the kernel's.
func (m *Machine) isUser(va mem.VA) bool {
	if m.Arch == dump.X86 {
		return va < 1<<31
	}
	return va < maxAddress64
}

// readUserModules adds the modules of the program that the current thread runs:
// a crash can begin in it. Where its memory was not dumped there are none.
func (m *Machine) readUserModules() {
	list, err := m.programModules(m.Memory, m.object(m.Blocks.Process))
	if len(list) > 0 { // a kernel dump has none of it
		m.noteError("loaded modules", err)
	}
	m.addProgram(list)
}

// As is the machine as a process sees it: Memory is its address space, and the
// program's modules are its own. What crashed stays what it was. A program whose
// memory is not in the dump has no modules; the error says what of them is missing.
func (m *Machine) As(p Process) (*Machine, error) {
	if p.Address == m.program {
		return m, nil
	}
	o, err := m.read("process", p.Address, m.SizeOf("_EPROCESS"))
	if err != nil {
		return nil, err
	}
	space := m.spaceOf(o)
	if space == nil {
		return nil, fmt.Errorf("process at %v: its page tables are not known", p.Address)
	}
	own, v := *m.File, *m
	v.File, v.program = &own, p.Address
	own.Memory = space
	v.Modules, v.images, v.symbols = nil, nil, nil
	for i, mod := range m.Modules {
		if !mod.User {
			v.Modules, v.images = append(v.Modules, mod), append(v.images, m.images[i])
			if m.Searched() {
				v.symbols = append(v.symbols, m.symbols[i])
			}
		}
	}
	list, err := m.programModules(space, o)
	v.addProgram(list)
	v.sortModules()
	return &v, err
}

// addProgram adds the modules of a program.
func (m *Machine) addProgram(list []dump.Driver) {
	for _, d := range list {
		image := m.identify(m.Memory, &d)
		m.Modules = append(m.Modules, Module{Driver: d, Module: userModuleName(d.Name), User: true})
		m.images = append(m.images, image)
	}
}

// programModules follows EPROCESS.Peb, PEB.Ldr and the list of the loader there.
func (m *Machine) programModules(memory mem.Reader, process object) ([]dump.Driver, error) {
	peb := process.pointer(m.Field("_EPROCESS", "Peb"))
	ldr, head := m.Field("_PEB", "Ldr"), m.Field("_PEB_LDR_DATA", "InLoadOrderModuleList")
	if peb == 0 || ldr < 0 || head < 0 {
		return nil, nil // System, or a layout that is not known
	}
	at, err := m.pointerIn(memory, peb+mem.VA(ldr))
	if err != nil {
		return nil, fmt.Errorf("PEB at %v: %w", peb, err)
	}
	if at == 0 || !m.isUser(at) {
		return nil, fmt.Errorf("PEB at %v: its loader's data cannot be at %v", peb, at)
	}
	list, err := m.loaderList(memory, at+mem.VA(head))
	for i := range list {
		list[i].Verified = false // flags of a program's library mean something else
	}
	return list, err
}

// pointerIn reads a pointer of the machine's width in an address space.
func (m *Machine) pointerIn(memory mem.Reader, va mem.VA) (mem.VA, error) {
	if m.Arch == dump.X86 {
		v, err := mem.ReadU32(memory, va)
		return mem.VA(v), err
	}
	return mem.ReadVA(memory, va)
}
