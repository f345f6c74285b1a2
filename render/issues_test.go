package render

import (
	"bytes"
	"strings"
	"testing"

	"bugcheck/report"
	"bugcheck/win"
)

func withIssues() *report.Report {
	return &report.Report{
		Verdict: report.Verdict{Summary: report.T("it crashed"), Cause: report.CauseUnknown, Confidence: report.Low, Owners: []string{"team *a*", "team b"}},
		KnownIssues: []report.KnownIssue{
			{Name: "<b>100 %s</b>", Link: "https://example.com/a_b?c=1&d=%20", Advice: "pull | the `plug`", Rule: "plug"},
			{Name: "second", Link: "javascript:alert(1)>x", Rule: "odd"},
		},
	}
}

// TestKnownIssues: the user's words are shown as they are; Markdown means nothing by
// them, and only the address of a web page becomes a link.
func TestKnownIssues(t *testing.T) {
	for _, tt := range []struct {
		format string
		lang   win.Lang
		want   []string
	}{
		{"text", win.English, []string{"  Owner       team *a*, team b\n", "\nKnown issues, by your rules\n  <b>100 %s</b> (rule plug)\n    pull | the `plug`\n    https://example.com/a_b?c=1&d=%20\n  second (rule odd)\n"}},
		{"text", win.Japanese, []string{"担当", "既知の問題", "ルール plug"}},
		{"markdown", win.English, []string{
			"| Owner | team \\*a\\*, team b |", "- &lt;b&gt;100 %s&lt;/b&gt; (rule plug)<br>pull \\| the \\`plug\\`<br><https://example.com/a_b?c=1&d=%20>\n",
			"<br>`javascript:alert(1)>x`\n",
		}},
		{"windbg", win.English, []string{"Followup:       team *a*, team b"}},
		{"json", win.English, []string{`"owners":["team *a*","team b"]`, `"known_issues":[{"name":"<b>100 %s</b>","link":"https://example.com/a_b?c=1&d=%20","advice":"pull | the ` + "`plug`" + `","rule":"plug"}`}},
		{"line", win.English, []string{"known issue: <b>100 %s</b>"}},
	} {
		var b bytes.Buffer
		opts := Options{Lang: tt.lang}
		write := map[string]func() error{
			"text":     func() error { return Text(&b, withIssues(), opts) },
			"markdown": func() error { return Markdown(&b, withIssues(), opts) },
			"windbg":   func() error { return WinDbg(&b, withIssues()) },
			"json":     func() error { return JSON(&b, withIssues(), tt.lang, false) },
			"line":     func() error { return (&Lines{}).Add(&b, withIssues(), opts) },
		}[tt.format]
		if err := write(); err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s %s: no %q in\n%s", tt.format, tt.lang, want, b.String())
			}
		}
	}
}

// TestKnownIssues_None: without rules nothing is said of them.
func TestKnownIssues_None(t *testing.T) {
	r := withIssues()
	r.KnownIssues, r.Verdict.Owners = nil, nil
	var b bytes.Buffer
	if err := Text(&b, r, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := Markdown(&b, r, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := WinDbg(&b, r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "Known") || strings.Contains(b.String(), "Owner ") || !strings.Contains(b.String(), "MachineOwner") {
		t.Errorf("got\n%s", b.String())
	}
}
