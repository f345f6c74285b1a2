package kernel

import (
	"errors"
	"fmt"
	"time"

	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/unwind"
	"bugcheck/win"
)

// maxThreads is how many threads of a process are listed; some 5,000 have been seen.
const maxThreads = 1 << 16

// ThreadState is KTHREAD_STATE (dt nt!_KTHREAD_STATE).
type ThreadState uint8

// The states that are asked about.
const (
	Running    ThreadState = 2
	Terminated ThreadState = 4
	Waiting    ThreadState = 5
)

var threadStates = [...]string{
	"Initialized", "Ready", "Running", "Standby", "Terminated", "Waiting", "Transition", "DeferredReady",
	"GateWaitObsolete", "WaitingForProcessInSwap",
}

func (s ThreadState) String() string {
	if int(s) < len(threadStates) {
		return threadStates[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// waitReasons are the words of KWAIT_REASON (wdm.h; dt nt!_KWAIT_REASON, 22000).
var waitReasons = [...]string{
	"Executive", "FreePage", "PageIn", "PoolAllocation", "DelayExecution", "Suspended", "UserRequest",
	"WrExecutive", "WrFreePage", "WrPageIn", "WrPoolAllocation", "WrDelayExecution", "WrSuspended", "WrUserRequest",
	"WrSpare0", "WrQueue", "WrLpcReceive", "WrLpcReply", "WrVirtualMemory", "WrPageOut", "WrRendezvous",
	"WrKeyedEvent", "WrTerminated", "WrProcessInSwap", "WrCpuRateControl", "WrCalloutStack", "WrKernel",
	"WrResource", "WrPushLock", "WrMutex", "WrQuantumEnd", "WrDispatchInt", "WrPreempted", "WrYieldExecution",
	"WrFastMutex", "WrGuardedMutex", "WrRundown", "WrAlertByThreadId", "WrDeferredPreempt", "WrPhysicalFault",
	"WrIoRing",
}

func waitReason(n uint8) string {
	if int(n) < len(waitReasons) {
		return waitReasons[n]
	}
	return fmt.Sprintf("reason %d", n)
}

// threadFields says where an ETHREAD holds what; it begins with its KTHREAD.
type threadFields struct {
	budget                                                                           *listBudget
	link, cid, create, exit, status, start, win32Start, name                         int
	state, reason, waitTime, priority, base, kernel, user, switches, processor       int
	teb, process, apcProcess, initialStack, limit, stackBase, kernelStack, trapFrame int
}

func (m *Machine) threadFields() threadFields {
	e := func(name string) int { return m.Field("_ETHREAD", name) }
	k := func(name string) int { return m.Field("_KTHREAD", name) }
	return threadFields{
		budget: &listBudget{text: maxListText / 4}, // a name is a word or two
		link:   e("ThreadListEntry"), cid: e("Cid"), create: e("CreateTime"), exit: e("ExitTime"), status: e("ExitStatus"),
		start: e("StartAddress"), win32Start: e("Win32StartAddress"), name: e("ThreadName"),
		state: k("State"), reason: k("WaitReason"), waitTime: k("WaitTime"), priority: k("Priority"), base: k("BasePriority"),
		kernel: k("KernelTime"), user: k("UserTime"), switches: k("ContextSwitches"), processor: k("NextProcessor"),
		teb: k("Teb"), process: k("Process"), apcProcess: k("ApcState.Process"), initialStack: k("InitialStack"),
		limit: k("StackLimit"), stackBase: k("StackBase"), kernelStack: k("KernelStack"), trapFrame: k("TrapFrame"),
	}
}

// Threads lists the threads of a process. What was read is returned beside the
// error.
func (m *Machine) Threads(p Process) ([]Thread, error) {
	f, head := m.threadFields(), m.Field("_EPROCESS", "ThreadListHead")
	if head < 0 || f.link < 0 {
		return nil, fmt.Errorf("threads of the process at %v: the layout of this kernel is not known", p.Address)
	}
	entries, err := m.ring(m.Memory, p.Address+mem.VA(head), maxThreads)
	if err != nil {
		err = fmt.Errorf("threads of the process at %v: %w", p.Address, err)
	}
	var list []Thread
	for _, va := range entries {
		t, bad := m.threadAt(va-mem.VA(f.link), f)
		if bad != nil && err == nil {
			err = bad
		}
		list = append(list, t)
	}
	return list, err
}

// ThreadAt reads an ETHREAD.
func (m *Machine) ThreadAt(va mem.VA) (Thread, error) { return m.threadAt(va, m.threadFields()) }

func (m *Machine) threadAt(va mem.VA, f threadFields) (Thread, error) {
	o, err := m.read("thread", va, m.SizeOf("_ETHREAD"))
	t := Thread{Address: va, State: ThreadState(o.u8(f.state)), Process: o.pointer(f.apcProcess)}
	if f.process >= 0 {
		t.Process = o.pointer(f.process)
	}
	if f.cid >= 0 {
		t.ID = o.word(f.cid + m.Arch.PointerSize())
	}
	if t.State == Waiting {
		t.WaitReason = waitReason(o.u8(f.reason))
		t.Waited = m.since(o.maybe32(f.waitTime))
	}
	tick := m.Tick()
	t.KernelTime, t.UserTime = ticks(o.maybe32(f.kernel), tick), ticks(o.maybe32(f.user), tick)
	t.Switches = o.maybe32(f.switches)
	t.Priority, t.BasePriority = int8(o.u8(f.priority)), int8(o.u8(f.base))
	t.NextProcessor = o.maybe32(f.processor)
	t.Created, _ = win.FileTime(o.u64(f.create))
	if t.State == Terminated { // a chain of waits stands at the same place before
		t.Exited, _ = win.FileTime(o.u64(f.exit))
		t.ExitStatus = o.maybe32(f.status)
	}
	t.Start, t.Win32Start, t.TEB = o.pointer(f.start), o.pointer(f.win32Start), o.pointer(f.teb)
	if at := o.pointer(f.name); at != 0 {
		t.Name = f.budget.stringIn(m, m.Memory, at, maxPath)
	}
	t.StackLimit, t.StackBase = o.pointer(f.limit), o.pointer(f.stackBase)
	t.KernelStack, t.TrapFrame = o.pointer(f.kernelStack), o.pointer(f.trapFrame)
	return t, err
}

// KUSER_SHARED_DATA (ntddk.h) lies at the same address in every Windows of an
// architecture's width; TickCount stands at 0x320.
const (
	sharedData64    = 0xfffff78000000000
	sharedData32    = 0xffdf0000
	sharedTickCount = 0x320
)

// since is how long ago the tick count was n; zero if it is not known.
func (m *Machine) since(n *uint32) time.Duration {
	at := mem.VA(sharedData64)
	if m.Arch == dump.X86 {
		at = sharedData32
	}
	now, err := mem.ReadU32(m.Memory, at+sharedTickCount)
	if n == nil || err != nil {
		return 0
	}
	passed := now - *n
	return ticks(&passed, m.Tick())
}

// ThreadStack lists the callers of any thread: of one that runs from its
// processor's registers, else from where it was switched out. Of another process
// than the one whose memory m shows it ends where the kernel was entered; see As.
func (m *Machine) ThreadStack(t Thread) ([]report.Frame, error) {
	if t.State == Running {
		blocks, _ := m.processorBlocks() // one that is missing runs nothing that is known
		for _, b := range blocks {
			if b.pointer(m.Field("_KPRCB", "CurrentThread")) == t.Address {
				return m.runningStack(t, b)
			}
		}
		return nil, fmt.Errorf("thread at %v: it runs, and its processor is not in the dump", t.Address)
	}
	regs, trust, err := m.switchedOut(t)
	if err != nil {
		return nil, err
	}
	frames := m.frames(regs, m.threadWalker(t, m.threadStacks(t)))
	frames[0].Trust = trust
	return m.ownFrames(t, frames), nil
}

// ownFrames cuts the callers of another process's thread where it entered the
// kernel: its modules are not the machine's.
func (m *Machine) ownFrames(t Thread, frames []report.Frame) []report.Frame {
	if t.Process == m.program {
		return frames
	}
	for i, f := range frames {
		if m.isUser(mem.VA(f.Address)) {
			return frames[:i]
		}
	}
	return frames
}

// runningStack starts from what the thread's processor saved when it was stopped.
func (m *Machine) runningStack(t Thread, b processorBlock) ([]report.Frame, error) {
	regs := m.savedRegisters(b.object)
	if b.at == m.processorAt {
		regs = m.HeaderRegisters()
	}
	if pc, _ := regs.PC(); pc == 0 {
		return nil, fmt.Errorf("thread at %v: the registers of its processor were not saved", t.Address)
	}
	stacks := append(m.processorStacks(b), m.threadStacks(t)[1:]...)
	return m.ownFrames(t, m.frames(m.unwindRegisters(regs), m.threadWalker(t, stacks))), nil
}

// threadStacks are a thread's own: in the kernel, and in its program.
func (m *Machine) threadStacks(t Thread) []StackRange {
	list := []StackRange{{StackThread, t.StackLimit, t.StackBase}}
	if s, ok := m.userStackOf(t.TEB); ok {
		list = append(list, s)
	}
	return list
}

// userStackOf reads the ends of a program's stack from NT_TIB (winnt.h), which a
// TEB begins with.
func (m *Machine) userStackOf(teb mem.VA) (StackRange, bool) {
	width := mem.VA(m.Arch.PointerSize())
	if teb == 0 {
		return StackRange{}, false
	}
	base, err1 := m.pointer(teb + tibStackBase*width)
	limit, err2 := m.pointer(teb + tibStackLimit*width)
	if err1 != nil || err2 != nil || limit >= base || !m.isUser(base) {
		return StackRange{}, false
	}
	return StackRange{StackUser, limit, base}, true
}

// threadWalker finds the callers of a thread.
func (m *Machine) threadWalker(t Thread, stacks []StackRange) *unwind.Walker {
	memory := m.Memory
	if t.Process != m.program {
		memory = kernelMemory{m}
	}
	return m.walkerOn(stacks, memory)
}

// kernelMemory is the kernel's part of memory: what another process has below it
// is not what the current one has.
type kernelMemory struct{ m *Machine }

func (k kernelMemory) ReadAt(p []byte, va mem.VA) (int, error) {
	if k.m.isUser(va) {
		return 0, &mem.Fault{Address: va, Reason: "is another process's"}
	}
	return k.m.Memory.ReadAt(p, va)
}

// switchLayout is a KSWITCH_FRAME, which KTHREAD.KernelStack points to while a
// thread does not run: what KiSwapContext's inner part leaves there. Sources: x64:
// ReactOS, sdk/include/ndk/amd64/ketypes.h; ARM64: dt nt!_KSWITCH_FRAME, 26100
// (ntdiff/headers); x86: ReactOS, ndk/i386/ketypes.h.
type switchLayout struct {
	size, frame, ret int // frame: of the saved frame pointer; -1: none
}

var switchLayouts = map[dump.Arch]switchLayout{
	dump.X64:   {size: 0x40, frame: 0x30, ret: 0x38},
	dump.ARM64: {size: 0x20, frame: 0x10, ret: 0x18},
	dump.X86:   {size: 0xc, frame: -1, ret: 0x8},
}

var errSwitchFrame = errors.New("no return address stands where it was switched out")

// switchedOut are the registers of a thread that does not run, as they will be
// when it runs again; trust says how the instruction pointer is known.
func (m *Machine) switchedOut(t Thread) (regs unwind.Registers, trust string, err error) {
	l := switchLayouts[m.Arch]
	b := make([]byte, max(l.size, switchSearch))
	n, err := m.Memory.ReadAt(b, t.KernelStack)
	if n < l.size {
		return regs, "", fmt.Errorf("thread at %v: its stack: %w", t.Address, err)
	}
	o := object{b[:n], m.Arch}
	if ret, ok := m.returnAt(o, l.ret); ok {
		return m.resumed(ret, t.KernelStack+mem.VA(l.size), o.pointer(l.frame)), report.TrustContext, nil
	}
	for at := 0; at < n; at += m.Arch.PointerSize() { // this kernel keeps another frame
		if ret, ok := m.returnAt(o, at); ok {
			return m.resumed(ret, t.KernelStack+mem.VA(at+m.Arch.PointerSize()), 0), report.TrustScan, nil
		}
	}
	return regs, "", fmt.Errorf("thread at %v: %w", t.Address, errSwitchFrame)
}

// switchSearch is how far from KernelStack a return address is looked for where no
// KSWITCH_FRAME is, bytes: KiSwapContext's own frame ends before.
const switchSearch = 0x180

// returnAt is the word at an offset as a return address; false if it is none.
func (m *Machine) returnAt(o object, at int) (mem.VA, bool) {
	ret := o.pointer(at)
	if m.Arch == dump.ARM64 {
		ret = mem.VA(unwind.StripARM64(uint64(ret)))
	}
	return ret, m.mayReturnTo(ret)
}

// resumed are registers behind a return.
func (m *Machine) resumed(pc, sp, frame mem.VA) unwind.Registers {
	r := report.Registers{{Name: "rip", Value: uint64(pc)}, {Name: "rsp", Value: uint64(sp)}, {Name: "rbp", Value: uint64(frame)}}
	switch m.Arch {
	case dump.ARM64:
		r[0].Name, r[1].Name, r[2].Name = "pc", "sp", "fp"
	case dump.X86:
		r[0].Name, r[1].Name = "eip", "esp"
		r = r[:2]
	}
	if frame == 0 && m.Arch != dump.X86 {
		r = r[:2]
	}
	regs := m.unwindRegisters(r)
	regs.Returned = true
	return regs
}
