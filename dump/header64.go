package dump

import (
	"bytes"
	"io"
	"time"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

const (
	header64Size = 0x2000
	unset        = 0x45474150 // 'PAGE': what Windows fills a header with before it writes fields
	unset64      = unset<<32 | unset
)

// Bits of DUMP_HEADER64.Attributes (dt nt!_DUMP_FILE_ATTRIBUTES, 19041).
const (
	attrInsufficient = 0x4
	attrKernelTriage = 0x8
	attrLive         = 0x10
	attrOffline      = 0x20
	attrFiltered     = 0x40
	attrEarlyBoot    = 0x80
	attrEncrypted    = 0x100
	attrDecrypted    = 0x200
)

// open64 decodes a DUMP_HEADER64 (dt nt!_DUMP_HEADER64, 19041; also
// microsoft/windows-rs Win32/System/Diagnostics/Debug). head holds at least
// header64Size bytes.
func open64(r io.ReaderAt, size int64, head []byte) (*File, error) {
	f := newFile64(size, head)
	if f.Kind == Triage {
		f.readTriage(r, head, header64Size)
	} else {
		f.readWhole(r, head)
	}
	return f, nil
}

// newFile64 decodes what stands in the header alone.
func newFile64(size int64, head []byte) *File {
	f := &File{Size: size, Arch: arch(le.U32(head, 0x30)), Memory: &mem.Ranges{}}
	if f.Arch == "" {
		f.Arch = X64
		f.note("header", "The machine type 0x%x is not known; x64 is assumed.", le.U32(head, 0x30))
	}
	f.head = head[:header64Size:header64Size]
	f.Header = header64(head)
	f.Kind = kind(f.Header.DumpType, f.Header.Attributes, head[header64Size:])
	f.Context = head[0x348 : 0x348+3000]
	f.Exception = f.Arch.exceptionRecord(head[0xf00:0xf98])
	f.checkHeader()
	return f
}

// headerLayout says where a header keeps CONTEXT and exception record, bytes.
type headerLayout struct {
	context, contextSize, exception, exceptionSize uint64
}

func (a Arch) headerLayout() headerLayout {
	if a == X86 {
		return headerLayout{context: 0x320, contextSize: 1200, exception: 0x7d0, exceptionSize: ExceptionRecord32Size}
	}
	return headerLayout{context: 0x348, contextSize: 3000, exception: 0xf00, exceptionSize: ExceptionRecord64Size}
}

// exceptionRecord decodes the header's record; nil where Windows set none.
func (a Arch) exceptionRecord(b []byte) *ExceptionRecord {
	switch {
	case le.U32(b, 0) == unset:
		return nil
	case a == X86:
		return ExceptionRecord32(b)
	}
	return ExceptionRecord64(b)
}

func header64(b []byte) Header {
	h := Header{
		Checked:        le.U32(b, 8) == 0xc,
		Build:          le.U32(b, 0xc),
		DirectoryTable: mem.PA(set64(b, 0x10)),
		LoadedModules:  mem.VA(set64(b, 0x20)),
		ProcessHead:    mem.VA(set64(b, 0x28)),
		Processors:     set32(b, 0x34),
		BugCheckCode:   le.U32(b, 0x38),
		Parameters:     [4]uint64{le.U64(b, 0x40), le.U64(b, 0x48), le.U64(b, 0x50), le.U64(b, 0x58)},
		DebuggerData:   mem.VA(set64(b, 0x80)),
		DumpType:       le.U32(b, 0xf98),
		RequiredSize:   set64(b, 0xfa0),
		Comment:        text(b[0xfb0:0x1030]),
		MiniDumpFields: set32(b, 0x1038),
		ProductType:    set32(b, 0x1040),
		SuiteMask:      set32(b, 0x1044),
	}
	h.Time, h.Uptime = times(set64(b, 0xfa8), set64(b, 0x1030))
	h.Attributes = known32(b, 0x1050)
	h.BootID = known32(b, 0x1054)
	return h
}

// times converts SystemTime (FILETIME) and SystemUpTime (100 ns).
func times(system, up uint64) (time.Time, time.Duration) {
	t, ok := win.FileTime(system)
	if !ok {
		t = time.Time{}
	}
	if up > uint64(1<<62)/100 {
		up = 0
	}
	return t, time.Duration(up) * 100
}

func set32(b []byte, off int) uint32 {
	if v := le.U32(b, off); v != unset {
		return v
	}
	return 0
}

func set64(b []byte, off int) uint64 {
	if v := le.U64(b, off); v != unset64 {
		return v
	}
	return 0
}

func known32(b []byte, off int) *uint32 {
	v := le.U32(b, off)
	if v == unset {
		return nil
	}
	return &v
}

// text decodes a field that is filled with PAGE when it was not set.
func text(b []byte) string {
	if le.U32(b, 0) == unset {
		return ""
	}
	return win.ASCII(b)
}

// kind maps DumpType: up to 7 by the names of DUMP_TYPE in the Windows SDK's
// mindumpdef.h, above by kdmp-parser-rs. map8 is what stands behind the header: a
// bitmap of all memory is FDMP, and the attribute tells that it was filtered. An
// automatic dump is written as DUMP_TYPE_BITMAP_KERNEL too; nothing tells it from
// a kernel dump.
func kind(dumpType uint32, attributes *uint32, map8 []byte) Kind {
	has := func(bit uint32) bool { return attributes != nil && *attributes&bit != 0 }
	switch {
	case has(attrLive):
		return Live
	case dumpType == 4:
		return Triage
	case dumpType == 1, dumpType == 0xa, dumpType == 5 && bytes.HasPrefix(map8, []byte("FDMP")) && !has(attrFiltered):
		return Full
	case dumpType == 5, dumpType == 9:
		return Active
	case dumpType == 7:
		return Automatic
	}
	return Kernel
}

func arch(machine uint32) Arch {
	switch machine {
	case 0x8664:
		return X64
	case 0xaa64:
		return ARM64
	case 0x14c:
		return X86
	}
	return ""
}

// ExceptionRecord64Size is the size of an EXCEPTION_RECORD64 in bytes.
const ExceptionRecord64Size = 0x98

// ExceptionRecord64 decodes an EXCEPTION_RECORD64 (winnt.h); b holds
// ExceptionRecord64Size bytes.
func ExceptionRecord64(b []byte) *ExceptionRecord {
	e := &ExceptionRecord{Code: le.U32(b, 0), Flags: le.U32(b, 4), Address: mem.VA(le.U64(b, 0x10))}
	for i := range min(int(le.U32(b, 0x18)), 15) {
		e.Parameters = append(e.Parameters, le.U64(b, 0x20+8*i))
	}
	return e
}

func (f *File) checkHeader() {
	a := f.Header.Attributes
	if a == nil {
		return
	}
	if *a&attrInsufficient != 0 {
		f.note("header", "Windows notes that the space for the dump was too small: parts of it are missing.")
	}
	if *a&attrEarlyBoot != 0 {
		f.note("header", "The crash came early in the start of Windows.")
	}
}
