package analyze

import "bugcheck/report"

// EXCEPTION_ON_INVALID_STACK (0x1AA) and UNWIND_ON_INVALID_STACK (0x1AB): P1 the stack
// pointer, P2 which stack it was held against (dt nt!_KERNEL_STACK_LIMITS in the public
// symbols), P3 the context.

// stackLimits are the words of KERNEL_STACK_LIMITS.
var stackLimits = [...]string{"Bugcheck", "DPC", "Expanded", "Normal", "Win32k", "SwapBusy", "Isr", "Debugger", "Nmi", "MachineCheck", "Exception"}

func judge1AA(j *judgement) {
	p := j.f.Parameters
	if p[1] < uint64(len(stackLimits)) {
		j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The stack pointer 0x%x lies outside the stack that was in use (kind %s).", p[0], stackLimits[p[1]]))
	} else {
		j.evidence(report.Recorded, parameter(1), report.T("The stack pointer 0x%x lies outside the stack that was in use.", p[0]))
	}
	j.evidence(report.Derived, report.T("stop code"), report.T("A driver that moves to a stack of its own, as some programs against cheating and some emulators do, or a stack that was overwritten leads to that."))
	j.limit(report.Medium)
}
