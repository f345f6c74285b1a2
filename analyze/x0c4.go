package analyze

import (
	"fmt"

	"bugcheck/report"
)

// DRIVER_VERIFIER_DETECTED_VIOLATION (0xC4): driver verifier stopped Windows on
// purpose, at the moment a driver broke a rule. P1 is the rule.

// unloadedWithPool is the rule for a driver that leaves pool behind; P2 points
// to its name, P3 is reserved, P4 counts the blocks.
const unloadedWithPool = 0x62

func judgeC4(j *judgement) {
	p := j.f.Parameters
	j.evidence(report.Recorded, parameter(1), report.T("Driver verifier caught a driver breaking rule 0x%x while it did it: who is on the stack is who did it.", p[0]))
	if p[0] == unloadedWithPool {
		j.evidence(report.Recorded, parameter(4), report.T("The driver was unloaded and left %d blocks of pool behind.", p[3]))
	}
}

// classC4: verifier is on by the nature of the code (3 published cases).
func classC4(f *Facts) string { return fmt.Sprintf("0xc4_%x_VRF", f.Parameters[0]) }

func happenedC4(f *Facts) report.Text {
	return report.T("it broke a rule of driver verifier (0x%x)", f.Parameters[0])
}
