package analyze

import (
	"fmt"
	"slices"

	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// WHEA_UNCORRECTABLE_ERROR (0x124): the hardware itself reported an error that
// cannot be put right. P1 who reported it (WHEA_ERROR_SOURCE_TYPE), P2 the error
// record; for a machine check (P1 0) P3 and P4 are the high and low half of
// MCi_STATUS.

const sourceMachineCheck = 0

func collect124(c *collection) {
	p := c.facts.Parameters
	w := &WHEA{}
	c.facts.WHEA = w
	c.facts.CPUFamily = c.m.Processor().Family
	if err := w.readRecord(c.m.Memory, mem.VA(p[1])); err != nil {
		c.note("hardware error record", report.T("It cannot be read: %v.", err.Error()))
	}
	if c.facts.CPUVendor == "" { // the processor's block is not in the dump
		c.facts.CPUVendor = w.Vendor
	}
	w.describeParts(c.m)
}

// shownBanks is how many banks of a machine check are told of.
const shownBanks = 4

// banks are the machine-check banks that hold an error: those of the record, else
// what the parameters say.
func banks(f *Facts) []MachineCheck {
	var list []MachineCheck
	if f.WHEA != nil {
		for _, m := range f.WHEA.Banks {
			if m.Status != 0 {
				list = append(list, m)
			}
		}
	}
	if status := mcStatus(f); len(list) == 0 && f.Parameters[0] == sourceMachineCheck && status != 0 {
		list = append(list, MachineCheck{Status: status})
	}
	return list[:min(len(list), shownBanks)]
}

func judge124(j *judgement) {
	j.decide(report.CauseHardware, report.High)
	j.v.Image, j.v.Module = vendorOf(j.f)+".sys", vendorOf(j.f)
	j.evidence(report.Recorded, parameter(1), sourceOf(j.f.Parameters[0]))
	w := j.f.WHEA
	if w == nil {
		w = &WHEA{}
	}
	j.judgeRecord(w)
	for _, m := range banks(j.f) {
		j.judgeBank(m)
	}
	for _, p := range w.Processor {
		j.judgeProcessor(p)
	}
	for _, m := range w.Memory {
		j.judgeMemory(m)
	}
	for _, p := range w.PCI {
		j.judgePCI(p)
	}
	j.name124()
}

// name124 makes the bucket.
func (j *judgement) name124() {
	if vendorOf(j.f) == "hardware" {
		j.v.Image, j.bucket = "hardware", noBucket
		return
	}
	section, unknown := section124(j.f), ""
	if section == "" {
		unknown = "UNKNOWN_"
	}
	j.bucket = fmt.Sprintf("%s_%s_%sIMAGE_%s", class124(j.f), section, unknown, j.v.Image)
}

// section124 is what the error is about, as buckets spell it: of a machine check
// what its code says, else the record's first section.
func section124(f *Facts) string {
	if f.Parameters[0] == sourceMachineCheck {
		for _, m := range banks(f) {
			if section := decodeMCA(m.Status).section; section != "" {
				return section
			}
		}
	}
	if f.WHEA != nil {
		return f.WHEA.Section
	}
	return ""
}

// sourceOf says who reported the error.
func sourceOf(n uint64) report.Text {
	if v, ok := win.English.Value(0x124, 1, n); ok {
		return report.T(v.Meaning)
	}
	return report.T("The hardware reported an error that cannot be corrected (error source %d).", n)
}

// judgeRecord says what the record as a whole says.
func (j *judgement) judgeRecord(w *WHEA) {
	source := report.T("hardware error record (parameter 2)")
	switch w.Severity {
	case "corrected":
		j.evidence(report.Recorded, source, report.T("The record says that the error was corrected."))
	case "recoverable":
		j.evidence(report.Recorded, source, report.T("The record says that the error could have been recovered from."))
	case "fatal":
		j.evidence(report.Recorded, source, report.T("The record says that the error is fatal: no program and no driver could have gone on."))
	}
	if w.FRU != "" {
		j.evidence(report.Recorded, source, report.T("The firmware names the part: %s.", w.FRU))
	}
	for _, s := range w.Others {
		j.evidence(report.Recorded, source, report.T("The record holds: %s.", s))
	}
}

// judgeProcessor says what a processor's section adds to the banks.
func (j *judgement) judgeProcessor(p ProcessorError) {
	source := report.T("hardware error record (parameter 2)")
	words := map[string]report.Text{
		"CACHE": report.T("a cache"), "TLB": report.T("the address translation cache"), "BUS": report.T("the bus"), "MAE": report.T("its inside"),
	}
	if what, ok := words[p.Type]; ok {
		j.evidence(report.Recorded, source, report.T("Processor %d (APIC number) reported an error of %s.", p.Number, what))
	}
	if p.Type == "CACHE" && p.Level != nil && *p.Level > 0 && *p.Level <= maxCacheLevel {
		j.evidence(report.Recorded, source, report.T("It is the cache of level %d.", *p.Level))
	}
}

const maxCacheLevel = 3

// memoryTypes are the kinds of memory errors (UEFI specification, N.2.5, "Memory
// Error Type").
var memoryTypes = map[uint8]report.Text{
	2: report.T("one wrong bit"), 3: report.T("several wrong bits, more than can be corrected"), 4: report.T("one wrong memory chip"),
	5: report.T("several wrong memory chips"), 6: report.T("no unit took the request"), 7: report.T("the memory refused the request"),
	8: report.T("a parity error"), 9: report.T("the memory did not answer in time"), 10: report.T("an address that is not valid"),
	11: report.T("a memory mirror that is broken"), 12: report.T("memory that was replaced by spare memory"),
	13: report.T("an error that scrubbing found and corrected"), 14: report.T("an error that scrubbing found and could not correct"),
	15: report.T("memory that was taken out of use"),
}

// judgeMemory says where in memory the error is.
func (j *judgement) judgeMemory(m MemoryError) {
	source := report.T("hardware error record (parameter 2)")
	if what, ok := memoryTypes[m.Type]; ok {
		j.evidence(report.Recorded, source, report.T("The memory error is: %s.", what))
	}
	if m.Address != 0 && !slices.ContainsFunc(banks(j.f), func(b MachineCheck) bool { return b.Address == m.Address }) {
		j.evidence(report.Recorded, source, report.T("Its physical address is 0x%x.", m.Address))
	}
	if where := m.where(); !where.IsZero() {
		j.evidence(report.Recorded, source, report.T("Its place: %s.", where))
	}
	if m.Label != "" {
		j.evidence(report.Derived, report.T("firmware tables (SMBIOS)"), report.T("That memory module is the one in slot %s.", m.Label))
	}
}

// where lists what is known of the place, by the specification's words.
func (m MemoryError) where() report.Text {
	var parts []report.Text
	for _, p := range []struct {
		what report.Text
		n    int
	}{
		{report.T("node %d", m.Node), m.Node}, {report.T("card %d", m.Card), m.Card}, {report.T("module %d", m.Module), m.Module},
		{report.T("rank %d", m.Rank), m.Rank}, {report.T("bank %d", m.Bank), m.Bank}, {report.T("device %d", m.Device), m.Device},
		{report.T("row %d", m.Row), m.Row}, {report.T("column %d", m.Column), m.Column},
	} {
		if p.n >= 0 {
			parts = append(parts, p.what)
		}
	}
	return enumerated(parts)
}

// mcStatus joins the two halves that the parameters hold.
func mcStatus(f *Facts) uint64 { return f.Parameters[2]<<32 | f.Parameters[3]&0xffffffff }

// vendorOf is the pseudo-module that buckets of hardware errors name: the
// processor's maker, or "hardware" where the dump does not tell it.
func vendorOf(f *Facts) string {
	switch f.CPUVendor {
	case vendorIntel, vendorAMD:
		return f.CPUVendor
	}
	return "hardware"
}

// class124 has P1 in decimal (2 published cases).
func class124(f *Facts) string { return fmt.Sprintf("0x124_%d_%s", f.Parameters[0], vendorOf(f)) }

func happened124(f *Facts) report.Text {
	w := f.WHEA
	if w == nil {
		w = &WHEA{}
	}
	switch list := banks(f); {
	case len(w.PCI) > 0:
		return report.T("PCI Express device %s reported an error", w.PCI[0].place())
	case len(w.Memory) > 0 && w.module() != "":
		return report.T("memory module %s reported an error", w.module())
	case len(w.Memory) > 0:
		return report.T("a memory module reported an error")
	case len(list) > 0 && decodeMCA(list[0].Status).section != "":
		return decodeMCA(list[0].Status).what
	}
	return report.T("it reported an error that cannot be corrected")
}

// steps124 follow from the part that the record names.
func steps124(f *Facts) []report.Text {
	w := f.WHEA
	if w == nil {
		w = &WHEA{}
	}
	section := section124(f)
	switch {
	case len(w.PCI) > 0:
		return pciSteps(w.PCI[0])
	case len(w.Memory) > 0 || section == "MEMORY":
		return moduleSteps(w)
	case section == "PROCESSOR_BUS":
		return append([]report.Text{report.T("The error came over the bus: look at the cards in the PCI Express slots and the SSDs too; take out those that can be spared, and update the firmware of the others.")}, machineCheckSteps()...)
	}
	return machineCheckSteps()
}

func pciSteps(p PCIError) []report.Text {
	find := report.T("Find the device: Device Manager, View, Devices by connection; or in PowerShell %s (PCI bus %d, device %d, function %d).", report.Command("Get-PnpDevice -PresentOnly | Where-Object InstanceId -like '*VEN_%04X&DEV_%04X*'", p.Vendor, p.ID), p.Bus, p.Device, p.Function)
	if p.Port == 4 || p.Port == 6 {
		find = report.T("Find what hangs on the port: Device Manager, View, Devices by connection; the port is VEN_%04X&DEV_%04X (PCI bus %d, device %d, function %d), and the device below it is to be looked at.", p.Vendor, p.ID, p.Bus, p.Device, p.Function)
	}
	update := report.T("Update the firmware of that device and of the machine (BIOS), and the device's driver; turn PCI Express link state power management off for a trial: %s, then %s.", linkPowerCommand, activateCommand)
	if p.Driver != "" {
		update = report.T("Update the firmware of that device and of the machine (BIOS), and its driver %s; turn PCI Express link state power management off for a trial: %s, then %s.", describe(p.Driver), linkPowerCommand, activateCommand)
	}
	return []report.Text{
		find,
		report.T("With the power off, take the card or SSD out and put it back, in another slot if there is one; look at riser, cable and cooling."),
		update,
		report.T("If it happens again, replace the device, then the mainboard. On a server, open a hardware case with this record."),
	}
}

// module is what the firmware calls the memory module, or the slot that it is in; ""
// if it does not say.
func (w *WHEA) module() string {
	if len(w.Memory) > 0 && w.Memory[0].Label != "" {
		return w.Memory[0].Label
	}
	return w.FRU
}

func moduleSteps(w *WHEA) []report.Text {
	first := moduleLogStep()
	if name := w.module(); name != "" {
		first = report.T("Replace the memory module in slot %s, or put it into another slot for a trial: if the error goes with it, it is the module, else slot, mainboard or processor.", name)
	}
	return append([]report.Text{first}, memorySteps(false)[1:]...)
}
