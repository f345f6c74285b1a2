package analyze

import (
	"strings"

	"bugcheck/kernel"
	"bugcheck/report"
)

// DRIVER_PNP_WATCHDOG (0x1D5): P1 the first letters of the driver's service, P3 the
// thread, P4 milliseconds.
func collect1D5(c *collection) { c.aboutThread(c.facts.Parameters[2]) }

// letters are the text that a parameter holds in its own bytes, of one or two bytes a
// letter: the documentation does not say which.
func letters(v uint64) string {
	width := 8
	if v&0xff00ff00ff00ff00 == 0 {
		width = 16
	}
	var b []byte
	for ; v != 0; v >>= width {
		b = append(b, byte(v))
	}
	if s := string(b); isPrintable(s) {
		return s
	}
	return ""
}

// minLetters is how many letters of a name are needed to tell a driver by it.
const minLetters = 3

func judge1D5(j *judgement) {
	p := j.f.Parameters
	name := letters(p[0])
	j.evidence(report.Recorded, report.T("parameters 1 and 4"), report.T("Windows had waited %d ms for the driver whose service begins with %s.", p[3], orUnknown(name)))
	found := j.judgeThread(parameter(3))
	var images []string
	for _, i := range j.f.Images {
		if len(name) >= minLetters && strings.HasPrefix(strings.ToLower(i.Image), strings.ToLower(name)) && !isDumpCopy(i.Image) {
			images = append(images, i.Image)
		}
	}
	if len(images) != 1 {
		return
	}
	j.evidence(report.Derived, parameter(1), report.T("The only loaded driver whose name begins so is %s.", images[0]))
	if found && thirdParty(j.v.Image) {
		j.suggest(images[0], report.T("its service is the one that Plug and Play waited for"))
		return
	}
	j.convict(images[0], kernel.ModuleName(images[0]), "", report.Medium)
}

func happened1D5(*Facts) report.Text {
	return report.T("a driver did not finish a request of Plug and Play in time")
}
