package dump

import (
	"io"

	"bugcheck/internal/le"
	"bugcheck/win"
)

const (
	blobFileHeader = 0x10
	blobHeader     = 0x20
	maxTagged      = 4096
)

// readTagged reads the secondary data behind a dump: a DUMP_BLOB_FILE_HEADER
// ('Dump', 'Blob', header size, build), then blocks of {header size, GUID,
// size, padding before, padding after}. A dump that Windows converted at the next
// start ends with the last block. In one that the kernel itself wrote, a header
// of zeros ends the walk; what follows is slack, in which old sectors of the page
// file may stand (011620-8250-01.dmp).
func (f *File) readTagged(r io.ReaderAt, at int64) {
	if at <= 0 || at >= f.Size {
		return
	}
	var head [blobHeader]byte
	n, _ := r.ReadAt(head[:blobFileHeader], at)
	if n > 0 && n < blobFileHeader {
		f.endsInBlockHeader()
	}
	if n < blobFileHeader || string(head[:8]) != "DumpBlob" {
		return
	}
	at += int64(max(le.U32(head[:], 8), blobFileHeader))
	for len(f.Tagged) < maxTagged {
		n, _ := r.ReadAt(head[:], at)
		size := int64(le.U32(head[:], 0))
		if n == 0 || n == blobHeader && size == 0 {
			return
		}
		if n < blobHeader {
			f.endsInBlockHeader()
			return
		}
		if size < blobHeader {
			f.note("tagged data", "A block at offset 0x%x has an impossible header; what follows is not read.", at)
			return
		}
		block := Tagged{GUID: win.GUID(head[4:20])}
		length, before, after := int64(le.U32(head[:], 20)), int64(le.U32(head[:], 24)), int64(le.U32(head[:], 28))
		start := at + size + before
		if length > maxSection {
			f.note("tagged data", "Block %s of 0x%x bytes is too long; what follows is not read.", block.GUID, length)
			return
		}
		if start+length > f.Size {
			f.Truncated = true
			f.note("tagged data", "The file ends inside block %s; what follows is missing.", block.GUID)
			return
		}
		block.Data = make([]byte, length)
		if got, _ := r.ReadAt(block.Data, start); int64(got) < length {
			return
		}
		f.Tagged = append(f.Tagged, block)
		if at = start + length + after; at > f.Size {
			f.Truncated = true
			f.note("tagged data", "The file ends inside block %s; what follows is missing.", block.GUID)
			return
		}
	}
}

func (f *File) endsInBlockHeader() {
	f.Truncated = true
	f.note("tagged data", "The file ends inside the header of a block; what follows is missing.")
}

// Tag returns the first block with the GUID, as GUID.String writes it.
func (f *File) Tag(guid string) ([]byte, bool) {
	for _, t := range f.Tagged {
		if t.GUID.String() == guid {
			return t.Data, true
		}
	}
	return nil, false
}

// GUIDs of blocks that are decoded here.
const (
	TagSMBIOS   = "{bc5c008f-1e3a-44d7-988d-86f6884c6758}"
	TagBIOS     = "{6c7ac389-4313-47dc-9f34-a8800a0fb56c}"
	TagETW      = "{2b88b710-1c93-4f7c-b06c-655ecc50decc}"
	TagWinLogon = "{80cc79cf-a719-4af1-bf97-fe29ff76ebc1}"
)

// tagNames says who writes a block. Sources: the display driver pages of the
// public driver documentation (270a33fd); ntddstor.h (da82441d, d8e2592f);
// NVIDIA's open kernel modules (bf2297dc); the symbols of the writers' images.
var tagNames = map[string]string{
	TagSMBIOS:                                "SMBIOS tables",
	TagBIOS:                                  "processor entry of the registry",
	TagETW:                                   "ETW buffers",
	TagWinLogon:                              "black box: winlogon",
	"{d03dc06f-d88e-44c5-ba2a-fae035172d19}": "processor registers (CPUID, MSR)",
	"{e83b40d2-b0a0-4842-abea-71c9e3463dd1}": "ACPI tables",
	"{9276c055-eb87-425c-b8b5-04e4d247f6cd}": "PCI configuration space",
	"{f57308df-cc45-4e01-ad76-29a4ebb010ec}": "black box: boot status",
	"{00afe9c4-940d-4213-8016-cd3719b5bc20}": "black box: NTFS",
	"{b7631941-532a-4cd6-b1b1-edb5917d4557}": "black box: Plug and Play",
	"{4ee76bd8-3cf4-44a0-a0ac-3937643e37a3}": "black box: code integrity",
	"{2b4ae195-a64d-4f04-8ede-7e4f981bd42a}": "triage dump data",
	"{b0692a5e-6b7b-4073-8a7c-604e35032970}": "secure kernel crash data",
	"{9282756a-ab95-4d24-a137-ecddc5de53f5}": "secure kernel log",
	"{54c84888-01d1-4c1e-bed6-282c98241303}": "driver framework (KMDF) log",
	"{f87e4a4c-c5a1-4d2f-bff0-d5de63a5e4c3}": "driver framework (KMDF) drivers",
	"{c939c73b-17dc-4a44-904c-e2d987f52649}": "StorPort: paging device",
	"{da82441d-7142-4bc1-b844-0807c5a4b67f}": "StorPort: device dump",
	"{d8e2592f-1aab-4d56-a746-1f7585df40f4}": "storage device dump",
	"{270a33fd-3da6-460d-ba89-3c1bae21e39b}": "display (dxgkrnl) state",
	"{bf2297dc-34ba-11dc-868a-e19155d89593}": "NVIDIA display driver state",
	"{65755a40-f146-43ea-8c91-36b85728fd35}": "crash dump driver",
	"{00dae7ca-6833-45c5-b147-bdaed7b61fd6}": "Hyper-V boot event log",
}

// Name says what a block is; "" if its GUID is not known.
func (t Tagged) Name() string { return tagNames[t.GUID.String()] }
