package report

import "time"

// Case is one story of the dumps and event logs of a machine.
type Case struct {
	Schema   int          `json:"schema"`
	Tool     Tool         `json:"tool"`
	Machine  CaseMachine  `json:"machine,omitzero"`
	Verdict  Verdict      `json:"verdict"` // of all crashes together
	Crashes  []CaseCrash  `json:"crashes"` // in the order in which they happened
	Repeated []CaseGroup  `json:"repeated,omitempty"`
	Changes  []CaseChange `json:"changes,omitempty"`
	First    *time.Time   `json:"first,omitempty"`
	Last     *time.Time   `json:"last,omitempty"`
	PerDay   float64      `json:"per_day,omitempty"` // crashes a day from the first to the last; absent for one
	Events   *Events      `json:"events,omitempty"`
	Notes    []Note       `json:"notes,omitempty"`
}

// CaseMachine is what the dumps say of the machine; they must agree in it to be taken
// for one machine's.
type CaseMachine struct {
	Architecture string `json:"architecture,omitempty"`
	Processor    string `json:"processor,omitempty"`
	Processors   uint32 `json:"processors,omitempty"`
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	Info         []Fact `json:"info,omitempty"` // of a saved System Information (.nfo)
}

// Fact is a name with its value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// CaseCrash is one crash of a case: its dump, or what the event log alone has of it.
type CaseCrash struct {
	File          string     `json:"file,omitempty"`
	At            *time.Time `json:"at,omitempty"`
	UptimeSeconds *int64     `json:"uptime_seconds,omitempty"`
	Code          Hex32      `json:"code,omitempty"`
	Name          string     `json:"name,omitempty"`
	Bucket        string     `json:"bucket,omitempty"`
	Cause         string     `json:"cause,omitempty"`
	Confidence    string     `json:"confidence,omitempty"`
	Image         string     `json:"image,omitempty"`
	Bit           *int       `json:"bit,omitempty"`
	Summary       Text       `json:"summary"`
}

// CaseGroup is a failure that came more than once.
type CaseGroup struct {
	Bucket string     `json:"bucket"`
	Image  string     `json:"image,omitempty"`
	Count  int        `json:"count"`
	First  *time.Time `json:"first,omitempty"`
	Last   *time.Time `json:"last,omitempty"`
}

// CaseChange is what is different in one dump from the one before it.
type CaseChange struct {
	Between [2]string `json:"between"` // the files
	Kind    string    `json:"kind"`
	Image   string    `json:"image,omitempty"`
	What    Text      `json:"what"`
}

// The words of CaseChange.Kind.
const (
	ChangeNew      = "new"      // a driver that was not loaded before
	ChangeUpdated  = "updated"  // a driver of another build
	ChangeGone     = "gone"     // a driver that is not loaded any more
	ChangeSystem   = "system"   // another build of Windows
	ChangeFirmware = "firmware" // another firmware
)

// Comparison is what two dumps have in common.
type Comparison struct {
	Schema  int          `json:"schema"`
	Tool    Tool         `json:"tool"`
	Same    string       `json:"same"` // a word of Same*
	Summary Text         `json:"summary"`
	Crashes [2]CaseCrash `json:"crashes"`
	Equal   []Text       `json:"equal,omitempty"`   // in words
	Differ  []Text       `json:"differ,omitempty"`  // in words
	Changes []CaseChange `json:"changes,omitempty"` // from the earlier one to the later
}

// The words of Comparison.Same.
const (
	SameFailure = "failure" // the failure bucket is equal
	SameDriver  = "driver"  // the same driver, at another place
	SameNothing = "nothing"
)
