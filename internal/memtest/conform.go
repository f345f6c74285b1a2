package memtest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"bugcheck/mem"
)

// Chunk is data that a reader must give. The byte behind it is missing.
type Chunk struct {
	Address mem.VA
	Data    []byte
}

// Reader checks what every mem.Reader must do: whole reads and parts of them over
// page borders, fewer bytes with a *mem.Fault at the first one that is missing,
// nothing asked nothing missing, the end of the address space, and all that from
// several goroutines.
func Reader(t *testing.T, r mem.Reader, chunks []Chunk) {
	t.Helper()
	for _, c := range chunks {
		n := len(c.Data)
		for _, cut := range cuts(c) {
			check(t, r, c, cut, n-cut, n-cut) // to the end
			check(t, r, c, 0, cut, cut)       // from the start
			check(t, r, c, cut, n-cut+9, n-cut)
		}
		check(t, r, c, n, 1, 0)
		check(t, r, c, n, 2*mem.PageSize, 0)
		check(t, r, c, n, 0, 0)
	}
	top := ^mem.VA(0) - 7
	got, err := r.ReadAt(make([]byte, 64), top)
	if f := fault(err); f == nil || got > 8 || f.Address != top+mem.VA(got) {
		t.Errorf("ReadAt(%v, 64) = %d bytes, %v; want a fault at the end of the address space", top, got, err)
	}
	concurrent(t, r, chunks)
}

// cuts are places inside a chunk: around its ends and around page borders.
func cuts(c Chunk) []int {
	n := len(c.Data)
	list := []int{0, 1, n / 2, n - 1, n}
	for at := mem.PageSize - int(c.Address%mem.PageSize); at < n; at += mem.PageSize {
		list = append(list, at-1, at, at+1, at-3)
	}
	var kept []int
	for _, at := range list {
		if at >= 0 && at <= n {
			kept = append(kept, at)
		}
	}
	return kept
}

// check reads n bytes at an offset of a chunk, of which want are there.
func check(t *testing.T, r mem.Reader, c Chunk, off, n, want int) {
	t.Helper()
	at := c.Address + mem.VA(off)
	p := make([]byte, n)
	got, err := r.ReadAt(p, at)
	if got != want || !bytes.Equal(p[:min(got, want)], c.Data[off:off+min(got, want)]) {
		t.Errorf("ReadAt(%v, %d) = %d bytes, want %d: % x", at, n, got, want, p[:min(got, 32)])
	}
	f := fault(err)
	if want == n && err != nil || want < n && (f == nil || f.Address != at+mem.VA(want) || f.Reason == "") {
		t.Errorf("ReadAt(%v, %d) of which %d are there: error %v", at, n, want, err)
	}
}

func fault(err error) *mem.Fault {
	var f *mem.Fault
	errors.As(err, &f)
	return f
}

func concurrent(t *testing.T, r mem.Reader, chunks []Chunk) {
	t.Helper()
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 1))
			for range 200 {
				c := chunks[rnd.IntN(len(chunks))]
				off := rnd.IntN(len(c.Data))
				p := make([]byte, min(1+rnd.IntN(3*mem.PageSize), len(c.Data)-off))
				if n, err := r.ReadAt(p, c.Address+mem.VA(off)); err != nil || !bytes.Equal(p, c.Data[off:off+n]) {
					t.Errorf("ReadAt(%v, %d) among others: %d bytes, %v", c.Address+mem.VA(off), len(p), n, err)
				}
			}
		})
	}
	wg.Wait()
}

// Physical checks the same of a mem.PhysicalReader, and that its faults name the
// page.
func Physical(t *testing.T, r mem.PhysicalReader, chunks []Chunk) {
	t.Helper()
	Reader(t, flat{t, r}, chunks)
}

// flat reads physical memory as if it were mapped to itself.
type flat struct {
	t *testing.T
	r mem.PhysicalReader
}

func (f flat) ReadAt(p []byte, va mem.VA) (int, error) {
	n, err := f.r.ReadPhysical(p, mem.PA(va))
	if x := fault(err); x != nil && (!x.HasPage || x.Page != mem.PA(x.Address)&^(mem.PageSize-1)) {
		f.t.Errorf("ReadPhysical(%v): fault %+v does not name the page", mem.PA(va), x)
	}
	return n, err
}
