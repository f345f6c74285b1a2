package kernel_test

import (
	"fmt"
	"strings"
	"testing"

	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/report"
)

// otherBuilds are the kinds whose stacks lead over others: they are read of several
// builds.
var otherBuilds = map[string]bool{"high-irql-kernel": true, "stack-overflow": true, "hang-dpc": true, "machine-check": true, "breakpoint": true}

// Every crash that the lab plays: the process, and from KeBugCheckEx outward all the
// callers that the crash left, by the images in memory alone.
func TestLab_Kinds(t *testing.T) {
	for _, o := range []lab.Options{{Arch: "x64", Build: 19041}, {Arch: "x64", Build: 26100}, {Arch: "arm64", Build: 26100}} {
		for _, k := range lab.Kinds() {
			if o.Build != 19041 && !otherBuilds[k.Name] {
				continue
			}
			o.Memory = 1 << 30
			t.Run(fmt.Sprintf("%s %d %s", o.Arch, o.Build, k.Name), func(t *testing.T) {
				crash, err := lab.Play(k.Name, o)
				if err != nil {
					t.Fatal(err)
				}
				m := kernel.Open(labDump(t, crash.System, ram.ActiveBitmap))
				if len(m.Notes) > 0 {
					t.Errorf("notes:\n%s", notes(m))
				}
				if p, ok := m.Process(); !ok || p.Name != crash.Truth.Process.Name || p.PID == nil || *p.PID != crash.Truth.Process.PID {
					t.Errorf("process %q, want %s %d", p.Name, crash.Truth.Process.Name, crash.Truth.Process.PID)
				}
				if o.Arch == "arm64" && k.Name == "breakpoint" {
					return // the lab's CONTEXT lies over the frame record of KiDispatchException
				}
				checkTruth(t, m.Stack(m.HeaderRegisters(), nil), crash.Truth.Stack)
			})
		}
	}
}

// checkTruth looks for the truth's callers as the outer end of the frames.
func checkTruth(t *testing.T, frames []report.Frame, truth []lab.TruthFrame) {
	t.Helper()
	var got, want []string
	for _, f := range frames {
		got = append(got, fmt.Sprintf("%#x %#x", uint64(f.Address), uint64(f.StackPointer)))
	}
	for _, f := range truth {
		want = append(want, f.Address+" "+f.StackPointer)
	}
	if !strings.HasSuffix(strings.Join(got, "\n"), strings.Join(want, "\n")) {
		t.Errorf("frames:\n%s\nwant as the end of them:\n%+v", strings.Join(frameLines(frames), "\n"), truth)
	}
}
