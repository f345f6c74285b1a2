package render

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"bugcheck/report"
	"bugcheck/win"
)

// Exercise is what a learner is to find in the dump that the fault lab has made:
// the seed of this program, as a walk from the event log to the culprit.
type Exercise struct {
	Log     string // where the event log lies
	Dump    string // where the dump lies
	Code    uint32
	Name    string // of the stop code
	Process string
	Image   string // of the driver that did it; "": no step asks for it
	Hint    string // who did it, where it is not on the stack
}

// Step is one question, and what is said around it.
type Step struct {
	Tell, Ask, Hint, Right report.Text
	accepts                func(answer string) bool
}

// Accepts reports that an answer is right, in any case of letters.
func (s Step) Accepts(answer string) bool { return s.accepts(strings.TrimSpace(answer)) }

// Steps are the questions in their order.
func (e Exercise) Steps() []Step {
	steps := []Step{
		{
			Tell: report.T("A server has restarted by itself. Its event log lies here: %s. In another window, run: bugcheck events %s. (The Event Viewer of Windows shows the same under System, source BugCheck, event 1001.)", e.Log, e.Log),
			Ask:  report.T("What is the stop code?"), Hint: report.T("It stands behind \"Windows stopped with the code\"."),
			Right:   report.T("Yes: 0x%X, %s. To know what it means: bugcheck explain 0x%X", e.Code, e.Name, e.Code),
			accepts: isCode(e.Code, e.Name),
		},
		{
			Tell: report.T("That dump lies here: %s. In another window, run: bugcheck analyze %s", e.Dump, e.Dump),
			Ask:  report.T("In which process did it happen?"), Hint: report.T("Look at the line \"Where\". A debugger calls it PROCESS_NAME."),
			Right:   report.T("Yes: %s. That is where the processor was; it does not make the program guilty, since a program cannot crash Windows by itself.", e.Process),
			accepts: isName(e.Process),
		},
	}
	switch {
	case e.Image != "":
		steps = append(steps, Step{
			Ask: report.T("Which driver did it?"), Hint: report.T("Look at the line \"Cause\". A debugger calls it IMAGE_NAME."),
			Right:   report.T("Yes: %s. Its evidence stands under \"Why\", and what to do now under \"Do\".", e.Image),
			accepts: isName(e.Image),
		})
	case e.Hint != "":
		steps = append(steps, Step{
			Tell: report.T("The driver that did it is not on the stack."),
			Ask:  report.T("Which driver does the evidence point at all the same?"), Hint: report.T("Read what stands under \"Why\", also behind \"or\"."),
			Right:   report.T("Yes: %s. Pending requests and the owners of pool memory remember what the stack has lost.", e.Hint),
			accepts: isName(e.Hint),
		})
	}
	return steps
}

// isCode accepts a stop code in hexadecimal, with and without 0x, and its name.
func isCode(code uint32, name string) func(string) bool {
	return func(answer string) bool {
		digits := strings.TrimPrefix(strings.ToLower(answer), "0x")
		n, err := strconv.ParseUint(digits, 16, 32)
		return err == nil && uint32(n) == code || strings.EqualFold(answer, name)
	}
}

// isName accepts a file's name, also without its extension, and as far as a
// process block keeps it.
func isName(name string) func(string) bool {
	stem, _, _ := strings.Cut(name, ".")
	return func(answer string) bool {
		answer = strings.TrimSuffix(answer, "…")
		cut := len(answer) == cutName && len(name) > cutName && strings.EqualFold(answer, name[:cutName])
		return cut || strings.EqualFold(answer, name) || strings.EqualFold(answer, stem)
	}
}

// Say writes a text of the exercise, wrapped.
func Say(w io.Writer, t report.Text, opts Options) error {
	if t.IsZero() {
		return nil
	}
	for _, l := range wrap(t.In(translator(opts.Lang)), columns) {
		if _, err := fmt.Fprintln(w, l); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// The other things that the exercise says.
var (
	ExerciseTitle = report.T("Exercise: why did this server stop? Answer each question and press Enter; an empty answer gives a hint, q ends.")
	ExerciseWrong = report.T("Not quite.")
	ExerciseDone  = report.T("That is the whole way from the event log to the driver. The dump stays where it is, for a debugger or another try.")
	ExerciseLeft  = report.T("Ended. The dump stays where it is.")
)

// StopName is the name of a stop code.
func StopName(code uint32) string {
	c, _ := win.English.Code(code)
	return c.Name
}
