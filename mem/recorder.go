package mem

import (
	"slices"
	"sync"
)

// Recorder is a Reader that remembers which addresses were read of another, by
// lines of 64 bytes. Safe for concurrent use.
type Recorder struct {
	from Reader
	read *recordedLines
}

// recordedLines is what all recorders of one record share.
type recordedLines struct {
	mu    sync.Mutex
	pages map[VA]uint64 // one bit a line
}

const (
	recordedLine = 64   // bytes
	recordedPage = 4096 // bytes: as many lines as a word has bits
)

// NewRecorder returns a recorder of what is read of r.
func NewRecorder(r Reader) *Recorder {
	return &Recorder{from: r, read: &recordedLines{pages: map[VA]uint64{}}}
}

// Over returns a recorder of another reader that adds to the same record: the
// machine's memory as another process sees it.
func (c *Recorder) Over(r Reader) *Recorder { return &Recorder{from: r, read: c.read} }

// From is the reader whose reads are recorded: for a search that is not to be.
func (c *Recorder) From() Reader { return c.from }

// ReadAt implements Reader.
func (c *Recorder) ReadAt(p []byte, va VA) (int, error) {
	n, err := c.from.ReadAt(p, va)
	if n <= 0 {
		return n, err
	}
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	last := va + VA(n-1)
	for at := va &^ (recordedLine - 1); at <= last && at >= va&^(recordedLine-1); at += recordedLine {
		c.read.pages[at&^(recordedPage-1)] |= 1 << (at % recordedPage / recordedLine)
	}
	return n, err
}

// Recorded is a stretch of memory that was read.
type Recorded struct {
	Address VA
	Size    uint64 // bytes
}

// Recorded lists what was read, by rising address, whole lines, adjacent ones as one.
func (c *Recorder) Recorded() []Recorded {
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	pages := make([]VA, 0, len(c.read.pages))
	for page := range c.read.pages {
		pages = append(pages, page)
	}
	slices.Sort(pages)
	var list []Recorded
	for _, page := range pages {
		for i := range VA(recordedPage / recordedLine) {
			if c.read.pages[page]>>i&1 == 0 {
				continue
			}
			at := page + i*recordedLine
			if n := len(list); n > 0 && list[n-1].Address+VA(list[n-1].Size) == at {
				list[n-1].Size += recordedLine
				continue
			}
			list = append(list, Recorded{Address: at, Size: recordedLine})
		}
	}
	return list
}
