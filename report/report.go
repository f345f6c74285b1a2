// Package report is the answer as plain data: what the JSON output holds and
// what every other format is rendered from.
//
// The names of its JSON fields are a contract (docs/report.md): they are added
// to, never renamed without a new Schema. Absent means "not known", never zero.
package report

import "time"

// Schema is the version of the JSON contract.
const Schema = 1

// Report is all that is said of one dump.
type Report struct {
	Schema      int              `json:"schema"`
	Tool        Tool             `json:"tool"`
	Dump        Dump             `json:"dump"`
	System      *System          `json:"system,omitempty"`
	Bugcheck    *Bugcheck        `json:"bugcheck,omitempty"`
	Process     *Process         `json:"process,omitempty"`
	Thread      *Thread          `json:"thread,omitempty"`
	Processor   *uint32          `json:"processor,omitempty"`
	IRQL        *uint8           `json:"irql,omitempty"`
	Exception   *Exception       `json:"exception,omitempty"`
	Registers   Registers        `json:"registers,omitempty"`
	Context     *Context         `json:"context,omitempty"`
	Stack       []Frame          `json:"stack,omitempty"`
	Threads     []ThreadStack    `json:"threads,omitempty"` // the other threads of a program
	Verdict     Verdict          `json:"verdict"`
	Incident    *Incident        `json:"incident,omitempty"` // what the event logs given with the dump tell of the crash
	Debugger    *Debugger        `json:"debugger,omitempty"` // what a debugger concluded, where its log was read
	Modules     []Module         `json:"modules,omitempty"`
	Unloaded    []UnloadedModule `json:"unloaded_modules,omitempty"`
	Tagged      []TaggedData     `json:"tagged_data,omitempty"`
	Annotations []Annotation     `json:"annotations,omitempty"` // what a program told its crash reporter
	Symbols     *Symbols         `json:"symbols,omitempty"`
	Notes       []Note           `json:"notes,omitempty"`
	KnownIssues []KnownIssue     `json:"known_issues,omitempty"` // what the user's rules add
}

// Tool names the program that made the report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Dump is the file.
type Dump struct {
	File         string `json:"file"`
	Kind         string `json:"kind,omitempty"`         // triage, full, kernel, active, automatic, live, minidump
	Source       string `json:"source,omitempty"`       // log: the text of a debugger, not a dump
	Architecture string `json:"architecture,omitempty"` // x64, arm64, x86
	SizeBytes    int64  `json:"size_bytes"`
	Truncated    bool   `json:"truncated"`
	Comment      string `json:"comment,omitempty"`
	Attributes   *Hex32 `json:"attributes,omitempty"` // DUMP_FILE_ATTRIBUTES, where the header has them
}

// SourceLog is the word of Dump.Source for the text of a debugger.
const SourceLog = "log"

// Debugger is what another debugger concluded from the same crash.
type Debugger struct {
	Image      string `json:"image,omitempty"`
	Module     string `json:"module,omitempty"`
	Symbol     string `json:"symbol,omitempty"`
	Bucket     string `json:"bucket,omitempty"`
	BucketHash string `json:"bucket_hash,omitempty"`
	Difference Text   `json:"difference,omitzero"` // why the verdict differs from it
}

// System is the machine that crashed.
type System struct {
	Version        string     `json:"version,omitempty"`       // of the kernel: 10.0.19041
	Name           string     `json:"name,omitempty"`          // of the release: Windows 10 22H2
	Build          uint32     `json:"build,omitempty"`         // of the kernel
	ReleaseBuild   uint32     `json:"release_build,omitempty"` // what the running release calls itself (19045), where the dump records it
	Lab            string     `json:"lab,omitempty"`
	Product        string     `json:"product,omitempty"` // workstation, server, domain_controller
	Processors     uint32     `json:"processors,omitempty"`
	Processor      string     `json:"processor_name,omitempty"`
	ProcessorID    string     `json:"processor_id,omitempty"` // GenuineIntel family 6 model 165 stepping 5
	ProcessorMHz   uint32     `json:"processor_mhz,omitempty"`
	CrashedAt      *time.Time `json:"crashed_at,omitempty"`
	UptimeSeconds  *int64     `json:"uptime_seconds,omitempty"`
	VirtualMachine *string    `json:"virtual_machine"`
	Manufacturer   *string    `json:"manufacturer"`
	Model          *string    `json:"model"`
	Bios           *string    `json:"bios"`
	Baseboard      string     `json:"baseboard,omitempty"`
	BootID         *uint32    `json:"boot_id,omitempty"`
}

// Bugcheck is the stop code as Windows recorded it.
type Bugcheck struct {
	Code       Hex32       `json:"code"`
	Name       string      `json:"name,omitempty"`
	Meaning    Text        `json:"meaning,omitzero"`
	Parameters []Parameter `json:"parameters"`
}

// Parameter is one of the four numbers beside a stop code.
type Parameter struct {
	Value   Hex  `json:"value"`
	Meaning Text `json:"meaning,omitzero"`
	Note    Text `json:"note,omitzero"` // what this value is: a module, a status, a documented value
}

// Process is the one that was current on the processor that crashed; of a
// user-mode minidump, the one that was dumped.
type Process struct {
	Name      string     `json:"name"`
	PID       *uint64    `json:"pid,omitempty"`
	Trust     string     `json:"trust,omitempty"`
	StartedAt *time.Time `json:"started_at,omitempty"` // user-mode minidumps
	Threads   int        `json:"threads,omitempty"`    // user-mode minidumps: how many it had
}

// Thread is the one that was current.
type Thread struct {
	Address Hex     `json:"address,omitempty"`
	ID      *uint64 `json:"id,omitempty"`
	Name    string  `json:"name,omitempty"` // user-mode minidumps
}

// Exception is the fault that the stop code reports.
type Exception struct {
	Code       Hex32  `json:"code"`
	Name       string `json:"name,omitempty"`
	Address    Hex    `json:"address,omitempty"`
	Access     string `json:"access,omitempty"` // read, write, execute
	Target     *Hex   `json:"target,omitempty"`
	Reason     string `json:"reason,omitempty"`     // user-mode minidumps: EXCEPTION_ACCESS_VIOLATION_READ, as crash reporters name it
	Parameters []Hex  `json:"parameters,omitempty"` // user-mode minidumps: ExceptionInformation
}

// Context says where the registers were taken from.
type Context struct {
	Kind    string `json:"kind"` // header, context_record, trap_frame, parameter, exception, thread
	Address Hex    `json:"address,omitempty"`
}

// The words of Context.Kind: the dump's header (the processor in KeBugCheckEx);
// a CONTEXT or KTRAP_FRAME in memory; a stop code parameter that holds the
// instruction alone; the exception or the thread of a user-mode minidump.
const (
	ContextHeader    = "header"
	ContextRecord    = "context_record"
	ContextTrapFrame = "trap_frame"
	ContextParameter = "parameter"
	ContextException = "exception"
	ContextThread    = "thread"
)

// Frame is one caller.
type Frame struct {
	Address      Hex    `json:"address"`
	StackPointer Hex    `json:"stack_pointer,omitempty"`
	Image        string `json:"image,omitempty"`
	Module       string `json:"module,omitempty"`
	Symbol       string `json:"symbol,omitempty"`
	Offset       *Hex   `json:"offset,omitempty"` // from the symbol, else from the module's base
	File         string `json:"file,omitempty"`
	Line         int    `json:"line,omitempty"`
	Inline       bool   `json:"inline"`
	Trust        string `json:"trust"` // context, unwind, frame_pointer, scan
}

// ThreadStack is what another thread of a program was doing.
type ThreadStack struct {
	ID    uint64  `json:"id"`
	Name  string  `json:"name,omitempty"`
	Stack []Frame `json:"stack,omitempty"` // its first callers, top first
}

// The words of Frame.Trust.
const (
	TrustContext      = "context"
	TrustUnwind       = "unwind"
	TrustFramePointer = "frame_pointer"
	TrustScan         = "scan"
)

// Verdict says who did it and how that is known.
type Verdict struct {
	Summary      Text          `json:"summary"`
	Cause        string        `json:"cause"`
	Image        string        `json:"image,omitempty"`
	Module       string        `json:"module,omitempty"`
	Symbol       string        `json:"symbol,omitempty"`
	Confidence   string        `json:"confidence"`
	Bucket       string        `json:"bucket,omitempty"`
	BucketHash   string        `json:"bucket_hash,omitempty"`
	Bit          *int          `json:"bit,omitempty"` // the one that is wrong: of a word, or of a byte of code
	Evidence     []Evidence    `json:"evidence,omitempty"`
	Alternatives []Alternative `json:"alternatives,omitempty"`
	NextSteps    []Text        `json:"next_steps,omitempty"`
	Owners       []string      `json:"owners,omitempty"` // who looks after it, by the user's rules
}

// The words of Verdict.Cause.
const (
	CauseDriver           = "driver"
	CauseHardware         = "hardware"
	CauseMemoryCorruption = "memory_corruption"
	CauseWindows          = "windows"
	CauseFirmware         = "firmware"
	CauseStorage          = "storage"
	CauseRequested        = "requested"
	CauseUnknown          = "unknown"
	CauseProgram          = "program" // user-mode minidumps: the program or one of its libraries
)

// The words of Verdict.Confidence: recorded facts name it; derived by a
// documented rule; guessed from a scan, or several are as likely.
const (
	High   = "high"
	Medium = "medium"
	Low    = "low"
)

// Evidence is one fact that speaks for the verdict.
type Evidence struct {
	Fact   Text   `json:"fact"`
	Source Text   `json:"source,omitzero"` // where it stands: parameter 2, exception record
	Trust  string `json:"trust"`
}

// The words of Evidence.Trust: stands in the dump; computed from it by a
// documented rule; guessed.
const (
	Recorded = "recorded"
	Derived  = "derived"
	Guessed  = "guessed"
)

// Alternative is another image that could be behind it.
type Alternative struct {
	Image string `json:"image"`
	Why   Text   `json:"why"`
}

// Module is a driver that was loaded.
type Module struct {
	Image      string `json:"image"`
	Module     string `json:"module"`
	Path       string `json:"path,omitempty"`
	Base       Hex    `json:"base"`
	Size       uint64 `json:"size"`
	Timestamp  Hex32  `json:"timestamp"`
	Version    string `json:"version,omitempty"`
	Symbols    string `json:"symbols"` // pdb, export, isf, none, mismatched
	ThirdParty *bool  `json:"third_party,omitempty"`
}

// The words of Module.Symbols: what names in a module rest on.
const (
	SymbolsPDB        = "pdb"        // its symbol file
	SymbolsISF        = "isf"        // Volatility's symbol file of it
	SymbolsExport     = "export"     // the names that the image exports
	SymbolsNone       = "none"       // nothing
	SymbolsMismatched = "mismatched" // a file was there, of another build
)

// UnloadedModule is a driver that had been unloaded before the crash.
type UnloadedModule struct {
	Image string `json:"image"`
	Base  Hex    `json:"base"`
	Size  uint64 `json:"size"`
}

// TaggedData is a block that a driver or Windows added behind the dump.
type TaggedData struct {
	GUID      string `json:"guid"`
	Name      string `json:"name,omitempty"`
	SizeBytes uint32 `json:"size_bytes"`
}

// Annotation is a name with its value that a program gave to its crash reporter.
type Annotation struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Symbols says what names rest on.
type Symbols struct {
	Path    string   `json:"path,omitempty"`
	Missing []string `json:"missing,omitempty"`
	Note    Text     `json:"note,omitzero"`
}

// Note names a part of the dump that is missing, damaged or unsure.
type Note struct {
	Where string `json:"where"`
	Text  Text   `json:"text"`
}

// KnownIssue is a problem that one of the user's own rules recognised. Its words
// are the user's, in the language of the report.
type KnownIssue struct {
	Name   string `json:"name"`
	Link   string `json:"link,omitempty"`
	Advice string `json:"advice,omitempty"`
	Rule   string `json:"rule"` // which rule says so
}
