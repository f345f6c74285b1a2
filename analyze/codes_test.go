package analyze

import (
	"strings"
	"testing"

	"bugcheck/report"
	"bugcheck/win"
)

// in is a parameter's place in a driver.
func in(image string) Place {
	return Place{Kind: PlaceModule, Image: image, Module: strings.TrimSuffix(image, ".sys"), Offset: 0x40}
}

// TestJudge_Codes holds the verdicts of the rarer stop codes against what their
// documentation says.
func TestJudge_Codes(t *testing.T) {
	inNT := []Frame{{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeBugCheckEx", Trust: report.TrustContext}, {Image: "ntoskrnl.exe", Module: "nt", Symbol: "ExpWorkerThread", Trust: report.TrustUnwind}}
	byVendor := append(inNT[:1:1], trusted(vendor, report.TrustUnwind))
	part := uint32(2)
	for _, tt := range []struct {
		name                       string
		facts                      Facts
		cause, confidence, suspect string // the culprit, or the first of the alternatives
		says, summary              string
	}{
		{"APCs left disabled", Facts{Code: 0x20, Parameters: [4]uint64{0, 0xffff}, Frames: inNT, Images: []Image{{Image: "SymEFASI64.sys"}}},
			report.CauseUnknown, report.Low, "", "is -1: a driver entered a critical region more often", "a thread ended with calls to it"},
		{"APCs enabled once too often", Facts{Code: 0x1, Parameters: [4]uint64{0xfffff80312345678, 0, 0x10001}, Places: [4]Place{in("vendor1.sys")}, Frames: inNT},
			report.CauseUnknown, report.Low, "vendor1.sys", "which also hold back special APCs, is 1", ""},
		{"an object released once too often", Facts{Code: 0x18, Frames: byVendor, Pointed: []Pointed{{Parameter: 1, Kind: win.PointerType, Name: "File"}, {Parameter: 2, Kind: win.PointerFile, Driver: "Ntfs.sys", Name: `\a.txt`, Counts: &Counts{References: -1}}}},
			report.CauseDriver, report.Medium, "vendor1.sys", "It counts -1 references", ""},
		{"a request completed twice", Facts{Code: 0x44, Frames: inNT, Pointed: []Pointed{{Parameter: 1, Kind: win.PointerIRP, Driver: "disk.sys", What: "IRP_MJ_READ", Stack: []string{"vendor1.sys", "disk.sys"}}}},
			report.CauseUnknown, report.Low, "vendor1.sys", "went through vendor1.sys, disk.sys", "completed twice"},
		{"a cancel routine in a driver", Facts{Code: 0x48, Parameters: [4]uint64{0xffffa00d12345678, 0xfffff80312345678}, Places: [4]Place{1: in("vendor1.sys")}, Frames: inNT},
			report.CauseDriver, report.High, "vendor1.sys", "leads to the driver at fault", ""},
		{"a raised IRQL on the way back", Facts{Code: 0x4a, Parameters: [4]uint64{0, 2}, Frames: inNT, Pending: []Pending{{Driver: "vendor1.sys", Major: "IRP_MJ_READ"}}},
			report.CauseUnknown, report.Low, "vendor1.sys", "is 2; on the way back", ""},
		{"the registry behind a disk that fails", Facts{Code: 0x74, Parameters: [4]uint64{0, 0, 0, 0xc0000185}, Frames: byVendor},
			report.CauseStorage, report.Medium, "", "STATUS_IO_DEVICE_ERROR", "Storage made Windows stop"},
		{"the registry, for reasons unknown", Facts{Code: 0x51, Frames: byVendor}, report.CauseUnknown, report.Low, "", "only met it", ""},
		{"the registry without memory", Facts{Code: 0x73, Parameters: [4]uint64{1, 0xc000009a}}, report.CauseUnknown, report.Low, "", "memory or disk space was short", ""},
		{"the first process with a damaged file", Facts{Code: 0x6b, Parameters: [4]uint64{0xc000007b}, Frames: inNT}, report.CauseStorage, report.Low, "ntoskrnl.exe", "missing, damaged or of another version", ""},
		{"locked pages, without records", Facts{Code: 0x76, Parameters: [4]uint64{0, 0, 3, 0}, Frames: inNT}, report.CauseUnknown, report.Low, "ntoskrnl.exe", "does not keep track", ""},
		{"locked pages, with records", Facts{Code: 0xcb, Parameters: [4]uint64{1, 0, 2, 3}, Frames: inNT, Pointed: []Pointed{{Parameter: 1, Kind: win.PointerCallers, Driver: "vendor1.sys"}}},
			report.CauseUnknown, report.Low, "vendor1.sys", "The first of the callers saved there", ""},
		{"a division by zero", Facts{Code: 0x7f, Parameters: [4]uint64{0, 0, 0, 0xfffff80312345678}, Places: [4]Place{3: in("vendor1.sys")}, Context: Context{Fault: true}, Frames: []Frame{trusted(vendor, report.TrustContext)}},
			report.CauseDriver, report.High, "vendor1.sys", "divided a whole number by zero", "it divided a whole number by zero"},
		{"a machine check as a trap", Facts{Code: 0x7f, Parameters: [4]uint64{18}, Frames: byVendor}, report.CauseHardware, report.Medium, "", "no driver raises it", ""},
		{"an NMI", Facts{Code: 0x80, Frames: byVendor}, report.CauseHardware, report.Medium, "", "management controller", ""},
		{"a machine check", Facts{Code: 0x9c, Parameters: [4]uint64{0, 1, 0xb2000000, 0x1040080f}}, report.CauseHardware, report.High, "", "0xb20000001040080f", ""},
		{"a method that the BIOS lacks", Facts{Code: 0xa5, Parameters: [4]uint64{0xd, 0, 0x4449485f}}, report.CauseFirmware, report.Medium, "", "Its letters are _HID", "The firmware (BIOS) made Windows stop"},
		{"ACPI without memory", Facts{Code: 0xa5, Parameters: [4]uint64{0x11, 2}, Frames: inNT}, report.CauseUnknown, report.Low, "ntoskrnl.exe", "got no memory", ""},
		{"a leak of a session", Facts{Code: 0xab, Parameters: [4]uint64{2, 4096, 0, 0x10000}, Images: []Image{{Image: "nvlddmkm.sys"}}}, report.CauseUnknown, report.Low, "nvlddmkm.sys", "Session 2 left 4096 bytes", ""},
		{"a callout that changed the IRQL", Facts{Code: 0xc8, Parameters: [4]uint64{0x20002, 0xfffff80312345678}, Places: [4]Place{1: in("vendor1.sys")}, Frames: inNT},
			report.CauseDriver, report.High, "vendor1.sys", "is 2, and has to be 0", ""},
		{"a worker's routine", Facts{Code: 0xe1, Parameters: [4]uint64{0xfffff80312345678, 2}, Places: [4]Place{in("vendor1.sys")}, Frames: inNT}, report.CauseDriver, report.High, "vendor1.sys", "was 2 when the work was done", ""},
		{"a worker's routine of Windows", Facts{Code: 0xe1, Parameters: [4]uint64{0xfffff80312345678, 2}, Places: [4]Place{in("srv2.sys")}, Frames: inNT}, report.CauseDriver, report.Medium, "srv2.sys", "", ""},
		{"a worker's routine of the kernel", Facts{Code: 0xe1, Parameters: [4]uint64{0xfffff80312345678, 2}, Places: [4]Place{{Kind: PlaceModule, Image: "ntoskrnl.exe", Module: "nt"}}, Frames: inNT}, report.CauseUnknown, report.Low, "ntoskrnl.exe", "", ""},
		{"data that cannot be written", Facts{Code: 0xfd, Parameters: [4]uint64{512, 1, 0, 0xc000009c}, Frames: inNT}, report.CauseStorage, report.Medium, "ntoskrnl.exe", "512 (2 MiB)", ""},
		{"no memory, but disks that work", Facts{Code: 0x4d, Parameters: [4]uint64{512}, Frames: inNT}, report.CauseUnknown, report.Low, "ntoskrnl.exe", "", ""},
		{"a machine that does not rest, for a device", Facts{Code: 0x15f, Parameters: [4]uint64{2, 0xffffa00d12345678, 3}, Live: true, Frames: inNT}, report.CauseUnknown, report.Low, "", "(component 3)", ""},
		{"a machine that does not rest, for how long", Facts{Code: 0x15f, Parameters: [4]uint64{1, 0xffffa00d12345678, 610_000}, Live: true, Frames: inNT}, report.CauseUnknown, report.Low, "", "That lasted 610 s.", ""},
		{"a lock given back twice", Facts{Code: 0x162, Parameters: [4]uint64{0xffffa00d12345678, 0xffffa00d12340000}, Frames: byVendor}, report.CauseDriver, report.Medium, "vendor1.sys", "It did not hold that lock", ""},
		{"address space used up by one driver", Facts{Code: 0xd8, Parameters: [4]uint64{0xffffa00d12345678, 900, 10, 1000}, Pointed: []Pointed{{Parameter: 1, Kind: win.PointerName, Driver: "vendor1.sys", Name: "vendor1"}}}, report.CauseDriver, report.High, "vendor1.sys", "It reads: vendor1", ""},
		{"a stack of one's own", Facts{Code: 0x1aa, Parameters: [4]uint64{0xffffa00d12345678, 3}, Frames: byVendor}, report.CauseDriver, report.Medium, "vendor1.sys", "(kind Normal)", ""},
		{"a promise taken back twice", Facts{Code: 0x157, Parameters: [4]uint64{0, 12, 2}, Frames: byVendor}, report.CauseDriver, report.Medium, "vendor1.sys", "ran below zero", ""},
		{"a chip's radio", Facts{Code: 0x14b, ChipPart: &part}, report.CauseFirmware, report.Medium, "", "What failed is the radio for Wi-Fi and Bluetooth.", ""},
		{"a live dump of a chip's part", Facts{Code: 0x15d, Live: true}, report.CauseFirmware, report.Medium, "", "", "went on"},
		{"a tool's live dump", Facts{Code: 0x161, Live: true, Frames: byVendor}, report.CauseRequested, report.High, "", "on request only", "This dump was asked for, and Windows went on"},
		{"a logon process with bad files", Facts{Code: 0xc000021a, Parameters: [4]uint64{0, 0xc0000139}, Frames: byVendor}, report.CauseUnknown, report.Low, "", "different versions", "winlogon.exe or csrss.exe"},
		{"a file with a bad checksum", Facts{Code: 0xc0000221, Pointed: []Pointed{{Parameter: 1, Kind: win.PointerName, Name: "ntdll.dll"}}}, report.CauseStorage, report.Low, "", "It reads: ntdll.dll", ""},
		{"a driver of a UNC provider", Facts{Code: 0x103, Parameters: [4]uint64{3, 0, 0xc0000001}, Pointed: []Pointed{{Parameter: 4, Kind: win.PointerDriver, Driver: "vendor1.sys", Name: `\FileSystem\V`}}, Frames: inNT},
			report.CauseDriver, report.High, "vendor1.sys", `It is: driver object \FileSystem\V of vendor1.sys.`, ""},
	} {
		v := Judge(tt.facts)
		suspect := v.Image
		if v.Cause != report.CauseDriver && len(v.Alternatives) > 0 {
			suspect = v.Alternatives[0].Image
		}
		if v.Cause != tt.cause || v.Confidence != tt.confidence || suspect != tt.suspect && tt.suspect != "" {
			t.Errorf("%s: cause %s, confidence %s, suspect %q; want %s, %s, %q", tt.name, v.Cause, v.Confidence, suspect, tt.cause, tt.confidence, tt.suspect)
		}
		if !strings.Contains(said(v), tt.says) || !strings.Contains(v.Summary.String(), tt.summary) {
			t.Errorf("%s: want %q and %q in: %s\n%s", tt.name, tt.says, tt.summary, v.Summary, said(v))
		}
	}
}

// TestJudge_ExceptionKinds: the status of an exception tells a driver's mistake from
// what happened to it.
func TestJudge_ExceptionKinds(t *testing.T) {
	for _, tt := range []struct {
		status, why       uint32
		cause, confidence string
		says              string
	}{
		{0xc0000094, 0, report.CauseDriver, report.High, "divided a whole number by zero"},
		{0xc000001d, 0, report.CauseDriver, report.Medium, "no instruction of this processor"},
		{0xc0000096, 0, report.CauseDriver, report.Medium, "may not be used there"},
		{0x80000003, 0, report.CauseDriver, report.High, "left over from its development"},
		{0xc0000409, 0, report.CauseDriver, report.High, "checked itself"},
		{0xc0000006, 0xc0000185, report.CauseStorage, report.Medium, "STATUS_IO_DEVICE_ERROR"},
		{0xc0000006, 0xc000009a, report.CauseDriver, report.High, "no fault of the disk"},
		{0xc0000006, 0, report.CauseStorage, report.Medium, "could not be read back from disk"},
		{0xc000009c, 0, report.CauseStorage, report.Medium, "comes from a disk"},
		{0xc000009a, 0, report.CauseDriver, report.High, "Memory was short"},
	} {
		v := Judge(Facts{Code: 0x7e, Exception: &Exception{Code: tt.status, Address: 0x1000, Status: tt.why}, Context: Context{Fault: true}, Frames: []Frame{trusted(vendor, report.TrustContext)}})
		if v.Cause != tt.cause || v.Confidence != tt.confidence || !strings.Contains(said(v), tt.says) {
			t.Errorf("0x%x (0x%x): cause %s, confidence %s; want %s, %s and %q in\n%s", tt.status, tt.why, v.Cause, v.Confidence, tt.cause, tt.confidence, tt.says, said(v))
		}
	}
}

// TestJudge_StepsByCode: where a code has a command of its own, it is among the steps.
func TestJudge_StepsByCode(t *testing.T) {
	for _, tt := range []struct {
		facts Facts
		want  string
	}{
		{Facts{Code: 0x76}, "TrackLockedPages"},
		{Facts{Code: 0x44, Frames: []Frame{inKeBugCheck, trusted(vendor, report.TrustUnwind)}}, "verifier /flags 0x10 /driver vendor1.sys"},
		{Facts{Code: 0x18, Frames: []Frame{inKeBugCheck, trusted(vendor, report.TrustUnwind)}}, "verifier /standard /driver vendor1.sys"},
		{Facts{Code: 0xa5, Parameters: [4]uint64{0xd}}, "firmware (BIOS)"},
		{Facts{Code: 0x80}, "WHEA-Logger"},
		{Facts{Code: 0xc000021a}, "sfc /scannow"},
	} {
		v := Judge(tt.facts)
		var all strings.Builder
		for _, s := range v.NextSteps {
			all.WriteString(s.String() + "\n")
		}
		if !strings.Contains(all.String(), tt.want) {
			t.Errorf("0x%x: %q is not among the steps:\n%s", tt.facts.Code, tt.want, all.String())
		}
	}
}

// TestJudge_RuleSpeaksFirst: a parameter that a code's own rule tells of is not told
// again by the table.
func TestJudge_RuleSpeaksFirst(t *testing.T) {
	v := Judge(Facts{Code: 0xed, Pointed: []Pointed{{Parameter: 1, Kind: win.PointerDevice, Driver: "disk.sys"}}, Parameters: [4]uint64{0xffffa00d12345678, 0xc0000185}})
	count := 0
	for _, e := range v.Evidence {
		if e.Source.String() == parameter(2).String() {
			count++
		}
	}
	if count != 1 {
		t.Errorf("parameter 2 is told %d times:\n%s", count, said(v))
	}
}
