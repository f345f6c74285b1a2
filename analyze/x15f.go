package analyze

import "bugcheck/report"

// CONNECTED_STANDBY_WATCHDOG_TIMEOUT_LIVEDUMP (0x15F): P1 what kept the machine from its
// deepest idle state with the screen off; of 2 P2 the device and P3 its component, of 3 P3
// the name of the veto, of 1, 4 and 5 P3 the time in milliseconds
// (https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x15f--connected-standby-watchdog-timeout-livedump).

// Kinds of 0x15F that are about one device, and those that tell how long it took.
const standbyDevice = 2

var standbyTimed = map[uint64]bool{1: true, 4: true, 5: true}

func judge15F(j *judgement) {
	p := j.f.Parameters
	j.says(1)
	switch {
	case standbyTimed[p[0]]:
		j.evidence(report.Recorded, parameter(3), report.T("That lasted %d s.", p[2]/1000))
	case p[0] == standbyDevice:
		j.evidence(report.Recorded, report.T("parameters 2 and 3"), report.T("The device's record lies at 0x%x (component %d); only Microsoft's debugger extensions name it.", p[1], p[2]))
	}
	j.detector()
}

func happened15F(*Facts) report.Text {
	return report.T("the machine did not come to rest with its screen off, and drew its battery down")
}

// KERNEL_AUTO_BOOST_INVALID_LOCK_RELEASE (0x162): P1 the thread, P2 the lock, P3 the session
// ("Bug Check 0x162" in Microsoft's documentation). Locks that Windows lends priority for
// know who holds them; who gives back one that he does not hold is on the stack.
func judge162(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, report.T("parameters 1 and 2"), report.T("The thread at 0x%x gave back the lock at 0x%x.", p[0], p[1]))
	j.evidence(report.Derived, report.T("stop code"), report.T("It did not hold that lock: the lock was given back twice, by another thread than took it, or after its memory had been overwritten."))
	j.limit(report.Medium)
}
