package analyze

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"bugcheck/report"
)

func frame(image, module string, trust string) Frame {
	return Frame{Image: image, Module: module, Offset: 0x1234, Trust: trust}
}

var (
	inKeBugCheck = frame("ntoskrnl.exe", "nt", report.TrustContext)
	inKernel1    = frame("ntoskrnl.exe", "nt", report.TrustScan)
	vendor       = frame("vendor1.sys", "vendor1", report.TrustScan)
	other        = frame("vendor2.sys", "vendor2", report.TrustScan)
)

func trusted(f Frame, trust string) Frame { f.Trust = trust; return f }

// TestJudge_WhoIsBlamed covers the ways a stack can speak, for a stop code
// without a rule of its own (0x65) and for a fault with a context (0x7E).
func TestJudge_WhoIsBlamed(t *testing.T) {
	fault := Context{Fault: true}
	av := &Exception{Code: 0xc0000005, Address: 0x1000, Access: "read"}
	for _, tt := range []struct {
		name                            string
		facts                           Facts
		cause, image, confidence, class string // class: what the bucket begins with; "-": no bucket
		others                          int
	}{
		{"a third party's driver at the fault", Facts{Code: 0x7e, Exception: av, Context: fault, Frames: []Frame{trusted(vendor, report.TrustContext), inKernel1}},
			report.CauseDriver, "vendor1.sys", report.High, "AV_vendor1!", 0},
		{"a driver of Windows at the fault", Facts{Code: 0x7e, Exception: av, Context: fault, Frames: []Frame{frame("amdppm.sys", "amdppm", report.TrustContext)}},
			report.CauseDriver, "amdppm.sys", report.Low, "AV_amdppm!", 0},
		{"a carrier of Windows at the fault, a suspect below", Facts{Code: 0x7e, Exception: av, Context: fault, Frames: []Frame{frame("ks.sys", "ks", report.TrustContext), vendor}},
			report.CauseDriver, "ks.sys", report.Low, "AV_ks!", 1},
		{"the kernel at the fault", Facts{Code: 0x7e, Exception: av, Context: fault, Frames: []Frame{trusted(inKernel1, report.TrustContext), vendor, vendor, other}},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "AV_nt!", 2},
		{"only scanned frames, one suspect", Facts{Code: 0x65, Frames: []Frame{inKeBugCheck, inKernel1, vendor, vendor}},
			report.CauseDriver, "vendor1.sys", report.Low, "-", 0},
		{"only scanned frames, two suspects", Facts{Code: 0x65, Frames: []Frame{inKeBugCheck, vendor, other}},
			report.CauseUnknown, "", report.Low, "-", 2},
		{"nothing at all", Facts{Code: 0x65}, report.CauseUnknown, "", report.Low, "-", 0},
		{"the caller of KeBugCheckEx is certain", Facts{Code: 0x65, Frames: []Frame{inKeBugCheck, trusted(vendor, report.TrustUnwind), other}},
			report.CauseDriver, "vendor1.sys", report.Medium, "0x65_vendor1!", 1},
		{"code that differs from its image", Facts{Code: 0x3b, CodeDiffer: "ONE_BIT", Frames: []Frame{trusted(vendor, report.TrustContext)}, Context: fault},
			report.CauseHardware, "memory_corruption", report.Medium, "MEMORY_CORRUPTION_ONE_BIT", 0},
		{"a page that could not be read from disk", Facts{Code: 0x7e, Exception: &Exception{Code: 0xc0000006}, Context: fault, Frames: []Frame{trusted(vendor, report.TrustContext)}},
			report.CauseStorage, "", report.Medium, "0x7E_C0000006_vendor1!", 1},
		{"a driver that Windows itself names", Facts{Code: 0xd1, Named: "vendor2.sys", Frames: []Frame{inKeBugCheck, vendor}},
			report.CauseDriver, "vendor2.sys", report.High, "AV_vendor2!", 1},
		{"a damaged list, found by a third party", Facts{Code: 0x139, Parameters: [4]uint64{3}, Context: fault, Frames: []Frame{trusted(vendor, report.TrustContext)}},
			report.CauseDriver, "vendor1.sys", report.Medium, "0x139_3_CORRUPT_LIST_ENTRY_vendor1!", 0},
		{"damaged pool, found by a third party", Facts{Code: 0x13a, Parameters: [4]uint64{0x12}, Frames: []Frame{inKeBugCheck, trusted(vendor, report.TrustUnwind)}},
			report.CauseMemoryCorruption, "vendor1.sys", report.Low, "0x13a_12_vendor1!", 0},
	} {
		v := Judge(tt.facts)
		if v.Cause != tt.cause || v.Image != tt.image || v.Confidence != tt.confidence || len(v.Alternatives) != tt.others {
			t.Errorf("%s: cause %s image %q confidence %s, %d alternatives; want %s %q %s %d", tt.name,
				v.Cause, v.Image, v.Confidence, len(v.Alternatives), tt.cause, tt.image, tt.confidence, tt.others)
		}
		switch {
		case tt.class == "-" && (v.Bucket != "" || v.BucketHash != ""):
			t.Errorf("%s: bucket %q from facts that do not reach to one", tt.name, v.Bucket)
		case tt.class != "-" && !strings.HasPrefix(v.Bucket, tt.class):
			t.Errorf("%s: bucket %q, want %s…", tt.name, v.Bucket, tt.class)
		}
		if v.Summary.IsZero() || len(v.NextSteps) == 0 {
			t.Errorf("%s: summary %q, %d steps", tt.name, v.Summary, len(v.NextSteps))
		}
	}
}

// TestJudge_ScannedFramesNeverConvict: whatever a scan finds, confidence stays
// low and there is no bucket by it.
func TestJudge_ScannedFramesNeverConvict(t *testing.T) {
	for code := range uint32(0x200) {
		if code == 0xe2 || code == 0x1c8 || code == 0x124 {
			continue // decided without the stack
		}
		v := Judge(Facts{Code: code, Frames: []Frame{inKeBugCheck, vendor, vendor, vendor}})
		if v.Image == "vendor1.sys" && v.Confidence != report.Low || strings.Contains(v.Bucket, "vendor1") {
			t.Errorf("0x%x: %s blamed with confidence %s, bucket %q, on scanned frames alone", code, v.Image, v.Confidence, v.Bucket)
		}
	}
}

// TestJudge_EveryCodeGetsAnAnswer: no stop code ends in an empty page.
func TestJudge_EveryCodeGetsAnAnswer(t *testing.T) {
	for code := range uint32(0x400) {
		v := Judge(Facts{Code: code})
		if v.Summary.IsZero() || v.Cause == "" || v.Confidence == "" || len(v.NextSteps) == 0 {
			t.Errorf("0x%x: %+v", code, v)
		}
	}
}

func TestJudge_IsPure(t *testing.T) {
	f := Facts{Code: 0x7e, Exception: &Exception{Code: 0xc0000005}, Context: Context{Fault: true}, Frames: []Frame{trusted(vendor, report.TrustContext), other}}
	if a, b := Judge(f), Judge(f); !reflect.DeepEqual(a, b) {
		t.Errorf("two verdicts on the same facts:\n%+v\n%+v", a, b)
	}
}

func TestJudge_Requested(t *testing.T) {
	for _, f := range []Facts{{Code: 0x1c8, Parameters: [4]uint64{7000}, Frames: []Frame{inKeBugCheck, vendor}}, {Code: 0xe2, Frames: []Frame{inKeBugCheck, vendor}}} {
		v := Judge(f)
		if v.Cause != report.CauseRequested || v.Image != "" || len(v.Alternatives) != 0 {
			t.Errorf("0x%x: cause %s, image %q, %d alternatives; want requested and nobody blamed", f.Code, v.Cause, v.Image, len(v.Alternatives))
		}
	}
}

// TestJudge_BootCodeLater: a code of the start of Windows, hours later, was
// raised by a driver for its own purposes.
func TestJudge_BootCodeLater(t *testing.T) {
	says := func(up time.Duration) bool {
		v := Judge(Facts{Code: 0x65, Uptime: up, Frames: []Frame{inKeBugCheck, trusted(vendor, report.TrustUnwind)}})
		for _, e := range v.Evidence {
			if strings.Contains(e.Fact.String(), "only while it starts") {
				return true
			}
		}
		return false
	}
	if !says(4*time.Hour) || says(5*time.Second) {
		t.Errorf("after 4 hours: %v, after 5 seconds: %v; want true, false", says(4*time.Hour), says(5*time.Second))
	}
}

func TestJudge_PowerRequest(t *testing.T) {
	for _, tt := range []struct {
		power                     Power
		image, confidence, bucket string
	}{
		{Power{IRPDriver: "vendor1.sys", PDODriver: "pci.sys", Service: "vendor1"}, "vendor1.sys", report.High, "0x9F_3_vendor1_IMAGE_pci.sys"},
		{Power{IRPDriver: "disk.sys", Other: "vendor2.sys", PDODriver: "vendor2.sys", Service: "disk"}, "vendor2.sys", report.Medium, "0x9F_3_disk_IMAGE_vendor2.sys"},
		{Power{IRPDriver: "usbhub3.sys", PDODriver: "usbxhci.sys"}, "usbhub3.sys", report.Low, "0x9F_3_usbhub3!unknown_function"},
		{Power{IRPDriver: "usbhub3.sys", PDODriver: "UsbHub3.sys", Service: "HidUsb"}, "usbhub3.sys", report.Low, "0x9F_3_IMAGE_UsbHub3.sys"},
		{Power{}, "", report.Low, "0x9F_3"},
	} {
		v := Judge(Facts{Code: 0x9f, Parameters: [4]uint64{3, 1, 2, 3}, Power: &tt.power})
		if v.Image != tt.image || v.Confidence != tt.confidence || v.Bucket != tt.bucket {
			t.Errorf("%+v: %q %s %q, want %q %s %q", tt.power, v.Image, v.Confidence, v.Bucket, tt.image, tt.confidence, tt.bucket)
		}
	}
}

// TestJudge_PowerRequestOfALog: a log has no more than the watchdog's stack, and that is not
// who holds the request.
func TestJudge_PowerRequestOfALog(t *testing.T) {
	f := Facts{Code: 0x9f, Parameters: [4]uint64{3, 1, 2, 3}, Frames: []Frame{
		{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeBugCheckEx", Trust: report.TrustUnwind},
		{Image: "ntoskrnl.exe", Module: "nt", Symbol: "PopIrpWatchdogBugcheck", Trust: report.TrustUnwind},
		{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KiProcessExpiredTimerList", Trust: report.TrustUnwind},
	}}
	if v := Judge(f); v.Image != "" || v.Bucket != "0x9F_3" || v.Cause != report.CauseUnknown {
		t.Errorf("%q %q %s", v.Image, v.Bucket, v.Cause)
	}
	f.Frames = []Frame{{Image: "tcpip.sys", Module: "tcpip", Symbol: "FlpWait", Trust: report.TrustUnwind}}
	if v := Judge(f); v.Image != "tcpip.sys" {
		t.Errorf("another thread's stack: %q", v.Image)
	}
}

// TestClasses: the first part of a bucket, as published logs have it.
func TestClasses(t *testing.T) {
	av := &Exception{Code: 0xc0000005, Access: "read"}
	for _, tt := range []struct {
		f    Facts
		want string
	}{
		{Facts{Code: 0xd1}, "AV"},
		{Facts{Code: 0xa, Verifier: true}, "AV_VRF"},
		{Facts{Code: 0xd1, Parameters: [4]uint64{0, 2, 8, 0}}, "AV_CODE_AV_PAGED_IP"},
		{Facts{Code: 0xd1, Parameters: [4]uint64{0, 2, 8, 0}, Verifier: true}, "AV_VRF_CODE_AV_PAGED_IP"},
		{Facts{Code: 0xd1, Parameters: [4]uint64{0, 2, 8, 0}, Context: Context{Fault: true}, Frames: []Frame{{Trust: report.TrustContext}}}, "AV_CODE_AV_BAD_IP"},
		{Facts{Code: 0x7f, Parameters: [4]uint64{8}, BadStack: true}, "0x7f_8_STACKPTR_ERROR"},
		{Facts{Code: 0x139, Parameters: [4]uint64{0x1d}, BadStack: true}, "0x139_1d_INVALID_BALANCED_TREE_STACKPTR_ERROR"},
		{Facts{Code: 0x139, Parameters: [4]uint64{4}, BadStack: true}, "0x139_MISSING_GSFRAME"},
		{Facts{Code: 0x154, Exception: &Exception{Code: 0xc0000006, Status: 0xc000000e}}, "0x154_c0000006_c000000e"},
		{Facts{Code: 0x7a, Parameters: [4]uint64{1, 0xc0000185}}, "0x7a_c0000185"},
		{Facts{Code: 0x50, Parameters: [4]uint64{1, 0}}, "AV_R_(null)"},
		{Facts{Code: 0x50, Parameters: [4]uint64{1, 2}}, "AV_W_(null)"},
		{Facts{Code: 0x50, Parameters: [4]uint64{1, 1}, Build: 7601}, "AV_W_(null)"},
		{Facts{Code: 0x3b, Exception: av}, "AV"},
		{Facts{Code: 0x3b, Exception: &Exception{Code: 0xc000001d}}, "0x3B_C000001D"},
		{Facts{Code: 0x7e, Exception: &Exception{Code: 0x80000003}}, "0x7E_80000003"},
		{Facts{Code: 0x1e, Exception: av}, "AV_R"},
		{Facts{Code: 0x139, Parameters: [4]uint64{3}}, "0x139_3_CORRUPT_LIST_ENTRY"},
		{Facts{Code: 0x139, Parameters: [4]uint64{0x1d}}, "0x139_1d_INVALID_BALANCED_TREE"},
		{Facts{Code: 0x139, Parameters: [4]uint64{4}}, "0x139_MISSING_GSFRAME"},
		{Facts{Code: 0x13a, Parameters: [4]uint64{0x12}}, "0x13a_12"},
		{Facts{Code: 0x19, Parameters: [4]uint64{0x22}}, "0x19_22"},
		{Facts{Code: 0x133}, "0x133_DPC"},
		{Facts{Code: 0x133, Parameters: [4]uint64{1}}, "0x133_ISR"},
		{Facts{Code: 0xc4, Parameters: [4]uint64{0x2002}, Verifier: true}, "0xc4_2002_VRF"},
		{Facts{Code: 0x101}, "CLOCK_WATCHDOG_TIMEOUT"},
		{Facts{Code: 0x124, Parameters: [4]uint64{16}, CPUVendor: "GenuineIntel"}, "0x124_16_GenuineIntel"},
		{Facts{Code: 0x20, Parameters: [4]uint64{0, 0xffff}}, "0x20_NULLAPC_KAPC_NEGATIVE"},
		{Facts{Code: 0xd1, Parameters: [4]uint64{8, 0xff}}, "DISABLED_INTERRUPT_FAULT"},
		{Facts{Code: 0x50, Parameters: [4]uint64{1, 0x10}}, "AV_X_(null)_BAD_IP"},
		{Facts{Code: 0x18, Parameters: [4]uint64{0, 1, 2, ^uint64(0)}}, "0x18_OVER_DEREFERENCE"},
		{Facts{Code: 0x18}, "0x18"},
		{Facts{Code: 0x3d, Exception: av}, "0x3D_C0000005"},
		{Facts{Code: 0x5a, Parameters: [4]uint64{1, 2, 3, 0xffffffffc0000428}}, "0x5A_c0000428"},
		{Facts{Code: 0x5c, Parameters: [4]uint64{0x10b, 3}}, "0x5C_HAL_CLOCK_INTERRUPT_NOT_RECEIVED"},
		{Facts{Code: 0xc2, Parameters: [4]uint64{7, 0x4a424b43}}, "0xc2_7_CKBJ"},
		{Facts{Code: 0xc2, Parameters: [4]uint64{7, 0x20206f49}}, "0xc2_7_Io__"},
		{Facts{Code: 0xc2, Parameters: [4]uint64{7, 0x109b}}, "0xc2_7"},
		{Facts{Code: 0xc2, Parameters: [4]uint64{0xd, 0x4a424b43}}, "0xc2_d"},
		{Facts{Code: 0xca, Parameters: [4]uint64{0x13}}, "0xCA_13"},
		{Facts{Code: 0xe6, Parameters: [4]uint64{0x26}}, "0xE6_26"},
		{Facts{Code: 0x10d, Parameters: [4]uint64{4}}, "0x10D_4"},
		{Facts{Code: 0x153, Parameters: [4]uint64{1, 2, 1, 4}}, "0x153_KERNEL_LOCK_ENTRY_LEAKED_ON_THREAD_TERMINATION_LOCK_POINTER_NOT_NULL"},
		{Facts{Code: 0x119, Parameters: [4]uint64{5}}, "0x119_5_DRIVER_FAULTED_SYSTEM_COMMAND"},
		{Facts{Code: 0x119, Parameters: [4]uint64{0xa000}}, "0x119"},
		{Facts{Code: 0x119, Parameters: [4]uint64{0x400}}, "0x119"},
		{Facts{Code: 0x1a8}, "0x1A8"},
		{Facts{Code: 0x1a8, Parameters: [4]uint64{1}}, "0x1A8_KEYBD_HOTKEY"},
		{Facts{Code: 0x1a8, Parameters: [4]uint64{10}}, "0x1A8_10"},
		{Facts{Code: 0x1cc, Parameters: [4]uint64{1, 2}}, "0x1cc_EXRESOURCE_TIMEOUT_OWNERTHREAD"},
		{Facts{Code: 0xe3, Verifier: true}, "0xE3_VRF"},
	} {
		if got := classOf(&tt.f); got != tt.want {
			t.Errorf("0x%x %x: class %q, want %q", tt.f.Code, tt.f.Parameters, got, tt.want)
		}
	}
}

// A driver inside a deadlock comes ahead of one that has a lock or a request.
func TestJudge_Deadlock(t *testing.T) {
	s := &Stuck{
		Requests:  []Pending{{Driver: "vendor3.sys", Process: "a.exe", Thread: 4, Waited: time.Hour, Fixed: true}},
		Locks:     []Lock{{Address: 0x1000, Waiters: 9, Process: "System", Thread: 12, Driver: "vendor2.sys"}},
		Deadlocks: [][]Blocked{{{Process: "System", Thread: 8, Lock: 0x2000}, {Process: "b.exe", Thread: 16, Driver: "vendor1.sys", Lock: 0x3000}}},
	}
	v := Judge(Facts{Code: 0xe2, Whole: true, Stuck: s})
	var order []string
	for _, a := range v.Alternatives {
		order = append(order, a.Image)
	}
	if want := []string{"vendor1.sys", "vendor2.sys", "vendor3.sys"}; !reflect.DeepEqual(order, want) || v.Cause != report.CauseRequested {
		t.Errorf("%s: %v, want %v", v.Cause, order, want)
	}
	if steps := v.NextSteps[0].String(); !strings.Contains(steps, "vendor1.sys") {
		t.Errorf("first step: %s", steps)
	}
}
