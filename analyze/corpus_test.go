package analyze_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/report"
)

// reports analyses every real dump, by file name.
func reports(t *testing.T) map[string]*report.Report {
	t.Helper()
	all := map[string]*report.Report{}
	for _, e := range corpus.Dumps(t) {
		d := openDump(t, e.Path(t))
		all[e.File] = analyze.Report(kernel.Open(d), e.File, "test")
	}
	return all
}

// openDump opens a dump until the test ends.
func openDump(t *testing.T, path string) *dump.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	d, err := dump.Open(f, info.Size())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return d
}

// images are those that a verdict names: the culprit, then the others.
func images(v report.Verdict) string {
	list := []string{v.Image}
	for _, a := range v.Alternatives {
		list = append(list, a.Image)
	}
	return strings.Join(list, " ")
}

func evidence(v report.Verdict) string {
	var b strings.Builder
	for _, e := range v.Evidence {
		b.WriteString(e.Fact.String() + " [" + e.Source.String() + "]\n")
	}
	return b.String()
}

func TestCorpus_Verdicts(t *testing.T) {
	all := reports(t)
	for _, tt := range []struct {
		file, cause, images, evidence string
	}{
		{"triage_x64.dmp", report.CauseDriver, "amdppm.sys", "0xc0000005 (STATUS_ACCESS_VIOLATION)"},
		{"triage_arm64.dmp", report.CauseRequested, "", "power button"},
		{"082325-12593-01.dmp", report.CauseDriver, "ibthfp.sys", "the call of KeBugCheckEx came from ibthfp"},
		{"train-116_0.dmp", report.CauseDriver, "nvlddmkm.sys", "[parameter 2]"},
		{"train-116_0.dmp", report.CauseDriver, "nvlddmkm.sys", "the whole card had to be reset. [recovery context (parameter 1)]"},
		{"train-1a.dmp", report.CauseHardware, "", "exactly one bit, bit 37"},
		{"train-be_1.dmp", report.CauseHardware, "", "exactly one bit, bit 37"},
		{"train-9f.dmp", report.CauseDriver, "rtwlane.sys", "SCSI"},
		{"train-d1.dmp", report.CauseDriver, "ks.sys", "cmp byte ptr [rcx+29h],5, and 0x29 is what it adds to its pointer: the pointer was null"},
	} {
		v := all[tt.file].Verdict
		if v.Cause != tt.cause {
			t.Errorf("%s: cause %s, want %s", tt.file, v.Cause, tt.cause)
		}
		if !strings.Contains(images(v), tt.images) {
			t.Errorf("%s: images %q do not name %s", tt.file, images(v), tt.images)
		}
		if !strings.Contains(evidence(v), tt.evidence) {
			t.Errorf("%s: no evidence says %q:\n%s", tt.file, tt.evidence, evidence(v))
		}
	}
	if v := all["triage_arm64.dmp"].Verdict; v.Image != "" || len(v.Alternatives) > 0 {
		t.Errorf("triage_arm64.dmp: %q is blamed for a crash that was asked for", images(v))
	}
	if v := all["082325-12593-01.dmp"].Verdict; v.Confidence != report.Medium {
		t.Errorf("082325-12593-01.dmp: confidence %s, want medium: one frame is certain, what the code means is not", v.Confidence)
	}
	if p := all["triage_x64.dmp"].Process; p == nil || p.Name != "System" {
		t.Errorf("triage_x64.dmp: process %v, want System", p)
	}
}

// TestCorpus_Expected holds the reports against what is known of each file.
func TestCorpus_Expected(t *testing.T) {
	all := reports(t)
	for _, e := range corpus.Dumps(t) {
		r := all[e.File]
		if e.Cause != "" && r.Verdict.Cause != e.Cause {
			t.Errorf("%s: cause %s, want %s", e.File, r.Verdict.Cause, e.Cause)
		}
		if e.Image != "" && !strings.Contains(images(r.Verdict), e.Image) {
			t.Errorf("%s: images %q do not name %s", e.File, images(r.Verdict), e.Image)
		}
		if e.Process != "" && (r.Process == nil || r.Process.Name != e.Process) {
			t.Errorf("%s: process %v, want %s", e.File, r.Process, e.Process)
		}
		if e.SameBucketAs != "" && r.Verdict.Bucket != all[e.SameBucketAs].Verdict.Bucket {
			t.Errorf("%s: bucket %s, want that of %s, %s", e.File, r.Verdict.Bucket, e.SameBucketAs, all[e.SameBucketAs].Verdict.Bucket)
		}
		if r.System.Build != e.Build {
			t.Errorf("%s: build %d, want %d", e.File, r.System.Build, e.Build)
		}
		if s := r.System; s.Name == "" || s.CrashedAt == nil || s.UptimeSeconds == nil {
			t.Errorf("%s: system %+v lacks version, time or uptime", e.File, s)
		}
	}
}

// TestCorpus_Versions: releases that share a kernel are told apart by the build
// that the running system recorded.
func TestCorpus_Versions(t *testing.T) {
	all := reports(t)
	for file, want := range map[string]string{
		"011620-8250-01.dmp":  "Windows 10 1809",
		"082325-12593-01.dmp": "Windows 11 24H2",
		"100623-4953-01.dmp":  "Windows 10 22H2",
		"triage_x64.dmp":      "Windows 10 2004",
		"triage_arm64.dmp":    "Windows 11 21H2",
	} {
		if got := all[file].System.Name; got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// TestCorpus_PublishedStack: on ARM64, where frame pointers are kept, the whole
// stack is found without symbols. On x64 every published return address must be
// among the candidates or have been filtered for a reason that is written down.
func TestCorpus_PublishedStack(t *testing.T) {
	all := reports(t)
	for _, e := range corpus.Dumps(t) {
		if e.Architecture != "arm64" || len(e.Stack) == 0 {
			continue
		}
		stack := all[e.File].Stack
		for i, want := range e.Stack {
			if i >= len(stack) || stack[i].Address.String() != want.Address || stack[i].Trust == report.TrustScan {
				t.Errorf("%s frame %d: got %+v, want %s", e.File, i, stack[min(i, len(stack)-1)], want.Address)
			}
		}
	}
}

// TestCorpus_Cases: real dumps that belong together. Those of machine A have four stop
// codes, and the same single bit twice; the two of 100623 are of one day.
func TestCorpus_Cases(t *testing.T) {
	all := reports(t)
	for _, tt := range []struct {
		files             []string
		cause, confidence string
		says              string
	}{
		{[]string{"train-13a.dmp", "train-1a.dmp", "train-50_0.dmp", "train-be_0.dmp", "train-be_1.dmp"}, report.CauseHardware, report.High, "Faulty memory crashes this machine: the same single bit (bit 37)"},
		{[]string{"100623-4953-01.dmp", "100623-6156-01.dmp"}, report.CauseMemoryCorruption, report.Low, "rule out faulty memory first"},
		{[]string{"011620-8250-01.dmp", "011720-10140-01.dmp", "011720-10281-01.dmp"}, report.CauseUnknown, report.Low, "something that loads at the start"},
	} {
		var list []*report.Report
		for _, f := range tt.files {
			list = append(list, all[f])
		}
		cases := analyze.Cases(list, nil)
		if len(cases) != 1 {
			t.Errorf("%v: taken for %d machines", tt.files, len(cases))
			continue
		}
		if v := cases[0].Verdict; v.Cause != tt.cause || v.Confidence != tt.confidence || !strings.Contains(v.Summary.String(), tt.says) {
			t.Errorf("%v: %s, %s: %s", tt.files, v.Cause, v.Confidence, v.Summary)
		}
	}
	var everything []*report.Report
	for _, r := range all {
		everything = append(everything, r)
	}
	if cases := analyze.Cases(everything, nil); len(cases) != 9 {
		t.Errorf("all dumps: %d machines, want 9", len(cases))
	}
}

// The instruction that failed is decoded on all architectures, and the fault follows from
// its operand: a field behind a null pointer.
func TestInstruction_Architectures(t *testing.T) {
	for _, b := range []*lab.Build{lab.Windows17763, lab.Windows19041, lab.Windows17763X86, lab.Windows22000ARM64} {
		content, err := lab.SystemThreadException(b).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		d, err := dump.Open(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		v := analyze.Report(kernel.Open(d), "", "").Verdict
		if said := evidence(v); !strings.Contains(said, "The fault follows from the instruction, ") || v.Cause != report.CauseDriver {
			t.Errorf("%v: cause %s\n%s", d.Arch, v.Cause, said)
		}
	}
}

// Hardware is what evidence of its own convicts: bits of page tables, and an instruction
// that cannot have failed so. The faults of the others follow from their instructions, or
// it cannot be told.
func TestCorpus_Hardware(t *testing.T) {
	says := map[string]string{
		"train-1a.dmp":        "exactly one bit, bit 37",
		"train-be_1.dmp":      "exactly one bit, bit 37",
		"train-d1.dmp":        "the pointer was null",
		"011620-8250-01.dmp":  "The fault follows from the instruction, bt dword ptr [rax],edx",
		"011720-10140-01.dmp": "The fault follows from the instruction, bt dword ptr [rax],edx",
		"011720-10281-01.dmp": "The fault follows from the instruction, bt dword ptr [rax],edx",
		"train-50_0.dmp":      "The instruction there is mov rbx,qword ptr [rsi].",
		"triage_x64.dmp":      "something other than the pointer refused the access",
	}
	hardware := map[string]bool{"train-1a.dmp": true, "train-be_1.dmp": true}
	for file, r := range reports(t) {
		v := r.Verdict
		if got := v.Cause == report.CauseHardware; got != hardware[file] {
			t.Errorf("%s: cause %s", file, v.Cause)
		}
		if !strings.Contains(evidence(v), says[file]) {
			t.Errorf("%s: no evidence says %q:\n%s", file, says[file], evidence(v))
		}
	}
}
