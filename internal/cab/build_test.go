package cab_test

import (
	"bytes"
	"compress/flate"
	"container/heap"
	"encoding/binary"
	"slices"
	"testing"
)

// The writers of this file share no code with the readers.

const frame = 0x8000

// block is one CFDATA: packed bytes, and how many come of them.
type block struct {
	packed []byte
	size   int
}

// cabinet writes a cabinet of one folder with one file.
func cabinet(name string, size int, method uint16, blocks []block) []byte {
	order := binary.LittleEndian
	head := []byte("MSCF\x00\x00\x00\x00")
	head = append(head, make([]byte, 0x24-8)...)
	order.PutUint32(head[0x10:], 0x24+8)
	head[0x18], head[0x19] = 3, 1
	order.PutUint16(head[0x1a:], 1)
	order.PutUint16(head[0x1c:], 1)
	file := order.AppendUint32(nil, uint32(size))
	file = append(file, make([]byte, 12)...)
	file = append(append(file, name...), 0)
	dir := order.AppendUint32(nil, uint32(0x24+8+len(file)))
	dir = order.AppendUint16(dir, uint16(len(blocks)))
	dir = order.AppendUint16(dir, method)
	out := slices.Concat(head, dir, file)
	for _, b := range blocks {
		sizes := order.AppendUint16(order.AppendUint16(nil, uint16(len(b.packed))), uint16(b.size))
		out = order.AppendUint32(out, xorSum(sizes)^xorSum(b.packed))
		out = slices.Concat(out, sizes, b.packed)
	}
	order.PutUint32(out[8:], uint32(len(out)))
	return out
}

// xorSum is the checksum of a block.
func xorSum(b []byte) uint32 {
	var sum uint32
	for ; len(b) >= 4; b = b[4:] {
		sum ^= binary.LittleEndian.Uint32(b)
	}
	switch len(b) {
	case 3:
		return sum ^ (uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]))
	case 2:
		return sum ^ (uint32(b[0])<<8 | uint32(b[1]))
	case 1:
		return sum ^ uint32(b[0])
	}
	return sum
}

func storedBlocks(data []byte) (list []block) {
	for part := range slices.Chunk(data, frame) {
		list = append(list, block{part, len(part)})
	}
	return list
}

func mszipBlocks(t testing.TB, data []byte) (list []block) {
	var before []byte
	for part := range slices.Chunk(data, frame) {
		b := bytes.NewBufferString("CK")
		w, err := flate.NewWriterDict(b, 9, before)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(part)
		_ = w.Close()
		list = append(list, block{b.Bytes(), len(part)})
		before = part
	}
	return list
}

// lzxBlock asks the writer for a block of a kind over n bytes.
type lzxBlock struct {
	kind, n int
}

// lzxWriter writes LZX as cabinets have it.
type lzxWriter struct {
	blocks  []block
	out     []byte
	bits    uint64
	count   int
	written int // bytes of content in the current frame
	slots   int
	window  int
	r       [3]int
	mains   []byte
	lens    []byte
	pad     bool
}

// token is a literal (length 0) or a match.
type token struct {
	main, length int // symbols; length -1: none
	slot, extra  int
	value        int // the bits that follow
	n            int // bytes of content
}

func lzxBlocks(data []byte, windowBits int, callSize uint32, plan []lzxBlock) []block {
	w := &lzxWriter{window: 1 << windowBits, slots: map[int]int{15: 30, 16: 32, 17: 34, 18: 36, 19: 38, 20: 42, 21: 50}[windowBits], r: [3]int{1, 1, 1}}
	w.mains, w.lens = make([]byte, 256+w.slots*8), make([]byte, 249)
	if callSize != 0 {
		w.put(1, 1)
		w.put(int(callSize>>16), 16)
		w.put(int(callSize&0xffff), 16)
	} else {
		w.put(0, 1)
	}
	at := 0
	seen := map[[3]byte]int{}
	for at < len(data) {
		next := plan[0]
		if plan = plan[1:]; len(plan) == 0 {
			plan = []lzxBlock{next}
		}
		n := min(next.n, len(data)-at)
		w.block(next.kind, data, at, n, seen)
		at += n
	}
	w.endFrame()
	return w.blocks
}

func (w *lzxWriter) put(v, n int) {
	for i := n - 1; i >= 0; i-- {
		w.bits = w.bits<<1 | uint64(v>>i&1)
		if w.count++; w.count == 16 {
			w.out = append(w.out, byte(w.bits), byte(w.bits>>8))
			w.bits, w.count = 0, 0
		}
	}
}

func (w *lzxWriter) align() {
	for w.count != 0 {
		w.put(0, 1)
	}
}

func (w *lzxWriter) endFrame() {
	if w.written == 0 {
		return
	}
	w.align()
	w.blocks = append(w.blocks, block{w.out, w.written})
	w.out, w.written = nil, 0
}

// wrote counts content, and ends a frame where one is full.
func (w *lzxWriter) wrote(n int) {
	if w.written += n; w.written == frame {
		w.endFrame()
	}
}

func (w *lzxWriter) block(kind int, data []byte, at, n int, seen map[[3]byte]int) {
	if w.pad {
		w.out = append(w.out, 0)
		w.pad = false
	}
	w.put(kind, 3)
	w.put(n>>8, 16)
	w.put(n&0xff, 8)
	if kind == 3 {
		w.raw(data[at : at+n])
		return
	}
	tokens := w.tokens(data, at, n, seen)
	mainCount, lengthCount, alignedCount := make([]int, len(w.mains)), make([]int, 249), make([]int, 8)
	for _, t := range tokens {
		mainCount[t.main]++
		if t.length >= 0 {
			lengthCount[t.length]++
		}
		if kind == 2 && t.extra >= 3 {
			alignedCount[t.value&7]++
		}
	}
	var aligned []byte
	if kind == 2 {
		aligned = codeLengths(alignedCount, 7)
		for _, n := range aligned {
			w.put(int(n), 3)
		}
	}
	mains, lens := codeLengths(mainCount, 16), codeLengths(lengthCount, 16)
	w.deltas(w.mains[:256], mains[:256])
	w.deltas(w.mains[256:], mains[256:])
	w.deltas(w.lens, lens)
	w.mains, w.lens = mains, lens
	for _, t := range tokens {
		w.code(mains, t.main)
		if t.length >= 0 {
			w.code(lens, t.length)
		}
		switch {
		case kind == 2 && t.extra >= 3:
			w.put(t.value>>3, t.extra-3)
			w.code(aligned, t.value&7)
		case t.extra > 0:
			w.put(t.value, t.extra)
		}
		w.wrote(t.n)
	}
}

func (w *lzxWriter) raw(data []byte) {
	if w.count == 0 {
		w.put(0, 16)
	}
	w.align()
	for _, r := range w.r {
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(r))
	}
	for _, c := range data {
		w.out = append(w.out, c)
		w.wrote(1)
	}
	w.pad = len(data)&1 != 0
}

// tokens finds matches: at the last offsets, or where the same three bytes
// stood before. None goes past its frame or block.
func (w *lzxWriter) tokens(data []byte, at, n int, seen map[[3]byte]int) (list []token) {
	for end := at + n; at < end; {
		most := min(end-at, frame-at%frame, 257)
		t := token{main: int(data[at]), length: -1, n: 1}
		if offset, length := w.match(data, at, most, seen); length >= 2 {
			t = w.matchToken(offset, length)
		}
		for i := at; i < at+t.n && i+3 <= len(data); i++ {
			seen[[3]byte(data[i:])] = i
		}
		list = append(list, t)
		at += t.n
	}
	return list
}

func (w *lzxWriter) match(data []byte, at, most int, seen map[[3]byte]int) (offset, length int) {
	run := func(o int) int {
		n := 0
		for n < most && o <= at && data[at+n] == data[at+n-o] {
			n++
		}
		return n
	}
	for _, o := range w.r {
		if n := run(o); n > length {
			offset, length = o, n
		}
	}
	if length < 8 && at+3 <= len(data) {
		if p, ok := seen[[3]byte(data[at:])]; ok && at-p <= w.window-3 && run(at-p) > length && run(at-p) >= 3 {
			return at - p, run(at - p)
		}
	}
	return offset, length
}

func (w *lzxWriter) matchToken(offset, length int) token {
	t := token{length: -1, n: length}
	switch offset {
	case w.r[0]:
		t.slot = 0
	case w.r[1]:
		t.slot = 1
		w.r[0], w.r[1] = w.r[1], w.r[0]
	case w.r[2]:
		t.slot = 2
		w.r[0], w.r[2] = w.r[2], w.r[0]
	default:
		base := 0
		for s := 0; ; s++ {
			extra := 0
			if s >= 4 {
				extra = min(s/2-1, 17)
			}
			if offset+2 < base+1<<extra {
				t.slot, t.extra, t.value = s, extra, offset+2-base
				break
			}
			base += 1 << extra
		}
		w.r = [3]int{offset, w.r[0], w.r[1]}
	}
	head := length - 2
	if head >= 7 {
		t.length, head = head-7, 7
	}
	t.main = 256 + t.slot*8 + head
	return t
}

// deltas writes code lengths as differences to the old ones, with runs.
func (w *lzxWriter) deltas(old, lens []byte) {
	type item struct{ symbol, value, bits, second int }
	var items []item
	for i := 0; i < len(lens); {
		run := 1
		for i+run < len(lens) && lens[i+run] == lens[i] {
			run++
		}
		delta := (int(old[i]) - int(lens[i]) + 17) % 17
		switch {
		case lens[i] == 0 && run >= 20:
			run = min(run, 51)
			items = append(items, item{18, run - 20, 5, -1})
		case lens[i] == 0 && run >= 4:
			run = min(run, 19)
			items = append(items, item{17, run - 4, 4, -1})
		case run >= 4:
			run = min(run, 5)
			items = append(items, item{19, run - 4, 1, delta})
		default:
			run = 1
			items = append(items, item{delta, 0, 0, -1})
		}
		i += run
	}
	counts := make([]int, 20)
	for _, it := range items {
		counts[it.symbol]++
		if it.second >= 0 {
			counts[it.second]++
		}
	}
	pre := codeLengths(counts, 15)
	for _, n := range pre {
		w.put(int(n), 4)
	}
	for _, it := range items {
		w.code(pre, it.symbol)
		w.put(it.value, it.bits)
		if it.second >= 0 {
			w.code(pre, it.second)
		}
	}
}

// code writes a symbol of the canonical code of lens.
func (w *lzxWriter) code(lens []byte, symbol int) {
	c := 0
	for n := byte(1); n <= lens[symbol]; n++ {
		c <<= 1
		for s, l := range lens {
			if l == n && (n < lens[symbol] || s < symbol) {
				c++
			}
		}
	}
	w.put(c, int(lens[symbol]))
}

// codeLengths makes a Huffman code of at least two symbols.
func codeLengths(counts []int, most int) []byte {
	counts = slices.Clone(counts)
	for i := 0; i < len(counts) && used(counts) < 2; i++ {
		counts[i] = max(counts[i], 1)
	}
	for {
		lens := huffman(counts)
		if int(slices.Max(lens)) <= most {
			return lens
		}
		for i, n := range counts {
			if n > 0 {
				counts[i] = n/2 + 1
			}
		}
	}
}

func used(counts []int) (n int) {
	for _, c := range counts {
		if c > 0 {
			n++
		}
	}
	return n
}

type node struct {
	count   int
	symbols []int
}

type nodes []node

func (n nodes) Len() int           { return len(n) }
func (n nodes) Less(i, j int) bool { return n[i].count < n[j].count }
func (n nodes) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n *nodes) Push(x any)        { *n = append(*n, x.(node)) }
func (n *nodes) Pop() any {
	last := (*n)[len(*n)-1]
	*n = (*n)[:len(*n)-1]
	return last
}

func huffman(counts []int) []byte {
	lens := make([]byte, len(counts))
	h := &nodes{}
	for s, c := range counts {
		if c > 0 {
			heap.Push(h, node{c, []int{s}})
		}
	}
	for h.Len() > 1 {
		a, b := heap.Pop(h).(node), heap.Pop(h).(node)
		both := append(a.symbols, b.symbols...)
		for _, s := range both {
			lens[s]++
		}
		heap.Push(h, node{a.count + b.count, both})
	}
	return lens
}
