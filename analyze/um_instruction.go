package analyze

import (
	"strings"

	"bugcheck/disasm"
	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/report"
)

// longestInstruction is 15 bytes on x86 and x64, 4 on ARM64.
const longestInstruction = 16

// decode looks at the instruction that failed, where its bytes are in the dump.
func (c *collection) decode() {
	pc, ok := c.registers.PC()
	if !ok || pc == 0 || c.facts.Exception.Access == "execute" {
		return
	}
	code := c.m.Code(mem.VA(pc), longestInstruction)
	if len(code) == 0 {
		return
	}
	in, err := disasm.Decode(c.facts.Arch, code, pc)
	if err != nil {
		return
	}
	u := c.facts.User
	u.Instruction = strings.Join(strings.Fields(in.Text), " ")
	if c.facts.Exception.Target == nil {
		return
	}
	for _, m := range in.Memory {
		if b, ok := c.operand(m, *c.facts.Exception.Target); ok {
			u.Bad = &b
			return
		}
	}
}

// operand matches an operand in memory with the address that was touched: by
// registers it comes to that address, or, where the processor did not tell it,
// to one that is not canonical.
func (c *collection) operand(m disasm.Memory, target uint64) (BadOperand, bool) {
	address, ok := m.Address(c.register)
	size := uint64(max(m.Size, 1))
	hit := ok && target-address < size
	if target == notTold && c.m.Arch != dump.X86 {
		hit = ok && classify(address, c.m.Arch) != PlaceUser && classify(address, c.m.Arch) != PlaceSystem && address >= nullPages
	}
	if !hit {
		return BadOperand{}, false
	}
	b := BadOperand{Text: m.String(), Address: address, Bit: -1, Write: m.Write && !m.Read}
	if b.Register = m.Base; m.Index != "" && (m.Base == "" || c.soundBase(m.Base) || c.wild(m.Index) && !c.wild(m.Base)) {
		b.Register = m.Index
	}
	if b.Register != "" {
		b.Value, _ = c.register(wholeRegister(b.Register, c.m.Arch))
		b.Bit = userBit(b.Value, c.m.Arch)
	}
	return b, true
}

// register tells the value of a register to the decoder; the segment that
// Windows keeps the TEB in begins there.
func (c *collection) register(name string) (uint64, bool) {
	switch {
	case name == "gs_base" && c.m.Arch == dump.X64, name == "fs_base" && c.m.Arch == dump.X86:
		t, ok := c.m.User.CrashThread()
		return uint64(t.TEB), ok && t.TEB != 0
	}
	return c.registers.Get(name)
}

// wholeRegister is the name that the registers have: rax for eax on x64.
func wholeRegister(name string, arch dump.Arch) string {
	whole, _ := disasm.Whole(name)
	if arch == dump.X86 {
		return "e" + strings.TrimPrefix(whole, "r")
	}
	return whole
}

// soundBase reports a base register that points to memory of the program: then
// the index led astray.
func (c *collection) soundBase(name string) bool {
	v, ok := c.register(wholeRegister(name, c.m.Arch))
	return ok && v >= nullPages && c.hasMemory(v)
}

// wild reports a register that holds no address that could be canonical.
func (c *collection) wild(name string) bool {
	v, ok := c.register(wholeRegister(name, c.m.Arch))
	kind := classify(v, c.m.Arch)
	return ok && (kind == PlaceNonCanonical || kind == PlaceOneBit)
}

// userBit is the one bit that keeps a value from being an address of a program;
// -1 if there is none.
func userBit(v uint64, arch dump.Arch) int {
	if bit := canonicalBit(v, arch); bit >= 0 && v>>47 != 0 && (v^1<<bit)>>47 == 0 && v^1<<bit >= nullPages {
		return bit
	}
	return -1
}

// fills are the patterns that heaps write over memory (C runtime: "CRT debug heap
// details"; Windows' heap and page heap: the Debugging Tools' documentation of
// gflags).
var fills = map[uint32]report.Text{
	0xcdcdcdcd: report.T("0x%x is what the debug C runtime fills memory with that was never written."),
	0xdddddddd: report.T("0x%x is what the debug C runtime fills memory with that was freed."),
	0xfdfdfdfd: report.T("0x%x is what the debug C runtime puts around its blocks: it was read from past the end of one."),
	0xcccccccc: report.T("0x%x is what debug code fills variables on the stack with that were never written."),
	0xfeeefeee: report.T("0x%x is what Windows' heap fills memory with that was freed."),
	0xbaadf00d: report.T("0x%x is what Windows' heap fills memory with that was never written."),
	0xabababab: report.T("0x%x is what Windows' heap puts behind its blocks: it was read from past the end of one."),
	0xf0f0f0f0: report.T("0x%x is what page heap fills memory with that was freed."),
	0xc0c0c0c0: report.T("0x%x is what page heap fills memory with that was never written."),
}

// fillSlack is how far from a pattern an address may be: the offset of a field.
const fillSlack = 0x1000

// filled says of a bad pointer which heap's pattern it is; zero if none.
func filled(v uint64, arch dump.Arch) report.Text {
	for pattern, text := range fills {
		whole := uint64(pattern)
		if arch != dump.X86 {
			whole |= whole << 32
		}
		if v >= whole && v-whole < fillSlack {
			return report.T(text.Format, v)
		}
	}
	return report.Text{}
}

// judgeOperand says which register of the instruction held the bad address.
func (j *judgement) judgeOperand() {
	b, u := j.f.User.Bad, j.f.User
	source := report.T("captured code")
	if b == nil {
		j.judgeFill(j.f.Exception.Target)
		return
	}
	switch {
	case b.Register == "":
		j.evidence(report.Derived, source, report.T("The instruction is %s; its operand %s comes to 0x%x.", u.Instruction, b.Text, b.Address))
	case b.Bit >= 0:
		j.evidence(report.Derived, source, report.T("The instruction is %s; %s holds 0x%x.", u.Instruction, b.Register, b.Value))
		j.evidence(report.Guessed, source, report.T("That is no canonical address, but would be with bit %d the other way: a single wrong bit speaks for faulty memory or a faulty processor.", b.Bit))
	default:
		j.evidence(report.Derived, source, report.T("The instruction is %s; %s holds 0x%x.", u.Instruction, b.Register, b.Value))
	}
	j.judgeFill(&b.Value)
}

func (j *judgement) judgeFill(v *uint64) {
	if v == nil {
		return
	}
	if t := filled(*v, archOf(j.f)); !t.IsZero() {
		j.evidence(report.Derived, report.T("captured code"), t)
	} else if b := j.f.User.Bad; b != nil && b.Value >= nullPages && printableWord(b.Value) && !targets(j.f.Exception, b.Value) {
		j.evidence(report.Guessed, report.T("captured code"), report.T("The address reads as text (%q): a pointer was overwritten by a string.", asText(b.Value)))
	}
}

// targets reports that an address was what was touched.
func targets(x *Exception, address uint64) bool {
	return x != nil && x.Target != nil && *x.Target == address
}

// judgeInstruction says what the instruction is, where that is the matter.
func (j *judgement) judgeInstruction() {
	if in := j.f.User.Instruction; in != "" {
		j.evidence(report.Recorded, report.T("captured code"), report.T("The instruction there is %s.", in))
	}
}
