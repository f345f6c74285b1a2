package analyze

import (
	"testing"

	"bugcheck/report"
)

// TestFromFault: the walk starts at the fault only where the chain of frame
// pointers holds its address again, not where a scan of the stack does.
func TestFromFault(t *testing.T) {
	frame := func(address uint64, trust string) report.Frame {
		return report.Frame{Address: report.Hex(address), Trust: trust}
	}
	for _, c := range []struct {
		trust string
		want  int
	}{{report.TrustFramePointer, 2}, {report.TrustScan, 4}} {
		got := fromFault([]report.Frame{frame(0x10, report.TrustContext), frame(0x20, report.TrustFramePointer),
			frame(0x10, c.trust), frame(0x30, report.TrustFramePointer)})
		if len(got) != c.want || got[0].Address != 0x10 || got[0].Trust != report.TrustContext {
			t.Errorf("fault met again by %s: %d frames from %+v, want %d", c.trust, len(got), got[0], c.want)
		}
	}
}
