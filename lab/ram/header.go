package ram

import (
	"encoding/binary"
	"time"
)

// Header is what a dump's header says of the machine. Texts and bytes that are too long for
// their field are cut.
type Header struct {
	Build      uint32 // MinorVersion: 19041
	Processors uint32

	Code       uint32
	Parameters [4]uint64
	Context    []byte // CONTEXT of the machine
	Exception  []byte // EXCEPTION_RECORD64; nil: a breakpoint at no address

	DirectoryTableBase  uint64 // physical
	PfnDataBase         uint64
	PsLoadedModuleList  uint64
	PsActiveProcessHead uint64
	KdDebuggerDataBlock uint64

	Time        time.Time // of the crash
	Uptime      time.Duration
	Comment     string // at most 127 bytes; "": as Windows leaves it
	ProductType uint32 // 1 workstation, 2 domain controller, 3 server
	SuiteMask   uint32
	Attributes  uint32 // on top of what the format asks for
	BootID      uint32

	WriterStatus uint32 // 0: the dump was completed
	Secondary    []byte // what follows the pages: "DumpBlob" and the blocks of tagged data
}

const headerSize = 0x2000

// machine returns the IMAGE_FILE_MACHINE_ value.
func (m *Memory) machine() uint32 {
	if m.arm64 {
		return 0xaa64
	}
	return 0x8664
}

// header returns DUMP_HEADER64 of a dump whose file has a given size: ns-dbgeng of
// microsoft/win32metadata, 0vercl0k/kdmp-parser-rs src/structs.rs, qemu's win_dump_defs.h.
// What Windows does not fill holds its filler, the word PAGE.
func (m *Memory) header(h *Header, f formatFacts, size uint64) []byte {
	b := make([]byte, headerSize)
	for i := range b {
		b[i] = "PAGE"[i%4]
	}
	copy(b[4:], "DU64")
	put32(b, 0x08, 15, h.Build) // 15: a free build
	put64(b, 0x10, h.DirectoryTableBase, h.PfnDataBase, h.PsLoadedModuleList, h.PsActiveProcessHead)
	put32(b, 0x30, m.machine(), h.Processors, h.Code)
	put64(b, 0x40, h.Parameters[:]...)
	clear(b[0x60:0x80]) // VersionUser
	put64(b, 0x80, h.KdDebuggerDataBlock)
	m.descriptor(b[0x88:0x348])
	clear(b[0x348:0xf98])
	copy(b[0x348:0xf00], h.Context)
	if h.Exception == nil {
		put32(b, 0xf00, 0x80000003, 1) // STATUS_BREAKPOINT, EXCEPTION_NONCONTINUABLE
	}
	copy(b[0xf00:0xf98], h.Exception)
	put32(b, 0xf98, f.dumpType)
	put64(b, 0xfa0, size, filetime(h.Time)) // RequiredDumpSpace, SystemTime
	if h.Comment != "" {
		clear(b[0xfb0:0x1030])
		copy(b[0xfb0:0x102f], h.Comment)
	}
	put64(b, 0x1030, uint64(h.Uptime/100))
	put32(b, 0x1038, 0, 0, h.ProductType, h.SuiteMask, h.WriterStatus) // MiniDumpFields, SecondaryDataState first
	b[0x104c], b[0x104d] = 0, 0                                        // KdSecondaryVersion
	put32(b, 0x1050, f.attributes|h.Attributes, h.BootID)
	return b
}

// descriptor writes PHYSICAL_MEMORY_DESCRIPTOR: NumberOfRuns, NumberOfPages, the runs.
func (m *Memory) descriptor(b []byte) {
	put32(b, 0, uint32(len(m.runs)))
	put64(b, 8, m.Frames())
	for i, r := range m.runs {
		put64(b, 0x10+0x10*i, r.Base, r.Count)
	}
}

func put32(b []byte, at int, v ...uint32) {
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[at+4*i:], x)
	}
}

func put64(b []byte, at int, v ...uint64) {
	for i, x := range v {
		binary.LittleEndian.PutUint64(b[at+8*i:], x)
	}
}

// filetime returns t in 100 ns since 1601-01-01 UTC.
func filetime(t time.Time) uint64 {
	return uint64(t.Unix()+11644473600)*1e7 + uint64(t.Nanosecond()/100)
}

// SmallHeader returns the DUMP_HEADER64 of a small dump (DumpType 4) of the machine, which
// other parts follow; size is that of the whole file.
func (m *Memory) SmallHeader(h *Header, size uint64) []byte {
	return m.header(h, formatFacts{dumpType: 4}, size)
}
