package analyze

import (
	"fmt"
	"strings"
	"testing"

	"bugcheck/report"
	"bugcheck/win"
)

// testedMemoryCodes are the stop codes about memory, pool and driver verifier.
var testedMemoryCodes = []uint32{
	0x0a, 0x19, 0x1a, 0x2e, 0x34, 0x3f, 0x4e, 0x50, 0xa2, 0xb8, 0xbe, 0xcf, 0xd9, 0xde, 0xf1, 0xf6, 0x127, 0xc1, 0xc2, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xcc, 0xcd,
	0xce, 0xd1, 0xd4, 0xd5, 0xd6, 0xd8, 0xda, 0xdb, 0xe6, 0xf7, 0xfc, 0x109, 0x12b, 0x139, 0x13a, 0x1c7,
}

// japaneseOf is the translation of every format that the program and the catalogue have.
func japaneseOf() map[string]string {
	m := map[string]string{"%s": "%s"}
	for _, row := range win.Table("messages.ja", 2) {
		m[row[0]] = row[1]
	}
	for _, en := range win.English.Codes() {
		ja := win.Japanese.Values(en.Code)
		for i, v := range win.English.Values(en.Code) {
			m[v.Meaning] = ja[i].Meaning
		}
	}
	for _, row := range win.Table("drivers", 6) {
		m[row[2]] = row[3]
	}
	return m
}

// TestJudge_EveryDocumentedValue: every value that the documentation knows of a
// parameter, with the others at nothing, at all ones, at addresses and at text, on a
// whole dump and on a small one, gets a summary, evidence and steps, in both languages.
func TestJudge_EveryDocumentedValue(t *testing.T) {
	japanese := japaneseOf()
	for _, code := range testedMemoryCodes {
		for _, v := range append(win.English.Values(code), win.Value{Parameter: 1, Value: 0x7777}) {
			n := max(v.Parameter, 1) - 1
			for _, other := range []uint64{0, ^uint64(0), 0xffffb50f12345678, 0x4141414141414141, 2} {
				f := Facts{Code: code, Arch: "x64", Build: 26100, Parameters: [4]uint64{other, other, other, other}}
				if other == 2 {
					f.Frames = []Frame{inKeBugCheck, trusted(vendor, report.TrustUnwind)}
					f.Places[1] = Place{Kind: PlaceModule, Image: "vendor1.sys", Module: "vendor1", Offset: 0x1234}
				}
				f.Parameters[n] = v.Value
				name := fmt.Sprintf("0x%x, parameter %d = 0x%x, others 0x%x", code, n+1, v.Value, other)
				checkWords(t, name, Judge(f), japanese)
				checkSays(t, name, f, v)
			}
		}
	}
}

// checkWords refuses what is empty, badly formatted or only in English.
func checkWords(t *testing.T, name string, v report.Verdict, japanese map[string]string) {
	t.Helper()
	texts := append([]report.Text{v.Summary}, v.NextSteps...)
	for _, e := range v.Evidence {
		texts = append(texts, e.Fact, e.Source)
	}
	if len(v.Evidence) == 0 || len(v.NextSteps) == 0 || v.Cause == "" {
		t.Errorf("%s: %d lines of evidence, %d steps, cause %q", name, len(v.Evidence), len(v.NextSteps), v.Cause)
	}
	for _, text := range texts {
		missing := ""
		ja := text.In(func(format string) string {
			if japanese[format] == "" {
				missing = format
			}
			return japanese[format]
		})
		for _, s := range []string{text.String(), ja} {
			if s == "" || strings.Contains(s, "%!") {
				t.Errorf("%s: %q", name, s)
			}
		}
		if missing != "" {
			t.Errorf("%s: no Japanese for %q", name, missing)
		}
	}
}

// checkSays: what the value means stands in the evidence, if it is a value that the
// catalogue explains and not one that has words of its own there.
func checkSays(t *testing.T, name string, f Facts, v win.Value) {
	t.Helper()
	own := map[uint32]bool{0x139: true} // told by the name of the check and by what follows
	if v.Meaning == "" || own[f.Code] || f.Code == 0x1a && f.Parameters[0] == corruptPTE {
		return
	}
	for _, e := range Judge(f).Evidence {
		if e.Fact.Format == v.Meaning {
			return
		}
	}
	t.Errorf("%s: the evidence does not say %q", name, v.Meaning)
}

// TestChecks_Names: every check of __fastfail that winnt.h names is explained in the
// catalogue, and no check stands in two groups.
func TestChecks_Names(t *testing.T) {
	seen := map[uint64]bool{}
	for _, c := range failedChecks {
		for _, code := range c.codes {
			if seen[code] || win.FastFailName(code) == "" {
				t.Errorf("check %d stands twice, or has no name", code)
			}
			seen[code] = true
		}
	}
	for code := range uint64(71) {
		if _, ok := win.English.Value(0x139, 1, code); ok != (win.FastFailName(code) != "") {
			t.Errorf("check %d: named %q, explained %v", code, win.FastFailName(code), ok)
		}
	}
}

var (
	byVendor   = []Frame{inKeBugCheck, trusted(vendor, report.TrustUnwind)}
	atVendor   = []Frame{trusted(vendor, report.TrustContext)}
	inVendor   = Place{Kind: PlaceModule, Image: "vendor1.sys", Module: "vendor1", Offset: 0x1234}
	wasVendor  = Place{Kind: PlaceUnloaded, Image: "vendor2.sys", Module: "vendor2", Offset: 0x1234}
	byTheStack = report.CauseDriver
	damaged    = report.CauseMemoryCorruption
)

// TestJudge_Memory: facts to verdict, for what tells detector from culprit, hardware from
// driver, and one kind of a stop code from another.
func TestJudge_Memory(t *testing.T) {
	const block = uint64(0xffffb50f12345000)
	for _, tt := range []struct {
		name, facts             string
		f                       Facts
		cause, confidence, says string // says: of summary, evidence and steps
	}{
		{"0x1A", "two records one bit apart", Facts{Code: 0x1a, Parameters: [4]uint64{0x403, block, 0x8a0, 0x8a4}, Frames: byVendor},
			report.CauseHardware, report.High, "exactly one bit, bit 2"},
		{"0x1A", "two records many bits apart", Facts{Code: 0x1a, Parameters: [4]uint64{0x403, block, 0x8a0, 0x1234}, Frames: byVendor},
			damaged, report.Low, "hardware is probably to blame"},
		{"0x1A", "an entry one bit beside the right one", Facts{Code: 0x1a, Parameters: [4]uint64{0x404, block, 0x8a0, block ^ 0x1000}, Frames: byVendor},
			report.CauseHardware, report.High, "exactly one bit, bit 12"},
		{"0x1A", "a driver's call", Facts{Code: 0x1a, Parameters: [4]uint64{0x1236, block}, Frames: byVendor},
			byTheStack, report.Medium, "the call itself was wrong"},
		{"0x1A", "a working set", Facts{Code: 0x1a, Parameters: [4]uint64{0x41284, block}, Frames: byVendor},
			damaged, report.Low, "did not do it"},
		{"0x1A", "a kind that nobody documents", Facts{Code: 0x1a, Parameters: [4]uint64{0x42001, block}, Frames: byVendor},
			damaged, report.Low, "It was found while vendor1.sys was at work"},
		{"0x1A", "a free block with a flag", Facts{Code: 0x1a, Parameters: [4]uint64{0x5200, block, block + 0x101, block + 0x100}},
			damaged, report.Low, "one bit alone, bit 0"},
		{"0x1A", "a checksum of the page file", Facts{Code: 0x1a, Parameters: [4]uint64{0x3f, 0x1000, 0xaa, 0xab}},
			report.CauseHardware, report.Medium, "offset 0x1000"},
		{"0x1A", "an entry with two bits", Facts{Code: 0x1a, Parameters: [4]uint64{0x41792, block, 3}},
			damaged, report.Low, "2 bits are set"},
		{"0x1A", "a reserved bit in the page tables", Facts{Code: 0x1a, Arch: "x64", Parameters: [4]uint64{0x61941, block, 9, block}, Exception: &Exception{}, Frames: byVendor},
			damaged, report.Low, "a bit set in an entry of the page tables that must be zero"},
		{"0x4E", "a page unlocked twice", Facts{Code: 0x4e, Parameters: [4]uint64{7, 0x1234, 1}, Frames: byVendor},
			byTheStack, report.Medium, "physical address 0x1234000"},
		{"0x4E", "a page table entry", Facts{Code: 0x4e, Parameters: [4]uint64{0x99, 0x1234}, Frames: byVendor},
			damaged, report.Low, "did not do it"},
		{"0x4E", "a free list", Facts{Code: 0x4e, Parameters: [4]uint64{0x8d, 0x1234}, Frames: byVendor},
			damaged, report.Low, "memory first"},
		{"0x4E", "a page with a parity error", Facts{Code: 0x4e, Parameters: [4]uint64{0x99, 0x1234}, Frames: byVendor, RAM: &RAMPage{Number: 0x1234, State: "active", Parity: true}},
			report.CauseHardware, report.High, "reported an error in that page"},
		{"0x4E", "a page that its entry leads past", Facts{Code: 0x4e, Parameters: [4]uint64{0x99, 0x1234}, Frames: byVendor, RAM: &RAMPage{Number: 0x1234, State: "active", Address: block, Content: 0x8a00000001235963}},
			report.CauseHardware, report.High, "one bit (bit 12) is wrong"},
		{"0x4E", "a page whose entry is another's", Facts{Code: 0x4e, Parameters: [4]uint64{0x99, 0x1234}, Frames: byVendor, RAM: &RAMPage{Number: 0x1234, State: "standby", Content: 0x8a00000009999963}},
			damaged, report.Low, "down as free to be used again"},
		{"0x50", "a pointer of text", Facts{Code: 0x50, Build: 19041, Parameters: [4]uint64{0x6465646f636e6f4e, 0, 0x1000}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, `"Noncoded"`},
		{"0xD1", "a fill pattern", Facts{Code: 0xd1, Parameters: [4]uint64{0xa3a3a3a3a3a3a3db, 2, 0, 0x1000}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, "the byte 0xa3 over and over"},
		{"0xA", "interrupts turned off", Facts{Code: 0x0a, Parameters: [4]uint64{0x10, 0xff, 0, 0x1000}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, "while the processor took no interrupts"},
		{"0x139", "a function pointer", Facts{Code: 0x139, Parameters: [4]uint64{10}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.Medium, "The caller noticed"},
		{"0x139", "the registry call", Facts{Code: 0x139, Parameters: [4]uint64{9}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, "Nothing was damaged"},
		{"0x139", "the shadow stack", Facts{Code: 0x139, Parameters: [4]uint64{67}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.Medium, "changed return address"},
		{"0x139", "a check that is new", Facts{Code: 0x139, Parameters: [4]uint64{99}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, "Check 99 (?) failed"},
		{"0x13A", "a double free", Facts{Code: 0x13a, Parameters: [4]uint64{0xf, block, block}, Frames: byVendor},
			byTheStack, report.Medium, "most likely crashed Windows: it gave back a block of memory that was not in use"},
		{"0x13A", "no heap", Facts{Code: 0x13a, Parameters: [4]uint64{0x13, 0, block}, Frames: byVendor},
			byTheStack, report.Medium, "the call of the heap was wrong"},
		{"0x13A", "a segment", Facts{Code: 0x13a, Parameters: [4]uint64{0x12, block, block}, Frames: byVendor},
			damaged, report.Low, "noticed it at the block"},
		{"0x19", "a link one bit off", Facts{Code: 0x19, Parameters: [4]uint64{3, block, block | 0x40, block}, Frames: byVendor},
			report.CauseHardware, report.Medium, "(bit 6)"},
		{"0x19", "a link of text", Facts{Code: 0x19, Parameters: [4]uint64{3, block, 0x6465646f636e6f4e, block}, Frames: byVendor},
			damaged, report.Low, `"Noncoded"`},
		{"0x19", "bytes behind a block", Facts{Code: 0x19, Parameters: [4]uint64{0x21, block, 0x40, 0x11}, Frames: byVendor},
			byTheStack, report.Medium, "wrote past its end"},
		{"0x19", "a size", Facts{Code: 0x19, Parameters: [4]uint64{0x20, block, block}, Frames: byVendor},
			damaged, report.Low, "found the damage"},
		{"0xC1", "bytes in front", Facts{Code: 0xc1, Parameters: [4]uint64{block + 0xf00, block + 0xef8, 0, 0x23}, Frames: byVendor},
			byTheStack, report.Medium, "8 bytes in front of the block"},
		{"0xC1", "bytes behind", Facts{Code: 0xc1, Parameters: [4]uint64{block + 0xf00, block + 0xff0, 0, 0x24}, Frames: byVendor},
			byTheStack, report.Medium, "240 bytes behind the start"},
		{"0xC1", "one bit", Facts{Code: 0xc1, Parameters: [4]uint64{block + 0xf00, block + 0x10, 0, 0x32}, Frames: byVendor},
			report.CauseHardware, report.Medium, "A single bit is wrong"},
		{"0xC1", "the IRQL", Facts{Code: 0xc1, Parameters: [4]uint64{3, 1, 0x40, 0x30}, Frames: byVendor},
			byTheStack, report.Medium, "at IRQL 3, with paged pool"},
		{"0xC1", "steps", Facts{Code: 0xc1, Parameters: [4]uint64{block, 0, 0, 0x20}, Frames: byVendor},
			byTheStack, report.Medium, "verifier /reset"},
		{"0xC2", "a damaged header", Facts{Code: 0xc2, Parameters: [4]uint64{1, block}, Frames: byVendor},
			damaged, report.Low, "found the damage"},
		{"0xC2", "a double free", Facts{Code: 0xc2, Parameters: [4]uint64{7, 0x6b61654c, 0, block}, Frames: byVendor},
			byTheStack, report.Medium, "Its tag is Leak.\nThe one on the stack freed it the second time"},
		{"0xC2", "a double free in the first line", Facts{Code: 0xc2, Parameters: [4]uint64{6, 0, block}, Frames: byVendor},
			byTheStack, report.Medium, "most likely crashed Windows: it freed a block of memory a second time"},
		{"0xC2", "two tags", Facts{Code: 0xc2, Parameters: [4]uint64{0xa, block, 0x6b61654c, 0x65657246}, Frames: byVendor},
			byTheStack, report.Medium, "has the tag Leak and was freed with the tag Free"},
		{"0xC4", "a rule by name", Facts{Code: 0xc4, Parameters: [4]uint64{0x20005}, Frames: byVendor},
			byTheStack, report.Medium, "the rule IrqlExApcLte1 of driver verifier"},
		{"0xC4", "a rule that a timer finds", Facts{Code: 0xc4, Parameters: [4]uint64{0x92003}, Frames: byVendor},
			byTheStack, report.Low, "not of the driver that is late"},
		{"0xC4", "a sector", Facts{Code: 0xc4, Parameters: [4]uint64{0xa0, block, block, 77}, Frames: byVendor},
			report.CauseStorage, report.Medium, "sector 77"},
		{"0xC4", "the firmware", Facts{Code: 0xc4, Parameters: [4]uint64{0xb7, 2, 1, 2}, Frames: byVendor},
			report.CauseFirmware, report.Medium, "Update the firmware (BIOS) of the machine"},
		{"0xC4", "a deadlock", Facts{Code: 0xc4, Parameters: [4]uint64{0x1001, block}, Frames: byVendor},
			byTheStack, report.Medium, "!deadlock"},
		{"0xC6", "freed pool", Facts{Code: 0xc6, Parameters: [4]uint64{block, 1}, Frames: byVendor},
			byTheStack, report.Medium, "kernel mode"},
		{"0xC7", "a timer left behind", Facts{Code: 0xc7, Parameters: [4]uint64{0, block, block, block + 0x100}, Frames: byVendor},
			byTheStack, report.Medium, "left a timer"},
		{"0xC7", "APCs", Facts{Code: 0xc7, Parameters: [4]uint64{4, 0x1000, 0, 0xffff}, Frames: byVendor},
			byTheStack, report.Medium, "was 0 before the routine at 0x1000 ran and -1 after"},
		{"0xC9", "a place in a driver", Facts{Code: 0xc9, Parameters: [4]uint64{0x20b, 0x1000}, Places: [4]Place{1: inVendor}},
			byTheStack, report.High, "in vendor1+0x1234"},
		{"0xCC", "freed", Facts{Code: 0xcc, Parameters: [4]uint64{block, 1, 0x1000}, Places: [4]Place{2: inVendor}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, "it wrote to memory that had been freed"},
		{"0xCD", "past the end", Facts{Code: 0xcd, Parameters: [4]uint64{block + 4, 0, 0x1000}, Places: [4]Place{2: inVendor}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, "4 bytes behind the end of the page in front"},
		{"0xD6", "in front", Facts{Code: 0xd6, Parameters: [4]uint64{block + 0xff8, 1, 0x1000}, Places: [4]Place{2: inVendor}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, "in front of its block"},
		{"0xCE", "an unloaded driver", Facts{Code: 0xce, Parameters: [4]uint64{block, 0x10, block}, Places: [4]Place{wasVendor}},
			byTheStack, report.High, "cancel its timers"},
		{"0xD4", "which is not known", Facts{Code: 0xd4, Parameters: [4]uint64{block, 2, 0, block}, Frames: byVendor},
			byTheStack, report.Low, "the dump does not hold"},
		{"0xD8", "a driver that holds many", Facts{Code: 0xd8, Parameters: [4]uint64{block, 900, 3, 1000}, Frames: byVendor},
			byTheStack, report.Medium, "holds 900 entries of 1000"},
		{"0x3F", "not side by side", Facts{Code: 0x3f, Parameters: [4]uint64{0, 100, 300, 1000}, Frames: byVendor},
			byTheStack, report.Medium, "not side by side"},
		{"0xDA", "two tags", Facts{Code: 0xda, Parameters: [4]uint64{0x101, block, 0x6b61654c, 0x65657246}, Frames: byVendor},
			byTheStack, report.Medium, "tag is Leak, the owner's Free"},
		{"0xDB", "overwritten entries", Facts{Code: 0xdb, Parameters: [4]uint64{block, 2, 0, 0x1000}, Frames: byVendor},
			damaged, report.Low, "did not do it"},
		{"0xE6", "the IOMMU", Facts{Code: 0xe6, Parameters: [4]uint64{0x26, block}, Frames: byVendor},
			byTheStack, report.Low, "Take the device out"},
		{"0xE6", "a freed buffer", Facts{Code: 0xe6, Parameters: [4]uint64{3, 1}, Frames: byVendor},
			byTheStack, report.Medium, "maker of vendor1.sys"},
		{"0xF7", "an overrun", Facts{Code: 0xf7, Arch: "x64", Parameters: [4]uint64{0xa6703535, 0x98ee9e09, ^uint64(0x98ee9e09)}, Frames: byVendor},
			byTheStack, report.Medium, "past a local buffer"},
		{"0xF7", "an overrun, 32-bit", Facts{Code: 0xf7, Arch: "x86", Parameters: [4]uint64{0xa6703535, 0x98ee9e09, 0x671161f6}, Frames: byVendor},
			byTheStack, report.Medium, "past a local buffer"},
		{"0xF7", "one bit", Facts{Code: 0xf7, Arch: "x64", Parameters: [4]uint64{0x98ee9e0d, 0x98ee9e09, ^uint64(0x98ee9e09)}, Frames: byVendor},
			report.CauseHardware, report.Medium, "exactly one bit, bit 2"},
		{"0xF7", "zeros", Facts{Code: 0xf7, Arch: "x64", Parameters: [4]uint64{block, 0x98ee9e09, ^uint64(0x98ee9e09)}, Places: [4]Place{{Kind: PlaceStack}}, Frames: byVendor},
			byTheStack, report.Medium, "zeros were written"},
		{"0xF7", "the copy in the driver", Facts{Code: 0xf7, Arch: "x64", Parameters: [4]uint64{block, 0x98ee9e09, 1}, Frames: byVendor},
			byTheStack, report.Medium, "the driver's own data"},
		{"0xFC", "a stack", Facts{Code: 0xfc, Parameters: [4]uint64{block, 0x8000000000000963}, Places: [4]Place{{Kind: PlaceStack}}},
			report.CauseUnknown, report.Low, "lies on a stack"},
		{"0xFC", "a caller that jumped", Facts{Code: 0xfc, Parameters: [4]uint64{block, 0x8000000000000963}, Context: Context{Fault: true}, Frames: []Frame{{Trust: report.TrustContext}, trusted(vendor, report.TrustUnwind)}},
			byTheStack, report.Medium, "look at its caller"},
		{"0xFC", "data of a driver", Facts{Code: 0xfc, Parameters: [4]uint64{block, 0x8000000000000963}, Places: [4]Place{inVendor}, Context: Context{Fault: true}, Frames: atVendor},
			byTheStack, report.Medium, "in a part that holds data"},
		{"0x109", "code", Facts{Code: 0x109, Parameters: [4]uint64{2: block, 3: 1}, Frames: byVendor},
			damaged, report.Low, "breakpoint of a debugger"},
		{"0x109", "a register", Facts{Code: 0x109, Parameters: [4]uint64{3: 7}, Frames: byVendor},
			damaged, report.Low, "faulty memory is out"},
		{"0x12B", "a page", Facts{Code: 0x12b, Parameters: [4]uint64{block, 0x6ca}, Frames: byVendor},
			report.CauseHardware, report.High, "physical address 0x6ca000"},
		{"0x12B", "a status", Facts{Code: 0x12b, Parameters: [4]uint64{0xffffffffc00002c4, 0x6ca}, Frames: byVendor},
			report.CauseHardware, report.Medium, "compressed in memory"},
		{"0x127", "a page", Facts{Code: 0x127, Parameters: [4]uint64{block, 0x6ca}, Frames: byVendor},
			damaged, report.Low, "filled with zeros"},
		{"0xA2", "a range", Facts{Code: 0xa2, Parameters: [4]uint64{3, 0x6ca, 5, 0}, Frames: byVendor},
			report.CauseHardware, report.Medium, "in 5 pages from physical address 0x6ca000"},
		{"0xD9", "an MDL entered twice", Facts{Code: 0xd9, Parameters: [4]uint64{1, block, block, 5}, Frames: byVendor},
			byTheStack, report.Medium, "out of order"},
		{"0xDE", "pool of files", Facts{Code: 0xde, Frames: byVendor},
			damaged, report.Low, "files written last"},
		{"0xCF", "a session", Facts{Code: 0xcf, Parameters: [4]uint64{block, 1, 0x1000}, Places: [4]Place{2: inVendor}, Frames: atVendor, Context: Context{Fault: true}},
			byTheStack, report.High, "by a process that belongs to none"},
		{"0xF6", "the firmware", Facts{Code: 0xf6, Parameters: [4]uint64{1}, Frames: byVendor},
			report.CauseFirmware, report.Medium, "Update the firmware (BIOS) of the machine"},
		{"0xF6", "a PCI driver", Facts{Code: 0xf6, Parameters: [4]uint64{3}, Frames: byVendor},
			byTheStack, report.Medium, "verifier /reset"},
		{"0x1C7", "a checksum", Facts{Code: 0x1c7, Parameters: [4]uint64{0, block, 1, 0x6ca}, Frames: byVendor},
			damaged, report.Low, "physical address 0x6ca000"},
		{"0x2E", "an access", Facts{Code: 0x2e, Parameters: [4]uint64{block, 0x1000}, Frames: byVendor},
			report.CauseHardware, report.Medium, "parity error"},
		{"0xB8", "a wait", Facts{Code: 0xb8, Parameters: [4]uint64{block, block}, Frames: byVendor},
			byTheStack, report.Medium, "may not wait"},
		{"0x34", "the cache", Facts{Code: 0x34, Parameters: [4]uint64{0x50830}, Frames: byVendor},
			byTheStack, report.Low, "0x5, line 2096"},
	} {
		v := Judge(tt.f)
		if v.Cause != tt.cause || v.Confidence != tt.confidence {
			t.Errorf("%s, %s: cause %s, confidence %s; want %s, %s", tt.name, tt.facts, v.Cause, v.Confidence, tt.cause, tt.confidence)
		}
		if all := allWords(v); !strings.Contains(all, tt.says) {
			t.Errorf("%s, %s: nothing says %q:\n%s", tt.name, tt.facts, tt.says, all)
		}
	}
}

func allWords(v report.Verdict) string {
	words := []string{v.Summary.String()}
	for _, e := range v.Evidence {
		words = append(words, e.Fact.String())
	}
	for _, s := range v.NextSteps {
		words = append(words, s.String())
	}
	return strings.Join(words, "\n")
}

// TestSpelled: text in a pointer, and pointers that are none.
func TestSpelled(t *testing.T) {
	for _, tt := range []struct {
		value uint64
		want  string
	}{
		{0x6465646f636e6f4e, "Noncoded"}, {0x0064006100650064, "dead"}, {0xfffff80012345678, ""},
		{0x00007ff612345678, ""}, {0, ""}, {0x41, ""}, {0x41414141, ""},
	} {
		if got := spelled(tt.value); got != tt.want {
			t.Errorf("0x%x: %q, want %q", tt.value, got, tt.want)
		}
	}
	for _, tt := range []struct {
		value uint64
		arch  string
		want  bool
	}{
		{0xa3a3a3a3a3a3a3db, "x64", true}, {0xa3a3a3db, "x86", true}, {0xa3a3a3db, "x64", false}, {0, "x64", false}, {^uint64(0), "x64", false},
		{0xfffff80012345678, "x64", false},
	} {
		if _, ok := repeated(tt.value, tt.arch); ok != tt.want {
			t.Errorf("0x%x on %s: repeated %v", tt.value, tt.arch, ok)
		}
	}
}

// TestMappedAt: what a page table entry maps, by its address.
func TestMappedAt(t *testing.T) {
	for _, tt := range []struct{ entry, want uint64 }{
		{0xffffdd7c01895000, 0xfffff80312a00000}, // of the kernel's image, with the tables at index 0x1ba
		{0xffffdd010bc5d3f8, 0},                  // of a program
		{0xffffdd6eb7400000, 0},                  // of the tables themselves
		{0, 0},
	} {
		if got := mappedAt(tt.entry); got != tt.want {
			t.Errorf("0x%x: 0x%x, want 0x%x", tt.entry, got, tt.want)
		}
	}
}
