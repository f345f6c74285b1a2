package analyze

import (
	"bugcheck/kernel"
	"bugcheck/report"
)

// Shares of a limit, percent, from which on a resource counts as short.
const (
	exhausted = 98 // the next request fails
	nearly    = 90
)

// greedy is the share of a pool or of all memory, percent, from which on one tag or
// process is named.
const greedy = 25

// Shortage is what had run out, and who held the most of it.
type Shortage struct {
	Evidence []report.Evidence
	Tag      string   // of pool, that holds a large part; ""
	Drivers  []string // whose code holds the tag
}

func (s *Shortage) add(trust string, text report.Text) {
	s.Evidence = append(s.Evidence, report.Evidence{Fact: text, Trust: trust})
}

// shortages says which resources were at their limits, and who held the most of them.
func shortages(t *report.Top) Shortage {
	var s Shortage
	m := &t.Memory
	if s.limit(report.T("commit charge (the memory that Windows has promised)"), m.Committed, m.CommitLimit) {
		if p := biggest(t.Processes, *m.Committed); p != nil {
			s.add(report.Recorded, report.T("The process that was promised the most is %s (%d): %d MiB.", p.Name, p.PID, *p.Commit>>20))
		}
		s.poolIn(t, *m.Committed)
	}
	if s.limit(report.T("nonpaged pool (the drivers' memory that always stays in RAM)"), m.NonPaged, m.NonPagedLimit) {
		s.holder(t.Pool, false, *m.NonPaged)
	}
	if s.limit(report.T("paged pool (the drivers' memory that may be paged out)"), m.Paged, m.PagedLimit) {
		s.holder(t.Pool, true, *m.Paged)
	}
	if percent, ok := share(m.Available, m.Physical); ok && percent <= 100-exhausted {
		s.add(report.Recorded, report.T("Hardly any physical memory was free: %d of %d MiB.", *m.Available>>20, *m.Physical>>20))
		if s.Tag == "" {
			s.poolIn(t, *m.Physical)
		}
	}
	return s
}

// biggest is the process that was promised the most, if that is a large part.
func biggest(list []report.TopProcess, committed uint64) *report.TopProcess {
	if len(list) == 0 || list[0].Commit == nil || committed == 0 || *list[0].Commit*100/committed < greedy {
		return nil
	}
	return &list[0]
}

// limit says that a resource was at its limit or close to it; false if it was not.
func (s *Shortage) limit(what report.Text, used, limit *uint64) bool {
	percent, ok := share(used, limit)
	switch {
	case !ok || percent < nearly:
		return false
	case percent >= exhausted:
		s.add(report.Recorded, report.T("The %s was at its limit: %d of %d MiB.", what, *used>>20, *limit>>20))
	default:
		s.add(report.Recorded, report.T("The %s was close to its limit: %d of %d MiB.", what, *used>>20, *limit>>20))
	}
	return true
}

// poolIn names the pool that makes up a large part of the memory that was used up:
// since Windows 8.1 a pool's own limit is beyond any machine's memory, so that a
// leak meets the limits of memory first.
func (s *Shortage) poolIn(t *report.Top, used uint64) {
	for _, p := range []struct {
		bytes *uint64
		paged bool
		says  func(uint64) report.Text
	}{
		{t.Memory.NonPaged, false, func(n uint64) report.Text {
			return report.T("Nonpaged pool, the drivers' memory, makes up %d MiB of that.", n)
		}},
		{t.Memory.Paged, true, func(n uint64) report.Text {
			return report.T("Paged pool, the drivers' memory, makes up %d MiB of that.", n)
		}},
	} {
		if p.bytes != nil && used > 0 && *p.bytes <= used && *p.bytes*100/used >= greedy {
			s.add(report.Recorded, p.says(*p.bytes>>20))
			s.holder(t.Pool, p.paged, *p.bytes)
		}
	}
}

// share is how much of a limit is used, percent; false where one is not known.
func share(used, limit *uint64) (percent uint64, ok bool) {
	if used == nil || limit == nil || *limit == 0 || *used > *limit*2 {
		return 0, false
	}
	return *used * 100 / *limit, true
}

// greediest is the tag that holds the most of a pool, by its place in the list.
func greediest(tags []report.TopPool, paged bool) (index int, bytes uint64) {
	for i, p := range tags {
		n := p.NonPaged
		if paged {
			n = p.Paged
		}
		if n > bytes {
			index, bytes = i, n
		}
	}
	return index, bytes
}

// holder names the tag that holds a large part of a pool, and its drivers.
func (s *Shortage) holder(tags []report.TopPool, paged bool, used uint64) {
	i, bytes := greediest(tags, paged)
	if used == 0 || bytes*100/used < greedy {
		return
	}
	most := tags[i]
	s.add(report.Recorded, report.T("Tag %s holds the most of it: %d MiB in %d blocks.", most.Tag, bytes>>20, most.Blocks))
	if len(most.Drivers) > 0 {
		s.add(report.Derived, report.T("That tag stands in the code of %s.", most.Drivers[0]))
	}
	if s.Tag == "" {
		s.Tag, s.Drivers = most.Tag, most.Drivers
	}
}

// shortage looks for what had run out, without a search for the drivers of every
// tag.
func (c *collection) shortage(processes []kernel.Process) Shortage {
	t := topper{m: c.m, r: &report.Top{}}
	for _, p := range processes {
		t.r.Processes = append(t.r.Processes, topProcess(p))
	}
	t.sortProcesses()
	list, _ := c.m.PoolUsage() // what of it can be read
	t.addPool(list, nil)
	t.memory()
	s := shortages(t.r)
	if s.Tag == "" {
		return s
	}
	t.r.Pool = nil
	t.addPool(list, c.m.TagDrivers(s.Tag))
	return shortages(t.r)
}
