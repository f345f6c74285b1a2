package labcheck_test

import (
	"fmt"
	"testing"

	"bugcheck/internal/labcheck"
	"bugcheck/lab"
)

// builds are two builds an architecture; the table of docs/lab.md has the same.
var builds = []lab.Options{
	{Arch: "x64", Build: 17763}, {Arch: "x64", Build: 26100}, {Arch: "arm64", Build: 22000}, {Arch: "arm64", Build: 26100},
}

// The analysis says of every fault, in every kind of dump, without symbols and with
// them, what the lab knows. With -short one machine and two kinds of dumps.
func TestEveryFault(t *testing.T) {
	dumps := []string{"full", "kernel", "active", "small", "live"}
	if testing.Short() {
		builds, dumps = builds[1:2], dumps[1:4:4]
	}
	for _, o := range builds {
		for _, k := range lab.Kinds() {
			t.Run(fmt.Sprintf("%s %d %s", o.Arch, o.Build, k.Name), func(t *testing.T) { checkFault(t, k.Name, o, dumps) })
		}
	}
}

func checkFault(t *testing.T, kind string, o lab.Options, dumps []string) {
	b, err := labcheck.New(kind, o, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, d := range dumps {
		for _, symbols := range []bool{false, true} {
			r, err := b.Report(d, symbols)
			if err != nil {
				t.Fatal(err)
			}
			for _, wrong := range labcheck.Compare(b.Crash.TruthOf(d), r, d, symbols) {
				t.Errorf("%s, symbols %v: %s", d, symbols, wrong)
			}
		}
	}
}

// A comparison that finds nothing wrong proves something only if it finds what is.
func TestCompare_FindsDifferences(t *testing.T) {
	b, err := labcheck.New("high-irql-kernel", lab.Options{Arch: "x64", Build: 19041}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, err := b.Report("kernel", true)
	if err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*lab.Truth){
		"stop code": func(t *lab.Truth) { t.Bugcheck.Code = "0xa" },
		"parameter": func(t *lab.Truth) { t.Bugcheck.Parameters = []string{"0x1", "0x2", "0x3", "0x4"} },
		"process":   func(t *lab.Truth) { t.Process.Name = "System" },
		"cause":     func(t *lab.Truth) { t.Verdict.Cause = "hardware" },
		"image":     func(t *lab.Truth) { t.Verdict.Image = "ntfs.sys" },
		"hint":      func(t *lab.Truth) { t.Verdict.Hint = "ntfs.sys" },
		"frame":     func(t *lab.Truth) { t.Stack = append(t.Stack[:2:2], t.Stack[3:]...) },
		"symbol":    func(t *lab.Truth) { t.Stack = append([]lab.TruthFrame(nil), t.Stack...); t.Stack[1].Symbol = "Other" },
		"stack pointer": func(t *lab.Truth) {
			t.Stack = append([]lab.TruthFrame(nil), t.Stack...)
			t.Stack[3].StackPointer = "0x8"
		},
	} {
		truth := b.Crash.TruthOf("kernel")
		if wrong := labcheck.Compare(truth, r, "kernel", true); len(wrong) > 0 {
			t.Fatalf("the truth itself: %v", wrong)
		}
		spoil(&truth)
		if wrong := labcheck.Compare(truth, r, "kernel", true); len(wrong) == 0 {
			t.Errorf("another %s is not noticed", what)
		}
	}
}
