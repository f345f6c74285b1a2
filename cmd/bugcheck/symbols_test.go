package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bugcheck/internal/corpus"
)

// execute runs a command line in this process.
func execute(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// TestSymbolsPack_SameReport: a pack made of a dump gives the same report of it
// as what it was made of, with nothing else on the path.
func TestSymbolsPack_SameReport(t *testing.T) {
	t.Setenv("_NT_ALT_SYMBOL_PATH", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	isfs := corpus.Dir(t, "isf")
	for _, name := range []string{"triage_x64.dmp", "100623-4953-01.dmp"} {
		path := filepath.Join(corpus.Dir(t, "dumps"), name)
		pack := filepath.Join(t.TempDir(), "pack.zip")
		if out := execute(t, "symbols", "pack", "--offline", "--symbols", isfs, "-o", pack, path); !strings.Contains(out, "with 1 symbol file of Volatility") {
			t.Errorf("%s: pack says\n%s", name, out)
		}
		report := func(symbols string) map[string]any {
			var r map[string]any
			out := execute(t, "analyze", "--offline", "--format", "json", "--lang", "en", "--symbols", symbols, path)
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			if found, ok := r["symbols"].(map[string]any); ok {
				delete(found, "path")
			}
			return r
		}
		want, got := report(isfs), report(pack)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-folder +pack):\n%s", name, diff)
		}
		if without := report(t.TempDir()); cmp.Equal(want, without) {
			t.Errorf("%s: the report is the same without symbols", name)
		}
	}
}
