package analyze

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bugcheck/mem"
	"bugcheck/report"
)

// said is the evidence of a verdict as text.
func said(v report.Verdict) string {
	var b strings.Builder
	for _, e := range v.Evidence {
		b.WriteString(e.Trust + " " + e.Fact.String() + "\n")
	}
	return b.String()
}

func TestJudge_WholeMemory(t *testing.T) {
	heap := [4]uint64{0x12, 0xfffff80310000000, 0xffffb30c45d636e0, 0}
	inNT := []Frame{{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeBugCheckEx", Trust: report.TrustContext},
		{Image: "ntoskrnl.exe", Module: "nt", Symbol: "ExFreePoolWithTag", Trust: report.TrustUnwind}}
	overrun := &Block{Parameter: 3, Address: 0xffffb30c45d636f0, Damaged: true, Text: "OOOO",
		Before: &Neighbour{Address: 0xffffb30c45d62eb0, Size: 2080, Tag: "Vend", Owners: []string{"vendor1.sys"}, Intact: true}}
	request := []Pending{{Driver: "vendor1.sys", Major: "IRP_MJ_DEVICE_CONTROL", Control: 0x8336000c}}
	for _, tt := range []struct {
		name         string
		facts        Facts
		cause, first string // first of the alternatives, or the image itself
		evidence     string
	}{
		{"an overrun names the owner in front", Facts{Code: 0x13a, Parameters: heap, Frames: inNT, Block: overrun},
			report.CauseMemoryCorruption, "vendor1.sys", "recorded The block in front of it, at 0xffffb30c45d62eb0, is 2080 bytes long, in use, and has the tag Vend."},
		{"a tag of Windows alone suggests nobody", Facts{Code: 0x13a, Parameters: heap, Frames: inNT,
			Block: &Block{Parameter: 3, Damaged: true, Before: &Neighbour{Tag: "Irp ", Owners: []string{"ntoskrnl.exe"}, Intact: true}}},
			report.CauseMemoryCorruption, "ntoskrnl.exe", "derived The tag Irp stands in the code of ntoskrnl.exe."},
		{"a block handed over wrongly is no damage found later", Facts{Code: 0x13a, Parameters: [4]uint64{8, heap[1], heap[2]}, Frames: append(inNT[:2:2], Frame{Image: "vendor1.sys", Module: "vendor1", Trust: report.TrustUnwind})},
			report.CauseDriver, "vendor1.sys", "is no block in use (kind 0x8)"},
		{"freed memory of a driver", Facts{Code: 0x50, Parameters: [4]uint64{0xffffb30c45d63000}, Frames: inNT, Block: &Block{Parameter: 1, Free: true, Tag: "Vend", Owners: []string{"vendor1.sys"}}},
			report.CauseUnknown, "vendor1.sys", "derived Memory that is free was used"},
		{"a request behind a destroyed stack", Facts{Code: 0x1e, Parameters: [4]uint64{0xc0000005, 0, 8, 0}, Frames: inNT, Pending: request},
			report.CauseUnknown, "vendor1.sys", "recorded The thread's pending request (IRP_MJ_DEVICE_CONTROL 0x8336000c) is with vendor1.sys."},
		{"a request with Windows says nothing", Facts{Code: 0x1e, Frames: inNT, Pending: []Pending{{Driver: "Ntfs.sys", Major: "IRP_MJ_READ"}}},
			report.CauseUnknown, "ntoskrnl.exe", ""},
		{"a hang", Facts{Code: 0xe2, Stuck: &Stuck{Requests: []Pending{{Driver: "vendor1.sys", Major: "IRP_MJ_READ", Process: "a.exe", Thread: 8, Waited: 5 * time.Minute}}}},
			report.CauseRequested, "vendor1.sys", "recorded Thread 8 of a.exe has waited 5 min inside the kernel; its request (IRP_MJ_READ) is with vendor1.sys."},
		{"a lock", Facts{Code: 0xe2, Stuck: &Stuck{Locks: []Lock{{Address: 0xffff8000, Process: "System", Thread: 12, Waiters: 7, Driver: "vendor1.sys"}}}},
			report.CauseRequested, "vendor1.sys", "at 0xffff8000: 7. Thread 12 of System has it."},
		{"pool used up", Facts{Code: 0xe2, Stuck: &Stuck{Short: Shortage{Tag: "Vend", Drivers: []string{"vendor1.sys"}}}},
			report.CauseRequested, "vendor1.sys", ""},
		{"the processor's note of its DPC", Facts{Code: 0x133, Parameters: [4]uint64{0, 0x501, 0x500}, Frames: inNT[:1],
			Hung: &Hung{DPC: Place{Kind: PlaceModule, Image: "vendor1.sys", Module: "vendor1", Offset: 0x11e0}}},
			report.CauseDriver, "vendor1.sys", "recorded The deferred procedure (DPC) that the processor ran is vendor1+0x11e0."},
		{"a disk that is not there", Facts{Code: 0x7b, Parameters: [4]uint64{0xffff8000, 0xffffffffc0000034}, Frames: inNT, Device: `\Device\HarddiskVolume3`},
			report.CauseStorage, "ntoskrnl.exe", `recorded Windows was to start from \Device\HarddiskVolume3.`},
		{"a read for which memory was short", Facts{Code: 0x7a, Parameters: [4]uint64{1, 0xc000009a}, Frames: inNT},
			report.CauseUnknown, "ntoskrnl.exe", "memory was short"},
		{"a page of a stack, changed in memory", Facts{Code: 0x77, Parameters: [4]uint64{0, 0x1234}, Frames: inNT},
			report.CauseMemoryCorruption, "ntoskrnl.exe", "the disk is not to blame"},
		{"changed code where somebody writes proves no hardware", Facts{Code: 0xbe, Frames: inNT, CodeChanges: []CodeChange{{Place: "nt!NtReadFile+0x0", Bytes: 1, Was: 0x48, Is: 0xcc}}},
			report.CauseUnknown, "ntoskrnl.exe", "recorded The code at nt!NtReadFile+0x0 differs from its image in 1 byte: 48 → cc."},
		{"a page that is paged out", Facts{Code: 0xd1, Parameters: [4]uint64{0xffffb30c45d63000, 2}, Frames: inNT, Page: &Page{State: mem.PagedOut, PTE: 0x80}},
			report.CauseUnknown, "ntoskrnl.exe", "recorded The page of that address exists but was not in place (page table entry 0x80)"},
	} {
		v := Judge(tt.facts)
		first := v.Image
		if len(v.Alternatives) > 0 && v.Cause != report.CauseDriver {
			first = v.Alternatives[0].Image
		}
		if v.Cause != tt.cause || first != tt.first || !strings.Contains(said(v), tt.evidence) {
			t.Errorf("%s: cause %s, first suspect %q, want %s, %q and %q in\n%s", tt.name, v.Cause, first, tt.cause, tt.first, tt.evidence, said(v))
		}
	}
}

// Special pool is the way to find who writes past a block: the step names the command.
func TestJudge_PoolStepNamesTheCommand(t *testing.T) {
	v := Judge(Facts{Code: 0x19, Parameters: [4]uint64{0x20, 0xffffb30c46023810}, Block: &Block{Parameter: 2, Damaged: true,
		Before: &Neighbour{Tag: "Vend", Owners: []string{"vendor1.sys"}, Intact: true}}})
	if !slices.ContainsFunc(v.NextSteps, func(s report.Text) bool {
		return strings.Contains(s.String(), "verifier /flags 0x1 /driver vendor1.sys")
	}) {
		t.Errorf("steps %v", v.NextSteps)
	}
}

func TestCodeChange(t *testing.T) {
	// push rbx; sub rsp, 20h; call [rip+100h]; nop; xor eax, eax; xor ecx, ecx; xor edx, edx;
	// add rsp, 20h; pop rbx; ret; mov rax, 8877665544332211h
	code := []byte{0x40, 0x53, 0x48, 0x83, 0xec, 0x20, 0xff, 0x15, 0, 1, 0, 0, 0x90, 0x33, 0xc0, 0x33, 0xc9, 0x33, 0xd2,
		0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3, 0x48, 0xb8, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}
	for _, tt := range []struct {
		name  string
		patch map[int]byte
		want  difference
	}{
		{"nothing", nil, difference{}},
		{"an import's call made direct", map[int]byte{6: 0xe8, 7: 0x11, 8: 0x22, 11: 0x90}, difference{}},
		{"the instruction behind it", map[int]byte{12: 0xcc}, difference{}},
		{"one bit of the call", map[int]byte{9: 3}, difference{9, 1, 1}},
		{"one bit of it, beside a breakpoint", map[int]byte{9: 3, 23: 0xcc}, difference{23, 1, 5}},
		{"one bit of a constant", map[int]byte{27: 0x10}, difference{}},
		{"a constant of the memory manager", map[int]byte{27: 0, 34: 0xff}, difference{}},
		{"a breakpoint", map[int]byte{23: 0xcc}, difference{23, 1, 5}},
		{"one bit", map[int]byte{22: 0x30}, difference{22, 1, 1}},
		{"two places", map[int]byte{22: 0x30, 24: 0xcb}, difference{22, 2, 2}},
	} {
		is := slices.Clone(code)
		for at, b := range tt.patch {
			is[at] = b
		}
		if got, ok := codeChange("x64", code, is); ok != (tt.want.bytes > 0) || ok && got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, ok, tt.want)
		}
	}
	if got, ok := codeChange("x64", make([]byte, 64), slices.Repeat([]byte{0xcc}, 64)); ok {
		t.Errorf("another code altogether: %+v, true", got)
	}
}
