// Package windbglog turns the text that the debugger's !analyze -v prints into
// the facts of a crash: logs as people paste them into forums, tickets and
// mails, of the debuggers of about 2005 to today.
//
// The text has no published format. What is read here was taken from published
// logs and from the list of fields in the documentation of !analyze
// (https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-analyze).
// Logs of programs (user mode) are not read: they have no stop code.
//
// A log is hostile like any other input: what is read of it is bounded, and
// nothing in it is believed beyond its own words.
package windbglog

import (
	"bytes"
	"slices"
	"time"
)

// Log is what one log says. Fields that it lacks are empty.
type Log struct {
	Code      uint32 // stop code as printed: 0x1000007e
	Name      string
	Arguments []uint64 // the stop code's parameters, as many as were found, at most four

	Arch        string // x64, arm64, x86; "" if not known
	Build       uint32 // of the kernel
	Lab         string
	ProductType uint32 // as in the header of dumps: 1 workstation, 2 domain controller, 3 server; 0 if not known
	Uptime      time.Duration
	Time        *time.Time // of the crash, in UTC
	Process     string
	Exception   *uint32 // NTSTATUS
	BadStack    bool    // the debugger found the stack pointer outside the thread's stack
	Detail      uint32  // the third parameter of the exception record
	Access      string  // read, write, execute: of the exception
	IRQL        *uint8
	Vendor      string // the processor's maker: GenuineIntel, AuthenticAMD
	Verifier    bool   // driver verifier was on
	Corruptor   string // how code differs from its image: ONE_BIT, LARGE
	Old         bool   // it has a field that debuggers since about 2019 do not print

	Manufacturer, Product, VirtualMachine string
	BIOS                                  []string // vendor, version, date

	Frames  []Frame
	Points  []Point  // addresses that the log names: faulting instructions and the like
	Modules []Module // lists of modules (lm), as far as they were pasted

	Said  Said
	Cut   bool // it ends before the debugger's last line
	Raw   bool // it has no analysis, only the stop code
	Doubt int  // frames behind the debugger's warning that they may be wrong: the index of the first; -1: none
}

// Said is what the debugger concluded.
type Said struct {
	Image, Module, Symbol string
	Bucket, Hash          string // FAILURE_BUCKET_ID, FAILURE_ID_HASH
	Class                 string // BUGCHECK_STR
}

// Frame is one line of the stack, top first.
type Frame struct {
	Address, StackPointer uint64 // zero if not known
	Module, Symbol        string // both empty: an address outside every module
	Offset                uint64 // from the symbol, else from the module's base
}

// Point is an address that the log gives a name to.
type Point struct {
	Address        uint64
	Module, Symbol string
	Offset         uint64
}

// Module is a line of a list of modules.
type Module struct {
	Name       string // the debugger's name; of an unloaded one, its file name, cut
	Start, End uint64
	Unloaded   bool
}

// Limits. A log of a large machine with all its modules and threads has about a
// megabyte; what is longer is cut.
const (
	MaxSize    = 4 << 20
	maxLine    = 4096
	maxLogs    = 64
	maxFrames  = 1024
	maxModules = 4096
	maxPoints  = 64
)

// Parse finds the logs in a text, in their order. It returns none for a text
// that is no log: a log has a stop code and at least one more line that only the
// debugger writes. What is beyond MaxSize is not read.
func Parse(b []byte) []Log {
	b = utf8Of(b[:min(len(b), MaxSize)])
	if !slices.ContainsFunc(signs, func(s string) bool { return bytes.Contains(b, []byte(s)) }) {
		return nil
	}
	p := &parser{log: Log{Doubt: -1}}
	for line := range lines(b) {
		p.line(line)
	}
	p.finish()
	return p.logs
}

// signs are words of which every log has one: a quick look that spares reading
// files of other kinds line by line.
var signs = []string{"Bugcheck Analysis", "BugCheck ", "Bugcheck code ", "BUGCHECK_", "STACK_TEXT", "STACK\\_TEXT", "FAILURE_BUCKET_ID", "Arg1:", "Fatal System Error"}

// parser is the state between lines.
type parser struct {
	logs      []Log
	log       Log
	marks     int      // lines of the current log that only the debugger writes
	stack     bool     // inside STACK_TEXT
	key       string   // of KEY_VALUES_STRING, waiting for its value
	point     *Point   // a name whose address stands on the next line
	returns   uint64   // return address of the last frame
	fatal     bool     // the parameters stand on the next line
	cut       []string // a frame whose call site stands on the next line
	addressed bool     // a frame with a stack pointer was seen
	call      []uint64 // what KeBugCheckEx was called with: the stop code and three parameters
	followed,
	unloaded bool // inside the list of unloaded modules
	args [4]*uint64
}

// finish closes the current log and keeps it if it is one.
func (p *parser) finish() {
	l := &p.log
	p.headless()
	for _, a := range p.args {
		if a == nil {
			break
		}
		l.Arguments = append(l.Arguments, *a)
	}
	l.Cut = !p.followed
	l.Raw = len(l.Frames) == 0 && l.Said == (Said{})
	if l.Arch == "" {
		l.Arch = l.guessArch()
	}
	if l.isLog(p.marks) && len(p.logs) < maxLogs {
		p.logs = append(p.logs, *l)
	}
	*p = parser{logs: p.logs}
	p.log.Doubt = -1
}

// isLog reports that there is a stop code and that the text is the debugger's.
func (l *Log) isLog(marks int) bool {
	return (l.Code != 0 || l.Name != "") && marks >= 2 && (len(l.Arguments) > 0 || !l.Raw)
}

// guessArch tells 64-bit machines by the addresses of the stack and of the
// arguments: a 32-bit one has none beyond 4 GiB, unless sign-extended.
func (l *Log) guessArch() string {
	known := false
	for _, f := range l.Frames {
		for _, a := range []uint64{f.Address, f.StackPointer} {
			known = known || a != 0
			if a>>32 != 0 && a>>32 != 0xffffffff {
				return "x64"
			}
		}
	}
	if known {
		return "x86"
	}
	for _, a := range l.Arguments {
		if a>>32 != 0 && a>>32 != 0xffffffff {
			return "x64"
		}
	}
	return ""
}

// start begins another log where the current one is complete.
func (p *parser) start() {
	if p.log.Code != 0 || p.log.Name != "" || p.log.Said.Bucket != "" {
		p.finish()
	}
}

// code takes a stop code; another one than before begins another log.
func (p *parser) code(code uint32, name string) {
	if p.log.Code != 0 && p.log.Code&^flagM != code&^flagM {
		p.finish()
	}
	if p.log.Code == 0 || code&flagM != 0 {
		p.log.Code = code
	}
	if name != "" && p.log.Name == "" {
		p.log.Name = name
	}
	p.marks++
}

// flagM marks stop codes of small dumps: 0x1000007e.
const flagM = 0x10000000

// isShort reports that no more of the current log was read than what a debugger prints
// when it opens a dump; the analysis of the same crash may follow.
func (p *parser) isShort() bool { return len(p.log.Frames) == 0 && p.log.Said.Bucket == "" }

// argument takes parameter n, 0 to 3. Another value than before, after the
// analysis or after the short form of it, begins another log.
func (p *parser) argument(n int, v uint64) {
	if old := p.args[n]; old != nil && *old != v && (len(p.log.Frames) > 0 && n == 0 || p.log.Said.Image != "" && p.isShort()) {
		code, name, args := p.log.Code, p.log.Name, p.args
		p.finish()
		p.log.Code, p.log.Name = code, name
		copy(p.args[:n], args[:n]) // they were the same
	}
	if p.args[n] == nil {
		p.args[n] = &v
	}
	p.marks++
}
