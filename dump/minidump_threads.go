package dump

import (
	"slices"
	"strings"
	"time"

	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/win"
)

// readThreads decodes MINIDUMP_THREAD_LIST, or the list of MINIDUMP_THREAD_EX
// where a dump has that alone; the two begin alike.
func (d *minidump) readThreads() {
	list := d.entries(streamThreads, minidumpThreadSize, maxThreads)
	if list == nil {
		list = d.entries(streamThreadsEx, minidumpThreadExSize, maxThreads)
	}
	for _, b := range list {
		d.u.Threads = append(d.u.Threads, UserThread{
			ID:         le.U32(b, 0x0),
			Suspended:  le.U32(b, 0x4),
			Priority:   le.U32(b, 0xc),
			TEB:        mem.VA(le.U64(b, 0x10)),
			Stack:      mem.VA(le.U64(b, 0x18)),
			StackSize:  le.U32(b, 0x20),
			stackBytes: Location{Size: le.U32(b, 0x20), Offset: le.U32(b, 0x24)},
			Context:    Location{Size: le.U32(b, 0x28), Offset: le.U32(b, 0x2c)},
		})
	}
	if len(d.u.Threads) == 0 {
		d.note("threads", "The dump lists none: there are no stacks in it.")
	}
}

// readThreadInfo decodes MINIDUMP_THREAD_INFO_LIST: start address, times.
func (d *minidump) readThreadInfo() {
	count := func(b []byte) uint64 { return uint64(le.U32(b, 8)) }
	byID := d.indexThreads()
	for _, b := range d.headed(streamThreadInfo, 0xc, 0x40, maxThreads, count) {
		t := byID[le.U32(b, 0)]
		if t == nil {
			continue
		}
		t.DumpFlags = le.U32(b, 4)
		t.Created, _ = win.FileTime(le.U64(b, 0x10))
		t.Kernel, t.User = ticks(le.U64(b, 0x20)), ticks(le.U64(b, 0x28))
		t.Start = mem.VA(le.U64(b, 0x30))
	}
}

// indexThreads maps ids to threads; of two with one id the first.
func (d *minidump) indexThreads() map[uint32]*UserThread {
	m := make(map[uint32]*UserThread, len(d.u.Threads))
	for i := range d.u.Threads {
		if t := &d.u.Threads[i]; m[t.ID] == nil {
			m[t.ID] = t
		}
	}
	return m
}

// ticks converts units of 100 ns; zero for what no thread can have run.
func ticks(v uint64) time.Duration {
	if v > 1<<53 {
		return 0
	}
	return time.Duration(v) * 100
}

// readThreadNames decodes MINIDUMP_THREAD_NAME_LIST: a count, then id and a
// 64-bit place of each name, packed to 4.
func (d *minidump) readThreadNames() {
	byID := d.indexThreads()
	for _, b := range d.entries(streamThreadNames, 0xc, maxThreads) {
		if t, at := byID[le.U32(b, 0)], le.U64(b, 4); t != nil && at < 1<<32 {
			t.Name = d.text(uint32(at))
		}
	}
}

// readException decodes MINIDUMP_EXCEPTION_STREAM: thread id, MINIDUMP_EXCEPTION,
// the place of the context.
func (d *minidump) readException() {
	b := d.sized(streamException, 0xa8)
	if b == nil {
		_, d.u.ExceptionLost = d.streams[streamException]
		return
	}
	id := le.U32(b, 0)
	d.u.ExceptionThread = &id
	d.Exception = ExceptionRecord64(b[8 : 8+ExceptionRecord64Size])
	if n := le.U32(b, 0x20); n > 15 {
		d.note("exception", "It says %d parameters; a record has room for 15.", n)
	}
	if d.Context = d.context(Location{Size: le.U32(b, 0xa0), Offset: le.U32(b, 0xa4)}); d.Context == nil {
		d.note("exception", "Its context is missing or too short: the registers are those of the thread.")
	}
}

// narrow takes off the upper halves of an x86 program's addresses, which some
// writers extend by their sign.
func (d *minidump) narrow() {
	if d.Arch != X86 || d.Exception == nil {
		return
	}
	d.Exception.Address &= 0xffffffff
	for i := range d.Exception.Parameters {
		d.Exception.Parameters[i] &= 0xffffffff
	}
}

// CrashThread returns the thread of the exception; without one, the thread that
// had the dump written; without that, the first, which is the program's main
// thread as a rule. Of one that the list lacks only the number is known. False
// if the dump lists no threads.
func (u *User) CrashThread() (UserThread, bool) {
	for _, id := range []*uint32{u.ExceptionThread, u.RequestingThread} {
		if id == nil || *id == 0 && u.ExceptionThread != id {
			continue
		}
		if t, ok := u.ThreadNumbered(*id); ok || u.ExceptionThread == id {
			t.ID = *id
			return t, true
		}
	}
	if len(u.Threads) == 0 {
		return UserThread{}, false
	}
	return u.Threads[0], true
}

// chooseContext takes the crashing thread's own context where the exception has
// none.
func (d *minidump) chooseContext() {
	if d.Context != nil {
		return
	}
	if t, ok := d.u.CrashThread(); ok {
		d.Context = d.ThreadContext(t)
	}
	if d.Context == nil {
		d.note("registers", "The dump holds no context of the thread.")
	}
}

// Where WOW64 keeps the x86 registers of a thread: slot 1 of the 64-bit TEB's
// TlsSlots points to WOW64_CPURESERVED, behind whose 4 bytes the CONTEXT stands
// (TEB: phnt ntpebteb.h; slot and structure: Wine dlls/wow64).
const (
	tebTLSSlots  = 0x1480
	wow64Slot    = tebTLSSlots + 8
	wow64Context = 4

	contextSize32    = 0x2cc // bytes of an x86 CONTEXT
	contextSizeARM64 = 0x390
)

// unmaskWOW64 turns a dump that a 64-bit program took of an x86 process into
// what it is about: the x86 side. Its threads stand in wow64cpu.dll; where the
// memory was captured, their x86 contexts take the place of those.
func (d *minidump) unmaskWOW64() {
	named := func(name string) bool {
		return slices.ContainsFunc(d.Drivers, func(m Driver) bool { return strings.EqualFold(m.Name, name) })
	}
	if d.Arch != X64 || !named("wow64.dll") || !named("wow64cpu.dll") {
		return
	}
	d.u.WOW64 = true
	found := map[uint32]mem.VA{}
	for _, t := range d.u.Threads {
		if at, ok := d.wow64Context(t); ok {
			found[t.ID] = at
		}
	}
	crash, ok := d.u.CrashThread()
	if at, have := found[crash.ID]; !ok || !have || d.Exception != nil && d.Exception.Address>>32 != 0 {
		d.note("WOW64", "This is an x86 program, and the dump was written by a 64-bit one: what is shown is the 64-bit side of it. Have the 32-bit tool write the dump (SysWOW64\\Taskmgr.exe, procdump without -64).")
		return
	} else if b, err := mem.Read(d.Memory, at, contextSize32); err == nil {
		d.Context = b
	}
	d.Arch = X86
	for i := range d.u.Threads {
		t := &d.u.Threads[i]
		t.wow64 = found[t.ID]
	}
	d.note("WOW64", "This is an x86 program, and the dump was written by a 64-bit one: the x86 registers were taken from the memory of the threads.")
}

// wow64Context finds the x86 CONTEXT of a thread in memory.
func (d *minidump) wow64Context(t UserThread) (mem.VA, bool) {
	area, err := mem.ReadVA(d.Memory, t.TEB+wow64Slot)
	if err != nil || area == 0 {
		return 0, false
	}
	b, err := mem.Read(d.Memory, area+wow64Context, contextSize32)
	// CONTEXT_i386 stands in the flags, and code and stack below 4 GiB are not null.
	ok := err == nil && le.U32(b, 0)&0x10000 != 0 && le.U32(b, 0xb8) != 0 && le.U32(b, 0xc4) != 0
	return area + wow64Context, ok
}
