package labcheck_test

import (
	"fmt"
	"slices"
	"testing"

	"bugcheck/internal/labcheck"
	"bugcheck/lab"
	"bugcheck/report"
)

// The same crash by a driver and by a flipped bit of its code, of a pointer, of a page
// table: whole memory tells them apart, and which bit it is. Code is compared with an
// image, so that takes symbols; a small dump holds the code and what registers point at,
// but no page tables, and the second buffer of the ring in none.
func TestFlips(t *testing.T) {
	whole := []string{"full", "kernel", "active", "live"}
	for _, o := range builds {
		for _, tt := range []struct {
			flip          string
			without, with []string // kinds of dumps that tell, without symbols and with them
			cause         string
		}{
			{"", append([]string{"small"}, whole...), append([]string{"small"}, whole...), report.CauseDriver},
			{lab.FlipCode, nil, append([]string{"small"}, whole...), report.CauseHardware},
			{lab.FlipPointer, whole, append([]string{"small"}, whole...), report.CauseHardware},
			{lab.FlipPTE, whole, whole, report.CauseHardware},
		} {
			o.Flip = tt.flip
			t.Run(fmt.Sprintf("%s %d %s", o.Arch, o.Build, tt.flip), func(t *testing.T) {
				b, err := labcheck.New("receive-ring", o, t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				if got := b.Crash.Truth.Verdict.Cause; got != tt.cause {
					t.Fatalf("the lab says %s", got)
				}
				for symbols, kinds := range map[bool][]string{false: tt.without, true: tt.with} {
					for _, kind := range kinds {
						checkFlip(t, b, kind, symbols)
					}
				}
			})
		}
	}
}

func checkFlip(t *testing.T, b *labcheck.Bench, kind string, symbols bool) {
	t.Helper()
	r, err := b.Report(kind, symbols)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range labcheck.Compare(b.Crash.TruthOf(kind), r, kind, symbols) {
		t.Errorf("%s, symbols %v: %s", kind, symbols, wrong)
	}
	if hardware := r.Verdict.Cause == report.CauseHardware; hardware != (r.Verdict.Bit != nil) {
		t.Errorf("%s, symbols %v: cause %s, bit %v", kind, symbols, r.Verdict.Cause, r.Verdict.Bit)
	}
}

// Of all other faults only those are hardware's that the lab made so.
func TestNoFlip_NoHardware(t *testing.T) {
	for _, k := range lab.Kinds() {
		b, err := labcheck.New(k.Name, lab.Options{Arch: "x64", Build: 26100}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"kernel", "small"} {
			r, err := b.Report(kind, true)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Contains([]string{"machine-check", "page-table-bit"}, k.Name)
			if got := r.Verdict.Cause == report.CauseHardware; got != want {
				t.Errorf("%s, %s: cause %s", k.Name, kind, r.Verdict.Cause)
			}
		}
		b.Close()
	}
}
