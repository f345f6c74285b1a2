package lab

import (
	"fmt"
	"strings"
	"time"

	"bugcheck/lab/ram"
)

// EProcess is a process.
type EProcess struct {
	Address     uint64 // of its EPROCESS
	Name        string // notmyfault64.exe
	Path        string // \Device\HarddiskVolume3\Windows\System32\notmyfault64.exe; "" for what has no image
	CommandLine string
	ID, Parent  uint32
	Session     int // -1: none
	Created     time.Time
	Exited      time.Time // zero: it lives
	Space       *ram.Space
	Threads     []*EThread
	HandleTable uint64
	Handles     uint32
	Peb         uint64
	UserImages  []*UserImage

	workingSet, commit uint64 // pages
	nextStack          uint64 // of user stacks
}

// directory returns DirectoryTableBase.
func (p *EProcess) directory() uint64 { return p.Space.Root() }

// Process returns the first process of a name; nil where there is none.
func (s *System) Process(name string) *EProcess {
	for _, p := range s.Processes {
		if strings.EqualFold(p.Name, name) {
			return p
		}
	}
	return nil
}

const systemRoot = `\Device\HarddiskVolume3\Windows\System32\`

// usual are the processes of every machine: name, parent's name, session, threads, handles,
// working set in MiB, command line. The last exited, but somebody still holds a handle to it.
var usual = []struct {
	name, parent      string
	session, threads  int
	handles           uint32
	workingSet        uint64
	command           string
	minutesAfterStart int
}{
	{"System", "", -1, 40, 2290, 1, "", 0},
	{"Registry", "System", -1, 4, 0, 36, "", 0},
	{"smss.exe", "System", -1, 2, 53, 1, `\SystemRoot\System32\smss.exe`, 0},
	{"csrss.exe", "smss.exe", 0, 9, 482, 5, `%SystemRoot%\system32\csrss.exe ObjectDirectory=\Windows SharedSection=1024,20480,768`, 1},
	{"wininit.exe", "smss.exe", 0, 1, 163, 7, "wininit.exe", 1},
	{"csrss.exe", "smss.exe", 1, 10, 318, 5, `%SystemRoot%\system32\csrss.exe ObjectDirectory=\Windows SharedSection=1024,20480,768`, 1},
	{"services.exe", "wininit.exe", 0, 6, 612, 9, `C:\Windows\system32\services.exe`, 1},
	{"lsass.exe", "wininit.exe", 0, 7, 1187, 19, `C:\Windows\system32\lsass.exe`, 1},
	{"svchost.exe", "services.exe", 0, 12, 871, 27, `C:\Windows\system32\svchost.exe -k DcomLaunch -p`, 1},
	{"svchost.exe", "services.exe", 0, 8, 954, 15, `C:\Windows\system32\svchost.exe -k RPCSS -p`, 1},
	{"svchost.exe", "services.exe", 0, 11, 402, 18, `C:\Windows\System32\svchost.exe -k LocalServiceNetworkRestricted -p -s EventLog`, 1},
	{"svchost.exe", "services.exe", 0, 14, 1320, 44, `C:\Windows\system32\svchost.exe -k netsvcs -p`, 1},
	{"svchost.exe", "services.exe", 0, 6, 301, 12, `C:\Windows\system32\svchost.exe -k NetworkService -p -s Dnscache`, 2},
	{"svchost.exe", "services.exe", 0, 5, 245, 11, `C:\Windows\system32\svchost.exe -k LocalService -p`, 2},
	{"svchost.exe", "services.exe", 0, 4, 188, 9, `C:\Windows\system32\svchost.exe -k LocalServiceNoNetwork -p`, 2},
	{"svchost.exe", "services.exe", 0, 3, 177, 8, `C:\Windows\system32\svchost.exe -k UnistackSvcGroup`, 3},
	{"explorer.exe", "", 1, 38, 1904, 96, `C:\Windows\Explorer.EXE`, 3},
	{"notmyfault64.exe", "explorer.exe", 1, 3, 201, 14, `"C:\Tools\notmyfault64.exe" `, 71},
	{"mmc.exe", "explorer.exe", 1, 0, 0, 0, `"C:\Windows\system32\mmc.exe" "C:\Windows\system32\eventvwr.msc"`, 40},
}

// buildProcesses makes the idle process, the usual ones and as many more as the plan asks.
func (s *System) buildProcesses() {
	s.variable("PsActiveProcessHead", 16)
	idle := &EProcess{Name: "Idle", Session: -1, Created: s.start(), Space: s.Space}
	s.addProcess(idle)
	for _, p := range s.Processors {
		t := s.addThread(idle, threadPlan{idle: true})
		p.Idle, p.Thread = t, t
	}
	for _, u := range usual {
		p := &EProcess{Name: u.name, Session: u.session, CommandLine: u.command, Handles: u.handles, workingSet: u.workingSet << 8,
			commit: u.workingSet << 8 * 3 / 4, Created: s.start().Add(time.Duration(u.minutesAfterStart)*time.Minute + time.Duration(len(s.Processes))*731*time.Millisecond)}
		if parent := s.Process(u.parent); parent != nil {
			p.Parent = parent.ID
		}
		s.startProcess(p, u.threads)
		if u.threads == 0 {
			p.Exited = p.Created.Add(11 * time.Minute)
		}
	}
	s.more()
	for _, p := range s.Processes {
		s.writeProcess(p)
	}
	s.linkProcesses()
	s.runUsual()
}

// start returns when the machine started.
func (s *System) start() time.Time { return s.Time.Add(-s.Uptime) }

// startProcess gives a process its address space, memory and threads.
func (s *System) startProcess(p *EProcess, threads int) {
	if p.Space = s.Space; p.Name != "System" {
		p.Space = s.Memory.NewSpace()
	}
	if p.CommandLine != "" {
		p.Path = systemRoot + p.Name
		if strings.Contains(p.CommandLine, `C:\Tools`) {
			p.Path = `\Device\HarddiskVolume3\Tools\` + p.Name
		}
	}
	s.addProcess(p)
	if p.Path != "" && threads > 0 {
		s.buildUser(p)
	}
	for i := 0; i < threads; i++ {
		s.addThread(p, threadPlan{n: i})
	}
}

// more adds svchost.exe processes and threads until the plan's numbers are met.
func (s *System) more() {
	total := 0
	for _, p := range s.Processes {
		total += len(p.Threads)
	}
	services := s.Process("services.exe")
	missing := s.Plan.Processes - len(s.Processes)
	for i := 0; i < missing; i++ {
		p := &EProcess{Name: "svchost.exe", Session: 0, Parent: services.ID, Handles: 120 + uint32(i%90), workingSet: 1600 + uint64(i%700), commit: 1200,
			CommandLine: fmt.Sprintf(`C:\Windows\system32\svchost.exe -k netsvcs -p -s Lab%d`, i), Created: s.start().Add(time.Duration(i) * time.Second)}
		s.startProcess(p, 2)
		total += 2
	}
	var living []*EProcess
	for _, p := range s.Processes[1:] {
		if len(p.Threads) > 0 {
			living = append(living, p)
		}
	}
	for i := 0; total < s.Plan.Threads; i, total = i+1, total+1 {
		p := living[i%len(living)]
		s.addThread(p, threadPlan{n: len(p.Threads)})
	}
}

// addProcess makes the EPROCESS object and gives it an id; the idle process has none.
func (s *System) addProcess(p *EProcess) {
	p.Address = s.object("Process", s.layout.Size("_EPROCESS"), "Proc", "", "")
	if p.Name != "Idle" {
		p.ID = s.newID()
	}
	s.Processes = append(s.Processes, p)
}

func (s *System) newID() uint32 {
	id := s.nextID
	s.nextID += 4
	return id
}

// writeProcess writes the EPROCESS. A DISPATCHER_HEADER's first byte is the object's type:
// 3 a process.
func (s *System) writeProcess(p *EProcess) {
	r := s.record("_EPROCESS", p.Address)
	r.put8(0, 3)
	r.put64s(8, p.Address+8, p.Address+8)
	r.set64("_KPROCESS:DirectoryTableBase", p.directory())
	r.set64("_KPROCESS:UserDirectoryTableBase", 1) // no shadow of the tables
	r.set8("_KPROCESS:BasePriority", 8)
	r.set64("UniqueProcessId", uint64(p.ID))
	r.set64("InheritedFromUniqueProcessId", uint64(p.Parent))
	r.set64("CreateTime", filetime(p.Created))
	r.setBytes("ImageFileName", []byte(p.Name[:min(len(p.Name), 14)]))
	r.set8("PriorityClass", 2)
	r.set32("ActiveThreads", uint32(len(p.Threads)))
	r.set64("Peb", p.Peb)
	r.set64("SequenceNumber", uint64(p.ID/4))
	s.writeTimes(r, p)
	s.writeVM(r, p)
	s.writeSession(r, p)
	if p.Path != "" {
		r.set64("SeAuditProcessCreationInfo", s.objectName(p.Path))
	}
	if !p.Exited.IsZero() {
		r.set64("ExitTime", filetime(p.Exited))
		r.set32("ExitStatus", 0)
		r.set32("Flags", 0x2000c) // ProcessExiting, ProcessDelete, ImageNotifyDone among others
	} else {
		r.set32("ExitStatus", 0x103) // STATUS_PENDING
		r.set32("Flags", 0x144d0c00)
		p.HandleTable = s.handleTable(p.Address, p.ID, p.Handles, s.handles(p))
		r.set64("ObjectTable", p.HandleTable)
	}
	r.write()
	s.linkThreads(p)
}

// handles returns what the first handles of a process are for: itself and its threads. The
// process that holds the exited one open is the session's csrss.exe.
func (s *System) handles(p *EProcess) []uint64 {
	all := []uint64{p.Address}
	for _, t := range p.Threads {
		all = append(all, t.Address)
	}
	if p.Name == "csrss.exe" && p.Session == 1 {
		for _, q := range s.Processes {
			if !q.Exited.IsZero() {
				all = append(all, q.Address)
			}
		}
	}
	return all[:min(len(all), int(p.Handles))]
}

func (s *System) writeTimes(r *record, p *EProcess) {
	kernel, user := uint32(0), uint32(0)
	for _, t := range p.Threads {
		kernel += t.kernelTime
		user += t.userTime
	}
	r.set32("_KPROCESS:KernelTime", kernel)
	r.set32("_KPROCESS:UserTime", user)
	r.set64("_KPROCESS:CycleTime", uint64(kernel+user)*39000000)
}

func (s *System) writeVM(r *record, p *EProcess) {
	r.set64("VirtualSize", 0x20100000000+p.workingSet<<12*4)
	r.set64("PeakVirtualSize", 0x20100000000+p.workingSet<<12*5)
	r.set64("CommitCharge", p.commit)
	r.set64("CommitChargePeak", p.commit*5/4)
	r.set64("Vm.Instance.WorkingSetSize", p.workingSet)
	r.set64("Vm.Instance.PeakWorkingSetSize", p.workingSet*6/5)
	r.set64("Vm.Instance.WorkingSetPrivateSize", p.workingSet/3)
	r.set64("Vm.Instance.MinimumWorkingSetSize", 50)
	r.set64("Vm.Instance.MaximumWorkingSetSize", 345)
	r.set32("Vm.Instance.PageFaultCount", uint32(p.workingSet*2))
}

// writeSession gives the process its session: a structure that starts with {ReferenceCount,
// SessionId at 8, ProcessList}.
func (s *System) writeSession(r *record, p *EProcess) {
	if p.Session < 0 {
		return
	}
	name := fmt.Sprintf("session %d", p.Session)
	va, ok := s.variables[name]
	if !ok {
		m := s.record("_MM_SESSION_SPACE", s.take(&s.regions.session, 0x5000))
		m.put32(0, 1)
		m.set32("SessionId", uint32(p.Session))
		m.empty("ProcessList")
		m.write()
		va = m.va
		s.variables[name] = va
	}
	r.set64("Session", va)
}

// objectName keeps an OBJECT_NAME_INFORMATION: a UNICODE_STRING and its characters.
func (s *System) objectName(name string) uint64 {
	va := s.alloc("SeOn", uint64(16+len(utf16le(name))+2), true)
	var w buf
	w.putText(0, name, va+16)
	w.put(16, utf16le(name))
	s.put(va, w.b)
	return va
}

// linkProcesses makes PsActiveProcessHead and the variables that lead to processes.
func (s *System) linkProcesses() {
	off, _ := s.layout.Field("_EPROCESS", "ActiveProcessLinks")
	all, _ := s.layout.Field("_KPROCESS", "ProcessListEntry")
	var links, entries []uint64
	for _, p := range s.Processes[1:] {
		links = append(links, p.Address+off)
		entries = append(entries, p.Address+all)
	}
	s.list(s.variable("PsActiveProcessHead", 16), links)
	if all != 0 {
		s.list(s.variable("KiProcessListHead", 16), entries)
	}
	s.list(s.Processes[0].Address+off, nil)
	s.pointer("PsInitialSystemProcess", s.Process("System").Address)
	s.pointer("PsIdleProcess", s.Processes[0].Address)
	s.buildCidTable()
}

// buildCidTable makes PspCidTable, a handle table of two levels whose objects are processes
// and threads by their ids; its entries hold the objects' own addresses.
func (s *System) buildCidTable() {
	top := s.alloc("Obtb", 0x1000, true)
	pages := map[uint64]uint64{}
	count := uint32(0)
	enter := func(id uint32, object uint64) {
		i := uint64(id) / 4
		page, ok := pages[i/256]
		if !ok {
			page = s.alloc("Obtb", 0x1000, true)
			pages[i/256] = page
			s.word(top+8*(i/256), page)
		}
		s.word(page+16*(i%256), object>>4<<20|1)
		count++
	}
	for _, p := range s.Processes[1:] {
		enter(p.ID, p.Address)
		for _, t := range p.Threads {
			enter(t.ID, t.Address)
		}
	}
	r := s.update("_HANDLE_TABLE", s.handleTable(0, 0, count, nil))
	r.set32("NextHandleNeedingPool", uint32(len(pages)*0x400))
	r.set64("TableCode", top|1)
	r.write()
	s.pointer("PspCidTable", r.va)
}

// runUsual lets notmyfault64.exe's first thread run on the processor that writes the dump,
// System's on none: the others are idle.
func (s *System) runUsual() {
	p := s.Process("notmyfault64.exe")
	s.Crashed.Thread = p.Threads[0]
	s.setThreadState(p.Threads[0], stateRunning, 0)
	for _, c := range s.Processors {
		c.Context = s.stoppedContext(c)
		if c.Thread == c.Idle {
			c.IRQL = 2
		}
		s.writeProcessor(c)
	}
}
