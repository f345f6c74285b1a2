package render

import (
	"slices"
	"testing"

	"bugcheck/report"
)

// What speaks for several suspects alike is said once.
func TestSuspects(t *testing.T) {
	same := report.T("such drivers work through ks.sys")
	p := &page{r: &report.Report{Verdict: report.Verdict{Alternatives: []report.Alternative{
		{Image: "a1.sys", Why: report.T("on the stack")}, {Image: "b1.sys", Why: same}, {Image: "c1.sys", Why: same}, {Image: "d1.sys", Why: report.T("on the stack")},
	}}}}
	want := []string{"a1.sys: on the stack.", "b1.sys, c1.sys: such drivers work through ks.sys.", "d1.sys: on the stack."}
	if got := p.suspects(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
