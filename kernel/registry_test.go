package kernel

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"bugcheck/mem"
)

const (
	hiveListVariable = worldData + 0x5000
	hiveAt           = mem.VA(0xffffbc0d_10000000)
	otherHive        = mem.VA(0xffffbc0d_10010000)
	hiveBase         = mem.VA(0xffffbc0d_20000000)
	hiveMap          = mem.VA(0xffffbc0d_21000000)
	hiveTable        = mem.VA(0xffffbc0d_22000000)
	hiveBins         = mem.VA(0x00000240_00000000) // in the process Registry
)

// hive writes cells into a hive and counts them.
type hive struct {
	w    world
	next uint32
}

// cell adds a cell, on a page of its own where it would else lie on two.
func (h *hive) cell(data []byte) uint32 {
	size := uint32(len(data)+4+7) &^ 7
	if h.next&0xfff+size > 0x1000 {
		h.next = (h.next + 0xfff) &^ 0xfff
	}
	index := h.next
	at := hiveBins + mem.VA(index)
	w := h.w
	w.u32(at, -size)
	w.write(at+4, data)
	entry := hiveTable + mem.VA(index>>12)*0x18
	w.words(entry, mem.VA(index&^0xfff), hiveBins|1)
	h.next += size
	return index
}

func (h *hive) list(kind uint16, keys ...uint32) uint32 {
	b := binary.LittleEndian.AppendUint16(nil, kind)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(keys)))
	for _, k := range keys {
		b = binary.LittleEndian.AppendUint32(b, k)
		if kind == indexFast || kind == indexHash {
			b = append(b, "hash"...)
		}
	}
	return h.cell(b)
}

// key adds a CM_KEY_NODE with a list of keys and values.
func (h *hive) key(name string, subkeys int, list uint32, values ...uint32) uint32 {
	b := make([]byte, 0x4c)
	binary.LittleEndian.PutUint16(b, 0x6b6e)
	binary.LittleEndian.PutUint16(b[2:], 0x20)
	binary.LittleEndian.PutUint32(b[0x14:], uint32(subkeys))
	binary.LittleEndian.PutUint32(b[0x1c:], list)
	binary.LittleEndian.PutUint32(b[0x24:], uint32(len(values)))
	binary.LittleEndian.PutUint32(b[0x28:], noCell)
	if len(values) > 0 {
		var l []byte
		for _, v := range values {
			l = binary.LittleEndian.AppendUint32(l, v)
		}
		binary.LittleEndian.PutUint32(b[0x28:], h.cell(l))
	}
	binary.LittleEndian.PutUint16(b[0x48:], uint16(len(name)))
	return h.cell(append(b, name...))
}

func (h *hive) value(name string, kind, length, data uint32) uint32 {
	b := make([]byte, 0x14)
	binary.LittleEndian.PutUint16(b, 0x6b76)
	binary.LittleEndian.PutUint16(b[2:], uint16(len(name)))
	binary.LittleEndian.PutUint32(b[4:], length)
	binary.LittleEndian.PutUint32(b[8:], data)
	binary.LittleEndian.PutUint32(b[0xc:], kind)
	b[0x10] = 1
	return h.cell(append(b, name...))
}

func (h *hive) dword(name string, v uint32) uint32 { return h.value(name, 4, 4|1<<31, v) }

func (h *hive) text(name string, kind uint32, s string) uint32 {
	var b []byte
	for _, c := range s + "\x00" {
		b = binary.LittleEndian.AppendUint16(b, uint16(c))
	}
	return h.value(name, kind, uint32(len(b)), h.cell(b))
}

// registryWorld has two hives; that of the system has two services.
func registryWorld() world {
	w := world{}
	h := &hive{w: w, next: 0x20}
	myfault := h.key("MYFAULT", 0, noCell, h.text("ImagePath", 2, `\??\C:\myfault.sys`), h.dword("Start", 3), h.dword("Type", 1))
	disk := h.key("disk", 0, noCell, h.text("DisplayName", 1, "Disk Driver"), h.dword("Start", 0), h.text("Type", 1, "no number"))
	services := h.key("Services", 2, h.list(indexRoot, h.list(indexHash, myfault), h.list(indexLeaf, disk)))
	set := h.key("ControlSet002", 1, h.list(indexFast, services))
	pick := h.key("Select", 0, noCell, h.dword("Current", 2))
	root := h.key("ROOT", 2, h.list(indexHash, set, pick))
	w.ring(hiveListVariable, otherHive+0x640, hiveAt+0x640)
	for _, at := range []mem.VA{otherHive, hiveAt} {
		w.u32(at, hiveSignature)
	}
	w.text(otherHive+0x738, texts, `\REGISTRY\MACHINE\HARDWARE`)
	w.text(hiveAt+0x738, texts+0x100, `\REGISTRY\MACHINE\SYSTEM`)
	w.text(hiveAt+0x718, texts+0x200, `\SystemRoot\System32\Config\SYSTEM`)
	w.words(hiveAt+0x40, hiveBase)
	w.u32(hiveBase+0x24, root)
	w.words(hiveAt+0x110, mem.VA(h.next), hiveMap)
	w.words(hiveMap, hiveTable)
	return w
}

// registryVariables make the debugger data block say where variables are.
var registryVariables = map[int]mem.VA{kdbgPhysicalMemory: physicalVariable}

func number(n uint32) *uint32 { return &n }

func TestServices(t *testing.T) {
	want := []Service{
		{Name: "MYFAULT", ImagePath: `\??\C:\myfault.sys`, Start: number(3), Type: number(1)},
		{Name: "disk", DisplayName: "Disk Driver", Start: number(0)},
	}
	for _, symbols := range []bool{false, true} {
		m := registryWorld().machine("19041", registryVariables)
		if symbols {
			withSymbols(t, m, map[string]mem.VA{"CmpHiveListHead": hiveListVariable})
		}
		if got, err := m.Services(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("symbols %v: %+v, %v\nwant %+v", symbols, got, err, want)
		}
		hives, err := m.Hives()
		wantHives := []Hive{{otherHive, `\REGISTRY\MACHINE\HARDWARE`, ""}, {hiveAt, `\REGISTRY\MACHINE\SYSTEM`, `\SystemRoot\System32\Config\SYSTEM`}}
		if err != nil || !reflect.DeepEqual(hives, wantHives) {
			t.Errorf("hives: %+v, %v", hives, err)
		}
	}
}

func TestServices_Torn(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(w world)
		want int
		err  string
	}{
		{"no list", func(w world) { delete(w, hiveListVariable) }, 0, "CmpHiveListHead"},
		{"no system hive", func(w world) { w.ring(hiveListVariable, otherHive+0x640) }, 0, "none of 1 hives"},
		{"its entry is torn", func(w world) { w.words(otherHive+0x640, 0x123) }, 2, "00000000`00000123 is no entry"},
		{"no base block", func(w world) { delete(w, hiveBase) }, 0, "base block: ffffbc0d`20000024"},
		{"none at all", func(w world) { w.words(hiveAt+0x40, 0) }, 0, "it has no base block"},
		{"no map", func(w world) { delete(w, hiveMap) }, 0, "map: ffffbc0d`21000000"},
		{"no table", func(w world) { delete(w, hiveTable) }, 0, "map: ffffbc0d`22"},
		{"no cells", func(w world) { delete(w, hiveBins) }, 0, "00000240`00000"},
		{"a cell that is free", func(w world) { w.u32(hiveBins+0x20, 0x100) }, 2, ""}, // the text of a value
		{"a root that is none", func(w world) { w.u32(hiveBase+0x24, 0x20) }, 0, "cell 0x20 is no key"},
		{"a root behind the end", func(w world) { w.u32(hiveBase+0x24, 0x7ffff000) }, 0, "lies behind its end"},
		{"an empty hive", func(w world) { w.words(hiveAt+0x110, 0) }, 0, "lies behind its end"},
	} {
		w := registryWorld()
		tt.harm(w)
		got, err := w.machine("19041", registryVariables).Services()
		if len(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v; want %d and %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// TestServices_Hostile: lists of keys that hold themselves, and more entries than there are.
func TestServices_Hostile(t *testing.T) {
	for _, tt := range []struct {
		name string
		list func(h *hive) (n int, list uint32)
		err  string
	}{
		{"a list of lists of lists", func(h *hive) (int, uint32) { return 1, h.list(indexRoot, h.list(indexRoot, h.list(indexLeaf))) }, "is no list of keys"},
		{"a list in itself", func(h *hive) (int, uint32) { return 1, h.list(indexRoot, h.next) }, "is no list of keys"},
		{"more entries than its cell has", func(h *hive) (int, uint32) {
			return 1, h.cell([]byte{0x6c, 0x69, 0xff, 0xff, 1, 2, 3, 4})
		}, "65533 entries are missing"},
	} {
		w := registryWorld()
		h := &hive{w: w, next: 0x3000}
		n, list := tt.list(h)
		services := h.key("Services", n, list)
		root := h.key("ROOT", 1, h.list(indexLeaf, h.key("ControlSet001", 1, h.list(indexLeaf, services))))
		w.u32(hiveBase+0x24, root)
		w.words(hiveAt+0x110, mem.VA(h.next))
		got, err := w.machine("19041", registryVariables).Services()
		if len(got) != 0 || err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v; want %q", tt.name, got, err, tt.err)
		}
	}
}
