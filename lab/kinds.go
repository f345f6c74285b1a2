package lab

import (
	"fmt"
	"strings"
)

// Kind is a fault that the lab plays on a whole machine.
type Kind struct {
	Name  string `json:"name"`
	Title string `json:"title"`     // of NotMyFault's window, or what happens
	Code  string `json:"stop_code"` // that it ends in; several by build are separated by "or"
	Shows string `json:"shows"`     // what there is to learn from it
	// Flips are the bits that can be flipped in it, so that the hardware is to blame.
	Flips []string `json:"flips,omitempty"`

	play func(*Crash) error
}

// Kinds lists the faults: NotMyFault's in the order of its windows, then others.
func Kinds() []Kind {
	return []Kind{
		{"high-irql-kernel", "High IRQL fault (Kernel-mode)", "0xD1", "a driver reads freed paged pool at IRQL 2; the fault's own address names it", nil, playHighIRQLKernel},
		{"buffer-overflow", "Buffer overflow", "0x19 or 0x13A", "a driver writes past its block of pool; somebody else finds the damage later, and the stack shows only him", nil, playBufferOverflow},
		{"code-overwrite", "Code overwrite", "0xBE", "a driver writes over the code of the kernel, which is read-only", nil, playCodeOverwrite},
		{"stack-trash", "Stack trash", "0x1E", "a driver zeroes its own stack and returns to nowhere; only its pending request still names it", nil, playStackTrash},
		{"high-irql-user", "High IRQL fault (User-mode)", "0x4A", "a driver raises the IRQL and returns to its caller; no driver is on the stack any more", nil, playHighIRQLUser},
		{"stack-overflow", "Stack overflow", "0x7F", "a driver calls itself until the stack is used up: a double fault", nil, playStackOverflow},
		{"breakpoint", "Hardcoded breakpoint", "0x3B", "a breakpoint that was left in a driver, without a debugger", nil, playBreakpoint},
		{"double-free", "Double free", "0xC2 or 0x13A", "a driver frees a block of pool twice; the first caller outside the kernel names it", nil, playDoubleFree},
		{"hang-irp", "Hang with IRP", "0xE2", "a request that a driver never completes; the machine was stopped by hand", nil, playHangIRP},
		{"hang-dpc", "Hang with DPC", "0x133", "a deferred procedure that does not end; the watchdog finds it on the stack below itself", nil, playHangDPC},
		{"leak-paged", "Leak paged pool", "0xE2", "paged pool that is allocated and never freed; the tag tells whose it is", nil, playLeakPaged},
		{"leak-nonpaged", "Leak nonpaged pool", "0xE2", "nonpaged pool that is allocated and never freed; the tag tells whose it is", nil, playLeakNonPaged},

		{"power-irp", "A power request is not finished", "0x9F", "the watchdog's stack says nothing; the request's stack location names the device and its driver", nil, playPowerIRP},
		{"dpc-watchdog", "A deferred procedure takes too long", "0x133", "the same as hang-dpc for a network driver that is called from its framework", nil, playDPCWatchdog},
		{"machine-check", "A machine check", "0x124", "the processor itself reports an error that it could not correct: a WHEA record", nil, playMachineCheck},
		{"memory-error", "A memory module loses bits", "0x124", "a machine check of the memory controller; the firmware's section names the module", nil, playMemoryError},
		{"pci-error", "A device vanishes from its slot", "0x124", "a root port reports it by advanced error reporting: the record names the device and what happened", nil, playPCIError},
		{"clock-watchdog", "A processor stops answering", "0x101", "another processor notices; the one that hangs spins in a driver's interrupt routine", nil, playClockWatchdog},
		{"pnp-lock", "Plug and Play is held up", "0x9F", "a thread has the lock and waits in a driver; the watchdog's stack does not show it", nil, playPnPLock},
		{"page-table-bit", "A flipped bit in a page table", "0x1A", "one bit of an entry of a page table is wrong: memory that keeps not what is written", nil, playPageTableBit},
		{"fast-fail", "A list is corrupt", "0x139", "a driver's list does not link back; the check that finds it stops the machine", nil, playFastFail},
		{"critical-process", "A critical process ends", "0xEF", "csrss.exe ends: who ended it is on the stack", nil, playCriticalProcess},
		{"display-timeout", "The display driver does not answer", "0x116", "parameter 2 names the display driver, the stack only Windows", nil, playDisplayTimeout},
		{"verifier", "Driver Verifier finds a mistake", "0xC4", "verified code frees what it may not free", nil, playVerifier},
		{"boot-device", "The start device cannot be reached", "0x7B", "Windows does not find its own disk: storage, not a driver on the stack", nil, playBootDevice},
		{"receive-ring", "A network driver goes through a pointer in its receive ring", "0xD1", "a pointer to freed memory convicts the driver; with --flip a bit of its code, of the pointer or of a page table is wrong, and the same crash convicts the hardware", []string{FlipCode, FlipPointer, FlipPTE}, playReceiveRing},
	}
}

// KindNamed finds a kind.
func KindNamed(name string) (Kind, bool) {
	for _, k := range Kinds() {
		if strings.EqualFold(k.Name, name) {
			return k, true
		}
	}
	return Kind{}, false
}

// flipping names the kinds in which bits can be flipped.
func flipping() string {
	var names []string
	for _, k := range Kinds() {
		if len(k.Flips) > 0 {
			names = append(names, fmt.Sprintf("%s (%s)", k.Name, strings.Join(k.Flips, ", ")))
		}
	}
	return strings.Join(names, ", ")
}
