package analyze

import (
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// RAMPage is what Windows has down of a page of RAM that the stop code is about: its
// entry in the page frame database.
type RAMPage struct {
	Number  uint64 // of the page
	State   string // a word of kernel.PFN.State
	Entry   uint64 // address of the page table entry that maps it, or did
	Address uint64 // that this entry maps; zero where that is a program's, of whom is not known
	Content uint64 // of the entry; zero: not known
	Parity  bool   // the hardware reported an error in it
}

// ramParameters say which parameter is the number of a page of RAM, by parameter 1.
var ramParameters = map[uint32]map[uint64]int{
	0x1a:  {0x1233: 2, 0x61949: 2},
	0x4e:  {0x02: 2, 0x07: 2, 0x8d: 2, 0x99: 2, 0x9a: 2},
	0xa2:  {3: 2},
	0x127: {anyKind: 2},
	0x12b: {anyKind: 2},
	0x1c7: {0: 4, 1: 4, 2: 4},
}

// anyKind stands for every value of parameter 1.
const anyKind = ^uint64(0)

// tablePages1A are the kinds of 0x1A whose parameter 2, on 64-bit Windows, is the entry
// of a page that holds a page table.
var tablePages1A = map[uint64]bool{corruptPTE790: true, 0x41793: true}

// collectRAM reads the page frame database.
func (c *collection) collectRAM() {
	f := &c.facts
	number, ok := c.pageNumber()
	if !f.Whole || !ok || number >= 1<<(64-frameShift) {
		return
	}
	p, err := c.m.PFN(mem.PA(number << frameShift))
	if err != nil {
		return
	}
	page := &RAMPage{Number: number, State: p.State, Entry: uint64(p.PTE), Parity: p.ParityError}
	if page.Address = mappedAt(page.Entry); page.Address != 0 && p.Active {
		page.Content, _ = mem.ReadU64(c.m.Memory, p.PTE) // the tables show as memory
	}
	f.RAM = page
}

// pageNumber is the page of RAM that the stop code is about.
func (c *collection) pageNumber() (uint64, bool) {
	f := &c.facts
	kinds := ramParameters[f.Code]
	n := kinds[f.Parameters[0]]
	if n == 0 {
		n = kinds[anyKind]
	}
	if n != 0 {
		return f.Parameters[n-1], true
	}
	if f.Code != 0x1a || !tablePages1A[f.Parameters[0]] {
		return 0, false
	}
	first, _ := c.m.PFN(0) // where the database begins is told even where its first page is not in the dump
	offset := mem.VA(f.Parameters[1]) - first.Entry
	return uint64(offset / kernel.PFNSize), first.Entry != 0 && offset%kernel.PFNSize == 0
}

// mappedAt is the address of the kernel that a page table entry maps, by its own: the
// tables show as memory, eight bytes for each page, in a region that an entry of the
// uppermost table makes by pointing to that table (Intel SDM volume 3, 4.5: nine bits of
// the address a level). Zero for a program's address, and for the tables themselves,
// which every process has of its own.
func mappedAt(entry uint64) uint64 {
	address := entry << 9 & (1<<48 - 8)
	if address>>47 == 0 || address>>39 == entry>>39&0x1ff {
		return 0
	}
	return address | 0xffff<<48
}

// judgeRAM says what the page is used for, and whether the page table agrees.
func (j *judgement) judgeRAM() {
	p := j.f.RAM
	if p == nil {
		return
	}
	source := report.T("page frame database")
	if p.Address != 0 {
		j.evidence(report.Recorded, source, report.T("Windows has physical page 0x%x down as %s, for the kernel's address 0x%x.", p.Number, stateWords(p.State), p.Address))
	} else {
		j.evidence(report.Recorded, source, report.T("Windows has physical page 0x%x down as %s.", p.Number, stateWords(p.State)))
	}
	if p.Parity || p.State == "bad" {
		j.evidence(report.Recorded, source, report.T("The hardware had reported an error in that page before."))
		j.noticed(report.CauseHardware, report.High)
	}
	maps := p.Content & (1<<52 - 1) >> frameShift
	if bit, one := oneBitApart(maps, p.Number); p.Content&1 != 0 && one {
		j.evidence(report.Derived, source, report.T("But the page table entry of that address, 0x%x, leads to page 0x%x: one bit (bit %d) is wrong, in the entry or in the database. Faulty memory does that.", p.Content, maps, bit+frameShift))
		j.noticed(report.CauseHardware, report.High)
	}
}

// stateWords are the states of a page of RAM in words.
func stateWords(state string) report.Text {
	switch state {
	case "active":
		return report.T("in use")
	case "zeroed", "free":
		return report.T("free")
	case "bad":
		return report.T("bad")
	case "standby":
		return report.T("free to be used again")
	case "modified", "modified no-write":
		return report.T("waiting to be written to disk")
	}
	return report.T("on its way to or from the disk")
}
