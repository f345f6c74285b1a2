package kernel_test

import (
	"fmt"
	"os"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/internal/damage"
	"bugcheck/mem"
	"bugcheck/report"
)

// eachCorpus runs a test on every real dump.
func eachCorpus(t *testing.T, test func(t *testing.T, b []byte, want corpus.Expected)) {
	for _, want := range corpus.Dumps(t) {
		t.Run(want.File, func(t *testing.T) {
			b, err := os.ReadFile(want.Path(t))
			if err != nil {
				t.Fatal(err)
			}
			test(t, b, want)
		})
	}
}

func TestCorpus(t *testing.T) {
	eachCorpus(t, func(t *testing.T, b []byte, want corpus.Expected) {
		m := openBytes(t, b)
		walk(t, m)
		if want.Modules != 0 && len(m.Modules) != want.Modules {
			t.Errorf("%d modules, want %d", len(m.Modules), want.Modules)
		}
		p, ok := m.Process()
		if !ok || p.PID == nil || want.Process != "" && p.Name != want.Process {
			t.Errorf("process known %v, as expected %v", ok, want.Process == "" || p.Name == want.Process)
		}
		th, ok := m.Thread()
		if !ok || th.Address == 0 || th.ID == nil {
			t.Errorf("Thread() = %+v, %v", th, ok)
		}
		if n := m.Processor().Number; n == nil || *n >= m.Header.Processors {
			t.Errorf("processor %v of %d", n, m.Header.Processors)
		}
		// Stacks are 24 KiB; what was captured may be a DPC's, which is another one.
		if low, high, ok := m.StackLimits(); !ok || high-low < 0x5000 || high-low > 0x20000 {
			t.Errorf("StackLimits() = %v, %v, %v", low, high, ok)
		}
		if frames := m.Stack(m.HeaderRegisters(), nil); len(frames) < 2 || frames[0].Trust != report.TrustContext {
			t.Errorf("%d frames", len(frames))
		}
		if want.ImageSource == "parameter 2 lies in it" {
			if mod, ok := m.ModuleAt(mem.VA(corpus.Number(t, want.Parameters[1]))); !ok || mod.Name != want.Image {
				t.Errorf("parameter 2 lies in %q, want %q", mod.Name, want.Image)
			}
		}
	})
}

// The published stacks' return addresses, found where the debugger found them.
func TestCorpus_Stack(t *testing.T) {
	eachCorpus(t, func(t *testing.T, b []byte, want corpus.Expected) {
		m := openBytes(t, b)
		if len(want.Stack) == 0 {
			return
		}
		low := m.Blocks.StackTop
		frames := m.Stack(m.HeaderRegisters(), nil)
		if m.Arch == dump.X64 { // the header's may be those of the fault, further up
			pc := corpus.Number(t, want.Stack[0].Address)
			frames = m.Stack(report.Registers{{Name: "rip", Value: pc}, {Name: "rsp", Value: uint64(low)}}, nil)
		}
		found := map[uint64]string{}
		for _, f := range frames {
			found[uint64(f.Address)] = f.Module
		}
		for i, w := range want.Stack {
			at := corpus.Number(t, w.Address)
			if i == 0 || mem.VA(corpus.Number(t, w.Pointer)) <= low || corpus.Number(t, want.Parameters[1]) == at {
				continue // in a register, not on the stack
			}
			if module, ok := found[at]; !ok || module != w.Module {
				t.Errorf("frame %d at %#x: found %v in %q, want %q", i, at, ok, module, w.Module)
			}
		}
	})
}

func TestCorpus_Damage(t *testing.T) {
	eachCorpus(t, func(t *testing.T, b []byte, want corpus.Expected) {
		code := uint32(corpus.Number(t, want.Bugcheck))
		for at := 0; at < len(b); at += damage.Stride() {
			for _, kind := range damage.Kinds {
				what := fmt.Sprintf("page at %#x %s", at, kind.Name)
				walkDamaged(t, what, kind.File(b, at, min(at+damage.PageSize, len(b))), at, damage.HeaderOf(b), code)
			}
		}
	})
}
