package kernel

import (
	"path"
	"strings"

	"bugcheck/mem"
	"bugcheck/pe"
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

// imageAround walks back from an address, page by page, to the headers of the
// image that it lies in.
func (m *Machine) imageAround(va mem.VA) (base mem.VA, image *pe.File, ok bool) {
	if va < kernelReach {
		return 0, nil, false
	}
	var mz [2]byte
	for page := va &^ (mem.PageSize - 1); va-page < kernelReach; page -= mem.PageSize {
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
