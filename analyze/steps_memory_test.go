package analyze

import (
	"strings"
	"testing"
)

// Only a server has a management controller to ask first.
func TestMemorySteps(t *testing.T) {
	for workstation, first := range map[bool]string{true: "Run memory and processor at their standard speeds", false: "On a server"} {
		steps := memorySteps(workstation)
		if len(steps) != maxSteps || !strings.HasPrefix(steps[0].String(), first) {
			t.Errorf("workstation %v: %v", workstation, steps)
		}
	}
}
