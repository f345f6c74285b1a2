package lab

// NotMyFault's faults, as published logs and its documentation tell them. myfault.sys has
// no public symbols: only offsets of its code are known, and they differ by its version.

// ioctlMyfault is the control code that NotMyFault sends to its driver.
const ioctlMyfault = 0x83360018

// myfault returns places in myfault.sys: the faulting instruction and the return addresses
// above it, innermost first: for Windows Server 2019 as its published logs have them (the
// outermost is invented), later as a log of Windows 11 has them, on ARM64 rounded down to
// whole instructions.
func (d *Dump) myfault() (fault uint64, returns []uint64) {
	at, offsets := uint64(0x1730), []uint64{0x1bd2, 0x1d54}
	if d.Build.number < 19041 {
		at, offsets = 0x1981, []uint64{0x1d3d, 0x1ea1}
	}
	for _, o := range offsets {
		if d.Build.machine == machineARM64 {
			o &^= 3 // instructions have four bytes
		}
		returns = append(returns, d.Address("myfault.sys", o))
	}
	if d.Build.machine == machineARM64 {
		at &^= 3
	}
	return d.Address("myfault.sys", at), returns
}

// HighIRQLKernel returns NotMyFault's "High IRQL fault (Kernel-mode)": myfault.sys frees
// 2048 bytes of paged pool, raises IRQL to 2, and reads one word a page upward until a page
// is absent. Stop code 0xD1, parameters (address, 2, 0 for a read, instruction).
//
// The faulting instruction reads through rbx (x19, ebx). On x64 and ARM64 a trap frame from
// kernel mode does not hold it; the address stands in parameter 1 and the frame's FaultAddress.
func HighIRQLKernel(b *Build) *Dump {
	d := Machine(b)
	fault, _ := d.myfault()
	page := uint64(0xffff8c0f3d2d4010) // of paged pool: the first absent one behind the freed block
	if b.machine == machineX86 {
		page = 0xa8c14010
	}
	s := shape{
		caller: d.nt("KiBugCheckDispatch", 0x69),
		inner:  []call{{0x140, d.nt("KiPageFault", 0x468)}},
		outer:  d.ioctlCalls(),
		user:   true,
		fault:  fault, pointer: page, trap: Trap{FaultAddress: page, ErrorCode: d.readError()},
		saved: 0, record: none, context: none,
	}
	d.Processor.IRQL = 2
	p := d.crash(s)
	d.Code = 0xd1
	d.Parameters = [4]uint64{page, 2, 0, fault}
	d.keBugCheckEx(s, p, 0xa) // KeBugCheckEx itself makes 0xA, called from a driver's page fault, 0xD1
	d.addCode(readLoop[b.machine])
	d.addUserStack()
	return d
}

// readError is what the processor says of a read, from kernel mode, of an absent page: the
// page-fault error code 0, or the ESR of a data abort, translation fault, level 3.
func (d *Dump) readError() uint64 {
	if d.Build.machine == machineARM64 {
		return 0x96000007
	}
	return 0
}

// ioctlCalls returns the frames from myfault.sys's innermost function to the system call, as
// the published stacks show them.
func (d *Dump) ioctlCalls() []call {
	_, returns := d.myfault()
	return []call{
		{0x30, returns[0]},
		{0x90, returns[1]},
		{0x40, d.nt("IofCallDriver", 0x59)},
		{0x30, d.nt("IopSynchronousServiceTail", 0x1b1)},
		{0x50, d.nt("IopXxxControlFile", 0xc4c)},
		{0x140, d.nt("NtDeviceIoControlFile", 0x56)},
		{0x70, d.nt("KiSystemServiceCopyEnd", 0x25)},
	}
}

// readLoop is the faulting loop: read a word through the pointer, add a page, again.
var readLoop = map[machine][]byte{
	machineX64:   {0x8b, 0x03, 0x48, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00, 0xeb, 0xf5},
	machineX86:   {0x8b, 0x03, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00, 0xeb, 0xf6},
	machineARM64: {0x68, 0x02, 0x40, 0xb9, 0x73, 0x06, 0x40, 0x91, 0xfe, 0xff, 0xff, 0x17},
}

// addCode adds the page of myfault.sys around the fault to the data blocks, as Windows does:
// the given instructions at the fault, a call before each return address, breakpoints else.
func (d *Dump) addCode(instructions []byte) {
	fault, returns := d.myfault()
	page := fault &^ 0xfff
	filler, call := "\xcc\xcc\xcc\xcc", []byte{0xe8, 0x00, 0xff, 0xff, 0xff}
	if d.Build.machine == machineARM64 {
		filler, call = "\x00\x00\x3e\xd4", []byte{0x00, 0xff, 0xff, 0x97}
	}
	var w buf
	w.fill(0, 0x1000, filler)
	w.put(int(fault-page), instructions)
	for _, r := range returns {
		w.put(int(r-page)-len(call), call)
	}
	d.Blocks = append(d.Blocks, Block{page, w.b})
}

// addUserStack adds words at the user-mode stack pointer: return addresses into ntdll's,
// KERNELBASE's, KERNEL32's and notmyfault64's images, which no driver list names. Only
// new-layout writers keep a piece of the user stack, seen on x64.
func (d *Dump) addUserStack() {
	if d.Layout != New || d.Build.machine != machineX64 {
		return
	}
	var w buf
	w.grow(0x400)
	w.put64(0, 0x7ffd57b1f10b)     // KERNELBASE!DeviceIoControl
	w.put64(0x70, 0x7ffd58f45611)  // KERNEL32!DeviceIoControlImplementation
	w.put64(0xc0, 0x7ff7c1e6b0a7)  // notmyfault64
	w.put64(0x2f0, 0x7ffd58f37344) // KERNEL32!BaseThreadInitThunk
	w.put64(0x320, 0x7ffd5a2526b1) // ntdll!RtlUserThreadStart
	d.Blocks = append(d.Blocks, Block{X64{}.fromUser().(X64).Rsp, w.b})
}
