package analyze

import "bugcheck/report"

// MICROCODE_REVISION_MISMATCH (0x17E): P1 the processor's signature, P2 and P3 the
// revision expected and found, P4 the processor.
func judge17E(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 to 4"), report.T("Processor %d (signature 0x%x) has microcode 0x%x; 0x%x was expected.", p[3], p[0], p[2], p[1]))
	j.noticed(report.CauseFirmware, report.High)
}

func happened17E(*Facts) report.Text {
	return report.T("the processors do not all have the same microcode")
}
