package kernel

import (
	"bytes"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

const (
	tagScanChunk = 1 << 18
	tagOverlap   = 4 * (movkWithin + 1) // of one chunk and the next
	// maxTagScan bounds what is read of the images for one question, bytes: all
	// drivers of a machine have less.
	maxTagScan = 1 << 28

	sectionExecute = 0x20000000 // IMAGE_SCN_MEM_EXECUTE
)

// TagDrivers says which drivers' code holds a pool tag: they may be its owners. Those
// that are no part of Windows come first; where there is one, Windows' own are not
// searched. A tag that no driver's captured code holds is not in the map.
func (m *Machine) TagDrivers(tags ...string) map[string][]string {
	found := map[string][]string{}
	left := maxTagScan
	for _, windows := range []bool{false, true} {
		var open []string
		for _, tag := range tags {
			if len(tag) == 4 && len(found[tag]) == 0 {
				open = append(open, tag)
			}
		}
		for i := range m.Modules {
			if len(open) == 0 || m.isWindows(i) != windows {
				continue
			}
			for _, tag := range m.tagsInCode(i, open, &left) {
				found[tag] = append(found[tag], m.Modules[i].Name)
			}
		}
	}
	return found
}

// isWindows reports that the module with an index is part of Windows, as far as its
// name tells.
func (m *Machine) isWindows(index int) bool {
	d, ok := win.English.Driver(m.Modules[index].Name)
	return index == 0 || ok && d.Microsoft()
}

// tagsInCode lists those of tags that the executable sections of a module hold.
func (m *Machine) tagsInCode(index int, tags []string, left *int) []string {
	in := map[string]bool{}
	buffer := make([]byte, tagScanChunk)
	for _, s := range m.codeOf(index) {
		for at := s.Start; at < s.End && *left > 0; at += tagScanChunk - tagOverlap {
			got, _ := m.Memory.ReadAt(buffer[:min(tagScanChunk, s.End-at)], at)
			b := buffer[:got]
			*left -= max(len(b), pageSize)
			for _, tag := range tags {
				in[tag] = in[tag] || bytes.Contains(b, []byte(tag)) || m.Arch == dump.ARM64 && movesTag(b, tag)
			}
			if missing := at + mem.VA(len(b)); missing < min(s.End, at+tagScanChunk) { // pass over the page
				at = (missing+pageSize)&^(pageSize-1) - (tagScanChunk - tagOverlap)
			}
		}
	}
	var list []string
	for _, tag := range tags {
		if in[tag] {
			list = append(list, tag)
		}
	}
	return list
}

// codeOf lists where a module's executable sections lie; the whole module where its
// headers are missing.
func (m *Machine) codeOf(index int) []Span {
	mod := m.Modules[index]
	whole := []Span{{Start: mod.Base, End: mod.End()}}
	image := m.imageInMemory(index)
	if image == nil {
		return whole
	}
	sections, _ := image.Sections() // what of them can be read
	var list []Span
	for _, s := range sections {
		start := mod.Base + mem.VA(s.RVA)
		if end := min(start+mem.VA(s.VirtualSize), mod.End()); s.Characteristics&sectionExecute != 0 && start < end {
			list = append(list, Span{Start: start, End: end})
		}
	}
	if len(list) == 0 {
		return whole
	}
	return list
}

// How ARM64 code makes a 32-bit constant: MOVZ of the lower half, then MOVK of the
// upper half into the same register (Arm Architecture Reference Manual, C6.2).
const (
	movzW      = 0x52800000
	movkW16    = 0x72a00000
	moveMask   = 0xffe00000
	movkWithin = 8 // instructions behind the MOVZ
)

// movesTag reports that ARM64 code makes a tag in a register.
func movesTag(code []byte, tag string) bool {
	low, high := uint32(le.U16([]byte(tag), 0)), uint32(le.U16([]byte(tag), 2))
	for at := 0; at+4 <= len(code); at += 4 {
		w := le.U32(code, at)
		if w&moveMask != movzW || w>>5&0xffff != low {
			continue
		}
		for n := 1; n <= movkWithin && at+4*n+4 <= len(code); n++ {
			if le.U32(code, at+4*n) == movkW16|high<<5|w&0x1f {
				return true
			}
		}
	}
	return false
}
