package unwind

import (
	"errors"
	"testing"

	"bugcheck/mem"
	"bugcheck/pdb"
	"bugcheck/pe"
	"bugcheck/report"
)

// tables is a symbol file that a test has written.
type tables struct {
	data []pdb.FrameData
	fpo  []pdb.FPO
}

func (s tables) FrameData(rva uint32) (pdb.FrameData, bool) {
	for _, d := range s.data {
		if rva >= d.RVA && rva < d.RVA+d.Size {
			return d, true
		}
	}
	return pdb.FrameData{}, false
}

func (s tables) FPO(rva uint32) (pdb.FPO, bool) {
	for _, d := range s.fpo {
		if rva >= d.RVA && rva < d.RVA+d.Size {
			return d, true
		}
	}
	return pdb.FPO{}, false
}

const (
	base86  = 0x82000000
	stack86 = 0x8f001000
)

func walker86(m mem.Reader, s FrameTables) *Walker {
	in := func(pc mem.VA) bool { return pc >= base86 && pc < base86+0x10000 }
	return &Walker{
		Stack:     m,
		Modules:   func(pc mem.VA) (Module, bool) { return Module{Base: base86, Frames: s}, in(pc) },
		Plausible: in,
	}
}

// TestX86_Programs: the forms of programs that Microsoft's and LLVM's tools write.
func TestX86_Programs(t *testing.T) {
	m := memory{}
	m.put32(stack86-8, 0xeb, 0)
	m.put32(stack86, 0x11, 0x22, 0x33, 0x44, base86+0x500, 0x66, 0x77, 0x88, base86+0x600, 0xaa)
	set := map[string]uint64{"eip": base86 + 0x110, "esp": stack86, "ebp": stack86 + 0x1c, "ebx": 1, "esi": 2, "edi": 3, "eax": 4}
	for _, tt := range []struct {
		name, program string
		d             pdb.FrameData
		want          map[string]uint64
		unknown       []string
	}{
		{"ebp frame", "$T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + =", pdb.FrameData{},
			map[string]uint64{"eip": base86 + 0x600, "ebp": 0x88, "esp": stack86 + 0x24, "ebx": 1}, []string{"eax"}},
		{"no frame pointer", "$T0 .raSearchStart = $eip $T0 ^ = $esp $T0 4 + = $ebx $T0 8 - ^ =", pdb.FrameData{Locals: 12, SavedRegs: 4},
			map[string]uint64{"eip": base86 + 0x500, "esp": stack86 + 0x14, "ebx": 0x33, "ebp": stack86 + 0x1c}, nil},
		{"search", "$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + = $ebp $T0 4 - ^ = $ebx $T0 8 - ^ =", pdb.FrameData{Locals: 4},
			map[string]uint64{"eip": base86 + 0x500, "esp": stack86 + 0x14, "ebp": 0x44, "ebx": 0x33}, nil},
		{"aligned", "$T1 .raSearch = $T0 $T1 4 - 16 @ = $eip $T1 ^ = $ebp $T1 4 - ^ = $esp $T1 4 + = $ebx $T0 8 - ^ =", pdb.FrameData{},
			map[string]uint64{"eip": base86 + 0x500, "ebp": 0x44, "ebx": 0xeb}, nil},
		{"sizes", "$T0 $esp .cbLocals + .cbSavedRegs + = $eip $T0 ^ = $esp $T0 4 + .cbParams + =", pdb.FrameData{Locals: 12, SavedRegs: 4, Params: 8},
			map[string]uint64{"eip": base86 + 0x500, "esp": stack86 + 0x1c}, nil},
		{"arithmetic", "$eip 10 3 * 2 - 7 / 5 % = $esp 0x20 -16 + =", pdb.FrameData{}, map[string]uint64{"eip": 4, "esp": 16}, nil},
		{"missing slot", "$T0 $ebp = $eip $T0 4 + ^ = $ebp 4096 ^ = $esp $T0 8 + =", pdb.FrameData{}, map[string]uint64{"eip": base86 + 0x600}, []string{"ebp"}},
	} {
		d := tt.d
		d.RVA, d.Size, d.Program = 0x100, 0x100, tt.program
		r, err := walker86(m, tables{data: []pdb.FrameData{d}}).Step(registers(pe.X86, set))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		expect(t, tt.name, r, tt.want)
		for _, name := range tt.unknown {
			if v, ok := r.Get(name); ok {
				t.Errorf("%s: %s is known: %x", tt.name, name, v)
			}
		}
	}
	for _, program := range []string{"", "=", "$eip", "$eip 1 =", "$eip $x = $esp 1 =", "1 2 =", "$eip 1 0 / = $esp 1 =", "$eip 1 = $esp 1 = 5",
		"$eip 4096 ^ = $esp 1 =", "$T0 4096 ^ = $eip 1 = $esp 1 =", "+", "$eip ^", "1 +", "zz"} {
		p := program
		w := walker86(m, tables{data: []pdb.FrameData{{RVA: 0x100, Size: 0x100, Program: p + " "}}})
		if _, err := w.Step(registers(pe.X86, set)); !errors.Is(err, ErrFormat) {
			t.Errorf("program %q: %v", program, err)
		}
	}
}

// TestX86_FPO: functions that omit the frame pointer, one that calls the other
// with two parameters that it will remove.
func TestX86_FPO(t *testing.T) {
	s := tables{fpo: []pdb.FPO{
		{RVA: 0x100, Size: 0x40, Locals: 8, Params: 8, Regs: 1, Prolog: 4},
		{RVA: 0x200, Size: 0x40, Locals: 4, Regs: 2, UseBP: true},
		{RVA: 0x300, Size: 0x40, Type: 3},
	}}
	m := memory{}
	m.put32(stack86, 1, 2, 0xb0b, base86+0x210, 0xaaa, 0xbbb, 7, 8, 9, base86+0x310, 0, 0)
	w := walker86(m, s)
	r := registers(pe.X86, map[string]uint64{"eip": base86 + 0x120, "esp": stack86, "ebp": 0x5000, "ebx": 1})
	r, err := w.Step(r)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "callee", r, map[string]uint64{"eip": base86 + 0x210, "esp": stack86 + 0x10, "ebp": 0x5000})
	if r, err = w.Step(r); err != nil {
		t.Fatal(err)
	}
	expect(t, "caller", r, map[string]uint64{"eip": base86 + 0x310, "esp": stack86 + 0x28})
	if v, ok := r.Get("ebp"); ok {
		t.Errorf("ebp = %x, but the function used it", v)
	}
	if _, err = w.Step(r); !errors.Is(err, ErrNoTable) {
		t.Errorf("a function with a frame pointer: %v", err)
	}
	m.put32(stack86+0x100, base86+0x210)
	for at, want := range map[uint64]error{0x100: nil, 0x102: ErrFormat} {
		if _, err := w.Step(registers(pe.X86, map[string]uint64{"eip": base86 + at, "esp": stack86 + 0x100})); !errors.Is(err, want) {
			t.Errorf("at +0x%x of the prologue: %v, want %v", at, err, want)
		}
	}
}

// TestX86_Chain: no tables: frame pointers, then a scan where they end.
func TestX86_Chain(t *testing.T) {
	m := memory{}
	m.put32(stack86, 0, 0, stack86+0x20, base86+0x111, 0, 0, 0, 0)
	m.put32(stack86+0x20, 0x666, base86+0x222, 0, base86+0x333, 0, 0)
	w := walker86(m, nil)
	frames, err := w.Walk(registers(pe.X86, map[string]uint64{"eip": base86 + 0x100, "esp": stack86, "ebp": stack86 + 8}))
	if !errors.Is(err, ErrNoTable) {
		t.Errorf("error: %v", err)
	}
	checkFrames(t, frames, []want{
		{base86 + 0x100, stack86, report.TrustContext},
		{base86 + 0x111, stack86 + 0x10, report.TrustFramePointer},
		{base86 + 0x222, stack86 + 0x28, report.TrustFramePointer},
		{base86 + 0x333, stack86 + 0x30, report.TrustScan},
	})
}
