package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bugcheck/lab/code"
)

// Crash is a whole machine that has crashed, and what an analysis of it must find.
type Crash struct {
	*System
	Kind  Kind
	Truth Truth // of whole-memory dumps, with symbols
	flip  string
}

// stage is where a crash plays: a thread on the processor that will write the dump, and the
// functions that it has come to. Frames are added from the outermost inward; play lays them
// on the stacks and stops the machine. The first error is kept, what follows does nothing.
type stage struct {
	s      *System
	thread *EThread
	frames []code.Frame
	inner  []string // the functions of frames, as "nt!IofCallDriver"
	forged *code.Forged
	irql   uint8
	raised uint32 // the code that KeBugCheckEx was called with, where it is another
	err    error
}

// on begins a stage.
func (s *System) on(t *EThread) *stage { return &stage{s: s, thread: t} }

func (g *stage) fail(err error) {
	if g.err == nil && err != nil {
		g.err = err
	}
}

// image finds a function's image and where it is loaded: in the kernel's half, else in the
// thread's process.
func (g *stage) image(function string) (image *code.Image, base uint64, name string) {
	module, name, ok := strings.Cut(function, "!")
	if ok {
		if image, base = g.s.compiledKernel(module); image != nil {
			return image, base, name
		}
		if image, base = g.s.compiledUser(g.thread.Process, module); image != nil {
			return image, base, name
		}
	}
	g.fail(fmt.Errorf("no code for %q", function))
	return nil, 0, ""
}

// call adds functions, each called by the one before it.
func (g *stage) call(functions ...string) *stage {
	for _, f := range functions {
		g.returnTo(f)
		g.add(f, code.Frame{})
	}
	return g
}

// add adds a frame; what it is doing is known when the next comes, or by at.
func (g *stage) add(function string, f code.Frame) {
	if g.err != nil {
		return
	}
	image, base, name := g.image(function)
	if image == nil {
		return
	}
	start, _, ok := image.Function(name)
	if !ok {
		start, ok = image.Symbol(name) // a label, such as KiSystemServiceCopyEnd
	}
	if !ok {
		g.fail(fmt.Errorf("%s is not in its image", function))
		return
	}
	f.Image, f.Base, f.PC = image, base, start
	g.frames = append(g.frames, f)
	g.inner = append(g.inner, function)
}

// returnTo lets the innermost function stand behind its call of another.
func (g *stage) returnTo(callee string) {
	if g.err != nil || len(g.frames) == 0 {
		return
	}
	last := len(g.frames) - 1
	image, _, caller := g.image(g.inner[last])
	_, name, _ := strings.Cut(callee, "!")
	for _, c := range []string{name, "*"} {
		if pc, ok := image.CallSite(caller, c); ok {
			g.frames[last].PC = pc
			return
		}
	}
	g.fail(fmt.Errorf("%s does not call %s", g.inner[last], callee))
}

// at says which instruction of the innermost function comes next: a label in its image. set
// are registers that it has given values, in pairs of name and value.
func (g *stage) at(label string, set ...code.Value) *stage {
	if g.err != nil {
		return g
	}
	f := &g.frames[len(g.frames)-1]
	pc, ok := f.Image.Symbol(label)
	if !ok {
		g.fail(fmt.Errorf("no label %s in %s", label, f.Image.Name))
	}
	f.PC, f.Set = pc, set
	return g
}

// enter adds a function that the processor enters, by a fault or an interrupt; stack is the
// end of the stack that it changes to, 0 for none.
func (g *stage) enter(function string, stack uint64, t code.Trap) *stage {
	g.add(function, code.Frame{Trap: &t, Stack: stack})
	return g
}

// label gives the innermost function the name of a place in it: "nt!KiSystemServiceCopyEnd".
func (g *stage) label(name string) *stage {
	if g.err == nil {
		g.inner[len(g.inner)-1] = name
	}
	return g
}

// lost adds code at an address in no image, to which the innermost function has returned.
func (g *stage) lost(at uint64) *stage {
	g.frames = append(g.frames, code.Frame{Base: at, Jumped: true})
	g.inner = append(g.inner, "")
	return g
}

// onStack lets the innermost function, which has a frame pointer, go to another stack.
func (g *stage) onStack(end uint64) *stage {
	if g.err == nil {
		g.frames[len(g.frames)-1].Stack = end
	}
	return g
}

// last returns the innermost frame that runs a function; call it after lay.
func (g *stage) placed(function string) code.Placed {
	for i := len(g.inner) - 1; i >= 0 && g.forged != nil; i-- {
		if g.inner[i] == function {
			return g.forged.Frames[i]
		}
	}
	g.fail(fmt.Errorf("%s is not on the stack", function))
	return code.Placed{}
}

// lay lays the frames on the stacks and writes them into memory.
func (g *stage) lay() {
	if g.err != nil {
		return
	}
	g.forged, g.err = code.Forge(g.s.Arch, g.top(), g.frames, code.Registers{}, nil)
	if g.err != nil {
		return
	}
	for _, r := range g.forged.Runs {
		g.fail(g.write(r.Start, r.Data))
	}
}

func (g *stage) startsInUser() bool { return len(g.frames) > 0 && g.frames[0].Base>>63 == 0 }

// write writes into the memory that the thread sees.
func (g *stage) write(va uint64, b []byte) error {
	if va>>63 == 0 {
		return g.thread.Process.Space.Write(va, b)
	}
	return g.s.Space.Write(va, b)
}

// word writes a word of the laid stack.
func (g *stage) word(va, v uint64) {
	var w buf
	w.put64(0, v)
	g.fail(g.write(va, w.b))
}

// registers turns those of a frame into a CONTEXT's.
func (g *stage) registers(p code.Placed, volatile ...code.Value) Registers {
	if g.s.Arch == "arm64" {
		return armRegisters(p.Registers, volatile)
	}
	return x64Registers(p.Registers, volatile)
}

// stop ends the play: the innermost function calls KeBugCheckEx with a code and parameters,
// on which the header's context stands, and the processor keeps it. driver is what Windows
// names on the blue screen, "" for none.
func (g *stage) stop(stopCode uint32, p [4]uint64, driver string) {
	if g.err != nil {
		return
	}
	s := g.s
	last := g.placed("nt!KeBugCheckEx")
	raised := stopCode
	if g.raised != 0 {
		raised = g.raised
	}
	r := g.registers(last, arguments(s.Arch, uint64(raised), p)...)
	if s.Arch == "x64" { // homes and the fifth argument
		g.word(last.Registers.SP+0x28, p[3])
	}
	g.fail(s.Run(g.thread, s.Crashed, g.irql))
	g.fail(s.SetContext(s.Crashed, r))
	s.Code, s.Parameters = stopCode, p
	g.fail(s.SetBugCheck(stopCode, p, driver))
}

// arguments are the registers of a call of KeBugCheckEx.
func arguments(arch string, stopCode uint64, p [4]uint64) []code.Value {
	if arch == "arm64" {
		return []code.Value{{Name: "x0", Value: stopCode}, {Name: "x1", Value: p[0]}, {Name: "x2", Value: p[1]}, {Name: "x3", Value: p[2]}, {Name: "x4", Value: p[3]}}
	}
	return []code.Value{{Name: "rcx", Value: stopCode}, {Name: "rdx", Value: p[0]}, {Name: "r8", Value: p[1]}, {Name: "r9", Value: p[2]}}
}

// truth writes down the callers from a frame outward.
func (g *stage) truth(from int) []TruthFrame {
	var list []TruthFrame
	if g.forged == nil {
		return nil
	}
	for i := from; i >= 0; i-- {
		p := g.forged.Frames[i]
		_, name, _ := strings.Cut(g.inner[i], "!")
		if p.Frame.Image == nil {
			list = append(list, TruthFrame{Address: hexadecimal(p.Registers.PC), StackPointer: hexadecimal(p.Registers.SP)})
			continue
		}
		list = append(list, TruthFrame{Image: p.Frame.Image.Name, Symbol: name, Address: hexadecimal(p.Registers.PC), StackPointer: hexadecimal(p.Registers.SP)})
	}
	return list
}

// index is where a function stands among the frames, the innermost of its name.
func (g *stage) index(function string) int {
	for i := len(g.inner) - 1; i >= 0; i-- {
		if g.inner[i] == function {
			return i
		}
	}
	g.fail(fmt.Errorf("%s is not on the stack", function))
	return 0
}

// Options says on which machine a kind is played.
type Options struct {
	Arch   string // "x64" or "arm64"
	Build  int
	Memory uint64        // bytes; 0: 4 GiB
	Time   time.Time     // of the crash; zero: 2026-03-14 09:26:53
	Uptime time.Duration // 0: 72 minutes and some, seconds where Windows did not get further
	Flip   string        // the bit that the machine's hardware has flipped; "": it is sound
}

// startFails is how long a machine is up that does not find the disk it starts from.
const startFails = 9 * time.Second

// Play lets an invented machine crash.
func Play(kind string, o Options) (*Crash, error) {
	if o.Memory == 0 {
		o.Memory = 4 << 30
	}
	k, ok := KindNamed(kind)
	if !ok {
		return nil, fmt.Errorf("the lab plays no %q", kind)
	}
	if o.Flip != "" && !slices.Contains(k.Flips, o.Flip) {
		return nil, fmt.Errorf("the lab flips no %q in %s: it does in %s", o.Flip, kind, flipping())
	}
	plan := Plan{Arch: o.Arch, Build: o.Build, Memory: o.Memory, Time: o.Time, Uptime: o.Uptime}
	if kind == bootDevice && o.Uptime == 0 {
		plan.Uptime = startFails
	}
	s, err := plan.System()
	if err != nil {
		return nil, err
	}
	c := &Crash{System: s, Kind: k, Truth: Truth{Kind: kind}, flip: o.Flip}
	if err := k.play(c); err != nil {
		return nil, fmt.Errorf("lab: %s: %w", kind, err)
	}
	if s.err != nil {
		return nil, fmt.Errorf("lab: %s: %w", kind, s.err)
	}
	c.Truth.Bugcheck = TruthBugcheck{Code: hexadecimal(uint64(s.Code))}
	for _, p := range s.Parameters {
		c.Truth.Bugcheck.Parameters = append(c.Truth.Bugcheck.Parameters, hexadecimal(p))
	}
	p := s.Crashed.Thread.Process
	c.Truth.Process = TruthProcess{Name: p.Name, PID: uint64(p.ID)}
	return c, nil
}
