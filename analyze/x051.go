package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// The registry: REGISTRY_ERROR (0x51), CONFIG_LIST_FAILED (0x73: P2 status, P4 name),
// BAD_SYSTEM_CONFIG_INFO (0x74: P4 status), CANNOT_WRITE_CONFIGURATION (0x75: P2 status),
// STATUS_CANNOT_LOAD_REGISTRY_FILE (0xC0000218: P1 name). "Bug Check Code Reference" in
// Microsoft's documentation: errors of the disk, damaged files, seldom memory or a driver
// that wrote where it must not.

// registryStatus is the parameter of each code that holds a status.
var registryStatus = map[uint32]int{0x73: 2, 0x74: 4, 0x75: 2}

func judgeRegistry(j *judgement) {
	j.evidence(report.Derived, report.T("stop code"), report.T("The registry is files on the system disk. They are damaged by the disk, by power that fails, by faulty memory, seldom by a driver; who is on the stack only met it."))
	cause, confidence := report.CauseUnknown, report.Low
	if n := registryStatus[j.f.Code]; n != 0 && isStatus(j.f.Parameters[n-1]) {
		status := uint32(j.f.Parameters[n-1])
		switch {
		case noResources[status]:
			j.evidence(report.Derived, parameter(n), report.T("Status %s says that memory or disk space was short, not that something is damaged.", win.Status(status)))
		case ofStorage[status]:
			cause, confidence = report.CauseStorage, report.Medium
			j.tellStatus(n)
		}
	}
	j.nobody = true
	j.decide(cause, confidence)
}

// ofStorage are statuses that a disk, or what leads to it, comes back with (ntstatus.h).
var ofStorage = map[uint32]bool{
	0xc000000e: true, // no such device
	0xc0000013: true, // no medium
	0xc000003e: true, // data error
	0xc000003f: true, // checksum error
	0xc000009c: true, // device data error
	0xc000009d: true, // device not connected
	0xc00000a3: true, // device not ready
	0xc00000b5: true, // timeout
	0xc00000e9: true, // unexpected I/O error
	0xc0000102: true, // damaged file
	0xc000016a: true, // disk operation failed
	0xc0000185: true, // I/O device error
	0xc0000186: true, // transport error
}
