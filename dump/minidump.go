package dump

import (
	"fmt"
	"io"
	"sort"
	"time"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

// Minidump is the kind of a user-mode minidump: one process, written by
// MiniDumpWriteDump (Windows Error Reporting, ProcDump, Task Manager) or by
// Breakpad and Crashpad.
const Minidump Kind = "minidump"

// User is what a user-mode minidump holds beyond what it shares with a kernel
// dump. Nil pointers, zero values and empty lists stand for what is not in it.
type User struct {
	Flags       uint64 // MINIDUMP_TYPE, as the writer was asked
	Streams     []Stream
	Process     UserProcess
	Processor   UserProcessor
	Version     string // of Windows: 10.0.19042
	ServicePack string // "Service Pack 2"
	BuildString string // of the system, as MINIDUMP_MISC_INFO_4 has it
	Debugger    string // DbgBldStr: what wrote the dump
	Threads     []UserThread
	// ExceptionThread is the thread of the exception; RequestingThread the one
	// that had the dump written, DumpThread the one that wrote it (Breakpad).
	ExceptionThread, RequestingThread, DumpThread *uint32
	ExceptionLost                                 bool // the directory lists an exception, but it cannot be read
	WOW64                                         bool // an x86 process, the dump written by a 64-bit program
	Regions                                       []Region
	Handles                                       []Handle
	HandleCount                                   uint64 // of the stream; Handles may hold fewer
	FunctionTables                                uint64
	Tokens                                        uint32
	Assertion                                     *Assertion
	Annotations                                   []Annotation // Crashpad's, of the process
	Memory                                        SystemMemory
	Counters                                      *Counters

	file io.ReaderAt
	size int64
}

// UserProcess is the process that was dumped.
type UserProcess struct {
	ID              *uint32
	Created         time.Time // UTC, whole seconds; zero if not known
	User, Kernel    time.Duration
	Integrity       *uint32 // SECURITY_MANDATORY_*_RID
	ExecuteFlags    *uint32 // MEM_EXECUTE_OPTION_*: data execution prevention
	Protected       *uint32
	TimeZoneMinutes *int32 // UTC = local time + this
}

// UserProcessor is the processor of the machine, as the system information
// stream has it.
type UserProcessor struct {
	Vendor                  string // GenuineIntel; x86 and Breakpad's dumps alone
	Family, Model, Stepping uint16
	MHz                     uint32
}

// Location is where something stands in the file, bytes.
type Location struct{ Offset, Size uint32 }

// Stream is an entry of the directory.
type Stream struct {
	Type uint32
	Location
}

// UserThread is one thread of the process.
type UserThread struct {
	ID         uint32
	Suspended  uint32 // suspend count
	Priority   uint32
	TEB        mem.VA
	Stack      mem.VA // lowest captured address
	StackSize  uint32 // captured, bytes
	Context    Location
	Name       string
	Start      mem.VA    // start address; zero: not recorded
	Created    time.Time // zero: not recorded
	User       time.Duration
	Kernel     time.Duration
	DumpFlags  uint32 // MINIDUMP_THREAD_INFO_*
	stackBytes Location
	wow64      mem.VA // of the x86 CONTEXT in memory, where Arch was changed to it
}

// Region is a stretch of the address space (MEMORY_BASIC_INFORMATION).
type Region struct {
	Base, AllocationBase mem.VA
	Size                 uint64
	State                uint32 // MEM_COMMIT, MEM_RESERVE, MEM_FREE
	Protect              uint32 // PAGE_*
	Type                 uint32 // MEM_PRIVATE, MEM_MAPPED, MEM_IMAGE
}

// Values of Region.State.
const (
	MemCommit  = 0x1000
	MemReserve = 0x2000
	MemFree    = 0x10000
)

// Executable reports that code may run there (PAGE_EXECUTE*).
func (r Region) Executable() bool { return r.State == MemCommit && r.Protect&0xf0 != 0 }

// Handle is an open handle of the process.
type Handle struct {
	Value      uint64
	Type, Name string
	Access     uint32
}

// Assertion is what Breakpad records of a failed check of the C runtime.
type Assertion struct {
	Expression, Function, File string
	Line                       uint32
	Type                       uint32 // 1 invalid parameter, 2 pure virtual call
}

// Annotation is a name with its value that the program gave to Crashpad.
type Annotation struct{ Key, Value string }

// SystemMemory are the machine's figures, in pages. Known is false where the
// dump has none.
type SystemMemory struct {
	Known                                         bool
	PageSize                                      uint32 // bytes
	Available, Committed, CommitLimit, CommitPeak uint64
}

// Counters are the process's own memory figures, bytes.
type Counters struct {
	PageFaults                                   uint32
	WorkingSet, PeakWorkingSet                   uint64
	PageFile, PeakPageFile, Virtual, PeakVirtual uint64
	Private                                      uint64
}

// The types of streams that are read (MINIDUMP_STREAM_TYPE, minidumpapiset.h;
// microsoft/windows-rs Win32/System/Diagnostics/Debug; Breakpad's
// minidump_format.h; Crashpad's minidump_extensions.h).
const (
	streamThreads       = 3
	streamModules       = 4
	streamMemory        = 5
	streamException     = 6
	streamSystem        = 7
	streamThreadsEx     = 8
	streamMemory64      = 9
	streamCommentA      = 10
	streamCommentW      = 11
	streamHandles       = 12
	streamFunctionTable = 13
	streamUnloaded      = 14
	streamMisc          = 15
	streamMemoryInfo    = 16
	streamThreadInfo    = 17
	streamHandleOps     = 18
	streamToken         = 19
	streamJavaScript    = 20
	streamSystemMemory  = 21
	streamVMCounters    = 22
	streamIPT           = 23
	streamThreadNames   = 24
	streamBreakpad      = 0x47670001
	streamAssertion     = 0x47670002
	streamCrashpad      = 0x43500001
)

// Sizes of structures, bytes, and limits on lists.
const (
	minidumpHeaderSize   = 0x20
	directoryEntrySize   = 0xc
	maxStreams           = 1024 // writers make some twenty, programs add a few of their own
	maxString            = 1040 // bytes of a name: twice MAX_PATH characters. Thousands of entries may share one text
	minTexts             = 1 << 20
	maxThreads           = 1 << 16
	maxRanges            = 1 << 22 // runs of memory: a whole process of many GiB has some 100,000
	maxHandles           = 1 << 14
	maxAnnotations       = 64
	contextRead          = 0x4d0 // bytes of a CONTEXT that are read: x64's; what XSAVE adds stands behind
	minidumpSystemSize   = 0x38
	minidumpThreadSize   = 0x30
	minidumpThreadExSize = 0x40
	minidumpModuleSize   = 0x6c
)

var streamNames = map[uint32]string{
	0: "UnusedStream", 1: "ReservedStream0", 2: "ReservedStream1", streamThreads: "ThreadListStream", streamModules: "ModuleListStream",
	streamMemory: "MemoryListStream", streamException: "ExceptionStream", streamSystem: "SystemInfoStream",
	streamThreadsEx: "ThreadExListStream", streamMemory64: "Memory64ListStream", streamCommentA: "CommentStreamA",
	streamCommentW: "CommentStreamW", streamHandles: "HandleDataStream", streamFunctionTable: "FunctionTableStream",
	streamUnloaded: "UnloadedModuleListStream", streamMisc: "MiscInfoStream", streamMemoryInfo: "MemoryInfoListStream",
	streamThreadInfo: "ThreadInfoListStream", streamHandleOps: "HandleOperationListStream", streamToken: "TokenStream",
	streamJavaScript: "JavaScriptDataStream", streamSystemMemory: "SystemMemoryInfoStream",
	streamVMCounters: "ProcessVmCountersStream", streamIPT: "IptTraceStream", streamThreadNames: "ThreadNamesStream",
	streamBreakpad: "Breakpad information", streamAssertion: "Breakpad assertion", streamCrashpad: "Crashpad information",
}

// Name is the name of the stream's type; "" for one that is not known.
func (s Stream) Name() string { return streamNames[s.Type] }

// minidump is a user-mode minidump while it is opened.
type minidump struct {
	*File
	u       *User
	streams map[uint32]Location
	texts   int64 // bytes of names that may still be read: entries can share one long text
}

// openMinidump decodes a MINIDUMP_HEADER and what its directory lists. It fails
// where nothing tells the processor, so that no address could be read.
func openMinidump(r io.ReaderAt, size int64, head []byte) (*File, error) {
	if len(head) < minidumpHeaderSize {
		return nil, &FormatError{What: fmt.Sprintf("a user-mode minidump cut inside its header: %d of %d bytes", len(head), minidumpHeaderSize)}
	}
	u := &User{Flags: le.U64(head, 0x18), file: r, size: size}
	d := &minidump{File: &File{Kind: Minidump, Size: size, Memory: &mem.Ranges{}, User: u}, u: u, streams: map[uint32]Location{}, texts: minTexts + 4*size}
	d.Header.Time = unixTime(le.U32(head, 0x14))
	d.readDirectory(le.U32(head, 0xc), le.U32(head, 0x8))
	if err := d.readSystem(); err != nil {
		return nil, err
	}
	d.readMisc()
	d.readModules()
	d.readUnloadedModules()
	d.readThreads()
	d.readThreadInfo()
	d.readThreadNames()
	d.readMemory()
	d.readRegions()
	d.readException()
	d.readBreakpad()
	d.readCrashpad()
	d.readHandles()
	d.readFigures()
	d.readComments()
	d.unmaskWOW64()
	d.narrow()
	d.chooseContext()
	return d.File, nil
}

// unixTime converts a time_t; zero for one before 1980, when no dump was written.
func unixTime(v uint32) time.Time {
	if t := time.Unix(int64(v), 0).UTC(); t.Year() >= 1980 {
		return t
	}
	return time.Time{}
}

// readDirectory lists the streams. Of two with the same type the first counts.
func (d *minidump) readDirectory(off, count uint32) {
	if count > maxStreams {
		d.note("stream directory", "The count of %d streams cannot be right; the first %d are read.", count, maxStreams)
		count = maxStreams
	}
	b := d.section(d.u.file, "stream directory", uint64(off), uint64(count)*directoryEntrySize)
	for ; len(b) >= directoryEntrySize; b = b[directoryEntrySize:] {
		s := Stream{Type: le.U32(b, 0), Location: Location{Size: le.U32(b, 4), Offset: le.U32(b, 8)}}
		if s.Type == 0 { // writers reserve entries that they do not use
			continue
		}
		d.u.Streams = append(d.u.Streams, s)
		if _, twice := d.streams[s.Type]; twice {
			d.note("stream directory", "It lists stream type %d (%s) more than once; the first is read.", s.Type, s.Name())
			continue
		}
		d.streams[s.Type] = s.Location
	}
}

// stream returns the bytes of a stream, as far as they are in the file; nil if
// the dump has none.
func (d *minidump) stream(kind uint32) []byte {
	at, ok := d.streams[kind]
	if !ok {
		return nil
	}
	if uint64(at.Size) > maxSection {
		d.note(streamNames[kind], "Of its %d bytes only the first %d are read.", at.Size, maxSection)
	}
	return d.section(d.u.file, streamNames[kind], uint64(at.Offset), min(uint64(at.Size), maxSection))
}

// sized returns a stream of at least n bytes; nil, and a note, if it is shorter.
func (d *minidump) sized(kind uint32, n int) []byte {
	b := d.stream(kind)
	if b != nil && len(b) < n {
		d.note(streamNames[kind], "It has %d bytes, fewer than the %d of its structure, and is not read.", len(b), n)
		return nil
	}
	return b
}

// entries cuts a list that begins with its 32-bit count into entries. Some
// writers align the first entry to 8 bytes (Breakpad's minidump.cc tells them by
// the stream's size).
func (d *minidump) entries(kind uint32, size, most int) [][]byte {
	b := d.sized(kind, 4)
	if b == nil {
		return nil
	}
	count, at := uint64(le.U32(b, 0)), 4
	if uint64(len(b)) == 8+count*uint64(size) {
		at = 8
	}
	return d.cut(kind, b[at:], count, size, most)
}

// headed cuts a list that begins with the sizes of its header and entries. n
// returns the count.
func (d *minidump) headed(kind uint32, header, entry, most int, n func(b []byte) uint64) [][]byte {
	b := d.sized(kind, header)
	if b == nil {
		return nil
	}
	at, size := uint64(le.U32(b, 0)), uint64(le.U32(b, 4))
	if at < uint64(header) || at > uint64(len(b)) || size < uint64(entry) || size > maxSection {
		d.note(streamNames[kind], "Its header says %d bytes of header and %d an entry, which cannot be right; it is not read.", at, size)
		return nil
	}
	return d.cut(kind, b[at:], n(b), int(size), most)
}

func (d *minidump) cut(kind uint32, b []byte, count uint64, size, most int) [][]byte {
	n := min(count, uint64(len(b)/size), uint64(most))
	if n < count {
		d.note(streamNames[kind], "It says %d entries; %d are read.", count, n)
	}
	list := make([][]byte, n)
	for i := range list {
		list[i] = b[i*size : (i+1)*size]
	}
	return list
}

// bytes reads without a note what of the n bytes at off is in the file.
func (u *User) bytes(off uint64, n int) []byte {
	if off >= uint64(u.size) {
		return nil
	}
	b := make([]byte, min(uint64(n), uint64(u.size)-off))
	got, _ := u.file.ReadAt(b, int64(off))
	return b[:got]
}

// text reads a MINIDUMP_STRING: a length in bytes, then UTF-16.
func (d *minidump) text(off uint32) string {
	b := d.u.bytes(uint64(off), 4)
	if off == 0 || len(b) < 4 || !d.mayRead(le.U32(b, 0)) {
		return ""
	}
	b = d.u.bytes(uint64(off)+4, int(min(le.U32(b, 0), maxString)))
	return win.UTF16(b[:len(b)&^1])
}

// mayRead takes a name of n bytes off what names may come to in all: four times
// the file.
func (d *minidump) mayRead(n uint32) bool {
	before := d.texts
	d.texts -= int64(min(n, maxString))
	if before >= 0 && d.texts < 0 {
		d.note("names", "They come to more than the file can hold; the rest is left out.")
	}
	return d.texts >= 0
}

// ThreadContext reads the CONTEXT of a thread, at most the 0x4d0 bytes that x64
// has without XSAVE's; nil if it is not in the file.
func (f *File) ThreadContext(t UserThread) []byte {
	switch {
	case f.User == nil:
		return nil
	case t.wow64 != 0:
		b, _ := mem.Read(f.Memory, t.wow64, contextSize32)
		return b
	case f.User.WOW64 && f.Arch == X86:
		return nil // its context is that of the 64-bit side
	}
	return f.context(t.Context)
}

// contextSizes are the smallest CONTEXT of each width that holds all integer
// registers (winnt.h), bytes.
var contextSizes = map[Arch]uint32{X86: 0xcc, X64: 0x100, ARM64: 0x110}

func (f *File) context(at Location) []byte {
	if at.Offset == 0 || at.Size < contextSizes[f.Arch] {
		return nil
	}
	b := f.User.bytes(uint64(at.Offset), int(min(at.Size, contextRead)))
	if uint32(len(b)) < contextSizes[f.Arch] {
		return nil
	}
	return b
}

// ThreadNumbered returns the thread with an id; false if it is not in the dump.
func (u *User) ThreadNumbered(id uint32) (UserThread, bool) {
	for _, t := range u.Threads {
		if t.ID == id {
			return t, true
		}
	}
	return UserThread{}, false
}

// RegionAt returns the region of the address space that holds va; false if the
// dump does not say.
func (u *User) RegionAt(va mem.VA) (Region, bool) {
	i := sort.Search(len(u.Regions), func(i int) bool { return u.Regions[i].Base > va })
	if i == 0 {
		return Region{}, false
	}
	r := u.Regions[i-1]
	return r, uint64(va-r.Base) < r.Size
}
