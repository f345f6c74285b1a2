package analyze

import (
	"fmt"
	"strings"
	"time"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// Thread is a thread that a stop code is about, beside the one that was current:
// the watchdogs' stop codes name the one that did not get on.
type Thread struct {
	Address    uint64
	ID         uint64
	Process    string
	Running    bool
	WaitReason string // a word of KWAIT_REASON; "" unless it waits
	Waited     time.Duration
	Frames     []Frame
	Pending    []Pending // its requests that are not completed
}

// aboutThread reads the thread at addr. A small dump seldom holds it.
func (c *collection) aboutThread(addr uint64) {
	if addr == 0 {
		return
	}
	t, err := c.m.ThreadAt(mem.VA(addr))
	if err != nil || t.StackBase == 0 || uint64(t.StackBase)>>63 == 0 && c.m.Arch != dump.X86 {
		c.note("thread", report.T("The thread at 0x%x, which the stop code is about, is not in the dump.", addr))
		return
	}
	out := &Thread{Address: addr, Running: t.State == kernel.Running, WaitReason: t.WaitReason, Waited: t.Waited}
	if t.ID != nil {
		out.ID = *t.ID
	}
	if p, err := c.m.ProcessAt(t.Process); err == nil {
		out.Process = p.Name
	}
	frames, err := c.m.ThreadStack(t)
	if err != nil {
		c.note("thread", report.T("The stack of the thread at 0x%x cannot be followed: %v.", addr, stepText(err)))
	}
	out.Frames = factFrames(kernelFrames(c.m, frames))
	list, _ := c.m.ThreadIRPs(mem.VA(addr)) // those that can be read
	for _, r := range list[:min(len(list), maxPending)] {
		if p := pending(c.m, r); p.Driver != "" {
			out.Pending = append(out.Pending, p)
		}
	}
	c.facts.Thread = out
}

// certain are the frames of the thread that a verdict may rest on.
func (t *Thread) certain() []Frame {
	return certain(&Facts{Frames: t.Frames, Context: Context{Fault: true}})
}

// shownCallers is how many callers of a thread are told.
const shownCallers = 6

// switching are the functions by which every thread that waits gives its processor
// away: they say nothing of it.
var switching = map[string]bool{"SwapContext": true, "KiSwapContext": true, "KiSwapThread": true, "KiCommitThreadWait": true}

// callers lists the callers of a thread for people, the innermost first.
func callers(frames []Frame) string {
	for len(frames) > 1 && frames[0].Module == "nt" && switching[frames[0].Symbol] {
		frames = frames[1:]
	}
	var names []string
	for _, f := range frames[:min(len(frames), shownCallers)] {
		names = append(names, at(f))
	}
	if len(frames) > shownCallers {
		names = append(names, fmt.Sprintf("(+%d)", len(frames)-shownCallers))
	}
	return strings.Join(names, ", ")
}

// judgeThread says what the thread does that the stop code is about, and blames the
// driver that is at work there: the code of a third party among its certain callers,
// else a third party that has the request for which it waits. It reports whether
// one was found.
func (j *judgement) judgeThread(source report.Text) bool {
	t := j.f.Thread
	if t == nil {
		return false
	}
	who := report.T("thread %d", t.ID)
	if t.Process != "" {
		who = report.T("thread %d of %s", t.ID, t.Process)
	}
	switch {
	case t.Running:
		j.evidence(report.Recorded, source, report.T("It is %s, which runs.", who))
	case t.WaitReason != "" && t.Waited > 0:
		j.evidence(report.Recorded, source, report.T("It is %s, which has waited %s (%s).", who, report.Span(t.Waited), t.WaitReason))
	case t.WaitReason != "":
		j.evidence(report.Recorded, source, report.T("It is %s, which waits (%s).", who, t.WaitReason))
	default:
		j.evidence(report.Recorded, source, report.T("It is %s.", who))
	}
	frames := t.certain()
	if len(frames) > 1 {
		j.evidence(report.Derived, report.T("stack of that thread"), report.T("Its callers, the innermost first: %s.", callers(frames)))
	}
	return j.convictThread(t, frames)
}

func (j *judgement) convictThread(t *Thread, frames []Frame) bool {
	for _, f := range frames {
		if thirdParty(f.Image) {
			j.evidence(report.Derived, report.T("stack of that thread"), report.T("That thread is inside %s.", f.Image))
			j.convict(f.Image, f.Module, f.Symbol, report.Medium)
			return true
		}
	}
	for _, p := range t.Pending {
		if !thirdParty(p.Driver) {
			continue
		}
		j.evidence(report.Recorded, report.T("requests of that thread"), report.T("Its pending request (%s) is with %s.", p.what(), p.at()))
		j.convict(p.Driver, kernel.ModuleName(p.Driver), "", report.Medium)
		return true
	}
	for _, f := range frames {
		if !soft[strings.ToLower(f.Module)] {
			j.convict(f.Image, f.Module, f.Symbol, report.Low)
			return true
		}
	}
	return false
}
