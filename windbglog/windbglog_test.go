package windbglog

import (
	"encoding/binary"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// modern is an invented log in the form of today's debuggers.
const modern = `Microsoft (R) Windows Debugger Version 10.0.27000.1000 AMD64

Loading Dump File [C:\dumps\a.dmp]
Windows 10 Kernel Version 22621 MP (8 procs) Free x64
Product: WinNt, suite: TerminalServer SingleUserTS
Edition build lab: 22621.1.amd64fre.ni_release.220506-1250
Debug session time: Tue Mar  4 05:06:07.890 2025 (UTC - 7:00)
System Uptime: 1 days 2:03:04.005
0: kd> !analyze -v
*******************************************************************************
*                        Bugcheck Analysis                                    *
*******************************************************************************

DRIVER_IRQL_NOT_LESS_OR_EQUAL (d1)
Arguments:
Arg1: 0000000000000018, memory referenced
Arg2: 0000000000000002, IRQL
Arg3: 0000000000000001, value 0 = read operation, 1 = write operation
Arg4: fffff80511112222, address which referenced memory

Debugging Details:
------------------

KEY_VALUES_STRING: 1

    Key  : AV.Type
    Value: Write

    Key  : Failure.Bucket
    Value: AV_example!ExampleRead

BUGCHECK_CODE:  d1

BUGCHECK_P1: 18

WRITE_ADDRESS:  0000000000000018 

PROCESS_NAME:  System

STACK_TEXT:  
ffffb000` + "`" + `00001000 fffff805` + "`" + `00000100     : 00000000` + "`" + `0000000a 00000000` + "`" + `00000018 00000000` + "`" + `00000002 00000000` + "`" + `00000001 : nt!KeBugCheckEx
ffffb000` + "`" + `00001100 fffff805` + "`" + `00000200     : 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 : nt!KiBugCheckDispatch+0x69
ffffb000` + "`" + `00001200 fffff805` + "`" + `11112222     : 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 : nt!KiPageFault+0x474
ffffb000` + "`" + `00001300 (Inline Function)     : --------` + "`" + `-------- --------` + "`" + `-------- --------` + "`" + `-------- --------` + "`" + `-------- : example!Inlined+0x3
ffffb000` + "`" + `00001300 fffff805` + "`" + `11113333     : 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 : example!ExampleRead+0x22 [D:\src\example.c @ 12] 
ffffb000` + "`" + `00001400 fffff805` + "`" + `00000300     : 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 : other+0x1333
ffffb000` + "`" + `00001500 00000000` + "`" + `00000000     : 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 00000000` + "`" + `00000000 : 0xffffc805` + "`" + `00000400


SYMBOL_NAME:  example!ExampleRead+22

MODULE_NAME: example

IMAGE_NAME:  example.sys

FAILURE_BUCKET_ID:  AV_example!ExampleRead

OS_VERSION:  10.0.22621.2506

FAILURE_ID_HASH:  {12345678-1234-1234-1234-123456789abc}

Followup:     MachineOwner
---------
`

// old is an invented log of a debugger of the time of Windows XP.
const old = `PAGE_FAULT_IN_NONPAGED_AREA (50)
Arguments:
Arg1: 90909090, memory referenced.
Arg2: 00000000, value 0 = read operation, 1 = write operation.
Arg3: 80536c53, If non-zero, the instruction address which referenced the bad memory
	address.
Arg4: 00000000, (reserved)

FAULTING_IP: 
nt!memmove+33
80536c53 f3a5            rep movs dword ptr es:[edi],dword ptr [esi]

DEFAULT_BUCKET_ID:  DRIVER_FAULT

BUGCHECK_STR:  0x50

CURRENT_IRQL:  1

STACK_TEXT:  
f0711bd4 8054051c 00000000 90909090 00000000 nt!MmAccessFault+0x8e7
f0711bd4 80536c53 00000000 90909090 00000000 nt!KiTrap0E+0xcc
f0711c68 f105f0c7 e1297088 90909090 0000009a nt!memmove+0x33
WARNING: Stack unwind information not available. Following frames may be
wrong.
f0711cd8 8053d638 00000000 0012fea0 f0711d08
filter+0x80c7
f0711d40 7c90e4f4 0012fea8 00020019 0012feb0 nt!KiFastCallEntry+0xf8

SYMBOL_NAME:  filter+80c7
MODULE_NAME: filter
IMAGE_NAME:  filter.sys
FAILURE_BUCKET_ID:  0x50_filter+80c7

Followup: MachineOwner
`

func one(t *testing.T, text string) Log {
	t.Helper()
	logs := Parse([]byte(text))
	if len(logs) != 1 {
		t.Fatalf("%d logs, want 1", len(logs))
	}
	return logs[0]
}

func TestParse_Modern(t *testing.T) {
	l := one(t, modern)
	if l.Time == nil || l.Time.Format("2006-01-02T15:04:05Z") != "2025-03-04T12:06:07Z" {
		t.Errorf("time %v", l.Time)
	}
	if got, want := l.Uptime.String(), "26h3m4s"; got != want {
		t.Errorf("uptime %s, want %s", got, want)
	}
	l.Time, l.Uptime = nil, 0
	want := Log{
		Code: 0xd1, Name: "DRIVER_IRQL_NOT_LESS_OR_EQUAL", Arguments: []uint64{0x18, 2, 1, 0xfffff80511112222},
		Arch: "x64", Build: 22621, Lab: "22621.1.amd64fre.ni_release.220506-1250", ProductType: 1, Process: "System", Access: "write", Doubt: -1,
		Frames: []Frame{
			{StackPointer: 0xffffb00000001000, Module: "nt", Symbol: "KeBugCheckEx"},
			{Address: 0xfffff80500000100, StackPointer: 0xffffb00000001100, Module: "nt", Symbol: "KiBugCheckDispatch", Offset: 0x69},
			{Address: 0xfffff80500000200, StackPointer: 0xffffb00000001200, Module: "nt", Symbol: "KiPageFault", Offset: 0x474},
			{Address: 0xfffff80511112222, StackPointer: 0xffffb00000001300, Module: "example", Symbol: "ExampleRead", Offset: 0x22},
			{Address: 0xfffff80511113333, StackPointer: 0xffffb00000001400, Module: "other", Offset: 0x1333},
			{Address: 0xffffc80500000400, StackPointer: 0xffffb00000001500},
		},
		Said: Said{Image: "example.sys", Module: "example", Symbol: "example!ExampleRead+22", Bucket: "AV_example!ExampleRead", Hash: "{12345678-1234-1234-1234-123456789abc}"},
	}
	if d := cmp.Diff(want, l); d != "" {
		t.Error(d)
	}
}

func TestParse_Old(t *testing.T) {
	irql := uint8(1)
	want := Log{
		Code: 0x50, Name: "PAGE_FAULT_IN_NONPAGED_AREA", Arguments: []uint64{0x90909090, 0, 0x80536c53, 0},
		Arch: "x86", IRQL: &irql, Old: true, Doubt: 3,
		Frames: []Frame{
			{StackPointer: 0xf0711bd4, Module: "nt", Symbol: "MmAccessFault", Offset: 0x8e7},
			{Address: 0x8054051c, StackPointer: 0xf0711bd4, Module: "nt", Symbol: "KiTrap0E", Offset: 0xcc},
			{Address: 0x80536c53, StackPointer: 0xf0711c68, Module: "nt", Symbol: "memmove", Offset: 0x33},
			{Address: 0xf105f0c7, StackPointer: 0xf0711cd8, Module: "filter", Offset: 0x80c7},
			{Address: 0x8053d638, StackPointer: 0xf0711d40, Module: "nt", Symbol: "KiFastCallEntry", Offset: 0xf8},
		},
		Points: []Point{{Address: 0x80536c53, Module: "nt", Symbol: "memmove", Offset: 0x33}},
		Said:   Said{Image: "filter.sys", Module: "filter", Symbol: "filter+80c7", Bucket: "0x50_filter+80c7", Class: "0x50"},
	}
	if d := cmp.Diff(want, one(t, old)); d != "" {
		t.Error(d)
	}
}

// folded drops the ends of lines, as some forums do, but for the greeting's.
func folded(s string) string {
	i := strings.Index(s, "DRIVER_IRQL")
	return s[:i] + strings.Join(strings.Fields(s[i:]), " ") + "\n"
}

// TestParse_Transport: what mail, forums and files do to a log changes nothing.
func TestParse_Transport(t *testing.T) {
	units := utf16.Encode([]rune(modern))
	utf16le, utf16be := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
	for _, u := range units {
		utf16le = binary.LittleEndian.AppendUint16(utf16le, u)
		utf16be = binary.BigEndian.AppendUint16(utf16be, u)
	}
	want := one(t, modern)
	for name, text := range map[string]string{
		"carriage returns":  strings.ReplaceAll(modern, "\n", "\r\n"),
		"quoted":            "> " + strings.ReplaceAll(modern, "\n", "\n> "),
		"quoted twice":      ">> " + strings.ReplaceAll(modern, "\n", "\n> > "),
		"indented":          strings.ReplaceAll(modern, "\n", "\n    "),
		"double spaced":     strings.ReplaceAll(modern, "\n", "\n\n"),
		"noise around":      "Hi all,\n\nmy PC crashes (d1) since monday!\n```\n" + modern + "```\nAny idea? IMAGE_NAME is what I looked for\nnt!KeBugCheckEx is not to blame\n",
		"escaped":           strings.ReplaceAll(modern, "`", "\\`"),
		"escaped marks":     strings.NewReplacer("_", `\_`, "*", `\*`).Replace(modern),
		"numbered":          numbered(modern),
		"a list":            "- " + strings.ReplaceAll(modern, "\n", "\n- "),
		"a comment":         "// " + strings.ReplaceAll(modern, "\n", "\n// "),
		"a page":            "<p>" + strings.ReplaceAll(html.EscapeString(modern), "\n", "</p>\n<p class=\"x\">") + "</p>",
		"a page, one line":  strings.ReplaceAll(html.EscapeString(modern), "\n", "<br/>"),
		"apostrophes":       strings.ReplaceAll(modern, "`", "'"),
		"tabs":              strings.ReplaceAll(modern, "     : ", "\t: "),
		"each line code":    "`" + strings.ReplaceAll(modern, "\n", "`\n`") + "`",
		"bold fields":       boldField.ReplaceAllString(modern, "**$1**"),
		"byte order mark":   "\xef\xbb\xbf" + modern,
		"UTF-16":            string(utf16le),
		"folded":            folded(modern),
		"UTF-16 big endian": string(utf16be),
		"UTF-16 unmarked":   string(utf16le[2:]),
	} {
		if d := cmp.Diff(want, one(t, text)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

var boldField = regexp.MustCompile(`(?m)^([A-Z_]{4,}:)`)

// numbered is a text as sites for pastes show it.
func numbered(s string) string {
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, line)
	}
	return b.String()
}

// TestParse_Tidied: what people make of a log by hand.
func TestParse_Tidied(t *testing.T) {
	want := []Frame{
		{StackPointer: 0xffffb00000001300, Module: "example", Symbol: "ExampleRead", Offset: 0x22},
		{StackPointer: 0xffffb00000001400, Module: "nt", Symbol: "IofCallDriver", Offset: 0x13},
	}
	for name, text := range map[string]string{
		"call sites and stack pointers": "BUGCHECK_CODE:  d1\nArg1: 18, x\nSTACK_TEXT:\nffffb000`00001300   example!ExampleRead+0x22    ; the read\nffffb000`00001400   nt!IofCallDriver+0x13\n",
		"remarks":                       "BUGCHECK_CODE:  d1\nArg1: 18, x\nSTACK_TEXT:\nffffb000`00001300 00000000`00000000 : 0 0 : example!ExampleRead+0x22 <- the read\nffffb000`00001400 00000000`00000000 : 0 0 : nt!IofCallDriver+0x13 (TrapFrame @ ffffb000`00001500)\n",
		"remarks, no addresses":         "BUGCHECK_CODE:  d1\nArg1: 18, x\nSTACK_TEXT:\nexample!ExampleRead+0x22   <-- the read\nnt!IofCallDriver+0x13  [nt+0x2234]\n",
		"numbers, no addresses":         "BUGCHECK_CODE:  d1\nArg1: 18, x\nSTACK_TEXT:\n1  : example!ExampleRead+0x22\n2  : nt!IofCallDriver+0x13\n",
		"aligned colons":                "BUGCHECK    : 0xD1 (DRIVER_IRQL_NOT_LESS_OR_EQUAL)\nArg1        : 0x18  (the address)\nSTACK_TEXT (top frames):\n  ffffb000`00001300   example!ExampleRead+0x22\n  ffffb000`00001400   nt!IofCallDriver+0x13\n",
	} {
		l := one(t, text+"\nIMAGE_NAME       : example.sys <- guilty\nFAILURE_BUCKET_ID : AV_example!ExampleRead\nFollowup: MachineOwner\n")
		if strings.HasSuffix(name, "no addresses") {
			for i := range l.Frames {
				l.Frames[i].StackPointer = want[i].StackPointer
			}
		}
		if d := cmp.Diff(want, l.Frames); d != "" || l.Code != 0xd1 || len(l.Arguments) != 1 || l.Arguments[0] != 0x18 {
			t.Errorf("%s: code %x, arguments %x, %s", name, l.Code, l.Arguments, d)
		}
		if l.Said.Image != "example.sys" || l.Said.Bucket != "AV_example!ExampleRead" {
			t.Errorf("%s: %+v", name, l.Said)
		}
	}
}

// TestParse_RemarkOnModule: the frame that somebody pointed at is not lost, though it has
// no function.
func TestParse_RemarkOnModule(t *testing.T) {
	l := one(t, "BUGCHECK_CODE:  133\nSTACK_TEXT:\n nt!KeAccumulateTicks+0x59c  <- the clock\n vendor+0x1234    <- the culprit\nIMAGE_NAME: vendor.sys\n")
	if len(l.Frames) != 2 || l.Frames[1] != (Frame{Module: "vendor", Offset: 0x1234}) {
		t.Errorf("frames %+v", l.Frames)
	}
}

// TestParse_Headings: .bugcheck, and what people write above a log that they cut down.
func TestParse_Headings(t *testing.T) {
	for _, head := range []string{
		"Bugcheck code 0000003B\nArguments 00000000`c0000005 fffff805`11112222 ffffb000`00001000 00000000`00000000\n",
		"BugCheck 3B - SYSTEM_SERVICE_EXCEPTION\nArg1: c0000005  (access violation)\nArg2: fffff80511112222 (instruction)\n",
		"BUG CHECK: 0x3b SYSTEM_SERVICE_EXCEPTION\n  Arg1: 0x00000000c0000005\n  Arg2: 0xfffff80511112222\n",
		"Bugcheck: 0x3B (SYSTEM_SERVICE_EXCEPTION)\n  Arg1: 0xc0000005\n  Arg2: 0xfffff80511112222\n",
	} {
		l := one(t, head+"STACK_TEXT:\nexample+0x22\nIMAGE_NAME: example.sys\n")
		if l.Code != 0x3b || len(l.Arguments) < 2 || l.Arguments[0] != 0xc0000005 || l.Arguments[1] != 0xfffff80511112222 {
			t.Errorf("%q: code %x, arguments %x", head, l.Code, l.Arguments)
		}
	}
}

// TestParse_Headless: a log that was pasted without its head has its stop code and
// parameters on the stack or in the failure bucket.
func TestParse_Headless(t *testing.T) {
	const call, trap, driver = "ffffb000`00001000 fffff805`00000100     : %s : nt!KeBugCheckEx\n",
		"ffffb000`00001200 fffff805`11112222     : 00000000`00000000 00000000`00000000 00000000`00000000 00000000`00000000 : nt!KiPageFault+0x474\n",
		"ffffb000`00001300 fffff805`00000300     : 00000000`00000000 00000000`00000000 00000000`00000000 00000000`00000000 : example!ExampleRead+0x22\n"
	for name, tt := range map[string]struct {
		words, frames, bucket string
		code                  uint32
		args                  []uint64
	}{
		"the call":              {"00000000`0000001e ffffffff`c0000005 fffff805`11112222 00000000`00000000", trap + driver, "AV_example!ExampleRead", 0x1e, []uint64{0xffffffffc0000005, 0xfffff80511112222, 0}},
		"the call and a bucket": {"00000000`00000119 00000000`0000a000 ffffb000`00002000 00000000`0000018c", driver, "0x119_a000_example!ExampleRead", 0x119, []uint64{0xa000, 0xffffb00000002000, 0x18c}},
		"the driver's 0xA":      {"00000000`0000000a 00000000`00000018 00000000`00000002 00000000`00000001", trap + driver, "AV_example!ExampleRead", 0xd1, []uint64{0x18, 2, 1, 0xfffff80511112222}},
		"the kernel's 0xA":      {"00000000`0000000a 00000000`00000018 00000000`00000002 00000000`00000001", trap + strings.Replace(driver, "example!", "nt!", 1), "AV_nt!ExampleRead", 0xa, []uint64{0x18, 2, 1, 0xfffff80511112222}},
		"0xA, cut":              {"00000000`0000000a 00000000`00000018 00000000`00000002 00000000`00000001", "", "AV_nt!ExampleRead", 0xa, nil},
		"0x50":                  {"00000000`00000050 ffffb000`00003000 00000000`00000002 ffffb000`00001200", trap + driver, "AV_W_(null)_example!ExampleRead", 0x50, []uint64{0xffffb00000003000, 2, 0xfffff80511112222}},
		"0x50, cut":             {"00000000`00000050 ffffb000`00003000 00000000`00000002 ffffb000`00001200", "", "AV_W_(null)_example!ExampleRead", 0x50, []uint64{0xffffb00000003000, 2}},
		"a live dump's bucket":  {"", driver, "LKD_0x1B0_example!ExampleRead", 0x1b0, nil},
		"no stop code":          {"ffffb000`00001000 00000000`00000018 00000000`00000002 00000000`00000001", driver, "0x1B0_example!ExampleRead", 0x1b0, nil},
	} {
		stack := tt.frames
		if tt.words != "" {
			stack = fmt.Sprintf(call, tt.words) + stack
		}
		l := one(t, "PROCESS_NAME:  System\n\nSTACK_TEXT:  \n"+stack+"\nIMAGE_NAME:  example.sys\n\nFAILURE_BUCKET_ID:  "+tt.bucket+"\n")
		if d := cmp.Diff(tt.args, l.Arguments); l.Code != tt.code || d != "" {
			t.Errorf("%s: code %x, %s", name, l.Code, d)
		}
	}
}

// TestParse_HeadlessSeveral: in a list of such logs each stack begins another.
func TestParse_HeadlessSeveral(t *testing.T) {
	var text strings.Builder
	for _, code := range []string{"141", "1B0", "1B0"} {
		fmt.Fprintf(&text, "    PROCESS_NAME:  System\n    STACK_TEXT (top frames):\n      ffffb000`00001300 fffff805`00000300     : 0 0 0 0 : example!ExampleDump+0x22\n    IMAGE_NAME:  example.sys\n    FAILURE_BUCKET_ID:  LKD_0x%s_example!ExampleDump\n\n", code)
	}
	var codes []uint32
	for _, l := range Parse([]byte(text.String())) {
		codes = append(codes, l.Code)
		if len(l.Frames) != 1 || l.Said.Image != "example.sys" {
			t.Errorf("%x: %+v", l.Code, l)
		}
	}
	if d := cmp.Diff([]uint32{0x141, 0x1b0, 0x1b0}, codes); d != "" {
		t.Error(d)
	}
}

// TestParse_StackHeading: people put a heading of their own over a stack.
func TestParse_StackHeading(t *testing.T) {
	for _, head := range []string{"Stack trace:", "Call stack:", "### Stack Trace"} {
		l := one(t, "Stop code: WDF_VIOLATION (0x10D)\nArg1: 4  (a kind)\nFailure bucket: 0x10D_4_example!unknown_function\n\n"+head+"\n\nnt!KeBugCheckEx\nexample+0x22\n\nThe crash is in the middle of it.\n")
		if l.Code != 0x10d || l.Name != "WDF_VIOLATION" || len(l.Frames) != 2 || l.Said.Bucket != "0x10D_4_example!unknown_function" {
			t.Errorf("%q: %+v", head, l)
		}
	}
}

// TestParse_KeyAndValueOnOneLine: people join the two lines of a key.
func TestParse_KeyAndValueOnOneLine(t *testing.T) {
	l := one(t, "BUGCHECK_CODE:  141\nFailure.Bucket : LKD_0x141_IMAGE_vendor.sys\nFailure.Hash: {1}\nAV.Type:   Write\nSTACK_TEXT:\nexample+0x22\n")
	if l.Said.Bucket != "LKD_0x141_IMAGE_vendor.sys" || l.Said.Hash != "{1}" || l.Access != "write" {
		t.Errorf("said %+v, access %q", l.Said, l.Access)
	}
}

func TestParse_Several(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string
		codes []uint32
	}{
		"two kinds":               {modern + "\nand the other one:\n" + old, []uint32{0xd1, 0x50}},
		"the same twice":          {modern + modern, []uint32{0xd1, 0xd1}},
		"short, then long":        {"BugCheck D1, {18, 2, 1, fffff80511112222}\nProbably caused by : example.sys ( example!ExampleRead+22 )\n\n" + modern[strings.Index(modern, "****"):], []uint32{0xd1}},
		"short, ended, then long": {"BugCheck D1, {18, 2, 1, fffff80511112222}\nProbably caused by : example.sys ( example!ExampleRead+22 )\n\nFollowup:     MachineOwner\n---------\n" + modern[strings.Index(modern, "****"):], []uint32{0xd1}},
		"short, ended, then long without its frame": {"BugCheck D1, {18, 2, 1, fffff80511112222}\nProbably caused by : example.sys ( example!ExampleRead+22 )\n\nFollowup:     MachineOwner\n---------\n" + modern[strings.Index(modern, "DRIVER_IRQL"):], []uint32{0xd1}},
		"short, then another's":                     {"BugCheck D1, {18, 2, 0, fffff80511112222}\nProbably caused by : example.sys ( example!ExampleRead+22 )\n\nFollowup:     MachineOwner\n---------\n" + modern[strings.Index(modern, "****"):], []uint32{0xd1, 0xd1}},
		"short twice":                               {strings.Repeat("BugCheck D1, {18, 2, 0, fffff80511112222}\nProbably caused by : example.sys ( example!ExampleRead+22 )\n\nFollowup:     MachineOwner\n---------\n", 2), []uint32{0xd1, 0xd1}},
		"short only":                                {"BugCheck D1, {18, 2, 1, fffff80511112222}\n\nProbably caused by : example.sys ( example!ExampleRead+22 )\n", []uint32{0xd1}},
		"live":                                      {"*** Fatal System Error: 0x000000d1\n                       (0x0000000000000018,0x0000000000000002,0x0000000000000001,0xFFFFF80511112222)\n\n" + modern[strings.Index(modern, "****"):], []uint32{0xd1}},
		"no log":                                    {"DRIVER_IRQL_NOT_LESS_OR_EQUAL (d1)\nthat is all I know, Arg1: none", nil},
		"a program's":                               {"FAULTING_IP: \napp!main+12\n00401000 8b00 mov eax,[eax]\nEXCEPTION_CODE: (NTSTATUS) 0xc0000005\nSTACK_TEXT:\n0012ff00 00401000 00000000 00000000 00000000 app!main+0x12\nFAILURE_BUCKET_ID:  NULL_POINTER_READ_c0000005_app.exe!main\nFollowup: MachineOwner\n", nil},
		"nothing":                                   {"", nil},
	} {
		var codes []uint32
		for _, l := range Parse([]byte(tt.text)) {
			codes = append(codes, l.Code)
		}
		if d := cmp.Diff(tt.codes, codes); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestParse_Cut: whatever is left of a log is read, and said to be cut.
func TestParse_Cut(t *testing.T) {
	for i := 0; i < len(modern); i += 7 {
		for _, l := range Parse([]byte(modern[:i])) {
			if l.Code != 0xd1 {
				t.Errorf("cut at %d: stop code %x", i, l.Code)
			}
			if !l.Cut && !strings.Contains(modern[:i], "Followup:") {
				t.Errorf("cut at %d: not said", i)
			}
		}
	}
	l := one(t, modern[:strings.Index(modern, "SYMBOL_NAME")])
	if len(l.Frames) != 6 || l.Said.Bucket != "AV_example!ExampleRead" || !l.Cut {
		t.Errorf("cut behind the stack: %d frames, bucket %q, cut %v", len(l.Frames), l.Said.Bucket, l.Cut)
	}
}

// TestParse_Bounded: a log cannot make the parser keep more than its limits.
func TestParse_Bounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(modern[:strings.Index(modern, "ffffb000")])
	for i := range 5 * maxFrames {
		fmt.Fprintf(&b, "ffffb000`%08x fffff805`00000100 : nt!f+0x1\n", i)
	}
	b.WriteString("SYMBOL_NAME: x\n")
	for i := range 2 * maxModules {
		fmt.Fprintf(&b, "fffff805`%08x fffff805`%08x   driver%d\n", i<<4, i<<4+8, i)
	}
	b.WriteString(strings.Repeat("x", 10*maxLine) + "\n")
	l := one(t, b.String())
	if len(l.Frames) != maxFrames || len(l.Modules) != maxModules {
		t.Errorf("%d frames, %d modules", len(l.Frames), len(l.Modules))
	}
	if n := len(Parse([]byte(strings.Repeat(old, 2*maxLogs)))); n != maxLogs {
		t.Errorf("%d logs", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(modern))
	f.Add([]byte(old))
	f.Add([]byte(modern + old))
	f.Add([]byte("*** Fatal System Error: 0x000000d1\n(0x1,0x2,0x3,0x4)\nBugcheck Analysis\nlm\nUnloaded modules:\nfffff805`1 fffff805`2 a.sys\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range Parse(b) {
			if len(l.Arguments) > 4 || len(l.Frames) > maxFrames || len(l.Modules) > maxModules || len(l.Points) > maxPoints {
				t.Errorf("beyond the limits: %d arguments, %d frames, %d modules, %d points", len(l.Arguments), len(l.Frames), len(l.Modules), len(l.Points))
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(modern)))
	for b.Loop() {
		Parse([]byte(modern))
	}
}
