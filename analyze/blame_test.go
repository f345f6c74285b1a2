package analyze

import (
	"slices"
	"testing"

	"bugcheck/report"
)

// callers builds frames as unwinding finds them, from "module!symbol" pairs.
func calls(names ...[2]string) []Frame {
	frames := make([]Frame, 0, len(names))
	for _, n := range names {
		f := Frame{Module: n[0], Symbol: n[1], Trust: report.TrustUnwind}
		switch n[0] {
		case "":
		case "nt":
			f.Image = "ntoskrnl.exe"
		default:
			f.Image = n[0] + ".sys"
		}
		frames = append(frames, f)
	}
	return frames
}

// TestBlamed: who is named by the stack, as published logs have it.
func TestBlamed(t *testing.T) {
	stop, dispatch, fault := [2]string{"nt", "KeBugCheckEx"}, [2]string{"nt", "KiBugCheckDispatch"}, [2]string{"nt", "KiPageFault"}
	for name, tt := range map[string]struct {
		code   uint32
		p      [4]uint64
		frames []Frame
		bucket string
	}{
		"the watchdog alone": {0x133, [4]uint64{1}, calls(stop, [2]string{"nt", "KeAccumulateTicks"}, [2]string{"nt", "KeClockInterruptNotify"}, [2]string{"nt", "KiIdleLoop"}), "0x133_ISR_nt!KeAccumulateTicks"},
		"the watchdog met a guest": {0x133, [4]uint64{0}, calls(stop, [2]string{"nt", "KeAccumulateTicks"}, [2]string{"nt", "HvcallFastExtended"},
			[2]string{"winhvr", "WinHvRunVpDispatchLoop"}, [2]string{"Vid", "VidRun"}), "0x133_DPC_nt!KeAccumulateTicks"},
		"the watchdog met ACPI":             {0x133, [4]uint64{1}, calls(stop, [2]string{"nt", "KeAccumulateTicks"}, [2]string{"nt", "KiInterruptDispatch"}, [2]string{"ACPI", "ACPIInterruptDispatchEvents"}), "0x133_ISR_ACPI!ACPIInterruptDispatchEvents"},
		"the watchdog met NDIS":             {0x133, [4]uint64{0}, calls(stop, [2]string{"nt", "KeAccumulateTicks"}, [2]string{"nt", "KxWaitForSpinLockAndAcquire"}, [2]string{"ndis", "NdisReturnNetBufferLists"}), "0x133_DPC_ndis!NdisReturnNetBufferLists"},
		"the watchdog met the host's queue": {0x133, [4]uint64{0}, calls(stop, [2]string{"nt", "KeAccumulateTicks"}, [2]string{"winhvr", "WinHvpProcessSignalBitsetMessage"}), "0x133_DPC_winhvr!WinHvpProcessSignalBitsetMessage"},
		"the USB stack":                     {0xd1, [4]uint64{8, 2}, calls(stop, dispatch, fault, [2]string{"ucx01000", "Urb_Validate"}, [2]string{"vendor", "Send"}), "AV_ucx01000!Urb_Validate"},
		"the first start": {0x5c, [4]uint64{0x10b}, calls(stop, [2]string{"hal", "HalpInit"}, [2]string{"nt", "HalInitSystem"},
			[2]string{"nt", "InitBootProcessor"}, [2]string{"nt", "KiInitializeKernel"}), "0x5C_HAL_CLOCK_INTERRUPT_NOT_RECEIVED_nt!InitBootProcessor"},
		"only trap handling": {0x1e, [4]uint64{0xc0000005}, calls(stop, [2]string{"nt", "KiDispatchException"}, [2]string{"nt", "KiExceptionDispatch"}, fault, [2]string{"", ""}), "0x1E_C0000005_nt!KiDispatchException"},
		"the interrupts": {0x5c, [4]uint64{0x7000}, calls(stop, [2]string{"hal", "HalpInit"}, [2]string{"nt", "InitBootProcessor"}),
			"0x5C_HAL_INTERRUPT_REMAPPING_SETUP_FAILURE_nt!InitBootProcessor"},
		"a status as stop code": {0xc0000142, [4]uint64{}, calls(stop, [2]string{"nt", "PopGracefulShutdown"}, [2]string{"nt", "PopTransitionSystemPowerStateEx"}),
			"STATUS_DLL_INIT_FAILED_nt!PopTransitionSystemPowerStateEx"},
		"a page's checksum":     {0x1a, [4]uint64{0x3f}, calls(stop, [2]string{"nt", "MiValidatePagefilePageHash"}), "PAGE_HASH_ERRORS_0x1a_3f"},
		"driver verifier":       {0xd1, [4]uint64{8, 2}, calls(stop, dispatch, fault, [2]string{"vendor", "Read"}, [2]string{"nt", "IovCallDriver"}, [2]string{"nt", "IofCallDriver"}), "AV_VRF_vendor!Read"},
		"a check in the kernel": {0x139, [4]uint64{3}, calls([2]string{"nt", "PspProcessDelete"}, [2]string{"nt", "ObpRemoveObjectRoutine"}), "0x139_3_CORRUPT_LIST_ENTRY_nt!KiFastFailDispatch"},
		"a check, from the log": {0x139, [4]uint64{3}, calls(stop, dispatch, [2]string{"nt", "KiFastFailDispatch"}, [2]string{"nt", "KiRaiseSecurityCheckFailure"},
			[2]string{"nt", "PspProcessDelete"}), "0x139_3_CORRUPT_LIST_ENTRY_nt!KiFastFailDispatch"},
		"a check in the timers": {0x139, [4]uint64{3}, calls([2]string{"nt", "KiProcessExpiredTimerList"}, [2]string{"nt", "KiTimerExpiration"}),
			"0x139_3_CORRUPT_LIST_ENTRY_KTIMER_LIST_CORRUPTION_nt!KiProcessExpiredTimerList"},
	} {
		v := Judge(Facts{Code: tt.code, Parameters: tt.p, Frames: tt.frames})
		if v.Bucket != tt.bucket {
			t.Errorf("%s: bucket %q, want %q", name, v.Bucket, tt.bucket)
		}
	}
}

// TestBlamed_ScanBeforeLastResort: a driver that a scan found is a better clue than
// the kernel's trap handling.
func TestBlamed_ScanBeforeLastResort(t *testing.T) {
	frames := append(calls([2]string{"nt", "KeBugCheckEx"}, [2]string{"nt", "KiPageFault"}), Frame{Image: "vendor.sys", Module: "vendor", Trust: report.TrustScan})
	if v := Judge(Facts{Code: 0xd1, Frames: frames}); v.Image != "vendor.sys" || v.Bucket != "" {
		t.Errorf("image %q, bucket %q; want vendor.sys without a bucket", v.Image, v.Bucket)
	}
}

// TestJudge_DisplayDriver: where the parameter does not lead to the display driver,
// the one on the stack is named, else the only one that is loaded; Windows' graphics
// kernel never.
func TestJudge_DisplayDriver(t *testing.T) {
	stack := calls([2]string{"nt", "KeBugCheckEx"}, [2]string{"dxgkrnl", "TdrBugcheckOnTimeout"}, [2]string{"dxgmms2", "VidSchiResetEngine"})
	nv, intel := Image{Image: "nvlddmkm.sys", Module: "nvlddmkm"}, Image{Image: "igdkmdn64.sys", Module: "igdkmdn64"}
	for name, tt := range map[string]struct {
		images []Image
		frames []Frame
		bucket string
		others int
	}{
		"on the stack":   {[]Image{nv, intel}, append(slices.Clone(stack), calls([2]string{"nvlddmkm", ""})...), "0x116_IMAGE_nvlddmkm.sys", 0},
		"loaded alone":   {[]Image{{Image: "dxgkrnl.sys", Module: "dxgkrnl"}, intel}, stack, "0x116_IMAGE_igdkmdn64.sys", 0},
		"two are loaded": {[]Image{nv, intel}, stack, "", 2},
		"none is known":  {nil, stack, "", 0},
	} {
		v := Judge(Facts{Code: 0x116, Frames: tt.frames, Images: tt.images})
		if v.Bucket != tt.bucket || v.Image == "dxgkrnl.sys" || len(v.Alternatives) < tt.others {
			t.Errorf("%s: image %q, bucket %q, alternatives %v", name, v.Image, v.Bucket, v.Alternatives)
		}
	}
}

func TestJudge_ExitOwnedMutex(t *testing.T) {
	f := Facts{Code: 0x39, Frames: calls([2]string{"nt", "KeBugCheckEx"}, [2]string{"nt", "ExpWorkerThread"})}
	f.Places[0] = Place{Kind: PlaceModule, Image: "vendor.sys", Module: "vendor", Symbol: "Worker"}
	if v := Judge(f); v.Image != "vendor.sys" || v.Bucket != "0x39_vendor!Worker" {
		t.Errorf("a driver's worker: %s, %s", v.Image, v.Bucket)
	}
	f.Places[0] = Place{Kind: PlaceModule, Image: "ntoskrnl.exe", Module: "nt", Symbol: "IopLoadUnloadDriver"}
	if v := Judge(f); v.Bucket != "0x39_nt!IopLoadUnloadDriver" || v.Cause != report.CauseUnknown {
		t.Errorf("the kernel's worker: %s, %s", v.Bucket, v.Cause)
	}
}

func TestJudge_HungInDriver(t *testing.T) {
	h := &Hung{At: Place{Kind: PlaceModule, Image: "vendor.sys", Module: "vendor"}}
	if v := Judge(Facts{Code: 0x101, Hung: h}); v.Bucket != "CLOCK_WATCHDOG_TIMEOUT_vendor!unknown_function" {
		t.Errorf("bucket %q", v.Bucket)
	}
	h.At = Place{Kind: PlaceModule, Image: "ntoskrnl.exe", Module: "nt"}
	if v := Judge(Facts{Code: 0x101, Hung: h}); v.Bucket != "CLOCK_WATCHDOG_TIMEOUT" {
		t.Errorf("in the kernel: bucket %q", v.Bucket)
	}
}
