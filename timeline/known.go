package timeline

import (
	"strings"

	"bugcheck/internal/evtx"
	"bugcheck/report"
)

// known is an event that matters: who logs it, what it is, what is said of it.
type known struct {
	provider string // lower case, without "microsoft-windows-"
	ids      []uint16
	kind     string
	say      func(r *record) report.Text
}

// events are all that are known. Sources: the events' own names and fields as
// wevtutil lists them for the providers, Microsoft's pages on events 41
// (https://learn.microsoft.com/troubleshoot/windows-client/performance/event-id-41-restart)
// and 129 and 153
// (https://learn.microsoft.com/troubleshoot/windows-server/backup-and-storage/troubleshoot-disk-event-id-153),
// and logs that people published.
var events = []known{
	{"wer-systemerrorreporting", []uint16{1001}, report.EventStop, sayStop},
	{"bugcheck", []uint16{1001}, report.EventStop, sayStop},
	{"kernel-power", []uint16{41}, report.EventUnclean, sayUnclean},
	{"eventlog", []uint16{6008}, report.EventUnclean, sayUnexpected},
	{"eventlog", []uint16{6005, 6009}, report.EventStart, fixed(report.T("Windows started its event log."))},
	{"kernel-general", []uint16{12}, report.EventStart, fixed(report.T("Windows started."))},
	{"eventlog", []uint16{6006}, report.EventShutdown, fixed(report.T("Windows closed its event log: it was shut down."))},
	{"kernel-general", []uint16{13}, report.EventShutdown, fixed(report.T("Windows was shut down."))},
	{"user32", []uint16{1074}, report.EventShutdown, sayAsked},
	{"kernel-general", []uint16{1}, report.EventClock, sayClock},
	{"eventlog", []uint16{6013}, report.EventStart, fixed(report.T("Windows noted how long it had been up."))},

	{"volmgr", []uint16{161}, report.EventDump, fixed(report.T("The dump could not be written: an error occurred while it was made."))},
	{"volmgr", []uint16{162}, report.EventDump, fixed(report.T("The dump was written."))},
	{"volmgr", []uint16{46}, report.EventDump, fixed(report.T("Windows could not get ready to write a dump at a crash."))},
	{"volmgr", []uint16{45}, report.EventDump, fixed(report.T("Windows could not load the driver that writes dumps."))},
	{"volmgr", []uint16{49}, report.EventDump, fixed(report.T("The page file on the system's volume is absent or too small for a dump."))},
	{"wer-systemerrorreporting", []uint16{1005}, report.EventDump, fixed(report.T("No small dump could be made out of the large one."))},
	{"wer-systemerrorreporting", []uint16{1018}, report.EventDump, fixed(report.T("The dump was deleted, since the disk was short of free space."))},
	{"wer-systemerrorreporting", []uint16{1019}, report.EventDump, fixed(report.T("The dump was not kept."))},

	{"whea-logger", []uint16{1, 16, 17, 18, 19, 20, 46, 47}, report.EventHardware, sayHardware},
	{"kernel-power", []uint16{86}, report.EventHardware, fixed(report.T("The machine was shut down because it was too hot."))},

	{"disk", []uint16{7}, report.EventStorage, of(report.T("The disk %s has a bad block."))},
	{"disk", []uint16{11}, report.EventStorage, of(report.T("The driver found an error of the controller on %s."))},
	{"disk", []uint16{51}, report.EventStorage, of(report.T("An error was met on %s while memory was paged out or in."))},
	{"disk", []uint16{52}, report.EventStorage, of(report.T("The disk %s says itself that it is about to fail."))},
	{"disk", []uint16{153}, report.EventStorage, of(report.T("A request to the disk %s was tried again: the first try had failed or taken too long."))},
	{"disk", []uint16{154}, report.EventStorage, of(report.T("A request to the disk %s failed for good, by a hardware error."))},
	{"disk", []uint16{157}, report.EventStorage, of(report.T("The disk %s went away while it was in use."))},
	{"", []uint16{129}, report.EventStorage, of(report.T("The disk controller of %s did not answer and was reset."))},
	{"stornvme", []uint16{11}, report.EventStorage, of(report.T("The driver found an error of the controller on %s."))},
	{"storahci", []uint16{11}, report.EventStorage, of(report.T("The driver found an error of the controller on %s."))},
	{"ntfs", []uint16{55}, report.EventFileSystem, of(report.T("The file system on a volume is damaged (%s)."))},
	{"ntfs", []uint16{98}, report.EventFileSystem, of(report.T("A volume needs a check of its file system (%s)."))},
	{"ntfs", []uint16{130, 137, 140}, report.EventFileSystem, of(report.T("Data could not be written to a volume (%s)."))},

	{"display", []uint16{4101}, report.EventDisplay, of(report.T("The display driver %s stopped answering and was restarted."))},
	{"kernel-pnp", []uint16{219}, report.EventDriver, sayNotLoaded},
	{"kernel-pnp", []uint16{411}, report.EventDriver, of(report.T("The device %s could not be started."))},
	{"service control manager", []uint16{7000}, report.EventDriver, of(report.T("The service or driver %s could not be started."))},
	{"service control manager", []uint16{7026}, report.EventDriver, of(report.T("Drivers that Windows starts with were not loaded: %s."))},
	{"service control manager", []uint16{7031, 7034}, report.EventService, of(report.T("The service %s ended unexpectedly."))},
	{"resource-exhaustion-detector", []uint16{2004}, report.EventMemory, fixed(report.T("Memory ran short."))},
	{"memorydiagnostics-results", []uint16{1101, 1201}, report.EventMemory, fixed(report.T("The memory test found no error."))},
	{"memorydiagnostics-results", []uint16{1102, 1202}, report.EventMemory, fixed(report.T("The memory test found errors."))},

	{"service control manager", []uint16{7045}, report.EventInstalled, sayService},
	{"userpnp", []uint16{20001}, report.EventInstalled, sayDriver},
	{"userpnp", []uint16{20003}, report.EventInstalled, sayDriverService},
	{"kernel-pnp", []uint16{400, 410, 430}, report.EventInstalled, sayDevice},
	{"windowsupdateclient", []uint16{19}, report.EventInstalled, sayUpdate},

	{"windows error reporting", []uint16{1001}, report.EventReport, sayReport},
}

var byProvider = index(events)

func index(list []known) map[string][]*known {
	m := map[string][]*known{}
	for i := range list {
		m[list[i].provider] = append(m[list[i].provider], &list[i])
	}
	return m
}

// knownEvent looks a record up by its provider and number. Any storage driver may log
// 129: the port driver does it in its name.
func knownEvent(r *evtx.Record) *known {
	name := strings.TrimPrefix(strings.ToLower(r.Provider), "microsoft-windows-")
	for _, list := range [][]*known{byProvider[name], byProvider[""]} {
		for _, k := range list {
			for _, id := range k.ids {
				if id == r.Event && k.applies(r) {
					return k
				}
			}
		}
	}
	return nil
}

// warning is the level of events that tell of something wrong, and below it.
const warning = 3

// applies: some numbers are used for good news too, at another level.
func (k *known) applies(r *evtx.Record) bool {
	switch {
	case k.provider == "": // port drivers warn; others use 129 for other things
		return r.Level == warning && (r.Data == nil || len(r.Data) > 0 && strings.HasPrefix(strings.ToLower(r.Data[0].Text), `\device\`))
	case k.kind == report.EventFileSystem:
		return r.Level > 0 && r.Level <= warning
	}
	return true
}

// say is what the report says of a record.
func (r *record) say() *report.Event {
	e := &report.Event{At: r.Time, Log: r.log, Record: r.ID, Provider: r.Provider, ID: r.Event, Kind: r.known.kind, What: r.known.say(r)}
	switch r.known.kind {
	case report.EventStop, report.EventUnclean, report.EventHardware:
		for _, v := range r.Data[:min(len(r.Data), maxValues)] {
			e.Values = append(e.Values, report.Fact{Name: v.Name, Value: short(v.Text)})
		}
	}
	return e
}

// maxValues is more than any of the events that tell of a crash has.
const maxValues = 64

func fixed(t report.Text) func(*record) report.Text {
	return func(*record) report.Text { return t }
}

// of says a text with the first value that the event has: the device, the service.
func of(t report.Text) func(*record) report.Text {
	return func(r *record) report.Text { return report.Text{Format: t.Format, Args: []any{r.first()}} }
}

// maxSaid bounds how much of a value is repeated, in characters.
const maxSaid = 120

// first is the first value that is not empty.
func (r *record) first() string {
	for _, v := range r.Data {
		if strings.TrimSpace(v.Text) != "" && v.Name != "Binary" {
			return short(v.Text)
		}
	}
	return "?"
}

// value is one by its name, else by its place.
func (r *record) value(name string, place int) string {
	if s, ok := r.Get(name); ok && name != "" {
		return short(s)
	}
	if place >= 0 && place < len(r.Data) && r.Data[place].Name == "" {
		return short(r.Data[place].Text)
	}
	return ""
}

func short(s string) string {
	s = strings.TrimSpace(s)
	if c := []rune(s); len(c) > maxSaid {
		return string(c[:maxSaid]) + "…"
	}
	return s
}
