package analyze

import (
	"fmt"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// VIDEO_TDR_FAILURE (0x116), VIDEO_TDR_TIMEOUT_DETECTED (0x117, live) and
// VIDEO_ENGINE_TIMEOUT_DETECTED (0x141, live): the graphics card did not answer.
// P2 points into the display driver, P3 is the last status.

// TDR_RECOVERY_CONTEXT (dt dxgkrnl!_TDR_RECOVERY_CONTEXT in Microsoft's documentation
// of 0x116). Of the reasons only this one is documented ("TDR changes in Windows 8").
const (
	tdrSignature = 0x52445476
	tdrReason    = 0x10
	tdrPromoted  = 9 // TdrEngineTimeoutPromotedToAdapterReset
)

func collect116(c *collection) {
	b, err := mem.Read(c.m.Memory, mem.VA(c.facts.Parameters[0]), tdrReason+4)
	if err == nil && c.m.Arch != dump.X86 && le.U32(b, 0) == tdrSignature {
		c.facts.TDRReason = le.U32(b, tdrReason)
	}
}

func judge116(j *judgement) {
	p, where := j.f.Parameters, j.f.Places[1]
	if where.Kind != PlaceModule {
		j.evidence(report.Recorded, parameter(2), report.T("The address of the display driver, 0x%x, lies in no loaded driver.", p[1]))
		j.displayDriver()
		return
	}
	j.evidence(report.Recorded, parameter(2), report.T("The display driver that did not recover is the one at 0x%x: %s.", p[1], where.at()))
	if p[2] != 0 && j.f.Code == 0x116 {
		j.evidence(report.Recorded, parameter(3), report.T("The last attempt to reset the graphics card ended with %s.", win.Status(uint32(p[2]))))
	}
	if j.f.TDRReason == tdrPromoted {
		j.evidence(report.Recorded, report.T("recovery context (parameter 1)"), report.T("One engine of the card was to be reset by itself first; that failed, and the whole card had to be reset."))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("The driver answers for the graphics card: overheating, a weak power supply, overclocking or a failing card look the same from here."))
	j.convict(where.Image, where.Module, "", report.Medium)
	j.bucket = fmt.Sprintf("0x%x_IMAGE_%s", j.f.Code, where.Image)
}

// displayDriver names the display driver where parameter 2 does not: the one on the
// stack, else the only one that is loaded. The stack is that of Windows' graphics
// kernel, which waited; it is not to blame.
func (j *judgement) displayDriver() {
	isDisplay := func(image string) bool {
		d, ok := win.English.Driver(image)
		return ok && d.Kind == "display" && thirdParty(image)
	}
	j.decide(report.CauseUnknown, report.Low)
	j.bucket = noBucket
	var found []Image
	for _, fr := range certain(j.f) {
		if isDisplay(fr.Image) && len(found) == 0 {
			found = []Image{{Image: fr.Image, Module: fr.Module}}
			j.evidence(report.Derived, report.T("stack"), report.T("The display driver on the stack is %s.", fr.Image))
		}
	}
	if len(found) == 0 {
		for _, i := range j.f.Images {
			if isDisplay(i.Image) {
				found = append(found, i)
				j.suggest(i.Image, report.T("it is a loaded display driver"))
			}
		}
		if len(found) == 1 {
			j.evidence(report.Derived, report.T("loaded drivers"), report.T("The only loaded driver of a graphics card is %s.", found[0].Image))
		}
	}
	if len(found) == 1 {
		j.v.Alternatives = nil
		j.convict(found[0].Image, found[0].Module, "", report.Medium)
		j.bucket = fmt.Sprintf("0x%x_IMAGE_%s", j.f.Code, found[0].Image)
	}
}

func class116(f *Facts) string { return fmt.Sprintf("0x%x", f.Code) }

func happened116(*Facts) report.Text {
	return report.T("the graphics card stopped answering and could not be reset in time")
}
