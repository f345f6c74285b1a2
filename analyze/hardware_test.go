package analyze

import (
	"strings"
	"testing"

	"bugcheck/mem"
	"bugcheck/report"
)

// fault is an access violation in a driver, by an instruction.
func fault(target uint64, access string, in Instruction) Facts {
	return Facts{
		Arch: "x64", Code: 0xd1, Parameters: [4]uint64{target, 2, 0, 0xfffff80317091020},
		Exception:   &Exception{Code: statusAccessViolation, Address: 0xfffff80317091020, Access: access, Target: &target},
		Context:     Context{Fault: true},
		Frames:      []Frame{{Image: "vendor1.sys", Module: "vendor1", Trust: report.TrustContext}},
		Instruction: &in,
	}
}

// load is mov rax,[rsi+8] with what rsi holds.
func load(rsi uint64) Instruction {
	return Instruction{Text: "mov rax,qword ptr [rsi+8]", Plain: true,
		Memory: []Operand{{Text: "[rsi+8]", Read: true, Size: 8, Known: true, Address: rsi + 8, Register: "rsi", Value: rsi}}}
}

func TestFollows(t *testing.T) {
	const there = 0xffffb30c45fff000
	unknown, restored := load(0), load(there)
	unknown.Memory[0].Known = false
	restored.Memory[0].Restored = true
	odd := load(there)
	odd.Plain = false
	nop := Instruction{Text: "nop", Plain: true}
	divide := Instruction{Text: "div ecx", Divides: true}
	for _, tt := range []struct {
		name string
		f    Facts
		want string
	}{
		{"the operand", fault(there+8, "read", load(there)), followsYes},
		{"the end of the operand, over a page's", fault(there+0x1000, "read", load(there+0xff4)), followsYes},
		{"behind the operand", fault(there+0x10, "read", load(there)), followsNo},
		{"a null pointer, which the saved register does not show", fault(8, "read", load(there)), followsUnknown},
		{"a register that is not known", fault(8, "read", unknown), followsUnknown},
		{"a register that unwinding found", fault(0x1234, "read", restored), followsNo},
		{"an instruction that does more", fault(8, "read", odd), followsUnknown},
		{"no memory at all", fault(there, "read", nop), followsNo},
		{"the instruction itself was read", fault(0xfffff80317091024, "read", nop), followsUnknown},
		{"a jump", fault(there, "execute", nop), followsUnknown},
		{"not told, and not canonical", fault(notTold, "read", load(0x4141414141414141)), followsYes},
		{"not told, and canonical: a hypervisor may have refused it", fault(notTold, "read", load(there)), followsUnknown},
		{"no instruction", Facts{Exception: &Exception{Code: statusAccessViolation}}, followsUnknown},
		{"no fault", Facts{Instruction: &nop}, followsUnknown},
		{"a division", Facts{Arch: "x64", Instruction: &divide, Exception: &Exception{Code: statusDivideByZero}}, followsUnknown},
		{"a division by none", Facts{Arch: "x64", Instruction: &nop, Exception: &Exception{Code: statusDivideByZero}}, followsNo},
		{"an invalid instruction that is none", Facts{Arch: "x64", Instruction: &nop, Exception: &Exception{Code: statusIllegalInstruction}}, followsNo},
		{"the same on ARM64, where it is another matter", Facts{Arch: "arm64", Instruction: &nop, Exception: &Exception{Code: statusIllegalInstruction}}, followsUnknown},
		{"raised by software", Facts{Arch: "x64", Instruction: &nop, Exception: &Exception{Code: 0xc0000420}}, followsUnknown},
	} {
		if got := follows(&tt.f); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestJudge_Hardware(t *testing.T) {
	const there = 0xffffb30c45fff000
	bits := func(f Facts, b ...OneBit) Facts { f.OneBits = b; return f }
	landing := func(l Landing) Facts {
		f := fault(8, "read", load(0))
		f.Landing, f.Instruction = &l, nil
		return f
	}
	inWindows := func(f Facts) Facts {
		f.Frames = []Frame{{Image: "Ntfs.sys", Module: "Ntfs", Trust: report.TrustContext}}
		return f
	}
	changed := func(c ...CodeChange) Facts {
		f := fault(0x46, "read", Instruction{Text: "mov rax,qword ptr [rdx+8]", Image: "mov rax,qword ptr [rsi+8]", Plain: true,
			Memory: []Operand{{Text: "[rdx+8]", Read: true, Size: 8, Known: true, Address: 0x46, Register: "rdx", Value: 0x3e}}})
		f.CodeChanges = c
		for _, x := range c {
			if x.Running && x.OneBit {
				f.CodeDiffer = "ONE_BIT"
			}
		}
		return f
	}
	restored, fromFile, unknown := load(there), load(there), load(0)
	unknown.Memory[0].Known = false
	restored.Memory[0].Restored = true
	fromFile.FromFile = true
	pointer := OneBit{Kind: OneBitPointer, Is: there ^ 1<<45, Should: there, Bit: 45}
	inPool, inModule, near := pointer, pointer, pointer
	inPool.Tag, inPool.InDump, inPool.At = "Vend", true, 0xffffb30c45ffe000
	inModule.Place = Place{Kind: PlaceModule, Image: "vendor2.sys", Module: "vendor2", Offset: 0x3008}
	near.Held = []string{"rbx", "r12"}
	for _, tt := range []struct {
		name              string
		f                 Facts
		cause, confidence string
		bit               int // -1: none
		says              string
	}{
		{"the fault follows", fault(there+8, "read", load(there)), report.CauseDriver, report.High, -1,
			"derived The fault follows from the instruction, mov rax,qword ptr [rsi+8]: rsi = 0xffffb30c45fff000."},
		{"it does not", fault(0x1234, "read", load(there)), report.CauseHardware, report.Medium, -1,
			"derived The instruction there is mov rax,qword ptr [rsi+8]; its operand [rsi+8] comes to 0xffffb30c45fff008 (rsi = 0xffffb30c45fff000), but the fault came from 0x1234: it cannot have failed so."},
		{"it does not, by one bit", fault(there+8^1<<30, "read", load(there)), report.CauseHardware, report.Medium, 30,
			"derived Both addresses differ in one bit, bit 30."},
		{"it does not, by a register that unwinding found", fault(0x1234, "read", restored), report.CauseDriver, report.High, -1, "guessed The instruction there is"},
		{"it does not, by code from the image alone", fault(0x1234, "read", fromFile), report.CauseDriver, report.High, -1, "guessed The instruction there is"},
		{"a register that is not known", fault(there+8, "read", unknown), report.CauseDriver, report.High, -1,
			"recorded The instruction there is mov rax,qword ptr [rsi+8]."},
		{"an address that was not told", fault(notTold, "read", load(there)), report.CauseDriver, report.High, -1, "In a virtual machine the hypervisor does so"},

		{"a pointer into pool", bits(fault(there^1<<45, "read", load(there^1<<45)), inPool), report.CauseHardware, report.Medium, 45,
			"with bit 45 the other way it is 0xffffb30c45fff000, and leads into a block of pool that is in use (tag Vend)."},
		{"where it stands", bits(fault(there^1<<45, "read", load(there^1<<45)), inPool), report.CauseHardware, report.Medium, 45,
			"recorded The wrong pointer stands in memory at 0xffffb30c45ffe000."},
		{"a pointer into a driver", bits(fault(there^1<<45, "read", load(there^1<<45)), inModule), report.CauseHardware, report.Medium, 45, "leads to vendor2+0x3008."},
		{"a pointer beside others", bits(fault(there^1<<45, "read", load(there^1<<45)), near), report.CauseHardware, report.Medium, 45, "leads close to what registers point at (rbx, r12)."},
		{"a page table entry", bits(fault(there+8, "read", load(there)), OneBit{Kind: OneBitEntry, Is: 0x62, Should: 0x63, Bit: 0}), report.CauseHardware, report.High, 0,
			"recorded The page table entry of that address holds 0x62"},
		{"a page table entry that should be empty", bits(fault(there+8, "read", load(there)), OneBit{Kind: OneBitEntry, Is: 1 << 37, Bit: 37}), report.CauseHardware, report.Medium, 37,
			"recorded The page table entry of that address holds 0x2000000000: exactly one bit, bit 37, is set"},
		{"a link", bits(fault(there+8, "read", load(there)), OneBit{Kind: OneBitLink, At: there, Is: there ^ 1<<20, Should: there, Bit: 20}), report.CauseHardware, report.High, 20,
			"derived With bit 20 the other way it leads to 0xffffb30c45fff000, where an entry links back to this one: the bit is wrong."},

		{"a bit of code", changed(CodeChange{Place: "vendor1+0x22", Bytes: 1, Was: 0x46, Is: 0x42, OneBit: true, Running: true}), report.CauseHardware, report.Medium, 2,
			"derived The fault follows from the changed instruction, mov rax,qword ptr [rdx+8]; without the change it is mov rax,qword ptr [rsi+8]."},
		{"a bit of code that did not run", changed(CodeChange{Place: "vendor1+0x22", Bytes: 1, Was: 0x46, Is: 0x42, OneBit: true}), report.CauseDriver, report.High, -1, "recorded The code at"},
		{"a patch", changed(CodeChange{Place: "vendor1+0x22", Bytes: 5, Was: 0x46, Is: 0xe9, Running: true}), report.CauseDriver, report.High, -1, "in 5 bytes"},
		{"a bit of code against another dump", changed(CodeChange{Place: "vendor1+0x22", Bytes: 1, Was: 0x46, Is: 0x42, OneBit: true, Running: true, OtherDump: true}), report.CauseHardware, report.Medium, 2,
			"recorded The code at vendor1+0x22 differs from that of the other dump"},

		{"in the middle of an instruction of obfuscated code, perhaps", landing(Landing{Kind: LandingInside, Address: 0xfffff80317091021, Entered: true}), report.CauseDriver, report.Low, -1, "so does obfuscated code, on purpose"},
		{"in the middle of an instruction, on a sound stack", inWindows(landing(Landing{Kind: LandingInside, Address: 0xfffff80317091021, Inside: "mov rax,qword ptr [rsi+8]", Begins: 0xfffff80317091020, Entered: true})),
			report.CauseHardware, report.Medium, -1, "in the middle of the instruction mov rax,qword ptr [rsi+8], which begins at 0xfffff80317091020"},
		{"in the middle of an instruction, by who knows what", landing(Landing{Kind: LandingInside, Address: 0xfffff80317091021}), report.CauseDriver, report.Low, -1, "then the code that was met is not to blame"},
		{"a return to the stack", landing(Landing{Kind: LandingStack, By: LandingReturn}), report.CauseDriver, report.High, -1, "A return led there"},
		{"a call into data", landing(Landing{Kind: LandingData, By: LandingCall, From: "vendor2+0x1c"}), report.CauseUnknown, report.Low, -1, "from in front of vendor2+0x1c"},
		{"into pool", landing(Landing{Kind: LandingPool, Tag: "Vend"}), report.CauseDriver, report.High, -1, "(tag Vend)"},
	} {
		v := Judge(tt.f)
		bit := -1
		if v.Bit != nil {
			bit = *v.Bit
		}
		if v.Cause != tt.cause || v.Confidence != tt.confidence || bit != tt.bit || !strings.Contains(said(v), tt.says) {
			t.Errorf("%s: %s, %s, bit %d; want %s, %s, bit %d and %q in\n%s", tt.name, v.Cause, v.Confidence, bit, tt.cause, tt.confidence, tt.bit, tt.says, said(v))
		}
		if one := v.Bucket == "MEMORY_CORRUPTION_ONE_BIT"; one != (len(tt.f.OneBits) > 0 || tt.f.CodeDiffer != "") {
			t.Errorf("%s: bucket %q", tt.name, v.Bucket)
		}
	}
}

// What Windows was asked to do, and what a stop code proves, one bit does not overturn.
func TestJudge_HardwareIsNotAll(t *testing.T) {
	b := []OneBit{{Kind: OneBitPointer, Is: 0xffff930c45fff008, Should: 0xffffb30c45fff008, Bit: 45, InDump: true}}
	if v := Judge(Facts{Code: 0xe2, OneBits: b}); v.Cause != report.CauseRequested || v.Bit != nil {
		t.Errorf("a crash by hand: cause %s, bit %v", v.Cause, v.Bit)
	}
	f := Facts{Code: 0xd1, Parameters: [4]uint64{0xffffb30c45fff008, 2}, Page: &Page{State: mem.PagedOut, PTE: 0x62}}
	for _, f.OneBits = range [][]OneBit{nil, {{Kind: OneBitEntry, Is: 0x62, Should: 0x63}}} {
		if v := Judge(f); strings.Contains(said(v), "was not in place") != (f.OneBits == nil) {
			t.Errorf("what a wrong entry seems to say, with %v:\n%s", f.OneBits, said(v))
		}
	}
	if v := Judge(Facts{Code: 0x1a, Parameters: [4]uint64{corruptPTE, 0xffffab8103853048, 1 << 37}}); v.Cause != report.CauseHardware || v.Bit == nil || *v.Bit != 37 {
		t.Errorf("0x1A: cause %s, bit %v", v.Cause, v.Bit)
	}
	hung := Facts{Code: 0x133, Parameters: [4]uint64{0, 0x501, 0x500}, CodeDiffer: "ONE_BIT",
		Hung:        &Hung{DPC: Place{Kind: PlaceModule, Image: "vendor1.sys", Module: "vendor1", Offset: 0x11e0}},
		CodeChanges: []CodeChange{{Place: "vendor1+0x11f2", Bytes: 1, Was: 0x75, Is: 0x71, OneBit: true, Running: true}}}
	if v := Judge(hung); v.Cause != report.CauseHardware || v.Bit == nil || *v.Bit != 2 {
		t.Errorf("a loop that a wrong bit made endless: cause %s, bit %v", v.Cause, v.Bit)
	}
	hung.CodeDiffer, hung.CodeChanges = "", nil
	if v := Judge(hung); v.Cause != report.CauseDriver {
		t.Errorf("a loop in sound code: cause %s", v.Cause)
	}
}
