package mem

import "math/bits"

// PagingKind is a format of page tables.
type PagingKind uint8

// The formats that Windows runs on.
const (
	PagingX64   PagingKind = iota // 4 levels, 48-bit addresses
	PagingLA57                    // x64 with 5 levels, 57-bit addresses
	PagingARM64                   // granule of 4 KiB, 4 levels, 48-bit addresses
	PagingX86                     // 2 levels, entries of 32 bits
	PagingPAE                     // x86 with 3 levels, entries of 64 bits
)

// String names the format: "x64", "x86 PAE".
func (k PagingKind) String() string {
	switch k {
	case PagingLA57:
		return "x64 with 5 levels"
	case PagingARM64:
		return "ARM64"
	case PagingX86:
		return "x86"
	case PagingPAE:
		return "x86 PAE"
	}
	return "x64"
}

// Paging says how page tables are read. The zero value is x64 with 4 levels
// and plain software entries.
type Paging struct {
	Kind PagingKind
	// InvalidPteMask is MiState.Hardware.InvalidPteMask of an x64 kernel from build
	// 17763 on: bits that are set in an entry which is not valid, unless
	// its SwizzleBit is. 0: not used, as on most virtual machines.
	InvalidPteMask uint64
	// MaskUnknown: InvalidPteMask is 0 because nobody has read it yet. A prototype
	// PTE is not followed then, as its address may have a bit too many; nor can an
	// offset in a page file be relied on.
	MaskUnknown bool
	// Limit is where physical memory ends. A transition entry that points behind
	// it has bits of InvalidPteMask: they are cut off even when the mask is not
	// known. 0: not known.
	Limit PA
	// OldPageFile: the number of the page file stands in bits 1 to 4, and there is
	// no SwizzleBit, as before build 17763 (not on ARM64).
	OldPageFile bool
}

// PageState says what an entry of a page table is; the words end the sentence
// of a Fault: "is paged out".
type PageState string

// The states of a page.
const (
	Valid      PageState = "valid"
	Transition PageState = "in transition" // not mapped, but still in its page
	PagedOut   PageState = "paged out"
	DemandZero PageState = "demand zero"     // committed, never touched
	Prototype  PageState = "a prototype PTE" // shared memory; the section knows where it is
	Unmapped   PageState = "not mapped"
)

// PageInfo is what the page tables say of an address.
type PageInfo struct {
	State PageState
	PTE   uint64 // the entry as it stands in the table
	Entry PA     // where it stands
	Level int    // of its table: 1 for 4 KiB pages; for State Unmapped and the like, where the walk ended
	Base  PA     // the page; for Valid and Transition, and for Prototype where the page is in memory
	Size  uint64 // of the page, bytes; 0: there is none
	// What all levels allow. An entry that is not valid allows nothing.
	Writable, Executable, User bool
	PageFile                   uint8  // its number; for PagedOut
	PageFileOffset             uint64 // pages
	PrototypePTE               VA     // for Prototype; 0 where the section is found by the address, or with MaskUnknown
}

// geometry is how a format cuts an address: level 1 first.
type geometry struct {
	shifts    []uint8
	indexBits uint8
	entrySize uint64
}

var geometries = [...]geometry{
	PagingX64:   {[]uint8{12, 21, 30, 39}, 9, 8},
	PagingLA57:  {[]uint8{12, 21, 30, 39, 48}, 9, 8},
	PagingARM64: {[]uint8{12, 21, 30, 39}, 9, 8},
	PagingX86:   {[]uint8{12, 22}, 10, 4},
	PagingPAE:   {[]uint8{12, 21, 30}, 9, 8},
}

func (p Paging) geometry() geometry {
	if int(p.Kind) < len(geometries) {
		return geometries[p.Kind]
	}
	return geometries[PagingX64]
}

// canonical returns the address that is translated; false if the processor has
// no such address. A debugger data block holds 32-bit addresses sign-extended.
// On ARM64 Windows keeps one table for both halves, as on x64, though the processor
// has a register for each (ufrisk/MemProcFS vmm/mm/mm_arm64.c walks all of a
// process from its DirectoryTableBase, and finds the table's entry for itself).
func (p Paging) canonical(va VA) (VA, bool) {
	switch p.Kind {
	case PagingX86, PagingPAE:
		return va & 0xffffffff, va>>32 == 0 || int64(va)>>31 == -1
	case PagingLA57:
		return va, int64(va)>>56 == 0 || int64(va)>>56 == -1
	}
	return va, int64(va)>>47 == 0 || int64(va)>>47 == -1
}

// root takes off what a directory base register holds besides the address: the
// PCID of CR3, the ASID of TTBR.
func (p Paging) root(base PA) PA {
	if p.Kind == PagingPAE {
		return base & 0xffffffe0
	}
	return base & frameMask
}

// frameMask cuts the physical address out of an entry of 64 bits.
const frameMask = 0x000f_ffff_ffff_f000

// entry is one decoded entry of a page table.
type entry struct {
	state                      PageState
	at                         PA   // the page or the next table
	large                      bool // it maps a page although its level holds tables
	writable, executable, user bool
	file                       uint8
	offset                     uint64
	prototype                  VA
}

// decode decodes an entry of a table of the given level.
func (p Paging) decode(pte uint64, level int) entry {
	if pte&1 == 0 {
		return p.software(pte)
	}
	switch p.Kind {
	case PagingARM64:
		return arm64Entry(pte, level)
	case PagingX86:
		return x86Entry(pte, level)
	}
	e := entry{
		state:      Valid,
		at:         PA(pte & frameMask),
		large:      level > 1 && level <= 3 && pte&0x80 != 0,
		writable:   pte&writableBits != 0,
		executable: pte>>63 == 0,
		user:       pte&4 != 0,
	}
	if p.Kind == PagingPAE && level == 3 { // a page directory pointer has no rights, and maps no page
		e.large, e.writable, e.executable, e.user = false, true, true, true
	}
	return e
}

// writableBits are Dirty1, which the processor looks at, and Write, which Windows
// keeps for a page that may be written and was not yet (dt nt!_MMPTE_HARDWARE,
// 19041 x64).
const writableBits = 1<<1 | 1<<11

// arm64Entry decodes a valid descriptor (Arm ARM, VMSAv8-64 with a granule of
// 4 KiB; dt nt!_MMPTE_HARDWARE, 26100 ARM64). Whether a page may be executed is
// said for the mode that it belongs to.
func arm64Entry(pte uint64, level int) entry {
	e := entry{
		state:      Valid,
		at:         PA(pte & 0x0000_ffff_ffff_f000),
		large:      level > 1 && level <= 3 && pte&2 == 0,
		writable:   pte&(1<<7) == 0 || pte&(1<<55) != 0, // NotDirty, Writable
		executable: pte&(1<<53) == 0,                    // PrivilegedNoExecute
		user:       pte&(1<<6) != 0,
	}
	if e.user {
		e.executable = pte&(1<<54) == 0 // UserNoExecute
	}
	switch {
	case pte&2 == 0 && !e.large: // reserved
		return entry{state: Unmapped}
	case level > 1 && !e.large: // a table: its rights stand in other bits, which Windows leaves zero
		e.writable, e.executable, e.user = true, true, true
	}
	return e
}

// x86Entry decodes a valid entry of 32 bits. A page of 4 MiB may lie above
// 4 GiB: bits 13 to 20 are bits 32 to 39 of its address (PSE-36).
func x86Entry(pte uint64, level int) entry {
	e := entry{
		state:      Valid,
		at:         PA(pte & 0xfffff000),
		large:      level == 2 && pte&0x80 != 0,
		writable:   pte&writableBits != 0,
		executable: true,
		user:       pte&4 != 0,
	}
	if e.large {
		e.at = PA(pte&0xffc00000 | pte>>13&0xff<<32)
	}
	return e
}

// Bits of software entries: the same in all formats.
const (
	softPrototype  = 1 << 10
	softTransition = 1 << 11
	softSwizzle    = 1 << 4 // x64 and PAE
	decommitted    = 0x10   // MM_DECOMMIT as Protection: the page was given back
)

// software decodes an entry that is not valid: MMPTE_SOFTWARE, MMPTE_TRANSITION
// or MMPTE_PROTOTYPE (dt, 19041 x64 and x86, 26100 ARM64).
func (p Paging) software(pte uint64) entry {
	if p.InvalidPteMask != 0 && pte&softSwizzle == 0 && !p.OldPageFile && p.Kind != PagingARM64 && p.Kind != PagingX86 {
		pte &^= p.InvalidPteMask
	}
	switch {
	case pte&softPrototype != 0:
		if p.MaskUnknown && pte&softSwizzle == 0 {
			return entry{state: Prototype}
		}
		return entry{state: Prototype, prototype: p.prototype(pte)}
	case pte&softTransition != 0:
		return entry{state: Transition, at: p.transition(pte)}
	}
	protection, file, offset := p.pageFile(pte)
	switch {
	case offset != 0:
		return entry{state: PagedOut, file: file, offset: offset}
	case protection == 0 || protection == decommitted:
		return entry{state: Unmapped}
	}
	return entry{state: DemandZero}
}

func (p Paging) transition(pte uint64) PA {
	at := PA(pte & frameMask)
	if p.Kind == PagingX86 {
		at = PA(pte & 0xfffff000)
	}
	if p.Limit != 0 && at >= p.Limit {
		at &= 1<<bits.Len64(uint64(p.Limit-1)) - 1
	}
	return at
}

// pageFile takes Protection, PageFileLow and PageFileHigh out of a
// MMPTE_SOFTWARE.
func (p Paging) pageFile(pte uint64) (protection, file uint8, offset uint64) {
	switch {
	case p.Kind == PagingARM64:
		return uint8(pte >> 1 & 0x1f), uint8(pte >> 6 & 0xf), pte >> 32
	case p.Kind == PagingX86:
		return uint8(pte >> 5 & 0x1f), uint8(pte >> 1 & 0xf), pte >> 12 & 0xfffff
	case p.OldPageFile:
		return uint8(pte >> 5 & 0x1f), uint8(pte >> 1 & 0xf), pte >> 32
	}
	return uint8(pte >> 5 & 0x1f), uint8(pte >> 12 & 0xf), pte >> 32
}

// lookupNeeded is the ProtoAddress 0xffffffff0000 of 48 bits, with its sign: the
// section is found by the VAD of the address (rekall, plugins/windows/pagefile).
const lookupNeeded = -0x10000

// prototype is ProtoAddress; 0 where there is none.
func (p Paging) prototype(pte uint64) VA {
	switch p.Kind {
	case PagingX86:
		return 0
	case PagingPAE:
		if pte>>32 == 0xffffffff {
			return 0
		}
		return VA(pte >> 32)
	}
	if v := int64(pte) >> 16; v != lookupNeeded {
		return VA(v)
	}
	return 0
}
