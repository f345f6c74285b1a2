package analyze

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"bugcheck/disasm"
	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/kernel"
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
	// OtherDump: it was compared with another dump of the same build, not with its image.
	OtherDump bool
}

// Limits on what is compared: the functions in which a wrong byte can have led to
// the fault.
const (
	comparedFrames  = 3
	maxComparedCode = 64 << 10 // bytes of a function
	maxChangedBytes = 16       // more are a patch, not damage
)

// collectCode compares with their images the functions of the innermost certain
// frames, and for 0xBE that which was written to, or with another dump that has the
// same images. An image in memory would be compared with itself.
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
	o, ok := c.original(mod, va)
	if !ok {
		return
	}
	is := make([]byte, len(o.code))
	n, _ := c.m.Memory.ReadAt(is, o.start) // as far as it is in the dump
	was, is := o.code[:n], is[:n]
	change, ok := codeChange(string(c.m.Arch), was, is)
	if !ok {
		return
	}
	p := place(c.m, uint64(o.start)+uint64(change.at))
	out := CodeChange{
		Place: p.at(), Bytes: change.bytes, Was: was[change.at], Is: is[change.at], OneBit: change.bits == 1 && is[change.at] != breakpointCode,
		Running: running, OtherDump: o.otherDump,
	}
	for _, old := range c.facts.CodeChanges {
		if old.Place == out.Place {
			return
		}
	}
	c.facts.CodeChanges = append(c.facts.CodeChanges, out)
}

// breakpointCode is int3: a debugger writes it over the first byte of an instruction, and
// it is one bit from 4c and 8c, with which many begin.
const breakpointCode = 0xcc

// original is the code of a function as it should be in memory.
type original struct {
	start     mem.VA
	code      []byte
	otherDump bool // it is that of another dump, not of the image's file
}

// original looks a function up in the image's file, else in the other dump.
func (c *collection) original(mod kernel.Module, va mem.VA) (original, bool) {
	rva := pe.RVA(va - mod.Base)
	if found := c.m.SymbolsOf(mod.Name); found != nil && found.Image != nil && found.Image.Layout == pe.InFile {
		fn, ok, err := found.Image.Function(rva)
		if err != nil || !ok || fn.End-fn.Begin > maxComparedCode {
			return original{}, false
		}
		code, err := loadedCode(found.Image, fn.Begin, fn.End, mod.Base)
		return original{start: mod.Base + mem.VA(fn.Begin), code: code}, err == nil
	}
	return c.originalInReference(mod, rva)
}

// originalInReference takes a function from the memory of another dump. On x86 code holds
// addresses, which differ from start to start.
func (c *collection) originalInReference(mod kernel.Module, rva pe.RVA) (original, bool) {
	base, ok := c.inReference(mod)
	if !ok || c.m.Arch == dump.X86 {
		return original{}, false
	}
	image, _ := c.reference.ImageAt(base + mem.VA(rva))
	if image == nil {
		return original{}, false
	}
	fn, ok, err := image.Function(rva)
	if err != nil || !ok || fn.End-fn.Begin > maxComparedCode {
		return original{}, false
	}
	code := make([]byte, fn.End-fn.Begin)
	n, _ := c.reference.Memory.ReadAt(code, base+mem.VA(fn.Begin)) // as far as it is there
	return original{start: mod.Base + mem.VA(fn.Begin), code: code[:n], otherDump: true}, n > 0
}

// inReference is where the same image is loaded in the other dump.
func (c *collection) inReference(mod kernel.Module) (base mem.VA, ok bool) {
	if c.reference == nil || c.reference.Arch != c.m.Arch {
		return 0, false
	}
	other, ok := c.reference.ModuleNamed(mod.Name)
	return other.Base, ok && !other.User && other.Timestamp == mod.Timestamp && other.Size == mod.Size
}

// checkReference notes another dump that is of no use.
func (c *collection) checkReference() {
	if c.reference == nil {
		return
	}
	for _, mod := range c.m.Modules {
		if base, ok := c.inReference(mod); ok && c.hasCode(base) {
			return
		}
	}
	c.note("reference", report.T("The other dump holds the code of no image that this one has: it must be of the same build, and of whole memory."))
}

// hasCode reports that the other dump holds an image.
func (c *collection) hasCode(base mem.VA) bool {
	_, err := mem.Read(c.reference.Memory, base, 2)
	return err == nil
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
// indirect jump, or in a 64-bit constant, is none; but a call that is patched changes in
// more than one bit. Where more than a few bytes differ, it is a patch.
func codeChange(arch string, was, is []byte) (difference, bool) {
	var own, calls difference
	patched := patchable(arch, was)
	for i := range was {
		switch x := was[i] ^ is[i]; {
		case x == 0, patched[i] == constant:
		case patched[i] == besideCall:
			calls.add(i, x)
		default:
			own.add(i, x)
		}
	}
	if own.bytes == 0 && calls.bits == 1 {
		return calls, true
	}
	return own, own.bytes > 0 && own.bytes <= maxChangedBytes
}

// add counts a byte, in which the bits of x differ.
func (d *difference) add(at int, x byte) {
	if d.bytes == 0 {
		d.at = at
	}
	d.bytes++
	d.bits += bits.OnesCount8(x)
}

// besideCalls is how many instructions in front of a call and behind it may be
// patched with it: on ARM64 the address of an import is made by two.
const besideCalls = 3

// patch is what Windows may have patched a byte for.
type patch uint8

const (
	noPatch patch = iota
	besideCall
	constant
)

// patchable marks the bytes that Windows may have patched. From where code cannot be
// decoded, all are.
func patchable(arch string, code []byte) []patch {
	marks := make([]patch, len(code))
	var starts []int
	behind := 0 // instructions behind a call that are still to be marked
	mark := func(from, to int, p patch) {
		for i := from; i < min(to, len(marks)); i++ {
			marks[i] = p
		}
	}
	for at := 0; at < len(code); {
		ins, err := disasm.Decode(arch, code[at:], uint64(at))
		if err != nil || ins.Length <= 0 {
			mark(at, len(code), constant)
			break
		}
		starts = append(starts, at)
		end := at + ins.Length
		switch {
		case ins.Length >= 10 && arch == string(dump.X64): // mov r64, imm64
			mark(at, end, constant)
			behind = max(behind-1, 0)
		case ins.Flow == disasm.Call, ins.Flow == disasm.Jump && !ins.HasTarget:
			for i := starts[max(len(starts)-1-besideCalls, 0)]; i < end; i++ {
				marks[i] = max(marks[i], besideCall)
			}
			behind = besideCalls
		case behind > 0:
			behind--
			mark(at, end, besideCall)
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
		switch {
		case c.OtherDump:
			j.evidence(report.Recorded, c.source(), report.T("The code at %s differs from that of the other dump in bytes: %d. The first: %s.", c.Place, c.Bytes, bytes))
		case c.Bytes == 1:
			j.evidence(report.Recorded, c.source(), report.T("The code at %s differs from its image in 1 byte: %s.", c.Place, bytes))
		default:
			j.evidence(report.Recorded, c.source(), report.T("The code at %s differs from its image in %d bytes, the first: %s.", c.Place, c.Bytes, bytes))
		}
	}
}

// source is what was compared.
func (c CodeChange) source() report.Text {
	if c.OtherDump {
		return report.T("code and other dump")
	}
	return report.T("code and image")
}
