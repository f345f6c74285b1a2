package analyze

import (
	"regexp"
	"strings"

	"bugcheck/disasm"
	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/report"
)

// Instruction is the instruction that failed in the kernel.
type Instruction struct {
	Text     string // as a debugger writes it
	Image    string // the same place in the image, where the code in memory is another; ""
	FromFile bool   // its bytes are those of the image or of another dump: the dump has none of them
	Memory   []Operand
	// Plain: it touches no memory but Memory, fails for no other reason than that, and
	// goes nowhere that it does not name.
	Plain bool
	// Divides: it is one of those that fail on a division by zero.
	Divides bool
}

// Operand is an operand of an instruction in memory.
type Operand struct {
	Text        string // [rbx+8]
	Read, Write bool
	Size        uint64 // bytes; 0: not known
	Known       bool   // Address is: all its registers are
	Address     uint64
	// Restored: one of the registers was not saved by the fault, but found by unwinding
	// from where Windows stopped.
	Restored bool
	Register string // the base, or the only index; "" without one
	Value    uint64 // of Register
}

// decodeFault decodes the instruction at the fault, and computes its operands from the
// fault's registers.
func (c *collection) decodeFault() {
	f := &c.facts
	pc, ok := c.registers.PC()
	x := f.Exception
	if !f.Context.Fault || !ok || pc == 0 || x == nil || x.Access == "execute" || x.Address != 0 && x.Address != pc {
		return
	}
	memory, file := c.m.Code(mem.VA(pc), longestInstruction), c.codeInFile(pc)
	code := memory
	if len(memory) == 0 {
		code = file
	}
	in, err := disasm.Decode(f.Arch, code, pc)
	if err != nil {
		return
	}
	out := &Instruction{Text: oneSpace(in.Text), FromFile: len(memory) == 0, Plain: plain(f.Arch, in), Divides: divides[in.Mnemonic]}
	if c.onlyPC || c.otherFault() { // it may not even have run
		out.Plain = false
	}
	if was, err := disasm.Decode(f.Arch, file, pc); err == nil && oneSpace(was.Text) != out.Text {
		out.Image = oneSpace(was.Text)
	}
	for _, m := range in.Memory {
		if m.Read || m.Write {
			out.Memory = append(out.Memory, c.kernelOperand(m))
		}
	}
	f.Instruction = out
}

func oneSpace(text string) string { return strings.Join(strings.Fields(text), " ") }

// kernelOperand computes an operand. The base of gs is the processor's block and no
// register of a CONTEXT: such operands are not known.
func (c *collection) kernelOperand(m disasm.Memory) Operand {
	o := Operand{Text: m.String(), Read: m.Read, Write: m.Write, Size: uint64(m.Size)}
	if c.otherFault() {
		return o
	}
	o.Address, o.Known = m.Address(func(name string) (uint64, bool) {
		if c.restored[name] {
			o.Restored = true
		}
		return c.registers.Get(name)
	})
	if o.Register = m.Base; m.Base == "" {
		o.Register = m.Index
	}
	if o.Register != "" {
		o.Value, _ = c.registers.Get(wholeRegister(o.Register, c.m.Arch))
	}
	return o
}

// otherFault reports that the registers are those of another fault at the same
// instruction: a trap frame that was looked for on the stack may be left over from an
// earlier one, and then holds another address. The frame of x86 holds none.
func (c *collection) otherFault() bool {
	x := c.facts.Exception
	if c.trap.Address == 0 || x.Target == nil || *x.Target == notTold {
		return false
	}
	return c.trap.FaultAddress != *x.Target
}

// codeInFile is the code at pc as the image's file has it, or the other dump; nil where
// neither is at hand.
func (c *collection) codeInFile(pc uint64) []byte {
	mod, ok := c.m.ModuleAt(mem.VA(pc))
	if !ok || mod.User {
		return nil
	}
	o, ok := c.original(mod, mem.VA(pc))
	if !ok || mem.VA(pc) < o.start || mem.VA(pc) >= o.start+mem.VA(len(o.code)) {
		return nil
	}
	return o.code[mem.VA(pc)-o.start:]
}

// plainX86 and plainARM64 are the mnemonics of which all is known: what memory they touch,
// and that a bad address is all that they can fail for (Intel SDM volume 2, "Exceptions"
// of each; Arm ARM C6.2). Vectors want alignment, other instructions privileges or
// features of the processor: they are not here.
var (
	plainX86 = words(`adc add and bsf bsr bswap bt btc btr bts call cbw cdq cdqe cmp cmpxchg cqo cwd cwde dec imul inc jmp lea
		mov movsx movsxd movzx mul neg nop not or pop push rcl rcr rol ror sar sbb shl shld shr shrd sub test xadd xchg xor`)
	plainARM64 = words(`add adds adr adrp and ands asr b bic bl cbnz cbz ccmp clz cmn cmp cset csel csinc eon eor extr ldp ldr ldrb ldrh
		ldrsb ldrsh ldrsw ldur ldurb ldurh lsl lsr madd mov movk movn movz mul mvn neg nop orn orr ror sbfiz sbfx stp str strb strh
		stur sturb sturh sub subs sxtw tbnz tbz tst ubfiz ubfx uxtb uxth`)
	divides = words("div idiv")
)

func words(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// otherRegister finds operands that are no general registers: segments, control and debug
// registers, vectors.
var otherRegister = regexp.MustCompile(`[ ,](cs|ds|es|fs|gs|ss|[cd]r\d+|[xyz]?mm\d+|[bhsdqv]\d+)(,|\.|$)`)

func plain(arch string, in disasm.Instruction) bool {
	if in.Flow != disasm.None && !in.HasTarget || otherRegister.MatchString(oneSpace(in.Text)) {
		return false
	}
	name := in.Mnemonic
	if arch == string(dump.ARM64) {
		return plainARM64[name] || strings.HasPrefix(name, "b.")
	}
	return plainX86[name] || strings.HasPrefix(name, "set") || strings.HasPrefix(name, "cmov") || name != "jmp" && strings.HasPrefix(name, "j")
}

// Whether a fault follows from its instruction.
const (
	followsUnknown = ""
	followsYes     = "yes"
	followsNo      = "no"
)

// follows says whether the fault follows from the instruction and its operands. Where a
// register is not known, or the instruction does more than its operands say, it cannot
// be told. Nor can it where the processor did not tell the address, although the pointer
// is a good one: hypervisors answer so for an access to a device that they do not emulate
// (github.com/microsoft/openvmm/pull/4287), seen on a real machine (triage_x64.dmp).
func follows(f *Facts) string {
	in, x := f.Instruction, f.Exception
	if in == nil || x == nil {
		return followsUnknown
	}
	x86 := f.Arch != string(dump.ARM64)
	switch {
	case x.Code == statusDivideByZero && x86:
		return impossible(in.Plain && !in.Divides)
	case (x.Code == statusIllegalInstruction || x.Code == statusPrivileged) && x86:
		return impossible(in.Plain)
	case x.Code != statusAccessViolation || x.Target == nil || x.Access == "" || x.Access == "execute":
		return followsUnknown
	}
	known := true
	for _, o := range in.Memory {
		if o.Known && o.reaches(*x.Target, archOf(f)) {
			return followsYes
		}
		known = known && o.Known
	}
	if _, ok := nullPointer(f); ok {
		return followsUnknown // its saved register is not the one that it had
	}
	if x86 && *x.Target-x.Address < longestInstruction || *x.Target == notTold {
		return followsUnknown // the first: the instruction itself could not be read
	}
	return impossible(known && in.Plain)
}

// nullPointer reports an access that came from what the instruction adds to a pointer, so
// through a null pointer, although the register that was saved is not zero. Such a register
// is not that of the fault; seen in a real dump (train-d1, TestCorpus_Hardware), where to
// blame the hardware for the commonest of all mistakes would be far-fetched.
func nullPointer(f *Facts) (Operand, bool) {
	if f.Instruction == nil || f.Exception == nil || f.Exception.Target == nil {
		return Operand{}, false
	}
	for _, o := range f.Instruction.Memory {
		if added := o.Address - o.Value; o.Known && o.Register != "" && o.Value != 0 && added == *f.Exception.Target && added < nullPages {
			return o, true
		}
	}
	return Operand{}, false
}

func impossible(is bool) string {
	if is {
		return followsNo
	}
	return followsUnknown
}

// reaches reports that the operand covers an address that a fault came from; where the
// processor did not tell it, that it is not canonical.
func (o Operand) reaches(target uint64, arch dump.Arch) bool {
	if target == notTold && arch == dump.X64 {
		kind := classify(o.Address, arch)
		return kind == PlaceNonCanonical || kind == PlaceOneBit
	}
	return target-o.Address < max(o.Size, 1)
}

// restoredIn reports that what is known of an instruction's operands rests on unwinding.
func (in *Instruction) restoredIn() bool {
	for _, o := range in.Memory {
		if o.Restored {
			return true
		}
	}
	return false
}

// registerOf is the value of the register that an operand goes through, in words.
func (o Operand) registerOf() report.Text {
	return report.T("%s = 0x%x", o.Register, o.Value)
}
