package dump

import (
	"fmt"
	"time"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// platforms that minidumps are written on beside Windows (platform_id of
// Breakpad's minidump_format.h).
var platforms = map[uint32]string{
	0x8000: "Unix", 0x8101: "macOS", 0x8102: "iOS", 0x8201: "Linux", 0x8202: "Solaris", 0x8203: "Android",
	0x8204: "PlayStation 3", 0x8205: "Native Client", 0x8206: "Fuchsia",
}

// architectures are PROCESSOR_ARCHITECTURE_* (winnt.h); 10 is an x86 process on
// 64-bit Windows, 0x8003 Breakpad's own number for ARM64 before 2018, whose
// integer registers stand where those of ARM64_NT_CONTEXT do.
var architectures = map[uint16]Arch{0: X86, 9: X64, 10: X86, 12: ARM64, 0x8003: ARM64}

// readSystem decodes MINIDUMP_SYSTEM_INFO. Without it the size of a context
// tells the processor.
func (d *minidump) readSystem() error {
	b := d.sized(streamSystem, minidumpSystemSize)
	if b == nil || zeros(b) {
		return d.guessArch()
	}
	if name := platforms[le.U32(b, 0x14)]; name != "" {
		return &FormatError{What: "a minidump of a program on " + name + ", not on Windows"}
	}
	arch, known := architectures[le.U16(b, 0)]
	if !known {
		return &FormatError{What: fmt.Sprintf("a user-mode minidump of a processor that is not x86, x64 or ARM64 (architecture %d)", le.U16(b, 0))}
	}
	d.Arch = arch
	revision := le.U16(b, 4)
	d.u.Processor = UserProcessor{Family: le.U16(b, 2), Model: revision >> 8, Stepping: revision & 0xff}
	if d.Arch == X86 {
		d.u.Processor.Vendor = win.ASCII(b[0x20:0x2c])
	}
	d.Header.Processors = uint32(b[6])
	d.Header.ProductType = uint32(b[7])
	d.Header.Build = le.U32(b, 0x10)
	d.Header.SuiteMask = uint32(le.U16(b, 0x1c))
	d.u.Version = fmt.Sprintf("%d.%d.%d", le.U32(b, 8), le.U32(b, 0xc), d.Header.Build)
	d.u.ServicePack = d.text(le.U32(b, 0x18))
	return nil
}

// guessArch takes the processor from the size of the first thread's context: the
// three CONTEXTs differ (winnt.h).
func (d *minidump) guessArch() error {
	list := d.streams[streamThreads]
	at := uint64(list.Offset) + 4
	if head := d.u.bytes(uint64(list.Offset), 4); len(head) == 4 && uint64(list.Size) == 8+uint64(le.U32(head, 0))*minidumpThreadSize {
		at += 4 // aligned, see entries
	}
	b := d.u.bytes(at, minidumpThreadSize)
	if list.Offset != 0 && len(b) == minidumpThreadSize && int64(le.U32(b, 0x2c)) < d.Size {
		switch size := le.U32(b, 0x28); {
		case size == contextSizeARM64:
			d.Arch = ARM64
		case size >= contextSize32 && size < contextSizeARM64:
			d.Arch = X86
		case size >= contextRead && size < 1<<16:
			d.Arch = X64
		}
	}
	if d.Arch != "" {
		d.note("system information", "It is missing or damaged: Windows' version is not known, and the processor (%s) was told by the size of the registers.", string(d.Arch))
		return nil
	}
	return &FormatError{What: "a user-mode minidump that is damaged: nothing in it tells the processor"}
}

// Bits of MINIDUMP_MISC_INFO.Flags1.
const (
	miscProcessID  = 0x1
	miscTimes      = 0x2
	miscPower      = 0x4
	miscIntegrity  = 0x10
	miscExecute    = 0x20
	miscTimeZone   = 0x40
	miscProtected  = 0x80
	miscBuild      = 0x100
	miscInfoSize   = 0x18
	miscInfo2Size  = 0x2c
	miscInfo3Size  = 0xe8
	miscInfo4Size  = 0x340
	miscBuildSize  = 520
	miscDebuggerAt = miscInfo3Size + miscBuildSize
)

// readMisc decodes MINIDUMP_MISC_INFO to MINIDUMP_MISC_INFO_5: each is the start
// of the next, and the size tells which it is. Of the fifth nothing is read but
// what it shares.
func (d *minidump) readMisc() {
	b := d.sized(streamMisc, miscInfoSize)
	if b == nil {
		return
	}
	n := int(min(uint64(le.U32(b, 0)), uint64(len(b))))
	flags, p := le.U32(b, 4), &d.u.Process
	word := func(bit uint32, size, off int) *uint32 {
		if flags&bit == 0 || n < size {
			return nil
		}
		v := le.U32(b, off)
		return &v
	}
	p.ID = word(miscProcessID, miscInfoSize, 8)
	if flags&miscTimes != 0 && n >= miscInfoSize {
		p.Created = unixTime(le.U32(b, 0xc))
		p.User, p.Kernel = time.Duration(le.U32(b, 0x10))*time.Second, time.Duration(le.U32(b, 0x14))*time.Second
	}
	if mhz := word(miscPower, miscInfo2Size, 0x18); mhz != nil {
		d.u.Processor.MHz = *mhz
	}
	p.Integrity = word(miscIntegrity, miscInfo3Size, 0x2c)
	p.ExecuteFlags = word(miscExecute, miscInfo3Size, 0x30)
	p.Protected = word(miscProtected, miscInfo3Size, 0x34)
	if bias := word(miscTimeZone, miscInfo3Size, 0x3c); bias != nil {
		minutes := int32(*bias)
		p.TimeZoneMinutes = &minutes
	}
	if flags&miscBuild != 0 && n >= miscInfo4Size {
		d.u.BuildString = win.UTF16(b[miscInfo3Size:miscDebuggerAt])
		d.u.Debugger = win.UTF16(b[miscDebuggerAt:miscInfo4Size])
	}
}

// readBreakpad decodes what Breakpad adds: MDRawBreakpadInfo and
// MDRawAssertionInfo.
func (d *minidump) readBreakpad() {
	if b := d.sized(streamBreakpad, 0xc); b != nil {
		valid, dumping, requesting := le.U32(b, 0), le.U32(b, 4), le.U32(b, 8)
		if valid&1 != 0 {
			d.u.DumpThread = &dumping
		}
		if valid&2 != 0 {
			d.u.RequestingThread = &requesting
		}
	}
	if b := d.sized(streamAssertion, 0x308); b != nil {
		d.u.Assertion = &Assertion{
			Expression: win.UTF16(b[0:0x100]), Function: win.UTF16(b[0x100:0x200]), File: win.UTF16(b[0x200:0x300]),
			Line: le.U32(b, 0x300), Type: le.U32(b, 0x304),
		}
	}
}

// readCrashpad decodes the annotations of MinidumpCrashpadInfo: version, two
// identifiers, the place of a dictionary of UTF-8 strings.
func (d *minidump) readCrashpad() {
	b := d.sized(streamCrashpad, 0x34)
	if b == nil {
		return
	}
	at := Location{Size: le.U32(b, 0x24), Offset: le.U32(b, 0x28)}
	list := d.u.bytes(uint64(at.Offset), int(min(at.Size, 4+8*maxAnnotations)))
	if at.Offset == 0 || len(list) < 4 {
		return
	}
	n := min(uint64(le.U32(list, 0)), uint64(len(list)-4)/8)
	for i := range int(n) {
		a := Annotation{Key: d.utf8(le.U32(list, 4+8*i)), Value: d.utf8(le.U32(list, 8+8*i))}
		if a.Key != "" {
			d.u.Annotations = append(d.u.Annotations, a)
		}
	}
}

// utf8 reads a MinidumpUTF8String: a length in bytes, then the text.
func (d *minidump) utf8(off uint32) string {
	b := d.u.bytes(uint64(off), 4+maxString)
	if off == 0 || len(b) < 4 || !d.mayRead(uint32(len(b))) {
		return ""
	}
	return win.ASCII(b[4 : 4+min(uint64(le.U32(b, 0)), uint64(len(b)-4))])
}

// readFigures decodes the figures of the machine and the process, and counts
// what else is there.
func (d *minidump) readFigures() {
	if b := d.sized(streamSystemMemory, 0x94); b != nil { // MINIDUMP_SYSTEM_MEMORY_INFO_1
		d.u.Memory = SystemMemory{
			Known: true, PageSize: le.U32(b, 8),
			Available: le.U64(b, 0x74), Committed: le.U64(b, 0x7c), CommitLimit: le.U64(b, 0x84), CommitPeak: le.U64(b, 0x8c),
		}
	}
	if b := d.sized(streamVMCounters, 0x60); b != nil { // MINIDUMP_PROCESS_VM_COUNTERS_1 and _2
		d.u.Counters = &Counters{
			PageFaults: le.U32(b, 4), PeakWorkingSet: le.U64(b, 8), WorkingSet: le.U64(b, 0x10),
			PageFile: le.U64(b, 0x38), PeakPageFile: le.U64(b, 0x40), PeakVirtual: le.U64(b, 0x48),
			Virtual: le.U64(b, 0x50), Private: le.U64(b, 0x58),
		}
	}
	if b := d.sized(streamFunctionTable, 0x18); b != nil {
		d.u.FunctionTables = uint64(le.U32(b, 0x10))
	}
	if b := d.sized(streamToken, 8); b != nil {
		d.u.Tokens = le.U32(b, 4)
	}
}

// readComments joins the two kinds of comments.
func (d *minidump) readComments() {
	if b := d.stream(streamCommentA); b != nil {
		d.Header.Comment = win.ASCII(b[:min(len(b), maxString)])
	}
	if b := d.stream(streamCommentW); b != nil && d.Header.Comment == "" {
		d.Header.Comment = win.UTF16(b[:min(len(b), maxString)&^1])
	}
}
