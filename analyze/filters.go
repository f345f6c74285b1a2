package analyze

import (
	"slices"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
)

// addFilters lists the drivers from outside Windows on the stack of the device whose
// driver, one of Windows, has a request. What is above handed the request down, what is
// below may be what it waits for
// (https://learn.microsoft.com/windows-hardware/drivers/gettingstarted/device-nodes-and-device-stacks).
func (p *Pending) addFilters(m *kernel.Machine, device mem.VA) {
	if p.Driver == "" || thirdParty(p.Driver) || device == 0 {
		return
	}
	stack, _ := m.DeviceStack(device) // as far as it can be read
	for _, d := range stack {
		if thirdParty(d.Driver) && !slices.Contains(p.Filters, d.Driver) {
			p.Filters = append(p.Filters, d.Driver)
		}
	}
}

// suspect is the driver from outside Windows that a request points at: the one that has it,
// else the first on the stack of the device.
func (p Pending) suspect() string {
	switch {
	case thirdParty(p.Driver):
		return p.Driver
	case len(p.Filters) > 0:
		return p.Filters[0]
	}
	return ""
}

// judgeFilters says which drivers have a part in a request that one of Windows has.
func (j *judgement) judgeFilters(p Pending) {
	if len(p.Filters) == 0 {
		return
	}
	j.evidence(report.Recorded, report.T("device stack"), report.T("%s is part of Windows; drivers from outside Windows on the same device: %s.", p.Driver, someOf(p.Filters)))
	for _, image := range thirdParties(p.Filters) {
		j.suggest(image, report.T("it is on the stack of the device that the request (%s) was made to: such a driver sees each request, and may change it or keep it", p.what()))
	}
}
