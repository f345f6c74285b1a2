package lab

import (
	"hash/fnv"
	"strings"
	"time"
)

// The invented machine: a virtual machine "Example Systems Lab 1" with two processors. All of
// its addresses, sizes, checksums and times are invented; only the names of Windows's own
// components are real.

// Machine returns a healthy machine of the given build, its stop code still 0: what all
// recipes start from.
func Machine(b *Build) *Dump {
	d := &Dump{
		Build: b, Layout: b.layout,
		Time:   time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC),
		Uptime: 72*time.Minute + 14*time.Second + 500*time.Millisecond,
		BootID: 42, Product: 1, Suite: 0x110, // a workstation, terminal services for one user
		Processors: 2,
		Processor: Processor{Address: 0xffffa68001140180, Number: 1, Vendor: "GenuineIntel", Family: 6, Model: 0x55,
			Stepping: 4, MHz: 2494, Microcode: 0x2007006 << 32},
		Process: Process{Address: 0xffffb30c46a2d080, Name: "notmyfault64.exe", ID: 4312, ParentID: 3908,
			DirectoryTableBase: 0x1149c2000, Created: time.Date(2026, 3, 14, 9, 26, 31, 0, time.UTC)},
		Thread: Thread{Address: 0xffffb30c47519040, ID: 5064, Start: 0x7ff7c1e61d60},
		Stack:  Stack{Limit: 0xffffc50e6a1f1000, Base: 0xffffc50e6a1f8000},
		SMBIOS: &SMBIOS{Manufacturer: "Example Systems", Product: "Lab 1", Serial: "LAB-0001",
			BIOSVendor: "Example Firmware", BIOSVersion: "1.0.42", BIOSRelease: "02/29/2024"},
		// Win32k's and a storage driver's crash-time copies come and go on every machine.
		Unloaded: []Unloaded{{"dump_storvsc.sys", 0xfffff80319a40000, 0xfffff80319a4e000},
			{"dam.sys", 0xfffff80319a10000, 0xfffff80319a2c000}, {"hwpolicy.sys", 0xfffff80317f30000, 0xfffff80317f40000}},
	}
	d.Stack.Address = d.Stack.Base - 0x1000
	if b == Windows17763 {
		d.Product = 3 // Windows Server 2019
	}
	switch b.machine {
	case machineARM64:
		d.arm64Machine()
	case machineX86:
		d.x86Machine()
	default:
		d.Registers = X64{}
		d.loadDrivers(0xfffff80312a00000, 0xfffff80315e00000, 0xffffdd4f00000000)
	}
	return d
}

func (d *Dump) arm64Machine() {
	d.Registers = ARM64{}
	d.Processor.Address = 0xffffa68001140980
	d.Processor.Vendor = "A"
	d.Processor.Family, d.Processor.Model, d.Processor.Stepping = 0xd, 0x0c, 1
	d.Processor.Microcode = 0
	d.loadDrivers(0xfffff80312a00000, 0xfffff80315e00000, 0xffffdd4f00000000)
}

func (d *Dump) x86Machine() {
	d.Registers = X86{}
	d.Processor.Address = 0x8b2c1120
	d.Process = Process{Address: 0x9b2d0040, Name: "notmyfault.exe", ID: 4312, ParentID: 3908,
		DirectoryTableBase: 0x3ecc3440, Created: d.Process.Created}
	d.Thread = Thread{Address: 0x9c51a040, ID: 5064, Start: 0x00401d60}
	d.Stack = Stack{Limit: 0xaa4f1000, Address: 0xaa4f3000, Base: 0xaa4f4000}
	d.Unloaded = []Unloaded{{"dam.sys", 0x8f210000, 0x8f22c000}}
	d.loadDrivers(0x81e17000, 0x89400000, 0x97800000)
}

// Loaded modules in load order, the size in 4 KiB pages. All stand in \SystemRoot\system32;
// those marked d in its folder drivers, those marked s in session space.
const modules = `
ntoskrnl.exe 2670
hal.dll 163
kd.dll 11
mcupdate_GenuineIntel.dll 480
CLFS.SYS 105 d
tm.sys 38 d
PSHED.dll 26
BOOTVID.dll 11
FLTMGR.SYS 114 d
ksecdd.sys 44 d
clipsp.sys 273 d
cmimcext.sys 14 d
ntosext.sys 12 d
CI.dll 220
cng.sys 187 d
Wdf01000.sys 211 d
WDFLDR.SYS 19 d
acpiex.sys 37 d
WppRecorder.sys 16 d
ACPI.sys 204 d
WMILIB.SYS 12 d
intelpep.sys 85 d
msisadrv.sys 11 d
pci.sys 111 d
vdrvroot.sys 18 d
partmgr.sys 44 d
volmgr.sys 26 d
volmgrx.sys 99 d
mountmgr.sys 31 d
vmbus.sys 41 d
vmbkmcl.sys 35 d
winhv.sys 35 d
storvsc.sys 14 d
storport.sys 164 d
vmstorfl.sys 24 d
disk.sys 28 d
CLASSPNP.SYS 106 d
fileinfo.sys 26 d
Ntfs.sys 665 d
NDIS.SYS 364 d
NETIO.SYS 151 d
ksecpkg.sys 49 d
tcpip.sys 733 d
fwpkclnt.sys 122 d
volsnap.sys 108 d
mup.sys 36 d
cdrom.sys 48 d
netvsc.sys 43 d
afd.sys 166 d
dxgkrnl.sys 815 d
watchdog.sys 23 d
BasicDisplay.sys 21 d
HyperVideo.sys 17 d
hyperkbd.sys 15 d
VMBusHID.sys 17 d
win32k.sys 590 s
win32kbase.sys 612 s
win32kfull.sys 925 s
dxgmms2.sys 200 d
HTTP.sys 285 d
srv2.sys 198 d
myfault.sys 8 d
`

// loadDrivers fills Drivers: the kernel and the HAL at kernel, drivers from pool on, 64 KiB
// apart at least, Win32k from session on.
func (d *Dump) loadDrivers(kernel, pool, session uint64) {
	next := map[string]*uint64{"": &pool, "d": &pool, "s": &session}
	for i, line := range strings.Split(strings.TrimSpace(modules), "\n") {
		f := append(strings.Fields(line), "")
		at, pages := next[f[2]], uint64(0)
		if i < 2 {
			at = &kernel
		}
		for _, c := range f[1] {
			pages = pages*10 + uint64(c-'0')
		}
		if f[0] == "mcupdate_GenuineIntel.dll" && d.Build.machine == machineARM64 {
			continue
		}
		d.Drivers = append(d.Drivers, d.driver(f[0], f[2], *at, uint32(pages*0x1000)))
		*at += (pages*0x1000 + 0xffff) &^ 0xffff
	}
}

func (d *Dump) driver(name, place string, base uint64, size uint32) Driver {
	if name == "kd.dll" && d.Layout == Old {
		name = "kdcom.dll" // before 19041 the serial transport stood for kd.dll
	}
	r := Driver{Path: `\SystemRoot\system32\` + name, Base: base, Size: size}
	if place == "d" {
		r.Path = `\SystemRoot\system32\drivers\` + name
	}
	// Windows's own images carry a hash in place of a time.
	h := fnv.New32a()
	h.Write([]byte(name + d.Build.label))
	r.Timestamp = h.Sum32()
	r.Checksum = size + r.Timestamp&0xffff
	if name == "myfault.sys" {
		r.Timestamp = uint32(time.Date(2016, 5, 4, 12, 0, 0, 0, time.UTC).Unix())
	}
	return r
}

// Address returns the address of a place in a driver, given by its file name, in any case
// of letters; 0 where no such driver is loaded.
func (d *Dump) Address(driver string, offset uint64) uint64 {
	for _, r := range d.Drivers {
		if i := strings.LastIndexByte(r.Path, '\\'); strings.EqualFold(r.Path[i+1:], driver) {
			return r.Base + offset
		}
	}
	return 0
}

// kernelFunctions says where the invented kernel's functions start: offsets in its image,
// in the same place on every machine.
var kernelFunctions = map[string]uint64{
	"KeBugCheckEx":                   0x1b3440,
	"KiBugCheckDispatch":             0x1c5b00,
	"KiPageFault":                    0x1c1a00,
	"KiSystemServiceCopyEnd":         0x1c5700,
	"KiSystemServiceHandler":         0x1c5c40,
	"KiExceptionDispatch":            0x1c5e80,
	"KiGeneralProtectionFault":       0x1c1500,
	"KiRaiseSecurityCheckFailure":    0x1c3200,
	"KiFastFailDispatch":             0x1c6100,
	"KiDispatchException":            0x0a7640,
	"RtlDispatchException":           0x0a8930,
	"RtlpExecuteHandlerForException": 0x1bcf50,
	"_C_specific_handler":            0x18c7a0,
	"PspSystemThreadStartup":         0x0e5650,
	"KiStartSystemThread":            0x1bd040,
	"ExpWorkerThread":                0x0e4a10,
	"IopProcessWorkItem":             0x0d2200,
	"IofCallDriver":                  0x031f30,
	"IopSynchronousServiceTail":      0x518a20,
	"IopXxxControlFile":              0x517150,
	"NtDeviceIoControlFile":          0x516f40,
}

// nt returns the address of a place in a function of the invented kernel. ARM64's
// instructions have 4 bytes and stand at multiples of 4.
func (d *Dump) nt(function string, offset uint64) uint64 {
	if d.Build.machine == machineARM64 {
		offset &^= 3
	}
	return d.Drivers[0].Base + kernelFunctions[function] + offset
}
