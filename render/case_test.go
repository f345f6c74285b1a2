package render

import (
	"testing"
	"time"

	"bugcheck/report"
)

// How often crashes came is told where there are enough of them, in a unit of time that
// was seen to its end.
func TestCase_Rate(t *testing.T) {
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		crashes, days int
		want          string
	}{
		{3, 4, ""}, {6, 0, ""}, {6, 10, ""}, {6, 3, "2.0 a day"}, {6, 60, "3.0 a month"}, {6, 600, "3.6 a year"}, {60, 3, "20.0 a day"},
	} {
		last := first.Add(time.Duration(tt.days)*24*time.Hour + time.Hour)
		c := &report.Case{First: &first, Last: &last, PerDay: float64(tt.crashes) / max(1, float64(tt.days)), Crashes: make([]report.CaseCrash, tt.crashes)}
		p := &page{}
		if got := p.rate(c); got != tt.want {
			t.Errorf("%d crashes in %d days: %q, want %q", tt.crashes, tt.days, got, tt.want)
		}
	}
}
