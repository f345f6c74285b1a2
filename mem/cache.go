package mem

import "sync"

// cachedPages is how many pages a cache holds: 1 MiB. Page tables and the pages
// of a list that is walked fit in.
const cachedPages = 256

// cache keeps the pages read last, so that a structure read field by field, and
// the page tables above it, cost one read of the file a page.
type cache struct {
	phys  PhysicalReader
	slots [cachedPages]cachedPage
}

type cachedPage struct {
	mu   sync.Mutex
	page PA // its address
	ok   bool
	data []byte
}

// Cached returns a reader that remembers pages of phys, which must not change.
// Reads of a page and more go to phys straight.
func Cached(phys PhysicalReader) PhysicalReader { return &cache{phys: phys} }

// ReadPhysical implements PhysicalReader.
func (c *cache) ReadPhysical(p []byte, pa PA) (int, error) {
	if len(p) >= PageSize || pa+PA(len(p)) < pa {
		return c.phys.ReadPhysical(p, pa)
	}
	first := min(len(p), PageSize-int(pa%PageSize))
	n, err := c.read(p[:first], pa)
	if err != nil || n == len(p) {
		return n, err
	}
	more, err := c.read(p[n:], pa+PA(n))
	return n + more, err
}

// read reads inside one page.
func (c *cache) read(p []byte, pa PA) (int, error) {
	page := pa &^ (PageSize - 1)
	slot := &c.slots[page/PageSize%cachedPages]
	slot.mu.Lock()
	defer slot.mu.Unlock()
	if !slot.ok || slot.page != page {
		if slot.data == nil {
			slot.data = make([]byte, PageSize)
		}
		n, _ := c.phys.ReadPhysical(slot.data, page)
		slot.page, slot.ok = page, n == PageSize
	}
	if !slot.ok { // the file ends inside this page, or it is missing
		return c.phys.ReadPhysical(p, pa)
	}
	return copy(p, slot.data[pa%PageSize:]), nil
}
