package lab

import (
	"fmt"
)

// KPrcb is a processor.
type KPrcb struct {
	Address  uint64 // of its KPRCB
	Pcr      uint64
	Number   int
	IRQL     uint8
	Thread   *EThread // what runs on it
	Idle     *EThread
	Context  []byte // CONTEXT, as KeBugCheckEx or a freeze left it
	DpcStack uint64 // its end
	IsrStack uint64 // its end

	contextAt uint64
}

// buildProcessors maps the processors' KPCRs and stacks. What runs on them is filled in by
// buildProcesses.
func (s *System) buildProcessors() {
	prcb, _ := s.layout.Field("_KPCR", "Prcb")
	size := max(s.layout.Size("_KPCR"), prcb+s.layout.Size("_KPRCB"))
	block := s.variable("KiProcessorBlock", 8*2048)
	for i := 0; i < s.Plan.Processors; i++ {
		p := &KPrcb{Number: i, Pcr: s.take(&s.regions.processors, size)}
		p.Address = p.Pcr + prcb
		p.DpcStack = s.stack()
		p.IsrStack = s.stack()
		p.contextAt = s.alloc("KeCx", 0x800, false)
		s.Processors = append(s.Processors, p)
		s.word(block+8*uint64(i), p.Address)
	}
	s.Crashed = s.Processors[len(s.Processors)-1]
	s.half(s.variable("KeNumberProcessors", 4), uint32(s.Plan.Processors))
}

// stackSize is that of every kernel stack here, bytes.
const stackSize = 0x6000

// stack maps a kernel stack with a page without memory before it and returns its end.
func (s *System) stack() uint64 {
	s.regions.stacks += 0x1000
	return s.take(&s.regions.stacks, stackSize) + stackSize
}

// writeProcessor writes the KPCR and KPRCB of a processor.
func (s *System) writeProcessor(p *KPrcb) {
	c := s.record("_KPCR", p.Pcr)
	c.set64("Self", p.Pcr)
	c.set64("CurrentPrcb", p.Address)
	c.set64("GdtBase", p.Pcr+0x2000)
	c.set64("IdtBase", vaExtra)
	c.set64("KdVersionBlock", s.variable("KdVersionBlock", 0x28))
	c.set16("MajorVersion", 1)
	c.set8("Irql", p.IRQL)
	b := make([]byte, p.Address-p.Pcr)
	copy(b, c.b)
	s.put(p.Pcr, b)

	r := s.record("_KPRCB", p.Address)
	r.set64("CurrentThread", p.Thread.Address)
	r.set64("IdleThread", p.Idle.Address)
	r.set32("Number", uint32(p.Number))
	r.set8("LegacyNumber", uint8(p.Number))
	r.set8("GroupIndex", uint8(p.Number))
	r.set16("MinorVersion", 1)
	r.set16("MajorVersion", 1)
	r.set32("MHz", 2494)
	r.set64("RspBase", p.Thread.InitialStack)
	r.set64("DpcStack", p.DpcStack)
	r.set64("IsrStack", p.IsrStack)
	r.set8("DebuggerSavedIRQL", p.IRQL)
	s.identify(r)
	s.counters(r, p)
	s.dpcQueues(r)
	s.processorState(r, p)
	r.set64("Context", p.contextAt)
	r.write()
	s.put(p.contextAt, p.Context)
}

// identify writes what CPUID or MIDR_EL1 says.
func (s *System) identify(r *record) {
	if s.Arch == "arm64" {
		r.set16("ProcessorModel", 0xd0c)
		r.set16("ProcessorRevision", 1)
		r.set32("ProcessorVendorString", 'A')
		return
	}
	r.setBytes("CpuType", []byte{6, 1, 4, 0x55}) // CpuType, CpuID, CpuStepping, CpuModel
	r.set8("CpuVendor", 2)
	r.setBytes("VendorString", []byte("GenuineIntel"))
	r.set64("UpdateSignature", 0x2007006<<32)
}

// counters writes times in clock ticks of 15.625 ms and counts, all invented.
func (s *System) counters(r *record, p *KPrcb) {
	ticks := uint32(s.Uptime.Milliseconds() * 1000 / 15625)
	n := uint32(p.Number)
	r.set32("KernelTime", ticks*97/100-40*n) // the idle thread's among it
	r.set32("UserTime", ticks*3/100+40*n)
	r.set32("DpcTime", ticks/500)
	r.set32("InterruptTime", ticks/800+n)
	r.set32("InterruptCount", ticks*31+77*n)
	r.set32("DpcTimeLimit", 0x282)
	r.set32("DpcTimeCount", 0)
	r.set32("DpcWatchdogPeriod", 0x1e01)
	r.set32("KeContextSwitches", ticks*43+n)
}

// dpcQueues writes the two _KDPC_DATA, normal and threaded, both empty.
func (s *System) dpcQueues(r *record) {
	o := r.off("DpcData")
	if o < 0 {
		return
	}
	size := int(s.layout.Size("_KDPC_DATA"))
	for i := 0; i < 2; i++ {
		at := o + i*size
		if l, ok := s.layout.Field("_KDPC_DATA", "DpcList"); ok { // _KDPC_LIST: ListHead, LastEntry
			r.put64s(at+int(l), 0, r.va+uint64(at)+l)
		}
		if c, ok := s.layout.Field("_KDPC_DATA", "DpcCount"); ok {
			r.put32(at+int(c), uint32(4000*(2-i)+i))
		}
	}
}

// QueueDPC puts a deferred procedure call at the end of a processor's queue, of normal or of
// threaded ones, and returns its KDPC: dt nt!_KDPC, 0x40 bytes: Type 0x13 or 0x1a, Importance 1,
// DpcListEntry 8, DeferredRoutine 0x18, DeferredContext 0x20, DpcData 0x38. _KDPC_LIST at the
// start of _KDPC_DATA: the first entry, and the address of the last.
func (s *System) QueueDPC(p *KPrcb, routine, context uint64, threaded bool) (uint64, error) {
	base, ok := s.layout.Field("_KPRCB", "DpcData")
	depth, _ := s.layout.Field("_KDPC_DATA", "DpcQueueDepth")
	count, _ := s.layout.Field("_KDPC_DATA", "DpcCount")
	if !ok {
		return 0, fmt.Errorf("build %d: no DpcData in _KPRCB", s.Build)
	}
	data, kind := p.Address+base, uint8(0x13)
	if threaded {
		data, kind = data+s.layout.Size("_KDPC_DATA"), 0x1a
	}
	dpc := s.alloc("KDpc", 0x40, false)
	var w buf
	w.grow(0x40)
	w.put8(0, kind)
	w.put8(1, 1)
	w.put16(2, uint16(0x800+p.Number)) // the processor it was sent to
	w.put64s(0x18, routine, context)
	w.put64(0x38, data)
	s.put(dpc, w.b)
	s.word(s.peek(data+8), dpc+8)
	s.word(data+8, dpc+8)
	s.half(data+depth, uint32(s.peek(data+depth))+1)
	s.half(data+count, uint32(s.peek(data+count))+1)
	return dpc, s.err
}

// processorState writes ProcessorState: CONTEXT and the special registers.
func (s *System) processorState(r *record, p *KPrcb) {
	r.setBytes("ProcessorState.ContextFrame", p.Context)
	o := r.off("ProcessorState.SpecialRegisters")
	if o < 0 || s.Arch == "arm64" {
		s.archState(r, p)
		return
	}
	set := func(field string, v uint64) {
		if f, ok := s.layout.Field("_KSPECIAL_REGISTERS", field); ok {
			r.put64(o+int(f), v)
		}
	}
	set("Cr0", 0x80050033)
	set("Cr3", p.Thread.Process.directory())
	set("Cr4", 0x370678)
	set("Cr8", uint64(p.IRQL))
	set("MsrGsBase", p.Pcr)
	set("MsrGsSwap", p.Thread.Teb)
	set("MsrLStar", s.Symbol("KiSystemCall64"))
}

// archState writes the translation registers of ARM64: dt nt!_KARM64_ARCH_STATE.
func (s *System) archState(r *record, p *KPrcb) {
	o, ok := s.layout.Field("_KPROCESSOR_STATE", "ArchState")
	state := r.off("ProcessorState")
	if !ok || state < 0 {
		return
	}
	for field, v := range map[string]uint64{"Ttbr0_El1": p.Thread.Process.directory(), "Ttbr1_El1": p.Thread.Process.directory() + 0x800,
		"Tcr_El1": 0x95b5513511, "Midr_El1": 0x413fd0c1} {
		if f, ok := s.layout.Field("_KARM64_ARCH_STATE", field); ok {
			r.put64(state+int(o+f), v)
		}
	}
}

// SetContext gives a processor the registers that it was stopped with.
func (s *System) SetContext(p *KPrcb, registers Registers) error {
	p.Context = registers.Context()
	s.put(p.contextAt, p.Context)
	if off, ok := s.layout.Field("_KPRCB", "ProcessorState.ContextFrame"); ok {
		s.put(p.Address+off, p.Context)
	}
	return s.err
}

// Run makes a thread the one that runs on a processor at an IRQL.
func (s *System) Run(t *EThread, p *KPrcb, irql uint8) error {
	if old := p.Thread; old != nil && old != t && old != p.Idle && old.State == stateRunning {
		s.setThreadState(old, stateReady, 0)
	}
	p.Thread, p.IRQL = t, irql
	s.setThreadState(t, stateRunning, 0)
	s.writeProcessor(p)
	return s.err
}
