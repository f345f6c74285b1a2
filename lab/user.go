package lab

import (
	"errors"
	"fmt"
	"time"
)

// UserDump is the recipe of a user-mode minidump: what MiniDumpWriteDump leaves of one
// process. NullRead and the other recipe functions in userrecipes.go return complete ones,
// to be changed freely before Bytes.
type UserDump struct {
	Build        *Build // Windows' number and the processor
	Time         time.Time
	Started      time.Time // of the process
	ID           uint32    // of the process
	Modules      []UserModule
	Unloaded     []Unloaded
	Threads      []UserThread
	Exception    *Exception
	Faulting     int       // the thread of Exception, an index
	Registers    Registers // at the exception; nil: those of the thread
	Memory       []Block   // beside the stacks
	Memory64     bool      // Memory stands in a Memory64ListStream, as in full dumps
	Regions      []UserRegion
	Comment      string
	Requesting   uint32 // Breakpad: the thread that asked for the dump
	Annotations  [][2]string
	Architecture uint16       // PROCESSOR_ARCHITECTURE_*; 0xffff for another than Build's
	Align        bool         // lists begin at 8 bytes, as some writers have them
	Streams      []UserStream // written last, as they are
}

// UserStream is a stream of any type.
type UserStream struct {
	Type uint32
	Data []byte
}

// UserModule is a loaded image.
type UserModule struct {
	Path      string
	Base      uint64
	Size      uint32 // bytes
	Timestamp uint32
	Version   [4]uint16 // all zero: none
	PDB       string    // "": no CodeView record
	GUID      [16]byte
	Age       uint32
}

// UserThread is a thread: its stack holds [Stack.Address, end of Data).
type UserThread struct {
	ID        uint32
	TEB       uint64
	Name      string
	Registers Registers
	Stack     Block
}

// UserRegion is a MEMORY_BASIC_INFORMATION.
type UserRegion struct {
	Base, Size           uint64
	State, Protect, Type uint32
}

// Types of streams: MINIDUMP_STREAM_TYPE of minidumpapiset.h.
const (
	threadList, moduleList, memoryList, exceptionStream, systemInfo = 3, 4, 5, 6, 7
	memory64List, commentW, unloadedList, miscInfo, memoryInfo      = 9, 11, 14, 15, 16
	threadNames                                                     = 24
	breakpadInfo                                                    = 0x47670001
	crashpadInfo                                                    = 0x43500001
)

// place is where something stands in the file: MINIDUMP_LOCATION_DESCRIPTOR.
type place struct{ size, rva uint32 }

// userFile is a minidump being written: data is put behind what there is, streams get an
// entry of the directory.
type userFile struct {
	buf
	directory []UserEntry
}

// UserEntry is an entry of the directory.
type UserEntry struct {
	Type uint32
	At   place
}

// add appends p at a multiple of 4 and says where it stands.
func (f *userFile) add(p []byte) place {
	f.align(4)
	at := len(f.b)
	f.put(at, p)
	return place{uint32(len(p)), uint32(at)}
}

func (f *userFile) stream(kind uint32, p []byte) {
	f.directory = append(f.directory, UserEntry{kind, f.add(p)})
}

// text appends a MINIDUMP_STRING: length in bytes, UTF-16, a NUL. 0 for "".
func (f *userFile) text(s string) uint32 {
	if s == "" {
		return 0
	}
	var w buf
	b := utf16le(s)
	w.put32(0, uint32(len(b)))
	w.put(4, append(b, 0, 0))
	return f.add(w.b).rva
}

const (
	userHeader    = 0x20
	userDirectory = 16 // entries that are reserved
)

// Bytes writes the minidump. Layouts: minidumpapiset.h of the Windows SDK.
func (d *UserDump) Bytes() ([]byte, error) {
	if d.Build == nil {
		return nil, errors.New("lab: no build")
	}
	if d.Exception != nil && (d.Faulting < 0 || d.Faulting >= len(d.Threads)) {
		return nil, fmt.Errorf("lab: thread %d of %d raised the exception", d.Faulting, len(d.Threads))
	}
	f := &userFile{}
	f.grow(userHeader + userDirectory*0xc)
	d.system(f)
	d.misc(f)
	d.modules(f)
	d.unloaded(f)
	d.threads(f)
	d.exception(f)
	d.regions(f)
	d.extras(f)
	if len(f.directory) > userDirectory {
		return nil, fmt.Errorf("lab: %d streams, there is room for %d", len(f.directory), userDirectory)
	}
	f.put(0, []byte("MDMP"))
	f.put32s(4, 0xa793, userDirectory, userHeader, 0, uint32(d.Time.Unix()))
	for i, e := range f.directory {
		f.put32s(userHeader+0xc*i, e.Type, e.At.size, e.At.rva)
	}
	if len(f.b) > maxFile {
		return nil, fmt.Errorf("lab: %d bytes, the lab's limit is %d", len(f.b), maxFile)
	}
	return f.b, nil
}

// system writes MINIDUMP_SYSTEM_INFO.
func (d *UserDump) system(f *userFile) {
	architecture := map[machine]uint16{machineX86: 0, machineX64: 9, machineARM64: 12}[d.Build.machine]
	if d.Architecture != 0 {
		architecture = d.Architecture
	}
	servicePack := f.text("")
	var w buf
	w.grow(0x38)
	w.put16(0, architecture)
	w.put16(2, 6)      // level: the family
	w.put16(4, 0x5504) // model, stepping
	w.put8(6, 2)       // processors
	w.put8(7, 1)       // a workstation
	w.put32s(8, 10, 0, d.Build.number, 2, servicePack)
	w.put16(0x1c, 0x100)
	if d.Build.machine == machineX86 {
		w.put(0x20, []byte("GenuineIntel"))
	}
	f.stream(systemInfo, w.b)
}

// misc writes MINIDUMP_MISC_INFO_4: process and build.
func (d *UserDump) misc(f *userFile) {
	var w buf
	w.grow(0x340)
	w.put32s(0, 0x340, 0x103, d.ID, uint32(d.Started.Unix()), 3, 1)
	w.put(0xe8, utf16le(d.Build.label))
	w.put(0xe8+520, utf16le("dbgcore.lab,10.0.0.0"))
	f.stream(miscInfo, w.b)
}

// list begins a list with its count.
func (d *UserDump) list(n int) *buf {
	w := &buf{}
	w.put32(0, uint32(n))
	if d.Align {
		w.put32(4, 0)
	}
	return w
}

// modules writes MINIDUMP_MODULE_LIST.
func (d *UserDump) modules(f *userFile) {
	w := d.list(len(d.Modules))
	for _, m := range d.Modules {
		at := len(w.b)
		w.put64(at, m.Base)
		w.put32s(at+8, m.Size, 0, m.Timestamp, f.text(m.Path))
		w.grow(at + 0x6c)
		if m.Version != [4]uint16{} {
			v := m.Version
			w.put32s(at+0x18, 0xfeef04bd, 0x10000, uint32(v[0])<<16|uint32(v[1]), uint32(v[2])<<16|uint32(v[3]))
		}
		if m.PDB != "" {
			var cv buf
			cv.put(0, append([]byte("RSDS"), m.GUID[:]...))
			cv.put32(0x14, m.Age)
			cv.put(0x18, append([]byte(m.PDB), 0))
			p := f.add(cv.b)
			w.put32s(at+0x4c, p.size, p.rva)
		}
	}
	f.stream(moduleList, w.b)
}

// unloaded writes MINIDUMP_UNLOADED_MODULE_LIST.
func (d *UserDump) unloaded(f *userFile) {
	if len(d.Unloaded) == 0 {
		return
	}
	var w buf
	w.put32s(0, 0xc, 0x18, uint32(len(d.Unloaded)))
	for _, u := range d.Unloaded {
		at := len(w.b)
		w.put64(at, u.Start)
		w.put32s(at+8, uint32(u.End-u.Start), 0, 0, f.text(u.Name))
	}
	f.stream(unloadedList, w.b)
}

// threads writes MINIDUMP_THREAD_LIST, the names, and the lists of memory.
func (d *UserDump) threads(f *userFile) {
	w, names := d.list(len(d.Threads)), d.list(0)
	var runs []Block
	var at []place
	named := uint32(0)
	for _, t := range d.Threads {
		stack, context := f.add(t.Stack.Data), f.add(t.Registers.Context())
		runs, at = append(runs, t.Stack), append(at, stack)
		n := len(w.b)
		w.put32s(n, t.ID, 0, 0x20, 0)
		w.put64s(n+0x10, t.TEB, t.Stack.Address)
		w.put32s(n+0x20, stack.size, stack.rva, context.size, context.rva)
		if t.Name != "" {
			named++
			n = len(names.b)
			names.put32(n, t.ID)
			names.put64(n+4, uint64(f.text(t.Name)))
		}
	}
	f.stream(threadList, w.b)
	if names.put32(0, named); named > 0 {
		f.stream(threadNames, names.b)
	}
	if !d.Memory64 {
		for _, b := range d.Memory {
			runs, at = append(runs, b), append(at, f.add(b.Data))
		}
	}
	list := d.list(len(runs))
	for i, b := range runs {
		n := len(list.b)
		list.put64(n, b.Address)
		list.put32s(n+8, at[i].size, at[i].rva)
	}
	f.stream(memoryList, list.b)
	if d.Memory64 {
		d.memory64(f)
	}
}

// memory64 writes MINIDUMP_MEMORY64_LIST; the runs lie behind it one after the other.
func (d *UserDump) memory64(f *userFile) {
	var w buf
	f.align(4)
	w.put64s(0, uint64(len(d.Memory)), uint64(len(f.b)+0x10+0x10*len(d.Memory)))
	for _, b := range d.Memory {
		w.put64s(len(w.b), b.Address, uint64(len(b.Data)))
	}
	f.stream(memory64List, w.b)
	for _, b := range d.Memory {
		f.put(len(f.b), b.Data)
	}
}

// exception writes MINIDUMP_EXCEPTION_STREAM.
func (d *UserDump) exception(f *userFile) {
	if d.Exception == nil {
		return
	}
	t := d.Threads[d.Faulting]
	regs := d.Registers
	if regs == nil {
		regs = t.Registers
	}
	context := f.add(regs.Context())
	var w buf
	w.put32s(0, t.ID, 0)
	w.put(8, d.Exception.Record64())
	w.put32s(0xa0, context.size, context.rva)
	f.stream(exceptionStream, w.b)
}

// regions writes MINIDUMP_MEMORY_INFO_LIST.
func (d *UserDump) regions(f *userFile) {
	if len(d.Regions) == 0 {
		return
	}
	var w buf
	w.put32s(0, 0x10, 0x30)
	w.put64(8, uint64(len(d.Regions)))
	for _, r := range d.Regions {
		n := len(w.b)
		w.put64s(n, r.Base, r.Base, uint64(r.Protect), r.Size)
		w.put32s(n+0x20, r.State, r.Protect, r.Type, 0)
	}
	f.stream(memoryInfo, w.b)
}

// extras writes the comment and what Breakpad and Crashpad add.
func (d *UserDump) extras(f *userFile) {
	if d.Comment != "" {
		f.stream(commentW, append(utf16le(d.Comment), 0, 0))
	}
	if d.Requesting != 0 {
		var w buf
		w.put32s(0, 2, 0, d.Requesting)
		f.stream(breakpadInfo, w.b)
	}
	if len(d.Annotations) > 0 {
		var list buf
		list.put32(0, uint32(len(d.Annotations)))
		for i, a := range d.Annotations {
			list.put32s(4+8*i, f.utf8(a[0]), f.utf8(a[1]))
		}
		at := f.add(list.b)
		var w buf
		w.put32(0, 1)
		w.put32s(0x24, at.size, at.rva)
		w.grow(0x34)
		f.stream(crashpadInfo, w.b)
	}
	for _, s := range d.Streams {
		f.stream(s.Type, s.Data)
	}
}

// utf8 appends a MinidumpUTF8String.
func (f *userFile) utf8(s string) uint32 {
	var w buf
	w.put32(0, uint32(len(s)))
	w.put(4, append([]byte(s), 0))
	return f.add(w.b).rva
}
