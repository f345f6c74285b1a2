package dump

import (
	"io"
	"iter"
	"math/bits"
	"slices"
	"sort"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// PhysicalRun is a run of physical pages that lie one behind the other in the
// file too.
type PhysicalRun struct {
	Address mem.PA
	Size    uint64 // bytes
	Offset  int64  // in the file, bytes
}

// pageMap says where in the file physical pages stand. Pages have numbers:
// address / 4096.
type pageMap interface {
	// find returns where the page stands, and how many from it on stand one behind
	// the other, at most most; 0 if it is not there.
	find(page, most uint64) (off int64, n uint64)
	// next returns the first run that starts at page or later; zero behind the last.
	next(page uint64) pageRun
	// pages is how many there are.
	pages() uint64
	// within is how many stand whole in the first size bytes of the file.
	within(size int64) uint64
	// end is the offset in the file behind the last of them; 0 without pages.
	end() int64
}

// pageRun is count pages from first on, at off in the file.
type pageRun struct {
	first, count uint64
	off          int64
}

// pageRuns are runs by rising page; none overlap.
type pageRuns []pageRun

// newPageRuns sorts runs and takes out what overlaps: the earlier run keeps its
// pages. lost is how many pages that cost.
func newPageRuns(list []pageRun) (runs pageRuns, lost uint64) {
	slices.SortStableFunc(list, func(a, b pageRun) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	for _, r := range list {
		if r.count == 0 {
			continue
		}
		if n := len(runs); n > 0 {
			last := &runs[n-1]
			end := last.first + last.count
			if r.first < end {
				cut := min(end-r.first, r.count)
				lost += cut
				r.first, r.count, r.off = r.first+cut, r.count-cut, r.off+int64(cut*mem.PageSize)
			}
			if r.count > 0 && r.first == end && r.off == last.off+int64(last.count*mem.PageSize) {
				last.count += r.count
				continue
			}
		}
		if r.count > 0 {
			runs = append(runs, r)
		}
	}
	return runs, lost
}

func (m pageRuns) find(page, most uint64) (int64, uint64) {
	i := sort.Search(len(m), func(i int) bool { return m[i].first > page }) - 1
	if i < 0 || page-m[i].first >= m[i].count {
		return 0, 0
	}
	skip := page - m[i].first
	return m[i].off + int64(skip*mem.PageSize), min(most, m[i].count-skip)
}

func (m pageRuns) next(page uint64) pageRun {
	i := sort.Search(len(m), func(i int) bool { return m[i].first+m[i].count > page })
	if i == len(m) {
		return pageRun{}
	}
	r := m[i]
	if skip := page - r.first; page > r.first {
		r = pageRun{first: page, count: r.count - skip, off: r.off + int64(skip*mem.PageSize)}
	}
	return r
}

func (m pageRuns) pages() uint64 {
	n := uint64(0)
	for _, r := range m {
		n += r.count
	}
	return n
}

func (m pageRuns) within(size int64) uint64 {
	n := uint64(0)
	for _, r := range m {
		n += min(r.count, uint64(max(size-r.off, 0))/mem.PageSize)
	}
	return n
}

func (m pageRuns) end() int64 {
	end := int64(0)
	for _, r := range m {
		end = max(end, r.off+int64(r.count*mem.PageSize))
	}
	return end
}

// rankBits is how many pages one entry of the rank directory stands for: eight
// words of the bitmap. So the directory is an eighth of the bitmap, and a look-up
// counts the bits of at most eight words.
const rankBits = 512

// bitmap has a bit a page; the pages that are set stand in the file in order.
type bitmap struct {
	words []uint64 // whole entries of the rank directory
	rank  []uint64 // bits set before each; one more entry than there are: all
	limit uint64   // pages that have a bit
	off   int64    // of the first page in the file
}

// newBitmap reads the bits of limit pages, a piece at a time, and counts them.
// Where r ends before, so does the map.
func newBitmap(r io.Reader, limit uint64, off int64) *bitmap {
	blocks := (limit + rankBits - 1) / rankBits
	m := &bitmap{words: make([]uint64, blocks*rankBits/64), rank: make([]uint64, blocks+1), limit: limit, off: off}
	var piece [64 << 10]byte
	for at := uint64(0); at < limit; {
		n, err := io.ReadFull(r, piece[:min(uint64(len(piece)), (limit-at+7)/8)])
		clear(piece[n : (n+7)&^7])
		for i := 0; i < n; i += 8 {
			m.words[at/64] = le.U64(piece[:], i)
			at += 64
		}
		if err != nil {
			m.limit = min(limit, at-uint64(-n&7)*8)
			break
		}
	}
	if over := m.limit % 64; over != 0 {
		m.words[m.limit/64] &= 1<<over - 1
	}
	for i := range blocks {
		n := m.rank[i]
		for _, w := range m.words[i*8 : i*8+8] {
			n += uint64(bits.OnesCount64(w))
		}
		m.rank[i+1] = n
	}
	return m
}

// word is the word with the bit of a page, that bit lowest.
func (m *bitmap) word(page uint64) uint64 { return m.words[page/64] >> (page % 64) }

func (m *bitmap) find(page, most uint64) (int64, uint64) {
	if page >= m.limit {
		return 0, 0
	}
	last := m.words[page/64]
	if last>>(page%64)&1 == 0 {
		return 0, 0
	}
	n := m.rank[page/rankBits] + uint64(bits.OnesCount64(last&(1<<(page%64)-1)))
	for _, w := range m.words[page/rankBits*8 : page/64] {
		n += uint64(bits.OnesCount64(w))
	}
	off := m.off + int64(n*mem.PageSize)
	if most <= 1 {
		return off, most
	}
	return off, m.ones(page, most)
}

// ones counts the pages set from page on, at most most.
func (m *bitmap) ones(page, most uint64) uint64 {
	n := uint64(0)
	for n < most && page+n < m.limit {
		have := 64 - (page+n)%64
		got := min(uint64(bits.TrailingZeros64(^m.word(page+n))), have)
		if n += got; got < have {
			break
		}
	}
	return min(n, most)
}

func (m *bitmap) next(page uint64) pageRun {
	for page < m.limit {
		if w := m.word(page); w != 0 {
			page += uint64(bits.TrailingZeros64(w))
			off, n := m.find(page, m.limit)
			return pageRun{first: page, count: n, off: off}
		}
		page = page/64*64 + 64
		for page < m.limit && page%rankBits == 0 && m.rank[page/rankBits] == m.rank[page/rankBits+1] {
			page += rankBits
		}
	}
	return pageRun{}
}

func (m *bitmap) pages() uint64 { return m.rank[len(m.rank)-1] }

func (m *bitmap) within(size int64) uint64 {
	return min(m.pages(), uint64(max(size-m.off, 0))/mem.PageSize)
}

func (m *bitmap) end() int64 { return m.off + int64(m.pages()*mem.PageSize) }

// physical is the physical memory that a file holds.
type physical struct {
	file io.ReaderAt
	size int64 // of the file, bytes
	m    pageMap
}

// ReadPhysical implements mem.PhysicalReader.
func (r *physical) ReadPhysical(p []byte, pa mem.PA) (int, error) {
	done := 0
	for done < len(p) {
		at := pa + mem.PA(done)
		if at < pa {
			return done, mem.MissingPage(at, mem.NotInDump)
		}
		skip := uint64(at % mem.PageSize)
		off, n := r.m.find(uint64(at/mem.PageSize), (skip+uint64(len(p)-done)+mem.PageSize-1)/mem.PageSize)
		if n == 0 {
			return done, mem.MissingPage(at, mem.NotInDump)
		}
		off += int64(skip)
		if off >= r.size {
			return done, mem.MissingPage(at, mem.PastEnd)
		}
		n = min(n*mem.PageSize-skip, uint64(len(p)-done), uint64(r.size-off))
		got, _ := r.file.ReadAt(p[done:done+int(n)], off)
		if got == 0 {
			return done, mem.MissingPage(at, mem.PastEnd)
		}
		done += got
	}
	return done, nil
}

// PhysicalRuns yields the physical memory that the file holds, by rising address:
// for scans. Runs are as long as the file lets them be; nothing is kept a page.
// A dump without physical memory yields none.
func (f *File) PhysicalRuns() iter.Seq[PhysicalRun] {
	return func(yield func(PhysicalRun) bool) {
		if f.pages == nil {
			return
		}
		for page := uint64(0); ; {
			r := f.pages.next(page)
			if r.count == 0 {
				return
			}
			page = r.first + r.count
			if r.off >= f.Size {
				continue
			}
			size := min(r.count, uint64(f.Size-r.off)/mem.PageSize+1) * mem.PageSize
			run := PhysicalRun{Address: mem.PA(r.first * mem.PageSize), Size: min(size, uint64(f.Size-r.off)), Offset: r.off}
			if !yield(run) {
				return
			}
		}
	}
}

// PageOffset is where in the file the page of physical memory with pa in it
// stands; false if the file does not hold it.
func (f *File) PageOffset(pa mem.PA) (int64, bool) {
	if f.pages == nil {
		return 0, false
	}
	off, n := f.pages.find(uint64(pa/mem.PageSize), 1)
	return off, n > 0 && off < f.Size
}

// Space is the address space of the process whose KPROCESS.DirectoryTableBase is
// root. A dump without physical memory maps nothing there.
func (f *File) Space(root mem.PA) *mem.Space { return mem.NewSpace(f.Physical, f.Paging, root) }
