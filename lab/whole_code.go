package lab

import (
	"fmt"
	"strings"

	"bugcheck/lab/code"
	"bugcheck/lab/ram"
)

// mapCode lays a compiled image into memory, its pages protected as its sections say.
func (s *System) mapCode(m *KernelModule) {
	b, err := m.Image.Mapped(m.Base, s.export)
	if err != nil {
		s.fail(err)
		return
	}
	if !s.inLargePages(m) {
		for _, r := range protections(m.Image) {
			s.fail(s.Space.Map(m.Base+uint64(r.from), uint64(r.to-r.from), r.protection))
		}
	}
	s.put(m.Base, b)
}

// inLargePages reports that a module lies in the pages of 2 MiB that hold the kernel.
func (s *System) inLargePages(m *KernelModule) bool {
	return s.LargePages && m.Base >= vaKernel && m.Base < vaDrivers
}

// pageRange is a part of an image that is protected alike.
type pageRange struct {
	from, to   uint32
	protection ram.Protection
}

// protections are the parts of an image: its headers, then its sections; IMAGE_SCN_MEM_
// EXECUTE and WRITE, winnt.h.
func protections(i *code.Image) []pageRange {
	list := []pageRange{{0, 0x1000, 0}}
	for _, c := range i.Sections {
		r := pageRange{from: c.RVA, to: (c.RVA + c.Size + 0xfff) &^ 0xfff}
		if c.Characteristics&0x20000000 != 0 {
			r.protection |= ram.Executable
		}
		if c.Characteristics&0x80000000 != 0 {
			r.protection |= ram.Writable
		}
		list = append(list, r)
	}
	return list
}

// export finds what a kernel module imports.
func (s *System) export(dll, symbol string) uint64 {
	m := s.Module(dll)
	if m == nil || m.Image == nil {
		return 0
	}
	rva, ok := m.Image.Symbol(symbol)
	if !ok {
		return 0
	}
	return m.Base + uint64(rva)
}

// compiledKernel finds the code of a kernel module by the name that debuggers give it; nil
// where it has none.
func (s *System) compiledKernel(module string) (*code.Image, uint64) {
	if strings.EqualFold(module, "nt") {
		return s.Modules[0].Image, s.Modules[0].Base
	}
	for _, m := range s.Modules {
		if strings.EqualFold(stem(m.Name), module) && m.Image != nil {
			return m.Image, m.Base
		}
	}
	return nil, 0
}

// compiledUser does so for an image of a process.
func (s *System) compiledUser(p *EProcess, module string) (*code.Image, uint64) {
	for _, m := range p.UserImages {
		if strings.EqualFold(stem(m.Name), module) && m.image != nil {
			return m.image, m.Base
		}
	}
	return nil, 0
}

// stem is a file's name without its extension.
func stem(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i]
	}
	return name
}

// mapUserCode lays a compiled image into a process. All processes share its frames, but for
// those that may be written.
func (s *System) mapUserCode(p *EProcess, u *UserImage) {
	b, err := u.image.Mapped(u.Base, func(dll, symbol string) uint64 {
		image, base := s.compiledUser(p, stem(dll))
		if image == nil {
			return 0
		}
		rva, _ := image.Symbol(symbol)
		return base + uint64(rva)
	})
	if err != nil {
		s.fail(err)
		return
	}
	for _, r := range protections(u.image) {
		for off := r.from; off < r.to; off += ram.PageSize {
			s.mapShared(p, fmt.Sprintf("%s %x", u.Name, off), u.Base+uint64(off), b[off:min(off+ram.PageSize, uint32(len(b)))], r.protection)
		}
	}
}

// mapShared maps a page that processes share, under a key.
func (s *System) mapShared(p *EProcess, key string, va uint64, data []byte, protection ram.Protection) {
	pfn, ok := s.shared[key]
	if !ok {
		var err error
		pfn, err = s.Memory.Frame(ram.ClassUser)
		s.fail(err)
		s.shared[key] = pfn
		s.fail(s.Memory.Write(pfn*ram.PageSize, data))
	}
	s.fail(p.Space.MapFrame(va, pfn, protection))
}
