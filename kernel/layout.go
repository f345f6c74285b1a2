package kernel

import (
	_ "embed"
	"strconv"
	"strings"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/symbols"
)

// layout says where fields stand in this kernel's structures, bytes from their
// start; -1: not known.
type layout struct {
	// EPROCESS
	imageFileName, uniqueProcessID int
	// ETHREAD
	cid, stackBase, stackLimit int
	// KPRCB
	savedIRQL int

	// The rest comes from the debugger data block.
	apcProcess, parentCID                       int
	currentThread, mhz, cpuType, vendor, number int
}

// The offsets of KDDEBUGGER_DATA64 (wdbgexts.h) that say where fields stand.
const (
	kdbgFirstVariable = 0x48 // PsLoadedModuleList
	kdbgLastVariable  = 0x98 // ObpRootDirectoryObject
	kdbgApcProcess    = 0x2a0
	kdbgSizeEProcess  = 0x2a8
	kdbgParentCID     = 0x2ac
	kdbgSizePrcb      = 0x2b0
	kdbgCurrentThread = 0x2b4
	kdbgMHz           = 0x2b6
	kdbgCPUType       = 0x2b8
	kdbgVendor        = 0x2ba
	kdbgNumber        = 0x2be
	kdbgSizeEThread   = 0x2c0
)

func noLayout() layout {
	return layout{
		imageFileName: -1, uniqueProcessID: -1, cid: -1, stackBase: -1, stackLimit: -1,
		savedIRQL: -1, apcProcess: -1, parentCID: -1, currentThread: -1, mhz: -1, cpuType: -1, vendor: -1, number: -1,
	}
}

// findLayout takes what the debugger data block says, and the rest from the
// table by what identifies a kernel in a small dump: the sizes of its
// structures, which change whenever a field moves.
func findLayout(f *dump.File) layout {
	l := noLayout()
	b := f.Blocks.DebuggerData
	if b == nil {
		return l
	}
	at := func(off int) int { return int(le.U16(b, off)) }
	l.apcProcess, l.parentCID = at(kdbgApcProcess), at(kdbgParentCID)
	l.currentThread, l.mhz, l.cpuType = at(kdbgCurrentThread), at(kdbgMHz), at(kdbgCPUType)
	l.vendor, l.number = at(kdbgVendor), at(kdbgNumber)
	key := layoutKey{
		arch: f.Arch, eprocess: at(kdbgSizeEProcess), ethread: at(kdbgSizeEThread), parentCID: l.parentCID,
	}
	l.fromTable(key, at(kdbgSizePrcb), f)
	return l
}

// layoutKey tells kernels apart as far as their EPROCESS and ETHREAD differ.
type layoutKey struct {
	arch                         dump.Arch
	eprocess, ethread, parentCID int
}

//go:embed layouts.tsv
var layoutTable string

// fromTable fills in the fields of the rows that match. The process fields need
// the same EPROCESS; the thread fields also the same ETHREAD, or a thread block
// that bears them out; the processor fields also the same KPRCB.
func (l *layout) fromTable(key layoutKey, prcb int, f *dump.File) {
	for line := range strings.Lines(layoutTable) {
		row := strings.Split(strings.TrimSpace(line), "\t")
		if len(row) != 14 || row[0] != string(key.arch) {
			continue
		}
		n := make([]int, len(row))
		for i, s := range row[1:] {
			n[i+1] = offset(s)
		}
		if n[1] != key.eprocess || n[4] != key.parentCID {
			continue
		}
		l.uniqueProcessID, l.imageFileName = n[5], n[6]
		if n[2] == key.ethread || sameProcess(f, n[7], n[5]) {
			l.cid, l.stackBase, l.stackLimit = n[7], n[8], n[9]
		}
		if n[3] == prcb {
			l.savedIRQL = n[12]
		}
	}
}

// complete fills in what neither row nor block had from the table of structures.
func (l *layout) complete(m *Machine) {
	for _, f := range l.fields() {
		if *f.to < 0 {
			*f.to = m.Field(f.structure, f.field)
		}
	}
}

// layoutField is one of the layout's, by its name in the kernel's structures.
type layoutField struct {
	to               *int
	structure, field string
}

func (l *layout) fields() []layoutField {
	return []layoutField{
		{&l.imageFileName, "_EPROCESS", "ImageFileName"},
		{&l.uniqueProcessID, "_EPROCESS", "UniqueProcessId"},
		{&l.parentCID, "_EPROCESS", "InheritedFromUniqueProcessId"},
		{&l.cid, "_ETHREAD", "Cid"},
		{&l.stackBase, "_KTHREAD", "StackBase"}, // the ETHREAD begins with its KTHREAD
		{&l.stackLimit, "_KTHREAD", "StackLimit"},
		{&l.apcProcess, "_KTHREAD", "ApcState.Process"},
		{&l.savedIRQL, "_KPRCB", "DebuggerSavedIRQL"},
		{&l.currentThread, "_KPRCB", "CurrentThread"},
		{&l.mhz, "_KPRCB", "MHz"},
		{&l.cpuType, "_KPRCB", "CpuType"},
		{&l.vendor, "_KPRCB", "VendorString"},
		{&l.number, "_KPRCB", "Number"},
	}
}

// fromTypes takes over what the kernel's own symbols say; it goes before table and
// debugger data block.
func (l *layout) fromTypes(nt *symbols.Module) {
	for _, f := range l.fields() {
		if at, ok := nt.Field(f.structure, f.field); ok {
			*f.to = int(at)
		}
	}
}

// sameProcess checks that ETHREAD.Cid at cid names the process whose number
// stands in EPROCESS at pid: then Cid stands there in this kernel too.
func sameProcess(f *dump.File, cid, pid int) bool {
	inThread := field64(f.Blocks.Thread, cid, f.Arch)
	inProcess := field64(f.Blocks.Process, pid, f.Arch)
	return inThread != nil && inProcess != nil && *inThread != 0 && *inThread == *inProcess
}

// offset parses a cell of the table; -1 for "-", a field the kernel lacks.
func offset(s string) int {
	v, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		return -1
	}
	return int(v)
}
