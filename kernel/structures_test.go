package kernel

import (
	"encoding/binary"
	"testing"

	"bugcheck/dump"
)

// debuggerData is a KDDEBUGGER_DATA64 that says sizes alone.
func debuggerData(eprocess, parentCID, prcb, ethread uint16) []byte {
	b := make([]byte, 0x380)
	for off, v := range map[int]uint16{kdbgSizeEProcess: eprocess, kdbgParentCID: parentCID, kdbgSizePrcb: prcb, kdbgSizeEThread: ethread} {
		binary.LittleEndian.PutUint16(b[off:], v)
	}
	return b
}

func TestStructures_BySizes(t *testing.T) {
	for _, tt := range []struct {
		name      string
		kdbg      []byte
		structure string
		field     string
		want      int
	}{
		{"17763", debuggerData(0x850, 0x3e0, 0x7ec0, 0x810), "_EPROCESS", "ImageFileName", 0x450},
		{"19041", debuggerData(0xa40, 0x540, 0xaf00, 0x898), "_EPROCESS", "ImageFileName", 0x5a8},
		{"19041", debuggerData(0xa40, 0x540, 0xaf00, 0x898), "_EPROCESS", "NoSuchField", -1},
		{"22000, not 22621, by its ETHREAD", debuggerData(0xb80, 0x540, 0xbf00, 0x8f0), "_ETHREAD", "Cid", 0x4c8},
		{"a KPRCB of another size", debuggerData(0xa40, 0x540, 0xb000, 0x898), "_KPRCB", "DpcData", -1},
		{"a KPRCB of another size", debuggerData(0xa40, 0x540, 0xb000, 0x898), "_KTHREAD", "StackBase", 0x38},
		{"no known kernel", debuggerData(0xa48, 0x540, 0xaf00, 0x898), "_EPROCESS", "ImageFileName", -1},
		{"no debugger data", nil, "_EPROCESS", "ImageFileName", -1},
	} {
		m := &Machine{structures: structures{table: findTable(dump.X64, tt.kdbg)}}
		if got := m.Field(tt.structure, tt.field); got != tt.want {
			t.Errorf("%s: Field(%s, %s) = %#x, want %#x", tt.name, tt.structure, tt.field, got, tt.want)
		}
	}
	m := &Machine{structures: structures{table: findTable(dump.X64, debuggerData(0xa40, 0x540, 0xaf00, 0x898))}}
	if got := m.SizeOf("_EPROCESS"); got != 0xa40 {
		t.Errorf("SizeOf(_EPROCESS) = %#x, want 0xa40", got)
	}
	if got := m.SizeOf("_NO_SUCH"); got != 0 {
		t.Errorf("SizeOf(_NO_SUCH) = %#x, want 0", got)
	}
}
