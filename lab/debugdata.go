package lab

// The kernel's variables stand in its image from variables on, 0x100 bytes apart:
// invented places, whose order is that of the slots.
const variables = 0x600000

const (
	slotIdleThread = iota
	slotDebuggerData
	slotFirst // of those that KDDEBUGGER_DATA64 names, see debuggerVariables
)

// Places in debuggerVariables that the writer needs by name: offsets in KDDEBUGGER_DATA64.
const (
	kdPsLoadedModuleList  = 0x48
	kdPsActiveProcessHead = 0x50
	kdMmPfnDatabase       = 0xc0
	kdNtBuildLab          = 0x208
	kdKiProcessorBlock    = 0x218
)

// debuggerVariables are the fields of KDDEBUGGER_DATA64 that real dumps fill with the
// address of a variable or function; all others of that kind are 0 since Windows 10.
// Source: WDBGEXTS.H (microsoft/win32metadata), the debugger data of real dumps.
var debuggerVariables = []int{
	0x20, // BreakpointWithStatus
	0x38, // KiCallUserMode
	kdPsLoadedModuleList,
	kdPsActiveProcessHead,
	0x58, // PspCidTable
	0x60, // ExpSystemResourcesList
	0x78, // KeTimeIncrement
	0x80, // KeBugCheckCallbackListHead
	0x88, // KiBugcheckData
	0x90, // IopErrorLogListHead
	0x98, // ObpRootDirectoryObject
	0xa0, // ObpTypeObjectType
	kdMmPfnDatabase,
	0x140, // MmSizeOfPagedPoolInBytes
	0x170, // MmPagedPoolCommit
	0x1b8, // PoolTrackTable
	0x1c8, // MmHighestUserAddress
	0x1d0, // MmSystemRangeStart
	0x1d8, // MmUserProbeAddress
	0x1e0, // KdPrintCircularBuffer
	0x1f0, // KdPrintWritePointer
	kdNtBuildLab,
	kdKiProcessorBlock,
	0x220, // MmUnloadedDrivers
	0x228, // MmLastUnloadedDriver
	0x230, // MmTriageActionTaken
	0x238, // MmSpecialPoolTag
	0x240, // KernelVerifier
	0x248, // MmVerifierData
	0x268, // CmNtCSDVersion
	0x270, // MmPhysicalMemoryBlock
	0x2c8, // KdPrintCircularBufferPtr
	0x2d0, // KdPrintBufferSize
	0x2d8, // KeLoaderBlock
	0x308, // IopNumTriageDumpDataBlocks
	0x310, // IopTriageDumpDataBlocks
	0x330, // EtwpDebuggerData
}

// variable returns the invented address of a slot.
func (d *Dump) variable(slot int) uint64 {
	return d.Drivers[0].Base + variables + uint64(slot)*0x100
}

// kdVariable returns the address that the field at off of KDDEBUGGER_DATA64 holds.
func (d *Dump) kdVariable(off int) uint64 {
	for i, o := range debuggerVariables {
		if o == off {
			return d.variable(slotFirst + i)
		}
	}
	return 0
}

// debuggerData returns the KDDEBUGGER_DATA64 block: WDBGEXTS.H. Its pointers have 64
// bits on every machine; 32-bit ones are extended by their sign.
func (d *Dump) debuggerData() []byte {
	var w buf
	w.grow(d.Build.debugger)
	list := d.pointer64(d.variable(slotDebuggerData) + 0x80)
	w.put64s(0, list, list)
	w.put(0x10, []byte("KDBG"))
	w.put32(0x14, uint32(d.Build.debugger))
	w.put64(0x18, d.pointer64(d.Drivers[0].Base))
	for _, off := range debuggerVariables {
		w.put64(off, d.pointer64(d.kdVariable(off)))
	}
	w.put64(0x138, 0x1000) // MmPageSize
	w.put16(0x36, d.Build.paging())
	if d.Build.pointer() == 8 {
		w.put64(0x360, 0xfffff68000000000) // PteBase
	}
	d.threadOffsets(&w)
	d.objectOffsets(&w)
	d.segments(&w)
	return w.b
}

// paging returns PaeEnabled (bit 0) and PagingLevels (bits 2 to 5, from 22000 on), as real
// dumps have them.
func (b *Build) paging() uint16 {
	switch {
	case b.machine == machineARM64:
		return 4 << 2
	case b.number >= 22000:
		return 4<<2 | 1
	}
	return 1
}

func (d *Dump) pointer64(va uint64) uint64 {
	if d.Build.pointer() == 4 {
		return uint64(int64(int32(uint32(va))))
	}
	return va
}

func (d *Dump) threadOffsets(w *buf) {
	t := d.Build.thread
	w.put16(0x298, t.nextCPU)
	w.put16(0x29a, t.teb)
	w.put16(0x29c, t.kernelStack)
	w.put16(0x29e, t.initialStack)
	w.put16(0x2a0, t.apcProcess)
	w.put16(0x2a2, t.state)
	w.put16(0x2c0, t.size)
	w.put32(0x340, uint32(t.limit))
	w.put32(0x344, uint32(t.base))
	w.put32(0x348, uint32(t.queueEntry))
	w.put32(0x34c, uint32(t.irps))
	w.put16(0x35c, t.waitReason)
	w.put16(0x35a, 0x2a0)          // OffsetKPriQueueThreadListHead, on every 64-bit build since 8.1
	if d.Build.debugger >= 0x3a0 { // OffsetKThreadShadowStackLimit, …Base: Windows 11 22000 on
		w.put32(0x380, uint32(t.shadowLimit))
		w.put32(0x384, uint32(t.shadowBase))
	}
}

// objectOffsets writes what the block says of EPROCESS, KPRCB and KPCR.
func (d *Dump) objectOffsets(w *buf) {
	p, r, c := d.Build.process, d.Build.prcb, d.Build.pcr
	for i, v := range []uint16{p.size, p.peb, p.parent, p.directory, r.size, r.dpcRoutine, r.current, r.mhz,
		r.cpuType, r.vendor, r.context, r.number} {
		w.put16(0x2a8+2*i, v)
	}
	for i, v := range []uint16{c.size, c.self, c.current, c.contained} {
		w.put16(0x2e0+2*i, v)
	}
	w.put16(0x2f2, r.special)
	w.put16(0x338, r.contextPtr)
	if r.watch != 0 { // ARM64: OffsetPrcbMaxBreakpoints, …MaxWatchpoints
		w.put16(0x33a, r.watch)
		w.put16(0x33c, r.watch+4)
	}
	w.put16(0x350, r.idle)
	w.put16(0x352, r.dpcNormal)
	w.put16(0x354, r.dpcStack)
	w.put16(0x356, r.isrStack)
	if d.Build.debugger >= 0x3a0 { // OffsetPrcbExceptionStack
		w.put16(0x398, r.exceptionStack)
	}
}

// segments writes the selectors of x64 and x86; ARM64 has none.
func (d *Dump) segments(w *buf) {
	switch d.Build.machine {
	case machineX64: // GdtR0Code, R0Data, R0Pcr, R3Code, R3Data, R3Teb, Ldt, Tss, 64R3CmCode, 64R3CmTeb
		for i, v := range []uint16{0x10, 0x18, 0, 0x30, 0x28, 0, 0, 0x40, 0x20, 0x50} {
			w.put16(0x2f4+2*i, v)
		}
		w.put16(0x358, 0x50) // SizeKDPC_STACK_FRAME
	case machineX86:
		for i, v := range []uint16{0x08, 0x10, 0x30, 0x1b, 0x23, 0x3b, 0x48, 0x28} {
			w.put16(0x2f4+2*i, v)
		}
	case machineARM64:
		w.put16(0x358, 0x10)
	}
}
