package analyze

import "testing"

// The rules of driver verifier that have no name are told by what they have in common.
func TestHappenedC4(t *testing.T) {
	for rule, want := range map[uint64]string{
		0x10: "it gave back memory that it had not been given (rule 0x10 of driver verifier)",
		0x3e: "it took or released a lock in a way that is not allowed (rule 0x3e of driver verifier)",
		0x62: "it was unloaded and left memory behind (rule 0x62 of driver verifier)",
		0x80: "it called a function of Windows at an interrupt level (IRQL) that is too high for it (rule 0x80 of driver verifier)",
		0xa0: "a sector came back from the disk changed",
		0xb7: "the firmware wrote to memory of Windows while the machine slept",
		0xee: "it broke a rule of driver verifier (0xee)",
	} {
		if got := happenedC4(&Facts{Code: 0xc4, Parameters: [4]uint64{rule}}).String(); got != want {
			t.Errorf("rule 0x%x: got %q, want %q", rule, got, want)
		}
	}
}
