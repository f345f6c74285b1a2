package analyze

import (
	"strings"
	"testing"

	"bugcheck/report"
)

// crashed are the facts of an exception at a frame.
func crashed(code uint32, frames ...Frame) Facts {
	return Facts{
		Arch: "x64", Exception: &Exception{Code: code, Address: 0x7ff6c1e01730}, Context: Context{Fault: true}, Frames: frames,
		User: &User{Program: "app.exe", Windows: map[string]bool{"ntdll.dll": true, "kernelbase.dll": true, "ucrtbase.dll": true, "mswsock.dll": true}},
	}
}

func touched(access string, target uint64, f Facts) Facts {
	f.Exception.Access, f.Exception.Target = access, &target
	f.User.Target = UserTarget{Place: Place{Kind: classify(target, archOf(&f))}}
	return f
}

func failFast(sub uint64, f Facts) Facts {
	f.User.Parameters = []uint64{sub}
	f.User.Reason = "FAST_FAIL_" + map[uint64]string{2: "STACK_COOKIE_CHECK_FAILURE", 7: "FATAL_APP_EXIT", 10: "GUARD_ICALL_CHECK_FAILURE"}[sub]
	return f
}

func context(image, module, symbol string) Frame {
	return Frame{Image: image, Module: module, Symbol: symbol, Offset: 0x10, Trust: report.TrustContext}
}

func unwound(image, module, symbol string) Frame {
	return Frame{Image: image, Module: module, Symbol: symbol, Offset: 0x10, Trust: report.TrustUnwind}
}

func verifier(f Facts) Facts {
	f.User.Verifier = true
	return f
}

func program(name string, f Facts) Facts {
	f.User.Program = name
	return f
}

// TestJudge_ProgramBuckets: buckets and hashes of published debugger logs
// (docs/minidumps.md names them), from facts like theirs.
func TestJudge_ProgramBuckets(t *testing.T) {
	ntdll := context("ntdll.dll", "ntdll", "NtWaitForSingleObject")
	none := crashed(0, ntdll, unwound("mswsock.dll", "mswsock", "SockWaitForSingleObject"))
	none.Exception = nil
	for _, tt := range []struct {
		facts        Facts
		bucket, hash string
	}{
		{touched("write", 0, crashed(statusAccessViolation, context("AccessV.exe", "AccessV", "main"))), "NULL_POINTER_WRITE_c0000005_AccessV.exe!main", "{1c59fc7c-49ca-7215-0582-702a810098c4}"},
		{touched("read", 0x50, crashed(statusAccessViolation, context("Flash.ocx", "Flash", ""))), "NULL_CLASS_PTR_READ_c0000005_Flash.ocx!Unknown", "{fc7546b3-cbbe-7687-a761-c90b7fcd1642}"},
		{touched("write", 0, crashed(statusAccessViolation, context("electron.exe", "electron", "node::AsyncResource::CallbackScope::~CallbackScope"))), "NULL_POINTER_WRITE_c0000005_electron.exe!node::AsyncResource::CallbackScope::_CallbackScope", "{3f18c3a4-c6fc-f39e-d02b-f38f7b21394d}"},
		{touched("read", 0x1f2c4d80120, crashed(statusAccessViolation, context("Qt6Core.dll", "Qt6Core", ""))), "INVALID_POINTER_READ_c0000005_Qt6Core.dll!Unknown", "{11f85110-02eb-30ad-d320-ae4675a7890a}"},
		{touched("write", 0x1f2c4d80120, crashed(statusAccessViolation, context("BandiView.exe", "BandiView", ""))), "INVALID_POINTER_WRITE_c0000005_BandiView.exe!Unknown", "{bfe0ef3a-1175-0614-d858-640033fc855a}"},
		{touched("execute", 0x1f2c4d80120, crashed(statusAccessViolation, Frame{Trust: report.TrustContext}, unwound("AccessV.exe", "AccessV", "main"))), "SOFTWARE_NX_FAULT_c0000005_AccessV.exe!main", "{c74cf91c-fb17-d481-50a2-c86af1f8ac9a}"},
		{verifier(touched("write", 0x1f2c4d80120, crashed(statusAccessViolation, context("clr.dll", "clr", "TableFreeSingleHandleToCache")))), "INVALID_POINTER_WRITE_AVRF_c0000005_clr.dll!TableFreeSingleHandleToCache", "{d076268e-4327-cacb-c834-903fdd106684}"},
		{crashed(statusStackOverflow, context("StackOverflow.exe", "StackOverflow", "wmain")), "STACK_OVERFLOW_c00000fd_StackOverflow.exe!wmain", ""},
		{failFast(7, crashed(statusStackBufferOverrun, context("ucrtbase.dll", "ucrtbase", "abort"))), "FAIL_FAST_FATAL_APP_EXIT_c0000409_ucrtbase.dll!abort", ""},
		{failFast(2, crashed(statusStackBufferOverrun, context("BandiView.x64.exe", "BandiView_x64", ""))), "FAIL_FAST_STACK_BUFFER_OVERRUN_STACK_COOKIE_CHECK_FAILURE_MISSING_GSFRAME_c0000409_BandiView.x64.exe!Unknown", "{d3a506d9-04ad-bfdd-58cb-04f4250ceab5}"},
		{failFast(10, crashed(statusStackBufferOverrun, context("Windows.UI.Xaml.dll", "Windows_UI_Xaml", "DirectUI::ItemsControl::InitializeItemContainerGenerator"))), "FAIL_FAST_GUARD_ICALL_CHECK_FAILURE_c0000409_Windows.UI.Xaml.dll!DirectUI::ItemsControl::InitializeItemContainerGenerator", ""},
		{crashed(statusFailFast, context("KERNELBASE.dll", "KERNELBASE", "RaiseFailFastException"), unwound("Fabric.exe", "Fabric", "Common::Assert::DoFailFast")), "FAIL_FAST_EXCEPTION_c0000602_Fabric.exe!Common::Assert::DoFailFast", "{088f6433-45df-83fd-0817-22eab3c603c9}"},
		{program("Mem.exe", crashed(statusHeapCorruption, context("ntdll.dll", "ntdll", "RtlReportFatalFailure"))), "HEAP_CORRUPTION_c0000374_heap_corruption!Mem.exe", "{4569e799-2e9f-5336-d420-e475db03ba4f}"},
		{crashed(statusBreakpoint, context("fastrtps-2.6.dll", "fastrtps_2_6", "")), "BREAKPOINT_80000003_fastrtps-2.6.dll!Unknown", "{4679187c-69b1-73ea-b190-e9d20e7a3a92}"},
		{none, "BREAKPOINT_80000003_mswsock.dll!SockWaitForSingleObject", "{2cb12fbb-08f6-dfda-32e9-a2ed11ecd404}"},
		{verifier(crashed(statusSimulated^0x100, context("chrome_elf.dll", "chrome_elf", ""))), "APPLICATION_FAULT_AVRF_517a6ed_chrome_elf.dll!Unknown", ""},
		{crashed(statusIllegalInstruction, context("IntelControlLib.dll", "IntelControlLib", "CTL_API::GfxHandler::~GfxHandler")), "ILLEGAL_INSTRUCTION_c000001d_IntelControlLib.dll!CTL_API::GfxHandler::_GfxHandler", ""},
		{crashed(statusDivideByZero, context("DebugApplication.exe", "DebugApplication", "hDoRemaining")), "INTEGER_DIVIDE_BY_ZERO_c0000094_DebugApplication.exe!hDoRemaining", ""},
		// Nothing certain, or no published form: no bucket.
		{touched("read", 0, crashed(statusAccessViolation, Frame{Image: "x.dll", Module: "x", Trust: report.TrustScan})), "", ""},
		{touched("execute", 0, crashed(statusAccessViolation, Frame{Trust: report.TrustContext}, unwound("x.exe", "x", ""))), "", ""},
		{crashed(statusCPP, context("KERNELBASE.dll", "KERNELBASE", "RaiseException"), unwound("x.dll", "x", "f")), "", ""},
		{crashed(statusInPageError, context("x.dll", "x", "f")), "", ""},
	} {
		v := Judge(tt.facts)
		if v.Bucket != tt.bucket || tt.hash != "" && v.BucketHash != tt.hash {
			t.Errorf("bucket %s %s, want %s %s", v.Bucket, v.BucketHash, tt.bucket, tt.hash)
		}
	}
}

// TestJudge_ProgramCulprits: a library of Windows works on what it is handed, so
// the caller counts; a scanned frame convicts nobody; who met damage did not do it.
func TestJudge_ProgramCulprits(t *testing.T) {
	app, plugin, lib := context("app.exe", "app", ""), context("plugin.dll", "plugin", ""), context("ucrtbase.dll", "ucrtbase", "memcpy")
	scanned := Frame{Image: "plugin.dll", Module: "plugin", Trust: report.TrustScan}
	wild := func(frames ...Frame) Facts {
		return touched("read", 0x1f2c4d80120, crashed(statusAccessViolation, frames...))
	}
	inPage := touched("read", 0x1f2c4d80120, crashed(statusInPageError, app))
	inPage.User.Parameters = []uint64{0, 0x1f2c4d80120, 0xc000009c}
	hang := crashed(0, context("ntdll.dll", "ntdll", ""), scanned)
	hang.Exception, hang.Context.Fault = nil, false
	handler := crashed(0, context("ntdll.dll", "ntdll", "NtWaitForMultipleObjects"), unwound("KERNELBASE.dll", "KERNELBASE", "UnhandledExceptionFilter"))
	handler.Exception, handler.Context.Fault = nil, false
	unloaded := touched("execute", 0x7ffd31401730, crashed(statusAccessViolation, Frame{Trust: report.TrustContext}))
	unloaded.User.At = Place{Kind: PlaceUnloaded, Image: "gone.dll", Module: "gone"}
	lost := crashed(0, context("ntdll.dll", "ntdll", ""))
	lost.Exception, lost.Context.Fault, lost.User.Lost = nil, false, true
	for _, tt := range []struct {
		name                             string
		facts                            Facts
		cause, image, confidence, begins string
	}{
		{"own code", wild(app), report.CauseProgram, "app.exe", report.High, "app.exe crashed: "},
		{"its library", wild(plugin, unwound("app.exe", "app", "")), report.CauseProgram, "plugin.dll", report.High, "app.exe crashed in plugin.dll: "},
		{"under Windows' library", wild(lib, unwound("plugin.dll", "plugin", "")), report.CauseProgram, "plugin.dll", report.Medium, "app.exe crashed, most likely through plugin.dll: "},
		{"scanned alone", wild(lib, scanned), report.CauseUnknown, "ucrtbase.dll", report.Low, "app.exe crashed in ucrtbase.dll: "},
		{"heap", crashed(statusHeapCorruption, context("ntdll.dll", "ntdll", ""), unwound("plugin.dll", "plugin", "")), report.CauseMemoryCorruption, "", report.Low, "app.exe crashed: its heap"},
		{"storage", inPage, report.CauseStorage, "", report.Medium, "Storage made app.exe crash: "},
		{"hang", hang, report.CauseRequested, "", report.High, "This dump of app.exe records no crash: "},
		{"hang in a handler", handler, report.CauseUnknown, "", report.Low, "This dump of app.exe was taken while an exception"},
		{"cut off", lost, report.CauseUnknown, "", report.Low, "app.exe: the dump is damaged"},
		{"unloaded", unloaded, report.CauseProgram, "gone.dll", report.High, "app.exe crashed in gone.dll: it ran into the place"},
		{"list", failFast(3, crashed(statusStackBufferOverrun, plugin)), report.CauseProgram, "plugin.dll", report.Medium, "app.exe crashed, most likely through plugin.dll: a linked list"},
		{"no program", program("", wild(Frame{Trust: report.TrustContext})), report.CauseUnknown, "", report.Low, "A program crashed: "},
	} {
		v := Judge(tt.facts)
		if v.Cause != tt.cause || v.Image != tt.image || v.Confidence != tt.confidence || !strings.HasPrefix(v.Summary.String(), tt.begins) {
			t.Errorf("%s: %s %s %s: %q; want %s %s %s: %q", tt.name, v.Cause, v.Image, v.Confidence, v.Summary, tt.cause, tt.image, tt.confidence, tt.begins)
		}
		if len(v.NextSteps) == 0 || len(v.NextSteps) > maxSteps {
			t.Errorf("%s: %d next steps", tt.name, len(v.NextSteps))
		}
	}
}

// TestJudge_ProgramEvidence: what is said of the address that was touched.
func TestJudge_ProgramEvidence(t *testing.T) {
	region := func(state, protect uint32, f Facts) Facts {
		f.User.Target.Known, f.User.Target.State, f.User.Target.Protect = true, state, protect
		return f
	}
	at := func(access string, target uint64) Facts {
		return touched(access, target, crashed(statusAccessViolation, context("app.exe", "app", "")))
	}
	flip := at("read", 0x1f2c4d80120)
	flip.User.Flips = []Flip{{Bit: 40, Address: 0xf2c4d80120}}
	below := at("write", 0x3e0d5feff0)
	below.User.Stack, below.User.SP, below.User.StackRecorded = [2]uint64{0x3e0d5ff000, 0x3e0d600000}, 0x3e0d5ff010, true
	operand := at("read", notTold)
	operand.User.Instruction = "mov ecx,dword ptr [rax+10h]"
	operand.User.Bad = &BadOperand{Text: "[rax+10h]", Register: "rax", Value: 0x8001f2c4d80120, Bit: 55}
	full := crashed(statusStackOverflow, context("app.exe", "app", ""))
	full.User.Stack, full.User.SP = [2]uint64{0x3e0d500000, 0x3e0d600000}, 0x3e0d503120
	recorded := crashed(statusStackOverflow, context("app.exe", "app", ""))
	recorded.User.Stack, recorded.User.SP, recorded.User.StackRecorded = full.User.Stack, full.User.SP, true
	busy := crashed(statusHang, context("ntdll.dll", "ntdll", ""))
	busy.User.Running = []Running{{Thread: "77 (worker)", At: context("plugin.dll", "plugin", "")}}
	for _, tt := range []struct {
		facts Facts
		want  string
		trust string
	}{
		{at("read", 0), "The address is zero", report.Derived},
		{at("read", 0x18), "null page", report.Derived},
		{at("read", notTold), "did not tell the address", report.Recorded},
		{at("read", 0x4141414142424242), `"BBBBAAAA"`, report.Guessed},
		{at("read", 0x7001f2c4d80120), "not canonical", report.Derived},
		{at("write", 0xfffff80312a00000), "belongs to the kernel", report.Derived},
		{region(0x10000, 1, at("read", 0x1f2c4d80120)), "There is no memory at this address", report.Recorded},
		{region(0x2000, 0, at("read", 0x1f2c4d80120)), "is reserved", report.Recorded},
		{region(0x1000, 2, at("write", 0x1f2c4d80120)), "read-only", report.Recorded},
		{region(0x1000, 0x104, at("write", 0x1f2c4d80120)), "guard page", report.Recorded},
		{region(0x1000, 4, at("execute", 0x1f2c4d80120)), "no code may run in it", report.Recorded},
		{busy, "Thread 77 (worker) does not wait: it stands in plugin+0x10.", report.Recorded},
		{full, "0xfcee0 bytes of the stack were captured", report.Recorded},
		{recorded, "0x3120 bytes above the lowest address of the stack, which has 0x100000 bytes", report.Recorded},
		{flip, "With bit 40 the other way", report.Guessed},
		{below, "the stack was used up", report.Derived},
		{operand, "The instruction is mov ecx,dword ptr [rax+10h]; rax holds 0x8001f2c4d80120.", report.Derived},
		{operand, "no canonical address, but would be with bit 55", report.Guessed},
		{at("read", 0xfeeefeeefeeeff06), "Windows' heap fills memory with that was freed", report.Derived},
	} {
		found := false
		for _, e := range Judge(tt.facts).Evidence {
			found = found || strings.Contains(e.Fact.String(), tt.want) && e.Trust == tt.trust
		}
		if !found {
			t.Errorf("no %s evidence says %q: %v", tt.trust, tt.want, Judge(tt.facts).Evidence)
		}
	}
}

// TestJudge_EveryRule: each exception of the table has a sentence, a cause and
// something to do, with as few facts as a dump can have.
func TestJudge_EveryRule(t *testing.T) {
	codes := []uint32{0x12345678}
	for code := range userRules {
		codes = append(codes, code)
	}
	for _, code := range codes {
		for _, frames := range [][]Frame{nil, {{Trust: report.TrustContext}}, {context("app.exe", "app", "")}, {context("ntdll.dll", "ntdll", "")}} {
			v := Judge(crashed(code, frames...))
			if s := v.Summary.String(); !strings.Contains(s, "app.exe") || v.Cause == "" || v.Confidence == "" || len(v.NextSteps) == 0 || len(v.Evidence) == 0 {
				t.Errorf("0x%x: %+v", code, v)
			}
		}
	}
}

// A program's name goes into command lines only if it is a plain one.
func TestJudge_ProgramInCommands(t *testing.T) {
	for name, want := range map[string]string{
		"app.exe": "app.exe /full", "my app.exe": "PROGRAM.exe /full", "a&del.exe": "PROGRAM.exe /full", "$(x).exe": "PROGRAM.exe /full", "-x.exe": "PROGRAM.exe /full",
	} {
		v := Judge(program(name, crashed(statusHeapCorruption)))
		if step := v.NextSteps[0].String(); !strings.Contains(step, want) {
			t.Errorf("%s: %s", name, step)
		}
	}
}

func TestUserFunction(t *testing.T) {
	f := Frame{Image: "chrome_child.dll", Symbol: "rtc::FunctorMessageHandler<bool,`lambda at ../../third_party/webrtc/pc/rtpsender.cc:109:22'>::OnMessage"}
	want := "chrome_child.dll!rtc::FunctorMessageHandler_bool,_lambda_at_.._.._third_party_webrtc_pc_rtpsender.cc:109:22__::OnMessage"
	if got := userFunction(f); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestInWindows(t *testing.T) {
	for path, want := range map[string]bool{
		`C:\Windows\System32\ntdll.dll`: true, `C:\WINDOWS\SysWOW64\user32.dll`: true, `C:\Windows\WinSxS\amd64_x\comctl32.dll`: true,
		`C:\Windows\System32\DriverStore\FileRepository\nv.inf\nvwgf2umx.dll`: false, `C:\Program Files\Example\example.exe`: false,
		`D:\windows\example.exe`: false,
	} {
		if inWindows(path) != want {
			t.Errorf("inWindows(%s) = %v", path, !want)
		}
	}
}
