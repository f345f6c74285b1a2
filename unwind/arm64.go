package unwind

import (
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/pe"
)

// scope is an epilogue: where it begins, in instructions from the begin of the
// function, and its first unwind code.
type scope struct {
	start uint32
	index int
}

// infoARM64 is an .xdata record, or what packed data stands for.
type infoARM64 struct {
	begin  pe.RVA
	length uint32 // of the function, in instructions
	codes  []byte
	scopes []scope
}

// decodeARM64 decodes the unwind data of an entry. Layout of the record: length
// (18 bits), version (2), X (1), E (1), epilogue count (5), code words (5); if
// both counts are 0 a second word with the epilogue count (16) and code words
// (8); a word an epilogue unless E is set: start (18), reserved (4), index of
// its first code (10); then the codes.
func decodeARM64(f *pe.File, fn pe.Function) (*infoARM64, error) {
	if fn.Packed != 0 {
		return unpack(fn), nil
	}
	b, err := read(f, fn.Unwind, 4)
	if err != nil {
		return nil, err
	}
	head := le.U32(b, 0)
	if v := head >> 18 & 3; v != 0 {
		return nil, invalid(".xdata record of version %d", v)
	}
	at, epilogs, words := fn.Unwind+4, head>>22&31, head>>27
	if epilogs == 0 && words == 0 {
		if b, err = read(f, at, 4); err != nil {
			return nil, err
		}
		at, epilogs, words = at+4, le.U32(b, 0)&0xffff, le.U32(b, 0)>>16&0xff
	}
	u := &infoARM64{begin: fn.Begin, length: head & 0x3ffff}
	single := head>>21&1 != 0
	if !single {
		if b, err = read(f, at, int(epilogs)*4); err != nil {
			return nil, err
		}
		for ; len(b) > 0; b = b[4:] {
			u.scopes = append(u.scopes, scope{start: le.U32(b, 0) & 0x3ffff, index: int(le.U32(b, 0) >> 22)})
		}
		at += pe.RVA(epilogs) * 4
	}
	if u.codes, err = read(f, at, int(words)*4); err != nil {
		return nil, err
	}
	if single {
		u.lastScope(int(epilogs))
	}
	return u, nil
}

// lastScope adds the epilogue that ends the function.
func (u *infoARM64) lastScope(index int) {
	if n := u.instructions(index) + 1; n <= u.length {
		u.scopes = append(u.scopes, scope{start: u.length - n, index: index})
	}
}

// The unwind codes that begin with 0xe0 and more; what is below follows from
// its leading bits.
const (
	codeAllocL       = 0xe0
	codeSetFP        = 0xe1
	codeAddFP        = 0xe2
	codeNop          = 0xe3
	codeEnd          = 0xe4
	codeEndC         = 0xe5
	codeSaveNext     = 0xe6
	codeSaveAny      = 0xe7
	codeTrapFrame    = 0xe8
	codeMachineFrame = 0xe9
	codeContext      = 0xea
	codeECContext    = 0xeb
	codeClear        = 0xec // clear_unwound_to_call
	codePAC          = 0xfc
)

// codeLength is the length of an unwind code in bytes, and how many
// instructions it stands for.
func codeLength(c byte) (bytes, instructions int) {
	switch {
	case c < 0xc0:
		return 1, 1
	case c < 0xe0:
		return 2, 1
	case c == codeAllocL:
		return 4, 1
	case c == codeAddFP:
		return 2, 1
	case c == codeSaveAny:
		return 3, 1
	case c < codeTrapFrame:
		return 1, 1
	case c < 0xf8:
		return 1, 0
	case c < 0xfc:
		return int(c-0xf8) + 2, 1
	}
	return 1, 1
}

// instructions counts those that the codes from index to the next end stand for.
func (u *infoARM64) instructions(index int) uint32 {
	n := 0
	for index < len(u.codes) && u.codes[index] != codeEnd && u.codes[index] != codeEndC {
		bytes, one := codeLength(u.codes[index])
		index, n = index+bytes, n+one
	}
	return uint32(n)
}

// from is the first code to undo for the instruction at offset, counted in
// instructions. Codes stand for the prologue backwards, and for an epilogue
// forwards.
func (u *infoARM64) from(offset uint32) int {
	if n := u.instructions(0); offset < n {
		return u.skip(0, n-offset)
	}
	for _, s := range u.scopes {
		if offset >= s.start && offset-s.start <= u.instructions(s.index) {
			return u.skip(s.index, offset-s.start)
		}
	}
	return 0
}

func (u *infoARM64) skip(index int, n uint32) int {
	for n > 0 && index < len(u.codes) && u.codes[index] != codeEnd && u.codes[index] != codeEndC {
		bytes, one := codeLength(u.codes[index])
		index, n = index+bytes, n-uint32(one)
	}
	return index
}

// stepARM64 unwinds one frame.
func (w *Walker) stepARM64(r Registers) (Registers, mem.VA, error) {
	at := r.PC()
	if r.Returned {
		at -= 4
	}
	fn := w.function(at)
	switch {
	case fn.err != nil:
		return r, 0, fn.err
	case !fn.mapped:
		return w.badCall(r)
	case !fn.found:
		if r.Returned {
			return r, 0, ErrNoTable
		}
		return returnARM64(r)
	}
	u := fn.arm64
	run := runARM64{w: w, r: r, codes: u.codes[min(len(u.codes), u.from(uint32(pe.RVA(at-fn.module.Base)-u.begin)/4)):]}
	for !run.done && run.err == nil {
		run.next()
	}
	switch {
	case run.err != nil:
		return r, 0, run.err
	case run.exact:
		return run.r, run.saved, nil
	case r.Returned && !run.lr:
		// lr is that of the last call.
		return r, 0, invalid("it calls others and does not save lr")
	}
	return returnARM64(run.r)
}

// returnARM64 does what a ret does.
func returnARM64(r Registers) (Registers, mem.VA, error) {
	v, ok := r.get(lr)
	if !ok {
		return r, 0, lrUnknown()
	}
	v = StripARM64(v)
	r.set(lr, v)
	r.set(pc, v)
	r.forget(keptARM64)
	r.Returned = true
	return r, 0, nil
}

// StripARM64 removes pointer authentication from an address: bit 55 says which
// half of the address space it is, and the bits above bit 47 are copies of that.
func StripARM64(v uint64) uint64 {
	if v>>55&1 != 0 {
		return v | 0xffff<<48
	}
	return v &^ (0xffff << 48)
}
