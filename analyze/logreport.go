package analyze

import (
	"slices"
	"strings"

	"bugcheck/report"
	"bugcheck/win"
	"bugcheck/windbglog"
)

// LogReport is the report on a debugger's log: our judgement on what it says, and
// the debugger's beside it. size is that of the file; version is the program's.
func LogReport(l *windbglog.Log, file string, size int64, version string) *report.Report {
	f, added := logFacts(l)
	r := &report.Report{
		Schema:    report.Schema,
		Tool:      report.Tool{Name: "bugcheck", Version: version},
		Dump:      report.Dump{File: file, Source: report.SourceLog, Architecture: f.Arch, SizeBytes: size},
		System:    logSystem(l),
		Bugcheck:  bugcheck(&f),
		Exception: exception(&f),
		IRQL:      f.IRQL,
		Stack:     logStack(l, &f, added),
		Verdict:   Judge(f),
		Notes:     logNotes(l, added),
	}
	if l.Process != "" {
		r.Process = &report.Process{Name: f.Process, Trust: report.Recorded}
	}
	r.Debugger = debugger(l, &f, &r.Verdict)
	onlyKnown(r, len(l.Arguments))
	r.Verdict.NextSteps = slices.DeleteFunc(r.Verdict.NextSteps, isKeepDump) // there is none
	ask := report.T("Analyse the dump itself, if it is still there (C:\\Windows\\Minidump or C:\\Windows\\MEMORY.DMP on the machine that crashed): it holds far more than this log.")
	r.Verdict.NextSteps = append([]report.Text{ask}, r.Verdict.NextSteps...)
	r.Verdict.NextSteps = r.Verdict.NextSteps[:min(len(r.Verdict.NextSteps), maxSteps)]
	return r
}

// onlyKnown drops the parameters that a log does not hold, and what the rules say of
// them: they are zero for Judge, which is not what the crash had.
func onlyKnown(r *report.Report, known int) {
	r.Bugcheck.Parameters = r.Bugcheck.Parameters[:min(known, len(r.Bugcheck.Parameters))]
	r.Verdict.Evidence = slices.DeleteFunc(r.Verdict.Evidence, func(e report.Evidence) bool {
		source := e.Source.String()
		return strings.HasPrefix(source, "parameter") && strings.ContainsAny(source, "1234"[min(known, 4):])
	})
}

func logSystem(l *windbglog.Log) *report.System {
	s := &report.System{
		Build: l.Build, Lab: win.Clean(l.Lab), CrashedAt: l.Time,
		Manufacturer: optional(win.Clean(l.Manufacturer)), Model: optional(win.Clean(l.Product)),
		Bios: optional(win.Clean(strings.Join(l.BIOS, " "))), VirtualMachine: optional(win.Clean(l.VirtualMachine)),
	}
	if l.Build != 0 {
		s.Version = win.VersionNumber(l.Build)
	}
	if l.Build != 0 && l.ProductType != 0 {
		s.Name, s.Product = win.ReleaseName(l.Build, l.ProductType, false), win.ProductWord(l.ProductType)
	}
	if l.Uptime > 0 {
		seconds := int64(l.Uptime.Seconds())
		s.UptimeSeconds = &seconds
	}
	return s
}

// logStack is the stack as it is shown: all of it that was read, with the trust
// that the verdict gives each frame, and the frame that was added to it.
func logStack(l *windbglog.Log, f *Facts, added int) []report.Frame {
	frames := make([]report.Frame, 0, len(f.Frames))
	rest := l.Frames
	for i, fr := range f.Frames {
		out := report.Frame{Image: fr.Image, Module: fr.Module, Symbol: fr.Symbol, Trust: fr.Trust}
		if i == added {
			out.Address = report.Hex(f.Exception.Address)
		} else {
			out.Address, out.StackPointer = report.Hex(narrow(rest[0].Address, l.Arch)), report.Hex(narrow(rest[0].StackPointer, l.Arch))
			rest = rest[1:]
		}
		if fr.Module != "" {
			offset := report.Hex(fr.Offset)
			out.Offset = &offset
		}
		frames = append(frames, out)
	}
	return frames
}

// logNotes say what a log is worth, and what is odd about this one.
func logNotes(l *windbglog.Log, added int) []report.Note {
	c := &collection{}
	c.note("debugger's log", report.T("This is the text of a debugger, not a dump: only what it prints is known. The callers are those that the debugger found; nothing of them could be checked."))
	if l.Cut {
		c.note("debugger's log", report.T("The log ends before its last line: a part of it is missing."))
	}
	if len(l.Arguments) < 4 {
		c.note("debugger's log", report.T("It holds %d of the stop code's 4 parameters; what the others would tell is missing.", len(l.Arguments)))
	}
	if len(l.Frames) == 0 {
		c.note("debugger's log", report.T("It holds no stack, so nothing can be said of who called whom."))
	}
	if added >= 0 {
		c.note("debugger's log", report.T("Its stack lacks the instruction that failed; frame %d was added, from where the log names that instruction.", added))
	}
	if l.Doubt >= 0 && l.Doubt < len(l.Frames) {
		c.note("debugger's log", report.T("From frame %d on the debugger itself warned that its stack may be wrong.", l.Doubt))
	}
	if b, h := l.Said.Bucket, l.Said.Hash; b != "" && h != "" && !strings.EqualFold(BucketHash("km", b), h) {
		c.note("debugger's log", report.T("Its failure hash %s is not that of its failure bucket, which is %s: one of them was changed, cut or copied from another crash.", win.Clean(h), BucketHash("km", b)))
	}
	return c.notes
}

// debugger is what the debugger concluded, and why we differ where we do.
func debugger(l *windbglog.Log, f *Facts, v *report.Verdict) *report.Debugger {
	s := l.Said
	if s == (windbglog.Said{Class: s.Class}) {
		return nil
	}
	return &report.Debugger{
		Image: win.Clean(s.Image), Module: win.Clean(s.Module), Symbol: win.Clean(s.Symbol),
		Bucket: win.Clean(s.Bucket), BucketHash: win.Clean(s.Hash), Difference: differences[Difference(l, f, v)],
	}
}

// isKeepDump reports the step that asks to keep the dump.
func isKeepDump(step report.Text) bool {
	return step.String() == keepDumpStep(&judgement{f: &Facts{}}).String()
}
