package unwind

import (
	"errors"
	"strings"
	"testing"

	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
)

type want struct {
	pc, sp mem.VA
	trust  string
}

func checkFrames(t *testing.T, frames []Frame, list []want) {
	t.Helper()
	for i, f := range frames {
		if i >= len(list) || f.PC != list[i].pc || f.SP != list[i].sp || f.Trust != list[i].trust || f.Registers.PC() != f.PC || f.Registers.SP() != f.SP {
			t.Errorf("frame %d: %v %v %s", i, f.PC, f.SP, f.Trust)
		}
	}
	if len(frames) != len(list) {
		t.Errorf("%d frames, want %d", len(frames), len(list))
	}
}

// The functions of the image that the walks use.
const (
	pushes  = base + textRVA         // push rbp, r12, rbx; sub rsp, 0x20: 0x38 bytes and the return address
	frameFn = base + textRVA + 0x100 // rbp is its frame register
	trapFn  = base + textRVA + 0x200 // an interrupt enters it: 8 bytes, then a machine frame with an error code
	noTable = base + textRVA + 0x300
	other   = base + imageEnd // a module without its image
	outside = base - 0x10000
)

func walkImage(t testing.TB) *pe.File {
	rdata := make([]byte, 0x100)
	copy(rdata, unwindInfo(1, 0, 8, 0, asm(t, codes64)))
	copy(rdata[0x20:], unwindInfo(1, 0, 10, 0x25, asm(t, codesFP)))
	copy(rdata[0x40:], unwindInfo(1, 0, 4, 0, asm(t, "0402 001a")))
	text := make([]byte, 0x400)
	for i := range text {
		text[i] = 0x90
	}
	copy(text, asm(t, prolog64+"90 e8aabbccdd 90"))
	return openBytes(t, imageBytes(pe.X64, text, rdata,
		words(textRVA, textRVA+0x80, rdataRVA, textRVA+0x100, textRVA+0x180, rdataRVA+0x20, textRVA+0x200, textRVA+0x280, rdataRVA+0x40)))
}

func walkWalker(t testing.TB, m mem.Reader) *Walker {
	f := walkImage(t)
	return &Walker{Stack: m, Modules: func(pc mem.VA) (Module, bool) {
		switch {
		case pc >= base && pc < base+imageEnd:
			return Module{Base: base, Image: f}, true
		case pc >= other && pc < other+0x1000:
			return Module{Base: other}, true
		}
		return Module{}, false
	}}
}

const stack = mem.VA(0xffffb00000001000)

// TestWalk_Trap: unwinding goes through a trap frame to another stack and ends
// at a return address of zero.
func TestWalk_Trap(t *testing.T) {
	m := memory{}
	const low = mem.VA(0xffffa00000000000) // below: the interrupted code's stack
	m.push(stack, 0, 0, 0, 0, 1, 2, 3, trapFn+0x20, 0, 0xec, pushes+0x20, 0x10, 0x246, uint64(low), 0x18)
	m.push(low, 0, 0, 0, 0, 11, 12, 13, 0)
	frames, err := walkWalker(t, m).Walk(registers(pe.X64, map[string]uint64{"rip": pushes + 0x20, "rsp": uint64(stack)}))
	if err != nil {
		t.Error(err)
	}
	checkFrames(t, frames, []want{
		{pushes + 0x20, stack, report.TrustContext},
		{trapFn + 0x20, stack + 0x40, report.TrustUnwind},
		{pushes + 0x20, low, report.TrustUnwind},
	})
	if f := frames[2]; f.MachineFrame != stack+0x50 || f.Registers.Returned || frames[1].MachineFrame != 0 || !frames[1].Registers.Returned {
		t.Errorf("machine frame at %v, returned: %v", f.MachineFrame, f.Registers.Returned)
	}
	expect(t, "the interrupted frame", frames[2].Registers, map[string]uint64{"rbx": 1, "r12": 2, "rbp": 3})
}

// TestWalk_Scan: the caller lies in a module whose image is missing; the walk
// scans, and unwinds again.
func TestWalk_Scan(t *testing.T) {
	m := memory{}
	m.push(stack, 0, 0, 0, 0, 1, 2, 3, other+0x10)
	m.push(stack+0x40, 5, outside, 6, pushes+0x20, 0, 0, 0, 0, 21, 22, 23, pushes+0x30, 0, 0, 0, 0, 31, 32, 33, 0)
	w := walkWalker(t, m)
	w.Plausible = func(ret mem.VA) bool { return ret >= base && ret < other+0x1000 }
	frames, err := w.Walk(registers(pe.X64, map[string]uint64{"rip": pushes + 0x20, "rsp": uint64(stack)}))
	if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), mem.VA(other+0x10).String()) {
		t.Errorf("error: %v", err)
	}
	checkFrames(t, frames, []want{
		{pushes + 0x20, stack, report.TrustContext},
		{other + 0x10, stack + 0x40, report.TrustUnwind},
		{pushes + 0x20, stack + 0x60, report.TrustScan},
		{pushes + 0x30, stack + 0xa0, report.TrustUnwind},
	})
	if len(frames) == 4 {
		if _, ok := frames[2].Registers.Get("rbx"); ok {
			t.Error("rbx is known behind a scan")
		}
		expect(t, "behind the scan", frames[3].Registers, map[string]uint64{"rbx": 21, "r12": 22, "rbp": 23})
	}
	w.Stacks = []Range{{stack, stack + 0x58}}
	if frames, _ := w.Walk(registers(pe.X64, map[string]uint64{"rip": pushes + 0x20, "rsp": uint64(stack)})); len(frames) != 2 {
		t.Errorf("a stack that ends before the word: %d frames, want 2", len(frames))
	}
	w.Plausible = nil
	if frames, _ := w.Walk(registers(pe.X64, map[string]uint64{"rip": pushes + 0x20, "rsp": uint64(stack)})); len(frames) != 2 {
		t.Errorf("without a scan: %d frames, want 2", len(frames))
	}
}

// TestWalk_NotLeaf: a function that has no unwind data calls nothing; if a
// return address lies in one, that is not unwound.
func TestWalk_NotLeaf(t *testing.T) {
	m := memory{}
	m.push(stack, noTable+0x10, 0, 0)
	frames, err := walkWalker(t, m).Walk(registers(pe.X64, map[string]uint64{"rip": noTable, "rsp": uint64(stack)}))
	if !errors.Is(err, ErrNoTable) {
		t.Errorf("error: %v", err)
	}
	checkFrames(t, frames, []want{{noTable, stack, report.TrustContext}, {noTable + 0x10, stack + 8, report.TrustUnwind}})
}

// TestWalk_BadCall: a call through a bad pointer; the code before the return
// address must be a call.
func TestWalk_BadCall(t *testing.T) {
	m := memory{}
	for at, want := range map[uint64]int{pushes + 14: 2, pushes + 15: 1} {
		m.push(stack, at)
		frames, err := walkWalker(t, m).Walk(registers(pe.X64, map[string]uint64{"rip": 0x41, "rsp": uint64(stack)}))
		if len(frames) != want || err == nil {
			t.Errorf("return address %x: %d frames, want %d; %v", at, len(frames), want, err)
		}
	}
}

// TestWalk_Stacks: a stack pointer that falls is believed where it moves to
// another known stack, and nowhere twice.
func TestWalk_Stacks(t *testing.T) {
	m := memory{}
	const low = mem.VA(0xffffa00000000000)
	m.push(low, 0, 0, 0, 0, uint64(low)+0x20-0x20, frameFn+0x20, 0, 0)
	m.push(stack-0x20, 0, 0, 0, 0, 0, frameFn+0x30)
	start := registers(pe.X64, map[string]uint64{"rip": frameFn + 0x20, "rsp": uint64(stack), "rbp": uint64(low) + 0x20})
	w := walkWalker(t, m)
	frames, err := w.Walk(start)
	if !errors.Is(err, ErrStack) || len(frames) != 1 {
		t.Errorf("without stacks: %d frames, %v", len(frames), err)
	}
	w.Stacks = []Range{{stack - 0x1000, stack + 0x1000}, {low, low + 0x1000}}
	frames, err = w.Walk(start)
	if len(frames) < 2 || frames[1].SP != low+0x30 || frames[1].Trust != report.TrustUnwind {
		t.Errorf("with stacks: %d frames, %v", len(frames), err)
	}
}

// TestWalk_MissingPages: an image in the dump's memory lacks the page of its
// function table, or that of its unwind data: the walk scans, and says why.
func TestWalk_MissingPages(t *testing.T) {
	m := memory{}
	m.push(stack, 0, 0, 0, 0, 1, 2, 3, pushes+0x20, 0)
	f := walkImage(t)
	for _, page := range []int64{rdataRVA, pdataRVA} {
		w := walker(without(t, f, page), m)
		w.Plausible = func(ret mem.VA) bool { return ret >= base && ret < base+imageEnd }
		frames, err := w.Walk(registers(pe.X64, map[string]uint64{"rip": pushes + 0x20, "rsp": uint64(stack)}))
		var fault *pe.Fault
		if !errors.As(err, &fault) || int64(fault.RVA)&^0xfff != page {
			t.Errorf("page %x: %v", page, err)
		}
		checkFrames(t, frames, []want{{pushes + 0x20, stack, report.TrustContext}, {pushes + 0x20, stack + 0x40, report.TrustScan}})
	}
}

// TestWalk_Limit: a stack without end.
func TestWalk_Limit(t *testing.T) {
	frames, _ := walkWalker(t, endless{}).Walk(registers(pe.X64, map[string]uint64{"rip": pushes + 0x20, "rsp": uint64(stack)}))
	if len(frames) != maxFrames {
		t.Errorf("%d frames, want %d", len(frames), maxFrames)
	}
}

// endless is a stack where every word is a return address.
type endless struct{}

func (endless) ReadAt(p []byte, va mem.VA) (int, error) {
	for i := range p {
		p[i] = byte(uint64(pushes+0x20) >> (8 * ((va + mem.VA(i)) & 7)))
	}
	return len(p), nil
}

// TestWalk_ARM64Chain: without tables ARM64 stacks are walked by fp; return
// addresses may be signed.
func TestWalk_ARM64Chain(t *testing.T) {
	m := memory{}
	const signedOther = uint64(other)&0xffffffffffff | 0x12a4<<48
	m.push(stack+0x10, uint64(stack)+0x40, signedOther+0x20)
	m.push(stack+0x40, 0, other+0x30)
	w := walkWalker(t, m)
	frames, err := w.Walk(registers(pe.ARM64, map[string]uint64{"pc": other + 0x10, "sp": uint64(stack), "fp": uint64(stack) + 0x10, "lr": other + 0x20}))
	if !errors.Is(err, ErrNoImage) {
		t.Errorf("error: %v", err)
	}
	checkFrames(t, frames, []want{
		{other + 0x10, stack, report.TrustContext},
		{other + 0x20, stack + 0x20, report.TrustFramePointer},
		{other + 0x30, stack + 0x50, report.TrustFramePointer},
	})
}

// TestRegisters_Report: names and order are those of reports.
func TestRegisters_Report(t *testing.T) {
	in := report.Registers{{Name: "rax", Value: 1}, {Name: "rbx", Value: 2}, {Name: "rip", Value: 3}, {Name: "rsp", Value: 4}, {Name: "r15", Value: 5}, {Name: "efl", Value: 6}}
	r := FromReport(pe.X64, in)
	if got := r.Report(); len(got) != 5 || got[0].Name != "rax" || got[2].Name != "rip" || got[4] != (report.Register{Name: "r15", Value: 5}) {
		t.Errorf("report: %v", got)
	}
	if r.PC() != 3 || r.SP() != 4 || r != FromReport(pe.X64, r.Report()) {
		t.Errorf("pc %v, sp %v", r.PC(), r.SP())
	}
	x := Registers{Machine: pe.X86}
	if x.Set("esp", 0x1_0000_1234); x.SP() != 0x1234 {
		t.Errorf("esp %v", x.SP())
	}
	if got := FromReport(pe.ARM64, report.Registers{{Name: "x19", Value: 9}, {Name: "lr", Value: 8}}).Report(); len(got) != 2 || got[1].Name != "lr" {
		t.Errorf("ARM64: %v", got)
	}
}
