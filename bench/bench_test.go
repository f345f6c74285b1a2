// Package bench measures: a whole process on one dump, a batch of many, and the
// steps inside. Run bench/run.sh; nothing here is a test.
package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/kernel"
	"bugcheck/mem"
)

// program builds the command once.
func program(b *testing.B) string {
	b.Helper()
	exe := filepath.Join(b.TempDir(), "bugcheck")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", exe, "bugcheck/cmd/bugcheck")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return exe
}

// runProgram runs the command and returns its largest resident set, MiB.
func runProgram(b *testing.B, exe string, args ...string) float64 {
	b.Helper()
	cmd := exec.Command(exe, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", args, err, out[:min(len(out), 2000)])
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return float64(usage.Maxrss) / 1024
}

// BenchmarkProcess is the whole program on one real small dump.
func BenchmarkProcess(b *testing.B) {
	file := filepath.Join(corpus.Dir(b, "dumps"), "triage_x64.dmp")
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			exe, rss := program(b), 0.0
			b.ResetTimer()
			for b.Loop() {
				rss = max(rss, runProgram(b, exe, "analyze", "--offline", "--format", format, file))
			}
			b.ReportMetric(rss, "MiB")
		})
	}
}

// BenchmarkBatch is one run over many dumps: dumps a second, and whether memory
// grows with their number.
func BenchmarkBatch(b *testing.B) {
	dumps, err := filepath.Glob(filepath.Join(corpus.Dir(b, "dumps"), "*.dmp"))
	if err != nil || len(dumps) == 0 {
		b.Fatal("no dumps")
	}
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			exe, rss, dir := program(b), 0.0, b.TempDir()
			for i := range n {
				from, err := filepath.Abs(dumps[i%len(dumps)])
				if err != nil {
					b.Fatal(err)
				}
				if err := os.Link(from, filepath.Join(dir, fmt.Sprintf("%04d.dmp", i))); err != nil {
					copyFile(b, from, filepath.Join(dir, fmt.Sprintf("%04d.dmp", i)))
				}
			}
			b.ResetTimer()
			for b.Loop() {
				rss = max(rss, runProgram(b, exe, "analyze", "--offline", dir))
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "dumps/s")
			b.ReportMetric(rss, "MiB")
		})
	}
}

// copyFile copies in pieces: what this process holds counts as the memory of those
// it starts.
func copyFile(b *testing.B, from, to string) {
	b.Helper()
	in, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReport is the analysis without process and output.
func BenchmarkReport(b *testing.B) {
	data, err := os.ReadFile(filepath.Join(corpus.Dir(b, "dumps"), "triage_x64.dmp"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := dump.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			b.Fatal(err)
		}
		analyze.Report(kernel.Open(f), "triage_x64.dmp", "bench")
	}
}

// BenchmarkRead is one look-up in captured memory.
func BenchmarkRead(b *testing.B) {
	data := make([]byte, 1<<20)
	var runs []mem.Range
	for i := range 4096 {
		runs = append(runs, mem.Range{Address: 0xffff800000000000 + mem.VA(i)*0x10000, Size: 0x100, Offset: int64(i * 0x100)})
	}
	m := mem.NewRanges(bytes.NewReader(data), int64(len(data)), runs)
	var p [8]byte
	for i := 0; b.Loop(); i++ {
		if _, err := m.ReadAt(p[:], runs[i%len(runs)].Address+8); err != nil {
			b.Fatal(err)
		}
	}
}
