package render

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"bugcheck/dump"
)

// Info writes what stands in a dump: header, blocks, memory and tagged data.
func Info(w io.Writer, name string, f *dump.File) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(label, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", label, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
	row("File", "%s, %d bytes", Printable(name), f.Size)
	row("Kind", "%s, %s (DumpType %d)", f.Kind, f.Arch, f.Header.DumpType)
	infoHeader(row, f)
	infoBlocks(row, f)
	for _, n := range f.Notes {
		row("Note", "%s: %s", n.Where, n.Text)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write info: %w", err)
	}
	return infoTagged(w, f)
}

func infoHeader(row func(string, string, ...any), f *dump.File) {
	h := &f.Header
	row("Windows build", "%d%s", h.Build, map[bool]string{true: " (checked)"}[h.Checked])
	row("Stop code", "0x%08x (0x%x, 0x%x, 0x%x, 0x%x)", h.BugCheckCode, h.Parameters[0], h.Parameters[1], h.Parameters[2], h.Parameters[3])
	row("Processors", "%d", h.Processors)
	if !h.Time.IsZero() {
		row("Crashed", "%s", h.Time.Format("2006-01-02 15:04:05.000 UTC"))
	}
	row("Up for", "%s", h.Uptime)
	row("DirectoryTableBase", "%s", h.DirectoryTable)
	row("PsLoadedModuleList", "%s", h.LoadedModules)
	row("PsActiveProcessHead", "%s", h.ProcessHead)
	row("KdDebuggerDataBlock", "%s", h.DebuggerData)
	if f.Arch == dump.X86 {
		row("PAE", "%v", h.PAE)
	}
	row("Product, suite", "%d, 0x%x", h.ProductType, h.SuiteMask)
	row("MiniDumpFields", "0x%x", h.MiniDumpFields)
	if h.Attributes != nil {
		row("Attributes", "0x%x", *h.Attributes)
	}
	if h.BootID != nil {
		row("Boot id", "%d", *h.BootID)
	}
	if h.Comment != "" {
		row("Comment", "%s", h.Comment)
	}
	if h.RequiredSize > 0 {
		row("RequiredDumpSpace", "%d bytes", h.RequiredSize)
	}
	if x := f.Exception; x != nil {
		row("Exception record", "0x%08x at %s", x.Code, x.Address)
	}
}

func infoBlocks(row func(string, string, ...any), f *dump.File) {
	if f.Kind != dump.Triage {
		return
	}
	b := &f.Blocks
	row("Drivers", "%d loaded, %d unloaded", len(f.Drivers), len(f.Unloaded))
	row("KPRCB", "%d bytes", len(b.PRCB))
	row("EPROCESS", "%d bytes", len(b.Process))
	row("ETHREAD", "%d bytes", len(b.Thread))
	row("Stack", "%d bytes from %s", len(b.Stack), b.StackTop)
	row("KDDEBUGGER_DATA64", "%d bytes", len(b.DebuggerData))
	total := uint64(0)
	for _, r := range f.Memory.Runs() {
		total += r.Size
	}
	row("Memory", "%d ranges, %d bytes", len(f.Memory.Runs()), total)
	if b.BrokenDriver != "" {
		row("Driver named by Windows", "%s", b.BrokenDriver)
	}
	if m := b.Memory; m.Known {
		row("Commit charge", "%d of %d MiB, peak %d MiB", m.Committed>>8, m.CommitLimit>>8, m.CommittedPeak>>8)
		row("Pool", "%d MiB nonpaged, %d MiB paged", m.NonPagedUsed>>8, m.PagedUsed>>8)
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
