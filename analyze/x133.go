package analyze

import (
	"cmp"
	"slices"
	"time"

	"bugcheck/mem"
	"bugcheck/report"
)

// DPC_WATCHDOG_VIOLATION (0x133): P1 0: one DPC or ISR ran too long (P2 ticks,
// P3 limit); P1 1: the processor was at DISPATCH_LEVEL or above too long (P2 limit).
// On newer kernels P4, or P3 for the second kind, is a DPC_WATCHDOG_GLOBAL_TRIAGE_BLOCK.

// Sample is a module in which the watchdog found the processor while time ran out.
type Sample struct {
	Image  string
	Module string
	Count  int
}

func collect133(c *collection) {
	c.collectHung(func(_ uint32, crashed bool) bool { return crashed })
	c.facts.Tick = c.m.Tick()
	c.collectSamples(triageBlock(&c.facts))
}

// triageBlock is the address of the triage block; zero on kernels before it.
func triageBlock(f *Facts) uint64 {
	if f.Parameters[0] == 0 {
		return f.Parameters[3]
	}
	return f.Parameters[2]
}

// collectSamples counts by module the code addresses that the watchdog noted.
func (c *collection) collectSamples(block uint64) {
	if block>>63 == 0 {
		return
	}
	list, _ := c.m.DPCSamples(mem.VA(block)) // as far as they are in the dump
	counts := map[string]*Sample{}
	for _, va := range list {
		mod, ok := c.m.ModuleAt(va)
		if !ok || mod.User {
			continue
		}
		if counts[mod.Name] == nil {
			counts[mod.Name] = &Sample{Image: mod.Name, Module: mod.Module}
		}
		counts[mod.Name].Count++
	}
	for _, s := range counts {
		c.facts.Samples = append(c.facts.Samples, *s)
	}
	slices.SortFunc(c.facts.Samples, func(a, b Sample) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Image, b.Image))
	})
}

func judge133(j *judgement) {
	p := j.f.Parameters
	if p[0] == 0 {
		j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("A single DPC or ISR ran for %d ticks; %d are allowed.", p[1], p[2]))
		j.judgeTicks(p[1])
	} else {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The processor spent more than %d ticks at DISPATCH_LEVEL or above.", p[1]))
		j.judgeTicks(p[1])
	}
	j.judgeDPC()
	j.evidence(report.Derived, report.T("stop code"), report.T("The stack is that of the watchdog's interrupt; the code that took too long is what it interrupted, further down."))
	if f, ok := interrupted(j.f); ok {
		j.evidence(report.Derived, report.T("stack"), report.T("The interrupt found the processor at %s.", at(f)))
	}
	j.judgeSamples()
	j.judgeLongDPC()
}

// maxTicks is more than any watchdog counts.
const maxTicks = 1 << 24

// judgeTicks says how long that is, where the dump says how long a tick is.
func (j *judgement) judgeTicks(n uint64) {
	if t := j.f.Tick; t > 0 && n < maxTicks {
		ms := (time.Duration(n) * t).Milliseconds()
		j.evidence(report.Derived, report.T("KeTimeIncrement"), report.T("That is %d.%02d s, at %d.%03d ms a tick.", ms/1000, ms%1000/10, t/time.Millisecond, t/time.Microsecond%1000))
	}
}

// interrupted is the first certain frame behind the entry of the clock's interrupt.
func interrupted(f *Facts) (Frame, bool) {
	entry := -1
	for i, frame := range f.Frames {
		if frame.Trust == report.TrustScan {
			break
		}
		if frame.Module == "nt" && matches(interruptEntries, frame.Symbol) {
			entry = i
		}
	}
	if entry >= 0 && entry+1 < len(f.Frames) && f.Frames[entry+1].Trust != report.TrustScan && f.Frames[entry+1].Module != "" {
		return f.Frames[entry+1], true
	}
	return Frame{}, false
}

// interruptEntries are the functions by which an interrupt enters the kernel: x64,
// ARM64.
var interruptEntries = []string{"KiInterruptDispatch*", "KiInterruptSubDispatch*", "KiKernelSp0InterruptHandler", "KiKernelSpxInterruptHandler", "KiKernelInterrupt*"}

// shownSamples is how many modules of the watchdog's samples are told.
const shownSamples = 3

// judgeSamples says where the watchdog found the processor before it gave up: a clue,
// for a driver on the stack may be only the last of several.
func (j *judgement) judgeSamples() {
	total := 0
	for _, s := range j.f.Samples {
		total += s.Count
	}
	shown := 0
	for _, s := range j.f.Samples {
		if s.Module == "nt" || s.Module == "hal" || shown == shownSamples {
			continue
		}
		shown++
		j.evidence(report.Guessed, report.T("samples of the watchdog (triage block)"), report.T("Of %d code addresses that the watchdog noted while time ran out, %d lie in %s.", total, s.Count, describe(s.Image)))
		if thirdParty(s.Image) {
			j.suggest(s.Image, report.T("the watchdog found its code at work while time ran out (%d addresses)", s.Count))
		}
	}
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
