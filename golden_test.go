package bugcheck

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/render"
	"bugcheck/report"
	"bugcheck/win"
)

var update = flag.Bool("update", false, "write the golden reports anew (refused in CI)")

// golden are the crashes whose reports are kept, one file each in
// testdata/golden. A new stop code adds one.
var golden = map[string]func() *lab.Dump{
	"high-irql-kernel-17763-x64":   func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows17763) },
	"high-irql-kernel-26100-x64":   func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows26100) },
	"high-irql-kernel-22000-arm64": func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows22000ARM64) },
	"high-irql-kernel-17763-x86":   func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows17763X86) },
	"system-thread-19041-x64":      func() *lab.Dump { return lab.SystemThreadException(lab.Windows19041) },
	"system-service-19041-x64":     func() *lab.Dump { return lab.SystemServiceException(lab.Windows19041) },
	"security-check-26100-x64":     func() *lab.Dump { return lab.SecurityCheckFailure(lab.Windows26100) },
	"page-table-bit-26100-x64":     oneBitTooMany,
	"power-button-22000-arm64":     powerButton,
}

// oneBitTooMany is a page table entry with one bit set that should be empty.
func oneBitTooMany() *lab.Dump {
	d := lab.Machine(lab.Windows26100)
	d.Code, d.Parameters = 0x1a, [4]uint64{0x41792, 0xffffdd010bc5d3f8, 1 << 37, 0}
	return d
}

// powerButton is a crash that somebody asked for.
func powerButton() *lab.Dump {
	d := lab.Machine(lab.Windows22000ARM64)
	d.Code, d.Parameters = 0x1c8, [4]uint64{7000, 0, 0, 0}
	return d
}

func TestGolden(t *testing.T) {
	if *update && os.Getenv("CI") != "" {
		t.Fatal("-update is refused in CI")
	}
	for name, recipe := range golden {
		t.Run(name, func(t *testing.T) {
			checkGolden(t, name, recipe())
		})
	}
}

// recipe is what the lab makes a dump of.
type recipe interface{ Bytes() ([]byte, error) }

// checkGolden holds the report on a dump against the kept one.
func checkGolden(t *testing.T, name string, d recipe) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txtar")
	got := txtar.Format(renderAll(t, name, d))
	holdGolden(t, file, got)
}

// holdGolden compares with what is kept, or keeps it.
func holdGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test . -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// renderAll is a dump's report in every format.
func renderAll(t *testing.T, name string, d recipe) *txtar.Archive {
	t.Helper()
	b, err := d.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	r := analyze.Report(kernel.Open(f), name+".dmp", "test")
	r.Modules, r.Unloaded = r.Modules[:min(3, len(r.Modules))], nil // the lists have tests of their own
	a := &txtar.Archive{Comment: []byte("The report on the lab's " + name + " in every format. go test . -update writes it.\n")}
	for _, part := range []struct {
		name  string
		write func(io.Writer, *report.Report) error
	}{
		{"text.en", func(w io.Writer, r *report.Report) error { return render.Text(w, r, render.Options{}) }},
		{"text.ja", func(w io.Writer, r *report.Report) error {
			return render.Text(w, r, render.Options{Lang: win.Japanese})
		}},
		{"markdown.en", func(w io.Writer, r *report.Report) error { return render.Markdown(w, r, render.Options{}) }},
		{"windbg", render.WinDbg},
		{"json", func(w io.Writer, r *report.Report) error { return render.JSON(w, r, win.English, true) }},
	} {
		var out bytes.Buffer
		if err := part.write(&out, r); err != nil {
			t.Fatal(err)
		}
		a.Files = append(a.Files, txtar.File{Name: part.name, Data: out.Bytes()})
	}
	return a
}

// TestReadme_Demo: the README shows what the demo prints now.
func TestReadme_Demo(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	b, err := lab.HighIRQLKernel(lab.Windows17763).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := render.Text(&out, analyze.Report(kernel.Open(f), "demo.dmp", "test"), render.Options{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(readme, out.Bytes()) {
		t.Errorf("README.md does not show the demo's report, which is now:\n%s", out.String())
	}
}
