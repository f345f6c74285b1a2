// Package analyze turns a crashed machine into a verdict: Collect reads the
// machine into Facts, Judge is a pure function of Facts.
//
// It knows stop codes, one file each (x0d1.go, x139.go, …); the table of them
// is in rules.go. Rules are general: each says in a comment what it rests on.
package analyze

import (
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

// Facts is everything the verdict may depend on, as plain data.
type Facts struct {
	Arch        string // x64, arm64, x86
	Build       uint32 // of the kernel; zero if not known
	Live        bool   // a live dump: Windows went on
	Whole       bool   // the dump holds memory, not a selection of it
	Workstation bool   // said to be no server
	Uptime      time.Duration
	At          time.Time // of the crash; zero if not known
	RawCode     uint32    // as recorded: 0x1000007e
	Code        uint32    // its base: 0x7e
	Name        string
	Parameters  [4]uint64
	Places      [4]Place // what each parameter points at
	Exception   *Exception
	Context     Context // where Frames begin
	Frames      []Frame // top first
	Process     string
	IRQL        *uint8
	Images      []Image       // the loaded modules
	Unloaded    []string      // drivers that had left before the crash, the last first
	Verifier    bool          // driver verifier was on, or made this crash
	Watched     []string      // by driver verifier, or calling one that is; as far as the list of drivers records it
	BadStack    bool          // the stack pointer was outside the thread's stack; only a log says it
	Named       string        // the image that Windows itself names (KiBugCheckDriver); "" if none
	CPUVendor   string        // GenuineIntel, AuthenticAMD
	CPUFamily   uint16        // stop code 0x124; zero if not known
	CodeDiffer  string        // how captured code differs from its image: ONE_BIT, LARGE; "" if not known to
	CodeChanges []CodeChange  // functions at work whose code is not that of their image
	Instruction *Instruction  // that failed
	OneBits     []OneBit      // values that are wrong by one bit
	Landing     *Landing      // where the processor was, if not in code
	Block       *Block        // of pool, that the stop code is about
	Pending     []Pending     // requests of the thread that are not completed
	Stuck       *Stuck        // of a crash that was asked for, and of a live dump
	Hung        *Hung         // stop codes 0x133 and 0x101: the processor that did not get on
	Page        *Page         // what the page tables hold of the address that was touched
	RAM         *RAMPage      // page of RAM that the stop code is about
	Device      string        // stop code 0x7B: that Windows starts from
	Power       *Power        // stop code 0x9F
	WHEA        *WHEA         // stop code 0x124
	Thread      *Thread       // that the stop code is about, beside the current one
	Object      *Object       // that a parameter points to: a device, a driver, a request
	Pointed     []Pointed     // what parameters point at
	ChipPart    *uint32       // stop code 0x14B: SOC_SUBSYSTEM_TYPE
	Nodes       []Node        // stop code 0x9F, kind 4: devices whose Plug and Play request was under way
	Dying       *Dying        // stop codes 0xEF and 0xF4
	Status      uint32        // stop code 0x10D: what an operation of the framework ended with; zero if not known
	TDRReason   uint32        // stop codes 0x116, 0x117, 0x141; zero if not known
	Message     string        // that a parameter points to: a driver\'s name (0xEA), a text (0xFE)
	Samples     []Sample      // stop code 0x133: what the watchdog saw run, the most first
	Tick        time.Duration // between two clock interrupts; zero if not known
	User        *User         // of a user-mode minidump, which has no stop code
}

// Exception is the fault behind a stop code.
type Exception struct {
	Code    uint32
	Address uint64 // of the instruction
	Access  string // read, write, execute; "" if not an access
	Target  *uint64
	Status  uint32 // of an in-page error: why the page could not be read; zero: not known
}

// Context says which registers the frames start from.
type Context struct {
	Kind    string      // a word of report.Context.Kind
	Address uint64      // of the structure, if it is one in memory
	Source  report.Text // "context record (parameter 4)"; zero: the dump header
	Fault   bool        // they are those of the fault, not of KeBugCheckEx
}

// Frame is one caller, as Judge needs it.
type Frame struct {
	Image, Module, Symbol string
	Offset                uint64
	Trust                 string // a word of report.Frame.Trust
}

// Image is a loaded module by its names.
type Image struct {
	Image, Module string
	Built         time.Time // by its header; zero if it has no date, or one that cannot be
}

// Place is what an address points at.
type Place struct {
	Kind   string // a Place* word; "" if nothing is known of it
	Image  string // PlaceModule, PlaceUnloaded
	Module string
	Symbol string // of code in a module; "" without symbols
	Offset uint64 // from the symbol, else from the module's base
	Bit    int    // PlaceOneBit: the bit that would make it canonical
}

// The kinds of places.
const (
	PlaceModule       = "module"
	PlaceUnloaded     = "unloaded"
	PlaceStack        = "stack"
	PlaceNull         = "null"
	PlaceUser         = "user"
	PlaceNonCanonical = "noncanonical"
	PlaceOneBit       = "onebit"
	PlaceSystem       = "system"
)

// Power is what a DRIVER_POWER_STATE_FAILURE points at.
type Power struct {
	IRPDriver string   // driver of the IRP's current stack location; "" if not in the dump
	Other     string   // driver that holds another power request for the same device; "" if there is none
	PDODriver string   // driver that owns the physical device
	Service   string   // of the device node
	Instance  string   // device instance path of the device node
	Stack     []string // drivers of the device's stack, the top first
}

// owner looks up who made an image.
func owner(image string) string {
	d, _ := win.English.Driver(image)
	return d.Owner
}

// thirdParty reports that an image is known not to be part of Windows, or not
// known at all.
func thirdParty(image string) bool { return image != "" && owner(image) != "microsoft" }
