package analyze

import (
	"strings"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/undname"
	"bugcheck/win"
)

// User is what the verdict on a program may depend on beyond what it has in
// common with one on a stop code. Facts of kernel dumps have none.
type User struct {
	Program       string // the image that the process was started from
	Reason        string // as crash reporters name it; "" without an exception
	Parameters    []uint64
	At            Place // what the exception's address points at
	Target        UserTarget
	Stack         [2]uint64 // lowest and end of the crashing thread's stack; zero: not known
	StackRecorded bool      // Stack is what the dump says of it, not only what was captured
	SP            uint64
	Windows       map[string]bool // images in Windows' own folders; absent: not known where they lie
	Verifier      bool            // Application Verifier's module is loaded
	Repeated      Repeated
	CPP           *CPP
	Stowed        *Stowed
	Heap          string // HEAP_FAILURE_TYPE without its prefix
	Assertion     *dump.Assertion
	Lost          bool // an exception that the dump had cannot be read, or the dump is cut off
	Requester     bool // a thread of the program itself had the dump written
	Thread        string
	Running       []Running // other threads that do not wait
	Instruction   string    // the one that failed: mov eax,dword ptr [rbx+10h]; "" where its bytes are not in the dump
	Bad           *BadOperand
	Flips         []Flip
}

// UserTarget is what an access violation or in-page error touched.
type UserTarget struct {
	Place
	Known   bool   // the dump says what there is: State and Protect hold
	State   uint32 // MEM_*
	Protect uint32 // PAGE_*
}

// Repeated is the caller that stands on the stack most often.
type Repeated struct {
	At    Frame
	Count int
}

// CPP is a thrown C++ object.
type CPP struct {
	Type string // std::runtime_error; "" if it is not in the dump
	What string // its message
}

// Stowed is the first of the errors that the Windows Runtime had kept back.
type Stowed struct {
	Count   uint64
	HResult uint32
	Text    string
}

// BadOperand is the memory operand of the instruction that failed.
type BadOperand struct {
	Text     string // [rax+10h]
	Register string // its base, or its index where that alone is bad
	Value    uint64
	Address  uint64 // that the operand comes to
	Bit      int    // of Value, which alone keeps it from being canonical; -1: none
	Write    bool   // the instruction writes there, and does not read
}

// Flip is an address one bit from the one that was touched, where memory is.
type Flip struct {
	Bit     int
	Address uint64
}

// collectUser reads from a user-mode minidump everything that the verdict may
// depend on.
func collectUser(m *kernel.Machine) *collection {
	c := &collection{m: m}
	u := &User{Windows: windowsImages(m), Assertion: m.User.Assertion}
	u.Lost = m.Exception == nil && (m.User.ExceptionLost || m.Truncated)
	f := &c.facts
	f.Arch, f.Build, f.User = string(m.Arch), m.Header.Build, u
	f.CPUVendor = m.Processor().Vendor
	if p, ok := m.Process(); ok {
		f.Process, u.Program = p.Name, p.Name
	}
	for _, mod := range m.Modules {
		f.Images = append(f.Images, Image{Image: mod.Name, Module: mod.Module})
	}
	_, u.Verifier = m.ModuleNamed("verifier.dll")
	c.userContext()
	if low, high, ok := m.StackLimits(); ok {
		u.Stack, u.StackRecorded = [2]uint64{uint64(low), uint64(high)}, m.StackRecorded()
	}
	u.SP, _ = c.registers.SP()
	if m.Exception != nil {
		c.userException(m.Exception)
	}
	c.walk()
	c.userStack()
	c.threads = c.otherThreads()
	u.Running = running(c.threads)
	return c
}

// userContext starts the frames from the exception's registers, or from those
// of the thread that the report is about.
func (c *collection) userContext() {
	kind, source := report.ContextThread, report.T("registers of the thread")
	if c.m.Exception != nil {
		kind, source = report.ContextException, report.T("exception record")
	}
	if t, ok := c.m.User.CrashThread(); ok {
		c.facts.User.Thread = t.Name
	}
	if r := c.m.User.RequestingThread; r != nil && *r != 0 {
		c.facts.User.Requester = true
	}
	c.start(c.m.HeaderRegisters(), Context{Kind: kind, Source: source})
	c.facts.Context.Fault = c.m.Exception != nil
	if c.registers == nil {
		c.registers = report.Registers{} // walk must not look for a header
	}
}

// userException takes over the exception record and what its parameters lead to.
func (c *collection) userException(e *dump.ExceptionRecord) {
	u := c.facts.User
	c.exception(e)
	u.Parameters, u.Reason = e.Parameters, userReason(e)
	u.At = c.userPlace(uint64(e.Address)).Place
	if t := c.facts.Exception.Target; t != nil {
		u.Target = c.userPlace(*t)
		u.Flips = c.flips(*t)
	}
	switch e.Code {
	case statusCPP:
		if x, ok := c.m.CPPException(e.Parameters); ok {
			u.CPP = &CPP{What: x.What}
			if len(x.Types) > 0 {
				u.CPP.Type = cppType(x.Types[0])
			}
		}
	case statusStowed:
		if s, ok := c.m.StowedException(e.Parameters); ok {
			u.Stowed = &Stowed{Count: s.Count, HResult: s.HResult, Text: s.Text}
		}
	case statusHeapCorruption:
		u.Heap = c.m.HeapFailure(e.Parameters)
	}
	c.decode()
}

// cppType is the name of a type as its type_info has it: .?AVruntime_error@std@@
// is std::runtime_error.
func cppType(decorated string) string {
	return strings.TrimSuffix(undname.Name(decorated), " `RTTI Type Descriptor Name'")
}

// userStack looks through the frames for what only the whole stack tells.
func (c *collection) userStack() {
	u := c.facts.User
	if r := kernel.MostRepeated(c.frames); r.Count >= recursion {
		u.Repeated = Repeated{At: plainFrame(r.Frame), Count: r.Count}
	}
}

// recursion is how often a return address must stand on a stack to be worth a
// word: loops of callers come to two or three.
const recursion = 16

func plainFrame(f report.Frame) Frame {
	out := Frame{Image: f.Image, Module: f.Module, Symbol: f.Symbol, Trust: f.Trust}
	if f.Offset != nil {
		out.Offset = uint64(*f.Offset)
	}
	return out
}

// userPlace says what an address of a program points at.
func (c *collection) userPlace(addr uint64) UserTarget {
	t := UserTarget{Place: place(c.m, addr)}
	if r, ok := c.m.User.RegionAt(mem.VA(addr)); ok {
		t.Known, t.State, t.Protect = true, r.State, r.Protect
	}
	return t
}

// Bits of an address that a flip is looked for in: within a page it would not
// have made the access fail, above bit 46 no address of a program is canonical.
const (
	lowestFlip  = 12
	highestFlip = 46
)

// flips lists the addresses one bit from a 64-bit one where the dump knows of
// memory. Of a 32-bit address nearly every bit leads to some.
func (c *collection) flips(addr uint64) []Flip {
	if c.m.Arch == dump.X86 || addr < nullPages || c.hasMemory(addr) {
		return nil
	}
	var list []Flip
	for bit := lowestFlip; bit <= highestFlip; bit++ {
		if a := addr ^ 1<<bit; a >= nullPages && c.hasMemory(a) {
			list = append(list, Flip{Bit: bit, Address: a})
		}
	}
	return list
}

// hasMemory reports that the program had memory at an address: captured, in a
// module, or committed by the list of regions.
func (c *collection) hasMemory(addr uint64) bool {
	va := mem.VA(addr)
	if r, ok := c.m.User.RegionAt(va); ok {
		return r.State == dump.MemCommit
	}
	if _, ok := c.m.ModuleAt(va); ok {
		return true
	}
	var b [1]byte
	n, _ := c.m.Memory.ReadAt(b[:], va)
	return n == 1
}

// userReason names an exception as Breakpad's minidump_processor.cc does, with
// the codes of __fastfail by their FAST_FAIL_ names.
func userReason(e *dump.ExceptionRecord) string {
	name := exceptionReasons[e.Code]
	switch {
	case e.Code == statusAccessViolation && len(e.Parameters) > 0:
		return name + reasonAccess[e.Parameters[0]]
	case e.Code == statusInPageError && len(e.Parameters) > 0:
		name += reasonAccess[e.Parameters[0]]
		if len(e.Parameters) > 2 {
			name += " / " + statusWord(uint32(e.Parameters[2]))
		}
		return name
	case e.Code == statusStackBufferOverrun && len(e.Parameters) > 0:
		if fast := win.FastFailName(e.Parameters[0]); fast != "" && e.Parameters[0] != 0 {
			return "FAST_FAIL_" + fast
		}
	}
	if name == "" {
		return statusWord(e.Code)
	}
	return name
}

var reasonAccess = map[uint64]string{0: "_READ", 1: "_WRITE", 8: "_EXEC"}

// statusWord is the name of a status, or its number.
func statusWord(code uint32) string {
	if name := win.ExceptionWord(code); name != "" {
		return name
	}
	return report.Hex32(code).String()
}
