package analyze

import (
	"strings"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// Block is the block of pool that a stop code is about.
type Block struct {
	Parameter     int // that leads to it, 1 to 4
	Address       uint64
	Size          uint64 // bytes, with its header; zero: not known
	Tag           string
	Owners        []string // drivers whose code holds the tag, third parties' first
	Pool          string   // paged, nonpaged; "": not known
	Free, Damaged bool
	Guessed       bool   // only the looks of the memory say that a block is there
	Text          string // printable text where its header should be
	Before, After *Neighbour
}

// Neighbour is the block in front of another, or behind it.
type Neighbour struct {
	Address uint64
	Size    uint64 // bytes; zero: not known
	Tag     string
	Owners  []string
	Free    bool
	Intact  bool
	Text    string // printable text where a damaged header should be
}

// blockParameters say which parameter points into the block that a stop code is
// about, by what parameter 1 says ("Bug Check Code Reference" in Microsoft's
// documentation); 0 in the place of a kind stands for all others.
var blockParameters = map[uint32]map[uint64]int{
	0x0a:  {0: 1},
	0xd1:  {0: 1},
	0x50:  {0: 1},
	0xc1:  {0: 1},
	0xcd:  {0: 1},
	0xd6:  {0: 1},
	0x19:  {0: 2, 5: 4, 6: 4, 7: 4, 8: 4, 9: 4},
	0xc2:  {0: 2, 6: 3, 7: 4, 9: 4},
	0xc4:  {0x10: 2, 0x11: 4, 0x12: 4, 0x13: 3, 0x15: 4, 0x16: 3, 0x17: 4, 0x51: 2, 0x52: 2, 0x53: 2, 0x54: 2, 0x59: 2},
	0x13a: {0: 3},
}

// collectBlock looks the block up. Of an address at which no block is known only
// the looks of the memory would speak: that is no fact.
func (c *collection) collectBlock() {
	f := &c.facts
	kinds := blockParameters[f.Code]
	n := kinds[f.Parameters[0]]
	if n == 0 || len(kinds) == 1 {
		n = kinds[0]
	}
	if n == 0 || f.Places[n-1].Kind != PlaceSystem {
		return
	}
	va := mem.VA(f.Parameters[n-1])
	if guardCodes[f.Code] { // the block ends in front of the page that was touched
		va = va&^(1<<frameShift-1) - 1
	}
	b, err := c.m.PoolBlock(va)
	special := specialCodes[f.Code] && b.Kept == kernel.KeptSpecial // the stop code bears it out
	if err != nil || b.Guessed && len(kinds) == 1 && !special {
		return
	}
	block := &Block{
		Parameter: n, Address: uint64(b.Address), Size: b.Size, Tag: b.Tag, Pool: string(b.Pool),
		Free: b.Free, Damaged: b.Damaged, Guessed: b.Guessed, Text: b.Text,
		Before: neighbour(b.Before), After: neighbour(b.After),
	}
	if block.Free && block.Tag == "Free" { // what the kernel writes over a free block's tag
		block.Tag = ""
	}
	c.ownTags(block)
	f.Block = block
}

func neighbour(n *kernel.PoolNeighbour) *Neighbour {
	if n == nil {
		return nil
	}
	return &Neighbour{Address: uint64(n.Header), Size: n.Size, Tag: n.Tag, Free: n.Free, Intact: n.Intact, Text: n.Text}
}

// ownTags finds whose tags they are: the block's, and that of the block in front of
// a damaged one.
func (c *collection) ownTags(b *Block) {
	tags := []string{b.Tag}
	if b.Damaged && b.Before != nil {
		tags = append(tags, b.Before.Tag)
	}
	drivers := c.m.TagDrivers(tags...)
	b.Owners = drivers[b.Tag]
	if b.Damaged && b.Before != nil {
		b.Before.Owners = drivers[b.Before.Tag]
	}
}

// judgeBlock says what the block tells, and suggests who overran it.
func (j *judgement) judgeBlock() {
	b := j.f.Block
	if b == nil {
		return
	}
	switch {
	case guardCodes[j.f.Code]:
		j.evidence(trustOf(b), report.T("pool"), report.T("At the end of the page in front lies a block of special pool (%s).", j.blockWords(b)))
		j.tagOwners(b.Tag, b.Owners)
	case b.Damaged:
		j.judgeOverrun(b)
	case b.Free:
		j.evidence(trustOf(b), parameter(b.Parameter), report.T("The address lies in a block of pool that is free (%s).", j.blockWords(b)))
		if len(blockParameters[j.f.Code]) == 1 {
			j.evidence(report.Derived, parameter(b.Parameter), report.T("Memory that is free was used: a pointer to a block was kept after the block was freed, or it was wrong from the start."))
		}
		j.ownedBy(b)
	default:
		j.evidence(trustOf(b), parameter(b.Parameter), report.T("The address lies in a block of pool that is in use (%s).", j.blockWords(b)))
		j.ownedBy(b)
		if b.After != nil && !b.After.Intact {
			j.evidence(report.Recorded, report.T("pool"), damagedHeader(b.After.Address, b.After.Text))
			j.suspectOverrun(b.Tag, b.Owners)
		}
	}
}

func trustOf(b *Block) string {
	if b.Guessed {
		return report.Guessed
	}
	return report.Recorded
}

// judgeOverrun: a header is destroyed by whoever writes past the end of the block
// in front of it, so that one's owner is the first to be asked.
func (j *judgement) judgeOverrun(b *Block) {
	j.evidence(report.Recorded, parameter(b.Parameter), damagedHeader(b.Address, b.Text))
	n := b.Before
	if n == nil || !n.Intact {
		return
	}
	state := report.T("in use")
	if n.Free {
		state = report.T("free")
	}
	j.evidence(report.Recorded, report.T("pool"), report.T("The block in front of it, at 0x%x, is %d bytes long, %s, and has the tag %s.", n.Address, n.Size, state, tagWord(n.Tag)))
	j.suspectOverrun(n.Tag, n.Owners)
}

// suspectOverrun names the owners of the block that was overrun.
func (j *judgement) suspectOverrun(tag string, owners []string) {
	j.tagOwners(tag, owners)
	for _, o := range thirdParties(owners) {
		j.suggest(o, report.T("it owns the block (tag %s) in front of the damaged one: a write past the end of that block leaves such damage", tagWord(tag)))
	}
}

// ownedBy names the owners of the block itself: where its contents are wrong, one of
// them is at work.
func (j *judgement) ownedBy(b *Block) {
	j.tagOwners(b.Tag, b.Owners)
	for _, o := range thirdParties(b.Owners) {
		j.suggest(o, report.T("it owns the block (tag %s) that the address lies in", tagWord(b.Tag)))
	}
}

// tagOwners says in whose code a tag stands.
func (j *judgement) tagOwners(tag string, owners []string) {
	if tag != "" && len(owners) > 0 {
		j.evidence(report.Derived, report.T("code of the drivers"), report.T("The tag %s stands in the code of %s.", tagWord(tag), someOf(owners)))
	}
}

// maxOwners is how many drivers with the same tag are each still worth a suspicion.
const maxOwners = 2

func thirdParties(images []string) []string {
	var list []string
	for _, i := range images {
		if thirdParty(i) {
			list = append(list, i)
		}
	}
	if len(list) > maxOwners {
		return nil
	}
	return list
}

// blockWords are pool, size and tag.
func (j *judgement) blockWords(b *Block) report.Text {
	pool := report.T("pool")
	switch b.Pool {
	case string(kernel.Paged):
		pool = report.T("paged pool")
	case string(kernel.NonPaged):
		pool = report.T("nonpaged pool")
	}
	switch {
	case b.Size == 0 && b.Tag == "":
		return pool
	case b.Size == 0:
		return report.T("%s, tag %s", pool, tagWord(b.Tag))
	case b.Tag == "":
		return report.T("%s, %d bytes at 0x%x", pool, b.Size, b.Address)
	}
	return report.T("%s, %d bytes at 0x%x, tag %s", pool, b.Size, b.Address, tagWord(b.Tag))
}

// tagWord is a tag without the blanks that fill it up.
func tagWord(tag string) string {
	if tag = strings.TrimRight(tag, " "); tag == "" {
		return "?"
	}
	return tag
}

// damagedHeader says what stands in a destroyed header.
func damagedHeader(at uint64, text string) report.Text {
	if text == "" {
		return report.T("The header of the block at 0x%x is damaged.", at)
	}
	return report.T("The header of the block at 0x%x is damaged; the text %q stands there.", at, text)
}
