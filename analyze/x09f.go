package analyze

import (
	"slices"
	"strings"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// DRIVER_POWER_STATE_FAILURE (0x9F): a driver did not finish a power request. P1
// says how; for 3, P2 is the physical device, P3 triage data and P4 the IRP
// that is stuck; for 4, P2 the time that Windows waited, P3 the thread that has the
// lock of Plug and Play and P4 triage data.

const (
	irpBlocked = 3
	pnpLocked  = 4 // a thread never let go of the lock of Plug and Play
)

// objects9F: whose object the other kinds point to. Kind 2 has the device's own
// object in P3, 0x500 in P4; what P2 and P3 hold there is the device that the request
// was for.
var objects9F = map[uint64]objectAt{
	1:     {2, objectDevice, true},
	2:     {3, objectDevice, true},
	5:     {3, objectFx, true},
	6:     {2, objectFx, true},
	0x500: {4, objectDevice, true},
}

// Node is a device whose Plug and Play request was under way.
type Node struct {
	Instance, Service string
	Driver            string // that has the request; "" if not known
	Function          string // image of the service, where it is loaded
}

func collect9F(c *collection) {
	switch kind := c.facts.Parameters[0]; kind {
	case irpBlocked:
		c.collectPower()
	case pnpLocked:
		c.collectPnP()
	default:
		c.object(objects9F[kind])
		if o := c.facts.Object; kind == 5 && (o == nil || o.Driver == "" && o.Service == "") {
			c.object(objectAt{2, objectPDO, true})
		}
	}
}

// collectPnP reads the thread that has the lock, and the devices at which Plug and
// Play was at work.
func (c *collection) collectPnP() {
	p := c.facts.Parameters
	c.aboutThread(p[2])
	list, err := c.m.PnPRequests(mem.VA(p[3]))
	if err != nil {
		c.note("Plug and Play requests", report.T("The list cannot be read to its end: %v.", err.Error()))
	}
	for _, n := range list[:min(len(list), maxNodes)] {
		out := Node{Instance: n.Instance, Service: n.Service, Driver: n.Driver}
		if mod, ok := c.m.ModuleNamed(n.Service + ".sys"); ok && n.Service != "" {
			out.Function = mod.Name
		}
		c.facts.Nodes = append(c.facts.Nodes, out)
	}
}

// maxNodes is how many devices are told of.
const maxNodes = 3

func (c *collection) collectPower() {
	p := c.facts.Parameters
	pw := &Power{}
	c.facts.Power = pw
	irp, err := c.m.IRP(mem.VA(p[3]))
	if err != nil {
		c.note("IRP", report.T("Its stack cannot be followed to the end: %v.", err.Error()))
	}
	if pw.IRPDriver = irp.Driver; pw.IRPDriver == "" && err == nil && c.m.Physical != nil {
		c.note("IRP", report.T("The driver that holds it is not known: its stack holds no device, or one that is damaged."))
	}
	if d, err := c.m.DeviceObject(mem.VA(p[1])); err == nil {
		pw.PDODriver = d.Driver
		pw.Service, pw.Instance = d.Service, d.Instance
	}
	stack, _ := c.m.DeviceStack(mem.VA(p[1])) // as far as it is in the dump
	for _, d := range stack {
		if d.Driver != "" {
			pw.Stack = append(pw.Stack, d.Driver)
		}
	}
	pw.Other = otherHolder(c, mem.VA(p[1]), irp.Address)
}

// otherHolder finds who holds another power request for the same device: a
// change of the system's state and the change of the device's own state that
// follows from it wait for each other.
func otherHolder(c *collection, pdo, stuck mem.VA) string {
	list, err := c.m.PowerIRPs(mem.VA(c.facts.Parameters[2]))
	if err != nil {
		c.note("power requests", report.T("The list cannot be read to its end: %v.", err.Error()))
	}
	for _, irp := range list {
		if irp.PDO == pdo && irp.Address != stuck && irp.Driver != "" {
			return irp.Driver
		}
	}
	return ""
}

func judge9F(j *judgement) {
	pw, p := j.f.Power, j.f.Parameters
	switch {
	case p[0] == pnpLocked:
		j.judgePnP()
	case p[0] != irpBlocked:
		j.meaningOf(1)
		j.judgeObject(objects9F[p[0]])
	}
	if p[0] == irpBlocked {
		j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("A power request (IRP 0x%x) was held by a driver for longer than Windows allows.", p[3]))
	}
	if pw == nil || p[0] != irpBlocked {
		if p[0] == irpBlocked && slices.ContainsFunc(j.f.Frames, isPowerWatchdog) {
			j.noHolder() // a log: the stack is all there is
		}
		return
	}
	if pw.Instance != "" {
		j.evidence(report.Recorded, parameter(2), report.T("The device is %s (service %s).", pw.Instance, orUnknown(pw.Service)))
	}
	if pw.IRPDriver != "" {
		j.evidence(report.Recorded, report.T("IRP (parameter 4)"), report.T("The request's current stack location belongs to a device of %s.", pw.IRPDriver))
	}
	if len(pw.Stack) > 1 {
		j.evidence(report.Recorded, report.T("device stack"), report.T("The drivers of the device, the top one first: %s.", strings.Join(pw.Stack, ", ")))
	}
	if pw.Other != "" {
		j.evidence(report.Recorded, report.T("list of power requests (parameter 3)"), report.T("Another power request for the same device is held by %s.", pw.Other))
	}
	if pw.PDODriver != "" {
		j.evidence(report.Recorded, parameter(2), report.T("The driver that runs the bus of the device is %s.", pw.PDODriver))
	}
	holder, confidence := pw.holder()
	if holder == "" {
		j.noHolder()
		return
	}
	if holder != pw.IRPDriver && pw.IRPDriver != "" {
		j.evidence(report.Derived, report.T("device stack"), report.T("%s is part of Windows and holds such a request while it waits for the driver below it to finish a command: that is %s.", pw.IRPDriver, holder))
	}
	j.convict(holder, kernel.ModuleName(holder), "", confidence)
	j.bucket = pw.bucket()
}

// noHolder: nothing says who holds the request. The bucket is published so where the
// device stack is not in the dump (2 cases).
func (j *judgement) noHolder() {
	j.evidence(report.Derived, report.T("stack"), report.T("The stack shows the watchdog that noticed, not the driver that holds the request."))
	j.decide(report.CauseUnknown, report.Low)
	j.bucket = "0x9F_3"
}

// isPowerWatchdog reports the timer that watches power requests.
func isPowerWatchdog(f Frame) bool {
	return f.Module == "nt" && strings.HasPrefix(f.Symbol, "PopIrpWatchdog")
}

// bucket names the service of the device and the driver of its bus; the driver of the
// bus alone where the request got as far as that (1 published case, with the device stack
// and the request's own; the same form is published for P1 = 4).
func (pw *Power) bucket() string {
	switch {
	case pw.PDODriver == "" || pw.Service == "":
		return ""
	case strings.EqualFold(pw.IRPDriver, pw.PDODriver):
		return "0x9F_3_IMAGE_" + pw.PDODriver
	}
	return "0x9F_3_" + pw.Service + "_IMAGE_" + pw.PDODriver
}

// judgePnP: the thread that has the lock is the one that holds everything up; the
// devices at which Plug and Play was at work say for what.
func (j *judgement) judgePnP() {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("Windows waited %d s for the lock of Plug and Play, which the thread at 0x%x has.", p[1], p[2]))
	j.judgeThread(parameter(3))
	for _, n := range j.f.Nodes {
		if n.Instance != "" {
			j.evidence(report.Recorded, report.T("triage data (parameter 4)"), report.T("Plug and Play was at work at %s (service %s).", n.Instance, orUnknown(n.Service)))
		}
		for _, image := range []string{n.Driver, n.Function} {
			if thirdParty(image) {
				j.suggest(image, report.T("Plug and Play was at work at its device %s", n.Instance))
			}
		}
	}
	j.judgeStuck()
}

// holder picks who blocks: the holder of the request, or, where that is part of
// Windows (a class driver, which waits for the one below), a third party's
// driver that holds the device's other request or runs its bus.
func (pw *Power) holder() (image, confidence string) {
	if thirdParty(pw.IRPDriver) {
		return pw.IRPDriver, report.High
	}
	confidence = report.Medium
	if pw.IRPDriver == "" {
		confidence = report.Low
	}
	for _, image := range []string{pw.Other, pw.PDODriver} {
		if thirdParty(image) {
			return image, confidence
		}
	}
	return pw.IRPDriver, report.Low
}

func orUnknown(s string) string {
	if s == "" {
		return "?"
	}
	return s
}

func class9F(f *Facts) string {
	switch f.Parameters[0] {
	case irpBlocked:
		return "0x9F_3"
	case pnpLocked:
		return "0x9F_4"
	}
	return verified(f, "0x9F")
}

func happened9F(f *Facts) report.Text {
	switch f.Parameters[0] {
	case pnpLocked:
		return report.T("a thread did not let go of the lock of Plug and Play while the machine changed its power state")
	case 1, 2, 0x500:
		return report.T("a driver handled a power request wrongly")
	}
	return report.T("a device did not finish going to sleep or waking up in time")
}
