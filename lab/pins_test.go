package lab

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// pin is one value at one place.
type pin struct {
	off, size int // bytes
	want      uint64
	name      string
}

func (p pin) get(b []byte) uint64 {
	v := uint64(0)
	for i := p.size - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[p.off+i])
	}
	return v
}

func check(t *testing.T, what string, b []byte, pins []pin) {
	t.Helper()
	for _, p := range pins {
		if got := p.get(b); got != p.want {
			t.Errorf("%s+%#x %s: %#x, want %#x", what, p.off, p.name, got, p.want)
		}
	}
}

// TestDebuggerData_Offsets: everything that the block says of structures, from 0x298 to
// 0x2c2 and from 0x2e0 to 0x308, and the shorter runs behind; on x64 and ARM64 22000 as
// their own dumps have it (but for the selectors, which 19041 marks with the ring).
func TestDebuggerData_Offsets(t *testing.T) {
	const selectors = " 1000 1800 0000 3000 2800 0000 0000 4000 2000 5000"
	for _, c := range []struct {
		build                             *Build
		objects, pcr, context, stack, dpc string
	}{
		{Windows17763, "1802 f000 5800 2800 b800 8401 0000 0000 5008 f803 e003 2800 c07e 6a2e 0800 4400 4000 9062 f001 2400 1008",
			"4080 1800 2000 8001 0000 0000 0000 0000 0000 0001" + selectors, "c062 0000 0000",
			"30000000 38000000 08020000 70060000", "1800 6c2e 502e d862 5000 a002 8302"},
		{Windows19041, "1802 f000 5800 2800 b800 8401 0000 0000 400a 5005 4005 2800 00af 2a31 0800 4400 4000 9085 f001 2400 9808",
			"80b0 1800 2000 8001 0000 0000 0000 0000 0000 0001" + selectors, "c085 0000 0000",
			"30000000 38000000 08020000 b0040000", "1800 2c31 1031 d885 5000 a002 8302"},
		{Windows26100, "1802 f000 5800 2800 b800 8401 0000 0000 4008 e002 d002 2800 00cf ba38 0800 4400 4000 908f f001 2400 8807",
			"80d0 1800 2000 8001 0000 0000 0000 0000 0000 0001" + selectors, "c08f 0000 0000",
			"30000000 38000000 08020000 40050000", "1800 bc38 a038 d88f 5000 a002 8302"},
		{Windows22000ARM64, "3802 e800 5800 2800 b000 7c01 0000 0000 800c 0805 f804 2800 8096 1a0b 0800 f406 f006 9008 6003 2400 1009",
			"00a0 1800 0000 8009 0000 0000 0000 0000 0000 4000" + strings.Repeat("0000", 10), "a008 9808 9c08",
			"30000000 38000000 00020000 20050000", "1800 1c0b f80a e018 1000 a002 a302"},
		{Windows26100ARM64, "3802 e800 5800 2800 b000 7c01 0000 0000 0009 d002 c002 2800 009f 9a0b 0800 7407 7007 1009 8003 2400 6807",
			"80a8 1800 0000 8009 0000 0000 0000 0000 0000 4000" + strings.Repeat("0000", 10), "2009 0000 0000",
			"30000000 38000000 00020000 20050000", "1800 9c0b 780b 601b 1000 a002 a302"},
		{Windows17763X86, "4801 a800 4800 2000 8000 9000 0000 0000 0804 4c01 4001 1800 005f 3a22 0400 c003 1400 fc3c 1800 cc03 8004",
			"2060 0000 2000 2001 0000 0000 0000 0000 0000 e402 0800 1000 3000 1b00 2300 3b00 4800 2800 0000 0000", "2841 0000 0000",
			"24000000 28000000 40010000 9c030000", "0c00 3c22 1022 5c42 0000 a002 8b01"},
	} {
		kd := Machine(c.build).debuggerData()
		for off, want := range map[int]string{0x298: c.objects, 0x2e0: c.pcr, 0x338: c.context, 0x340: c.stack, 0x350: c.dpc} {
			b, err := hex.DecodeString(strings.ReplaceAll(want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if got := kd[off : off+len(b)]; string(got) != string(b) {
				t.Errorf("%s: KDDEBUGGER_DATA64+%#x\n got %x\nwant %x", c.build, off, got, b)
			}
		}
	}
}

// TestDebuggerData_Pointers: the fields that hold addresses are those that real dumps fill.
func TestDebuggerData_Pointers(t *testing.T) {
	want := map[int]bool{0: true, 8: true, 0x18: true, 0x360: true}
	for _, off := range []int{0x20, 0x38, 0x48, 0x50, 0x58, 0x60, 0x78, 0x80, 0x88, 0x90, 0x98, 0xa0, 0xc0, 0x140, 0x170, 0x1b8,
		0x1c8, 0x1d0, 0x1d8, 0x1e0, 0x1f0, 0x208, 0x218, 0x220, 0x228, 0x230, 0x238, 0x240, 0x248, 0x268, 0x270, 0x2c8, 0x2d0, 0x2d8,
		0x308, 0x310, 0x330} {
		want[off] = true
	}
	kd := Machine(Windows17763).debuggerData()
	for off := 0; off+8 <= len(kd); off += 8 {
		if got := u64(kd, off)>>44 == 0xfffff; got != want[off] {
			t.Errorf("+%#x holds %#x: a pointer %v, want %v", off, u64(kd, off), got, want[off])
		}
	}
	check(t, "KDDEBUGGER_DATA64", kd, []pin{{0x36, 2, 1, "PaeEnabled"}, {0x138, 8, 0x1000, "MmPageSize"}})
	for b, want := range map[*Build]uint16{Windows26100: 0x11, Windows22000ARM64: 0x10, Windows17763X86: 1} {
		if got := u16(Machine(b).debuggerData(), 0x36); got != want {
			t.Errorf("%s: PaeEnabled and PagingLevels %#x, want %#x", b, got, want)
		}
	}
	if got := u64(Machine(Windows17763X86).debuggerData(), 0x360); got != 0 {
		t.Errorf("x86: PteBase %#x", got)
	}
}

// TestObjects_Fields: the rest of the fields that the lab fills, a build at a time.
func TestObjects_Fields(t *testing.T) {
	const created = 0x1dcb394a475fd80 // 2026-03-14 09:26:31
	for _, c := range []struct {
		build                 *Build
		prcb, process, thread []pin
	}{
		{Windows17763, []pin{{0x18, 8, 0xfffff80313000000, "IdleThread"}, {0x28, 8, 0xffffc50e6a1f7c30, "RspBase"},
			{0x88, 4, 0x00010001, "MinorVersion, MajorVersion"}, {0x110, 8, 0x1149c2000, "Cr3"}, {0x62c0, 8, 0xffffa68001140370, "Context"}},
			[]pin{{0, 1, 3, "Header.Type"}, {0x28, 8, 0x1149c2000, "DirectoryTableBase"}, {0x308, 8, created, "CreateTime"}},
			[]pin{{0, 1, 6, "Header.Type"}, {0x28, 8, 0xffffc50e6a1f7c30, "InitialStack"}, {0x30, 8, 0xffffc50e6a1f1000, "StackLimit"},
				{0x58, 8, 0xffffc50e6a1f7428, "KernelStack"}, {0x90, 8, 0xffffc50e6a1f7aa0, "TrapFrame"}, {0x184, 1, 2, "State"},
				{0x232, 1, 1, "PreviousMode"}, {0x220, 8, 0xffffb30c46a2d080, "Process"}, {0x610, 8, 0x7ff7c1e61d60, "StartAddress"},
				{0x640, 8, 5064, "Cid.UniqueThread"}, {0x670, 8, 0xffffb30c475196b0, "IrpList"}, {0x678, 8, 0xffffb30c475196b0, "IrpList"}}},
		{Windows19041, []pin{{0x8590, 8, 0x49656e69756e6547, "VendorString"}, {0x85a8, 8, 0x2007006 << 32, "UpdateSignature"},
			{0x85c0, 8, 0xffffa68001140370, "Context"}, {0x7e98, 1, 2, "DebuggerSavedIRQL"}},
			[]pin{{0x468, 8, created, "CreateTime"}}, []pin{{0x450, 8, 0x7ff7c1e61d60, "StartAddress"}, {0x4b0, 8, 0xffffb30c475194f0, "IrpList"}}},
		{Windows26100, []pin{{0x8f90, 8, 0x49656e69756e6547, "VendorString"}, {0x8658, 1, 2, "DebuggerSavedIRQL"}},
			[]pin{{0x1f8, 8, created, "CreateTime"}}, []pin{{0x4e0, 8, 0x7ff7c1e61d60, "StartAddress"}, {0x540, 8, 0xffffb30c47519580, "IrpList"}}},
		{Windows22000ARM64, []pin{{8, 8, 0xffffb30c47519040, "CurrentThread"}, {0x24, 4, 1, "Number"}, {0x6f0, 4, 0x00010d0c, "ProcessorModel, ProcessorRevision"},
			{0x890, 4, 'A', "vendor"}, {0x8a0, 8, 0xffffa68001140ce0, "Context"}, {0x360, 4, 0x400007, "ContextFrame.ContextFlags"}},
			[]pin{{0x28, 8, 0x1149c2000, "DirectoryTableBase"}, {0x420, 8, created, "CreateTime"}},
			[]pin{{0x28, 8, 0xffffc50e6a1f7c30, "InitialStack"}, {0x30, 8, 0xffffc50e6a1f1000, "StackLimit"}, {0x88, 8, 0xffffc50e6a1f7ad0, "TrapFrame"},
				{0x17c, 1, 2, "State"}, {0x240, 8, 0xffffb30c46a2d080, "Process"}, {0x252, 1, 1, "PreviousMode"}, {0x4c0, 8, 0x7ff7c1e61d60, "StartAddress"},
				{0x520, 8, 0xffffb30c47519560, "IrpList"}}},
		{Windows26100ARM64, []pin{{8, 8, 0xffffb30c47519040, "CurrentThread"}, {0x770, 4, 0x00010d0c, "ProcessorModel, ProcessorRevision"}, {0x910, 4, 'A', "vendor"},
			{0xf99, 1, 2, "DebuggerSavedIRQL"}, {0x380, 4, 0x400007, "ContextFrame.ContextFlags"}},
			[]pin{{0x1e8, 8, created, "CreateTime"}}, []pin{{0x4c0, 8, 0x7ff7c1e61d60, "StartAddress"}}},
		{Windows17763X86, []pin{{0, 4, 0x00010001, "MinorVersion, MajorVersion"}, {4, 4, 0x9c51a040, "CurrentThread"}, {0x14, 4, 0x55040106, "CpuType to CpuModel"},
			{0x18, 4, 0x10007, "ContextFrame.ContextFlags"}, {0x2ec, 4, 0x3ecc3440, "Cr3"}, {0x3be, 1, 2, "CpuVendor"}, {0x3cc, 4, 1, "Number"},
			{0x3cfc, 8, 0x49656e69756e6547, "VendorString"}, {0x3d18, 8, 0x2007006 << 32, "UpdateSignature"}, {0x4128, 4, 0x8b2c1138, "Context"},
			{0x4c0, 1, 2, "DebuggerSavedIRQL"}},
			[]pin{{0x18, 4, 0x3ecc3440, "DirectoryTableBase"}, {0xd0, 8, created, "CreateTime"}},
			[]pin{{0x20, 4, 0xaa4f3d60, "InitialStack"}, {0x24, 4, 0xaa4f1000, "StackLimit"}, {0x6c, 4, 0xaa4f3cd4, "TrapFrame"}, {0x90, 1, 2, "State"},
				{0x150, 4, 0x9b2d0040, "Process"}, {0x15a, 1, 1, "PreviousMode"}, {0x368, 4, 0x00401d60, "StartAddress"},
				{0x380, 4, 5064, "Cid.UniqueThread"}, {0x39c, 4, 0x9c51a3dc, "IrpList"}}},
	} {
		d := HighIRQLKernel(c.build)
		check(t, c.build.String()+" KPRCB", d.kprcb(), c.prcb)
		check(t, c.build.String()+" EPROCESS", d.eprocess(), c.process)
		check(t, c.build.String()+" ETHREAD", d.ethread(), c.thread)
	}
	d := SystemThreadException(Windows17763)
	check(t, "a system thread's ETHREAD", d.ethread(), []pin{{0x90, 8, 0, "TrapFrame"}, {0x232, 1, 0, "PreviousMode"}, {0x638, 8, 4, "Cid.UniqueProcess"}})
}

func TestHeader_Rest(t *testing.T) {
	file := write(t, HighIRQLKernel(Windows17763))
	check(t, "17763", file, []pin{{0x18, 8, 0xffffca8000000000, "PfnDataBase"}, {0x80, 8, 0xfffff80313000100, "KdDebuggerDataBlock"},
		{0x88, 8, 2, "NumberOfRuns"}, {0x90, 8, 0xffe9f, "NumberOfPages"}, {0x98, 8, 1, "first run"}, {0xa0, 8, 0x9f, "its pages"},
		{0xa8, 8, 0x100, "second run"}, {0xb0, 8, 0xffe00, "its pages"}, {0xf08, 8, 0, "ExceptionRecord"}, {0xf18, 4, 0, "NumberParameters"},
		{0x200c, 4, 0x348, "ContextOffset"}, {0x2010, 4, 0xf00, "ExceptionOffset"}, {0x2080, 8, 0x50_00000001, "Mm"}, {0x20c8, 8, 0xffe9f, "Mm pages"},
		{0x2074, 4, 0x380, "DebuggerDataSize"}})
	if _, size := u32(file, 0x2038), u32(file, 0x203c); u32(file, 0x2038)+size != u32(file, 0x2078) {
		t.Errorf("StringPoolSize %#x", size)
	}
	check(t, "19041", write(t, HighIRQLKernel(Windows19041)), []pin{{0x18, 8, 0xfffff80313000e00, "PfnDataBase"}, {0x1038, 4, 0xcff, "MiniDumpFields"},
		{0x1040, 8, 0x110_00000001, "ProductType, SuiteMask"}, {0x1048, 4, 0, "WriterStatus"}, {0x104d, 1, 0, "KdSecondaryVersion"}, {0x1054, 4, 0x45474150, "BootId, unwritten"}})
	check(t, "22000 ARM64", write(t, HighIRQLKernel(Windows22000ARM64)), []pin{{0x1054, 4, 42, "BootId"}, {0x30, 4, 0xaa64, "MachineImageType"}})
	check(t, "26100", write(t, HighIRQLKernel(Windows26100)), []pin{{0x1050, 4, 0x21008, "Attributes"}, {0x1054, 4, 42, "BootId"}})
	d := HighIRQLKernel(Windows17763X86)
	check(t, "x86", write(t, d), []pin{{0x14, 4, 0x83400000, "PfnDataBase"}, {0x3c, 8, 0, "VersionUser"}, {0x5d, 1, 0, "KdSecondaryVersion"},
		{0x60, 4, d.Drivers[0].Base + 0x600100, "KdDebuggerDataBlock"}, {0x64, 4, 2, "NumberOfRuns"}, {0x68, 4, 0xffe9f, "NumberOfPages"},
		{0x6c, 8, 0x9f_00000001, "first run"}, {0x74, 8, 0xffe00_00000100, "second run"}, {0x7d4, 8, 1, "ExceptionFlags, ExceptionRecord"},
		{0x8a0, 8, 42<<32 | 8, "Attributes, BootId"}, {0xf8c, 8, 0xdff, "MiniDumpFields, SecondaryDataState"}, {0xf98, 4, 0x110, "SuiteMask"},
		{0xfc0, 8, 134179540130000000, "SystemTime"}, {0x100c, 4, 0x320, "ContextOffset"}, {0x1010, 4, 0x7d0, "ExceptionOffset"}})
	d.Layout = New
	check(t, "x86, new layout", write(t, d), []pin{{0xf8c, 4, 0xcff, "MiniDumpFields"}, {0xf9c, 4, 0, "WriterStatus"}, {0x64, 4, 0x45474150, "unwritten"}})
}

// TestDrivers_OldEntry: the old layout copies the loader's entry.
func TestDrivers_OldEntry(t *testing.T) {
	d := Machine(Windows17763)
	file := write(t, d)
	second := int(u32(file, 0x2030)) + 0x90
	check(t, "hal.dll", file[second:], []pin{{8, 8, 0xffffb30c40000800, "Flink"}, {0x10, 8, 0xffffb30c40000000, "Blink"},
		{0x40, 8, d.Drivers[1].Base, "EntryPoint"}, {0x50, 4, 0x380038, "FullDllName"}, {0x58, 8, 0xffffb30c40000500, "FullDllName.Buffer"},
		{0x60, 4, 0xe000e, "BaseDllName"}, {0x68, 8, 0xffffb30c40000700, "BaseDllName.Buffer"}, {0x70, 4, 0x08804000, "Flags"}, {0x74, 2, 1, "LoadCount"}})
	check(t, "ntoskrnl.exe", file[second-0x90:], []pin{{0x10, 8, 0xfffff80313000400, "Blink: the list's head"}})
	d.Layout = New
	file = write(t, d)
	check(t, "ntoskrnl.exe, new layout", file[u32(file, 0x2030):], []pin{{8, 8, 0, "Flink"}, {0x40, 8, 0, "EntryPoint"}, {0x50, 4, 0, "FullDllName"}})

	d = Machine(Windows17763X86)
	file = write(t, d)
	second = int(u32(file, 0x1030)) + 0x4c
	check(t, "hal.dll on x86", file[second:], []pin{{4, 4, 0x86000800, "Flink"}, {8, 4, 0x86000000, "Blink"}, {0x28, 4, 0x380038, "FullDllName"},
		{0x30, 4, 0xe000e, "BaseDllName"}, {0x38, 4, 0x08804000, "Flags"}, {0x3c, 2, 1, "LoadCount"}})
}

// TestOwnBlocks: KiProcessorBlock names the KPRCB whose block follows.
func TestOwnBlocks(t *testing.T) {
	d := Machine(Windows19041)
	d.Processors = 4
	b := d.ownBlocks()
	if len(b) != 3 || len(b[0].Data) != 32 || len(b[1].Data) != 0xaf00 || len(b[2].Data) != 0x100 {
		t.Fatalf("%d blocks", len(b))
	}
	check(t, "KiProcessorBlock", b[0].Data, []pin{{0, 8, 0xffffa68001040180, "processor 0"}, {8, 8, 0xffffa68001140180, "processor 1, which crashed"},
		{24, 8, 0xffffa68001340180, "processor 3"}})
	kd := d.debuggerData()
	if b[0].Address != u64(kd, 0x218) || b[2].Address != u64(kd, 0x208) || !strings.HasPrefix(string(b[2].Data), "19041.1.amd64fre.vb_release.191206-1406\x00") {
		t.Errorf("blocks at %#x, %#x: %q", b[0].Address, b[2].Address, b[2].Data)
	}
	for b, want := range map[*Build]string{Windows17763: "17763.1.amd64fre.rs5_release.180914-1434", Windows22000ARM64: "22000.1.arm64fre.co_release.210604-1628",
		Windows26100: "26100.1.amd64fre.ge_release.240331-1435", Windows26100ARM64: "26100.1.arm64fre.ge_release.240331-1435",
		Windows17763X86: "17763.1.x86fre.rs5_release.180914-1434"} {
		if b.label != want {
			t.Errorf("NtBuildLab of %s: %q", b, b.label)
		}
	}
}

func TestMachineCode_Frames(t *testing.T) {
	x := X64{}.Context()
	check(t, "x64 CONTEXT", x, []pin{{0x34, 4, 0x1f80, "MxCsr"}, {0x3a, 8, 0x002b_0053_002b_002b, "ds, es, fs, gs"}, {0x42, 2, 0x18, "ss"},
		{0x100, 2, 0x27f, "ControlWord"}, {0x118, 8, 0xffff_00001f80, "MxCsr, mask"}})
	k := X64{Rax: 1, R11: 2, Rbp: 3, EFlags: 4}.TrapFrame(Trap{FaultAddress: 5, ErrorCode: 6, PreviousIRQL: 7})
	check(t, "x64 KTRAP_FRAME", k, []pin{{0x28, 8, 0x1f80_01_00_07_00, "modes, MxCsr"}, {0x30, 8, 1, "Rax"}, {0x60, 8, 2, "R11"}, {0xd0, 8, 5, "FaultAddress"},
		{0x158, 8, 3, "Rbp"}, {0x160, 8, 6, "ErrorCode"}, {0x178, 8, 4, "EFlags"}})
	u := X64{User: true}.TrapFrame(Trap{})
	check(t, "x64 KTRAP_FRAME from user mode", u, []pin{{0x28, 4, 0x02_00_00_01, "modes"}, {0x170, 8, 0x33, "SegCs"}})
	a := ARM64{X: [29]uint64{0: 1, 18: 2, 19: 9}, Lr: 3, Fp: 4, Pc: 5, Cpsr: 6, Sp: 7}.TrapFrame(Trap{FaultAddress: 8, ErrorCode: 10, PreviousIRQL: 11})
	check(t, "ARM64 KTRAP_FRAME", a, []pin{{0, 4, 11<<24 | 1, "ExceptionActive, PreviousIrql"}, {8, 8, 8, "FaultAddress"}, {0x90, 8, 10<<32 | 6, "Spsr, Esr"}, {0x98, 8, 7, "Sp"},
		{0xa0, 8, 1, "X0"}, {0x130, 8, 2, "X18"}, {0x138, 8, 3, "Lr"}, {0x140, 8, 4, "Fp"}, {0x148, 8, 5, "Pc"}})
	i := X86{Eax: 1, Ebx: 2, Ecx: 3, Edx: 4, Esi: 5, Edi: 6, Ebp: 7, Eip: 8, EFlags: 9}
	check(t, "x86 KTRAP_FRAME", i.TrapFrame(Trap{ErrorCode: 10, PreviousIRQL: 11}), []pin{{0, 4, 7, "DbgEbp"}, {4, 4, 8, "DbgEip"}, {8, 4, 0xbadb0d00, "DbgArgMark"},
		{0x30, 8, 0x23_00000023, "es, ds"}, {0x38, 4, 4, "Edx"}, {0x3c, 4, 3, "Ecx"}, {0x40, 4, 1, "Eax"}, {0x47, 1, 11, "PreviousIrql"}, {0x50, 4, 0x30, "fs"},
		{0x54, 4, 6, "Edi"}, {0x58, 4, 5, "Esi"}, {0x5c, 4, 2, "Ebx"}, {0x60, 4, 7, "Ebp"}, {0x64, 4, 10, "ErrCode"}, {0x68, 4, 8, "Eip"}, {0x6c, 4, 8, "cs"}, {0x70, 4, 9, "EFlags"}})
	if len(k) != 0x190 || len(a) != 0x150 || len(i.TrapFrame(Trap{})) != 0x74 {
		t.Errorf("sizes %#x, %#x, %#x", len(k), len(a), len(i.TrapFrame(Trap{})))
	}
	i.User = true
	user := i.TrapFrame(Trap{})
	if len(user) != 0x8c {
		t.Errorf("x86 frame from user mode: %#x bytes", len(user))
	}
	check(t, "x86 KTRAP_FRAME from user mode", user, []pin{{0x50, 4, 0x3b, "fs"}, {0x6c, 4, 0x1b, "cs"}, {0x78, 4, 0x23, "ss"}})
	check(t, "x86 CONTEXT", X86{}.Context(), []pin{{0x90, 8, 0x23_00000030, "fs, es"}, {0x98, 4, 0x23, "ds"}, {0xc8, 4, 0x10, "ss"}})
}

// TestUserFrames: the thread's own trap frame says where it came from.
func TestUserFrames(t *testing.T) {
	for _, c := range []struct {
		build  *Build
		pc, sp pin
	}{
		{Windows17763, pin{0x168, 8, 0x7ffd5a2a0a84, "Rip"}, pin{0x180, 8, 0x3e0d5fe8f8, "Rsp"}},
		{Windows22000ARM64, pin{0x148, 8, 0x7ffd5a2a0a84, "Pc"}, pin{0x98, 8, 0x3e0d5fe8f0, "Sp"}},
		{Windows17763X86, pin{0x68, 4, 0x77a51c0c, "Eip"}, pin{0x74, 4, 0x0019f6d8, "HardwareEsp"}},
	} {
		d := HighIRQLKernel(c.build)
		check(t, c.build.String()+" trap frame", d.stack()[d.Thread.TrapFrame-d.Stack.Address:], []pin{c.pc, c.sp})
	}
}

// TestKeBugCheckEx_Arguments: the header's registers hold the stop code and the parameters
// as each machine passes them.
func TestKeBugCheckEx_Arguments(t *testing.T) {
	const p1 = 0xffff8c0f3d2d4010
	d := HighIRQLKernel(Windows17763)
	check(t, "x64 CONTEXT", d.Registers.Context(), []pin{{0x80, 8, 0xa, "Rcx"}, {0x88, 8, p1, "Rdx"}, {0xb8, 8, 2, "R8"}, {0xc0, 8, 0, "R9"}, {0x90, 8, p1, "Rbx"}})
	d = HighIRQLKernel(Windows22000ARM64)
	check(t, "ARM64 CONTEXT", d.Registers.Context(), []pin{{8, 8, 0xa, "X0"}, {0x10, 8, p1, "X1"}, {0x18, 8, 2, "X2"}, {0x20, 8, 0, "X3"},
		{0x28, 8, d.Parameters[3], "X4"}, {8 + 19*8, 8, p1, "X19"}, {0xf8, 8, 0, "Lr"}, {0x108, 8, d.Drivers[0].Base + 0x1b3454, "Pc"}})
	d = HighIRQLKernel(Windows17763X86)
	check(t, "x86 stack", d.stack(), []pin{{0, 4, d.Drivers[0].Base + 0x1c5b69, "return address"}, {4, 4, 0xa, "code"}, {8, 4, 0xa8c14010, "parameter 1"},
		{12, 4, 2, "parameter 2"}, {16, 4, 0, "parameter 3"}, {20, 4, d.Parameters[3], "parameter 4"}})
}

// TestSMBIOS_Bytes pins the structures' fixed parts.
func TestSMBIOS_Bytes(t *testing.T) {
	raw, err := (&SMBIOS{Manufacturer: "M", Product: "P", Serial: "S", BIOSVendor: "V", BIOSVersion: "1", BIOSRelease: "R"}).raw()
	if err != nil {
		t.Fatal(err)
	}
	want := "00030000 47000000" +
		"00180000 01020000 03000000 00000000 00000000 0100ffff" + "56003100520000" +
		"011b0100 01020003" + strings.Repeat("00", 19) + "4d005000530000" +
		"7f040200 0000"
	if got := hex.EncodeToString(raw); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", got, strings.ReplaceAll(want, " ", ""))
	}
}

func TestFiletime(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want uint64
	}{
		{time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		{time.Date(1970, 1, 1, 0, 0, 0, 1234500, time.UTC), 116444736000012345},
	} {
		if got := filetime(c.t); got != c.want {
			t.Errorf("filetime(%v) = %d, want %d", c.t, got, c.want)
		}
	}
}

func TestBuilds(t *testing.T) {
	for _, c := range []struct {
		build          *Build
		number         uint32
		name           string
		debuggerData   int
		machine, field int // what DUMP_HEADER.MachineImageType says, and where it stands
	}{
		{Windows17763, 17763, "17763 x64", 0x380, 0x8664, 0x30}, {Windows19041, 19041, "19041 x64", 0x380, 0x8664, 0x30},
		{Windows26100, 26100, "26100 x64", 0x3a0, 0x8664, 0x30}, {Windows22000ARM64, 22000, "22000 ARM64", 0x380, 0xaa64, 0x30},
		{Windows26100ARM64, 26100, "26100 ARM64", 0x3a0, 0xaa64, 0x30}, {Windows17763X86, 17763, "17763 x86", 0x380, 0x14c, 0x20},
	} {
		file := write(t, Machine(c.build))
		if got := u32(file, 0xc); got != c.number || c.build.Number() != c.number || c.build.String() != c.name {
			t.Errorf("MinorVersion %d, Number %d, String %q, want %d, %q", got, c.build.Number(), c.build, c.number, c.name)
		}
		if got := u32(file, c.field); int(got) != c.machine {
			t.Errorf("%s: MachineImageType %#x", c.build, got)
		}
		if n := len(Machine(c.build).debuggerData()); n != c.debuggerData {
			t.Errorf("%s: debugger data of %#x bytes", c.build, n)
		}
	}
}
