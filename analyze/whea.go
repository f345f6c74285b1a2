package analyze

import (
	"fmt"
	"strings"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/win"
)

// WHEA is a hardware error record, as far as it was decoded.
type WHEA struct {
	Severity  string // a word of severities; "" if not known
	Section   string // of the first section that is known, as buckets spell it: PROCESSOR_CACHE, MEMORY, …; "" for none
	FRU       string // the part that the firmware names
	Vendor    string // the processor's maker, by a machine check's section; "" if it does not say
	Banks     []MachineCheck
	Processor []ProcessorError
	Memory    []MemoryError
	PCI       []PCIError
	Others    []report.Text // sections of which only the kind is told
}

// ProcessorError is a section about a processor in general.
type ProcessorError struct {
	Number             uint64 // APIC identifier
	Type               string // CACHE, TLB, BUS, MAE; "" if not said
	Level              *uint8 // of the cache
	InstructionPointer uint64 // zero: not said
}

// MemoryError is a section about memory; a negative number is not said.
type MemoryError struct {
	Type                                          uint8
	Address                                       uint64 // physical; zero: not said
	Node, Card, Module, Bank, Device, Row, Column int
	Rank                                          int
	Handle                                        int    // of the module in the firmware's tables
	Label                                         string // of that module, as the firmware names its slot: DIMM_A1
}

// PCIError is a section about a PCI Express device.
type PCIError struct {
	Segment                uint16
	Bus, Device, Function  uint8
	Vendor, ID             uint16
	Class                  uint32
	Port                   int    // its kind; negative: not said
	Slot                   uint16 // zero: not said
	Uncorrected, Corrected uint32 // status bits of advanced error reporting that are not masked
	Instance, Service      string // of the device node; "" where not in the dump
	Driver                 string // image of the service, where it is loaded
}

// place is the device's place as tools write it: 0000:03:00.0.
func (p PCIError) place() string {
	return fmt.Sprintf("%04x:%02x:%02x.%x", p.Segment, p.Bus, p.Device, p.Function)
}

// The common platform error record (UEFI specification, appendix N): a header of
// 128 bytes, then section descriptors of 72. Windows names the same structures
// WHEA_ERROR_RECORD and so on (ntddk.h).
const (
	cperHeader     = 128
	cperSeverity   = 12
	cperDescriptor = 72
	maxSections    = 64
	maxSection     = 4096 // bytes that are read of one; the largest, of machine checks with 32 more banks, has some 2,100
)

// severities by the record's number (UEFI specification, N.2.1).
var severities = []string{"recoverable", "fatal", "corrected", "informational"}

// The types of sections that are decoded (UEFI specification, N.2.4 to N.2.9; the
// machine check's is Windows' own, XPF_MCA_SECTION_GUID of ntddk.h).
const (
	sectionProcessor    = "{9876ccad-47b4-4bdb-b65e-16f193c4f3db}"
	sectionMachineCheck = "{8a1e1d01-42f9-4557-9c33-565e5cc3f7e8}"
	sectionMemory       = "{a5bc1114-6f64-4ede-b863-3e83ed7c83b1}"
	sectionPCIExpress   = "{d995e954-bbc1-430f-ad91-b44dcb3c6f35}"
)

// sectionNames are the types of record sections, as buckets spell them.
var sectionNames = map[string]string{
	sectionProcessor:                         "PROCESSOR",
	"{dc3ea0b0-a144-4797-b95b-53fa242b6e1d}": "PROCESSOR",
	sectionMemory:                            "MEMORY",
	"{61ec04fc-48e6-d813-25c9-8daa44750b12}": "MEMORY",
	sectionPCIExpress:                        "PCIEXPRESS",
	"{c5753963-3b84-4095-bf78-eddad3f9c9dd}": "PCIXBUS",
	"{eb5e4685-ca66-4769-b6a2-26068b001326}": "PCIXDEVICE",
	"{e71254e7-c1b9-4940-ab76-909703a4320f}": "NMI",
}

// otherSections are types of sections that are only named.
var otherSections = map[string]report.Text{
	"{61ec04fc-48e6-d813-25c9-8daa44750b12}": report.T("an error of memory, in the newer form"),
	"{c5753963-3b84-4095-bf78-eddad3f9c9dd}": report.T("an error of a PCI or PCI-X bus"),
	"{eb5e4685-ca66-4769-b6a2-26068b001326}": report.T("an error of a PCI or PCI-X device"),
	"{e71254e7-c1b9-4940-ab76-909703a4320f}": report.T("a non-maskable interrupt (NMI)"),
	"{e71254e8-c1b9-4940-ab76-909703a4320f}": report.T("an error of no closer class"),
	"{81212a96-09ed-4996-9471-8d729c8e69ed}": report.T("a reference to a record that the firmware keeps: its tools or the management controller show it"),
	"{e19e3d16-bc11-11e4-9caa-c2051d5d46b0}": report.T("an error of an Arm processor"),
	"{5b51fef7-c79d-4434-8f1b-aa62de3e2c64}": report.T("an error of the unit that translates devices' addresses (IOMMU)"),
	"{81687003-dbfd-4728-9ffd-f0904f97597d}": report.T("an error of persistent memory"),
	"{80b9efb4-52b5-4de3-a777-68784b771048}": report.T("an error of a CXL device"),
}

// readRecord decodes the error record at va. What was decoded before an error stays.
func (w *WHEA) readRecord(memory mem.Reader, va mem.VA) error {
	head, err := mem.Read(memory, va, cperHeader)
	if err != nil {
		return err
	}
	if string(head[:4]) != "CPER" {
		return fmt.Errorf("the record at %v does not begin with CPER", va)
	}
	if n := le.U32(head, cperSeverity); int64(n) < int64(len(severities)) {
		w.Severity = severities[n]
	}
	count := min(int(le.U16(head, 10)), maxSections)
	for i := range count {
		d, err := mem.Read(memory, va+cperHeader+mem.VA(i*cperDescriptor), cperDescriptor)
		if err != nil {
			return err
		}
		w.addFRU(d)
		offset, length := le.U32(d, 0), min(le.U32(d, 4), maxSection)
		b, err := mem.Read(memory, va+mem.VA(offset), int(length))
		if err != nil {
			return fmt.Errorf("section %d: %w", i, err)
		}
		w.addSection(win.GUID(d[16:32]).String(), b)
	}
	return nil
}

// addFRU takes the name of the part, which a descriptor holds at 52 where its
// validation bits, at 10, say so.
func (w *WHEA) addFRU(d []byte) {
	if d[10]&2 == 0 || w.FRU != "" {
		return
	}
	if s := strings.TrimSpace(win.ASCII(d[52:72])); isPrintable(s) {
		w.FRU = s
	}
}

// addSection decodes one section. One that is too short for its type is only named.
func (w *WHEA) addSection(guid string, b []byte) {
	name := sectionNames[guid]
	switch {
	case guid == sectionProcessor && len(b) >= 192:
		p := processorSection(b)
		if p.Type != "" {
			name += "_" + p.Type
		}
		w.Processor = append(w.Processor, p)
	case guid == sectionMachineCheck && len(b) >= 0x48:
		w.Banks = append(w.Banks, machineCheckSection(b)...)
		w.Vendor = map[uint32]string{mcaVendorIntel: vendorIntel, mcaVendorAMD: vendorAMD}[le.U32(b, mcaVendor)]
	case guid == sectionMemory && len(b) >= 73:
		w.Memory = append(w.Memory, memorySection(b))
	case guid == sectionPCIExpress && len(b) >= 208:
		w.PCI = append(w.PCI, pciSection(b))
	}
	w.addOther(guid)
	if w.Section == "" {
		w.Section = name
	}
}

// silentSections say nothing beside the others: the processor's registers, and whether
// Windows could have gone on (RECOVERY_INFO_SECTION_GUID of ntddk.h).
var silentSections = map[string]bool{
	sectionProcessor: true, sectionMachineCheck: true, sectionMemory: true, sectionPCIExpress: true,
	"{dc3ea0b0-a144-4797-b95b-53fa242b6e1d}": true, "{c34832a1-02c3-4c52-a9f1-9f1d5d7723fc}": true,
}

// maxOthers is how many sections that are not decoded are named.
const maxOthers = 4

// addOther names a section that is not decoded.
func (w *WHEA) addOther(guid string) {
	other, ok := otherSections[guid]
	if !ok {
		other = report.T("a section of type %s, which is not decoded", guid)
	}
	if !silentSections[guid] && len(w.Others) < maxOthers {
		w.Others = append(w.Others, other)
	}
}

// processorSection decodes a generic processor error section (UEFI specification,
// N.2.4.1): validation bits, then the fields in their order. The types' names are
// those of GENPROC_ERRTYPE_ in ntddk.h.
func processorSection(b []byte) ProcessorError {
	valid := le.U64(b, 0)
	var p ProcessorError
	if valid&4 != 0 {
		p.Type = map[byte]string{1: "CACHE", 2: "TLB", 4: "BUS", 8: "MAE"}[b[10]]
	}
	if valid&0x20 != 0 {
		level := b[13]
		p.Level = &level
	}
	if valid&0x100 != 0 {
		p.Number = le.U64(b, 152)
	}
	if valid&0x1000 != 0 {
		p.InstructionPointer = le.U64(b, 184)
	}
	return p
}

// Fields of WHEA_XPF_MCA_SECTION, which is packed (dt nt!_WHEA_XPF_MCA_SECTION of
// 19041 and 22000, ntdiff/headers): to Windows 8.1 0x108 bytes, later with the
// processor's capabilities behind; then AMD's registers stand in place of the
// extended ones. Version 4 adds 32 banks more.
const (
	mcaProcessor   = 0x10
	mcaBank        = 0x24
	mcaStatus      = 0x28
	mcaAddress     = 0x30
	mcaMisc        = 0x38
	mcaVendor      = 0x4
	mcaVendorIntel = 1
	mcaVendorAMD   = 2
	mcaIPID        = 0x48
	mcaWithAMD     = 0x110 // bytes
	mcaMoreCount   = 0x124
	mcaMoreBank    = 0x128
	mcaMoreStatus  = 0x1a8
	mcaMoreAddr    = 0x2a8
	mcaMoreMisc    = 0x3a8
	mcaMoreEnd     = 0x4a8
	mcaMoreBanks   = 32
)

// machineCheckSection decodes the banks of a machine check.
func machineCheckSection(b []byte) []MachineCheck {
	first := MachineCheck{
		Known: true, Processor: le.U32(b, mcaProcessor), Bank: le.U32(b, mcaBank),
		Status: le.U64(b, mcaStatus), Address: le.U64(b, mcaAddress), Misc: le.U64(b, mcaMisc),
	}
	if len(b) >= mcaWithAMD && le.U32(b, mcaVendor) == mcaVendorAMD {
		first.IPID = le.U64(b, mcaIPID)
	}
	list := []MachineCheck{first}
	if len(b) < mcaMoreEnd {
		return list
	}
	for i := range int(min(le.U32(b, mcaMoreCount), mcaMoreBanks)) {
		list = append(list, MachineCheck{
			Known: true, Processor: first.Processor, Bank: le.U32(b, mcaMoreBank+4*i),
			Status: le.U64(b, mcaMoreStatus+8*i), Address: le.U64(b, mcaMoreAddr+8*i), Misc: le.U64(b, mcaMoreMisc+8*i),
		})
	}
	return list
}

// memorySection decodes a memory error section (UEFI specification, N.2.5).
func memorySection(b []byte) MemoryError {
	valid := le.U64(b, 0)
	field := func(bit, at int) int {
		if valid>>bit&1 == 0 || at+2 > len(b) {
			return -1
		}
		return int(le.U16(b, at))
	}
	m := MemoryError{
		Node: field(3, 32), Card: field(4, 34), Module: field(5, 36), Bank: field(6, 38), Device: field(7, 40),
		Row: field(8, 42), Column: field(9, 44), Rank: field(15, 74), Handle: field(17, 78),
	}
	if valid&2 != 0 {
		m.Address = le.U64(b, 16)
	}
	if valid>>14&1 != 0 {
		m.Type = b[72]
	}
	return m
}

// pciSection decodes a PCI Express error section (UEFI specification, N.2.7): the
// device's identity at 24, the registers of advanced error reporting (PCI Express
// Base Specification, 7.8.4) at 112. Masked bits raise no error.
func pciSection(b []byte) PCIError {
	valid := le.U64(b, 0)
	p := PCIError{Port: -1}
	if valid&1 != 0 {
		p.Port = int(le.U32(b, 8))
	}
	if valid&8 != 0 {
		p.Vendor, p.ID = le.U16(b, 24), le.U16(b, 26)
		p.Class = uint32(b[28]) | uint32(b[29])<<8 | uint32(b[30])<<16
		p.Function, p.Device, p.Segment, p.Bus = b[31], b[32], le.U16(b, 33), b[35]
		p.Slot = le.U16(b, 37) >> 3
	}
	if valid&0x80 != 0 {
		p.Uncorrected = le.U32(b, 112+4) &^ le.U32(b, 112+8)
		p.Corrected = le.U32(b, 112+16) &^ le.U32(b, 112+20)
	}
	return p
}

// describeParts adds what the machine knows of the parts that the record names:
// the slot of a memory module, the driver of a device.
func (w *WHEA) describeParts(m *kernel.Machine) {
	w.labelModules(m.SMBIOS().MemoryDevices)
	if len(w.PCI) == 0 || m.Physical == nil {
		return
	}
	drivers, _ := m.DriverObjects() // those that can be read
	for _, d := range drivers {
		if !strings.EqualFold(d.Image, "pci.sys") {
			continue
		}
		for _, device := range d.Devices {
			o, _ := m.DeviceObject(device)
			w.describePCI(m, o)
		}
	}
}

// labelModules names the slots of the modules by the handle that the firmware's tables
// and the record share (UEFI specification, N.2.5, "Module Handle"; SMBIOS type 17).
func (w *WHEA) labelModules(devices []dump.MemoryDevice) {
	for i := range w.Memory {
		for _, d := range devices {
			if int(d.Handle) == w.Memory[i].Handle {
				w.Memory[i].Label = strings.TrimSpace(d.Locator + " " + d.Bank)
			}
		}
	}
}

// describePCI takes over the device node that begins with the identifiers of a PCI
// device of the record ("Identifiers for PCI Devices" in Microsoft's documentation).
func (w *WHEA) describePCI(m *kernel.Machine, o kernel.Device) {
	for i := range w.PCI {
		p := &w.PCI[i]
		id := fmt.Sprintf(`PCI\VEN_%04X&DEV_%04X`, p.Vendor, p.ID)
		rest, ok := strings.CutPrefix(strings.ToUpper(o.Instance), id)
		if p.Vendor == 0 || p.Instance != "" || !ok || rest == "" || rest[0] != '&' && rest[0] != '\\' {
			continue
		}
		p.Instance, p.Service = o.Instance, o.Service
		if mod, ok := m.ModuleNamed(o.Service + ".sys"); ok {
			p.Driver = mod.Name
		}
	}
}
