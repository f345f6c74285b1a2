package render

import (
	"strings"
	"testing"
	"time"

	"bugcheck/report"
)

// A picture runs forward, and tells a thing once that came before two crashes.
func TestPicture_Order(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 3, n, 5, 12, 0, 0, time.UTC) }
	installed := report.Event{At: day(1), What: report.T("a.sys was installed")}
	at := []time.Time{day(2), day(5)}
	p := &page{}
	p.picture([]report.Incident{
		{At: &at[1], Summary: report.T("second"), Changed: []report.Event{installed}, Before: []report.Event{{At: day(4), What: report.T("the clock: set")}}},
		{At: &at[0], Summary: report.T("first"), Changed: []report.Event{installed}},
	})
	var lines []string
	for _, l := range strings.Split(p.String(), "\n") {
		if strings.HasPrefix(l, "    ") {
			lines = append(lines, strings.TrimSpace(l))
		}
	}
	want := "title All times UTC|2026-03-01 : 05∶12 a.sys was installed|2026-03-02 : 05∶12 first|2026-03-04 : 05∶12 the clock∶ set|2026-03-05 : 05∶12 second"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
