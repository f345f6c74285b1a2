package labcheck_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/labcheck"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/code"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/symbols"
)

// The same crash by a driver and by a flipped bit of its code, of a pointer, of a page
// table: whole memory tells them apart, and which bit it is. Code is compared with an
// image, so that takes symbols; a small dump holds the code and what registers point at,
// but no page tables.
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
			{lab.FlipPointer, append([]string{"small"}, whole...), append([]string{"small"}, whole...), report.CauseHardware},
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
			want := b.Crash.Truth.Verdict.Cause == report.CauseHardware
			if got := r.Verdict.Cause == report.CauseHardware; got != want {
				t.Errorf("%s, %s: cause %s", k.Name, kind, r.Verdict.Cause)
			}
		}
		b.Close()
	}
}

// Without symbols another dump of the same build tells what the code should be.
func TestFlips_Reference(t *testing.T) {
	for _, o := range []lab.Options{{Arch: "x64", Build: 26100}, {Arch: "arm64", Build: 26100}} {
		sound := machineOf(t, "high-irql-kernel", o, "kernel")
		older := machineOf(t, "high-irql-kernel", lab.Options{Arch: o.Arch, Build: code.Builds(o.Arch)[0]}, "kernel")
		other := machineOf(t, "high-irql-kernel", lab.Options{Arch: map[string]string{"x64": "arm64", "arm64": "x64"}[o.Arch], Build: 26100}, "kernel")
		small := machineOf(t, "high-irql-kernel", o, "small")
		for _, kind := range []string{"kernel", "small"} {
			o.Flip = lab.FlipCode
			flipped := machineOf(t, "receive-ring", o, kind)
			for _, tt := range []struct {
				name      string
				reference *kernel.Machine
				cause     string
				note      bool
			}{
				{"sound", sound, report.CauseHardware, false},
				{"nothing", nil, report.CauseDriver, false},
				{"another build with the same driver", older, report.CauseHardware, false},
				{"another architecture", other, report.CauseDriver, true},
				{"a small dump", small, report.CauseDriver, true},
			} {
				r := analyze.ReportAgainst(flipped, tt.reference, "", "")
				if kind == "small" && tt.reference != sound {
					continue // its callers are guesses: it may say that it cannot tell
				}
				noted := slices.ContainsFunc(r.Notes, func(n report.Note) bool { return n.Where == "reference" })
				if r.Verdict.Cause != tt.cause || noted != tt.note {
					t.Errorf("%s, %s against %s: cause %s, noted %v", o.Arch, kind, tt.name, r.Verdict.Cause, noted)
				}
			}
		}
		o.Flip = ""
		for _, reference := range []*kernel.Machine{sound, machineOf(t, "fast-fail", o, "full")} {
			if v := analyze.ReportAgainst(machineOf(t, "receive-ring", o, "kernel"), reference, "", "").Verdict; v.Cause != report.CauseDriver {
				t.Errorf("%s without a flip: cause %s", o.Arch, v.Cause)
			}
		}
	}
}

// machineOf plays a fault and opens its dump, without symbols.
func machineOf(t *testing.T, kind string, o lab.Options, dumpKind string) *kernel.Machine {
	t.Helper()
	c, err := lab.Play(kind, o)
	if err != nil {
		t.Fatal(err)
	}
	file := &labcheck.File{}
	if err := c.Write(file, dumpKind); err != nil {
		t.Fatal(err)
	}
	d, err := dump.Open(file, file.Size())
	if err != nil {
		t.Fatal(err)
	}
	return kernel.Open(d)
}

// A flip of any bit of the code that was running is found, and which one: in the function
// that failed and in its callers, calls among them.
func TestFlips_AnyBitOfCode(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		s := newSpecimen(t, "high-irql-kernel", arch, 26100, "kernel")
		dir := t.TempDir()
		if err := s.crash.WriteSymbols(dir); err != nil {
			t.Fatal(err)
		}
		store, err := symbols.Open(symbols.Options{Path: dir, Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		myfault := s.crash.Module("myfault.sys")
		for _, function := range []string{"HighIrqlFault", "MyfaultDeviceControl"} {
			begin, end, ok := myfault.Image.Function(function)
			if !ok {
				t.Fatalf("no %s", function)
			}
			found, all := 0, 0
			for rva := begin; rva < end; rva += 3 {
				bit := int(rva) / 3 % 8
				off := s.offset(t, mem.VA(myfault.Base)+mem.VA(rva))
				b := make([]byte, 1)
				if _, err := s.file.ReadAt(b, off); err != nil {
					t.Fatal(err)
				}
				h := &harmed{file: s.file, over: map[int64][]byte{off: {b[0] ^ 1<<bit}}}
				d, err := dump.Open(h, h.size())
				if err != nil {
					t.Fatal(err)
				}
				v := analyze.Report(kernel.OpenWith(context.Background(), d, store), "", "").Verdict
				all++
				if v.Cause == report.CauseHardware && v.Bit != nil && *v.Bit == bit {
					found++
				} else {
					t.Logf("%s, %s+%#x, bit %d: cause %s, bit %v", arch, function, rva-begin, bit, v.Cause, v.Bit)
				}
			}
			if found < all {
				t.Errorf("%s, %s: %d of %d flips are found", arch, function, found, all)
			}
		}
	}
}
