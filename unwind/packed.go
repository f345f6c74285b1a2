package unwind

import "bugcheck/pe"

// packed is the word of unwind data in a function table entry. Source: "ARM64
// exception handling", packed unwind data.
type packed struct {
	fragment bool // Flag 2: no prologue and no epilogue, which lie elsewhere
	regF     int  // d8 to d(8+regF) are saved, if not 0
	regI     int  // so many registers from x19 on
	home     bool // x0 to x7 are stored
	cr       int  // what is done with fp and lr
	frame    int  // bytes
}

// Values of CR.
const (
	crSavedLR    = 1 // lr is saved as one more integer register
	crChainedPAC = 2 // fp and lr are saved, lr is signed
	crChained    = 3
)

func decodePacked(v uint32) packed {
	return packed{
		fragment: v&3 == 2, regF: int(v >> 13 & 7), regI: int(v >> 16 & 15), home: v>>20&1 != 0,
		cr: int(v >> 21 & 3), frame: int(v>>23) * 16,
	}
}

// unpack writes the codes that packed data stands for.
func unpack(fn pe.Function) *infoARM64 {
	p := decodePacked(fn.Packed)
	u := &infoARM64{begin: fn.Begin, length: fn.Packed >> 2 & 0x7ff}
	saves, homed := p.saves()
	frame := p.locals()
	if p.fragment {
		u.codes = append([]byte{codeEndC}, codes(saves, frame)...)
		return u
	}
	u.codes = codes(saves, homed, frame)
	// An epilogue mirrors the prologue, without the homes and without set_fp.
	index := len(u.codes)
	if len(frame) > 0 && frame[len(frame)-1][0] == codeSetFP {
		frame = frame[:len(frame)-1]
	}
	u.codes = append(u.codes, codes(saves, frame)...)
	u.lastScope(index)
	return u
}

// codes joins instructions of a prologue as unwind codes, the last one first.
func codes(parts ...[][]byte) []byte {
	var b []byte
	for i := len(parts) - 1; i >= 0; i-- {
		for j := len(parts[i]) - 1; j >= 0; j-- {
			b = append(b, parts[i][j]...)
		}
	}
	return append(b, codeEnd)
}

// size is the size of the saved vector registers, and of the whole save area:
// integer registers, vector registers, homes.
func (p packed) size() (floats, all int) {
	integers := p.regI * 8
	if p.cr == crSavedLR {
		integers += 8
	}
	if p.regF != 0 {
		floats = p.regF*8 + 8
	}
	if all = integers + floats; all > 0 && p.home {
		all += 8 * 8 // without saves, the homes lie among the locals
	}
	return floats, (all + 15) &^ 15
}

// saves lists the unwind codes of the part of the prologue that saves
// registers, in its order; homed those of storing x0 to x7.
func (p packed) saves() (list, homed [][]byte) {
	if p.cr == crChainedPAC {
		list = append(list, []byte{codePAC})
	}
	floats, all := p.size()
	if all == 0 {
		return list, nil
	}
	s := saver{list: list, all: all}
	s.integers(p.regI, p.cr == crSavedLR)
	s.floats(floats / 8)
	if p.home {
		homed = [][]byte{{codeNop}, {codeNop}, {codeNop}, {codeNop}}
	}
	return s.list, homed
}

// saver writes codes; the first of them allocates the save area.
type saver struct {
	list [][]byte
	all  int // bytes of the area, until they are allocated
	slot int // the next to use, in units of 8 bytes
}

// add writes a code for n registers: with is its form that allocates, plain the
// one that does not; the register is in the bits from 6 on, but from 5 on in
// the short form that allocates for one register.
func (s *saver) add(reg, n int, with, plain uint16) {
	v := plain | uint16(reg)<<6 | uint16(s.slot)
	if s.all != 0 {
		v = with | uint16(s.all/8-1)
		if n == 1 {
			v |= uint16(reg) << 5
		} else {
			v |= uint16(reg) << 6
		}
		s.all = 0
	}
	s.list = append(s.list, []byte{byte(v >> 8), byte(v)})
	s.slot += n
}

func (s *saver) integers(n int, saveLR bool) {
	if n == 1 && saveLR {
		// x19 and lr have no form that allocates.
		s.list = append(s.list, alloc(s.all)...)
		s.all = 0
	}
	for reg := 0; reg+2 <= n; reg += 2 {
		s.add(reg, 2, 0xcc00, 0xc800)
	}
	switch {
	case n%2 == 1 && saveLR:
		s.add((n-1)/2, 2, 0xd600, 0xd600) // save_lrpair
	case n%2 == 1:
		s.add(n-1, 1, 0xd400, 0xd000)
	case saveLR:
		s.add(lr-x19, 1, 0xd400, 0xd000)
	}
}

func (s *saver) floats(n int) {
	for reg := 0; reg+2 <= n; reg += 2 {
		s.add(reg, 2, 0xda00, 0xd800)
	}
	if n%2 == 1 {
		s.add(n-1, 1, 0xde00, 0xdc00)
	}
}

// locals lists the codes of the part of the prologue that makes room for local
// variables and saves fp and lr.
func (p packed) locals() (list [][]byte) {
	_, all := p.size()
	n := p.frame - all
	switch {
	case n <= 0:
		return nil
	case p.cr != crChained && p.cr != crChainedPAC:
		return alloc(n)
	case n <= 512:
		list = append(list, []byte{0x80 | byte(n/8-1)}) // save_fplr_x
	default:
		list = append(alloc(n), []byte{0x40}) // save_fplr at 0
	}
	return append(list, []byte{codeSetFP})
}

// The largest immediate of sub sp that the compiler uses in these prologues.
const maxSub = 4080

func alloc(n int) (list [][]byte) {
	if n > maxSub {
		list = append(list, allocCode(maxSub))
		n -= maxSub
	}
	return append(list, allocCode(n))
}

func allocCode(n int) []byte {
	if n < 512 {
		return []byte{byte(n / 16)}
	}
	return []byte{0xc0 | byte(n/16>>8), byte(n / 16)}
}
