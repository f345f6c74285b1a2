package kernel

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// MMPFN, 64-bit (dt nt!_MMPFN, _MMPFNENTRY1, _MMPFNENTRY3, _MIPFNBLINK: the same from
// 17763 to 26100 as far as it is decoded).
const (
	pfnSize       = PFNSize
	pfnPTE        = 0x8
	pfnOriginal   = 0x10
	pfnShare      = 0x18 // ShareCount, 62 bits; of a page in a list the page before it
	pfnReferences = 0x20
	pfnState      = 0x22 // PageLocation, WriteInProgress, Modified, ReadInProgress
	pfnFlags      = 0x23 // Priority, …, InPageError, …, ParityError
)

// PFNSize is the size of an entry of the page frame database, bytes.
const PFNSize = 0x30

// PFN is an entry of the page frame database: what a page of RAM is used for.
type PFN struct {
	Page        mem.PA
	Entry       mem.VA // MMPFN
	State       string // of _MMLISTS, in words: "active", "standby", …
	Active      bool   // it is mapped
	Shares      uint64 // page table entries that map it, while it is active
	References  uint16
	PTE         mem.VA // page table entry that maps it, or did
	OriginalPTE uint64
	Modified    bool // it must be written before it is used again
	Writing     bool
	Reading     bool
	Priority    uint8
	PageError   bool // reading it failed: InPageError
	ParityError bool // the hardware reported it
}

// pageStates are the names of PageLocation: _MMLISTS.
var pageStates = [8]string{"zeroed", "free", "standby", "modified", "modified no-write", "bad", "active", "transition"}

// PFN reads the entry of the page of RAM at pa.
func (m *Machine) PFN(pa mem.PA) (PFN, error) {
	p := PFN{Page: pa &^ (pageSize - 1)}
	if m.Arch == dump.X86 {
		return p, fmt.Errorf("page frame %v: 32-bit entries are not decoded", p.Page)
	}
	database, err := m.kernelPointer("MmPfnDatabase", kdbgPfnDatabase)
	if err != nil {
		return p, fmt.Errorf("page frame %v: %w", p.Page, err)
	}
	if pa/pageSize > maxPages || !m.isKernelAddress(database) {
		return p, fmt.Errorf("page frame %v: there is no such page in a database at %v", p.Page, database)
	}
	p.Entry = database + mem.VA(pa/pageSize)*pfnSize
	b, err := mem.Read(m.Memory, p.Entry, pfnSize)
	if err != nil {
		return p, fmt.Errorf("page frame %v: %w", p.Page, err)
	}
	state, flags := b[pfnState], b[pfnFlags]
	p.State, p.Active = pageStates[state&7], state&7 == 6
	if p.Active {
		p.Shares = le.U64(b, pfnShare) &^ (3 << 62)
	}
	p.References, p.PTE, p.OriginalPTE = le.U16(b, pfnReferences), mem.VA(le.U64(b, pfnPTE)&^1), le.U64(b, pfnOriginal)
	p.Writing, p.Modified, p.Reading = state&0x8 != 0, state&0x10 != 0, state&0x20 != 0
	p.Priority, p.PageError, p.ParityError = flags&7, flags&0x10 != 0, flags&0x80 != 0
	return p, nil
}
