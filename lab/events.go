package lab

import (
	"fmt"
	"strings"
	"time"

	"bugcheck/lab/eventlog"
)

// Releases that an event log can be written as, by name: the build decides which fields
// the events have.
var releases = map[string]int{"2012R2": 9600, "2019": 17763, "2025": 26100}

// Releases are the names that Events takes.
func Releases() []string { return []string{"2012R2", "2019", "2025"} }

func unknownRelease(name string) error {
	return fmt.Errorf("lab: no release %q: they are %v", name, Releases())
}

// Events returns the System log that Windows would have left around the crash: the days
// before it, the crash as the next start tells it, a day after. release is a name of
// Releases; "" is the crashed machine's own build.
func (c *Crash) Events(release string) ([]byte, error) {
	build := c.Build
	if release != "" {
		var ok bool
		if build, ok = releases[release]; !ok {
			return nil, unknownRelease(release)
		}
	}
	m := &eventlog.Machine{Build: build, Computer: "LAB-SRV1", Zone: 9 * time.Hour}
	c.daysBefore(m)
	m.Crash(c.end())
	start := c.Time.Add(restartTakes)
	m.Service(start.Add(2*time.Hour), "Print Support", `C:\Windows\System32\svchost.exe -k print`, "user mode service")
	m.Uptime(start.Add(20*time.Hour), 20*time.Hour)
	return eventlog.Write(m.System, eventlog.Options{First: 1000}), nil
}

// restartTakes is from the crash to the next start: the dump is written.
const restartTakes = 95 * time.Second

// daysBefore is a week of an ordinary server, and what was done to it before the crash.
func (c *Crash) daysBefore(m *eventlog.Machine) {
	boot := c.Time.Add(-c.Uptime)
	first := boot.Add(-7 * 24 * time.Hour)
	m.Boot(first, time.Time{})
	for day := range 6 {
		m.Uptime(first.Add(time.Duration(day*24+20)*time.Hour), time.Duration(day*24+20)*time.Hour)
	}
	m.Update(boot.Add(-5*time.Hour), "Security Intelligence Update (KB2267602)")
	m.Shutdown(boot.Add(-2 * time.Minute))
	m.Boot(boot, time.Time{})
	if v := c.Truth.Verdict; strings.EqualFold(v.Image, "myfault.sys") || strings.EqualFold(v.Hint, "myfault.sys") {
		m.Service(c.Time.Add(-40*time.Second), "MYFAULT", `\??\C:\Windows\system32\drivers\myfault.sys`, "kernel mode driver")
	}
	switch c.Kind.Name {
	case "leak-paged", "leak-nonpaged":
		m.Log(c.Time.Add(-5*time.Minute), "Microsoft-Windows-Resource-Exhaustion-Detector", [16]byte{0x9e}, 2004, 3)
	case bootDevice:
		m.Device(c.Time.Add(-time.Second), "disk", 153, `\Device\Harddisk0\DR0`)
	}
}

// bootDevice is the kind whose machine never finished starting.
const bootDevice = "boot-device"

// end is the crash as the next start finds it.
func (c *Crash) end() eventlog.End {
	e := eventlog.End{
		At: c.Time, Start: c.Time.Add(restartTakes), Dump: `C:\Windows\MEMORY.DMP`, Report: "lab-0001",
		Stop: &eventlog.Stop{Code: c.Code, Parameters: c.Parameters},
	}
	if c.Code == 0x124 {
		e.Hardware = []eventlog.Event{{
			Provider: "Microsoft-Windows-WHEA-Logger", GUID: [16]byte{0x1c, 0xf7}, ID: 18, Level: 2,
			Data: []eventlog.Value{{Name: "ErrorSource", Value: uint32(3)}, {Name: "ApicId", Value: uint8(1)}, {Name: "MCABank", Value: uint8(machineCheckBank)}, {Name: "MciStat", Value: eventlog.Hex64(machineCheckStatus)}},
		}}
	}
	return e
}
