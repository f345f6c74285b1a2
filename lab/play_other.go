package lab

import (
	"bugcheck/lab/code"
	"bugcheck/lab/ram"
)

// Faults that NotMyFault does not have: what servers and workstations meet most.

// worker begins a stage on a thread of the System process that runs a driver's routine.
func (c *Crash) worker(routine string) *stage {
	s := c.System
	g := s.on(s.Process("System").Threads[1])
	g.thread.TrapFrame = 0
	return g.call("nt!KiStartSystemThread", "nt!PspSystemThreadStartup", routine)
}

// playPowerIRP leaves a request to put a USB device to sleep with its driver; the watchdog
// of power requests runs as a timer's deferred procedure.
func playPowerIRP(c *Crash) error {
	s := c.System
	function := s.Driver("labusb").Devices[0]
	pdo := function.Below
	irp, err := s.AddIRP(function, Request{Major: 22, Minor: 2, Arguments: [4]uint64{0, 1, 4, 0}}) // a device's state, D3
	if err != nil {
		return err
	}
	s.keepRequest(irp, function, pdo)
	g := s.on(s.Crashed.Idle)
	g.irql = 2
	g.call("nt!KiIdleLoop", "nt!KiRetireDpcList", "nt!KiProcessExpiredTimerList", "nt!PopIrpWatchdog", "nt!PopIrpWatchdogBugcheck", "nt!KeBugCheckEx").lay()
	g.stop(0x9f, [4]uint64{3, pdo.Address, s.powerTriage(irp, pdo.Address), irp}, "")
	return c.finish(g, "nt!PopIrpWatchdogBugcheck", TruthVerdict{Cause: "driver", Image: "labusb.sys"})
}

// keepRequest keeps in small dumps what Windows adds for a power request: the IRP and the
// devices of its stack with their drivers.
func (s *System) keepRequest(irp uint64, devices ...*DeviceObject) {
	s.Keep(irp, 0xd0+0x48*4)
	for _, d := range devices {
		s.Keep(d.Address, 0x150+0x60)
		s.Keep(d.Driver.Address, 0x150)
		s.Keep(d.Node, 0x200)
	}
}

// powerTriage makes a TRIAGE_9F_POWER with one TRIAGE_POP_IRP_DATA: dt nt!_TRIAGE_9F_POWER,
// nt!_TRIAGE_POP_IRP_DATA of 19041.
func (s *System) powerTriage(irp, pdo uint64) uint64 {
	head, entry := s.alloc("Powr", 16, false), s.alloc("Powr", 0x40, false)
	va := s.alloc("Powr", 0x40, false)
	s.list(head, []uint64{entry})
	s.word(entry+0x10, irp)
	s.word(entry+0x18, pdo)
	s.half(va, 0x8000|1<<16)
	s.word(va+8, head)
	for _, at := range []uint64{head, entry, va} {
		s.Keep(at, 0x40)
	}
	return va
}

// playDPCWatchdog runs a network driver's deferred procedure, which its framework called.
func playDPCWatchdog(c *Crash) error {
	g := c.idleDPC("ndis!ndisInterruptDpc")
	g.call("ndis!ndisMiniportDpc", "labnet!LabnetWatchdogDpc").at("LabnetWatchdogDpc_spin")
	return c.watchdog(g, "labnet!LabnetWatchdogDpc", "labnet.sys")
}

// flippedBit is the bit of the entry of a page table that is wrong.
const flippedBit = 30

// playPageTableBit ends a service: an entry that should be empty has one bit set.
func playPageTableBit(c *Crash) error {
	s := c.System
	p := s.Process("svchost.exe")
	g := s.on(p.Threads[0])
	page := g.s.userStackTop(g.thread) &^ 0xfff
	for page -= 0x1000; ; page -= 0x1000 { // the first page below its stack that is empty
		if b := make([]byte, 1); p.Space.Read(page, b) != nil {
			break
		}
	}
	entry, err := p.Space.PTE(page)
	if err != nil {
		return err
	}
	entry.Set(1 << flippedBit)
	g.call(serviceCalls...).call("kernelbase!TerminateProcess", "ntdll!NtTerminateProcess").systemCall()
	g.call("nt!NtTerminateProcess", "nt!PspTerminateThreadByPointer", "nt!PspExitThread", "nt!MmCleanProcessAddressSpace", "nt!MiDeleteVad",
		"nt!MiDeleteVirtualAddresses", "nt!MiDeletePagablePteRange", "nt!MiDeletePte", "nt!KeBugCheckEx").lay()
	g.stop(0x1a, [4]uint64{0x41792, s.entryAddress(page), 1 << flippedBit, 0}, "")
	return c.finish(g, "nt!MiDeletePte", TruthVerdict{Cause: "hardware"})
}

// entryAddress is where the self-map shows the entry of a page.
func (s *System) entryAddress(page uint64) uint64 {
	return s.selfMap() + page>>9&0x7ffffffff8
}

// serviceCalls leads from the start of a thread to what it was told to run.
var serviceCalls = []string{"ntdll!RtlUserThreadStart", "kernel32!BaseThreadInitThunk"}

// playFastFail lets a file system filter take an entry off a list that does not link back.
func playFastFail(c *Crash) error {
	s := c.System
	g := c.worker("labflt!LabfltWorker")
	g.call("labflt!LabfltScanName", "labflt!LabfltRemoveEntry").at("LabfltRemoveEntry_fault")
	g.trap(failFast, 0, code.Trap{ErrorCode: g.failFastCode(), Volatile: []code.Value{{Name: "rcx", Value: 3}, {Name: "x0", Value: 3}}})
	g.call("nt!KiBugCheckDispatch", "nt!KeBugCheckEx").lay()
	fault := g.placed("labflt!LabfltRemoveEntry")
	record := s.alloc("Exrc", 0x98, false)
	s.Keep(record, 0x98)
	s.put(record, Exception{Code: 0xc0000409, Flags: 1, Address: fault.Registers.PC, Parameters: []uint64{3}}.Record64())
	g.stop(0x139, [4]uint64{3, g.placed(g.trapEntry(failFast)).TrapFrame, record, 0}, "labflt.sys")
	return c.finish(g, "labflt!LabfltRemoveEntry", TruthVerdict{Cause: "driver", Image: "labflt.sys"})
}

// failFastCode is ESR_EL1 of BRK #0xF003.
func (g *stage) failFastCode() uint64 {
	if g.s.Arch == "arm64" {
		return 0xf200f003
	}
	return 0
}

// playCriticalProcess lets a service end csrss.exe.
func playCriticalProcess(c *Crash) error {
	s := c.System
	g := s.on(s.Process("svchost.exe").Threads[1])
	g.call(serviceCalls...).call("kernelbase!TerminateProcess", "ntdll!NtTerminateProcess").systemCall()
	g.call("nt!NtTerminateProcess", "nt!PspTerminateProcess", "nt!PspCatchCriticalBreak", "nt!KeBugCheckEx").lay()
	g.stop(0xef, [4]uint64{s.Process("csrss.exe").Address, 0, 0, 0}, "")
	return c.finish(g, "nt!PspCatchCriticalBreak", TruthVerdict{Cause: "unknown"})
}

// playDisplayTimeout lets the scheduler of the graphics card give up.
func playDisplayTimeout(c *Crash) error {
	s := c.System
	g := c.worker("dxgmms2!VidSchiWorkerThread")
	g.call("dxgmms2!VidSchiRun_PriorityTable", "dxgmms2!VidSchiScheduleCommandToRun", "dxgmms2!VidSchiWaitForSchedulerEvents", "dxgmms2!VidSchiCheckHwProgress",
		"dxgmms2!VidSchiReportHwHang", "dxgkrnl!TdrIsRecoveryRequired", "dxgkrnl!TdrBugcheckOnTimeout", "nt!KeBugCheckEx").lay()
	context := s.alloc("DxgK", 0x200, false)
	driver, base, name := g.image("labdisp!LabdispResetFromTimeout")
	if g.err != nil {
		return g.err
	}
	rva, _ := driver.Symbol(name)
	g.stop(0x116, [4]uint64{context, base + uint64(rva), 0xffffffffc000009a, 4}, "")
	return c.finish(g, "dxgkrnl!TdrBugcheckOnTimeout", TruthVerdict{Cause: "driver", Image: "labdisp.sys"})
}

// playVerifier lets a verified driver free an address that no allocation returned.
func playVerifier(c *Crash) error {
	s := c.System
	bad, err := s.Alloc("LflT", 256, true)
	if err != nil {
		return err
	}
	bad += 0x40
	g := c.worker("labflt!LabfltFreeContext")
	g.call("nt!ExFreePoolWithTag", "nt!VerifierExFreePoolWithTag", "nt!ViFreePoolSanityChecks", "nt!VerifierBugCheckIfAppropriate", "nt!KeBugCheckEx").lay()
	g.stop(0xc4, [4]uint64{0x10, bad, 0, 0}, "")
	return c.finish(g, "nt!VerifierBugCheckIfAppropriate", TruthVerdict{Cause: "driver", Image: "labflt.sys"})
}

// playBootDevice lets Windows look for the disk that it starts from in vain.
func playBootDevice(c *Crash) error {
	s := c.System
	name := s.objectName(`\Device\HarddiskVolume3`)
	g := c.worker("nt!Phase1Initialization")
	g.call("nt!Phase1InitializationDiscard", "nt!IoInitSystemPreDrivers", "nt!IopInitializeBootDrivers", "nt!IopMarkBootPartition", "nt!KeBugCheckEx").lay()
	g.stop(0x7b, [4]uint64{name, 0xffffffffc0000034, 0, 1}, "")
	return c.finish(g, "nt!IopMarkBootPartition", TruthVerdict{Cause: "storage"})
}

// exhaust counts pool under a tag until three quarters of the memory are used up by it, and
// lets the memory's figures agree.
func (s *System) exhaust(tag string, paged bool) error {
	f := s.figures()
	kind := 0
	if paged {
		kind = 1
	}
	t := s.tag(tag)
	more := f.physical * 3 / 4 * ram.PageSize
	t.kinds[kind].bytes += more
	t.kinds[kind].allocs += more / 0x10000
	s.writeTag(t)
	nonpaged, pagedBytes := s.PoolTotals()
	s.miState(f, nonpaged>>12)
	s.pointer("MmPagedPoolCommit", pagedBytes>>12)
	return s.SetMemory(f.physical/200, f.limit-f.limit/100, f.limit)
}
