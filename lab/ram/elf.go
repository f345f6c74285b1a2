package ram

import "encoding/binary"

// elf lays out a core as QEMU's dump-guest-memory writes it for a Windows guest whose driver
// gave its dump header to the vmcoreinfo device: an ELF64 header, a PT_NOTE, a PT_LOAD for
// each run with its physical address, the notes, the runs. The header note is named
// VMCOREINFO and holds a whole DUMP_HEADER64. Sources: the ELF specification; qemu
// dump/dump.c, dump/win_dump.c, docs/specs/vmcoreinfo.
func (m *Memory) elf(f formatFacts, h *Header, kept []Run) layout {
	const ehdr, phdr = 0x40, 0x38
	notes := m.elfNotes(h, f)
	at := uint64(ehdr + phdr*(1+len(kept)))
	first := (at + uint64(len(notes)) + PageSize - 1) &^ (PageSize - 1)

	b := make([]byte, ehdr)
	copy(b, "\x7fELF\x02\x01\x01")
	machine := uint32(62) // EM_X86_64
	if m.arm64 {
		machine = 183
	}
	put32(b, 0x10, 4|machine<<16, 1) // ET_CORE, version
	put64(b, 0x20, ehdr)
	put32(b, 0x34, ehdr|phdr<<16, uint32(1+len(kept)))
	b = append(b, programHeader(4, at, 0, uint64(len(notes)))...)
	offset := first
	for _, r := range kept {
		b = append(b, programHeader(1, offset, r.Base*PageSize, r.Count*PageSize)...)
		offset += r.Count * PageSize
	}
	b = append(b, notes...)
	return layout{first: first, size: offset, parts: []part{{0, b}}}
}

// programHeader returns an Elf64_Phdr: type, flags, offset, virtual and physical address, sizes.
func programHeader(kind uint32, offset, pa, size uint64) []byte {
	b := make([]byte, 0x38)
	put32(b, 0, kind)
	put64(b, 8, offset, 0, pa, size, size)
	return b
}

// elfNotes returns a note for each processor, whose registers QEMU knows for itself and the
// lab leaves zero, and the header note.
func (m *Memory) elfNotes(h *Header, f formatFacts) []byte {
	var b []byte
	status := 0x150 // struct elf_prstatus of x86-64, and of ARM64 below
	if m.arm64 {
		status = 0x188
	}
	for i := uint32(0); i < h.Processors; i++ {
		desc := make([]byte, status)
		put32(desc, 0x20, i+1) // pr_pid: QEMU counts processors from 1
		b = append(b, note("CORE", 1, desc)...)
	}
	size := headerSize + PageSize*m.Frames()
	return append(b, note("VMCOREINFO", 0, m.header(h, f, size))...)
}

// note returns an ELF note: the sizes of name and contents, the type, both padded to 4 bytes.
func note(name string, kind uint32, desc []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)+1))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = append(b, name...)
	b = append(b, make([]byte, 4-len(name)%4)...)
	return append(b, desc...)
}
