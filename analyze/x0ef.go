package analyze

import (
	"fmt"
	"strings"

	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// CRITICAL_PROCESS_DIED (0xEF): P1 the process object, P2 0 where it ended, 1 where
// a thread of it did. CRITICAL_OBJECT_TERMINATION (0xF4), the same on older
// kernels: P1 3 for a process, 6 for a thread, P2 the object, P3 the name of the
// process's image, P4 a text that explains. Windows cannot go on without csrss,
// wininit, services, smss, lsass and the like.

// Dying is a process or a thread that Windows cannot run without, and that ended.
type Dying struct {
	Process string // its image's name; "" if not known
	PID     *uint64
	Thread  bool    // one of its threads ended, not the process
	Status  *uint32 // what it ended with; nil: not known, or not yet set
	Message string  // 0xF4
	Itself  bool    // it was the current process
}

// The kinds of objects in parameter 1 of 0xF4.
const (
	dyingProcess = 3
	dyingThread  = 6
)

func collectEF(c *collection) {
	p := c.facts.Parameters
	c.collectDying(p[0], false) // P1 is the process, whatever of it ended
	c.facts.Dying.Thread = p[1] == 1
}

// maxMessage is longer than any name or text that 0xF4 points to, bytes.
const maxMessage = 512

func collectF4(c *collection) {
	p := c.facts.Parameters
	c.collectDying(p[1], p[0] == dyingThread)
	d := c.facts.Dying
	if name := c.m.Text(mem.VA(p[2]), maxMessage); d.Process == "" && isPrintable(name) {
		d.Process = name
	}
	if text := strings.TrimSpace(c.m.Text(mem.VA(p[3]), maxMessage)); isPrintable(text) {
		d.Message = text
	}
}

// statusPending is the exit status of what has not ended: STATUS_PENDING.
const statusPending = 0x103

// collectDying reads the object that ended: a process, or a thread and its process.
func (c *collection) collectDying(object uint64, thread bool) {
	d := &Dying{Thread: thread}
	c.facts.Dying = d
	process := mem.VA(object)
	if thread {
		t, err := c.m.ThreadAt(process)
		if err != nil {
			c.note("thread", report.T("The thread at 0x%x, which the stop code is about, is not in the dump.", object))
			return
		}
		process = t.Process
	}
	if status, ok := c.m.ExitStatus(mem.VA(object), thread); ok && status != statusPending {
		d.Status = &status
	}
	if p, err := c.m.ProcessAt(process); err == nil {
		d.Process, d.PID = p.Name, p.PID
	}
	if current, ok := c.m.Process(); ok && current.Address != 0 {
		d.Itself = current.Address == process
		if d.Itself && d.Process == "" { // a small dump holds the current process's block alone
			d.Process, d.PID = current.Name, current.PID
		}
	}
}

func judgeEF(j *judgement) {
	j.evidence(report.Recorded, parameter(1), report.T("The process at 0x%x, which Windows cannot run without, ended.", j.f.Parameters[0]))
	j.judgeDying()
	j.bucket = bucketEF(j.f)
}

// bucketEF: the process, the code that the debugger takes for its status, and the
// program's function that ended it: the first that is not the kernel's. Only a log
// has that much (1 published case).
func bucketEF(f *Facts) string {
	if f.Process == "" || f.Exception == nil {
		return ""
	}
	for _, fr := range f.Frames {
		if fr.Module != "" && fr.Module != "nt" {
			return fmt.Sprintf("0xEF_%s_BUGCHECK_CRITICAL_PROCESS_%x_%s", f.Process, f.Exception.Code, function(fr.Module, fr.Symbol))
		}
	}
	return ""
}

func judgeF4(j *judgement) {
	p := j.f.Parameters
	if p[0] == dyingThread {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The thread at 0x%x, which Windows cannot run without, ended.", p[1]))
	} else {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The process at 0x%x, which Windows cannot run without, ended.", p[1]))
	}
	if d := j.f.Dying; d != nil && d.Message != "" {
		j.evidence(report.Recorded, parameter(4), report.T("Windows wrote beside it: %s", d.Message))
	}
	j.judgeDying()
}

// diskStatuses are exit statuses that say that a page of the program could not be
// read.
var diskStatuses = map[uint32]bool{
	0xc0000006: true, 0xc000009c: true, 0xc000009d: true, 0xc000000e: true, 0xc0000185: true, 0xc000003f: true, 0xc0000102: true,
}

// judgeDying says which process it was, how it ended and who was at work then.
func (j *judgement) judgeDying() {
	d := j.f.Dying
	if d == nil {
		d = &Dying{}
	}
	if d.Process != "" {
		j.evidence(report.Recorded, report.T("process block"), report.T("That process is %s.", d.Process))
	}
	if d.Thread {
		j.evidence(report.Recorded, report.T("stop code"), report.T("One of its threads ended, not the process as a whole."))
	}
	j.judgeCurrent(d)
	j.decide(report.CauseUnknown, report.Low)
	j.judgeExit(d)
	j.evidence(report.Derived, report.T("stop code"), report.T("A program ended, no driver failed; behind it are most often a disk that could not deliver its pages, damaged system files, or a program with rights that ended it."))
}

// judgeCurrent says whether it ended itself.
func (j *judgement) judgeCurrent(d *Dying) {
	switch {
	case j.f.Process == "":
	case d.Itself:
		j.evidence(report.Derived, report.T("process block"), report.T("It was itself at work when it ended: most likely it failed or closed by itself."))
	case d.Process != "":
		j.evidence(report.Derived, report.T("process block"), report.T("%s was at work at that moment: most likely it ended that process.", j.f.Process))
		j.known = true
		j.what = report.T("%s most likely ended %s, which Windows cannot run without", j.f.Process, d.Process)
	default:
		j.evidence(report.Recorded, report.T("process block"), report.T("The process that was current when it ended is %s.", j.f.Process))
	}
}

// endedBy is the process that ended another; "" if it is not known.
func (j *judgement) endedBy() string {
	if d := j.f.Dying; d == nil || d.Itself || d.Process == "" {
		return ""
	}
	return j.f.Process
}

// judgeExit says with what it ended.
func (j *judgement) judgeExit(d *Dying) {
	if d.Status == nil {
		return
	}
	status := *d.Status
	switch {
	case diskStatuses[status]:
		j.evidence(report.Recorded, report.T("exit status"), report.T("It ended with %s: a page of it could not be read from disk.", win.Status(status)))
		j.decide(report.CauseStorage, report.Medium)
	case status>>30 == 3:
		j.evidence(report.Recorded, report.T("exit status"), report.T("It ended with %s: that is what made it fail.", win.Status(status)))
	default:
		j.evidence(report.Recorded, report.T("exit status"), report.T("It ended with status 0x%x, which is no error of its code: it was closed, or closed itself.", status))
	}
}

func happenedEF(f *Facts) report.Text {
	switch d := f.Dying; {
	case d == nil || d.Process == "":
		return report.T("a process that Windows cannot run without ended")
	case d.Thread:
		return report.T("a thread of %s, which Windows cannot run without, ended", d.Process)
	}
	return report.T("%s, which Windows cannot run without, ended", f.Dying.Process)
}
