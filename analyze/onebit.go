package analyze

import (
	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
)

// OneBit is a value that is wrong by one bit, and what shows it.
type OneBit struct {
	Kind   string // a OneBit* word
	At     uint64 // address of the value in memory; zero: not known
	Is     uint64
	Should uint64 // with the bit the other way
	Bit    int
	Place  Place    // OneBitPointer: what Should points at, where that is a module or the stack
	InDump bool     // OneBitPointer: memory is there, at Should
	Held   []string // OneBitPointer: registers that hold Should, or an address close to it
	Stack  bool     // OneBitPointer: the stack holds one
	Tag    string   // OneBitPointer: of the block of pool that Should points into
	Page   uint64   // OneBitEntry: the page that the right entry maps
}

// The kinds of values that are wrong by one bit.
const (
	OneBitPointer = "pointer" // an address that was touched
	OneBitLink    = "link"    // a link of a list, to an entry that links back
	OneBitEntry   = "entry"   // of a page table
)

// lowestBit is from where on a single wrong bit in a pointer counts. Software makes
// pointers that differ in a lower one: neighbours in an array, an index that ran too
// far, one of 32 bits with or without its sign. No object spans 2^36 bytes.
const lowestBit = 36

// highestBit is up to where it counts: software marks pointers in bit 63.
const highestBit = 62

func (c *collection) collectOneBits() {
	if c.m.Arch == dump.X86 || c.m.Paging.Kind == mem.PagingLA57 || !c.facts.Context.Fault {
		return // no bit of an address is unused, or others are
	}
	if target, ok := c.touched(); ok {
		c.wrongPointer(target)
		c.wrongEntry(target)
	}
	c.wrongLinks()
}

// touched is the address that the fault came from: told by the processor, or computed
// where it is not canonical and so was not told.
func (c *collection) touched() (uint64, bool) {
	x := c.facts.Exception
	if x == nil || x.Target == nil {
		return 0, false
	}
	if *x.Target != notTold {
		return *x.Target, x.Access != ""
	}
	if in := c.facts.Instruction; in != nil && c.m.Arch == dump.X64 {
		for _, o := range in.Memory {
			if o.Known && classify(o.Address, c.m.Arch) == PlaceOneBit {
				return o.Address, true
			}
		}
	}
	return 0, false
}

// wrongPointer looks for the one bit of an address without memory that would lead to
// something that is there. More than one such bit is none.
func (c *collection) wrongPointer(target uint64) {
	kind := classify(target, c.m.Arch)
	if kind != PlaceSystem && kind != PlaceOneBit || c.exists(target) {
		return
	}
	var found []OneBit
	for bit := lowestBit; bit <= highestBit; bit++ {
		should := target ^ 1<<bit
		if k := classify(should, c.m.Arch); k != PlaceSystem && k != PlaceUser {
			continue
		}
		b := OneBit{Kind: OneBitPointer, Is: target, Should: should, Bit: bit, InDump: c.readable(should)}
		b.Held, b.Stack = c.beside(should)
		if p := place(c.m, should); p.Kind == PlaceModule || p.Kind == PlaceStack {
			b.Place = p
		}
		if b.Place.Kind != "" || b.InDump || len(b.Held) > 0 || b.Stack {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		return
	}
	b := &found[0]
	if block, err := c.m.PoolBlock(mem.VA(b.Should)); err == nil && !block.Guessed && !block.Free {
		b.Tag = block.Tag
	}
	b.At = c.holder(b)
	c.facts.OneBits = append(c.facts.OneBits, *b)
}

func (c *collection) readable(addr uint64) bool {
	_, err := mem.Read(c.m.Memory, mem.VA(addr), 1)
	return err == nil
}

// exists reports memory that is there, or would be: paged out, or promised. Of a small dump
// only what it holds is known.
func (c *collection) exists(addr uint64) bool {
	if c.readable(addr) || !c.facts.Whole {
		return c.readable(addr)
	}
	p, err := c.m.Space(c.m.Header.DirectoryTable).Page(mem.VA(addr))
	return err != nil || p.State != mem.Unmapped
}

// Limits on where pointers are looked for.
const (
	besideReach  = 16 << 10 // bytes between two addresses that belong together: pools far apart can hold blocks at like offsets
	lookedStack  = 4 << 10  // bytes of the stack, from the stack pointer up
	savedBelow   = 16 << 10 // bytes of the stack between the fault and the stop
	lookedObject = 0x100    // bytes of what a pointer leads to
)

// held yields the addresses that the fault's registers hold, and those on the stack: in
// the frames of its callers, and below them, where the way to the stop has saved registers.
// The words of the stack have no name.
func (c *collection) held(yield func(register string, v uint64)) {
	sp, _ := c.registers.SP()
	for _, r := range c.registers {
		if r.Name != "efl" && r.Value != sp {
			yield(r.Name, r.Value)
		}
	}
	from, end := sp, sp+lookedStack
	if stop, ok := c.m.HeaderRegisters().SP(); ok && stop < sp && sp-stop <= savedBelow {
		from = stop
	}
	if sp == 0 || end < sp {
		return
	}
	b := make([]byte, end-from)
	n, _ := c.m.Memory.ReadAt(b, mem.VA(from)) // as far as it is there
	for at := 0; at+8 <= n; at += 8 {
		yield("", le.U64(b, at))
	}
}

// near reports two addresses that belong together.
func near(a, b uint64) bool { return a-b+besideReach <= 2*besideReach }

// beside names the registers that hold an address or one close to it, and says whether
// the stack holds one.
func (c *collection) beside(addr uint64) (registers []string, stack bool) {
	c.held(func(register string, v uint64) {
		switch {
		case !near(v, addr):
		case register == "":
			stack = true
		default:
			registers = append(registers, register)
		}
	})
	return registers, stack
}

// maxHolders is how many addresses are looked at for where a pointer was read from.
const maxHolders = 512

// holder is the address of memory that holds the wrong pointer: in what the registers
// and the stack point at. Zero if it is not found.
func (c *collection) holder(b *OneBit) (at uint64) {
	wanted := map[uint64]bool{b.Is: true}
	if in := c.facts.Instruction; in != nil {
		for _, o := range in.Memory {
			if right := o.Value ^ 1<<b.Bit; o.Known && near(right, b.Should) { // of its registers the wrong one
				wanted[o.Value] = true
			}
		}
	}
	looked := map[uint64]bool{}
	c.held(func(_ string, v uint64) {
		if at != 0 || looked[v] || len(looked) >= maxHolders || v%8 != 0 || classify(v, c.m.Arch) != PlaceSystem {
			return
		}
		looked[v] = true
		object := make([]byte, lookedObject)
		n, _ := c.m.Memory.ReadAt(object, mem.VA(v))
		for off := 0; off+8 <= n && at == 0; off += 8 {
			if wanted[le.U64(object, off)] {
				at = v + uint64(off)
			}
		}
	})
	return at
}

// wrongEntry looks for one wrong bit in the page table entry of an address: that it is
// valid, or in the number of its page. The page frame database, in which Windows notes
// for each page of memory the entry that maps it, says which page it should be.
func (c *collection) wrongEntry(target uint64) {
	if !c.facts.Whole || classify(target, c.m.Arch) != PlaceSystem {
		return
	}
	space := c.m.Space(c.m.Header.DirectoryTable)
	info, err := space.Page(mem.VA(target))
	if err != nil || info.Entry == 0 || info.Level != 1 || c.mappedBy(space, info.PTE, info.Entry) {
		return
	}
	b := OneBit{Kind: OneBitEntry, At: uint64(info.Entry), Is: info.PTE}
	if bit, one := oneWrongBit(info.PTE); one && neverAlone(bit) {
		b.Bit = bit
		c.facts.OneBits = append(c.facts.OneBits, b)
		return
	}
	for bit := range c.entryBits() {
		if bit == 0 && !c.looksUsed(info.PTE) || bit > 0 && (bit < pageShift || info.PTE&1 == 0) {
			continue
		}
		if b.Bit, b.Should = bit, info.PTE^1<<bit; c.mappedBy(space, b.Should, info.Entry) {
			b.Page = c.pageOf(b.Should)
			c.facts.OneBits = append(c.facts.OneBits, b)
			return
		}
	}
}

// looksUsed reports an entry with the mark that the processor sets, and Windows from the
// start, in those of pages that may be used (Accessed, bit 5; AF, bit 10). One that was
// made invalid to forbid all use has other bits there: its protection.
func (c *collection) looksUsed(pte uint64) bool {
	if c.m.Arch == dump.ARM64 {
		return pte>>10&1 != 0
	}
	return pte>>5&1 != 0
}

// neverAlone reports a bit that no entry has without others. Alone stand those of the
// protection of a page that was never used: bits 5 to 9, on ARM64 1 to 5
// (dt nt!_MMPTE_SOFTWARE). What a paging file holds has a protection beside its place, and
// InvalidPteMask is mixed into entries that hold an address, not into empty ones.
func neverAlone(bit int) bool { return bit == 0 || bit >= 32 }

// pageShift is where the number of a page begins in an entry.
const pageShift = 12

// entryBits is how many bits of an entry, from bit 0 on, end with the number of the page
// (Intel SDM volume 3, table 4-20; Arm ARM D8.3).
func (c *collection) entryBits() int {
	if c.m.Arch == dump.ARM64 {
		return 48
	}
	return 52
}

// pageOf is the page that an entry maps.
func (c *collection) pageOf(pte uint64) uint64 {
	return pte & (1<<c.entryBits() - 1) &^ (1<<pageShift - 1)
}

// mappedBy reports that an entry is valid and its page in use by that very entry.
func (c *collection) mappedBy(space *mem.Space, pte uint64, entry mem.PA) bool {
	if pte&1 == 0 {
		return false
	}
	p, err := c.m.PFN(mem.PA(c.pageOf(pte)))
	if err != nil || !p.Active || p.PTE == 0 {
		return false
	}
	pa, err := space.Translate(p.PTE)
	return err == nil && pa == entry
}

// wrongLinks looks at what the registers point to as entries of lists (LIST_ENTRY, two
// links): one leads nowhere, but would with one bit the other way lead to an entry that
// links back.
func (c *collection) wrongLinks() {
	for _, r := range c.registers {
		entry := mem.VA(r.Value)
		b, err := mem.Read(c.m.Memory, entry, 16)
		if r.Value%8 != 0 || classify(r.Value, c.m.Arch) != PlaceSystem || err != nil {
			continue
		}
		for _, link := range []int{0, 8} {
			if c.wrongLink(entry, link, le.U64(b, link)) {
				return
			}
		}
	}
}

// wrongLink: link is 0 for the one to the next entry, whose link back is at 8, and 8 for
// the one to the entry before.
func (c *collection) wrongLink(entry mem.VA, link int, to uint64) bool {
	if to == 0 || c.exists(to) || !c.facts.Whole && classify(to, c.m.Arch) == PlaceSystem {
		return false // a small dump lacks most of what is there
	}
	for bit := 3; bit <= highestBit; bit++ {
		should := to ^ 1<<bit
		if back, err := mem.ReadVA(c.m.Memory, mem.VA(should)+mem.VA(8-link)); err == nil && back == entry && should != uint64(entry) {
			c.facts.OneBits = append(c.facts.OneBits, OneBit{Kind: OneBitLink, At: uint64(entry) + uint64(link), Is: to, Should: should, Bit: bit})
			return true
		}
	}
	return false
}

// shown is what a pointer would lead to with its bit the other way.
func (b OneBit) shown() report.Text {
	switch {
	case b.Place.Kind == PlaceModule:
		return report.T("to %s", b.Place.at())
	case b.Place.Kind == PlaceStack:
		return report.T("to the stack of the thread")
	case b.Tag != "":
		return report.T("into a block of pool that is in use (tag %s)", tagWord(b.Tag))
	case b.InDump:
		return report.T("to memory that is there")
	case len(b.Held) > 0:
		return report.T("close to what registers point at (%s)", someOf(b.Held))
	}
	return report.T("close to what the stack points at")
}
