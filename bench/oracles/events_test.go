package oracles

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/internal/evtx"
	"bugcheck/lab"

	"github.com/google/go-cmp/cmp"
)

// The evtx crate reads the logs of the lab, and real ones, record for record and value for
// value as internal/evtx does.
func TestEvents(t *testing.T) {
	tool(t, "venv/bin/python")
	files := map[string]int{} // and how many records at least
	for _, release := range lab.Releases() {
		c, err := lab.Play("leak-nonpaged", lab.Options{Arch: "x64", Build: 17763, Memory: 1 << 30})
		check(t, err)
		b, err := c.Events(release)
		check(t, err)
		name := filepath.Join(t.TempDir(), release+".evtx")
		check(t, os.WriteFile(name, b, 0o644))
		files[name] = 20
	}
	for name, n := range map[string]int{"no-crash.evtx": 1160, "server2012r2-unclean-shutdown.evtx": 5009, "win7-bugcheck.evtx": 1601} {
		files[filepath.Join(corpus.Dir(t, "evtx"), name)] = n
	}
	for name, n := range files {
		theirs := oracle{name: "evtx", command: []string{"venv/bin/python", "events.py"}}.run(t, []string{name}, nil)
		ours := eventLines(t, name)
		if len(ours) < n {
			t.Errorf("%s: %d records, want %d", filepath.Base(name), len(ours), n)
		}
		for i := range theirs {
			theirs[i] = plainEvent(theirs[i])
		}
		if d := cmp.Diff(theirs, ours); d != "" {
			t.Errorf("%s (-evtx +ours):\n%.2000s", filepath.Base(name), d)
		}
	}
}

// eventLines are the records as events.py writes them.
func eventLines(t *testing.T, name string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(name)
	check(t, err)
	_, err = evtx.Read(bytes.NewReader(b), int64(len(b)), nil, func(r evtx.Record) error {
		line := []string{fmt.Sprint(r.ID), r.Provider, fmt.Sprint(r.Event), fmt.Sprint(r.Version), fmt.Sprint(r.Level), r.Channel}
		for _, v := range r.Data {
			line = append(line, v.Name+"="+strings.TrimSpace(v.Text))
		}
		lines = append(lines, plainEvent(strings.Join(line, "\t")))
		return nil
	})
	check(t, err)
	return lines
}

// What is written in more than one way: fractions of seconds, braces of GUIDs, runs of spaces, and the marks
// of direction that Windows puts into dates, which internal/evtx drops.
var (
	fraction = regexp.MustCompile(`(T\d\d:\d\d:\d\d)(\.\d+)?Z`)
	braces   = regexp.MustCompile(`(?i)\{([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}`)
	spaces   = regexp.MustCompile(` +`)
	marks    = strings.NewReplacer("\u200e", "", "\u200f", "")
	guid     = regexp.MustCompile(`(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
)

func plainEvent(s string) string {
	s = spaces.ReplaceAllString(s, " ")
	s = braces.ReplaceAllString(fraction.ReplaceAllString(marks.Replace(s), "${1}Z"), "$1")
	return guid.ReplaceAllStringFunc(s, strings.ToLower)
}
