package analyze

import "bugcheck/report"

// PFN_LIST_CORRUPT (0x4E): the lists of physical pages. P1 the kind, P2 the page, of
// kinds 1 and 8F another number ("Bug Check 0x4E: PFN_LIST_CORRUPT",
// https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x4e--pfn-list-corrupt).

const (
	unlockedTwice = 0x07 // P3 share count
	freeListState = 0x8d
	freedLocked   = 0x9a // P4 reference count
	frameShift    = 12
)

// pageKinds4E are those whose P2 is the page that is wrong.
var pageKinds4E = map[uint64]bool{0x02: true, unlockedTwice: true, freeListState: true, 0x99: true, freedLocked: true}

func judge4E(j *judgement) {
	p := j.f.Parameters
	if !j.says(1) {
		j.evidence(report.Recorded, parameter(1), report.T("The memory manager found its lists of physical pages damaged (kind 0x%x).", p[0]))
	}
	if pageKinds4E[p[0]] && p[1] < 1<<52 {
		j.physicalPage(2)
	}
	switch p[0] {
	case unlockedTwice, freedLocked:
		j.limit(report.Medium)
		j.evidence(report.Derived, parameter(1), report.T("A driver's count of locks does not add up: the one that unlocks or frees last is on the stack, and may be the one whose lock another driver took away."))
	case freeListState:
		j.noticed(report.CauseMemoryCorruption, report.Low)
		j.evidence(report.Derived, parameter(1), report.T("Of this kind Microsoft's documentation says that hardware is probably to blame: memory first."))
	default:
		j.noticed(report.CauseMemoryCorruption, report.Low)
		j.foundLater()
	}
}

func happened4E(f *Facts) report.Text {
	switch f.Parameters[0] {
	case unlockedTwice:
		return report.T("a page of memory was unlocked more often than it was locked")
	case freedLocked:
		return report.T("a page of memory was freed while a transfer still had it locked")
	}
	return report.T("the lists of physical pages were found damaged")
}

// physicalPage tells of the page of RAM whose number parameter n (from 1) is.
func (j *judgement) physicalPage(n int) {
	page := j.f.Parameters[n-1]
	j.evidence(report.Recorded, parameter(n), report.T("It is physical page 0x%x, which begins at physical address 0x%x: the same page or its neighbours in several dumps speak for a memory module.", page, page<<frameShift))
}
