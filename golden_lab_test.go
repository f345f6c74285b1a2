package bugcheck

import (
	"bytes"
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/labcheck"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/render"
	"bugcheck/win"
)

// TestGolden_Lab keeps the text report, in both languages, on a kernel dump of every fault
// that the lab plays: what an operator reads.
func TestGolden_Lab(t *testing.T) {
	for _, k := range lab.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			c, err := lab.Play(k.Name, lab.Options{Arch: "x64", Build: 26100, Memory: 1 << 30})
			if err != nil {
				t.Fatal(err)
			}
			holdGolden(t, filepath.Join("testdata", "golden", "lab", k.Name+".txtar"), txtar.Format(labReports(t, c)))
		})
	}
}

func labReports(t *testing.T, c *lab.Crash) *txtar.Archive {
	t.Helper()
	file := &labcheck.File{}
	if err := c.Write(file, "kernel"); err != nil {
		t.Fatal(err)
	}
	f, err := dump.Open(file, file.Size())
	if err != nil {
		t.Fatal(err)
	}
	r := analyze.Report(kernel.Open(f), "MEMORY.DMP", "test")
	a := &txtar.Archive{Comment: []byte("The report on a kernel dump of the lab's " + c.Kind.Name + ". go test . -update writes it.\n")}
	for _, lang := range []win.Lang{win.English, win.Japanese} {
		var out bytes.Buffer
		if err := render.Text(&out, r, render.Options{Lang: lang}); err != nil {
			t.Fatal(err)
		}
		a.Files = append(a.Files, txtar.File{Name: "text." + string(lang), Data: out.Bytes()})
	}
	return a
}
