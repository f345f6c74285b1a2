package kernel

import (
	"fmt"
	"path"
	"strings"

	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
)

// image is the image of the module with an index: the file that was found for it,
// else as it lies in memory; nil if neither is at hand.
func (m *Machine) image(index int) *pe.File {
	if s := m.Symbols(index); s != nil && s.Image != nil {
		return s.Image
	}
	if index < len(m.images) {
		return m.images[index]
	}
	return nil
}

// ImageAt is the image of the module that va lies in, and where it is loaded: the file
// that was found for it, else as it lies in memory; nil if neither is at hand.
func (m *Machine) ImageAt(va mem.VA) (image *pe.File, base mem.VA) {
	i, ok := m.moduleIndex(va)
	if !ok {
		return nil, 0
	}
	return m.image(i), m.Modules[i].Base
}

// capturedImages finds images that a small dump holds as far as unwinding needs them:
// their headers and their function tables. One that was made out of a larger dump
// (shrink) may; of Windows' own none was seen to.
func (m *Machine) capturedImages() {
	if m.whole() || m.User != nil {
		return
	}
	m.images = make([]*pe.File, len(m.Modules))
	for i, mod := range m.Modules {
		image := openImage(m.Memory, mod.Base, int64(mod.Size))
		if image == nil {
			continue
		}
		table := image.Directories[pe.ExceptionDirectory]
		ends := make([]byte, 2)
		_, errFirst := image.ReadAt(ends[:1], table.RVA)
		_, errLast := image.ReadAt(ends[1:], table.RVA+pe.RVA(table.Size)-1)
		if table.Size > 0 && errFirst == nil && errLast == nil {
			m.images[i] = image
		}
	}
}

// VersionOf is the file version of a module's image, as its resource says; "" where
// that is not at hand.
func (m *Machine) VersionOf(index int) string {
	if v := m.Modules[index].Version; v != "" {
		return v
	}
	image := m.image(index)
	if image == nil {
		return ""
	}
	v, err := image.Version()
	if err != nil || v.File == (pe.VersionNumber{}) {
		return ""
	}
	return v.File.String()
}

// openImage opens the image whose headers lie at base; nil if there is none.
func openImage(memory mem.Reader, base mem.VA, size int64) *pe.File {
	image, err := pe.Open(imageAt{memory, base}, size, pe.InMemory)
	if err != nil {
		return nil
	}
	return image
}

// imageAround walks back from an address, page by page and at most so many bytes,
// to the headers of the image that it lies in.
func (m *Machine) imageAround(va, reach mem.VA) (base mem.VA, image *pe.File, ok bool) {
	if va < reach {
		return 0, nil, false
	}
	var mz [2]byte
	for page := va &^ (mem.PageSize - 1); va-page < reach; page -= mem.PageSize {
		if _, err := m.Memory.ReadAt(mz[:], page); err != nil || string(mz[:]) != "MZ" {
			continue
		}
		image := openImage(m.Memory, page, kernelReach)
		if image != nil && va-page < mem.VA(image.Header.SizeOfImage) {
			return page, image, true
		}
	}
	return 0, nil, false
}

// isKernelImage knows the kernel by the name of its symbol file, ntkrnlmp.pdb and
// its like.
func isKernelImage(image *pe.File) bool {
	pdb, _ := image.PDB() // where its page is there
	return strings.HasPrefix(strings.ToLower(fileName(pdb.Path)), "ntkr")
}

// fileName takes the name off a path of Windows'.
func fileName(p string) string { return path.Base(strings.ReplaceAll(p, `\`, "/")) }

// Limits on the search for images that no list names.
const (
	driverReach  = 16 << 20 // bytes: few drivers are larger
	maxUnlisted  = 64       // images
	maxStrangers = 64       // addresses that are looked at
)

// findUnlisted looks for the images that the stop code's parameters, the registers
// and the stacks point into although the list of modules, which is torn, does not
// name them.
func (m *Machine) findUnlisted() {
	seen, found := map[mem.VA]bool{}, 0
	look := func(va mem.VA) {
		page := va &^ (mem.PageSize - 1)
		if _, known := m.moduleIndex(va); known || seen[page] || m.isUser(va) || len(seen) >= maxStrangers || found >= maxUnlisted {
			return
		}
		seen[page] = true
		if base, image, ok := m.imageAround(va, driverReach); ok {
			m.addUnlisted(base, image)
			found++
		}
	}
	for _, p := range m.Header.Parameters {
		look(mem.VA(p))
	}
	for _, r := range m.HeaderRegisters() {
		look(mem.VA(r.Value))
	}
	for _, part := range m.stackParts() {
		m.eachWord(part.b, look)
	}
}

// addUnlisted adds an image under the name of its symbol file: a driver's is nearly
// always called like the driver.
func (m *Machine) addUnlisted(base mem.VA, image *pe.File) {
	pdb, _ := image.PDB() // where its page is there
	name := fileName(pdb.Path)
	name = name[:len(name)-len(path.Ext(name))] + ".sys"
	if len(name) <= len(".sys") {
		name = fmt.Sprintf("image_%x.sys", uint64(base))
	}
	d := dump.Driver{Name: name, Base: base, Size: uint64(image.Header.SizeOfImage)}
	m.identify(m.Memory, &d)
	m.note("loaded modules", report.T("%s is not in the list; its image was found at %s.", d.Name, base.String()))
	m.Drivers = append(m.Drivers, d)
	m.Modules = append(m.Modules, Module{Driver: d, Module: ModuleName(d.Name)})
	m.images = append(m.images, image)
	m.sortModules()
}
