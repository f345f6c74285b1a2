package undname_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bugcheck/undname"
)

type vector struct{ decorated, full, name string }

// vectors reads testdata/names.txt.
func vectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "names.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []vector
	var v vector
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		switch {
		case line == "", strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "full: "):
			v.full = line[len("full: "):]
		case strings.HasPrefix(line, "name: "):
			v.name = line[len("name: "):]
			list = append(list, v)
		default:
			v = vector{decorated: line}
		}
	}
	if len(list) < 150 {
		t.Fatalf("%d vectors", len(list))
	}
	return list
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		got, err := undname.Full(v.decorated)
		if err != nil {
			got = strings.TrimSpace(got + " !")
			if !errors.Is(err, undname.ErrFormat) {
				t.Errorf("%s: %v does not wrap ErrFormat", v.decorated, err)
			}
		}
		if got != v.full {
			t.Errorf("Full(%s)\n got %s\nwant %s", v.decorated, got, v.full)
		}
		if got := undname.Name(v.decorated); got != v.name {
			t.Errorf("Name(%s)\n got %s\nwant %s", v.decorated, got, v.name)
		}
	}
}

func TestCName(t *testing.T) {
	for decorated, want := range map[string]string{
		"_KeBugCheckEx@20":       "KeBugCheckEx",
		"_main":                  "main",
		"__except_handler4":      "_except_handler4",
		"@KfLowerIrql@4":         "KfLowerIrql",
		"@@8":                    "@@8",
		"scale@@16":              "scale",
		"__imp__IoCallDriver@8":  "__imp_IoCallDriver",
		"__imp_@KfRaiseIrql@4":   "__imp_KfRaiseIrql",
		"?f@@YAXXZ":              "?f@@YAXXZ",
		"plain":                  "plain",
		"odd@name":               "odd@name",
		"plain@12":               "plain@12",
		"_":                      "_",
		"_@4":                    "_@4",
		"@":                      "@",
		"":                       "",
		"@12":                    "@12",
		"___security_init_12@ab": "__security_init_12@ab",
	} {
		if got := undname.CName(decorated); got != want {
			t.Errorf("CName(%q) = %q, want %q", decorated, got, want)
		}
	}
}

// Names that grow without end when they are written out, or nest without end.
func TestFull_Bounds(t *testing.T) {
	doubling := "?f@@YAXP6AHPEAH0@Z"
	for i := range 9 {
		n := string(rune('1' + i))
		doubling += "P6AH" + strings.Repeat(n, 40) + "@Z"
	}
	nested := "?f@@YAX"
	for range 30 {
		nested += "U?$A@"
	}
	templates := "U?$A@H@@"
	for range 40 {
		templates = "U?$A@" + strings.Repeat(templates, 2) + "@@"
		if len(templates) > 12<<10 {
			break
		}
	}
	for what, name := range map[string]string{
		"doubling parameters":  doubling + "@Z",
		"pointers":             "?x@@3" + strings.Repeat("PEA", 5000) + "HA",
		"templates, not ended": nested,
		"templates":            "?f@@YAX" + templates + "@Z",
		"a long name":          "?" + strings.Repeat("a", 1<<20) + "@@YAXXZ",
		"long back reference":  "?" + strings.Repeat("a", 4000) + "@" + strings.Repeat("0", 10) + "@YAXXZ",
		"local scopes":         strings.Repeat("?a@?1?", 2000) + "?f@@YAXXZ@4HA",
		"initializers":         strings.Repeat("??__E", 3000) + "x@@YAXXZ",
		"objects":              "??$f@" + strings.Repeat("$2UA@@UA@@2", 1000) + "@@YAXXZ",
		"dimensions":           "?x@@3PAYPPPPPPPP@HA",
		"scopes":               "?a@" + strings.Repeat("0", 12000) + "@YAXXZ",
	} {
		start := time.Now()
		got, err := undname.Full(name)
		short := undname.Name(name)
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: %v", what, took)
		}
		if err == nil || got != "" {
			t.Errorf("%s: %d bytes, %v; want an error", what, len(got), err)
		}
		if len(short) > max(16<<10, len(name)) {
			t.Errorf("%s: a name of %d bytes", what, len(short))
		}
	}
}

// Types may nest 64 deep, no deeper.
func TestFull_Depth(t *testing.T) {
	deep := func(n int) string { return "?x@@3" + strings.Repeat("PEA", n-1) + "HEA" }
	if _, err := undname.Full(deep(64)); err != nil {
		t.Error(err)
	}
	if got, err := undname.Full(deep(65)); !errors.Is(err, undname.ErrFormat) {
		t.Errorf("%.40s, %v", got, err)
	}
}

// Every start of a name, and every name with a byte changed, comes to an end.
func TestFull_Damage(t *testing.T) {
	for _, v := range vectors(t) {
		for i := range len(v.decorated) {
			if got := undname.Name(v.decorated[:i]); len(got) > 16<<10 {
				t.Errorf("%.40q: %d bytes", v.decorated[:i], len(got))
			}
			for _, c := range "?@$0A9Z_Q" {
				b := []byte(v.decorated)
				b[i] = byte(c)
				check(t, string(b))
			}
		}
	}
}

// check holds what must be so of any name.
func check(t *testing.T, name string) {
	t.Helper()
	full, err := undname.Full(name)
	short := undname.Name(name)
	switch {
	case err != nil && !errors.Is(err, undname.ErrFormat):
		t.Errorf("%q: %v does not wrap ErrFormat", name, err)
	case err == nil && full == "":
		t.Errorf("%q: an empty declaration", name)
	case short == "" && name != "":
		t.Errorf("%q: an empty name", name)
	case len(full) > 17<<10 || len(short) > max(17<<10, len(name)):
		t.Errorf("%.80q: %d and %d bytes", name, len(full), len(short))
	}
	if c := undname.CName(name); len(c) > len(name) {
		t.Errorf("%q: a longer name of C, %q", name, c)
	}
}

func FuzzFull(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.decorated)
	}
	f.Fuzz(func(t *testing.T, name string) { check(t, name) })
}

func BenchmarkName(b *testing.B) {
	list := vectors(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		undname.Name(list[n%len(list)].decorated)
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "names/s")
}

func BenchmarkFull(b *testing.B) {
	list := vectors(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		_, _ = undname.Full(list[n%len(list)].decorated)
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "names/s")
}
