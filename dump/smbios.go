package dump

import (
	"bytes"
	"strings"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// SMBIOS is what a machine's firmware says of it; "" where it says nothing.
type SMBIOS struct {
	Manufacturer, Product, Version, SKU string // the machine
	BIOSVendor, BIOSVersion, BIOSDate   string
	BoardManufacturer, BoardProduct     string
	Processor                           string
	MemoryDevices                       []MemoryDevice
}

// MemoryDevice is one memory slot that is filled.
type MemoryDevice struct {
	Handle                      uint16 // by which other tables name it
	Locator, Manufacturer, Part string
	Bank                        string // of the slot
	SizeMiB                     uint32
	SpeedMTs, ConfiguredMTs     uint16
}

const (
	maxStructures = 4096
	smbiosHeader  = 8 // RawSMBIOSData: calling method, version, revision, length
)

// SMBIOS decodes the firmware tables in the dump's tagged data; the zero value
// when there are none.
func (f *File) SMBIOS() SMBIOS {
	data, _ := f.Tag(TagSMBIOS)
	return decodeSMBIOS(data)
}

// decodeSMBIOS walks RawSMBIOSData (GetSystemFirmwareTable in the Windows API
// documentation) by the SMBIOS specification DSP0134: a header of type, length
// and handle, the formatted part, then strings closed by an empty one.
func decodeSMBIOS(data []byte) SMBIOS {
	var s SMBIOS
	if len(data) < smbiosHeader {
		return s
	}
	data = data[smbiosHeader:]
	for n := 0; n < maxStructures && len(data) >= 4 && int(data[1]) >= 4 && int(data[1]) <= len(data); n++ {
		length := int(data[1])
		end := bytes.Index(data[length:], []byte{0, 0})
		if end < 0 {
			end = len(data) - length
		}
		s.add(data[:length], bytes.Split(data[length:length+end], []byte{0}))
		data = data[min(length+end+2, len(data)):]
	}
	return s
}

func (s *SMBIOS) add(b []byte, table [][]byte) {
	str := func(off int) string {
		if off >= len(b) || b[off] == 0 || int(b[off]) > len(table) {
			return ""
		}
		return firmwareText(win.ASCII(table[b[off]-1]))
	}
	switch b[0] {
	case 0:
		s.BIOSVendor, s.BIOSVersion, s.BIOSDate = str(4), str(5), str(8)
	case 1:
		s.Manufacturer, s.Product, s.Version, s.SKU = str(4), str(5), str(6), str(0x19)
	case 2:
		s.BoardManufacturer, s.BoardProduct = str(4), str(5)
	case 4:
		s.Processor = str(0x10)
	case 17:
		s.addMemory(b, str)
	}
}

// addMemory decodes type 17. A size of 0x7fff says that the extended field has it.
func (s *SMBIOS) addMemory(b []byte, str func(int) string) {
	if len(b) < 0x1b {
		return
	}
	size := uint32(le.U16(b, 0xc))
	if size == 0x7fff && len(b) >= 0x20 {
		size = le.U32(b, 0x1c)
	}
	if size == 0 || size == 0xffff {
		return
	}
	d := MemoryDevice{Handle: le.U16(b, 2), Locator: str(0x10), Bank: str(0x11), Manufacturer: str(0x17), Part: str(0x1a), SizeMiB: size, SpeedMTs: le.U16(b, 0x15)}
	if len(b) >= 0x22 {
		d.ConfiguredMTs = le.U16(b, 0x20)
	}
	s.MemoryDevices = append(s.MemoryDevices, d)
}

// firmwareText drops the fillers that board makers leave in.
func firmwareText(s string) string {
	s = strings.TrimSpace(s)
	switch strings.ToLower(strings.TrimRight(s, ".")) {
	case "to be filled by o.e.m", "default string", "system manufacturer", "system product name", "system version",
		"not specified", "not applicable", "none", "n/a", "o.e.m", "oem", "unknown", "sku", "x.x", "0", "empty":
		return ""
	}
	return s
}
