package analyze

import (
	"cmp"
	"slices"
	"time"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// Stuck is what did not go on in a machine that somebody stopped.
type Stuck struct {
	Requests  []Pending   // with drivers of third parties, or on their devices, one of each, the likeliest to be stuck first
	Locks     []Lock      // that threads wait for
	Deadlocks [][]Blocked // rings of threads that wait for each other
	Short     Shortage
}

// Lock is an ERESOURCE that threads wait for.
type Lock struct {
	Address uint64
	Process string // of the thread that has it
	Thread  uint64
	Waiters int
	Driver  string // a third party's driver among the certain callers of that thread; ""
}

// Limits on what is looked at, so that a machine of many threads is no slower than
// it must be, and what is told of it.
const (
	maxStuckThreads  = 1 << 15
	maxStuckRequests = 4096
	shownRequests    = 3
	shownLocks       = 3
)

// longWait is longer than a request takes that is well.
const longWait = 10 * time.Second

// stopsByHand are the codes by which somebody stops a machine.
var stopsByHand = map[uint32]bool{0xe2: true, 0x1c8: true, 0xdeaddead: true}

// waitCodes are those by which a watchdog says that somebody waited in vain.
var waitCodes = map[uint32]bool{0x14f: true, 0x19c: true, 0x1a1: true, 0x1cc: true, 0x1d5: true}

// isHang reports that what matters is what did not go on: somebody stopped the
// machine, or Windows waited in vain for it (0x9F 4: for the lock of Plug and Play),
// or it only wrote down what it saw.
func isHang(f *Facts) bool {
	return stopsByHand[f.Code] || waitCodes[f.Code] || f.Code == 0x9f && f.Parameters[0] == pnpLocked || f.Live && ruleFor(f.Code).judge == nil
}

func (c *collection) collectStuck() {
	if !isHang(&c.facts) {
		return
	}
	processes, err := c.m.Processes()
	if err != nil && len(processes) == 0 {
		return
	}
	s := &Stuck{}
	s.Requests = c.stuckRequests(processes)
	locks, _ := c.m.Resources(kernel.Resource.Contended) // those that can be read
	s.Locks, s.Deadlocks = c.stuckLocks(locks), c.deadlocks(locks)
	s.Short = c.shortage(processes)
	c.facts.Stuck = s
}

// stuckRequests lists requests that threads have waited for.
func (c *collection) stuckRequests(processes []kernel.Process) []Pending {
	kept := map[string]*Pending{}
	threads, requests := 0, 0
	for _, p := range processes {
		list, _ := c.m.Threads(p) // those that can be read
		for _, t := range list {
			if threads++; threads > maxStuckThreads || requests > maxStuckRequests {
				break
			}
			if !waitsForIO(t) {
				continue
			}
			irps, _ := c.m.ThreadIRPs(t.Address)
			requests += len(irps)
			for _, r := range irps {
				keepLikeliest(kept, c.waiting(r, p, t))
			}
		}
	}
	found := make([]Pending, 0, len(kept))
	for _, p := range kept {
		found = append(found, *p)
	}
	slices.SortFunc(found, compareStuck)
	return found[:min(len(found), shownRequests)]
}

// waitsForIO reports a thread that has waited long inside the kernel: for a request
// that it made (Executive), or as it ends for one to be cancelled (DelayExecution).
// One that waits in its own code (UserRequest, WrQueue) has its requests open by
// choice.
func waitsForIO(t kernel.Thread) bool {
	return t.State == kernel.Waiting && t.Waited >= longWait && (t.WaitReason == "Executive" || t.WaitReason == "DelayExecution")
}

func (c *collection) waiting(r kernel.Request, p kernel.Process, t kernel.Thread) Pending {
	out := pending(c.m, r)
	out.Process, out.Waited = p.Name, t.Waited
	if t.ID != nil {
		out.Thread = *t.ID
	}
	return out
}

// overdue is how much speaks for a request that is stuck, not held by design. A driver that
// may hold requests for long has to set a routine that cancels them, and to complete at once
// what is cancelled
// (https://learn.microsoft.com/windows-hardware/drivers/kernel/introduction-to-cancel-routines).
func (p Pending) overdue() int {
	switch {
	case p.Cancelled:
		return 2
	case p.Fixed:
		return 1
	}
	return 0
}

// compareStuck puts the request first that is the likelier to be stuck: one that a third
// party's driver has itself, one that is overdue, the older one.
func compareStuck(a, b Pending) int {
	return cmp.Or(cmp.Compare(len(a.Filters), len(b.Filters)), cmp.Compare(b.overdue(), a.overdue()), cmp.Compare(b.Waited, a.Waited), cmp.Compare(a.Driver, b.Driver))
}

// keepLikeliest keeps of each driver that is no part of Windows one request.
func keepLikeliest(kept map[string]*Pending, p Pending) {
	suspect := p.suspect()
	if suspect == "" {
		return
	}
	if old := kept[suspect]; old != nil {
		p.More = old.More + 1
		if compareStuck(*old, p) <= 0 {
			old.More = p.More
			return
		}
	}
	kept[suspect] = &p
}

// stuckLocks lists the locks that the most threads wait for.
func (c *collection) stuckLocks(list []kernel.Resource) []Lock {
	list = slices.Clone(list)
	waiters := func(r kernel.Resource) int { return int(r.ExclusiveWaiters.Count + r.SharedWaiters.Count) }
	slices.SortStableFunc(list, func(a, b kernel.Resource) int { return cmp.Compare(waiters(b), waiters(a)) })
	var locks []Lock
	for _, r := range list[:min(len(list), shownLocks)] {
		l := Lock{Address: uint64(r.Address), Waiters: waiters(r)}
		c.lockOwner(&l, r.Owners[0].Thread)
		locks = append(locks, l)
	}
	return locks
}

// lockOwner says who has a lock, and which driver is at work there.
func (c *collection) lockOwner(l *Lock, thread mem.VA) {
	t, err := c.m.ThreadAt(thread)
	if err != nil {
		return
	}
	if t.ID != nil {
		l.Thread = *t.ID
	}
	if p, err := c.m.ProcessAt(t.Process); err == nil {
		l.Process = p.Name
	}
	l.Driver = driverOf(c.m, t)
}

// driverOf is the first driver of a third party among the certain callers of a
// thread; "" if there is none.
func driverOf(m *kernel.Machine, t kernel.Thread) string {
	frames, _ := m.ThreadStack(t) // as far as it goes
	for _, f := range kernelFrames(m, frames) {
		if f.Trust == report.TrustScan {
			return ""
		}
		if thirdParty(f.Image) {
			return f.Image
		}
	}
	return ""
}

// judgeStuck says what did not go on. Whose fault it is, it does not prove: some
// drivers keep requests by design until they have something to report.
func (j *judgement) judgeStuck() {
	s := j.f.Stuck
	if s == nil {
		return
	}
	j.judgeDeadlocks(s.Deadlocks)
	j.v.Evidence = append(j.v.Evidence, s.Short.Evidence...)
	for _, d := range thirdParties(s.Short.Drivers) {
		j.suggest(d, report.T("its tag %s holds the most of the pool that was used up", tagWord(s.Short.Tag)))
	}
	for _, l := range s.Locks {
		j.evidence(report.Recorded, report.T("list of resources"), report.T("Threads that wait for the lock (ERESOURCE) at 0x%x: %d. Thread %d of %s has it.", l.Address, l.Waiters, l.Thread, orUnknown(l.Process)))
		if l.Driver != "" {
			j.evidence(report.Derived, report.T("stack of that thread"), report.T("That thread is inside %s.", l.Driver))
			j.suggest(l.Driver, report.T("a thread that is inside it has a lock that others wait for"))
		}
	}
	for _, p := range s.Requests {
		j.evidence(report.Recorded, report.T("requests of the threads"), report.T("Thread %d of %s has waited %s inside the kernel; its request (%s) is with %s.", p.Thread, p.Process, report.Span(p.Waited), p.what(), p.at()))
		if !thirdParty(p.Driver) {
			j.judgeFilters(p)
			continue
		}
		j.suggest(p.Driver, p.whyStuck())
	}
}

// whyStuck is what speaks against the driver that keeps a request.
func (p Pending) whyStuck() report.Text {
	switch {
	case p.Cancelled:
		return report.T("it was told to give up a request (%s) that a thread of %s waits for, and has not done so", p.what(), p.Process)
	case p.Fixed:
		return report.T("it keeps a thread of %s waiting for a request (%s) that nothing can cancel: a driver that holds requests for long has to see to that", p.Process, p.what())
	}
	return report.T("it keeps a thread of %s waiting for a request (%s); some drivers do that by design", p.Process, p.what())
}
