package analyze

import "bugcheck/report"

// smcaUnit is a kind of bank of AMD's scalable machine-check architecture, by its
// hardware identifier and type in MCA_IPID.
type smcaUnit struct {
	hwid, mcaType uint16
	unit          report.Text
	errors        []string // by the extended error code; shorter than it may be
}

// smcaUnits: AMD's Processor Programming References for families 17h and 19h
// ("Machine Check Architecture", MCA_IPID and MCA_STATUS of each bank). Identifiers
// and the order of the codes were compared with the Linux kernel
// (arch/x86/kernel/cpu/mce/amd.c, drivers/edac/mce_amd.c).
var smcaUnits = []smcaUnit{
	{0xb0, 0x0, report.T("the load and store unit"), []string{
		"load queue parity", "store queue parity", "miss address buffer parity", "level 1 TLB parity", "tag error type 5", "tag error type 6",
		"tag error type 1", "internal error type 1", "internal error type 2", "data returned with an error, thread 0",
		"data returned with an error, thread 1", "tag error type 2", "cache data error type 1", "cache data error type 2",
		"cache data error type 3", "tag error type 4", "level 2 TLB parity", "page walk cache parity", "tag error type 3", "tag error type 5",
		"data from the level 2 cache",
		"tag error type 5", "data from the level 2 cache",
	}},
	{0xb0, 0x10, report.T("the load and store unit"), []string{
		"data cache ECC, read by a probe", "data cache ECC or poison, read by a load", "data cache ECC, changed by a store",
		"data cache tag, read by a probe", "data cache tag, read by a load", "data cache tag, read by a store",
		"EMEM ECC, read by a load", "EMEM ECC, changed by a store", "level 1 TLB parity", "level 2 TLB parity",
		"page walk cache parity", "store queue parity", "load queue parity", "miss address buffer parity",
		"store coalescing buffer parity (state)", "store coalescing buffer parity (address)", "store coalescing buffer parity (data)",
		"write combining buffer parity", "poisoned line in the store coalescing buffer", "data came back with an error for a load",
		"data came back with an error for a store", "data came back with an error for a combined write", "hardware assertion",
		"store forwarding parity",
	}},
	{0xb0, 0x1, report.T("the instruction fetch unit"), []string{
		"op cache tag parity", "instruction cache tag hit twice", "instruction cache tag parity", "instruction cache data parity",
		"physical address queue parity", "level 0 TLB parity", "level 1 TLB parity", "level 2 TLB parity", "probe queue parity, thread 0",
		"probe queue parity, thread 1", "level 1 branch target hit twice", "level 2 branch target hit twice",
		"poisoned data from the level 2 cache", "data came back with an error", "hardware assertion", "level 1 TLB hit twice", "level 2 TLB hit twice",
		"branch status parity", "conditional branch table error",
	}},
	{0xb0, 0x2, report.T("the level 2 cache"), []string{"tag hit twice", "tag or state ECC", "data ECC", "hardware assertion"}},
	{0xb0, 0x3, report.T("the instruction decoder"), []string{
		"op cache tag parity", "op cache data parity", "instruction buffer parity", "op queue parity", "dispatch queue parity",
		"fetch address queue parity", "microcode patch parity", "microcode patch sequencer parity", "op buffer parity", "hardware assertion",
	}},
	{0xb0, 0x5, report.T("the execution unit"), []string{
		"watchdog: no instruction was finished for too long", "register file parity", "flag register parity", "displacement parity",
		"address generator parity", "execution payload parity", "checkpoint queue parity", "retire dispatch parity", "retire status parity",
		"scheduler parity", "branch buffer parity", "hardware assertion", "speculative map parity", "retire map parity",
	}},
	{0xb0, 0x6, report.T("the floating point unit"), []string{
		"register file parity", "free list parity", "scheduler parity", "non-scheduling queue parity", "retire queue parity",
		"status register parity", "hardware assertion",
	}},
	{0xb0, 0x7, report.T("the level 3 cache"), []string{
		"shadow tag ECC", "shadow tag hit twice", "tag ECC", "tag hit twice", "data ECC", "data port parity or error in data read", "victim queue parity",
		"hardware assertion",
	}},
	{0x2e, 0x0, report.T("the unit that keeps memory coherent"), []string{
		"illegal request", "address violation", "security violation", "illegal response", "unexpected response", "request parity",
		"read response parity", "atomic request parity", "probe filter ECC",
	}},
	{0x2e, 0x2, report.T("the unit that keeps memory coherent"), []string{
		"illegal request", "address violation", "security violation", "illegal response", "unexpected response", "request parity",
		"read response parity", "atomic request parity", "read response without a request", "probe filter protocol", "probe filter ECC",
		"unexpected retry", "counter overflow", "counter underflow",
	}},
	{0x2e, 0x1, report.T("the unit for power and interrupts of the data fabric"), []string{
		"hardware assertion", "register security violation", "link error", "poisoned data used", "deferred error in the data fabric",
	}},
	{0x96, 0x0, report.T("the memory controller"), []string{
		"memory (DRAM) ECC", "poisoned data", "data port parity", "peripheral bus", "address or command parity", "write data CRC",
		"command queue ECC", "encryption memory ECC",
	}},
	{0x05, 0x0, report.T("the parameter block"), []string{"memory ECC"}},
	{0xff, 0x0, report.T("the security processor"), []string{"memory ECC or parity"}},
	{0xff, 0x1, report.T("the security processor"), nil},
	{0x01, 0x0, report.T("the system management unit"), []string{"memory ECC or parity"}},
	{0x01, 0x1, report.T("the system management unit"), nil},
	{0x18, 0x0, report.T("the bridge to devices (NBIO)"), []string{"ECC or parity", "PCI Express error", "error event of a port", "poisoned data went out", "poisoned data inside"}},
	{0x46, 0x0, report.T("the PCI Express unit"), nil},
	{0x46, 0x1, report.T("the PCI Express unit"), nil},
}

// The fields of MCA_IPID (Processor Programming Reference, MCA_IPID).
const (
	ipidHardwareShift = 32
	ipidHardwareMask  = 0xfff
	ipidTypeShift     = 48
)

// amdExtended is the extended error code, MCA_STATUS bits 21:16.
func amdExtended(status uint64) uint8 { return uint8(status>>16) & 0x3f }

// amdUnit names the unit that an AMD bank belongs to, and what its own code says.
// Without MCA_IPID, as on processors before family 17h, the bank's number tells
// (BIOS and Kernel Developer's Guides for families 10h to 16h, "MCA registers"), but
// what its codes mean changes from model to model.
func (j *judgement) amdUnit(m MachineCheck) (unit, what report.Text) {
	if j.f.CPUVendor != vendorAMD {
		return
	}
	hwid, mcaType := uint16(m.IPID>>ipidHardwareShift)&ipidHardwareMask, uint16(m.IPID>>ipidTypeShift)
	for _, u := range smcaUnits {
		if m.IPID == 0 || u.hwid != hwid || u.mcaType != mcaType {
			continue
		}
		what = report.T("not documented")
		if n := int(amdExtended(m.Status)); n < len(u.errors) {
			what = report.T("%s", u.errors[n])
		}
		return u.unit, what
	}
	if old := j.f.CPUFamily; m.IPID == 0 && m.Known && old >= amdFirstFamily && old < amdScalable && int(m.Bank) < len(amdBanks) {
		return amdBanks[m.Bank], oldNorthbridge(m)
	}
	return
}

// Families of AMD's processors.
const (
	amdFirstFamily = 0x10
	amdScalable    = 0x17 // the first whose banks say themselves what they are
)

// amdBanks are the units of families 10h to 16h by bank.
var amdBanks = [...]report.Text{
	report.T("the load and store unit"), report.T("the instruction fetch unit"), report.T("the level 2 cache"), report.T("the load and store unit"),
	report.T("the northbridge (memory controller, level 3 cache and links)"), report.T("the execution unit"), report.T("the floating point unit"),
}

const northbridge = 4 // the bank

// oldNorthbridge names the codes of the northbridge that families 10h to 16h share.
func oldNorthbridge(m MachineCheck) report.Text {
	names := map[uint8]string{
		0x0: "memory (DRAM) ECC", 0x1: "link CRC", 0x2: "link synchronisation", 0x3: "link: no device took the request", 0x4: "link: the device aborted",
		0x7: "watchdog: a request was not answered", 0x8: "memory (DRAM) ECC", 0xa: "link data", 0xb: "protocol", 0xc: "parity in internal memory",
		0xd: "memory address or command parity", 0xe: "link retry", 0x1c: "level 3 cache ECC", 0x1d: "level 3 cache tag ECC",
	}
	if name := names[amdExtended(m.Status)&0x1f]; m.Bank == northbridge && name != "" {
		return report.T("%s", name)
	}
	return report.T("not documented")
}
