package analyze_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/analyze"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/report"
)

// labDump writes a machine of the lab's into a dump and gives its path.
func labDump(t *testing.T, s *lab.System) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "MEMORY.DMP")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Dump(f, ram.KernelBitmap); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCollect_FollowsParameters: what a parameter points at in a whole machine leads to
// the driver behind it, for codes that have no rule for it.
func TestCollect_FollowsParameters(t *testing.T) {
	s, err := lab.Plan{Arch: "x64", Build: 19041, Memory: 1 << 30}.System()
	if err != nil {
		t.Fatal(err)
	}
	usb, net, nt := s.Driver("labusb"), s.Driver("labnet"), s.Module("ntoskrnl.exe")
	thread := s.Process("explorer.exe").Threads[1]
	routine := usb.Module.Base + 0x1400
	irp, err := s.AddIRP(usb.Devices[0], lab.Request{Major: 3, Current: 1, Thread: thread, Arguments: [4]uint64{0, 0, 0, routine}})
	if err != nil {
		t.Fatal(err)
	}
	// The top stack location, from its Parameters on, is what an IO_WORKITEM is at 0x20: a
	// routine, then a device object.
	workItem := irp + 0xd0 + 0x48
	lock := s.Resource("Test")
	if err := s.Acquire(lock, thread, false); err != nil {
		t.Fatal(err)
	}
	path := labDump(t, s)
	worker := nt.Base + 0x2000
	for _, tt := range []struct {
		name             string
		code             uint32
		parameters       [4]uint64
		cause, suspect   string // the culprit, or the first of the alternatives
		confidence, says string
	}{
		{"a request", 0x44, [4]uint64{irp}, report.CauseUnknown, "labusb.sys", report.Low, "It is an I/O request (IRP_MJ_READ) that went through labusb.sys, USBXHCI.SYS."},
		{"a device", 0x36, [4]uint64{net.Devices[0].Address}, report.CauseUnknown, "labnet.sys", report.Low, `It is: device \Device\NDMP2 of labnet.sys.`},
		{"a driver object that is named the culprit", 0xca, [4]uint64{0xa, usb.Address}, report.CauseDriver, "labusb.sys", report.High, "labusb.sys."},
		{"a worker's routine", 0xe1, [4]uint64{routine, 2, 0, workItem}, report.CauseDriver, "labusb.sys", report.High, "It is code of labusb.sys (labusb+0x1400)."},
		{"a worker's routine in the kernel", 0xe1, [4]uint64{worker, 2, 0, workItem}, report.CauseDriver, "labusb.sys", report.Medium, "It is a work item of labusb.sys"},
		{"a driver's name", 0xd8, [4]uint64{usb.Address + 0x38}, report.CauseDriver, "labusb.sys", report.High, `It reads: \Driver\labusb`},
		{"a lock", 0xe3, [4]uint64{lock, thread.Address}, report.CauseUnknown, "", report.Low, "The lock is held by thread"},
		{"an object and its type", 0x18, [4]uint64{typeOf(t, path, "Device"), usb.Devices[0].Address}, report.CauseUnknown, "labusb.sys", report.Low, "The type of the object is Device."},
		{"nothing but numbers", 0x44, [4]uint64{0xffff123400005678}, report.CauseUnknown, "", report.Low, ""},
		{"an address that is not in the dump", 0xca, [4]uint64{0xa, 0x1234567890}, report.CauseUnknown, "", report.Low, ""},
	} {
		m := kernel.Open(openDump(t, path))
		m.Header.BugCheckCode, m.Header.Parameters = tt.code, tt.parameters
		f := analyze.Collect(m)
		f.Process = "System" // whose work the lab's other program has no part in
		v := analyze.Judge(f)
		suspect := v.Image
		if v.Cause != report.CauseDriver {
			suspect = ""
			if len(v.Alternatives) > 0 {
				suspect = v.Alternatives[0].Image
			}
		}
		if v.Cause != tt.cause || suspect != tt.suspect || v.Confidence != tt.confidence || !strings.Contains(evidence(v), tt.says) {
			t.Errorf("%s: cause %s, suspect %q, confidence %s; want %s, %q, %s, and %q in\n%s", tt.name, v.Cause, suspect, v.Confidence, tt.cause, tt.suspect, tt.confidence, tt.says, evidence(v))
		}
	}
}

// typeOf finds an OBJECT_TYPE by its name.
func typeOf(t *testing.T, path, name string) uint64 {
	t.Helper()
	list, err := kernel.Open(openDump(t, path)).Directory(`\ObjectTypes`)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		if o.Name == name {
			return uint64(o.Address)
		}
	}
	t.Fatalf("no object type %s", name)
	return 0
}
