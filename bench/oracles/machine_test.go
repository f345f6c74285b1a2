package oracles

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bugcheck/lab/ram"
)

// machine is memory mapped by hand: what every page holds and where every address leads
// is known from the calls that made it.
type machine struct {
	memory       *ram.Memory
	system, user *ram.Space
	header       ram.Header
	pages        []uint64 // physical addresses: in use, free, and no memory at all
	addresses    []address
	giant        bool              // ARM64 has no such page here
	waiting      map[uint64]uint64 // pages in transition: virtual address → physical
}

// address is a virtual address in one of the spaces. Where it is not mapped, page is absent.
type address struct {
	cr3, va uint64
	pa      uint64
	mapped  bool
}

// Where the parts of the machine lie. The large pages are the kernel's image, as on a
// real one; giant is mapped by one entry of the third level.
const (
	image  = 0xfffff80312a00000
	pool   = 0xffff8a0111200000
	giant  = 0xffffa00000000000 // leads to giantFrame
	code   = 0x7ff712340000
	heap   = 0x1c23a400000
	nobody = 0xffffe50000000000

	giantSize, giantFrame = 1 << 30, 0x40000
)

// invent makes a machine with size bytes of memory, at least 4 GiB for the giant page.
func invent(t testing.TB, arch string, size uint64) *machine {
	t.Helper()
	m := &machine{memory: ram.New(arch, size), waiting: map[uint64]uint64{}}
	m.system = m.memory.NewSpace()
	m.user = m.memory.NewSpace()
	r := rand.New(rand.NewPCG(4, 0xb0))
	for _, part := range []struct {
		space    *ram.Space
		va, size uint64
		p        ram.Protection
	}{
		{m.system, image, 0x1000000, ram.Executable | ram.Large},
		{m.system, image + 0x1000000, 0x20000, ram.Writable},
		{m.system, pool, 0x800000, ram.Writable},
		{m.user, code, 0x40000, ram.Executable},
		{m.user, heap, 0x800000, ram.Writable},
	} {
		check(t, part.space.Map(part.va, part.size, part.p))
		for at := part.va; at < part.va+part.size; at += ram.PageSize {
			check(t, part.space.Write(at, noise(r)))
		}
	}
	// What is no longer in memory, or waits on a list.
	for at := uint64(heap + 0x100000); at < heap+0x140000; at += ram.PageSize {
		pa, err := m.user.Translate(at)
		check(t, err)
		m.waiting[at] = pa
		check(t, m.user.Transition(at, ram.PageSize))
	}
	check(t, m.user.PageOut(heap+0x140000, 0x20000, 0, 0x77))
	check(t, m.user.DemandZero(heap+0x1000000, 0x20000, ram.Writable))
	if arch == "x64" {
		m.mapGiant(t)
	}
	m.choosePages(r, size)
	m.chooseAddresses(r)
	m.header = header(m.system.Root(), arch)
	return m
}

func noise(r *rand.Rand) []byte {
	b := make([]byte, ram.PageSize)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}

// mapGiant maps the second GiB of memory by one entry of the third level. The entry stands
// in the table that a neighbour's mapping made.
func (m *machine) mapGiant(t testing.TB) {
	t.Helper()
	m.giant = true
	check(t, m.system.Map(giant+giantSize, ram.PageSize, ram.Writable))
	top := make([]byte, 8)
	check(t, m.memory.Read(m.system.Root()+giant>>39&511*8, top))
	table := binary.LittleEndian.Uint64(top) & 0xffffffffff000
	entry := uint64(giantFrame*ram.PageSize) | 1<<63 | 0x1e3 // present, written to, accessed, dirty, a page, global
	check(t, m.memory.Write(table+giant>>30&511*8, binary.LittleEndian.AppendUint64(nil, entry)))
}

// choosePages picks 10,000 physical addresses: half of them in use, the rest anywhere.
func (m *machine) choosePages(r *rand.Rand, size uint64) {
	var used []uint64
	m.memory.Used(func(pfn uint64, _ ram.Class) { used = append(used, pfn) })
	for range 5000 {
		m.pages = append(m.pages, used[r.IntN(len(used))]*ram.PageSize+r.Uint64N(0xff0))
	}
	for range 5000 {
		m.pages = append(m.pages, r.Uint64N(size+1<<30)&^0xf)
	}
}

// chooseAddresses picks 10,000 virtual addresses of both spaces: mapped by pages of each
// size, in transition, paged out, never mapped.
func (m *machine) chooseAddresses(r *rand.Rand) {
	places := []struct {
		space    *ram.Space
		va, size uint64
		weight   int
	}{
		{m.system, image, 0x1020000, 3}, {m.system, pool, 0x800000, 3}, {m.user, image, 0x1020000, 1},
		{m.user, code, 0x40000, 3}, {m.user, heap, 0x800000, 4}, {m.system, heap, 0x800000, 1},
		{m.user, heap + 0x1000000, 0x20000, 1}, {m.system, nobody, 1 << 30, 1}, {m.system, image + 0x2000000, 1 << 30, 1},
		{m.system, giant, giantSize, 2},
	}
	for _, p := range places {
		for range 500 * p.weight {
			a := address{cr3: p.space.Root(), va: p.va + r.Uint64N(p.size)&^0xf}
			a.pa, a.mapped = m.translate(p.space, a.va)
			m.addresses = append(m.addresses, a)
		}
	}
}

// translate says where an address leads, by the calls that mapped it.
func (m *machine) translate(space *ram.Space, va uint64) (uint64, bool) {
	if pa, ok := m.waiting[va&^(ram.PageSize-1)]; ok && space == m.user {
		return pa | va%ram.PageSize, true
	}
	if va >= giant && va < giant+giantSize && m.giant {
		return giantFrame*ram.PageSize + va - giant, true
	}
	pa, err := space.Translate(va)
	return pa, err == nil
}

func header(cr3 uint64, arch string) ram.Header {
	context := make([]byte, 0x4d0)
	if arch == "arm64" {
		context = make([]byte, 0x390)
	}
	for i := range context {
		context[i] = byte(i*7 + i>>8)
	}
	return ram.Header{
		Build: 22621, Processors: 4, Code: 0xd1, Parameters: [4]uint64{pool + 0x10, 2, 1, image + 0x1234},
		Context: context, DirectoryTableBase: cr3, PsLoadedModuleList: nobody, PsActiveProcessHead: nobody,
		KdDebuggerDataBlock: nobody, Time: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC), Uptime: 3 * time.Hour,
	}
}

// write writes a dump into a folder of its own.
func (m *machine) write(t testing.TB, format ram.Format) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), format.String()+".dmp"))
	check(t, err)
	defer f.Close()
	check(t, m.memory.Dump(f, format, &m.header))
	return f.Name()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
