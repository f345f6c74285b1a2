package lab

import "fmt"

// Truth is what an analysis of a crash must find, in the names and shapes of the
// report's fields. What is absent is not claimed: no analysis can know it.
type Truth struct {
	Kind     string        `json:"kind"` // of the lab
	Bugcheck TruthBugcheck `json:"bugcheck"`
	Process  TruthProcess  `json:"process"`
	IRQL     *uint8        `json:"irql,omitempty"`
	Verdict  TruthVerdict  `json:"verdict"`
	// Stack is the callers from the fault outward, as far as they are in the dump: with
	// symbols function by function. Empty: the fault destroyed it.
	Stack []TruthFrame `json:"stack,omitempty"`
}

// TruthBugcheck is the stop code as the header has it.
type TruthBugcheck struct {
	Code       string   `json:"code"`
	Parameters []string `json:"parameters"`
}

// TruthProcess is the process that was current.
type TruthProcess struct {
	Name string `json:"name"`
	PID  uint64 `json:"pid"`
}

// TruthVerdict is who did it.
type TruthVerdict struct {
	Cause string `json:"cause,omitempty"` // a word of verdict.cause; "": the dump cannot tell
	Image string `json:"image,omitempty"` // "": the culprit is not on the stack
	// Hint is the image that whole memory points at where the culprit is not on the
	// stack: it must be the first of verdict.alternatives, or the verdict's own image.
	Hint string `json:"hint,omitempty"`
	// Bit is the one bit that is wrong: of a word, or of a byte of code.
	Bit *int `json:"bit,omitempty"`
}

// TruthFrame is one caller.
type TruthFrame struct {
	Image        string `json:"image"`
	Symbol       string `json:"symbol,omitempty"`
	Address      string `json:"address"`
	StackPointer string `json:"stack_pointer"`
}

func hexadecimal(v uint64) string { return fmt.Sprintf("0x%x", v) }
