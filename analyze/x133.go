package analyze

import "bugcheck/report"

// DPC_WATCHDOG_VIOLATION (0x133): P1 0: one DPC or ISR ran too long (P2 ticks,
// P3 limit); P1 1: the processor was at DISPATCH_LEVEL or above too long (P2 limit).

func collect133(c *collection) {
	c.collectHung(func(_ uint32, crashed bool) bool { return crashed })
}

func judge133(j *judgement) {
	p := j.f.Parameters
	if p[0] == 0 {
		j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("A single DPC or ISR ran for %d ticks; %d are allowed.", p[1], p[2]))
	} else {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The processor spent more than %d ticks at DISPATCH_LEVEL or above.", p[1]))
	}
	j.judgeDPC()
	j.evidence(report.Derived, report.T("stop code"), report.T("The stack is that of the watchdog's interrupt; the code that took too long is what it interrupted, further down."))
	j.judgeLongDPC()
}

// judgeLongDPC: where a single DPC ran too long and no third party's driver is among
// the certain callers, the processor's note of whose it is decides.
func (j *judgement) judgeLongDPC() {
	h := j.f.Hung
	if j.f.Parameters[0] != 0 || h == nil || !thirdParty(h.DPC.Image) {
		return
	}
	if f, ok := blamed(j.f); !ok || f.Module == "nt" {
		j.convict(h.DPC.Image, h.DPC.Module, h.DPC.Symbol, report.Medium)
	}
}

func class133(f *Facts) string {
	if f.Parameters[0] == 0 {
		return verified(f, "0x133_DPC")
	}
	return verified(f, "0x133_ISR")
}

func happened133(f *Facts) report.Text {
	if f.Parameters[0] == 0 {
		return report.T("a routine that answers hardware ran far too long")
	}
	return report.T("a processor was kept from ordinary work far too long by routines that answer hardware")
}
