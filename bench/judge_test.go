package bench

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bugcheck/analyze"
	"bugcheck/bench/agreement/logs"
	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/internal/labcheck"
	"bugcheck/internal/rules"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/report"
	"bugcheck/win"
)

// judgeBudget is what the judgement of one case may take: of a batch of thousands
// of small dumps, each some milliseconds, it must not be a part that shows.
const judgeBudget = 200 * time.Microsecond

// judgeRuns is how often a case is judged at a time: enough that the clock's own
// cost does not count.
const judgeRuns = 20

// BenchmarkJudge is Judge alone over the facts of the published logs and over those
// of every fault of the lab. A case counts with its quickest time of all rounds,
// since the slower ones are the machine's other work; told are the mean over the
// cases and the slowest of them.
func BenchmarkJudge(b *testing.B) {
	b.Run("logs", func(b *testing.B) { judgeAll(b, logFacts(b)) })
	b.Run("lab", func(b *testing.B) { judgeAll(b, labFacts(b)) })
}

// fact is a case to judge.
type fact struct {
	name  string
	facts analyze.Facts
}

func judgeAll(b *testing.B, cases []fact) {
	best := make([]time.Duration, len(cases))
	for i := range best {
		best[i] = math.MaxInt64
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		for i, c := range cases {
			best[i] = min(best[i], judgeTime(c.facts))
		}
	}
	var sum, slowest time.Duration
	name := ""
	for i, d := range best {
		sum += d
		if d > slowest {
			slowest, name = d, cases[i].name
		}
	}
	b.ReportMetric(float64(len(cases)), "cases")
	b.ReportMetric(float64(sum.Nanoseconds())/float64(len(cases))/1000, "µs-mean")
	b.ReportMetric(float64(slowest.Nanoseconds())/1000, "µs-max")
	b.Logf("slowest: %s", name)
	if slowest > judgeBudget {
		b.Errorf("%s takes %v; %v are allowed", name, slowest, judgeBudget)
	}
}

func judgeTime(f analyze.Facts) time.Duration {
	start := time.Now()
	for range judgeRuns {
		analyze.Judge(f)
	}
	return time.Since(start) / judgeRuns
}

func logFacts(b *testing.B) []fact {
	b.Helper()
	cases, err := logs.Read(logs.DefaultFileFrom(corpus.Dir(b, ".")))
	if err != nil {
		b.Fatal(err)
	}
	var list []fact
	for _, c := range cases {
		list = append(list, fact{c.ID, analyze.LogFacts(c.Log())})
	}
	return list
}

// labFacts are those of a kernel dump of every fault, without symbols and with them.
func labFacts(b *testing.B) []fact {
	b.Helper()
	var list []fact
	for _, k := range lab.Kinds() {
		bench, err := labcheck.New(k.Name, lab.Options{Arch: "x64", Build: 26100}, b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		file, err := bench.Dump("kernel")
		if err != nil {
			b.Fatal(err)
		}
		d, err := dump.Open(file, file.Size())
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, fact{k.Name, analyze.Collect(kernel.Open(d))},
			fact{k.Name + " with symbols", analyze.Collect(kernel.OpenWith(context.Background(), d, bench.Symbols()))})
		bench.Close()
	}
	return list
}

// BenchmarkRules is reading a rule file, and its rules on the report of a machine
// with 151 drivers.
func BenchmarkRules(b *testing.B) {
	file, err := os.ReadFile(filepath.Join("..", "examples", "rules", "known-issues.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	set, err := rules.Parse("known-issues.yaml", file)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rules.Parse("known-issues.yaml", file); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(set.Len()), "rules")
	})
	b.Run("apply", func(b *testing.B) {
		r := smallReport(b)
		b.ReportAllocs()
		for b.Loop() {
			copied := *r
			set.Apply(&copied, win.English)
		}
		b.ReportMetric(float64(set.Len()), "rules")
	})
}

func smallReport(b *testing.B) *report.Report {
	b.Helper()
	f, err := os.Open(filepath.Join(corpus.Dir(b, "dumps"), "triage_x64.dmp"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	d, err := dump.Open(f, info.Size())
	if err != nil {
		b.Fatal(err)
	}
	return analyze.Report(kernel.Open(d), "triage_x64.dmp", "bench")
}
