package analyze

import "bugcheck/report"

// MACHINE_CHECK_EXCEPTION (0x9C): the older form of 0x124, without an error record: P1
// the bank, P3 and P4 the high and low half of MCi_STATUS ("Bug Check 0x9C" in Microsoft's
// documentation).
func judge9C(j *judgement) {
	m := MachineCheck{Bank: uint32(j.f.Parameters[0]), Status: mcStatus(j.f)}
	j.decide(report.CauseHardware, report.High)
	if m.Status == 0 {
		j.evidence(report.Recorded, report.T("stop code"), report.T("The processor raised a machine check; the dump does not hold its registers."))
		return
	}
	j.evidence(report.Recorded, report.T("parameters 1, 3 and 4"), report.T("MCi_STATUS of bank %d is 0x%016x (%s).", m.Bank, m.Status, m.flags(j.f.CPUVendor)))
	j.judgeCodes(m)
}

func happened9C(f *Facts) report.Text {
	if code := decodeMCA(mcStatus(f)); code.section != "" {
		return code.what
	}
	return report.T("it reported an error that cannot be corrected")
}
