package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"bugcheck/lab"
	"bugcheck/lab/ram"
)

// machineDump writes the dump of an invented machine, as a sparse file.
func machineDump(b *testing.B, p lab.Plan, format ram.Format) string {
	b.Helper()
	s, err := p.System()
	if err != nil {
		b.Fatal(err)
	}
	file, err := os.Create(filepath.Join(b.TempDir(), "MEMORY.DMP"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if err := s.Dump(file, format); err != nil {
		b.Fatal(err)
	}
	return file.Name()
}

// BenchmarkMachine is the whole program on dumps of whole machines: to the verdict
// with 1 GiB and 64 GiB of RAM, and top of one with 300 processes and 5,000 threads.
func BenchmarkMachine(b *testing.B) {
	for _, gib := range []uint64{1, 64} {
		b.Run(fmt.Sprintf("analyze %d GiB", gib), func(b *testing.B) {
			machine(b, lab.Plan{Arch: "x64", Build: 20348, Memory: gib << 30}, "analyze")
		})
	}
	b.Run("top of 300 processes, 5000 threads", func(b *testing.B) {
		machine(b, lab.Plan{Arch: "x64", Build: 20348, Memory: 16 << 30, Processes: 300, Threads: 5000}, "top")
	})
}

func machine(b *testing.B, p lab.Plan, command string) {
	name := machineDump(b, p, ram.FullBitmap)
	exe, rss := program(b), 0.0
	b.ResetTimer()
	for b.Loop() {
		rss = max(rss, runProgram(b, exe, command, "--offline", name))
	}
	b.ReportMetric(rss, "MiB")
}
