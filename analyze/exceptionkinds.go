package analyze

import (
	"bugcheck/report"
	"bugcheck/win"
)

// What the status of an exception says of who is to blame, whichever stop code it came
// with (0x1E, 0x3B, 0x7E, 0x8E and others that hold an exception record). Statuses from
// ntstatus.h; what raises them from the processors' manuals (Intel SDM volume 3, chapter
// 6) and from "Handling exceptions" in Microsoft's driver documentation.

// statusInvalidLockSequence is not among those that end programs (um_codes.go).
const statusInvalidLockSequence = 0xc000001e

// exceptionMeanings say what an exception speaks for.
var exceptionMeanings = map[uint32]func() report.Text{
	statusIllegalInstruction: func() report.Text {
		return report.T("The bytes there are no instruction of this processor: the code was overwritten, control went into the middle of an instruction or into data, or memory or processor are faulty.")
	},
	statusDivideByZero: func() report.Text {
		return report.T("The code divided a whole number by zero: a mistake in that code itself, or in what it was given.")
	},
	statusPrivileged: func() report.Text {
		return report.T("The instruction may not be used there: control went to a wrong place, or the code asked the processor for something that it does not have.")
	},
	statusBreakpoint: func() report.Text {
		return report.T("A breakpoint in a driver is left over from its development, or its own check failed; with no debugger there, it stops Windows.")
	},
	statusStackBufferOverrun: func() report.Text {
		return report.T("The code checked itself and found its stack or its data overwritten; it stopped before worse could happen.")
	},
	statusStackOverflow: func() report.Text {
		return report.T("The stack was used up: too many nested calls, often of several filters on top of each other.")
	},
	statusMisaligned: func() report.Text {
		return report.T("Data was to be used at an address that is not a multiple of its size, where the processor demands it: a wrong pointer.")
	},
	statusCPP: func() report.Text {
		return report.T("A driver written in C++ threw an exception that it did not catch itself; kernel code must not do that.")
	},
	statusAssertion: func() report.Text {
		return report.T("A check that the code makes of itself failed (assertion).")
	},
	statusInvalidHandle: func() report.Text {
		return report.T("The kernel was given a handle that was closed before, or never was one.")
	},
	statusUserCallback: func() report.Text {
		return report.T("A routine that Windows called back raised an exception that it did not handle.")
	},
	statusInvalidLockSequence: func() report.Text {
		return report.T("An instruction that locks memory was used where the processor does not allow it: the code was overwritten or control went to a wrong place.")
	},
}

// strayCode are exceptions that come of control going astray as easily as of a mistake
// in the code where it ended.
var strayCode = map[uint32]bool{
	statusIllegalInstruction: true, statusPrivileged: true, statusInvalidLockSequence: true,
}

// judgeExceptionKind tells what the status speaks for.
func (j *judgement) judgeExceptionKind(x *Exception) {
	if meaning := exceptionMeanings[x.Code]; meaning != nil {
		j.evidence(report.Derived, report.T("exception code"), meaning())
	}
	if strayCode[x.Code] {
		j.limit(report.Medium)
	}
	switch {
	case x.Code == statusInPageError:
		j.judgeInPage(x.Status)
	case ofStorage[x.Code]:
		j.evidence(report.Derived, report.T("exception code"), report.T("The status %s comes from a disk or what leads to it, not from the code that met it.", win.Status(x.Code)))
		j.decide(report.CauseStorage, report.Medium)
	case noResources[x.Code]:
		j.evidence(report.Derived, report.T("exception code"), report.T("Memory was short; the code that met it did not expect that."))
	}
}

// judgeInPage: a page could not be brought in. The status behind it tells a disk that
// failed from memory that was short; where it is not known, the disk is likely.
func (j *judgement) judgeInPage(status uint32) {
	switch {
	case noResources[status]:
		j.evidence(report.Recorded, report.T("exception record"), report.T("The read ended with %s: memory was short, which is no fault of the disk.", win.Status(status)))
		return
	case status != 0:
		j.evidence(report.Recorded, report.T("exception record"), report.T("It ended with %s.", win.Status(status)))
	}
	j.decide(report.CauseStorage, report.Medium)
	if f, ok := blamed(j.f); ok { // nobody is blamed, but the bucket names who met it (1 published case, and 2 of 0x154)
		j.bucket = j.class + "_" + function(f.Module, f.Symbol)
	}
	j.evidence(report.Derived, report.T("exception record"), report.T("A page could not be read back from disk; that is a fault of the storage or the path to it, not of the code that asked for it."))
}

// happenedByKind are the clauses for exceptions that say what happened by themselves.
var happenedByKind = map[uint32]func() report.Text{
	statusBreakpoint: func() report.Text {
		return report.T("it ran into a breakpoint in its code, with no debugger there")
	},
	statusInPageError: func() report.Text { return report.T("a page that was needed could not be read from disk") },
	statusIllegalInstruction: func() report.Text {
		return report.T("it ran into bytes that are no instruction of this processor")
	},
	statusDivideByZero: func() report.Text { return report.T("it divided a whole number by zero") },
	statusPrivileged: func() report.Text {
		return report.T("it ran into an instruction that may not be used there")
	},
	statusStackBufferOverrun: func() report.Text { return report.T("it found its own stack or data overwritten") },
	statusStackOverflow:      func() report.Text { return report.T("it used up its stack") },
	statusMisaligned:         func() report.Text { return report.T("it touched an address that is not aligned") },
	statusInvalidHandle:      func() report.Text { return report.T("it used a handle that is not valid") },
}
