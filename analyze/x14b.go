package analyze

import (
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
)

// SOC_SUBSYSTEM_FAILURE (0x14B) and its live dump (0x15D): P1 a
// SOC_SUBSYSTEM_FAILURE_DETAILS, which begins with the SOC_SUBSYSTEM_TYPE (documented:
// https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddk/ne-ntddk-soc_subsystem_type).

// chipParts are the parts of a chip by SOC_SUBSYSTEM_TYPE.
var chipParts = []func() report.Text{
	func() report.Text { return report.T("the mobile radio (modem)") },
	func() report.Text { return report.T("the sound processor") },
	func() report.Text { return report.T("the radio for Wi-Fi and Bluetooth") },
	func() report.Text { return report.T("the sensors") },
	func() report.Text { return report.T("the signal processor for computing") },
	func() report.Text { return report.T("the security processor") },
}

func collect14B(c *collection) {
	b, err := mem.Read(c.m.Memory, mem.VA(c.facts.Parameters[0]), 4)
	if err != nil {
		c.note("chip", report.T("Its record is not in the dump: %v.", err.Error()))
		return
	}
	part := le.U32(b, 0)
	c.facts.ChipPart = &part
}

func judge14B(j *judgement) {
	if part := j.f.ChipPart; part != nil {
		what := report.T("a part of the maker's own (number 0x%x)", *part)
		if int(*part) < len(chipParts) {
			what = chipParts[*part]()
		}
		j.evidence(report.Recorded, parameter(1), report.T("What failed is %s.", what))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("Such a part runs firmware of its own, which failed; Windows only reports it."))
	j.decide(report.CauseFirmware, report.Medium)
}
