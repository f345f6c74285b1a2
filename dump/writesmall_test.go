package dump

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/win"
)

// What is written as a small dump is read as what was given.
func TestWriteSmall_RoundTrip(t *testing.T) {
	recipe, err := lab.HighIRQLKernel(lab.Windows19041).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	from, err := Open(bytes.NewReader(recipe), int64(len(recipe)))
	if err != nil {
		t.Fatal(err)
	}
	s := Small{
		Header:  recipe,
		Drivers: from.Drivers,
		Unloaded: []Unloaded{
			{Name: "dam.sys", Start: 0xfffff80319a10000, End: 0xfffff80319a2c000},
			{Name: "dump_storpor", Start: 0xfffff80319a40000, End: 0xfffff80319a4e000},
		},
		Blocks:   from.Blocks,
		Captured: []Captured{{Address: 0xffffb30c45000000, Data: []byte("a block of pool")}, {Address: 0xffffb30c45001000, Data: []byte{1}}},
		Tagged:   []Tagged{{GUID: win.GUID{1, 2, 3}, Data: []byte("odd")}, {GUID: win.GUID{4}, Data: bytes.Repeat([]byte{7}, 4096)}},
	}
	s.Drivers[1].Verified = true
	s.Blocks.BrokenDriver = "myfault.sys"
	var file bytes.Buffer
	if err := WriteSmall(&file, s); err != nil {
		t.Fatal(err)
	}
	got, err := Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if got.Kind != Triage || got.Truncated || len(got.Notes) > 0 {
		t.Errorf("kind %s, truncated %v, notes %v; want a small dump without notes", got.Kind, got.Truncated, got.Notes)
	}
	want := s.Blocks
	want.Memory = MemoryFigures{}
	if diff := cmp.Diff(want, got.Blocks); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(s.Drivers, got.Drivers); diff != "" {
		t.Errorf("drivers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(s.Unloaded, got.Unloaded); diff != "" {
		t.Errorf("unloaded drivers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(s.Tagged, got.Tagged); diff != "" {
		t.Errorf("tagged data (-want +got):\n%s", diff)
	}
	if got.Header.BugCheckCode != 0xd1 || got.Header.DumpType != 4 {
		t.Errorf("stop code %#x, type %d; want 0xd1, 4", got.Header.BugCheckCode, got.Header.DumpType)
	}
	for _, c := range s.Captured {
		b, err := mem.Read(got.Memory, c.Address, len(c.Data))
		if err != nil || !bytes.Equal(b, c.Data) {
			t.Errorf("memory at %v: %q, %v; want %q", c.Address, b, err, c.Data)
		}
	}
}

func TestWriteSmall_Refuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		s          Small
	}{
		{"no header", "no 64-bit header", Small{}},
		{"too much", "more than a small dump holds", Small{
			Header:   make([]byte, header64Size),
			Captured: []Captured{{Data: make([]byte, maxSmall)}, {Data: make([]byte, 1)}},
		}},
	} {
		var file bytes.Buffer
		err := WriteSmall(&file, tt.s)
		if err == nil || !strings.Contains(err.Error(), tt.want) || file.Len() > 0 {
			t.Errorf("%s: %v and %d bytes, want an error with %q and nothing", tt.name, err, file.Len(), tt.want)
		}
	}
}
