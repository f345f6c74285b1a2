package lab

import (
	"path"
	"strings"
)

const (
	header64   = 0x2000 // bytes of DUMP_HEADER64, where TRIAGE_DUMP64 starts
	triage64   = 0x80   // bytes of TRIAGE_DUMP64
	header32   = 0x1000
	triage32   = 0x68
	mmSize     = 0x50 // bytes of the memory manager's part
	driver64   = 0x90 // bytes of a driver entry: name offset, then a loader entry from 8 on
	driver32   = 0x4c
	unloaded64 = 0x38
	unloaded32 = 0x28

	unloadedPlaces = 50 // MI_UNLOADED_DRIVERS

	physicalPages = 0xffe9f // of the invented machine: just below 4 GiB
)

// part is a piece of the dump whose place in the file a TRIAGE_DUMP field tells.
type part struct {
	data  []byte
	field int // offset of that field in TRIAGE_DUMP64 and TRIAGE_DUMP32, which agree up to 0x44
}

// small writes the file: header, triage header, parts, drivers, names, data blocks,
// 'TRGD', secondary data.
func (d *Dump) small() ([]byte, error) {
	w := &buf{}
	base, end := header64, header64+triage64
	if d.Build.pointer() == 4 {
		base, end = header32, header32+triage32
		d.header32(w)
	} else {
		d.header64(w)
	}
	w.grow(end)
	for _, p := range d.parts() {
		w.align(8)
		w.put32(base+p.field, uint32(len(w.b)))
		w.put(len(w.b), p.data)
	}
	d.drivers(w, base)
	d.dataBlocks(w, base)
	d.finish(w, base)
	if err := d.taggedData(w); err != nil {
		return nil, err
	}
	d.fileSize(w)
	return w.b, nil
}

// Fields of TRIAGE_DUMP64 and, as long as they are below 0x48, of TRIAGE_DUMP32 too.
// Source: rizinorg/rizin librz/bin/format/dmp/dmp_specs.h, confirmed by real dumps.
const (
	fSizeOfDump    = 0x04
	fContext       = 0x0c
	fMm            = 0x14
	fUnloaded      = 0x18
	fPrcb          = 0x1c
	fProcess       = 0x20
	fThread        = 0x24
	fCallStack     = 0x28
	fSizeOfStack   = 0x2c
	fDriverList    = 0x30
	fStringPool    = 0x38
	fTriageOptions = 0x44
	fTopOfStack    = 0x48
)

// triageTail holds the fields behind TopOfStack, which move with the pointer's size.
type triageTail struct{ debuggerData, dataBlocks int }

func (d *Dump) tail() triageTail {
	if d.Build.pointer() == 4 {
		return triageTail{debuggerData: 0x58, dataBlocks: 0x60}
	}
	return triageTail{debuggerData: 0x70, dataBlocks: 0x78}
}

// parts returns the parts of fixed size in the order of the layout.
func (d *Dump) parts() []part {
	unloaded := part{d.unloaded(), fUnloaded}
	p := []part{{d.mm(), fMm}}
	if d.Layout == New {
		p = append(p, unloaded)
	}
	p = append(p, part{d.kprcb(), fPrcb}, part{d.eprocess(), fProcess}, part{d.ethread(), fThread},
		part{d.stack(), fCallStack}, part{d.debuggerData(), d.tail().debuggerData})
	if d.Layout == Old {
		p = append(p, unloaded)
	}
	return p
}

// mm returns the memory manager's part: version 1, its size; in the old layout the number
// of physical pages at 0x48 (it agrees with the header's in real dumps). The rest of it is
// not documented and stays zero.
func (d *Dump) mm() []byte {
	var w buf
	w.grow(mmSize)
	w.put32s(0, 1, mmSize)
	if d.Layout == Old {
		w.put64(0x48, physicalPages)
	}
	return w.b
}

func (d *Dump) stack() []byte {
	s := make([]byte, d.Stack.Base-d.Stack.Address)
	for _, b := range d.Stack.Contents {
		copy(s[b.Address-d.Stack.Address:], b.Data)
	}
	return s
}

// unloaded returns a count of a pointer's size and the unloaded drivers: UNICODE_STRING
// of the name, 12 letters of it, start, end. The old layout writes all 50 places and a
// pointer to the name, the new one only those in use and no pointer.
func (d *Dump) unloaded() []byte {
	var w buf
	n, entry := d.Build.pointer(), unloaded64
	if n == 4 {
		entry = unloaded32
	}
	w.ptr(0, n, uint64(len(d.Unloaded)))
	for i, u := range d.Unloaded {
		at := n + i*entry
		name := utf16le(u.Name)
		name = name[:min(len(name), 24)]
		w.put16(at, uint16(len(name)))
		w.put16(at+2, uint16(len(name)))
		if d.Layout == Old {
			w.ptr(at+n, n, d.variable(slotFirst+len(debuggerVariables))+uint64(i*entry))
		}
		w.put(at+2*n, name)
		w.ptr(at+2*n+24, n, u.Start)
		w.ptr(at+3*n+24, n, u.End)
	}
	if d.Layout == Old {
		w.grow(n + unloadedPlaces*entry)
	}
	return w.b
}

// drivers appends the driver list and the string pool that its entries point into.
func (d *Dump) drivers(w *buf, base int) {
	w.align(8)
	entry := driver64
	if d.Build.pointer() == 4 {
		entry = driver32
	}
	list := len(w.b)
	w.put32s(base+fDriverList, uint32(list), uint32(len(d.Drivers)))
	w.grow(list + entry*len(d.Drivers))
	w.align(8)
	pool := len(w.b)
	for i, r := range d.Drivers {
		at := list + i*entry
		w.put32(at, uint32(len(w.b)))
		w.text(d.driverName(r))
		d.loaderEntry(w, at, i)
	}
	w.put32s(base+fStringPool, uint32(pool), uint32(len(w.b)-pool))
}

// text appends a name of the string pool: its length in UTF-16 units, the units, a zero
// unit, and zeros up to a multiple of 8 bytes.
func (w *buf) text(s string) {
	u := utf16le(s)
	at := len(w.b)
	w.put32(at, uint32(len(u)/2))
	w.put(at+4, u)
	w.grow(at + 4 + len(u) + 2)
	w.align(8)
}

// driverName returns the name that the layout gives a driver: with its folder or without.
func (d *Dump) driverName(r Driver) string {
	if d.Layout == New {
		return r.Path
	}
	return path.Base(strings.ReplaceAll(r.Path, `\`, "/"))
}

// loaderEntry writes the KLDR_DATA_TABLE_ENTRY of driver i behind the name offset at at, in
// the form that dumps keep: TimeDateStamp stands behind CheckSum. Source: dmp_specs.h of
// rizin; real dumps, where the old layout copies the kernel's entry and the new one fills
// base, size, checksum and timestamp only.
func (d *Dump) loaderEntry(w *buf, at, i int) {
	n, r := d.Build.pointer(), d.Drivers[i]
	e := at + n // InLoadOrderLinks at 0, four words, NonPagedDebugInfo at 5n
	w.ptr(e+6*n, n, r.Base)
	w.put32(e+8*n, r.Size)
	w.put32(e+14*n+8, r.Checksum)
	w.put32(e+15*n+8, r.Timestamp)
	if d.Layout == New {
		return
	}
	w.ptr(e, n, d.loaderAddress(i+1))
	w.ptr(e+n, n, d.loaderAddress(i-1))
	w.ptr(e+7*n, n, r.Base)
	names := d.loaderAddress(i) + 0x100
	w.unicodeString(e+9*n, n, len(utf16le(r.Path)), names)
	w.unicodeString(e+11*n, n, len(utf16le(d.driverName(r))), names+0x200)
	w.put32(e+13*n, 0x08804000) // Flags
	w.put16(e+13*n+4, 1)        // LoadCount
}

// unicodeString writes a UNICODE_STRING of length bytes.
func (w *buf) unicodeString(at, pointer, length int, buffer uint64) {
	w.put16(at, uint16(length))
	w.put16(at+2, uint16(length))
	w.ptr(at+pointer, pointer, buffer)
}

// loaderAddress returns the invented address of driver i's loader entry; before the first
// and behind the last stands the list's head, PsLoadedModuleList.
func (d *Dump) loaderAddress(i int) uint64 {
	if i < 0 || i >= len(d.Drivers) {
		return d.kdVariable(kdPsLoadedModuleList)
	}
	if d.Build.pointer() == 4 {
		return 0x86000000 + uint64(i)*0x400
	}
	return 0xffffb30c40000000 + uint64(i)*0x400
}

// dataBlocks appends the directory {address, offset, size} of the data blocks and the
// blocks, one right behind the other.
func (d *Dump) dataBlocks(w *buf, base int) {
	blocks := append(d.ownBlocks(), d.Blocks...)
	n := d.Build.pointer()
	w.align(8)
	dir := len(w.b)
	w.put32s(base+d.tail().dataBlocks, uint32(dir), uint32(len(blocks)))
	w.grow(dir + len(blocks)*(n+8))
	for i, b := range blocks {
		at := dir + i*(n+8)
		w.ptr(at, n, b.Address)
		w.put32s(at+n, uint32(len(w.b)), uint32(len(b.Data)))
		w.put(len(w.b), b.Data)
	}
}

// ownBlocks returns the data blocks that a new-layout writer adds in every dump: the
// addresses of all KPRCBs, the crashed processor's KPRCB, and NtBuildLab.
func (d *Dump) ownBlocks() []Block {
	if d.Layout == Old {
		return nil
	}
	n := d.Build.pointer()
	var all, lab buf
	for i := range d.Processors {
		all.ptr(i*n, n, d.Processor.Address+uint64(i-d.Processor.Number)*0x100000)
	}
	lab.put(0, []byte(d.Build.label))
	lab.grow(0x100)
	return []Block{
		{d.kdVariable(kdKiProcessorBlock), all.b},
		{d.Processor.Address, d.kprcb()},
		{d.kdVariable(kdNtBuildLab), lab.b},
	}
}

// finish writes the triage header's sizes and the 'TRGD' mark at the end of the dump
// proper. An old-layout writer rounds that end up to a sector, and leaves a first mark
// where it would have been.
func (d *Dump) finish(w *buf, base int) {
	w.align(8)
	w.grow(len(w.b) + 8)
	w.put(len(w.b), []byte("TRGD"))
	options := uint32(0xffffffff)
	if d.Layout == Old {
		options = 0x41
		w.grow(len(w.b) + 4)
		w.align(512)
		w.put(len(w.b)-4, []byte("TRGD"))
	}
	w.put32s(base+fSizeOfDump, uint32(len(w.b)), uint32(len(w.b)-4))
	context, exception := uint32(0x348), uint32(0xf00)
	if base == header32 {
		context, exception = 0x320, 0x7d0
	}
	w.put32s(base+fContext, context, exception)
	w.put32(base+fSizeOfStack, uint32(d.Stack.Base-d.Stack.Address))
	w.put32(base+fTriageOptions, options)
	w.ptr(base+fTopOfStack, d.Build.pointer(), d.Stack.Address)
	w.put32(base+d.tail().debuggerData+4, uint32(d.Build.debugger))
}

// fileSize writes RequiredDumpSpace: in the old layout the size of the file, in the new
// one that of a dump that could hold more.
func (d *Dump) fileSize(w *buf) {
	n := uint64(len(w.b))
	if d.Layout == New {
		n += 0x40000
	}
	w.put64(0xfa0, n) // the field stands there in DUMP_HEADER32 and DUMP_HEADER64
}
