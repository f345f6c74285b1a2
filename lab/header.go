package lab

// unused covers what a dump header's writer does not write.
const unused = "PAGE"

// header64 writes DUMP_HEADER64: microsoft/win32metadata (ns-dbgeng), volatility3
// crash64.json; which fields stay unwritten in which layout was seen in real dumps.
func (d *Dump) header64(w *buf) {
	w.fill(0, header64, unused)
	w.put(4, []byte("DU64"))
	w.put32s(0x08, 15, d.Build.number) // 15: a free build
	w.put64s(0x10, d.Process.DirectoryTableBase, d.pfnDatabase(),
		d.kdVariable(kdPsLoadedModuleList), d.kdVariable(kdPsActiveProcessHead))
	w.put32s(0x30, uint32(d.Build.machine), uint32(d.Processors), d.Code)
	w.put64s(0x40, d.Parameters[:]...)
	w.put64(0x80, d.variable(slotDebuggerData))
	w.put(0x348, d.Registers.Context())
	w.put32s(0xf00, 0x80000003, 1) // STATUS_BREAKPOINT, EXCEPTION_NONCONTINUABLE
	w.put64s(0xf08, 0, d.exceptionAddress())
	w.put32(0xf18, 0)
	w.put32(0xf98, 4) // DumpType: triage
	w.put64(0xfa8, filetime(d.Time))
	d.comment(w, 0xfb0)
	w.put64(0x1030, uint64(d.Uptime/100))
	w.put32s(0x1040, d.Product, d.Suite)
	if d.Layout == Old {
		d.oldHeader64(w)
		return
	}
	w.put32(0x1038, 0xcff) // MiniDumpFields
	w.put32(0x1048, 0)     // WriterStatus
	w.put8(0x104d, 0)      // KdSecondaryVersion
	size := 0x348 + len(d.Registers.Context())
	w.put(size, make([]byte, 0xf00-size))
	if d.Build.number >= 22000 {
		w.put32(0x1054, d.BootID)
	}
}

// oldHeader64 writes what only the old layout has: an empty VersionUser, the runs of
// physical memory, Attributes, BootId.
func (d *Dump) oldHeader64(w *buf) {
	w.put(0x60, make([]byte, 32))
	w.put64s(0x88, 2, physicalPages, 1, 0x9f, 0x100, physicalPages-0x9f)
	w.put32s(0x1038, 0xdff, 0) // MiniDumpFields, SecondaryDataState
	attributes := uint32(8)
	if d.Build.number >= 26100 {
		attributes = 0x21008
	}
	w.put32s(0x1050, attributes, d.BootID)
}

// pfnDatabase returns the header's PfnDataBase: the database's own address in the old
// layout, that of the variable in the new one.
func (d *Dump) pfnDatabase() uint64 {
	switch {
	case d.Layout == New:
		return d.kdVariable(kdMmPfnDatabase)
	case d.Build.pointer() == 4:
		return 0x83400000
	}
	return 0xffffca8000000000
}

func (d *Dump) exceptionAddress() uint64 {
	if d.ExceptionAddress != 0 {
		return d.ExceptionAddress
	}
	return d.Registers.pc()
}

func (d *Dump) comment(w *buf, at int) {
	if d.Comment != "" {
		w.put(at, make([]byte, 128))
		w.put(at, []byte(d.Comment))
	}
}
