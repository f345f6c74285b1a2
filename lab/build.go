package lab

import "fmt"

// machine is an IMAGE_FILE_MACHINE_ value (winnt.h).
type machine uint16

const (
	machineX86   machine = 0x14c
	machineX64   machine = 0x8664
	machineARM64 machine = 0xaa64
)

// Build is a kernel whose structures the lab can lay out: one of the variables below.
type Build struct {
	number  uint32
	machine machine
	layout  Layout // what its own writer makes
	label   string // nt!NtBuildLab
	process processLayout
	thread  threadLayout
	prcb    prcbLayout
	pcr     pcrLayout
	// debugger is the size of its KDDEBUGGER_DATA64, bytes.
	debugger int
}

// Offsets in bytes; 0 means that the structure has no such field or that its place is not known.
type (
	processLayout struct {
		size, id, parent, created, peb, name uint16
		directory                            uint16
	}
	threadLayout struct {
		size, cid, process, apcProcess, start, irps   uint16
		initialStack, limit, base, kernelStack        uint16
		trapFrame, teb, state, waitReason, nextCPU    uint16
		queueEntry, shadowLimit, shadowBase, previous uint16
	}
	prcbLayout struct {
		size, number, current, idle             uint16
		cpuType, mhz, vendor, vendorID          uint16
		special, context, contextPtr, microcode uint16
		savedIRQL, rspBase                      uint16
		dpcRoutine, dpcNormal, dpcStack         uint16
		isrStack, exceptionStack, watch         uint16
	}
	pcrLayout struct{ size, self, current, contained uint16 }
)

// String returns the build as in "17763 x64".
func (b *Build) String() string {
	name := map[machine]string{machineX86: "x86", machineX64: "x64", machineARM64: "ARM64"}[b.machine]
	return fmt.Sprintf("%d %s", b.number, name)
}

// Number returns the build number: 17763.
func (b *Build) Number() uint32 { return b.number }

func (b *Build) pointer() int {
	if b.machine == machineX86 {
		return 4
	}
	return 8
}

// threadX64 is what KTHREAD has in common on all x64 builds from 9600 on; the rest of ETHREAD moves.
var threadX64 = threadLayout{process: 0x220, apcProcess: 0xb8, initialStack: 0x28, limit: 0x30, base: 0x38,
	kernelStack: 0x58, trapFrame: 0x90, teb: 0xf0, state: 0x184, waitReason: 0x283, nextCPU: 0x218,
	queueEntry: 0x208, previous: 0x232}

func (t threadLayout) with(size, cid, start, irps uint16) threadLayout {
	t.size, t.cid, t.start, t.irps = size, cid, start, irps
	return t
}

// prcbX64 is what KPRCB has in common on x64; the tail behind its first 0x700 bytes moves.
var prcbX64 = prcbLayout{number: 0x24, current: 8, idle: 0x18, cpuType: 0x40, mhz: 0x44, vendorID: 0x8d,
	special: 0x100, context: 0x1f0, rspBase: 0x28}

func (p prcbLayout) tail(size, vendor, savedIRQL, dpcRoutine, dpcStack uint16) prcbLayout {
	p.size, p.vendor, p.savedIRQL, p.dpcRoutine, p.dpcStack = size, vendor, savedIRQL, dpcRoutine, dpcStack
	p.dpcNormal = dpcRoutine + 2
	// The four stand together in all builds since 17763.
	p.microcode, p.contextPtr, p.isrStack = vendor+0x18, vendor+0x30, vendor+0x48
	return p
}

// Builds are all kernels that the lab can lay out: x64 from the oldest, ARM64, x86.
func Builds() []*Build {
	return []*Build{Windows17763, Windows19041, Windows26100, Windows22000ARM64, Windows26100ARM64, Windows17763X86}
}

// Windows17763 is Windows 10 1809 and Windows Server 2019, x64, up to revision 2803
// (later ones have 8 more bytes of EPROCESS). Source: nt of 10.0.17763.379 in
// github.com/JPCERTCC/Windows-Symbol-Tables, the debugger data of real dumps.
var Windows17763 = &Build{number: 17763, machine: machineX64, layout: Old, debugger: 0x380,
	label:   "17763.1.amd64fre.rs5_release.180914-1434",
	process: processLayout{size: 0x850, id: 0x2e0, parent: 0x3e0, created: 0x308, peb: 0x3f8, name: 0x450, directory: 0x28},
	thread:  threadX64.with(0x810, 0x638, 0x610, 0x670),
	prcb:    prcbX64.tail(0x7ec0, 0x6290, 0x5b98, 0x2e6a, 0x2e50),
	pcr:     pcrLayout{size: 0x8040, self: 0x18, current: 0x20, contained: 0x180}}

// Windows19041 is Windows 10 2004 to 22H2, x64. Source: nt of 10.0.19041.804 in
// github.com/JPCERTCC/Windows-Symbol-Tables, the debugger data of real dumps.
var Windows19041 = &Build{number: 19041, machine: machineX64, layout: New, debugger: 0x380,
	label:   "19041.1.amd64fre.vb_release.191206-1406",
	process: processLayout{size: 0xa40, id: 0x440, parent: 0x540, created: 0x468, peb: 0x550, name: 0x5a8, directory: 0x28},
	thread:  threadX64.with(0x898, 0x478, 0x450, 0x4b0),
	prcb:    prcbX64.tail(0xaf00, 0x8590, 0x7e98, 0x312a, 0x3110),
	pcr:     pcrLayout{size: 0xb080, self: 0x18, current: 0x20, contained: 0x180}}

// Windows26100 is Windows 11 24H2 and Windows Server 2025, x64. Source: Win11_2409_24H2
// of github.com/ntdiff/headers, the debugger data of real dumps.
var Windows26100 = &Build{number: 26100, machine: machineX64, layout: Old, debugger: 0x3a0,
	label:   "26100.1.amd64fre.ge_release.240331-1435",
	process: processLayout{size: 0x840, id: 0x1d0, parent: 0x2d0, created: 0x1f8, peb: 0x2e0, name: 0x338, directory: 0x28},
	thread:  threadX64.with(0x788, 0x508, 0x4e0, 0x540).shadow(0x420, 0x418),
	prcb:    prcbX64.tail(0xcf00, 0x8f90, 0x8658, 0x38ba, 0x38a0).exceptions(0x8768),
	pcr:     pcrLayout{size: 0xd080, self: 0x18, current: 0x20, contained: 0x180}}

func (t threadLayout) shadow(limit, base uint16) threadLayout {
	t.shadowLimit, t.shadowBase = limit, base
	return t
}

func (p prcbLayout) exceptions(stack uint16) prcbLayout {
	p.exceptionStack = stack
	return p
}

var threadARM64 = threadLayout{cid: 0x4e8, start: 0x4c0, irps: 0x520, process: 0x240, apcProcess: 0xb0,
	initialStack: 0x28, limit: 0x30, base: 0x38, kernelStack: 0x58, trapFrame: 0x88, teb: 0xe8, state: 0x17c,
	waitReason: 0x2a3, nextCPU: 0x238, queueEntry: 0x200, previous: 0x252}

// Windows22000ARM64 is Windows 11 21H2, ARM64. Source: the debugger data of a real dump
// for KPRCB and the sizes; EPROCESS and ETHREAD as build 21292 of
// github.com/ntdiff/headers, which has the same sizes and agrees with that dump.
var Windows22000ARM64 = &Build{number: 22000, machine: machineARM64, layout: New, debugger: 0x380,
	label:   "22000.1.arm64fre.co_release.210604-1628",
	process: processLayout{size: 0xc80, id: 0x3f8, parent: 0x4f8, created: 0x420, peb: 0x508, name: 0x560, directory: 0x28},
	thread:  threadARM64.with(0x910, 0x4e8, 0x4c0, 0x520),
	prcb: prcbLayout{size: 0x9680, number: 0x24, current: 8, idle: 0x18, cpuType: 0x6f0, mhz: 0x6f4, vendor: 0x890,
		special: 0x40, context: 0x360, contextPtr: 0x8a0, dpcRoutine: 0xb1a, dpcNormal: 0xb1c, dpcStack: 0xaf8,
		isrStack: 0x18e0, watch: 0x898},
	pcr: pcrLayout{size: 0xa000, self: 0x18, contained: 0x980}}

// Windows26100ARM64 is Windows 11 24H2, ARM64. Source: Win11_2409_24H2 of
// github.com/ntdiff/headers; no real dump of it was at hand.
var Windows26100ARM64 = &Build{number: 26100, machine: machineARM64, layout: Old, debugger: 0x3a0,
	label:   "26100.1.arm64fre.ge_release.240331-1435",
	process: processLayout{size: 0x900, id: 0x1c0, parent: 0x2c0, created: 0x1e8, peb: 0x2d0, name: 0x328, directory: 0x28},
	thread:  threadARM64.with(0x768, 0x4e8, 0x4c0, 0x520),
	prcb: prcbLayout{size: 0x9f00, number: 0x24, current: 8, idle: 0x18, cpuType: 0x770, mhz: 0x774, vendor: 0x910,
		vendorID: 0x765, special: 0x40, context: 0x380, contextPtr: 0x920, dpcRoutine: 0xb9a, dpcNormal: 0xb9c,
		dpcStack: 0xb78, isrStack: 0x1b60, savedIRQL: 0xf99},
	pcr: pcrLayout{size: 0xa880, self: 0x18, contained: 0x980}}

// Windows17763X86 is Windows 10 1809, x86 with PAE. Source: 10.0.17763.107 in
// github.com/novafacing/vergilius-rs; no real dump of it was at hand.
var Windows17763X86 = &Build{number: 17763, machine: machineX86, layout: Old, debugger: 0x380,
	label:   "17763.1.x86fre.rs5_release.180914-1434",
	process: processLayout{size: 0x408, id: 0xb4, parent: 0x140, created: 0xd0, peb: 0x14c, name: 0x17c, directory: 0x18},
	thread: threadLayout{size: 0x480, cid: 0x37c, process: 0x150, apcProcess: 0x80, start: 0x368, irps: 0x39c,
		initialStack: 0x20, limit: 0x24, base: 0x28, kernelStack: 0x48, trapFrame: 0x6c, teb: 0xa8, state: 0x90,
		waitReason: 0x18b, nextCPU: 0x148, queueEntry: 0x140, previous: 0x15a},
	prcb: prcbLayout{size: 0x5f00, number: 0x3cc, current: 4, idle: 0xc, cpuType: 0x14, mhz: 0x3c0, vendor: 0x3cfc,
		vendorID: 0x3be, special: 0x2e4, context: 0x18, contextPtr: 0x4128, microcode: 0x3d18, savedIRQL: 0x4c0,
		dpcRoutine: 0x223a, dpcNormal: 0x223c, dpcStack: 0x2210, isrStack: 0x425c},
	pcr: pcrLayout{size: 0x6020, current: 0x20, contained: 0x120}}
