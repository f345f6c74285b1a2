package render

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"bugcheck/report"
)

// shownRows is how many processes and tags the text shows without --all.
const shownRows = 15

// Top writes a machine's resources at the crash for an operator: what was short
// first, then memory, processors, processes, pool.
func Top(w io.Writer, t *report.Top, opts Options) error {
	p := &page{opts: opts, tr: translator(opts.Lang), r: &report.Report{Dump: t.Dump, System: t.System, Bugcheck: t.Bugcheck}}
	p.topHead(t)
	p.topPressure(t)
	p.topMemory(&t.Memory)
	p.topProcessors(t.Processors)
	p.topProcesses(t)
	p.topPool(t.Pool)
	p.topNotes(t.Notes)
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (p *page) topHead(t *report.Top) {
	p.line(p.paint(bold, p.say("What the machine was doing when it stopped")))
	p.line("")
	if b := t.Bugcheck; b != nil {
		p.row("Stop code", fmt.Sprintf("0x%08X %s", uint32(b.Code), b.Name))
	}
	p.row("When", p.when())
	p.row("System", p.system())
}

func (p *page) topPressure(t *report.Top) {
	p.heading(p.say("Shortage"))
	if len(t.Pressure) == 0 {
		p.line("  " + p.say("None of the resources below was at its limit."))
	}
	for _, e := range t.Pressure {
		p.block("  "+pad(p.say(e.Trust), 10), trustColors[e.Trust], p.text(e.Fact))
	}
}

func (p *page) topMemory(m *report.TopMemory) {
	p.heading(p.say("Memory"))
	for _, row := range []struct {
		label       string
		used, limit *uint64
	}{
		{p.say("Physical"), minus(m.Physical, m.Available), m.Physical},
		{p.say("Commit"), m.Committed, m.CommitLimit},
		{p.say("Nonpaged pool"), m.NonPaged, m.NonPagedLimit},
		{p.say("Paged pool"), m.Paged, m.PagedLimit},
	} {
		p.line("  " + pad(row.label, labelColumns) + p.usage(row.used, row.limit))
	}
}

// labelColumns is the width of the labels in front of figures.
const labelColumns = 16

// usage is "3.1 GiB of 4.0 GiB (78 %)", or what of it is known.
func (p *page) usage(used, limit *uint64) string {
	switch {
	case used == nil && limit == nil:
		return p.say("not in the dump")
	case used == nil:
		return p.say("%s in all", size(*limit))
	case limit == nil || *limit == 0:
		return size(*used)
	}
	return p.say("%s of %s (%d %%)", size(*used), size(*limit), *used*100 / *limit)
}

func minus(a, b *uint64) *uint64 {
	if a == nil || b == nil || *b > *a {
		return nil
	}
	d := *a - *b
	return &d
}

// size says bytes in the largest unit that keeps a figure before the point.
func size(n uint64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	v := float64(n) / 1024
	for i, u := range units {
		if v < 1024 || i == len(units)-1 {
			if v < 10 && v != float64(int(v)) {
				return fmt.Sprintf("%.1f %s", v, u)
			}
			return fmt.Sprintf("%.0f %s", v, u)
		}
		v /= 1024
	}
	return ""
}

func (p *page) topProcessors(list []report.TopProcessor) {
	p.heading(p.say("Processors"))
	if len(list) == 0 {
		p.line("  " + p.say("not in the dump"))
	}
	for _, c := range list {
		mark := " "
		if c.Crashed {
			mark = "*"
		}
		what := p.topRunning(c)
		if c.IRQL != nil {
			what = p.say("%s, IRQL %d", what, *c.IRQL)
		}
		p.block(fmt.Sprintf("%s %3d  ", mark, c.Number), "", what)
		if c.DPC != "" {
			p.block("       ", "", p.say("in the deferred procedure %s", c.DPC))
		}
		if len(c.DPCQueue) > 0 {
			p.block("       ", "", p.say("deferred procedures that waited: %s", strings.Join(c.DPCQueue, ", ")))
		}
		if c.Interrupt != nil && c.DPCTime != nil {
			p.block("       ", "", p.say("interrupts %s, deferred procedures %s of its time", percent(*c.Interrupt), percent(*c.DPCTime)))
		}
	}
	p.line("  " + p.paint(dim, p.say("* called for the stop")))
}

func percent(v float64) string { return fmt.Sprintf("%.1f %%", v) }

// topRunning is what a processor was running: its process, and where.
func (p *page) topRunning(c report.TopProcessor) string {
	who := p.say("unknown")
	switch {
	case c.Idle:
		who = p.say("idle")
	case c.Process != "" && c.PID != nil:
		who = fmt.Sprintf("%s (%d)", c.Process, *c.PID)
	case c.Process != "":
		who = c.Process
	}
	if c.At == "" {
		return who
	}
	return p.say("%s, at %s", who, c.At)
}

func (p *page) topProcesses(t *report.Top) {
	p.heading(p.say("Processes by memory: %d, threads: %d", len(t.Processes), t.Threads))
	if len(t.Processes) == 0 {
		p.line("  " + p.say("not in the dump"))
		return
	}
	head := []string{p.say("PID"), p.say("Commit"), p.say("Working set"), p.say("Handles"), p.say("Threads"), p.say("CPU"), p.say("Name")}
	rows := [][]string{head}
	list := t.Processes
	if !p.opts.All {
		list = list[:min(len(list), shownRows)]
	}
	for _, x := range list {
		name := x.Name
		if x.Exited != nil {
			name = p.say("%s (ended)", name)
		}
		rows = append(rows, []string{
			strconv.FormatUint(x.PID, 10), p.known(x.Commit, size), p.known(x.WorkingSet, size),
			p.known(x.Handles, func(n uint64) string { return strconv.FormatUint(n, 10) }), strconv.Itoa(x.Threads), p.seconds(x.CPUSeconds), name,
		})
	}
	p.grid(rows)
	p.more(len(t.Processes) - len(list))
}

func (p *page) topPool(list []report.TopPool) {
	p.heading(p.say("Pool by tag: %d", len(list)))
	if len(list) == 0 {
		p.line("  " + p.say("not in the dump"))
		return
	}
	rows := [][]string{{p.say("Tag"), p.say("Nonpaged"), p.say("Paged"), p.say("Blocks"), p.say("Drivers")}}
	shown := list
	if !p.opts.All {
		shown = shown[:min(len(shown), shownRows)]
	}
	for _, x := range shown {
		rows = append(rows, []string{x.Tag, size(x.NonPaged), size(x.Paged), strconv.FormatUint(x.Blocks, 10), strings.Join(x.Drivers, ", ")})
	}
	p.grid(rows)
	p.more(len(list) - len(shown))
}

func (p *page) topNotes(notes []report.Note) {
	if len(notes) == 0 {
		return
	}
	p.heading(p.say("Notes"))
	for _, n := range notes {
		p.block("  ", "", p.say("%s: %s", report.T(n.Where), n.Text))
	}
}

// known is a figure, or "-" where the dump has none.
func (p *page) known(v *uint64, format func(uint64) string) string {
	if v == nil {
		return "-"
	}
	return format(*v)
}

func (p *page) seconds(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f s", *v)
}

// more says how many rows are left out.
func (p *page) more(n int) {
	if n > 0 {
		p.line(p.say("    … %d more (--all lists them)", n))
	}
}

// grid writes rows in columns: all but the last to the right, the last to the left.
func (p *page) grid(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], cells(c))
		}
	}
	for n, row := range rows {
		line := ""
		for i, c := range row {
			if i == len(row)-1 {
				line += "  " + Printable(c)
				break
			}
			line += "  " + strings.Repeat(" ", widths[i]-cells(c)) + Printable(c)
		}
		if n == 0 {
			line = p.paint(dim, line)
		}
		p.line(line)
	}
}
