package unwind

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"bugcheck/mem"
	"bugcheck/pe"
)

// asm is code in hexadecimal.
func asm(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unwindInfo writes an UNWIND_INFO, then the entry that it is chained to.
func unwindInfo(version, flags, prolog, frame byte, codes []byte, parent ...uint32) []byte {
	b := append([]byte{version | flags<<3, prolog, byte(len(codes) / 2), frame}, codes...)
	if len(codes)%4 != 0 {
		b = append(b, 0, 0)
	}
	return append(b, words(parent...)...)
}

const (
	prolog64 = "55 4154 53 4883ec20"    // push rbp, r12, rbx; sub rsp, 0x20
	pops64   = "5b 415c 5d"             // pop rbx, r12, rbp
	codes64  = "0832 0430 03c0 0150"    // the unwind codes of that
	framed64 = "55 4883ec20 488d6c2420" // push rbp; sub rsp, 0x20; lea rbp, [rsp+0x20]
	codesFP  = "0a03 0532 0150"
)

// oracleOf simulates a function that a test has written; a second one follows
// it, to which it may jump.
func oracleOf(t *testing.T, code string, info []byte) *oracle {
	t.Helper()
	text := asm(t, code)
	end := uint32(textRVA + len(text))
	text = append(text, 0x90, 0xc3)
	rdata := append(append(info, make([]byte, 0x100-len(info))...), unwindInfo(1, 0, 0, 0, nil)...)
	o, err := newOracle(openBytes(t, imageBytes(pe.X64, text, rdata, words(textRVA, end, rdataRVA, end, end+2, rdataRVA+0x100))))
	if err != nil {
		t.Fatal(err)
	}
	o.run()
	return o
}

// TestEpilogue_Forms: every way to leave a function, in code and, in version 2,
// by the unwind codes. The caller is found at each instruction.
func TestEpilogue_Forms(t *testing.T) {
	body := prolog64 + " 90 85c0"
	for _, tt := range []struct {
		name, code string
		version    byte
		frame      byte
		codes      string
		positions  int
	}{
		{"ret", body + " 4883c420" + pops64 + "c3", 1, 0, codes64, 11},
		{"add of 32 bits", body + " 4881c420000000" + pops64 + "c3", 1, 0, codes64, 11},
		{"rep ret", body + " 4883c420" + pops64 + "f3c3", 1, 0, codes64, 11},
		{"bnd ret", body + " 4883c420" + pops64 + "f2c3", 1, 0, codes64, 11},
		{"ret n", body + " 4883c420" + pops64 + "c20800", 1, 0, codes64, 11},
		{"jmp", body + " 4883c420" + pops64 + "e900000000", 1, 0, codes64, 11},
		{"short jmp", body + " 4883c420" + pops64 + "eb00", 1, 0, codes64, 11},
		{"jmp to itself", body + " 4883c420" + pops64 + "ebe7", 1, 0, codes64, 11},
		{"jmp through memory", body + " 4883c420" + pops64 + "ff2500000000", 1, 0, codes64, 11},
		{"jmp through memory with a prefix", body + " 4883c420" + pops64 + "48ff2500000000", 1, 0, codes64, 11},
		{"jmp through a register", body + " 4883c420" + pops64 + "48ffe0", 1, 0, codes64, 11},
		{"jmp through a high register", body + " 4883c420" + pops64 + "49ffe3", 1, 0, codes64, 11},
		{"jmp inside", prolog64 + "90 eb01 90 4883c420" + pops64 + "c3", 1, 0, codes64, 11},
		{"lea", framed64 + "90 488d6500 5d c3", 1, 0x25, codesFP, 7},
		{"lea of 32 bits", framed64 + "90 488da500000000 5d c3", 1, 0x25, codesFP, 7},
		{"lea after alloca", framed64 + "4829c4 90 488d6500 5d c3", 1, 0x25, codesFP, 8},
		{"version 2, at the end", body + " 4883c420" + pops64 + "c3", 2, 0, "0516 0006" + codes64, 11},
		{"version 2, one of two at the end", prolog64 + "7409 4883c420" + pops64 + "c3 4883c420" + pops64 + "c3", 2, 0, "0516 0e06" + codes64, 15},
		{"version 2, none at the end", prolog64 + "7409 4883c420" + pops64 + "c3 9090 cc", 2, 0, "0506 0806" + codes64, 13},
		{"version 2 with a jump", body + " 4883c420" + pops64 + "e900000000", 2, 0, "0506 0906" + codes64, 11},
	} {
		o := oracleOf(t, tt.code, unwindInfo(tt.version, 0, 10, tt.frame, asm(t, tt.codes)))
		o.positions -= 2 // of the function behind it
		if o.failed != 0 || len(o.skipped) != 0 || o.positions != tt.positions {
			t.Errorf("%s: %d wrong of %d, want 0 of %d; skipped %v: %s", tt.name, o.failed, o.positions, tt.positions, o.skipped, strings.Join(o.failures, "; "))
		}
	}
}

// TestEpilogue_Table: in version 2 the codes alone say where epilogues are. If
// they are left out the four positions in one are wrong, and the oracle sees it.
func TestEpilogue_Table(t *testing.T) {
	code := prolog64 + " 90 85c0 4883c420" + pops64 + "c3"
	if o := oracleOf(t, code, unwindInfo(2, 0, 8, 0, asm(t, codes64))); o.failed != 4 {
		t.Errorf("%d positions are wrong, want 4", o.failed)
	}
}

// TestEpilogue_FromMemory: the image's code is missing, the dump has it.
func TestEpilogue_FromMemory(t *testing.T) {
	info := unwindInfo(1, 0, 8, 0, asm(t, codes64))
	f := openBytes(t, imageBytes(pe.X64, nil, info, words(textRVA, textRVA+0x20, rdataRVA)))
	m := memory{}
	m.push(0x1000, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	w := walker(f, m)
	// The image has zeros there; with its page gone, the dump is asked.
	w.Modules = func(mem.VA) (Module, bool) {
		return Module{Base: base, Image: without(t, f, textRVA)}, true
	}
	m.push(base+textRVA+8, order.Uint64(asm(t, pops64+"c3000000")), 0, 0)
	r, err := w.Step(registers(pe.X64, map[string]uint64{"rip": base + textRVA + 8, "rsp": 0x1000}))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "epilogue from memory", r, map[string]uint64{"rbx": 1, "r12": 2, "rbp": 3, "rip": 4, "rsp": 0x1020})
}

// TestMachineFrame: a function that an interrupt enters, with and without an
// error code. Volatile registers are not known then, others are.
func TestMachineFrame(t *testing.T) {
	// sub rsp, 0x18; lea rbp, [rsp+0x10]: codes SET_FPREG, ALLOC_SMALL, PUSH_NONVOL rbp, PUSH_MACHFRAME.
	for _, tt := range []struct {
		name  string
		codes string
		skip  uint64
	}{{"no error code", "0a03 0522 0150 000a", 0}, {"error code", "0a03 0522 0150 001a", 8}} {
		info := unwindInfo(1, 0, 10, 0x15, asm(t, tt.codes))
		f := openBytes(t, imageBytes(pe.X64, []byte{0x90}, info, words(textRVA, textRVA+0x40, rdataRVA)))
		m := memory{}
		const stack = 0xffffb00000001000
		m.push(stack, 0, 0, 0, 0xbbb, 0xeee)
		at := stack + 0x20 + tt.skip
		m.push(mem.VA(at), 0xfffff80011112222, 0x10, 0x246, 0xffffb00000009000, 0x18)
		w := walker(f, m)
		r := registers(pe.X64, map[string]uint64{"rip": base + textRVA + 0x20, "rsp": stack - 0x100, "rbp": stack + 0x10, "rbx": 7, "rax": 8})
		r.Returned = true
		caller, saved, err := w.step(r)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, tt.name, caller, map[string]uint64{"rip": 0xfffff80011112222, "rsp": 0xffffb00000009000, "rbp": 0xbbb, "rbx": 7})
		if _, ok := caller.Get("rax"); ok || caller.Returned || uint64(saved) != at {
			t.Errorf("%s: rax is known: %v, returned: %v, saved at %v", tt.name, ok, caller.Returned, saved)
		}
	}
}

// TestMachineFrame_Epilogue: such a function leaves with iretq, behind its pops
// and the error code.
func TestMachineFrame_Epilogue(t *testing.T) {
	const frame = 0x1010
	for _, tt := range []struct {
		name, code string
		info       []byte
		sp         map[uint64]uint64 // at each instruction
	}{
		{"version 1", "55 90 5d 4883c408 48cf", unwindInfo(1, 0, 1, 0, asm(t, "0150 001a")),
			map[uint64]uint64{0: frame - 8, 1: frame - 16, 2: frame - 16, 3: frame - 8, 7: frame}},
		{"version 2", "55 90 5d 48cf", unwindInfo(2, 0, 1, 0, asm(t, "0316 0006 0150 000a")),
			map[uint64]uint64{0: frame, 1: frame - 8, 2: frame - 8, 3: frame}},
	} {
		code := asm(t, tt.code)
		f := openBytes(t, imageBytes(pe.X64, code, tt.info, words(textRVA, uint32(textRVA+len(code)), rdataRVA)))
		for at, sp := range tt.sp {
			m := memory{}
			m.push(frame, 0xfffff80011112222, 0x10, 0x246, 0x9000, 0x18)
			m.push(frame-16, 0xbbb, 0xec)
			if tt.name == "version 2" {
				m[frame-8] = 0xbbb
			}
			caller, saved, err := walker(f, m).step(registers(pe.X64, map[string]uint64{"rip": base + textRVA + at, "rsp": sp, "rbp": 0xbbb}))
			if err != nil || saved != frame || caller.Returned {
				t.Errorf("%s at %d: saved at %v, %v", tt.name, at, saved, err)
			}
			expect(t, tt.name, caller, map[string]uint64{"rip": 0xfffff80011112222, "rsp": 0x9000, "rbp": 0xbbb})
		}
	}
}

// TestChained: a part of a function, chained to another by way of an indirect
// entry, saves rbx more.
func TestChained(t *testing.T) {
	rdata := make([]byte, 0x100)
	copy(rdata, unwindInfo(1, 0, 5, 0, asm(t, "0532 0150")))                                                   // push rbp; sub rsp, 0x20
	copy(rdata[0x20:], unwindInfo(1, flagChained, 0, 0, asm(t, "0034 0500"), textRVA, textRVA+0x40, rdataRVA)) // rbx at 0x28
	copy(rdata[0x40:], words(textRVA+0x80, textRVA+0x90, rdataRVA+0x20))
	copy(rdata[0x60:], unwindInfo(1, flagChained, 0, 0, nil, textRVA+0xf0, textRVA+0xf8, rdataRVA+0x60))
	pdata := words(textRVA, textRVA+0x40, rdataRVA, textRVA+0x80, textRVA+0x90, rdataRVA+0x20,
		textRVA+0xa0, textRVA+0xb0, rdataRVA+0x41, textRVA+0xc0, textRVA+0xd0, rdataRVA+0x60)
	f := openBytes(t, imageBytes(pe.X64, nil, rdata, pdata))
	m := memory{}
	m.push(0x1000, 0, 0, 0, 0, 0xbbb, 0xccc, 0xddd)
	m[0x1028], m[0x1020], m[0x1030] = 0xccc, 0xbbb, 0xddd
	w := walker(f, m)
	for _, at := range []uint64{0x80, 0x88, 0xa4} {
		r, err := w.Step(registers(pe.X64, map[string]uint64{"rip": base + textRVA + at, "rsp": 0x1000}))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "chained", r, map[string]uint64{"rbp": 0xbbb, "rbx": 0xccc, "rip": 0xccc, "rsp": 0x1030})
	}
	_, err := w.Step(registers(pe.X64, map[string]uint64{"rip": base + textRVA + 0xc8, "rsp": 0x1000}))
	if !errors.Is(err, ErrFormat) {
		t.Errorf("chained to itself: %v", err)
	}
}

// TestPrologue_FarSaves: the long forms of allocations and saves.
func TestPrologue_FarSaves(t *testing.T) {
	codes := asm(t, "2065 40000100 1f35 18000000 1074 0300 0f68 0100 0e89 10000000 0c11 00000100 0801 0200") // r6 far, r3 far, r7, xmm6, xmm8 far, alloc 0x10000, alloc 0x10
	info := unwindInfo(1, 0, 0x20, 0, codes)
	f := openBytes(t, imageBytes(pe.X64, nil, info, words(textRVA, textRVA+0x100, rdataRVA)))
	m := memory{}
	m.push(0x20000, 0, 0, 0, 0xd1, 0)
	m[0x20018], m[0x30040], m[0x30010] = 0x33, 0x66, 0xabc
	r, err := walker(f, m).Step(registers(pe.X64, map[string]uint64{"rip": base + textRVA + 0x80, "rsp": 0x20000, "rdi": 5}))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "far saves", r, map[string]uint64{"rsi": 0x66, "rbx": 0x33, "rdi": 0x33, "rip": 0xabc, "rsp": 0x30018})
}

// TestStep_MissingSlot: a saved register that the dump lacks is not known; the
// return address must be there.
func TestStep_MissingSlot(t *testing.T) {
	info := unwindInfo(1, 0, 8, 0, asm(t, codes64))
	f := openBytes(t, imageBytes(pe.X64, []byte{0x90}, info, words(textRVA, textRVA+0x40, rdataRVA)))
	m := memory{0x1028: 12, 0x1030: 5, 0x1038: 0x77}
	start := registers(pe.X64, map[string]uint64{"rip": base + textRVA + 0x20, "rsp": 0x1000, "rbx": 9})
	r, err := walker(f, m).Step(start)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "missing slot", r, map[string]uint64{"r12": 12, "rbp": 5, "rip": 0x77})
	if v, ok := r.Get("rbx"); ok {
		t.Errorf("rbx = %x, but its slot is missing", v)
	}
	delete(m, 0x1038)
	var fault *mem.Fault
	if _, err := walker(f, m).Step(start); !errors.As(err, &fault) || fault.Address != 0x1038 {
		t.Errorf("missing return address: %v", err)
	}
}

// TestStep_BadTables: what cannot be unwound says so.
func TestStep_BadTables(t *testing.T) {
	for _, tt := range []struct {
		name string
		info []byte
		want error
	}{
		{"version 3", unwindInfo(3, 0, 0, 0, nil), ErrFormat},
		{"unknown code", unwindInfo(1, 0, 0, 0, []byte{0, 0x0b}), ErrFormat},
		{"cut code", unwindInfo(1, 0, 0, 0, []byte{0, 0x11}), ErrFormat},
		{"frame register not known", unwindInfo(1, 0, 0, 5, []byte{0, 3}), ErrUnknown},
	} {
		f := openBytes(t, imageBytes(pe.X64, []byte{0x90}, tt.info, words(textRVA, textRVA+0x40, rdataRVA)))
		r := registers(pe.X64, map[string]uint64{"rip": base + textRVA + 0x20, "rsp": 0x1000})
		if _, err := walker(f, memory{}).Step(r); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
