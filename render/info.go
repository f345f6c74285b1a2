package render

import (
	"fmt"
	"io"

	"bugcheck/dump"
	"bugcheck/report"
)

// Info writes what stands in a dump: header, blocks, memory and tagged data.
func Info(w io.Writer, name string, f *dump.File) error {
	t := newTable(w)
	t.row("File", "%s, %d bytes", Printable(name), f.Size)
	if f.User != nil {
		return infoUser(w, t, f)
	}
	t.row("Kind", "%s, %s (DumpType %d)", f.Kind, f.Arch, f.Header.DumpType)
	infoHeader(t, f)
	infoBlocks(t, f)
	infoPhysical(t, f)
	infoNotes(t, f)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write info: %w", err)
	}
	return infoTagged(w, f)
}

func infoNotes(t table, f *dump.File) {
	for _, n := range f.Notes {
		t.row("Note", "%s: %s", n.Where, n.Text)
	}
}

func infoHeader(t table, f *dump.File) {
	h := &f.Header
	t.row("Windows build", "%d%s", h.Build, map[bool]string{true: " (checked)"}[h.Checked])
	t.row("Stop code", "0x%08x (0x%x, 0x%x, 0x%x, 0x%x)", h.BugCheckCode, h.Parameters[0], h.Parameters[1], h.Parameters[2], h.Parameters[3])
	t.row("Processors", "%d", h.Processors)
	if !h.Time.IsZero() {
		t.row("Crashed", "%s", h.Time.Format("2006-01-02 15:04:05.000 UTC"))
	}
	t.row("Up for", "%s", report.Span(h.Uptime))
	t.row("DirectoryTableBase", "%s", h.DirectoryTable)
	t.row("PsLoadedModuleList", "%s", h.LoadedModules)
	t.row("PsActiveProcessHead", "%s", h.ProcessHead)
	t.row("KdDebuggerDataBlock", "%s", h.DebuggerData)
	if f.Arch == dump.X86 {
		t.row("PAE", "%v", h.PAE)
	}
	t.row("Product, suite", "%d, 0x%x", h.ProductType, h.SuiteMask)
	t.row("MiniDumpFields", "0x%x", h.MiniDumpFields)
	if h.Attributes != nil {
		t.row("Attributes", "0x%x", *h.Attributes)
	}
	if h.BootID != nil {
		t.row("Boot id", "%d", *h.BootID)
	}
	if h.Comment != "" {
		t.row("Comment", "%s", h.Comment)
	}
	if h.RequiredSize > 0 {
		t.row("RequiredDumpSpace", "%d bytes", h.RequiredSize)
	}
	if x := f.Exception; x != nil {
		t.row("Exception record", "0x%08x at %s", x.Code, x.Address)
	}
}

// infoPhysical is what a whole-memory dump holds of the machine.
func infoPhysical(t table, f *dump.File) {
	if f.Physical == nil {
		return
	}
	if f.PhysicalPages > 0 {
		t.row("Physical memory", "%d of %d MiB", f.Pages>>8, f.PhysicalPages>>8)
	} else {
		t.row("Physical memory", "%d MiB", f.Pages>>8)
	}
	t.row("Page tables", "%s at %s", f.Paging.Kind, f.Header.DirectoryTable)
}

func infoBlocks(t table, f *dump.File) {
	if f.Kind != dump.Triage {
		return
	}
	b := &f.Blocks
	t.row("Drivers", "%d loaded, %d unloaded", len(f.Drivers), len(f.Unloaded))
	t.row("KPRCB", "%d bytes", len(b.PRCB))
	t.row("EPROCESS", "%d bytes", len(b.Process))
	t.row("ETHREAD", "%d bytes", len(b.Thread))
	t.row("Stack", "%d bytes from %s", len(b.Stack), b.StackTop)
	t.row("KDDEBUGGER_DATA64", "%d bytes", len(b.DebuggerData))
	total := uint64(0)
	for _, r := range f.Runs {
		total += r.Size
	}
	t.row("Memory", "%d ranges, %d bytes", len(f.Runs), total)
	if b.BrokenDriver != "" {
		t.row("Driver named by Windows", "%s", b.BrokenDriver)
	}
	if m := b.Memory; m.Known {
		t.row("Commit charge", "%d of %d MiB, peak %d MiB", m.Committed>>8, m.CommitLimit>>8, m.CommittedPeak>>8)
		t.row("Pool", "%d MiB nonpaged, %d MiB paged", m.NonPagedUsed>>8, m.PagedUsed>>8)
	}
}

func infoTagged(w io.Writer, f *dump.File) error {
	for _, t := range f.Tagged {
		if _, err := fmt.Fprintf(w, "%s %8d  %s\n", t.GUID, len(t.Data), t.Name()); err != nil {
			return err
		}
	}
	return nil
}
