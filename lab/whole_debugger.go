package lab

import (
	"encoding/binary"
	"math/bits"
)

// debugger are the fields of KDDEBUGGER_DATA64 that hold an address of the kernel's: offset,
// name. Source: WDBGEXTS.H (microsoft/win32metadata).
var debugger = []struct {
	off  int
	name string
}{
	{0x20, "DbgBreakPointWithStatus"}, {0x38, "KiCallUserMode"}, {0x48, "PsLoadedModuleList"}, {0x50, "PsActiveProcessHead"},
	{0x58, "PspCidTable"}, {0x60, "ExpSystemResourcesList"}, {0x78, "KeTimeIncrement"}, {0x80, "KeBugCheckCallbackListHead"},
	{0x88, "KiBugCheckData"}, {0x90, "IopErrorLogListHead"}, {0x98, "ObpRootDirectoryObject"}, {0xa0, "ObpTypeObjectType"},
	{0xc0, "MmPfnDatabase"}, {0x140, "MmSizeOfPagedPoolInBytes"}, {0x170, "MmPagedPoolCommit"}, {0x1b8, "PoolTrackTable"},
	{0x1c8, "MmHighestUserAddress"}, {0x1d0, "MmSystemRangeStart"}, {0x1d8, "MmUserProbeAddress"}, {0x1e0, "KdPrintDefaultCircularBuffer"},
	{0x1f0, "KdPrintWritePointer"}, {0x1f8, "KdPrintRolloverCount"}, {0x208, "NtBuildLab"}, {0x218, "KiProcessorBlock"},
	{0x220, "MmUnloadedDrivers"}, {0x228, "MmLastUnloadedDriver"}, {0x230, "MmTriageActionTaken"}, {0x238, "MmSpecialPoolTag"},
	{0x240, "KernelVerifier"}, {0x248, "MmVerifierData"}, {0x268, "CmNtCSDVersion"}, {0x270, "MmPhysicalMemoryBlock"},
	{0x2c8, "KdPrintCircularBuffer"}, {0x2d0, "KdPrintBufferSize"}, {0x2d8, "KeLoaderBlock"}, {0x308, "IopNumTriageDumpDataBlocks"},
	{0x310, "IopTriageDumpDataBlocks"}, {0x330, "EtwpDebuggerData"},
}

// buildDebugger writes the debugger data block, the version block and what they lead to.
func (s *System) buildDebugger() {
	label := append([]byte(s.label()), 0)
	s.put(s.variable("NtBuildLab", 64), label)
	s.put(s.variable("NtBuildLabEx", 128), label)
	s.half(s.variable("NtBuildNumber", 4), 0xf0000000|uint32(s.Build))
	s.half(s.variable("KeTimeIncrement", 4), 156250)
	s.list(s.variable("KeBugCheckCallbackListHead", 16), nil)
	s.list(s.variable("IopErrorLogListHead", 16), nil)
	s.variable("KiBugCheckData", 40)
	s.variable("KiBugCheckDriver", 8)
	s.variable("KdPrintDefaultCircularBuffer", 0x1000)
	never, always := uint64(0x5b1d8e30c2f7a96d), uint64(0x2e94c60f7db35a81)
	s.pointer("KiWaitNever", never)
	s.pointer("KiWaitAlways", always)
	encoded := s.variable("KdpDataBlockEncoded", 1)

	head := s.variable("KdpDebuggerDataListHead", 16)
	block := s.variable("KdDebuggerDataBlock", 0x3a0)
	b := s.debuggerBlock(head)
	if s.Encoded {
		s.put(encoded, []byte{1})
		b = encodeDebugger(b, encoded, never, always)
	}
	s.put(block, b)
	s.word(head, block)
	s.word(head+8, block)

	var w buf // dt nt!_DBGKD_GET_VERSION64
	w.put16(0, 15)
	w.put16(2, uint16(s.Build))
	w.put(4, []byte{6, 0})
	w.put16(6, 0x47)
	w.put16(8, uint16(s.machine()))
	w.put(10, []byte{0xc, 3, 0x2f, 0})
	w.put64s(0x10, vaKernel, s.Symbol("PsLoadedModuleList"), head)
	s.put(s.variable("KdVersionBlock", 0x28), w.b)
	s.buildHives()
}

// debuggerBlock returns KDDEBUGGER_DATA64: WDBGEXTS.H.
func (s *System) debuggerBlock(head uint64) []byte {
	size := 0x380
	if s.Build >= 22000 {
		size = 0x3a0
	}
	var w buf
	w.grow(size)
	w.put64s(0, head, head)
	w.put(0x10, []byte("KDBG"))
	w.put32(0x14, uint32(size))
	w.put64(0x18, vaKernel)
	for _, f := range debugger {
		va := s.Symbol(f.name)
		if va == 0 {
			va = s.variable(f.name, 8)
		}
		w.put64(f.off, va)
	}
	paging := uint16(s.Levels << 2)
	if s.Arch == "x64" {
		paging |= 1 // PaeEnabled
	}
	w.put16(0x36, paging)
	w.put64(0x138, 0x1000)
	if s.Arch == "x64" {
		w.put64(0x360, s.selfMap())
	}
	s.debuggerOffsets(&w)
	return w.b
}

// debuggerOffsets writes what the block says of structures: offset in the block, structure,
// field, bytes.
func (s *System) debuggerOffsets(w *buf) {
	for _, f := range []struct {
		off              int
		structure, field string
		size             int
	}{
		{0x298, "_KTHREAD", "NextProcessor", 2}, {0x29a, "_KTHREAD", "Teb", 2}, {0x29c, "_KTHREAD", "KernelStack", 2},
		{0x29e, "_KTHREAD", "InitialStack", 2}, {0x2a0, "_KTHREAD", "ApcState.Process", 2}, {0x2a2, "_KTHREAD", "State", 2},
		{0x2a8, "_EPROCESS", "sizeof", 2}, {0x2aa, "_EPROCESS", "Peb", 2}, {0x2ac, "_EPROCESS", "InheritedFromUniqueProcessId", 2},
		{0x2ae, "_KPROCESS", "DirectoryTableBase", 2}, {0x2b0, "_KPRCB", "sizeof", 2}, {0x2b2, "_KPRCB", "DpcRoutineActive", 2},
		{0x2b4, "_KPRCB", "CurrentThread", 2}, {0x2b6, "_KPRCB", "MHz", 2}, {0x2b8, "_KPRCB", "CpuType", 2}, {0x2ba, "_KPRCB", "VendorString", 2},
		{0x2bc, "_KPRCB", "ProcessorState.ContextFrame", 2}, {0x2be, "_KPRCB", "Number", 2}, {0x2c0, "_ETHREAD", "sizeof", 2},
		{0x2e0, "_KPCR", "sizeof", 2}, {0x2e2, "_KPCR", "Self", 2}, {0x2e4, "_KPCR", "CurrentPrcb", 2}, {0x2e6, "_KPCR", "Prcb", 2},
		{0x2f2, "_KPRCB", "ProcessorState.SpecialRegisters", 2}, {0x338, "_KPRCB", "Context", 2},
		{0x340, "_KTHREAD", "StackLimit", 4}, {0x344, "_KTHREAD", "StackBase", 4}, {0x348, "_KTHREAD", "QueueListEntry", 4},
		{0x34c, "_ETHREAD", "IrpList", 4}, {0x350, "_KPRCB", "IdleThread", 2}, {0x354, "_KPRCB", "DpcStack", 2}, {0x356, "_KPRCB", "IsrStack", 2},
		{0x35c, "_KTHREAD", "WaitReason", 2},
	} {
		v, ok := s.layout.Field(f.structure, f.field)
		switch {
		case !ok:
		case f.size == 4:
			w.put32(f.off, uint32(v))
		default:
			w.put16(f.off, uint16(v))
		}
	}
	if s.Arch == "x64" {
		for i, v := range []uint16{0x10, 0x18, 0, 0x30, 0x28, 0, 0, 0x40, 0x20, 0x50} {
			w.put16(0x2f4+2*i, v)
		}
		w.put16(0x358, 0x50)
	}
}

// encodeDebugger hides the block as KdDebuggerDataBlock is while no debugger is attached:
// each word is mixed with KiWaitAlways, its bytes turned round, mixed with the address of
// KdpDataBlockEncoded, rotated right by the low byte of KiWaitNever and mixed with that.
// Source: volatilityfoundation/volatility plugins/overlays/windows/win8_kdbg.py, which goes
// the other way.
func encodeDebugger(b []byte, encoded, never, always uint64) []byte {
	out := make([]byte, len(b))
	for i := 0; i+8 <= len(b); i += 8 {
		v := bits.ReverseBytes64(binary.LittleEndian.Uint64(b[i:])^always) ^ encoded
		binary.LittleEndian.PutUint64(out[i:], bits.RotateLeft64(v, -int(never&0xff))^never)
	}
	return out
}

// SetBugCheck writes KiBugCheckData and KiBugCheckDriver (a UNICODE_STRING's address, 0: none)
// and what the header says.
func (s *System) SetBugCheck(code uint32, p [4]uint64, driver string) error {
	s.Code, s.Parameters = code, p
	var w buf
	w.put64s(0, uint64(code), p[0], p[1], p[2], p[3])
	s.put(s.Symbol("KiBugCheckData"), w.b)
	if driver != "" {
		s.word(s.Symbol("KiBugCheckDriver"), s.objectName(driver))
	}
	return s.err
}

// buildHives makes CmpHiveListHead: the usual hives, of which only names exist.
func (s *System) buildHives() {
	head := s.variable("CmpHiveListHead", 16)
	var links []uint64
	for _, h := range [][2]string{{"", `\REGISTRY\MACHINE\HARDWARE`}, {`\SystemRoot\System32\Config\SYSTEM`, `\REGISTRY\MACHINE\SYSTEM`},
		{`\SystemRoot\System32\Config\SOFTWARE`, `\REGISTRY\MACHINE\SOFTWARE`}, {`\SystemRoot\System32\Config\SAM`, `\REGISTRY\MACHINE\SAM`}} {
		r := s.record("_CMHIVE", s.alloc("CM10", s.layout.Size("_CMHIVE"), false))
		r.set32("_HHIVE:Signature", 0xbee0bee0)
		if h[0] != "" {
			r.setText("FileFullPath", h[0], s.text("CM10", h[0], true))
		}
		r.setText("HiveRootPath", h[1], s.text("CM10", h[1], true))
		r.write()
		links = append(links, r.at("HiveList"))
	}
	s.list(head, links)
}
