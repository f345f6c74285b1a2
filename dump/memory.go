package dump

import "bugcheck/internal/le"

const mmSize64 = 0x50

// MemoryFigures are the memory manager's counters in a small dump. Sizes are
// in pages of 4 KiB. A dump that Windows converted at the next start has only
// zeros there: Known is false.
type MemoryFigures struct {
	Known          bool
	SpecialPoolTag uint32
	TriageAction   uint32 // MiTriageActionTaken
	VerifyLevel    uint32 // MmVerifyDriverLevel
	KernelVerifier uint32
	NonPagedMax    uint64
	NonPagedUsed   uint64
	PagedMax       uint64
	PagedUsed      uint64
	Committed      uint64
	CommittedPeak  uint64
	CommitLimit    uint64
}

// memoryFigures decodes DUMP_MM_STORAGE64, version 1, size 0x50 (the public
// Dump.h of Microsoft Research's Singularity; the values checked on nine dumps
// that the kernel wrote: the commit charge is below its peak, the peak below
// the limit).
func memoryFigures(b []byte) MemoryFigures {
	if len(b) < mmSize64 || le.U32(b, 0) != 1 || le.U32(b, 4) != mmSize64 {
		return MemoryFigures{}
	}
	m := MemoryFigures{
		SpecialPoolTag: le.U32(b, 0x8),
		TriageAction:   le.U32(b, 0xc),
		VerifyLevel:    le.U32(b, 0x10),
		KernelVerifier: le.U32(b, 0x14),
		NonPagedMax:    le.U64(b, 0x18),
		NonPagedUsed:   le.U64(b, 0x20),
		PagedMax:       le.U64(b, 0x28),
		PagedUsed:      le.U64(b, 0x30),
		Committed:      le.U64(b, 0x38),
		CommittedPeak:  le.U64(b, 0x40),
		CommitLimit:    le.U64(b, 0x48),
	}
	m.Known = m.CommitLimit != 0
	return m
}
