package dump

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

// PDB names the symbol file that belongs to a module: the CodeView record of a
// user-mode minidump. The zero PDB stands for none.
type PDB struct {
	GUID      win.GUID // RSDS; zero for NB10
	Timestamp uint32   // NB10
	Age       uint32
	Path      string // as the linker wrote it: a name or a whole path
}

// readModules decodes MINIDUMP_MODULE_LIST.
func (d *minidump) readModules() {
	unnamed := 0
	for _, b := range d.entries(streamModules, minidumpModuleSize, maxDrivers) {
		m := d.module(b)
		if m.Base == 0 || m.Size == 0 {
			unnamed++
			continue
		}
		d.Drivers = append(d.Drivers, m)
	}
	if unnamed > 0 {
		d.note("loaded modules", "%d of %d entries have no name, address or size and are left out.", unnamed, unnamed+len(d.Drivers))
	}
	if len(d.Drivers) == 0 {
		d.note("loaded modules", "The dump lists none: addresses cannot be named.")
	}
}

// module decodes MINIDUMP_MODULE (minidumpapiset.h): its 0x6c bytes are packed
// to 4.
func (d *minidump) module(b []byte) Driver {
	m := Driver{
		Base:      mem.VA(le.U64(b, 0x0)),
		Size:      uint64(le.U32(b, 0x8)),
		Checksum:  le.U32(b, 0xc),
		Timestamp: le.U32(b, 0x10),
		Version:   fixedVersion(b[0x18:0x4c]),
		PDB:       d.pdb(Location{Size: le.U32(b, 0x4c), Offset: le.U32(b, 0x50)}),
	}
	m.Path, m.Name = splitPath(d.text(le.U32(b, 0x14)))
	if i := strings.LastIndexByte(m.Name, '/'); i >= 0 {
		m.Path, m.Name = m.Name, m.Name[i+1:]
	}
	if m.Name == "" {
		m.Name = fmt.Sprintf("image%08x", uint64(m.Base)) // as the debugger calls a module without a name
	}
	return m
}

// fixedVersion is the file version of a VS_FIXEDFILEINFO (verrsrc.h): 10.0.19041.1;
// "" without the structure's signature.
func fixedVersion(b []byte) string {
	if le.U32(b, 0) != 0xfeef04bd {
		return ""
	}
	hi, lo := le.U32(b, 8), le.U32(b, 12)
	return fmt.Sprintf("%d.%d.%d.%d", hi>>16, hi&0xffff, lo>>16, lo&0xffff)
}

// pdb decodes a CodeView record: RSDS (GUID, age, name) or NB10 (offset,
// timestamp, age, name).
func (d *minidump) pdb(at Location) PDB {
	if at.Size < 0x10 || at.Offset == 0 {
		return PDB{}
	}
	b := d.u.bytes(uint64(at.Offset), int(min(at.Size, maxString)))
	switch {
	case len(b) > 0x18 && bytes.HasPrefix(b, []byte("RSDS")):
		return PDB{GUID: win.GUID(b[4:0x14]), Age: le.U32(b, 0x14), Path: win.ASCII(b[0x18:])}
	case len(b) > 0x10 && bytes.HasPrefix(b, []byte("NB10")):
		return PDB{Timestamp: le.U32(b, 8), Age: le.U32(b, 0xc), Path: win.ASCII(b[0x10:])}
	}
	return PDB{}
}

// readUnloadedModules decodes MINIDUMP_UNLOADED_MODULE_LIST.
func (d *minidump) readUnloadedModules() {
	count := func(b []byte) uint64 { return uint64(le.U32(b, 8)) }
	for _, b := range d.headed(streamUnloaded, 0xc, 0x18, maxUnloaded, count) {
		base := mem.VA(le.U64(b, 0))
		_, name := splitPath(d.text(le.U32(b, 0x14)))
		d.Unloaded = append(d.Unloaded, Unloaded{Name: name, Start: base, End: base + mem.VA(le.U32(b, 8))})
	}
}

// readMemory joins what the memory lists and the threads say was captured: the
// same stack stands in both as a rule.
func (d *minidump) readMemory() {
	var runs []mem.Range
	for _, b := range d.entries(streamMemory, 0x10, maxRanges) { // MINIDUMP_MEMORY_DESCRIPTOR
		runs = append(runs, mem.Range{Address: mem.VA(le.U64(b, 0)), Size: uint64(le.U32(b, 8)), Offset: int64(le.U32(b, 0xc))})
	}
	runs = append(runs, d.memory64()...)
	for _, t := range d.u.Threads {
		runs = append(runs, mem.Range{Address: t.Stack, Size: uint64(t.stackBytes.Size), Offset: int64(t.stackBytes.Offset)})
	}
	lost := uint64(0)
	for i, r := range runs {
		if r.Offset < 0 || r.Offset > d.Size || r.Size > uint64(d.Size-r.Offset) {
			lost++
			if r.Offset < 0 {
				runs[i].Size = 0
			}
		}
	}
	if lost > 0 {
		d.Truncated = true
		d.note("memory", "%d of %d captured stretches lie past the end of the file.", lost, len(runs))
	}
	d.setRuns(d.u.file, distinct(runs))
}

// memory64 decodes MINIDUMP_MEMORY64_LIST: a count, the place of the first run,
// then address and size of each; the runs lie one behind the other.
func (d *minidump) memory64() []mem.Range {
	b := d.sized(streamMemory64, 0x10)
	if b == nil {
		return nil
	}
	count, off := le.U64(b, 0), le.U64(b, 8)
	var runs []mem.Range
	for _, e := range d.cut(streamMemory64, b[0x10:], count, 0x10, maxRanges) {
		r := mem.Range{Address: mem.VA(le.U64(e, 0)), Size: le.U64(e, 8), Offset: int64(off)}
		if off > 1<<62 || r.Size > 1<<62 {
			r.Offset = -1
		}
		runs = append(runs, r)
		off += r.Size
	}
	return runs
}

// distinct drops empty runs and those that stand twice.
func distinct(runs []mem.Range) []mem.Range {
	sort.SliceStable(runs, func(i, j int) bool { return runs[i].Address < runs[j].Address })
	kept := runs[:0]
	for _, r := range runs {
		if r.Size == 0 || len(kept) > 0 && kept[len(kept)-1] == r {
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

// readRegions decodes MINIDUMP_MEMORY_INFO_LIST: MEMORY_BASIC_INFORMATION of
// the whole address space.
func (d *minidump) readRegions() {
	count := func(b []byte) uint64 { return le.U64(b, 8) }
	for _, b := range d.headed(streamMemoryInfo, 0x10, 0x30, maxRanges, count) {
		d.u.Regions = append(d.u.Regions, Region{
			Base:           mem.VA(le.U64(b, 0)),
			AllocationBase: mem.VA(le.U64(b, 8)),
			Size:           le.U64(b, 0x18),
			State:          le.U32(b, 0x20),
			Protect:        le.U32(b, 0x24),
			Type:           le.U32(b, 0x28),
		})
	}
	sort.SliceStable(d.u.Regions, func(i, j int) bool { return d.u.Regions[i].Base < d.u.Regions[j].Base })
}

// readHandles decodes MINIDUMP_HANDLE_DATA_STREAM: descriptors of 0x20 bytes, or
// 0x28 in the second version.
func (d *minidump) readHandles() {
	count := func(b []byte) uint64 {
		d.u.HandleCount = uint64(le.U32(b, 8))
		return min(d.u.HandleCount, maxHandles)
	}
	for _, b := range d.headed(streamHandles, 0x10, 0x20, maxHandles, count) {
		d.u.Handles = append(d.u.Handles, Handle{
			Value:  le.U64(b, 0),
			Type:   d.text(le.U32(b, 8)),
			Name:   d.text(le.U32(b, 0xc)),
			Access: le.U32(b, 0x14),
		})
	}
}
