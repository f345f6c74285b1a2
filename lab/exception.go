package lab

// Unhandled exceptions: the recipes whose stop codes point at an EXCEPTION_RECORD, a CONTEXT
// or a trap frame on the stack. In all of them the invented culprit is myfault.sys. The
// frames of 0x7E are those of real dumps of 17763 and 19041; of 0x3B, 0x8E and 0x139 none was
// at hand, and theirs are put together from published stacks and the frames of 0x7E and 0xD1.

const (
	statusAccessViolation    = 0xc0000005
	statusStackBufferOverrun = 0xc0000409
	corruptListEntry         = 3 // FAST_FAIL_CORRUPT_LIST_ENTRY
	nullField                = 0x10
)

// nullRead is a read of the field at 0x10 of a structure at 0.
var nullRead = map[machine][]byte{
	machineX64:   {0x8b, 0x43, 0x10},
	machineX86:   {0x8b, 0x43, 0x10},
	machineARM64: {0x68, 0x12, 0x40, 0xb9},
}

// fastFail is the instruction that __fastfail makes.
var fastFail = map[machine][]byte{
	machineX64:   {0xcd, 0x29},
	machineX86:   {0xcd, 0x29},
	machineARM64: {0x60, 0x00, 0x3e, 0xd4},
}

// SystemThreadException returns SYSTEM_THREAD_EXCEPTION_NOT_HANDLED: a work item of
// myfault.sys reads through a null pointer. Parameters: exception code, instruction,
// EXCEPTION_RECORD, CONTEXT, both on the stack.
//
// The header's code is 0x1000007E, and its CONTEXT is that of the exception, as in all
// real small dumps with this code at hand; KeBugCheckEx itself was called with 0x7E, and
// the stack starts at its frame.
func SystemThreadException(b *Build) *Dump {
	d := Machine(b)
	d.systemThread()
	s := d.dispatched(call{0x40, d.nt("_C_specific_handler", 0xa2)}, call{0x70, d.nt("RtlpExecuteHandlerForException", 0x12)})
	s.caller = d.nt("PspSystemThreadStartupFilter", 0x1e) // its exception filter gives up
	s.outer = d.workItemCalls()
	p := d.crash(s)
	d.Code = 0x1000007e
	d.Parameters = [4]uint64{d.status(statusAccessViolation), s.fault, p.record, p.context}
	d.keBugCheckEx(s, p, 0x7e)
	if d.Layout == New {
		d.ExceptionAddress = d.Registers.pc()
	}
	d.Registers = p.registers
	d.addCode(nullRead[b.machine])
	return d
}

// SystemServiceException returns SYSTEM_SERVICE_EXCEPTION, 0x3B: myfault.sys reads through
// a null pointer in a system call. Parameters: exception code, instruction, CONTEXT on the
// stack, 0. On x86 Windows raises KERNEL_MODE_EXCEPTION_NOT_HANDLED, 0x8E, in its place, whose
// third parameter is the trap frame.
func SystemServiceException(b *Build) *Dump {
	d := Machine(b)
	s := d.dispatched(call{0x140, d.nt("KiSystemServiceHandler", 0x7c)}, call{0x40, d.nt("RtlpExecuteHandlerForException", 0xf)})
	s.caller = d.nt("KiBugCheckDispatch", 0x69)
	s.outer, s.user = d.ioctlCalls(), true
	p := d.crash(s)
	d.Code = 0x3b
	d.Parameters = [4]uint64{statusAccessViolation, s.fault, p.context, 0}
	if b.machine == machineX86 {
		d.Code = 0x8e
		d.Parameters[2] = p.trap
	}
	d.keBugCheckEx(s, p, d.Code)
	d.addCode(nullRead[b.machine])
	d.addUserStack()
	return d
}

// SecurityCheckFailure returns KERNEL_SECURITY_CHECK_FAILURE, 0x139: myfault.sys finds a
// list entry corrupt. Parameters: 3, trap frame, EXCEPTION_RECORD, both on the stack, 0.
func SecurityCheckFailure(b *Build) *Dump {
	d := Machine(b)
	fault, _ := d.myfault()
	s := shape{
		caller: d.nt("KiBugCheckDispatch", 0x69),
		inner: []call{{0x140, d.nt("KiFastFailDispatch", 0xd0)},
			{0x1e0, d.nt("KiRaiseSecurityCheckFailure", 0x323)}},
		outer: d.ioctlCalls(), user: true, fault: fault, pointer: 0xffffb30c47a1d3e0,
		exception: Exception{Code: statusStackBufferOverrun, Flags: 1, Address: fault, Parameters: []uint64{corruptListEntry}},
		saved:     0, record: 1, context: none,
	}
	p := d.crash(s)
	d.Code = 0x139
	d.Parameters = [4]uint64{corruptListEntry, p.trap, p.record, 0}
	d.keBugCheckEx(s, p, d.Code)
	d.addCode(fastFail[b.machine])
	d.addUserStack()
	return d
}

// dispatched returns the shape of a null read's way through the exception dispatcher to the
// handlers that gave up; the dispatcher's frames have the sizes of 19041 x64.
func (d *Dump) dispatched(handlers ...call) shape {
	fault, _ := d.myfault()
	n := len(handlers)
	return shape{
		inner: append(handlers,
			call{0x30, d.nt("RtlDispatchException", 0x297)}, // RtlpExecuteHandlerForException's
			call{0x720, d.nt("KiDispatchException", 0x186)}, // RtlDispatchException's
			call{0x6c0, d.nt("KiExceptionDispatch", 0x12c)}, // KiDispatchException's
			call{0x1e0, d.nt("KiPageFault", 0x443)}),        // KiExceptionDispatch's
		fault: fault, trap: Trap{FaultAddress: nullField, ErrorCode: d.readError()},
		exception: Exception{Code: statusAccessViolation, Address: fault, Parameters: []uint64{0, nullField}},
		context:   n + 2, record: n + 3, saved: n + 3,
	}
}

// status returns an NTSTATUS as a parameter of a pointer's size: extended by its sign.
func (d *Dump) status(s uint32) uint64 {
	if d.Build.pointer() == 4 {
		return uint64(s)
	}
	return uint64(int64(int32(s)))
}

// systemThread makes the current thread a worker thread of the System process.
func (d *Dump) systemThread() {
	d.Process.Name, d.Process.ID, d.Process.ParentID = "System", 4, 0
	d.Process.DirectoryTableBase = 0x1ad000
	d.Process.Created = d.Time.Add(-d.Uptime)
	d.Thread.ID = 264
	d.Thread.Start = d.nt("ExpWorkerThread", 0)
}

// workItemCalls returns the frames from a work item of myfault.sys to the thread's start.
func (d *Dump) workItemCalls() []call {
	_, returns := d.myfault()
	return []call{
		{0x30, returns[0]},
		{0x60, d.nt("IopProcessWorkItem", 0x12b)},
		{0x70, d.nt("ExpWorkerThread", 0x105)},
		{0xa0, d.nt("PspSystemThreadStartup", 0x55)},
		{0x50, d.nt("KiStartSystemThread", 0x28)},
		{0x50, 0},
	}
}
