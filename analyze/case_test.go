package analyze

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bugcheck/report"
)

var caseStart = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// dumpOn is a report of a crash some hours after caseStart, on the usual machine.
func dumpOn(hours int, code uint32, v report.Verdict) *report.Report {
	at, up, board := caseStart.Add(time.Duration(hours)*time.Hour), int64(3600), "B550M"
	return &report.Report{
		Dump:     report.Dump{File: fmt.Sprintf("%d.dmp", hours), Architecture: "x64"},
		System:   &report.System{CrashedAt: &at, UptimeSeconds: &up, Processor: "Some CPU", Processors: 8, Model: &board, Product: "workstation", Version: "10.0.26100"},
		Bugcheck: &report.Bugcheck{Code: report.Hex32(code)},
		Verdict:  v,
		Modules:  []report.Module{{Image: "ntoskrnl.exe", Timestamp: 1}, {Image: "netx.sys", Timestamp: 7}},
	}
}

func bitVerdict(bit int) report.Verdict {
	return report.Verdict{Cause: report.CauseHardware, Confidence: report.High, Image: "memory_corruption", Bucket: "MEMORY_CORRUPTION_ONE_BIT", Bit: &bit}
}

func driverVerdict(image, bucket, confidence string) report.Verdict {
	return report.Verdict{Cause: report.CauseDriver, Image: image, Bucket: bucket, Confidence: confidence, Summary: report.T("x")}
}

func kernelVerdict(bucket string) report.Verdict {
	return report.Verdict{Cause: report.CauseUnknown, Confidence: report.Low, Image: "ntoskrnl.exe", Module: "nt", Bucket: bucket, Summary: report.T("x"), NextSteps: []report.Text{report.T("y")}}
}

func TestCases_Stories(t *testing.T) {
	for _, tt := range []struct {
		name              string
		reports           []*report.Report
		cause, confidence string
		image             string
		says              string // in the summary
	}{
		{
			"the same bit twice among other codes",
			[]*report.Report{dumpOn(0, 0x1a, bitVerdict(37)), dumpOn(9, 0x50, kernelVerdict("a")), dumpOn(20, 0x1a, bitVerdict(37))},
			report.CauseHardware, report.High, "memory_corruption", "the same single bit (bit 37) was wrong in 2 crashes, and faulty memory can explain the other 1 too",
		},
		{
			"two different bits are hardware, less sure",
			[]*report.Report{dumpOn(0, 0x1a, bitVerdict(37)), dumpOn(9, 0x1a, bitVerdict(3)), dumpOn(12, 0x50, kernelVerdict("a"))},
			report.CauseHardware, report.Medium, "", "2 of them show it",
		},
		{
			"one that was asked for",
			[]*report.Report{dumpOn(0, 0xe2, report.Verdict{Cause: report.CauseRequested, Confidence: report.High, Summary: report.T("made by hand")})},
			report.CauseRequested, report.High, "", "made by hand",
		},
		{
			"one driver, one bucket",
			[]*report.Report{dumpOn(0, 0xd1, driverVerdict("netx.sys", "AV_netx!f", report.High)), dumpOn(50, 0xd1, driverVerdict("netx.sys", "AV_netx!f", report.High)), dumpOn(60, 0x50, kernelVerdict("a"))},
			report.CauseDriver, report.High, "netx.sys", "2 of 3 crashes",
		},
		{
			"one driver, likely each time",
			[]*report.Report{dumpOn(0, 0xd1, driverVerdict("netx.sys", "a", report.Medium)), dumpOn(50, 0x9f, driverVerdict("NETX.sys", "b", report.Medium))},
			report.CauseDriver, report.Medium, "netx.sys", "again and again",
		},
		{
			"one suspect behind the kernel",
			[]*report.Report{
				dumpOn(0, 0x13a, report.Verdict{Cause: report.CauseUnknown, Alternatives: []report.Alternative{{Image: "netx.sys"}}}),
				dumpOn(50, 0x50, report.Verdict{Cause: report.CauseUnknown, Alternatives: []report.Alternative{{Image: "netx.sys"}}}),
			},
			report.CauseDriver, report.Low, "netx.sys", "look at it first",
		},
		{
			"the same place, nobody known",
			[]*report.Report{dumpOn(0, 0x7e, kernelVerdict("AV_nt!f")), dumpOn(50, 0x7e, kernelVerdict("AV_nt!f"))},
			report.CauseUnknown, report.Low, "ntoskrnl.exe", "no chance",
		},
		{
			"damaged memory in different ways",
			[]*report.Report{dumpOn(0, 0x1a, kernelVerdict("a")), dumpOn(3, 0x50, kernelVerdict("b"))},
			report.CauseMemoryCorruption, report.Low, "", "2 of 2 crashes, in different ways",
		},
		{
			"many places within days",
			[]*report.Report{dumpOn(0, 0x7e, kernelVerdict("a")), dumpOn(3, 0x3b, kernelVerdict("b")), dumpOn(9, 0x1e, kernelVerdict("c")), dumpOn(40, 0xa, kernelVerdict("d"))},
			report.CauseHardware, report.Low, "", "4 crashes at 4 different places within 2 days",
		},
		{
			"two that have nothing in common",
			[]*report.Report{dumpOn(0, 0x7e, kernelVerdict("a")), dumpOn(3000, 0x9f, kernelVerdict("b"))},
			report.CauseUnknown, report.Low, "", "too few",
		},
		{
			"one alone is its own verdict",
			[]*report.Report{dumpOn(0, 0xd1, driverVerdict("netx.sys", "AV_netx!f", report.High))},
			report.CauseDriver, report.High, "netx.sys", "x",
		},
		{"asked for", []*report.Report{dumpOn(0, 0xe2, report.Verdict{Cause: report.CauseRequested}), dumpOn(5, 0x1c8, report.Verdict{Cause: report.CauseRequested})}, report.CauseRequested, report.High, "", "asked for"},
		{"none", nil, report.CauseUnknown, report.Low, "", "no crash"},
	} {
		cases := Cases(tt.reports, nil)
		if len(cases) != 1 {
			t.Errorf("%s: %d cases", tt.name, len(cases))
			continue
		}
		v := cases[0].Verdict
		if v.Cause != tt.cause || v.Confidence != tt.confidence || v.Image != tt.image || !strings.Contains(v.Summary.String(), tt.says) {
			t.Errorf("%s: got %s, %s, %q: %s", tt.name, v.Cause, v.Confidence, v.Image, v.Summary)
		}
		if len(tt.reports) > 1 && len(v.Evidence) == 0 {
			t.Errorf("%s: no evidence", tt.name)
		}
	}
}

func TestCases_Machines(t *testing.T) {
	other := dumpOn(4, 0xd1, kernelVerdict("a"))
	other.System.Processor = "Another CPU"
	unknown := dumpOn(5, 0xd1, kernelVerdict("b"))
	unknown.System.Model, unknown.System.Processor = nil, ""
	cases := Cases([]*report.Report{dumpOn(9, 0x50, kernelVerdict("c")), other, unknown, dumpOn(0, 0xa, kernelVerdict("d"))}, nil)
	var got [][]string
	for _, c := range cases {
		var files []string
		for _, k := range c.Crashes {
			files = append(files, k.File)
		}
		got = append(got, files)
	}
	if d := cmp.Diff([][]string{{"0.dmp", "5.dmp", "9.dmp"}, {"4.dmp"}}, got); d != "" {
		t.Errorf("machines (-want +got):\n%s", d)
	}
}

func TestCases_TwiceAndPrograms(t *testing.T) {
	program := dumpOn(3, 0, report.Verdict{})
	program.Bugcheck = nil
	again := dumpOn(0, 0xd1, kernelVerdict("a"))
	again.Dump.File = "MEMORY.DMP"
	live := dumpOn(4, 0x141, kernelVerdict("b"))
	live.Dump.Kind = "live"
	cases := Cases([]*report.Report{dumpOn(0, 0xd1, kernelVerdict("a")), again, program, live}, nil)
	if len(cases) != 1 || len(cases[0].Crashes) != 1 || len(cases[0].Notes) != 3 {
		t.Errorf("got %+v", cases)
	}
}

func TestCases_Changes(t *testing.T) {
	bios := [2]string{"P1.40", "P2.00"}
	a, b := dumpOn(0, 0xd1, driverVerdict("netx.sys", "AV_netx!f", report.High)), dumpOn(30, 0xd1, driverVerdict("netx.sys", "AV_netx!f", report.High))
	a.Modules = append(a.Modules, report.Module{Image: "oldx.sys"})
	b.Modules = []report.Module{{Image: "ntoskrnl.exe", Timestamp: 2}, {Image: "netx.sys", Timestamp: 8}, {Image: "newx.sys"}}
	a.System.Bios, b.System.Bios = &bios[0], &bios[1]
	var got []string
	c := Cases([]*report.Report{a, b}, nil)[0]
	for _, k := range c.Changes {
		got = append(got, strings.TrimSpace(k.Kind+" "+k.Image))
	}
	if d := cmp.Diff([]string{"system", "firmware", "updated netx.sys", "new newx.sys", "gone oldx.sys"}, got); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
	if last := c.Verdict.Evidence[len(c.Verdict.Evidence)-1].Fact.String(); !strings.Contains(last, "netx.sys is of another build") {
		t.Errorf("the blamed driver's change is no evidence: %s", last)
	}
	// Seconds after a start most drivers are not loaded yet.
	*b.System.UptimeSeconds = 5
	for _, k := range Cases([]*report.Report{a, b}, nil)[0].Changes {
		if k.Kind == report.ChangeGone {
			t.Errorf("%s is told to be gone from a machine that was starting", k.Image)
		}
	}
}

func TestCases_Events(t *testing.T) {
	at := caseStart.Add(3 * time.Hour)
	hardware := report.Incident{Kind: report.IncidentStop, At: &at, Dumps: []report.IncidentDump{{File: "3.dmp"}}, Records: []report.Event{{Kind: report.EventHardware}}}
	lost := report.Incident{Kind: report.IncidentUnexplained, At: &caseStart, Summary: report.T("lost")}
	events := &report.Events{Incidents: []report.Incident{lost, hardware}}
	c := Cases([]*report.Report{dumpOn(3, 0x7e, kernelVerdict("a")), dumpOn(3000, 0x9f, kernelVerdict("b"))}, events)[0]
	if c.Verdict.Cause != report.CauseHardware || c.Verdict.Confidence != report.Medium || len(c.Crashes) != 3 || c.Crashes[0].Summary.String() != "lost" {
		t.Errorf("got %s, %s, %d crashes", c.Verdict.Cause, c.Verdict.Confidence, len(c.Crashes))
	}
	// Logs of a machine that no dump is of are a story of their own.
	other := dumpOn(4, 0xd1, kernelVerdict("a"))
	other.System.Processor = "Another CPU"
	cases := Cases([]*report.Report{dumpOn(0, 0xd1, kernelVerdict("a")), other}, &report.Events{Incidents: []report.Incident{lost}})
	if len(cases) != 3 || cases[0].Events != nil || cases[2].Events == nil || len(cases[2].Crashes) != 1 {
		t.Errorf("logs of nobody's dumps: %d cases", len(cases))
	}
}

func TestCompare(t *testing.T) {
	a, b := dumpOn(30, 0xd1, driverVerdict("netx.sys", "AV_netx!f", report.High)), dumpOn(0, 0xd1, driverVerdict("netx.sys", "AV_netx!f", report.High))
	offset := report.Hex(0x10)
	a.Stack = []report.Frame{{Module: "netx", Offset: &offset}, {Module: "nt", Symbol: "f", Offset: &offset}}
	b.Stack = a.Stack[:1]
	c := Compare(a, b)
	if c.Same != report.SameFailure || c.Crashes[0].File != "0.dmp" || len(c.Differ) != 0 || !strings.Contains(fmt.Sprint(c.Equal), "the innermost 1 callers") {
		t.Errorf("the same failure: %+v", c)
	}
	b.Verdict.Bucket, b.Bugcheck.Code = "0x9F_3_netx_IMAGE_netx.sys", 0x9f
	if c := Compare(a, b); c.Same != report.SameDriver || len(c.Differ) != 1 {
		t.Errorf("the same driver: %+v", c)
	}
	b.Verdict.Image = "ntoskrnl.exe"
	if c := Compare(a, b); c.Same != report.SameNothing {
		t.Errorf("another driver: %+v", c)
	}
}

// endOf is an end that the event log tells of; code is zero where it knows none.
func endOf(hours int, code uint32, path string, dumps ...string) report.Incident {
	at := caseStart.Add(time.Duration(hours) * time.Hour)
	in := report.Incident{Kind: report.IncidentUnexplained, At: &at, DumpPath: path}
	if code != 0 {
		in.Kind, in.Bugcheck = report.IncidentStop, &report.Bugcheck{Code: report.Hex32(code)}
	}
	for _, d := range dumps {
		in.Dumps = append(in.Dumps, report.IncidentDump{File: d})
	}
	return in
}

// Without dumps the log tells power from crashes; what Windows saved is to be fetched,
// but for what a later crash overwrote.
func TestCases_WithoutDumps(t *testing.T) {
	const saved, small = `C:\Windows\MEMORY.DMP`, `C:\Windows\Minidump\1.dmp`
	for _, tt := range []struct {
		name            string
		ends            []report.Incident
		summary         string
		steps, notSteps []string
	}{
		{"none", nil, "no crash of Windows", nil, []string{"CrashDumpEnabled", "Fetch"}},
		{"power", []report.Incident{endOf(1, 0, "")}, "more likely than a crash of Windows", []string{"UPS", "NMI"}, []string{"CrashDumpEnabled", "Fetch"}},
		{"power twice", []report.Incident{endOf(1, 0, ""), endOf(2, 0, "")}, "went off 2 times", []string{"UPS"}, []string{"CrashDumpEnabled"}},
		{"nothing saved", []report.Incident{endOf(1, 0xd1, "")}, "crashed once; without a dump", []string{"CrashDumpEnabled"}, []string{"Fetch"}},
		{"saved", []report.Incident{endOf(1, 0xd1, saved), endOf(2, 0, "")}, "Of 2 crashes Windows left a stop code in 1", []string{"Fetch", saved}, []string{"CrashDumpEnabled"}},
		{"one saved, one not", []report.Incident{endOf(1, 0xd1, small), endOf(2, 0xd1, "")}, "crashed 2 times", []string{"Fetch", small, "CrashDumpEnabled"}, nil},
		{"overwritten by one that was given", []report.Incident{endOf(1, 0xd1, saved), endOf(2, 0xd1, saved, "MEMORY.DMP")}, "Windows crashed", nil, []string{"Fetch", "CrashDumpEnabled"}},
	} {
		v := Cases(nil, &report.Events{Incidents: tt.ends})[0].Verdict
		if !strings.Contains(v.Summary.String(), tt.summary) {
			t.Errorf("%s: %q lacks %q", tt.name, v.Summary, tt.summary)
		}
		steps := fmt.Sprint(v.NextSteps)
		for _, want := range tt.steps {
			if !strings.Contains(steps, want) {
				t.Errorf("%s: steps lack %q: %s", tt.name, want, steps)
			}
		}
		for _, not := range tt.notSteps {
			if strings.Contains(steps, not) {
				t.Errorf("%s: steps have %q: %s", tt.name, not, steps)
			}
		}
	}
}

// What is nearest on the stack of every dump is told where nobody is blamed.
func TestCases_Nearest(t *testing.T) {
	for _, tt := range []struct {
		images [2]string
		want   bool
	}{{[2]string{"vmswitch.sys", "vmswitch.sys"}, true}, {[2]string{"vmswitch.sys", "netx.sys"}, false}, {[2]string{"winhvr.sys", "winhvr.sys"}, false}} {
		var list []*report.Report
		for i, image := range tt.images {
			r := dumpOn(i, 0x7e, kernelVerdict("AV_nt!f"))
			r.Stack = []report.Frame{{Image: "ntoskrnl.exe", Module: "nt", Trust: report.TrustContext}, {Image: image, Module: strings.TrimSuffix(image, ".sys"), Trust: report.TrustScan}}
			list = append(list, r)
		}
		v := Cases(list, nil)[0].Verdict
		if got := strings.Contains(fmt.Sprint(v.Evidence), "the nearest driver on the stack is "+tt.images[0]); got != tt.want {
			t.Errorf("%v: told %v, want %v: %v", tt.images, got, tt.want, v.Evidence)
		}
	}
}
