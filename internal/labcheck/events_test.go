package labcheck

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/eventlog"
	"bugcheck/report"
	"bugcheck/timeline"
	"bugcheck/win"
)

// readLog reads a log that the lab wrote.
func readLog(t *testing.T, name string, b []byte) *timeline.Log {
	t.Helper()
	l, err := timeline.Read(bytes.NewReader(b), int64(len(b)), name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestEvents: the log of every fault, as every release writes it, tells of that one crash,
// and its dump is tied to it.
func TestEvents(t *testing.T) {
	for _, k := range lab.Kinds() {
		c, err := lab.Play(k.Name, lab.Options{Arch: "x64", Build: 17763, Memory: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		for _, release := range lab.Releases() {
			b, err := c.Events(release)
			if err != nil {
				t.Fatal(err)
			}
			dump := &report.Report{Dump: report.Dump{File: "MEMORY.DMP"}, System: &report.System{CrashedAt: &c.Time}, Bugcheck: &report.Bugcheck{Code: report.Hex32(c.Code)}}
			for _, p := range c.Parameters {
				dump.Bugcheck.Parameters = append(dump.Bugcheck.Parameters, report.Parameter{Value: report.Hex(p)})
			}
			e := timeline.Tell([]*timeline.Log{readLog(t, "System.evtx", b)}, []*report.Report{dump}, timeline.Options{Lang: win.English})
			if len(e.Incidents) != 1 || e.Incidents[0].Bugcheck == nil || uint32(e.Incidents[0].Bugcheck.Code) != c.Code || len(e.Incidents[0].Dumps) != 1 || len(e.Notes) != 0 {
				t.Errorf("%s, %s: %+v, notes %v", k.Name, release, e.Incidents, e.Notes)
			}
		}
	}
}

// TestEvents_Week: three crashes of two causes within a week, one without its dump, one
// whose log was archived, the clock set in between.
func TestEvents_Week(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 3, 2+n, 1, 0, 0, 0, time.UTC) }
	m := &eventlog.Machine{Build: 26100, Computer: "LAB-SRV1", Zone: 9 * time.Hour}
	driver := eventlog.Stop{Code: 0xd1, Parameters: [4]uint64{0xffffa00000001000, 2, 0, 0xfffff80212341000}}
	again := eventlog.Stop{Code: 0xd1, Parameters: [4]uint64{0xffffa00000777000, 2, 0, 0xfffff80712341000}}
	disk := eventlog.Stop{Code: 0x7a, Parameters: [4]uint64{0xffffc0000000f000, 0xffffffffc000000e, 0xffffa80000000000, 0xfffff80200000000}}
	m.Boot(day(0), time.Time{})
	m.Service(day(1), "newdrv", `system32\drivers\newdrv.sys`, "kernel mode driver")
	m.Crash(eventlog.End{At: day(2), Start: day(2).Add(3 * time.Hour), Stop: &driver, Dump: `C:\Windows\MEMORY.DMP`, Report: "a"})
	archived := m.System
	m.System = nil
	m.Device(day(4).Add(-time.Hour), "storahci", 129, `\Device\RaidPort0`)
	m.Crash(eventlog.End{At: day(4), Start: day(4).Add(2 * time.Minute), Stop: &disk, NoDump: 161})
	m.SetClock(day(5).Add(-6*time.Hour), day(5))
	m.Crash(eventlog.End{At: day(6), Start: day(6).Add(2 * time.Minute), Stop: &again, Dump: `C:\Windows\MEMORY.DMP`, Report: "b", Bucket: "AV_newdrv!unknown_function"})
	logs := []*timeline.Log{
		readLog(t, "System.evtx", eventlog.Write(m.System, eventlog.Options{First: uint64(1 + len(archived))})),
		readLog(t, "Archive-System.evtx", eventlog.Write(archived, eventlog.Options{})),
		readLog(t, "Application.evtx", eventlog.Write(m.Reports, eventlog.Options{})),
	}
	dumps := []*report.Report{dumpReport("031006-1.dmp", again, day(6)), dumpReport("030206-1.dmp", driver, day(2))}
	e := timeline.Tell(logs, dumps, timeline.Options{Lang: win.English})
	if len(e.Incidents) != 3 || len(e.Notes) != 0 {
		t.Fatalf("got %d incidents, notes %v", len(e.Incidents), e.Notes)
	}
	for i, want := range []struct {
		code uint32
		at   time.Time
		dump string
		text string // in what led to it, what was new, or why there is no dump
	}{
		{0xd1, day(2), "030206-1.dmp", "The service newdrv was installed"},
		{0x7a, day(4), "", "did not answer and was reset"},
		{0xd1, day(6), "031006-1.dmp", "AV_newdrv!unknown_function"},
	} {
		in := e.Incidents[i]
		text := in.Bucket + in.NoDump.String()
		for _, v := range append(in.Before, in.Changed...) {
			text += v.What.String()
		}
		if uint32(in.Bugcheck.Code) != want.code || !in.At.Equal(want.at) || !strings.Contains(text, want.text) {
			t.Errorf("%d: %x at %v: %s", i, uint32(in.Bugcheck.Code), in.At, text)
		}
		if got := in.Dumps; want.dump == "" && len(got) != 0 || want.dump != "" && (len(got) != 1 || got[0].File != want.dump) {
			t.Errorf("%d: dumps %+v, want %s", i, got, want.dump)
		}
	}
	if in := e.Incidents[1]; !strings.Contains(in.NoDump.String(), "could not be written") {
		t.Errorf("the dump that could not be written: %q", in.NoDump)
	}
}

func dumpReport(file string, s eventlog.Stop, at time.Time) *report.Report {
	r := &report.Report{Dump: report.Dump{File: file}, System: &report.System{CrashedAt: &at}, Bugcheck: &report.Bugcheck{Code: report.Hex32(s.Code)}}
	for _, p := range s.Parameters {
		r.Bugcheck.Parameters = append(r.Bugcheck.Parameters, report.Parameter{Value: report.Hex(p)})
	}
	return r
}

// TestWeek: what the lab's bad week says in its truth is what the case tells of its files.
func TestWeek(t *testing.T) {
	for _, release := range lab.Releases() {
		w, err := lab.PlayWeek(release)
		if err != nil {
			t.Fatal(err)
		}
		var reports []*report.Report
		for i, c := range w.Crashes {
			file := &File{}
			if err := c.Write(file, "small"); err != nil {
				t.Fatal(err)
			}
			f, err := dump.Open(file, file.Size())
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, analyze.Report(kernel.Open(f), w.Dumps[i], "test"))
		}
		var logs []*timeline.Log
		for name, b := range w.Logs {
			logs = append(logs, readLog(t, name, b))
		}
		events := timeline.Tell(logs, reports, timeline.Options{Lang: win.English})
		cases := analyze.Cases(reports, events)
		if len(cases) != 1 || cases[0].Verdict.Cause != w.Truth.Verdict.Cause || cases[0].Verdict.Image != w.Truth.Verdict.Image {
			t.Fatalf("%s: %d cases, %+v", release, len(cases), cases[0].Verdict)
		}
		if len(cases[0].Crashes) != len(w.Truth.Incidents) {
			t.Errorf("%s: %d crashes, want %d", release, len(cases[0].Crashes), len(w.Truth.Incidents))
		}
		if b := events.Incidents; b[0].Bucket != "" || b[2].Bucket == "" {
			t.Errorf("%s: the report of the third crash is given to another: %q, %q", release, b[0].Bucket, b[2].Bucket)
		}
		if d := cmp.Diff(w.Truth.Incidents, incidents(events)); d != "" {
			t.Errorf("%s: incidents (-truth +told):\n%s", release, d)
		}
	}
}

// incidents are those of events in the truth's shape. Of what was new only services count:
// a truth names no more.
func incidents(e *report.Events) (list []lab.WeekIncident) {
	for i, in := range e.Incidents {
		w := lab.WeekIncident{At: *in.At, Kind: in.Kind, Bugcheck: lab.TruthBugcheck{Code: in.Bugcheck.Code.String()}}
		for _, p := range in.Bugcheck.Parameters {
			w.Bugcheck.Parameters = append(w.Bugcheck.Parameters, p.Value.String())
		}
		if len(in.Dumps) > 0 {
			w.Dump = in.Dumps[0].File
		}
		for _, v := range in.Before {
			w.Before = append(w.Before, v.Provider)
		}
		for _, v := range in.Changed {
			if i == 0 { // within two weeks the driver is new to the later crashes too
				w.Changed = append(w.Changed, v.Provider)
			}
		}
		list = append(list, w)
	}
	return list
}
