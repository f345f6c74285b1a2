package kernel_test

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"testing"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"

	"github.com/google/go-cmp/cmp"
)

// encode does what Windows does to the block while no debugger is attached.
func encode(b []byte, never, always, at uint64) []byte {
	var out []byte
	for off := 0; off+8 <= len(b); off += 8 {
		w := bits.ReverseBytes64(always^binary.LittleEndian.Uint64(b[off:])) ^ at
		out = binary.LittleEndian.AppendUint64(out, never^bits.RotateLeft64(w, -int(never&0xff)))
	}
	return out
}

const elsewhere = kdbgAt + 0x12340

// The block is found and decoded wherever it lies in the kernel's image, by what is
// known of its words alone.
func TestDebuggerData(t *testing.T) {
	never, always, flag := uint64(0x8642097531fedcba), uint64(0x0f1e2d3c4b5a6978), uint64(0xfffff800_10945678)
	for _, tt := range []struct {
		name string
		put  func(w *world)
		note string
	}{
		{"encoded", func(w *world) { w.put(kdbgAt, encode(w.block(), never, always, flag)) }, "It was encoded"},
		{"encoded, no rotation", func(w *world) { w.put(kdbgAt, encode(w.block(), never&^0xff, always, flag)) }, "It was encoded"},
		{"elsewhere", func(w *world) { w.put(elsewhere, w.block()) }, "it was found at fffff800`10912340"},
		{"elsewhere, encoded", func(w *world) { w.put(elsewhere, encode(w.block(), never, always, flag)) }, "it was found at fffff800`10912340"},
		{"the header's pointer is nothing", func(w *world) { w.header.DebuggerData = 0; w.put(elsewhere, w.block()) }, "it was found at fffff800`10912340"},
		{"no list in the header", func(w *world) {
			w.header.LoadedModules, w.header.ProcessHead = 0, 0
			w.put(elsewhere, encode(w.block(), never, always, flag))
		}, "it was found at fffff800`10912340"},
		{"nothing but registers in the header", func(w *world) {
			w.header.LoadedModules, w.header.ProcessHead, w.header.DebuggerData = 0, 0, 0
			w.put(elsewhere, w.block())
		}, "it was found at fffff800`10912340"},
		{"a wrong list in the header", func(w *world) { w.header.LoadedModules = 0x1000; w.put(kdbgAt, w.block()) }, "It says that PsLoadedModuleList is at 00000000`00001000"},
	} {
		w := newWorld(t, "x64 19041")
		tt.put(w)
		m := kernel.Open(w.bareFile())
		if diff := cmp.Diff(wholeModules, names(m)); diff != "" {
			t.Errorf("%s: modules (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(w.block(), m.Blocks.DebuggerData); diff != "" {
			t.Errorf("%s: block (-want +got):\n%s", tt.name, diff)
		}
		if p, ok := m.Process(); !ok || p.Name != "notmyfault64.exe" {
			t.Errorf("%s: process %q", tt.name, p.Name)
		}
		if !strings.Contains(notes(m), tt.note) {
			t.Errorf("%s: no note has %q:\n%s", tt.name, tt.note, notes(m))
		}
	}
}

// Without the block the header's list of modules is still read.
func TestDebuggerData_Absent(t *testing.T) {
	w := newWorld(t, "x64 19041")
	m := kernel.Open(w.bareFile())
	if diff := cmp.Diff(wholeModules[:3], names(m)); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if m.Blocks.DebuggerData != nil || !strings.Contains(notes(m), "It is neither at") {
		t.Errorf("block of %d bytes, notes:\n%s", len(m.Blocks.DebuggerData), notes(m))
	}
}

// Neither block, nor lists, nor an image: what the header says stays.
func TestDebuggerData_Nothing(t *testing.T) {
	w := newWorld(t, "x64 19041")
	f := w.bareFile()
	f.Memory = mem.NewRanges(nil, 0, nil)
	m := kernel.Open(f)
	if len(m.Modules) != 0 || m.Header.BugCheckCode != 0xd1 || !strings.Contains(notes(m), "only what the header says is known") {
		t.Errorf("%d modules, code %#x, notes:\n%s", len(m.Modules), m.Header.BugCheckCode, notes(m))
	}
}

// A kernel that the table does not know is read as far as its own block says where
// things stand.
func TestDebuggerData_UnknownKernel(t *testing.T) {
	w := newWorld(t, "x64 19041")
	w.sizes[0x2a8] += 8 // SizeEProcess
	for off, key := range map[int]string{0x29c: "_KTHREAD KernelStack", 0x2a2: "_KTHREAD State", 0x340: "_KTHREAD StackLimit", 0x344: "_KTHREAD StackBase", 0x354: "_KPRCB DpcStack"} {
		w.sizes[off] = uint16(w.at(key))
	}
	m := w.open()
	if n := m.Processor().Number; n == nil || *n != 1 {
		t.Errorf("processor %v, want 1", n)
	}
	if th, ok := m.Thread(); !ok || th.Address != w.crashing {
		t.Errorf("thread %+v, want at %v", th, w.crashing)
	}
	if low, high, ok := m.StackLimits(); !ok || low != stackTop-0x6000 || high != stackTop {
		t.Errorf("stack %v to %v, %v", low, high, ok)
	}
	// The lists of processes and threads tell where their links stand.
	list, err := m.Processes()
	if err != nil || len(list) != 3 {
		t.Fatalf("%d processes, %v; want 3", len(list), err)
	}
	if p := list[2]; p.Name != "notmyfault64.e" || *p.PID != 4244 || p.Trust != report.Guessed {
		t.Errorf("process %q, %d, %s; want notmyfault64.e, 4244, guessed", p.Name, *p.PID, p.Trust)
	}
	threads, err := m.Threads(list[2])
	if err != nil || len(threads) != 1 || threads[0].Address != w.crashing {
		t.Errorf("threads %+v, %v; want the one at %v", threads, err, w.crashing)
	}
}
