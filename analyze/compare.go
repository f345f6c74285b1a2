package analyze

import (
	"strings"

	"bugcheck/report"
)

// Compare says what two reports have in common, the earlier first. It is a pure function.
func Compare(a, b *report.Report) report.Comparison {
	if crashedAt(b).Before(crashedAt(a)) {
		a, b = b, a
	}
	k := &caseStory{reports: []*report.Report{a, b}}
	k.crashes()
	k.changes(a, b)
	c := report.Comparison{Schema: report.Schema, Tool: a.Tool, Changes: k.Changes, Crashes: [2]report.CaseCrash{k.Crashes[0], k.Crashes[1]}}
	same(&c, a, b)
	compareParts(&c, a, b)
	return c
}

// same decides: the bucket says that it is the same failure; the same driver at another
// place may be; all else is chance.
func same(c *report.Comparison, a, b *report.Report) {
	va, vb := a.Verdict, b.Verdict
	switch {
	case va.Bucket != "" && va.Bucket == vb.Bucket:
		c.Same = report.SameFailure
		c.Summary = report.T("Both dumps show the same failure: %s.", va.Bucket)
	case va.Image != "" && strings.EqualFold(va.Image, vb.Image) && thirdParty(va.Image):
		c.Same = report.SameDriver
		c.Summary = report.T("Both dumps name the same driver, %s, at different places.", va.Image)
	default:
		c.Same = report.SameNothing
		c.Summary = report.T("The two dumps show different failures.")
	}
}

// compareParts lists what is equal and what differs, in words.
func compareParts(c *report.Comparison, a, b *report.Report) {
	add := func(equal bool, yes, no report.Text) {
		if equal {
			c.Equal = append(c.Equal, yes)
		} else {
			c.Differ = append(c.Differ, no)
		}
	}
	if a.Bugcheck != nil && b.Bugcheck != nil {
		ca, cb := uint32(a.Bugcheck.Code), uint32(b.Bugcheck.Code)
		add(ca == cb, report.T("stop code 0x%08X", ca), report.T("stop codes 0x%08X and 0x%08X", ca, cb))
	}
	if a.Exception != nil && b.Exception != nil {
		add(a.Exception.Code == b.Exception.Code,
			report.T("exception 0x%08X", uint32(a.Exception.Code)), report.T("exceptions 0x%08X and 0x%08X", uint32(a.Exception.Code), uint32(b.Exception.Code)))
	}
	if a.Process != nil && b.Process != nil {
		add(a.Process.Name == b.Process.Name, report.T("process %s", a.Process.Name), report.T("processes %s and %s", a.Process.Name, b.Process.Name))
	}
	ma, mb := machineOf(a), machineOf(b)
	add(agree(ma, mb), report.T("machine, as far as the dumps tell"), report.T("machines: %s and %s", machineWords(ma), machineWords(mb)))
	if n := commonFrames(a.Stack, b.Stack); n > 0 {
		c.Equal = append(c.Equal, report.T("the innermost %d callers", n))
	}
}

func machineWords(m report.CaseMachine) string {
	return strings.Join(strings.Fields(strings.Join([]string{m.Manufacturer, m.Model, m.Processor}, " ")), " ")
}

// commonFrames is how many callers, from the fault outward, are at the same place.
func commonFrames(a, b []report.Frame) int {
	place := func(f report.Frame) string {
		if f.Module == "" || f.Offset == nil {
			return ""
		}
		return f.Module + "!" + f.Symbol + f.Offset.String()
	}
	n := 0
	for n < len(a) && n < len(b) && place(a[n]) != "" && place(a[n]) == place(b[n]) {
		n++
	}
	return n
}
