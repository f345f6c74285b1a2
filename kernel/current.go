package kernel

import (
	"strings"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// Process is the one that was current on the processor that crashed.
type Process struct {
	Address mem.VA // of the EPROCESS; zero if not known
	Name    string // EPROCESS.ImageFileName: at most 15 characters
	PID     *uint64
	Trust   string // report.Recorded, or report.Guessed when the layout is not known
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
	return p, p.Name != ""
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

// Thread is the one that was current on the processor that crashed.
type Thread struct {
	Address mem.VA // of the ETHREAD; zero if not known
	ID      *uint64
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

// Processor is the one that crashed.
type Processor struct {
	Number                  *uint32
	Vendor                  string // GenuineIntel, AuthenticAMD
	Family, Model, Stepping uint16
	MHz                     uint32
}

// Processor reads the KPRCB; what it does not hold stays empty.
func (m *Machine) Processor() Processor {
	if m.User != nil {
		return m.userProcessor()
	}
	var p Processor
	b, l := m.Blocks.PRCB, m.layout
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

// IRQL is the one at which KeBugCheckEx was called, KPRCB.DebuggerSavedIRQL;
// false if this kernel's layout is not known.
func (m *Machine) IRQL() (uint8, bool) {
	at := m.layout.savedIRQL
	if at < 0 || at >= len(m.Blocks.PRCB) || m.Blocks.PRCB[at] > 15 {
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
