package analyze

import (
	"errors"

	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/unwind"
)

// stepText says in a reader's language why a stack could not be followed.
func stepText(err error) report.Text {
	var step *unwind.StepError
	if !errors.As(err, &step) {
		return report.T("%s", err.Error())
	}
	return report.T("function at %s: %s", step.PC.String(), stepReason(step.Err))
}

func stepReason(err error) report.Text {
	var fault *mem.Fault
	switch {
	case errors.As(err, &fault) && fault.Reason == mem.NotInDump:
		return report.T("%s is not in the dump", fault.Address.String())
	case errors.Is(err, unwind.ErrNoImage):
		return report.T("its image is not here")
	case errors.Is(err, unwind.ErrNoTable):
		return report.T("no unwind data describes it")
	case errors.Is(err, unwind.ErrFormat):
		return report.T("its unwind data is not valid")
	case errors.Is(err, unwind.ErrUnknown):
		return report.T("a register that is needed is not known")
	case errors.Is(err, unwind.ErrStack):
		return report.T("the stack pointer does not rise")
	case errors.Is(err, unwind.ErrZero):
		return report.T("its return address, amid the stack, is zero")
	}
	return report.T("%s", err.Error())
}
