package analyze

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// WHEA_UNCORRECTABLE_ERROR (0x124): the hardware itself reported an error that
// cannot be put right. P1 who reported it (WHEA_ERROR_SOURCE_TYPE), P2 the error
// record; for a machine check (P1 0) P3 and P4 are the high and low half of
// MCi_STATUS.

const sourceMachineCheck = 0

// The common platform error record (UEFI specification, appendix N): a header of
// 128 bytes, then section descriptors of 72.
const (
	cperHeader     = 128
	cperDescriptor = 72
	maxSections    = 64
)

// sectionNames are the types of record sections, as buckets spell them.
var sectionNames = map[string]string{
	"{9876ccad-47b4-4bdb-b65e-16f193c4f3db}": "PROCESSOR",
	"{dc3ea0b0-a144-4797-b95b-53fa242b6e1d}": "PROCESSOR",
	"{a5bc1114-6f64-4ede-b863-3e83ed7c83b1}": "MEMORY",
	"{d995e954-bbc1-430f-ad91-b44dcb3c6f35}": "PCIEXPRESS",
	"{c5753963-3b84-4095-bf78-eddad3f9c9dd}": "PCIXBUS",
	"{e71254e9-c1b9-4940-ab76-909703a4320f}": "NMI",
}

func collect124(c *collection) {
	p := c.facts.Parameters
	w := &WHEA{}
	c.facts.WHEA = w
	if err := w.readRecord(c.m, mem.VA(p[1])); err != nil {
		c.note("hardware error record", report.T("It cannot be read: %v.", err.Error()))
	}
}

// readRecord takes the section's type, and for PCI Express the device, from the
// error record.
func (w *WHEA) readRecord(m *kernel.Machine, va mem.VA) error {
	head, err := mem.Read(m.Memory, va, cperHeader)
	if err != nil {
		return err
	}
	if string(head[:4]) != "CPER" {
		return fmt.Errorf("the record at %v does not begin with CPER", va)
	}
	count := min(int(le.U16(head, 10)), maxSections)
	for i := range count {
		d, err := mem.Read(m.Memory, va+cperHeader+mem.VA(i*cperDescriptor), cperDescriptor)
		if err != nil {
			return err
		}
		name := sectionNames[win.GUID(d[16:32]).String()]
		if name == "" {
			continue
		}
		w.Section = name
		if name == "PCIEXPRESS" {
			w.readPCI(m, va+mem.VA(le.U32(d, 0)))
		}
		return nil
	}
	return nil
}

// readPCI decodes the device of a PCI Express section (UEFI specification,
// N.2.7: validation bits, then port type, version, command; device ID at 24).
func (w *WHEA) readPCI(m *kernel.Machine, va mem.VA) {
	b, err := mem.Read(m.Memory, va, 40)
	if err != nil {
		return
	}
	vendor, device := le.U16(b, 24), le.U16(b, 26)
	w.Device = fmt.Sprintf("%02x:%02x.%x (vendor %04x, device %04x)", b[35], b[32], b[31], vendor, device)
}

// machineCheck reads the error code in the low 16 bits of MCi_STATUS (Intel SDM
// volume 3, chapter "Interpreting machine-check error codes"; AMD's are the
// same in these forms).
func machineCheck(status uint64) (section string, detail report.Text) {
	code := uint16(status) &^ 0x1000 // bit 12: correction report filtering
	switch {
	case code&0xf800 == 0x0800:
		return "PROCESSOR_BUS", report.T("an error on the bus between processor, memory and other units (code 0x%x)", code)
	case code&0xff80 == 0x0080:
		return "MEMORY", report.T("an error of the memory controller (code 0x%x)", code)
	case code&0xff00 == 0x0100:
		return "PROCESSOR_CACHE", report.T("an error in a cache of the processor (code 0x%x)", code)
	case code&0xfff0 == 0x0010:
		return "PROCESSOR_TLB", report.T("an error in the processor's address translation cache (code 0x%x)", code)
	case code == 0x0400:
		return "PROCESSOR", report.T("the processor's internal timer ran out: a core or a device did not answer it (code 0x400)")
	case code != 0:
		return "PROCESSOR", report.T("an internal error of the processor (code 0x%x)", code)
	}
	return "", report.Text{}
}

func judge124(j *judgement) {
	p := j.f.Parameters
	j.decide(report.CauseHardware, report.High)
	j.v.Image, j.v.Module = vendorOf(j.f)+".sys", vendorOf(j.f)
	j.evidence(report.Recorded, parameter(1), report.T("The hardware reported an error that cannot be corrected (error source %d).", p[0]))
	section := ""
	if p[0] == sourceMachineCheck {
		var detail report.Text
		status := mcStatus(j.f)
		section, detail = machineCheck(status)
		j.evidence(report.Recorded, report.T("parameters 3 and 4"), report.T("MCi_STATUS is 0x%016x.", status))
		if !detail.IsZero() {
			j.evidence(report.Derived, report.T("parameters 3 and 4"), report.T("That means: %s.", detail))
		}
	}
	if w := j.f.WHEA; w != nil {
		if section == "" {
			section = w.Section
		}
		if w.Device != "" {
			j.evidence(report.Recorded, report.T("hardware error record (parameter 2)"), report.T("The device is %s.", w.Device))
		}
	}
	if vendorOf(j.f) == "hardware" {
		j.v.Image, j.bucket = "hardware", noBucket
		return
	}
	unknown := ""
	if section == "" {
		unknown = "UNKNOWN_"
	}
	j.bucket = fmt.Sprintf("%s_%s_%sIMAGE_%s", class124(j.f), section, unknown, j.v.Image)
}

// mcStatus joins the two halves that the parameters hold.
func mcStatus(f *Facts) uint64 { return f.Parameters[2]<<32 | f.Parameters[3]&0xffffffff }

// vendorOf is the pseudo-module that buckets of hardware errors name: the
// processor's maker, or "hardware" where the dump does not tell it.
func vendorOf(f *Facts) string {
	switch f.CPUVendor {
	case "GenuineIntel", "AuthenticAMD":
		return f.CPUVendor
	}
	return "hardware"
}

// class124 has P1 in decimal (2 published cases).
func class124(f *Facts) string { return fmt.Sprintf("0x124_%d_%s", f.Parameters[0], vendorOf(f)) }

func happened124(f *Facts) report.Text {
	if _, detail := machineCheck(mcStatus(f)); f.Parameters[0] == sourceMachineCheck && !detail.IsZero() {
		return detail
	}
	return report.T("it reported an error that cannot be corrected")
}
