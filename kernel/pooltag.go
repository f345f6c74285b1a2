package kernel

import (
	"encoding/binary"
	"slices"

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
		search := tagSearch{arm64: m.Arch == dump.ARM64}
		for _, tag := range tags {
			if len(tag) == 4 && len(found[tag]) == 0 {
				search.add(tag)
			}
		}
		for i := range m.Modules {
			if len(search.tags) == 0 || m.isWindows(i) != windows {
				continue
			}
			for _, tag := range m.tagsInCode(i, &search, &left) {
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

// tagsInCode lists those of the tags searched for that the executable sections of a
// module hold.
func (m *Machine) tagsInCode(index int, search *tagSearch, left *int) []string {
	in := map[uint32]bool{}
	for _, code := range m.codeOf(index) {
		reader, spans := m.searched(code)
		for _, s := range spans {
			m.tagsInSpan(reader, s, search, in, left)
		}
	}
	var list []string
	for _, tag := range search.tags {
		if in[tag] {
			list = append(list, string(binary.LittleEndian.AppendUint32(nil, tag)))
		}
	}
	return list
}

// tagsInSpan adds the tags that a stretch of code holds to in.
func (m *Machine) tagsInSpan(reader mem.Reader, s Span, search *tagSearch, in map[uint32]bool, left *int) {
	for at := s.Start; at < s.End && *left > 0; at += tagScanChunk - tagOverlap {
		b := search.buffer[:min(tagScanChunk, s.End-at)]
		got, _ := reader.ReadAt(b, at)
		*left -= max(got, pageSize)
		search.in(b[:got], func(tag uint32, off int) {
			if !in[tag] {
				in[tag] = true
				_, _ = m.Memory.ReadAt(make([]byte, min(tagOverlap, got-off)), at+mem.VA(off)) // what was found is kept where reads are
			}
		})
		if missing := at + mem.VA(got); missing < min(s.End, at+tagScanChunk) { // pass over the page
			at = (missing+pageSize)&^(pageSize-1) - (tagScanChunk - tagOverlap)
		}
	}
}

// tagSearch looks for several tags at once, in one pass over the code.
type tagSearch struct {
	arm64  bool
	tags   []uint32
	low    [1 << 16 / 64]uint64 // a bit for each lower half of a tag
	buffer [tagScanChunk]byte
}

func (s *tagSearch) add(tag string) {
	v := le.U32([]byte(tag), 0)
	s.tags = append(s.tags, v)
	s.low[v&0xffff/64] |= 1 << (v % 64)
}

// may reports that a tag may have this lower half: few numbers have it.
func (s *tagSearch) may(low uint32) bool { return s.low[low/64]>>(low%64)&1 != 0 }

// in passes on the tags that code holds as a constant, or makes in a register, and
// where.
func (s *tagSearch) in(code []byte, found func(tag uint32, off int)) {
	for at := 0; at+4 <= len(code); at++ {
		if w := le.U32(code, at); s.may(w&0xffff) && slices.Contains(s.tags, w) {
			found(w, at)
		}
	}
	if !s.arm64 {
		return
	}
	for at := 0; at+4 <= len(code); at += 4 {
		w := le.U32(code, at)
		if w&moveMask != movzW || !s.may(w>>5&0xffff) {
			continue
		}
		for n := 1; n <= movkWithin && at+4*n+4 <= len(code); n++ {
			next := le.U32(code, at+4*n)
			tag := next>>5<<16 | w>>5&0xffff
			if next&(moveMask|0x1f) == movkW16|w&0x1f && slices.Contains(s.tags, tag) {
				found(tag, at)
			}
		}
	}
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
