package dump

import (
	"io"
	"strings"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

// Limits on a small dump's lists. Windows writes at most a few hundred drivers
// and 50 unloaded ones; the largest count of data blocks seen is 4,908.
const (
	maxDrivers  = 4096
	maxUnloaded = 1024
	maxBlocks   = 1 << 16
	maxName     = 520      // bytes of a path: MAX_PATH characters. Thousands of entries may share one text
	maxSection  = 64 << 20 // bytes: the largest small dump Windows writes is a few MiB
)

// triage is TRIAGE_DUMP64 or TRIAGE_DUMP32, the directory behind the header:
// offsets from the start of the file, sizes in bytes.
type triage struct {
	end, valid                       uint32 // SizeOfDump; where 'TRGD' stands
	context, exception, mm, unloaded uint32
	prcb, process, thread            uint32
	stack, stackSize                 uint32
	drivers, driverCount             uint32
	strings, stringsSize             uint32
	broken                           uint32
	stackTop                         uint64
	debuggerData, debuggerDataSize   uint32
	blocks, blockCount               uint32
}

// triageHeadSize is what of the directory is decoded, bytes.
const triageHeadSize = 0x80

// decodeTriage decodes a directory: the same words in both widths up to
// TopOfStack, then different ones. Layout: rizin
// librz/bin/format/dmp/dmp_specs.h; checked on both layouts of 16 real files.
func decodeTriage(b []byte, a Arch) triage {
	t := triage{
		end: le.U32(b, 0x04), valid: le.U32(b, 0x08),
		context: le.U32(b, 0x0c), exception: le.U32(b, 0x10), mm: le.U32(b, 0x14), unloaded: le.U32(b, 0x18),
		prcb: le.U32(b, 0x1c), process: le.U32(b, 0x20), thread: le.U32(b, 0x24),
		stack: le.U32(b, 0x28), stackSize: le.U32(b, 0x2c),
		drivers: le.U32(b, 0x30), driverCount: le.U32(b, 0x34),
		strings: le.U32(b, 0x38), stringsSize: le.U32(b, 0x3c),
		broken: le.U32(b, 0x40),
	}
	at := 0x70
	if t.stackTop = le.U64(b, 0x48); a == X86 {
		t.stackTop, at = uint64(le.U32(b, 0x48)), 0x58
	}
	t.debuggerData, t.debuggerDataSize = le.U32(b, at), le.U32(b, at+4)
	t.blocks, t.blockCount = le.U32(b, at+8), le.U32(b, at+0xc)
	return t
}

// entries says how a width lays out the entries of its lists.
type entries struct {
	driver, unloaded, unloadedHead uint64 // sizes, bytes
}

func (a Arch) entries() entries {
	if a == X86 {
		return entries{driver: 0x4c, unloaded: 0x28, unloadedHead: 4}
	}
	return entries{driver: 0x90, unloaded: 0x38, unloadedHead: 8}
}

// readTriage decodes what a small dump holds. head is the start of the file,
// at is where the directory stands in it.
func (f *File) readTriage(r io.ReaderAt, head []byte, at int) {
	if len(head) < at+triageHeadSize {
		f.Truncated = true
		f.note("small dump", "The file ends behind its header: there are no drivers and no stack in it.")
		return
	}
	t := decodeTriage(head[at:], f.Arch)
	f.checkTriage(r, t.end, t.valid)
	f.readContext(r, uint64(t.context), uint64(t.exception))
	sizes := f.readDebuggerData(r, t)
	strings := f.section(r, "driver names", uint64(t.strings), min(uint64(t.stringsSize), maxSection))
	names := stringPool{bytes: strings, offset: t.strings}
	f.readDrivers(r, t, names)
	f.readUnloaded(r, t)
	_, f.Blocks.BrokenDriver = splitPath(names.at(t.broken))
	f.Blocks.PRCB = f.section(r, "processor block", uint64(t.prcb), sizes.prcb)
	f.Blocks.Process = f.section(r, "process block", uint64(t.process), sizes.process)
	f.Blocks.Thread = f.section(r, "thread block", uint64(t.thread), sizes.thread)
	f.Blocks.Stack = f.section(r, "stack", uint64(t.stack), min(uint64(t.stackSize), maxSection))
	f.Blocks.StackTop = mem.VA(t.stackTop)
	f.Blocks.Memory = memoryFigures(f.section(r, "memory figures", uint64(t.mm), mmSize64))
	f.setRuns(r, f.ranges(r, t))
	f.readTagged(r, int64(t.end))
}

// checkTriage notes a dump that is cut or whose end mark is not where its
// header says.
func (f *File) checkTriage(r io.ReaderAt, end, valid uint32) {
	if int64(end) > f.Size {
		f.Truncated = true
		f.note("small dump", "The file is cut: %d of %d bytes are there.", f.Size, end)
		return
	}
	if a := f.Header.Attributes; a != nil && *a&attrKernelTriage != 0 && f.Header.RequiredSize > uint64(f.Size) {
		f.Truncated = true
		f.note("tagged data", "The file is cut: %d of %d bytes are there.", f.Size, f.Header.RequiredSize)
	}
	var mark [4]byte
	if n, _ := r.ReadAt(mark[:], int64(valid)); n < 4 || string(mark[:]) != "TRGD" {
		f.note("small dump", "The end mark (TRGD) is not where the header says: the dump may be damaged.")
	}
}

// readContext replaces the header's context and record where the directory
// points elsewhere; in every real file it points at the header.
func (f *File) readContext(r io.ReaderAt, context, exception uint64) {
	h := f.Arch.headerLayout()
	if context != h.context && context != 0 {
		if b := f.section(r, "context", context, h.contextSize); uint64(len(b)) == h.contextSize {
			f.Context = b
		}
	}
	if exception != h.exception && exception != 0 {
		if b := f.section(r, "exception record", exception, h.exceptionSize); uint64(len(b)) == h.exceptionSize {
			f.Exception = f.Arch.exceptionRecord(b)
		}
	}
}

// blockSizes are the sizes of the structures that a small dump carries whole.
type blockSizes struct{ prcb, process, thread uint64 }

// readDebuggerData reads KDDEBUGGER_DATA64 and takes from it how large the
// processor, process and thread blocks are (SizePrcb, SizeEProcess, SizeEThread).
func (f *File) readDebuggerData(r io.ReaderAt, t triage) blockSizes {
	b := f.section(r, "debugger data block", uint64(t.debuggerData), min(uint64(t.debuggerDataSize), 0x1000))
	if len(b) < 0x2c2 || string(b[0x10:0x14]) != "KDBG" {
		f.note("debugger data block", "It is missing or damaged: the sizes of the process, thread and processor blocks are taken from where the next one starts.")
		return blockSizes{prcb: gap(t, t.prcb), process: gap(t, t.process), thread: gap(t, t.thread)}
	}
	f.Blocks.DebuggerData = b
	return blockSizes{
		process: uint64(le.U16(b, 0x2a8)),
		prcb:    uint64(le.U16(b, 0x2b0)),
		thread:  uint64(le.U16(b, 0x2c0)),
	}
}

// gap is the distance from a block to the next thing in the file.
func gap(t triage, from uint32) uint64 {
	next := t.end
	for _, o := range []uint32{t.prcb, t.process, t.thread, t.stack, t.drivers, t.unloaded, t.strings, t.debuggerData, t.blocks} {
		if o > from && o < next {
			next = o
		}
	}
	if from == 0 || next <= from {
		return 0
	}
	return min(uint64(next-from), 1<<20)
}

// readDrivers decodes the driver list: a name offset, then an
// LDR_DATA_TABLE_ENTRY (dt nt!_KLDR_DATA_TABLE_ENTRY) cut behind its timestamp.
func (f *File) readDrivers(r io.ReaderAt, t triage, names stringPool) {
	count, size := min(uint64(t.driverCount), maxDrivers), f.Arch.entries().driver
	if uint64(t.driverCount) > maxDrivers {
		f.note("loaded modules", "The count of %d drivers cannot be right; the first %d are read.", t.driverCount, maxDrivers)
	}
	b := f.section(r, "loaded modules", uint64(t.drivers), count*size)
	unnamed := 0
	for ; uint64(len(b)) >= size; b = b[size:] {
		d := driver(b, f.Arch)
		d.Path, d.Name = splitPath(names.at(le.U32(b, 0)))
		if d.Name == "" || d.Base == 0 || d.Size == 0 {
			unnamed++
			continue
		}
		f.Drivers = append(f.Drivers, d)
	}
	if unnamed > 0 {
		f.note("loaded modules", "%d of %d entries have no name, address or size and are left out.", unnamed, count)
	}
}

// splitPath takes the name off a path; a bare name has no path. Dumps that
// Windows converted at the next start hold paths, the kernel's own bare names.
func splitPath(s string) (path, name string) {
	i := strings.LastIndexByte(s, '\\')
	if i < 0 {
		return "", s
	}
	return s, s[i+1:]
}

// driver decodes one entry but for its name. In dumps that Windows converted at
// the next start, only base, size, checksum and timestamp are set.
func driver(b []byte, a Arch) Driver {
	if a == X86 {
		return Driver{
			Base:       mem.VA(le.U32(b, 0x1c)),
			EntryPoint: mem.VA(le.U32(b, 0x20)),
			Size:       uint64(le.U32(b, 0x24)),
			Verified:   Verifying(le.U32(b, 0x38)),
			Checksum:   le.U32(b, 0x44),
			Timestamp:  le.U32(b, 0x48),
		}
	}
	return Driver{
		ExceptionTable: mem.VA(le.U64(b, 0x18)),
		ExceptionSize:  le.U32(b, 0x20),
		Base:           mem.VA(le.U64(b, 0x38)),
		EntryPoint:     mem.VA(le.U64(b, 0x40)),
		Size:           uint64(le.U32(b, 0x48)),
		Verified:       Verifying(le.U32(b, 0x70)),
		Checksum:       le.U32(b, 0x80),
		Timestamp:      le.U32(b, 0x88),
	}
}

// readUnloaded decodes DUMP_UNLOADED_DRIVERS: a count, then UNICODE_STRING,
// twelve characters of name, start and end.
func (f *File) readUnloaded(r io.ReaderAt, t triage) {
	e := f.Arch.entries()
	head := f.section(r, "unloaded modules", uint64(t.unloaded), e.unloadedHead)
	if uint64(len(head)) < e.unloadedHead {
		return
	}
	count := le.U32(head, 0)
	if count > maxUnloaded {
		f.note("unloaded modules", "The count of %d cannot be right; the list is not read.", count)
		return
	}
	b := f.section(r, "unloaded modules", uint64(t.unloaded)+e.unloadedHead, uint64(count)*e.unloaded)
	for ; uint64(len(b)) >= e.unloaded; b = b[e.unloaded:] {
		f.Unloaded = append(f.Unloaded, unloaded(b, f.Arch))
	}
}

func unloaded(b []byte, a Arch) Unloaded {
	n := min(int(le.U16(b, 0)), 24)
	if a == X86 {
		return Unloaded{Name: win.UTF16(b[8 : 8+n]), Start: mem.VA(le.U32(b, 0x20)), End: mem.VA(le.U32(b, 0x24))}
	}
	return Unloaded{Name: win.UTF16(b[0x10 : 0x10+n]), Start: mem.VA(le.U64(b, 0x28)), End: mem.VA(le.U64(b, 0x30))}
}

// ranges lists the captured memory: the stack, then the data blocks.
func (f *File) ranges(r io.ReaderAt, t triage) []mem.Range {
	ranges := []mem.Range{{Address: mem.VA(t.stackTop), Size: uint64(len(f.Blocks.Stack)), Offset: int64(t.stack)}}
	count := min(uint64(t.blockCount), maxBlocks)
	if uint64(t.blockCount) > maxBlocks {
		f.note("data blocks", "The count of %d cannot be right; the first %d are read.", t.blockCount, maxBlocks)
	}
	b := f.section(r, "data blocks", uint64(t.blocks), count*blockSize)
	if f.Arch == X86 && !fits(wideBlocks(b), f.Size) {
		return append(ranges, narrowBlocks(b[:min(uint64(len(b)), count*blockSize32)])...)
	}
	return append(ranges, wideBlocks(b)...)
}

// TRIAGE_DATA_BLOCK is {ULONG64 address, ULONG offset, ULONG size} in the public
// Dump.h of Microsoft Research's Singularity, for both widths; rizin and Ghidra
// have a pointer for the address. No 32-bit dump was at hand to tell, so the
// bytes decide: blocks lie in the file.
const (
	blockSize   = 0x10
	blockSize32 = 0xc
)

func wideBlocks(b []byte) []mem.Range {
	var list []mem.Range
	for ; len(b) >= blockSize; b = b[blockSize:] {
		list = append(list, mem.Range{Address: mem.VA(le.U64(b, 0)), Offset: int64(le.U32(b, 8)), Size: uint64(le.U32(b, 0xc))})
	}
	return list
}

func narrowBlocks(b []byte) []mem.Range {
	var list []mem.Range
	for ; len(b) >= blockSize32; b = b[blockSize32:] {
		list = append(list, mem.Range{Address: mem.VA(le.U32(b, 0)), Offset: int64(le.U32(b, 4)), Size: uint64(le.U32(b, 8))})
	}
	return list
}

// fits reports whether all blocks lie in a file of size bytes and in 32 bits.
func fits(blocks []mem.Range, size int64) bool {
	for _, r := range blocks {
		if r.Address>>32 != 0 || r.Offset > size || int64(r.Size) > size-r.Offset {
			return false
		}
	}
	return true
}

// stringPool holds the names of the drivers: a length in characters, then
// UTF-16, at offsets counted from the start of the file.
type stringPool struct {
	bytes  []byte
	offset uint32
}

func (p stringPool) at(off uint32) string {
	if off < p.offset || uint64(off-p.offset)+4 > uint64(len(p.bytes)) {
		return ""
	}
	b := p.bytes[off-p.offset:]
	n := min(2*uint64(le.U32(b, 0)), maxName)
	return win.UTF16(b[4 : 4+min(n, uint64(len(b)-4))])
}
