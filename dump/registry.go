package dump

import (
	"bugcheck/internal/le"
	"bugcheck/win"
)

// ProcessorEntry is the registry's description of the first processor, which
// Windows adds to a dump.
type ProcessorEntry struct {
	Name, Identifier, Vendor string
	MHz                      uint32
}

// Processor decodes the registry values of HARDWARE\DESCRIPTION\System\
// CentralProcessor\0 in the tagged data: name length u32, name, type u32, data
// length u32, data. Seen alike in 16 real dumps, x64 and ARM64.
func (f *File) Processor() ProcessorEntry {
	var p ProcessorEntry
	data, _ := f.Tag(TagBIOS)
	c := le.NewCursor(data)
	for c.Err() == nil && c.Len() > 0 {
		name := win.UTF16(c.Bytes(int(c.U32())))
		_ = c.U32()
		value := c.Bytes(int(c.U32()))
		switch name {
		case "ProcessorNameString":
			p.Name = win.UTF16(value)
		case "Identifier":
			p.Identifier = win.UTF16(value)
		case "VendorIdentifier":
			p.Vendor = win.UTF16(value)
		case "~MHz":
			if len(value) >= 4 {
				p.MHz = le.U32(value, 0)
			}
		}
	}
	return p
}

// BootBuild is NtBuildNumber as the ETW block of the dump records it: unlike
// the header's it tells releases that share a kernel apart (19045 on a 19041
// kernel is Windows 10 22H2). Zero if the block is absent.
func (f *File) BootBuild() uint32 {
	data, _ := f.Tag(TagETW)
	if len(data) < 8 {
		return 0
	}
	return le.U32(data, 4) & 0xffff
}
