package kernel_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/symbols"
)

func TestThreads(t *testing.T) {
	for _, column := range wholeColumns {
		w := newWorld(t, column)
		name := w.alloc(16)
		w.text(name, "worker")
		w.putVA(w.worker+w.at("_ETHREAD ThreadName"), name)
		m := w.open()
		list, err := m.Threads(kernel.Process{Address: w.system})
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %d threads, %v; want 1", column, len(list), err)
		}
		th := list[0]
		if th.Address != w.worker || *th.ID != 8 || th.State != kernel.Waiting || th.WaitReason != "WrQueue" || th.Name != "worker" {
			t.Errorf("%s: thread %v, %d, %v, %s, %q", column, th.Address, *th.ID, th.State, th.WaitReason, th.Name)
		}
		if th.Waited != time.Second { // 64 ticks
			t.Errorf("%s: waited %v, want 1s", column, th.Waited)
		}
		if th.Priority != 9 || th.Process != w.system || th.Created.Year() != 2024 || th.Start != w.nt+0x5000 || th.StackBase != stackTop+0x100000 {
			t.Errorf("%s: thread %+v", column, th)
		}
	}
}

// The layouts of other threads' states have their words.
func TestThreadState(t *testing.T) {
	for s, want := range map[kernel.ThreadState]string{kernel.Running: "Running", 9: "WaitingForProcessInSwap", 77: "state 77"} {
		if got := s.String(); got != want {
			t.Errorf("state %d is %q, want %q", uint8(s), got, want)
		}
	}
}

// load puts the compiled driver where myfault.sys lies.
func (w *world) load(t *testing.T, c chain) {
	t.Helper()
	f := finder(t, c.dir).Module(t.Context(), symbols.Wanted{Name: "myfault.sys", Timestamp: c.timestamp, Size: c.size})
	b := make([]byte, c.size)
	head := make([]byte, 0x400)
	if _, err := f.Image.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	copy(b, head)
	sections, err := f.Image.Sections()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		part := b[s.RVA:min(int(s.RVA)+int(s.VirtualSize), len(b))]
		if n, err := f.Image.ReadAt(part, s.RVA); n == 0 {
			t.Fatal(err)
		}
	}
	w.put(w.myfault, b)
}

// call puts the bytes of a call where it returns to, so that code could return there.
func (w *world) call(ret mem.VA) mem.VA {
	w.put(ret-5, []byte{0xe8, 0, 0, 0, 0})
	return ret
}

func (w *world) words(va mem.VA, list ...uint64) {
	for i, v := range list {
		w.put64(va+mem.VA(8*i), v)
	}
}

// quietStack fills a stack's frames for Inner, called by Middle and Outer, and
// returns where Outer was called from. Decoys lie between them.
func (w *world) chainAt(c chain, sp mem.VA) {
	base := uint64(w.myfault)
	nt := uint64(w.call(w.nt + 0x2005))
	w.words(sp, base+c.middle+10, base+c.outer+10, nt, 0, 0, 0x51, base+c.outer+10)
	w.words(sp+0x38, 0, base+c.middle+10, nt, 0, 0, 0, 0, 0, 0xb0, nt)
}

// Images in memory serve as unwind tables without any symbols.
func TestStack_ImagesInMemory(t *testing.T) {
	c := compile(t, "x64", "x86_64-pc-windows-msvc", "x64")
	w := newWorld(t, "x64 19041")
	w.load(t, c)
	w.chainAt(c, w.rsp)
	put64(w.context, 0xf8, uint64(w.myfault)+c.inner)
	w.putVA(w.prcbs[1]+w.at("_KPRCB ProcessorState.ContextFrame")+0xf8, w.myfault+mem.VA(c.inner))
	m := w.open()
	if m.Modules[2].Timestamp != c.timestamp {
		t.Errorf("timestamp %x, want that of the image's header, %x", m.Modules[2].Timestamp, c.timestamp)
	}
	got := described(m.Stack(m.HeaderRegisters(), nil))
	want := []string{
		fmt.Sprintf("myfault!+%#x context", c.inner), fmt.Sprintf("myfault!+%#x unwind", c.middle+10),
		fmt.Sprintf("myfault!+%#x unwind", c.outer+10), "nt!+0x2005 unwind",
	}
	if strings.Join(got[:min(len(got), 4)], "\n") != strings.Join(want, "\n") {
		t.Errorf("frames:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// With a symbol path the files are found by what the images say.
	m = kernel.OpenWith(t.Context(), w.dumpFile(), finder(t, c.dir))
	got = described(m.Stack(m.HeaderRegisters(), nil))
	want = []string{"myfault!Inner+0x0 context", "myfault!Middle+0xa unwind", "myfault!Outer+0xa unwind", "nt!+0x2005 unwind"}
	if strings.Join(got[:min(len(got), 4)], "\n") != strings.Join(want, "\n") {
		t.Errorf("frames with symbols:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A thread that waits begins where it was switched out.
func TestThreadStack_Waiting(t *testing.T) {
	c := compile(t, "x64", "x86_64-pc-windows-msvc", "x64")
	w := newWorld(t, "x64 19041")
	w.load(t, c)
	w.putVA(w.prcbs[0]+w.at("_KPRCB CurrentThread"), 0)
	sp := w.stack + 0x100000 - 0x900
	w.putVA(w.worker+w.at("_KTHREAD KernelStack"), sp)
	w.putVA(sp+0x38, w.myfault+mem.VA(c.inner)) // no call stands before it
	m := w.open()
	th, err := m.ThreadAt(w.worker)
	if err != nil {
		t.Fatal(err)
	}
	if frames, err := m.ThreadStack(th); err == nil || !strings.Contains(err.Error(), w.worker.String()) {
		t.Errorf("%d frames, %v; want an error that names the thread", len(frames), err)
	}
	w.putVA(sp+0x38, w.myfault+mem.VA(c.middle)+10)
	w.words(sp+0x40, uint64(w.myfault)+c.outer+10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	frames, err := m.ThreadStack(th)
	if err != nil || len(frames) == 0 || uint64(frames[0].Address) != uint64(w.myfault)+c.middle+10 {
		t.Errorf("frames %v, %v; want the first in Middle", described(frames), err)
	}
}
