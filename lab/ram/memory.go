// Package ram is an invented machine's physical memory: pages in the runs that a PC's
// firmware reports, the page tables of its processes, and the writers of whole-memory
// dump files. It knows nothing of what the pages hold and imports nothing of this module.
//
// A page that was never written reads as zero and costs nothing, neither here nor in a
// dump file, which keeps a hole in its place. There is no clock and no chance: the same
// calls give the same frames and the same bytes.
package ram

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// PageSize is the size of a page; all machines of the lab have 4 KiB pages.
const PageSize = 0x1000

// largePage is the size of a page that a table of the second level maps, in frames.
const largePage = 512

// Run is a piece of physical memory, in frames.
type Run struct{ Base, Count uint64 }

// Class says what a frame is in use for, and so which dumps keep it.
type Class uint8

const (
	ClassFree    Class = iota // nobody's: only a full dump keeps it
	ClassKernel               // the system's, and all page tables
	ClassUser                 // a process's own
	ClassStandby              // once somebody's, on the standby list: only a full dump keeps it
)

// Memory is the physical memory of one machine. It is for one goroutine.
type Memory struct {
	// To be set before the first NewSpace, if at all:
	Levels         int    // of page tables: 4, or on x64 5
	SelfMap        int    // the top-level entry through which the tables map themselves; 0x1ed puts PTE_BASE at fffff680`00000000
	InvalidPTEMask uint64 // x64: MiState.Hardware.InvalidPteMask, what entries that are not valid are mixed with; 0 on most virtual machines

	arm64 bool
	runs  []Run
	pages map[uint64]*[PageSize]byte // by frame; absent: zero
	class map[uint64]Class

	recent [256]struct { // pages that were looked at, by the frame's low bits
		pfn  uint64
		page *[PageSize]byte
	}
	small, large uint64 // how many frames and large pages were handed out or passed over
	spaces       []*Space
}

// New returns the memory of a machine: arch is "x64" or "arm64"; size, in bytes, is what
// is built in, at least 16 MiB. As in a PC, the first page, the 384 KiB below 1 MiB and a
// piece below 4 GiB are no memory; what does not fit below that piece lies above 4 GiB.
func New(arch string, size uint64) *Memory {
	m := &Memory{Levels: 4, SelfMap: 0x1ed, arm64: arch == "arm64",
		pages: map[uint64]*[PageSize]byte{}, class: map[uint64]Class{}}
	const (
		dos, legacy = 0x9f, 0x100 // the memory below 0xa0000, the first frame above 1 MiB
		pci         = 0xbff00     // the first frame of the devices' addresses
	)
	frames := max(size, 16<<20) / PageSize
	low := min(frames, pci)
	m.runs = []Run{{1, dos}, {legacy, low - legacy}}
	if frames > low {
		m.runs = append(m.runs, Run{0x100000, frames - low})
	}
	return m
}

// Runs returns the pieces of physical memory in rising order: MmPhysicalMemoryBlock.
func (m *Memory) Runs() []Run { return append([]Run(nil), m.runs...) }

// Frames returns the number of frames in all runs.
func (m *Memory) Frames() uint64 {
	n := uint64(0)
	for _, r := range m.runs {
		n += r.Count
	}
	return n
}

// InUse returns how many frames are of a class other than ClassFree.
func (m *Memory) InUse(c Class) (n uint64) {
	for _, k := range m.class {
		if k == c {
			n++
		}
	}
	return n
}

// top returns the part of the last run that is kept for large pages: a quarter of it, at
// most 1 GiB.
func (m *Memory) top() Run {
	last := m.runs[len(m.runs)-1]
	n := min(last.Count/4, 1<<30/PageSize)
	return Run{last.Base + last.Count - n, n}
}

// Frame returns a frame that was free, of a class of its own now. Frames that follow one
// another lie far apart, as on a machine that has been up for days.
func (m *Memory) Frame(c Class) (uint64, error) {
	const piece = 16
	n := m.Frames() - m.top().Count
	pieces := n / piece
	for ; m.small < pieces*piece; m.small++ {
		at := m.small / piece * stride(pieces) % pieces
		pfn := m.nth(at*piece + m.small*7%piece)
		if m.class[pfn] == ClassFree {
			m.small++
			m.class[pfn] = c
			return pfn, nil
		}
	}
	return 0, fmt.Errorf("physical memory: all of the %d frames are in use", n)
}

// LargeFrame returns the first of 512 free frames, at a multiple of 512.
func (m *Memory) LargeFrame(c Class) (uint64, error) {
	top := m.top()
	end := (top.Base + top.Count) / largePage * largePage
	m.large++
	pfn := end - m.large*largePage
	if m.large*largePage > end || pfn < top.Base {
		return 0, fmt.Errorf("physical memory: no large page is left in %d frames", top.Count)
	}
	for i := uint64(0); i < largePage; i++ {
		m.class[pfn+i] = c
	}
	return pfn, nil
}

// stride returns a step that meets every number below n, near the golden section of it.
func stride(n uint64) uint64 {
	for s := n*618/1000 | 1; s > 1; s -= 2 {
		a, b := n, s
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return s
		}
	}
	return 1
}

// nth returns the frame that is number i of all runs together.
func (m *Memory) nth(i uint64) uint64 {
	for _, r := range m.runs {
		if i < r.Count {
			return r.Base + i
		}
		i -= r.Count
	}
	return 0
}

// Class returns what a frame is in use for.
func (m *Memory) Class(pfn uint64) Class { return m.class[pfn] }

// SetClass changes what a frame is in use for. Its contents stay.
func (m *Memory) SetClass(pfn uint64, c Class) {
	if c == ClassFree {
		delete(m.class, pfn)
		return
	}
	m.class[pfn] = c
}

// Used calls f with each frame that is in use, in rising order.
func (m *Memory) Used(f func(pfn uint64, c Class)) {
	for _, pfn := range sortedKeys(m.class) {
		f(pfn, m.class[pfn])
	}
}

// has reports whether a frame is memory at all.
func (m *Memory) has(pfn uint64) bool {
	for _, r := range m.runs {
		if pfn >= r.Base && pfn-r.Base < r.Count {
			return true
		}
	}
	return false
}

// Write writes b at physical address pa. Frames of any class can be written.
func (m *Memory) Write(pa uint64, b []byte) error {
	return m.each(pa, b, func(pfn, at uint64, b []byte) {
		p := m.page(pfn)
		if p == nil {
			p = new([PageSize]byte)
			m.pages[pfn] = p
		}
		copy(p[at:], b)
	})
}

// Read fills b with what stands at physical address pa.
func (m *Memory) Read(pa uint64, b []byte) error {
	return m.each(pa, b, func(pfn, at uint64, b []byte) {
		if p := m.page(pfn); p != nil {
			copy(b, p[at:])
			return
		}
		clear(b)
	})
}

// page returns what a frame holds, nil if it was never written. A page stays where it is.
func (m *Memory) page(pfn uint64) *[PageSize]byte {
	r := &m.recent[pfn%uint64(len(m.recent))]
	if r.pfn == pfn && r.page != nil {
		return r.page
	}
	p := m.pages[pfn]
	r.pfn, r.page = pfn, p
	return p
}

// each calls f for the part of b in each page.
func (m *Memory) each(pa uint64, b []byte, f func(pfn, at uint64, b []byte)) error {
	for len(b) > 0 {
		pfn, at := pa/PageSize, pa%PageSize
		if !m.has(pfn) {
			return fmt.Errorf("physical address %#x is no memory of the machine", pa)
		}
		n := min(uint64(len(b)), PageSize-at)
		f(pfn, at, b[:n])
		b, pa = b[n:], pa+n
	}
	return nil
}

// word returns the 8 bytes at pa, 0 outside of memory.
func (m *Memory) word(pa uint64) uint64 {
	if p := m.page(pa / PageSize); p != nil {
		return binary.LittleEndian.Uint64(p[pa%PageSize:])
	}
	return 0
}

// setWord writes the 8 bytes at pa, a place in a page table.
func (m *Memory) setWord(pa, v uint64) {
	_ = m.Write(pa, binary.LittleEndian.AppendUint64(nil, v)) // tables are in frames of the machine
}

func sortedKeys[T any](set map[uint64]T) []uint64 {
	keys := make([]uint64, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
