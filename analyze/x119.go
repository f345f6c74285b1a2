package analyze

import (
	"fmt"
	"regexp"

	"bugcheck/report"
	"bugcheck/win"
)

// VIDEO_MEMORY_MANAGEMENT_INTERNAL (0x10E), VIDEO_DXGKRNL_FATAL_ERROR (0x113),
// VIDEO_SCHEDULER_INTERNAL_ERROR (0x119), VIDEO_DXGKRNL_LIVEDUMP (0x193) and
// VIDEO_MINIPORT_BLACK_SCREEN_LIVEDUMP (0x1B8): the parts of Windows that drive the
// graphics card (dxgkrnl, dxgmms) found something wrong. They are on the stack; whose
// mistake it was, the display driver's most often, is not ("Bug Check 0x119" and the
// others in Microsoft's documentation).

// valueName is the documentation's name of a parameter's value, behind its meaning.
var valueName = regexp.MustCompile(`\(([A-Z][A-Z0-9_]+)\)\.$`)

// class119 is the kind of 0x119 and its documented name (2 published buckets have the
// form; a kind whose name is not documented goes without).
func class119(f *Facts) string {
	kind := f.Parameters[0]
	v, _ := win.English.Value(0x119, 1, kind)
	if m := valueName.FindStringSubmatch(v.Meaning); m != nil {
		return verified(f, fmt.Sprintf("0x119_%x_%s", kind, m[1]))
	}
	return verified(f, "0x119")
}

// schedulerInside are the kinds of 0x119 that are about the scheduler's own data.
var schedulerInside = map[uint64]bool{0x400: true, 0x1000: true, 0xa000: true, 0x10000: true}

// byHand1B8 are the kinds of 0x1B8 by which somebody asked for it.
var byHand1B8 = map[uint64]bool{0x1: true, 0x2: true, 0x8: true}

func judgeVideo(j *judgement) {
	kind := j.f.Parameters[0]
	j.meaningOf(1)
	switch {
	case j.f.Code == 0x119 && schedulerInside[kind]:
		j.likely(report.CauseMemoryCorruption)
	case j.f.Code == 0x1b8:
		j.black(kind)
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("The stack shows the part of Windows that found it; the display driver works for the same card, and its mistakes come to light there."))
	j.suggestKinds(report.T("it is the display driver, whose mistakes this part of Windows finds"), "display")
	j.detector()
}

// black says who asked for a live dump of a black screen.
func (j *judgement) black(kind uint64) {
	if byHand1B8[kind] {
		j.evidence(report.Recorded, parameter(1), report.T("Somebody asked for it by keys or by the power button, because the screen stayed black."))
	} else {
		j.evidence(report.Recorded, parameter(1), report.T("Windows itself noticed that the screen stayed black."))
	}
}

func happenedVideo(f *Facts) report.Text {
	switch f.Code {
	case 0x1b8:
		return report.T("the screen stayed black")
	case 0x119:
		return report.T("the scheduler of the graphics card got an answer that cannot be right")
	case 0x10e:
		return report.T("the manager of the graphics memory found its state broken")
	}
	return report.T("the graphics kernel of Windows found something that it cannot accept")
}
