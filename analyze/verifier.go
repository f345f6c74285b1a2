package analyze

import (
	"slices"
	"strings"

	"bugcheck/report"
)

// collectWatched lists the drivers that driver verifier watches.
func (c *collection) collectWatched() {
	for _, d := range c.m.Modules {
		if d.Verified && !d.User {
			c.facts.Watched = append(c.facts.Watched, d.Name)
		}
	}
}

// judgeWatched says which drivers verifier watches, where it is open who did it: a mistake
// of theirs that verifier looks for would have stopped Windows when it was made.
func (j *judgement) judgeWatched() {
	open := j.v.Cause == report.CauseUnknown || j.v.Cause == report.CauseMemoryCorruption || j.v.Cause == report.CauseDriver && j.v.Confidence != report.High
	if !open || len(j.f.Watched) == 0 {
		return
	}
	j.evidence(report.Derived, report.T("list of loaded drivers"), report.T("Driver verifier, which stops Windows when a driver it watches breaks a rule, watched these or drivers that they call: %s.", someOf(j.f.Watched)))
}

// unwatched leaves out of images separated by commas those that verifier watches already:
// to let it watch them would tell nothing new.
func (j *judgement) unwatched(images string) string {
	if images == "" {
		return ""
	}
	list := slices.DeleteFunc(strings.Split(images, ", "), func(image string) bool {
		return slices.ContainsFunc(j.f.Watched, func(w string) bool { return strings.EqualFold(w, image) })
	})
	return strings.Join(list, ", ")
}
