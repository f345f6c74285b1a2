package lab

import (
	"fmt"

	"bugcheck/lab/ram"
)

// label returns nt!NtBuildLab, which NtBuildLabEx repeats.
func (s *System) label() string {
	branch := map[int]string{17763: "rs5_release.180914-1434", 19041: "vb_release.191206-1406", 20348: "fe_release.210507-1500",
		22000: "co_release.210604-1628", 22621: "ni_release.220506-1250", 26100: "ge_release.240331-1435"}[s.Build]
	kind := map[string]string{"x64": "amd64fre", "arm64": "arm64fre"}[s.Arch]
	return fmt.Sprintf("%d.1.%s.%s", s.Build, kind, branch)
}

// buildShared makes KUSER_SHARED_DATA, which all processes see at 7ffe0000 too.
// ntddk.h; dt nt!_KUSER_SHARED_DATA: what is written here never moved.
func (s *System) buildShared() {
	s.fail(s.Space.Map(vaShared, 0x1000, ram.Writable))
	var w buf
	w.grow(0x720)
	w.put32(4, 0xfa00000) // TickCountMultiplier of a clock of 15.625 ms
	s.systemTime(&w, 8, uint64(s.Uptime/100))
	s.systemTime(&w, 0x14, filetime(s.Time))
	w.put16(0x2c, map[string]uint16{"x64": 0x8664, "arm64": 0xaa64}[s.Arch])
	w.put16(0x2e, map[string]uint16{"x64": 0x8664, "arm64": 0xaa64}[s.Arch])
	w.put(0x30, utf16le(`C:\Windows`))
	w.put32(0x244, 0x200000) // LargePageMinimum
	w.put32s(0x260, 0xf0000000|uint32(s.Build), s.product(), 1)
	w.put32s(0x26c, 10, 0)
	w.put32(0x2c4, 42) // BootId
	w.put32(0x2d0, 0x110)
	w.put32(0x2d8, 1)                             // ActiveConsoleId
	w.put32(0x2e8, uint32(s.Memory.Frames()))     // NumberOfPhysicalPages
	w.put64(0x300, 10000000)                      // QpcFrequency
	w.put64(0x320, uint64(s.ticks()))             // TickCountQuad
	w.put32(0x328, uint32(uint64(s.ticks())>>32)) // TickCount.High2Time
	w.put32(0x3c0, uint32(s.Plan.Processors))     // ActiveProcessorCount
	w.put8(0x3c4, 1)                              // ActiveGroupCount
	s.put(vaShared, w.b)
	e, err := s.Space.PTE(vaShared)
	s.fail(err)
	for _, p := range s.Processes {
		if p.Peb != 0 && err == nil {
			s.fail(p.Space.MapFrame(0x7ffe0000, e.Frame(), 0))
		}
	}
}

// systemTime writes a KSYSTEM_TIME: LowPart, High1Time, High2Time.
func (s *System) systemTime(w *buf, at int, v uint64) {
	w.put32s(at, uint32(v), uint32(v>>32), uint32(v>>32))
}

// secondary returns what follows the pages of a dump: the firmware's tables and the tagged
// blobs of the machine.
func (s *System) secondary() ([]byte, error) {
	d := &Dump{Build: &Build{number: uint32(s.Build), machine: s.machine()}, Layout: New, Tagged: s.Tagged,
		SMBIOS: &SMBIOS{Manufacturer: "Example Systems", Product: "Lab 1", Serial: "LAB-0001",
			BIOSVendor: "Example Firmware", BIOSVersion: "1.0.42", BIOSRelease: "02/29/2024"}}
	var w buf
	err := d.taggedData(&w)
	return w.b, err
}
