package lab

import (
	"fmt"

	"bugcheck/lab/code"
)

// The faults of NotMyFault, each with what it leaves behind: notmyfault64.exe asks
// myfault.sys by a control code, and the driver does what it is asked.

// The tags of myfault.sys's pool, as its code in code/src/myfault.c has them.
const (
	tagMyfault = "Fult"
	tagLeak    = "Leak"
)

const myfaultBlock = 2048 // bytes that myfault.sys allocates

// userCalls leads from the start of notmyfault64.exe to the call of the driver.
var userCalls = []string{
	"ntdll!RtlUserThreadStart", "kernel32!BaseThreadInitThunk", "notmyfault64!mainCRTStartup", "notmyfault64!main", "notmyfault64!DialogLoop",
	"notmyfault64!MainDialog", "notmyfault64!DoCrash", "kernel32!DeviceIoControlImplementation", "kernelbase!DeviceIoControl", "ntdll!NtDeviceIoControlFile",
}

// ioctl begins a stage on which notmyfault64.exe has sent a control code and myfault.sys
// looks at it. The request is pending, as it is while a driver has it.
func (c *Crash) ioctl(function uint32) *stage {
	s := c.System
	p := s.Process("notmyfault64.exe")
	g := s.on(p.Threads[0])
	g.call(userCalls...).systemCall()
	g.call("nt!NtDeviceIoControlFile", "nt!IopXxxControlFile", "nt!IopSynchronousServiceTail", "nt!IofCallDriver", "myfault!MyfaultDispatch", "myfault!MyfaultDeviceControl")
	device := s.Driver("MYFAULT").Devices[0]
	_, err := s.AddIRP(device, Request{Major: 14, IOCTL: 0x83360000 | function<<2, Thread: g.thread, User: true})
	g.fail(err)
	return g
}

// finish keeps where the thread came from user mode and writes down the truth of a fault
// whose callers begin at a function.
func (c *Crash) finish(g *stage, from string, verdict TruthVerdict) error {
	if g.err == nil && g.startsInUser() {
		p := g.placed(g.systemEntry())
		g.thread.TrapFrame = p.TrapFrame
		g.fail(g.s.Set(g.thread.Address, "_KTHREAD", "TrapFrame", 8, p.TrapFrame))
	}
	c.Truth.Verdict = verdict
	if from != "" {
		c.Truth.Stack = g.truth(g.index(from))
	}
	if g.err == nil {
		irql := g.irql
		c.Truth.IRQL = &irql
	}
	return g.err
}

// pageFault lets the innermost function's access fault.
func (g *stage) pageFault(address, errorCode uint64, volatile ...code.Value) {
	v := append([]code.Value{{Name: "cr2", Value: address}, {Name: "far", Value: address}}, volatile...)
	g.trap(pageFault, 0, code.Trap{ErrorCode: g.faultCode(errorCode), Volatile: v})
}

// The processor's codes for a page fault from kernel mode, as x64 has them.
const (
	faultRead    = 0
	faultWrite   = 3 // of a page that is there
	faultExecute = 0x10
)

// faultCode is what an architecture makes of the code: ESR_EL1 on ARM64, a data abort or an
// instruction abort, translation or permission fault, level 3.
func (g *stage) faultCode(x64 uint64) uint64 {
	if g.s.Arch != "arm64" {
		return x64
	}
	switch x64 {
	case faultWrite:
		return 0x9600004f
	case faultExecute:
		return 0x86000007
	}
	return 0x96000007
}

// absent is the first address from va upward, a page at a time, that is not mapped.
func (s *System) absent(va uint64) uint64 {
	b := make([]byte, 4)
	for s.Space.Read(va, b) == nil {
		va += 0x1000
	}
	return va
}

func playHighIRQLKernel(c *Crash) error {
	s := c.System
	block, err := s.Alloc(tagMyfault, myfaultBlock, true)
	if err != nil {
		return err
	}
	if err := s.Free(block); err != nil {
		return err
	}
	bad := s.absent(block)
	g := c.ioctl(6)
	g.irql = 2
	g.call("myfault!HighIrqlFault").at("HighIrqlFault_fault", g.pointerRegister(bad)).pageFault(bad, faultRead)
	g.call("nt!KiBugCheckDispatch", "nt!KeBugCheckEx").lay()
	fault := g.placed("myfault!HighIrqlFault").Registers.PC
	g.raised = 0xa
	g.stop(0xd1, [4]uint64{bad, 2, 0, fault}, "myfault.sys")
	return c.finish(g, "myfault!HighIrqlFault", TruthVerdict{Cause: "driver", Image: "myfault.sys"})
}

// playBufferOverflow overruns a block of nonpaged pool into the next one. Later a worker
// of the kernel frees that one.
func playBufferOverflow(c *Crash) error {
	s := c.System
	block, victim, err := s.neighbours(tagMyfault, "Wmip", myfaultBlock)
	if err != nil {
		return err
	}
	over := make([]byte, 0x40)
	for i := range over {
		over[i] = 'O'
	}
	s.put(block, over) // what it was asked to write begins in its own block
	s.put(block+myfaultBlock, over)
	g := s.on(s.Process("System").Threads[0])
	g.call("nt!KiStartSystemThread", "nt!PspSystemThreadStartup", "nt!ExpWorkerThread", "nt!IopProcessWorkItem", "nt!ExFreePoolWithTag")
	if s.segmentHeap() {
		g.heapFailure()
		g.lay()
		g.stop(0x13a, [4]uint64{0x12, s.heap(), victim - poolHeader, 0}, "")
	} else {
		g.call("nt!KeBugCheckEx").lay()
		g.stop(0x19, [4]uint64{0x20, victim - poolHeader, victim - poolHeader + 0x4f0, 0}, "")
	}
	return c.finish(g, "nt!ExFreePoolWithTag", TruthVerdict{Cause: "memory_corruption", Hint: "myfault.sys"})
}

// heapFailure leads from ExFreePoolWithTag to the stop of the segment heap.
func (g *stage) heapFailure() {
	g.call("nt!ExFreeHeapPool", "nt!RtlpHpVsContextFree", "nt!RtlpLogHeapFailure", "nt!RtlpHpHeapHandleError", "nt!RtlpHeapHandleError", "nt!KeBugCheckEx")
}

// neighbours allocates blocks of nonpaged pool until two of them lie side by side: one of
// size bytes under the first tag, then one under the second.
func (s *System) neighbours(tag, next string, size uint64) (block, after uint64, err error) {
	for range 64 {
		if block, err = s.Alloc(tag, size, false); err != nil {
			return 0, 0, err
		}
		if after, err = s.Alloc(next, 512, false); err != nil {
			return 0, 0, err
		}
		if after-block >= size && after-block <= size+0x40 {
			return block, after, nil
		}
	}
	return 0, 0, fmt.Errorf("no two blocks of pool side by side")
}

// playCodeOverwrite writes 0xCC over the first byte of NtReadFile: first by a second
// mapping of its page, which works, then directly, which does not.
func playCodeOverwrite(c *Crash) error {
	s := c.System
	target := s.Symbol("NtReadFile")
	s.put(target, []byte{0xcc})
	entry, err := s.Space.PTE(target)
	if err != nil {
		return err
	}
	g := c.ioctl(2)
	g.call("myfault!CodeOverwrite").at("CodeOverwrite_fault", g.pointerRegister(target)).pageFault(target, faultWrite, code.Value{Name: "rax", Value: 0xcc}, code.Value{Name: "x8", Value: 0xcc})
	g.call("nt!MmAccessFault", "nt!MiSystemFault", "nt!KeBugCheckEx").lay()
	trap := g.placed(g.trapEntry(pageFault)).TrapFrame
	g.stop(0xbe, [4]uint64{target, entry.Get(), trap, 0xa}, "myfault.sys")
	return c.finish(g, "myfault!CodeOverwrite", TruthVerdict{Cause: "driver", Image: "myfault.sys"})
}

// playStackTrash zeroes the stack from StackTrash's buffer over its return address and into
// its caller's frame; then it returns to 0.
func playStackTrash(c *Crash) error {
	g := c.ioctl(3)
	g.returnTo("myfault!StackTrash")
	g.lost(0).pageFault(0, faultExecute)
	g.dispatch("nt!KeBugCheckEx")
	if g.err != nil {
		return g.err
	}
	g.fail(g.write(g.placed("myfault!MyfaultDeviceControl").Registers.SP, make([]byte, 0xe0)))
	g.stop(0x1e, [4]uint64{0xffffffffc0000005, 0, 8, 0}, "")
	return c.finish(g, "", TruthVerdict{Cause: "unknown", Hint: "myfault.sys"})
}

// playHighIRQLUser raises the IRQL and returns: the way back to user mode finds it.
func playHighIRQLUser(c *Crash) error {
	s := c.System
	p := s.Process("notmyfault64.exe")
	g := s.on(p.Threads[0])
	g.irql = 2
	g.call(userCalls...).enterSystem("nt!KiSystemServiceExit")
	g.call("nt!KiBugCheckDispatch", "nt!KeBugCheckEx").lay()
	g.stop(0x4a, [4]uint64{g.placed("ntdll!NtDeviceIoControlFile").Registers.PC, 2, 0, 0}, "")
	return c.finish(g, "nt!KiSystemServiceExit", TruthVerdict{Cause: "unknown", Hint: "myfault.sys"})
}

// playStackOverflow lets the driver call itself until its stack is used up.
func playStackOverflow(c *Crash) error {
	s := c.System
	g := c.ioctl(5)
	g.call("myfault!StackOverflow")
	for g.err == nil {
		low, err := g.low()
		if err != nil {
			return err
		}
		if low < g.thread.StackLimit+0x800 { // the next call does not fit
			break
		}
		g.call("myfault!StackOverflow")
	}
	g.trap(doubleFault, s.stack(), code.Trap{})
	if s.Arch == "x64" {
		g.call("nt!KiBugCheckDispatch")
	}
	g.call("nt!KeBugCheckEx").lay()
	trap, fault := g.placed(g.trapEntry(doubleFault)), g.placed("myfault!StackOverflow")
	g.stop(0x7f, [4]uint64{8, trap.TrapFrame, fault.Registers.SP, fault.Registers.PC}, "myfault.sys")
	return c.finish(g, "myfault!StackOverflow", TruthVerdict{Cause: "driver", Image: "myfault.sys"})
}

func playBreakpoint(c *Crash) error {
	g := c.ioctl(7)
	g.call("myfault!Breakpoint").at("Breakpoint_fault").trap(breakpoint, 0, code.Trap{ErrorCode: g.breakCode()})
	at := g.dispatch("nt!RtlDispatchException", "nt!RtlpExecuteHandlerForException", "nt!KiSystemServiceHandler", "nt!KiBugCheckDispatch", "nt!KeBugCheckEx")
	fault := g.placed("myfault!Breakpoint")
	g.exception(at, "myfault!Breakpoint", Exception{Code: 0x80000003, Address: fault.Registers.PC, Parameters: []uint64{0}})
	g.stop(0x3b, [4]uint64{0x80000003, fault.Registers.PC, at.context, 0}, "myfault.sys")
	return c.finish(g, "myfault!Breakpoint", TruthVerdict{Cause: "driver", Image: "myfault.sys"})
}

func playDoubleFree(c *Crash) error {
	s := c.System
	block, _, err := s.neighbours(tagMyfault, "Wmip", myfaultBlock) // so that its page stays
	if err != nil {
		return err
	}
	if err := s.Free(block); err != nil {
		return err
	}
	g := c.ioctl(8)
	g.call("myfault!DoubleFree", "nt!ExFreePoolWithTag")
	if s.segmentHeap() {
		g.heapFailure()
		g.lay()
		g.stop(0x13a, [4]uint64{8, s.heap(), block, 0}, "")
	} else {
		g.call("nt!KeBugCheckEx").lay()
		g.stop(0xc2, [4]uint64{7, 0, s.peek(block - poolHeader), block}, "")
	}
	return c.finish(g, "nt!ExFreePoolWithTag", TruthVerdict{Cause: "driver", Image: "myfault.sys"})
}

// hungTicks is how long a request hangs before somebody stops the machine: five minutes.
const hungTicks = 5 * 60 * 64

// playHangIRP lets a request wait for ever; then somebody stops the machine by hand.
func playHangIRP(c *Crash) error {
	s := c.System
	g := s.on(s.Process("notmyfault64.exe").Threads[0])
	g.call(userCalls...).systemCall()
	g.call("nt!NtDeviceIoControlFile", "nt!IopXxxControlFile", "nt!IopSynchronousServiceTail", "nt!KeWaitForSingleObject", "nt!KiCommitThreadWait", "nt!KiSwapThread", "nt!KiSwapContext")
	_, err := s.AddIRP(s.Driver("MYFAULT").Devices[0], Request{Major: 14, IOCTL: 0x83360024, Thread: g.thread, User: true})
	g.fail(err)
	g.wait(waitExecutive)
	if g.err != nil {
		return g.err
	}
	s.fail(s.Set(g.thread.Address, "_KTHREAD", "WaitTime", 4, uint64(s.ticks()-hungTicks)))
	return c.byHand(TruthVerdict{Cause: "requested", Hint: "myfault.sys"})
}

// byHand stops the machine from the keyboard, on an idle processor.
func (c *Crash) byHand(verdict TruthVerdict) error {
	g := c.idleDPC("usbxhci!Interrupter_WdfEvtInterruptDpc")
	g.call("usbxhci!Interrupter_DeferredWorkProcessor", "usbxhci!TransferRing_ProcessTransferEvent", "nt!IofCompleteRequest", "nt!IopfCompleteRequest",
		"kbdhid!KbdHid_ReadComplete", "kbdhid!KbdHidProcessCrashDump", "nt!KeBugCheckEx").lay()
	g.stop(0xe2, [4]uint64{}, "")
	return c.finish(g, "kbdhid!KbdHidProcessCrashDump", verdict)
}

// idleDPC begins a stage on the idle thread of the processor that will write the dump,
// which runs a deferred procedure.
func (c *Crash) idleDPC(routine string) *stage {
	s := c.System
	g := s.on(s.Crashed.Idle)
	g.irql = 2
	g.call("nt!KiIdleLoop", "nt!KiRetireDpcList", "nt!KiExecuteAllDpcs", routine)
	return g
}

// playHangDPC runs a deferred procedure without end; the clock's interrupt counts its ticks.
func playHangDPC(c *Crash) error {
	g := c.idleDPC("myfault!HangDpcRoutine")
	g.at("HangDpcRoutine_spin")
	return c.watchdog(g, "myfault!HangDpcRoutine", "myfault.sys")
}

// watchdog lets the clock's interrupt find a deferred procedure that has run for too long.
func (c *Crash) watchdog(g *stage, routine, image string) error {
	s := c.System
	g.clockInterrupt()
	g.call("nt!KeAccumulateTicks", "nt!KeBugCheckEx").lay()
	g.irql = 13
	block, samples := c.dpcTriage(g)
	g.stop(0x133, [4]uint64{0, 0x501, 0x500, block}, "")
	if samples != 0 {
		g.fail(s.Set(s.Crashed.Address, "_KPRCB", "DpcWatchdogProfile", 8, samples))
	}
	if g.err == nil {
		image, base, name := g.image(routine)
		start, _, _ := image.Function(name)
		g.fail(s.runningDPC(s.Crashed, base+uint64(start), 0x501))
	}
	return c.finish(g, routine, TruthVerdict{Cause: "driver", Image: image})
}

func playLeakPaged(c *Crash) error    { return c.leak(true) }
func playLeakNonPaged(c *Crash) error { return c.leak(false) }

// leakedBlocks is how many blocks of leaked pool are really there; the tables of tags and
// the figures of memory speak of leakedBytes.
const leakedBlocks = 64

// leak uses up a pool: some blocks that are really there, the rest counted.
func (c *Crash) leak(paged bool) error {
	s := c.System
	for range leakedBlocks {
		if _, err := s.Alloc(tagLeak, 0x10000, paged); err != nil {
			return err
		}
	}
	if err := s.exhaust(tagLeak, paged); err != nil {
		return err
	}
	return c.byHand(TruthVerdict{Cause: "requested", Hint: "myfault.sys"})
}
