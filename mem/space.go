package mem

import (
	"errors"
	"sync/atomic"

	"bugcheck/internal/le"
)

// Space is one address space: what the page tables under a root map. It reads
// what memory still holds although no process maps it at the moment: pages in
// transition, and shared pages that a prototype PTE leads to. Safe for concurrent
// use.
type Space struct {
	phys   PhysicalReader
	paging Paging
	root   PA
	seen   [translations]atomic.Pointer[translation]
}

// translations is how many pages a Space remembers the place of. A walk over a
// list touches some dozens again and again.
const translations = 256

// translation is where a page lies.
type translation struct {
	va   VA
	pa   PA
	size uint64 // bytes
}

// NewSpace returns the address space whose uppermost page table is at root, a
// value of CR3, TTBR or KPROCESS.DirectoryTableBase. Without phys it maps nothing.
func NewSpace(phys PhysicalReader, paging Paging, root PA) *Space {
	if phys == nil {
		phys = noMemory{}
	}
	return &Space{phys: phys, paging: paging, root: paging.root(root)}
}

// noMemory is the physical memory of a dump that holds none.
type noMemory struct{}

func (noMemory) ReadPhysical(p []byte, pa PA) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return 0, MissingPage(pa, NotInDump)
}

// MissingPage is the Fault of a PhysicalReader at pa.
func MissingPage(pa PA, reason string) *Fault {
	return &Fault{Address: VA(pa), Reason: reason, Page: pa &^ (PageSize - 1), HasPage: true}
}

// Root is the address of the uppermost page table.
func (s *Space) Root() PA { return s.root }

// ReadAt implements Reader.
func (s *Space) ReadAt(p []byte, va VA) (int, error) {
	done := 0
	for done < len(p) {
		at := va + VA(done)
		if at < va {
			return done, &Fault{Address: at, Reason: "is behind the end of the address space"}
		}
		t, err := s.translate(at)
		if err != nil {
			return done, err
		}
		skip := uint64(at - t.va)
		n := min(uint64(len(p)-done), t.size-skip)
		got, err := s.phys.ReadPhysical(p[done:done+int(n)], t.pa+PA(skip))
		if done += got; err != nil {
			return done, missing(err, va+VA(done), 0)
		}
	}
	return done, nil
}

// missing turns the fault of a PhysicalReader into that of a virtual address.
func missing(err error, va VA, level int) *Fault {
	f := &Fault{Address: va, Reason: NotInDump, Level: level}
	var p *Fault
	if errors.As(err, &p) {
		f.Reason, f.Page, f.HasPage = p.Reason, p.Page, p.HasPage
	}
	return f
}

// Translate returns the physical address of va, whether the dump holds that page
// or not; else a *Fault.
func (s *Space) Translate(va VA) (PA, error) {
	t, err := s.translate(va)
	if err != nil {
		return 0, err
	}
	return t.pa + PA(va-t.va), nil
}

func (s *Space) translate(va VA) (*translation, error) {
	slot := &s.seen[va/PageSize%translations]
	if t := slot.Load(); t != nil && uint64(va-t.va) < t.size {
		return t, nil
	}
	info, err := s.Page(va)
	if err != nil {
		return nil, err
	}
	if info.Size == 0 {
		return nil, &Fault{Address: va, Reason: "is " + string(info.State), Level: info.Level}
	}
	t := &translation{va: va &^ VA(info.Size-1), pa: info.Base, size: info.Size}
	slot.Store(t)
	return t, nil
}

// Page walks the page tables and says what they hold of va. The error is a
// *Fault: a table that the dump lacks. An address that the processor does not
// have is Unmapped. The walk reads one entry a level, so a table that points to
// itself ends as any other.
func (s *Space) Page(va VA) (PageInfo, error) {
	info, err := s.walk(va)
	if err == nil && info.State == Prototype && info.Level == 1 {
		info.Base, info.Size = s.shared(info.PrototypePTE)
	}
	return info, err
}

func (s *Space) walk(va VA) (PageInfo, error) {
	g := s.paging.geometry()
	level := len(g.shifts)
	at, ok := s.paging.canonical(va)
	if !ok {
		return PageInfo{State: Unmapped, Level: level}, nil
	}
	info := PageInfo{Writable: true, Executable: true, User: true}
	for table := s.root; ; level-- {
		index := uint64(at) >> g.shifts[level-1] & (1<<g.indexBits - 1)
		pa := table + PA(index*g.entrySize)
		pte, err := s.entry(pa, g.entrySize)
		if err != nil {
			return PageInfo{}, missing(err, va, level)
		}
		e := s.paging.decode(pte, level)
		info.State, info.PTE, info.Entry, info.Level = e.state, pte, pa, level
		if e.state == Valid { // a table in transition says nothing of rights
			info.allow(e)
		}
		if level > 1 && !e.large && (e.state == Valid || e.state == Transition) {
			table = e.at
			continue
		}
		info.finish(e, g.shifts[level-1])
		return info, nil
	}
}

// shared returns the page that a prototype PTE stands for; sizes 0 where it says
// that the page is not in memory, or cannot be read. Prototype PTEs lie in paged
// pool, whose own entries are of another kind: nothing is followed twice.
func (s *Space) shared(va VA) (PA, uint64) {
	if va == 0 {
		return 0, 0
	}
	info, err := s.walk(va)
	if err != nil || info.Size == 0 {
		return 0, 0
	}
	pte, err := s.entry(info.Base+PA(uint64(va)&(info.Size-1)), s.paging.geometry().entrySize)
	if err != nil {
		return 0, 0
	}
	if e := s.paging.decode(pte, 1); e.state == Valid || e.state == Transition {
		return e.at, PageSize
	}
	return 0, 0
}

// allow takes off what a valid entry forbids.
func (i *PageInfo) allow(e entry) {
	i.Writable, i.Executable, i.User = i.Writable && e.writable, i.Executable && e.executable, i.User && e.user
}

// finish fills in what the last entry of a walk says.
func (i *PageInfo) finish(e entry, shift uint8) {
	if e.state != Valid {
		i.Writable, i.Executable, i.User = false, false, false
	}
	if e.state == Valid || e.state == Transition {
		i.Size = 1 << shift
		i.Base = e.at &^ PA(i.Size-1)
	}
	i.PageFile, i.PageFileOffset, i.PrototypePTE = e.file, e.offset, e.prototype
}

// entry reads one entry of a page table.
func (s *Space) entry(pa PA, size uint64) (uint64, error) {
	var b [8]byte
	if _, err := s.phys.ReadPhysical(b[:size], pa); err != nil {
		return 0, err
	}
	return le.U64(b[:], 0), nil
}
