// Package dump turns a crash dump file into its header, its memory and the
// lists that Windows stored beside them.
//
// It decodes what stands in the file and judges nothing; addresses are looked
// up by package kernel. Layouts and their sources: docs/formats/.
package dump

import (
	"errors"
	"fmt"
	"io"
	"time"

	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// Arch is the architecture of the crashed machine.
type Arch string

// The architectures.
const (
	X64   Arch = "x64"
	ARM64 Arch = "arm64"
	X86   Arch = "x86"
)

// PointerSize is 4 or 8 bytes.
func (a Arch) PointerSize() int {
	if a == X86 {
		return 4
	}
	return 8
}

// Kind is how much of the machine a dump holds; the words of the report.
type Kind string

// The kinds of kernel dumps; minidump.go has that of user-mode dumps.
const (
	Triage    Kind = "triage"    // a small dump
	Full      Kind = "full"      // all physical memory
	Kernel    Kind = "kernel"    // kernel memory
	Active    Kind = "active"    // kernel memory and active user memory
	Automatic Kind = "automatic" // kernel memory, page file sized by Windows
	Live      Kind = "live"      // taken while the system went on
)

// File is an opened dump. It is immutable and safe for concurrent use.
type File struct {
	Kind      Kind
	Arch      Arch
	Size      int64 // of the file, bytes
	Truncated bool  // the file ends before its own header says
	Header    Header
	Context   []byte           // CONTEXT of the processor that called KeBugCheckEx; nil if cut off
	Exception *ExceptionRecord // the header's record: the breakpoint in KeBugCheckEx, rarely the fault
	Memory    mem.Reader       // what was captured of virtual memory; of a whole-memory dump, the space at Header.DirectoryTable
	Runs      []mem.Range      // the same as runs, by rising address; nil for whole-memory dumps
	Drivers   []Driver         // in load order; the kernel is the first
	Unloaded  []Unloaded       // drivers unloaded before the crash, newest first
	Blocks    Blocks
	Tagged    []Tagged
	User      *User         // a user-mode minidump's own; nil for kernel dumps
	Notes     []report.Note // what was damaged or missing

	// Of whole-memory dumps: full, kernel, active, automatic, live.
	Physical      mem.PhysicalReader // nil for small dumps and user-mode minidumps
	Paging        mem.Paging         // how the machine's page tables are read
	Pages         uint64             // of 4 KiB that the file holds
	PhysicalPages uint64             // of the machine, where the header says; else 0

	pages pageMap
	head  []byte // the header, as it stands in the file
}

// Head is the dump's header as it stands in the file: a DUMP_HEADER64 or a
// DUMP_HEADER; nil for user-mode minidumps. The caller must not change it.
func (f *File) Head() []byte { return f.head }

// setRuns makes runs of captured memory the file's Memory.
func (f *File) setRuns(r io.ReaderAt, runs []mem.Range) {
	m := mem.NewRanges(r, f.Size, runs)
	f.Memory, f.Runs = m, m.Runs()
}

// Header is what DUMP_HEADER says; zero values and nil stand for fields that Windows did not fill.
type Header struct {
	Build          uint32 // of the kernel
	Checked        bool   // a debug build
	BugCheckCode   uint32
	Parameters     [4]uint64
	Processors     uint32
	DirectoryTable mem.PA
	LoadedModules  mem.VA // PsLoadedModuleList
	ProcessHead    mem.VA // PsActiveProcessHead
	DebuggerData   mem.VA // KdDebuggerDataBlock
	DumpType       uint32
	Time           time.Time // UTC; zero if unknown
	Uptime         time.Duration
	Comment        string
	ProductType    uint32 // 1 workstation, 2 domain controller, 3 server
	SuiteMask      uint32
	Attributes     *uint32
	MiniDumpFields uint32
	BootID         *uint32
	RequiredSize   uint64 // RequiredDumpSpace, bytes
	PAE            bool   // 32-bit dumps
}

// Driver is one entry of a small dump's driver list.
type Driver struct {
	Name           string // the file's name: amdppm.sys
	Path           string // as Windows recorded it, with the name; "" where it recorded the name alone
	Base           mem.VA
	Size           uint64 // bytes
	Timestamp      uint32 // of the image header; a hash in reproducible builds
	Checksum       uint32
	EntryPoint     mem.VA // zero: not recorded
	ExceptionTable mem.VA // the image's .pdata; zero: not recorded
	ExceptionSize  uint32 // bytes
	Verified       bool   // driver verifier watches it, or a driver that it calls; false too where that is not recorded
	Version        string // of the file: 10.0.19041.1; user-mode minidumps alone
	PDB            PDB    // its symbol file; user-mode minidumps alone
}

// imageVerifying is the flag of an entry in the list of loaded drivers by which
// MmIsDriverVerifying tells that a driver is watched, or calls one that is: LDRP_IMAGE_VERIFYING
// in ReactOS (sdk/include/ndk/ldrtypes.h). The flags around it stand in today's dumps where
// that list says.
const imageVerifying = 0x02000000

// Verifying reports that the Flags of a KLDR_DATA_TABLE_ENTRY say that driver verifier
// watches the image.
func Verifying(flags uint32) bool { return flags&imageVerifying != 0 }

// End is the first address behind the image.
func (d Driver) End() mem.VA { return d.Base + mem.VA(d.Size) }

// Unloaded is a driver that had left before the crash.
type Unloaded struct {
	Name       string // cut by Windows to 12 characters
	Start, End mem.VA
}

// Blocks are the raw structures that a small dump carries at known places.
type Blocks struct {
	PRCB, Process, Thread []byte // nil if absent
	DebuggerData          []byte // KDDEBUGGER_DATA64
	Stack                 []byte
	StackTop              mem.VA // address of Stack[0]
	BrokenDriver          string // the driver Windows itself names; "" if none
	Memory                MemoryFigures
}

// ExceptionRecord is an EXCEPTION_RECORD.
type ExceptionRecord struct {
	Code       uint32
	Flags      uint32
	Address    mem.VA
	Parameters []uint64 // at most 15
}

// Tagged is a block of secondary data.
type Tagged struct {
	GUID win.GUID
	Data []byte
}

// ErrFormat is wrapped by every error that says what a file is instead of a
// crash dump.
var ErrFormat = errors.New("not a Windows crash dump")

// FormatError says what a file is that is not a dump which can be opened.
type FormatError struct {
	What string // "a PNG image", "empty"
}

func (e *FormatError) Error() string { return e.What }

// Is makes errors.Is(err, ErrFormat) hold.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// headSize is read at once: both headers and the triage directory.
const headSize = 0x3000

// Open decodes the dump in r, which is size bytes long. It fails with a
// *FormatError when r is no crash dump or its header is cut; any other damage
// leaves a note in the File.
func Open(r io.ReaderAt, size int64) (*File, error) {
	if size < 0 {
		return nil, fmt.Errorf("size %d is negative", size)
	}
	head := make([]byte, min(size, headSize))
	n, err := r.ReadAt(head, 0)
	if head = head[:n]; n == 0 && size > 0 && err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	what := Identify(head, size)
	switch {
	case what.Arch == X86 && what.Kernel:
		return open32(r, size, head)
	case what.Kernel:
		return open64(r, size, head)
	case what.User:
		return openMinidump(r, size, head)
	case isELFCore(head):
		return openELF(r, size, head)
	}
	return nil, &FormatError{What: what.Text}
}

func (f *File) note(where, format string, args ...any) {
	f.Notes = append(f.Notes, report.Note{Where: where, Text: report.T(format, args...)})
}

// section reads n bytes at off; what is missing is noted and left off.
func (f *File) section(r io.ReaderAt, where string, off, n uint64) []byte {
	if n == 0 || off == 0 {
		return nil
	}
	if off >= uint64(f.Size) {
		f.Truncated = true
		f.note(where, "It lies past the end of the file (offset 0x%x).", off)
		return nil
	}
	if n > uint64(f.Size)-off {
		f.Truncated = true
		f.note(where, "The file ends inside it: 0x%x of 0x%x bytes are there.", uint64(f.Size)-off, n)
		n = uint64(f.Size) - off
	}
	b := make([]byte, n)
	got, _ := r.ReadAt(b, int64(off))
	return b[:got]
}
