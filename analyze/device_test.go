package analyze

import (
	"strings"
	"testing"
	"time"

	"bugcheck/report"
)

// In all of these the stack is the watchdog's or Windows' own.
var (
	inWatchdog = []Frame{{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeBugCheckEx", Trust: report.TrustContext},
		{Image: "ntoskrnl.exe", Module: "nt", Symbol: "PopIrpWatchdogBugcheck", Trust: report.TrustUnwind}}
	inGraphics = []Frame{{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeBugCheckEx", Trust: report.TrustContext},
		{Image: "watchdog.sys", Module: "watchdog", Symbol: "WdLogEvent5", Trust: report.TrustUnwind},
		{Image: "dxgmms2.sys", Module: "dxgmms2", Symbol: "VidSchiSendToExecutionQueue", Trust: report.TrustUnwind}}
	inFilter = []Frame{{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeBugCheckEx", Trust: report.TrustContext},
		{Image: "Ntfs.sys", Module: "Ntfs", Symbol: "NtfsRaise", Trust: report.TrustUnwind},
		{Image: "vendor1.sys", Module: "vendor1", Offset: 0x10, Trust: report.TrustUnwind}}
	waitsInDriver = []Frame{{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KiSwapContext", Trust: report.TrustContext},
		{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeWaitForSingleObject", Trust: report.TrustUnwind},
		{Image: "vendor1.sys", Module: "vendor1", Symbol: "StopDevice", Offset: 0x44, Trust: report.TrustUnwind},
		{Image: "ntoskrnl.exe", Module: "nt", Symbol: "PnpRemoveDevice", Trust: report.TrustUnwind}}
	waitsInKernel = waitsInDriver[:2]
	graphicsCard  = []Image{{Image: "nvlddmkm.sys", Module: "nvlddmkm"}, {Image: "dxgmms2.sys", Module: "dxgmms2"}}
)

func thread(frames []Frame, pending ...Pending) *Thread {
	return &Thread{Address: 0xffff8000, ID: 260, Process: "System", WaitReason: "Executive", Waited: 5 * time.Minute, Frames: frames, Pending: pending}
}

func deviceOf(parameter int, driver string) *Object {
	return &Object{Parameter: parameter, Kind: objectDevice, Driver: driver, Service: "vendor1", Instance: `USB\VID_1234&PID_5678\1`}
}

func codeIn(image string) Place {
	return Place{Kind: PlaceModule, Image: image, Module: strings.TrimSuffix(image, ".sys"), Offset: 0x1234}
}

// TestJudge_Devices: facts → verdict for the stop codes of devices and watchdogs.
// first is the first of the alternatives, "" for no matter.
func TestJudge_Devices(t *testing.T) {
	storageStatus, closed := uint32(0xc0000006), uint32(1)
	for _, tt := range []struct {
		name                     string
		facts                    Facts
		cause, image, confidence string
		first, bucket, evidence  string
	}{
		{"0x9F 4, the thread is in a driver", Facts{Code: 0x9f, Parameters: [4]uint64{4, 300, 0xffff8000}, Frames: inWatchdog, Thread: thread(waitsInDriver)},
			report.CauseDriver, "vendor1.sys", report.Medium, "", "0x9F_4_vendor1!StopDevice", "recorded It is thread 260 of System, which has waited 5 min (Executive)."},
		{"0x9F 4, the thread waits for a request", Facts{Code: 0x9f, Parameters: [4]uint64{4, 300, 0xffff8000}, Frames: inWatchdog, Thread: thread(waitsInKernel, Pending{Driver: "vendor2.sys", Major: "IRP_MJ_PNP"})},
			report.CauseDriver, "vendor2.sys", report.Medium, "", "0x9F_4_vendor2!unknown_function", "Its pending request (IRP_MJ_PNP) is with vendor2.sys."},
		{"0x9F 4, only the device is known", Facts{Code: 0x9f, Parameters: [4]uint64{4, 300, 0xffff8000}, Frames: inWatchdog, Nodes: []Node{{Instance: `DISPLAY\ABC4102\1`, Service: "monitor", Function: "vendor1.sys"}}},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "vendor1.sys", "", `Plug and Play was at work at DISPLAY\ABC4102\1 (service monitor).`},
		{"0x9F 1", Facts{Code: 0x9f, Parameters: [4]uint64{1, 0xffff8000}, Frames: inWatchdog, Object: deviceOf(2, "vendor1.sys")},
			report.CauseDriver, "vendor1.sys", report.High, "", "", "The device object belongs to vendor1.sys."},
		{"0x9F 5, the request is with Windows", Facts{Code: 0x9f, Parameters: [4]uint64{5, 1, 0xffff8000}, Frames: inWatchdog,
			Object: &Object{Parameter: 3, Kind: objectFx, Driver: "ACPI.sys", Service: "vendor1", Function: "vendor1.sys"}},
			report.CauseDriver, "vendor1.sys", report.High, "", "", "The device's power request is with ACPI.sys."},
		{"0x9F 5, only the physical device", Facts{Code: 0x9f, Parameters: [4]uint64{5, 0xffff8000, 0xffff9000}, Frames: inWatchdog,
			Object: &Object{Parameter: 2, Kind: objectPDO, Driver: "pci.sys", Service: "vendor1", Function: "vendor1.sys"}},
			report.CauseDriver, "vendor1.sys", report.High, "", "", "The device object belongs to pci.sys."},
		{"0x9F 5, a physical device without its driver", Facts{Code: 0x9f, Parameters: [4]uint64{5, 0xffff8000, 0xffff9000}, Frames: inWatchdog,
			Object: &Object{Parameter: 2, Kind: objectPDO, Driver: "pci.sys", Service: "vendor1"}},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "", "", "The device object belongs to pci.sys."},
		{"0x9F 1, a device of the kernel", Facts{Code: 0x9f, Parameters: [4]uint64{1, 0xffff8000}, Frames: inWatchdog, Object: deviceOf(2, "ntoskrnl.exe")},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "", "", ""},
		{"0x9C", Facts{Code: 0x9c, Parameters: [4]uint64{4, 0xffff8000, 0xb2000000, 0x00070f0f}, CPUVendor: vendorAMD}, report.CauseHardware, "", report.High, "", "",
			"MCi_STATUS of bank 4 is 0xb200000000070f0f (VAL UC EN PCC)."},
		{"0x9F 6, nothing in the dump", Facts{Code: 0x9f, Parameters: [4]uint64{6, 0xffff8000, 1}, Frames: inWatchdog}, report.CauseUnknown, "ntoskrnl.exe", report.Low, "", "", ""},

		{"0x133, time", Facts{Code: 0x133, Parameters: [4]uint64{0, 0x501, 0x500}, Frames: inWatchdog, Tick: 15625 * time.Microsecond},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "", "", "That is 20.01 s, at 15.625 ms a tick."},
		{"0x133, samples", Facts{Code: 0x133, Parameters: [4]uint64{1, 0x1e00}, Frames: inWatchdog, Samples: []Sample{{"ntoskrnl.exe", "nt", 60}, {"vendor1.sys", "vendor1", 40}}},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "vendor1.sys", "", "guessed Of 100 code addresses that the watchdog noted while time ran out, 40 lie in vendor1.sys."},
		{"0x133, what it interrupted", Facts{Code: 0x133, Parameters: [4]uint64{0, 0x501, 0x500}, Frames: append(inWatchdog[:1:1],
			Frame{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeAccumulateTicks", Trust: report.TrustUnwind},
			Frame{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KiInterruptDispatchNoLockNoEtw", Trust: report.TrustUnwind},
			Frame{Image: "vendor1.sys", Module: "vendor1", Symbol: "Dpc", Offset: 8, Trust: report.TrustUnwind})},
			report.CauseDriver, "vendor1.sys", report.Medium, "", "0x133_DPC_vendor1!Dpc", "The interrupt found the processor at vendor1!Dpc+0x8."},

		{"0x101, what the processor was in", Facts{Code: 0x101, Parameters: [4]uint64{0x30, 0, 0xffff8000, 2}, Frames: inWatchdog,
			Hung: &Hung{At: codeIn("ntoskrnl.exe"), Frames: waitsInDriver, Process: "a.exe", Thread: 12}},
			report.CauseUnknown, "", report.Low, "vendor1.sys", "CLOCK_WATCHDOG_TIMEOUT_vendor1!StopDevice", "recorded It ran thread 12 of a.exe."},
		{"0x101, an idle processor", Facts{Code: 0x101, Parameters: [4]uint64{0x30, 0, 0xffff8000, 2}, Frames: inWatchdog, Hung: &Hung{At: codeIn("ntoskrnl.exe"), Idle: true}},
			report.CauseUnknown, "", report.Low, "", "CLOCK_WATCHDOG_TIMEOUT", "no program was at work there"},
		{"0x1CA", Facts{Code: 0x1ca, Parameters: [4]uint64{1_200_000_000, 0, 0, 3}, Frames: inWatchdog, Hung: &Hung{At: codeIn("vendor1.sys")}},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "vendor1.sys", "", "No clock tick was handled for 120 s; the clock is kept by processor 3."},

		{"0xEF, ended by another", Facts{Code: 0xef, Frames: inWatchdog, Process: "killer.exe", Dying: &Dying{Process: "csrss.exe", Status: &closed}},
			report.CauseUnknown, "", report.Low, "", "", "derived killer.exe was at work at that moment: most likely it ended that process."},
		{"0xEF, a page that could not be read", Facts{Code: 0xef, Frames: inWatchdog, Process: "csrss.exe", Dying: &Dying{Process: "csrss.exe", Itself: true, Status: &storageStatus}},
			report.CauseStorage, "", report.Medium, "", "", "It ended with 0xc0000006 (STATUS_IN_PAGE_ERROR): a page of it could not be read from disk."},
		{"0xF4, a thread", Facts{Code: 0xf4, Parameters: [4]uint64{6, 0xffff8000}, Frames: inWatchdog, Dying: &Dying{Process: "services.exe", Thread: true, Message: "Terminating critical thread"}},
			report.CauseUnknown, "", report.Low, "", "", "Windows wrote beside it: Terminating critical thread"},

		{"0x119, the driver is not on the stack", Facts{Code: 0x119, Parameters: [4]uint64{2}, Frames: inGraphics, Images: graphicsCard},
			report.CauseDriver, "dxgmms2.sys", report.Low, "nvlddmkm.sys", "0x119_2_DRIVER_FAILED_SUBMIT_COMMAND_dxgmms2!VidSchiSendToExecutionQueue", "DRIVER_FAILED_SUBMIT_COMMAND"},
		{"0x119, the scheduler's own data", Facts{Code: 0x119, Parameters: [4]uint64{0x400}, Frames: inGraphics, Images: graphicsCard},
			report.CauseMemoryCorruption, "dxgmms2.sys", report.Low, "nvlddmkm.sys", "", ""},
		{"0x1B8", Facts{Code: 0x1b8, Live: true, Parameters: [4]uint64{8}, Frames: inGraphics, Images: graphicsCard},
			report.CauseDriver, "dxgmms2.sys", report.Low, "nvlddmkm.sys", "", "Somebody asked for it by keys or by the power button"},
		{"0x116, promoted", Facts{Code: 0x116, Parameters: [4]uint64{1, 2, 0xffffffffc000009a}, Places: [4]Place{{}, codeIn("nvlddmkm.sys")}, TDRReason: 9},
			report.CauseDriver, "nvlddmkm.sys", report.Medium, "", "0x116_IMAGE_nvlddmkm.sys", "the whole card had to be reset"},
		{"0xEA", Facts{Code: 0xea, Parameters: [4]uint64{0xffff8000, 0, 0xffff9000, 1}, Frames: inWatchdog, Message: "vendor1"},
			report.CauseDriver, "vendor1.sys", report.High, "", "", "The driver that Windows names is vendor1.sys."},
		{"0x19C 0x50", Facts{Code: 0x19c, Parameters: [4]uint64{0x50, 0xffff8000}, Frames: inWatchdog, Images: graphicsCard, Thread: thread(waitsInKernel)},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "nvlddmkm.sys", "", "the driver of the monitor had been asked to power on"},

		{"0x10D 1, the thread is in the driver", Facts{Code: 0x10d, Parameters: [4]uint64{1, 0xffff8000}, Frames: inWatchdog, Thread: thread(waitsInDriver), Object: deviceOf(2, "vendor1.sys")},
			report.CauseDriver, "vendor1.sys", report.Medium, "", "", "Its callers, the innermost first: nt!KeWaitForSingleObject+0x0, vendor1!StopDevice+0x44"},
		{"0x10D 1, only the device", Facts{Code: 0x10d, Parameters: [4]uint64{1, 0xffff8000}, Frames: inWatchdog, Object: deviceOf(2, "vendor1.sys")},
			report.CauseDriver, "vendor1.sys", report.High, "", "", `The device is USB\VID_1234&PID_5678\1 (service vendor1).`},
		{"0x10D 4, the caller", Facts{Code: 0x10d, Parameters: [4]uint64{4, 0, 0xfffff800}, Frames: inWatchdog, Places: [4]Place{{}, {}, codeIn("vendor1.sys")}},
			report.CauseDriver, "vendor1.sys", report.High, "", "", "That code is vendor1+0x1234."},
		{"0x10D 0xF, the callback", Facts{Code: 0x10d, Parameters: [4]uint64{0xf, 0xfffff800}, Frames: inWatchdog, Places: [4]Place{{}, codeIn("vendor1.sys")}},
			report.CauseDriver, "vendor1.sys", report.High, "", "", ""},
		{"0x10D 0xA, the status", Facts{Code: 0x10d, Parameters: [4]uint64{0xa, 0xffff8000}, Frames: inWatchdog, Status: 0xc0000010}, report.CauseUnknown, "ntoskrnl.exe", report.Low, "", "", "0xc0000010"},

		{"0xCA 1, the bus driver", Facts{Code: 0xca, Parameters: [4]uint64{1, 0xffff8000, 0xffff9000}, Frames: inWatchdog, Object: deviceOf(2, "vendor1.sys")},
			report.CauseDriver, "vendor1.sys", report.High, "", "0xCA_1_vendor1!unknown_function", ""},
		{"0xCA 1, of Windows", Facts{Code: 0xca, Parameters: [4]uint64{1, 0xffff8000}, Frames: inWatchdog, Object: deviceOf(2, "usbhub3.sys")},
			report.CauseDriver, "usbhub3.sys", report.Low, "", "", ""},
		{"0xCA 5, may be another's", Facts{Code: 0xca, Parameters: [4]uint64{5, 0xffff8000}, Frames: inWatchdog, Object: deviceOf(2, "vendor1.sys")},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "vendor1.sys", "", ""},
		{"0xA0 0x901", Facts{Code: 0xa0, Parameters: [4]uint64{0x901, 0xffff8000}, Frames: inWatchdog, Object: deviceOf(2, "vendor1.sys")},
			report.CauseDriver, "vendor1.sys", report.High, "", "", ""},
		{"0xA0 0x10A", Facts{Code: 0xa0, Parameters: [4]uint64{0x10a, 0, 0, 0xc0000185}, Frames: inWatchdog}, report.CauseStorage, "ntoskrnl.exe", report.Low, "", "", "STATUS_IO_DEVICE_ERROR"},
		{"0xA0 0x10E", Facts{Code: 0xa0, Parameters: [4]uint64{0x10e, 0, 1, 2}, Frames: inWatchdog}, report.CauseMemoryCorruption, "ntoskrnl.exe", report.Low, "", "", ""},
		{"0xA0 0x680", Facts{Code: 0xa0, Parameters: [4]uint64{0x680}, Frames: inWatchdog}, report.CauseFirmware, "ntoskrnl.exe", report.Medium, "", "", ""},
		{"0xA0 0xA", Facts{Code: 0xa0, Parameters: [4]uint64{0xa}, Frames: inWatchdog}, report.CauseRequested, "", report.High, "", "", ""},
		{"0xA0 0x900", Facts{Code: 0xa0, Parameters: [4]uint64{0x900, 0xfffff800}, Frames: inWatchdog, Places: [4]Place{{}, codeIn("vendor1.sys")}}, report.CauseDriver, "vendor1.sys", report.High, "", "", ""},

		{"0xFE 5", Facts{Code: 0xfe, Parameters: [4]uint64{5, 0xffff8000, 0x1e318086}, Frames: inWatchdog}, report.CauseHardware, "ntoskrnl.exe", report.Low, "", "", "PCI VEN_8086&DEV_1E31"},
		{"0x144 0x1001", Facts{Code: 0x144, Live: true, Parameters: [4]uint64{0x1001}, Frames: inWatchdog}, report.CauseHardware, "ntoskrnl.exe", report.Medium, "", "", "what the controller says of itself"},
		{"0x144 0x100C", Facts{Code: 0x144, Live: true, Parameters: [4]uint64{0x100c}, Frames: inWatchdog}, report.CauseFirmware, "ntoskrnl.exe", report.Medium, "", "", ""},
		{"0x144 0x1, the client", Facts{Code: 0x144, Parameters: [4]uint64{1, 0, 1, 0xffff8000}, Frames: inWatchdog, Object: deviceOf(4, "vendor1.sys")}, report.CauseDriver, "vendor1.sys", report.High, "", "", ""},
		{"0x144 0x804, a handle left open", Facts{Code: 0x144, Parameters: [4]uint64{0x804, 1, 0xffff8000}, Frames: inWatchdog, Object: deviceOf(3, "vendor1.sys")}, report.CauseDriver, "vendor1.sys", report.High, "", "", ""},

		{"0x15E 1, the adapter's driver", Facts{Code: 0x15e, Live: true, Parameters: [4]uint64{1, 1, 0xffff8000}, Frames: inWatchdog,
			Object: &Object{Parameter: 3, Kind: objectPDO, Driver: "pci.sys", Service: "vendor1", Function: "vendor1.sys"}},
			report.CauseDriver, "vendor1.sys", report.High, "", "LKD_0x15E_vendor1!unknown_function", ""},
		{"0x1A1", Facts{Code: 0x1a1, Live: true, Parameters: [4]uint64{0xffff8000}, Frames: inWatchdog, Thread: thread(waitsInDriver)}, report.CauseDriver, "vendor1.sys", report.Medium, "", "LKD_0x1A1_vendor1!StopDevice", ""},
		{"0x1CC", Facts{Code: 0x1cc, Live: true, Parameters: [4]uint64{0xffff8000, 0xffff9000, 250, 150}, Frames: inWatchdog, Thread: thread(waitsInDriver)},
			report.CauseDriver, "vendor1.sys", report.Medium, "", "", "A thread waited more than 150 s for the lock (ERESOURCE) at 0xffff8000; threads have had to wait for it 250 times."},
		{"0x1D5, by name", Facts{Code: 0x1d5, Parameters: [4]uint64{0x31726f646e6576, 0, 0xffff8000, 300000}, Frames: inWatchdog, Images: []Image{{Image: "vendor1.sys", Module: "vendor1"}, {Image: "other.sys"}}},
			report.CauseDriver, "vendor1.sys", report.Medium, "", "", "The only loaded driver whose name begins so is vendor1.sys."},
		{"0x1D5, a name of several", Facts{Code: 0x1d5, Parameters: [4]uint64{0x646e6576, 0, 0xffff8000, 300000}, Frames: inWatchdog, Images: []Image{{Image: "vendor1.sys"}, {Image: "vendor2.sys"}}},
			report.CauseUnknown, "ntoskrnl.exe", report.Low, "", "", "whose service begins with vend"},
		{"0x1D6", Facts{Code: 0x1d6, Parameters: [4]uint64{0xfffff800}, Frames: inWatchdog, Places: [4]Place{codeIn("vendor1.sys")}}, report.CauseDriver, "vendor1.sys", report.High, "", "", ""},
		{"0x17E", Facts{Code: 0x17e, Parameters: [4]uint64{0x906ea, 0xca, 0xb4, 3}}, report.CauseFirmware, "", report.High, "", "", "Processor 3 (signature 0x906ea) has microcode 0xb4; 0xca was expected."},
		{"0xE3, the caller", Facts{Code: 0xe3, Parameters: [4]uint64{1, 2}, Frames: inFilter}, report.CauseDriver, "vendor1.sys", report.Medium, "", "0xE3_vendor1!unknown_function", ""},

		{"0x24, damage on the disk", Facts{Code: 0x24, Frames: inFilter[:2], Exception: &Exception{Code: 0xc0000102}}, report.CauseStorage, "Ntfs.sys", report.Medium, "", "", "what stands on the disk is damaged"},
		{"0x24, a filter on the stack", Facts{Code: 0x24, Frames: inFilter}, report.CauseDriver, "vendor1.sys", report.Medium, "", "", ""},
		{"0x154, a page that could not be read", Facts{Code: 0x154, Frames: inWatchdog, Exception: &Exception{Code: statusInPageError}}, report.CauseStorage, "ntoskrnl.exe", report.Medium, "", "", ""},
	} {
		v := Judge(tt.facts)
		first := ""
		if len(v.Alternatives) > 0 {
			first = v.Alternatives[0].Image
		}
		if v.Cause != tt.cause || v.Image != tt.image || v.Confidence != tt.confidence {
			t.Errorf("%s: cause %s, image %q, confidence %s, want %s, %q, %s\n%s", tt.name, v.Cause, v.Image, v.Confidence, tt.cause, tt.image, tt.confidence, said(v))
		}
		if tt.first != "" && first != tt.first || tt.bucket != "" && v.Bucket != tt.bucket || !strings.Contains(said(v), tt.evidence) {
			t.Errorf("%s: first %q, bucket %q, want %q, %q and %q in\n%s", tt.name, first, v.Bucket, tt.first, tt.bucket, tt.evidence, said(v))
		}
	}
}

// TestJudge_DevicesWithoutObjects: where the dump holds nothing of what the parameters
// point to, no driver is blamed on the watchdog's stack.
func TestJudge_DevicesWithoutObjects(t *testing.T) {
	for _, c := range []uint32{0x9f, 0xa0, 0xca, 0xea, 0xef, 0xf4, 0xfe, 0x101, 0x10d, 0x133, 0x144, 0x14f, 0x15e, 0x19c, 0x1a1, 0x1ca, 0x1cc, 0x1d5, 0x1d6} {
		for kind := range uint64(0x20) {
			v := Judge(Facts{Code: c, Parameters: [4]uint64{kind, 0xffff8000, 0xffff8000, 0xffff8000}, Frames: inWatchdog})
			if v.Cause == report.CauseDriver || thirdParty(v.Image) && v.Image != "" {
				t.Errorf("0x%x, kind 0x%x: %s %q", c, kind, v.Cause, v.Image)
			}
		}
	}
}

// TestJudge_GraphicsSentence: only where the card did not answer does the summary say so.
func TestJudge_GraphicsSentence(t *testing.T) {
	power := Facts{Code: 0x9f, Parameters: [4]uint64{3, 1, 2, 3}, Power: &Power{IRPDriver: "nvlddmkm.sys", PDODriver: "pci.sys", Service: "nvlddmkm"}}
	if s := Judge(power).Summary.String(); !strings.Contains(s, "going to sleep") {
		t.Errorf("0x9F: %q", s)
	}
}

func TestLetters(t *testing.T) {
	for v, want := range map[uint64]string{0x646e6576: "vend", 0: "", 0xff01: "", 0x6c6562616c627375: "usblabel", 0x0064006e00650076: "vend"} {
		if got := letters(v); got != want {
			t.Errorf("letters(0x%x) = %q, want %q", v, got, want)
		}
	}
}

// TestGraphicsSteps: the driver to reinstall is the display driver, not the part of
// Windows that found its mistake.
func TestGraphicsSteps(t *testing.T) {
	v := Judge(Facts{Code: 0x119, Parameters: [4]uint64{2}, Frames: inGraphics, Images: graphicsCard})
	if !strings.Contains(v.NextSteps[0].String(), "Reinstall the display driver (nvlddmkm.sys)") {
		t.Errorf("steps %v", v.NextSteps)
	}
	usb := Judge(Facts{Code: 0x144, Parameters: [4]uint64{0x1001}})
	if !strings.Contains(usb.NextSteps[0].String(), "USB") {
		t.Errorf("steps %v", usb.NextSteps)
	}
}
