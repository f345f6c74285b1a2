package analyze

import (
	"bugcheck/mem"
	"bugcheck/report"
)

// CLOCK_WATCHDOG_TIMEOUT (0x101): P1 ticks waited, P3 PRCB of the processor that
// hangs, P4 its number.

func collect101(c *collection) {
	n := c.facts.Parameters[3]
	c.collectHung(func(number uint32, _ bool) bool { return uint64(number) == n })
}

func judge101(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("Processor %d did not answer the clock interrupt for %d ticks.", p[3], p[0]))
	j.evidence(report.Derived, report.T("stop code"), report.T("The stack is that of the processor that noticed; the one that hangs is processor %d.", p[3]))
	j.judgeDPC()
	if h := j.f.Hung; h != nil && h.At.Kind == PlaceModule {
		j.evidence(report.Recorded, report.T("saved registers of that processor"), report.T("That processor was last seen at %s.", h.At.at()))
		if thirdParty(h.At.Image) {
			j.suggest(h.At.Image, report.T("the processor that hangs was last seen in its code"))
		}
	}
	j.decide(report.CauseUnknown, report.Low)
	j.bucket = bucket101(j.f)
}

func class101(*Facts) string { return "CLOCK_WATCHDOG_TIMEOUT" }

// bucket101 is the class alone, and with the driver where the processor that hangs
// was seen in one (1 published case of each, the hashes checked).
func bucket101(f *Facts) string {
	if h := f.Hung; h != nil && h.At.Kind == PlaceModule && thirdParty(h.At.Image) {
		return class101(f) + "_" + function(h.At.Module, h.At.Symbol)
	}
	return class101(f)
}

func happened101(f *Facts) report.Text {
	return report.T("processor %d stopped answering", f.Parameters[3])
}

// Hung is a processor that did not get on with its work.
type Hung struct {
	DPC Place // code of the deferred procedure that ran; no Kind: none, or not known
	At  Place // where it stood; no Kind: not known, or it is the one that wrote the dump
}

// collectHung looks at the processor that is chooses by its number and by whether it
// called KeBugCheckEx.
func (c *collection) collectHung(is func(number uint32, crashed bool) bool) {
	list, _ := c.m.Processors() // those that can be read
	for _, p := range list {
		if p.Number == nil || !is(*p.Number, p.Crashed || len(list) == 1) {
			continue
		}
		h := &Hung{}
		if p.DPCActive && p.DPCRoutine != 0 {
			h.DPC = place(c.m, uint64(p.DPCRoutine))
		}
		if pc, ok := p.Registers.PC(); ok && pc != 0 && !p.Crashed {
			h.At = place(c.m, uint64(mem.VA(pc)))
		}
		c.facts.Hung = h
		return
	}
}

// judgeDPC says which deferred procedure ran, by the processor's own note of it.
func (j *judgement) judgeDPC() {
	h := j.f.Hung
	if h == nil || h.DPC.Kind != PlaceModule {
		return
	}
	j.evidence(report.Recorded, report.T("processor block"), report.T("The deferred procedure (DPC) that the processor ran is %s.", h.DPC.at()))
	if thirdParty(h.DPC.Image) {
		j.suggest(h.DPC.Image, report.T("its deferred procedure ran on the processor"))
	}
}
