package ram

import (
	"errors"
	"fmt"
)

// Space is the page tables of one process. The upper half of its addresses is the kernel's,
// and all spaces of a Memory share it: their top-level tables hold the same entries.
// On ARM64 too one top-level table holds both halves, as Windows lays it out for 47-bit
// addresses: TTBR1_EL1 points 0x800 bytes into the table that TTBR0_EL1 points at.
type Space struct {
	m    *Memory
	root uint64 // frame of the top-level table
	err  error  // of NewSpace: there was no frame for the table
}

// systemRoot is the frame of the System process's top-level table. Windows 10 and 11 get it
// from their loader, always near there; memory forensics look for it at 0x150000 to 0x2a0000
// (volatilityfoundation/volatility3 framework/automagic/windows.py).
const systemRoot = 0x1ad

// rootFrame returns a frame for a top-level table.
func (m *Memory) rootFrame() (uint64, error) {
	if len(m.spaces) > 0 || m.class[systemRoot] != ClassFree {
		return m.Frame(ClassKernel)
	}
	m.class[systemRoot] = ClassKernel
	return systemRoot, nil
}

// NewSpace makes the page tables of a new process, the first time those of the System
// process. Where memory is used up, the first use of the Space says so.
func (m *Memory) NewSpace() *Space {
	s := &Space{m: m}
	if s.root, s.err = m.rootFrame(); s.err != nil {
		return s
	}
	if len(m.spaces) > 0 {
		for i := uint64(256); i < 512; i++ {
			m.setWord(s.Root()+8*i, m.word(m.spaces[0].Root()+8*i))
		}
	}
	m.setWord(s.Root()+8*uint64(m.SelfMap), m.table(s.root, false))
	m.spaces = append(m.spaces, s)
	return s
}

// Root returns the physical address of the top-level table: cr3, TTBR0_EL1, DirectoryTableBase.
func (s *Space) Root() uint64 { return s.root * PageSize }

// Entry is a place in a page table.
type Entry struct {
	Address uint64 // physical
	Level   int    // 1: it maps a page of 4 KiB; 2: one of 2 MiB
	m       *Memory
}

// Get returns the entry's bits.
func (e Entry) Get() uint64 { return e.m.word(e.Address) }

// Set replaces the entry's bits.
func (e Entry) Set(v uint64) { e.m.setWord(e.Address, v) }

// Frame returns the frame that a valid entry leads to.
func (e Entry) Frame() uint64 { return e.Get() & frameMask / PageSize }

// shift returns how many bits of an address lie below the index into a table of a level.
func shift(level int) int { return 12 + 9*(level-1) }

// isUser reports whether an address lies in the lower half.
func (s *Space) isUser(va uint64) bool { return va>>(shift(s.m.Levels)+8)&1 == 0 }

var errNotMapped = errors.New("not mapped")

// PTE returns the entry that maps va, or would: its tables are there, it need not be valid.
func (s *Space) PTE(va uint64) (Entry, error) { return s.walk(va, 1, false) }

// walk goes down to the entry of a level, and makes the tables on the way if it shall. It
// stops early at a large page.
func (s *Space) walk(va uint64, level int, build bool) (Entry, error) {
	if s.err != nil {
		return Entry{}, s.err
	}
	table := s.Root()
	for l := s.m.Levels; ; l-- {
		e := Entry{table + va>>shift(l)&511*8, l, s.m}
		v := e.Get()
		if l == level || l == 2 && v&valid != 0 && s.m.isLarge(v) {
			return e, nil
		}
		if v&valid == 0 {
			if !build {
				return e, fmt.Errorf("address %#x, page table of level %d: %w", va, l, errNotMapped)
			}
			if err := s.addTable(e, va); err != nil {
				return e, err
			}
		}
		table = e.Get() & frameMask
	}
}

// addTable makes an empty table behind an entry; one of the kernel's half in the top-level
// table is made known to all spaces.
func (s *Space) addTable(e Entry, va uint64) error {
	pfn, err := s.m.Frame(ClassKernel)
	if err != nil {
		return err
	}
	v := s.m.table(pfn, s.isUser(va))
	if e.Level == s.m.Levels && !s.isUser(va) {
		for _, o := range s.m.spaces {
			s.m.setWord(o.Root()+e.Address%PageSize, v)
		}
		return nil
	}
	e.Set(v)
	return nil
}

// Map maps the pages of [va, va+size), each to a frame of its own. A page that is mapped
// already keeps its frame and takes the protection.
func (s *Space) Map(va, size uint64, p Protection) error {
	step := uint64(PageSize)
	if p&Large != 0 {
		step *= largePage
	}
	for at := va &^ (step - 1); at < va+size; at += step {
		if err := s.mapPage(at, p); err != nil {
			return fmt.Errorf("map %#x: %w", at, err)
		}
	}
	return nil
}

func (s *Space) mapPage(va uint64, p Protection) error {
	level, allot := 1, s.m.Frame
	if p&Large != 0 {
		level, allot = 2, s.m.LargeFrame
	}
	e, err := s.walk(va, level, true)
	if err != nil {
		return err
	}
	if v := e.Get(); v&valid != 0 {
		if e.Level != level || level == 2 && !s.m.isLarge(v) {
			return errors.New("pages of another size are mapped there")
		}
		e.Set(s.m.leaf(e.Frame(), p, s.isUser(va)))
		return nil
	}
	class := ClassKernel
	if s.isUser(va) {
		class = ClassUser
	}
	pfn, err := allot(class)
	if err != nil {
		return err
	}
	e.Set(s.m.leaf(pfn, p, s.isUser(va)))
	return nil
}

// MapFrame maps one page to a given frame: memory that several spaces share, or a device's.
func (s *Space) MapFrame(va, pfn uint64, p Protection) error {
	e, err := s.walk(va, 1, true)
	if err != nil {
		return fmt.Errorf("map %#x: %w", va, err)
	}
	if e.Level != 1 {
		return fmt.Errorf("map %#x: a large page is mapped there", va)
	}
	e.Set(s.m.leaf(pfn, p&^Large, s.isUser(va)))
	return nil
}

// Unmap clears the entries of [va, va+size) and frees their frames; what stood in them stays
// there until they are used again. Pages that are not mapped are passed over.
func (s *Space) Unmap(va, size uint64) {
	for at := va &^ (PageSize - 1); at < va+size; at += PageSize {
		e, err := s.PTE(at)
		if err != nil || e.Level != 1 {
			continue
		}
		if e.Get()&valid != 0 {
			s.m.SetClass(e.Frame(), ClassFree)
		}
		e.Set(0)
	}
}

// Each calls f with every valid entry of the space that maps a page: those of the process's
// own half, or those of the kernel's. The tables themselves, which
// the self-map shows as pages, are not among them.
func (s *Space) Each(kernel bool, f func(va uint64, e Entry)) {
	if s.err != nil {
		return
	}
	for i := uint64(0); i < 512; i++ {
		if i == uint64(s.m.SelfMap) || i >= 256 && !kernel || i < 256 && kernel {
			continue
		}
		va := i << shift(s.m.Levels)
		if i >= 256 {
			va |= ^uint64(0) << (shift(s.m.Levels) + 9)
		}
		s.below(Entry{s.Root() + 8*i, s.m.Levels, s.m}, va, f)
	}
}

func (s *Space) below(e Entry, va uint64, f func(va uint64, e Entry)) {
	v := e.Get()
	switch {
	case v&valid == 0:
	case e.Level == 1 || e.Level == 2 && s.m.isLarge(v):
		f(va, e)
	default:
		for i := uint64(0); i < 512; i++ {
			s.below(Entry{v&frameMask + 8*i, e.Level - 1, s.m}, va|i<<shift(e.Level-1), f)
		}
	}
}

// Translate returns the physical address that va is mapped to.
func (s *Space) Translate(va uint64) (uint64, error) {
	e, err := s.PTE(va)
	if err != nil {
		return 0, err
	}
	v := e.Get()
	if v&valid == 0 {
		return 0, fmt.Errorf("address %#x, entry %#x: %w", va, v, errNotMapped)
	}
	size := uint64(1) << shift(e.Level)
	return v&frameMask&^(size-1) | va&(size-1), nil
}

// Write writes b at va, whatever the pages' protection. All of it must be mapped.
func (s *Space) Write(va uint64, b []byte) error { return s.each(va, b, s.m.Write) }

// Read fills b with what stands at va. All of it must be mapped.
func (s *Space) Read(va uint64, b []byte) error { return s.each(va, b, s.m.Read) }

func (s *Space) each(va uint64, b []byte, f func(uint64, []byte) error) error {
	for len(b) > 0 {
		pa, err := s.Translate(va)
		if err != nil {
			return err
		}
		n := min(uint64(len(b)), PageSize-va%PageSize)
		if err := f(pa, b[:n]); err != nil {
			return err
		}
		b, va = b[n:], va+n
	}
	return nil
}

// change replaces the entries of the mapped pages of [va, va+size) by what f makes of them.
func (s *Space) change(va, size uint64, f func(i int, e Entry) uint64) error {
	for i, at := 0, va&^(PageSize-1); at < va+size; i, at = i+1, at+PageSize {
		e, err := s.PTE(at)
		if err != nil {
			return err
		}
		if e.Level != 1 || e.Get()&valid == 0 {
			return fmt.Errorf("address %#x: %w as a page of 4 KiB", at, errNotMapped)
		}
		e.Set(f(i, e))
	}
	return nil
}

// Transition takes mapped pages from their owner: their frames go to the standby list, what
// stands in them can still be read there.
func (s *Space) Transition(va, size uint64) error {
	return s.change(va, size, func(_ int, e Entry) uint64 {
		s.m.SetClass(e.Frame(), ClassStandby)
		return s.m.transition(e.Frame(), s.m.protection(e.Get()))
	})
}

// PageOut sends mapped pages to a paging file, from its page on; their frames are free.
func (s *Space) PageOut(va, size uint64, file, page uint64) error {
	return s.change(va, size, func(i int, e Entry) uint64 {
		s.m.SetClass(e.Frame(), ClassFree)
		return s.m.pagedOut(file, page+uint64(i), s.m.protection(e.Get()))
	})
}

// Prototype lets a page's entry send on to the prototype entry at proto, itself an address
// that is mapped; what stands there is the caller's affair. The page's frame keeps its class.
func (s *Space) Prototype(va, proto uint64) error {
	return s.change(va, 1, func(_ int, e Entry) uint64 {
		return s.m.prototype(proto, s.m.protection(e.Get()))
	})
}

// DemandZero reserves [va, va+size): its tables are there, its pages come when touched.
func (s *Space) DemandZero(va, size uint64, p Protection) error {
	for at := va &^ (PageSize - 1); at < va+size; at += PageSize {
		e, err := s.walk(at, 1, true)
		if err != nil {
			return err
		}
		if e.Level != 1 || e.Get()&valid != 0 {
			return fmt.Errorf("address %#x is mapped", at)
		}
		e.Set(s.m.demandZero(p))
	}
	return nil
}
