// Package lab is the fault lab: it turns a recipe, plain data that says how a
// machine crashed, into the bytes that Windows would have left of it, so that
// the readers can be held against facts that are known beforehand, and so that
// anybody can practise on a crash without crashing anything.
//
// A Dump is the recipe of one small (triage) memory dump, for x64, ARM64 and x86. A System
// is a whole machine, whose memory holds what a Windows machine's would: modules, processes,
// threads, pool, devices; Play lets one crash, and its memory is written as a dump of any
// kind. Neither runs a Windows kernel: what a recipe does not say is zero or invented. Equal
// recipes give equal bytes: there is no clock and no chance in here.
//
// It shares no layout and no constant with the readers. Each layout names its
// source, and those of 17763, 19041 and 26100 (x64) and of 22000 (ARM64) were held
// against real small dumps. For x86 and for ARM64 26100 no real file was at hand:
// those layouts rest on their sources alone.
package lab

import (
	"errors"
	"fmt"
	"time"
)

// Layout is the order in which a triage dump's parts stand.
type Layout int

const (
	// Old was seen in dumps of 17763 and 26100: TriageOptions 0x41, driver names
	// without their folder, all 50 places of unloaded drivers, few data blocks.
	Old Layout = iota
	// New was seen in dumps of 19041 and 22000: TriageOptions 0xffffffff, unloaded
	// drivers first, full paths, hundreds of data blocks, the KPRCBs among them.
	New
)

// Dump is the recipe of one crash. Machine, HighIRQLKernel and the other recipe
// functions return complete ones, to be changed freely before Bytes.
// Addresses are full virtual addresses; on x86 they have 32 bits.
type Dump struct {
	Build  *Build // which kernel crashed: Windows17763 and its like
	Layout Layout

	Code       uint32 // stop code; the bit 0x10000000 is the recipe's affair
	Parameters [4]uint64
	Time       time.Time     // of the crash, not before 1601
	Uptime     time.Duration // not negative
	BootID     uint32        // written where the build's header has one
	Product    uint32        // 1 workstation, 2 domain controller, 3 server
	Suite      uint32        // VER_SUITE_ bits
	Comment    string        // ASCII, at most 127 bytes; "": none, as Windows leaves it

	Processors int       // in the machine, at least 1
	Processor  Processor // the one that crashed
	Process    Process
	Thread     Thread
	Stack      Stack

	// Registers is the header's CONTEXT: X64, ARM64 or X86, as Build asks. As a rule
	// it stands in KeBugCheckEx; for 0x1000007E it is the fault's own.
	Registers Registers
	// ExceptionAddress is what the header's EXCEPTION_RECORD, always a breakpoint,
	// points at. 0: where Registers stand, as in nearly all files.
	ExceptionAddress uint64

	Drivers  []Driver   // the first is the kernel
	Unloaded []Unloaded // latest first; at most 50
	Blocks   []Block    // data blocks, after those that the writer adds itself
	Tagged   []Blob     // secondary data, in file order
	SMBIOS   *SMBIOS    // one more tagged blob, the last; nil: none
	Slack    []byte     // what follows the last blob: Old writers leave zeros or stale bytes
}

// Processor is the processor on which KeBugCheckEx ran.
type Processor struct {
	Address   uint64 // of its KPRCB
	Number    int    // from 0, below Dump.Processors
	Vendor    string // CPUID's 12 letters: "GenuineIntel", "AuthenticAMD"; on ARM64 one letter, the implementer: "Q", "A"
	Family    uint8  // on ARM64: the high byte of KPRCB.ProcessorModel
	Model     uint8  // on ARM64: the low byte of KPRCB.ProcessorModel
	Stepping  uint8  // on ARM64: KPRCB.ProcessorRevision
	MHz       uint32
	Microcode uint64 // KPRCB.UpdateSignature; not on ARM64
	IRQL      uint8  // KPRCB.DebuggerSavedIRQL, and on x64 CR8
}

// Process is the process that was current.
type Process struct {
	Address            uint64 // of its EPROCESS
	Name               string // EPROCESS.ImageFileName keeps 14 bytes of it
	ID, ParentID       uint32
	DirectoryTableBase uint64 // physical
	Created            time.Time
}

// Thread is the thread that was current.
type Thread struct {
	Address   uint64 // of its ETHREAD
	ID        uint32
	TrapFrame uint64 // KTHREAD.TrapFrame: where it came from user mode; 0: a system thread
	Start     uint64 // start address
	// StackLimit and StackBase bound its own kernel stack. 0: the bounds of Dump.Stack; they
	// differ where the crash came on another stack, such as the processor's DPC stack.
	StackLimit, StackBase uint64
}

// Stack is the kernel stack on which KeBugCheckEx ran. The dump holds [Address, Base).
type Stack struct {
	Limit   uint64 // the lowest address that belongs to it
	Address uint64 // the lowest address written: the stack pointer in KeBugCheckEx
	Base    uint64 // its end
	// Contents is what stands in it, each Block wholly inside; later ones overwrite
	// earlier ones, and what none covers is zero.
	Contents []Block
}

// Block is a piece of memory.
type Block struct {
	Address uint64
	Data    []byte
}

// Driver is a loaded kernel module.
type Driver struct {
	Path      string // \SystemRoot\system32\drivers\name.sys
	Base      uint64
	Size      uint32 // bytes
	Timestamp uint32
	Checksum  uint32
}

// Unloaded is a driver that was unloaded before the crash.
type Unloaded struct {
	Name       string // the dump keeps 12 letters
	Start, End uint64
}

// Blob is a block of secondary ("tagged") data.
type Blob struct {
	GUID string // 8-4-4-4-12 hexadecimal digits
	Data []byte
}

// SMBIOS is what the firmware says of the machine. An empty text is not written.
type SMBIOS struct {
	Manufacturer, Product, Serial        string
	BIOSVendor, BIOSVersion, BIOSRelease string // BIOSRelease: mm/dd/yyyy
}

// Exception is an EXCEPTION_RECORD.
type Exception struct {
	Code       uint32 // NTSTATUS
	Flags      uint32
	Address    uint64
	Parameters []uint64 // NumberParameters is their count, even above 15, of which only 15 are written
}

// Trap is what a trap frame holds beside registers.
type Trap struct {
	FaultAddress uint64
	ErrorCode    uint64 // on ARM64: ESR
	PreviousIRQL uint8  // Windows fills it for interrupts only
}

// Registers is a processor's register set: X64, ARM64 or X86.
type Registers interface {
	// Context returns the CONTEXT record.
	Context() []byte
	// TrapFrame returns the KTRAP_FRAME of a trap taken with these registers.
	TrapFrame(Trap) []byte

	machine() machine
	pc() uint64
	conventions
}

// maxFile bounds what a recipe can make; real small dumps are below 8 MiB.
const maxFile = 64 << 20

// Bytes writes the dump. It returns an error where the recipe says something
// that no dump can hold.
func (d *Dump) Bytes() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	file, err := d.small()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return file, nil
}

func (d *Dump) check() error {
	switch {
	case d.Build == nil:
		return errors.New("no build")
	case d.Registers == nil:
		return errors.New("no registers")
	case d.Registers.machine() != d.Build.machine:
		return fmt.Errorf("registers of machine %#x, build %s is for %#x", d.Registers.machine(), d.Build, d.Build.machine)
	case d.Layout != Old && d.Layout != New:
		return fmt.Errorf("layout %d", d.Layout)
	case d.Processors < 1 || d.Processors > 2048:
		return fmt.Errorf("%d processors", d.Processors)
	case d.Processor.Number < 0 || d.Processor.Number >= d.Processors:
		return fmt.Errorf("processor %d of %d", d.Processor.Number, d.Processors)
	case len(d.Drivers) == 0:
		return errors.New("no drivers, not even a kernel")
	case len(d.Unloaded) > unloadedPlaces:
		return fmt.Errorf("%d unloaded drivers, there are %d places", len(d.Unloaded), unloadedPlaces)
	}
	for _, f := range []func() error{d.checkTimes, d.checkTexts, d.checkStack, d.checkSizes, d.checkAddresses} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dump) checkTimes() error {
	first := time.Unix(-secondsTo1970, 0)
	for _, t := range []time.Time{d.Time, d.Process.Created} {
		// After the year 9999 a FILETIME and Go's time do not both stay whole numbers of 100 ns.
		if t.Before(first) || t.Year() > 9999 {
			return fmt.Errorf("time %v is no FILETIME", t)
		}
	}
	if d.Uptime < 0 {
		return fmt.Errorf("uptime %v", d.Uptime)
	}
	return nil
}

func (d *Dump) checkTexts() error {
	if len(d.Comment) > 127 {
		return fmt.Errorf("comment of %d bytes, the header has room for 127", len(d.Comment))
	}
	for _, c := range []byte(d.Comment + d.Process.Name + d.Processor.Vendor) {
		if c == 0 || c > 0x7e {
			return fmt.Errorf("byte %#x in an ASCII text", c)
		}
	}
	if len(d.Processor.Vendor) > 12 {
		return fmt.Errorf("processor vendor %q has more than 12 letters", d.Processor.Vendor)
	}
	for i, r := range d.Drivers {
		if r.Path == "" || len(utf16le(r.Path)) > 0xfffe {
			return fmt.Errorf("driver %d: path of %d bytes", i, len(r.Path))
		}
	}
	return nil
}

func (d *Dump) checkSizes() error {
	n := uint64(len(d.Slack)) + d.Stack.Base - d.Stack.Address
	for _, b := range d.Blocks {
		n += uint64(len(b.Data))
	}
	for _, b := range d.Tagged {
		n += uint64(len(b.Data))
	}
	if n > maxFile {
		return fmt.Errorf("the parts come to %d bytes, the lab's limit is %d", n, maxFile)
	}
	return nil
}

func (d *Dump) checkStack() error {
	s := d.Stack
	if s.Limit > s.Address || s.Address >= s.Base {
		return fmt.Errorf("stack pointer %#x is not inside the stack %#x-%#x", s.Address, s.Limit, s.Base)
	}
	for _, b := range s.Contents {
		n := uint64(len(b.Data))
		if b.Address < s.Address || n > s.Base-s.Address || b.Address > s.Base-n {
			return fmt.Errorf("%d bytes at %#x are not inside the stack %#x-%#x", n, b.Address, s.Address, s.Base)
		}
	}
	return nil
}

// checkAddresses refuses 64-bit addresses on a 32-bit machine.
func (d *Dump) checkAddresses() error {
	if d.Build.pointer() == 8 {
		return nil
	}
	all := append([]uint64{d.Processor.Address, d.Process.Address, d.Process.DirectoryTableBase, d.Thread.Address,
		d.Thread.TrapFrame, d.Thread.Start, d.Thread.StackBase, d.Stack.Base, d.ExceptionAddress}, d.Parameters[:]...)
	for _, r := range d.Drivers {
		all = append(all, r.Base)
	}
	for _, u := range d.Unloaded {
		all = append(all, u.Start, u.End)
	}
	for _, b := range d.Blocks {
		all = append(all, b.Address)
	}
	for _, a := range all {
		if a>>32 != 0 {
			return fmt.Errorf("%#x does not fit a 32-bit machine", a)
		}
	}
	return nil
}
