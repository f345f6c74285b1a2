package render

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"bugcheck/report"
)

// How often crashes came is told in the unit that makes a number of it.
func TestCase_Rate(t *testing.T) {
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for perDay, want := range map[float64]string{0.001: "(0.4 a year)", 0.1: "(3.0 a month)", 2: "(2.0 a day)"} {
		last := first.Add(24 * time.Hour)
		var b bytes.Buffer
		if err := Case(&b, &report.Case{First: &first, Last: &last, PerDay: perDay, Crashes: make([]report.CaseCrash, 2)}, Place{N: 1, Of: 1}, Options{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(got, want) {
			t.Errorf("%v a day: no %q in %s", perDay, want, got)
		}
	}
}
