package pdb_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bugcheck/pdb"

	gocmp "github.com/google/go-cmp/cmp"
)

var (
	lineTableHead = regexp.MustCompile(`^  (\d{4}):([0-9A-F]{8})-`)
	lineEntry     = regexp.MustCompile(`([0-9]+|[NA]SI) ([0-9A-F]{8})`)
)

func TestOracle_Lines(t *testing.T) {
	each(t, func(t *testing.T, s sample, f *pdb.File) {
		at := sections(t, s)
		var want, got []string
		file, section := "", uint64(0)
		for text := range strings.Lines(dump(t, s, "-l")) {
			switch m := lineTableHead.FindStringSubmatch(text); {
			case m != nil:
				section = decimal(t, m[1])
			case strings.HasPrefix(text, " "):
				for _, m := range lineEntry.FindAllStringSubmatch(text, -1) {
					want = append(want, fmt.Sprintf("%x %s %s", at[section-1]+hex(t, m[2]), m[1], file))
				}
			case strings.Contains(text, " (") && !strings.HasPrefix(text, " "):
				file = text[:strings.LastIndex(text, " (")]
			}
		}
		list, err := f.LineTable()
		for _, l := range list {
			line := strconv.Itoa(int(l.Line))
			switch l.Line {
			case 0xfeefee:
				line = "ASI"
			case 0xf00f00:
				line = "NSI"
			}
			got = append(got, fmt.Sprintf("%x %s %s", l.RVA, line, l.File))
		}
		slices.Sort(want)
		slices.Sort(got)
		same(t, "lines", want, got, err)
	})
}

// The inlined calls at every address at which a line begins, and behind it,
// against llvm-symbolizer. Of the annotations that only Microsoft's compiler
// writes it makes nothing, so it is asked about our own samples.
func TestOracle_Inlined(t *testing.T) {
	for _, s := range made(t) {
		f := openFile(t, s.pdb)
		list, err := f.LineTable()
		if err != nil {
			t.Fatal(err)
		}
		var rvas []uint32
		for _, l := range list {
			rvas = append(rvas, l.RVA, l.RVA+1, l.RVA+4)
		}
		slices.Sort(rvas)
		rvas = slices.Compact(rvas)
		if len(rvas) == 0 {
			continue
		}
		args := []string{"--obj=" + s.image, "--inlines", "--relative-address", "--functions=short", "--output-style=GNU", "--print-address"}
		for _, rva := range rvas {
			args = append(args, fmt.Sprintf("0x%x", rva))
		}
		blocks := strings.Split("\n"+run(t, "llvm-symbolizer-19", args...), "\n0x")
		if len(blocks) != len(rvas)+1 {
			t.Fatalf("%d answers for %d addresses", len(blocks)-1, len(rvas))
		}
		inlined := 0
		for i, rva := range rvas {
			got, err := f.Lines(rva)
			if err != nil {
				t.Errorf("Lines(%x): %v", rva, err)
			}
			checkFrames(t, rva, strings.Split(strings.TrimSpace(blocks[i+1]), "\n")[1:], got)
			inlined += max(len(got)-1, 0)
		}
		if t.Logf("%s: %d addresses, %d inlined calls", s.name, len(rvas), inlined); inlined < 10 {
			t.Errorf("%s: %d inlined calls", s.name, inlined)
		}
	}
}

// row is a stretch of code of an inlined call.
type row struct {
	begin, end uint64
	name       string
	line       uint64
}

var (
	moduleHead = regexp.MustCompile(`^ *Mod (\d+) \|`)
	inlineeRow = regexp.MustCompile(`^ +0x([0-9A-F]+) \| +(\d+) \|`)
	procPlace  = regexp.MustCompile(`addr = (\d+):(\d+), code size`)
	siteHead   = regexp.MustCompile(`inlinee = 0x([0-9A-F]+) \((.*)\), parent`)
	siteLine   = regexp.MustCompile(` line (\d+) \(`)
	siteCode   = regexp.MustCompile(` code 0x([0-9A-F]+) \(`)
	siteEnd    = regexp.MustCompile(` code end 0x([0-9A-F]+) \(`)
)

// inlinedRows reads the annotations that llvm-pdbutil decodes.
func inlinedRows(t *testing.T, s sample) []row {
	t.Helper()
	base := map[string]uint64{} // module and inlinee to line
	module := ""
	for text := range strings.Lines(dump(t, s, "--il")) {
		if m := moduleHead.FindStringSubmatch(text); m != nil {
			module = m[1]
		} else if m := inlineeRow.FindStringSubmatch(text); m != nil {
			base[module+m[1]] = decimal(t, m[2])
		}
	}
	at := sections(t, s)
	var rows []row
	var proc, start, line uint64
	name := ""
	open := false // the end of the last row is not known yet
	for text := range strings.Lines(dump(t, s, "--symbols")) {
		if m := moduleHead.FindStringSubmatch(text); m != nil {
			module = m[1]
		} else if m := procPlace.FindStringSubmatch(text); m != nil {
			proc = address(t, at, m[1], m[2])
		} else if m := siteHead.FindStringSubmatch(text); m != nil {
			start, line, name, open = base[module+m[1]], 0, m[2], false
		}
		if m := siteLine.FindStringSubmatch(text); m != nil {
			line = decimal(t, m[1])
		}
		if m := siteCode.FindStringSubmatch(text); m != nil {
			code := proc + hex(t, m[1])
			if open {
				rows[len(rows)-1].end = code
			}
			rows, open = append(rows, row{code, code, name, start + line}), true
		}
		if m := siteEnd.FindStringSubmatch(text); m != nil && len(rows) > 0 {
			rows[len(rows)-1].end, open = proc+hex(t, m[1]), false
		}
	}
	return rows
}

// Every stretch of an inlined call in the corpus, as llvm-pdbutil decodes it.
func TestOracle_InlinedRows(t *testing.T) {
	total := 0
	each(t, func(t *testing.T, s sample, f *pdb.File) {
		rows := inlinedRows(t, s)
		total += len(rows)
		for _, r := range rows {
			for _, rva := range []uint64{r.begin, r.end - 1} {
				if r.begin == r.end {
					continue
				}
				list, err := f.Lines(uint32(rva))
				found := slices.ContainsFunc(list, func(l pdb.Location) bool {
					return l.Inline && (l.Function == r.name || strings.HasSuffix(l.Function, "::"+r.name)) && uint64(l.Line) == r.line
				})
				if !found || err != nil {
					t.Errorf("Lines(%x) = %+v, %v; want %+v", rva, list, err, r)
				}
			}
		}
		checkNoMore(t, f, rows)
	})
	if t.Logf("%d stretches", total); total < 400 {
		t.Errorf("%d stretches of inlined calls", total)
	}
}

// checkNoMore checks that there are no inlined calls where no stretch is.
func checkNoMore(t *testing.T, f *pdb.File, rows []row) {
	t.Helper()
	lines, err := f.LineTable()
	if err != nil {
		t.Error(err)
	}
	for _, l := range lines {
		want := 0
		for _, r := range rows {
			if uint64(l.RVA) >= r.begin && uint64(l.RVA) < r.end {
				want++
			}
		}
		if sym, ok := f.At(l.RVA); !ok || sym.Kind != pdb.Procedure {
			continue // of a function that was left out
		}
		if list, err := f.Lines(l.RVA); len(list) != want+1 || err != nil {
			t.Errorf("Lines(%x) = %+v, %v; want %d inlined calls", l.RVA, list, err, want)
		}
	}
}

// checkFrames compares frames: pairs of function and file:line.
func checkFrames(t *testing.T, rva uint32, want []string, got []pdb.Location) {
	t.Helper()
	var lines []string
	if len(want) == 2 && want[1] == "??:0" {
		want = nil
	}
	for i, l := range got {
		if l.Inline != (i < len(got)-1) {
			t.Errorf("%x: frame %d of %d: %+v", rva, i, len(got), l)
		}
		lines = append(lines, fmt.Sprintf("%s:%d", filepath.Base(strings.ReplaceAll(l.File, `\`, "/")), l.Line))
	}
	var theirs []string
	for i := 1; i < len(want); i += 2 {
		place := strings.TrimSuffix(want[i], " (discriminator 0)")
		theirs = append(theirs, filepath.Base(strings.ReplaceAll(place, `\`, "/")))
	}
	if d := gocmp.Diff(theirs, lines); d != "" {
		t.Errorf("%x: %q (-llvm +ours):\n%s\n%+v", rva, want, d, got)
	}
	for i, l := range got {
		if 2*i < len(want) && l.Inline && !strings.HasSuffix(l.Function, want[2*i]) {
			t.Errorf("%x: frame %d is %q, want %q", rva, i, l.Function, want[2*i])
		}
	}
}
