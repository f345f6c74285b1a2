package unwind

import (
	"errors"
	"strings"
	"testing"

	"bugcheck/mem"
	"bugcheck/pe"
)

// xdata writes an .xdata record: its length in instructions, the epilogues
// (start, first code), the codes. single sets E: the number is the first code
// of the epilogue that ends the function.
func xdata(t testing.TB, length uint32, scopes [][2]uint32, single int, codes string) []byte {
	t.Helper()
	b := asm(t, codes)
	for len(b)%4 != 0 {
		b = append(b, codeNop)
	}
	n, count := uint32(len(b)/4), uint32(len(scopes))
	head := length
	if single >= 0 {
		head, count = head|1<<21, uint32(single)
	}
	var out []byte
	if n > 31 || count > 31 {
		out = words(head, count|n<<16)
	} else {
		out = words(head | count<<22 | n<<27)
	}
	for _, s := range scopes {
		out = append(out, words(s[0]|s[1]<<22)...)
	}
	return append(out, b...)
}

func imageARM64(t testing.TB, code []uint32, record []byte) *pe.File {
	t.Helper()
	return openBytes(t, imageBytes(pe.ARM64, words(code...), record, words(textRVA, rdataRVA)))
}

// armBody has the instructions of a function, apart from its records.
var armBody = []uint32{
	0xd503237f, // pacibsp
	0xa9bd53f3, // stp x19, x20, [sp, #-48]!
	0xa9015bf5, // stp x21, x22, [sp, #16]
	0xa9027bfd, // stp x29, lr, [sp, #32]
	0x910083fd, // add x29, sp, #32
	0xd10103ff, // sub sp, sp, #64
	0xaa0003f3, // mov x19, x0
	0x94000100, // bl
	0xb4000100, // cbz x0, the second epilogue
	0x910103ff, // add sp, sp, #64
	0xa9427bfd, // ldp x29, lr, [sp, #32]
	0xa9415bf5, // ldp x21, x22, [sp, #16]
	0xa8c353f3, // ldp x19, x20, [sp], #48
	0xd50323ff, // autibsp
	0xd65f03c0, // ret
	0xd503201f, // nop, not reached
	0x910103ff, // the same again
	0xa9427bfd,
	0xa9415bf5,
	0xa8c353f3,
	0xd50323ff,
	0xd65f03c0,
}

// Its codes: alloc_s 64, add_fp 32, save_fplr 32, save_next, save_r19r20_x 48,
// pac, end; then those of the epilogue, which has no add_fp.
const (
	armProlog = "04 e204 44 e6 26 fc e4"
	armEpilog = "04 44 e6 26 fc e4"
)

// TestXdata_Forms: one function described in every way that a record allows,
// simulated at each instruction.
func TestXdata_Forms(t *testing.T) {
	many := make([][2]uint32, 40)
	for i := range many {
		many[i] = [2]uint32{9, 8}
	}
	many[39][0] = 16
	single := append([]uint32(nil), armBody[:15]...)
	single[8] = 0xd503201f
	padding := strings.Repeat("e3", 120)
	for _, tt := range []struct {
		name   string
		record []byte
		code   []uint32
	}{
		{"two scopes", xdata(t, 22, [][2]uint32{{9, 8}, {16, 8}}, -1, armProlog+armEpilog), armBody},
		{"one scope and E", xdata(t, 15, nil, 8, armProlog+armEpilog), single},
		{"extended by scopes", xdata(t, 22, many, -1, armProlog+armEpilog), armBody},
		{"extended by codes", xdata(t, 22, [][2]uint32{{9, 8}, {16, 8}}, -1, armProlog+armEpilog+padding), armBody},
		{"save_regp instead of save_next", xdata(t, 22, [][2]uint32{{9, 9}, {16, 9}}, -1, "04 e204 44 c882 26 fc e4"+"04 44 c882 26 fc e4"), armBody},
		{"save_any_reg", xdata(t, 22, [][2]uint32{{9, 14}, {16, 14}}, -1, "04 e204 e75d02 e75501 e77302 fc e4"+"04 e75d02 e75501 e77302 fc e4"), armBody},
	} {
		o, err := newOracle(imageARM64(t, tt.code, tt.record))
		if err != nil {
			t.Fatal(err)
		}
		if o.run(); o.failed != 0 || len(o.skipped) != 0 || o.positions < len(tt.code)-1 {
			t.Errorf("%s: %d wrong of %d; skipped %v: %s", tt.name, o.failed, o.positions, o.skipped, strings.Join(o.failures, "; "))
		}
	}
	// Without its epilogues some of their positions are wrong, and the oracle sees it.
	o, err := newOracle(imageARM64(t, armBody, xdata(t, 22, nil, -1, armProlog)))
	if err != nil {
		t.Fatal(err)
	}
	if o.run(); o.failed == 0 {
		t.Error("a record without epilogues is as good as one with them")
	}
}

// armStep unwinds one frame of a function with given codes.
func armStep(t *testing.T, codes string, m memory, set map[string]uint64, returned bool) (Registers, mem.VA, error) {
	t.Helper()
	w := walker(imageARM64(t, nil, xdata(t, 100, nil, -1, codes)), m)
	r := registers(pe.ARM64, set)
	r.Set("pc", base+textRVA+0x100)
	r.Returned = returned
	return w.step(r)
}

const armStack = 0xffffb00000001000

// TestARM64_Frames: the codes that leave for an interrupted function.
func TestARM64_Frames(t *testing.T) {
	m := memory{}
	for i := range uint64(0x400 / 8) {
		m[armStack+mem.VA(i)*8] = 0x1000 + i*8
	}
	set := map[string]uint64{"sp": armStack, "x19": 19, "x27": 27, "x5": 5, "fp": 29, "lr": 0xdead}
	for _, tt := range []struct {
		name, codes string
		saved       mem.VA
		returned    bool
		want        map[string]uint64
		unknown     []string
	}{
		{"trap frame", "e8 e4", armStack, false, map[string]uint64{"sp": 0x1098, "pc": 0x1148, "lr": 0x1138, "fp": 0x1140,
			"x0": 0x10a0, "x18": 0x1130, "x19": 19, "x27": 27}, nil},
		{"trap frame above a frame", "81 e8 e4", armStack + 0x10, false, map[string]uint64{"sp": 0x10a8, "pc": 0x1158, "x0": 0x10b0}, nil},
		{"machine frame", "e9 e4", armStack, false, map[string]uint64{"sp": 0x1000, "pc": 0x1008, "x19": 19, "fp": 29}, []string{"x5", "lr"}},
		{"machine frame above a frame", "81 e9 e4", armStack + 0x10, false, map[string]uint64{"sp": 0x1010, "pc": 0x1018, "lr": 0x1008, "fp": 0x1000}, []string{"x5"}},
		{"context", "ea e4", armStack, false, map[string]uint64{"x0": 0x1008, "x19": 0x10a0, "fp": 0x10f0, "lr": 0x10f8, "sp": 0x1100, "pc": 0x1108}, nil},
		{"context of ARM64EC", "eb e4", armStack, false, map[string]uint64{"x0": 0x1080, "x27": 0x1090, "sp": 0x1098, "fp": 0x10a0, "x19": 0x10d8,
			"pc": 0x10f8, "lr": 0x1120}, []string{"x28", "x13"}},
		{"clear_unwound_to_call", "ec e4", 0, false, map[string]uint64{"pc": 0xdead, "sp": armStack, "x19": 19}, []string{"x5"}},
	} {
		r, saved, err := armStep(t, tt.codes, m, set, false)
		if err != nil || saved != tt.saved || r.Returned != tt.returned {
			t.Errorf("%s: saved at %v, returned: %v, %v", tt.name, saved, r.Returned, err)
		}
		expect(t, tt.name, r, tt.want)
		for _, name := range tt.unknown {
			if v, ok := r.Get(name); ok {
				t.Errorf("%s: %s is known: %x", tt.name, name, v)
			}
		}
	}
	m[armStack] = unwoundToCall
	if r, _, err := armStep(t, "ea e4", m, set, false); err != nil || !r.Returned {
		t.Errorf("context of a caller: returned: %v, %v", r.Returned, err)
	}
}

// TestARM64_Codes: what the simulated functions do not have.
func TestARM64_Codes(t *testing.T) {
	m := memory{}
	for i := range uint64(0x2000 / 8) {
		m[armStack+mem.VA(i)*8] = 0xfffff80000000000 + i*8
	}
	set := map[string]uint64{"sp": armStack, "fp": armStack + 0x40, "lr": 0x8a_f80012345678, "x20": 20}
	const ret = 0xfffff80000000000
	for _, tt := range []struct {
		name, codes string
		want        map[string]uint64
	}{
		{"signed lr", "fc e4", map[string]uint64{"pc": 0xfffff80012345678, "sp": armStack}},
		{"alloc_m", "c102 42 e4", map[string]uint64{"sp": armStack + 0x1020, "pc": ret + 0x1038}},
		{"alloc_l", "e0000102 42 e4", map[string]uint64{"sp": armStack + 0x1020, "pc": ret + 0x1038}},
		{"set_fp", "e1 42 e4", map[string]uint64{"sp": armStack + 0x40, "pc": ret + 0x58}},
		{"save_fplr_x", "83 e4", map[string]uint64{"sp": armStack + 0x20, "fp": ret, "pc": ret + 8}},
		{"save_regp_x", "cc83 81 e4", map[string]uint64{"sp": armStack + 0x30, "x21": ret, "x22": ret + 8, "pc": ret + 0x28}},
		{"save_reg and lr", "d041 d2c2 e4", map[string]uint64{"sp": armStack, "x20": ret + 8, "pc": ret + 0x10}},
		{"save_reg_x of lr", "d561 e4", map[string]uint64{"sp": armStack + 0x10, "pc": ret}},
		{"save_lrpair", "d642 e4", map[string]uint64{"x21": ret + 0x10, "pc": ret + 0x18}},
		{"save_fregp and _x", "d801 da03 42 e4", map[string]uint64{"sp": armStack + 0x20, "pc": ret + 0x38}},
		{"save_freg and _x", "dc01 de03 42 e4", map[string]uint64{"sp": armStack + 0x20, "pc": ret + 0x38}},
		{"save_next twice", "e6 e6 c800 42 e4", map[string]uint64{"x19": ret, "x20": ret + 8, "x21": ret + 0x10, "x24": ret + 0x28}},
		{"save_any_reg d with writeback", "e76841 42 e4", map[string]uint64{"sp": armStack + 0x20, "pc": ret + 0x38}},
		{"save_any_reg x", "e71e02 e4", map[string]uint64{"sp": armStack, "pc": ret + 0x10}},
		{"codes of the future", "f8aa f9aabb faaabbcc fbaabbccdd ff 42 e4", map[string]uint64{"pc": ret + 0x18}},
		{"end_c", "e5 42 e4", map[string]uint64{"pc": ret + 0x18}},
		{"no end", "42 e3e3e3", map[string]uint64{"pc": ret + 0x18}},
	} {
		r, saved, err := armStep(t, tt.codes, m, set, false)
		if err != nil || saved != 0 || !r.Returned {
			t.Errorf("%s: saved at %v, returned: %v, %v", tt.name, saved, r.Returned, err)
			continue
		}
		expect(t, tt.name, r, tt.want)
	}
	for name, codes := range map[string]string{"alloc_z": "df01 e4", "reserved": "ed e4", "cut": "e3e3 e3e0", "register 31": "e6e6e6 cac0 e4", "q and x": "e700c0 e4"} {
		if _, _, err := armStep(t, codes, m, set, false); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := armStep(t, "e3 e4", m, set, true); !errors.Is(err, ErrFormat) {
		t.Errorf("a caller that saves no lr: %v", err)
	}
	if _, _, err := armStep(t, "e1 e4", m, map[string]uint64{"sp": armStack, "lr": 1}, false); !errors.Is(err, ErrUnknown) {
		t.Errorf("set_fp without fp: %v", err)
	}
}

// TestPacked_Fragment: no prologue and no epilogue of its own: all is undone
// from the first instruction to the last.
func TestPacked_Fragment(t *testing.T) {
	word := uint32(2 | 16<<2 | 2<<16 | crChained<<21 | 4<<23) // x19, x20, then fp, lr in 48 bytes
	f := openBytes(t, imageBytes(pe.ARM64, nil, nil, words(textRVA, word)))
	m := memory{}
	m.push(armStack, 29, 0xfffff80000001234, 0, 0, 0, 0, 19, 20)
	for _, at := range []uint64{0, 0x20, 0x3c} {
		r, err := walker(f, m).Step(registers(pe.ARM64, map[string]uint64{"pc": base + textRVA + at, "sp": armStack, "fp": armStack, "lr": 5}))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "fragment", r, map[string]uint64{"pc": 0xfffff80000001234, "sp": armStack + 0x40, "fp": 29, "x19": 19, "x20": 20})
	}
}

// TestPacked_Positions: all that packed data can say, at each instruction that
// it stands for. The code is written from the codes' meaning by hand-made
// encodings, and simulated.
func TestPacked_Positions(t *testing.T) {
	positions := 0
	for _, frame := range []uint32{1, 2, 6, 14, 34, 300, 511} {
		for v := range uint32(8 * 11 * 2 * 4) {
			regF, regI, h, cr := v%8, v/8%11, v/88%2, v/176
			word := uint32(1) | regF<<13 | regI<<16 | h<<20 | cr<<21 | frame<<23
			p := decodePacked(word)
			if _, all := p.size(); !valid(p) || p.frame-all == 512 && p.cr >= crChainedPAC {
				continue // ldp cannot release 512 bytes
			}
			code := canonical(decodePacked(word))
			word |= uint32(len(code)) << 2
			o, err := newOracle(openBytes(t, imageBytes(pe.ARM64, words(code...), nil, words(textRVA, word))))
			if err != nil {
				t.Fatal(err)
			}
			o.run()
			if o.failed != 0 || len(o.skipped) != 0 || o.positions != len(code) {
				t.Fatalf("packed 0x%x %+v: %d wrong of %d, %d instructions; skipped %v: %s", word, decodePacked(word),
					o.failed, o.positions, len(code), o.skipped, strings.Join(o.failures, "; "))
			}
			positions += o.positions
		}
	}
	t.Logf("%d positions", positions)
}

// canonical writes the prologue and epilogue that the documentation gives for
// packed data, with a nop between them.
func canonical(p packed) (code []uint32) {
	var undo []uint32
	do := func(op, back uint32) { code, undo = append(code, op), append([]uint32{back}, undo...) }
	if p.cr == crChainedPAC {
		do(0xd503237f, 0xd50323ff)
	}
	_, all := p.size()
	slot, first := uint32(0), all > 0
	pre := uint32(all)
	pair := func(vector, a, b uint32) {
		if first {
			imm := (-pre / 8) & 0x7f
			do(0xa9800000|vector<<26|imm<<15|b<<10|31<<5|a, 0xa8c00000|vector<<26|(pre/8)<<15|b<<10|31<<5|a)
			if vector == 1 {
				code[len(code)-1] ^= 0xc0000000
				undo[0] ^= 0xc0000000
			}
		} else {
			op := uint32(0xa9000000) | vector<<26 | slot<<15 | b<<10 | 31<<5 | a
			if vector == 1 {
				op ^= 0xc0000000
			}
			do(op, op|1<<22)
		}
		first, slot = false, slot+2
	}
	single := func(vector, a uint32) {
		if first {
			do(0xf8000c00|vector<<26|(-pre&0x1ff)<<12|31<<5|a, 0xf8400400|vector<<26|pre<<12|31<<5|a)
		} else {
			do(0xf9000000|vector<<26|slot<<10|31<<5|a, 0xf9400000|vector<<26|slot<<10|31<<5|a)
		}
		first, slot = false, slot+1
	}
	move := func(n uint32) {
		if n > 4080 {
			do(0xd10003ff|4080<<10, 0x910003ff|4080<<10)
			n -= 4080
		}
		if n == 4096 {
			do(0xd14007ff, 0x914007ff)
		} else {
			do(0xd10003ff|n<<10, 0x910003ff|n<<10)
		}
	}
	if p.regI == 1 && p.cr == crSavedLR {
		move(pre)
		first = false
	}
	reg := uint32(x19)
	for ; reg+2 <= uint32(x19+p.regI); reg += 2 {
		pair(0, reg, reg+1)
	}
	switch odd := p.regI%2 == 1; {
	case odd && p.cr == crSavedLR:
		pair(0, reg, lr)
	case odd:
		single(0, reg)
	case p.cr == crSavedLR:
		single(0, lr)
	}
	if p.regF > 0 {
		d := uint32(8)
		for ; d+2 <= uint32(9+p.regF); d += 2 {
			pair(1, d, d+1)
		}
		if d < uint32(9+p.regF) {
			single(1, d)
		}
	}
	if p.home && all > 0 {
		for i := range uint32(4) {
			code = append(code, 0xa9000000|(slot+2*i)<<15|(2*i+1)<<10|31<<5|2*i)
		}
	}
	if n := uint32(p.frame - all); n > 0 {
		switch {
		case p.cr < crChainedPAC:
			move(n)
		case n <= 512:
			do(0xa9807bfd|(-n/8&0x7f)<<15, 0xa8c07bfd|(n/8)<<15)
		default:
			move(n)
			do(0xa9007bfd, 0xa9407bfd)
		}
		if p.cr >= crChainedPAC {
			code = append(code, 0x910003fd) // mov x29, sp
		}
	}
	return append(append(append(code, 0xd503201f), undo...), 0xd65f03c0)
}
