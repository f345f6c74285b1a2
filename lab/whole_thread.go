package lab

import (
	"time"

	"bugcheck/lab/code"
)

// EThread is a thread.
type EThread struct {
	Address      uint64 // of its ETHREAD
	ID           uint32
	Process      *EProcess
	StackLimit   uint64 // of its kernel stack
	StackBase    uint64
	InitialStack uint64
	KernelStack  uint64 // where it was when another thread took its processor
	TrapFrame    uint64 // where it came from user mode; 0: a system thread
	Start        uint64 // Win32StartAddress
	Teb          uint64
	State        uint8 // KTHREAD_STATE
	WaitReason   uint8 // KWAIT_REASON
	WaitObject   uint64
	Irps         []uint64 // its pending requests

	userTop              uint64         // where its user stack begins
	stopped              code.Registers // if a processor was stopped while it ran
	priority             int8
	kernelTime, userTime uint32
	created              time.Time
}

// KTHREAD_STATE and KWAIT_REASON of ntdef and wdm.h.
const (
	stateReady   = 1
	stateRunning = 2
	stateWaiting = 5

	waitExecutive   = 0
	waitUserRequest = 6
	waitQueue       = 15
	waitResource    = 27
	waitPushLock    = 28
)

// threadPlan says which thread of its process a new one is.
type threadPlan struct {
	idle bool
	n    int
}

// addThread makes a thread that waits, or an idle thread.
func (s *System) addThread(p *EProcess, plan threadPlan) *EThread {
	t := &EThread{Process: p, State: stateWaiting, WaitReason: waitUserRequest, priority: 8, created: p.Created.Add(time.Duration(plan.n) * time.Millisecond)}
	t.Address = s.object("Thread", s.layout.Size("_ETHREAD"), "Thre", "", "")
	if !plan.idle {
		t.ID = s.newID()
	}
	t.StackBase = s.stack()
	t.StackLimit = t.StackBase - 0x6000
	t.InitialStack = t.StackBase - 0x3d0
	t.KernelStack = t.StackBase - 0xa00
	t.kernelTime, t.userTime = (p.ID*7+uint32(plan.n)*13)%97, (p.ID*5+uint32(plan.n)*11)%89
	switch {
	case plan.idle:
		t.State, t.priority, t.userTime = stateRunning, 0, 0
		t.kernelTime = uint32(s.Uptime.Milliseconds() * 9 / 10 * 1000 / 15625)
	case p.Path == "":
		t.WaitReason, t.userTime = waitQueue, 0
		start := s.waitsIn(t, plan.n)[2]
		if start != workerStack[2] {
			t.WaitReason = waitExecutive
		}
		t.Start = s.Symbol(start[len("nt!"):])
		t.priority = 12
	default:
		s.userThread(t, plan.n)
	}
	if plan.idle {
		s.layIdle(t)
	}
	if t.State == stateWaiting {
		t.WaitObject = s.event(0, false)
		s.layWait(t, plan.n)
	}
	p.Threads = append(p.Threads, t)
	s.writeThread(t)
	return t
}

// event makes a KEVENT: type 0 a notification event, 1 a synchronization event.
func (s *System) event(kind uint8, signalled bool) uint64 {
	va := s.alloc("Even", 0x18, false)
	var w buf
	w.put8(0, kind)
	w.put8(2, 6) // its size in words
	if signalled {
		w.put32(4, 1)
	}
	w.put64s(8, va+8, va+8)
	s.put(va, w.b)
	return va
}

// writeThread writes the ETHREAD but for its place in lists. A DISPATCHER_HEADER's first
// byte is the object's type: 6 a thread.
func (s *System) writeThread(t *EThread) {
	r := s.record("_ETHREAD", t.Address)
	r.put8(0, 6)
	r.put64s(8, t.Address+8, t.Address+8)
	for field, v := range map[string]uint64{"InitialStack": t.InitialStack, "StackLimit": t.StackLimit, "StackBase": t.StackBase,
		"KernelStack": t.KernelStack, "TrapFrame": t.TrapFrame, "Teb": t.Teb, "Process": t.Process.Address, "ApcState.Process": t.Process.Address,
		"CycleTime": uint64(t.kernelTime+t.userTime) * 39000000} {
		r.set64("_KTHREAD:"+field, v)
	}
	r.set8("_KTHREAD:Priority", uint8(t.priority))
	r.set8("_KTHREAD:BasePriority", uint8(t.priority))
	r.set32("_KTHREAD:KernelTime", t.kernelTime)
	r.set32("_KTHREAD:UserTime", t.userTime)
	r.set32("_KTHREAD:ContextSwitches", 3*(t.kernelTime+t.userTime)+1)
	r.set32("_KTHREAD:WaitTime", s.ticks()-t.ID%5000)
	r.set8("_KTHREAD:ApcStateIndex", 0)
	r.empty("_KTHREAD:MutantListHead")
	r.empty("_KTHREAD:QueueListEntry")
	if t.TrapFrame != 0 {
		r.set8("_KTHREAD:PreviousMode", 1)
	}
	r.set64("CreateTime", filetime(t.created))
	r.set32("ExitStatus", 0x103)
	start := t.Start
	if t.TrapFrame != 0 {
		start = 0x7ffd5a2526b0 // ntdll!RtlUserThreadStart
	}
	r.set64("StartAddress", start)
	r.set64("Win32StartAddress", t.Start)
	if o := r.off("Cid"); o >= 0 {
		r.put64s(o, uint64(t.Process.ID), uint64(t.ID))
	}
	r.empty("IrpList")
	s.writeWait(r, t)
	r.write()
}

// ticks returns the clock ticks of 15.625 ms since the machine started.
func (s *System) ticks() uint32 { return uint32(s.Uptime.Milliseconds() * 1000 / 15625) }

// writeWait writes the thread's state and, if it waits for an object, its wait block, which
// is on the list of that object. dt nt!_KWAIT_BLOCK: WaitListEntry, WaitType 1 (any),
// BlockState 4, Thread 0x18, Object 0x20.
func (s *System) writeWait(r *record, t *EThread) {
	r.set8("_KTHREAD:State", t.State)
	r.set8("_KTHREAD:WaitReason", t.WaitReason)
	if t.State == stateRunning {
		r.set8("_KTHREAD:Running", 1)
	}
	o := r.off("_KTHREAD:WaitBlock")
	if o < 0 || t.State != stateWaiting || t.WaitObject == 0 {
		return
	}
	block := t.Address + uint64(o)
	r.set64("_KTHREAD:WaitBlockList", block)
	r.put64s(o, t.WaitObject+8, t.WaitObject+8)
	r.put8(o+0x10, 1)
	r.put8(o+0x11, 4)
	r.put64s(o+0x18, t.Address, t.WaitObject)
	if s.peek(t.WaitObject+8) == t.WaitObject+8 { // the only one that waits
		s.word(t.WaitObject+8, block)
		s.word(t.WaitObject+16, block)
		return
	}
	last := s.peek(t.WaitObject + 16)
	r.put64(o+8, last)
	s.word(last, block)
	s.word(t.WaitObject+16, block)
}

// setThreadState changes state and wait reason of a thread that waits for no object.
func (s *System) setThreadState(t *EThread, state, reason uint8) {
	if t.WaitObject != 0 && t.State == stateWaiting {
		s.list(t.WaitObject+8, nil)
		t.WaitObject = 0
	}
	t.State, t.WaitReason = state, reason
	running := uint64(0)
	if state == stateRunning {
		running = 1
	}
	for field, v := range map[string]uint64{"State": uint64(state), "WaitReason": uint64(reason), "Running": running} {
		s.fail(s.Set(t.Address, "_KTHREAD", field, 1, v))
	}
	s.fail(s.Set(t.Address, "_KTHREAD", "WaitBlockList", 8, 0))
}

// Wait lets a thread wait for a dispatcher object, such as Event returns, for a reason of
// KWAIT_REASON.
func (s *System) Wait(t *EThread, object uint64, reason uint8) error {
	s.setThreadState(t, stateWaiting, reason)
	t.WaitObject = object
	r := s.update("_ETHREAD", t.Address)
	s.writeWait(r, t)
	r.write()
	return s.err
}

// Event makes a KEVENT that is not signalled.
func (s *System) Event() (uint64, error) { return s.event(1, false), s.err }

// linkThreads makes both lists of a process's threads.
func (s *System) linkThreads(p *EProcess) {
	for _, l := range []struct{ process, head, thread, link string }{
		{"_EPROCESS", "ThreadListHead", "_ETHREAD", "ThreadListEntry"}, {"_KPROCESS", "ThreadListHead", "_KTHREAD", "ThreadListEntry"},
	} {
		head, _ := s.layout.Field(l.process, l.head)
		link, _ := s.layout.Field(l.thread, l.link)
		var links []uint64
		for _, t := range p.Threads {
			links = append(links, t.Address+link)
		}
		s.list(p.Address+head, links)
	}
}

// SetTrapFrame puts the frame of a thread's way into the kernel at va, on its kernel stack.
func (s *System) SetTrapFrame(t *EThread, va uint64, registers Registers) error {
	t.TrapFrame = va
	s.put(va, registers.TrapFrame(Trap{}))
	s.fail(s.Set(t.Address, "_KTHREAD", "TrapFrame", 8, va))
	return s.err
}

// stoppedContext returns the CONTEXT of a processor that was stopped while its thread ran.
func (s *System) stoppedContext(p *KPrcb) []byte {
	if s.Arch == "arm64" {
		return armRegisters(p.Thread.stopped, nil).Context()
	}
	return x64Registers(p.Thread.stopped, nil).Context()
}
