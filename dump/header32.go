package dump

import (
	"io"

	"bugcheck/internal/le"
	"bugcheck/mem"
)

const header32Size = 0x1000

// open32 decodes a DUMP_HEADER32 (microsoft/windows-rs
// Win32/System/Diagnostics/Debug; dt nt!_DUMP_HEADER of a 32-bit kernel).
// head holds at least header32Size bytes.
func open32(r io.ReaderAt, size int64, head []byte) (*File, error) {
	f := newFile32(size, head)
	if f.Kind == Triage {
		f.readTriage(r, head, header32Size)
	} else {
		f.readWhole(r, head)
	}
	return f, nil
}

// newFile32 decodes what stands in the header alone.
func newFile32(size int64, head []byte) *File {
	f := &File{Size: size, Arch: X86, Memory: &mem.Ranges{}}
	f.head = head[:header32Size:header32Size]
	f.Header = header32(head)
	f.Kind = kind(f.Header.DumpType, f.Header.Attributes, head[header32Size:])
	f.Context = head[0x320 : 0x320+1200]
	f.Exception = f.Arch.exceptionRecord(head[0x7d0 : 0x7d0+ExceptionRecord32Size])
	f.checkHeader()
	return f
}

func header32(b []byte) Header {
	h := Header{
		Checked:        le.U32(b, 8) == 0xc,
		Build:          le.U32(b, 0xc),
		DirectoryTable: mem.PA(set32(b, 0x10)),
		LoadedModules:  mem.VA(set32(b, 0x18)),
		ProcessHead:    mem.VA(set32(b, 0x1c)),
		Processors:     set32(b, 0x24),
		BugCheckCode:   le.U32(b, 0x28),
		Parameters:     [4]uint64{uint64(le.U32(b, 0x2c)), uint64(le.U32(b, 0x30)), uint64(le.U32(b, 0x34)), uint64(le.U32(b, 0x38))},
		PAE:            b[0x5c] == 1,
		DebuggerData:   mem.VA(set32(b, 0x60)),
		Comment:        text(b[0x820:0x8a0]),
		DumpType:       le.U32(b, 0xf88),
		MiniDumpFields: set32(b, 0xf8c),
		ProductType:    set32(b, 0xf94),
		SuiteMask:      set32(b, 0xf98),
		RequiredSize:   set64(b, 0xfa0),
	}
	h.Time, h.Uptime = times(set64(b, 0xfc0), set64(b, 0xfb8))
	h.Attributes = known32(b, 0x8a0)
	h.BootID = known32(b, 0x8a4)
	return h
}

// ExceptionRecord32Size is the size of an EXCEPTION_RECORD32 in bytes.
const ExceptionRecord32Size = 0x50

// ExceptionRecord32 decodes an EXCEPTION_RECORD32 (winnt.h); b holds
// ExceptionRecord32Size bytes.
func ExceptionRecord32(b []byte) *ExceptionRecord {
	e := &ExceptionRecord{Code: le.U32(b, 0), Flags: le.U32(b, 4), Address: mem.VA(le.U32(b, 0xc))}
	for i := range min(int(le.U32(b, 0x10)), 15) {
		e.Parameters = append(e.Parameters, uint64(le.U32(b, 0x14+4*i)))
	}
	return e
}
