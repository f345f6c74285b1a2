package analyze

import (
	"slices"
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
	if agree(machineOf(a), machineOf(b)) {
		k.changes(a, b)
	}
	c := report.Comparison{Schema: report.Schema, Tool: a.Tool, Changes: k.Changes, Crashes: [2]report.CaseCrash{k.Crashes[0], k.Crashes[1]}}
	same(&c, a, b)
	compareParts(&c, a, b)
	return c
}

// same decides: the bucket of a place says that it is the same failure; the same driver at
// another place may be; all else is chance.
func same(c *report.Comparison, a, b *report.Report) {
	va, vb := a.Verdict, b.Verdict
	switch {
	case va.Bucket != "" && va.Bucket == vb.Bucket:
		c.Same, c.Summary = sameBucket(a, b)
	case va.Image != "" && strings.EqualFold(va.Image, vb.Image) && thirdParty(va.Image):
		c.Same = report.SameDriver
		c.Summary = report.T("Both dumps name the same driver, %s, at different places.", va.Image)
	default:
		c.Same = report.SameNothing
		c.Summary = report.T("The two dumps show different failures.")
	}
}

// sameBucket: a bucket that names a place means the same failure on any machine. One of
// broken parts or of damaged memory names a kind, and one without a function no more than
// the module.
func sameBucket(a, b *report.Report) (same string, summary report.Text) {
	bucket := a.Verdict.Bucket
	placeA, placeB := failed(a), failed(b)
	switch apart := !agree(machineOf(a), machineOf(b)); {
	case apart && (ofParts(a) || ofParts(b)):
		return report.SameNothing, report.T("Both dumps have the failure bucket %s, but are of different machines: it names a kind of failure, and each machine has broken parts of its own.", bucket)
	case a.Verdict.Bit != nil && b.Verdict.Bit != nil && *a.Verdict.Bit != *b.Verdict.Bit:
		return report.SameFailure, report.T("Both dumps show the same kind of failure, %s, but not the same wrong bit: %d and %d.", bucket, *a.Verdict.Bit, *b.Verdict.Bit)
	case ofParts(a) && a.Verdict.Cause == report.CauseHardware && a.Verdict.Bit == nil:
		return report.SameFailure, report.T("Both dumps show the same kind of hardware failure: %s.", bucket)
	case strings.HasSuffix(bucket, "!unknown_function") && placeA != placeB && thirdParty(a.Verdict.Image):
		return report.SameDriver, report.T("Both dumps name the same driver, %s, at different places.", a.Verdict.Image)
	case strings.HasSuffix(bucket, "!unknown_function") && placeA != placeB:
		return report.SameNothing, report.T("Both dumps have the failure bucket %s, but failed at different places: without symbols it names no more than the module.", bucket)
	}
	return report.SameFailure, report.T("Both dumps show the same failure: %s.", bucket)
}

// ofParts reports a verdict on the machine's parts, or on memory that is damaged.
func ofParts(r *report.Report) bool {
	return slices.Contains([]string{report.CauseHardware, report.CauseMemoryCorruption, report.CauseStorage, report.CauseFirmware}, r.Verdict.Cause)
}

// failed is the innermost place in the module that the verdict names, as offset in it;
// zero if no caller lies there.
func failed(r *report.Report) report.Hex {
	for _, f := range r.Stack {
		if f.Module == r.Verdict.Module && f.Offset != nil {
			return *f.Offset
		}
	}
	return 0
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
	if va, vb := a.Verdict.Bit, b.Verdict.Bit; va != nil && vb != nil {
		add(*va == *vb, report.T("wrong bit %d", *va), report.T("wrong bits %d and %d", *va, *vb))
	}
	if va, vb := suspectOf(a), suspectOf(b); va != "" && vb != "" {
		add(strings.EqualFold(va, vb), report.T("driver blamed or suspected first: %s", va), report.T("drivers blamed or suspected first: %s and %s", va, vb))
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

// suspectOf is the driver from outside Windows that a verdict names, or begins its
// suspects with.
func suspectOf(r *report.Report) string {
	v := r.Verdict
	switch {
	case v.Cause == report.CauseDriver && thirdParty(v.Image):
		return v.Image
	case len(v.Alternatives) > 0 && thirdParty(v.Alternatives[0].Image):
		return v.Alternatives[0].Image
	}
	return ""
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
