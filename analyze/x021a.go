package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// WINLOGON_FATAL_ERROR (0xC000021A): P1 what ended, as words, P2 its status. A process of
// user mode died, so the stack of the kernel names nobody ("Bug Check 0xC000021A" in
// Microsoft's documentation: mismatched system files, third parties' software).
// STATUS_IMAGE_CHECKSUM_MISMATCH (0xC0000221): P1 the name of a damaged file.

// badFiles are statuses of a program that could not be put together from its files.
var badFiles = map[uint32]bool{0xc0000135: true, 0xc0000139: true, 0xc0000138: true, 0xc000007b: true, 0xc0000221: true, 0xc0000142: true}

func judge21A(j *judgement) {
	status := uint32(j.f.Parameters[1])
	if status != 0 && isStatus(j.f.Parameters[1]) {
		j.evidence(report.Recorded, parameter(2), report.T("The process ended with %s.", win.Status(status)))
	}
	switch {
	case badFiles[status]:
		j.evidence(report.Derived, parameter(2), report.T("That is the status of a program whose files are missing, damaged or of different versions, as after an update that did not finish."))
	case status == statusAccessViolation:
		j.evidence(report.Derived, parameter(2), report.T("That is a fault inside the process: software that works inside it (security products, remote control, logon extensions) is the usual cause, damaged system files or memory the others."))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("A process ended; the stack of the kernel does not show why."))
	j.nobody = true
	j.decide(report.CauseUnknown, report.Low)
}

func judge221(j *judgement) {
	j.evidence(report.Derived, report.T("stop code"), report.T("The checksum of the file does not fit its contents: it was damaged on disk, or on its way into memory."))
	j.nobody = true
	j.decide(report.CauseStorage, report.Low)
}
