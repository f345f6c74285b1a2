package lab

import (
	"hash/fnv"
	"strings"
	"time"

	"bugcheck/lab/code"
	"bugcheck/lab/ram"
)

// KernelModule is a loaded kernel module.
type KernelModule struct {
	Name      string // ntoskrnl.exe
	Path      string // \SystemRoot\system32\ntoskrnl.exe
	Base      uint64
	Size      uint32
	Timestamp uint32
	Checksum  uint32
	Entry     uint64      // its KLDR_DATA_TABLE_ENTRY
	Image     *code.Image // nil: only headers and a version
	data      uint32      // where the .data of such an image starts
}

// buildModules maps the images of the modules that lab's small dumps have too, and makes
// the kernel's variables addressable.
func (s *System) buildModules() {
	s.fail(s.Space.Map(vaExtra, 0x1000, ram.Writable))
	s.regions.extra = vaExtra + 0x1000
	kernel := uint64(vaKernel)
	for i, line := range strings.Split(strings.TrimSpace(strings.Replace(modules, "myfault.sys", moreModules+"myfault.sys", 1)), "\n") {
		f := append(strings.Fields(line), "")
		at := map[string]*uint64{"": &s.regions.drivers, "d": &s.regions.drivers, "s": &s.regions.session}[f[2]]
		if i < 2 {
			at = &kernel
		}
		pages := uint32(0)
		for _, c := range f[1] {
			pages = pages*10 + uint32(c-'0')
		}
		if f[0] == "mcupdate_GenuineIntel.dll" && s.Arch == "arm64" {
			continue
		}
		if f[0] == "kd.dll" && s.Build < 19041 {
			f[0] = "kdcom.dll"
		}
		m := s.load(f[0], f[2] == "d", *at, pages*0x1000)
		*at += (uint64(m.Size) + 0xffff) &^ 0xffff
	}
	if s.LargePages {
		s.fail(s.Space.Map(vaKernel, kernel-vaKernel, ram.Large|ram.Writable|ram.Executable))
	}
	for _, m := range s.Modules {
		s.mapModule(m)
	}
}

// moreModules are those of whole machines alone, their sizes as modules has them.
const moreModules = `USBXHCI.SYS 1 d
kbdhid.sys 1 d
labnet.sys 1 d
labdisp.sys 1 d
labflt.sys 1 d
labusb.sys 1 d
`

func (s *System) load(name string, driver bool, base uint64, size uint32) *KernelModule {
	m := &KernelModule{Name: name, Path: `\SystemRoot\system32\` + name, Base: base, Size: size}
	if driver {
		m.Path = `\SystemRoot\system32\drivers\` + name
	}
	h := fnv.New32a() // Windows's own images carry a hash in place of a time
	h.Write([]byte(name + decimal(s.Build)))
	m.Timestamp = h.Sum32()
	if name == "myfault.sys" {
		m.Timestamp = uint32(time.Date(2016, 5, 4, 12, 0, 0, 0, time.UTC).Unix())
	}
	m.Checksum = size + m.Timestamp&0xffff
	m.data = size / 0x2000 * 0x1000 // the upper half
	if image, ok := s.code.Image(name); ok {
		m.Image, m.Size, m.Timestamp, m.Checksum = image, image.Size, image.Timestamp, image.Checksum
	}
	s.Modules = append(s.Modules, m)
	return m
}

// mapModule maps the module's image: code to be executed, data to be written.
func (s *System) mapModule(m *KernelModule) {
	if m.Image != nil {
		s.mapCode(m)
		return
	}
	head := headerImage{name: m.Name, machine: s.machine(), size: m.Size, data: max(m.data, 0x1000), timestamp: m.Timestamp,
		checksum: m.Checksum, build: s.Build}
	if !s.inLargePages(m) {
		for _, c := range []struct {
			from, to uint32
			p        ram.Protection
		}{{0, 0x1000, 0}, {0x1000, head.data, ram.Executable}, {head.data, head.rsrc(), ram.Writable}, {head.rsrc(), m.Size, 0}} {
			if c.to > c.from {
				s.fail(s.Space.Map(m.Base+uint64(c.from), uint64(c.to-c.from), c.p))
			}
		}
	}
	first, last := head.bytes()
	s.put(m.Base, first)
	s.put(m.Base+uint64(head.rsrc()), last)
}

func (s *System) machine() machine {
	if s.Arch == "arm64" {
		return machineARM64
	}
	return machineX64
}

// Module returns the module of a name, in any case of letters; nil where there is none.
func (s *System) Module(name string) *KernelModule {
	for _, m := range s.Modules {
		if strings.EqualFold(m.Name, name) {
			return m
		}
	}
	return nil
}

// Symbol returns the address of a kernel's function or variable; 0 where it has none of
// that name.
func (s *System) Symbol(name string) uint64 {
	if va, ok := s.variables[name]; ok {
		return va
	}
	if rva, ok := s.Modules[0].Image.Symbol(name); ok {
		return vaKernel + uint64(rva)
	}
	return 0
}

// variable returns the address of a variable of the kernel with room for size bytes.
func (s *System) variable(name string, size uint64) uint64 {
	if va, ok := s.variables[name]; ok {
		return va
	}
	va := s.Symbol(name)
	if va == 0 {
		va = s.take(&s.regions.extra, size)
	}
	s.variables[name] = va
	return va
}

// pointer makes a variable that holds v.
func (s *System) pointer(name string, v uint64) { s.word(s.variable(name, 8), v) }

// text keeps a string in paged or nonpaged pool and returns its address.
func (s *System) text(tag, text string, paged bool) uint64 {
	b := append(utf16le(text), 0, 0)
	va := s.alloc(tag, uint64(len(b)), paged)
	s.put(va, b)
	return va
}

// buildModuleList makes PsLoadedModuleList and the unloaded drivers. dt nt!_KLDR_DATA_TABLE_ENTRY,
// the same on all 64-bit builds.
func (s *System) buildModuleList() {
	head := s.variable("PsLoadedModuleList", 16)
	var links []uint64
	for _, m := range s.Modules {
		var w buf
		w.grow(0xa0)
		m.Entry = s.alloc("MmLd", 0xa0, false)
		w.put64(0x30, m.Base)
		w.put64(0x38, m.Base+0x1000)
		if m.Image != nil {
			rva, size := m.Image.ExceptionTable()
			w.put64(0x10, m.Base+uint64(rva))
			w.put32(0x18, size)
			w.put64(0x38, m.Base+uint64(m.Image.Entry))
		}
		w.put32(0x40, m.Size)
		w.putText(0x48, m.Path, s.text("MmLd", m.Path, true))
		w.putText(0x58, m.Name, s.text("MmLd", m.Name, false))
		w.put32(0x68, 0x49104000) // Flags of a driver that was loaded and checked
		w.put16(0x6c, 1)
		w.put16(0x6e, 0x14) // SignatureLevel of Windows
		w.put32(0x78, m.Checksum)
		w.put32s(0x98, m.Size, m.Timestamp)
		s.put(m.Entry, w.b)
		links = append(links, m.Entry)
	}
	s.list(head, links)
	s.pointer("PsNtosImageBase", vaKernel)
	s.buildUnloaded()
}

// buildUnloaded makes MmUnloadedDrivers: 50 places of {Name, StartAddress, EndAddress,
// CurrentTime}, 0x28 bytes each, and the index behind the last. Source: volatility3's
// symbols/windows/ and rekall's unloaded_modules; UNLOADED_DRIVERS in WinDbg's lmu.
func (s *System) buildUnloaded() {
	s.Unloaded = []Unloaded{{"dump_storvsc.sys", 0xfffff80319a40000, 0xfffff80319a4e000},
		{"dam.sys", 0xfffff80319a10000, 0xfffff80319a2c000}, {"hwpolicy.sys", 0xfffff80317f30000, 0xfffff80317f40000}}
	table := s.alloc("MmUd", unloadedPlaces*0x28, false)
	for i, u := range s.Unloaded {
		var w buf
		at := uint64(len(s.Unloaded)-1-i) * 0x28 // the oldest comes first
		w.putText(0, u.Name, s.text("MmUd", u.Name, false))
		w.put64s(0x10, u.Start, u.End, filetime(s.Time.Add(-s.Uptime+time.Duration(len(s.Unloaded)-i)*time.Minute)))
		s.put(table+at, w.b)
	}
	s.pointer("MmUnloadedDrivers", table)
	s.half(s.variable("MmLastUnloadedDriver", 4), uint32(len(s.Unloaded)))
}
