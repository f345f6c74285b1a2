package kernel

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/mem"
)

const (
	trackVariable = worldData + 0x800
	tagTablesAt   = worldData + 0x828
	track0        = mem.VA(0xffffa00d_10000000)
	track1        = mem.VA(0xffffa00d_10100000)
	track2        = mem.VA(0xffffa00d_10200000)
	expansion     = mem.VA(0xffffa00d_10300000)
)

// row writes a POOL_TRACKER_TABLE with 64-bit counters.
func (w world) row(va mem.VA, tag string, counters ...int64) {
	w.write(va, []byte(tag))
	for i, c := range counters {
		w.words(va+8+mem.VA(8*i), mem.VA(c))
	}
}

// poolWorld has the tables of three processors, 100 rows each of a size.
func poolWorld(size mem.VA) world {
	w := world{}
	w.words(trackVariable, track0)
	w.words(tagTablesAt, track0, track1, track2)
	for _, table := range []mem.VA{track0, track1, track2} {
		w.write(table, make([]byte, 100*size))
	}
	w.row(track0+5*size, "Leak", 4000, 4, 1, 90000, 30, 0)
	w.row(track0+99*size, "File", 100, 5, 3, 0, 0, 0)
	w.row(track1+7*size, "Leak", 1000, 1, 0, 0, 0, 0) // another bucket on another processor
	w.row(track2+9*size, "Fil\xe5", -50, 0, 1, 0, 0, 0)
	w.row(track2+11*size, "Ntf\x00", 7, 1, 0, 0, 0, 0)
	return w
}

var wantUsage = []PoolTag{
	{"Leak", PoolCount{5000, 5, 1}, PoolCount{90000, 30, 0}},
	{"File", PoolCount{50, 5, 4}, PoolCount{}},
	{"Ntf.", PoolCount{7, 1, 0}, PoolCount{}},
}

func TestPoolUsage(t *testing.T) {
	for _, tt := range []struct {
		name, kernel string
		size         mem.VA
		table        bool // the kernel's layouts are known
		symbols      map[string]mem.VA
	}{
		{"17763", "17763", 0x38, true, nil},
		{"19041, no layouts", "19041", 0x38, false, nil},
		{"22000", "22000", 0x50, true, nil},
		{"22000, no layouts", "22000", 0x50, false, nil},
		{"symbols", "22000", 0x50, true, map[string]mem.VA{"PoolTrackTable": trackVariable, "ExPoolTagTables": tagTablesAt,
			"PoolTrackTableSize": worldData, "PoolTrackTableExpansion": worldData + 8, "PoolTrackTableExpansionSize": worldData + 16}},
	} {
		w := poolWorld(tt.size)
		w.words(worldData, 100, expansion, 2)
		w.row(expansion+tt.size, "Exp ", 1, 1, 0, 2, 1, 0)
		m := w.machine(tt.kernel, map[int]mem.VA{kdbgPoolTrackTable: trackVariable})
		m.Header.Processors = 3
		if !tt.table {
			m.structures.table = nil
		}
		want := wantUsage
		if tt.symbols != nil {
			withSymbols(t, m, tt.symbols)
			want = append(want[:2:2], want[2], PoolTag{"Exp ", PoolCount{1, 1, 0}, PoolCount{2, 1, 0}})
		}
		got, err := m.PoolUsage()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v\nwant %+v", tt.name, got, err, want)
		}
	}
	if got := wantUsage[0].Paged.Blocks() + (PoolCount{Allocs: 1, Frees: 2}).Blocks(); got != 30 {
		t.Errorf("%d blocks, want 30", got)
	}
}

// TestPoolUsage_Old: counts of 32 bits, as up to 14393.
func TestPoolUsage_Old(t *testing.T) {
	w := world{}
	w.words(trackVariable, track0)
	for i, tag := range []string{"Leak", "Proc"} {
		at := track0 + mem.VA(i+1)*0x28
		w.write(at, []byte(tag))
		w.u32(at+4, 9, 2)
		w.words(at+0x10, 0x700)
		w.u32(at+0x18, 3, 1)
		w.words(at+0x20, 0x300)
	}
	m := w.machine("17763", map[int]mem.VA{kdbgPoolTrackTable: trackVariable})
	m.structures.table = nil
	got, err := m.PoolUsage()
	if want := (PoolTag{"Leak", PoolCount{0x700, 9, 2}, PoolCount{0x300, 3, 1}}); err != nil || len(got) != 2 || got[0] != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// TestPoolUsage_X86: bytes of 32 bits, counts of 64; addresses are sign-extended.
func TestPoolUsage_X86(t *testing.T) {
	const variable, table = mem.VA(0x82400010), mem.VA(0x85000000)
	w := world{}
	w.u32(variable, uint32(table))
	w.write(table+0x30, []byte("Leak"))
	w.u32(table+0x34, 0x700)
	w.words(table+0x38, 9, 2)
	w.u32(table+0x48, 0x300)
	w.words(table+0x50, 3, 1)
	m := w.machine("19041", map[int]mem.VA{kdbgPoolTrackTable: variable | 0xffffffff00000000})
	m.Arch = dump.X86
	got, err := m.PoolUsage()
	if want := []PoolTag{{"Leak", PoolCount{0x700, 9, 2}, PoolCount{0x300, 3, 1}}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// Damage: what is left is counted, and the error says what is missing.
func TestPoolUsage_Torn(t *testing.T) {
	names := map[string]mem.VA{"PoolTrackTable": trackVariable, "ExPoolTagTables": tagTablesAt, "PoolTrackTableSize": worldData}
	for _, tt := range []struct {
		name    string
		symbols bool
		harm    func(w world)
		tags    int
		err     string
	}{
		{"no variable", false, func(w world) { delete(w, worldData) }, 0, "PoolTrackTable: fffff804`10400800"},
		{"no table", false, func(w world) { delete(w, track0); delete(w, track0+0x1000) }, 3, "row 0: ffffa00d`10000000 is not in the dump"},
		{"only processor 0", false, func(w world) { w.words(tagTablesAt, 0, 0, 0) }, 2, "processor 0"},
		{"first page", true, func(w world) { delete(w, track0) }, 3, "row 0: ffffa00d`10000000 is not in the dump"},
		{"last page", true, func(w world) { delete(w, track0+0x1000) }, 3, "row 73: ffffa00d`10000ff8 is not in the dump"},
		{"one processor's", true, func(w world) { delete(w, track1) }, 3, "table at ffffa00d`10100000: row 0"},
		{"a huge size", true, func(w world) { w.words(worldData, 0xffffffffffff) }, 3, ""},
		{"no such tables", true, func(w world) { w.words(tagTablesAt+8, 0x123000, track1) }, 2, ""},
	} {
		w := poolWorld(0x38)
		w.words(worldData, 100)
		tt.harm(w)
		m := w.machine("19041", map[int]mem.VA{kdbgPoolTrackTable: trackVariable})
		m.Header.Processors = 3
		if tt.symbols {
			withSymbols(t, m, names)
		}
		got, err := m.PoolUsage()
		if len(got) != tt.tags || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v; want %d tags and %q", tt.name, got, err, tt.tags, tt.err)
		}
	}
}

func TestTagText(t *testing.T) {
	for key, want := range map[uint32]string{0x6b61654c: "Leak", 0xe56c6946: "File", 0x0066744e: "Ntf.", 0: "...."} {
		if got := TagText(key); got != want {
			t.Errorf("TagText(%#x) = %q, want %q", key, got, want)
		}
	}
}

func TestTagDrivers(t *testing.T) {
	w := world{}
	w.write(worldMyfault+0x1ffd, []byte("Leak")) // over a page's end
	w.write(worldStorport+0x3000, []byte("StorLeak"))
	w.write(worldKernel+0x5000, []byte("File"))
	delete(w, worldKernel)
	m := w.machine("19041", nil)
	want := map[string][]string{"Leak": {"myfault.sys"}, "Stor": {"storport.sys"}, "File": {"ntoskrnl.exe"}}
	if got := m.TagDrivers("Leak", "Stor", "File", "None", "too long"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestTagDrivers_ARM64: the code makes the tag of two halves.
func TestTagDrivers_ARM64(t *testing.T) {
	code := func(words ...uint32) []byte {
		var b []byte
		for _, w := range words {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	const nop = 0xd503201f
	movz, movk := uint32(0x52800000|0x654c<<5|2), uint32(0x72a00000|0x6b61<<5|2)
	for _, tt := range []struct {
		name string
		code []byte
		want bool
	}{
		{"both halves", code(nop, movz, nop, movk), true},
		{"another register", code(movz, movk+1), false},
		{"too far apart", code(movz, nop, nop, nop, nop, nop, nop, nop, nop, movk), false},
		{"the lower half alone", code(movz), false},
	} {
		w := world{}
		w.write(worldMyfault+0x1000, tt.code)
		m := w.machine("22000", nil)
		m.Arch = dump.ARM64
		if got := m.TagDrivers("Leak"); (len(got["Leak"]) == 1) != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
