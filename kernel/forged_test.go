package kernel_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/kernel"
	"bugcheck/lab/code"
	"bugcheck/mem"
	"bugcheck/report"
)

// compiledWorld is a machine with the lab's compiled images in its memory.
type compiledWorld struct {
	*world
	images *code.Images
	bases  map[string]mem.VA // by lower-case name
}

func newCompiledWorld(t *testing.T, column string, build int) *compiledWorld {
	t.Helper()
	arch, _, _ := strings.Cut(column, " ")
	images, err := code.Open(arch, build)
	if err != nil {
		t.Fatal(err)
	}
	w := &compiledWorld{newWorld(t, column), images, map[string]mem.VA{}}
	w.program("notmyfault64.exe", "ntdll.dll", "KERNEL32.DLL", "KERNELBASE.dll")
	w.bases = map[string]mem.VA{
		"ntoskrnl.exe": w.nt, "myfault.sys": w.myfault,
		"notmyfault64.exe": programAt(0), "ntdll.dll": programAt(1), "kernel32.dll": programAt(2), "kernelbase.dll": programAt(3),
	}
	for name, base := range w.bases {
		image, ok := images.Image(name)
		if !ok {
			t.Fatalf("no image %s", name)
		}
		b, err := image.Mapped(uint64(base), func(dll, symbol string) uint64 {
			if i, ok := images.Image(dll); ok {
				rva, _ := i.Symbol(symbol)
				return uint64(w.bases[strings.ToLower(dll)]) + uint64(rva)
			}
			return 0
		})
		if err != nil {
			t.Fatal(err)
		}
		w.put(base, b)
	}
	return w
}

// frame is image!function>callee, or image!label for the place of a label.
func (w *compiledWorld) frame(what string) code.Frame {
	name, place, _ := strings.Cut(what, "!")
	function, callee, calls := strings.Cut(place, ">")
	image, ok := w.images.Image(name)
	if !ok {
		w.tb.Fatalf("no image %s", name)
	}
	f := code.Frame{Image: image, Base: uint64(w.bases[strings.ToLower(name)])}
	if calls {
		f.PC, ok = image.CallSite(function, callee)
	} else {
		f.PC, ok = image.Symbol(function)
	}
	if !ok {
		w.tb.Fatalf("there is no %s", what)
	}
	return f
}

const userStackTop = 0x000000d3_f1700000

// lay forges frames, the outermost on the user's stack, and puts them into memory.
func (w *compiledWorld) lay(frames ...code.Frame) *code.Forged {
	arch := string(w.arch)
	forged, err := code.Forge(arch, userStackTop, frames, code.Registers{}, nil)
	if err != nil {
		w.tb.Fatal(err)
	}
	for _, r := range forged.Runs {
		w.put(mem.VA(r.Start), r.Data)
	}
	return forged
}

// crash makes the header's registers those of the last frame.
func (w *compiledWorld) crash(forged *code.Forged) {
	last := forged.Frames[len(forged.Frames)-1].Registers
	context := map[int]uint64{0xf8: last.PC, 0x98: last.SP, 0x90: last.R[3], 0xa0: last.R[5], 0xa8: last.R[6], 0xb0: last.R[7]}
	for n := 12; n < 16; n++ {
		context[0xd8+8*(n-12)] = last.R[n]
	}
	saved := w.prcbs[1] + w.at("_KPRCB ProcessorState.ContextFrame")
	for off, v := range context {
		put64(w.context, off, v)
		w.put64(saved+mem.VA(off), v)
	}
	w.rsp = mem.VA(last.SP)
}

func checkForged(t *testing.T, name string, got []report.Frame, forged *code.Forged) {
	t.Helper()
	var want []string
	for i := len(forged.Frames) - 1; i >= 0; i-- {
		f := forged.Frames[i]
		function, _, _ := f.Frame.Image.Near(f.Frame.PC)
		want = append(want, fmt.Sprintf("%#x %#x %s!%s", f.Registers.PC, f.Registers.SP, f.Frame.Image.Name, function))
	}
	for i := range want {
		if i >= len(got) || !strings.HasPrefix(want[i], fmt.Sprintf("%#x %#x", uint64(got[i].Address), uint64(got[i].StackPointer))) {
			t.Errorf("%s: frame %d is not %s; the frames are:\n%s", name, i, want[i], strings.Join(frameLines(got), "\n"))
			return
		}
		if i > 0 && got[i].Trust != report.TrustUnwind {
			t.Errorf("%s: frame %d, %s: trust %s", name, i, want[i], got[i].Trust)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d frames, want %d", name, len(got), len(want))
	}
}

func frameLines(frames []report.Frame) []string {
	var list []string
	for _, f := range frames {
		list = append(list, fmt.Sprintf("%#x %#x %s %s", uint64(f.Address), uint64(f.StackPointer), f.Image, f.Trust))
	}
	return list
}

// ioctl are the callers of a driver, from the start of its caller's thread on.
func (w *compiledWorld) ioctl() []code.Frame {
	system := w.frame("ntoskrnl.exe!KiSystemCall64>*")
	system.Stack, system.Trap = stackTop, &code.Trap{User: true}
	return []code.Frame{
		w.frame("ntdll.dll!RtlUserThreadStart>*"), w.frame("KERNEL32.DLL!BaseThreadInitThunk>*"),
		w.frame("notmyfault64.exe!mainCRTStartup>main"), w.frame("notmyfault64.exe!main>DialogLoop"),
		w.frame("notmyfault64.exe!DialogLoop>MainDialog"), w.frame("notmyfault64.exe!MainDialog>DoCrash"),
		w.frame("notmyfault64.exe!DoCrash>DeviceIoControlImplementation"), w.frame("KERNEL32.DLL!DeviceIoControlImplementation>DeviceIoControl"),
		w.frame("KERNELBASE.dll!DeviceIoControl>NtDeviceIoControlFile"), w.frame("ntdll.dll!NtDeviceIoControlFile_return"), system,
		w.frame("ntoskrnl.exe!NtDeviceIoControlFile>IopXxxControlFile"), w.frame("ntoskrnl.exe!IopXxxControlFile>IopSynchronousServiceTail"),
		w.frame("ntoskrnl.exe!IopSynchronousServiceTail>IofCallDriver"), w.frame("ntoskrnl.exe!IofCallDriver>IopfCallDriver"),
		w.frame("ntoskrnl.exe!IopfCallDriver>*"), w.frame("myfault.sys!MyfaultDispatch>MyfaultDeviceControl"),
		w.frame("myfault.sys!MyfaultDeviceControl>HighIrqlFault"),
	}
}

// fault are the frames of a page fault that stops the machine.
func (w *compiledWorld) fault() []code.Frame {
	fault := w.frame("ntoskrnl.exe!KiPageFault>KiBugCheckDispatch")
	fault.Trap = &code.Trap{Volatile: []code.Value{{Name: "rcx", Value: 0x77}}}
	return []code.Frame{fault, w.frame("ntoskrnl.exe!KiBugCheckDispatch>KeBugCheckEx"), w.frame("ntoskrnl.exe!KeBugCheckEx")}
}

// teb makes the crashing thread's stack in its program known.
func (w *compiledWorld) teb(thread mem.VA) {
	const teb = 0x2200000
	w.put(teb, make([]byte, 0x100))
	w.put64(teb+8, userStackTop)
	w.put64(teb+0x10, userStackTop-0x4000)
	w.put64(thread+w.at("_KTHREAD Teb"), teb)
}

var compiledWorlds = []struct {
	column string
	build  int
}{{"x64 17763", 17763}, {"x64 19041", 19041}, {"x64 20348", 20348}, {"x64 22621", 22621}, {"x64 26100", 26100}}

// From KeBugCheckEx through the fault and the system call to the start of the
// program's thread, by the images in memory alone.
func TestStack_ToUser(t *testing.T) {
	for _, c := range compiledWorlds {
		w := newCompiledWorld(t, c.column, c.build)
		w.teb(w.crashing)
		forged := w.lay(append(append(w.ioctl(), w.frame("myfault.sys!HighIrqlFault_fault")), w.fault()...)...)
		w.crash(forged)
		m := w.open()
		checkForged(t, c.column, m.Stack(m.HeaderRegisters(), nil), forged)
		trap, ok := m.FindTrapFrame(w.myfault + mem.VA(w.frame("myfault.sys!HighIrqlFault_fault").PC))
		if !ok {
			t.Fatalf("%s: the trap frame is not found on the stack", c.column)
		}
		forged.Frames = forged.Frames[:len(forged.Frames)-3]
		checkForged(t, c.column+" from the trap frame", m.Stack(m.Restored(trap).Registers, nil), forged)
		var involved []string
		for _, i := range m.Involved() {
			involved = append(involved, m.Modules[i].Name)
		}
		if got := strings.Join(involved, " "); got != "ntoskrnl.exe myfault.sys notmyfault64.exe ntdll.dll KERNEL32.DLL KERNELBASE.dll" {
			t.Errorf("%s: involved are %s", c.column, got)
		}
	}
}

// A DPC that faults runs on the processor's DPC stack: the callers go on on that of
// the thread it interrupted.
func TestStack_FromDPC(t *testing.T) {
	for _, c := range compiledWorlds {
		w := newCompiledWorld(t, c.column, c.build)
		w.teb(w.crashing)
		interrupt, retire := w.frame("ntoskrnl.exe!KiDpcInterrupt>KiDispatchInterruptContinue"), w.frame("ntoskrnl.exe!KxRetireDpcList>KiRetireDpcList")
		interrupt.Trap = &code.Trap{}
		retire.Stack = uint64(w.dpcStack) + 0x10000 // the second processor's
		frames := append(w.ioctl(), w.frame("myfault.sys!HighIrqlFault_fault"), interrupt, w.frame("ntoskrnl.exe!KiDispatchInterruptContinue>KxRetireDpcList"), retire,
			w.frame("ntoskrnl.exe!KiRetireDpcList>KiExecuteAllDpcs"), w.frame("ntoskrnl.exe!KiExecuteAllDpcs>*"), w.frame("myfault.sys!HangDpcRoutine_spin"))
		forged := w.lay(append(frames, w.fault()...)...)
		w.crash(forged)
		m := w.open()
		checkForged(t, c.column, m.Stack(m.HeaderRegisters(), nil), forged)
		if m.Blocks.StackTop != w.rsp || m.Blocks.StackTop+mem.VA(len(m.Blocks.Stack)) != w.dpcStack+0x10000 {
			t.Errorf("%s: the stack is %d bytes at %v", c.column, len(m.Blocks.Stack), m.Blocks.StackTop)
		}
	}
}

// A thread that waits begins in KiSwapContext; of another process the callers end
// where it entered the kernel.
func TestThreadStack_Forged(t *testing.T) {
	for _, c := range compiledWorlds {
		w := newCompiledWorld(t, c.column, c.build)
		w.teb(w.crashing)
		frames := append(w.ioctl()[:14], w.frame("ntoskrnl.exe!KeWaitForSingleObject>KiCommitThreadWait"),
			w.frame("ntoskrnl.exe!KiCommitThreadWait>KiSwapThread"), w.frame("ntoskrnl.exe!KiSwapThread>KiSwapContext"), w.frame("ntoskrnl.exe!KiSwapContext>SwapContext"))
		frames[13] = w.frame("ntoskrnl.exe!IopSynchronousServiceTail>KeWaitForSingleObject")
		forged := w.lay(frames...)
		last := forged.Frames[len(frames)-1].Registers
		w.put64(mem.VA(last.SP)-0x10, last.R[5])
		w.put64(mem.VA(last.SP)-8, last.PC)
		for _, thread := range []mem.VA{w.crashing, w.worker} {
			w.put(thread+w.at("_KTHREAD State"), []byte{byte(kernel.Waiting)})
			w.put64(thread+w.at("_KTHREAD KernelStack"), last.SP-0x40)
		}
		w.put64(w.system+w.at("_KPROCESS DirectoryTableBase"), uint64(w.user))
		w.putVA(w.system+w.at("_EPROCESS Peb"), w.peb)
		w.putVA(w.worker+w.at("_KTHREAD StackBase"), stackTop) // the same stack, in another process
		w.putVA(w.worker+w.at("_KTHREAD StackLimit"), stackTop-0x6000)
		m := w.open()
		own, err := m.ThreadAt(w.crashing)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.ThreadStack(own)
		if err != nil {
			t.Fatalf("%s: %v", c.column, err)
		}
		checkForged(t, c.column, got, forged)
		other, _ := m.ThreadAt(w.worker)
		got, err = m.ThreadStack(other)
		if err != nil {
			t.Fatalf("%s: %v", c.column, err)
		}
		all := forged.Frames
		forged.Frames = forged.Frames[10:] // from KiSystemCall64 on
		checkForged(t, c.column+", another process", got, forged)

		// Seen from that process, whose page tables are the same here, they are all there.
		system, err := m.ProcessAt(w.system)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := m.As(system)
		if err != nil {
			t.Fatalf("%s: %v", c.column, err)
		}
		forged.Frames = all
		if got, err = seen.ThreadStack(other); err != nil {
			t.Fatalf("%s: %v", c.column, err)
		}
		checkForged(t, c.column+", as that process", got, forged)
		if got, _ = seen.ThreadStack(own); len(got) != len(all)-10 {
			t.Errorf("%s: as the other process, %d frames of the first, want %d", c.column, len(got), len(all)-10)
		}
	}
}

// The symbol files that the images in memory name are found, the program's too; the
// kernel's knows which driver Windows names.
func TestOpenWith_Whole(t *testing.T) {
	for _, c := range compiledWorlds {
		w := newCompiledWorld(t, c.column, c.build)
		w.teb(w.crashing)
		forged := w.lay(append(append(w.ioctl(), w.frame("myfault.sys!HighIrqlFault_fault")), w.fault()...)...)
		w.crash(forged)
		dir := t.TempDir()
		for _, name := range w.images.Names() {
			image, _ := w.images.Image(name)
			if err := os.WriteFile(filepath.Join(dir, image.PDBName), image.PDB, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		nt, _ := w.images.Image("ntoskrnl.exe")
		at, _ := nt.Symbol("KiBugCheckDriver")
		name := w.alloc(16)
		w.text(name, `\SystemRoot\System32\drivers\myfault.sys`)
		w.putVA(w.nt+mem.VA(at), name)
		m := kernel.OpenWith(t.Context(), w.dumpFile(), finder(t, dir))
		frames := m.Stack(m.HeaderRegisters(), nil)
		checkForged(t, c.column, frames, forged)
		for i, f := range frames {
			made := forged.Frames[len(forged.Frames)-1-i].Frame
			want, _, _ := made.Image.Near(made.PC)
			want = strings.TrimSuffix(strings.TrimSuffix(want, "_fault"), "_return")
			if f.Symbol != want {
				t.Errorf("%s: frame %d is %s, want %s", c.column, i, f.Symbol, want)
			}
		}
		if m.Blocks.BrokenDriver != "myfault.sys" {
			t.Errorf("%s: Windows names %q, want myfault.sys", c.column, m.Blocks.BrokenDriver)
		}
	}
}

// The page with the driver's entry in the list of modules is gone: its image is found
// by what points into it.
func TestStack_UnlistedDriver(t *testing.T) {
	w := newCompiledWorld(t, "x64 19041", 19041)
	w.teb(w.crashing)
	forged := w.lay(append(append(w.ioctl(), w.frame("myfault.sys!HighIrqlFault_fault")), w.fault()...)...)
	w.crash(forged)
	last := mem.VA(w.read64(w.modules + 8))
	w.put64(last, 0)
	w.put64(last+8, 0)
	m := w.open()
	checkForged(t, "unlisted", m.Stack(m.HeaderRegisters(), nil), forged)
	if mod, ok := m.ModuleAt(w.myfault + 0x1000); !ok || mod.Name != "myfault.sys" || mod.Module != "myfault" {
		t.Errorf("the module is %q, %v; want myfault.sys", mod.Name, ok)
	}
	if !strings.Contains(notes(m), "myfault.sys is not in the list") {
		t.Errorf("notes:\n%s", notes(m))
	}
}
