package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bugcheck/internal/corpus"
	"bugcheck/pdb"
)

// The large PDB: as many public symbols as the kernel's PDB has five times, and
// types for more than 60 MiB together.
const (
	pdbPublics  = 150_000
	pdbStructs  = 84_000
	pdbPerFile  = 14_000
	pdbSizeGoal = 60 << 20
	pdbStride   = 16 // bytes between two functions
	pdbCache    = "bugcheck-bench-pdb-1"
)

// largePDB builds the PDB with its image, or finds it from an earlier run.
func largePDB(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(os.TempDir(), pdbCache)
	path := filepath.Join(dir, "large.pdb")
	if info, err := os.Stat(path); err == nil && info.Size() >= pdbSizeGoal {
		return path
	}
	for _, tool := range []string{"clang-19", "lld-link-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			corpus.Missing(tb, tool+" is not here")
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	objects := []string{compile(tb, dir, "publics.s", publicsSource())}
	for first := 0; first < pdbStructs; first += pdbPerFile {
		objects = append(objects, compile(tb, dir, fmt.Sprintf("types%d.c", first), typesSource(first)))
	}
	args := append([]string{"/dll", "/noentry", "/nodefaultlib", "/debug:full", "/Brepro", "/out:" + filepath.Join(dir, "large.dll"), "/pdb:" + path}, objects...)
	if out, err := exec.Command("lld-link-19", args...).CombinedOutput(); err != nil {
		tb.Fatalf("lld-link: %v\n%s", err, out)
	}
	for _, object := range objects {
		_ = os.Remove(object)
	}
	return path
}

func compile(tb testing.TB, dir, name, source string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = os.Remove(path) }()
	args := []string{"--target=x86_64-pc-windows-msvc", "-c", "-g", "-gcodeview", "-o", path + ".obj", path}
	if strings.HasSuffix(name, ".s") {
		args = []string{"--target=x86_64-pc-windows-msvc", "-c", "-o", path + ".obj", path}
	}
	if out, err := exec.Command("clang-19", args...).CombinedOutput(); err != nil {
		tb.Fatalf("clang: %v\n%.2000s", err, out)
	}
	return path + ".obj"
}

// publicsSource is as many functions of one instruction as there are publics.
func publicsSource() string {
	var b strings.Builder
	for i := range pdbPublics {
		name := fmt.Sprintf("ExpSubsystem%dProcedureNumber%d", i%97, i)
		fmt.Fprintf(&b, ".globl %s\n.p2align 4\n%s: ret\n", name, name)
	}
	return b.String()
}

// typesSource is some structures, each with a pointer to the one before.
func typesSource(first int) string {
	var b strings.Builder
	for i := first; i < first+pdbPerFile; i++ {
		fmt.Fprintf(&b, "struct _SUBSYSTEM_STRUCTURE_%d {\n", i)
		if i > first {
			fmt.Fprintf(&b, "struct _SUBSYSTEM_STRUCTURE_%d *PreviousStructure;\n", i-1)
		}
		for f := range 14 {
			fmt.Fprintf(&b, "%s SubsystemMember%dOf%d;\n", []string{"int", "long long", "char", "void *"}[f%4], f, i)
		}
		fmt.Fprintf(&b, "};\nstruct _SUBSYSTEM_STRUCTURE_%d *Global%d;\n", i, i)
	}
	return b.String()
}

// openPDB opens the PDB and looks one address up.
func openPDB(tb testing.TB, path string, rva uint32) (*pdb.File, *os.File) {
	r, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	info, err := r.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	f, err := pdb.Open(r, info.Size())
	if err != nil {
		tb.Fatal(err)
	}
	if s, ok := f.At(rva); !ok || !strings.HasPrefix(s.Name, "ExpSubsystem") {
		tb.Fatalf("At(%x) = %+v, %v", rva, s, ok)
	}
	return f, r
}

// pdbRVA is the address of one of the functions.
func pdbRVA(i int) uint32 { return 0x1000 + uint32(i*7919%pdbPublics)*pdbStride }

// BenchmarkPDBOpen is opening a large PDB and the first look-up.
func BenchmarkPDBOpen(b *testing.B) {
	path := largePDB(b)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		_, r := openPDB(b, path, pdbRVA(n))
		r.Close()
		n++
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(n)/(1<<20), "MiB-allocated/op")
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB-file")
}

// BenchmarkPDBAt is one warm look-up of an address, all over the image.
func BenchmarkPDBAt(b *testing.B) {
	f, r := openPDB(b, largePDB(b), pdbRVA(0))
	defer r.Close()
	i := 0
	for b.Loop() {
		if _, ok := f.At(pdbRVA(i) + 1); !ok {
			b.Fatal("not found")
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "look-ups/s")
}

// BenchmarkPDBFind is one warm look-up of a name.
func BenchmarkPDBFind(b *testing.B) {
	f, r := openPDB(b, largePDB(b), pdbRVA(0))
	defer r.Close()
	i := 0
	for b.Loop() {
		n := i * 7919 % pdbPublics
		if _, ok := f.Find("ExpSubsystem" + strconv.Itoa(n%97) + "ProcedureNumber" + strconv.Itoa(n)); !ok {
			b.Fatal("not found")
		}
		i++
	}
}

// BenchmarkPDBType is one warm decoding of a structure with 15 fields.
func BenchmarkPDBType(b *testing.B) {
	f, r := openPDB(b, largePDB(b), pdbRVA(0))
	defer r.Close()
	i := 0
	for b.Loop() {
		name := fmt.Sprintf("_SUBSYSTEM_STRUCTURE_%d", i*7919%pdbStructs)
		if _, ok, err := f.Type(name); !ok || err != nil {
			b.Fatal(name, err)
		}
		i++
	}
}

// TestPDBProcess is the process that pdb-peers.sh measures: it opens $PDB_PEER
// and looks up the RVAs of its standard input.
func TestPDBProcess(t *testing.T) {
	path := os.Getenv("PDB_PEER")
	if path == "" {
		t.Skip("pdb-peers.sh runs it")
	}
	if path == "build" {
		fmt.Println(largePDB(t))
		return
	}
	var rvas []uint32
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		v, err := strconv.ParseUint(strings.TrimPrefix(s.Text(), "0x"), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		rvas = append(rvas, uint32(v))
	}
	debug.FreeOSMemory()
	start, resident := time.Now(), rss(t)
	f, r := openPDB(t, path, rvas[0])
	defer r.Close()
	first, opened := time.Since(start), rss(t)
	before, found := processor(t), 0
	for _, rva := range rvas {
		if _, ok := f.At(rva); ok {
			found++
		}
	}
	rate := float64(len(rvas)) / (processor(t) - before).Seconds()
	fmt.Printf("first %.1f ms and %.1f MiB, then %.0f look-ups/s of processor time, %d found\n", float64(first.Microseconds())/1e3,
		float64(opened-resident)/(1<<20), rate, found)
}

// processor is the processor time that this process has used: other work on the
// machine does not count.
func processor(t *testing.T) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// rss is the resident set, bytes.
func rss(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
