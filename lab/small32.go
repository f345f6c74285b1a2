package lab

// header32 writes DUMP_HEADER32: microsoft/win32metadata, volatility3 crash.json. Which
// fields a triage dump leaves unwritten is taken over from the 64-bit header.
func (d *Dump) header32(w *buf) {
	w.fill(0, header32, unused)
	w.put(4, []byte("DUMP"))
	w.put32s(0x08, 15, d.Build.number, uint32(d.Process.DirectoryTableBase), uint32(d.pfnDatabase()),
		uint32(d.kdVariable(kdPsLoadedModuleList)), uint32(d.kdVariable(kdPsActiveProcessHead)),
		uint32(d.Build.machine), uint32(d.Processors), d.Code)
	for i, p := range d.Parameters {
		w.put32(0x2c+4*i, uint32(p))
	}
	w.put8(0x5c, 1) // PaeEnabled
	w.put8(0x5d, 0) // KdSecondaryVersion
	w.put32(0x60, uint32(d.variable(slotDebuggerData)))
	w.put(0x320, d.Registers.Context())
	w.put32s(0x7d0, 0x80000003, 1, 0, uint32(d.exceptionAddress()), 0)
	d.comment(w, 0x820)
	w.put32s(0xf88, 4)
	w.put32s(0xf94, d.Product, d.Suite)
	w.put64(0xfb8, uint64(d.Uptime/100))
	w.put64(0xfc0, filetime(d.Time))
	if d.Layout == New {
		w.put32(0xf8c, 0xcff)
		w.put32(0xf9c, 0)
		return
	}
	w.put(0x3c, make([]byte, 32))
	w.put32s(0x64, 2, physicalPages, 1, 0x9f, 0x100, physicalPages-0x9f)
	w.put32s(0xf8c, 0xdff, 0)
	w.put32s(0x8a0, 8, d.BootID)
}

// Record32 returns the 0x50 bytes of EXCEPTION_RECORD32: winnt.h, x86.
func (e Exception) Record32() []byte {
	var w buf
	w.grow(0x50)
	w.put32s(0, e.Code, e.Flags, 0, uint32(e.Address), uint32(len(e.Parameters)))
	for i, p := range e.Parameters[:min(len(e.Parameters), 15)] {
		w.put32(0x14+4*i, uint32(p))
	}
	return w.b
}
