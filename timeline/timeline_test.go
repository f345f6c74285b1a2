package timeline

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bugcheck/internal/corpus"
	"bugcheck/lab/eventlog"
	"bugcheck/report"
	"bugcheck/win"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// at is a number of minutes after noon.
func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func event(t time.Time, provider string, id uint16, level uint8, data ...eventlog.Value) eventlog.Event {
	return eventlog.Event{Provider: provider, ID: id, Level: level, Time: t, Channel: "System", Computer: "SRV1", Data: data}
}

func named(name string, v any) eventlog.Value { return eventlog.Value{Name: name, Value: v} }
func plain(v string) eventlog.Value           { return eventlog.Value{Value: v} }

// start is what every start of Windows logs.
func start(t time.Time) []eventlog.Event {
	return []eventlog.Event{
		event(t, "Microsoft-Windows-Kernel-General", 12, 4, named("BuildVersion", uint32(20348)), named("StartTime", t)),
		event(t.Add(time.Second), "EventLog", 6009, 4, plain("10.00."), plain("20348")),
		event(t.Add(time.Second), "EventLog", 6005, 4, plain("")),
	}
}

// stop is how Windows shuts down.
func shutdown(t time.Time) []eventlog.Event {
	return []eventlog.Event{event(t, "EventLog", 6006, 4, plain("")), event(t, "Microsoft-Windows-Kernel-General", 13, 4, named("StopTime", t))}
}

// unexpected is event 6008: own time is seven hours behind.
func unexpected(t, last time.Time) eventlog.Event {
	own := last.Add(-7 * time.Hour)
	e := event(t, "EventLog", 6008, 2, plain(own.Format("3:04:05 PM")), plain(own.Format("1/2/2006")), plain(""), plain(""), plain("900"))
	e.Binary = append(systemTimeOf(own), systemTimeOf(last)...)
	return e
}

func systemTimeOf(t time.Time) (b []byte) {
	for _, v := range []int{t.Year(), int(t.Month()), int(t.Weekday()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond() / 1e6} {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

func power(t time.Time, code uint32, p [4]uint64, more ...eventlog.Value) eventlog.Event {
	data := []eventlog.Value{named("BugcheckCode", code)}
	for i, v := range p {
		data = append(data, named(fmt.Sprintf("BugcheckParameter%d", i+1), eventlog.Hex64(v)))
	}
	e := event(t, "Microsoft-Windows-Kernel-Power", 41, 1, append(data, more...)...)
	return e
}

func rebooted(t time.Time, code uint32, p [4]uint64) eventlog.Event {
	return event(t, "Microsoft-Windows-WER-SystemErrorReporting", 1001, 2,
		named("param1", fmt.Sprintf("0x%08x (0x%016x, 0x%016x, 0x%016x, 0x%016x)", code, p[0], p[1], p[2], p[3])),
		named("param2", `C:\Windows\MEMORY.DMP`), named("param3", "031026-9000-01"))
}

// log writes and reads a log of groups of events.
func log(t testing.TB, name string, o eventlog.Options, groups ...any) *Log {
	t.Helper()
	var list []eventlog.Event
	for _, g := range groups {
		switch g := g.(type) {
		case eventlog.Event:
			list = append(list, g)
		case []eventlog.Event:
			list = append(list, g...)
		}
	}
	b := eventlog.Write(list, o)
	l, err := Read(bytes.NewReader(b), int64(len(b)), name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tell(logs []*Log, dumps ...*report.Report) *report.Events {
	return Tell(logs, dumps, Options{Lang: win.English})
}

var parameters = [4]uint64{0xffffc50e6a1f7800, 2, 0, 0xfffff80312b41981}

// crashed is a crash at a time: the start before it, and what the start after it logs.
// Event 6008 stands right before 6009 and 6005, as in real logs.
func crashed(t time.Time) []any {
	then := t.Add(2 * time.Minute)
	after := start(then)
	return []any{start(t.Add(-3 * time.Hour)), after[0], unexpected(then, t), after[1:], power(then, 0xd1, parameters), rebooted(t.Add(3*time.Minute), 0xd1, parameters)}
}

func TestTell_OneCrashOnce(t *testing.T) {
	l := log(t, "System.evtx", eventlog.Options{}, crashed(at(0))...)
	e := tell([]*Log{l})
	if len(e.Incidents) != 1 {
		t.Fatalf("got %d incidents, want 1", len(e.Incidents))
	}
	in := e.Incidents[0]
	if in.Kind != report.IncidentStop || in.Bugcheck == nil || in.Bugcheck.Code != 0xd1 || in.Bugcheck.Name != "DRIVER_IRQL_NOT_LESS_OR_EQUAL" || uint64(in.Bugcheck.Parameters[3].Value) != parameters[3] {
		t.Errorf("got %s, %+v", in.Kind, in.Bugcheck)
	}
	if !in.At.Equal(at(0)) || in.AtTrust != report.Recorded || !in.RestartedAt.Equal(at(2)) {
		t.Errorf("at %v (%s), restarted %v", in.At, in.AtTrust, in.RestartedAt)
	}
	if in.ZoneMinutes == nil || *in.ZoneMinutes != -7*60 {
		t.Errorf("own time: %v minutes ahead of UTC, want -420", in.ZoneMinutes)
	}
	if v := in.Records[1].Values; len(v) != 5 || v[0] != (report.Fact{Name: "BugcheckCode", Value: "209"}) {
		t.Errorf("the fields of event 41: %v", v)
	}
	if in.DumpPath != `C:\Windows\MEMORY.DMP` || in.ReportID != "031026-9000-01" || len(in.Records) != 3 || !in.NoDump.IsZero() {
		t.Errorf("dump %q, report %q, %d records, no dump: %q", in.DumpPath, in.ReportID, len(in.Records), in.NoDump)
	}
	if len(e.Boots) != 2 || e.Boots[0].Build != 20348 || *e.Boots[0].Clean {
		t.Errorf("starts: %+v", e.Boots)
	}
}

func TestTell_Kinds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		power  eventlog.Event
		want   string
		code   uint32
		noDump string
	}{
		{"power loss", power(at(2), 0, [4]uint64{}), report.IncidentUnexplained, 0, ""},
		{"the power button by its time", power(at(2), 0, [4]uint64{}, named("PowerButtonTimestamp", uint64(at(0).UnixNano()/100+116444736000000000))), report.IncidentPowerButton, 0, ""},
		{"the power button held", power(at(2), 0, [4]uint64{}, named("LongPowerButtonPressDetected", true)), report.IncidentPowerButton, 0, ""},
		{"asleep", power(at(2), 0, [4]uint64{}, named("SleepInProgress", uint32(4))), report.IncidentSleep, 0, ""},
		{"connected standby", power(at(2), 0, [4]uint64{}, named("ConnectedStandbyInProgress", true)), report.IncidentSleep, 0, ""},
		{"a code that only 41 has", power(at(2), 340, [4]uint64{1}, named("BugcheckInfoFromEFI", true)), report.IncidentStop, 0x154, "No event says that a dump was saved."},
	} {
		e := tell([]*Log{log(t, "System.evtx", eventlog.Options{}, start(at(-60)), start(at(2)), tt.power)})
		if len(e.Incidents) != 1 {
			t.Errorf("%s: %d incidents", tt.name, len(e.Incidents))
			continue
		}
		in := e.Incidents[0]
		var code uint32
		if in.Bugcheck != nil {
			code = uint32(in.Bugcheck.Code)
		}
		if in.Kind != tt.want || code != tt.code || !strings.HasPrefix(in.NoDump.String(), tt.noDump) || in.NoDump.IsZero() != (tt.noDump == "") {
			t.Errorf("%s: got %s, code %x, no dump: %q", tt.name, in.Kind, code, in.NoDump)
		}
	}
}

func TestTell_CleanIsNoCrash(t *testing.T) {
	asked := event(at(49), "User32", 1074, 4, named("param1", `C:\Windows\servicing\TrustedInstaller.exe (SRV1)`))
	e := tell([]*Log{log(t, "System.evtx", eventlog.Options{}, start(at(0)), asked, shutdown(at(50)), start(at(60)), shutdown(at(90)))})
	if len(e.Incidents) != 0 || len(e.Boots) != 2 || !*e.Boots[0].Clean || e.Boots[0].By.String() != "TrustedInstaller.exe shut Windows down." {
		t.Errorf("got %d incidents, starts %+v", len(e.Incidents), e.Boots)
	}
}

// TestTell_ArchivedLogs: a log that was archived and the one that followed it hold one
// story, and a record that is in both is told once.
func TestTell_ArchivedLogs(t *testing.T) {
	first := log(t, "Archive-System.evtx", eventlog.Options{}, start(at(-180)))
	second := log(t, "System.evtx", eventlog.Options{First: 4}, crashed(at(0))[1:]...)
	again := log(t, "copy of System.evtx", eventlog.Options{First: 4}, crashed(at(0))[1:]...)
	e := tell([]*Log{again, second, first})
	if len(e.Incidents) != 1 || len(e.Incidents[0].Records) != 3 {
		t.Errorf("got %d incidents: %+v", len(e.Incidents), e.Incidents)
	}
}

func TestTell_BeforeAndNew(t *testing.T) {
	disk := event(at(-30), "disk", 153, 3, plain(`\Device\Harddisk0\DR0`))
	reset := event(at(-20), "stornvme", 129, 3, plain(`\Device\RaidPort0`))
	other := event(at(-20), "Some-Program", 129, 3, plain("all is well"))
	old := event(at(-3000), "disk", 153, 3, plain(`\Device\Harddisk0\DR0`))
	service := event(at(-600), "Service Control Manager", 7045, 4, named("ServiceName", "myfault"), named("ImagePath", `C:\x\myfault.sys`))
	update := event(at(-700), "Microsoft-Windows-WindowsUpdateClient", 19, 4, named("updateTitle", "KB1"))
	late := event(at(3), "Microsoft-Windows-WHEA-Logger", 18, 2, named("ErrorSource", uint32(3)), named("ApicId", uint8(4)), named("MCABank", uint8(5)), named("MciStat", eventlog.Hex64(0xbe00000000800400)))
	noDump := event(at(3), "volmgr", 161, 2, plain(`\Device\HarddiskVolume3`))
	e := tell([]*Log{log(t, "System.evtx", eventlog.Options{}, start(at(-3600)), old, update, service, disk, disk, reset, other, start(at(2)), power(at(2), 0x7a, parameters), late, noDump)})
	in := e.Incidents[0]
	var before, changed, records []string
	for _, v := range in.Before {
		before = append(before, fmt.Sprintf("%s %d %d", v.Provider, v.ID, v.Count))
	}
	for _, v := range in.Changed {
		changed = append(changed, v.What.String())
	}
	for _, v := range in.Records {
		records = append(records, fmt.Sprintf("%s %d", v.Provider, v.ID))
	}
	if d := cmp.Diff([]string{"disk 153 2", "stornvme 129 0"}, before); d != "" {
		t.Errorf("before (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"The update was installed: KB1.", `The service myfault was installed (C:\x\myfault.sys).`}, changed); d != "" {
		t.Errorf("changed (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"Microsoft-Windows-Kernel-Power 41", "Microsoft-Windows-WHEA-Logger 18", "volmgr 161"}, records); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
	if !strings.Contains(in.NoDump.String(), "could not be written") {
		t.Errorf("no dump: %q", in.NoDump)
	}
}

func dumpOf(file string, code uint32, p [4]uint64, t time.Time) *report.Report {
	r := &report.Report{Dump: report.Dump{File: file}, System: &report.System{CrashedAt: &t}, Bugcheck: &report.Bugcheck{Code: report.Hex32(code)}}
	for _, v := range p {
		r.Bugcheck.Parameters = append(r.Bugcheck.Parameters, report.Parameter{Value: report.Hex(v)})
	}
	return r
}

func TestTell_Dumps(t *testing.T) {
	l := log(t, "System.evtx", eventlog.Options{}, append(crashed(at(0)), crashed(at(498))[1:]...)...)
	seconds := at(498).Add(20 * time.Second)
	e := tell([]*Log{l}, dumpOf("second.dmp", 0xd1, parameters, seconds), dumpOf("stranger.dmp", 0x50, parameters, at(0)))
	if len(e.Incidents) != 2 || len(e.Incidents[0].Dumps) != 0 || len(e.Incidents[1].Dumps) != 1 {
		t.Fatalf("incidents: %+v", e.Incidents)
	}
	if in := e.Incidents[1]; in.Dumps[0].File != "second.dmp" || !in.At.Equal(seconds) {
		t.Errorf("the dump is tied as %+v, at %v", in.Dumps[0], in.At)
	}
	if n := e.Incidents[0].NoDump.String(); !strings.Contains(n, "not among the files") {
		t.Errorf("the crash without its dump: %q", n)
	}
	if len(e.Notes) != 1 || e.Notes[0].Where != "stranger.dmp" {
		t.Errorf("notes: %+v", e.Notes)
	}
}

// TestTell_Report: the report in the Application log, as Windows 10 and 11 write it.
func TestTell_Report(t *testing.T) {
	texts := []string{"AV_myfault!unknown_function", "0", "BlueScreen", "Not available", "0", "d1", "ffffc50e6a1f7800", "2", "0", "fffff80312b41981", "10_0_20348", "0_0", "272_3", "", "", "files", "where", "", "0", "the-report"}
	e := eventlog.Event{Provider: "Windows Error Reporting", ID: 1001, Level: 4, Time: at(20), Channel: "Application", Computer: "SRV1"}
	for _, s := range texts {
		e.Data = append(e.Data, plain(s))
	}
	got := tell([]*Log{log(t, "System.evtx", eventlog.Options{}, crashed(at(0))[1:]...), log(t, "Application.evtx", eventlog.Options{}, e)})
	if in := got.Incidents[0]; in.Bucket != "AV_myfault!unknown_function" || len(in.Records) != 4 {
		t.Errorf("bucket %q, %d records", in.Bucket, len(in.Records))
	}
}

func TestLastSign(t *testing.T) {
	for _, tt := range []struct {
		clock, date string
		want        time.Time
	}{
		{"1:34:44 PM", "8/25/2015", time.Date(2015, 8, 25, 13, 34, 44, 0, time.UTC)},
		{"12:00:01 AM", "1/2/2026", time.Date(2026, 1, 2, 0, 0, 1, 0, time.UTC)},
		{"5:40:43", "2026/04/15", time.Date(2026, 4, 15, 5, 40, 43, 0, time.UTC)},
		{"午後 5:40:43", "2026/04/15", time.Date(2026, 4, 15, 17, 40, 43, 0, time.UTC)},
		{"17:40:43", "25.08.2015", time.Date(2015, 8, 25, 17, 40, 43, 0, time.UTC)},
	} {
		if got := ownTimes(tt.clock, tt.date); len(got) == 0 || !got[0].Equal(tt.want) {
			t.Errorf("%s %s: got %v, want %v", tt.date, tt.clock, got, tt.want)
		}
	}
	if got := ownTimes("yesterday", "8/25/2015"); got != nil {
		t.Errorf("no time at all: got %v", got)
	}
	// Day or month first: what fits the log is taken.
	words := event(at(2), "EventLog", 6008, 2, plain("12:00:00"), plain("10/3/2026"))
	e := tell([]*Log{log(t, "System.evtx", eventlog.Options{}, start(at(-60)), words, start(at(2)), power(at(3), 0, [4]uint64{}))})
	if in := e.Incidents[0]; !in.At.Equal(noon) || in.AtTrust != report.Guessed {
		t.Errorf("words alone: at %v (%s)", in.At, in.AtTrust)
	}
}

func TestParseStop(t *testing.T) {
	for s, want := range map[string]uint32{
		"0x000000d1 (0xffffc50e6a1f7800, 0x0000000000000002, 0x0000000000000000, 0xfffff80312b41981)": 0xd1,
		"0x0000007E (0xFFFFFFFFC0000005,0x1,0x2,0x3)":                                                 0x7e,
		"": 0, "0x1": 0, "0xfffffffff (0x1, 0x2, 0x3, 0x4)": 0,
	} {
		if got, ok := parseStop(s); got.code != want || ok != (want != 0) {
			t.Errorf("%q: got %x, %v", s, got.code, ok)
		}
	}
}

// TestCorpus: what is known of the real logs.
func TestCorpus(t *testing.T) {
	dir := corpus.Dir(t, "evtx")
	for file, want := range map[string][]string{
		"no-crash.evtx":                      nil,
		"server2012r2-unclean-shutdown.evtx": {"unexplained 0", "power_button 0"},
		"win7-bugcheck.evtx":                 {"stop 10001", "unexplained 0"},
	} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		l, err := Read(bytes.NewReader(b), int64(len(b)), file)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, in := range tell([]*Log{l}).Incidents {
			var code report.Hex32
			if in.Bugcheck != nil {
				code = in.Bugcheck.Code
			}
			got = append(got, fmt.Sprintf("%s %x", in.Kind, uint32(code)))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: incidents (-want +got):\n%s", file, d)
		}
	}
}

// TestDamage: whatever page of a log is gone, the story is told of the rest.
func TestDamage(t *testing.T) {
	var list []eventlog.Event
	for i := range 400 {
		list = append(list, event(at(i), "disk", 153, 3, plain(`\Device\Harddisk0\DR0`)))
	}
	list = append(list, start(at(500))...)
	list = append(list, power(at(501), 0xd1, parameters), rebooted(at(502), 0xd1, parameters))
	b := eventlog.Write(list, eventlog.Options{})
	for page := 0; page < len(b); page += 0x1000 {
		damaged := bytes.Clone(b)
		clear(damaged[page : page+0x1000])
		l, err := Read(bytes.NewReader(damaged), int64(len(damaged)), "System.evtx")
		if err != nil {
			t.Errorf("page 0x%x: %v", page, err)
			continue
		}
		if e := tell([]*Log{l}); len(e.Incidents) == 0 && len(e.Notes) == 0 {
			t.Errorf("page 0x%x: the crash is gone, and nothing says that the log is damaged", page)
		}
	}
}
