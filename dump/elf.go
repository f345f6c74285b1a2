package dump

import (
	"bytes"
	"io"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

// Limits on an ELF core. QEMU writes a segment a block of RAM, and with -p one a
// mapping; its notes are a few KiB a processor.
const (
	maxSegments = 1 << 20
	maxNotes    = 16 << 20 // bytes
)

// Types of segments (elf.h).
const (
	segmentLoad = 1
	segmentNote = 4
	segmentSize = 0x38
	manySegs    = 0xffff // PN_XNUM: sh_info of the first section has the count
)

// isELFCore reports whether head starts a little-endian 64-bit ELF core.
func isELFCore(head []byte) bool {
	return len(head) >= 0x40 && string(head[:6]) == "\x7fELF\x02\x01" && le.U16(head, 0x10) == 4
}

// segment is an Elf64_Phdr.
type segment struct {
	kind               uint32
	offset, paddr, len uint64 // bytes
}

// openELF opens the core of a virtual machine (QEMU dump-guest-memory, libvirt):
// its PT_LOAD segments are physical memory. The guest's fwcfg driver left a
// DUMP_HEADER in the note VMCOREINFO (qemu dump/win_dump.c); a core without it
// says nothing of Windows and is refused.
func openELF(r io.ReaderAt, size int64, head []byte) (*File, error) {
	segments, whole := readSegments(r, size, head)
	header := dumpHeaderNote(r, size, segments)
	if header == nil {
		return nil, &FormatError{What: "an ELF core without the header that Windows' fwcfg driver adds: let that driver run in the guest, or make the dump with dump-guest-memory -w"}
	}
	what := Identify(header, int64(len(header)))
	if !what.Kernel {
		return nil, &FormatError{What: "an ELF core with " + what.Text}
	}
	var f *File
	if what.Arch == X86 {
		f = newFile32(size, header)
	} else {
		f = newFile64(size, header)
	}
	f.Kind = Full
	f.PhysicalPages = f.physicalPages(header)
	if !whole {
		f.Truncated = true
		f.note("memory", "The file ends inside the list of its segments.")
	}
	f.pages, _ = newPageRuns(loadRuns(segments))
	f.openMemory(r)
	f.readBugCheckData()
	return f, nil
}

// readSegments reads the program headers; false if the file ends in them.
func readSegments(r io.ReaderAt, size int64, head []byte) ([]segment, bool) {
	at, count, entry := le.U64(head, 0x20), uint64(le.U16(head, 0x38)), uint64(le.U16(head, 0x36))
	if count == manySegs {
		var b [4]byte
		if n, _ := r.ReadAt(b[:], int64(le.U64(head, 0x28)&(1<<62-1))+0x2c); n < len(b) {
			return nil, false
		}
		count = uint64(le.U32(b[:], 0))
	}
	if entry != segmentSize || at >= uint64(size) {
		return nil, false
	}
	fit := min(count, (uint64(size)-at)/segmentSize, maxSegments)
	b := make([]byte, fit*segmentSize)
	n, _ := r.ReadAt(b, int64(at))
	var list []segment
	for b = b[:n]; len(b) >= segmentSize; b = b[segmentSize:] {
		list = append(list, segment{kind: le.U32(b, 0), offset: le.U64(b, 8), paddr: le.U64(b, 0x18), len: le.U64(b, 0x20)})
	}
	return list, uint64(len(list)) == count
}

// dumpHeaderNote looks in the notes for one with a dump header; nil if there is
// none. A note is {name size, size, type}, then name and data, each padded to 4.
func dumpHeaderNote(r io.ReaderAt, size int64, segments []segment) []byte {
	for _, s := range segments {
		if s.kind != segmentNote || s.offset >= uint64(size) {
			continue
		}
		b := make([]byte, min(s.len, uint64(size)-s.offset, maxNotes))
		n, _ := r.ReadAt(b, int64(s.offset))
		for b = b[:n]; len(b) >= 12; {
			name := (uint64(le.U32(b, 0)) + 3) &^ 3
			data := uint64(le.U32(b, 4))
			if name+data > uint64(len(b)-12) {
				break
			}
			d := b[12+name : 12+name+data]
			if bytes.HasPrefix(d, []byte("PAGEDU64")) || bytes.HasPrefix(d, []byte("PAGEDUMP")) {
				return d
			}
			b = b[min(12+name+(data+3)&^3, uint64(len(b))):]
		}
	}
	return nil
}

// loadRuns are the whole pages of the segments.
func loadRuns(segments []segment) []pageRun {
	var list []pageRun
	for _, s := range segments {
		skip := -s.paddr % mem.PageSize
		if s.kind != segmentLoad || s.len < skip || s.offset > maxOffset || s.len > 1<<52 || s.paddr > 1<<52 {
			continue
		}
		list = append(list, pageRun{first: (s.paddr + skip) / mem.PageSize, count: (s.len - skip) / mem.PageSize, off: int64(s.offset + skip)})
	}
	return list
}

// liveSystemDump is the stop code LIVE_SYSTEM_DUMP: the machine had not crashed.
const liveSystemDump = 0x161

// readBugCheckData reads the stop code of a virtual machine. The header in its
// note was made when the driver started. Where Windows keeps the debugger data
// block encoded, the driver left a plain copy and its address in parameter 1.
func (f *File) readBugCheckData() {
	for _, at := range []mem.VA{f.Header.DebuggerData, mem.VA(f.Header.Parameters[0])} {
		b, err := mem.Read(f.Memory, at, 0x90)
		if err != nil || string(b[0x10:0x14]) != "KDBG" {
			continue
		}
		f.Header.DebuggerData = at
		f.setBugCheck(mem.VA(le.U64(b, 0x88)))
		return
	}
	f.note("header", "The debugger data block is encoded or missing: the stop code is the one that the note had when the guest's driver started.")
}

// setBugCheck reads KiBugCheckData: the code and four parameters, pointers wide.
func (f *File) setBugCheck(at mem.VA) {
	size := f.Arch.PointerSize()
	b, err := mem.Read(f.Memory, at, 5*size)
	if err != nil {
		f.note("header", "KiBugCheckData cannot be read: the stop code is the one that the note had when the guest's driver started.")
		return
	}
	word := func(i int) uint64 {
		if size == 4 {
			return uint64(le.U32(b, 4*i))
		}
		return le.U64(b, 8*i)
	}
	f.Header.BugCheckCode = uint32(word(0))
	f.Header.Parameters = [4]uint64{word(1), word(2), word(3), word(4)}
	if f.Header.BugCheckCode == 0 {
		f.Header.BugCheckCode = liveSystemDump
	}
}
