package analyze

import "bugcheck/report"

// Shares of a limit, percent, from which on a resource counts as short.
const (
	exhausted = 98 // the next request fails
	nearly    = 90
)

// greedy is the share of a pool, percent, from which on one tag is named.
const greedy = 25

// shortages says which resources were at their limits, and who held the most of them.
func shortages(t *report.Top) []report.Evidence {
	var list []report.Evidence
	add := func(trust string, text report.Text) {
		list = append(list, report.Evidence{Fact: text, Trust: trust})
	}
	m := &t.Memory
	for _, r := range []struct {
		what        report.Text
		used, limit *uint64
		paged       *bool // of a pool: which; nil: no pool
	}{
		{report.T("commit charge (the memory that Windows has promised)"), m.Committed, m.CommitLimit, nil},
		{report.T("nonpaged pool (the drivers' memory that always stays in RAM)"), m.NonPaged, m.NonPagedLimit, new(bool)},
		{report.T("paged pool (the drivers' memory that may be paged out)"), m.Paged, m.PagedLimit, yes()},
	} {
		percent, ok := share(r.used, r.limit)
		switch {
		case !ok || percent < nearly:
			continue
		case percent >= exhausted:
			add(report.Recorded, report.T("The %s was at its limit: %d of %d MiB.", r.what, *r.used>>20, *r.limit>>20))
		default:
			add(report.Recorded, report.T("The %s was close to its limit: %d of %d MiB.", r.what, *r.used>>20, *r.limit>>20))
		}
		if r.paged != nil {
			list = append(list, holder(t.Pool, *r.paged, *r.used)...)
		} else if len(t.Processes) > 0 && t.Processes[0].Commit != nil {
			p := t.Processes[0]
			add(report.Recorded, report.T("The process that was promised the most is %s (%d): %d MiB.", p.Name, p.PID, *p.Commit>>20))
		}
	}
	if percent, ok := share(m.Available, m.Physical); ok && percent <= 100-exhausted {
		add(report.Recorded, report.T("Hardly any physical memory was free: %d of %d MiB.", *m.Available>>20, *m.Physical>>20))
	}
	return list
}

func yes() *bool {
	v := true
	return &v
}

// share is how much of a limit is used, percent; false where one is not known.
func share(used, limit *uint64) (percent uint64, ok bool) {
	if used == nil || limit == nil || *limit == 0 || *used > *limit*2 {
		return 0, false
	}
	return *used * 100 / *limit, true
}

// holder names the tag that holds a large part of a pool, and its drivers.
func holder(tags []report.TopPool, paged bool, used uint64) []report.Evidence {
	var most report.TopPool
	bytes := func(p report.TopPool) uint64 {
		if paged {
			return p.Paged
		}
		return p.NonPaged
	}
	for _, p := range tags {
		if bytes(p) > bytes(most) {
			most = p
		}
	}
	if used == 0 || bytes(most)*100/used < greedy {
		return nil
	}
	list := []report.Evidence{{Trust: report.Recorded, Fact: report.T("Tag %s holds the most of it: %d MiB in %d blocks.", most.Tag, bytes(most)>>20, most.Blocks)}}
	if len(most.Drivers) > 0 {
		list = append(list, report.Evidence{Trust: report.Derived, Fact: report.T("That tag stands in the code of %s.", most.Drivers[0])})
	}
	return list
}
