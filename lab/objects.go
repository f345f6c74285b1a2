package lab

// kprcb returns the KPRCB of the processor that crashed, as its build lays it out.
func (d *Dump) kprcb() []byte {
	var w buf
	p, l, n := d.Processor, d.Build.prcb, d.Build.pointer()
	w.grow(int(l.size))
	w.ptr(int(l.current), n, d.Thread.Address)
	w.ptr(int(l.idle), n, d.variable(slotIdleThread))
	w.ptr(int(l.contextPtr), n, p.Address+uint64(l.context))
	w.put32(int(l.mhz), p.MHz)
	w.put32(int(l.number), uint32(p.Number))
	if l.savedIRQL != 0 {
		w.put8(int(l.savedIRQL), p.IRQL)
	}
	switch d.Build.machine {
	case machineX64:
		d.kprcbX64(&w)
	case machineARM64:
		d.kprcbARM64(&w)
	case machineX86:
		d.kprcbX86(&w)
	}
	return w.b
}

// cpu writes CpuType, CpuID and CpuStep, and the vendor's name and number (amd64 and x86).
func (d *Dump) cpu(w *buf) {
	p, l := d.Processor, d.Build.prcb
	w.put(int(l.cpuType), []byte{p.Family, 1, p.Stepping, p.Model})
	w.put(int(l.vendor), []byte(p.Vendor))
	w.put64(int(l.microcode), p.Microcode)
	vendors := map[string]uint8{"AuthenticAMD": 1, "GenuineIntel": 2} // the CPU_VENDORS values
	w.put8(int(l.vendorID), vendors[p.Vendor])
}

// dt nt!_KPRCB, nt!_KSPECIAL_REGISTERS on 17763: MajorVersion 0x8a, Cr3 +0x10, Cr8 +0xa0.
func (d *Dump) kprcbX64(w *buf) {
	d.cpu(w)
	l := d.Build.prcb
	w.put16(0x88, 1)
	w.put16(0x8a, 1)
	w.put64(int(l.rspBase), d.initialStack(d.Stack.Base))
	w.put64(int(l.special)+0x10, d.Process.DirectoryTableBase)
	w.put64(int(l.special)+0xa0, uint64(d.Processor.IRQL))
}

// On ARM64 ProcessorModel and ProcessorRevision stand where the debugger data says
// CpuType, the vendor is the implementer's letter of MIDR_EL1, and ProcessorState
// holds the header's CONTEXT: seen in a real dump of 22000.
func (d *Dump) kprcbARM64(w *buf) {
	p, l := d.Processor, d.Build.prcb
	w.put16(int(l.cpuType), uint16(p.Family)<<8|uint16(p.Model))
	w.put16(int(l.cpuType)+2, uint16(p.Stepping))
	if p.Vendor != "" {
		w.put32(int(l.vendor), uint32(p.Vendor[0]))
	}
	w.put(int(l.context), d.Registers.Context())
}

// dt nt!_KPRCB on 17763 x86: MinorVersion 0, MajorVersion 2, ProcessorState.SpecialRegisters.Cr3 +8.
func (d *Dump) kprcbX86(w *buf) {
	d.cpu(w)
	w.put16(0, 1)
	w.put16(2, 1)
	w.put(int(d.Build.prcb.context), d.Registers.Context())
	w.put32(int(d.Build.prcb.special)+8, uint32(d.Process.DirectoryTableBase))
}

// eprocess returns the EPROCESS of the current process. A DISPATCHER_HEADER's first
// byte is the object's type: 3 a process, 6 a thread.
func (d *Dump) eprocess() []byte {
	var w buf
	p, l, n := d.Process, d.Build.process, d.Build.pointer()
	w.grow(int(l.size))
	w.put8(0, 3)
	w.ptr(int(l.directory), n, p.DirectoryTableBase)
	w.ptr(int(l.id), n, uint64(p.ID))
	w.ptr(int(l.parent), n, uint64(p.ParentID))
	w.put64(int(l.created), filetime(p.Created))
	// ImageFileName has 15 bytes; Windows fills 14.
	w.put(int(l.name), []byte(p.Name[:min(len(p.Name), 14)]))
	return w.b
}

// ethread returns the ETHREAD of the current thread. Its IRP list is empty: it points at itself.
func (d *Dump) ethread() []byte {
	var w buf
	t, l, n := d.Thread, d.Build.thread, d.Build.pointer()
	w.grow(int(l.size))
	w.put8(0, 6)
	limit, base := t.StackLimit, t.StackBase
	if base == 0 {
		limit, base = d.Stack.Limit, d.Stack.Base
	}
	for _, f := range []struct {
		off uint16
		v   uint64
	}{
		{l.initialStack, d.initialStack(base)}, {l.limit, limit}, {l.base, base},
		{l.kernelStack, d.Stack.Address}, {l.trapFrame, t.TrapFrame},
		{l.process, d.Process.Address}, {l.apcProcess, d.Process.Address},
		{l.cid, uint64(d.Process.ID)}, {l.cid + uint16(n), uint64(t.ID)}, {l.start, t.Start},
		{l.irps, t.Address + uint64(l.irps)}, {l.irps + uint16(n), t.Address + uint64(l.irps)},
	} {
		w.ptr(int(f.off), n, f.v)
	}
	w.put8(int(l.state), 2) // Running
	if t.TrapFrame != 0 {
		w.put8(int(l.previous), 1) // UserMode
	}
	return w.b
}

// initialStack returns KTHREAD.InitialStack of a stack that ends at base: on x64 a system
// thread and a user thread alike keep room above it (0x3d0 bytes on 26100, which this
// takes for all), and a user thread's trap frame ends there.
func (d *Dump) initialStack(base uint64) uint64 {
	if d.Build.pointer() == 4 {
		return base - 0x2a0
	}
	return base - 0x3d0
}
