package bench

import (
	"os"
	"path/filepath"
	"testing"

	"bugcheck/lab"
	"bugcheck/pe"
)

// BenchmarkAnalyzeWarm is the whole program on a small dump whose kernel has an
// image and a symbol file of 60 MiB in a warm cache.
func BenchmarkAnalyzeWarm(b *testing.B) {
	file := largePDB(b)
	image := filepath.Join(filepath.Dir(file), "large.dll")
	f, err := os.Open(image)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	parsed, err := pe.Open(f, info.Size(), pe.InFile)
	if err != nil {
		b.Fatal(err)
	}
	id, err := parsed.PDB()
	if err != nil {
		b.Fatal(err)
	}
	store := b.TempDir()
	copyFile(b, image, stored(b, store, "ntoskrnl.exe", parsed.ImageKey()))
	copyFile(b, file, stored(b, store, "large.pdb", id.Key()))
	d := lab.HighIRQLKernel(lab.Windows19041)
	d.Drivers[0].Timestamp, d.Drivers[0].Size = parsed.Header.Timestamp, parsed.Header.SizeOfImage
	dump, err := d.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	name := filepath.Join(store, "warm.dmp")
	if err := os.WriteFile(name, dump, 0o600); err != nil {
		b.Fatal(err)
	}
	exe, rss := program(b), 0.0
	b.ResetTimer()
	for b.Loop() {
		rss = max(rss, runProgram(b, exe, "analyze", "--symbols", "srv*"+store, name))
	}
	b.ReportMetric(rss, "MiB")
}

// stored makes the folder of a file in a symbol store.
func stored(b *testing.B, store, name, key string) string {
	b.Helper()
	dir := filepath.Join(store, name, key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	return filepath.Join(dir, name)
}
