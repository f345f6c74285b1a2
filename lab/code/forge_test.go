package code

import (
	"bytes"
	"fmt"
	"testing"

	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/unwind"
)

// forgedMemory reads what was forged.
type forgedMemory []Run

func (m forgedMemory) ReadAt(p []byte, va mem.VA) (int, error) {
	for _, r := range m {
		if uint64(va) >= r.Start && uint64(va)-r.Start < uint64(len(r.Data)) {
			n := copy(p, r.Data[uint64(va)-r.Start:])
			if n == len(p) {
				return n, nil
			}
			return n, &mem.Fault{Address: va + mem.VA(n), Reason: mem.NotInDump}
		}
	}
	return 0, &mem.Fault{Address: va, Reason: mem.NotInDump}
}

// machine is where images are loaded in a test.
type machine struct {
	images *Images
	bases  map[string]uint64
	files  map[string]*pe.File
}

func newMachine(t *testing.T, arch string, build int) *machine {
	t.Helper()
	images, err := Open(arch, build)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{images, map[string]uint64{}, map[string]*pe.File{}}
	at, user := uint64(0xfffff80412000000), uint64(0x7ff6c2100000)
	for _, name := range images.Names() {
		image, _ := images.Image(name)
		next := &at
		if pattern(name, "ntdll.dll", "KERNELBASE.dll", "KERNEL32.DLL", "svchost.exe", "notmyfault64.exe") {
			next = &user
		}
		m.bases[name] = *next
		*next += uint64(image.Size+0xffff)&^0xffff + 0x10000
		mapped, err := image.Mapped(m.bases[name], m.resolve)
		if err != nil {
			t.Fatal(err)
		}
		if m.files[name], err = pe.Open(bytes.NewReader(mapped), int64(len(mapped)), pe.InMemory); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func pattern(name string, list ...string) bool {
	for _, n := range list {
		if n == name {
			return true
		}
	}
	return false
}

func (m *machine) resolve(dll, symbol string) uint64 {
	image, ok := m.images.Image(dll)
	if !ok {
		return 0
	}
	rva, _ := image.Symbol(symbol)
	return m.bases[image.Name] + uint64(rva)
}

func (m *machine) module(pc mem.VA) (unwind.Module, bool) {
	for name, base := range m.bases {
		image, _ := m.images.Image(name)
		if uint64(pc) >= base && uint64(pc)-base < uint64(image.Size) {
			return unwind.Module{Base: mem.VA(base), Image: m.files[name]}, true
		}
	}
	return unwind.Module{}, false
}

// frame is image!function>callee, image!function@label, image!label or
// image!function: what a recipe says of a frame.
func (m *machine) frame(t *testing.T, image, function, callee, label string) Frame {
	t.Helper()
	i, ok := m.images.Image(image)
	if !ok {
		t.Fatalf("no image %s", image)
	}
	f := Frame{Image: i, Base: m.bases[i.Name]}
	if label != "" {
		f.PC, ok = i.Symbol(label)
	} else {
		f.PC, ok = i.CallSite(function, callee)
	}
	if !ok {
		t.Fatalf("%s!%s calls no %s%s", image, function, callee, label)
	}
	return f
}

// userStack and kernelStack are tops of stacks.
const (
	userStack   = 0xd3f1700000
	kernelStack = 0xffffd40b1a2b7000
	otherStack  = 0xffffd40b1f007000
)

func TestForge_HighIrqlKernel(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		for _, build := range Builds(arch) {
			t.Run(fmt.Sprint(arch, build), func(t *testing.T) {
				m := newMachine(t, arch, build)
				checkForged(t, m, arch, m.highIrqlKernel(t))
			})
		}
	}
}

// highIrqlKernel is the stack of the exercise: a user's program asks myfault.sys
// for a page fault at DISPATCH_LEVEL.
func (m *machine) highIrqlKernel(t *testing.T) []Frame {
	t.Helper()
	frames := m.systemCall(t)
	frames = append(frames,
		m.frame(t, "ntoskrnl.exe", "NtDeviceIoControlFile", "IopXxxControlFile", ""),
		m.frame(t, "ntoskrnl.exe", "IopXxxControlFile", "IopSynchronousServiceTail", ""),
		m.frame(t, "ntoskrnl.exe", "IopSynchronousServiceTail", "IofCallDriver", ""),
		m.frame(t, "ntoskrnl.exe", "IofCallDriver", "IopfCallDriver", ""),
		m.frame(t, "ntoskrnl.exe", "IopfCallDriver", "*", ""),
		m.frame(t, "myfault.sys", "MyfaultDispatch", "MyfaultDeviceControl", ""),
		m.frame(t, "myfault.sys", "MyfaultDeviceControl", "HighIrqlFault", ""),
		m.frame(t, "myfault.sys", "", "", "HighIrqlFault_fault"),
	)
	if m.images.Arch == "arm64" {
		vector := m.frame(t, "ntoskrnl.exe", "KiArm64ExceptionVectors", "KzSynchronousException", "")
		vector.Trap = &Trap{ErrorCode: 0x96000007, Volatile: []Value{{"x3", 0x77}, {"far", 0xffffa80f12345000}}}
		return append(frames, vector,
			m.frame(t, "ntoskrnl.exe", "KzSynchronousException", "KiSynchronousException", ""),
			m.frame(t, "ntoskrnl.exe", "KiSynchronousException", "KiBugCheckDispatch", ""),
			m.frame(t, "ntoskrnl.exe", "KiBugCheckDispatch", "KeBugCheckEx", ""),
			m.frame(t, "ntoskrnl.exe", "", "", "KeBugCheckEx"),
		)
	}
	fault := m.frame(t, "ntoskrnl.exe", "KiPageFault", "KiBugCheckDispatch", "")
	fault.Trap = &Trap{Volatile: []Value{{"rcx", 0x77}}}
	return append(frames, fault,
		m.frame(t, "ntoskrnl.exe", "KiBugCheckDispatch", "KeBugCheckEx", ""),
		m.frame(t, "ntoskrnl.exe", "", "", "KeBugCheckEx"),
	)
}

// systemCall is a user's stack and the kernel's, up to the service.
func (m *machine) systemCall(t *testing.T) []Frame {
	t.Helper()
	frames := []Frame{
		m.frame(t, "ntdll.dll", "RtlUserThreadStart", "*", ""),
		m.frame(t, "kernel32.dll", "BaseThreadInitThunk", "*", ""),
		m.frame(t, "notmyfault64.exe", "mainCRTStartup", "main", ""),
		m.frame(t, "notmyfault64.exe", "main", "DialogLoop", ""),
		m.frame(t, "notmyfault64.exe", "DialogLoop", "MainDialog", ""),
		m.frame(t, "notmyfault64.exe", "MainDialog", "DoCrash", ""),
		m.frame(t, "notmyfault64.exe", "DoCrash", "DeviceIoControlImplementation", ""),
		m.frame(t, "kernel32.dll", "DeviceIoControlImplementation", "DeviceIoControl", ""),
		m.frame(t, "kernelbase.dll", "DeviceIoControl", "NtDeviceIoControlFile", ""),
		m.frame(t, "ntdll.dll", "", "", "NtDeviceIoControlFile_return"),
	}
	if m.images.Arch == "arm64" {
		vector := m.frame(t, "ntoskrnl.exe", "KiSystemServiceEntry", "KiSystemService", "")
		vector.Stack, vector.Trap = kernelStack, &Trap{User: true}
		return append(frames, vector, m.frame(t, "ntoskrnl.exe", "KiSystemService", "*", ""))
	}
	system := m.frame(t, "ntoskrnl.exe", "KiSystemCall64", "*", "")
	system.Stack, system.Trap = kernelStack, &Trap{User: true}
	return append(frames, system)
}

// checkForged forges frames and reads them back by unwinding alone: all of them,
// with the registers that were put into them.
func checkForged(t *testing.T, m *machine, arch string, frames []Frame) {
	t.Helper()
	top := uint64(userStack)
	if frames[0].Base>>63 != 0 {
		top = kernelStack
	}
	initial := Registers{}
	for n := range initial.R {
		initial.R[n] = uint64(n) * 0x1111
	}
	for n := range initial.Vector {
		initial.Vector[n] = [2]uint64{uint64(n), uint64(n) << 32}
	}
	forged, err := Forge(arch, top, frames, initial, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n, f := range forged.Frames {
		if f.TrapFrame%16 != 0 || n > 0 && frames[n].Alloca != 0 && forged.Frames[n-1].Registers.SP-f.Registers.SP < frames[n].Alloca {
			t.Errorf("frame %d, %s: sp %#x, trap frame %#x", n, f.Frame.name(), f.Registers.SP, f.TrapFrame)
		}
	}
	w := &unwind.Walker{Stack: forgedMemory(forged.Runs), Modules: m.module}
	last := forged.Frames[len(frames)-1]
	r := unwind.Registers{Machine: pe.Machine(last.Frame.Image.Machine)}
	setRegisters(&r, arch, last.Registers)
	for n := len(frames) - 1; n >= 0; n-- {
		placed := forged.Frames[n]
		name := placed.Frame.name()
		if got, want := uint64(r.PC()), placed.Registers.PC; got != want {
			t.Fatalf("frame %d, %s: unwinding gives pc %#x, want %#x", n, name, got, want)
		}
		if got, want := uint64(r.SP()), placed.Registers.SP; got != want {
			t.Fatalf("frame %d, %s: unwinding gives sp %#x, want %#x", n, name, got, want)
		}
		checkRegisters(t, name, arch, r, placed.Registers)
		if r, err = w.Step(r); err != nil {
			t.Fatalf("leaving frame %d, %s: %v", n, name, err)
		}
	}
	if r.PC() != 0 {
		t.Errorf("the outermost frame returns to %v, want 0", r.PC())
	}
}

// kept are the registers that a function must preserve, by their index.
func kept(arch string) map[int]string {
	list := map[int]string{}
	if arch == "x64" {
		for _, n := range []int{3, 5, 6, 7, 12, 13, 14, 15} {
			list[n] = names64[n]
		}
		return list
	}
	for n := 19; n <= 28; n++ {
		list[n] = fmt.Sprintf("x%d", n)
	}
	list[29] = "fp"
	return list
}

func setRegisters(r *unwind.Registers, arch string, from Registers) {
	if arch == "x64" {
		r.Set("rip", from.PC)
		r.Set("rsp", from.SP)
	} else {
		r.Set("pc", from.PC)
		r.Set("sp", from.SP)
		r.Set("lr", from.R[30])
	}
	for n, name := range kept(arch) {
		r.Set(name, from.R[n])
	}
}

func checkRegisters(t *testing.T, where, arch string, r unwind.Registers, want Registers) {
	t.Helper()
	for n, name := range kept(arch) {
		if got, ok := r.Get(name); !ok || got != want.R[n] {
			t.Errorf("%s: unwinding gives %s %#x (%t), want %#x", where, name, got, ok, want.R[n])
		}
	}
}

// TestForge_EveryCall stands on every call of every image in turn: each function's
// unwind data is simulated and undone.
func TestForge_EveryCall(t *testing.T) {
	for _, c := range []struct {
		arch  string
		build int
	}{{"x64", 19041}, {"arm64", 26100}} {
		t.Run(c.arch, func(t *testing.T) {
			m := newMachine(t, c.arch, c.build)
			tried := 0
			for _, name := range m.images.Names() {
				image, _ := m.images.Image(name)
				for _, site := range image.CallSites() {
					if _, ok := image.function(site - 1); !ok {
						continue
					}
					tried++
					outer := m.frame(t, "ntoskrnl.exe", "KiStartSystemThread", "PspSystemThreadStartup", "")
					this := Frame{Image: image, Base: m.bases[name], PC: site}
					inner := m.frame(t, "ntoskrnl.exe", "", "", "DbgBreakPointWithStatus")
					checkForged(t, m, c.arch, []Frame{outer, this, inner})
				}
			}
			if tried < 500 {
				t.Errorf("%d calls, want some 600", tried)
			}
		})
	}
}

// TestForge_Prologues stands behind every instruction of every prologue.
func TestForge_Prologues(t *testing.T) {
	for _, c := range []struct {
		arch  string
		build int
	}{{"x64", 17763}, {"arm64", 22000}} {
		t.Run(c.arch, func(t *testing.T) {
			m := newMachine(t, c.arch, c.build)
			outer := m.nt(t, "KiStartSystemThread", "PspSystemThreadStartup")
			tried := 0
			for _, name := range m.images.Names() {
				image, _ := m.images.Image(name)
				for _, fn := range image.functions {
					for _, pc := range prologue(t, image, fn) {
						tried++
						checkForged(t, m, c.arch, []Frame{outer, {Image: image, Base: m.bases[name], PC: pc}})
					}
				}
			}
			if tried < 1000 {
				t.Errorf("%d places, want more", tried)
			}
		})
	}
}

// prologue lists where the instructions of a prologue end.
func prologue(t *testing.T, i *Image, fn function) []uint32 {
	t.Helper()
	list := []uint32{fn.begin}
	if i.Machine == machineX64 {
		u, err := i.unwind64(fn)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range u.codes {
			list = append(list, fn.begin+uint32(c.offset))
		}
		return list
	}
	codes, err := i.unwindARM64(fn)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range codes {
		if !c.none {
			list = append(list, list[len(list)-1]+4)
		}
	}
	return list
}

// at is a frame at a label or a marked instruction.
func (m *machine) at(t *testing.T, image, label string) Frame {
	t.Helper()
	return m.frame(t, image, "", "", label)
}

// nt is a frame of the kernel at a call.
func (m *machine) nt(t *testing.T, function, callee string) Frame {
	t.Helper()
	return m.frame(t, "ntoskrnl.exe", function, callee, "")
}

func onStack(f Frame, top uint64, trap *Trap) Frame {
	f.Stack, f.Trap = top, trap
	return f
}

// TestForge_Stacks lays stacks that go to other stacks, or end in odd places.
func TestForge_Stacks(t *testing.T) {
	m := newMachine(t, "x64", 19041)
	thread := []Frame{m.nt(t, "KiStartSystemThread", "PspSystemThreadStartup"), m.nt(t, "PspSystemThreadStartup", "ExpWorkerThread")}
	with := func(frames ...Frame) []Frame { return append(append([]Frame{}, thread...), frames...) }
	bugCheck := []Frame{m.nt(t, "KiBugCheckDispatch", "KeBugCheckEx"), m.at(t, "ntoskrnl.exe", "KeBugCheckEx")}
	overflow := with(m.nt(t, "ExpWorkerThread", "*"))
	for range 12 {
		overflow = append(overflow, m.frame(t, "myfault.sys", "StackOverflow", "StackOverflow", ""))
	}
	spinning := m.nt(t, "KiRetireDpcList", "KiExecuteAllDpcs")
	spinning.Alloca = 0x40
	bad := Frame{Base: 0xdead0000}
	trashed := Frame{Base: 0x4141, Jumped: true}
	system := m.systemCall(t)
	for _, c := range []struct {
		name   string
		frames []Frame
	}{
		{"a thread that waits", with(m.nt(t, "ExpWorkerThread", "KeRemovePriQueue"), m.nt(t, "KeRemovePriQueue", "KiCommitThreadWait"),
			m.nt(t, "KiCommitThreadWait", "KiSwapThread"), m.nt(t, "KiSwapThread", "KiSwapContext"), m.nt(t, "KiSwapContext", "SwapContext"), m.at(t, "ntoskrnl.exe", "SwapContext_switch"))},
		{"a double fault", append(append(overflow, m.at(t, "myfault.sys", "StackOverflow"),
			onStack(m.nt(t, "KiDoubleFaultAbort", "KiBugCheckDispatch"), otherStack, nil)), bugCheck...)},
		{"a DPC that spins, stopped by the clock", []Frame{
			m.nt(t, "KiIdleLoop", "KiRetireDpcList"), spinning, m.nt(t, "KiExecuteAllDpcs", "*"),
			m.at(t, "myfault.sys", "HangDpcRoutine_spin"),
			m.nt(t, "KiInterruptDispatchNoLockNoEtw", "KiInterruptSubDispatchNoLockNoEtw"),
			onStack(m.nt(t, "KiInterruptSubDispatchNoLockNoEtw", "KiCallInterruptServiceRoutine"), otherStack, nil),
			m.nt(t, "KiCallInterruptServiceRoutine", "HalpTimerClockInterrupt"), m.nt(t, "HalpTimerClockInterrupt", "KeClockInterruptNotify"),
			m.nt(t, "KeClockInterruptNotify", "KeAccumulateTicks"), m.nt(t, "KeAccumulateTicks", "KeBugCheckEx"), m.at(t, "ntoskrnl.exe", "KeBugCheckEx")}},
		{"a DPC on its own stack", with(m.nt(t, "ExpWorkerThread", "*"), m.at(t, "labflt.sys", "LabfltScanName_fault"),
			m.nt(t, "KiDpcInterrupt", "KiDispatchInterruptContinue"), m.nt(t, "KiDispatchInterruptContinue", "KxRetireDpcList"),
			onStack(m.nt(t, "KxRetireDpcList", "KiRetireDpcList"), otherStack, nil), m.nt(t, "KiRetireDpcList", "KiExecuteAllDpcs"),
			m.nt(t, "KiExecuteAllDpcs", "*"), m.at(t, "labnet.sys", "LabnetInterruptDpc"))},
		{"a call of a bad pointer", with(m.nt(t, "ExpWorkerThread", "*"), bad, m.nt(t, "KiPageFault", "KiExceptionDispatch"),
			m.nt(t, "KiExceptionDispatch", "KiDispatchException"), m.nt(t, "KiDispatchException", "KeBugCheckEx"), m.at(t, "ntoskrnl.exe", "KeBugCheckEx"))},
		{"a fault in user mode", append(append(system[:7:7],
			m.at(t, "notmyfault64.exe", "ReadAfterCrash_fault"),
			onStack(m.nt(t, "KiPageFault", "KiBugCheckDispatch"), kernelStack, &Trap{User: true, ErrorCode: 4})), bugCheck...)},
		{"a stop on the way back to the user", append(append(system[:len(system)-1:len(system)-1],
			onStack(m.nt(t, "KiSystemCall64", "KiBugCheckDispatch"), kernelStack, &Trap{User: true})), bugCheck...)},
		{"an exception that a handler stops", append(with(m.nt(t, "ExpWorkerThread", "*"), m.at(t, "myfault.sys", "Breakpoint_fault"),
			m.nt(t, "KiBreakpointTrap", "KiExceptionDispatch"), m.nt(t, "KiExceptionDispatch", "KiDispatchException"),
			m.nt(t, "KiDispatchException", "RtlDispatchException"), m.nt(t, "RtlDispatchException", "RtlpExecuteHandlerForException"),
			m.nt(t, "RtlpExecuteHandlerForException", "KiSystemServiceHandler"), m.nt(t, "KiSystemServiceHandler", "KiBugCheckDispatch")), bugCheck...)},
		{"code that is overwritten", append(with(m.at(t, "ntoskrnl.exe", "NtReadFile"),
			m.nt(t, "KiBreakpointTrap", "KiExceptionDispatch")), m.nt(t, "KiExceptionDispatch", "KiDispatchException"))},
	} {
		t.Run(c.name, func(t *testing.T) { checkForged(t, m, "x64", c.frames) })
	}
	// A return to a trashed address: nothing leads on from there, but the stack
	// pointer is that of the caller.
	forged, err := Forge("x64", kernelStack, with(m.nt(t, "ExpWorkerThread", "*"), trashed), Registers{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last := forged.Frames[3].Registers; last.PC != 0x4141 || last.SP != forged.Frames[2].Registers.SP {
		t.Errorf("after the return: pc %#x, sp %#x; want 0x4141, %#x", last.PC, last.SP, forged.Frames[2].Registers.SP)
	}
}

// TestForge_TrapFrame looks at what is in a KTRAP_FRAME.
func TestForge_TrapFrame(t *testing.T) {
	m := newMachine(t, "x64", 22621)
	contents := make([]byte, ktrapSize64)
	contents[0x29] = 2 // PreviousIrql
	fault := m.nt(t, "KiPageFault", "KiBugCheckDispatch")
	fault.Trap = &Trap{ErrorCode: 3, Volatile: []Value{{"rax", 7}, {"cr2", 0xffffa80000001000}}, Contents: contents}
	frames := []Frame{m.nt(t, "KiStartSystemThread", "PspSystemThreadStartup"), m.at(t, "myfault.sys", "HighIrqlFault_fault"), fault}
	forged, err := Forge("x64", kernelStack, frames, Registers{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at, before := forged.Frames[2].TrapFrame, forged.Frames[1].Registers
	if at != forged.Frames[2].Registers.SP || at%16 != 0 {
		t.Errorf("trap frame at %#x, sp %#x", at, forged.Frames[2].Registers.SP)
	}
	for _, c := range []struct{ off, want uint64 }{
		{0x28, 0x200}, {0x30, 7}, {0xd0, 0xffffa80000001000}, {0x158, before.R[rbpIndex]}, {0x160, 3}, {0x168, before.PC},
		{0x170, 0x10}, {0x178, 0x10246}, {0x180, before.SP}, {0x188, 0x18},
	} {
		if got, ok := forged.Read(at + c.off); !ok || got != c.want {
			t.Errorf("KTRAP_FRAME+%#x: %#x, want %#x", c.off, got, c.want)
		}
	}
}

// TestForge_StacksARM64 is TestForge_Stacks for ARM64, where the frames of
// exceptions and of switches differ.
func TestForge_StacksARM64(t *testing.T) {
	m := newMachine(t, "arm64", 22000)
	thread := []Frame{m.nt(t, "KiStartSystemThread", "PspSystemThreadStartup"), m.nt(t, "PspSystemThreadStartup", "ExpWorkerThread")}
	with := func(frames ...Frame) []Frame { return append(append([]Frame{}, thread...), frames...) }
	retire := m.nt(t, "KiRetireDpcList", "KiExecuteAllDpcs")
	retire.Alloca = 0x60
	for _, c := range []struct {
		name   string
		frames []Frame
	}{
		{"a thread that waits", with(m.nt(t, "ExpWorkerThread", "KeRemovePriQueue"), m.nt(t, "KeRemovePriQueue", "KiCommitThreadWait"),
			m.nt(t, "KiCommitThreadWait", "KiSwapThread"), m.nt(t, "KiSwapThread", "KiSwapContext"), m.nt(t, "KiSwapContext", "SwapContext"), m.at(t, "ntoskrnl.exe", "SwapContext_switch"))},
		{"an interrupt on its own stack", with(m.nt(t, "ExpWorkerThread", "*"), m.at(t, "labnet.sys", "LabnetWatchdogDpc_spin"),
			m.nt(t, "KiKernelSp0InterruptHandler", "KiInterruptException"), m.nt(t, "KiInterruptException", "KxSwitchStackAndPlayInterrupt"),
			onStack(m.nt(t, "KxSwitchStackAndPlayInterrupt", "KiPlayInterrupt"), otherStack, nil), m.nt(t, "KiPlayInterrupt", "KiCallInterruptServiceRoutine"),
			m.nt(t, "KiCallInterruptServiceRoutine", "HalpTimerClockInterrupt"))},
		{"a DPC on its own stack", with(m.nt(t, "ExpWorkerThread", "*"), m.at(t, "ntoskrnl.exe", "KeLowerIrql"),
			m.nt(t, "KiKernelSp0InterruptHandler", "KiInterruptException"), m.nt(t, "KiInterruptException", "KiDispatchInterruptContinue"),
			m.nt(t, "KiDispatchInterruptContinue", "KxRetireDpcList"), onStack(m.nt(t, "KxRetireDpcList", "KiRetireDpcList"), otherStack, nil),
			retire, m.nt(t, "KiExecuteAllDpcs", "*"), m.at(t, "labnet.sys", "LabnetInterruptDpc"))},
		{"an exception on another stack", with(m.nt(t, "ExpWorkerThread", "*"), m.at(t, "myfault.sys", "StackOverflow"),
			onStack(m.nt(t, "KiKernelExceptionHandler", "KiStackOverflowException"), otherStack, nil),
			m.nt(t, "KiStackOverflowException", "KeBugCheckEx"), m.at(t, "ntoskrnl.exe", "KeBugCheckEx"))},
		{"a call of a bad pointer", with(m.nt(t, "ExpWorkerThread", "*"), Frame{Base: 0xdead0000},
			m.nt(t, "KiArm64ExceptionVectors", "KzSynchronousException"), m.nt(t, "KzSynchronousException", "KiSynchronousException"))},
	} {
		t.Run(c.name, func(t *testing.T) { checkForged(t, m, "arm64", c.frames) })
	}
}

// TestForge_SwitchFrame: a thread that waits has a KSWITCH_FRAME on top: where it
// goes on, and its frame pointer.
func TestForge_SwitchFrame(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		m := newMachine(t, arch, 26100)
		size, _ := m.images.Size("_KSWITCH_FRAME")
		ret, _ := m.images.Field("_KSWITCH_FRAME", "Return")
		fp, pointer := "Rbp", rbpIndex
		if arch == "arm64" {
			fp, pointer = "Fp", fpIndex
		}
		saved, _ := m.images.Field("_KSWITCH_FRAME", fp)
		frames := []Frame{m.nt(t, "KiSwapThread", "KiSwapContext"), m.nt(t, "KiSwapContext", "SwapContext"), m.at(t, "ntoskrnl.exe", "SwapContext_switch")}
		forged, err := Forge(arch, kernelStack, frames, Registers{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		before, at := forged.Frames[1].Registers, forged.Frames[2].Registers.SP
		if before.SP-at != uint64(size) {
			t.Errorf("%s: %#x bytes on top, want a KSWITCH_FRAME of %#x", arch, before.SP-at, size)
		}
		if v, _ := forged.Read(at + uint64(ret)); v != before.PC {
			t.Errorf("%s: Return is %#x, want %#x", arch, v, before.PC)
		}
		if v, _ := forged.Read(at + uint64(saved)); v != before.R[pointer] {
			t.Errorf("%s: %s is %#x, want %#x", arch, fp, v, before.R[pointer])
		}
	}
}

// TestJunk: stale return addresses lie among it, of the half of the address space
// that the stack is in.
func TestJunk(t *testing.T) {
	m := newMachine(t, "x64", 19041)
	fill := Junk(1, m.highIrqlKernel(t))
	for _, top := range []uint64{userStack, kernelStack} {
		stale := 0
		for at := top - 0x2000; at < top; at += 8 {
			v := fill(at)
			mod, ok := m.module(mem.VA(v))
			if ok && uint64(mod.Base)>>63 != top>>63 {
				t.Errorf("%#x at %#x is of the other half", v, at)
			} else if ok {
				stale++
			}
		}
		if stale < 20 || stale > 300 {
			t.Errorf("%d stale return addresses of 1,024 words below %#x", stale, top)
		}
	}
}

// TestForge_Set: a function's own values are in its registers, and those that it has
// saved come back to its caller; it cannot change what it has not saved.
func TestForge_Set(t *testing.T) {
	for arch, names := range map[string][3]string{"x64": {"rbx", "rcx", "r15"}, "arm64": {"x19", "x3", "x28"}} {
		m := newMachine(t, arch, 26100)
		fault := m.at(t, "myfault.sys", "HighIrqlFault_fault")
		fault.Set = []Value{{names[0], 0xffffa80012345000}, {names[1], 7}}
		trap := m.at(t, "ntoskrnl.exe", "KeBugCheckEx")
		frames := []Frame{m.nt(t, "KiStartSystemThread", "PspSystemThreadStartup"), fault, trap}
		checkForged(t, m, arch, frames)
		forged, err := Forge(arch, kernelStack, frames, Registers{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{"x64": 3, "arm64": 19}[arch]
		if got := forged.Frames[1].Registers.R[n]; got != 0xffffa80012345000 {
			t.Errorf("%s is %#x", names[0], got)
		}
		for _, bad := range []string{names[2], "rip"} {
			frames[1].Set = []Value{{bad, 1}}
			if _, err := Forge(arch, kernelStack, frames, Registers{}, nil); err == nil {
				t.Errorf("%s: HighIrqlFault set %s, which it does not save", arch, bad)
			}
		}
	}
}

func TestForge_Refuses(t *testing.T) {
	m := newMachine(t, "x64", 19041)
	worker := m.nt(t, "ExpWorkerThread", "*")
	jumped, moved, taken := worker, worker, worker
	jumped.Jumped, moved.Stack, taken.Alloca = true, otherStack, 16
	for _, c := range []struct {
		name   string
		arch   string
		top    uint64
		frames []Frame
	}{
		{"no frames", "x64", kernelStack, nil},
		{"a crooked top", "x64", kernelStack + 8, []Frame{worker}},
		{"the wrong architecture", "arm64", kernelStack, []Frame{worker}},
		{"a jump to a function with a frame", "x64", kernelStack, []Frame{jumped}},
		{"another stack without a frame pointer", "x64", kernelStack, []Frame{moved}},
		{"alloca without a frame pointer", "x64", kernelStack, []Frame{taken}},
	} {
		if _, err := Forge(c.arch, c.top, c.frames, Registers{}, nil); err == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
}
