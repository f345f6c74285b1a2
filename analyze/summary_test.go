package analyze

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bugcheck/report"
)

// The first sentence and the steps are about what the facts say, in the order in which
// somebody can act on them.
func TestJudge_WhatPeopleRead(t *testing.T) {
	fault := Context{Fault: true}
	av := &Exception{Code: statusAccessViolation, Address: 0xfffff80312345678, Access: "read"}
	notCanonical := notTold
	wrote := *av
	wrote.Target = &notCanonical
	closed := uint32(1)
	for _, tt := range []struct {
		name    string
		facts   Facts
		summary string   // is in the first sentence
		not     []string // is in neither sentence nor steps nor evidence
		first   string   // is in the first step
		says    string   // is somewhere in evidence, steps or alternatives
	}{
		{"the start of Windows", Facts{Code: 0x65, Uptime: 20 * time.Second, Process: "System"}, "", nil, "while it started", ""},
		{"a program runs already", Facts{Code: 0x65, Uptime: 20 * time.Second, Process: "Discord.exe"}, "", []string{"while it started"}, "", ""},
		{"hardware at the start", Facts{Code: 0x9c, Uptime: 20 * time.Second, Process: "System"}, "", []string{"while it started"}, "", ""},
		{"a card whose driver no list knows", Facts{Code: 0x116, Parameters: [4]uint64{1, 2}, Places: [4]Place{{}, in("vendor1.sys")}}, "The graphics card that vendor1.sys drives", nil, "", ""},
		{"the program that makes crashes", Facts{Code: 0xa, Process: "NotMyfault64.exe", Images: []Image{{Image: "myfault.sys", Module: "myfault"}}}, "the first suspect is myfault.sys", nil, "crashes Windows on purpose", "was at work on this processor"},
		{"that program without its driver", Facts{Code: 0xa, Process: "NotMyfault64.exe"}, "", []string{"myfault.sys"}, "", ""},
		{"a process that another ended", Facts{Code: 0xef, Process: "killer.exe", Dying: &Dying{Process: "csrss.exe", Status: &closed}}, "killer.exe most likely ended csrss.exe", []string{"does not show who"}, "Find out why killer.exe ended it", ""},
		{"memory ran short", Facts{Code: 0xe2, Stuck: &Stuck{Short: Shortage{Tag: "Vend", Drivers: []string{"vendor1.sys"}}}}, "memory had run short; vendor1.sys", nil, "", ""},
		{"damaged pool", Facts{Code: 0x19, Parameters: [4]uint64{0x20}}, "", nil, "Install pending", "special pool"},
		{"pool damaged by text", Facts{Code: 0x19, Parameters: [4]uint64{0x20}, Block: &Block{Text: "OOOO"}}, "", []string{"MemTest86"}, "", "special pool"},
		{"a driver that had left", Facts{Code: 0x13a, Parameters: [4]uint64{0x12}, Unloaded: []string{"vgk.sys"}}, "does not show who caused that.", []string{"were at work: vgk.sys"}, "had been unloaded before the crash: vgk.sys", "it was unloaded before"},
		{"endless calls", Facts{Code: 0x7f, Parameters: [4]uint64{8}, Context: fault, Frames: slices.Repeat([]Frame{trusted(vendor, report.TrustContext)}, recursion)}, "called itself again and again", nil, "", "stands on the stack 16 times"},
		{"a DPC that took long", Facts{Code: 0x133, Parameters: [4]uint64{0, 1281, 1280}, Hung: &Hung{DPC: in("vendor1.sys")}, Frames: []Frame{inKeBugCheck, trusted(vendor, report.TrustUnwind)}}, "", []string{"verifier /standard", "no driver is named"}, "Update vendor1.sys", "wpr -start CPU"},
		{"Windows went on", Facts{Code: 0xab}, "", []string{"MemTest86"}, "Nothing needs to be done at once", ""},
		{"a lock", Facts{Code: 0xe3}, "", []string{"MemTest86"}, "", ""},
		{"the hypervisor's driver nearby", Facts{Code: 0x7e, Exception: av, Context: fault, Frames: []Frame{trusted(inKernel1, report.TrustContext), {Image: "vmswitch.sys", Module: "vmswitch", Trust: report.TrustScan}}}, "", []string{"MemTest86"}, "", "bcdedit /set hypervisorlaunchtype off"},
		{"a write without an address", Facts{Code: 0x7e, Exception: &wrote, Context: fault, Frames: []Frame{trusted(vendor, report.TrustContext)}, Instruction: &Instruction{Memory: []Operand{{Write: true}}}}, "", []string{"attempt to read"}, "", "the instruction itself writes"},
	} {
		v := Judge(tt.facts)
		if !strings.Contains(v.Summary.String(), tt.summary) {
			t.Errorf("%s: %q is not in %q", tt.name, tt.summary, v.Summary)
		}
		if len(v.NextSteps) == 0 || !strings.Contains(v.NextSteps[0].String(), tt.first) {
			t.Errorf("%s: %q is not in the first step of %v", tt.name, tt.first, v.NextSteps)
		}
		all := []string{v.Summary.String()}
		for _, e := range v.Evidence {
			all = append(all, e.Fact.String())
		}
		for _, s := range v.NextSteps {
			all = append(all, s.String())
		}
		for _, a := range v.Alternatives {
			all = append(all, a.Image+": "+a.Why.String())
		}
		text := strings.Join(all, "\n")
		if !strings.Contains(text, tt.says) {
			t.Errorf("%s: %q is not in\n%s", tt.name, tt.says, text)
		}
		for _, not := range tt.not {
			if strings.Contains(text, not) {
				t.Errorf("%s: %q is in\n%s", tt.name, not, text)
			}
		}
	}
}

// The bucket of a place is the same failure on every machine, that of broken parts is not.
func TestCompare_Buckets(t *testing.T) {
	here, there := report.Hex(0x10), report.Hex(0x20)
	for _, tt := range []struct {
		name    string
		verdict report.Verdict
		bits    [2]int
		places  [2]*report.Hex
		apart   bool
		want    string
		says    string
	}{
		{"a driver, two machines", driverVerdict("netx.sys", "AV_netx!f", report.High), [2]int{}, [2]*report.Hex{&here, &here}, true, report.SameFailure, "the same failure"},
		{"faulty memory, two machines", bitVerdict(3), [2]int{3, 3}, [2]*report.Hex{}, true, report.SameNothing, "broken parts of its own"},
		{"faulty memory, one bit", bitVerdict(3), [2]int{3, 3}, [2]*report.Hex{}, false, report.SameFailure, "the same failure"},
		{"faulty memory, two bits", bitVerdict(3), [2]int{3, 4}, [2]*report.Hex{}, false, report.SameFailure, "not the same wrong bit: 3 and 4"},
		{"a driver without symbols, two places", driverVerdict("netx.sys", "AV_netx!unknown_function", report.High), [2]int{}, [2]*report.Hex{&here, &there}, false, report.SameDriver, "at different places"},
		{"the kernel without symbols, two places", kernelVerdict("AV_nt!unknown_function"), [2]int{}, [2]*report.Hex{&here, &there}, false, report.SameNothing, "names no more than the module"},
	} {
		a, b := dumpOn(0, 0x1a, tt.verdict), dumpOn(1, 0x1a, tt.verdict)
		for i, r := range []*report.Report{a, b} {
			if r.Verdict.Bit != nil {
				r.Verdict.Bit = &tt.bits[i]
			}
			if r.Verdict.Module == "" {
				r.Verdict.Module = "netx"
			}
			if tt.places[i] != nil {
				r.Stack = []report.Frame{{Module: r.Verdict.Module, Offset: tt.places[i]}}
			}
		}
		if tt.apart {
			b.System.Processor, b.Modules = "Another CPU", nil
		}
		c := Compare(a, b)
		if c.Same != tt.want || !strings.Contains(c.Summary.String(), tt.says) {
			t.Errorf("%s: %s, %q", tt.name, c.Same, c.Summary)
		}
		if tt.apart && len(c.Changes) > 0 {
			t.Errorf("%s: changes between two machines: %v", tt.name, c.Changes)
		}
	}
}
