package lab

import "time"

// The invented program: example.exe with its plugin.dll on a Windows of the given build. All
// addresses, times and offsets are invented; only the names of Windows's own components are
// real.

// Codes of exceptions: ntstatus.h and, for C++, the Visual C++ runtime's "msc".
const (
	statusStackOverflow  = 0xc00000fd
	statusHeapCorruption = 0xc0000374
	statusInPageError    = 0xc0000006
	statusCPP            = 0xe06d7363
	fatalAppExit         = 7 // FAST_FAIL_FATAL_APP_EXIT
)

// userBases are where the modules of the program lie, in the order of userModules.
var userModules = []struct {
	path      string
	x64, x86  uint64
	size      uint32
	microsoft bool
}{
	{`C:\Program Files\Example\example.exe`, 0x7ff6c1e00000, 0x00c10000, 0x42000, false},
	{`C:\Windows\System32\ntdll.dll`, 0x7ffd5a200000, 0x77a00000, 0x1f8000, true},
	{`C:\Windows\System32\kernel32.dll`, 0x7ffd59100000, 0x76100000, 0xc0000, true},
	{`C:\Windows\System32\KernelBase.dll`, 0x7ffd57b00000, 0x75200000, 0x2d0000, true},
	{`C:\Windows\System32\ucrtbase.dll`, 0x7ffd57900000, 0x74f00000, 0x100000, true},
	{`C:\Program Files\Example\plugin.dll`, 0x7ffd31400000, 0x10000000, 0x18000, false},
}

// Offsets of code in the modules.
const (
	mainCalls     = 0x1c48  // example.exe: behind the call in main
	startCalls    = 0x2f10  // example.exe: behind the call of main
	threadInit    = 0x17344 // kernel32: BaseThreadInitThunk
	threadStart   = 0x526b0 // ntdll: RtlUserThreadStart
	waitReturns   = 0x9d3f4 // ntdll: behind the system call of NtWaitForSingleObject
	raiseReturns  = 0x3a839 // KernelBase: in RaiseException
	pluginFails   = 0x1730  // plugin.dll: the instruction that fails
	pluginCalls   = 0x1a92  // plugin.dll: behind a call of itself
	heapFails     = 0xff279 // ntdll: in RtlReportFatalFailure
	heapFree      = 0x41e23 // ntdll: in RtlFreeHeap
	pluginRelease = 0x2210  // plugin.dll: behind its call of HeapFree
)

// UserMachine returns the program, unharmed: one thread, which stands in a wait.
func UserMachine(b *Build) *UserDump {
	d := &UserDump{
		Build: b, ID: 7024,
		Time: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Started: time.Date(2026, 3, 14, 8, 2, 11, 0, time.UTC),
	}
	for i, m := range userModules {
		base := m.x64
		if b.machine == machineX86 {
			base = m.x86
		}
		u := UserModule{Path: m.path, Base: base, Size: m.size, Timestamp: 0x65f2c300 + uint32(i), Version: [4]uint16{2, 4, 0, 117}}
		if m.microsoft {
			u.Version = [4]uint16{10, 0, uint16(b.number), 1}
		} else {
			u.PDB, u.Age = `C:\build\example.pdb`, 1
			u.GUID = [16]byte{0x5a, 0x98, 0x32, 0xe5, 0x28, 0x72, 0x41, 0xc1, 0x83, 0x8e, 0xd9, 0x89, 0x14, 0xe9, 0xb7, byte(i)}
		}
		d.Modules = append(d.Modules, u)
	}
	d.stand(d.in("ntdll.dll", waitReturns), call{0x90, d.in("KernelBase.dll", raiseReturns)}, call{0x60, d.in("example.exe", mainCalls)})
	return d
}

// in returns the address of a place in a module.
func (d *UserDump) in(name string, offset uint64) uint64 {
	for _, m := range d.Modules {
		if len(m.Path) >= len(name) && m.Path[len(m.Path)-len(name):] == name {
			return m.Base + offset
		}
	}
	return 0
}

// Where the thread's stack and TEB lie.
func (d *UserDump) bases() (teb, stack uint64) {
	if d.Build.machine == machineX86 {
		return 0x00305000, 0x00740000
	}
	return 0x3e0d42a000, 0x3e0d600000
}

// stand lets the thread stand at pc, its callers the given ones and the thread's start. The
// function at pc has begun: its first caller's frame starts at the stack pointer.
func (d *UserDump) stand(pc uint64, calls ...call) {
	teb, base := d.bases()
	calls = append(calls, call{0x50, d.in("example.exe", startCalls)}, call{0x40, d.in("kernel32.dll", threadInit)}, call{0x80, d.in("ntdll.dll", threadStart)})
	size := uint64(0x100)
	for _, c := range calls {
		size += c.size
	}
	sp := base - size
	regs := d.registers(pc, sp)
	low := sp // the captured stack reaches down to the stack pointer
	if d.Build.machine == machineX86 {
		low -= belowEbp
	}
	stack := Block{Address: low, Data: make([]byte, base-low)}
	for _, b := range regs.frames(sp, base-0x20, calls) {
		copy(stack.Data[b.Address-low:], b.Data)
	}
	d.Threads = []UserThread{{ID: 5064, TEB: teb, Registers: regs, Stack: stack}}
}

// registers returns those of a function at pc whose frame starts at sp; the pointer that it
// reads through (rbx, x19, ebx) is null.
func (d *UserDump) registers(pc, sp uint64) Registers {
	switch d.Build.machine {
	case machineX86:
		return X86{Eip: uint32(pc), Esp: uint32(sp - belowEbp), Ebp: uint32(sp), Ecx: 0x00c40120, EFlags: 0x10246, User: true}
	case machineARM64:
		r := ARM64{Pc: pc, Sp: sp, Fp: sp, Lr: pc + 0x20, Cpsr: 0x60000000}
		r.X[0], r.X[20] = 0x1f2c4d80120, 0x1f2c4d90440
		return r
	}
	return X64{Rip: pc, Rsp: sp, Rcx: 0x1f2c4d80120, Rdi: 0x1f2c4d90440, R8: 1, EFlags: 0x10246, User: true}
}

// raise adds an exception at the instruction that the thread stands at.
func (d *UserDump) raise(code uint32, parameters ...uint64) {
	d.Exception = &Exception{Code: code, Address: d.Threads[0].Registers.pc(), Parameters: parameters}
}

// code adds the bytes at the instruction that failed.
func (d *UserDump) code(at uint64, b []byte) {
	d.Memory = append(d.Memory, Block{Address: at, Data: append(b, make([]byte, 16)...)})
}

// NullRead returns an access violation: plugin.dll reads the field at 0x10 of a structure at
// 0. ExceptionInformation: 0 (read), the address.
func NullRead(b *Build) *UserDump {
	d := UserMachine(b)
	pc := d.in("plugin.dll", pluginFails)
	d.stand(pc, call{0x50, d.in("example.exe", mainCalls)})
	d.raise(statusAccessViolation, 0, nullField)
	d.code(pc, nullRead[b.machine])
	return d
}

// StackExhaustion returns a stack overflow: a function of plugin.dll calls itself 300 times.
// ExceptionInformation: 1 (write), the guard page's address.
func StackExhaustion(b *Build) *UserDump {
	d := UserMachine(b)
	var calls []call
	for range 300 {
		calls = append(calls, call{0x90, d.in("plugin.dll", pluginCalls)})
	}
	d.stand(d.in("plugin.dll", pluginFails), append(calls, call{0x50, d.in("example.exe", mainCalls)})...)
	d.raise(statusStackOverflow, 1, d.Threads[0].Stack.Address-0x1000)
	return d
}

// FastFailExit returns what abort of the Universal C Runtime raises. ExceptionInformation: 7.
func FastFailExit(b *Build) *UserDump {
	d := UserMachine(b)
	pc := d.in("example.exe", 0x2c40)
	d.stand(pc, call{0x50, d.in("example.exe", mainCalls)})
	d.raise(statusStackBufferOverrun, fatalAppExit)
	d.Exception.Flags = 1
	d.code(pc, fastFail[b.machine])
	return d
}

// HeapCorruption returns what ntdll raises at a block that is freed twice: its parameter is
// ntdll's HEAP_FAILURE_INFORMATION, of which version, size and type are written.
func HeapCorruption(b *Build) *UserDump {
	d := UserMachine(b)
	d.stand(d.in("ntdll.dll", heapFails), call{0xb0, d.in("ntdll.dll", heapFree)}, call{0x60, d.in("plugin.dll", pluginRelease)}, call{0x50, d.in("example.exe", mainCalls)})
	info := d.in("ntdll.dll", 0x1627f0)
	d.raise(statusHeapCorruption, info)
	d.Exception.Flags = 1
	d.Memory = append(d.Memory, Words32(info, 2, 0xd8, 8)) // heap_failure_block_not_busy
	return d
}

// UncaughtCPP returns a std::runtime_error that nobody catches, with the compiler's
// description of the type, its base and its message in memory: ehdata.h of the Visual C++
// runtime. ExceptionInformation: magic number, object, ThrowInfo, image base.
func UncaughtCPP(b *Build) *UserDump {
	d := UserMachine(b)
	d.stand(d.in("KernelBase.dll", raiseReturns), call{0xe0, d.in("plugin.dll", 0x3377)}, call{0x50, d.in("example.exe", mainCalls)})
	image, data := d.in("plugin.dll", 0), d.in("plugin.dll", 0x9000)
	object, text := d.Threads[0].Stack.Address-0x800, d.in("plugin.dll", 0xa000)
	d.raise(statusCPP, 0x19930520, object, data, image)
	if b.machine == machineX86 {
		d.Exception.Parameters = d.Exception.Parameters[:3]
		image = 0
	}
	at := func(off uint64) uint32 { return uint32(data + off - image) }
	size := b.pointer()
	var w buf
	w.put32s(0, 0, 0, 0, at(0x20))        // ThrowInfo: its CatchableTypeArray
	w.put32s(0x20, 2, at(0x40), at(0x60)) // two types
	w.put32s(0x40, 0, at(0x80))           // CatchableType: its TypeDescriptor
	w.put32s(0x60, 0, at(0x100))          // the base's
	w.put(0x80+2*size, []byte(".?AVruntime_error@std@@\x00"))
	w.put(0x100+2*size, []byte(".?AVexception@std@@\x00"))
	var thrown buf
	thrown.ptr(0, size, d.in("plugin.dll", 0x8100)) // its virtual functions
	thrown.ptr(size, size, text)
	d.Memory = append(d.Memory, Block{data, w.b}, Block{object, thrown.b}, Block{text, []byte("the settings file has no end\x00")})
	return d
}

// InPageError returns a page of plugin.dll that could not be read back: a drive that was
// unplugged. ExceptionInformation: 8 (execute), the address, STATUS_NO_SUCH_DEVICE.
func InPageError(b *Build) *UserDump {
	d := UserMachine(b)
	d.stand(d.in("plugin.dll", pluginFails), call{0x50, d.in("example.exe", mainCalls)})
	d.raise(statusInPageError, 8, d.in("plugin.dll", pluginFails), 0xc000000e)
	return d
}

// UnloadedCode returns a call into plugin.dll after it was unloaded. ExceptionInformation: 8
// (execute), the address.
func UnloadedCode(b *Build) *UserDump {
	d := UserMachine(b)
	pc := d.in("plugin.dll", pluginFails)
	gone := d.Modules[len(d.Modules)-1]
	d.stand(pc, call{0x50, d.in("example.exe", mainCalls)})
	d.Modules = d.Modules[:len(d.Modules)-1]
	d.Unloaded = []Unloaded{{"plugin.dll", gone.Base, gone.Base + uint64(gone.Size)}}
	d.raise(statusAccessViolation, 8, pc)
	return d
}

// Hang returns a dump without an exception: the thread waits.
func Hang(b *Build) *UserDump {
	d := UserMachine(b)
	d.Threads[0].Name = "main thread"
	return d
}
