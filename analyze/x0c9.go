package analyze

import "bugcheck/report"

// DRIVER_VERIFIER_IOMANAGER_VIOLATION (0xC9): driver verifier's I/O checks. P1 the
// check; of 0x200 and above P2 is the place in the driver's code, P3 the IRP (request),
// P4 the device ("Bug Check 0xC9",
// https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0xc9--driver-verifier-iomanager-violation).

const firstPlaced = 0x200

func judgeC9(j *judgement) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("Driver verifier caught a driver breaking rule 0x%x while it did it: who is on the stack is who did it.", p[0]))
	}
	where := j.f.Places[1]
	if p[0] < firstPlaced || where.Kind != PlaceModule {
		return
	}
	j.evidence(report.Recorded, parameter(2), report.T("The code that broke the rule is at 0x%x, in %s.", p[1], where.at()))
	if thirdParty(where.Image) {
		j.convict(where.Image, where.Module, where.Symbol, report.High)
	}
}

// The verifiers of SCSI and PCI drivers (0xF1, 0xF6): P1 the rule.
func judgeF1(j *judgement) {
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("Driver verifier caught a driver breaking rule 0x%x while it did it: who is on the stack is who did it.", j.f.Parameters[0]))
	}
	switch {
	case j.f.Code == 0xf6 && j.f.Parameters[0] == bridgeChanged:
		j.decide(report.CauseFirmware, report.Medium)
	case j.f.Code == 0xf6 && j.f.Parameters[0] == deviceLate:
		j.limit(report.Low)
	default:
		j.limit(report.Medium)
	}
}

// Kinds of 0xF6 that are no driver's.
const (
	bridgeChanged = 0x01 // by the firmware
	deviceLate    = 0x02
)

func happenedC9(f *Facts) report.Text {
	return report.T("it handled a request in a way that driver verifier does not allow (0x%x)", f.Parameters[0])
}
