package analyze

import (
	"cmp"
	"slices"
	"time"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// Top says what the machine's resources were used for when it crashed: processors,
// processes, pool, memory against its limits, and what of it was short. file and
// version as in Report.
func Top(m *kernel.Machine, file, version string) *report.Top {
	r := &report.Top{
		Schema:   report.Schema,
		Tool:     report.Tool{Name: "bugcheck", Version: version},
		Dump:     dumpOf(m, file),
		System:   system(m),
		Pressure: []report.Evidence{},
		Notes:    slices.Clone(m.Notes),
	}
	f := Facts{RawCode: m.Header.BugCheckCode, Code: win.BaseCode(m.Header.BugCheckCode), Parameters: m.Header.Parameters}
	if code, ok := win.English.Code(f.Code); ok {
		f.Name = code.Name
	}
	r.Bugcheck = bugcheck(&f)
	t := topper{m: m, r: r}
	t.processes()
	t.processors()
	t.pool()
	t.memory()
	r.Pressure = append(r.Pressure, shortages(r).Evidence...)
	return r
}

// topper fills a Top.
type topper struct {
	m *kernel.Machine
	r *report.Top
}

// note names what could not be read to its end.
func (t *topper) note(where string, err error) {
	if err != nil {
		t.r.Notes = append(t.r.Notes, report.Note{Where: where, Text: report.T("It cannot be read to its end: %v.", err.Error())})
	}
}

func (t *topper) processes() {
	list, err := t.m.Processes()
	t.note("processes", err)
	for _, p := range list {
		x := topProcess(p)
		t.r.Processes = append(t.r.Processes, x)
		t.r.Threads += x.Threads
	}
	t.sortProcesses()
}

func (t *topper) sortProcesses() {
	slices.SortStableFunc(t.r.Processes, func(a, b report.TopProcess) int { return cmp.Compare(held(b), held(a)) })
}

// held is the memory by which processes are ordered: what they were promised, else
// what they had in memory.
func held(p report.TopProcess) uint64 {
	switch {
	case p.Commit != nil:
		return *p.Commit
	case p.WorkingSet != nil:
		return *p.WorkingSet
	}
	return 0
}

func topProcess(p kernel.Process) report.TopProcess {
	x := report.TopProcess{
		Name: p.Name, Path: p.Path, Command: p.CommandLine, Session: p.Session,
		Started: known(p.Created), Exited: known(p.Exited),
		WorkingSet: p.WorkingSet, Commit: p.Commit, Virtual: p.VirtualSize,
	}
	if p.PID != nil {
		x.PID = *p.PID
	}
	if p.Parent != nil {
		x.Parent = *p.Parent
	}
	if p.Handles != nil {
		n := uint64(*p.Handles)
		x.Handles = &n
	}
	if p.Threads != nil {
		x.Threads = int(*p.Threads)
	}
	if cpu := (p.KernelTime + p.UserTime).Seconds(); cpu > 0 {
		x.CPUSeconds = &cpu
	}
	return x
}

// known is a time, or nil for none.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (t *topper) processors() {
	list, err := t.m.Processors()
	t.note("processors", err)
	for i, p := range list {
		x := report.TopProcessor{Number: uint32(i), Crashed: p.Crashed, IRQL: p.IRQL, Idle: p.Thread != 0 && p.Thread == p.IdleThread}
		if p.Number != nil {
			x.Number = *p.Number
		}
		if pc, ok := p.Registers.PC(); ok && pc != 0 {
			x.At = t.codeAt(mem.VA(pc))
		}
		if p.DPCActive && p.DPCRoutine != 0 {
			x.DPC = t.codeAt(p.DPCRoutine)
		}
		for _, q := range p.DPCs {
			for _, d := range q.Queued {
				x.DPCQueue = append(x.DPCQueue, t.codeAt(d.Routine))
			}
		}
		t.times(&x, p)
		t.thread(&x, p.Thread)
		t.r.Processors = append(t.r.Processors, x)
	}
}

// times are shares of a processor's time since the start of Windows.
func (t *topper) times(x *report.TopProcessor, p kernel.Processor) {
	up := t.m.Header.Uptime
	if up <= 0 {
		return
	}
	share := func(d time.Duration) *float64 {
		if d <= 0 || d > up {
			return nil
		}
		v := float64(d) / float64(up) * 100
		return &v
	}
	x.Interrupt, x.DPCTime, x.Kernel, x.User = share(p.InterruptTime), share(p.DPCTime), share(p.KernelTime), share(p.UserTime)
}

// thread says whose thread a processor was running.
func (t *topper) thread(x *report.TopProcessor, at mem.VA) {
	if at == 0 || x.Idle {
		return
	}
	thread, _ := t.m.ThreadAt(at) // what of it is there
	x.Thread = thread.ID
	if process, err := t.m.ProcessAt(thread.Process); err == nil {
		x.Process, x.PID = process.Name, process.PID
	}
}

// codeAt names a place in code: module!function+0x1c, or its address.
func (t *topper) codeAt(va mem.VA) string {
	p := place(t.m, uint64(va))
	if p.Kind == PlaceModule {
		return p.at()
	}
	return va.String()
}

// poolOwners is for how many of the largest tags the drivers are looked for.
const poolOwners = 32

func (t *topper) pool() {
	list, err := t.m.PoolUsage()
	t.note("pool tags", err)
	var tags []string
	for _, p := range list[:min(len(list), poolOwners)] {
		tags = append(tags, p.Tag)
	}
	t.addPool(list, t.m.TagDrivers(tags...))
}

func (t *topper) addPool(list []kernel.PoolTag, drivers map[string][]string) {
	for _, p := range list {
		t.r.Pool = append(t.r.Pool, report.TopPool{
			Tag: p.Tag, NonPaged: p.NonPaged.Bytes, Paged: p.Paged.Bytes,
			Blocks: p.NonPaged.Blocks() + p.Paged.Blocks(), Drivers: drivers[p.Tag],
		})
	}
}

// pageSize is that of the memory manager's counts, bytes.
const pageSize = 4096

func (t *topper) memory() {
	v, err := t.m.VirtualMemory()
	t.note("memory", err)
	m := &t.r.Memory
	for _, f := range []struct {
		to    **uint64
		pages *uint64
	}{
		{&m.Physical, v.Physical}, {&m.Available, v.Available}, {&m.Committed, v.Committed}, {&m.CommitLimit, v.CommitLimit},
		{&m.CommitPeak, v.CommitPeak}, {&m.NonPaged, v.NonPagedPool}, {&m.NonPagedLimit, v.NonPagedPoolMax},
		{&m.Paged, v.PagedPool}, {&m.PagedLimit, v.PagedPoolMax},
	} {
		if f.pages != nil {
			bytes := *f.pages * pageSize
			*f.to = &bytes
		}
	}
	m.NonPagedLimit, m.PagedLimit = lesser(m.NonPagedLimit, m.Physical), lesser(m.PagedLimit, m.CommitLimit)
	t.poolOfTags()
}

// lesser is the smaller of two limits. The address space that is set aside for a pool
// is far larger than what backs it: RAM for nonpaged pool, commit for paged pool.
func lesser(a, b *uint64) *uint64 {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}

// poolOfTags takes the sum of the tags for what a pool holds, where nobody counts it.
func (t *topper) poolOfTags() {
	if len(t.r.Pool) == 0 {
		return
	}
	var nonPaged, paged uint64
	for _, p := range t.r.Pool {
		nonPaged += p.NonPaged
		paged += p.Paged
	}
	if t.r.Memory.NonPaged == nil {
		t.r.Memory.NonPaged = &nonPaged
	}
	if t.r.Memory.Paged == nil {
		t.r.Memory.Paged = &paged
	}
}
