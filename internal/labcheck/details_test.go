package labcheck_test

import (
	"strings"
	"testing"

	"bugcheck/internal/labcheck"
	"bugcheck/lab"
)

// TestDetails: what the truth's cause and image do not say, the evidence must: which
// module, which device, which processor, which thread.
func TestDetails(t *testing.T) {
	for _, tt := range []struct {
		kind string
		says []string // whole memory, with symbols
	}{
		{"machine-check", []string{"Machine-check bank 7 of processor 1: MCi_STATUS is 0xbe0000000000009f (VAL UC EN MISCV ADDRV PCC).", "RD_CHANNELunspecified_ERR"}},
		{"memory-error", []string{"The firmware names the part: DIMM_A2.", "several wrong bits", "node 0, card 0, module 1, bank 3, row 6699, column 60"}},
		{"pci-error", []string{"0000:03:00.0 (bus:device.function), vendor 0x1af4, device 0x1000", "Surprise Down (status 0x00000020)", `PCI\VEN_1AF4&DEV_1000\0 (service labnet)`}},
		{"clock-watchdog", []string{"That processor was last seen at labnet!LabnetInterrupt+0x", "Its callers, the innermost first: labnet!LabnetInterrupt+0x"}},
		{"pnp-lock", []string{"labusb!LabusbSetPower+0x", "That thread is inside labusb.sys.", `Plug and Play was at work at USB\VID_1D6B&PID_0104\LAB0001 (service labusb).`, "of System, which has waited"}},
		{"critical-process", []string{"That process is csrss.exe.", "svchost.exe was at work at that moment"}},
		{"dpc-watchdog", []string{"That is 20.01 s, at 15.625 ms a tick.", "The interrupt found the processor at labnet!LabnetWatchdogDpc",
			"Of 64 code addresses that the watchdog noted while time ran out, "}},
	} {
		for _, o := range []lab.Options{{Arch: "x64", Build: 22621}, {Arch: "arm64", Build: 26100}} {
			if tt.kind == "machine-check" && o.Arch == "arm64" {
				continue // it has no banks
			}
			b, err := labcheck.New(tt.kind, o, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			r, err := b.Report("kernel", true)
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, e := range r.Verdict.Evidence {
				all.WriteString(e.Fact.String() + "\n")
			}
			for _, s := range tt.says {
				if !strings.Contains(all.String(), s) {
					t.Errorf("%s, %s: no evidence says %q:\n%s", tt.kind, o.Arch, s, all.String())
				}
			}
			b.Close()
		}
	}
}
