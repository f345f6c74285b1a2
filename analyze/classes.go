package analyze

import (
	"fmt"

	"bugcheck/win"
)

// classes are those of stop codes whose rule has none, or that have no rule. The
// numbers say how many published buckets each rests on.
var classes = map[uint32]func(*Facts) string{
	0x18:  class18,
	0x3d:  func(f *Facts) string { return withStatus(f, "0x3D") },   // 1
	0x5a:  func(f *Facts) string { return hexClass("0x5A", f, 3) },  // 1: P4 is the status
	0x5c:  class5C,                                                  // 2, their hashes checked
	0x7a:  func(f *Facts) string { return hexClass("0x7a", f, 1) },  // 1: P2 is the status
	0xa0:  func(f *Facts) string { return hexClass("0xa0", f, 0) },  // 1
	0xc5:  func(f *Facts) string { return hexClass("0xC5", f, 1) },  // 3: P2 is the IRQL
	0xca:  func(f *Facts) string { return hexClass("0xCA", f, 0) },  // 1, its hash checked
	0xe6:  func(f *Facts) string { return hexClass("0xE6", f, 0) },  // 4
	0x10d: func(f *Facts) string { return hexClass("0x10D", f, 0) }, // 3
	0x153: class153,                                                 // 1, its hash checked
	0x154: class154,
	0x1a8: class1A8,
	0x1cc: class1CC,
}

// classOf is the class of a stop code: that of its rule, else of the table, else
// the code.
func classOf(f *Facts) string {
	if r := ruleFor(f.Code); r.class != nil {
		return stackError(f, r.class(f))
	}
	if class := classes[f.Code]; class != nil {
		return class(f)
	}
	if name := win.StatusName(f.Code); name != "" && f.Code != statusSystemProcessTerminated {
		return verified(f, name)
	}
	return verified(f, fmt.Sprintf("0x%X", f.Code))
}

// stackError marks the class where the stack pointer was outside the thread's stack
// (3 published buckets). 0x139 with P1 = 4 is that by itself.
func stackError(f *Facts, class string) string {
	if f.BadStack && (f.Code == 0x7f || f.Code == 0x139 && f.Parameters[0] != 4) {
		class += "_STACKPTR_ERROR"
	}
	return class
}

// A stop code may be a status: what a program raised that Windows cannot run
// without. The class is its name (1 published case, the hash checked); this one has
// a form of its own, which is not known.
const statusSystemProcessTerminated = 0xc000021a

// hexClass is the code with parameter n (from 0) in hexadecimal.
func hexClass(code string, f *Facts, n int) string {
	return verified(f, fmt.Sprintf("%s_%x", code, uint32(f.Parameters[n])))
}

// withStatus is the code with the status of the exception, where it is known.
func withStatus(f *Facts, code string) string {
	if f.Exception != nil {
		code += fmt.Sprintf("_%X", f.Exception.Code)
	}
	return verified(f, code)
}

// class18, REFERENCE_BY_POINTER: P4 is the reference count; one below zero has a
// class of its own (1 published bucket of each kind, 1 hash checked).
func class18(f *Facts) string {
	if int64(f.Parameters[3]) < 0 {
		return verified(f, "0x18_OVER_DEREFERENCE")
	}
	return verified(f, "0x18")
}

// class5C, HAL_INITIALIZATION_FAILED: P1 says at what; two values are known by name.
func class5C(f *Facts) string {
	switch f.Parameters[0] {
	case 0x10b:
		return verified(f, "0x5C_HAL_CLOCK_INTERRUPT_NOT_RECEIVED")
	case 0x7000:
		return verified(f, "0x5C_HAL_INTERRUPT_REMAPPING_SETUP_FAILURE")
	}
	return verified(f, "0x5C")
}

// class153: the stop code's own name, and what P3 says of the lock entry, of which
// one value is known by name.
func class153(f *Facts) string {
	class := "0x153"
	if code, ok := win.English.Code(f.Code); ok {
		class += "_" + code.Name
	}
	if f.Parameters[2] == 1 {
		class += "_LOCK_POINTER_NOT_NULL"
	}
	return verified(f, class)
}

// class154, UNEXPECTED_STORE_EXCEPTION: the status of the exception and, of a page
// that did not come back, that of the read (2 published buckets, 1 hash checked).
func class154(f *Facts) string {
	class := "0x154"
	if x := f.Exception; x != nil {
		class += fmt.Sprintf("_%x", x.Code)
		if x.Status != 0 {
			class += fmt.Sprintf("_%x", x.Status)
		}
	}
	return verified(f, class)
}

// class1A8, VIDEO_DXGKRNL_BLACK_SCREEN_LIVEDUMP: P1 is who asked for it, in decimal (1
// published bucket), but for the keys, 1 by the documentation (2 published buckets).
func class1A8(f *Facts) string {
	switch f.Parameters[0] {
	case 0: // not known
		return "0x1A8"
	case 1:
		return "0x1A8_KEYBD_HOTKEY"
	}
	return fmt.Sprintf("0x1A8_%d", f.Parameters[0])
}

// class1CC, EXRESOURCE_TIMEOUT_LIVEDUMP: P2 is the thread that holds the lock, and
// the stack is its (3 published buckets, 1 hash checked).
func class1CC(f *Facts) string {
	if f.Parameters[1] != 0 {
		return "0x1cc_EXRESOURCE_TIMEOUT_OWNERTHREAD"
	}
	return "0x1cc_EXRESOURCE_TIMEOUT"
}

// class20, KERNEL_APC_PENDING_DURING_EXIT: P1 the APC, P2 the thread's APC
// disable count as a 16-bit number, which must be zero.
func class20(f *Facts) string {
	class := "0x20"
	if f.Parameters[0] == 0 {
		class += "_NULLAPC"
	}
	if int16(f.Parameters[1]) < 0 {
		class += "_KAPC_NEGATIVE"
	}
	return verified(f, class)
}

// class4E, PFN_LIST_CORRUPT: P1 says which list.
func class4E(f *Facts) string { return verified(f, fmt.Sprintf("0x4E_%x", f.Parameters[0])) }
