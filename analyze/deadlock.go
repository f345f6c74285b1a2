package analyze

import (
	"bugcheck/kernel"
	"bugcheck/report"
)

// Blocked is a thread of a ring of threads that wait for each other: it waits for a
// lock that the next one has, the last for one that the first has.
type Blocked struct {
	Process string
	Thread  uint64
	Driver  string // a third party's driver among the certain callers of the thread; ""
	Lock    uint64 // an ERESOURCE, that it waits for
}

// Limits on what is told of rings: by hand nobody follows more.
const (
	shownRings   = 2
	shownBlocked = 6
)

// deadlocks lists the rings among locks that threads wait for. Who waits for an ERESOURCE
// waits until he gets it
// (https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/nf-wdm-exacquireresourceexclusivelite),
// so a ring stays as it is.
func (c *collection) deadlocks(locks []kernel.Resource) [][]Blocked {
	rings := kernel.Deadlocks(locks)
	var list [][]Blocked
	for _, ring := range rings[:min(len(rings), shownRings)] {
		var threads []Blocked
		for _, w := range ring {
			threads = append(threads, c.blocked(w))
		}
		list = append(list, threads)
	}
	return list
}

func (c *collection) blocked(w kernel.LockWait) Blocked {
	var at Lock
	c.lockOwner(&at, w.Thread)
	return Blocked{Process: at.Process, Thread: at.Thread, Driver: at.Driver, Lock: uint64(w.Resource)}
}

// judgeDeadlocks says who waits for whom. A driver inside a ring has one lock and asks for
// another: that is its own doing, so it comes ahead of those that only have a lock, or a
// request. Which of several takes them in the wrong order, the dump does not say.
func (j *judgement) judgeDeadlocks(rings [][]Blocked) {
	for _, ring := range rings {
		j.evidence(report.Derived, report.T("list of resources"), report.T("Threads that wait for locks of each other in a ring (a deadlock): %d. None of them can go on, nor can whatever needs their locks.", len(ring)))
		for i, b := range ring[:min(len(ring), shownBlocked)] {
			next := ring[(i+1)%len(ring)]
			j.evidence(report.Recorded, report.T("list of resources"), report.T("Thread %d of %s waits for the lock (ERESOURCE) at 0x%x, which thread %d of %s has.", b.Thread, orUnknown(b.Process), b.Lock, next.Thread, orUnknown(next.Process)))
			if b.Driver != "" {
				j.evidence(report.Derived, report.T("stack of that thread"), report.T("Thread %d is inside %s.", b.Thread, b.Driver))
				j.suggest(b.Driver, report.T("a thread that is inside it has a lock and waits for another, in a ring of threads that wait for each other"))
			}
		}
	}
}
