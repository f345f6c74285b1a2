package report

import "time"

// Top is the machine's resources at the moment of the crash, as Task Manager and
// Resource Monitor would have shown them. Sizes are in bytes, counts plain; nil
// and zero times stand for what the dump does not hold.
type Top struct {
	Schema     int            `json:"schema"`
	Tool       Tool           `json:"tool"`
	Dump       Dump           `json:"dump"`
	System     *System        `json:"system,omitempty"`
	Bugcheck   *Bugcheck      `json:"bugcheck,omitempty"`
	Pressure   []Evidence     `json:"pressure"` // what was exhausted or nearly so; empty: nothing
	Memory     TopMemory      `json:"memory"`
	Processors []TopProcessor `json:"processors"`
	Processes  []TopProcess   `json:"processes"` // by memory, the largest first
	Threads    int            `json:"threads"`   // of all processes
	Pool       []TopPool      `json:"pool"`      // by bytes, the largest first
	Notes      []Note         `json:"notes,omitempty"`
}

// TopMemory is memory against its limits, bytes.
type TopMemory struct {
	Physical      *uint64 `json:"physical,omitempty"`
	Available     *uint64 `json:"available,omitempty"`
	Committed     *uint64 `json:"committed,omitempty"`
	CommitLimit   *uint64 `json:"commit_limit,omitempty"`
	CommitPeak    *uint64 `json:"commit_peak,omitempty"`
	NonPaged      *uint64 `json:"nonpaged_pool,omitempty"`
	NonPagedLimit *uint64 `json:"nonpaged_pool_limit,omitempty"`
	Paged         *uint64 `json:"paged_pool,omitempty"`
	PagedLimit    *uint64 `json:"paged_pool_limit,omitempty"`
}

// TopProcessor is a processor and what it was running.
type TopProcessor struct {
	Number    uint32   `json:"number"`
	Crashed   bool     `json:"crashed"` // it called KeBugCheckEx
	IRQL      *uint8   `json:"irql,omitempty"`
	Process   string   `json:"process,omitempty"`
	PID       *uint64  `json:"pid,omitempty"`
	Thread    *uint64  `json:"thread,omitempty"`
	Idle      bool     `json:"idle"`
	At        string   `json:"at,omitempty"`          // where its code was: nt!KiIdleLoop+0x2c
	DPC       string   `json:"dpc,omitempty"`         // the deferred procedure that ran
	DPCQueue  []string `json:"dpc_queue,omitempty"`   // those that waited
	Interrupt *float64 `json:"interrupts,omitempty"`  // share of its time since the start, percent
	DPCTime   *float64 `json:"dpc_time,omitempty"`    // likewise
	Kernel    *float64 `json:"kernel_time,omitempty"` // likewise, without idling
	User      *float64 `json:"user_time,omitempty"`
}

// TopProcess is a process and what it held.
type TopProcess struct {
	PID        uint64     `json:"pid"`
	Parent     uint64     `json:"parent"`
	Name       string     `json:"name"`
	Path       string     `json:"path,omitempty"`
	Command    string     `json:"command_line,omitempty"`
	Session    *uint32    `json:"session,omitempty"`
	Started    *time.Time `json:"started_at,omitempty"`
	Exited     *time.Time `json:"exited_at,omitempty"` // it had ended, but was still listed
	WorkingSet *uint64    `json:"working_set,omitempty"`
	Commit     *uint64    `json:"commit,omitempty"`
	Virtual    *uint64    `json:"virtual,omitempty"`
	Handles    *uint64    `json:"handles,omitempty"`
	Threads    int        `json:"threads"`
	CPUSeconds *float64   `json:"cpu_seconds,omitempty"` // kernel and user time
}

// TopPool is the pool memory of one tag.
type TopPool struct {
	Tag      string   `json:"tag"`
	NonPaged uint64   `json:"nonpaged"`
	Paged    uint64   `json:"paged"`
	Blocks   uint64   `json:"blocks"`            // not yet freed
	Drivers  []string `json:"drivers,omitempty"` // images that use the tag
}
