package kernel

import (
	"fmt"
	"strings"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// maxProcesses is how many processes are listed: large servers have some
// thousands.
const maxProcesses = 100_000

// maxListText is how much text of all entries of a list together is read, bytes:
// an enemy's entries share long ones.
const maxListText = 16 << 20

// listBudget is what may still be read for a list, beyond its entries.
type listBudget struct{ tables, text int }

// stringIn reads the UNICODE_STRING at va in an address space, at most so many bytes
// of it; "" if it is not in the dump.
func (l *listBudget) stringIn(m *Machine, memory mem.Reader, va mem.VA, most int) string {
	b, err := mem.Read(memory, va, 2*m.Arch.PointerSize())
	if err != nil {
		return ""
	}
	text := m.unicodeStringOf(memory, b, min(most, l.text))
	l.text = max(0, l.text-2*len(text))
	return text
}

// processFields says where an EPROCESS holds what; it begins with its KPROCESS.
type processFields struct {
	size                                                                         int
	link, id, parent, name, path, create, exit, status, session, peb, wow64      int
	threads, handles, workingSet, peakWorkingSet, private, commit, peak, virtual int
	budget                                                                       *listBudget
	kernel, user, directory                                                      int
}

func (m *Machine) processFields() processFields {
	e := func(name string) int { return m.Field("_EPROCESS", name) }
	k := func(name string) int { return m.Field("_KPROCESS", name) }
	return processFields{
		budget: &listBudget{tables: maxHandleTables, text: maxListText},
		size:   m.SizeOf("_EPROCESS"),
		link:   e("ActiveProcessLinks"), id: e("UniqueProcessId"), parent: e("InheritedFromUniqueProcessId"),
		name: e("ImageFileName"), path: e("SeAuditProcessCreationInfo"), create: e("CreateTime"), exit: e("ExitTime"),
		status: e("ExitStatus"), session: e("Session"), peb: e("Peb"), wow64: e("WoW64Process"),
		threads: e("ActiveThreads"), handles: e("ObjectTable"),
		workingSet: e("Vm.Instance.WorkingSetSize"), peakWorkingSet: e("Vm.Instance.PeakWorkingSetSize"),
		private: e("Vm.Instance.WorkingSetPrivateSize"), commit: e("CommitCharge"), peak: e("CommitChargePeak"),
		virtual: e("VirtualSize"), kernel: k("KernelTime"), user: k("UserTime"), directory: k("DirectoryTableBase"),
	}
}

// Processes lists the processes from PsActiveProcessHead on, in the order in which
// they began; those that ended but are still listed too. The idle process is not in
// that list. What was read is returned beside the error.
func (m *Machine) Processes() ([]Process, error) {
	f := m.processFields()
	if f.link < 0 || f.size <= 0 {
		return nil, fmt.Errorf("processes: the layout of this kernel is not known")
	}
	entries, err := m.ring(m.Memory, m.Header.ProcessHead, maxProcesses)
	if err != nil {
		err = fmt.Errorf("processes, list at %v: %w", m.Header.ProcessHead, err)
	}
	list := make([]Process, 0, len(entries))
	for _, va := range entries {
		p, bad := m.processAt(va-mem.VA(f.link), f)
		if bad != nil && err == nil {
			err = bad
		}
		list = append(list, p)
	}
	return list, err
}

// ProcessAt reads an EPROCESS.
func (m *Machine) ProcessAt(va mem.VA) (Process, error) { return m.processAt(va, m.processFields()) }

func (m *Machine) processAt(va mem.VA, f processFields) (Process, error) {
	o, err := m.read("process", va, f.size)
	p := Process{Address: va, Trust: report.Recorded, PID: o.word(f.id), Parent: o.word(f.parent)}
	if o.has(f.name, imageFileNameLen) {
		p.Name = win.ASCII(o.b[f.name : f.name+imageFileNameLen])
	} else if name, ok := m.guessProcessName(o.b); ok {
		p.Name, p.Trust = name, report.Guessed
	}
	if at := o.pointer(f.path); at != 0 {
		p.Path = f.budget.stringIn(m, m.Memory, at, maxPath) // OBJECT_NAME_INFORMATION begins with the name
	}
	p.Name = longName(p.Name, p.Path)
	p.Created, _ = win.FileTime(o.u64(f.create))
	if exited, ok := win.FileTime(o.u64(f.exit)); ok {
		p.Exited, p.ExitStatus = exited, o.maybe32(f.status)
	}
	p.WOW64, p.Threads = o.pointer(f.wow64) != 0, o.maybe32(f.threads)
	p.WorkingSet, p.PeakWorkingSet, p.PrivateWorkingSet = pages(o.word(f.workingSet)), pages(o.word(f.peakWorkingSet)), pages(o.word(f.private))
	p.Commit, p.PeakCommit, p.VirtualSize = pages(o.word(f.commit)), pages(o.word(f.peak)), o.word(f.virtual)
	tick := m.Tick()
	p.KernelTime, p.UserTime = ticks(o.maybe32(f.kernel), tick), ticks(o.maybe32(f.user), tick)
	p.DirectoryTable = mem.PA(o.pointer(f.directory))
	p.Handles = m.handleCount(o.pointer(f.handles), f.budget)
	m.fromSession(&p, o.pointer(f.session))
	m.fromPEB(&p, o, f)
	return p, err
}

// longName is the file's name on a path where ImageFileName, which holds 14
// characters of it, agrees; else that.
func longName(short, path string) string {
	long := path[strings.LastIndexByte(path, '\\')+1:]
	if len(short) >= imageFileNameLen-1 && len(long) > len(short) && strings.HasPrefix(long, short) {
		return long
	}
	return short
}

// pages is a number of pages in bytes.
func pages(n *uint64) *uint64 {
	if n == nil {
		return nil
	}
	bytes := *n * mem.PageSize
	return &bytes
}

// sessionID is where MM_SESSION_SPACE has SessionId, and PSP_SESSION_SPACE of 24H2, of which
// the symbols say nothing (volatilityfoundation/volatility3 framework/symbols/windows/extensions).
const sessionID = 8

// fromSession reads the session's number.
func (m *Machine) fromSession(p *Process, session mem.VA) {
	at := m.Field("_MM_SESSION_SPACE", "SessionId")
	if at < 0 {
		at = sessionID
	}
	if session == 0 {
		return
	}
	if id, err := mem.ReadU32(m.Memory, session+mem.VA(at)); err == nil {
		p.Session = &id
	}
}

// fromPEB reads what stands in the program's own memory, where it was dumped: its
// command line, and where the kernel does not say them path and session.
func (m *Machine) fromPEB(p *Process, o object, f processFields) {
	peb, space := o.pointer(f.peb), m.spaceOf(o)
	at, line := m.Field("_PEB", "ProcessParameters"), m.Field("_RTL_USER_PROCESS_PARAMETERS", "CommandLine")
	if peb == 0 || space == nil || at < 0 || line < 0 {
		return
	}
	if id := m.Field("_PEB", "SessionId"); p.Session == nil && o.pointer(f.session) != 0 && id >= 0 {
		if v, err := mem.ReadU32(space, peb+mem.VA(id)); err == nil {
			p.Session = &v
		}
	}
	parameters, err := m.pointerIn(space, peb+mem.VA(at))
	if err != nil || parameters == 0 {
		return
	}
	p.CommandLine = f.budget.stringIn(m, space, parameters+mem.VA(line), maxUnicodeString)
	if image := m.Field("_RTL_USER_PROCESS_PARAMETERS", "ImagePathName"); p.Path == "" && image >= 0 {
		p.Path = f.budget.stringIn(m, space, parameters+mem.VA(image), maxPath)
		p.Name = longName(p.Name, p.Path)
	}
}

// A HANDLE_TABLE's TableCode points to a table of entries, its two low bits say
// through how many tables of pointers (dt nt!_HANDLE_TABLE, _HANDLE_TABLE_ENTRY,
// Windows 8 and later). Tables are pages; an entry of 16 bytes that is in use has a
// first word that is not zero.
const (
	handleEntry     = 0x10
	handleLevels    = 3
	maxHandleTables = 1 << 16 // of all processes together: 16 million handles, what one may have
	handlePointers  = mem.PageSize / 8
)

// handleCount is how many handles a table holds: counted, or at least what its
// first list of free entries counts; nil if neither is known.
func (m *Machine) handleCount(table mem.VA, budget *listBudget) *uint32 {
	code, lists, count := m.Field("_HANDLE_TABLE", "TableCode"), m.Field("_HANDLE_TABLE", "FreeLists"), m.Field("_HANDLE_TABLE_FREE_LIST", "HandleCount")
	if table == 0 || code < 0 || m.Arch.PointerSize() != 8 {
		return nil
	}
	counted := uint32(0)
	at, err := mem.ReadVA(m.Memory, table+mem.VA(code))
	known := err == nil
	if known {
		counted = m.countHandles(at&^3, int(at&3), budget)
	}
	if lists >= 0 && count >= 0 {
		if n, err := mem.ReadU32(m.Memory, table+mem.VA(lists+count)); err == nil && n <= maxHandleTables*mem.PageSize/handleEntry {
			counted, known = max(counted, n), true
		}
	}
	if !known {
		return nil
	}
	return &counted
}

// countHandles counts the entries in use of a table and of those below it. Tables
// that are not in the dump count nothing; budget is how many may still be read.
func (m *Machine) countHandles(table mem.VA, level int, budget *listBudget) uint32 {
	if budget.tables--; budget.tables < 0 || table == 0 || level >= handleLevels {
		return 0
	}
	var b [mem.PageSize]byte
	n, _ := m.Memory.ReadAt(b[:], table)
	count := uint32(0)
	if level == 0 {
		for at := 0; at+handleEntry <= n; at += handleEntry {
			if le.U64(b[:], at) != 0 {
				count++
			}
		}
		return count
	}
	for at := 0; at+8 <= n && at < handlePointers*8; at += 8 {
		next := mem.VA(le.U64(b[:], at))
		if next == 0 {
			break // they are filled in turn
		}
		count += m.countHandles(next, level-1, budget)
	}
	return count
}
