package analyze

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bugcheck/report"
	"bugcheck/windbglog"
)

// readLog is an invented log: example.sys reads through a bad pointer at IRQL 2.
func readLog() *windbglog.Log {
	return &windbglog.Log{
		Code: 0xd1, Arguments: []uint64{0x18, 2, 0, 0xfffff80511112222}, Arch: "x64", Build: 22621, Doubt: -1, Process: "System",
		Frames: []windbglog.Frame{
			{Module: "nt", Symbol: "KeBugCheckEx"},
			{Address: 0xfffff80500000100, Module: "nt", Symbol: "KiBugCheckDispatch", Offset: 0x69},
			{Address: 0xfffff80500000200, Module: "nt", Symbol: "KiPageFault", Offset: 0x474},
			{Address: 0xfffff80511112222, Module: "example", Symbol: "ExampleRead", Offset: 0x22},
			{Address: 0xfffff80500000300, Module: "nt", Symbol: "KiSystemServiceCopyEnd", Offset: 0x25},
			{Address: 0x7ff800001000, Module: "ntdll", Symbol: "NtReadFile", Offset: 0x14},
		},
		Said: windbglog.Said{Image: "example.sys", Module: "example", Bucket: "AV_example!ExampleRead", Hash: BucketHash("km", "AV_example!ExampleRead")},
	}
}

func TestLogReport(t *testing.T) {
	r := LogReport(readLog(), "windbg.txt", 1234, "test")
	v := r.Verdict
	if v.Image != "example.sys" || v.Bucket != "AV_example!ExampleRead" || v.Confidence != report.High {
		t.Errorf("verdict: %s %s %s", v.Image, v.Bucket, v.Confidence)
	}
	if r.Dump.Source != report.SourceLog || r.Dump.Kind != "" {
		t.Errorf("dump: source %q, kind %q", r.Dump.Source, r.Dump.Kind)
	}
	if len(r.Stack) != 5 || r.Stack[3].Trust != report.TrustContext || r.Stack[4].Trust != report.TrustUnwind {
		t.Errorf("stack: %+v", r.Stack)
	}
	if d := r.Debugger; d == nil || d.Bucket != v.Bucket || d.BucketHash != v.BucketHash || !d.Difference.IsZero() {
		t.Errorf("debugger: %+v", d)
	}
	if !strings.Contains(v.NextSteps[0].String(), "the dump itself") {
		t.Errorf("first step: %s", v.NextSteps[0])
	}
}

func TestLogReport_Notes(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*windbglog.Log)
		want   string
	}{
		"wrong hash":    {func(l *windbglog.Log) { l.Said.Hash = "{00000000-0000-0000-0000-000000000000}" }, "is not that of its failure bucket"},
		"cut":           {func(l *windbglog.Log) { l.Cut = true }, "ends before its last line"},
		"no stack":      {func(l *windbglog.Log) { l.Frames = nil }, "no stack"},
		"no parameters": {func(l *windbglog.Log) { l.Arguments = l.Arguments[:1] }, "holds 1 of"},
		"doubt":         {func(l *windbglog.Log) { l.Doubt = 3 }, "From frame 3"},
	} {
		l := readLog()
		tt.change(l)
		found := false
		for _, n := range LogReport(l, "a", 1, "test").Notes {
			found = found || strings.Contains(n.Text.String(), tt.want)
		}
		if !found {
			t.Errorf("%s: no note says %q", name, tt.want)
		}
	}
	for _, n := range LogReport(readLog(), "a", 1, "test").Notes {
		if strings.Contains(n.Text.String(), "hash") {
			t.Errorf("a hash that fits is noted: %s", n.Text)
		}
	}
}

// TestLogReport_Parameters: what a log does not hold is neither shown nor argued with.
func TestLogReport_Parameters(t *testing.T) {
	l := readLog()
	l.Code, l.Arguments = 0x133, []uint64{0}
	r := LogReport(l, "a", 1, "test")
	if len(r.Bugcheck.Parameters) != 1 {
		t.Errorf("%d parameters shown", len(r.Bugcheck.Parameters))
	}
	for _, e := range r.Verdict.Evidence {
		if strings.HasPrefix(e.Source.String(), "parameters 1 to 3") {
			t.Errorf("argues with parameters that are not known: %s", e.Fact)
		}
	}
}

func TestLogFacts_Places(t *testing.T) {
	l := readLog()
	l.Points = []windbglog.Point{{Address: 0xfffff80533334444, Module: "gfx", Offset: 0x4444}}
	l.Modules = []windbglog.Module{
		{Name: "disp", Start: 0xfffff80600000000, End: 0xfffff80600010000},
		{Name: "gone.sys", Start: 0xfffff80700000000, End: 0xfffff80700010000, Unloaded: true},
	}
	l.Arguments = []uint64{0xfffff80533334444, 0xfffff80600000123, 0xfffff80700000456, 0xfffff80511112222}
	f := LogFacts(l)
	want := [4]Place{
		{Kind: PlaceModule, Image: "gfx.sys", Module: "gfx", Offset: 0x4444},
		{Kind: PlaceModule, Image: "disp.sys", Module: "disp", Offset: 0x123},
		{Kind: PlaceUnloaded, Image: "gone.sys", Module: "gone", Offset: 0x456},
		{Kind: PlaceModule, Image: "example.sys", Module: "example", Symbol: "ExampleRead", Offset: 0x22},
	}
	if f.Places != want {
		t.Errorf("got %+v\nwant %+v", f.Places, want)
	}
}

// TestLogFacts_SignExtended: debuggers print 32-bit addresses in 64 bits.
func TestLogFacts_SignExtended(t *testing.T) {
	l := readLog()
	l.Arch, l.Arguments = "x86", []uint64{0xffffffff90909090, 2, 0, 0xffffffff82a55703}
	l.Frames = []windbglog.Frame{{Module: "nt", Symbol: "_KiTrap0E"}, {Address: 0x82a55703, Module: "filter", Offset: 0x703}}
	f := LogFacts(l)
	if f.Parameters[0] != 0x90909090 || f.Frames[0].Symbol != "KiTrap0E" || f.Frames[1].Trust != report.TrustContext {
		t.Errorf("got %x, %+v", f.Parameters, f.Frames)
	}
}

// TestLogFacts_StrayNumbers: a number on the kernel's stack that looks like a
// program's address does not end it; a program's stack does.
func TestLogFacts_StrayNumbers(t *testing.T) {
	l := readLog()
	l.Frames = []windbglog.Frame{
		{Address: 0xfffffa8003f9c621, StackPointer: 0xfffff88007c6bb98},
		{Address: 0x1093a, StackPointer: 0xfffff88007c6bba0},
		{Address: 0xfffff880033bdce7, StackPointer: 0xfffff88007c6bbc0, Module: "vendor", Offset: 0x1ce7},
		{Address: 0x7ffc9e093f04, StackPointer: 0xf224a7e958, Module: "ntdll", Symbol: "NtClose"},
	}
	f := LogFacts(l)
	if len(f.Frames) != 3 || f.Frames[2].Module != "vendor" {
		t.Errorf("frames %+v", f.Frames)
	}
}

// TestLogFacts_Hung: of 0x101 the debugger may show the processor that hangs; a driver that
// it was called by names the bucket. A stack that begins with the stop is another's.
func TestLogFacts_Hung(t *testing.T) {
	l := readLog()
	l.Code, l.Arguments = 0x101, []uint64{0xc, 0, 0xfffff80500001000, 3}
	l.Frames = []windbglog.Frame{{Module: "nt", Symbol: "KiDpcInterrupt", Offset: 0x39f}, {Module: "vendor", Offset: 0x1234}}
	v := Judge(LogFacts(l))
	if v.Bucket != "CLOCK_WATCHDOG_TIMEOUT_vendor!unknown_function" || strings.Contains(fmt.Sprint(v.Evidence), "that noticed") {
		t.Errorf("the processor that hangs: bucket %q, %v", v.Bucket, v.Evidence)
	}
	l.Frames = append([]windbglog.Frame{{Module: "nt", Symbol: "KeBugCheckEx"}}, l.Frames...)
	if v := Judge(LogFacts(l)); v.Bucket != "CLOCK_WATCHDOG_TIMEOUT" {
		t.Errorf("the one that noticed: bucket %q", v.Bucket)
	}
}

// TestLogFacts_TwoParameters: status and instruction stand in the first two, and a log that
// was cut down may hold no more.
func TestLogFacts_TwoParameters(t *testing.T) {
	l := readLog()
	l.Code, l.Arguments, l.Exception = 0x7e, []uint64{0xffffffffc0000005, 0xfffff80511112222}, nil
	if v := Judge(LogFacts(l)); v.Bucket != "AV_example!ExampleRead" {
		t.Errorf("bucket %q", v.Bucket)
	}
}

// TestLogFacts_InPage: the record's third parameter is the status of the read.
// TestLogFacts_ThreeParameters: the fourth of 0x1E, the address of the access, is not
// zero for its absence.
func TestLogFacts_ThreeParameters(t *testing.T) {
	l := readLog()
	l.Code, l.Arguments = 0x1e, []uint64{0xffffffffc0000005, 0xfffff80511112222, 0}
	if x := LogFacts(l).Exception; x == nil || x.Address != 0xfffff80511112222 || x.Access != "read" || x.Target != nil {
		t.Errorf("exception %+v", x)
	}
}

func TestLogFacts_InPage(t *testing.T) {
	l := readLog()
	code := uint32(0xc0000006)
	l.Code, l.Exception, l.Detail = 0x154, &code, 0xc000000e
	if v := Judge(LogFacts(l)); !strings.HasPrefix(v.Bucket, "0x154_c0000006_c000000e_") {
		t.Errorf("bucket %q", v.Bucket)
	}
}

// TestLogFacts_StackCut: where the stack ends before the fault, the log's own word
// on the instruction takes its place.
func TestLogFacts_StackCut(t *testing.T) {
	l := readLog()
	l.Frames = []windbglog.Frame{{Module: "nt", Symbol: "KeBugCheckEx"}, {Module: "nt", Symbol: "KiBugCheckDispatch", Offset: 0x69}}
	l.Points = []windbglog.Point{{Address: 0xfffff80511112222, Module: "nt", Symbol: "ExAllocatePoolWithTag", Offset: 0x5fa}}
	l.Code, l.Arguments = 0xc5, []uint64{0x18, 2, 0, 0xfffff80511112222}
	f := LogFacts(l)
	if v := Judge(f); v.Bucket != "0xC5_2_nt!ExAllocatePoolWithTag" || !f.Context.Fault {
		t.Errorf("bucket %q, fault %v", v.Bucket, f.Context.Fault)
	}
	r := LogReport(l, "a", 1, "test")
	if len(r.Stack) != 3 || r.Stack[2].Address != 0xfffff80511112222 || r.Stack[2].StackPointer != 0 {
		t.Errorf("stack %+v", r.Stack)
	}
	if !slices.ContainsFunc(r.Notes, func(n report.Note) bool { return strings.Contains(n.Text.String(), "frame 2 was added") }) {
		t.Errorf("the frame that was added is not noted: %v", r.Notes)
	}
	l.Frames = append(l.Frames, windbglog.Frame{Module: "nt", Symbol: "KiExceptionExit"}, windbglog.Frame{Address: 0xfffff80500000777, Module: "nt", Symbol: "IofCallDriver"})
	l.Points[0].Module, l.Points[0].Symbol = "vendor", ""
	if r := LogReport(l, "a", 1, "test"); len(r.Stack) != 5 || r.Stack[3].Module != "vendor" || r.Verdict.Image != "vendor.sys" {
		t.Errorf("in the middle: %s, %+v", r.Verdict.Image, r.Stack)
	}
}

func TestDifference(t *testing.T) {
	said := func(image, bucket string) func(*windbglog.Log) {
		return func(l *windbglog.Log) { l.Said = windbglog.Said{Image: image, Bucket: bucket} }
	}
	for name, tt := range map[string]struct {
		change func(*windbglog.Log)
		want   string
	}{
		"equal":          {said("example.sys", "AV_example!ExampleRead"), SameAnswer},
		"nothing said":   {said("", ""), SameAnswer},
		"old form":       {said("example.sys", "X64_0xD1_example!ExampleRead+22"), OldForm},
		"old, no offset": {said("example.sys", "0xD1_example!ExampleRead"), OldForm},
		"verifier":       {said("example.sys", "AV_VRF_example!ExampleRead"), VerifierOn},
		"old, verifier":  {said("example.sys", "X64_0xD1_VRF_example!ExampleRead+22"), VerifierOn},
		"letter case":    {said("example.sys", "av_Example!ExampleRead"), LetterCase},
		"another place":  {said("example.sys", "0xD1_example!ExampleRead+33"), BucketOnly},
		"wrong symbols":  {said("ntoskrnl.wrong.symbols.exe", "WRONG_SYMBOLS_X64_1_nt_wrong_symbols!1"), WrongSymbols},
		"old image":      {said("example.sys", "OLD_IMAGE_example.sys"), OldImage},
		"code":           {said("memory_corruption", "MEMORY_CORRUPTION_LARGE"), CodeCompared},
		"nobody":         {said("Unknown_Image", "ANALYSIS_INCONCLUSIVE"), Inconclusive},
		"not shown":      {said("elsewhere.sys", "0x9F_3_elsewhere_IMAGE_elsewhere.sys"), NotOnStack},
		"no stack": {func(l *windbglog.Log) {
			l.Frames, l.Said = nil, windbglog.Said{Image: "elsewhere.sys"}
		}, NoStack},
		"the kernel, on the stack": {func(l *windbglog.Log) {
			l.Said = windbglog.Said{Image: "ntkrnlmp.exe", Module: "nt", Bucket: "AV_nt!KiPageFault"}
		}, DriverOverSystem},
	} {
		l := readLog()
		tt.change(l)
		f := LogFacts(l)
		v := Judge(f)
		if got := Difference(l, &f, &v); got != tt.want {
			t.Errorf("%s: %q, want %q (we say %s, %s)", name, got, tt.want, v.Image, v.Bucket)
		}
		if text := differences[tt.want]; tt.want != SameAnswer && text.IsZero() {
			t.Errorf("%s: no words for %q", name, tt.want)
		}
	}
}

// TestLogReport_Damage: every log that the parser can make of a damaged text gets a
// report without a panic, and nothing of it that a terminal would obey.
func TestLogReport_Damage(t *testing.T) {
	l := readLog()
	for i := range 64 {
		d := *l
		d.Code = uint32(i) * 0x9e3779b1
		d.Arguments = l.Arguments[:i%5]
		d.Frames = append([]windbglog.Frame(nil), l.Frames[:i%(len(l.Frames)+1)]...)
		if len(d.Frames) > 0 {
			d.Frames[0] = windbglog.Frame{Address: uint64(i) << 58, Module: "nt", Symbol: "\x1b[2J?\x00"}
		}
		d.Process, d.Lab, d.Said.Bucket, d.Doubt = "\x1b]0;x\a", "\u202e", "\x1b[31m", i%7
		r := LogReport(&d, "a", 1, "test")
		for _, s := range []string{r.Process.Name, r.System.Lab, r.Debugger.Bucket, r.Verdict.Symbol, r.Verdict.Bucket, r.Verdict.Summary.String()} {
			if strings.ContainsAny(s, "\x1b\a\x00\u202e") {
				t.Fatalf("control characters in %q", s)
			}
		}
		for _, fr := range r.Stack {
			if strings.ContainsAny(fr.Symbol, "\x1b\x00") {
				t.Fatalf("control characters in %q", fr.Symbol)
			}
		}
	}
}
