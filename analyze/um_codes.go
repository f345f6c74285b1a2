package analyze

// Exception codes that end programs (winnt.h, ntstatus.h; the private ones by
// the runtimes that raise them).
const (
	statusGuardPage          = 0x80000001
	statusMisaligned         = 0x80000002
	statusSingleStep         = 0x80000004
	statusFatalAppExit       = 0x40000015
	statusWX86Breakpoint     = 0x4000001f
	statusInvalidHandle      = 0xc0000008
	statusInvalidParameter   = 0xc000000d
	statusNoMemory           = 0xc0000017
	statusIllegalInstruction = 0xc000001d
	statusNoncontinuable     = 0xc0000025
	statusDivideByZero       = 0xc0000094
	statusIntegerOverflow    = 0xc0000095
	statusPrivileged         = 0xc0000096
	statusStackOverflow      = 0xc00000fd
	statusPossibleDeadlock   = 0xc0000194
	statusStowed             = 0xc000027b
	statusHeapCorruption     = 0xc0000374
	statusStackBufferOverrun = 0xc0000409
	statusCRTParameter       = 0xc0000417
	statusUserCallback       = 0xc000041d
	statusAssertion          = 0xc0000420
	statusFailFast           = 0xc0000602
	statusNoModule           = 0xc06d007e // the delay-load helper: VcppException(ERROR_MOD_NOT_FOUND)
	statusNoProcedure        = 0xc06d007f
	statusHang               = 0xcfffffff // Windows Error Reporting
	statusOutOfMemory        = 0xe0000008 // Chromium
	statusCLR                = 0xe0434352 // "CCR"
	statusCLR2               = 0xe0434f4d // "COM", before .NET 4
	statusCPP                = 0xe06d7363 // "msc"
	statusSimulated          = 0x0517a7ed // Crashpad
)

// exceptionReasons are the names of Breakpad's minidump_processor.cc.
var exceptionReasons = map[uint32]string{
	0x40010005:               "DBG_CONTROL_C",
	statusGuardPage:          "EXCEPTION_GUARD_PAGE",
	statusMisaligned:         "EXCEPTION_DATATYPE_MISALIGNMENT",
	statusBreakpoint:         "EXCEPTION_BREAKPOINT",
	statusSingleStep:         "EXCEPTION_SINGLE_STEP",
	statusAccessViolation:    "EXCEPTION_ACCESS_VIOLATION",
	statusInPageError:        "EXCEPTION_IN_PAGE_ERROR",
	statusInvalidHandle:      "EXCEPTION_INVALID_HANDLE",
	statusIllegalInstruction: "EXCEPTION_ILLEGAL_INSTRUCTION",
	statusNoncontinuable:     "EXCEPTION_NONCONTINUABLE_EXCEPTION",
	0xc0000026:               "EXCEPTION_INVALID_DISPOSITION",
	0xc000008c:               "EXCEPTION_BOUNDS_EXCEEDED",
	0xc000008d:               "EXCEPTION_FLT_DENORMAL_OPERAND",
	0xc000008e:               "EXCEPTION_FLT_DIVIDE_BY_ZERO",
	0xc000008f:               "EXCEPTION_FLT_INEXACT_RESULT",
	0xc0000090:               "EXCEPTION_FLT_INVALID_OPERATION",
	0xc0000091:               "EXCEPTION_FLT_OVERFLOW",
	0xc0000092:               "EXCEPTION_FLT_STACK_CHECK",
	0xc0000093:               "EXCEPTION_FLT_UNDERFLOW",
	statusDivideByZero:       "EXCEPTION_INT_DIVIDE_BY_ZERO",
	statusIntegerOverflow:    "EXCEPTION_INT_OVERFLOW",
	statusPrivileged:         "EXCEPTION_PRIV_INSTRUCTION",
	statusStackOverflow:      "EXCEPTION_STACK_OVERFLOW",
	0xc00000ff:               "EXCEPTION_BAD_FUNCTION_TABLE",
	statusPossibleDeadlock:   "EXCEPTION_POSSIBLE_DEADLOCK",
	statusStackBufferOverrun: "EXCEPTION_STACK_BUFFER_OVERRUN",
	statusHeapCorruption:     "EXCEPTION_HEAP_CORRUPTION",
	statusOutOfMemory:        "Out of Memory",
	statusCPP:                "Unhandled C++ Exception",
	statusSimulated:          "Simulated Exception",
}
