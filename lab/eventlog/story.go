package eventlog

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Machine is one whose System log is being written.
type Machine struct {
	Build    int           // of Windows: decides which fields event 41 has
	Computer string        // its name
	Zone     time.Duration // what its own time is ahead of UTC
	System   []Event
	Reports  []Event // of the Application log: Windows Error Reporting
}

// Stop is a stop code with its parameters.
type Stop struct {
	Code       uint32
	Parameters [4]uint64
}

// End is how a machine ended without a shutdown, and what was found at the next start.
type End struct {
	At       time.Time // the end
	Start    time.Time // the next start
	Stop     *Stop     // nil: no stop code
	Dump     string    // where the dump was saved; "": none was
	Report   string    // the number of the report, which names the small dump
	Bucket   string    // of the report in the Application log; "": no report is made
	NoDump   uint16    // the event of volmgr that says why there is none; zero: none
	Pressed  time.Time // when the power button was pressed
	Asleep   bool      // on the way into sleep
	Hardware []Event   // errors that the machine had kept
}

// GUIDs of providers, as wevtutil gp lists them.
var (
	kernelPower    = [16]byte{0x3a, 0x3b, 0x1c, 0x33, 0x05, 0x20, 0xc2, 0x44, 0xac, 0x5e, 0x77, 0x22, 0x0c, 0x37, 0xd6, 0xb4}
	kernelGeneral  = [16]byte{0xb7, 0x8c, 0xa8, 0xa6, 0x4f, 0x00, 0xb6, 0xd7, 0xa6, 0x98, 0x07, 0xe2, 0xde, 0x0f, 0x1f, 0x5d}
	errorReporting = [16]byte{0xe7, 0x23, 0xce, 0xab, 0x45, 0xde, 0x66, 0x43, 0x86, 0x31, 0x84, 0xfa, 0x6c, 0x52, 0x59, 0x52}
	serviceControl = [16]byte{0xd1, 0x08, 0x59, 0x55, 0xd7, 0xa6, 0x95, 0x46, 0x8e, 0x1e, 0x26, 0x93, 0x1d, 0x20, 0x12, 0xf4}
	updateClient   = [16]byte{0x54, 0x89, 0x5a, 0x94, 0x47, 0xc1, 0xcd, 0x4a, 0x92, 0x3f, 0x40, 0xc4, 0x54, 0x05, 0xa6, 0x58}
)

// Log adds an event to the System log.
func (m *Machine) Log(t time.Time, provider string, guid [16]byte, id uint16, level uint8, data ...Value) *Event {
	m.System = append(m.System, Event{Provider: provider, GUID: guid, ID: id, Level: level, Time: t, Process: 4, Channel: "System", Computer: m.Computer, Data: data})
	return &m.System[len(m.System)-1]
}

// old adds an event as old programs log: strings without names.
func (m *Machine) old(t time.Time, provider string, id uint16, level uint8, binary []byte, texts ...string) {
	e := m.Log(t, provider, [16]byte{}, id, level)
	for _, s := range texts {
		e.Data = append(e.Data, Value{Value: s})
	}
	e.Binary = binary
}

// Boot logs a start of Windows; sign is the last sign of life before it, zero after a
// shutdown.
func (m *Machine) Boot(t, sign time.Time) {
	m.Log(t, "Microsoft-Windows-Kernel-General", kernelGeneral, 12, 4,
		Value{"MajorVersion", uint32(m.version() / 10)}, Value{"MinorVersion", uint32(m.version() % 10)}, Value{"BuildVersion", uint32(m.Build)},
		Value{"QfeVersion", uint32(1)}, Value{"ServiceVersion", uint32(0)}, Value{"BootMode", uint32(0)}, Value{"StartTime", t})
	t = t.Add(9 * time.Second)
	if !sign.IsZero() {
		own := sign.Add(m.Zone)
		bytes := append(systemTime(own), systemTime(sign)...)
		m.old(t, "EventLog", 6008, 2, append(bytes, make([]byte, 32)...), own.Format("3:04:05 PM"), "\u200e"+own.Format("1/\u200e2/\u200e2006"), "", "", "4320", "", "")
	}
	m.old(t, "EventLog", 6009, 4, nil, fmt.Sprintf("%d.%02d.", m.version()/10, m.version()%10), fmt.Sprint(m.Build), "", "Multiprocessor Free", "0")
	m.old(t, "EventLog", 6005, 4, systemTime(t), "")
}

// version is 63 for Windows 8.1 and Server 2012 R2, 100 for all later ones.
func (m *Machine) version() int {
	if m.Build <= 9600 {
		return 63
	}
	return 100
}

// Shutdown logs one.
func (m *Machine) Shutdown(t time.Time) {
	m.old(t, "EventLog", 6006, 4, nil, "")
	m.Log(t.Add(2*time.Second), "Microsoft-Windows-Kernel-General", kernelGeneral, 13, 4, Value{"StopTime", t.Add(2 * time.Second)})
}

// Uptime logs what the event log notes once a day.
func (m *Machine) Uptime(t time.Time, up time.Duration) {
	m.old(t, "EventLog", 6013, 4, nil, "", "", "", "", fmt.Sprint(int(up.Seconds())), "60", fmt.Sprintf("%d UTC", int(-m.Zone.Minutes())))
}

// Service logs that a service or a driver was installed.
func (m *Machine) Service(t time.Time, name, path, kind string) {
	e := m.Log(t, "Service Control Manager", serviceControl, 7045, 4,
		Value{"ServiceName", name}, Value{"ImagePath", path}, Value{"ServiceType", kind}, Value{"StartType", "demand start"}, Value{"AccountName", ""})
	e.Source = "Service Control Manager"
}

// Update logs that an update was installed.
func (m *Machine) Update(t time.Time, title string) {
	m.Log(t, "Microsoft-Windows-WindowsUpdateClient", updateClient, 19, 4,
		Value{"updateTitle", title}, Value{"updateGuid", [16]byte{7, 1}}, Value{"updateRevisionNumber", uint32(1)}, Value{"serviceGuid", [16]byte{}})
}

// Device logs an event of a storage driver about a device.
func (m *Machine) Device(t time.Time, driver string, id uint16, device string) {
	m.old(t, driver, id, 3, make([]byte, 40), device)
}

// Display logs that a display driver stopped answering and was restarted.
func (m *Machine) Display(t time.Time, driver string) {
	m.old(t, "Display", 4101, 3, nil, driver, "")
}

// SetClock logs that the clock was set.
func (m *Machine) SetClock(from, to time.Time) {
	m.Log(to, "Microsoft-Windows-Kernel-General", kernelGeneral, 1, 4, Value{"NewTime", to}, Value{"OldTime", from}, Value{"Reason", uint32(1)})
}

// Crash logs what Windows leaves of an end without a shutdown: everything at the next start.
func (m *Machine) Crash(e End) {
	m.Boot(e.Start, e.At)
	m.unclean(e)
	for _, h := range e.Hardware {
		h.Time, h.Channel, h.Computer = e.Start.Add(20*time.Second), "System", m.Computer
		m.System = append(m.System, h)
	}
	if e.NoDump != 0 {
		m.old(e.Start.Add(12*time.Second), "volmgr", e.NoDump, 2, make([]byte, 40), `\Device\HarddiskVolume3`)
	}
	if e.Stop == nil {
		return
	}
	if e.Dump != "" {
		p := e.Stop.Parameters
		ev := m.Log(e.Start.Add(40*time.Second), "Microsoft-Windows-WER-SystemErrorReporting", errorReporting, 1001, 2,
			Value{"param1", fmt.Sprintf("0x%08x (0x%016x, 0x%016x, 0x%016x, 0x%016x)", e.Stop.Code, p[0], p[1], p[2], p[3])},
			Value{"param2", e.Dump}, Value{"param3", e.Report})
		ev.Source = "BugCheck"
	}
	if e.Bucket != "" {
		m.report(e)
	}
}

// Versions of event 41, by the build that brought them: each adds fields.
const (
	windows8    = 9200
	anniversary = 14393 // 1607
	may2020     = 19041 // 2004
	windows11   = 22000
	autumn2024  = 26100 // 24H2
)

// unclean logs event 41 with the fields that the build's version has. The order of the
// fields is that of published records of versions 2, 3, 6, 8 and 10.
func (m *Machine) unclean(e End) {
	var s Stop
	if e.Stop != nil {
		s = *e.Stop
	}
	data := []Value{{"BugcheckCode", s.Code}}
	for i, p := range s.Parameters {
		data = append(data, Value{fmt.Sprintf("BugcheckParameter%d", i+1), Hex64(p)})
	}
	asleep := uint32(0)
	if e.Asleep {
		asleep = 4
	}
	pressed := uint64(0)
	if !e.Pressed.IsZero() {
		pressed = fileTime(e.Pressed)
	}
	version := uint8(2)
	data = append(data, Value{"SleepInProgress", asleep}, Value{"PowerButtonTimestamp", pressed})
	for _, step := range []struct {
		from    int
		version uint8
		fields  []Value
	}{
		{windows8, 3, []Value{{"BootAppStatus", Hex32(0)}}},
		{anniversary, 6, []Value{{"Checkpoint", uint8(0)}, {"ConnectedStandbyInProgress", false}, {"SystemSleepTransitionsToOn", uint32(0)}, {"CsEntryScenarioInstanceId", uint8(0)}, {"BugcheckInfoFromEFI", e.Stop != nil && e.Dump == ""}, {"CheckpointStatus", uint8(0)}}},
		{may2020, 8, []Value{{"CsEntryScenarioInstanceIdV2", uint64(0)}, {"LongPowerButtonPressDetected", !e.Pressed.IsZero()}}},
		{windows11, 9, []Value{{"LidReliability", false}, {"InputSuppressionState", uint8(0)}, {"PowerButtonSuppressionState", uint8(0)}, {"LidState", uint8(3)}}},
		{autumn2024, 10, []Value{{"WHEABootErrorCount", uint32(len(e.Hardware))}}},
	} {
		if m.Build >= step.from {
			version, data = step.version, append(data, step.fields...)
		}
	}
	ev := m.Log(e.Start.Add(15*time.Second), "Microsoft-Windows-Kernel-Power", kernelPower, 41, 1, data...)
	ev.Version, ev.Keywords = version, 0x8000400000000002
}

// report logs the report to Windows Error Reporting, in the Application log.
func (m *Machine) report(e End) {
	p := e.Stop.Parameters
	ev := Event{Provider: "Windows Error Reporting", ID: 1001, Level: 4, Time: e.Start.Add(3 * time.Minute), Channel: "Application", Computer: m.Computer}
	for _, s := range []string{
		e.Bucket, "0", "BlueScreen", "Not available", "0", fmt.Sprintf("%x", e.Stop.Code), fmt.Sprintf("%x", p[0]), fmt.Sprintf("%x", p[1]), fmt.Sprintf("%x", p[2]), fmt.Sprintf("%x", p[3]),
		fmt.Sprintf("10_0_%d", m.Build), "0_0", "272_3", "", "", `C:\Windows\Minidump\` + e.Report + ".dmp", "", "", "0", e.Report,
	} {
		ev.Data = append(ev.Data, Value{Value: s})
	}
	m.Reports = append(m.Reports, ev)
}

// systemTime is a SYSTEMTIME: year, month, day of the week, day, hour, minute, second,
// millisecond.
func systemTime(t time.Time) (b []byte) {
	t = t.UTC()
	for _, v := range []int{t.Year(), int(t.Month()), int(t.Weekday()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond() / 1e6} {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}
