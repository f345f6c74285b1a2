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
	for _, build := range Builds("x64") {
		t.Run(fmt.Sprint(build), func(t *testing.T) {
			m := newMachine(t, "x64", build)
			system := m.frame(t, "ntoskrnl.exe", "KiSystemCall64", "*", "")
			system.Stack, system.Trap = kernelStack, &Trap{User: true}
			fault := m.frame(t, "ntoskrnl.exe", "KiPageFault", "KiBugCheckDispatch", "")
			fault.Trap = &Trap{ErrorCode: 0, Volatile: []Value{{"rcx", 0x77}}}
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
				system,
				m.frame(t, "ntoskrnl.exe", "NtDeviceIoControlFile", "IopXxxControlFile", ""),
				m.frame(t, "ntoskrnl.exe", "IopXxxControlFile", "IopSynchronousServiceTail", ""),
				m.frame(t, "ntoskrnl.exe", "IopSynchronousServiceTail", "IofCallDriver", ""),
				m.frame(t, "ntoskrnl.exe", "IofCallDriver", "IopfCallDriver", ""),
				m.frame(t, "ntoskrnl.exe", "IopfCallDriver", "*", ""),
				m.frame(t, "myfault.sys", "MyfaultDispatch", "MyfaultDeviceControl", ""),
				m.frame(t, "myfault.sys", "MyfaultDeviceControl", "HighIrqlFault", ""),
				m.frame(t, "myfault.sys", "", "", "HighIrqlFault_fault"),
				fault,
				m.frame(t, "ntoskrnl.exe", "KiBugCheckDispatch", "KeBugCheckEx", ""),
				m.frame(t, "ntoskrnl.exe", "", "", "KeBugCheckEx"),
			}
			checkForged(t, m, "x64", frames)
		})
	}
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
	w := &unwind.Walker{Stack: forgedMemory(forged.Runs), Modules: m.module}
	last := forged.Frames[len(frames)-1]
	r := unwind.Registers{Machine: pe.Machine(last.Frame.Image.Machine)}
	setRegisters(&r, arch, last.Registers)
	for n := len(frames) - 1; n >= 0; n-- {
		placed := forged.Frames[n]
		name, _, _ := placed.Frame.Image.Near(placed.Frame.PC)
		name = placed.Frame.Image.Name + "!" + name
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
