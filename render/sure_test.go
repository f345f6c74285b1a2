package render_test

import (
	"strings"
	"testing"

	"bugcheck/render"
	"bugcheck/report"
)

// The blamed code is not looked for behind a scanned frame, even where unwinding
// went on from that.
func TestWinDbg_BehindScannedFrame(t *testing.T) {
	at := report.Hex(0x10)
	frame := func(module, trust string) report.Frame {
		return report.Frame{Module: module, Symbol: "Work", Offset: &at, Trust: trust}
	}
	r := &report.Report{Verdict: report.Verdict{Module: "ndis"}}
	for _, tt := range []struct {
		stack []report.Frame
		want  string
	}{
		{[]report.Frame{frame("nt", report.TrustContext), frame("ndis", report.TrustUnwind)}, "ndis!Work+0x10"},
		{[]report.Frame{frame("nt", report.TrustScan), frame("ndis", report.TrustUnwind)}, "ndis!unknown_function"},
	} {
		var out strings.Builder
		r.Stack = tt.stack
		if err := render.WinDbg(&out, r); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "SYMBOL_NAME:  "+tt.want+"\n") {
			t.Errorf("no SYMBOL_NAME %s in\n%s", tt.want, out.String())
		}
	}
}
