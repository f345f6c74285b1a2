package kernel

import (
	"fmt"

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

// kernelVariable is the address of one of the kernel's variables: its symbols know,
// else the debugger data block does.
func (m *Machine) kernelVariable(name string, off int) (mem.VA, error) {
	if va, ok := m.Variable(name); ok {
		return va, nil
	}
	if off != kdbgOnlySymbols && m.variable(off) != 0 {
		return m.variable(off), nil
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

// searched is what a search through a stretch of memory reads, and how: what a dump
// holds of it, past a Recorder, since only what a search finds says something.
func (m *Machine) searched(s Span) (mem.Reader, []Span) {
	reader := m.Memory
	if r, ok := reader.(*mem.Recorder); ok {
		reader = r.From()
	}
	if m.Runs == nil {
		return reader, []Span{s}
	}
	var list []Span
	for _, r := range m.Runs {
		if start, end := max(r.Address, s.Start), min(r.End(), s.End); start < end {
			list = append(list, Span{Start: start, End: end})
		}
	}
	return reader, list
}
