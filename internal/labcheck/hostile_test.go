package labcheck_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/labcheck"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/mem"
	"bugcheck/shrink"
)

// What an enemy's dump may cost, on a machine that does other things too. The largest map
// of pages that is read, of 16 TiB, has 512 MiB and an eighth of that beside it; all
// else stays below half of it.
const (
	maxHostileTime   = 60 * time.Second
	maxHostileMemory = 768 << 20 // bytes in use
)

// bounded runs f and checks what it cost: time, and the largest heap.
func bounded(t *testing.T, f func()) {
	t.Helper()
	runtime.GC()
	stop, peak := make(chan bool), make(chan uint64)
	go func() {
		var s runtime.MemStats
		for most := uint64(0); ; {
			runtime.ReadMemStats(&s)
			most = max(most, s.HeapAlloc)
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	start := time.Now()
	f()
	took := time.Since(start)
	close(stop)
	used := <-peak
	if used > maxHostileMemory || took > maxHostileTime && !testing.Short() {
		t.Errorf("took %v and %d MiB", took, used>>20)
	}
	t.Logf("%v, %d MiB", took, used>>20)
}

// askAll asks a machine for everything.
func askAll(tb testing.TB, f *dump.File, m *kernel.Machine) {
	tb.Helper()
	r := analyze.Report(m, "", "")
	if r.Verdict.Cause == "" || r.Bugcheck == nil {
		tb.Errorf("no verdict: %+v", r.Verdict)
	}
	analyze.Top(m, "", "")
	processes, _ := m.Processes()
	for i, p := range processes {
		threads, _ := m.Threads(p)
		for j, th := range threads {
			if i+j < 64 {
				_, _ = m.ThreadStack(th)
				_, _ = m.ThreadIRPs(th.Address)
			}
		}
	}
	_, _ = m.PoolUsage()
	_, _ = m.DriverObjects()
	_, _ = m.Resources(kernel.Resource.Contended)
	_, _ = m.Services()
	_, _ = m.VirtualMemory()
	m.Involved()
	if _, err := shrink.Write(io.Discard, f, shrink.Options{}); err != nil {
		tb.Errorf("shrink: %v", err)
	}
}

// enemy is a machine whose memory somebody changes before it is dumped.
type enemy struct {
	t *testing.T
	*lab.Crash
}

func (e *enemy) word(va uint64, v uint64) {
	e.t.Helper()
	if err := e.Space.Write(va, binary.LittleEndian.AppendUint64(nil, v)); err != nil {
		e.t.Fatal(err)
	}
}

func (e *enemy) read(va uint64) uint64 {
	e.t.Helper()
	v, err := e.Word(va)
	if err != nil {
		e.t.Fatal(err)
	}
	return v
}

func (e *enemy) field(structure, name string) uint64 {
	e.t.Helper()
	at, ok := e.Field(structure, name)
	if !ok {
		e.t.Fatalf("no %s.%s", structure, name)
	}
	return at
}

// alias maps one page of its own at many addresses from va on.
func (e *enemy) alias(va uint64, pages int) {
	e.t.Helper()
	err := e.Space.Map(va, ram.PageSize, ram.Writable)
	for i := 1; i < pages && err == nil; i++ {
		var at uint64
		if at, err = e.Space.Translate(va); err == nil {
			err = e.Space.MapFrame(va+uint64(i)*ram.PageSize, at/ram.PageSize, ram.Writable)
		}
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

const hostileAt = 0xffffe10000000000 // where an enemy maps what it needs

// endless makes a list of so many entries behind a head, 16 bytes apart.
func (e *enemy) endless(head uint64, entries int) {
	e.t.Helper()
	size := (16*uint64(entries) + 0x2fff) &^ 0xfff // entries read what lies around their links
	if err := e.Space.Map(hostileAt, size, ram.Writable); err != nil {
		e.t.Fatal(err)
	}
	first := uint64(hostileAt + 0x1000)
	b := make([]byte, 16*entries)
	for i := range entries {
		at := first + 16*uint64(i)
		next, last := at+16, at-16
		if i == 0 {
			last = head
		}
		if i == entries-1 {
			next = head
		}
		binary.LittleEndian.PutUint64(b[16*i:], next)
		binary.LittleEndian.PutUint64(b[16*i+8:], last)
	}
	if err := e.Space.Write(first, b); err != nil {
		e.t.Fatal(err)
	}
	e.word(head, first)
	e.word(head+8, first+16*uint64(entries-1))
}

// hostile lists what an enemy does to a machine, and a word of the note that says so.
var hostile = []struct {
	name string
	kind string
	harm func(e *enemy)
	want string
}{
	{"module list to itself", "high-irql-kernel", func(e *enemy) {
		first := e.read(e.Symbol("PsLoadedModuleList"))
		e.word(first, first)
	}, "comes back"},
	{"module list to its middle", "high-irql-kernel", func(e *enemy) {
		head := e.Symbol("PsLoadedModuleList")
		third := e.read(e.read(e.read(head)))
		e.word(e.read(e.read(third)), third)
	}, "comes back"},
	{"module list without an end", "high-irql-kernel", func(e *enemy) { e.endless(e.Symbol("PsLoadedModuleList"), 1<<16) }, "more entries than are followed"},
	{"process list of a million", "high-irql-kernel", func(e *enemy) { e.endless(e.Symbol("PsActiveProcessHead"), 1_000_000) }, "more entries than are followed"},
	{"thread list of a million", "high-irql-kernel", func(e *enemy) {
		e.endless(e.Crashed.Thread.Process.Address+e.field("_EPROCESS", "ThreadListHead"), 1_000_000)
	}, ""},
	{"requests of a thread in a ring", "hang-irp", func(e *enemy) {
		list := e.Crashed.Thread.Address + e.field("_ETHREAD", "IrpList")
		e.word(e.read(list), e.read(list))
	}, ""},
	{"requests of a thread, a million", "hang-irp", func(e *enemy) { e.endless(e.Crashed.Thread.Address+e.field("_ETHREAD", "IrpList"), 1_000_000) }, ""},
	{"page table to itself", "high-irql-kernel", func(e *enemy) {
		root := e.Crashed.Thread.Process.Space.Root()
		var b []byte
		for range 512 {
			b = binary.LittleEndian.AppendUint64(b, root|0x63)
		}
		if err := e.Memory.Write(root, b); err != nil {
			e.t.Fatal(err)
		}
	}, ""},
	{"handle tables in a ring", "high-irql-kernel", func(e *enemy) {
		e.alias(hostileAt, 1)
		for i := uint64(0); i < 512; i++ {
			e.word(hostileAt+8*i, hostileAt)
		}
		for _, p := range e.Processes {
			if table := e.read(p.Address + e.field("_EPROCESS", "ObjectTable")); table != 0 {
				e.word(table+e.field("_HANDLE_TABLE", "TableCode"), hostileAt|2)
			}
		}
	}, ""},
	{"pool table of garbage", "leak-nonpaged", func(e *enemy) {
		e.alias(hostileAt, 1<<15)
		if err := e.Space.Write(hostileAt, noise(1)); err != nil {
			e.t.Fatal(err)
		}
		e.word(e.Symbol("PoolTrackTable"), hostileAt)
	}, ""},
	{"DPC queue in a ring", "hang-dpc", func(e *enemy) {
		for _, p := range e.Processors {
			head := p.Address + e.field("_KPRCB", "DpcData") + e.field("_KDPC_DATA", "DpcList")
			e.alias(hostileAt+0x100000*uint64(p.Number), 1)
			at := hostileAt + 0x100000*uint64(p.Number) + 0x800
			e.word(head, at)
			e.word(at, at)
		}
	}, ""},
	{"devices attached to themselves", "power-irp", func(e *enemy) {
		for _, d := range e.Drivers {
			for _, dev := range d.Devices {
				e.word(dev.Address+0x18, dev.Address)
				e.word(dev.Address+0x10, dev.Address)
			}
		}
	}, ""},
	{"names of 64 KiB", "high-irql-kernel", func(e *enemy) {
		e.alias(hostileAt, 16)
		text := bytes.Repeat([]byte{0x2e, 0x20, 0x1b, 0, 'a', 0, 0x0f, 0x20}, ram.PageSize/8) // direction marks, escapes
		if err := e.Space.Write(hostileAt, text); err != nil {
			e.t.Fatal(err)
		}
		head := e.Symbol("PsLoadedModuleList")
		for at := e.read(head); at != head; at = e.read(at) {
			for _, name := range []uint64{0x48, 0x58} {
				e.word(at+name, 0xffffffff)
				e.word(at+name+8, hostileAt)
			}
		}
	}, ""},
	{"a processor block for each of 2^32", "high-irql-kernel", func(e *enemy) {
		block := e.read(e.Symbol("KiProcessorBlock"))
		e.alias(hostileAt, 1<<10)
		for i := uint64(0); i < 512; i++ {
			e.word(hostileAt+8*i, block)
		}
		e.word(e.Symbol("KdDebuggerDataBlock")+0x218, hostileAt)
	}, ""},
}

// Lists that are rings or never end, tables that lead to themselves, counts beyond all
// measure: time and memory are bounded, there is a verdict, and the stop code is right.
func TestHostile(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			c, err := lab.Play(tt.kind, lab.Options{Arch: "x64", Build: 26100})
			if err != nil {
				t.Fatal(err)
			}
			tt.harm(&enemy{t, c})
			file := &labcheck.File{}
			if err := c.Write(file, "kernel"); err != nil {
				t.Fatal(err)
			}
			bounded(t, func() {
				f, err := dump.Open(file, file.Size())
				if err != nil {
					t.Fatal(err)
				}
				m := kernel.Open(f)
				askAll(t, f, m)
				top := analyze.Top(m, "", "")
				if top.Bugcheck.Code.String() != c.Truth.Bugcheck.Code || !strings.Contains(fmt.Sprint(top.Notes), tt.want) {
					t.Errorf("stop code %s, notes %v; want a note with %q", top.Bugcheck.Code, top.Notes, tt.want)
				}
				for _, x := range m.Modules {
					if strings.ContainsAny(x.Name+x.Path, "\u202e\u200f\x1b") {
						t.Errorf("the name %q is not clean", x.Name)
					}
				}
			})
		})
	}
}

// Headers of dumps whose counts are beyond all measure, over a sparse file of their size.
func TestHostile_Headers(t *testing.T) {
	for _, tt := range []struct {
		name, kind string
		at         int64
		v          uint64
	}{
		{"bitmap of 2^40 bits", "kernel", 0x2030, 1 << 40}, {"bitmap of 2^32 bits", "kernel", 0x2030, 1 << 32},
		{"first page of 2^62", "kernel", 0x2020, 1 << 62}, {"pages 2^64", "kernel", 0x2028, ^uint64(0)},
		{"ranges up to 2^36", "kernel-ranges", 0x2018, 1 << 36}, {"ranges of 2^64", "kernel-ranges", 0x2038, ^uint64(0)},
		{"run of 2^64 pages", "full", 0xa0, ^uint64(0)}, {"2^32 runs", "full", 0x88, 1<<32 - 1}, {"2^32 processors", "full", 0x30, 0xffffffff<<32 | 0x8664},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSpecimen(t, "high-irql-kernel", "x64", 26100, tt.kind)
			h := &harmed{file: s.file, over: map[int64][]byte{tt.at: binary.LittleEndian.AppendUint64(nil, tt.v)}}
			bounded(t, func() {
				f, err := dump.Open(h, 1<<37)
				if err != nil {
					t.Fatal(err)
				}
				askAll(t, f, kernel.Open(f))
				if f.Header.BugCheckCode != 0xd1 {
					t.Errorf("stop code %#x", f.Header.BugCheckCode)
				}
			})
		})
	}
}

// One machine is asked everything by eight goroutines at once.
func TestConcurrent(t *testing.T) {
	for _, m := range machines {
		s := newSpecimen(t, "hang-irp", m.arch, m.build, "full")
		want := fmt.Sprint(analyze.Report(s.m, "", "").Verdict)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if got := fmt.Sprint(analyze.Report(s.m, "", "").Verdict); got != want {
					t.Errorf("%s %d: %s, want %s", m.arch, m.build, got, want)
				}
				askAll(t, s.whole, s.m)
			})
		}
		group.Wait()
	}
}

// FuzzWhole patches a kernel dump of each machine, and analyses it, counts its resources
// and shrinks it.
func FuzzWhole(f *testing.F) {
	specimens := []*specimen{}
	for _, m := range machines {
		s := newSpecimen(f, "high-irql-kernel", m.arch, m.build, "kernel")
		specimens = append(specimens, s)
		for _, va := range []mem.VA{s.m.Header.LoadedModules, s.m.Header.ProcessHead, s.m.Header.DebuggerData, s.m.Header.DebuggerData + 0x218} {
			at := binary.LittleEndian.AppendUint32(nil, uint32(s.offset(f, va)/8))
			f.Add(uint8(len(specimens)-1), binary.LittleEndian.AppendUint64(at[:4:4], uint64(va)))
			f.Add(uint8(len(specimens)-1), binary.LittleEndian.AppendUint64(at[:4:4], ^uint64(0)))
		}
		f.Add(uint8(len(specimens)-1), binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, 0x2030/8), 1<<40))
	}
	f.Fuzz(func(t *testing.T, which uint8, patches []byte) {
		s := specimens[int(which)%len(specimens)]
		h := &harmed{file: s.file, over: map[int64][]byte{}}
		for ; len(patches) >= 12 && len(h.over) < 64; patches = patches[12:] {
			h.over[8*int64(binary.LittleEndian.Uint32(patches))%s.file.Size()] = patches[4:12]
		}
		d, err := dump.Open(h, h.size())
		if err != nil || d.Physical == nil {
			return
		}
		m := kernel.Open(d)
		analyze.Report(m, "", "")
		analyze.Top(m, "", "")
		_, _ = shrink.Write(io.Discard, d, shrink.Options{Stacks: true})
	})
}
