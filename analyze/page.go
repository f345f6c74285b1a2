package analyze

import (
	"slices"

	"bugcheck/mem"
	"bugcheck/report"
)

// Page is what the page tables hold of an address.
type Page struct {
	State      mem.PageState
	Level      int    // of the table where the walk ended
	PTE        uint64 // the entry there
	Physical   uint64 // of 0x1A: where in RAM the entry lies; zero: not known
	Writable   bool
	Executable bool
}

// pageCodes are the stop codes whose parameter 1 is an address that was touched; of
// 0x1A it is the page table entry itself, parameter 2.
var pageCodes = map[uint32]bool{0x0a: true, 0x50: true, 0xbe: true, 0xd1: true, 0xfc: true}

// entryKinds1A are the kinds of 0x1A whose parameter 2 is a page table entry.
var entryKinds1A = map[uint64]bool{0x404: true, 0x411: true, corruptPTE: true}

// collectPage walks the kernel's own page tables for the address that was touched.
func (c *collection) collectPage() {
	f := &c.facts
	if !f.Whole {
		return
	}
	if f.Code == 0x1a && entryKinds1A[f.Parameters[0]] {
		if v, err := mem.ReadU64(c.m.Memory, mem.VA(f.Parameters[1])); err == nil { // the tables show as memory
			f.Page = &Page{PTE: v, Level: 1}
			if pa, err := c.m.Space(c.m.Header.DirectoryTable).Translate(mem.VA(f.Parameters[1])); err == nil {
				f.Page.Physical = uint64(pa)
			}
		}
		return
	}
	kind := f.Places[0].Kind
	if !pageCodes[f.Code] || kind != PlaceSystem && kind != PlaceModule {
		return
	}
	p, err := c.m.Space(c.m.Header.DirectoryTable).Page(mem.VA(f.Parameters[0]))
	if err == nil {
		f.Page = &Page{State: p.State, Level: p.Level, PTE: p.PTE, Writable: p.Writable, Executable: p.Executable}
	}
}

// judgePage says what the page tables hold.
func (j *judgement) judgePage() {
	p := j.f.Page
	if p == nil || p.State == "" || j.f.Code == 0xbe && p.State == mem.Valid && !p.Writable { // parameter 2 says so
		return
	}
	if slices.ContainsFunc(j.f.OneBits, func(b OneBit) bool { return b.Kind == OneBitEntry }) {
		return // what it seems to say is wrong
	}
	source := report.T("page tables")
	switch p.State {
	case mem.Valid:
		rights := report.T("for reading only")
		if p.Writable {
			rights = report.T("for reading and writing")
		}
		j.evidence(report.Recorded, source, report.T("The page of that address is in memory, %s (page table entry 0x%x).", rights, p.PTE))
	case mem.PagedOut, mem.Transition, mem.Prototype:
		j.evidence(report.Recorded, source, report.T("The page of that address exists but was not in place (page table entry 0x%x): at a low IRQL Windows would have brought it in.", p.PTE))
	case mem.DemandZero:
		j.evidence(report.Recorded, source, report.T("The page of that address was promised but never used before (page table entry 0x%x).", p.PTE))
	case mem.Unmapped:
		j.evidence(report.Recorded, source, report.T("No memory was ever put at that address, or it was taken away (page table level %d, entry 0x%x).", p.Level, p.PTE))
	}
}
