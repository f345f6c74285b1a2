package cab

import "bugcheck/internal/le"

// LZX as cabinets have it: [MS-PATCH] 2 without the delta parts, the window and
// its position slots as in [MS-CAB]. A stream is a sequence of blocks with
// their own Huffman trees; its output is cut into frames of 32 KiB, after each
// of which the bits go on at a multiple of 16. One CFDATA holds one frame.

const (
	blockVerbatim     = 1
	blockAligned      = 2
	blockUncompressed = 3

	literals   = 256
	lengths    = 249
	preSymbols = 20
	minMatch   = 2
	// E8 translation ends after 32768 frames, and leaves the last 10 bytes of
	// a frame alone.
	maxTranslated = 1 << 30
	frameTail     = 10
)

// positionSlots is the number of position slots by window bits, from 15 on.
var positionSlots = [...]int{30, 32, 34, 36, 38, 42, 50}

// lzx is the state of one stream.
type lzx struct {
	in      bitReader
	window  []byte
	mask    int
	pos     int // bytes unpacked so far
	r       [3]int
	slots   int
	main    tree
	length  tree
	aligned tree
	mains   [literals + 50*8]byte // code lengths, kept from block to block
	lens    [lengths]byte

	begun     bool
	callSize  int32 // of the file, for the translation of calls; 0: none
	translate bool  // a block with calls was seen
	kind      int   // of the current block
	left      int   // bytes that it still gives
	pad       bool  // an uncompressed block of odd size is followed by a byte
	frame     [frameSize]byte
}

func newLZX(b *blocks, windowBits int) (*lzx, error) {
	if windowBits < 15 || windowBits > 21 {
		return nil, wrong("LZX with a window of %d bits", windowBits)
	}
	return &lzx{
		in:     bitReader{blocks: b},
		window: make([]byte, 1<<windowBits),
		mask:   1<<windowBits - 1,
		r:      [3]int{1, 1, 1},
		slots:  positionSlots[windowBits-15],
	}, nil
}

// next unpacks one frame.
func (l *lzx) next() ([]byte, error) {
	size, err := l.in.nextBlock()
	if err != nil {
		return nil, err
	}
	if !l.begun {
		l.begun = true
		if l.in.read(1) != 0 {
			l.callSize = int32(l.in.read(16)<<16 | l.in.read(16))
		}
	}
	start := l.pos
	for l.pos < start+size && l.in.err == nil {
		if l.left == 0 {
			l.header()
		}
		n := min(l.left, start+size-l.pos)
		before := l.pos
		if l.kind == blockUncompressed {
			l.raw(n)
		} else {
			l.matches(before + n)
		}
		l.left -= l.pos - before
		if l.left < 0 || l.pos > start+size {
			l.in.fail("a match goes on past the end of its block")
		}
	}
	l.in.align()
	if l.left == 0 && l.in.at < len(l.in.data) {
		l.skipPad()
	}
	if l.in.err != nil {
		return nil, l.in.err
	}
	return l.output(start, size), nil
}

// output copies a frame out of the window, and undoes the translation of calls.
func (l *lzx) output(start, size int) []byte {
	out := l.frame[:size]
	n := copy(out, l.window[start&l.mask:])
	copy(out[n:], l.window)
	if l.callSize != 0 && l.translate && start < maxTranslated {
		translateCalls(out, int32(start), l.callSize)
	}
	return out
}

// translateCalls turns absolute targets of the x86 instruction call (E8) back
// into relative ones; the frame stands at offset at of the stream.
func translateCalls(b []byte, at, size int32) {
	for i := 0; i < len(b)-frameTail; i++ {
		if b[i] != 0xe8 {
			continue
		}
		here, target := at+int32(i), int32(le.U32(b, i+1))
		if target >= -here && target < size {
			if target >= 0 {
				target -= here
			} else {
				target += size
			}
			b[i+1], b[i+2], b[i+3], b[i+4] = byte(target), byte(target>>8), byte(target>>16), byte(target>>24)
		}
		i += 4
	}
}

// header reads a block header with its trees.
func (l *lzx) header() {
	l.skipPad()
	l.kind = int(l.in.read(3))
	l.left = int(l.in.read(16)<<8 | l.in.read(8))
	if l.left == 0 {
		l.in.fail("an empty block")
		return
	}
	switch l.kind {
	case blockAligned:
		var lens [8]byte
		for i := range lens {
			lens[i] = byte(l.in.read(3))
		}
		l.build(&l.aligned, lens[:])
		l.trees()
	case blockVerbatim:
		l.trees()
	case blockUncompressed:
		l.translate = true
		l.in.startBytes()
		for i := range l.r {
			l.r[i] = int(l.in.read32())
		}
		l.pad = l.left&1 != 0
	default:
		l.in.fail("a block of an unknown kind")
	}
}

// skipPad passes over the byte behind an uncompressed block of odd size, which
// may stand in the next CFDATA.
func (l *lzx) skipPad() {
	if l.pad {
		l.in.at++
		l.pad = false
	}
}

func (l *lzx) trees() {
	mains := l.mains[:literals+l.slots*8]
	l.readLengths(mains[:literals])
	l.readLengths(mains[literals:])
	l.build(&l.main, mains)
	if mains[0xe8] != 0 {
		l.translate = true
	}
	l.readLengths(l.lens[:])
	l.build(&l.length, l.lens[:])
}

func (l *lzx) build(t *tree, lens []byte) {
	if !t.build(lens) {
		l.in.fail("a Huffman tree has too many codes")
	}
}

// readLengths reads code lengths, which are coded as differences to those of
// the block before, by a tree of their own.
func (l *lzx) readLengths(lens []byte) {
	var pre [preSymbols]byte
	for i := range pre {
		pre[i] = byte(l.in.read(4))
	}
	var t tree
	l.build(&t, pre[:])
	for i := 0; i < len(lens) && l.in.err == nil; {
		run, value := 1, byte(0)
		switch code := l.in.symbol(&t); code {
		case 17:
			run = 4 + int(l.in.read(4))
		case 18:
			run = 20 + int(l.in.read(5))
		case 19:
			run = 4 + int(l.in.read(1))
			value = difference(lens[i], l.in.symbol(&t))
		default:
			value = difference(lens[i], code)
		}
		if run > len(lens)-i {
			l.in.fail("more code lengths than symbols")
			return
		}
		for range run {
			lens[i] = value
			i++
		}
	}
}

func difference(old byte, code int) byte {
	return byte((int(old) - code%17 + 17) % 17)
}

// raw copies n bytes of an uncompressed block.
func (l *lzx) raw(n int) {
	for range n {
		l.window[l.pos&l.mask] = l.in.byte()
		l.pos++
	}
}

// matches decodes literals and matches up to position end; the caller sees
// whether the last match goes further.
func (l *lzx) matches(end int) {
	for l.pos < end && l.in.err == nil {
		s := l.in.symbol(&l.main)
		if s < literals {
			l.window[l.pos&l.mask] = byte(s)
			l.pos++
			continue
		}
		s -= literals
		n := s&7 + minMatch
		if s&7 == 7 {
			n += l.in.symbol(&l.length)
		}
		l.copy(l.offset(s>>3), n)
	}
}

// offset decodes how far back a match lies, by its position slot.
func (l *lzx) offset(slot int) int {
	switch slot {
	case 0:
	case 1:
		l.r[0], l.r[1] = l.r[1], l.r[0]
	case 2:
		l.r[0], l.r[2] = l.r[2], l.r[0]
	default:
		base, extra := slotBase(slot)
		o := base - 2
		if l.kind == blockAligned && extra >= 3 {
			o += int(l.in.read(extra-3)) << 3
			o += l.in.symbol(&l.aligned)
		} else {
			o += int(l.in.read(extra))
		}
		l.r[0], l.r[1], l.r[2] = o, l.r[0], l.r[1]
	}
	return l.r[0]
}

// slotBase is the first formatted offset of a slot, and how many bits follow:
// two slots for each number of bits up to 17, all further ones have 17.
func slotBase(slot int) (base, extra int) {
	if slot < 4 {
		return slot, 0
	}
	extra = slot/2 - 1
	if extra <= 17 {
		return (2 + slot&1) << extra, extra
	}
	return (slot - 34) << 17, 17
}

func (l *lzx) copy(offset, n int) {
	if offset <= 0 || offset > l.pos || offset > len(l.window) {
		l.in.fail("a match before the start of the window")
		return
	}
	for range n {
		l.window[l.pos&l.mask] = l.window[(l.pos-offset)&l.mask]
		l.pos++
	}
}

// bitReader reads 16-bit little-endian words, their highest bits first, or whole
// bytes. Past the end of a block all bits are zero; align tells.
type bitReader struct {
	*blocks
	data  []byte // of the current block
	at    int    // the next byte that is not in hold
	hold  uint64 // the next bits, at the top
	count int    // how many
	err   error  // the first; then what is decoded is not used
}

// nextBlock takes the next CFDATA, and says how many bytes come of it.
func (r *bitReader) nextBlock() (int, error) {
	data, size, err := r.block()
	r.data, r.at, r.hold, r.count = data, 0, 0, 0
	return size, err
}

func (r *bitReader) fail(what string) {
	if r.err == nil {
		r.err = wrong("LZX: %s", what)
	}
}

// fill makes at least 33 bits ready.
func (r *bitReader) fill() {
	for r.count <= 32 {
		var w uint64
		switch {
		case r.at+2 <= len(r.data):
			w = uint64(le.U16(r.data, r.at))
		case r.at < len(r.data):
			w = uint64(r.data[r.at])
		}
		r.at += 2
		r.hold |= w << (48 - r.count)
		r.count += 16
	}
}

// read takes n bits, 0 to 17.
func (r *bitReader) read(n int) uint32 {
	r.fill()
	v := uint32(r.hold >> 1 >> (63 - n))
	r.drop(n)
	return v
}

func (r *bitReader) drop(n int) {
	r.hold <<= n
	r.count -= n
}

// align ends a frame: bits go on at a multiple of 16.
func (r *bitReader) align() {
	r.drop(r.count & 15)
	if r.at-r.count/8 > len(r.data)+1 {
		r.fail("a block ends too early")
	}
}

// startBytes goes on to whole bytes: 1 to 16 bits are passed over.
func (r *bitReader) startBytes() {
	r.fill()
	n := r.count & 15
	if n == 0 {
		n = 16
	}
	r.drop(n)
	r.at -= r.count / 8
	r.hold, r.count = 0, 0
}

// byte reads a byte; only after startBytes.
func (r *bitReader) byte() byte {
	if r.at >= len(r.data) {
		r.fail("a block ends too early")
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

func (r *bitReader) read32() uint32 {
	return uint32(r.byte()) | uint32(r.byte())<<8 | uint32(r.byte())<<16 | uint32(r.byte())<<24
}
