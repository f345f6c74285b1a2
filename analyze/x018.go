package analyze

import "bugcheck/report"

// REFERENCE_BY_POINTER (0x18): P1 the object's type, P2 the object ("Bug Check 0x18" in
// Microsoft's documentation: typically a driver released the object once too often).
// BAD_OBJECT_HEADER (0x189): P1 the object's header, P3 what is damaged there.

func judge18(j *judgement) {
	j.evidence(report.Derived, report.T("stop code"), report.T("Whoever is on the stack released the object last; who released it once too often may have done so long before."))
	j.limit(report.Medium)
}

func judge189(j *judgement) {
	switch j.f.Parameters[2] {
	case 0:
		j.evidence(report.Recorded, parameter(3), report.T("The number of the object's type in its header is damaged."))
	case 1:
		j.evidence(report.Recorded, parameter(3), report.T("The security descriptor of the object is not valid."))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("The header was damaged before it was looked at: the stack shows who noticed it, not who did it."))
	j.limit(report.Low)
	j.noticed(report.CauseMemoryCorruption, report.Low)
}

func referenceSteps(j *judgement) []report.Text {
	steps := []report.Text{}
	names := thirdPartyNames(j)
	if thirdParty(j.v.Image) {
		names = joinNames(names, j.v.Image)
		steps = append(steps, updateStep(j.v.Image))
	}
	if names == "" {
		steps = append(steps, report.T("Update the drivers from outside Windows, first of all anti-virus, backup, encryption and other filters of the file system."))
	} else {
		steps = append(steps, verifierStep(names))
	}
	return append(steps, memoryTestStep(), keepDumpStep(j))
}
