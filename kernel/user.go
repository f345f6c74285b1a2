package kernel

import (
	"path"
	"strings"

	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
	"bugcheck/win"
)

// userModuleName is the name that debuggers give a module of a program: without
// its extension, other characters than letters, digits and underscores as
// underscores. Unlike that of a driver it may lose any extension
// (win32ole.so is win32ole).
func userModuleName(image string) string {
	name := strings.TrimSuffix(image, path.Ext(image))
	if name == "" {
		name = image
	}
	return ModuleName(name)
}

// Program is the image that the process was started from: the first of the
// list, as the loader keeps it; false if the dump lists no modules.
func (m *Machine) Program() (Module, bool) {
	if len(m.Modules) == 0 {
		return Module{}, false
	}
	for _, mod := range m.Modules { // some writers sort by address
		if strings.EqualFold(path.Ext(mod.Name), ".exe") {
			return mod, true
		}
	}
	return m.Modules[0], true
}

func (m *Machine) userProcess() (Process, bool) {
	p := Process{Trust: report.Recorded}
	if mod, ok := m.Program(); ok {
		p.Name = mod.Name
	}
	if id := m.User.Process.ID; id != nil {
		v := uint64(*id)
		p.PID = &v
	}
	if peb, ok := m.PEB(); ok {
		p.Address = peb
	}
	return p, p.Name != ""
}

func (m *Machine) userThread() (Thread, bool) {
	t, ok := m.User.CrashThread()
	if !ok {
		return Thread{}, false
	}
	id := uint64(t.ID)
	return Thread{Address: t.TEB, ID: &id}, true
}

// userProcessor has no number: the system information stream speaks of all.
func (m *Machine) userProcessor() Processor {
	p := m.User.Processor
	return Processor{Vendor: p.Vendor, Family: p.Family, Model: p.Model, Stepping: p.Stepping, MHz: p.MHz}
}

// Offsets in a TEB (winnt.h, NT_TIB; PEB: winternl.h), in pointers.
const (
	tibStackBase  = 1
	tibStackLimit = 2
	tebPEB64      = 0x60
	tebPEB32      = 0x30
)

// userStackLimits reads StackLimit and StackBase of the crashing thread's TEB.
// Where that was not captured, the captured stack's end is the base, as writers
// take a stack whole from its pointer up, and the region that it lies in tells
// the rest.
func (m *Machine) userStackLimits() (low, high mem.VA, ok bool) {
	t, ok := m.User.CrashThread()
	if !ok {
		return 0, 0, false
	}
	if base, limit, ok := m.tib(t.TEB); ok {
		return limit, base, true
	}
	if t.StackSize == 0 || m.x86Side() { // what the list says is the 64-bit side's stack
		return 0, 0, false
	}
	low, high = t.Stack, t.Stack+mem.VA(t.StackSize)
	if r, ok := m.User.RegionAt(low); ok {
		low = r.Base
	}
	return low, high, high > low
}

// StackRecorded reports that the dump says where the crashing thread's stack
// ends, in its TEB or its regions, and not only what of it was captured.
func (m *Machine) StackRecorded() bool {
	t, ok := m.User.CrashThread()
	if !ok {
		return false
	}
	if _, _, ok := m.tib(t.TEB); ok {
		return true
	}
	_, ok = m.User.RegionAt(t.Stack)
	return ok && t.StackSize != 0 && !m.x86Side()
}

// x86Side reports that the dump was written by a 64-bit program, and the x86 side
// of the process is what is shown.
func (m *Machine) x86Side() bool { return m.User.WOW64 && m.Arch == dump.X86 }

func (m *Machine) tib(teb mem.VA) (base, limit mem.VA, ok bool) {
	if m.x86Side() {
		teb += 0x2000 // the 32-bit TEB stands two pages behind the 64-bit one (Wine, dlls/ntdll)
	}
	width := mem.VA(m.Arch.PointerSize())
	base, err1 := m.pointer(teb + tibStackBase*width)
	limit, err2 := m.pointer(teb + tibStackLimit*width)
	return base, limit, teb != 0 && err1 == nil && err2 == nil && limit != 0 && limit < base
}

// PEB is the address of the process environment block, which the crashing
// thread's TEB holds; false if that was not captured.
func (m *Machine) PEB() (mem.VA, bool) {
	t, ok := m.User.CrashThread()
	at := mem.VA(tebPEB64)
	if m.Arch == dump.X86 {
		at = tebPEB32
	}
	if !ok || t.TEB == 0 {
		return 0, false
	}
	peb, err := m.pointer(t.TEB + at)
	return peb, err == nil && peb != 0
}

// maxUserStack is how much of a program's stack is looked through for modules,
// bytes: the default size of a thread's stack.
const maxUserStack = 1 << 20

// userStack is the crashing thread's stack from its stack pointer up, as far as
// it was captured.
func (m *Machine) userStack() []byte {
	sp, ok := m.HeaderRegisters().SP()
	t, known := m.User.CrashThread()
	if !ok || !known {
		return nil
	}
	n := uint64(maxUserStack)
	if end := uint64(t.Stack) + uint64(t.StackSize); uint64(t.Stack) <= sp && sp < end {
		n = min(n, end-sp)
	}
	b := make([]byte, n)
	got, _ := m.Memory.ReadAt(b, mem.VA(sp))
	return b[:got]
}

// recordedPDB is the symbol file of a module as a user-mode minidump names it.
func recordedPDB(mod Module) pe.PDB {
	if mod.PDB.GUID == (win.GUID{}) {
		return pe.PDB{} // none, or the older NB10, which symbol servers key otherwise
	}
	return pe.PDB{GUID: mod.PDB.GUID, Age: mod.PDB.Age, Path: mod.PDB.Path}
}

// UserRegisters are those of a thread of a user-mode minidump; nil if the dump
// does not hold them.
func (m *Machine) UserRegisters(t dump.UserThread) report.Registers {
	return m.decodeContext(m.ThreadContext(t))
}

// Pointer reads a pointer of the machine's width.
func (m *Machine) Pointer(va mem.VA) (mem.VA, error) { return m.pointer(va) }

// StringAt reads the 8-bit text at va, at most n bytes of it; "" if it is not in
// the dump.
func (m *Machine) StringAt(va mem.VA, n int) string {
	b := make([]byte, n)
	got, _ := m.Memory.ReadAt(b, va)
	b = b[:got]
	for i, c := range b {
		if c == 0 {
			return printable(b[:i])
		}
	}
	return ""
}

// printable refuses what is no text: half of it would be control characters.
func printable(b []byte) string {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return ""
		}
	}
	return string(b)
}
