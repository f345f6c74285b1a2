package dump_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/internal/damage"
)

func TestCorpus(t *testing.T) {
	for _, want := range corpus.Dumps(t) {
		t.Run(want.File, func(t *testing.T) {
			file, err := os.Open(want.Path(t))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			f, err := dump.Open(file, want.Size)
			if err != nil {
				t.Fatal(err)
			}
			checkCorpus(t, f, want)
			walk(t, f)
		})
	}
}

func checkCorpus(t *testing.T, f *dump.File, want corpus.Expected) {
	t.Helper()
	h := f.Header
	for _, tt := range []struct {
		field     string
		got, want any
	}{
		{"kind", string(f.Kind), want.Kind},
		{"architecture", string(f.Arch), want.Architecture},
		{"build", h.Build, want.Build},
		{"processors", h.Processors, want.Processors},
		{"bugcheck", uint64(h.BugCheckCode), corpus.Number(t, want.Bugcheck)},
		{"truncated", f.Truncated, false},
		{"notes", len(f.Notes), 0},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %v, want %v", tt.field, tt.got, tt.want)
		}
	}
	for i, p := range want.Parameters {
		if h.Parameters[i] != corpus.Number(t, p) {
			t.Errorf("parameter %d = %#x, want %s", i+1, h.Parameters[i], p)
		}
	}
	if want.Modules != 0 && len(f.Drivers) != want.Modules {
		t.Errorf("%d modules, want %d", len(f.Drivers), want.Modules)
	}
	if len(f.Drivers) == 0 || len(f.Blocks.Stack) == 0 || h.Time.Year() < 2015 || h.Uptime <= 0 {
		t.Errorf("%d drivers, stack of %d bytes, time %v, uptime %v", len(f.Drivers), len(f.Blocks.Stack), h.Time, h.Uptime)
	}
}

func TestCorpus_Damage(t *testing.T) {
	for _, want := range corpus.Dumps(t) {
		t.Run(want.File, func(t *testing.T) {
			b, err := os.ReadFile(want.Path(t))
			if err != nil {
				t.Fatal(err)
			}
			code, h := uint32(corpus.Number(t, want.Bugcheck)), damage.HeaderOf(b)
			for at := 0; at < len(b); at += damage.Stride() {
				for _, kind := range damage.Kinds {
					what := fmt.Sprintf("page at %#x %s", at, kind.Name)
					start := time.Now()
					f := openDamaged(t, what, kind.File(b, at, min(at+damage.PageSize, len(b))), at, h, code)
					if f != nil {
						walk(t, f)
					}
					if d := time.Since(start); d > 5*time.Second {
						t.Errorf("%s: took %v", what, d)
					}
				}
			}
		})
	}
}
