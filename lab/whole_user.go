package lab

import (
	"strings"

	"bugcheck/lab/code"
	"bugcheck/lab/ram"
)

// UserImage is an image in a process.
type UserImage struct {
	Name, Path string
	Base       uint64
	Size       uint32
	Timestamp  uint32

	image *code.Image // nil: only headers and a version
}

// Where a process's own half keeps what; in real processes these places are random.
const (
	vaPEB    = 0x3e0d5f0000
	vaTEB    = 0x3e0d5f4000
	vaStack  = 0x3e0d800000 // of its threads, 1 MiB apart
	vaHeap   = 0x1c23a400000
	vaExe    = 0x7ff7c1e60000
	userHeap = 0x4000 // bytes of vaHeap that are mapped

	userStack = 0x3000 // bytes of a user stack that are mapped
)

// libraries are in every process: name, base, pages.
var libraries = []struct {
	name  string
	base  uint64
	pages uint32
}{{"ntdll.dll", 0x7ffd5a200000, 504}, {"KERNEL32.DLL", 0x7ffd58f20000, 190}, {"KERNELBASE.dll", 0x7ffd57ae0000, 730}}

// buildUser makes a process's user half: images, PEB, parameters, the loader's lists.
func (s *System) buildUser(p *EProcess) {
	path := `C:\Windows\System32\`
	if strings.Contains(p.Path, `\Tools\`) {
		path = `C:\Tools\`
	}
	s.loadUser(p, p.Name, path+p.Name, vaExe, 40)
	for _, l := range libraries {
		s.loadUser(p, l.name, `C:\Windows\System32\`+l.name, l.base, l.pages)
	}
	for _, u := range p.UserImages {
		if u.image != nil {
			s.mapUserCode(p, u)
		}
	}
	s.fail(p.Space.Map(vaHeap, userHeap, ram.Writable))
	s.fail(p.Space.Map(vaPEB, 0x1000, ram.Writable))
	p.Peb, p.nextStack = vaPEB, vaStack
	params := uint64(vaHeap + 0x1000)
	s.parameters(p, params, path+p.Name)
	ldr := uint64(vaHeap)
	r := s.record("_PEB", p.Peb)
	r.set64("ImageBaseAddress", vaExe)
	r.set64("Ldr", ldr)
	r.set64("ProcessParameters", params)
	r.set32("SessionId", uint32(max(p.Session, 0)))
	r.set32("NumberOfProcessors", uint32(s.Plan.Processors))
	r.set32("OSMajorVersion", 10)
	r.set16("OSBuildNumber", uint16(s.Build))
	s.fail(p.Space.Write(p.Peb, r.b))
	s.loaderLists(p, ldr)
}

// parameters writes RTL_USER_PROCESS_PARAMETERS and its texts.
func (s *System) parameters(p *EProcess, va uint64, path string) {
	r := s.record("_RTL_USER_PROCESS_PARAMETERS", va)
	size := uint32(s.layout.Size("_RTL_USER_PROCESS_PARAMETERS"))
	r.put32s(0, size, size, 1) // MaximumLength, Length, Flags: normalized
	at := uint64(size+15) &^ 15
	for field, text := range map[string]string{"ImagePathName": path, "CommandLine": p.CommandLine} {
		place := va + at
		if field == "CommandLine" {
			place += 0x400
		}
		r.setText(field, text, place)
		s.fail(p.Space.Write(place, append(utf16le(text), 0, 0)))
	}
	s.fail(p.Space.Write(va, r.b))
}

// loadUser maps an image: its headers and its resources are resident, the rest is not. All
// processes share the frames.
func (s *System) loadUser(p *EProcess, name, path string, base uint64, pages uint32) {
	h := headerImage{name: name, machine: s.machine(), size: pages * 0x1000, data: pages / 2 * 0x1000, build: s.Build, dll: true}
	h.timestamp = hash32(name + decimal(s.Build))
	u := &UserImage{Name: name, Path: path, Base: base, Size: h.size, Timestamp: h.timestamp}
	p.UserImages = append(p.UserImages, u)
	if image, ok := s.code.Image(name); ok {
		u.image, u.Size, u.Timestamp = image, image.Size, image.Timestamp
		return // mapped when all are known, for its imports
	}
	first, last := h.bytes()
	for _, c := range []struct {
		off  uint32
		data []byte
	}{{0, first}, {0x1000, nil}, {h.rsrc(), last}} {
		protection := ram.Protection(0)
		if c.off == 0x1000 {
			protection = ram.Executable
		}
		s.mapShared(p, name+" "+decimal(int(c.off)), base+uint64(c.off), c.data, protection)
	}
}

// loaderLists writes PEB_LDR_DATA and an LDR_DATA_TABLE_ENTRY for each image, linked in three
// orders that are the same here. dt ntdll!_LDR_DATA_TABLE_ENTRY, the same since Windows 8.
func (s *System) loaderLists(p *EProcess, ldr uint64) {
	var w buf
	w.put32(0, 0x58)
	w.put8(4, 1)
	entry := func(i int) uint64 { return ldr + 0x100 + uint64(i)*0x140 }
	names := ldr + 0x800
	for order := 0; order < 3; order++ {
		head := ldr + 0x10 + 0x10*uint64(order)
		at := []uint64{head}
		for i := range p.UserImages {
			at = append(at, entry(i)+0x10*uint64(order))
		}
		for i, a := range at {
			w.put64s(int(a-ldr), at[(i+1)%len(at)], at[(i+len(at)-1)%len(at)])
		}
	}
	for i, m := range p.UserImages {
		e := int(entry(i) - ldr)
		w.put64s(e+0x30, m.Base, m.Base+0x1000)
		w.put32(e+0x40, m.Size)
		w.putText(e+0x48, m.Path, names)
		w.putText(e+0x58, m.Name, names+uint64(len(utf16le(m.Path))-len(utf16le(m.Name))))
		w.put32(e+0x68, 0xa2c4)
		w.put32(e+0x80, m.Timestamp)
		w.put(int(names-ldr), append(utf16le(m.Path), 0, 0))
		names += uint64(len(utf16le(m.Path)) + 2)
	}
	s.fail(p.Space.Write(ldr, w.b))
}

// userThread gives a thread its TEB, its user stack and the trap frame of its last way into
// the kernel. dt nt!_TEB: NtTib.StackBase 8, StackLimit 0x10, Self 0x30, ClientId 0x40,
// ProcessEnvironmentBlock 0x60.
func (s *System) userThread(t *EThread, n int) {
	p := t.Process
	t.Start = vaExe + 0x1d60
	t.Teb = vaTEB + uint64(n)*0x2000
	t.TrapFrame = t.InitialStack - X64{}.trapSize(true) // until a stack is laid
	base := p.nextStack + 0x100000
	p.nextStack = base
	t.userTop = base - 0x40
	s.fail(p.Space.Map(t.Teb, 0x2000, ram.Writable))
	s.fail(p.Space.Map(base-userStack, userStack, ram.Writable))
	var w buf
	w.put64s(8, base, base-userStack)
	w.put64(0x30, t.Teb)
	w.put64s(0x40, uint64(p.ID), uint64(t.ID))
	w.put64(0x60, p.Peb)
	s.fail(p.Space.Write(t.Teb, w.b))
}
