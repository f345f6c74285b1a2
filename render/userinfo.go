package render

import (
	"fmt"
	"io"
	"time"

	"bugcheck/dump"
	"bugcheck/report"
)

// infoUser writes what stands in a user-mode minidump.
func infoUser(w io.Writer, t table, f *dump.File) error {
	u := f.User
	t.row("Kind", "%s, %s (flags 0x%x)", f.Kind, f.Arch, u.Flags)
	infoUserSystem(t, f)
	infoUserProcess(t, f)
	infoUserException(t, f)
	infoUserMemory(t, f)
	for _, a := range u.Annotations {
		t.row("Annotation", "%s: %s", a.Key, a.Value)
	}
	infoNotes(t, f)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write info: %w", err)
	}
	for _, part := range []func(io.Writer, *dump.File) error{infoStreams, infoThreads, infoUserModules} {
		if err := part(w, f); err != nil {
			return fmt.Errorf("write info: %w", err)
		}
	}
	return nil
}

func infoUserSystem(t table, f *dump.File) {
	u, p := f.User, f.User.Processor
	t.row("Windows", "%s %s", u.Version, u.ServicePack)
	t.row("Build", "%s", u.BuildString)
	t.row("Processors", "%d, %s family %d model %d stepping %d", f.Header.Processors, p.Vendor, p.Family, p.Model, p.Stepping)
	if p.MHz != 0 {
		t.row("Processor speed", "%d MHz", p.MHz)
	}
	t.row("Product, suite", "%d, 0x%x", f.Header.ProductType, f.Header.SuiteMask)
	t.row("Written by", "%s", u.Debugger)
	infoTime(t, "Written", f.Header.Time)
	t.row("Comment", "%s", f.Header.Comment)
}

func infoTime(t table, label string, at time.Time) {
	if !at.IsZero() {
		t.row(label, "%s", at.Format("2006-01-02 15:04:05 UTC"))
	}
}

func infoUserProcess(t table, f *dump.File) {
	p := f.User.Process
	if p.ID != nil {
		t.row("Process", "%d", *p.ID)
	}
	infoTime(t, "Started", p.Created)
	if !p.Created.IsZero() {
		t.row("Processor time", "%s user, %s kernel", p.User, p.Kernel)
	}
	if p.Integrity != nil {
		t.row("Integrity level", "0x%x", *p.Integrity)
	}
	if p.ExecuteFlags != nil {
		t.row("Execute flags", "0x%x", *p.ExecuteFlags)
	}
	if p.Protected != nil && *p.Protected != 0 {
		t.row("Protected process", "%d", *p.Protected)
	}
	if f.User.WOW64 {
		t.row("WOW64", "an x86 process, the dump written by a 64-bit program")
	}
}

func infoUserException(t table, f *dump.File) {
	u := f.User
	if x := f.Exception; x != nil {
		t.row("Exception", "0x%08x at %s, flags 0x%x, parameters %s", x.Code, x.Address, x.Flags, hexList(x.Parameters))
	}
	for _, id := range []struct {
		label string
		id    *uint32
	}{{"Thread of the exception", u.ExceptionThread}, {"Thread that asked", u.RequestingThread}, {"Thread that wrote", u.DumpThread}} {
		if id.id != nil {
			t.row(id.label, "%d", *id.id)
		}
	}
	if a := u.Assertion; a != nil {
		t.row("Assertion", "%s, %s, %s line %d (type %d)", a.Expression, a.Function, a.File, a.Line, a.Type)
	}
}

func hexList(list []uint64) string {
	text := ""
	for _, v := range list {
		text += report.Hex(v).String() + " "
	}
	return text
}

func infoUserMemory(t table, f *dump.File) {
	u := f.User
	total := uint64(0)
	for _, r := range f.Runs {
		total += r.Size
	}
	t.row("Memory", "%d ranges, %d bytes", len(f.Runs), total)
	if len(u.Regions) > 0 {
		t.row("Address space", "%d regions", len(u.Regions))
	}
	if m := u.Memory; m.Known {
		t.row("Commit charge", "%d of %d MiB, peak %d MiB", m.Committed*uint64(m.PageSize)>>20, m.CommitLimit*uint64(m.PageSize)>>20, m.CommitPeak*uint64(m.PageSize)>>20)
	}
	if c := u.Counters; c != nil {
		t.row("Process memory", "%d MiB private, %d MiB working set (peak %d), %d MiB address space", c.Private>>20, c.WorkingSet>>20, c.PeakWorkingSet>>20, c.Virtual>>20)
	}
	if u.HandleCount > 0 {
		t.row("Handles", "%d", u.HandleCount)
	}
	if u.Tokens > 0 {
		t.row("Tokens", "%d", u.Tokens)
	}
	if u.FunctionTables > 0 {
		t.row("Function tables", "%d", u.FunctionTables)
	}
}

func infoStreams(w io.Writer, f *dump.File) error {
	fmt.Fprintf(w, "\nStreams\n")
	t := newTable(w)
	for _, s := range f.User.Streams {
		fmt.Fprintf(t, "  %d\t%s\t%d bytes at 0x%x\n", s.Type, s.Name(), s.Size, s.Offset)
	}
	return t.Flush()
}

func infoThreads(w io.Writer, f *dump.File) error {
	fmt.Fprintf(w, "\nThreads\n")
	t := newTable(w)
	for _, th := range f.User.Threads {
		start := ""
		if th.Start != 0 {
			start = "start " + th.Start.String()
		}
		fmt.Fprintf(t, "  %d\tTEB %s\tstack %s\t%d bytes\t%s\t%s\n", th.ID, th.TEB, th.Stack, th.StackSize, start, th.Name)
	}
	return t.Flush()
}

func infoUserModules(w io.Writer, f *dump.File) error {
	fmt.Fprintf(w, "\nModules: %d loaded, %d unloaded\n", len(f.Drivers), len(f.Unloaded))
	t := newTable(w)
	for _, m := range f.Drivers {
		pdb := ""
		if m.PDB.Path != "" {
			pdb = fmt.Sprintf("%s %s %x", m.PDB.Path, m.PDB.GUID, m.PDB.Age)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", m.Base, m.End(), m.Name, m.Version, pdb)
	}
	for _, m := range f.Unloaded {
		fmt.Fprintf(t, "  %s\t%s\t%s\tunloaded\t\n", m.Start, m.End, m.Name)
	}
	return t.Flush()
}
