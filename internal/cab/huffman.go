package cab

const (
	maxCode  = 16 // bits of the longest Huffman code
	fastBits = 10 // codes up to here are looked up at once
)

// tree is a canonical Huffman code.
type tree struct {
	fast    [1 << fastBits]uint16 // symbol<<4 | its bits; 0: longer, or no code
	limit   [maxCode + 1]uint32   // the first code, left-justified to 16 bits, that is longer than this length
	first   [maxCode + 1]int32    // index in symbols of the first code of a length, less the code
	symbols [literals + 50*8]uint16
}

// build makes the code of its lengths; false if they need more codes than there
// are. A code that is not complete is accepted: unused bits then decode to an
// error.
func (t *tree) build(lens []byte) bool {
	var count [maxCode + 1]int
	for _, n := range lens {
		count[n]++
	}
	count[0] = 0
	var code, next [maxCode + 1]int
	at, c := 0, 0
	for n := 1; n <= maxCode; n++ {
		c <<= 1
		code[n], next[n] = c, at
		t.first[n] = int32(at - c)
		c += count[n]
		at += count[n]
		if c > 1<<n {
			return false
		}
		t.limit[n] = uint32(c) << (maxCode - n)
	}
	clear(t.fast[:])
	for s, n := range lens {
		if n == 0 {
			continue
		}
		t.symbols[next[n]] = uint16(s)
		if n <= fastBits {
			start := (code[n]) << (fastBits - n)
			for i := range 1 << (fastBits - n) {
				t.fast[start+i] = uint16(s)<<4 | uint16(n)
			}
		}
		next[n]++
		code[n]++
	}
	return true
}

// symbol decodes one symbol; 0 after an error.
func (r *bitReader) symbol(t *tree) int {
	if r.count < maxCode {
		r.fill()
	}
	if e := t.fast[r.hold>>(64-fastBits)]; e != 0 {
		r.drop(int(e & 15))
		return int(e >> 4)
	}
	v := uint32(r.hold >> (64 - maxCode))
	for n := 1; n <= maxCode; n++ {
		if v < t.limit[n] {
			r.drop(n)
			return int(t.symbols[int32(v>>(maxCode-n))+t.first[n]])
		}
	}
	r.fail("bits that are no code")
	return 0
}
