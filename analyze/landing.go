package analyze

import (
	"bugcheck/disasm"
	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
)

// Landing is where the processor was to run an instruction although none begins there.
type Landing struct {
	Kind    string // a Landing* word
	Address uint64
	By      string // how it came there: LandingReturn, LandingCall; "" is not known
	From    string // LandingCall: the place behind the call
	Inside  string // LandingInside: the instruction that the address lies in
	Begins  uint64 // LandingInside: where that begins; zero: not known
	Tag     string // LandingPool
	Entered bool   // the callers were found behind it as for code that was entered as it should be
}

// The kinds of places that no instruction begins at.
const (
	LandingInside  = "inside an instruction"
	LandingStack   = "stack"
	LandingPool    = "pool"
	LandingData    = "data" // of a driver
	LandingNowhere = "nowhere"

	LandingReturn = "return"
	LandingCall   = "call"
)

// collectLanding looks at the instruction pointer of the fault.
func (c *collection) collectLanding() {
	pc, ok := c.registers.PC()
	if !ok || pc == 0 || !c.facts.Context.Fault || c.onlyPC {
		return
	}
	l := Landing{Address: pc}
	if mod, inModule := c.m.ModuleAt(mem.VA(pc)); mod.User {
		return
	} else if inModule {
		c.inImage(&l)
	} else {
		c.outside(&l)
	}
	if l.Kind == "" {
		return
	}
	c.cameBy(&l)
	l.Entered = c.callersBehind() >= enteredCallers
	c.facts.Landing = &l
}

// enteredCallers is how many callers in a row must come from unwind data for the stack to
// be that of code which was entered by a call.
const enteredCallers = 3

func (c *collection) callersBehind() int {
	n := 0
	for _, f := range c.frames[min(1, len(c.frames)):] {
		if f.Trust != report.TrustUnwind || f.Module == "" {
			break
		}
		n++
	}
	return n
}

// outside sorts an address in no module.
func (c *collection) outside(l *Landing) {
	l.Kind = LandingNowhere
	if place(c.m, l.Address).Kind == PlaceStack {
		l.Kind = LandingStack
		return
	}
	if block, err := c.m.PoolBlock(mem.VA(l.Address)); err == nil && !block.Guessed {
		l.Kind, l.Tag = LandingPool, block.Tag
	}
}

// inImage finds an address in a section that is no code, or inside an instruction.
func (c *collection) inImage(l *Landing) {
	image, base := c.m.ImageAt(mem.VA(l.Address))
	if image == nil {
		if c.m.Arch == dump.ARM64 && l.Address%4 != 0 {
			l.Kind = LandingInside
		}
		return
	}
	rva := pe.RVA(mem.VA(l.Address) - base)
	sections, _ := image.Sections() // those that can be read
	for _, s := range sections {
		if rva >= s.RVA && uint64(rva) < uint64(s.RVA)+uint64(s.VirtualSize) && s.Characteristics&sectionExecute == 0 {
			l.Kind = LandingData
			return
		}
	}
	c.insideInstruction(l, image, base)
}

const sectionExecute = 0x20000000 // IMAGE_SCN_MEM_EXECUTE, winnt.h

// insideInstruction decodes the function from its begin on. Code that cannot be decoded
// up to the address says nothing.
func (c *collection) insideInstruction(l *Landing, image *pe.File, base mem.VA) {
	if c.m.Arch == dump.ARM64 {
		if l.Address%4 != 0 {
			l.Kind, l.Begins = LandingInside, l.Address&^3
		}
		return
	}
	rva := pe.RVA(mem.VA(l.Address) - base)
	fn, ok, err := image.Function(rva)
	if err != nil || !ok || fn.End-fn.Begin > maxComparedCode {
		return
	}
	// What Windows patched has other instructions in memory than in the image, and so has
	// code with a wrong bit: none of both may have one there.
	start, offset := base+mem.VA(fn.Begin), int(rva-fn.Begin)
	code := make([]byte, fn.End-fn.Begin)
	if _, err := image.ReadAt(code, fn.Begin); err != nil {
		return
	}
	begins, ok := instructionAt(c.facts.Arch, code, offset)
	memory := c.m.Code(start, len(code))
	other, okMemory := instructionAt(c.facts.Arch, memory, offset)
	if !ok || begins == offset || !okMemory && len(memory) > offset || okMemory && other == offset {
		return
	}
	if len(memory) <= offset && patchable(c.facts.Arch, code)[offset] != noPatch {
		return
	}
	l.Kind, l.Begins = LandingInside, uint64(start)+uint64(begins)
	if in, err := disasm.Decode(c.facts.Arch, code[begins:], l.Begins); err == nil {
		l.Inside = oneSpace(in.Text)
	}
}

// instructionAt is where the instruction begins that covers an offset in the code of a
// function; false where the code cannot be decoded that far.
func instructionAt(arch string, code []byte, offset int) (begins int, ok bool) {
	for at := 0; at < len(code); {
		in, err := disasm.Decode(arch, code[at:], uint64(at))
		if err != nil || in.Length <= 0 {
			return 0, false
		}
		if offset < at+in.Length {
			return at, true
		}
		at += in.Length
	}
	return 0, false
}

// cameBy says how the processor came to a place that is no code. A return takes the
// address from the stack, so that it stands right below the stack pointer, or in lr; a
// call leaves the place behind it.
func (c *collection) cameBy(l *Landing) {
	if l.Kind == LandingInside {
		return
	}
	sp, okSP := c.registers.SP()
	lr, okLR := c.registers.Get("lr")
	size := c.m.Arch.PointerSize()
	switch {
	case c.m.Arch == dump.ARM64 && okLR && lr == l.Address:
		l.By = LandingReturn
	case len(c.frames) > 1 && c.frames[1].Trust == report.TrustUnwind && c.frames[1].Module != "":
		l.By = LandingCall
		if f := factFrames(c.frames[1:]); len(f) > 0 {
			l.From = at(f[0])
		}
	case c.m.Arch != dump.ARM64 && okSP && sp > uint64(size):
		b, err := mem.Read(c.m.Memory, mem.VA(sp)-mem.VA(size), size)
		if err == nil && (size == 8 && le.U64(b, 0) == l.Address || size == 4 && uint64(le.U32(b, 0)) == l.Address) {
			l.By = LandingReturn
		}
	}
}

// judgeLanding tells where the processor was, if not in code.
func (j *judgement) judgeLanding() {
	l := j.f.Landing
	if l == nil {
		return
	}
	source := j.contextSource()
	switch l.Kind {
	case LandingInside:
		j.judgeInside(l)
		return
	case LandingStack:
		j.evidence(report.Derived, source, report.T("The processor was to run 0x%x, which lies on a stack: there are data, no code.", l.Address))
	case LandingPool:
		j.evidence(report.Derived, source, report.T("The processor was to run 0x%x, which lies in a block of pool, the kernel's memory for data (tag %s).", l.Address, tagWord(l.Tag)))
	case LandingData:
		j.evidence(report.Derived, source, report.T("The processor was to run 0x%x, which lies among the data of a driver, not in its code.", l.Address))
	}
	switch l.By {
	case LandingReturn:
		j.evidence(report.Derived, report.T("stack"), report.T("A return led there: the address that a function should have returned to was overwritten before."))
	case LandingCall:
		j.evidence(report.Derived, report.T("stack"), report.T("A call led there, from in front of %s: the pointer that it went through was wrong.", l.From))
	}
}

// judgeInside: software does not go on in the middle of an instruction by itself. Where
// the callers are those of a function that was entered as it should be, the instruction
// pointer itself went wrong, and that is the processor's; else a wild jump may have led
// there, and whose code it met is not to blame. Only code of Windows counts: that of
// others may be obfuscated, and then jumps into its own instructions.
func (j *judgement) judgeInside(l *Landing) {
	source := j.contextSource()
	switch {
	case l.Inside != "":
		j.evidence(report.Derived, source, report.T("The processor was at 0x%x, in the middle of the instruction %s, which begins at 0x%x: no program goes on there by itself.", l.Address, l.Inside, l.Begins))
	default:
		j.evidence(report.Derived, source, report.T("The processor was at 0x%x, where no instruction can begin: no program goes on there by itself.", l.Address))
	}
	if !l.Entered || len(j.f.Frames) == 0 || thirdParty(j.f.Frames[0].Image) {
		j.limit(report.Low)
		j.evidence(report.Guessed, source, report.T("A jump through a wrong pointer, or a faulty processor or memory, leads there, and then the code that was met is not to blame; so does obfuscated code, on purpose."))
		return
	}
	j.evidence(report.Derived, report.T("stack"), report.T("The stack is that of a function that was entered as it should be, so it was no wrong pointer that led there: the processor or its power is suspected."))
	j.blameHardware(report.Medium, report.T("the processor was in the middle of an instruction"))
}
