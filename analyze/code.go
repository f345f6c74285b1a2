package analyze

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"bugcheck/disasm"
	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
)

// CodeChange is a function whose code in memory is not what its image has.
type CodeChange struct {
	Place   string // nt!NtReadFile+0x0: the first byte that differs
	Bytes   int    // that differ
	Was, Is byte   // the first of them
	OneBit  bool   // nothing but a single bit differs
	Running bool   // the function is among the innermost certain callers
}

// Limits on what is compared: the functions in which a wrong byte can have led to
// the fault.
const (
	comparedFrames  = 3
	maxComparedCode = 64 << 10 // bytes of a function
	maxChangedBytes = 16       // more are a patch, not damage
)

// collectCode compares with their images the functions of the innermost certain
// frames, and for 0xBE that which was written to. Only images from files count: one
// in memory is compared with itself.
func (c *collection) collectCode() {
	n := 0
	for _, f := range c.frames {
		if n == comparedFrames || f.Trust == report.TrustScan {
			break
		}
		if f.Module == "" || f.Inline {
			continue
		}
		n++
		c.compare(mem.VA(f.Address), true)
	}
	if c.facts.Code == 0xbe {
		c.compare(mem.VA(c.facts.Parameters[0]), false)
	}
	for _, change := range c.facts.CodeChanges {
		if change.Running && change.OneBit {
			c.facts.CodeDiffer = "ONE_BIT"
		}
	}
}

// compare compares the function that va lies in.
func (c *collection) compare(va mem.VA, running bool) {
	mod, ok := c.m.ModuleAt(va)
	if !ok || mod.User {
		return
	}
	found := c.m.SymbolsOf(mod.Name)
	if found == nil || found.Image == nil || found.Image.Layout != pe.InFile {
		return
	}
	fn, ok, err := found.Image.Function(pe.RVA(va - mod.Base))
	if err != nil || !ok || fn.End-fn.Begin > maxComparedCode {
		return
	}
	was, err := loadedCode(found.Image, fn.Begin, fn.End, mod.Base)
	if err != nil {
		return
	}
	start := mod.Base + mem.VA(fn.Begin)
	is := make([]byte, len(was))
	n, _ := c.m.Memory.ReadAt(is, start) // as far as it is in the dump
	was, is = was[:n], is[:n]
	change, ok := codeChange(string(c.m.Arch), was, is)
	if !ok {
		return
	}
	p := place(c.m, uint64(start)+uint64(change.at))
	out := CodeChange{Place: p.at(), Bytes: change.bytes, Was: was[change.at], Is: is[change.at], OneBit: change.bits == 1, Running: running}
	for _, old := range c.facts.CodeChanges {
		if old.Place == out.Place {
			return
		}
	}
	c.facts.CodeChanges = append(c.facts.CodeChanges, out)
}

// loadedCode is the code of an image's file as Windows puts it at base.
func loadedCode(image *pe.File, begin, end pe.RVA, base mem.VA) ([]byte, error) {
	b := make([]byte, end-begin)
	if _, err := image.ReadAt(b, begin); err != nil {
		return nil, err
	}
	relocations, err := image.Relocations()
	delta := uint64(base - image.Header.ImageBase)
	for _, r := range relocations {
		at := int(r.RVA) - int(begin)
		switch {
		case r.RVA < begin || r.RVA >= end:
		case r.Type == pe.RelocDir64 && at+8 <= len(b):
			binary.LittleEndian.PutUint64(b[at:], le.U64(b, at)+delta)
		case r.Type == pe.RelocHighLow && at+4 <= len(b):
			binary.LittleEndian.PutUint32(b[at:], le.U32(b, at)+uint32(delta))
		}
	}
	return b, err
}

// difference is where two pieces of code differ.
type difference struct {
	at, bytes, bits int
}

// codeChange finds what differs without a reason. Windows itself patches code as it
// loads it and while it runs: calls through the import table and through guard
// functions become direct ones, and constants of the memory manager's layout are put
// in (the dynamic value relocations of winnt.h; "KASLR" and "import optimization" in
// Microsoft's documentation of retpolines). So a difference in or beside a call or an
// indirect jump, or in a 64-bit constant, is none. Where more than a few bytes differ,
// it is a patch.
func codeChange(arch string, was, is []byte) (difference, bool) {
	var d difference
	patched := patchable(arch, was)
	for i := range was {
		x := was[i] ^ is[i]
		switch {
		case x == 0:
			continue
		case patched[i]:
			continue
		case d.bytes == 0:
			d.at = i
		}
		d.bytes++
		d.bits += bits.OnesCount8(x)
	}
	return d, d.bytes > 0 && d.bytes <= maxChangedBytes
}

// besideCalls is how many instructions in front of a call and behind it may be
// patched with it: on ARM64 the address of an import is made by two.
const besideCalls = 3

// patchable marks the bytes that Windows may have patched. From where code cannot be
// decoded, all are.
func patchable(arch string, code []byte) []bool {
	marks := make([]bool, len(code))
	var starts []int
	behind := 0 // instructions behind a call that are still to be marked
	mark := func(from, to int) {
		for i := from; i < min(to, len(marks)); i++ {
			marks[i] = true
		}
	}
	for at := 0; at < len(code); {
		ins, err := disasm.Decode(arch, code[at:], uint64(at))
		if err != nil || ins.Length <= 0 {
			mark(at, len(code))
			break
		}
		starts = append(starts, at)
		end := at + ins.Length
		switch {
		case ins.Flow == disasm.Call, ins.Flow == disasm.Jump && !ins.HasTarget:
			mark(starts[max(len(starts)-1-besideCalls, 0)], end)
			behind = besideCalls
		case behind > 0:
			behind--
			mark(at, end)
		case ins.Length >= 10 && arch == string(dump.X64): // mov r64, imm64
			mark(at, end)
		}
		at = end
	}
	return marks
}

// judgeChanges says which code is not what it should be. What did it, it does not
// say: a debugger's breakpoint, a hook, a stray write, memory that lost a bit.
func (j *judgement) judgeChanges() {
	for _, c := range j.f.CodeChanges {
		bytes := fmt.Sprintf("%02x → %02x", c.Was, c.Is)
		if c.Bytes == 1 {
			j.evidence(report.Recorded, report.T("code and image"), report.T("The code at %s differs from its image in 1 byte: %s.", c.Place, bytes))
		} else {
			j.evidence(report.Recorded, report.T("code and image"), report.T("The code at %s differs from its image in %d bytes, the first: %s.", c.Place, c.Bytes, bytes))
		}
	}
}
