package evtx_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bugcheck/internal/corpus"
	"bugcheck/internal/evtx"
	"bugcheck/lab/eventlog"
)

var start = time.Date(2026, 3, 1, 4, 5, 6, 700, time.UTC)

// read reads a whole log.
func read(t testing.TB, b []byte, want func(*evtx.Record) bool) ([]evtx.Record, evtx.Damage) {
	t.Helper()
	var list []evtx.Record
	damage, err := evtx.Read(bytes.NewReader(b), int64(len(b)), want, func(r evtx.Record) error {
		list = append(list, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, damage
}

// events are n of several providers, a second apart.
func events(n int) []eventlog.Event {
	list := make([]eventlog.Event, n)
	for i := range list {
		list[i] = eventlog.Event{
			Provider: "Microsoft-Windows-Kernel-Power", GUID: [16]byte{1}, ID: 41, Version: 8, Level: 1,
			Time: start.Add(time.Duration(i) * time.Second), Channel: "System", Computer: "SRV1",
			Data: []eventlog.Value{{Name: "BugcheckCode", Value: uint32(i)}, {Name: "BugcheckParameter1", Value: eventlog.Hex64(0xffff8000_00000000 + uint64(i))}},
		}
		if i%3 == 1 {
			list[i] = eventlog.Event{
				Provider: "EventLog", ID: 6008, Level: 2, Time: list[i].Time, Channel: "System", Computer: "SRV1",
				Data: []eventlog.Value{{Value: "10:00:00"}, {Value: "2026/03/01"}}, Binary: []byte{1, 0xff},
			}
		}
	}
	return list
}

func TestRead_EveryType(t *testing.T) {
	log := eventlog.Write([]eventlog.Event{
		{
			Provider: "Service Control Manager", Source: "SCM", GUID: [16]byte{1}, ID: 7045, Version: 2, Level: 4, Time: start, Channel: "System", Computer: "SRV1",
			Data: []eventlog.Value{
				{Name: "text", Value: "日本語 & <x>"}, {Name: "u8", Value: uint8(200)}, {Name: "u16", Value: uint16(50000)}, {Name: "u32", Value: uint32(4e9)},
				{Name: "u64", Value: uint64(1 << 63)}, {Name: "yes", Value: true}, {Name: "no", Value: false}, {Name: "hex32", Value: eventlog.Hex32(0xd1)},
				{Name: "hex64", Value: eventlog.Hex64(1 << 60)}, {Name: "time", Value: start}, {Name: "bytes", Value: []byte{0xab, 1}}, {Name: "guid", Value: [16]byte{0x33, 0x22, 0x11}},
			},
		},
		{Provider: "EventLog", ID: 6008, Time: start, Channel: "System", Computer: "SRV1", Data: []eventlog.Value{{Value: "\u200e2026/\u200e03"}, {Value: "a\r\nb\x1b[31m"}}, Binary: []byte{9}},
		{Provider: "Microsoft-Windows-UserPnp", ID: 20001, Time: start, Channel: "System", Computer: "SRV1", User: "InstallDeviceID", Data: []eventlog.Value{{Name: "DriverName", Value: "x.inf"}}},
	}, eventlog.Options{First: 77})
	want := []evtx.Record{
		{
			ID: 77, Time: start, Provider: "Service Control Manager", Source: "SCM", Event: 7045, Version: 2, Level: 4, Channel: "System", Computer: "SRV1",
			Data: []evtx.Value{
				{Name: "text", Text: "日本語 & <x>"}, {Name: "u8", Text: "200"}, {Name: "u16", Text: "50000"}, {Name: "u32", Text: "4000000000"},
				{Name: "u64", Text: "9223372036854775808"}, {Name: "yes", Text: "true"}, {Name: "no", Text: "false"}, {Name: "hex32", Text: "0xd1"},
				{Name: "hex64", Text: "0x1000000000000000"}, {Name: "time", Text: "2026-03-01T04:05:06.0000007Z"}, {Name: "bytes", Text: "AB01"}, {Name: "guid", Text: "{00112233-0000-0000-0000-000000000000}"},
			},
		},
		{ID: 78, Time: start, Provider: "EventLog", Event: 6008, Channel: "System", Computer: "SRV1", Data: []evtx.Value{{Text: "2026/03"}, {Text: "a  b\ufffd[31m"}, {Name: "Binary", Text: "09"}}},
		{ID: 79, Time: start, Provider: "Microsoft-Windows-UserPnp", Event: 20001, Channel: "System", Computer: "SRV1", Data: []evtx.Value{{Name: "DriverName", Text: "x.inf"}}},
	}
	got, damage := read(t, log, nil)
	if d := cmp.Diff(want, got); d != "" || damage.Any() {
		t.Errorf("damage %+v, records (-want +got):\n%s", damage, d)
	}
}

func TestRead_ManyChunksAndFilter(t *testing.T) {
	log := eventlog.Write(events(3000), eventlog.Options{})
	got, damage := read(t, log, nil)
	if len(got) != 3000 || damage.Any() {
		t.Fatalf("got %d records, damage %+v, want 3000 and none", len(got), damage)
	}
	for i, r := range got {
		if r.ID != uint64(i+1) || !r.Time.Equal(start.Add(time.Duration(i)*time.Second)) {
			t.Fatalf("record %d: number %d, time %v", i, r.ID, r.Time)
		}
	}
	few, _ := read(t, log, func(r *evtx.Record) bool { return r.Provider == "EventLog" && r.Event == 6008 })
	if len(few) != 1000 {
		t.Errorf("EventLog 6008: got %d records, want 1000", len(few))
	}
}

// TestRead_Dirty: a log that Windows had open when it died tells in its header of less
// than it holds; so may the chunk that was written to.
func TestRead_Dirty(t *testing.T) {
	log := eventlog.Write(events(2000), eventlog.Options{Dirty: true})
	last := log[len(log)-0x10000:]
	copy(last[0x20:], []byte{0, 0, 0, 0, 0, 0, 0, 0}) // its header is of before: the checksum does not hold
	got, damage := read(t, log, nil)
	if len(got) != 2000 || !damage.Dirty {
		t.Errorf("got %d records, damage %+v, want 2000 of a log that was not closed", len(got), damage)
	}
}

func TestRead_NoLog(t *testing.T) {
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("Level,Date and Time"), "zeros": make([]byte, 0x30000)} {
		if _, err := evtx.Read(bytes.NewReader(b), int64(len(b)), nil, nil); !errors.Is(err, evtx.ErrFormat) {
			t.Errorf("%s: got %v, want ErrFormat", name, err)
		}
	}
}

func TestRead_VisitFails(t *testing.T) {
	log := eventlog.Write(events(3), eventlog.Options{})
	stop := errors.New("enough")
	if _, err := evtx.Read(bytes.NewReader(log), int64(len(log)), nil, func(evtx.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the visitor's error", err)
	}
}

// TestRead_Corpus: real logs; the counts are those that the evtx crate 0.14 gives.
func TestRead_Corpus(t *testing.T) {
	dir := corpus.Dir(t, "evtx")
	for _, tt := range []struct {
		file                 string
		records, kinds       int
		stops, power, unsafe int // events 1001, 41, 6008
	}{
		{"no-crash.evtx", 1160, 65, 0, 0, 0},
		{"server2012r2-unclean-shutdown.evtx", 5009, 63, 0, 2, 1},
		{"win7-bugcheck.evtx", 1601, 42, 1, 2, 2},
	} {
		b, err := os.ReadFile(filepath.Join(dir, tt.file))
		if err != nil {
			t.Fatal(err)
		}
		list, damage := read(t, b, nil)
		by := map[string]int{}
		for _, r := range list {
			by[fmt.Sprint(r.Provider, " ", r.Event)]++
		}
		got := []int{len(list), len(by), by["Microsoft-Windows-WER-SystemErrorReporting 1001"], by["Microsoft-Windows-Kernel-Power 41"], by["EventLog 6008"]}
		if d := cmp.Diff([]int{tt.records, tt.kinds, tt.stops, tt.power, tt.unsafe}, got); d != "" || damage.Any() {
			t.Errorf("%s: damage %+v, counts (-want +got):\n%s", tt.file, damage, d)
		}
	}
}
