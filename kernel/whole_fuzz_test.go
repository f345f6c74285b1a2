package kernel_test

import (
	"encoding/binary"
	"sync"
	"testing"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/mem"
)

// walkWhole asks a machine of whole memory everything.
func walkWhole(tb testing.TB, m *kernel.Machine) {
	tb.Helper()
	walk(tb, m)
	processes, _ := m.Processes()
	for i, p := range processes {
		if own, _ := m.As(p); own != nil && i < 4 {
			_ = own.Stack(own.HeaderRegisters(), nil)
		}
		threads, _ := m.Threads(p)
		for j, th := range threads {
			if i+j > 16 {
				break // of a list that an enemy made
			}
			if frames, _ := m.ThreadStack(th); len(frames) > 1024 {
				tb.Errorf("%d frames", len(frames))
			}
		}
	}
	processors, _ := m.Processors()
	for _, p := range processors {
		_ = m.Stack(p.Registers, nil)
	}
	_, _ = m.BugCheckData()
	m.Involved()
	for i := range m.Modules {
		m.VersionOf(i)
	}
}

// scribbled is physical memory with words of it changed.
type scribbled struct {
	mem.PhysicalReader
	patches map[mem.PA][]byte
}

func (s scribbled) ReadPhysical(p []byte, pa mem.PA) (int, error) {
	n, err := s.PhysicalReader.ReadPhysical(p, pa)
	for at, b := range s.patches {
		for i := range b {
			if off := int64(at) + int64(i) - int64(pa); off >= 0 && off < int64(n) {
				p[off] = b[i]
			}
		}
	}
	return n, err
}

// patched is a machine's file with patches of eight bytes: a place in physical
// memory, of which there are some MiB, and what stands there.
func (w *world) patched(patches []byte) *dump.File {
	f := w.bareFile()
	s := scribbled{&w.ram, map[mem.PA][]byte{}}
	for ; len(patches) >= 12; patches = patches[12:] {
		at := mem.PA(binary.LittleEndian.Uint32(patches)) % w.ram.next
		s.patches[at] = patches[4:12]
	}
	f.Physical = s
	f.Memory = f.Space(f.Header.DirectoryTable)
	return f
}

// FuzzWhole changes words of a machine's memory, then everything reachable is asked.
func FuzzWhole(f *testing.F) {
	worlds := []*world{newWorld(f, "x64 19041"), newWorld(f, "x64 26100"), newWorld(f, "arm64 26100")}
	for i, w := range worlds {
		w.put(kdbgAt, w.block())
		f.Add(uint8(i), []byte{})
		for _, va := range []mem.VA{w.modules, w.processes, kdbgAt + 0x218, w.notmyfault + w.at("_EPROCESS ObjectTable"), w.prcbs[1] + 8, kdbgAt + 0x2b0} {
			pa, err := w.bareFile().Space(w.root).Translate(va)
			if err != nil {
				f.Fatal(err)
			}
			at := binary.LittleEndian.AppendUint32(nil, uint32(pa))
			f.Add(uint8(i), append(at[:4:4], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
			f.Add(uint8(i), binary.LittleEndian.AppendUint64(at, uint64(va)))
		}
	}
	f.Fuzz(func(t *testing.T, seed uint8, patches []byte) {
		walkWhole(t, kernel.Open(worlds[int(seed)%len(worlds)].patched(patches)))
	})
}

// Each page of a machine's memory is taken away in turn: the stop code stays, and
// what is missing is an error or a note.
func TestWhole_PagesMissing(t *testing.T) {
	w := newWorld(t, "x64 19041")
	f := w.dumpFile()
	for pa := mem.PA(mem.PageSize); pa <= w.ram.next; pa += mem.PageSize {
		page := w.ram.pages[pa]
		delete(w.ram.pages, pa)
		m := kernel.Open(w.bareFile())
		if m.Header.BugCheckCode != f.Header.BugCheckCode {
			t.Errorf("without page %v: stop code %#x", pa, m.Header.BugCheckCode)
		}
		walkWhole(t, m)
		if _, ok := m.Process(); (!ok || len(m.Modules) < 3) && len(m.Notes) == 0 {
			t.Errorf("without page %v: %d modules, a process: %v, and no note", pa, len(m.Modules), ok)
		}
		w.ram.pages[pa] = page
	}
}

// Several goroutines may ask one machine.
func TestWhole_Concurrent(t *testing.T) {
	s := labSystem(t, lab.Plan{Arch: "x64", Build: 19041})
	m := kernel.OpenWith(t.Context(), labDump(t, s, ram.KernelBitmap), finder(t, t.TempDir()))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { walkWhole(t, m) })
	}
	group.Wait()
	if list, err := m.Processes(); err != nil || len(list) != len(s.Processes)-1 {
		t.Errorf("%d processes, %v", len(list), err)
	}
}
