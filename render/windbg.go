package render

import (
	"fmt"
	"io"
	"strings"

	"bugcheck/report"
)

// WinDbg writes the fields that the debugger's !analyze -v prints, in its order
// and spelling, for people and scripts that know them. Fields that the dump does
// not reach are left out.
func WinDbg(w io.Writer, r *report.Report) error {
	b := &strings.Builder{}
	if r.Bugcheck != nil {
		windbgHeader(b, r)
	}
	windbgValues(b, r)
	windbgFields(b, r)
	windbgStack(b, r)
	windbgBlame(b, r)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

const stars = "*******************************************************************************"

func windbgHeader(b *strings.Builder, r *report.Report) {
	blank := "*" + strings.Repeat(" ", 77) + "*"
	title := "*                        Bugcheck Analysis                                    *"
	fmt.Fprintf(b, "%s\n%s\n%s\n%s\n%s\n\n", stars, blank, title, blank, stars)
	fmt.Fprintf(b, "%s (%x)\n%s\nArguments:\n", r.Bugcheck.Name, uint32(r.Bugcheck.Code), r.Bugcheck.Meaning)
	for i, p := range r.Bugcheck.Parameters {
		text := p.Meaning.String()
		if note := p.Note.String(); note != "" {
			text += ", " + note
		}
		fmt.Fprintf(b, "Arg%d: %016x, %s\n", i+1, uint64(p.Value), text)
	}
	fmt.Fprintf(b, "\nDebugging Details:\n------------------\n\n")
}

// windbgValues writes the KEY_VALUES_STRING section.
func windbgValues(b *strings.Builder, r *report.Report) {
	fmt.Fprintf(b, "KEY_VALUES_STRING: 1\n")
	pair := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, "\n    Key  : %s\n    Value: %s\n", key, value)
		}
	}
	if r.Exception != nil && r.Exception.Access != "" {
		pair("AV.Type", strings.ToUpper(r.Exception.Access[:1])+r.Exception.Access[1:])
	}
	if r.Bugcheck != nil {
		pair("Bugcheck.Code.LegacyAPI", fmt.Sprintf("0x%x", uint32(r.Bugcheck.Code)))
	}
	pair("Failure.Bucket", r.Verdict.Bucket)
	pair("Failure.Hash", r.Verdict.BucketHash)
	if r.System != nil {
		pair("WER.OS.Version", r.System.Version)
	}
	fmt.Fprintf(b, "\n\n")
}

// field writes NAME:  value and an empty line, as the debugger does.
func field(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "%s:  %s\n\n", name, value)
	}
}

func windbgFields(b *strings.Builder, r *report.Report) {
	if c := r.Bugcheck; c != nil {
		field(b, "BUGCHECK_CODE", fmt.Sprintf("%x", uint32(c.Code)&^0x10000000))
		for i, p := range c.Parameters {
			field(b, fmt.Sprintf("BUGCHECK_P%d", i+1), fmt.Sprintf("%x", uint64(p.Value)))
		}
	}
	field(b, "FILE_IN_CAB", r.Dump.File)
	if s := r.System; s != nil && s.VirtualMachine != nil {
		field(b, "VIRTUAL_MACHINE", *s.VirtualMachine)
	}
	if r.Thread != nil && r.Thread.Address != 0 {
		field(b, "FAULTING_THREAD", fmt.Sprintf("%016x", uint64(r.Thread.Address)))
	}
	windbgException(b, r)
	if r.IRQL != nil {
		field(b, "CURRENT_IRQL", fmt.Sprintf(" %x", *r.IRQL))
	}
	if r.Process != nil {
		field(b, "PROCESS_NAME", r.Process.Name)
	}
}

func windbgException(b *strings.Builder, r *report.Report) {
	x := r.Exception
	if x == nil {
		return
	}
	if x.Target != nil {
		field(b, strings.ToUpper(x.Access)+"_ADDRESS", fmt.Sprintf("%016x", uint64(*x.Target)))
	}
	field(b, "EXCEPTION_CODE", fmt.Sprintf("(NTSTATUS) 0x%x - %s", uint32(x.Code), x.Name))
	if x.Address != 0 {
		field(b, "FAULTING_IP", fmt.Sprintf("%016x", uint64(x.Address)))
	}
}

func windbgStack(b *strings.Builder, r *report.Report) {
	if len(r.Stack) == 0 {
		return
	}
	fmt.Fprintf(b, "STACK_TEXT:  \n")
	for _, f := range r.Stack {
		fmt.Fprintf(b, "%s %s : %s  [%s]\n", address(uint64(f.StackPointer)), address(uint64(f.Address)), frameName(f), f.Trust)
	}
	fmt.Fprintf(b, "\n\n")
}

func windbgBlame(b *strings.Builder, r *report.Report) {
	v := &r.Verdict
	if v.Module != "" {
		symbol := v.Module + "!unknown_function"
		if v.Symbol != "" {
			symbol = v.Module + "!" + v.Symbol
		} else if len(r.Stack) > 0 && r.Stack[0].Module == v.Module {
			symbol = frameName(r.Stack[0])
		}
		field(b, "SYMBOL_NAME", symbol)
	}
	field(b, "MODULE_NAME", v.Module)
	field(b, "IMAGE_NAME", windbgImage(v))
	field(b, "FAILURE_BUCKET_ID", v.Bucket)
	if s := r.System; s != nil {
		field(b, "OS_VERSION", s.Version)
		field(b, "BUILDLAB_STR", s.Lab)
		field(b, "OSPLATFORM_TYPE", r.Dump.Architecture)
		field(b, "OSNAME", s.Name)
	}
	field(b, "FAILURE_ID_HASH", v.BucketHash)
	field(b, "Followup", "     MachineOwner")
}

// windbgImage is the debugger's name for the image: it calls the kernel by the
// name of its symbol file.
func windbgImage(v *report.Verdict) string {
	if v.Module == "nt" && strings.EqualFold(v.Image, "ntoskrnl.exe") {
		return "ntkrnlmp.exe"
	}
	return v.Image
}
