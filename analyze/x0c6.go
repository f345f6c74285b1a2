package analyze

import "bugcheck/report"

// DRIVER_CAUGHT_MODIFYING_FREED_POOL (0xC6): P1 address, P2 access, P3 mode of the
// processor, 0 for the kernel.

func judgeC6(j *judgement) {
	p := j.f.Parameters
	access, mode := report.T("read"), report.T("kernel mode")
	if p[1]&1 != 0 {
		access = report.T("write")
	}
	if p[2] != 0 {
		mode = report.T("user mode")
	}
	j.evidence(report.Recorded, report.T("parameters 1 to 3"), report.T("It was an attempt to %s 0x%x, which is pool that had been freed, in %s.", access, p[0], mode))
	j.evidence(report.Derived, report.T("stop code"), report.T("Whoever made the access kept a pointer to a block that is gone. If another driver freed the block too early, that one is at fault."))
}

func happenedC6(*Facts) report.Text { return report.T("it used memory that had been freed") }
