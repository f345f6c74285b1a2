package kernel_test

import (
	"strings"
	"testing"
	"time"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"

	"github.com/google/go-cmp/cmp"
)

func TestProcessors(t *testing.T) {
	for _, column := range wholeColumns {
		w := newWorld(t, column)
		prcb := func(name string) mem.VA { return w.prcbs[1] + w.at("_KPRCB "+name) }
		w.put(prcb("DpcRoutineActive"), []byte{1})
		w.put32(prcb("DpcTimeCount"), 64)
		w.put32(prcb("InterruptCount"), 77)
		limit := "DpcTimeLimit"
		if _, ok := w.field["_KPRCB "+limit]; !ok {
			limit = "DpcTimeLimitTicks"
		}
		w.put32(prcb(limit), 1280)
		m := w.open()
		list, err := m.Processors()
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %d processors, %v; want 2", column, len(list), err)
		}
		a, b := list[0], list[1]
		if a.Crashed || !b.Crashed || *a.Number != 0 || *b.Number != 1 || a.Thread != w.worker || b.Thread != w.crashing || *b.IRQL != 2 {
			t.Errorf("%s: processors %+v, %+v", column, a, b)
		}
		if b.KernelTime != 10*time.Second { // 640 ticks of 15.625 ms
			t.Errorf("%s: kernel time %v, want 10s", column, b.KernelTime)
		}
		if !b.DPCActive || a.DPCActive || *b.Interrupts != 77 || b.Watchdog.Running != time.Second || b.Watchdog.RunningLimit != 20*time.Second {
			t.Errorf("%s: DPC active %v, %d interrupts, watchdog %+v", column, b.DPCActive, *b.Interrupts, b.Watchdog)
		}
		if pc, _ := b.Registers.PC(); pc != uint64(w.rip) {
			t.Errorf("%s: instruction pointer %#x, want %v", column, pc, w.rip)
		}
		want := []kernel.StackRange{
			{Kind: kernel.StackThread, Start: stackTop - 0x6000, End: stackTop},
			{Kind: kernel.StackDPC, Start: w.dpcStack + 0xa000, End: w.dpcStack + 0x10000},
		}
		if w.arch == dump.ARM64 {
			want[1].Start -= 0x2000
		}
		if diff := cmp.Diff(want, b.Stacks); diff != "" {
			t.Errorf("%s: stacks (-want +got):\n%s", column, diff)
		}
		var routines []mem.VA
		for _, d := range b.DPCs[0].Queued {
			routines = append(routines, d.Routine)
		}
		if diff := cmp.Diff([]mem.VA{w.myfault + 0x1000, w.myfault + 0x1100}, routines); diff != "" || b.DPCs[0].Depth != 2 || len(b.DPCs[1].Queued) != 0 {
			t.Errorf("%s: queue %+v:\n%s", column, b.DPCs, diff)
		}
	}
}

// The one that crashed is known by what it saved, else by the stack it stood on.
func TestCrashedProcessor(t *testing.T) {
	frame := func(w *world, i int) mem.VA { return w.prcbs[i] + w.at("_KPRCB ProcessorState.ContextFrame") }
	for _, tt := range []struct {
		name string
		put  func(w *world)
		want uint32
		note bool
	}{
		{"both on its stack, the first saved the registers", func(w *world) {
			w.putVA(frame(w, 0)+0xf8, w.rip)
			w.putVA(frame(w, 0)+0x98, w.rsp)
			w.putVA(frame(w, 1)+0xf8, 0)
		}, 0, false},
		{"nothing saved, the second's thread", func(w *world) { w.putVA(frame(w, 1)+0xf8, 0) }, 1, false},
		{"nothing saved, the first's DPC stack", func(w *world) {
			w.putVA(frame(w, 1)+0xf8, 0)
			put64(w.context, 0x98, uint64(w.dpcStack)-0x100)
			w.put(w.dpcStack-0x1000, make([]byte, 0x1000))
		}, 0, false},
		{"nothing fits", func(w *world) { w.putVA(frame(w, 1)+0xf8, 0); put64(w.context, 0x98, 0x1000) }, 0, true},
	} {
		w := newWorld(t, "x64 19041")
		tt.put(w)
		m := w.open()
		if n := m.Processor().Number; n == nil || *n != tt.want {
			t.Errorf("%s: processor %v, want %d", tt.name, n, tt.want)
		}
		if got := strings.Contains(notes(m), "which one crashed is not known"); got != tt.note {
			t.Errorf("%s: notes:\n%s", tt.name, notes(m))
		}
	}
}

// Lists and counts of an enemy's end.
func TestProcessors_Hostile(t *testing.T) {
	w := newWorld(t, "x64 19041")
	first := mem.VA(w.read64(w.prcbs[1] + w.at("_KPRCB DpcData")))
	w.putVA(mem.VA(w.read64(first)), first)
	w.header.Processors = 0xffffffff
	w.putVA(w.nt+0x801100, 0xffffdead_00000000)
	m := w.open()
	list, err := m.Processors()
	if len(list) != 1 || err == nil || !strings.Contains(err.Error(), "processor 0: KPRCB at ffffdead`00000000") {
		t.Errorf("%d processors, %v; want the one that is there, and an error that names the other", len(list), err)
	}
	if q := list[0].DPCs[0]; len(q.Queued) != 2 {
		t.Errorf("%d queued DPCs, want 2", len(q.Queued))
	}
	w.putVA(w.nt+0x801100, w.prcbs[0])
	if _, err := w.open().Processors(); err == nil || !strings.Contains(err.Error(), "the list comes back to "+first.String()) {
		t.Errorf("got %v, want that the list comes back to %v", err, first)
	}
}
