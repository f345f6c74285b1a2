package analyze

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/mem"
	"bugcheck/report"
)

// TestDecodeMCA: the error codes of the processor manuals. Statuses of published
// crashes stand with the name that the debugger printed, where it did.
func TestDecodeMCA(t *testing.T) {
	for _, tt := range []struct {
		status        uint64
		section, name string
	}{
		{0xfa00000000070f0f, "PROCESSOR_BUS", "BUSLG_GENERIC_ERR_*_TIMEOUT_ERR"}, // sevenforums 275432
		{0xfe00000000070f0f, "PROCESSOR_BUS", "BUSLG_GENERIC_ERR_*_TIMEOUT_ERR"}, // sysnative 11311
		{0xb200000000100153 | 4<<56, "PROCESSOR_CACHE", "ICACHELG_IRD_ERR"},
		{0xbe2000000005110a, "PROCESSOR_CACHE", "GCACHEL2_ERR_ERR"},
		{0xb200004000000800, "PROCESSOR_BUS", "BUSL0_SRC_ERR_M_NOTIMEOUT_ERR"},
		{0xbe00000000800400, "PROCESSOR_MAE", "INTERNAL_TIMER"},
		{0xb200000000000005, "PROCESSOR_MAE", "INTERNAL_PARITY"},
		{0xb200000000000002, "PROCESSOR_MAE", "MICROCODE_ROM_PARITY"},
		{0xbe00000000000014, "PROCESSOR_TLB", "DTLBL0_ERR"},
		{0xbe0000000000000e, "PROCESSOR_CACHE", "GENCACHEL2_ERR"},
		{0xbe00000000010091, "MEMORY", "RD_CHANNEL1_ERR"},
		{0xbe0000000001009f, "MEMORY", "RD_CHANNELunspecified_ERR"},
		{0xbe00000000000e0b, "PROCESSOR_BUS", "IO_ERR"},
		{0xb200000000000407, "PROCESSOR_MAE", "INTERNAL"},
		{0, "", ""},
	} {
		if got := decodeMCA(tt.status); got.section != tt.section || got.name != tt.name || (got.section == "") != got.what.IsZero() {
			t.Errorf("decodeMCA(0x%x) = %q, %q, %q, want %q, %q", tt.status, got.section, got.name, got.what, tt.section, tt.name)
		}
	}
}

// TestDecodeMCA_EveryCode: no code gives a name with a hole, and only zero is no error.
func TestDecodeMCA_EveryCode(t *testing.T) {
	for code := range uint64(1 << 16) {
		if got := decodeMCA(code); code&^0x1000 != 0 && (got.section == "" || got.name == "" || got.what.IsZero()) || strings.Contains(got.what.String(), "%!") {
			t.Fatalf("decodeMCA(0x%x) = %+v", code, got)
		}
	}
}

func TestMachineCheck_Flags(t *testing.T) {
	for status, want := range map[uint64]string{
		0xfe00000000070f0f: "VAL OVER UC EN MISCV ADDRV PCC", 0xb200000000070f0f: "VAL UC EN PCC", 0x8c00004000010091: "VAL MISCV ADDRV",
	} {
		if got := (MachineCheck{Status: status}).flags(vendorIntel); got != want {
			t.Errorf("flags(0x%x) = %q, want %q", status, got, want)
		}
	}
	if got := (MachineCheck{Status: 0x9c2040000001011b}).flags(vendorAMD); got != "VAL EN MISCV ADDRV CECC" {
		t.Errorf("AMD flags %q", got)
	}
}

func TestAERNames(t *testing.T) {
	for _, tt := range []struct {
		status      uint32
		names, what string
	}{
		{0x20, "Surprise Down", "vanished"}, // sysnative 327
		{0x4000, "Completion Timeout", "did not answer"},
		{0x40020, "Surprise Down, Malformed TLP", "vanished"},
		{0x100000, "Unsupported Request", "does not take it"},
		{0x400000, "Uncorrectable Internal Error", "inside itself"},
		{0x1000, "Poisoned TLP Received", "damaged"},
		{1 << 30, "", ""},
	} {
		what, _ := aerMeaning(tt.status)
		if got := aerNames(aerUncorrected, tt.status); got != tt.names || !strings.Contains(what.String(), tt.what) {
			t.Errorf("0x%x: %q, %q, want %q, %q", tt.status, got, what, tt.names, tt.what)
		}
	}
	for _, bits := range [][]aerBit{aerUncorrected, aerCorrected} {
		for i, b := range bits {
			if b.name == "" || i > 0 && b.bit <= bits[i-1].bit {
				t.Errorf("bit %d %q", b.bit, b.name)
			}
		}
	}
}

// A record under construction.
type cper struct{ sections [][]byte }

func (c *cper) add(guid [16]byte, fru string, body []byte) {
	d := make([]byte, cperDescriptor)
	copy(d[16:], guid[:])
	if fru != "" {
		d[10] = 2
		copy(d[52:], fru)
	}
	c.sections = append(c.sections, d, body)
}

func (c *cper) bytes() []byte {
	b := make([]byte, cperHeader)
	copy(b, "CPER")
	n := len(c.sections) / 2
	binary.LittleEndian.PutUint16(b[10:], uint16(n))
	binary.LittleEndian.PutUint32(b[12:], 1)
	at := cperHeader + n*cperDescriptor
	for i := range n {
		d, body := c.sections[2*i], c.sections[2*i+1]
		binary.LittleEndian.PutUint32(d, uint32(at))
		binary.LittleEndian.PutUint32(d[4:], uint32(len(body)))
		b = append(b, d...)
		at += len(body)
	}
	for i := range n {
		b = append(b, c.sections[2*i+1]...)
	}
	return b
}

// GUIDs as they stand in memory.
var (
	guidGeneric = [16]byte{0xad, 0xcc, 0x76, 0x98, 0xb4, 0x47, 0xdb, 0x4b, 0xb6, 0x5e, 0x16, 0xf1, 0x93, 0xc4, 0xf3, 0xdb}
	guidMCA     = [16]byte{0x01, 0x1d, 0x1e, 0x8a, 0xf9, 0x42, 0x57, 0x45, 0x9c, 0x33, 0x56, 0x5e, 0x5c, 0xc3, 0xf7, 0xe8}
	guidMemory  = [16]byte{0x14, 0x11, 0xbc, 0xa5, 0x64, 0x6f, 0xde, 0x4e, 0xb8, 0x63, 0x3e, 0x83, 0xed, 0x7c, 0x83, 0xb1}
	guidPCI     = [16]byte{0x54, 0xe9, 0x95, 0xd9, 0xc1, 0xbb, 0x0f, 0x43, 0xad, 0x91, 0xb4, 0x4d, 0xcb, 0x3c, 0x6f, 0x35}
)

// oneRange is memory of one range.
type oneRange struct {
	at mem.VA
	b  []byte
}

func (m oneRange) ReadAt(p []byte, va mem.VA) (int, error) {
	if va < m.at || va >= m.at+mem.VA(len(m.b)) {
		return 0, &mem.Fault{Address: va, Reason: "is not in the dump"}
	}
	n := copy(p, m.b[va-m.at:])
	if n < len(p) {
		return n, &mem.Fault{Address: va + mem.VA(n), Reason: "is not in the dump"}
	}
	return n, nil
}

func fields(b []byte, at int, size int, values ...uint64) {
	for _, v := range values {
		switch size {
		case 2:
			binary.LittleEndian.PutUint16(b[at:], uint16(v))
		case 4:
			binary.LittleEndian.PutUint32(b[at:], uint32(v))
		case 8:
			binary.LittleEndian.PutUint64(b[at:], v)
		}
		at += size
	}
}

// amdRecord is the record of a Ryzen processor whose execution unit's watchdog ran out.
func amdRecord() []byte {
	var c cper
	generic := make([]byte, 192)
	fields(generic, 0, 8, 4|0x20|0x100)
	generic[10], generic[13] = 1, 0
	fields(generic, 152, 8, 13)
	c.add(guidGeneric, "", generic)
	bank := make([]byte, 0x110)
	fields(bank, 0, 4, 2, mcaVendorAMD)
	fields(bank, 0x10, 4, 9)
	fields(bank, 0x24, 4, 5)
	fields(bank, 0x28, 8, 0xbea0000000000108, 0x1f8054c3e, 0xd01a0ffe00000000)
	fields(bank, 0x48, 8, 0x500b000000000)
	c.add(guidMCA, "", bank)
	return c.bytes()
}

func readWHEA(t *testing.T, b []byte) *WHEA {
	t.Helper()
	w := &WHEA{}
	if err := w.readRecord(oneRange{0x1000, b}, 0x1000); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestReadRecord_MachineCheck(t *testing.T) {
	w := readWHEA(t, amdRecord())
	want := []MachineCheck{{Known: true, Processor: 9, Bank: 5, Status: 0xbea0000000000108, Address: 0x1f8054c3e, Misc: 0xd01a0ffe00000000, IPID: 0x500b000000000}}
	if w.Severity != "fatal" || w.Vendor != vendorAMD || w.Section != "PROCESSOR_CACHE" || !reflect.DeepEqual(w.Banks, want) || len(w.Processor) != 1 || w.Processor[0].Number != 13 {
		t.Fatalf("%+v", w)
	}
	v := Judge(Facts{Code: 0x124, Parameters: [4]uint64{0, 0xffff8000, 0xbea00000, 0x108}, CPUVendor: vendorAMD, CPUFamily: 0x17, WHEA: w})
	for _, s := range []string{
		"recorded Machine-check bank 5 of processor 9: MCi_STATUS is 0xbea0000000000108 (VAL UC EN MISCV ADDRV PCC).",
		"its own code 0 means: watchdog: no instruction was finished for too long.", "the execution unit", "The error concerns the address 0x1f8054c3e (MCi_ADDR).",
	} {
		if !strings.Contains(said(v), s) {
			t.Errorf("no %q in\n%s", s, said(v))
		}
	}
	if v.Bucket != "0x124_0_AuthenticAMD_PROCESSOR_CACHE_IMAGE_AuthenticAMD.sys" || v.BucketHash != "{d6c4d869-cd29-1e48-0267-5766712959d2}" {
		t.Errorf("bucket %s %s", v.Bucket, v.BucketHash)
	}
}

func TestReadRecord_Memory(t *testing.T) {
	b := make([]byte, 80)
	fields(b, 0, 8, 2|1<<3|1<<4|1<<5|1<<6|1<<8|1<<9|1<<14|1<<15|1<<17, 0, 0x1f2345000)
	fields(b, 32, 2, 1, 2, 3, 4, 5, 0x6000, 77)
	b[72] = 3
	fields(b, 74, 2, 1, 0x40, 0x45)
	var c cper
	c.add(guidMemory, "DIMM_B2", b)
	w := readWHEA(t, c.bytes())
	want := []MemoryError{{Type: 3, Address: 0x1f2345000, Node: 1, Card: 2, Module: 3, Bank: 4, Device: -1, Row: 0x6000, Column: 77, Rank: 1, Handle: 0x45}}
	if w.Section != "MEMORY" || w.FRU != "DIMM_B2" || !reflect.DeepEqual(w.Memory, want) {
		t.Fatalf("%+v", w)
	}
	w.labelModules([]dump.MemoryDevice{{Handle: 0x44, Locator: "DIMM_B1"}, {Handle: 0x45, Locator: "DIMM_B2", Bank: "BANK 3"}})
	v := Judge(Facts{Code: 0x124, Parameters: [4]uint64{5, 0xffff8000}, CPUVendor: vendorIntel, WHEA: w})
	if v.Bucket != "0x124_5_GenuineIntel_MEMORY_IMAGE_GenuineIntel.sys" || !strings.Contains(v.Summary.String(), "memory module DIMM_B2 BANK 3 reported an error") ||
		!strings.Contains(said(v), "node 1, card 2, module 3, rank 1, bank 4, row 24576, column 77") || !strings.Contains(v.NextSteps[0].String(), "Replace the memory module in slot DIMM_B2 BANK 3") {
		t.Errorf("%s %s\n%s%v", v.Bucket, v.Summary, said(v), v.NextSteps)
	}
}

// TestReadRecord_PCI: a root port at bus 0, device 9, as published for source 5
// (smartwindows.wordpress.com, 2014-07-24): command and status, class, slot.
func TestReadRecord_PCI(t *testing.T) {
	b := make([]byte, 208)
	fields(b, 0, 8, 0xff)
	fields(b, 8, 4, 4, 0x0100, 0x40100546)
	fields(b, 24, 2, 0x8086, 0x3410)
	copy(b[28:], []byte{0x00, 0x04, 0x06, 0, 9, 0, 0, 0, 7})
	fields(b, 112, 4, 0x14820001, 0x24000, 0x20000, 0x62030, 0x41, 0x40)
	var c cper
	c.add(guidPCI, "", b)
	w := readWHEA(t, c.bytes())
	want := []PCIError{{Bus: 0, Device: 9, Vendor: 0x8086, ID: 0x3410, Class: 0x060400, Port: 4, Uncorrected: 0x4000, Corrected: 1}}
	if w.Section != "PCIEXPRESS" || !reflect.DeepEqual(w.PCI, want) {
		t.Fatalf("%+v", w)
	}
	w.PCI[0].Instance, w.PCI[0].Service = `PCI\VEN_8086&DEV_3410&SUBSYS_0\3&1&0&48`, "pci"
	v := Judge(Facts{Code: 0x124, Parameters: [4]uint64{4, 0xffff8000}, CPUVendor: vendorIntel, WHEA: w})
	for _, s := range []string{"0000:00:09.0", "Completion Timeout (status 0x00004000)", "Receiver Error", "did not answer a request in time", `PCI\VEN_8086&DEV_3410`, "a root port"} {
		if !strings.Contains(said(v), s) {
			t.Errorf("no %q in\n%s", s, said(v))
		}
	}
	if v.Bucket != "0x124_4_GenuineIntel_PCIEXPRESS_IMAGE_GenuineIntel.sys" || !strings.Contains(v.Summary.String(), "PCI Express device 0000:00:09.0 reported an error") ||
		!strings.Contains(v.NextSteps[0].String(), "VEN_8086&DEV_3410 (PCI bus 0, device 9, function 0)") {
		t.Errorf("%s %s %v", v.Bucket, v.Summary, v.NextSteps)
	}
}

// TestReadRecord_Others: sections that are not decoded are named, a few of them.
func TestReadRecord_Others(t *testing.T) {
	var c cper
	c.add([16]byte{0xe7, 0x54, 0x12, 0xe7, 0xb9, 0xc1, 0x40, 0x49, 0xab, 0x76, 0x90, 0x97, 0x03, 0xa4, 0x32, 0x0f}, "", make([]byte, 12))
	for i := range byte(8) {
		c.add([16]byte{i, 0xff}, "", make([]byte, 4))
	}
	w := readWHEA(t, c.bytes())
	if len(w.Others) != maxOthers || w.Section != "NMI" || w.Others[0].String() != "a non-maskable interrupt (NMI)" ||
		w.Others[1].String() != "a section of type {0000ff00-0000-0000-0000-000000000000}, which is not decoded" {
		t.Errorf("%q %v", w.Section, w.Others)
	}
}

// TestReadRecord_Damage: a record that is cut, or lies about itself, gives what it has
// and an error, and never more than is there.
func TestReadRecord_Damage(t *testing.T) {
	whole := amdRecord()
	for n := range len(whole) {
		w := &WHEA{}
		if err := w.readRecord(oneRange{0x1000, whole[:n]}, 0x1000); err == nil {
			t.Fatalf("a record cut at %d of %d bytes is read whole", n, len(whole))
		}
	}
	for at := range cperHeader + 2*cperDescriptor {
		b := append([]byte(nil), whole...)
		b[at] ^= 0xff
		w := &WHEA{}
		_ = w.readRecord(oneRange{0x1000, b}, 0x1000)
		Judge(Facts{Code: 0x124, Parameters: [4]uint64{0, 0xffff8000}, CPUVendor: vendorAMD, WHEA: w})
	}
}

// TestSMCA: each kind of bank is there once, and names all of its codes.
func TestSMCA(t *testing.T) {
	seen := map[[2]uint16]bool{}
	for _, u := range smcaUnits {
		if id := [2]uint16{u.hwid, u.mcaType}; seen[id] {
			t.Errorf("%x twice", id)
		} else {
			seen[id] = true
		}
		for i, e := range u.errors {
			if e == "" || e != strings.TrimSpace(e) {
				t.Errorf("%x %x: code %d is %q", u.hwid, u.mcaType, i, e)
			}
		}
	}
	for _, tt := range []struct {
		family     uint16
		m          MachineCheck
		unit, what string
	}{
		{0x19, MachineCheck{IPID: 0x9600050f00, Status: 0x9c2040000000011b}, "the memory controller", "memory (DRAM) ECC"},
		{0x17, MachineCheck{IPID: 0x700b040000000, Status: 0xbaa0000000040135}, "the level 3 cache", "data ECC"},
		{0x17, MachineCheck{IPID: 0x700b040000000, Status: 0xbaa00000003f0135}, "the level 3 cache", "not documented"},
		{0x15, MachineCheck{Known: true, Bank: 4, Status: 0xfa00000000070f0f}, "the northbridge (memory controller, level 3 cache and links)", "watchdog: a request was not answered"},
		{0x17, MachineCheck{Known: true, Bank: 4, Status: 0xfa00000000070f0f}, "", ""},
	} {
		j := &judgement{f: &Facts{CPUVendor: vendorAMD, CPUFamily: tt.family}}
		if unit, what := j.amdUnit(tt.m); unit.String() != tt.unit || what.String() != tt.what {
			t.Errorf("%+v: %q, %q, want %q, %q", tt.m, unit, what, tt.unit, tt.what)
		}
	}
}

// TestJudge_HardwareSources: every source of P1 has its words, with a record and without.
func TestJudge_HardwareSources(t *testing.T) {
	for p1 := range uint64(0x16) {
		v := Judge(Facts{Code: 0x124, Parameters: [4]uint64{p1, 0xffff8000}, CPUVendor: vendorIntel})
		if v.Cause != report.CauseHardware || len(v.Evidence) == 0 || len(v.NextSteps) == 0 || strings.Contains(said(v), "%!") {
			t.Errorf("source %d: %s\n%s", p1, v.Cause, said(v))
		}
	}
}
