package analyze

import (
	"math/bits"

	"bugcheck/report"
)

// What speaks for hardware, for all stop codes: a value that is wrong by one bit, code
// that differs from its image by one bit, an instruction that cannot have failed so.
// Software hardly ever changes a single bit of a pointer or of code; memory and
// processors that fail do ("DRAM Errors in the Wild", Schroeder, Pinheiro and Weber,
// SIGMETRICS 2009; "Cycles, Cells and Platters", Nightingale, Douceur and Orgovan,
// EuroSys 2011, which counts them in Windows' own crash reports). docs/hardware.md says
// how strong each sign is, and why.

// judgeHardware says what speaks for hardware, and decides where that is strong.
func (j *judgement) judgeHardware() {
	j.judgeLanding()
	for _, b := range j.f.OneBits {
		j.judgeOneBit(b)
	}
	j.judgeCode()
	j.judgeFollows()
}

// blameHardware decides for hardware, unless something has been decided already.
func (j *judgement) blameHardware(confidence string, what report.Text) {
	if !j.decided {
		j.what = what
		j.decide(report.CauseHardware, confidence)
		j.v.Image, j.v.Module = "hardware", "hardware"
		j.bucket = noBucket // no published bucket of such a crash was seen
	}
}

// wrongBit decides for one wrong bit in memory. A driver that the stop code convicts has
// met it.
func (j *judgement) wrongBit(bit int, confidence string, what report.Text) {
	if j.decided && j.v.Cause != report.CauseDriver || j.v.Bit != nil {
		return
	}
	j.v.Symbol = ""
	j.what = what
	j.decide(report.CauseHardware, confidence)
	j.v.Bit = &bit
	j.v.Image, j.v.Module = "memory_corruption", "memory_corruption"
	j.bucket = "MEMORY_CORRUPTION_ONE_BIT"
}

// judgeOneBit: that the page frame database or the other end of a list say what the value
// should be proves it; that a pointer would lead to something that is there speaks for it,
// as of addresses that are made up hardly one would.
func (j *judgement) judgeOneBit(b OneBit) {
	confidence := report.High
	var what report.Text
	switch b.Kind {
	case OneBitEntry:
		what = report.T("one bit of a page table entry was wrong (bit %d)", b.Bit)
		if b.Should == 0 {
			confidence = report.Medium
			j.evidence(report.Recorded, report.T("page tables"), report.T("The page table entry of that address holds 0x%x: exactly one bit, bit %d, is set; an entry without a page should be empty.", b.Is, b.Bit))
			break
		}
		j.evidence(report.Recorded, report.T("page tables"), report.T("The page table entry of that address holds 0x%x; with bit %d the other way it would map the page of memory at 0x%x.", b.Is, b.Bit, b.Page))
		j.evidence(report.Derived, report.T("page frame database"), report.T("Windows' own list of what each page of memory is used for says that this page belongs to that entry: the bit is wrong."))
	case OneBitLink:
		what = report.T("one bit of the link of a list was wrong (bit %d)", b.Bit)
		j.evidence(report.Recorded, report.T("memory"), report.T("The link of a list at 0x%x holds 0x%x, where no memory is.", b.At, b.Is))
		j.evidence(report.Derived, report.T("memory"), report.T("With bit %d the other way it leads to 0x%x, where an entry links back to this one: the bit is wrong.", b.Bit, b.Should))
	case OneBitPointer:
		confidence, what = report.Medium, report.T("one bit of a pointer was wrong (bit %d)", b.Bit)
		j.evidence(report.Derived, report.T("address that was touched"), report.T("There is no memory at 0x%x; with bit %d the other way it is 0x%x, and leads %s.", b.Is, b.Bit, b.Should, b.shown()))
		if b.At != 0 {
			j.evidence(report.Recorded, report.T("memory"), report.T("The wrong pointer stands in memory at 0x%x.", b.At))
		}
	}
	j.evidence(report.Derived, report.T("one bit"), report.T("Software hardly ever changes a single bit; faulty or overclocked memory, or a faulty processor, does."))
	j.wrongBit(b.Bit, confidence, what)
}

// judgeCode: code that differs from its image is memory_corruption.
func (j *judgement) judgeCode() {
	if j.f.CodeDiffer == "" {
		return
	}
	if c, ok := j.runningOneBit(); ok {
		bit := c.bit()
		j.evidence(report.Derived, c.source(), report.T("The difference is one bit, bit %d of the byte, in code that was running: software hardly ever changes a single bit; faulty or overclocked memory, or a faulty processor, does.", bit))
		j.changedInstruction(c)
		j.wrongBit(bit, report.Medium, report.T("one bit of the code at %s was wrong in memory (bit %d)", c.Place, bit))
		return
	}
	if j.decided {
		return
	}
	j.evidence(report.Derived, report.T("captured code"), report.T("Code in memory differs from the image it was loaded from (%s).", j.f.CodeDiffer))
	j.decide(report.CauseHardware, report.Medium)
	j.v.Image, j.v.Module = "memory_corruption", "memory_corruption"
	j.bucket = "MEMORY_CORRUPTION_" + j.f.CodeDiffer
}

func (j *judgement) runningOneBit() (CodeChange, bool) {
	for _, c := range j.f.CodeChanges {
		if c.Running && c.OneBit {
			return c, true
		}
	}
	return CodeChange{}, false
}

// bit is the one that differs.
func (c CodeChange) bit() int { return bits.TrailingZeros8(c.Was ^ c.Is) }

// changedInstruction says that the change made the instruction fail.
func (j *judgement) changedInstruction(c CodeChange) {
	in := j.f.Instruction
	if in == nil || in.Image == "" {
		return
	}
	if follows(j.f) == followsYes {
		j.evidence(report.Derived, c.source(), report.T("The fault follows from the changed instruction, %s; without the change it is %s.", in.Text, in.Image))
		return
	}
	j.evidence(report.Derived, c.source(), report.T("The instruction that failed is %s; without the change it is %s.", in.Text, in.Image))
}

// judgeFollows: an instruction that cannot have failed so was not what the processor ran,
// or ran on other registers.
func (j *judgement) judgeFollows() {
	if j.f.Instruction == nil || j.f.User != nil {
		return
	}
	switch follows(j.f) {
	case followsYes:
		j.saysFollows()
	case followsNo:
		j.cannotFail()
	default:
		j.saysNull()
		j.saysRefused()
		j.saysUnknown()
	}
}

// saysNull: the pointer was null, whatever the saved register says.
func (j *judgement) saysNull() {
	if o, ok := nullPointer(j.f); ok {
		j.evidence(report.Derived, instructionSource(), report.T("The instruction there is %s, and 0x%x is what it adds to its pointer: the pointer was null. The saved register (%s) is not the one that it used.", j.f.Instruction.Text, *j.f.Exception.Target, o.registerOf()))
	}
}

// saysUnknown names an instruction whose operand cannot be computed: the fault did not save
// the register.
func (j *judgement) saysUnknown() {
	in, x := j.f.Instruction, j.f.Exception
	if x == nil || x.Code != statusAccessViolation || x.Target == nil || len(in.Memory) == 0 || in.Memory[0].Known || in.Memory[0].Register == "" {
		return
	}
	j.evidence(report.Recorded, report.T("captured code"), report.T("The instruction there is %s.", in.Text))
}

// saysFollows names the pointer that the fault came through.
func (j *judgement) saysFollows() {
	in, x := j.f.Instruction, j.f.Exception
	for _, o := range in.Memory {
		if in.Image == "" && o.Known && o.Register != "" && o.reaches(*x.Target, archOf(j.f)) {
			j.evidence(report.Derived, instructionSource(), report.T("The fault follows from the instruction, %s: %s.", in.Text, o.registerOf()))
			return
		}
	}
}

func instructionSource() report.Text { return report.T("instruction and registers") }

// cannotFail: where unwinding found a register, or the code is known from the image alone,
// something else can be the reason, and it is said but proves nothing.
func (j *judgement) cannotFail() {
	in, x := j.f.Instruction, j.f.Exception
	sure, trust := !in.FromFile && !in.restoredIn(), report.Derived
	if !sure {
		trust = report.Guessed
	}
	bit, one := 0, false
	switch {
	case x.Code != statusAccessViolation:
		j.evidence(trust, instructionSource(), report.T("The instruction there is %s, which cannot fail so.", in.Text))
	case len(in.Memory) == 0:
		j.evidence(trust, instructionSource(), report.T("The instruction there is %s, which touches no memory: it cannot have failed so.", in.Text))
	default:
		o := in.Memory[0]
		bit, one = oneWrongBit(o.Address ^ *x.Target)
		j.evidence(trust, instructionSource(), report.T("The instruction there is %s; its operand %s comes to 0x%x (%s), but the fault came from 0x%x: it cannot have failed so.", in.Text, o.Text, o.Address, o.registerOf(), *x.Target))
	}
	if one {
		j.evidence(trust, instructionSource(), report.T("Both addresses differ in one bit, bit %d.", bit))
	}
	if !sure || j.decided {
		return
	}
	j.evidence(report.Derived, instructionSource(), report.T("So the processor did something else than its instructions and registers say: processor, memory or power are suspected, or overclocking."))
	if len(j.f.Frames) > 0 {
		j.suggest(j.f.Frames[0].Image, report.T("the instruction lies in it"))
	}
	j.blameHardware(report.Medium, report.T("an instruction failed in a way in which it cannot fail"))
	if one {
		j.v.Bit = &bit
	}
}

// saysRefused: something else than the pointer was the reason.
func (j *judgement) saysRefused() {
	if !refused(j.f) {
		return
	}
	in := j.f.Instruction
	o := in.Memory[0]
	j.evidence(report.Derived, instructionSource(), report.T("The instruction there is %s; its operand %s comes to 0x%x, an address that can exist: something other than the pointer refused the access. In a virtual machine the hypervisor does so for a device that it does not have.", in.Text, o.Text, o.Address))
}

// refused reports an access whose address the processor did not tell, although the
// pointer is a good one.
func refused(f *Facts) bool {
	in, x := f.Instruction, f.Exception
	if in == nil || x == nil || x.Target == nil || *x.Target != notTold || !in.Plain || len(in.Memory) == 0 {
		return false
	}
	for _, o := range in.Memory {
		if !o.Known {
			return false
		}
	}
	return follows(f) != followsYes
}
