package analyze

import (
	"fmt"
	"time"

	"bugcheck/kernel"
	"bugcheck/report"
	"bugcheck/win"
)

// Pending is an I/O request that a thread made and that is not completed.
type Pending struct {
	Address   uint64
	Major     string // IRP_MJ_DEVICE_CONTROL
	Control   uint32 // control code of such a request; else zero
	Driver    string // image of the driver that has it; "" if not known
	Device    string // its device's name; "" if it has none
	Process   string // whose thread waits for it; "" for the current thread's
	Thread    uint64 // its number
	Waited    time.Duration
	Filters   []string // of third parties, on the device's stack, where Driver is part of Windows
	More      int      // other requests that the same driver keeps threads waiting for
	Cancelled bool     // its driver was told to give it up
	Fixed     bool     // no routine is set that would cancel it
}

// The IRP_MJ_ codes of device controls (wdm.h).
const (
	deviceControl         = 14
	internalDeviceControl = 15
)

// maxPending is how many requests of the thread are looked at by name.
const maxPending = 8

// collectPending lists the requests of the current thread: a driver that is at work
// for it has one, whatever became of the stack.
func (c *collection) collectPending() {
	t, ok := c.m.Thread()
	if !ok || t.Address == 0 {
		return
	}
	list, _ := c.m.ThreadIRPs(t.Address) // those that can be read
	for _, r := range list[:min(len(list), maxPending)] {
		if p := pending(c.m, r); p.Driver != "" {
			c.facts.Pending = append(c.facts.Pending, p)
		}
	}
}

func pending(m *kernel.Machine, r kernel.Request) Pending {
	p := Pending{Address: uint64(r.Address), Cancelled: r.Cancelled, Fixed: r.CancelRoutine == 0}
	holder, ok := r.Holder()
	if !ok {
		return p
	}
	p.Driver, p.Major = holder.Driver, win.MajorFunction(holder.Major)
	if holder.Major == deviceControl || holder.Major == internalDeviceControl {
		p.Control = uint32(holder.Parameters[2]) // Parameters.DeviceIoControl.IoControlCode
	}
	p.Device, _ = m.ObjectPath(holder.Device) // most have none
	p.addFilters(m, holder.Device)
	return p
}

// what names a request: IRP_MJ_DEVICE_CONTROL 0x83360018.
func (p Pending) what() string {
	if p.Control != 0 {
		return fmt.Sprintf("%s 0x%x", p.Major, p.Control)
	}
	return p.Major
}

// at names the driver with its device, where that has a name.
func (p Pending) at() report.Text {
	if p.Device != "" {
		return report.T("%s (device %s)", p.Driver, p.Device)
	}
	return report.T("%s", p.Driver)
}

// judgePending: where the stack names nobody outside the kernel, the request that
// the thread has under way still says for whom the kernel was at work ("I/O request
// packets" in Microsoft's driver documentation: a request stands on its thread's
// list until it is completed). A thread may leave requests open by design, so this
// suggests and does not convict.
func (j *judgement) judgePending() {
	if j.v.Confidence == report.High || j.v.Cause == report.CauseRequested || thirdParty(j.v.Image) && j.v.Cause == report.CauseDriver {
		return
	}
	for _, p := range j.f.Pending {
		if p.suspect() == "" {
			continue
		}
		j.evidence(report.Recorded, report.T("requests of the thread"), report.T("The thread's pending request (%s) is with %s.", p.what(), p.at()))
		if !thirdParty(p.Driver) {
			j.judgeFilters(p)
			continue
		}
		j.suggestFirst(p.Driver, report.T("the thread's pending request (%s) is with it", p.what()))
	}
}
