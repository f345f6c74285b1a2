package analyze

import (
	"strings"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// DRIVER_POWER_STATE_FAILURE (0x9F): a driver did not finish a power request. P1
// says how; for 3, P2 is the physical device, P3 triage data and P4 the IRP
// that is stuck.

const (
	irpBlocked = 3
	pnpLocked  = 4 // a thread never let go of the lock of Plug and Play
)

func collect9F(c *collection) {
	p := c.facts.Parameters
	if p[0] != irpBlocked {
		return
	}
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
	if p[0] == pnpLocked {
		j.judgeStuck()
	}
	if pw == nil || p[0] != irpBlocked {
		return
	}
	j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("A power request (IRP 0x%x) was held by a driver for longer than Windows allows.", p[3]))
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
		j.evidence(report.Derived, report.T("stack"), report.T("The stack shows the watchdog that noticed, not the driver that holds the request."))
		j.decide(report.CauseUnknown, report.Low)
		j.bucket = "0x9F_3" // published so where the device stack is not in the dump
		return
	}
	if holder != pw.IRPDriver && pw.IRPDriver != "" {
		j.evidence(report.Derived, report.T("device stack"), report.T("%s is part of Windows and holds such a request while it waits for the driver below it to finish a command: that is %s.", pw.IRPDriver, holder))
	}
	j.convict(holder, kernel.ModuleName(holder), "", confidence)
	if pw.Service != "" && pw.PDODriver != "" {
		j.bucket = "0x9F_3_" + pw.Service + "_IMAGE_" + pw.PDODriver
	}
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

func happened9F(*Facts) report.Text {
	return report.T("a device did not finish going to sleep or waking up in time")
}
