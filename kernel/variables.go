package kernel

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// Fields of KDDEBUGGER_DATA64 (wdbgexts.h) that hold the address of one of the
// kernel's variables. Since Windows 10 the memory manager's own are mostly zero.
const (
	kdbgResources         = 0x60  // ExpSystemResourcesList
	kdbgRootDirectory     = 0x98  // ObpRootDirectoryObject
	kdbgPfnDatabase       = 0xc0  // MmPfnDatabase
	kdbgPhysicalPages     = 0xf8  // MmNumberOfPhysicalPages
	kdbgNonPagedMax       = 0x100 // MmMaximumNonPagedPoolInBytes
	kdbgPagedSize         = 0x140 // MmSizeOfPagedPoolInBytes
	kdbgCommitLimit       = 0x148 // MmTotalCommitLimit
	kdbgCommitted         = 0x150 // MmTotalCommittedPages
	kdbgSharedCommit      = 0x158 // MmSharedCommit
	kdbgProcessCommit     = 0x168 // MmProcessCommit
	kdbgPagedCommit       = 0x170 // MmPagedPoolCommit
	kdbgZeroedList        = 0x180 // MmZeroedPageListHead
	kdbgFreeList          = 0x188 // MmFreePageListHead
	kdbgStandbyList       = 0x190 // MmStandbyPageListHead
	kdbgModifiedList      = 0x198 // MmModifiedPageListHead
	kdbgNoWriteList       = 0x1a0 // MmModifiedNoWritePageListHead
	kdbgAvailable         = 0x1a8 // MmAvailablePages
	kdbgResidentAvailable = 0x1b0 // MmResidentAvailablePages
	kdbgPoolTrackTable    = 0x1b8 // PoolTrackTable
	kdbgAllocated         = 0x250 // MmAllocatedNonPagedPool
	kdbgPeakCommitment    = 0x258 // MmPeakCommitment
	kdbgCommitMaximum     = 0x260 // MmTotalCommitLimitMaximum
	kdbgPhysicalMemory    = 0x270 // MmPhysicalMemoryBlock
	kdbgBehindVariables   = 0x278 // the first field behind those
	kdbgOnlySymbols       = -1    // a variable that the debugger data block does not name
)

// inDebuggerData is the address that a field of the debugger data block holds.
func (m *Machine) inDebuggerData(off int) (mem.VA, bool) {
	b := m.Blocks.DebuggerData
	if off < 0 || off+8 > len(b) || le.U64(b, off) == 0 {
		return 0, false
	}
	return mem.VA(le.U64(b, off)), true
}

// kernelVariable is the address of one of the kernel's variables: its symbols know,
// else the debugger data block does.
func (m *Machine) kernelVariable(name string, off int) (mem.VA, error) {
	if va, ok := m.Variable(name); ok {
		return va, nil
	}
	if va, ok := m.inDebuggerData(off); ok {
		return va, nil
	}
	return 0, fmt.Errorf("%s: neither symbols nor the debugger data block say where it is", name)
}

// kernelPointer reads a variable that is a pointer.
func (m *Machine) kernelPointer(name string, off int) (mem.VA, error) {
	at, err := m.kernelVariable(name, off)
	if err != nil {
		return 0, err
	}
	va, err := m.pointer(at)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return va, nil
}

// Where fields stand in a structure is asked by name once for each; missing says
// which of them this kernel's layout lacks.
type fields struct {
	m       *Machine
	missing string
}

func (f *fields) at(structure, path string) int {
	at := f.m.Field(structure, path)
	if at < 0 && f.missing == "" {
		f.missing = structure + "." + path
	}
	return at
}

// err says which field is not known; nil: all are.
func (f *fields) err() error {
	if f.missing == "" {
		return nil
	}
	return fmt.Errorf("the layout of %s is not known for this kernel", f.missing)
}

// isKernelAddress reports that va lies in the upper half of the address space, in
// its canonical form.
func (m *Machine) isKernelAddress(va mem.VA) bool {
	if m.Arch.PointerSize() == 4 {
		return va >= 0x80000000 && va <= 0xffffffff
	}
	return va >= 0xffff8000_00000000 && va != ^mem.VA(0)
}

// walkList visits the entries of a list of LIST_ENTRY behind its head, until it
// comes back to the head. It ends with an error where an entry cannot be read,
// comes again, or is one more than limit; what visit has seen stands.
func (m *Machine) walkList(what string, head mem.VA, limit int, visit func(entry mem.VA)) error {
	entry, err := m.pointer(head)
	if err != nil {
		return fmt.Errorf("%s: head: %w", what, err)
	}
	seen := map[mem.VA]bool{head: true}
	for n := 0; entry != head; n++ {
		if seen[entry] {
			return fmt.Errorf("%s: entry %d at %v was there before: the list is a cycle", what, n, entry)
		}
		if n == limit {
			return fmt.Errorf("%s: more than %d entries", what, limit)
		}
		seen[entry] = true
		next, err := m.pointer(entry)
		if err != nil {
			return fmt.Errorf("%s: entry %d at %v: %w", what, n, entry, err)
		}
		visit(entry)
		entry = next
	}
	return nil
}
