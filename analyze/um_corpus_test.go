package analyze_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/internal/damage"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/render"
	"bugcheck/report"
)

// minidumps lists the real user-mode minidumps: breakpad/x.dmp, rust-minidump/x.dmp.
func minidumps(t *testing.T) map[string][]byte {
	t.Helper()
	dir := corpus.Dir(t, "minidumps")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.dmp"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no minidumps in the corpus: %v", err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(dir, f)
		all[filepath.ToSlash(name)] = b
	}
	return all
}

func userReport(t *testing.T, b []byte) *report.Report {
	t.Helper()
	f, err := dump.Open(damage.File{b}, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return analyze.Report(kernel.Open(f), "x.dmp", "test")
}

// crashAddress is what the two projects call so: the address that was touched,
// else the instruction's.
func crashAddress(x *report.Exception) report.Hex {
	if x.Target != nil {
		return *x.Target
	}
	return x.Address
}

// expected is what minidump_stackwalk and minidump-stackwalk print of a dump.
type expected struct {
	reason, address string
	frames          []string // instruction pointers of the crashing thread
	modules         []string // start end name version
}

var (
	reasonLine  = regexp.MustCompile(`(?m)^Crash reason:\s+(\S.*)$`)
	addressLine = regexp.MustCompile(`(?m)^Crash address:\s+0x0*([0-9a-f]+)$`)
	frameLine   = regexp.MustCompile(`(?m)^\s+eip = 0x([0-9a-f]{8})`)
	moduleLine  = regexp.MustCompile(`(?m)^0x([0-9a-f]{8}) - 0x([0-9a-f]{8})\s+(\S+)\s+(\S+)`)
)

func readExpected(t *testing.T, name string) expected {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(corpus.Dir(t, "minidumps"), name))
	if err != nil {
		t.Fatal(err)
	}
	var e expected
	crashed, _, _ := strings.Cut(string(b), "\nThread 1") // only the crashing thread, the first
	e.reason = reasonLine.FindStringSubmatch(crashed)[1]
	e.address = addressLine.FindStringSubmatch(crashed)[1]
	for _, m := range frameLine.FindAllStringSubmatch(crashed, -1) {
		e.frames = append(e.frames, m[1])
	}
	for _, m := range moduleLine.FindAllStringSubmatch(string(b), -1) {
		e.modules = append(e.modules, strings.Join(m[1:], " "))
	}
	return e
}

// TestCorpus_MinidumpOutputs holds a report against what Breakpad and
// rust-minidump print of the same dump: reason, address, the frames of the
// crashing thread, the modules. docs/minidumps.md explains what else differs.
func TestCorpus_MinidumpOutputs(t *testing.T) {
	all := minidumps(t)
	for _, tt := range []struct{ dump, output string }{
		{"breakpad/minidump2.dmp", "breakpad/minidump2.stackwalk.out"},
		{"rust-minidump/test.dmp", "rust-minidump/snapshots/test_minidump_stackwalk__human.snap"},
		{"rust-minidump/test.dmp", "rust-minidump/snapshots/test_minidump_stackwalk__human-symbols.snap"},
	} {
		want, r := readExpected(t, tt.output), userReport(t, all[tt.dump])
		if r.Exception.Reason != want.reason || fmt.Sprintf("%x", uint64(crashAddress(r.Exception))) != want.address {
			t.Errorf("%s: %s at %s, want %s at %s", tt.dump, r.Exception.Reason, crashAddress(r.Exception), want.reason, want.address)
		}
		var frames, modules []string
		for _, f := range r.Stack {
			if f.Trust != report.TrustScan {
				frames = append(frames, fmt.Sprintf("%08x", uint64(f.Address)))
			}
		}
		if !slices.Equal(frames, want.frames) {
			t.Errorf("%s: frames %v, want %v (%s)", tt.dump, frames, want.frames, tt.output)
		}
		for _, m := range r.Modules {
			version := m.Version
			if version == "" {
				version = "???"
			}
			modules = append(modules, fmt.Sprintf("%08x %08x %s %s", uint64(m.Base), uint64(m.Base)+m.Size-1, m.Image, version))
		}
		slices.Sort(modules)
		slices.Sort(want.modules)
		if !slices.Equal(modules, want.modules) || len(modules) != 13 {
			t.Errorf("%s: modules\n%s\nwant\n%s", tt.dump, strings.Join(modules, "\n"), strings.Join(want.modules, "\n"))
		}
	}
}

// TestCorpus_MinidumpIdentities: the symbol file of each module as Breakpad's
// minidump_dump prints it: GUID and age without separators.
func TestCorpus_MinidumpIdentities(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(corpus.Dir(t, "minidumps"), "breakpad/minidump2.dump.out"))
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile(`\(debug_file\)\s+= "(.*)"`).FindAllStringSubmatch(string(b), -1)
	ids := regexp.MustCompile(`\(debug_identifier\)\s+= "(.*)"`).FindAllStringSubmatch(string(b), -1)
	file := minidumps(t)["breakpad/minidump2.dmp"]
	f, err := dump.Open(damage.File{file}, int64(len(file)))
	if err != nil || len(files) != len(f.Drivers) || len(ids) != len(files) {
		t.Fatalf("%d modules, %d debug files, %d identifiers, %v", len(f.Drivers), len(files), len(ids), err)
	}
	for i, d := range f.Drivers {
		id := strings.ToUpper(strings.NewReplacer("{", "", "}", "", "-", "").Replace(d.PDB.GUID.String())) + fmt.Sprintf("%X", d.PDB.Age)
		if d.PDB.Path != files[i][1] || id != ids[i][1] {
			t.Errorf("%s: %s %s, want %s %s", d.Name, d.PDB.Path, id, files[i][1], ids[i][1])
		}
	}
}

// TestCorpus_MinidumpVerdicts: what each dump of the two projects was made to
// show (their own tests name reason and address).
func TestCorpus_MinidumpVerdicts(t *testing.T) {
	all := minidumps(t)
	for _, tt := range []struct {
		file, reason, address, cause, image, bucket, evidence string
		threads                                               int
	}{
		{"breakpad/ascii_read_av.dmp", "EXCEPTION_ACCESS_VIOLATION_READ", "0x41414141", "program", "crashme.exe", "INVALID_POINTER_READ_c0000005_crashme.exe!Unknown", `"AAAA"`, 2},
		{"breakpad/ascii_write_av.dmp", "EXCEPTION_ACCESS_VIOLATION_WRITE", "0x41414141", "program", "crashme.exe", "INVALID_POINTER_WRITE_c0000005_crashme.exe!Unknown", `"AAAA"`, 2},
		{"breakpad/null_read_av.dmp", "EXCEPTION_ACCESS_VIOLATION_READ", "0x0", "program", "crashme.exe", "NULL_POINTER_READ_c0000005_crashme.exe!Unknown", "a null pointer was used", 2},
		{"breakpad/exec_av_on_stack.dmp", "EXCEPTION_ACCESS_VIOLATION_EXEC", "0x3df944", "unknown", "", "", "on the stack of the current thread", 2},
		{"breakpad/stack_exhaustion.dmp", "EXCEPTION_STACK_OVERFLOW", "0xdea637", "program", "crashme.exe", "STACK_OVERFLOW_c00000fd_crashme.exe!Unknown", "crashme+0xa6a7 stands on the stack", 2},
		{"breakpad/thread_name_list.dmp", "EXCEPTION_ACCESS_VIOLATION_READ", "0xf1004", "program", "allocer32.exe", "INVALID_POINTER_READ_c0000005_allocer32.exe!Unknown", "The thread is called overflow thread", 6},
		{"breakpad/tiny-exe-fastfail.dmp", "FAST_FAIL_FATAL_APP_EXIT", "0x7ff75355af42", "program", "tiny.exe", "FAIL_FAST_FATAL_APP_EXIT_c0000409_tiny.exe!Unknown", "Check 7 (FATAL_APP_EXIT)", 4},
		{"breakpad/tiny-exe-with-cet-xsave.dmp", "", "", "requested", "", "", "The dump holds no exception", 1},
		{"breakpad/tiny-exe-with-cet-xsave-x86.dmp", "", "", "requested", "", "", "The dump holds no exception", 3},
		{"breakpad/write_av_non_canonical.dmp", "EXCEPTION_ACCESS_VIOLATION_READ", "0xffffffffffffffff", "program", "crash.exe", "INVALID_POINTER_READ_c0000005_crash.exe!Unknown", "not canonical", 2},
		{"breakpad/minidump2.dmp", "EXCEPTION_ACCESS_VIOLATION_WRITE", "0x45", "program", "test_app.exe", "NULL_CLASS_PTR_WRITE_c0000005_test_app.exe!Unknown", "null pointer was used, with an offset", 2},
		{"rust-minidump/hist-ea539fb.dmp", "EXCEPTION_ACCESS_VIOLATION_WRITE", "0x0", "program", "electron.exe", "NULL_POINTER_WRITE_c0000005_electron.exe!Unknown", "CrRendererMain", 19},
		{"rust-minidump/invalid-parameter.dmp", "STATUS_INVALID_PARAMETER", "0x0", "program", "CrashTest.exe", "", "format != nullptr", 6},
	} {
		r := userReport(t, all[tt.file])
		v := r.Verdict
		if r.Bugcheck != nil || r.Dump.Kind != "minidump" {
			t.Errorf("%s: kind %s with stop code %v", tt.file, r.Dump.Kind, r.Bugcheck)
		}
		if tt.reason != "" && (r.Exception.Reason != tt.reason || crashAddress(r.Exception).String() != tt.address) || tt.reason == "" && r.Exception != nil {
			t.Errorf("%s: exception %+v, want %s at %s", tt.file, r.Exception, tt.reason, tt.address)
		}
		if v.Cause != tt.cause || v.Image != tt.image || v.Bucket != tt.bucket || !strings.Contains(evidence(v), tt.evidence) {
			t.Errorf("%s: %s, %s, %s; want %s, %s, %s with %q in\n%s", tt.file, v.Cause, v.Image, v.Bucket, tt.cause, tt.image, tt.bucket, tt.evidence, evidence(v))
		}
		if len(r.Threads) != tt.threads-1 {
			t.Errorf("%s: stacks of %d other threads, want %d", tt.file, len(r.Threads), tt.threads-1)
		}
		for _, other := range r.Threads {
			if len(other.Stack) == 0 || len(other.Stack) > 16 || r.Thread == nil || other.ID == *r.Thread.ID {
				t.Errorf("%s: thread %d has %d frames", tt.file, other.ID, len(other.Stack))
			}
		}
		if r.Process == nil || r.Process.Threads != tt.threads || r.Process.PID == nil || len(r.Stack) == 0 || len(v.NextSteps) == 0 {
			t.Errorf("%s: process %+v with %d frames, %d steps; want %d threads", tt.file, r.Process, len(r.Stack), len(v.NextSteps), tt.threads)
		}
	}
}

// TestCorpus_MalformedMinidumps: the two files that fuzzers made have neither
// system information nor threads, and are refused, as rust-minidump refuses them.
func TestCorpus_MalformedMinidumps(t *testing.T) {
	for _, name := range []string{"rust-minidump/invalid-range.dmp", "rust-minidump/invalid-record-count.dmp"} {
		b := minidumps(t)[name]
		if _, err := dump.Open(damage.File{b}, int64(len(b))); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v, want a word of damage", name, err)
		}
	}
}

// Without its system information a dump has a report that claims no version.
func TestReport_NoSystemInfo(t *testing.T) {
	b, err := lab.NullRead(lab.Windows19041).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b[0x20] = 0xff // the type of the first stream, which is the system's
	r := userReport(t, b)
	if r.System.Name != "Windows" || r.System.Version != "" || r.System.Build != 0 || r.Verdict.Image != "plugin.dll" || len(r.Notes) == 0 {
		t.Errorf("system %+v, verdict %+v, notes %v", r.System, r.Verdict, r.Notes)
	}
	var out strings.Builder
	if err := render.Text(&out, r, render.Options{}); err != nil || strings.Contains(out.String(), "()") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

// Each page of the real dumps harmed: a report, or a refusal in one line.
func TestCorpus_MinidumpDamage(t *testing.T) {
	for name, b := range minidumps(t) {
		step := damage.PageSize
		if !corpus.All() && len(b) > 64<<10 {
			step *= 7
		}
		for at := 0; at < len(b); at += step {
			for _, kind := range damage.Kinds {
				harmed := kind.File(b, at, min(at+damage.PageSize, len(b)))
				f, err := dump.Open(harmed, harmed.Size())
				if err != nil {
					continue
				}
				r := analyze.Report(kernel.Open(f), name, "test")
				if r.Verdict.Summary.String() == "" || r.Verdict.Cause == "" || r.Verdict.Confidence == "" {
					t.Errorf("%s, page at %#x %s: no verdict: %+v", name, at, kind.Name, r.Verdict)
				}
			}
		}
	}
}
