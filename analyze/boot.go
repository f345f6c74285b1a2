package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// The stages of the start of Windows (0x32, 0x6B, 0x6D to 0x71 with a status in P1; 0x67
// with one in P3): what could not be started is known from the code, why from the status
// ("Bug Check Code Reference" in Microsoft's documentation).

func judgeBoot(j *judgement) {
	n := 1
	if j.f.Code == 0x67 {
		n = 3
	}
	status := uint32(j.f.Parameters[n-1])
	if status == 0 || !isStatus(j.f.Parameters[n-1]) {
		return
	}
	j.tellStatus(n)
	switch {
	case noResources[status]:
		j.evidence(report.Derived, parameter(n), report.T("Memory was short while Windows started."))
	case ofStorage[status]:
		j.noticed(report.CauseStorage, report.Medium)
	case badFiles[status], missingFiles[status]:
		j.evidence(report.Derived, parameter(n), report.T("A file that Windows starts from is missing, damaged or of another version (%s).", win.Status(status)))
		j.noticed(report.CauseStorage, report.Low)
	}
}

// missingFiles are statuses of a name that is not there.
var missingFiles = map[uint32]bool{0xc0000034: true, 0xc000003a: true, 0xc000000f: true}
