package analyze

import (
	"testing"

	"bugcheck/report"

	"github.com/google/go-cmp/cmp"
)

// A verdict names the function that code is in, not one that was inlined there;
// and nothing behind a scanned frame is certain, however it was found.
func TestFactFrames(t *testing.T) {
	at := report.Hex(0x12)
	got := factFrames([]report.Frame{
		{Module: "myfault", Symbol: "ReadField", Inline: true, Trust: report.TrustContext},
		{Image: "myfault.sys", Module: "myfault", Symbol: "DriverEntry", Offset: &at, Trust: report.TrustContext},
		{Image: "ntoskrnl.exe", Module: "nt", Offset: &at, Trust: report.TrustScan},
		{Image: "ndis.sys", Module: "ndis", Offset: &at, Trust: report.TrustUnwind},
	})
	want := []Frame{
		{Image: "myfault.sys", Module: "myfault", Symbol: "DriverEntry", Offset: 0x12, Trust: report.TrustContext},
		{Image: "ntoskrnl.exe", Module: "nt", Offset: 0x12, Trust: report.TrustScan},
		{Image: "ndis.sys", Module: "ndis", Offset: 0x12, Trust: report.TrustScan},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}
