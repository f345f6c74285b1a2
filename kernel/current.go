package kernel

import (
	"strings"
	"time"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// Process is one of the machine's. A small dump has the one that was current on the
// processor that crashed, and of it what stands before Path.
type Process struct {
	Address mem.VA // of the EPROCESS; zero if not known
	Name    string // EPROCESS.ImageFileName: at most 15 characters; of whole memory the file's whole name
	PID     *uint64
	Trust   string // report.Recorded, or report.Guessed when the layout is not known

	Path            string // \Device\HarddiskVolume3\Windows\explorer.exe; "" if not known
	CommandLine     string // "" where its user memory is not in the dump
	Parent          *uint64
	Session         *uint32 // nil: none, or not known
	WOW64           bool    // a 32-bit program on a 64-bit machine
	Created, Exited time.Time
	ExitStatus      *uint32 // of one that ended
	Threads         *uint32
	Handles         *uint32
	// Memory in bytes.
	WorkingSet, PeakWorkingSet, PrivateWorkingSet *uint64
	Commit, PeakCommit, VirtualSize               *uint64
	KernelTime, UserTime                          time.Duration
	DirectoryTable                                mem.PA // KPROCESS.DirectoryTableBase
}

// imageFileNameLen is the length of EPROCESS.ImageFileName.
const imageFileNameLen = 15

// Process returns the current process; false if the dump does not hold it.
func (m *Machine) Process() (Process, bool) {
	if m.User != nil {
		return m.userProcess()
	}
	p := Process{Address: m.processAddress(), Trust: report.Recorded}
	b := m.Blocks.Process
	if at := m.layout.imageFileName; at >= 0 && at+imageFileNameLen <= len(b) {
		p.Name = win.ASCII(b[at : at+imageFileNameLen])
	} else if name, ok := m.guessProcessName(b); ok {
		p.Name, p.Trust = name, report.Guessed
	}
	p.PID = field64(b, m.layout.uniqueProcessID, m.Arch)
	if p.PID == nil {
		p.PID = field64(m.Blocks.Thread, m.layout.cid, m.Arch) // CLIENT_ID.UniqueProcess
	}
	if m.whole() && p.Address != 0 {
		p = m.withWhole(p)
	}
	return p, p.Name != ""
}

// withWhole adds to a process what only whole memory holds.
func (m *Machine) withWhole(p Process) Process {
	all, _ := m.ProcessAt(p.Address) // as far as it is there
	if all.Name == "" || p.Trust == report.Guessed {
		all.Name, all.Trust = longName(p.Name, all.Path), p.Trust
	}
	if all.PID == nil {
		all.PID = p.PID
	}
	return all
}

// guessProcessName looks for ImageFileName where the fields before it put it on
// every known x64 and ARM64 build since 10240: 0x60 to 0x78 bytes behind
// InheritedFromUniqueProcessId, and only takes what reads like a file name.
func (m *Machine) guessProcessName(b []byte) (string, bool) {
	if m.layout.parentCID < 0 {
		return "", false
	}
	for d := 0x60; d <= 0x78; d += 8 {
		at := m.layout.parentCID + d
		if at+imageFileNameLen > len(b) {
			return "", false
		}
		if name := win.ASCII(b[at : at+imageFileNameLen]); looksLikeImage(name) {
			return name, true
		}
	}
	return "", false
}

func looksLikeImage(s string) bool {
	if s == "System" || s == "Registry" || s == "Idle" {
		return true
	}
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return len(s) == 14 || strings.HasSuffix(strings.ToLower(s), ".exe")
}

// processAddress is KTHREAD.ApcState.Process of the current thread.
func (m *Machine) processAddress() mem.VA {
	if v := field64(m.Blocks.Thread, m.layout.apcProcess, m.Arch); v != nil {
		return mem.VA(*v)
	}
	return 0
}

// Thread is one of the machine's. Of the current one a small dump holds Address and
// ID.
type Thread struct {
	Address mem.VA // of the ETHREAD; zero if not known
	ID      *uint64

	Process                mem.VA // EPROCESS
	Name                   string // that the program gave it; ""
	State                  ThreadState
	WaitReason             string        // a word of KWAIT_REASON; "" unless it waits
	Waited                 time.Duration // since then; zero: not known
	Priority, BasePriority int8
	NextProcessor          *uint32 // where it runs or ran last
	KernelTime, UserTime   time.Duration
	Switches               *uint32 // how often it was switched to
	Created, Exited        time.Time
	ExitStatus             *uint32 // of one that ended
	Start, Win32Start      mem.VA  // where the kernel and where the program let it begin
	TEB                    mem.VA
	StackLimit, StackBase  mem.VA // of its stack in the kernel
	KernelStack            mem.VA // the stack pointer while it does not run
	TrapFrame              mem.VA // of its last entry into the kernel; zero: none
}

// Thread returns the current thread; false if the dump holds nothing of it.
func (m *Machine) Thread() (Thread, bool) {
	if m.User != nil {
		return m.userThread()
	}
	var t Thread
	if v := field64(m.Blocks.PRCB, m.layout.currentThread, m.Arch); v != nil {
		t.Address = mem.VA(*v)
	}
	if at := m.layout.cid; at >= 0 {
		t.ID = field64(m.Blocks.Thread, at+m.Arch.PointerSize(), m.Arch) // CLIENT_ID.UniqueThread
	}
	return t, t.Address != 0 || t.ID != nil
}

// stackBase is KTHREAD.StackBase: where the current thread's stack begins.
func (m *Machine) stackBase() (mem.VA, bool) {
	if m.User != nil {
		_, high, ok := m.userStackLimits()
		return high, ok
	}
	v := field64(m.Blocks.Thread, m.layout.stackBase, m.Arch)
	if v == nil || *v == 0 {
		return 0, false
	}
	return mem.VA(*v), true
}

// StackLimits are the ends of the current thread's kernel stack, lower first;
// false if they are not known.
func (m *Machine) StackLimits() (low, high mem.VA, ok bool) {
	if m.User != nil {
		return m.userStackLimits()
	}
	limit := field64(m.Blocks.Thread, m.layout.stackLimit, m.Arch)
	base, ok := m.stackBase()
	if limit == nil || !ok || mem.VA(*limit) >= base {
		return 0, 0, false
	}
	return mem.VA(*limit), base, true
}

// Processor is one of the machine's. A small dump holds one, and of it what stands
// before Address.
type Processor struct {
	Number                  *uint32
	Vendor                  string // GenuineIntel, AuthenticAMD
	Family, Model, Stepping uint16
	MHz                     uint32

	Address                        mem.VA // of the KPRCB
	Crashed                        bool   // it called KeBugCheckEx
	Thread, NextThread, IdleThread mem.VA // KTHREADs: what runs, what will run, what runs when nothing else does
	IRQL                           *uint8 // KPRCB.DebuggerSavedIRQL
	Registers                      report.Registers
	Stacks                         []StackRange
	DPCs                           []DPCQueue // normal, threaded
	DPCActive                      bool       // a DPC runs
	DPCRoutine                     mem.VA     // which; zero: not known
	Watchdog                       DPCWatchdog
	// Time spent since the start of Windows; zero: not known.
	KernelTime, UserTime, DPCTime, InterruptTime time.Duration
	Interrupts, ContextSwitches                  *uint32
}

// DPCWatchdog is how long DPCs have run, and when stop code 0x133 follows; zero:
// not known.
type DPCWatchdog struct {
	Running, RunningLimit time.Duration // of the DPC that runs
	Total, TotalLimit     time.Duration // at DISPATCH_LEVEL or above
}

// Processor reads the KPRCB of the processor that crashed; what it does not hold
// stays empty.
func (m *Machine) Processor() Processor {
	if m.User != nil {
		return m.userProcessor()
	}
	return m.processor(m.object(m.Blocks.PRCB))
}

// processor is what a KPRCB of any dump says.
func (m *Machine) processor(prcb object) Processor {
	var p Processor
	b, l := prcb.b, m.layout
	if at := l.number; at >= 0 && at+4 <= len(b) {
		if n := le.U32(b, at); n < 4096 {
			p.Number = &n
		}
	}
	if at := l.mhz; at >= 0 && at+4 <= len(b) {
		p.MHz = le.U32(b, at)
	}
	if at := l.vendor; at >= 0 && at+13 <= len(b) && m.Arch != dump.ARM64 {
		p.Vendor = win.ASCII(b[at : at+13])
	}
	if at := l.cpuType; at >= 0 && at+4 <= len(b) && m.Arch == dump.X64 {
		// dt nt!_KPRCB: CpuType (family), CpuID, then CpuStep: stepping in the
		// low byte, model in the high one.
		p.Family = uint16(b[at])
		p.Stepping, p.Model = uint16(b[at+2]), uint16(b[at+3])
	}
	return p
}

const maxIRQL = 15

// IRQL is the one at which KeBugCheckEx was called, KPRCB.DebuggerSavedIRQL;
// false if this kernel's layout is not known.
func (m *Machine) IRQL() (uint8, bool) {
	at := m.layout.savedIRQL
	if at < 0 || at >= len(m.Blocks.PRCB) || m.Blocks.PRCB[at] > maxIRQL {
		return 0, false
	}
	return m.Blocks.PRCB[at], true
}

// field64 reads a pointer-sized field of a block; nil if it does not lie in it.
func field64(b []byte, at int, a dump.Arch) *uint64 {
	if at < 0 || at+a.PointerSize() > len(b) {
		return nil
	}
	v := uint64(le.U32(b, at))
	if a != dump.X86 {
		v = le.U64(b, at)
	}
	return &v
}
