package mem

import "sync"

// A cache holds cacheSets times cacheWays pages: 2 MiB. Page tables and the pages
// of a list that is walked fit in.
const (
	cacheSets = 64
	cacheWays = 8
)

// cache keeps the pages read last, so that a structure read field by field, and
// the page tables above it, cost one read of the file a page.
type cache struct {
	phys PhysicalReader
	sets [cacheSets]cacheSet
}

// cacheSet keeps pages whose numbers are equal modulo cacheSets.
type cacheSet struct {
	mu    sync.Mutex
	pages [cacheWays]PA // address + 1; 0: free
	data  [cacheWays][]byte
	next  int // the way that is given up next
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
	set := &c.sets[page/PageSize%cacheSets]
	set.mu.Lock()
	defer set.mu.Unlock()
	for i, have := range set.pages {
		if have == page+1 {
			return copy(p, set.data[i][pa%PageSize:]), nil
		}
	}
	i := set.next
	if set.data[i] == nil {
		set.data[i] = make([]byte, PageSize)
	}
	set.pages[i] = 0
	if n, _ := c.phys.ReadPhysical(set.data[i], page); n < PageSize { // missing, or the file ends in it
		return c.phys.ReadPhysical(p, pa)
	}
	set.pages[i], set.next = page+1, (i+1)%cacheWays
	return copy(p, set.data[i][pa%PageSize:]), nil
}
