package dump_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"bugcheck/dump"
	"bugcheck/internal/damage"
	"bugcheck/lab"
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// bound is what opening a file may allocate: 64 MiB and four times its size.
func bound(file []byte) uint64 { return 64<<20 + 4*uint64(len(file)) }

// openBounded opens and walks a hostile dump within the bound and a time.
func openBounded(t *testing.T, what string, b []byte) *dump.File {
	t.Helper()
	var f *dump.File
	start := time.Now()
	got := allocated(func() {
		f = open(t, b)
		walk(t, f)
	})
	if got > bound(b) {
		t.Errorf("%s: a file of %d KiB made Open allocate %d MiB, want at most %d", what, len(b)>>10, got>>20, bound(b)>>20)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%s: took %v", what, d)
	}
	return f
}

// The words of the triage directory, alone and together, hold 0xffffffff.
func TestOpen_HostileDirectory(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		h := damage.HeaderOf(b)
		for off := 4; off < 0x80; off += 4 {
			c := bytes.Clone(b)
			put32(c, h.Size+off, 0xffffffff)
			if f := openBounded(t, fmt.Sprintf("word %#x", off), c); f.Header.BugCheckCode != d.Code {
				t.Errorf("word %#x: stop code %#x, want %#x", off, f.Header.BugCheckCode, d.Code)
			}
		}
		for off := 4; off < 0x80; off += 4 {
			put32(b, h.Size+off, 0xffffffff)
		}
		f := openBounded(t, "all words", b)
		if !f.Truncated || len(f.Notes) == 0 || f.Header.BugCheckCode != d.Code {
			t.Errorf("truncated %v, notes %v, stop code %#x; want true, some, %#x", f.Truncated, f.Notes, f.Header.BugCheckCode, d.Code)
		}
	})
}

// Counts of 0xffffffff over lists that stand where they should.
func TestOpen_HostileCounts(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		h := damage.HeaderOf(b)
		blockCount := 0x7c
		if h.Size == 0x1000 {
			blockCount = 0x64
		}
		unloaded := int(u32(b, h.Size+0x18))
		for _, off := range []int{h.Size + 0x2c, h.Size + 0x34, h.Size + 0x3c, h.Size + blockCount, unloaded} {
			put32(b, off, 0xffffffff)
		}
		f := openBounded(t, "all counts", b)
		for _, where := range []string{"loaded modules", "unloaded modules", "data blocks", "stack"} {
			if !noted(f, where) {
				t.Errorf("no note names %s: %v", where, f.Notes)
			}
		}
		if len(f.Drivers) > 4096 || len(f.Unloaded) > 1024 || len(f.Runs) > 1<<16+1 {
			t.Errorf("%d drivers, %d unloaded, %d runs", len(f.Drivers), len(f.Unloaded), len(f.Runs))
		}
	})
}

// Sizes in the tagged data that do not fit, and headers that lead nowhere.
func TestOpen_HostileTagged(t *testing.T) {
	d := crash(lab.Windows26100, lab.Old)
	b := labBytes(t, d)
	first := bytes.Index(b, []byte("DumpBlob")) + 0x10
	for _, tt := range []struct {
		name   string
		off    int
		value  uint32
		tagged int
	}{
		{"header of 1 byte", first, 1, 0},
		{"header of 0x1f bytes", first, 0x1f, 0},
		{"header of 4 GiB", first, 0xffffffff, 0},
		{"data of 4 GiB", first + 20, 0xffffffff, 0},
		{"padding before of 4 GiB", first + 24, 0xffffffff, 0},
		{"padding behind of 4 GiB", first + 28, 0xffffffff, 1},
		{"file header of 4 GiB", first - 8, 0xffffffff, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := bytes.Clone(b)
			put32(c, tt.off, tt.value)
			f := openBounded(t, tt.name, c)
			if len(f.Tagged) != tt.tagged || len(f.Drivers) != len(d.Drivers) {
				t.Errorf("%d tagged blocks, %d drivers; want %d, %d", len(f.Tagged), len(f.Drivers), tt.tagged, len(d.Drivers))
			}
		})
	}
}

// Blocks of zero bytes end after a bounded number.
func TestOpen_ManyTaggedBlocks(t *testing.T) {
	d := crash(lab.Windows26100, lab.Old)
	d.Tagged = nil
	for range 6000 {
		d.Tagged = append(d.Tagged, lab.Blob{GUID: "00112233-4455-6677-8899-aabbccddeeff"})
	}
	if f := openBounded(t, "6000 blocks", labBytes(t, d)); len(f.Tagged) != 4096 {
		t.Errorf("%d tagged blocks, want the limit of 4096", len(f.Tagged))
	}
}

// The registry entry's lengths are chosen by an enemy.
func TestProcessor_Hostile(t *testing.T) {
	entry := processorEntry()
	name := utf16z("ProcessorNameString")
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"name of 4 GiB", words32(0xffffffff, 1, 2), ""},
		{"value of 4 GiB", append(append(words32(uint32(len(name))), name...), words32(1, 0xffffffff)...), ""},
		{"zeros", make([]byte, 0x10000), ""},
		{"cut behind the first value", entry[:len(entry)/2], "Example CPU @ 2.50GHz"},
		{"short MHz", append(append(words32(10), utf16z("~MHz")...), words32(4, 2, 1)[:10]...), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := crash(lab.Windows19041, lab.New)
			d.Tagged[0].Data = tt.data
			f := open(t, labBytes(t, d))
			if got := f.Processor(); got.Name != tt.want || got.MHz != 0 {
				t.Errorf("Processor() = %+v, want name %q", got, tt.want)
			}
		})
	}
}

// smbios is RawSMBIOSData around structures.
func smbios(structures ...string) []byte {
	table := strings.Join(structures, "")
	return append(binary.LittleEndian.AppendUint32([]byte{0, 3, 2, 0}, uint32(len(table))), table...)
}

func TestSMBIOS(t *testing.T) {
	board := "\x02\x06\x02\x00\x01\x02Example Board\x00To be filled by O.E.M.\x00\x00"
	cpu := "\x04\x11\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01Example CPU\x00\x00"
	memory := make([]byte, 0x22)
	copy(memory, []byte{17, 0x22, 4, 0})
	for off, v := range map[int]uint16{0xc: 0x7fff, 0x15: 3200, 0x1c: 0x8000, 0x20: 2933} {
		binary.LittleEndian.PutUint16(memory[off:], v)
	}
	memory[0x10], memory[0x17], memory[0x1a] = 1, 2, 9 // string 9 does not exist
	device := string(memory) + "DIMM A1\x00Example RAM\x00\x00"
	want := dump.SMBIOS{BoardManufacturer: "Example Board", Processor: "Example CPU",
		MemoryDevices: []dump.MemoryDevice{{Handle: 4, Locator: "DIMM A1", Manufacturer: "Example RAM", SizeMiB: 0x8000, SpeedMTs: 3200, ConfiguredMTs: 2933}}}
	for _, tt := range []struct {
		name string
		data []byte
		want dump.SMBIOS
	}{
		{"nothing", nil, dump.SMBIOS{}},
		{"header alone", smbios(), dump.SMBIOS{}},
		{"structure of 0 bytes", smbios("\x01\x00\x00\x00"), dump.SMBIOS{}},
		{"structure past the end", smbios("\x01\xff\x00\x00\x01"), dump.SMBIOS{}},
		{"strings without an end", smbios("\x02\x06\x02\x00\x01\x00Example Board"), dump.SMBIOS{BoardManufacturer: "Example Board"}},
		{"board, processor, memory", smbios(board, cpu, device), want},
		{"memory slot that is empty", smbios("\x11\x1b\x00\x00" + strings.Repeat("\x00", 0x17) + "\x00\x00"), dump.SMBIOS{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := lab.Machine(lab.Windows26100)
			d.SMBIOS = nil
			d.Tagged = []lab.Blob{{GUID: "bc5c008f-1e3a-44d7-988d-86f6884c6758", Data: tt.data}}
			if got := open(t, labBytes(t, d)).SMBIOS(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("SMBIOS() = %+v, want %+v", got, tt.want)
			}
		})
	}
}
