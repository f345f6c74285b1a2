package analyze

import (
	"fmt"
	"strings"

	"bugcheck/report"
)

// MachineCheck is an error that a bank of a processor's machine-check registers
// holds.
type MachineCheck struct {
	Processor, Bank       uint32
	Known                 bool   // Processor and Bank come from a record; the stop code's parameters do not say them
	Status, Address, Misc uint64 // MCi_STATUS, MCi_ADDR, MCi_MISC
	IPID                  uint64 // AMD's MCA_IPID, which says what unit the bank belongs to; zero: not known
}

// Flags of MCi_STATUS (Intel SDM volume 3, "Machine-Check Architecture",
// IA32_MCi_STATUS MSRs; AMD64 Architecture Programmer's Manual volume 2, 9.3.2.1:
// the same bits). Those below belong to AMD alone.
const (
	mcaValid       = 1 << 63
	mcaOverflow    = 1 << 62
	mcaUncorrected = 1 << 61
	mcaEnabled     = 1 << 60
	mcaMiscValid   = 1 << 59
	mcaAddrValid   = 1 << 58
	mcaCorrupt     = 1 << 57 // PCC: the processor's context is corrupt

	amdCorrectedECC   = 1 << 46
	amdUncorrectedECC = 1 << 45
	amdDeferred       = 1 << 44
	amdPoison         = 1 << 43
)

// mcaFlags are the names of flags in the manuals' order.
var mcaFlags = []struct {
	bit  uint64
	name string
	amd  bool
}{
	{mcaValid, "VAL", false}, {mcaOverflow, "OVER", false}, {mcaUncorrected, "UC", false}, {mcaEnabled, "EN", false},
	{mcaMiscValid, "MISCV", false}, {mcaAddrValid, "ADDRV", false}, {mcaCorrupt, "PCC", false},
	{amdCorrectedECC, "CECC", true}, {amdUncorrectedECC, "UECC", true}, {amdDeferred, "Deferred", true}, {amdPoison, "Poison", true},
}

// flags lists the flags that are set.
func (m MachineCheck) flags(vendor string) string {
	var names []string
	for _, f := range mcaFlags {
		if m.Status&f.bit != 0 && (!f.amd || vendor == vendorAMD) {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, " ")
}

// The words of the processor's own vendor string.
const (
	vendorIntel = "GenuineIntel"
	vendorAMD   = "AuthenticAMD"
)

// mcaCode is what the error code in the low 16 bits of MCi_STATUS says.
type mcaCode struct {
	section string // of the bucket: PROCESSOR_CACHE; "" for no error
	name    string // as the manuals build it: DCACHEL1_DRD_ERR
	what    report.Text
}

// The parts of compound error codes (Intel SDM volume 3, "Compound Error Codes";
// AMD64 Architecture Programmer's Manual volume 2, "Error Codes").
var (
	mcaType    = [4]string{"I", "D", "G", ""} // TT
	mcaLevel   = [4]string{"L0", "L1", "L2", "LG"}
	mcaRequest = [16]string{"ERR", "RD", "WR", "DRD", "DWR", "IRD", "PREFETCH", "EVICT", "SNOOP"}
	mcaPart    = [4]string{"SRC", "RES", "OBS", "GENERIC"} // PP
	mcaWhere   = [4]string{"M", "", "IO", "*"}             // II
	mcaMemory  = [8]string{"GEN", "RD", "WR", "AC", "MS"}  // MMM
)

// decodeMCA reads an error code. Bit 12 filters corrected errors' reports and says
// nothing of the error.
func decodeMCA(status uint64) mcaCode {
	code := uint16(status) &^ 0x1000
	level, kind, request := mcaLevel[code&3], mcaType[code>>2&3], mcaRequest[code>>4&0xf]
	switch {
	case code == 0:
		return mcaCode{}
	case code <= 6:
		return simpleMCA(code)
	case code&0xfffc == 0x000c:
		return cacheMCA(code, fmt.Sprintf("GENCACHE%s_ERR", level))
	case code&0xfff0 == 0x0010:
		return mcaCode{"PROCESSOR_TLB", fmt.Sprintf("%sTLB%s_ERR", kind, level), report.T("an error in the processor's address translation cache (code 0x%x)", code)}
	case code&0xff80 == 0x0080:
		return memoryMCA(code, "")
	case code&0xff80 == 0x0280:
		return memoryMCA(code, "CACHE_")
	case code&0xff00 == 0x0100:
		return cacheMCA(code, fmt.Sprintf("%sCACHE%s_%s_ERR", kind, level, request))
	case code == 0x0400:
		return mcaCode{"PROCESSOR_MAE", "INTERNAL_TIMER", report.T("the processor's internal timer ran out: a core or a device did not answer it (code 0x400)")}
	case code&0xfc00 == 0x0400:
		return mcaCode{"PROCESSOR_MAE", "INTERNAL", report.T("an internal error of the processor (code 0x%x)", code)}
	case code&0xf800 == 0x0800:
		return busMCA(code, level, request)
	}
	return mcaCode{"PROCESSOR", "UNKNOWN", report.T("an internal error of the processor (code 0x%x)", code)}
}

func cacheMCA(code uint16, name string) mcaCode {
	return mcaCode{"PROCESSOR_CACHE", name, report.T("an error in a cache of the processor (code 0x%x)", code)}
}

// simpleMCA are the codes without parts.
func simpleMCA(code uint16) mcaCode {
	names := [...]string{1: "UNCLASSIFIED", 2: "MICROCODE_ROM_PARITY", 3: "EXTERNAL", 4: "FRC", 5: "INTERNAL_PARITY", 6: "SMM_HANDLER_CODE_ACCESS"}
	c := mcaCode{section: "PROCESSOR_MAE", name: names[code]}
	switch code {
	case 2, 5:
		c.what = report.T("bits were found wrong inside the processor (parity error, code 0x%x)", code)
	case 3:
		c.what = report.T("another processor signalled an error (code 0x3)")
	case 6:
		c.what = report.T("firmware code that runs beside Windows (SMM) went outside its memory (code 0x6)")
	default:
		c.what = report.T("an internal error of the processor (code 0x%x)", code)
	}
	return c
}

// noChannel says that a memory controller's error is of no single channel.
const noChannel = 0xf

// memoryMCA are the codes of the memory controller: 1MMM CCCC.
func memoryMCA(code uint16, cache string) mcaCode {
	request, channel := mcaMemory[code>>4&7], code&0xf
	name := fmt.Sprintf("%s%s_CHANNEL%d_ERR", cache, request, channel)
	if channel == noChannel {
		return mcaCode{"MEMORY", fmt.Sprintf("%s%s_CHANNELunspecified_ERR", cache, request), report.T("an error of the memory controller (code 0x%x)", code)}
	}
	return mcaCode{"MEMORY", name, report.T("an error of the memory controller on memory channel %d (code 0x%x)", channel, code)}
}

// busMCA are the codes of buses and links: 1PPT RRRR IILL.
func busMCA(code uint16, level, request string) mcaCode {
	if code == 0x0e0b {
		return mcaCode{"PROCESSOR_BUS", "IO_ERR", report.T("an error that a device or its PCI Express port reported to the processor (code 0x%x)", code)}
	}
	timeout := "NOTIMEOUT"
	what := report.T("an error on the bus between processor, memory and other units (code 0x%x)", code)
	if code&0x100 != 0 {
		timeout = "TIMEOUT"
		what = report.T("a request on the bus between processor, memory and devices got no answer in time (code 0x%x)", code)
	}
	name := fmt.Sprintf("BUS%s_%s_%s_%s_%s_ERR", level, mcaPart[code>>9&3], request, mcaWhere[code>>2&3], timeout)
	return mcaCode{"PROCESSOR_BUS", name, what}
}

// source says where a bank's registers stand.
func (m MachineCheck) source() report.Text {
	if m.Known {
		return report.T("hardware error record (parameter 2)")
	}
	return report.T("parameters 3 and 4")
}

// judgeBank says what a bank holds: registers and flags as recorded, what they mean
// as derived.
func (j *judgement) judgeBank(m MachineCheck) {
	vendor := j.f.CPUVendor
	if m.Known {
		j.evidence(report.Recorded, m.source(), report.T("Machine-check bank %d of processor %d: MCi_STATUS is 0x%016x (%s).", m.Bank, m.Processor, m.Status, m.flags(vendor)))
	} else {
		j.evidence(report.Recorded, m.source(), report.T("MCi_STATUS is 0x%016x (%s).", m.Status, m.flags(vendor)))
	}
	j.judgeCodes(m)
}

// judgeCodes says what the codes and flags of a bank mean.
func (j *judgement) judgeCodes(m MachineCheck) {
	vendor, code := j.f.CPUVendor, decodeMCA(m.Status)
	if code.section != "" {
		j.evidence(report.Derived, m.source(), report.T("That means: %s. The manuals' name for it is %s.", code.what, code.name))
	}
	if unit, what := j.amdUnit(m); !unit.IsZero() {
		j.evidence(report.Derived, m.source(), report.T("The unit of the processor that reported it is %s; its own code %d means: %s.", unit, amdExtended(m.Status), what))
	} else if n := modelSpecific(m.Status); vendor == vendorIntel && n != 0 {
		j.evidence(report.Recorded, m.source(), report.T("The code of this processor model for it is 0x%x; Intel's manual has tables of them by model.", n))
	}
	if m.Status&mcaUncorrected != 0 {
		j.evidence(report.Derived, m.source(), report.T("The hardware could not correct it (UC)."))
	}
	if m.Status&mcaCorrupt != 0 {
		j.evidence(report.Derived, m.source(), report.T("The processor could not go on: its state was no longer to be relied on (PCC)."))
	}
	if m.Status&mcaOverflow != 0 {
		j.evidence(report.Derived, m.source(), report.T("More errors came than the bank can hold (OVER): this one may not be the first."))
	}
	if m.Known && m.Status&mcaAddrValid != 0 {
		j.evidence(report.Recorded, m.source(), report.T("The error concerns the address 0x%x (MCi_ADDR).", m.Address))
	}
	if vendor == vendorAMD && m.Status&(amdPoison|amdDeferred) != 0 {
		j.evidence(report.Derived, m.source(), report.T("Damaged data had been marked before and were now used: where they were damaged is another error, to be looked for in the WHEA-Logger events."))
	}
}

// modelSpecific is the model-specific error code, MCi_STATUS bits 31:16.
func modelSpecific(status uint64) uint16 { return uint16(status >> 16) }
