package analyze

import "bugcheck/report"

// WFP_INVALID_OPERATION (0x1D3): a callout of the filtering platform did what the
// network stack does not accept.
func judge1D3(j *judgement) {
	j.evidence(report.Recorded, parameter(1), report.T("The kind, 0x%x, is not among those that are documented.", j.f.Parameters[0]))
	j.suggestKinds(report.T("drivers of this kind filter the network; nothing else points there"), "antivirus", "vpn", "filter", "security")
	j.detector()
}

func happened1D3(*Facts) report.Text {
	return report.T("a driver that filters the network did something that the network stack does not accept")
}
