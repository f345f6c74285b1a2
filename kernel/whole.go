package kernel

import (
	"fmt"
	"slices"

	"bugcheck/mem"
	"bugcheck/report"
)

// whole reports that the dump holds physical memory and not a selection: what a
// small dump lists is then found in memory.
func (m *Machine) whole() bool { return m.Physical != nil && m.User == nil }

// readWhole finds in memory what a small dump carries in lists and blocks. The
// file is not changed: the machine has its own copy.
func (m *Machine) readWhole() {
	own := *m.File
	own.Notes = slices.Clip(own.Notes)
	m.File = &own
	m.findDebuggerData()
	m.readModules()
	m.readUnloaded()
}

// readCurrent finds the processor that crashed, and what ran on it.
func (m *Machine) readCurrent() {
	blocks, err := m.processorBlocks()
	m.noteError("processors", err)
	if len(blocks) == 0 {
		return
	}
	crashed, sure := m.crashedProcessor(blocks)
	if !sure && len(blocks) > 1 {
		m.note("processors", report.T("No processor's saved state is that of the header: which one crashed is not known, processor %d is taken.", crashed))
	}
	m.Blocks.PRCB = blocks[crashed].b
	m.processorAt = blocks[crashed].at
	thread := m.readCurrentThread()
	m.readCurrentProcess(thread)
	m.stacks = m.currentStacks()
	m.readStack()
}

// readCurrentThread reads the ETHREAD that the processor names.
func (m *Machine) readCurrentThread() object {
	at := m.object(m.Blocks.PRCB).pointer(m.Field("_KPRCB", "CurrentThread"))
	o, err := m.read("thread", at, m.SizeOf("_ETHREAD"))
	m.noteError("thread block", err)
	m.Blocks.Thread = o.b
	return o
}

// readCurrentProcess reads the EPROCESS that the thread runs in, and takes its
// address space for the machine's where the header's is another.
func (m *Machine) readCurrentProcess(thread object) {
	at := thread.pointer(m.Field("_KTHREAD", "ApcState.Process"))
	if at == 0 {
		return
	}
	o, err := m.read("process", at, m.SizeOf("_EPROCESS"))
	m.noteError("process block", err)
	m.Blocks.Process = o.b
	if space := m.spaceOf(o); space != nil {
		var b [8]byte
		if _, err := space.ReadAt(b[:], at); err == nil { // it maps the kernel
			m.Memory = space
		}
	}
}

// spaceOf is the address space of a process whose EPROCESS was read; nil if its
// page tables are not known.
func (m *Machine) spaceOf(process object) mem.Reader {
	root := process.pointer(m.Field("_KPROCESS", "DirectoryTableBase"))
	if root == 0 || m.Physical == nil {
		return nil
	}
	space := m.Space(mem.PA(root))
	if r, ok := m.Memory.(*mem.Recorder); ok {
		return r.Over(space)
	}
	return space
}

// readStack takes the words from the stack pointer to the end of its stack, as a
// small dump holds them.
func (m *Machine) readStack() {
	sp, ok := m.HeaderRegisters().SP()
	if !ok {
		return
	}
	top := mem.VA(sp)
	i := slices.IndexFunc(m.stacks, func(s StackRange) bool { return s.contains(top) })
	if i < 0 {
		i = len(m.stacks) // such as one of the interrupt stack table's, where that is not found
		m.stacks = append(m.stacks, StackRange{StackOther, top, top + min(m.stackSize(), -top)})
	}
	parts := m.pagesOf(top, min(m.stacks[i].End, top+min(maxStack, -top)))
	if len(parts) == 0 || parts[0].start != top {
		m.note("stack", report.T("What the stack pointer, %s, points to is not in the dump.", top.String()))
	} else {
		m.Blocks.Stack, m.Blocks.StackTop = parts[0].b, top
		if m.stacks[i].Kind == StackOther {
			m.stacks[i].End = top + mem.VA(len(parts[0].b))
		}
	}
	m.otherStacks = m.readOtherStacks(m.stacks[i])
}

// stackPart is captured words of a stack.
type stackPart struct {
	start mem.VA
	b     []byte
}

// stackParts are the words of the current thread's stacks: the one that the stack
// pointer lies on from there, then the others.
func (m *Machine) stackParts() []stackPart {
	if m.User != nil {
		return []stackPart{{b: m.userStack()}}
	}
	others := m.otherStacks
	if !m.whole() {
		others = m.threadStack()
	}
	return append([]stackPart{{m.Blocks.StackTop, m.Blocks.Stack}}, others...)
}

// threadStack is what a small dump holds of the thread's stack, where the processor
// stood on another one: of a double fault, of an interrupt.
func (m *Machine) threadStack() []stackPart {
	low, high, ok := m.StackLimits()
	if top := m.Blocks.StackTop; !ok || high-low > maxStack || top >= low && top < high {
		return nil
	}
	return m.pagesOf(low, high)
}

// readOtherStacks reads of whole memory what else may hold callers: the thread's
// stack, where the processor stands on another, and the program's.
func (m *Machine) readOtherStacks(current StackRange) []stackPart {
	var list []stackPart
	for _, s := range m.stacks {
		start := s.Start
		if s.Kind == StackUser {
			start = m.userStackPointer(s)
		}
		if s == current || s.Kind != StackThread && s.Kind != StackUser {
			continue
		}
		list = append(list, m.pagesOf(start, min(s.End, start+maxStack))...)
	}
	return list
}

// pagesOf reads what is in the dump from start to end: a kernel dump lacks a
// program's pages, others were paged out.
func (m *Machine) pagesOf(start, end mem.VA) []stackPart {
	var list []stackPart
	for at := start; at < end; {
		next := min(end, at&^(mem.PageSize-1)+mem.PageSize)
		b := make([]byte, next-at)
		n, _ := m.Memory.ReadAt(b, at)
		if last := len(list) - 1; last >= 0 && list[last].start+mem.VA(len(list[last].b)) == at {
			list[last].b = append(list[last].b, b[:n]...)
		} else if n > 0 {
			list = append(list, stackPart{at, b[:n]})
		}
		at = next
	}
	return list
}

// userStackPointer is where the program entered the kernel, as the trap frame of
// its thread says; the stack's start if that is not known.
func (m *Machine) userStackPointer(s StackRange) mem.VA {
	at := m.object(m.Blocks.Thread).pointer(m.Field("_KTHREAD", "TrapFrame"))
	if t, err := m.TrapFrameAt(at); err == nil && at != 0 && t.FromUser {
		if sp, ok := t.Registers.SP(); ok && s.contains(mem.VA(sp)) {
			return mem.VA(sp)
		}
	}
	return s.Start
}

// object is a block as a structure.
func (m *Machine) object(b []byte) object { return object{b, m.Arch} }

// maxObject is the size of the largest structure that is read whole, bytes: the
// KPRCB has some 53,000.
const maxObject = 1 << 18

// read reads a structure whole, as far as it is in the dump.
func (m *Machine) read(what string, at mem.VA, size int) (object, error) {
	return m.readFrom(m.Memory, what, at, size)
}

func (m *Machine) readFrom(memory mem.Reader, what string, at mem.VA, size int) (object, error) {
	if size <= 0 || size > maxObject {
		return object{}, fmt.Errorf("%s at %v: its size is not known", what, at)
	}
	b := make([]byte, size)
	n, err := memory.ReadAt(b, at)
	if err != nil {
		err = fmt.Errorf("%s at %v: %w", what, at, err)
	}
	return object{b[:n], m.Arch}, err
}

// currentStacks are the stacks that the crashed processor may have stood on, and
// that of the program.
func (m *Machine) currentStacks() []StackRange {
	list := m.processorStacks(processorBlock{object: m.object(m.Blocks.PRCB), at: m.processorAt})
	if s, ok := m.userStackOf(m.object(m.Blocks.Thread).pointer(m.Field("_KTHREAD", "Teb"))); ok {
		list = append(list, s)
	}
	return list
}
