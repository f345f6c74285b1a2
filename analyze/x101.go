package analyze

import (
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// CLOCK_WATCHDOG_TIMEOUT (0x101): P1 ticks waited, P3 PRCB of the processor that
// hangs, P4 its number.

func collect101(c *collection) {
	p := c.facts.Parameters
	if prcb, err := c.m.ProcessorAt(mem.VA(p[2])); err == nil && prcb.Number != nil && uint64(*prcb.Number) == p[3] {
		c.describeHung(prcb)
	} else {
		c.collectHung(func(number uint32, _ bool) bool { return uint64(number) == p[3] })
	}
	c.facts.Tick = c.m.Tick()
}

func judge101(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("Processor %d did not answer the clock interrupt for %d ticks.", p[3], p[0]))
	j.judgeTicks(p[0])
	if j.f.Hung != nil && j.f.Hung.Shown {
		j.evidence(report.Derived, report.T("stack"), report.T("The stack is that of the processor that hangs: it does not begin with the stop."))
	} else {
		j.evidence(report.Derived, report.T("stop code"), report.T("The stack is that of the processor that noticed; the one that hangs is processor %d.", p[3]))
	}
	j.judgeDPC()
	j.judgeHung()
	j.decide(report.CauseUnknown, report.Low)
	j.bucket = bucket101(j.f)
}

func class101(*Facts) string { return "CLOCK_WATCHDOG_TIMEOUT" }

// bucket101 is the class alone, and with the driver where the processor that hangs
// was seen in one, or in what a driver had called (1 published case of each, the hashes
// checked).
func bucket101(f *Facts) string {
	h := f.Hung
	if h == nil {
		return class101(f)
	}
	if h.At.Kind == PlaceModule && thirdParty(h.At.Image) {
		return class101(f) + "_" + function(h.At.Module, h.At.Symbol)
	}
	for _, fr := range certain(&Facts{Frames: h.Frames, Context: Context{Fault: true}}) {
		if thirdParty(fr.Image) {
			return class101(f) + "_" + function(fr.Module, fr.Symbol)
		}
	}
	return class101(f)
}

// hungOfLog is the processor that hangs where a debugger shows its stack instead of that
// of the one that noticed, whose first frame is the stop itself (1 published case).
func hungOfLog(frames []Frame) *Hung {
	if len(frames) == 0 || isBugCheck(frames[0]) {
		return nil
	}
	top := frames[0]
	return &Hung{At: Place{Kind: PlaceModule, Image: top.Image, Module: top.Module, Symbol: top.Symbol, Offset: top.Offset}, Frames: frames, Shown: true}
}

func happened101(f *Facts) report.Text {
	return report.T("processor %d stopped answering", f.Parameters[3])
}

// Hung is a processor that did not get on with its work.
type Hung struct {
	DPC     Place   // code of the deferred procedure that ran; no Kind: none, or not known
	At      Place   // where it stood; no Kind: not known, or it is the one that wrote the dump
	Frames  []Frame // its callers, where it is not the one that wrote the dump
	Process string  // whose thread it ran
	Thread  uint64  // its number
	Idle    bool    // it ran its idle thread
	Shown   bool    // the stack of the report is its own: of a log
}

// collectHung looks at the processor that is chooses by its number and by whether it
// called KeBugCheckEx.
func (c *collection) collectHung(is func(number uint32, crashed bool) bool) {
	list, _ := c.m.Processors() // those that can be read
	for _, p := range list {
		if p.Number == nil || !is(*p.Number, p.Crashed || len(list) == 1) {
			continue
		}
		c.describeHung(p)
		return
	}
}

// describeHung takes over what a processor's block says.
func (c *collection) describeHung(p kernel.Processor) {
	h := &Hung{}
	if p.DPCActive && p.DPCRoutine != 0 {
		h.DPC = place(c.m, uint64(p.DPCRoutine))
	}
	if pc, ok := p.Registers.PC(); ok && pc != 0 && !p.Crashed {
		h.At = place(c.m, pc)
		c.hungThread(h, p)
	}
	c.facts.Hung = h
}

// hungThread reads what the processor ran.
func (c *collection) hungThread(h *Hung, p kernel.Processor) {
	t, err := c.m.ThreadAt(p.Thread)
	if err != nil {
		return
	}
	h.Idle = p.Thread == p.IdleThread
	if t.ID != nil {
		h.Thread = *t.ID
	}
	if process, err := c.m.ProcessAt(t.Process); err == nil {
		h.Process = process.Name
	}
	frames, err := c.m.ThreadStack(t)
	if err != nil {
		c.note("processor", report.T("The stack of the processor that hangs cannot be followed: %v.", err.Error()))
	}
	h.Frames = factFrames(kernelFrames(c.m, frames))
}

// judgeHung says what the processor that hangs was at. A driver's code there is a
// suspect and no more: a processor that hangs by itself stands somewhere too.
func (j *judgement) judgeHung() {
	h := j.f.Hung
	if h == nil || h.At.Kind != PlaceModule {
		return
	}
	j.evidence(report.Recorded, report.T("saved registers of that processor"), report.T("That processor was last seen at %s.", h.At.at()))
	if thirdParty(h.At.Image) {
		j.suggest(h.At.Image, report.T("the processor that hangs was last seen in its code"))
	}
	if h.Idle {
		j.evidence(report.Recorded, report.T("processor block"), report.T("It ran its idle thread: no program was at work there."))
	} else if h.Process != "" {
		j.evidence(report.Recorded, report.T("processor block"), report.T("It ran thread %d of %s.", h.Thread, h.Process))
	}
	frames := certain(&Facts{Frames: h.Frames, Context: Context{Fault: true}})
	if len(frames) > 1 {
		j.evidence(report.Derived, report.T("stack of that processor"), report.T("Its callers, the innermost first: %s.", callers(frames)))
	}
	for _, f := range frames {
		if thirdParty(f.Image) {
			j.suggest(f.Image, report.T("the processor that hangs was inside it"))
			return
		}
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
