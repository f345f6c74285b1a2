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
	} else {
		windbgUserHeader(b)
	}
	windbgValues(b, r)
	windbgDump(b, r)
	windbgCode(b, r)
	windbgRegisters(b, r)
	windbgBlackBoxes(b, r)
	windbgException(b, r)
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
	fmt.Fprintf(b, "\nDebugging Details:\n------------------\n\n\n")
}

// windbgValues writes the KEY_VALUES_STRING section, its keys in alphabetical
// order as the debugger has them.
func windbgValues(b *strings.Builder, r *report.Report) {
	fmt.Fprintf(b, "KEY_VALUES_STRING: 1\n")
	pair := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, "\n    Key  : %s\n    Value: %s\n", key, value)
		}
	}
	userKeys(pair, r)
	if r.Exception != nil && r.Exception.Access != "" {
		pair("AV.Type", strings.ToUpper(r.Exception.Access[:1])+r.Exception.Access[1:])
	}
	if r.Bugcheck != nil {
		pair("Bugcheck.Code.LegacyAPI", fmt.Sprintf("0x%x", uint32(r.Bugcheck.Code)))
	}
	if a := r.Dump.Attributes; a != nil {
		pair("Dump.Attributes.AsUlong", fmt.Sprintf("0x%x", uint32(*a)))
		if *a&kernelGeneratedTriage != 0 {
			pair("Dump.Attributes.KernelGeneratedTriageDump", "1")
		}
	}
	failFastKeys(pair, r)
	pair("Failure.Bucket", r.Verdict.Bucket)
	if x := r.Exception; x != nil && len(r.Stack) > 0 && r.Stack[0].Trust == report.TrustContext && r.Stack[0].Module != "" {
		pair("Failure.Exception.Code", fmt.Sprintf("0x%x", uint32(x.Code)))
		pair("Failure.Exception.IP.Address", r.Stack[0].Address.String())
		pair("Failure.Exception.IP.Module", r.Stack[0].Module)
		pair("Failure.Exception.IP.Offset", r.Stack[0].Offset.String())
	}
	pair("Failure.Hash", r.Verdict.BucketHash)
	if s := r.System; s != nil {
		if s.UptimeSeconds != nil {
			pair("Timeline.OS.Boot.DeltaSec", fmt.Sprint(*s.UptimeSeconds))
		}
		pair("WER.OS.Branch", branch(s.Lab))
		pair("WER.OS.Version", s.Version)
	}
	fmt.Fprintf(b, "\n\n")
}

// kernelGeneratedTriage is the attribute of a small dump that the kernel itself
// wrote.
const kernelGeneratedTriage = 0x8

// branch is the fourth part of a build lab: vb_release.
func branch(lab string) string {
	if parts := strings.Split(lab, "."); len(parts) >= 4 {
		return parts[3]
	}
	return ""
}

// field writes NAME:  value and an empty line, as the debugger does.
func field(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "%s:  %s\n\n", name, value)
	}
}

func windbgDump(b *strings.Builder, r *report.Report) {
	field(b, "FILE_IN_CAB", r.Dump.File)
	if s := r.System; s != nil && s.VirtualMachine != nil {
		field(b, "VIRTUAL_MACHINE", *s.VirtualMachine)
	}
	if a := r.Dump.Attributes; a != nil {
		text := fmt.Sprintf("0x%x", uint32(*a))
		if *a&kernelGeneratedTriage != 0 {
			text += "\n  Kernel Generated Triage Dump"
		}
		field(b, "DUMP_FILE_ATTRIBUTES", text)
	}
	if r.Bugcheck == nil && r.Thread != nil && r.Thread.ID != nil {
		field(b, "FAULTING_THREAD", fmt.Sprintf("%08x", *r.Thread.ID))
	} else if r.Thread != nil && r.Thread.Address != 0 {
		field(b, "FAULTING_THREAD", fmt.Sprintf("%016x", uint64(r.Thread.Address)))
	}
}

func windbgCode(b *strings.Builder, r *report.Report) {
	if c := r.Bugcheck; c != nil {
		field(b, "BUGCHECK_CODE", fmt.Sprintf("%x", uint32(c.Code)&^0x10000000))
		for i, p := range c.Parameters {
			field(b, fmt.Sprintf("BUGCHECK_P%d", i+1), fmt.Sprintf("%x", uint64(p.Value)))
		}
	}
	if x := r.Exception; x != nil && x.Target != nil {
		field(b, strings.ToUpper(x.Access)+"_ADDRESS", fmt.Sprintf(" %016x", uint64(*x.Target)))
	}
	if r.IRQL != nil {
		field(b, "CURRENT_IRQL", fmt.Sprintf(" %x", *r.IRQL))
	}
}

// windbgRegisters writes the registers of the fault under the name of the
// structure they come from.
func windbgRegisters(b *strings.Builder, r *report.Report) {
	if r.Context == nil {
		return
	}
	at := fmt.Sprintf("%016x", uint64(r.Context.Address))
	switch r.Context.Kind {
	case report.ContextRecord:
		field(b, "CONTEXT", at+" -- (.cxr 0x"+at+")"+registerBlock(r.Registers))
	case report.ContextException:
		field(b, "CONTEXT", " (.ecxr)"+registerBlock(r.Registers))
		windbgRecord(b, r)
	case report.ContextTrapFrame:
		field(b, "TRAP_FRAME", at+" -- (.trap 0x"+at+")\nNOTE: The trap frame does not contain all registers; those it lacks are restored by unwinding or left out."+registerBlock(r.Registers))
	}
}

// registerBlock writes three registers a line.
func registerBlock(regs report.Registers) string {
	var b strings.Builder
	for i, reg := range regs {
		separator := " "
		if i%3 == 0 {
			separator = "\n"
		}
		fmt.Fprintf(&b, "%s%s=%016x", separator, strings.TrimSpace(fmt.Sprintf("%3s", reg.Name)), reg.Value)
	}
	return b.String()
}

// windbgBlackBoxes names the black boxes that the dump carries.
func windbgBlackBoxes(b *strings.Builder, r *report.Report) {
	for _, box := range []struct{ guid, name string }{
		{"{f57308df-cc45-4e01-ad76-29a4ebb010ec}", "BLACKBOXBSD"},
		{"{00afe9c4-940d-4213-8016-cd3719b5bc20}", "BLACKBOXNTFS"},
		{"{b7631941-532a-4cd6-b1b1-edb5917d4557}", "BLACKBOXPNP"},
		{"{80cc79cf-a719-4af1-bf97-fe29ff76ebc1}", "BLACKBOXWINLOGON"},
	} {
		for _, t := range r.Tagged {
			if t.GUID == box.guid {
				field(b, box.name, fmt.Sprintf("1 (!%s)\n", strings.ToLower(box.name)))
				break
			}
		}
	}
}

func windbgException(b *strings.Builder, r *report.Report) {
	if r.Process != nil {
		field(b, "PROCESS_NAME", r.Process.Name)
	}
	x := r.Exception
	if x == nil {
		return
	}
	name := x.Name
	if name == "" {
		name = x.Reason
	}
	field(b, "ERROR_CODE", fmt.Sprintf("(NTSTATUS) 0x%x - %s", uint32(x.Code), name))
	field(b, "EXCEPTION_CODE_STR", fmt.Sprintf("%x", uint32(x.Code)))
	field(b, "EXCEPTION_STR", fmt.Sprintf("0x%x", uint32(x.Code)))
	if x.Address != 0 {
		field(b, "FAULTING_IP", fmt.Sprintf("\n%s", address(uint64(x.Address))))
	}
}

func windbgStack(b *strings.Builder, r *report.Report) {
	if len(r.Stack) == 0 {
		return
	}
	fmt.Fprintf(b, "STACK_TEXT:  \n")
	for i, f := range r.Stack {
		var returns report.Hex
		if i+1 < len(r.Stack) {
			returns = r.Stack[i+1].Address
		}
		fmt.Fprintf(b, "%s %s : %s  [%s]\n", address(uint64(f.StackPointer)), address(uint64(returns)), frameName(f), f.Trust)
	}
	fmt.Fprintf(b, "\n\n")
}

func windbgBlame(b *strings.Builder, r *report.Report) {
	v := &r.Verdict
	if v.Module != "" {
		field(b, "SYMBOL_NAME", windbgSymbol(r))
	}
	field(b, "MODULE_NAME", v.Module)
	field(b, "IMAGE_NAME", windbgImage(v))
	if r.Context != nil && r.Context.Address != 0 {
		command := map[string]string{report.ContextRecord: ".cxr", report.ContextTrapFrame: ".trap"}[r.Context.Kind]
		field(b, "STACK_COMMAND", fmt.Sprintf("%s 0x%x ; kb", command, uint64(r.Context.Address)))
	}
	field(b, "FAILURE_BUCKET_ID", v.Bucket)
	if s := r.System; s != nil {
		field(b, "OS_VERSION", s.Version)
		field(b, "BUILDLAB_STR", branch(s.Lab))
		field(b, "OSPLATFORM_TYPE", r.Dump.Architecture)
		field(b, "OSNAME", s.Name)
	}
	field(b, "FAILURE_ID_HASH", v.BucketHash)
	owner := "MachineOwner"
	if len(v.Owners) > 0 {
		owner = strings.Join(v.Owners, ", ")
	}
	field(b, "Followup", "     "+owner)
}

// windbgSymbol is module!symbol of the blamed code, module+offset without
// symbols.
func windbgSymbol(r *report.Report) string {
	for _, f := range sure(r.Stack) {
		if f.Module == r.Verdict.Module && !f.Inline {
			f.File = "" // the field names code alone
			return frameName(f)
		}
	}
	if r.Verdict.Symbol != "" {
		return r.Verdict.Module + "!" + r.Verdict.Symbol
	}
	return r.Verdict.Module + "!unknown_function"
}

// windbgImage is the debugger's name for the image: it calls the kernel by the
// name of its symbol file.
func windbgImage(v *report.Verdict) string {
	if v.Module == "nt" && strings.EqualFold(v.Image, "ntoskrnl.exe") {
		return "ntkrnlmp.exe"
	}
	return v.Image
}
