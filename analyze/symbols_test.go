package analyze_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/report"
	"bugcheck/symbols"
)

func finder(t *testing.T, o symbols.Options) *symbols.Finder {
	t.Helper()
	f, err := symbols.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// What the report says of symbols: what their absence costs, and why they are
// absent.
func TestReport_Symbols(t *testing.T) {
	b, err := lab.HighIRQLKernel(lab.Windows17763).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	const closed = "http://127.0.0.1:1/symbols" // nobody listens there
	for _, tt := range []struct {
		name   string
		finder *symbols.Finder
		note   string
	}{
		{"not looked for", nil, "No symbols were used"},
		{"empty folder", finder(t, symbols.Options{Path: t.TempDir()}), "No symbols for myfault, nt: their names end at the module. No images of myfault, nt: their callers are words found on the stack."},
		{"no file of the driver", finder(t, symbols.Options{Path: t.TempDir()}), "The code of myfault.sys could not be compared with its file"},
		{"offline", finder(t, symbols.Options{Path: "srv*" + t.TempDir() + "*" + closed, Offline: true}), "Symbol servers were not asked"},
		{"no network", finder(t, symbols.Options{Path: "srv*" + t.TempDir() + "*" + closed}), "could not be reached: " + closed},
	} {
		r := analyze.Report(kernel.OpenWith(context.Background(), d, tt.finder), "x.dmp", "test")
		if !strings.Contains(r.Symbols.Note.String(), tt.note) {
			t.Errorf("%s: note %q, want %q", tt.name, r.Symbols.Note, tt.note)
		}
		want := []string{"myfault.sys", "ntoskrnl.exe"}
		if tt.finder == nil {
			want = nil
		}
		if !slices.Equal(r.Symbols.Missing, want) {
			t.Errorf("%s: missing %v, want %v", tt.name, r.Symbols.Missing, want)
		}
	}
}

// With the kernel's symbol table beside it, a real dump's stack has names, and
// nothing else of the verdict changes.
func TestCorpus_WithSymbols(t *testing.T) {
	f := finder(t, symbols.Options{Path: corpus.Dir(t, "isf")})
	for _, e := range corpus.Dumps(t) {
		if e.File == "100623-4953-01.dmp" { // the kernel has symbols, one of its frames no name
			r := analyze.Report(kernel.OpenWith(context.Background(), openDump(t, e.Path(t)), f), e.File, "test")
			if note := r.Symbols.Note.String(); note != "No images of nt: their callers are words found on the stack." {
				t.Errorf("%s: note %q", e.File, note)
			}
		}
		if e.File != "triage_x64.dmp" {
			continue
		}
		d := openDump(t, e.Path(t))
		r := analyze.Report(kernel.OpenWith(context.Background(), d, f), e.File, "test")
		names := map[string]string{}
		for _, frame := range r.Stack {
			names[frame.Address.String()] = frame.Symbol
		}
		named := 0
		for _, want := range e.Stack {
			if got, ok := names[want.Address]; ok && want.Module == "nt" {
				if got != want.Symbol {
					t.Errorf("%s: %q, want %q", want.Address, got, want.Symbol)
				}
				named++
			}
		}
		if named < 12 {
			t.Errorf("%d frames of the kernel are those published, want 12", named)
		}
		for _, m := range r.Modules {
			if want := map[bool]string{true: report.SymbolsISF, false: report.SymbolsNone}[m.Image == "ntoskrnl.exe"]; m.Symbols != want {
				t.Errorf("%s: symbols %s, want %s", m.Image, m.Symbols, want)
			}
		}
		if v := r.Verdict; v.Image != e.Image || v.Bucket != "AV_amdppm!unknown_function" {
			t.Errorf("verdict %s, %s", v.Image, v.Bucket)
		}
	}
}
