package kernel

import (
	"errors"
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// VirtualMemory is what the debugger's !vm prints. Sizes are in pages of 4 KiB; nil:
// not known.
type VirtualMemory struct {
	Runs              []PhysicalRun // of RAM
	Physical          *uint64
	Available         *uint64 // zeroed, free and standby
	ResidentAvailable *uint64 // what could still be locked
	Zeroed, Free      *uint64
	Standby           *uint64
	Modified          *uint64
	ModifiedNoWrite   *uint64
	Bad               *uint64

	Committed     *uint64
	CommitLimit   *uint64
	CommitPeak    *uint64
	CommitMaximum *uint64 // the limit when the paging files have grown
	SharedCommit  *uint64
	ProcessCommit *uint64

	NonPagedPool, NonPagedPoolMax *uint64
	PagedPool, PagedPoolMax       *uint64

	PagingFiles []PagingFile
}

// PhysicalRun is a run of RAM.
type PhysicalRun struct {
	Start mem.PA
	Pages uint64
}

// PagingFile is one of the files that commit is backed by; pages.
type PagingFile struct {
	Name                string
	Size, Minimum       uint64
	Maximum, Free, Peak uint64
}

// figure is where one number of VirtualMemory stands.
type figure struct {
	to   **uint64
	path string // in _MI_PARTITION or _MI_SYSTEM_INFORMATION; a page list's is where its head is
	kdbg int    // the field of the debugger data block that has the address of a variable with it; 0: none
}

// partitionFigures stand in MI_PARTITION. The first field of an MMPFNLIST is Total.
func (v *VirtualMemory) partitionFigures() []figure {
	return []figure{
		{&v.Physical, "Vp.NumberOfPhysicalPages", kdbgPhysicalPages},
		{&v.Available, "Vp.AvailablePages", kdbgAvailable},
		{&v.ResidentAvailable, "Vp.ResidentAvailablePages", kdbgResidentAvailable},
		{&v.Zeroed, "PageLists.ZeroedPageListHead", kdbgZeroedList},
		{&v.Free, "PageLists.FreePageListHead", kdbgFreeList},
		{&v.Standby, "PageLists.StandbyPageListHead", kdbgStandbyList},
		{&v.Bad, "PageLists.BadPageListHead", 0},
		{&v.Modified, "Vp.ModifiedPageListHead", kdbgModifiedList},
		{&v.ModifiedNoWrite, "Vp.ModifiedNoWritePageListHead", kdbgNoWriteList},
		{&v.Committed, "Vp.TotalCommittedPages", kdbgCommitted},
		{&v.CommitLimit, "Vp.TotalCommitLimit", kdbgCommitLimit},
		{&v.SharedCommit, "Vp.SharedCommit", kdbgSharedCommit},
		{&v.CommitPeak, "Commit.PeakCommitment", kdbgPeakCommitment},
		{&v.CommitMaximum, "Commit.TotalCommitLimitMaximum", kdbgCommitMaximum},
	}
}

// systemFigures stand in MI_SYSTEM_INFORMATION. A machine that runs has pools: zero says
// that a field is not what it was, and the next for the same number is taken.
func (v *VirtualMemory) systemFigures() []figure {
	return []figure{
		{&v.NonPagedPool, "Pools.AllocatedNonPagedPool", kdbgAllocated},
		{&v.NonPagedPool, "Vs.NonPagedPoolCommit", 0},
		{&v.NonPagedPoolMax, "Vs.MaximumNonPagedPoolInPages", 0},
		{&v.PagedPool, "Vs.PagedPoolInfo.AllocatedPagedPool", 0},
		{&v.PagedPoolMax, "Vs.SizeOfPagedPoolInPages", 0},
		{&v.PagedPool, "", kdbgPagedCommit},
		{&v.ProcessCommit, "Vs.ProcessCommit", kdbgProcessCommit},
	}
}

// maxPages is more than any machine has: 2^52 bytes.
const maxPages = 1 << 40

// VirtualMemory reads the memory manager's counters: those of the system partition and
// of MiState, found by symbols or by what stands in them, else those that the debugger
// data block names, else those that a small dump carries. What was read is returned
// beside the errors.
func (m *Machine) VirtualMemory() (VirtualMemory, error) {
	var v VirtualMemory
	var errRuns, errSystem error
	v.Runs, errRuns = m.physicalRuns()
	partition, errPartition := m.systemPartition(v.Runs)
	if errPartition == nil {
		m.figures(partition, "_MI_PARTITION", v.partitionFigures())
		v.PagingFiles, errPartition = m.pagingFiles(partition)
		var state mem.VA
		if state, errSystem = m.memoryState(partition); errSystem == nil {
			m.figures(state, "_MI_SYSTEM_INFORMATION", v.systemFigures())
		}
	}
	m.debuggerFigures(&v)
	v.fromSmallDump(m.Blocks.Memory)
	if v.Physical == nil && len(v.Runs) > 0 {
		n := uint64(0)
		for _, r := range v.Runs {
			n += r.Pages
		}
		v.Physical = &n
	}
	if err := errors.Join(errRuns, errPartition, errSystem); err != nil {
		return v, fmt.Errorf("memory figures: %w", err)
	}
	return v, nil
}

// figures reads the fields of a structure that this kernel's layout has.
func (m *Machine) figures(va mem.VA, structure string, list []figure) {
	for _, f := range list {
		if at := m.Field(structure, f.path); at >= 0 && (*f.to == nil || **f.to == 0) {
			m.figure(f.to, va+mem.VA(at))
		}
	}
}

// figure reads a number of pages; one that cannot be is not taken.
func (m *Machine) figure(to **uint64, va mem.VA) {
	if n, err := m.pointer(va); err == nil && n <= maxPages {
		pages := uint64(n)
		*to = &pages
	}
}

// debuggerFigures takes what is still not known from the variables that the debugger
// data block names; since Windows 10 it names few.
func (m *Machine) debuggerFigures(v *VirtualMemory) {
	for _, f := range append(v.partitionFigures(), v.systemFigures()...) {
		if f.kdbg != 0 && m.variable(f.kdbg) != 0 && (*f.to == nil || **f.to == 0) {
			m.figure(f.to, m.variable(f.kdbg))
		}
	}
	for _, f := range []figure{{&v.NonPagedPoolMax, "", kdbgNonPagedMax}, {&v.PagedPoolMax, "", kdbgPagedSize}} {
		bytes, err := m.pointer(m.variable(f.kdbg))
		if err == nil && *f.to == nil && bytes/pageSize <= maxPages {
			pages := uint64(bytes / pageSize)
			*f.to = &pages
		}
	}
}

func (v *VirtualMemory) fromSmallDump(f dump.MemoryFigures) {
	if !f.Known {
		return
	}
	for _, c := range []struct {
		to    **uint64
		pages uint64
	}{
		{&v.Committed, f.Committed}, {&v.CommitPeak, f.CommittedPeak}, {&v.CommitLimit, f.CommitLimit},
		{&v.NonPagedPool, f.NonPagedUsed}, {&v.NonPagedPoolMax, f.NonPagedMax},
		{&v.PagedPool, f.PagedUsed}, {&v.PagedPoolMax, f.PagedMax},
	} {
		if *c.to == nil {
			*c.to = &c.pages
		}
	}
}

// PHYSICAL_MEMORY_DESCRIPTOR (dt, the same from 7601 to 22621).
const (
	descriptorPages   = 0x8
	descriptorRuns    = 0x10
	descriptorRunSize = 0x10
	maxPhysicalRuns   = 4096
)

// physicalRuns reads MmPhysicalMemoryBlock.
func (m *Machine) physicalRuns() ([]PhysicalRun, error) {
	if m.Arch == dump.X86 {
		return nil, fmt.Errorf("MmPhysicalMemoryBlock: 32-bit ones are not decoded")
	}
	at, err := m.kernelPointer("MmPhysicalMemoryBlock", kdbgPhysicalMemory)
	if err != nil {
		return nil, err
	}
	n, err := mem.ReadU32(m.Memory, at)
	if err != nil {
		return nil, fmt.Errorf("MmPhysicalMemoryBlock: %w", err)
	}
	if n > maxPhysicalRuns {
		return nil, fmt.Errorf("MmPhysicalMemoryBlock at %v: %d runs are too many", at, n)
	}
	b, err := mem.Read(m.Memory, at+descriptorRuns, int(n)*descriptorRunSize)
	if err != nil {
		return nil, fmt.Errorf("MmPhysicalMemoryBlock: %w", err)
	}
	var runs []PhysicalRun
	for i := range int(n) {
		r := PhysicalRun{mem.PA(le.U64(b, i*descriptorRunSize)) * pageSize, le.U64(b, i*descriptorRunSize+8)}
		if r.Pages > maxPages {
			return runs, fmt.Errorf("MmPhysicalMemoryBlock at %v: run %d has 0x%x pages", at, i, r.Pages)
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// systemPartition finds MiSystemPartition.
func (m *Machine) systemPartition(runs []PhysicalRun) (mem.VA, error) {
	f := &fields{m: m}
	pages := f.at("_MI_PARTITION", "Vp.NumberOfPhysicalPages")
	lowest, highest := f.at("_MI_PARTITION", "Vp.LowestPhysicalPage"), f.at("_MI_PARTITION", "Vp.HighestPhysicalPage")
	if err := f.err(); err != nil {
		return 0, err
	}
	if va, ok := m.Variable("MiSystemPartition"); ok {
		n, err := mem.ReadU64(m.Memory, va+mem.VA(pages))
		if err != nil {
			return 0, fmt.Errorf("MiSystemPartition: %w", err)
		}
		if n == 0 || n > maxPages {
			return 0, fmt.Errorf("MiSystemPartition at %v: 0x%x physical pages", va, n)
		}
		return va, nil
	}
	if len(runs) == 0 || highest != lowest+8 || pages != lowest+16 {
		return 0, fmt.Errorf("MiSystemPartition: symbols do not say where it is")
	}
	total := uint64(0)
	for _, r := range runs {
		total += r.Pages
	}
	last := runs[len(runs)-1]
	want := []uint64{uint64(runs[0].Start) / pageSize, uint64(last.Start)/pageSize + last.Pages - 1, total}
	at, ok := m.findWords(func(words []byte, _ mem.VA) bool {
		return le.U64(words, 0) == want[0] && le.U64(words, 8) == want[1] && le.U64(words, 16) == want[2]
	})
	if !ok {
		return 0, fmt.Errorf("MiSystemPartition: symbols do not say where it is, and no variable of the kernel looks like it")
	}
	return at - mem.VA(lowest), nil
}

// memoryState finds MiState: by symbols, else as what has the list of partitions, whose
// first is the system's, and believable limits of both pools.
func (m *Machine) memoryState(partition mem.VA) (mem.VA, error) {
	if va, ok := m.Variable("MiState"); ok {
		return va, nil
	}
	f := &fields{m: m}
	list := f.at("_MI_SYSTEM_INFORMATION", "Partitions.Partition")
	nonPaged, paged := f.at("_MI_SYSTEM_INFORMATION", "Vs.MaximumNonPagedPoolInPages"), f.at("_MI_SYSTEM_INFORMATION", "Vs.SizeOfPagedPoolInPages")
	if err := f.err(); err != nil {
		return 0, fmt.Errorf("MiState: %w", err)
	}
	limit := func(at mem.VA) bool {
		n, err := m.pointer(at)
		return err == nil && n > 0 && n <= maxPages
	}
	at, ok := m.findWords(func(words []byte, at mem.VA) bool {
		first := mem.VA(le.U64(words, 0))
		if first%8 != 0 || !m.isKernelAddress(first) {
			return false
		}
		va, err := mem.ReadVA(m.Memory, first)
		state := at - mem.VA(list)
		return err == nil && va == partition && limit(state+mem.VA(nonPaged)) && limit(state+mem.VA(paged))
	})
	if !ok {
		return 0, fmt.Errorf("MiState: symbols do not say where it is, and no variable of the kernel looks like it")
	}
	return at - mem.VA(list), nil
}

const (
	searchedWords   = 24      // bytes that findWords shows at once
	maxVariables    = 1 << 25 // bytes of the kernel's variables
	variablesBehind = 5 << 20 // bytes behind the last that the debugger data block names
)

// findWords looks for three 64-bit words among the kernel's variables: around those
// that the debugger data block names.
func (m *Machine) findWords(is func(words []byte, at mem.VA) bool) (mem.VA, bool) {
	reader, spans := m.searched(m.variables())
	buffer := make([]byte, trackerChunk)
	for _, s := range spans {
		for at := s.Start; at < s.End; {
			n, _ := reader.ReadAt(buffer[:min(trackerChunk, s.End-at)], at)
			b := buffer[:n]
			for off := 0; off+searchedWords <= len(b); off += 8 {
				if found := at + mem.VA(off); is(b[off:], found) {
					_, _ = m.Memory.ReadAt(b[:searchedWords], found) // what was found is kept where reads are
					return found, true
				}
			}
			if len(b) < searchedWords {
				at = (at + pageSize) &^ (pageSize - 1) // the page is missing
				continue
			}
			at += mem.VA((len(b) - searchedWords + 8) &^ 7)
		}
	}
	return 0, false
}

// variables is where the kernel's variables lie.
func (m *Machine) variables() Span {
	var s Span
	if len(m.Modules) == 0 {
		return s
	}
	nt := m.Modules[0]
	for off := kdbgFirstVariable; off+8 <= kdbgBehindVariables; off += 8 {
		va := m.variable(off)
		if va < nt.Base || va >= nt.End() {
			continue
		}
		if s.Start == 0 || va < s.Start {
			s.Start = va &^ (pageSize - 1)
		}
		s.End = max(s.End, va)
	}
	if s.End != 0 {
		s.End = min(s.End+variablesBehind, nt.End(), s.Start+maxVariables)
	}
	return s
}

const maxPagingFiles = 16 // MI_VISIBLE_PARTITION.PagingFile has 16 elements

// pagingFiles reads the partition's MMPAGING_FILEs.
func (m *Machine) pagingFiles(partition mem.VA) ([]PagingFile, error) {
	f := &fields{m: m}
	count, array := f.at("_MI_PARTITION", "Vp.NumberOfPagingFiles"), f.at("_MI_PARTITION", "Vp.PagingFile")
	size, maximum, minimum := f.at("_MMPAGING_FILE", "Size"), f.at("_MMPAGING_FILE", "MaximumSize"), f.at("_MMPAGING_FILE", "MinimumSize")
	free, peak, name := f.at("_MMPAGING_FILE", "FreeSpace"), f.at("_MMPAGING_FILE", "PeakUsage"), f.at("_MMPAGING_FILE", "PageFileName")
	if err := f.err(); err != nil {
		return nil, err
	}
	n, err := mem.ReadU32(m.Memory, partition+mem.VA(count))
	if err != nil {
		return nil, fmt.Errorf("paging files: %w", err)
	}
	if n > maxPagingFiles {
		return nil, fmt.Errorf("paging files: %d are too many", n)
	}
	var list []PagingFile
	for i := range mem.VA(n) {
		va, err := mem.ReadVA(m.Memory, partition+mem.VA(array)+8*i)
		if err != nil {
			return list, fmt.Errorf("paging file %d: %w", i, err)
		}
		b, err := mem.Read(m.Memory, va, max(size, maximum, minimum, free, peak)+8)
		if err != nil {
			return list, fmt.Errorf("paging file %d: %w", i, err)
		}
		list = append(list, PagingFile{
			Name: m.unicodeString(va + mem.VA(name)),
			Size: le.U64(b, size), Minimum: le.U64(b, minimum), Maximum: le.U64(b, maximum), Free: le.U64(b, free), Peak: le.U64(b, peak),
		})
	}
	return list, nil
}
