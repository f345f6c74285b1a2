package lab

import (
	"fmt"

	"bugcheck/lab/code"
)

// trapKind is a way in which the processor enters the kernel.
type trapKind int

const (
	pageFault trapKind = iota
	breakpoint
	doubleFault
	failFast
	machineCheck
)

// entries64 are the functions that x64 enters, and what they call on the way to those that
// both architectures share.
var entries64 = map[trapKind][]string{
	pageFault: {"nt!KiPageFault"}, breakpoint: {"nt!KiBreakpointTrap"}, doubleFault: {"nt!KiDoubleFaultAbort"},
	failFast: {"nt!KiRaiseSecurityCheckFailure", "nt!KiFastFailDispatch"}, machineCheck: {"nt!KiMcheckAbort"},
}

// entriesARM64: all faults of an instruction come through one vector.
var entriesARM64 = map[trapKind][]string{
	pageFault:    {"nt!KiArm64ExceptionVectors", "nt!KzSynchronousException", "nt!KiSynchronousException"},
	breakpoint:   {"nt!KiArm64ExceptionVectors", "nt!KzSynchronousException", "nt!KiSynchronousException"},
	failFast:     {"nt!KiArm64ExceptionVectors", "nt!KzSynchronousException", "nt!KiSynchronousException"},
	doubleFault:  {"nt!KiKernelExceptionHandler", "nt!KiStackOverflowException"},
	machineCheck: {"nt!KiKernelSp0SystemErrorHandler"},
}

func (g *stage) entries(k trapKind) []string {
	if g.s.Arch == "arm64" {
		return entriesARM64[k]
	}
	return entries64[k]
}

// trapEntry is the function whose frame holds the KTRAP_FRAME.
func (g *stage) trapEntry(k trapKind) string { return g.entries(k)[0] }

// trap interrupts the innermost function; stack is the end of the stack that the processor
// changes to, 0 for none.
func (g *stage) trap(k trapKind, stack uint64, t code.Trap) {
	names := g.entries(k)
	g.enter(names[0], stack, t).call(names[1:]...)
}

// systemCall enters the kernel from user mode and calls a service.
func (g *stage) systemCall() { g.enterSystem("nt!KiSystemServiceCopyEnd") }

// enterSystem enters the kernel from user mode; place is where in the entry it is.
func (g *stage) enterSystem(place string) {
	t := code.Trap{User: true, Flags: 0x246}
	if g.s.Arch != "arm64" {
		g.enter(place, g.thread.InitialStack, t)
		return
	}
	t.Flags = 0
	g.enter(g.systemEntry(), g.thread.InitialStack, t).call("nt!KiSystemService").label(place)
}

// systemEntry is the function whose frame holds the KTRAP_FRAME of a system call, as the
// stage names it.
func (g *stage) systemEntry() string {
	if g.s.Arch == "arm64" {
		return "nt!KiSystemServiceEntry"
	}
	for _, name := range []string{"nt!KiSystemServiceCopyEnd", "nt!KiSystemServiceExit"} {
		for _, f := range g.inner {
			if f == name {
				return name
			}
		}
	}
	return ""
}

// clockInterrupt lets the clock interrupt the innermost function, on the stack for
// interrupts of the processor that will write the dump.
func (g *stage) clockInterrupt() *stage {
	return g.interrupt(g.s.Crashed).call("nt!HalpTimerClockInterrupt", "nt!KeClockInterruptNotify")
}

// interrupt lets a device interrupt what runs on a processor, up to the call of its routine.
func (g *stage) interrupt(p *KPrcb) *stage {
	isr := p.IsrStack
	if g.s.Arch == "arm64" {
		g.enter("nt!KiKernelSp0InterruptHandler", 0, code.Trap{})
		g.call("nt!KiInterruptException", "nt!KxSwitchStackAndPlayInterrupt").onStack(isr).call("nt!KiPlayInterrupt")
	} else {
		g.enter("nt!KiInterruptDispatchNoLockNoEtw", 0, code.Trap{Flags: 0x202})
		g.call("nt!KiInterruptSubDispatchNoLockNoEtw").onStack(isr)
	}
	return g.call("nt!KiCallInterruptServiceRoutine")
}

// pointerRegister gives the register through which the lab's code reads and writes a value.
func (g *stage) pointerRegister(v uint64) code.Value {
	if g.s.Arch == "arm64" {
		return code.Value{Name: "x19", Value: v}
	}
	return code.Value{Name: "rbx", Value: v}
}

// breakCode is ESR_EL1 of a BRK instruction, from the same level.
func (g *stage) breakCode() uint64 {
	if g.s.Arch == "arm64" {
		return 0xf200f000
	}
	return 0
}

// records are where the dispatcher of exceptions keeps the CONTEXT and the EXCEPTION_RECORD:
// among the local variables of KiDispatchException.
type records struct{ context, record uint64 }

const (
	contextIn64 = 0x30
	recordIn64  = 0x520
)

// dispatch leads from a trap to the dispatcher of exceptions and on, and lays all.
func (g *stage) dispatch(functions ...string) records {
	if g.s.Arch != "arm64" {
		g.call("nt!KiExceptionDispatch")
	}
	g.call("nt!KiDispatchException").call(functions...).lay()
	sp := g.placed("nt!KiDispatchException").Registers.SP
	return records{sp + contextIn64, sp + recordIn64}
}

// exception writes the CONTEXT of the function that failed, and the EXCEPTION_RECORD.
func (g *stage) exception(at records, function string, e Exception) {
	if g.err != nil {
		return
	}
	g.fail(g.write(at.context, g.registers(g.placed(function)).Context()))
	g.fail(g.write(at.record, e.Record64()))
}

// low is the stack pointer that the innermost function would have.
func (g *stage) low() (uint64, error) {
	if g.err != nil {
		return 0, g.err
	}
	f, err := code.Forge(g.s.Arch, g.top(), g.frames, code.Registers{}, func(uint64) uint64 { return 0 })
	if err != nil {
		return 0, err
	}
	return f.Frames[len(f.Frames)-1].Registers.SP, nil
}

// top is where the outermost frame's stack ends.
func (g *stage) top() uint64 {
	if g.startsInUser() {
		return g.s.userStackTop(g.thread)
	}
	return g.thread.InitialStack
}

// wait lays a thread's stack down to the switch to another thread and lets it wait.
func (g *stage) wait(reason uint8) {
	start := uint32(5) // behind push rbp; sub rsp, 30h
	if g.s.Arch == "arm64" {
		start = 8
	}
	g.call("nt!SwapContext")
	if g.err != nil {
		return
	}
	g.frames[len(g.frames)-1].PC += start
	g.lay()
	if g.err != nil {
		return
	}
	t := g.thread
	t.KernelStack = g.placed("nt!SwapContext").Registers.SP
	g.fail(g.s.Set(t.Address, "_KTHREAD", "KernelStack", 8, t.KernelStack))
	if g.startsInUser() {
		t.TrapFrame = g.placed(g.systemEntry()).TrapFrame
		g.fail(g.s.Set(t.Address, "_KTHREAD", "TrapFrame", 8, t.TrapFrame))
	}
	event, err := g.s.Event()
	g.fail(err)
	g.fail(g.s.Wait(t, event, reason))
}

// userStackTop is the end of a thread's stack in user mode, as its TEB says.
func (s *System) userStackTop(t *EThread) uint64 {
	b := make([]byte, 8)
	s.fail(t.Process.Space.Read(t.Teb+8, b))
	v := uint64(0)
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	return v - 0x40
}

// x64Registers are a frame's registers, with values for those that no callee keeps.
func x64Registers(r code.Registers, volatile []code.Value) Registers {
	x := X64{Rip: r.PC, Rsp: r.SP, Rbx: r.R[3], Rbp: r.R[5], Rsi: r.R[6], Rdi: r.R[7],
		R12: r.R[12], R13: r.R[13], R14: r.R[14], R15: r.R[15], EFlags: 0x40286}
	to := map[string]*uint64{"rax": &x.Rax, "rcx": &x.Rcx, "rdx": &x.Rdx, "r8": &x.R8, "r9": &x.R9, "r10": &x.R10, "r11": &x.R11}
	for _, v := range volatile {
		if p := to[v.Name]; p != nil {
			*p = v.Value
		}
	}
	return x
}

// armRegisters are those of ARM64.
func armRegisters(r code.Registers, volatile []code.Value) Registers {
	a := ARM64{Fp: r.R[29], Lr: r.R[30], Sp: r.SP, Pc: r.PC, Cpsr: 0x600002c4}
	copy(a.X[:], r.R[:29])
	for _, v := range volatile {
		n := 0
		if _, err := fmt.Sscanf(v.Name, "x%d", &n); err == nil && n < len(a.X) {
			a.X[n] = v.Value
		}
	}
	return a
}

// runningDPC says in a KPRCB that a deferred procedure runs and has run for so many ticks.
func (s *System) runningDPC(p *KPrcb, routine uint64, ticks uint32) error {
	dpc := s.alloc("KDpc", 0x40, false)
	var w buf
	w.put32(0, 0x113) // a threaded or normal DPC object: its type, medium importance
	w.put64(0x18, routine)
	w.grow(0x40)
	s.put(dpc, w.b)
	if data, ok := s.layout.Field("_KPRCB", "DpcData"); ok {
		if active, ok := s.layout.Field("_KDPC_DATA", "ActiveDpc"); ok {
			s.word(p.Address+data+active, dpc)
		}
	}
	for field, v := range map[string]uint64{"DpcRoutineActive": 1} {
		s.fail(s.Set(p.Address, "_KPRCB", field, 1, v))
	}
	s.fail(s.Set(p.Address, "_KPRCB", "DpcTimeCount", 4, uint64(ticks)))
	return s.err
}
