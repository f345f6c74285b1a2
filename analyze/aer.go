package analyze

import (
	"strings"

	"bugcheck/report"
)

// aerBit is a status bit of PCI Express advanced error reporting.
type aerBit struct {
	bit  uint
	name string
}

// The bits of the uncorrectable and the correctable error status (PCI Express Base
// Specification, 7.8.4.2 and 7.8.4.5; the same in PCI_EXPRESS_AER_CAPABILITY of ntddk.h).
var (
	aerUncorrected = []aerBit{
		{4, "Data Link Protocol Error"}, {5, "Surprise Down"}, {12, "Poisoned TLP Received"}, {13, "Flow Control Protocol Error"},
		{14, "Completion Timeout"}, {15, "Completer Abort"}, {16, "Unexpected Completion"}, {17, "Receiver Overflow"},
		{18, "Malformed TLP"}, {19, "ECRC Error"}, {20, "Unsupported Request"}, {21, "ACS Violation"},
		{22, "Uncorrectable Internal Error"}, {23, "MC Blocked TLP"}, {24, "AtomicOp Egress Blocked"},
		{25, "TLP Prefix Blocked"}, {26, "Poisoned TLP Egress Blocked"},
	}
	aerCorrected = []aerBit{
		{0, "Receiver Error"}, {6, "Bad TLP"}, {7, "Bad DLLP"}, {8, "REPLAY_NUM Rollover"}, {12, "Replay Timer Timeout"},
		{13, "Advisory Non-Fatal Error"}, {14, "Corrected Internal Error"}, {15, "Header Log Overflow"},
	}
)

// aerNames lists the bits that are set, by name.
func aerNames(bits []aerBit, status uint32) string {
	var names []string
	for _, b := range bits {
		if status>>b.bit&1 != 0 {
			names = append(names, b.name)
		}
	}
	return strings.Join(names, ", ")
}

// aerGroups say what uncorrectable errors come from, the most telling first: a bit
// that follows from another stands behind it.
var aerGroups = []struct {
	bits uint32
	what report.Text
}{
	{1 << 5, report.T("the device vanished from its link: it lost power, was reset, sits loosely, or failed")},
	{1<<4 | 1<<13 | 1<<17, report.T("the two ends of the link no longer agreed: look at slot, riser, cable and firmware")},
	{1<<12 | 1<<18 | 1<<19 | 1<<26, report.T("data came damaged over the link, or were marked as damaged where they came from")},
	{1 << 22, report.T("the device found an error inside itself")},
	{1 << 14, report.T("a device did not answer a request in time: it hangs, or is gone")},
	{1<<15 | 1<<16 | 1<<20 | 1<<21 | 1<<23 | 1<<24 | 1<<25, report.T("a request went to a device that does not take it: most often a fault of firmware or of a driver")},
}

// aerMeaning is what an uncorrectable status most likely comes from.
func aerMeaning(status uint32) (report.Text, bool) {
	for _, g := range aerGroups {
		if status&g.bits != 0 {
			return g.what, true
		}
	}
	return report.Text{}, false
}

// portKinds are the kinds of PCI Express devices (PCI Express Capabilities Register,
// Device/Port Type).
var portKinds = map[int]report.Text{
	0: report.T("a card, an SSD or a chip"), 1: report.T("a card or a chip of the older kind"), 4: report.T("a root port, which a slot or a device hangs on"),
	5: report.T("the upper side of a switch"), 6: report.T("the lower side of a switch, which a slot or a device hangs on"),
	7: report.T("a bridge to PCI"), 8: report.T("a bridge from PCI"), 9: report.T("a device inside the processor or chipset"),
	10: report.T("the collector of errors inside the processor or chipset"),
}

// judgePCI says which device it was and what it reported.
func (j *judgement) judgePCI(p PCIError) {
	source := report.T("hardware error record (parameter 2)")
	kind, ok := portKinds[p.Port]
	if !ok {
		kind = report.T("of a kind that is not said")
	}
	j.evidence(report.Recorded, source, report.T("The device is %s (bus:device.function), vendor 0x%04x, device 0x%04x: %s.", p.place(), p.Vendor, p.ID, kind))
	if p.Slot != 0 {
		j.evidence(report.Recorded, source, report.T("It belongs to slot %d.", p.Slot))
	}
	if p.Instance != "" {
		j.evidence(report.Derived, report.T("device objects of pci.sys"), report.T("A device with these identifiers is %s (service %s).", p.Instance, orUnknown(p.Service)))
	}
	if names := aerNames(aerUncorrected, p.Uncorrected); names != "" {
		j.evidence(report.Recorded, source, report.T("Errors that cannot be corrected: %s (status 0x%08x).", names, p.Uncorrected))
	}
	if what, ok := aerMeaning(p.Uncorrected); ok {
		j.evidence(report.Derived, source, report.T("That means: %s.", what))
	}
	if names := aerNames(aerCorrected, p.Corrected); names != "" {
		j.evidence(report.Recorded, source, report.T("Errors that were corrected: %s (status 0x%08x); they show a link of poor quality.", names, p.Corrected))
	}
}
