package labcheck_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/report"
)

// stride is the distance between two harmed pages or words: $BUGCHECK_DAMAGE, 1 for
// all, as they were last run; else a sample.
func stride(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("BUGCHECK_DAMAGE"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("BUGCHECK_DAMAGE=%s", s)
		}
		return n
	}
	if testing.Short() {
		return 53
	}
	return 13
}

// machines are those whose dumps are harmed.
var machines = []struct {
	arch  string
	build int
}{{"x64", 17763}, {"x64", 26100}, {"arm64", 26100}}

// eachSpecimen runs f for a kernel dump and a full dump of each machine.
func eachSpecimen(t *testing.T, name string, f func(t *testing.T, s *specimen)) {
	t.Helper()
	for _, m := range machines {
		for _, kind := range []string{"kernel", "full"} {
			t.Run(fmt.Sprintf("%s %d %s", m.arch, m.build, kind), func(t *testing.T) {
				f(t, newSpecimen(t, name, m.arch, m.build, kind))
			})
		}
	}
}

// maxAnalysis bounds one analysis of a harmed dump on a machine that does other things
// too. Unharmed ones take some milliseconds.
const maxAnalysis = 30 * time.Second

// result is what an analysis says, as far as damage may change it.
type result struct {
	report *report.Report
	top    *report.Top
	err    error // of dump.Open
	took   time.Duration
}

func analysed(h *harmed, top bool) result {
	start := time.Now()
	d, err := dump.Open(h, h.size())
	if err != nil {
		return result{err: err, took: time.Since(start)}
	}
	m := kernel.Open(d)
	r := result{report: analyze.Report(m, "", "")}
	if top {
		r.top = analyze.Top(m, "", "")
	}
	r.took = time.Since(start)
	return r
}

// lost says what of a report another has no longer; "" for nothing.
func lost(was, is *report.Report) string {
	var list []string
	add := func(yes bool, what string) {
		if yes {
			list = append(list, what)
		}
	}
	add(is.Verdict.Image != was.Verdict.Image || is.Verdict.Cause != was.Verdict.Cause,
		fmt.Sprintf("verdict %s %s (%s)", is.Verdict.Cause, is.Verdict.Image, is.Verdict.Confidence))
	add(is.Process == nil, "process")
	add(len(is.Modules) < len(was.Modules), fmt.Sprintf("%d modules", len(was.Modules)-len(is.Modules)))
	add(unwound(is) < unwound(was), fmt.Sprintf("%d of %d frames", unwound(is), unwound(was)))
	return strings.Join(list, ", ")
}

// noted reports that a report says something of its dump's state that another does not.
func noted(was, is *report.Report) bool {
	known := fmt.Sprint(was.Notes)
	return slices.ContainsFunc(is.Notes, func(n report.Note) bool { return !strings.Contains(known, fmt.Sprint(n)) })
}

// unwound is the number of the kernel's frames before the first that a scan found: there a
// note says that the stack is broken, and what follows was luck.
func unwound(r *report.Report) int {
	n := 0
	for _, f := range r.Stack {
		if f.Trust == report.TrustScan {
			break
		}
		if f.Address>>63 != 0 {
			n++
		}
	}
	return n
}

// judge checks what must hold of an analysis of a dump, whatever was harmed.
func (s *specimen) judge(t *testing.T, what string, was, is result) {
	t.Helper()
	if is.took > maxAnalysis {
		t.Errorf("%s: took %v", what, is.took)
	}
	v := is.report.Verdict
	if got := is.report.Bugcheck.Code.String(); got != s.crash.Truth.Bugcheck.Code {
		t.Errorf("%s: stop code %s", what, got)
	}
	if v.Summary.String() == "" || v.Cause == "" {
		t.Errorf("%s: no verdict: %+v", what, v)
	}
	// Hardware goes by the processor's maker, or by "hardware" where its block is harmed.
	hardware := v.Cause == report.CauseHardware && was.report.Verdict.Cause == report.CauseHardware
	if wrong := !strings.EqualFold(v.Image, was.report.Verdict.Image) && v.Image != ""; wrong && !hardware && v.Confidence == report.High {
		t.Errorf("%s: %s, %s, is convicted for sure; it was %s", what, v.Image, v.Cause, was.report.Verdict.Image)
	}
}

// Each page that an analysis reads (page tables, lists, processors, the debugger data
// block, headers of images, pool, stacks, the dump's own header and map) is dropped,
// zeroed and filled in turn; of those that only the machine's resources need, fewer.
// BUGCHECK_DAMAGE=1 harms all of them.
func TestDamage_Pages(t *testing.T) {
	eachSpecimen(t, "high-irql-kernel", func(t *testing.T, s *specimen) { s.harmPages(t) })
}

// Other crashes are told by other structures: pool, requests, queues, records.
func TestDamage_Kinds(t *testing.T) {
	for i, k := range lab.Kinds() {
		if k.Name == "high-irql-kernel" {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			m, step := machines[i%len(machines)], stride(t)
			s := newSpecimen(t, k.Name, m.arch, m.build, "kernel")
			was := analysed(&harmed{file: s.file}, false)
			pages := s.read(t, func(m *kernel.Machine) { analyze.Report(m, "", "") })
			if step > 1 {
				step = max(4*step, len(pages)/20)
			}
			for j, page := range pages {
				if j%step == i%step {
					s.harmPage(t, page, was, false)
				}
			}
		})
	}
}

func (s *specimen) harmPages(t *testing.T) {
	step := stride(t)
	was := analysed(&harmed{file: s.file}, true)
	pages := s.read(t, func(m *kernel.Machine) { analyze.Report(m, "", "") })
	more := s.read(t, func(m *kernel.Machine) { analyze.Top(m, "", "") })
	for i, page := range pages {
		if i%step == 0 || page < s.first() && i%(step/4+1) == 0 {
			s.harmPage(t, page, was, false)
		}
	}
	for i, page := range more {
		if i%(16*step) == 0 {
			s.harmPage(t, page, was, true)
		}
	}
}

func (s *specimen) harmPage(t *testing.T, page int64, was result, top bool) {
	t.Helper()
	for name, h := range map[string]*harmed{
		"zeroed":      s.filled(page, make([]byte, mem.PageSize)),
		"filled":      s.filled(page, bytes.Repeat([]byte{0xff}, mem.PageSize)),
		"overwritten": s.filled(page, noise(page)),
		"dropped":     s.drop(page),
	} {
		what := fmt.Sprintf("page at %#x %s", page, name)
		if name == "dropped" && (page < s.first() || s.kind != "kernel") {
			continue // the header's runs have no bits
		}
		is := analysed(h, top)
		if is.err != nil {
			if page >= 0x2000 || !errors.Is(is.err, dump.ErrFormat) {
				t.Errorf("%s: %v", what, is.err)
			}
			continue
		}
		if page < 0x2000 {
			continue
		}
		s.judge(t, what, was, is)
		if gone := lost(was.report, is.report); gone != "" && !noted(was.report, is.report) {
			t.Errorf("%s: no note, but %s", what, gone)
		}
	}
}
