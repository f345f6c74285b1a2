package render

import (
	"regexp"
	"testing"
	"time"

	"bugcheck/analyze"
	"bugcheck/report"
	"bugcheck/win"
)

// deviceCodes are the stop codes of devices, power, storage and watchdogs that have
// rules.
var deviceCodes = []uint32{
	0x24, 0x77, 0x7a, 0x7b, 0x9c, 0x9f, 0xa0, 0xca, 0xd0, 0xe3, 0xea, 0xed, 0xef, 0xf4, 0xfe, 0x101, 0x10d, 0x10e, 0x113, 0x116, 0x117, 0x119,
	0x124, 0x133, 0x141, 0x144, 0x14f, 0x154, 0x15e, 0x17e, 0x193, 0x19c, 0x1a1, 0x1b8, 0x1ca, 0x1cc, 0x1d3, 0x1d5, 0x1d6,
}

// undocumented are values of parameter 1 that no table has, and those that only a
// rule knows.
var undocumented = []uint64{0, 1, 2, 3, 6, 8, 9, 0x10, 0x20, 0x30, 0x40, 0x50, 0x100, 0x7777, 0xffffffffc000009c}

// deviceFacts are the facts of a code with nothing beside its parameters, and with
// all that a whole machine could hold.
func deviceFacts(code uint32, p [4]uint64) []analyze.Facts {
	bare := analyze.Facts{Code: code, Parameters: p}
	full := bare
	status, pid, level := uint32(0xc0000006), uint64(700), uint8(2)
	frames := []analyze.Frame{
		{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeWaitForSingleObject", Trust: report.TrustContext},
		{Image: "vendor1.sys", Module: "vendor1", Offset: 0x1234, Trust: report.TrustUnwind},
	}
	full.CPUVendor, full.CPUFamily, full.Process, full.Tick = "AuthenticAMD", 0x15, "svchost.exe", 15625*time.Microsecond
	full.Images = []analyze.Image{{Image: "nvlddmkm.sys", Module: "nvlddmkm"}, {Image: "e1d68x64.sys", Module: "e1d68x64"}, {Image: "vendor1.sys", Module: "vendor1"}}
	full.Places = [4]analyze.Place{{}, {Kind: analyze.PlaceModule, Image: "vendor1.sys", Module: "vendor1"}, {Kind: analyze.PlaceModule, Image: "vendor1.sys", Module: "vendor1"}, {}}
	full.Thread = &analyze.Thread{Address: 0xffff8000, ID: 44, Process: "System", WaitReason: "Executive", Waited: time.Minute, Frames: frames,
		Pending: []analyze.Pending{{Driver: "vendor2.sys", Major: "IRP_MJ_POWER"}}}
	full.Dying = &analyze.Dying{Process: "csrss.exe", PID: &pid, Status: &status, Message: "Terminating critical process"}
	full.Nodes = []analyze.Node{{Instance: `USB\ROOT_HUB30`, Service: "usbhub3", Driver: "vendor1.sys"}}
	full.Samples = []analyze.Sample{{Image: "vendor1.sys", Module: "vendor1", Count: 12}, {Image: "ntoskrnl.exe", Module: "nt", Count: 40}}
	full.Hung = &analyze.Hung{At: full.Places[1], DPC: full.Places[1], Frames: frames, Process: "System", Thread: 8}
	full.Status, full.Message, full.TDRReason = 0xc000009d, "vendor1.sys", 9
	full.WHEA = &analyze.WHEA{
		Severity: "fatal", Section: "PROCESSOR", FRU: "DIMM_A1",
		Banks:     []analyze.MachineCheck{{Known: true, Bank: 4, Status: 0xfe00180000070f0f}, {Known: true, Bank: 1, Status: 0xfe00000000000000 | p[3]&0xffff}},
		Processor: []analyze.ProcessorError{{Type: "CACHE", Level: &level}},
		Memory:    []analyze.MemoryError{{Type: uint8(p[0] % 17), Address: 0x1000, Node: -1, Card: 2, Label: "DIMM_A1"}},
		PCI:       []analyze.PCIError{{Port: int(p[0] % 12), Slot: 3, Uncorrected: 1 << (p[0] % 32), Corrected: 1, Instance: `PCI\VEN_8086`, Service: "x", Driver: "e1d68x64.sys"}},
		Others:    []report.Text{report.T("an error of an Arm processor")},
	}
	list := []analyze.Facts{bare, full}
	for n := 1; n <= 4; n++ {
		for _, kind := range []string{"device", "physical device", "driver", "request", "power framework device"} {
			f := full
			f.Thread = nil
			f.Object = &analyze.Object{Parameter: n, Kind: kind, Driver: "vendor1.sys", Request: "IRP_MJ_POWER", Service: "vendor1", Instance: `USB\VID_1`, Stack: []string{"a.sys", "vendor1.sys"}}
			list = append(list, f)
		}
	}
	return list
}

// garbage is what a format with wrong arguments leaves behind, and what is left of one
// that got none.
var garbage = regexp.MustCompile(`%!|%[a-zA-Z0-9]*[dsxXv]`)

// TestDeviceCodes_EveryValue: each documented kind of these codes, and kinds that are
// not documented, give a verdict whose words are all there in both languages. A
// documented kind is told among the evidence or in the parameter's note.
func TestDeviceCodes_EveryValue(t *testing.T) {
	translate := translator(win.Japanese)
	for _, code := range deviceCodes {
		kinds := append([]uint64(nil), undocumented...)
		for _, v := range win.English.Values(code) {
			kinds = append(kinds, v.Value)
		}
		for _, kind := range kinds {
			for i, f := range deviceFacts(code, [4]uint64{kind, 0x7701, 0x123456, 0xc000000e}) {
				v := analyze.Judge(f)
				if v.Cause == "" || v.Confidence == "" || len(v.Evidence) == 0 || len(v.NextSteps) == 0 {
					t.Fatalf("0x%x, kind 0x%x, facts %d: %+v", code, kind, i, v)
				}
				for _, text := range sentencesOf(v) {
					lacks := ""
					ja := text.In(func(format string) string {
						s := translate(format)
						if s == "" && format != "%s" {
							lacks = format
						}
						return s
					})
					if en := text.String(); lacks != "" || garbage.MatchString(en) || garbage.MatchString(ja) || en == "" || ja == "" {
						t.Fatalf("0x%x, kind 0x%x, facts %d: %q, in Japanese %q, lacks %q", code, kind, i, en, ja, lacks)
					}
				}
			}
		}
	}
}

// TestDeviceCodes_Meaning: what a documented kind means is said.
func TestDeviceCodes_Meaning(t *testing.T) {
	for _, code := range deviceCodes {
		for _, value := range win.English.Values(code) {
			if value.Parameter != 1 || code == 0x133 || code == 0x9f && value.Value >= 3 && value.Value <= 4 {
				continue // told in other words
			}
			said := false
			for _, e := range analyze.Judge(analyze.Facts{Code: code, Parameters: [4]uint64{value.Value, 1, 2, 3}}).Evidence {
				said = said || e.Fact.Format == value.Meaning && e.Trust == report.Recorded
			}
			if !said {
				t.Errorf("0x%x, kind 0x%x: no evidence says %q", code, value.Value, value.Meaning)
			}
		}
	}
}
