package lab

import "bugcheck/lab/code"

// Faults that the hardware itself reports, and processors and threads that hang.

// machineCheckStatus is MCi_STATUS of an error that the memory controller could not correct:
// valid, uncorrected, enabled, address valid, context corrupt; code 0x9F.
const machineCheckStatus = 0xbe0000000000009f

// machineCheckBank is the bank that holds it.
const machineCheckBank = 7

// playMachineCheck reports an error of the memory controller from an idle processor.
func playMachineCheck(c *Crash) error { return c.machineCheck() }

// playMemoryError is the same on a machine whose firmware says which module it was.
func playMemoryError(c *Crash) error { return c.machineCheck(memoryRecord()) }

// idleCalls is where a processor is that sleeps.
var idleCalls = []string{"nt!KiIdleLoop", "nt!PoIdle", "nt!PpmIdleExecuteTransition", "nt!HalProcessorIdle"}

// machineCheck lets an idle processor raise a machine check, with sections of the record
// beside those that Windows makes.
func (c *Crash) machineCheck(more ...wheaSection) error {
	s := c.System
	g := s.on(s.Crashed.Idle)
	g.irql = 15
	g.call(idleCalls...).trap(machineCheck, s.stack(), code.Trap{})
	g.call("nt!KxMcheckAbort", "nt!KiHandleMcheck", "nt!HalHandleMcheck", "nt!HalpHandleMachineCheck", "nt!HalpMceHandlerWithRendezvous", "nt!HalpMceHandler",
		"nt!HalpMceHandlerCore", "nt!HalpMcaReportError", "nt!WheaReportHwError", "nt!HalBugCheckSystem", "nt!KeBugCheckEx").lay()
	status := uint64(machineCheckStatus)
	sections := []wheaSection{processorRecord()}
	if s.Arch == "x64" {
		sections = append(sections, bankRecord(uint32(s.Crashed.Number), status))
	}
	record := s.errorRecord(append(sections, more...)...)
	g.stop(0x124, [4]uint64{0, record, status >> 32, status & 0xffffffff}, "")
	return c.finish(g, "nt!HalBugCheckSystem", TruthVerdict{Cause: "hardware"})
}

// playPCIError lets a root port interrupt an idle processor: the network card behind it is
// gone.
func playPCIError(c *Crash) error {
	s := c.System
	g := s.on(s.Crashed.Idle)
	g.irql = 9
	g.call(idleCalls...).interrupt(s.Crashed)
	g.call("pci!ExpressRootPortInterruptRoutine", "pci!ExpressRootPortAerInterruptRoutine", "nt!WheaReportHwError", "nt!HalBugCheckSystem", "nt!KeBugCheckEx").lay()
	g.stop(0x124, [4]uint64{4, s.errorRecord(pciRecord()), 0, 0}, "")
	return c.finish(g, "nt!HalBugCheckSystem", TruthVerdict{Cause: "hardware"})
}

// wheaSection is a section of a common platform error record: its type as it lies in
// memory, the name of the part, its bytes.
type wheaSection struct {
	guid string
	fru  string
	body []byte
}

// errorRecord makes a common platform error record: UEFI specification, appendix N.
func (s *System) errorRecord(sections ...wheaSection) uint64 {
	var w buf
	at := 128 + 72*len(sections)
	w.put(0, []byte("CPER"))
	w.put16(4, 0x210)
	w.put32(6, 0xffffffff)
	w.put16(10, uint16(len(sections)))
	w.put32s(12, 1, 2) // severity: fatal; timestamp and partition are not valid
	for i, x := range sections {
		d := 128 + 72*i
		guid, err := parseGUID(x.guid)
		s.fail(err)
		w.put32s(d, uint32(at), uint32(len(x.body)))
		w.put16(d+8, 0x300)
		w.put(d+16, guid)
		w.put32(d+48, 1)
		if x.fru != "" {
			w.put8(d+10, 2)
			w.put(d+52, []byte(x.fru))
		}
		w.grow(d + 72)
		w.put(at, x.body)
		at += len(x.body)
	}
	w.put32(20, uint32(at))
	w.grow(at)
	va := s.alloc("Whea", uint64(len(w.b)), false)
	s.put(va, w.b)
	s.Keep(va, uint64(len(w.b)))
	return va
}

// processorRecord is a generic processor error section (N.2.4.1) that says no type: Windows
// has none for the memory controller.
func processorRecord() wheaSection {
	return wheaSection{"9876ccad-47b4-4bdb-b65e-16f193c4f3db", "", make([]byte, 192)}
}

// bankRecord is a WHEA_XPF_MCA_SECTION (dt nt!_WHEA_XPF_MCA_SECTION, 19041).
func bankRecord(processor uint32, status uint64) wheaSection {
	var w buf
	w.put32s(0, 2, 1) // version, Intel
	w.put32(0x10, processor)
	w.put32(0x24, machineCheckBank)
	w.put64s(0x28, status, 0x1f2345040)
	w.grow(0x110)
	return wheaSection{"8a1e1d01-42f9-4557-9c33-565e5cc3f7e8", "", w.b}
}

// memoryRecord is a memory error section (N.2.5): several bits of module 1 of card 0.
func memoryRecord() wheaSection {
	var w buf
	w.put64s(0, 2|1<<3|1<<4|1<<5|1<<6|1<<8|1<<9|1<<14, 0, 0x1f2345040)
	w.put16(36, 1)
	w.put16(38, 3)
	w.put16(42, 0x1a2b)
	w.put16(44, 0x3c)
	w.put8(72, 3)
	w.grow(80)
	return wheaSection{"a5bc1114-6f64-4ede-b863-3e83ed7c83b1", "DIMM_A2", w.b}
}

// pciRecord is a PCI Express error section (N.2.7): the network card at 03:00.0 went down by
// surprise (uncorrectable status, bit 5).
func pciRecord() wheaSection {
	var w buf
	w.put64(0, 0x1|0x8|0x80)
	w.put16(24, 0x1af4)
	w.put16(26, 0x1000)
	w.put(28, []byte{0x00, 0x00, 0x02, 0, 0, 0, 0, 3})
	w.put32s(112, 0x14020001, 0x20, 0, 0x62030)
	w.grow(208)
	return wheaSection{"d995e954-bbc1-430f-ad91-b44dcb3c6f35", "", w.b}
}

// clockTicks is how many ticks Windows waits for a processor.
const clockTicks = 0x30

// playClockWatchdog lets a processor spin in a network driver's interrupt routine with
// interrupts off, until another one notices.
func playClockWatchdog(c *Crash) error {
	s := c.System
	hung := s.Processors[0]
	h := s.on(hung.Idle)
	h.call(idleCalls...).interrupt(hung).call("labnet!LabnetInterrupt").at("LabnetInterrupt_spin").lay()
	if h.err != nil {
		return h.err
	}
	s.fail(s.Run(hung.Idle, hung, 9))
	s.fail(s.SetContext(hung, h.registers(h.placed("labnet!LabnetInterrupt"))))
	g := s.on(s.Crashed.Idle)
	g.irql = 13
	g.call(idleCalls...).clockInterrupt().call("nt!KeAccumulateTicks", "nt!KeBugCheckEx").lay()
	g.stop(0x101, [4]uint64{clockTicks, 0, hung.Address, uint64(hung.Number)}, "")
	return c.finish(g, "nt!KeAccumulateTicks", TruthVerdict{Cause: "unknown", Hint: "labnet.sys"})
}

// pnpSeconds is how long Windows waits for the lock of Plug and Play.
const pnpSeconds = 300

// playPnPLock lets a thread that has the lock of Plug and Play wait in a USB driver for an
// answer that does not come.
func playPnPLock(c *Crash) error {
	s := c.System
	device := s.Driver("labusb").Devices[0]
	h := s.on(s.Process("System").Threads[2])
	h.thread.TrapFrame = 0
	h.call("nt!KiStartSystemThread", "nt!PspSystemThreadStartup", "nt!PnpDeviceActionWorker", "nt!PiProcessReenumeration", "nt!IofCallDriver", "labusb!LabusbSetPower",
		"nt!KeWaitForSingleObject", "nt!KiCommitThreadWait", "nt!KiSwapThread", "nt!KiSwapContext")
	irp, err := s.AddIRP(device, Request{Major: 27, Minor: 7, Thread: h.thread}) // IRP_MN_QUERY_DEVICE_RELATIONS
	h.fail(err)
	h.wait(waitExecutive)
	if h.err != nil {
		return h.err
	}
	s.fail(s.Set(h.thread.Address, "_KTHREAD", "WaitTime", 4, uint64(s.ticks()-hungTicks)))
	s.keepThread(h.thread)
	s.keepRequest(irp, device, device.Below)
	g := s.on(s.Crashed.Idle)
	g.irql = 2
	g.call("nt!KiIdleLoop", "nt!KiRetireDpcList", "nt!KiProcessExpiredTimerList", "nt!PnpWatchdogBugcheck", "nt!KeBugCheckEx").lay()
	g.stop(0x9f, [4]uint64{4, pnpSeconds, h.thread.Address, s.pnpTriage(device.Below)}, "")
	return c.finish(g, "nt!PnpWatchdogBugcheck", TruthVerdict{Cause: "driver", Image: "labusb.sys"})
}

// keepThread keeps a thread and its stack in small dumps, as Windows does for the one that
// a stop code is about.
func (s *System) keepThread(t *EThread) {
	s.Keep(t.Address, s.layout.Size("_ETHREAD"))
	s.Keep(t.KernelStack, t.StackBase-t.KernelStack)
}

// pnpTriage makes a TRIAGE_9F_PNP whose list holds one request: dt nt!_TRIAGE_9F_PNP,
// nt!_TRIAGE_PNP_DEVICE_COMPLETION_REQUEST of 19041.
func (s *System) pnpTriage(pdo *DeviceObject) uint64 {
	queue, entry := s.alloc("PnpT", 16, false), s.alloc("PnpT", 0x20, false)
	va := s.alloc("PnpT", 0x20, false)
	s.list(queue, []uint64{entry})
	s.word(entry+0x10, pdo.Node)
	s.half(va, 0x8001|1<<16)
	s.word(va+8, queue)
	for _, at := range []uint64{queue, entry, va} {
		s.Keep(at, 0x20)
	}
	return va
}

// dpcSamples is how many addresses the DPC watchdog notes down here.
const dpcSamples = 64

// dpcTriage makes a DPC_WATCHDOG_GLOBAL_TRIAGE_BLOCK (ntddk.h) and the addresses that
// KPRCB.DpcWatchdogProfile points to: the callers of what the clock interrupts, again and
// again. Both are zero on builds of which no public source has that field.
func (c *Crash) dpcTriage(g *stage) (block, samples uint64) {
	s := c.System
	field, ok := s.layout.Field("_KPRCB", "DpcWatchdogProfile")
	if !ok || g.err != nil {
		return 0, 0
	}
	samples, block = s.alloc("DpcW", 8*dpcSamples, false), s.alloc("DpcW", 0x10, false)
	for i := range dpcSamples {
		s.word(samples+8*uint64(i), g.forged.Frames[i%len(g.forged.Frames)].Registers.PC)
	}
	var w buf
	w.put32(0, 0xaebecede)
	w.put16(4, 1)
	w.put16(6, 0x10)
	w.put16(8, uint16(field))
	w.put32(0xc, 8*dpcSamples)
	s.put(block, w.b)
	s.Keep(block, 0x10)
	s.Keep(samples, 8*dpcSamples)
	return block, samples
}
