package lab

import (
	"time"

	"bugcheck/lab/eventlog"
)

// Week is a bad week of one server: three crashes of two causes. Of the second no dump was
// written; after the first the log was full and was archived; in between the clock was set.
type Week struct {
	Crashes []*Crash          // those that left a dump: the first and the third
	Dumps   []string          // the names of their files
	Logs    map[string][]byte // event logs, by the names of their files
	Truth   WeekTruth
}

// WeekTruth is what the story of the week must say, in the names of `bugcheck case`.
type WeekTruth struct {
	Incidents []WeekIncident `json:"incidents"`
	Verdict   TruthVerdict   `json:"verdict"`
}

// WeekIncident is one crash of the week.
type WeekIncident struct {
	At       time.Time     `json:"at"`
	Kind     string        `json:"kind"`
	Bugcheck TruthBugcheck `json:"bugcheck"`
	Dump     string        `json:"dump,omitempty"`    // the file; "": there is none
	Before   []string      `json:"before,omitempty"`  // providers of what led to it
	Changed  []string      `json:"changed,omitempty"` // providers of what was new
}

const (
	weekDriver  = "high-irql-kernel" // crashes twice
	weekOther   = "display-timeout"
	weekClockBy = 6 * time.Hour
)

// PlayWeek lets a server have such a week; release is one of Releases.
func PlayWeek(release string) (*Week, error) {
	build, ok := releases[release]
	if !ok {
		return nil, unknownRelease(release)
	}
	day := func(n int) time.Time { return time.Date(2026, 3, 9+n, 5, 12, 40, 0, time.UTC) }
	w := &Week{Logs: map[string][]byte{}, Dumps: []string{"031126-01.dmp", "MEMORY.DMP"}}
	var played []*Crash
	for _, p := range []struct {
		kind   string
		at     time.Time
		uptime time.Duration
	}{{weekDriver, day(2), 48 * time.Hour}, {weekOther, day(4), 46 * time.Hour}, {weekDriver, day(6), 47 * time.Hour}} {
		c, err := Play(p.kind, Options{Arch: "x64", Build: 17763, Memory: 1 << 30, Time: p.at, Uptime: p.uptime})
		if err != nil {
			return nil, err
		}
		played = append(played, c)
	}
	w.Crashes = []*Crash{played[0], played[2]}
	w.log(&eventlog.Machine{Build: build, Computer: "LAB-SRV1", Zone: 9 * time.Hour}, played, day)
	w.Truth = weekTruth(played, w.Dumps)
	return w, nil
}

// log writes the events of the week.
func (w *Week) log(m *eventlog.Machine, played []*Crash, day func(int) time.Time) {
	m.Boot(day(0), time.Time{})
	m.Service(day(1), "MYFAULT", `\??\C:\Windows\system32\drivers\myfault.sys`, "kernel mode driver")
	first := played[0].end()
	first.Start = first.At.Add(3 * time.Hour) // somebody had to switch it on
	m.Crash(first)
	archived := m.System
	m.System = nil
	m.Uptime(day(3), 21*time.Hour)
	m.Display(day(4).Add(-40*time.Minute), "labdisp")
	second := played[1].end()
	second.Dump, second.Report, second.NoDump = "", "", 161
	m.Crash(second)
	m.SetClock(day(5).Add(-weekClockBy), day(5))
	third := played[2].end()
	third.Bucket = "AV_myfault!unknown_function"
	m.Crash(third)
	w.Logs["Archive-System-2026-03-11.evtx"] = eventlog.Write(archived, eventlog.Options{First: 500})
	w.Logs["System.evtx"] = eventlog.Write(m.System, eventlog.Options{First: 500 + uint64(len(archived))})
	w.Logs["Application.evtx"] = eventlog.Write(m.Reports, eventlog.Options{})
}

func weekTruth(played []*Crash, dumps []string) WeekTruth {
	t := WeekTruth{Verdict: TruthVerdict{Cause: "driver", Image: "myfault.sys"}}
	for _, c := range played {
		t.Incidents = append(t.Incidents, WeekIncident{At: c.Time, Kind: "stop", Bugcheck: c.Truth.Bugcheck})
	}
	t.Incidents[0].Dump, t.Incidents[2].Dump = dumps[0], dumps[1]
	t.Incidents[0].Changed = []string{"Service Control Manager"}
	t.Incidents[1].Before = []string{"Display"}
	t.Incidents[2].Before = []string{"Microsoft-Windows-Kernel-General"} // the clock was set
	return t
}
