package timeline

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

// stop is a stop code with its parameters as an event tells them.
type stop struct {
	code       uint32
	parameters [4]uint64
}

// stopText is how event 1001 writes them: 0x000000d1 (0x…, 0x…, 0x…, 0x…).
var stopText = regexp.MustCompile(`(?i)0x([0-9a-f]{1,16})\s*\(\s*0x([0-9a-f]{1,16})[,\s]+0x([0-9a-f]{1,16})[,\s]+0x([0-9a-f]{1,16})[,\s]+0x([0-9a-f]{1,16})\s*\)`)

// parseStop reads the text of event 1001; false if it is none.
func parseStop(s string) (stop, bool) {
	m := stopText.FindStringSubmatch(s)
	if m == nil {
		return stop{}, false
	}
	code, err := strconv.ParseUint(m[1], 16, 32)
	if err != nil {
		return stop{}, false
	}
	p := stop{code: uint32(code)}
	for i := range p.parameters {
		p.parameters[i], _ = strconv.ParseUint(m[2+i], 16, 64)
	}
	return p, true
}

// stop reads event 1001: its text is the first value, named or not.
func (r *record) stop() (stop, bool) { return parseStop(r.value("param1", 0)) }

// unclean is event 41. Its fields have grown from version 2 to 10; those that a version
// lacks are zero.
type unclean struct {
	stop
	asleep  bool      // it happened on the way into sleep, or out of it
	standby bool      // in connected standby
	pressed time.Time // when the power button was pressed; zero if it was not
	held    bool      // it was held down
	fromFW  bool      // the stop code was kept by the firmware: no dump told of it
}

// unclean reads event 41. BugcheckCode is decimal, parameters are hexadecimal; each
// field is known by its name.
func (r *record) unclean() unclean {
	u := unclean{
		asleep: r.number("SleepInProgress") != 0, standby: r.number("ConnectedStandbyInProgress") != 0,
		held: r.number("LongPowerButtonPressDetected") != 0, fromFW: r.number("BugcheckInfoFromEFI") != 0,
	}
	u.code = uint32(r.number("BugcheckCode"))
	for i := range u.parameters {
		u.parameters[i] = r.number(fmt.Sprintf("BugcheckParameter%d", i+1))
	}
	u.pressed, _ = win.FileTime(r.number("PowerButtonTimestamp"))
	return u
}

// number is a value as a number: decimal, hexadecimal behind 0x, true or false.
func (r *record) number(name string) uint64 {
	s, _ := r.Get(name)
	switch s = strings.TrimSpace(s); strings.ToLower(s) {
	case "true":
		return 1
	case "false":
		return 0
	}
	v, _ := strconv.ParseUint(s, 0, 64)
	return v
}

func sayStop(r *record) report.Text {
	if p, ok := r.stop(); ok {
		return report.T("Windows had stopped with the code 0x%08X.", p.code)
	}
	return report.T("Windows had stopped with a stop code.")
}

func sayUnclean(r *record) report.Text {
	if c := r.unclean().code; c != 0 {
		return report.T("Windows had not been shut down; the stop code 0x%08X was recorded.", c)
	}
	return report.T("Windows had not been shut down; no stop code was recorded.")
}

func sayUnexpected(r *record) report.Text {
	if l, ok := r.lastSign(); ok {
		return report.T("Windows had ended unexpectedly; it was last seen alive at %s.", l.utc.Format(secondsUTC))
	}
	return report.T("Windows had ended unexpectedly; it was last seen alive at %s (the machine's own time).", r.value("", 1)+" "+r.value("", 0))
}

const secondsUTC = "2006-01-02 15:04:05 UTC"

// sayAsked says who shut Windows down, event 1074: the program, its machine, the reason,
// the code, the kind, a comment, the user.
func sayAsked(r *record) report.Text {
	program, _, _ := strings.Cut(r.value("param1", 0), " (")
	program = program[strings.LastIndexByte(program, '\\')+1:]
	if program == "" {
		return report.T("Somebody shut Windows down.")
	}
	return report.T("%s shut Windows down.", program)
}

func sayClock(r *record) report.Text {
	by := r.jump()
	if by < 0 {
		return report.T("The clock was set back by %s.", report.Span((-by).Round(time.Second)))
	}
	return report.T("The clock was set ahead by %s.", report.Span(by.Round(time.Second)))
}

// jump is by how much event Kernel-General 1 moved the clock.
func (r *record) jump() time.Duration {
	before, err1 := time.Parse(time.RFC3339Nano, r.value("OldTime", -1))
	after, err2 := time.Parse(time.RFC3339Nano, r.value("NewTime", -1))
	if err1 != nil || err2 != nil {
		return 0
	}
	return after.Sub(before)
}

// sayHardware: errors that were corrected are warnings, others are not.
func sayHardware(r *record) report.Text {
	what := r.hardware()
	if r.Level == warning || r.Level == 0 || r.Level > warning {
		return report.T("The hardware reported an error that it corrected: %s.", what)
	}
	return report.T("The hardware reported an error that it could not correct: %s.", what)
}

// hardware names the part that a WHEA-Logger event is about: the event's number says
// which kind of record it was made from.
func (r *record) hardware() report.Text {
	switch {
	case r.number("MCABank") != 0 || r.number("MciStat") != 0:
		return report.T("processor (APIC ID %d), machine-check bank %d, status 0x%016x", r.number("ApicId"), r.number("MCABank"), r.number("MciStat"))
	case r.has("Bus") || r.has("PrimaryBusNumber"):
		return report.T("PCI Express device %02x:%02x.%x", r.either("Bus", "PrimaryBusNumber"), r.either("Device", "PrimaryDeviceNumber"), r.either("Function", "PrimaryFunctionNumber"))
	case r.Event == 46 || r.Event == 47:
		return report.T("memory")
	}
	return report.T("not named")
}

func (r *record) has(name string) bool {
	_, ok := r.Get(name)
	return ok
}

func (r *record) either(a, b string) uint64 {
	if r.has(a) {
		return r.number(a)
	}
	return r.number(b)
}

func sayNotLoaded(r *record) report.Text {
	driver, device := r.value("FailureName", 4), r.value("DriverName", 1)
	if driver == "" {
		return report.T("A driver could not be loaded for the device %s.", device)
	}
	return report.T("The driver %s could not be loaded for the device %s.", driver, device)
}

func sayService(r *record) report.Text {
	return report.T("The service %s was installed (%s).", r.value("ServiceName", 0), r.value("ImagePath", 1))
}

func sayDriver(r *record) report.Text {
	return report.T("The driver %s was installed for a device (version %s).", fileName(r.value("DriverName", -1)), r.value("DriverVersion", -1))
}

func sayDriverService(r *record) report.Text {
	return report.T("The driver service %s was added for a device.", r.value("ServiceName", -1))
}

func sayDevice(r *record) report.Text {
	return report.T("The device %s was set up with the driver %s.", r.value("DeviceInstanceId", -1), fileName(r.value("DriverName", -1)))
}

func fileName(s string) string { return s[strings.LastIndexAny(s, `\/`)+1:] }

func sayUpdate(r *record) report.Text {
	return report.T("The update was installed: %s.", strings.TrimRight(r.value("updateTitle", 0), "."))
}

// sayReport is event 1001 of Windows Error Reporting in the Application log.
func sayReport(r *record) report.Text {
	w := r.wer()
	return report.T("Windows Error Reporting wrote a report of the kind %s.", w.name)
}

// wer is a report to Windows Error Reporting. Windows 11 names the values; older systems
// write them in this order.
type wer struct {
	name, bucket, id string
	stop             stop
}

func (r *record) wer() wer {
	w := wer{name: r.value("EventName", 2), bucket: r.value("Bucket", 0), id: r.value("ReportId", 19)}
	p := [5]string{}
	for i := range p {
		p[i] = r.value(fmt.Sprintf("P%d", i+1), 5+i)
	}
	code, _ := strconv.ParseUint(p[0], 16, 32)
	w.stop.code = uint32(code)
	for i := range w.stop.parameters {
		w.stop.parameters[i], _ = strconv.ParseUint(strings.TrimPrefix(p[1+i], "0x"), 16, 64)
	}
	return w
}
