package labcheck_test

import (
	"strings"
	"testing"

	"bugcheck/internal/labcheck"
	"bugcheck/lab"
	"bugcheck/report"
)

// evidenceOf is all that a report knows, a line each: trust, fact and source.
func evidenceOf(r *report.Report) string {
	var all strings.Builder
	for _, e := range r.Verdict.Evidence {
		all.WriteString(e.Trust + " " + e.Fact.String() + " [" + e.Source.String() + "]\n")
	}
	return all.String()
}

// What whole memory tells beside the stack stands in the report, with how it is known.
func TestEvidence_WholeMemory(t *testing.T) {
	for _, tt := range []struct {
		kind string
		want []string
	}{
		{"buffer-overflow", []string{"recorded The block in front of it", "has the tag Fult", "derived The tag Fult stands in the code of myfault.sys.", `the text "OOOO`}},
		{"stack-trash", []string{`recorded The thread's pending request (IRP_MJ_DEVICE_CONTROL 0x8336000c) is with myfault.sys (device \Device\MyFault).`}},
		{"hang-irp", []string{"of notmyfault64.exe has waited 5 min inside the kernel; its request (IRP_MJ_DEVICE_CONTROL 0x83360024) is with myfault.sys"}},
		{"leak-nonpaged", []string{"recorded Tag Leak holds the most of it", "derived That tag stands in the code of myfault.sys."}},
		{"hang-dpc", []string{"recorded The deferred procedure (DPC) that the processor ran is myfault!HangDpcRoutine+0x0."}},
		{"power-irp", []string{"recorded The drivers of the device, the top one first: labusb.sys, USBXHCI.SYS."}},
		{"boot-device", []string{`recorded Windows was to start from \Device\HarddiskVolume3.`}},
		{"page-table-bit", []string{"still holds 0x40000000 in the dump.", "It lies in RAM at physical address 0x"}},
		{"high-irql-kernel", []string{"[page tables]"}},
		{"code-overwrite", []string{"recorded The code at nt!NtReadFile+0x0 differs from its image in 1 byte: "}},
	} {
		for _, o := range []lab.Options{{Arch: "x64", Build: 26100}, {Arch: "arm64", Build: 26100}} {
			b, err := labcheck.New(tt.kind, o, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			r, err := b.Report("kernel", true)
			b.Close()
			if err != nil {
				t.Fatal(err)
			}
			all := evidenceOf(r)
			for _, want := range tt.want {
				if !strings.Contains(all, want) {
					t.Errorf("%s on %s: no %q in\n%s", tt.kind, o.Arch, want, all)
				}
			}
			if differs := strings.Contains(all, "differs from its image"); differs != (tt.kind == "code-overwrite") {
				t.Errorf("%s on %s: code differs: %v", tt.kind, o.Arch, differs)
			}
		}
	}
}
