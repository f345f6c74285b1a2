package unwind

import (
	"testing"

	"bugcheck/internal/damage"
	"bugcheck/mem"
	"bugcheck/pdb"
	"bugcheck/pe"
	"bugcheck/report"
)

// bytesAt is memory that an enemy has chosen.
type bytesAt struct {
	at mem.VA
	b  []byte
}

func (m bytesAt) ReadAt(p []byte, va mem.VA) (int, error) {
	if va < m.at || va-m.at >= mem.VA(len(m.b)) {
		return 0, &mem.Fault{Address: va, Reason: mem.NotInDump}
	}
	n := copy(p, m.b[va-m.at:])
	if n < len(p) {
		return n, &mem.Fault{Address: va + mem.VA(n), Reason: mem.NotInDump}
	}
	return n, nil
}

// FuzzWalk walks a hostile stack by hostile tables: patches change the image,
// and are the program of an x86 frame.
func FuzzWalk(f *testing.F) {
	x64 := make([]byte, imageEnd)
	if _, err := walkImage(f).ReadAt(x64, 0); err != nil {
		f.Fatal(err)
	}
	record := xdata(f, 22, [][2]uint32{{9, 8}, {16, 8}}, -1, armProlog+armEpilog)
	arm := imageBytes(pe.ARM64, words(armBody...), record, words(textRVA, rdataRVA, textRVA+0x100, 1|16<<2|4<<16|3<<21|9<<23))
	good := []byte{}
	for range 64 {
		good = append(good, words(0x12340000+textRVA+0x20, 0xfffff800)...)
	}
	for seed := range uint8(3) {
		f.Add(seed, uint16(0x20), []byte{}, good)
		for at := rdataRVA; at < rdataRVA+0x60; at += 4 {
			f.Add(seed, uint16(0x20), damage.Patch(at, 0xffffffff), good)
		}
	}
	f.Add(uint8(2), uint16(0x20), []byte("$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + ="), good)
	f.Fuzz(func(t *testing.T, seed uint8, at uint16, patches, words []byte) {
		m := []pe.Machine{pe.X64, pe.ARM64, pe.X86}[seed%3]
		module := Module{Base: base, Frames: tables{
			data: []pdb.FrameData{{RVA: textRVA, Size: 0x100, Locals: 8, Program: string(patches)}},
			fpo:  []pdb.FPO{{RVA: textRVA, Size: 0x1000, Locals: uint32(at), Regs: seed}},
		}}
		low := stack
		switch m {
		case pe.X86:
			module.Base, low = base86, stack86
		case pe.X64:
			module.Image, _ = pe.Open(mapped(damage.Patched(x64, patches)), imageEnd, pe.InMemory)
		case pe.ARM64:
			module.Image, _ = pe.Open(mapped(damage.Patched(arm, patches)), imageEnd, pe.InMemory)
		}
		in := func(pc mem.VA) bool { return pc >= module.Base && pc < module.Base+imageEnd }
		w := &Walker{Stack: bytesAt{low, words}, Modules: func(pc mem.VA) (Module, bool) { return module, in(pc) }, Stacks: []Range{{low, low + 0x80}, {low + 0x80, low + 0x1000}}}
		if seed&0x80 != 0 {
			w.Plausible = in
		}
		r := Registers{Machine: m}
		for i := range r.machine().names {
			r.set(i, uint64(low)+uint64(i)*8)
		}
		r.set(r.machine().pc, uint64(module.Base)+textRVA+uint64(at))
		r.set(r.machine().sp, uint64(low))
		frames, _ := w.Walk(r)
		if len(frames) == 0 || len(frames) > maxFrames || frames[0].Trust != report.TrustContext {
			t.Errorf("%d frames", len(frames))
		}
		for i, f := range frames[1:] {
			if f.PC == 0 || f.PC != f.Registers.PC() || f.Trust == "" || f.SP == frames[i].SP && f.PC == frames[i].PC {
				t.Errorf("frame %d: %+v", i+1, f)
			}
		}
	})
}

// mapped reads bytes as an image in memory.
type mapped []byte

func (m mapped) ReadAt(p []byte, off int64) (int, error) {
	return bytesAt{0, m}.ReadAt(p, mem.VA(off))
}
