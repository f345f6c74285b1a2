package analyze

import (
	"bugcheck/mem"
	"bugcheck/report"
)

// EXRESOURCE_TIMEOUT_LIVEDUMP (0x1CC): P1 the ERESOURCE, P2 the thread that waited, P3
// how often it was contended for, P4 the limit in seconds.
func collect1CC(c *collection) {
	r, err := c.m.Resource(mem.VA(c.facts.Parameters[0]))
	if len(r.Owners) > 0 {
		c.aboutThread(uint64(r.Owners[0].Thread))
	} else if err != nil {
		c.note("lock", report.T("It cannot be read: %v.", err.Error()))
	}
}

func judge1CC(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 to 4"), report.T("A thread waited more than %d s for the lock (ERESOURCE) at 0x%x; threads have had to wait for it %d times.", p[3], p[0], p[2]))
	if j.f.Thread != nil {
		j.evidence(report.Recorded, report.T("lock (parameter 1)"), report.T("The thread at 0x%x has the lock.", j.f.Thread.Address))
		j.judgeThread(report.T("lock (parameter 1)"))
	}
	j.detector()
}

func happened1CC(*Facts) report.Text {
	return report.T("a thread waited too long for a lock that another thread had")
}
