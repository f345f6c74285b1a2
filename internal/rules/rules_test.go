package rules

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bugcheck/report"
	"bugcheck/win"
)

const testReport = `{
	"schema": 1, "bugcheck": {"code": "0xd1", "parameters": [{"value": "0x0"}]}, "irql": 2,
	"system": {"build": 19041, "virtual_machine": null},
	"registers": {"rip": "0xfffff80012345678"},
	"stack": [
		{"module": "nt", "symbol": "KeBugCheckEx", "trust": "context"},
		{"module": "storport", "symbol": "RaidUnitStartIo", "trust": "unwind"},
		{"module": "vendor", "trust": "scan"},
		{"address": "0x1", "trust": "scan"}],
	"verdict": {"cause": "driver", "image": "Vendor.sys"},
	"modules": [{"image": "ntoskrnl.exe", "version": "10.0.19041.1"}, {"image": "vendor.sys", "third_party": true}]}`

// TestRule_Matches: what a report has decides; what it lacks is not known, and no
// condition that depends on it holds, whichever way it is asked.
func TestRule_Matches(t *testing.T) {
	v, err := decodeView([]byte(testReport))
	if err != nil {
		t.Fatal(err)
	}
	for when, want := range map[string]bool{
		`bugcheck.code == "0xd1"`:                              true,
		`irql >= 2 && system.build == 19041`:                   true,
		`registers.rip.startsWith("0xfffff8")`:                 true,
		`registers.x0 == "0x0"`:                                false,
		`bugcheck.parameters[0].value == "0x0"`:                true,
		`modules.exists(m, m.third_party)`:                     true,
		`verdict.image.glob("vendor.sys")`:                     true,
		`verdict.image == "vendor.sys"`:                        false,
		`size(stack.frames("storport!Raid*")) == 1`:            true,
		`size(stack.frames("VENDOR")) == 1`:                    true,
		`size(stack.frames("vendor!*")) == 0`:                  true, // it has no function
		`size(stack.frames("*")) == 3`:                         true, // one lies in no module
		`stack.frames("vendor").exists(f, f.trust != "scan")`:  false,
		`process.name == "x.exe"`:                              false,
		`process.name != "x.exe"`:                              false,
		`!(process.name == "x.exe")`:                           false,
		`process.name == "x.exe" || bugcheck.code == "0xd1"`:   true,
		`has(process.name)`:                                    false,
		`!has(process.name)`:                                   true,
		`has(report.process)`:                                  false,
		`has(report.threads) || size(threads) > 0`:             false,
		`processor == 0`:                                       false,
		`has(system.virtual_machine)`:                          false, // null is absent
		`has(report.irql) && has(report.system.build)`:         true,
		`!unloaded_modules.exists(m, m.image == "vendor.sys")`: false,
	} {
		program, complaints := compile(when)
		if complaints != nil {
			t.Errorf("%s: %v", when, complaints)
			continue
		}
		if got, err := (&rule{when: program}).matches(v); got != want || err != nil {
			t.Errorf("%s: got %v, %v; want %v", when, got, err, want)
		}
	}
}

func TestRule_Fails(t *testing.T) {
	v, err := decodeView([]byte(testReport))
	if err != nil {
		t.Fatal(err)
	}
	digits := "[0,1,2,3,4,5,6,7,8,9]"
	endless := digits + ".all(a, " + digits + ".all(b, " + digits + ".all(c, " + digits + ".all(d, " + digits + ".all(e, " + digits + ".all(f, a+b+c+d+e+f >= 0))))))"
	long := `"` + strings.Repeat("a", 4000) + `"`
	many := strings.Repeat("*a", 400)
	for when, want := range map[string]string{
		`stack[9].module == "nt"`:             "index out of bounds",
		`version_less(verdict.image, "10.0")`: "is no version",
		endless:                               "more steps than a rule may",
		digits + `.all(a, ` + digits + `.all(b, ` + long + `.glob("` + many + `b") || true))`: "more steps than a rule may",
		`stack.frames("x") == [Frame{module: "x"}]`:                                           "make no Frame",
	} {
		program, complaints := compile(when)
		if complaints != nil {
			t.Errorf("%.60s: %v", when, complaints)
			continue
		}
		start := time.Now()
		got, err := (&rule{when: program}).matches(v)
		if got || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, %v; want an error with %q", when, got, err, want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%.60s: took %v", when, took)
		}
	}
}

func TestVersionLess(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"10.29.0.5152", "10.29.0.5714", true},
		{"10.29.0.5714", "10.29.0.5152", false},
		{"10.9", "10.10", true},
		{"10.2", "10.2.0.0", false},
		{"10.2", "10.2.0.1", true},
		{"6.1.7600.16385 (win7_rtm.090713-1255)", "6.1.7601", true},
		{"10.", "10", false},
	} {
		if got := versionLess(stringVal(tt.a), stringVal(tt.b)).Value(); got != tt.want {
			t.Errorf("version_less(%q, %q): got %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		s, pattern string
		want       bool
	}{
		{"nvlddmkm.sys", "NV*.sys", true},
		{"nvlddmkm.sys", "nv*", true},
		{"nvlddmkm.sys", "nv", false},
		{"nvlddmkm.sys", "*dd*.sy?", true},
		{"a.sys", "?.sys", true},
		{"é.sys", "?.sys", true},
		{"", "*", true},
		{"", "", true},
		{"", "?", false},
		{"aab", "*ab", true},
		{"a*b", "a*b", true},
		{"[a]", "[a]", true},
	} {
		if got := glob(tt.s, tt.pattern); got != tt.want {
			t.Errorf("glob(%q, %q): got %v, want %v", tt.s, tt.pattern, got, tt.want)
		}
	}
}

const oneRule = `rules:
  - name: r
    when: bugcheck.code == "0xd1"
    issue:
      name: {en: one, ja: 一}
      link: https://example.com/1
      advice: do "this"
    owner: team
`

func TestSet_Apply(t *testing.T) {
	s, err := Parse("r.yaml", []byte(oneRule+`  - {name: second, when: irql < 1, owner: other}
  - {name: third, when: "true", owner: team}
  - {name: fails, when: 'stack[9].module == "nt"', owner: nobody}
`))
	if err != nil {
		t.Fatal(err)
	}
	for lang, name := range map[win.Lang]string{win.English: "one", win.Japanese: "一"} {
		r := &report.Report{Bugcheck: &report.Bugcheck{Code: 0xd1}, Stack: []report.Frame{{}}, Verdict: report.Verdict{Cause: report.CauseDriver, Image: "x.sys"}}
		before := r.Verdict.Image + r.Verdict.Cause
		s.Apply(r, lang)
		want := []report.KnownIssue{{Name: name, Link: "https://example.com/1", Advice: `do "this"`, Rule: "r"}}
		if d := cmp.Diff(want, r.KnownIssues); d != "" {
			t.Errorf("%s: known issues (-want +got):\n%s", lang, d)
		}
		if !slices.Equal(r.Verdict.Owners, []string{"team"}) {
			t.Errorf("%s: owners %q, want team once", lang, r.Verdict.Owners)
		}
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Text.String(), "fails") {
			t.Errorf("%s: notes %v, want one on the rule that fails", lang, r.Notes)
		}
		if after := r.Verdict.Image + r.Verdict.Cause; after != before {
			t.Errorf("%s: the verdict is now %s", lang, after)
		}
	}
}

// TestParse_Problems: each is told with its line and column.
func TestParse_Problems(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"empty", "", "f:1:1: an empty file"},
		{"no YAML", "rules:\n  - {", "f:2:1: not YAML: did not find"},
		{"no list", "rules: 3", "f:1:8: rules is a list"},
		{"key of the file", "rule: []", `f:1:1: a rule file has no "rule"; it has rules`},
		{"key of a rule", oneRule + "    whenever: x\n", `f:9:5: a rule has no "whenever"; it has issue, name, owner, tests, when`},
		{"key twice", oneRule + "    owner: x\n", `f:9:5: "owner" stands here twice`},
		{"no name", "rules: [{when: 'true', owner: x}]", "f:1:9: a rule without a name"},
		{"no condition", "rules: [{name: x, owner: x}]", `f:1:9: rule "x" has no condition`},
		{"nothing said", "rules: [{name: x, when: 'true'}]", `f:1:9: rule "x" adds nothing`},
		{"name twice", oneRule + "  - {name: r, when: 'true', owner: x}\n", `f:9:5: the name "r" is that of the rule at line 2`},
		{"a link that is none", strings.Replace(oneRule, "https:", "javascript:", 1), "f:6:13: a link is the address of a web page"},
		{"a link with a password", strings.Replace(oneRule, "example", "user:x@example", 1), "f:6:13: a link is the address of a web page"},
		{"a language", strings.Replace(oneRule, "ja:", "fr:", 1), `f:5:23: a text in several languages has no "fr"; it has en, ja`},
		{"condition: field", strings.Replace(oneRule, "bugcheck.code", "bugcheck.kode", 1), "f:3:19: undefined field 'kode'"},
		{"condition: name", strings.Replace(oneRule, "bugcheck.code", "bugchek.code", 1), "f:3:11: undeclared reference to 'bugchek'"},
		{"condition: type", strings.Replace(oneRule, `== "0xd1"`, "== 3", 1), "f:3:25: found no matching overload for '_==_'"},
		{"condition: no truth", strings.Replace(oneRule, ` == "0xd1"`, "", 1), "f:3:11: a condition is true or false; this gives string"},
		{"condition: cut off", strings.Replace(oneRule, ` == "0xd1"`, " ==", 1), "f:3:27: Syntax error: mismatched input '<EOF>'"},
		{"condition: in a block", "rules:\n- name: x\n  owner: y\n  when: |\n    irql > 1 &&\n      irqll < 3\n", "f:6:7: undeclared reference to 'irqll'"},
		{"condition: quoted", "rules: [{name: x, owner: y, when: 'irqll > 1'}]", "f:1:36: undeclared reference to 'irqll'"},
		{"condition: twice on the line", "rules: [{name: 日本 true +, owner: y, when: 'true +'}]", "f:1:50: Syntax error"},
		{"condition: lines of Windows", "rules:\r\n- name: x\r\n  owner: y\r\n  when: |\r\n    irql > 1 &&\r\n      irqll < 3\r\n", "f:6:7: undeclared reference to 'irqll'"},
		{"two documents", oneRule + "---\n" + oneRule, "f:9:1: a rule file is one document"},
		{"a broken second document", oneRule + "---\n{", "f:1:1: a rule file is one document"},
		{"condition: folded", "rules:\n- name: x\n  owner: y\n  when: >-\n    irql > 1\n    && irqll < 3\n", "f:4:9: undeclared reference to 'irqll'"},
		{"condition: a list", "rules: [{name: x, owner: y, when: [1]}]", "f:1:35: a condition is missing here"},
		{"condition: nested", "rules: [{name: x, owner: y, when: '" + strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300) + "'}]", "f:1:"},
		{"example: field", oneRule + "    tests: {match: [{bugcheck: {kode: 3}}]}\n", `f:9:33: a report has no field "kode" here; it has code, meaning, name, parameters`},
		{"example: number", oneRule + "    tests: {match: [{irql: two}]}\n", `f:9:28: this field is a number, not "two"`},
		{"example: truth", oneRule + "    tests: {match: [{dump: {truncated: perhaps}}]}\n", "f:9:40: this field is a true or false"},
		{"example: list", oneRule + "    tests: {match: [{stack: {module: x}}]}\n", "f:9:29: this field is a list"},
		{"example: alias", "rules:\n- name: &a x\n  when: 'true'\n  owner: y\n  tests: {match: [{process: {name: *a}}]}\n", "f:5:36: an example is written out"},
		{"long name", strings.Replace(oneRule, "name: r", "name: "+strings.Repeat("r", 201), 1), "f:2:11: a text of 201 characters; at most 200"},
		{"too many", "rules:\n" + strings.Repeat("- {name: x, when: 'true', owner: y}\n", maxRules+1), "f:3:3: the name"},
		{"too long", strings.Repeat("#", MaxFile+1), "f:1:1: a rule file has at most 1048576 bytes"},
	} {
		_, err := Parse("f", []byte(tt.file))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\r") {
			t.Errorf("%s: control characters in %q", tt.name, err)
		}
	}
}

// TestParse_Cleans: what a terminal would obey does not get into a report.
func TestParse_Cleans(t *testing.T) {
	s, err := Parse("f", []byte(`rules: [{name: "\e[2Jx", when: 'true', owner: "a\nb\e]0;x\a\u202e", issue: {name: "\ecx"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	r := &report.Report{}
	s.Apply(r, win.English)
	for _, text := range []string{r.Verdict.Owners[0], r.KnownIssues[0].Name, r.KnownIssues[0].Rule} {
		if text != win.Clean(text) {
			t.Errorf("%q is not clean", text)
		}
	}
}

func TestSet_Match(t *testing.T) {
	s, err := Parse("f", []byte(oneRule+"  - {name: fails, when: 'stack[9].module == \"nt\"', owner: x}\n"))
	if err != nil {
		t.Fatal(err)
	}
	names, failed, err := s.Match([]byte(testReport))
	if err != nil || !slices.Equal(names, []string{"r"}) || len(failed) != 1 || !strings.HasPrefix(failed[0].Error(), "rule fails: ") {
		t.Errorf("got %q, %v, %v", names, failed, err)
	}
	for _, bad := range []string{"", "[]", "3", "null", `{"bugcheck": {`} {
		if _, _, err := s.Match([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a report", bad)
		}
	}
	// Fields of another type than the contract's are not known.
	for _, odd := range []string{`{"bugcheck": 3}`, `{"bugcheck": {"code": 209}}`, `{"stack": [3, null, {}]}`, `{"stack": {"a": 1e99}}`} {
		names, _, err := s.Match([]byte(odd))
		if err != nil || len(names) != 0 {
			t.Errorf("%s: matches %q, %v", odd, names, err)
		}
	}
}

// TestSet_Concurrent: one set serves several reports at a time.
func TestSet_Concurrent(t *testing.T) {
	s, err := Parse("f", []byte(oneRule))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if names, _, err := s.Match([]byte(testReport)); err != nil || len(names) != 1 {
					t.Errorf("got %q, %v", names, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestExamples: every rule that we ship does as its own examples say, and has some
// of both kinds.
func TestExamples(t *testing.T) {
	const file = "../../examples/rules/known-issues.yaml"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse("known-issues.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range s.Test("known-issues.yaml") {
		for _, f := range o.Failures {
			t.Error(f)
		}
		kinds := map[bool]int{}
		for _, e := range s.rules[i].tests {
			kinds[e.match]++
		}
		if kinds[true] == 0 || kinds[false] == 0 {
			t.Errorf("rule %s: %d examples that match, %d that do not", o.Rule, kinds[true], kinds[false])
		}
	}
	if s.Len() < 5 {
		t.Errorf("%d rules", s.Len())
	}
}

// TestExamples_OfTheDocs: what docs/rules.md shows is a rule file.
func TestExamples_OfTheDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```yaml\n")
	block, _, _ := strings.Cut(rest, "```")
	s, err := Parse("rules.md", []byte(block))
	if err != nil {
		t.Fatal(err)
	}
	list := s.Test("rules.md")
	if len(list) != 1 || list[0].Examples != 2 || len(list[0].Failures) > 0 {
		t.Errorf("got %+v", list)
	}
}

// TestTest_Fails: examples that do not do as they should are told with their place.
func TestTest_Fails(t *testing.T) {
	s, err := Parse("f", []byte(oneRule+`    tests:
      match:
        - bugcheck: {code: 0xd2}
        - stack: []
      no_match:
        - bugcheck: {code: "0xd1"}
        - {}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"f:11:11: the rule must match this example and does not",
		"f:12:11: the rule must match this example and does not",
		"f:14:11: the rule must not match this example and does",
	}
	if d := cmp.Diff(want, s.Test("f")[0].Failures); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestObjects_AreTheReport holds the table of fields against the JSON of a report,
// so that a field that is added there can be named in conditions.
func TestObjects_AreTheReport(t *testing.T) {
	seen := map[string]bool{"Report": true}
	compareObject(t, reflect.TypeFor[report.Report](), "Report", seen)
	for name := range objects {
		if !seen[name] {
			t.Errorf("no report has the object %s", name)
		}
	}
}

// results are what rules add: they are no input of rules.
var results = []string{"Report.known_issues", "Verdict.owners"}

func compareObject(t *testing.T, typ reflect.Type, name string, seen map[string]bool) {
	t.Helper()
	got := map[string]string{}
	for i := range typ.NumField() {
		field := typ.Field(i)
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if slices.Contains(results, name+"."+tag) {
			continue
		}
		got[tag] = wordOf(field.Type)
		element := field.Type
		for element.Kind() == reflect.Pointer || element.Kind() == reflect.Slice {
			element = element.Elem()
		}
		if word := strings.TrimPrefix(got[tag], "[]"); objects[word] != nil && !seen[word] {
			seen[word] = true
			compareObject(t, element, word, seen)
		}
	}
	if d := cmp.Diff(got, objects[name]); d != "" {
		t.Errorf("%s (-report +table):\n%s", name, d)
	}
}

// wordOf is the word of the table for a Go type, by how it is written in JSON.
func wordOf(typ reflect.Type) string {
	switch typ {
	case reflect.TypeFor[report.Registers]():
		return registersType
	case reflect.TypeFor[report.Hex](), reflect.TypeFor[report.Hex32](), reflect.TypeFor[report.Text](), reflect.TypeFor[time.Time]():
		return "string"
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return wordOf(typ.Elem())
	case reflect.Slice:
		return "[]" + wordOf(typ.Elem())
	case reflect.Struct:
		return typ.Name()
	case reflect.String, reflect.Bool:
		return typ.Kind().String()
	}
	return "int"
}

func TestFields(t *testing.T) {
	list := Fields()
	for _, want := range []string{"bugcheck.code string", "stack[].module string", "verdict.evidence[].fact string", "registers.NAME string", "symbols.missing []string", "irql int", "threads[].stack[].symbol string"} {
		if !slices.Contains(list, want) {
			t.Errorf("no %q in %q", want, list)
		}
	}
}
