package kernel

import (
	"slices"

	"bugcheck/mem"
)

// probeLayouts finds, in a kernel that neither table nor symbols know, where the
// links of the lists of processes and threads stand: the list itself tells, as it
// goes through the current process or thread, whose address and size are known.
func (m *Machine) probeLayouts() {
	process, size := m.processAddress(), m.SizeOf("_EPROCESS")
	if process == 0 || size <= 0 {
		return
	}
	if m.Field("_EPROCESS", "ActiveProcessLinks") < 0 {
		if at, ok := m.linkInside(m.Header.ProcessHead, process, size); ok {
			m.structures.table["_EPROCESS ActiveProcessLinks"] = at
			m.probeProcessID(at)
		}
	}
	if m.Field("_EPROCESS", "ThreadListHead") < 0 {
		m.probeThreads(process, size)
	}
}

// linkInside is where in an object a list goes through it.
func (m *Machine) linkInside(head, object mem.VA, size int) (int, bool) {
	entries, _ := m.ring(m.Memory, head, maxProcesses) // a torn list may go through it too
	i := slices.IndexFunc(entries, func(e mem.VA) bool { return e >= object && e-object < mem.VA(size) })
	if i < 0 {
		return 0, false
	}
	return int(entries[i] - object), true
}

// probeProcessID takes the word before ActiveProcessLinks, where UniqueProcessId
// stands on every known kernel from 5.2 to 26100, if it is like a number that
// Windows gives: a multiple of four.
func (m *Machine) probeProcessID(links int) {
	at := links - m.Arch.PointerSize()
	if v := m.object(m.Blocks.Process).word(at); v != nil && *v%4 == 0 && *v < 1<<32 && *v != 0 {
		m.structures.table["_EPROCESS UniqueProcessId"] = at
	}
}

// probeThreads looks for a list head in the current process whose list goes through
// the current thread.
func (m *Machine) probeThreads(process mem.VA, size int) {
	thread := m.object(m.Blocks.PRCB).pointer(m.Field("_KPRCB", "CurrentThread"))
	o, width := m.object(m.Blocks.Process), m.Arch.PointerSize()
	for at := 0; at+2*width <= min(size, len(o.b)); at += width {
		head := process + mem.VA(at)
		first := o.pointer(at)
		if first == 0 || first == head || m.isUser(first) {
			continue
		}
		if back, err := m.pointer(first + mem.VA(width)); err != nil || back != head {
			continue
		}
		if link, ok := m.linkInside(head, thread, m.SizeOf("_ETHREAD")); ok {
			m.structures.table["_EPROCESS ThreadListHead"], m.structures.table["_ETHREAD ThreadListEntry"] = at, link
			return
		}
	}
}
