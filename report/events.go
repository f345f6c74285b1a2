package report

import "time"

// Events is what event logs tell of the crashes of a machine.
type Events struct {
	Schema    int        `json:"schema"`
	Tool      Tool       `json:"tool"`
	Summary   Text       `json:"summary"`
	Logs      []EventLog `json:"logs"`
	Incidents []Incident `json:"incidents"` // in the order in which they happened
	Boots     []Boot     `json:"boots,omitempty"`
	Notes     []Note     `json:"notes,omitempty"`
}

// EventLog is a file that was read.
type EventLog struct {
	File    string     `json:"file"`
	Channel string     `json:"channel,omitempty"` // System, Application
	Records int        `json:"records"`           // whole ones, of all kinds
	From    *time.Time `json:"from,omitempty"`    // of the first record
	To      *time.Time `json:"to,omitempty"`      // of the last
}

// Boot is a start of Windows.
type Boot struct {
	At      *time.Time `json:"at,omitempty"` // when the kernel started, or the first event behind that
	Build   uint32     `json:"build,omitempty"`
	Clean   *bool      `json:"clean,omitempty"`          // the shutdown at its end; absent where the log does not reach
	Seconds *int64     `json:"uptime_seconds,omitempty"` // until that shutdown, or until the last sign of life
	By      Text       `json:"shut_down_by,omitzero"`    // who asked for it
}

// Incident is one time that Windows ended without a shutdown, with all that tells of it.
type Incident struct {
	Kind        string         `json:"kind"`
	At          *time.Time     `json:"at,omitempty"`           // the best that is known
	AtSource    Text           `json:"at_source,omitzero"`     // where that stands
	AtTrust     string         `json:"at_trust,omitempty"`     // a word of Evidence.Trust
	ZoneMinutes *int           `json:"zone_minutes,omitempty"` // what the machine's own time was ahead of UTC
	RestartedAt *time.Time     `json:"restarted_at,omitempty"`
	Bugcheck    *Bugcheck      `json:"bugcheck,omitempty"`
	Summary     Text           `json:"summary"`
	DumpPath    string         `json:"dump_path,omitempty"` // where the event says that the dump lies
	ReportID    string         `json:"report_id,omitempty"`
	Bucket      string         `json:"bucket,omitempty"`  // of the report to Windows Error Reporting
	Dumps       []IncidentDump `json:"dumps,omitempty"`   // of those that were given
	NoDump      Text           `json:"no_dump,omitzero"`  // why there is none, as far as is known
	Records     []Event        `json:"records"`           // the events that tell of it
	Before      []Event        `json:"before,omitempty"`  // what led up to it
	Changed     []Event        `json:"changed,omitempty"` // what was new before it
	Evidence    []Evidence     `json:"evidence,omitempty"`
}

// The words of Incident.Kind.
const (
	IncidentStop        = "stop"         // Windows stopped itself, with a stop code
	IncidentPowerButton = "power_button" // the power button was held down
	IncidentSleep       = "sleep"        // while going to sleep, sleeping or waking up
	IncidentUnexplained = "unexplained"  // power loss, reset, or a machine that hung: the log does not tell them apart
)

// IncidentDump is a dump that belongs to an incident.
type IncidentDump struct {
	File    string   `json:"file"`
	Verdict *Verdict `json:"verdict,omitempty"`
	Tied    Text     `json:"tied"` // by what it belongs there
}

// Event is one record of an event log, as far as it matters here.
type Event struct {
	At       time.Time `json:"at"`
	Log      string    `json:"log,omitempty"` // the file
	Record   uint64    `json:"record"`
	Provider string    `json:"provider"`
	ID       uint16    `json:"id"`
	Kind     string    `json:"kind"`
	What     Text      `json:"what"`             // in words
	Count    int       `json:"count,omitempty"`  // how many like it, where they were drawn together
	Values   []Fact    `json:"values,omitempty"` // of what tells of a crash: every field of the event
}

// The words of Event.Kind.
const (
	EventStop       = "stop"        // Windows had stopped with a code
	EventUnclean    = "unclean"     // it had not been shut down
	EventStart      = "start"       // it started
	EventShutdown   = "shutdown"    // it was shut down
	EventDump       = "dump"        // a dump was written, or not
	EventHardware   = "hardware"    // a processor, memory or a bus reported an error
	EventStorage    = "storage"     // a disk or its controller did
	EventFileSystem = "file_system" // a volume is damaged
	EventDisplay    = "display"     // the display driver stopped answering
	EventDriver     = "driver"      // a driver could not be loaded, or a device failed
	EventService    = "service"     // a service died
	EventInstalled  = "installed"   // a driver, a service or an update is new
	EventMemory     = "memory"      // memory ran short, or its test found errors
	EventClock      = "clock"       // the clock was set
	EventReport     = "report"      // the report to Windows Error Reporting
)
