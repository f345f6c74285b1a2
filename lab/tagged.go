package lab

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// smbiosGUID tags the firmware's SMBIOS tables, mssmbios!SMBiosGuidSMBios in the list
// of tags at gary-nebbett.blogspot.com/2023/05. In 12 of 16 real dumps the blob with
// this tag is a RawSMBIOSData, the structure that GetSystemFirmwareTable('RSMB') returns.
const smbiosGUID = "bc5c008f-1e3a-44d7-988d-86f6884c6758"

// taggedData appends the secondary data: a DUMP_BLOB_FILE_HEADER {'Dump', 'Blob', header
// size 16, build number} and for each blob a DUMP_BLOB_HEADER {header size 32, GUID, data
// size, padding before, padding after}. Sources: the WDK's names; real dumps, where New
// writers pad the data to 8 bytes and Old ones do not.
func (d *Dump) taggedData(w *buf) error {
	blobs := d.Tagged
	if d.SMBIOS != nil {
		data, err := d.SMBIOS.raw()
		if err != nil {
			return err
		}
		blobs = append(blobs[:len(blobs):len(blobs)], Blob{GUID: smbiosGUID, Data: data})
	}
	if len(blobs) == 0 && len(d.Slack) == 0 {
		return nil
	}
	at := len(w.b)
	w.put(at, []byte("DumpBlob"))
	w.put32s(at+8, 16, 0xf0000000|d.Build.number)
	for i, b := range blobs {
		if err := d.blob(w, b); err != nil {
			return fmt.Errorf("blob %d: %w", i, err)
		}
	}
	w.put(len(w.b), d.Slack)
	return nil
}

func (d *Dump) blob(w *buf, b Blob) error {
	guid, err := parseGUID(b.GUID)
	if err != nil {
		return err
	}
	pad := 0
	if d.Layout == New {
		pad = -len(b.Data) & 7
	}
	at := len(w.b)
	w.put32(at, 32)
	w.put(at+4, guid)
	w.put32s(at+20, uint32(len(b.Data)), 0, uint32(pad))
	w.put(at+32, b.Data)
	w.grow(at + 32 + len(b.Data) + pad)
	return nil
}

// parseGUID returns the 16 bytes of a GUID in the order of a file: the first three
// groups are little-endian numbers.
func parseGUID(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 || len(s) != 36 {
		return nil, fmt.Errorf("%q is no GUID", s)
	}
	le := binary.LittleEndian.AppendUint32(nil, binary.BigEndian.Uint32(b))
	le = binary.LittleEndian.AppendUint16(le, binary.BigEndian.Uint16(b[4:]))
	le = binary.LittleEndian.AppendUint16(le, binary.BigEndian.Uint16(b[6:]))
	return append(le, b[8:]...), nil
}

// raw returns a RawSMBIOSData of SMBIOS 3.0 with the structures 0 (BIOS), 1 (system) and
// 127 (end): learn.microsoft.com GetSystemFirmwareTable; DMTF DSP0134 sections 7.1, 7.2.
func (s *SMBIOS) raw() ([]byte, error) {
	bios := make([]byte, 0x18)
	copy(bios, []byte{0, 0x18, 0, 0, 1, 2, 0, 0, 3})
	copy(bios[0x14:], []byte{1, 0, 0xff, 0xff}) // BIOS release 1.0, no embedded controller
	system := make([]byte, 0x1b)
	copy(system, []byte{1, 0x1b, 1, 0, 1, 2, 0, 3})
	var table []byte
	for _, t := range []struct {
		structure []byte
		texts     []string
		places    []int
	}{
		{bios, []string{s.BIOSVendor, s.BIOSVersion, s.BIOSRelease}, []int{4, 5, 8}},
		{system, []string{s.Manufacturer, s.Product, s.Serial}, []int{4, 5, 7}},
		{[]byte{127, 4, 2, 0}, nil, nil},
	} {
		b, err := structure(t.structure, t.texts, t.places)
		if err != nil {
			return nil, err
		}
		table = append(table, b...)
	}
	head := binary.LittleEndian.AppendUint32([]byte{0, 3, 0, 0}, uint32(len(table)))
	return append(head, table...), nil
}

// structure appends the texts to an SMBIOS structure, each ended by a zero, all of them by
// one more, and puts their numbers, from 1, at the places; an empty text has number 0.
func structure(b []byte, texts []string, places []int) ([]byte, error) {
	number := byte(0)
	tail := []byte{}
	for i, t := range texts {
		if strings.ContainsRune(t, 0) {
			return nil, fmt.Errorf("SMBIOS text %q holds a zero", t)
		}
		b[places[i]] = 0
		if t != "" {
			number++
			b[places[i]] = number
			tail = append(append(tail, t...), 0)
		}
	}
	if number == 0 {
		tail = append(tail, 0)
	}
	return append(append(b, tail...), 0), nil
}
