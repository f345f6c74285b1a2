package lab

import (
	"sort"

	"bugcheck/lab/ram"
)

// memoryFigures are the machine's totals in pages.
type memoryFigures struct {
	physical, available, resident uint64
	committed, limit, pageFile    uint64
}

// figures returns the totals: what nobody uses is available, and a paging file of an eighth
// of the memory adds to what may be committed.
func (s *System) figures() memoryFigures {
	f := memoryFigures{physical: s.Memory.Frames(), pageFile: s.Memory.Frames() / 8}
	used := s.Memory.InUse(ram.ClassKernel) + s.Memory.InUse(ram.ClassUser)
	for _, p := range s.Processes {
		used += p.workingSet // what the processes' counts say, though few of their pages exist
		f.committed += p.commit
	}
	used = min(used, f.physical*9/10)
	f.available = f.physical - used
	f.resident = f.available + f.available/16
	f.limit = f.physical + f.pageFile
	f.committed += s.Memory.InUse(ram.ClassKernel) + f.physical/20
	return f
}

// buildMemoryState writes the memory manager's totals and the PFN database.
func (s *System) buildMemoryState() {
	f := s.figures()
	runs := s.Memory.Runs()
	var w buf // PHYSICAL_MEMORY_DESCRIPTOR
	w.put32(0, uint32(len(runs)))
	w.put64(8, f.physical)
	for i, r := range runs {
		w.put64s(16+16*i, r.Base, r.Count)
	}
	block := s.alloc("MmPh", uint64(len(w.b)), false)
	s.put(block, w.b)
	s.pointer("MmPhysicalMemoryBlock", block)
	s.pointer("MmPfnDatabase", vaPFN)
	s.pointer("MmHighestUserAddress", 0x7ffffffeffff)
	s.pointer("MmSystemRangeStart", 0xffff800000000000)
	s.pointer("MmUserProbeAddress", 0x7fffffff0000)
	nonpaged, paged := s.PoolTotals()
	s.pointer("MmSizeOfPagedPoolInBytes", 1<<44)
	s.pointer("MmPagedPoolCommit", paged>>12)
	s.pointer("MmTotalCommitLimit", f.limit)
	s.pointer("MmTotalCommittedPages", f.committed)
	s.pointer("MmAvailablePages", f.available)
	s.miState(f, nonpaged>>12)
	s.recordFrames()
}

// miState writes MiState and MiSystemPartition: dt nt!_MI_SYSTEM_INFORMATION, nt!_MI_PARTITION.
func (s *System) miState(f memoryFigures, nonpaged uint64) {
	last := s.Memory.Runs()[len(s.Memory.Runs())-1]
	state := s.update("_MI_SYSTEM_INFORMATION", s.variable("MiState", s.layout.Size("_MI_SYSTEM_INFORMATION")))
	partition := s.update("_MI_PARTITION", s.variable("MiSystemPartition", s.layout.Size("_MI_PARTITION")))
	set := func(r *record, part, structure, field string, v uint64) {
		a, b := r.off(part), r.off(structure+":"+field)
		if a >= 0 && b >= 0 {
			r.put64(a+b, v)
		}
	}
	table := s.alloc("MmPt", 64, false)
	s.put(table, make([]byte, 64))
	s.word(table, partition.va)
	set(state, "Partitions", "_MI_PARTITION_STATE", "Partition", table)
	set(state, "Hardware", "_MI_HARDWARE_STATE", "InvalidPteMask", s.InvalidPTEMask)
	set(state, "Vs", "_MI_VISIBLE_STATE", "MaximumNonPagedPoolInPages", 1<<32)
	set(state, "Vs", "_MI_VISIBLE_STATE", "SizeOfPagedPoolInPages", 1<<32)
	set(state, "Vs", "_MI_VISIBLE_STATE", "NonPagedPoolCommit", nonpaged)
	set(state, "Vs", "_MI_VISIBLE_STATE", "ProcessCommit", f.committed/3)
	state.write()
	for field, v := range map[string]uint64{"LowestPhysicalPage": 1, "HighestPhysicalPage": last.Base + last.Count - 1,
		"NumberOfPhysicalPages": f.physical, "AvailablePages": f.available, "ResidentAvailablePages": f.resident,
		"TotalCommittedPages": f.committed, "TotalCommitLimit": f.limit, "SharedCommit": f.committed / 9,
		"TotalPagesForPagingFile": f.pageFile, "PagingFile": s.pagingFile(f.pageFile)} {
		set(partition, "Vp", "_MI_VISIBLE_PARTITION", field, v)
	}
	if a, b := partition.off("Vp"), partition.off("_MI_VISIBLE_PARTITION:NumberOfPagingFiles"); a >= 0 && b >= 0 {
		partition.put32(a+b, 1)
	}
	set(partition, "Commit", "_MI_PARTITION_COMMIT", "PeakCommitment", f.committed*6/5)
	set(partition, "Commit", "_MI_PARTITION_COMMIT", "TotalCommitLimitMaximum", f.limit+f.pageFile)
	partition.write()
}

// pagingFile makes an _MMPAGING_FILE of a number of pages.
func (s *System) pagingFile(pages uint64) uint64 {
	r := s.record("_MMPAGING_FILE", s.alloc("Mmpf", max(s.layout.Size("_MMPAGING_FILE"), 0x100), false))
	r.set64("Size", pages)
	r.set64("MaximumSize", pages*2)
	r.set64("FreeSpace", pages*7/8)
	r.setText("PageFileName", `\??\C:\pagefile.sys`, s.text("Mmpf", `\??\C:\pagefile.sys`, true))
	r.write()
	return r.va
}

// SetMemory writes other totals into MiSystemPartition, in pages: what is available, what is
// committed and what may be.
func (s *System) SetMemory(available, committed, limit uint64) error {
	vp, _ := s.layout.Field("_MI_PARTITION", "Vp")
	for field, v := range map[string]uint64{"AvailablePages": available, "TotalCommittedPages": committed, "TotalCommitLimit": limit} {
		s.fail(s.Set(s.Symbol("MiSystemPartition")+vp, "_MI_VISIBLE_PARTITION", field, 8, v))
	}
	return s.err
}

// frameSize is the size of an _MMPFN.
const frameSize = 0x30

// recordFrames writes an _MMPFN for each frame in use that has none. Where the database has
// no page yet, it gets one, which is a frame in use itself.
func (s *System) recordFrames() {
	where := s.mappings()
	for again := true; again && s.err == nil; {
		again = false
		var fresh []uint64
		s.Memory.Used(func(pfn uint64, c ram.Class) {
			if !s.recorded[pfn] {
				fresh = append(fresh, pfn)
			}
		})
		for _, pfn := range fresh {
			s.fail(s.Space.Map(vaPFN+pfn*frameSize, frameSize, ram.Writable))
			s.recorded[pfn], again = true, true
		}
		for _, pfn := range fresh {
			s.writeFrame(pfn, where[pfn])
		}
	}
}

// writeFrame writes an _MMPFN: PteAddress 8, OriginalPte 0x10, ShareCount 0x18, ReferenceCount
// 0x20, the page's place (6 active, 2 standby) in the low 3 bits of 0x22, PteFrame 0x28. The
// same on all 64-bit builds: dt nt!_MMPFN, nt!_MMPFNENTRY1.
func (s *System) writeFrame(pfn uint64, where [2]uint64) {
	var w buf
	w.grow(frameSize)
	place := uint8(6)
	if s.Memory.Class(pfn) == ram.ClassStandby {
		place = 2
	} else {
		w.put64(0x18, 1)
		w.put16(0x20, 1)
	}
	w.put8(0x22, place|0x10) // Modified
	w.put64s(8, where[0], 0x80)
	w.put64(0x28, where[1])
	s.put(vaPFN+pfn*frameSize, w.b)
}

// mappings returns for each frame that is mapped somewhere the address of the entry that
// maps it, in the self-map, and the frame of that entry's table.
func (s *System) mappings() map[uint64][2]uint64 {
	found := map[uint64][2]uint64{}
	base := s.selfMap()
	note := func(va uint64, e ram.Entry) {
		if _, ok := found[e.Frame()]; !ok && e.Level == 1 {
			found[e.Frame()] = [2]uint64{base + va>>9&0x7ffffffff8, e.Address / ram.PageSize}
		}
	}
	s.Space.Each(true, note)
	all := append([]*EProcess(nil), s.Processes...)
	sort.SliceStable(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	for _, p := range all {
		p.Space.Each(false, note)
	}
	return found
}

// selfMap returns PTE_BASE: where the page tables show as memory.
func (s *System) selfMap() uint64 {
	if s.Levels == 5 {
		return 0xff<<56 | uint64(s.Memory.SelfMap)<<48
	}
	return 0xffff<<48 | uint64(s.Memory.SelfMap)<<39
}
