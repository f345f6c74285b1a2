package analyze

import (
	"fmt"
	"strings"

	"bugcheck/report"
)

// Limits on the other threads that a report shows.
const (
	maxOtherThreads = 128
	maxOtherFrames  = 16
	maxOtherScans   = 6
)

// Running is a thread that stands in code of its own, not in a wait.
type Running struct {
	Thread string // its number, and its name where it has one
	At     Frame
}

// otherThreads walks the stacks of the threads that the report is not about.
func (c *collection) otherThreads() []report.ThreadStack {
	var list []report.ThreadStack
	crash, _ := c.m.User.CrashThread()
	for _, t := range c.m.User.Threads {
		if t.ID == crash.ID {
			continue
		}
		if len(list) == maxOtherThreads {
			c.note("threads", report.T("Of %d threads the stacks of %d are shown.", len(c.m.User.Threads), maxOtherThreads+1))
			break
		}
		stack := c.m.Stack(c.m.UserRegisters(t), nil)
		list = append(list, report.ThreadStack{ID: uint64(t.ID), Name: t.Name, Stack: firstFrames(stack)})
	}
	return list
}

// firstFrames cuts a stack to what tells what its thread is about.
func firstFrames(frames []report.Frame) []report.Frame {
	scans := 0
	for i, f := range frames {
		if f.Trust == report.TrustScan {
			scans++
		}
		if i == maxOtherFrames || scans > maxOtherScans {
			return frames[:i]
		}
	}
	return frames
}

// running picks the threads that stand outside the libraries in which Windows'
// threads wait: those of the system calls.
func running(threads []report.ThreadStack) []Running {
	var list []Running
	for _, t := range threads {
		if len(t.Stack) == 0 || t.Stack[0].Module == "" || waits[strings.ToLower(t.Stack[0].Image)] {
			continue
		}
		name := fmt.Sprint(t.ID)
		if t.Name != "" {
			name += " (" + t.Name + ")"
		}
		list = append(list, Running{Thread: name, At: plainFrame(t.Stack[0])})
	}
	return list
}

// waits are the modules with the system calls, where a thread that waits stands.
var waits = map[string]bool{"ntdll.dll": true, "win32u.dll": true, "wow64cpu.dll": true, "wow64win.dll": true}

// maxRunning is how many running threads the evidence names.
const maxRunning = 3

// judgeRunning names the threads that do not wait: in a program that no longer
// answers one of them may be what it is busy with.
func (j *judgement) judgeRunning() {
	for i, r := range j.f.User.Running {
		if i == maxRunning {
			break
		}
		j.evidence(report.Recorded, report.T("registers of the thread"), report.T("Thread %s does not wait: it stands in %s.", r.Thread, at(r.At)))
	}
}
