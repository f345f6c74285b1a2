package rules

import (
	"os"
	"strings"
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"bugcheck/internal/damage"
	"bugcheck/report"
	"bugcheck/win"
)

func stringVal(s string) ref.Val { return types.String(s) }

// FuzzParse reads a rule file that may be anything; what is understood is tried on
// its own examples, on a report from a file and on one of ours.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../../examples/rules/known-issues.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example, []byte(testReport))
	f.Add([]byte(oneRule), []byte(testReport))
	f.Add([]byte("rules: [{name: x, owner: y, when: 'stack.frames(\"*\").all(f, f.module.glob(f.symbol))'}]"), []byte(`{"stack": [{"module": 3}, 4, {"symbol": []}]}`))
	f.Add([]byte("a: &a [*a]\nrules: *a"), []byte(`{"verdict": null}`))
	f.Fuzz(func(t *testing.T, file, reportJSON []byte) {
		s, err := Parse("f", file)
		if err != nil {
			problems := err.(Problems) //nolint:errorlint // Parse gives nothing else
			for _, p := range problems {
				if p.Line < 1 || p.Column < 1 || p.Text == "" || strings.Contains(p.String(), "\n") {
					t.Fatalf("problem %q", p)
				}
			}
			return
		}
		s.Test("f")
		_, _, _ = s.Match(reportJSON)
		r := &report.Report{Bugcheck: &report.Bugcheck{Code: 0xd1}, Stack: []report.Frame{{Module: "nt"}}}
		s.Apply(r, win.Japanese)
		for _, k := range r.KnownIssues {
			if k.Name == "" || k.Rule == "" || k.Name+k.Rule+k.Advice+k.Link != win.Clean(k.Name+k.Rule+k.Advice+k.Link) {
				t.Fatalf("known issue %+v", k)
			}
		}
	})
}

// TestParse_Damaged cuts a good file at every place and puts a byte in the way at
// every place: problems or rules, never a panic, and a problem lies in the file.
func TestParse_Damaged(t *testing.T) {
	whole := []byte(oneRule + "    tests: {match: [{bugcheck: {code: 0xd1}}], no_match: [{irql: 2}]}\n")
	lines := strings.Count(string(whole), "\n") + 1
	check := func(b []byte) {
		t.Helper()
		s, err := Parse("f", b)
		if s == nil && err == nil {
			t.Fatalf("no rules and no problem: %q", b)
		}
		problems, _ := err.(Problems) //nolint:errorlint // Parse gives nothing else
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines+1 || p.Column < 1 {
				t.Errorf("%q: %v", b, p)
			}
		}
	}
	for i := range whole {
		check(whole[:i])
		for _, c := range []byte{0, '\n', '\t', ':', '{', '"', '*', 0xff} {
			patched := append([]byte(nil), whole...)
			patched[i] = c
			check(patched)
		}
	}
	check(damage.Patched(whole, damage.Patch(0, 0xff)))
}
