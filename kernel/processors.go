package kernel

import (
	"fmt"
	"slices"
	"time"

	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/report"
)

// Limits on what is said of processors.
const (
	maxProcessors = 2048 // of a machine that Windows runs on
	maxQueuedDPCs = 4096 // of one queue: more than a hundred are rare
)

// StackRange is a stack that a processor may stand on.
type StackRange struct {
	Kind       string // one of the words below
	Start, End mem.VA
}

// The kinds of stacks.
const (
	StackThread    = "thread"
	StackDPC       = "dpc"
	StackISR       = "isr"
	StackException = "exception"
	StackIST       = "ist" // one of the interrupt stack table's: double fault, NMI, machine check
	StackUser      = "user"
	StackOther     = "other" // nothing says whose it is
)

func (s StackRange) contains(va mem.VA) bool { return va >= s.Start && va < s.End }

// DPC is a deferred procedure call: a KDPC.
type DPC struct {
	Address, Routine, Context mem.VA
}

// DPCQueue is one of a processor's two: that of normal DPCs, that of threaded ones.
type DPCQueue struct {
	Depth  uint32 // what the kernel counts
	Count  uint32 // DPCs queued since the start of Windows
	Queued []DPC  // in the order in which they will run
	Active mem.VA // the KDPC that runs; zero: none, or this kernel does not say
}

// processorBlock is a KPRCB and where it lies.
type processorBlock struct {
	object
	at    mem.VA
	index int // in KiProcessorBlock
}

// processorBlocks reads the KPRCBs that KiProcessorBlock points to.
func (m *Machine) processorBlocks() ([]processorBlock, error) {
	array := m.variable(kdbgProcessorBlock)
	if array == 0 {
		return nil, fmt.Errorf("KiProcessorBlock: its address is not known")
	}
	count, width := int(min(m.Header.Processors, maxProcessors)), mem.VA(m.Arch.PointerSize())
	if count == 0 {
		count = maxProcessors
	}
	var list []processorBlock
	var first error
	for i := range count {
		at, err := m.pointer(array + mem.VA(i)*width)
		if err == nil && at == 0 {
			break
		}
		var o object
		if err == nil {
			o, err = m.read("KPRCB", at, m.SizeOf("_KPRCB"))
		}
		if err != nil && first == nil {
			first = fmt.Errorf("processor %d: %w", i, err)
		}
		if len(o.b) > 0 {
			list = append(list, processorBlock{o, at, i})
		}
	}
	return list, first
}

// Marks of how well a processor fits the header's registers.
const (
	fitsNot     = iota
	fitsStack   // the stack pointer lies on one of its stacks
	fitsThread  // … on that of its thread
	fitsContext // it saved the same registers
)

// crashedProcessor finds the one that called KeBugCheckEx: the dump header does not
// say its number, but has its registers. It saved the same ones in its KPRCB.
func (m *Machine) crashedProcessor(blocks []processorBlock) (index int, sure bool) {
	best := fitsNot
	for i, b := range blocks {
		if fits := m.fit(b); fits > best {
			index, best = i, fits
		}
	}
	return index, best > fitsNot
}

func (m *Machine) fit(b processorBlock) int {
	regs := m.HeaderRegisters()
	for _, saved := range []report.Registers{m.savedRegisters(b.object), m.contextOf(b.object)} {
		if sameCode(regs, saved) {
			return fitsContext
		}
	}
	sp, ok := regs.SP()
	if !ok {
		return fitsNot
	}
	for _, s := range m.processorStacks(b) {
		switch {
		case !s.contains(mem.VA(sp)):
		case s.Kind == StackThread:
			return fitsThread
		default:
			return fitsStack
		}
	}
	return fitsNot
}

// sameCode compares instruction and stack pointers.
func sameCode(a, b report.Registers) bool {
	pc1, ok1 := a.PC()
	pc2, ok2 := b.PC()
	sp1, _ := a.SP()
	sp2, _ := b.SP()
	return ok1 && ok2 && pc1 != 0 && pc1 == pc2 && sp1 == sp2
}

// savedRegisters are those of KPRCB.ProcessorState.ContextFrame: what a processor
// stood at when it was stopped.
func (m *Machine) savedRegisters(prcb object) report.Registers {
	at := m.Field("_KPRCB", "ProcessorState.ContextFrame")
	if at < 0 || at > len(prcb.b) {
		return nil
	}
	return m.decodeContext(prcb.b[at:])
}

// contextOf are those of the CONTEXT that KPRCB.Context points to, on Windows 7 and
// later.
func (m *Machine) contextOf(prcb object) report.Registers {
	at := prcb.pointer(m.Field("_KPRCB", "Context"))
	if at == 0 {
		return nil
	}
	regs, _ := m.ContextAt(at) // nil where it is missing
	return regs
}

// stackSize is that of a kernel stack, bytes ("Using the Kernel Stack" in
// Microsoft's documentation; ARM64's is at most as large).
func (m *Machine) stackSize() mem.VA {
	switch m.Arch {
	case dump.X86:
		return 0x3000
	case dump.ARM64:
		return 0x8000
	}
	return 0x6000
}

// processorStacks lists the stacks of a processor and of the thread that runs on
// it, that one first.
func (m *Machine) processorStacks(b processorBlock) []StackRange {
	var list []StackRange
	thread := b.pointer(m.Field("_KPRCB", "CurrentThread"))
	limit, base := m.Field("_KTHREAD", "StackLimit"), m.Field("_KTHREAD", "StackBase")
	if o, _ := m.read("thread", thread, max(limit, base)+8); o.pointer(base) > o.pointer(limit) && o.pointer(limit) != 0 {
		list = append(list, StackRange{StackThread, o.pointer(limit), o.pointer(base)})
	}
	add := func(kind string, top mem.VA) {
		if top > m.stackSize() {
			list = append(list, StackRange{kind, top - m.stackSize(), top})
		}
	}
	add(StackDPC, b.pointer(m.Field("_KPRCB", "DpcStack")))
	add(StackISR, b.pointer(m.Field("_KPRCB", "IsrStack")))
	add(StackException, b.pointer(m.Field("_KPRCB", "ExceptionStack")))
	for _, top := range m.interruptStacks(b.at) {
		add(StackIST, top)
	}
	return list
}

// smallDumpStacks finds the stacks that the processor of a small dump may have stood
// on: its thread's, those that its KPRCB names, and the one that the dump holds.
func (m *Machine) smallDumpStacks() {
	base, ok := m.stackBase()
	if m.whole() || m.User != nil || !ok || len(m.Blocks.PRCB) == 0 {
		return
	}
	low, _, known := m.StackLimits()
	if !known {
		low = base - min(base, maxStack)
	}
	m.stacks = []StackRange{{StackThread, low, base}}
	prcb := m.object(m.Blocks.PRCB)
	for _, s := range []struct{ kind, field string }{{StackDPC, "DpcStack"}, {StackISR, "IsrStack"}, {StackException, "ExceptionStack"}} {
		if top := prcb.pointer(m.Field("_KPRCB", s.field)); top > m.stackSize() {
			m.stacks = append(m.stacks, StackRange{s.kind, top - m.stackSize(), top})
		}
	}
	top, size := m.Blocks.StackTop, mem.VA(len(m.Blocks.Stack))
	i := slices.IndexFunc(m.stacks, func(s StackRange) bool { return s.contains(top) })
	if i < 0 {
		i = len(m.stacks)
		m.stacks = append(m.stacks, StackRange{StackOther, top, top + size})
	}
	m.otherStacks = m.readOtherStacks(m.stacks[i])
}

// The interrupt stack table of a KTSS64 (dt nt!_KTSS64; the processor's manual):
// eight stack pointers, the first of them not used. KPCR holds TssBase at 8.
const (
	pcrTSS  = 0x8
	tssIST  = 0x1c
	tssSize = 0x68
)

// interruptStacks are the tops of the stacks of an x64 processor's table.
func (m *Machine) interruptStacks(prcb mem.VA) []mem.VA {
	inside := m.Field("_KPCR", "Prcb")
	if m.Arch != dump.X64 || inside <= 0 {
		return nil
	}
	tss, err := mem.ReadVA(m.Memory, prcb-mem.VA(inside)+pcrTSS)
	if err != nil {
		return nil
	}
	b, err := mem.Read(m.Memory, tss, tssSize)
	if err != nil {
		return nil
	}
	var tops []mem.VA
	for i := 1; i < 8; i++ {
		if top := (object{b, m.Arch}).pointer(tssIST + 8*i); top != 0 {
			tops = append(tops, top)
		}
	}
	return tops
}

// Processors lists the machine's processors. What was read is returned beside the
// error. A small dump has the one that crashed.
func (m *Machine) Processors() ([]Processor, error) {
	if !m.whole() {
		p := m.Processor()
		m.describeDPC(&p, m.object(m.Blocks.PRCB))
		return []Processor{p}, nil
	}
	blocks, err := m.processorBlocks()
	var list []Processor
	for _, b := range blocks {
		p := m.processor(b.object)
		if p.Number == nil {
			n := uint32(b.index)
			p.Number = &n
		}
		m.describeProcessor(&p, b)
		if b.at == m.processorAt {
			p.Crashed, p.Registers = true, m.HeaderRegisters()
		}
		var queues error
		if p.DPCs, queues = m.dpcQueues(b); queues != nil && err == nil {
			err = fmt.Errorf("processor %d: %w", *p.Number, queues)
		}
		list = append(list, p)
	}
	return list, err
}

// ProcessorAt reads the KPRCB at an address: a stop code may point to that of another
// processor than the one that crashed. What was read is returned beside the error.
func (m *Machine) ProcessorAt(va mem.VA) (Processor, error) {
	o, err := m.read("processor block", va, m.SizeOf("_KPRCB"))
	if err != nil {
		return Processor{}, err
	}
	p := m.processor(o)
	m.describeProcessor(&p, processorBlock{object: o, at: va})
	return p, nil
}

// describeProcessor fills in what only whole memory holds.
func (m *Machine) describeProcessor(p *Processor, b processorBlock) {
	f := func(name string) int { return m.Field("_KPRCB", name) }
	p.Address = b.at
	p.Thread, p.NextThread, p.IdleThread = b.pointer(f("CurrentThread")), b.pointer(f("NextThread")), b.pointer(f("IdleThread"))
	p.Registers, p.Stacks = m.savedRegisters(b.object), m.processorStacks(b)
	if at := f("DebuggerSavedIRQL"); b.has(at, 1) && b.b[at] <= maxIRQL {
		p.IRQL = &b.b[at]
	}
	tick := m.Tick()
	p.KernelTime, p.UserTime = ticks(b.maybe32(f("KernelTime")), tick), ticks(b.maybe32(f("UserTime")), tick)
	p.DPCTime, p.InterruptTime = ticks(b.maybe32(f("DpcTime")), tick), ticks(b.maybe32(f("InterruptTime")), tick)
	p.Interrupts, p.ContextSwitches = b.maybe32(f("InterruptCount")), b.maybe32(f("KeContextSwitches"))
	m.describeDPC(p, b.object)
	p.Watchdog = DPCWatchdog{
		Running: ticks(b.maybe32(f("DpcTimeCount")), tick), RunningLimit: ticks(b.maybe32(firstKnown(f("DpcTimeLimit"), f("DpcTimeLimitTicks"))), tick),
		Total: ticks(b.maybe32(f("DpcWatchdogCount")), tick), TotalLimit: ticks(b.maybe32(firstKnown(f("DpcWatchdogPeriod"), f("DpcWatchdogPeriodTicks"))), tick),
	}
}

// describeDPC says which DPC runs: CurrentDpcRoutine, which Windows Server 2022 and
// later have, else that of the active KDPC. Both keep what ran last.
func (m *Machine) describeDPC(p *Processor, prcb object) {
	p.DPCActive = prcb.u8(m.Field("_KPRCB", "DpcRoutineActive")) != 0
	if p.DPCRoutine = prcb.pointer(m.Field("_KPRCB", "CurrentDpcRoutine")); p.DPCRoutine != 0 || !p.DPCActive {
		return
	}
	data, active := m.Field("_KPRCB", "DpcData"), m.Field("_KDPC_DATA", "ActiveDpc")
	if data < 0 || active < 0 {
		return
	}
	if at := prcb.pointer(data + active); at != 0 {
		d, _ := m.DPCAt(at) // a small dump may lack it
		p.DPCRoutine = d.Routine
	}
}

func firstKnown(a, b int) int {
	if a >= 0 {
		return a
	}
	return b
}

// Tick is the time between two clock interrupts, KeTimeIncrement; zero if it is
// not in the dump.
func (m *Machine) Tick() time.Duration {
	v, err := mem.ReadU32(m.Memory, m.variable(kdbgTimeIncrement))
	if err != nil {
		return 0
	}
	return time.Duration(v) * 100
}

// ticks is a number of ticks as time; zero if it is not known.
func ticks(n *uint32, tick time.Duration) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * tick
}

// dpcQueues reads KPRCB.DpcData: the queue of normal DPCs, then that of threaded
// ones.
func (m *Machine) dpcQueues(b processorBlock) ([]DPCQueue, error) {
	at, size := m.Field("_KPRCB", "DpcData"), m.SizeOf("_KDPC_DATA")
	if at < 0 || size <= 0 || !b.has(at, 2*size) {
		return nil, nil
	}
	var list []DPCQueue
	var first error
	for i := range 2 {
		q, err := m.dpcQueue(object{b.b[at+i*size : at+(i+1)*size], m.Arch})
		if err != nil && first == nil {
			first = err
		}
		list = append(list, q)
	}
	return list, first
}

// dpcQueue follows a KDPC_LIST (dt, Windows 8.1 and later): single links from
// ListHead on to zero.
func (m *Machine) dpcQueue(o object) (DPCQueue, error) {
	f := func(name string) int { return m.Field("_KDPC_DATA", name) }
	q := DPCQueue{Depth: o.u32(f("DpcQueueDepth")), Count: o.u32(f("DpcCount")), Active: o.pointer(f("ActiveDpc"))}
	link := mem.VA(max(m.Field("_KDPC", "DpcListEntry"), 0))
	seen := map[mem.VA]bool{}
	for next := o.pointer(f("DpcList")); next != 0; {
		if seen[next] {
			return q, fmt.Errorf("DPC queue, entry %d: the list comes back to %v", len(q.Queued), next)
		}
		if len(q.Queued) == maxQueuedDPCs {
			return q, fmt.Errorf("DPC queue, %d: %w", maxQueuedDPCs, errLimit)
		}
		seen[next] = true
		d, err := m.DPCAt(next - link)
		if err != nil {
			return q, fmt.Errorf("DPC queue, entry %d: %w", len(q.Queued), err)
		}
		q.Queued = append(q.Queued, d)
		if next, err = m.pointer(next); err != nil {
			return q, fmt.Errorf("DPC queue, entry %d: %w", len(q.Queued), err)
		}
	}
	return q, nil
}

// DPCAt reads a KDPC.
func (m *Machine) DPCAt(va mem.VA) (DPC, error) {
	routine, context := m.Field("_KDPC", "DeferredRoutine"), m.Field("_KDPC", "DeferredContext")
	o, err := m.read("KDPC", va, max(routine, context)+8)
	return DPC{Address: va, Routine: o.pointer(routine), Context: o.pointer(context)}, err
}
