package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/archive"
	"bugcheck/internal/evtx"
	"bugcheck/internal/msinfo"
	"bugcheck/kernel"
	"bugcheck/render"
	"bugcheck/report"
	"bugcheck/symbols"
	"bugcheck/timeline"
)

func caseCommand() *cobra.Command {
	var out outputFlags
	var symbols symbolFlags
	var format, since string
	var all bool
	cmd := &cobra.Command{
		Use:   "case FOLDER|FILE…",
		Short: "Make one story of a machine's dumps and event logs",
		Long: `Case takes all dumps of a machine, its event logs (.evtx), error reports
(Report.wer), System Information (.nfo), what a debugger printed (.txt, .log),
and the archives that people send (.zip, .cab, .7z, with such files anywhere
inside), and tells one story: each crash once, whether one driver, memory, disk
or nothing in common is behind them, what changed in between.`,
		Example: `  bugcheck case C:\Windows\Minidump C:\Windows\System32\winevt\Logs\System.evtx
  bugcheck case collected.zip
  bugcheck case --format json folder | jq .verdict`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(caseFormats, format) {
				return fmt.Errorf("--format %q: the formats are %s", format, strings.Join(caseFormats, ", "))
			}
			files, _, err := expandAll(args, caseNames)
			if err != nil {
				return err
			}
			in := &caseInput{stdin: cmd.InOrStdin(), errs: cmd.ErrOrStderr()}
			return runCase(cmd, in, files, &out, &symbols, caseFlags{format: format, since: since, all: all})
		},
	}
	out.register(cmd)
	symbols.register(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "output: "+strings.Join(caseFormats, ", "))
	cmd.Flags().StringVar(&since, "since", "", "only crashes from then on: 2026-03-01, or 30d before now")
	cmd.Flags().BoolVar(&all, "all", false, "show every crash, event and change")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(caseFormats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var caseFormats = []string{"text", "json", "markdown"}

type caseFlags struct {
	format, since string
	all           bool
}

// runCase reads files and tells their story.
func runCase(cmd *cobra.Command, in *caseInput, files []string, out *outputFlags, symbols *symbolFlags, flags caseFlags) error {
	from, err := parseSince(flags.since, now())
	if err != nil {
		return err
	}
	s, err := begin(cmd, out, symbols)
	if err != nil {
		return err
	}
	s.opts.All = flags.all
	in.finder = s.finder
	for _, name := range files {
		in.read(cmd.Context(), name)
	}
	in.reports = slices.DeleteFunc(in.reports, func(r *report.Report) bool {
		return !from.IsZero() && r.System != nil && r.System.CrashedAt != nil && r.System.CrashedAt.Before(from)
	})
	var events *report.Events
	if len(in.logs) > 0 {
		events = timeline.Tell(in.logs, in.reports, timeline.Options{Since: from, Lang: s.opts.Lang})
	}
	cases := analyze.Cases(in.reports, events)
	if len(cases) == 1 { // of several machines nobody can say whose it is
		cases[0].Machine.Info = in.info
	}
	if err := writeCases(s.w, cases, flags.format, s.opts); err != nil {
		return failed(err)
	}
	if err := s.close(); err != nil {
		return err
	}
	return in.end()
}

// caseInput is what was read for a case. Of each dump its report is kept, of each log the
// events that matter.
type caseInput struct {
	finder  *symbols.Finder
	stdin   io.Reader
	errs    io.Writer
	reports []*report.Report
	logs    []*timeline.Log
	info    []report.Fact // of System Information
	bad     bool
	denied  bool // a file may not be read by this user
}

// read takes a file, or what is of use in an archive.
func (in *caseInput) read(ctx context.Context, name string) {
	f, closeFile, err := openFile(name, in.stdin)
	if err == nil {
		defer closeFile()
		err = archive.EachOf(f, ofUse, func(f archive.File) {
			if err := in.take(ctx, f); err != nil {
				in.complain(f.Name, err)
			}
		})
	}
	if errors.Is(err, archive.ErrNothing) {
		err = fmt.Errorf("no dump and no event log is in the archive")
	}
	if err != nil {
		in.complain(name, err)
	}
}

func (in *caseInput) complain(name string, err error) {
	in.bad = true
	in.denied = in.denied || errors.Is(err, fs.ErrPermission)
	fmt.Fprintf(in.errs, "bugcheck: %s: %v\n", render.Printable(name), render.Printable(err.Error()))
}

// end is the exit status, with a last word where rights were missing.
func (in *caseInput) end() error {
	if in.denied {
		fmt.Fprintln(in.errs, "bugcheck: what may not be read: try again from a command prompt that was started as administrator")
	}
	if in.bad {
		return &exitError{status: exitNoDump}
	}
	return nil
}

// ofUse tells dumps, event logs, error reports and System Information by their first
// bytes, and what may be a debugger's log by its name.
func ofUse(name string, head []byte) bool {
	return isText(name) || bytes.HasPrefix(head, []byte("PAGEDU")) || bytes.HasPrefix(head, []byte("MDMP")) || evtx.Detect(head) || timeline.DetectReport(head) || msinfo.Detect(head)
}

// isText tells files of text, of which few are of use.
func isText(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".txt" || ext == ".log"
}

func (in *caseInput) take(ctx context.Context, f archive.File) error {
	head := make([]byte, 8)
	n, _ := f.ReadAt(head, 0)
	base := filepath.Base(f.Name)
	switch head = head[:n]; {
	case evtx.Detect(head), strings.EqualFold(filepath.Ext(base), ".evtx"):
		l, err := timeline.Read(f, f.Size, base)
		if err == nil {
			in.logs = append(in.logs, l)
		}
		return err
	case timeline.DetectReport(head):
		l, err := timeline.ReadReport(f, f.Size, base)
		if err == nil {
			in.logs = append(in.logs, l)
		}
		return err
	}
	if msinfo.Detect(head) {
		return in.takeInfo(f)
	}
	d, err := dump.Open(f, f.Size)
	if err != nil {
		logs := logReports(f)
		in.reports = append(in.reports, logs...)
		if len(logs) > 0 || isText(base) {
			return nil
		}
		return err
	}
	in.reports = append(in.reports, analyze.Report(kernel.OpenWith(ctx, d, in.finder), base, version))
	return nil
}

// takeInfo reads System Information; XML of other kinds is none of ours.
func (in *caseInput) takeInfo(f archive.File) error {
	list, err := msinfo.Read(f, f.Size)
	if errors.Is(err, msinfo.ErrFormat) && !strings.EqualFold(filepath.Ext(f.Name), ".nfo") {
		return nil
	}
	for _, i := range list {
		in.info = append(in.info, report.Fact(i))
	}
	return err
}

func writeCases(w io.Writer, cases []report.Case, format string, opts render.Options) error {
	for i := range cases {
		c := &cases[i]
		c.Tool = report.Tool{Name: "bugcheck", Version: version}
		var err error
		switch format {
		case "json":
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			if len(cases) == 1 {
				enc.SetIndent("", "  ")
			}
			err = enc.Encode(c)
		case "markdown":
			err = render.CaseMarkdown(w, c, opts)
		default:
			err = render.Case(w, c, render.Place{N: i + 1, Of: len(cases)}, opts)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func compareCommand() *cobra.Command {
	var out outputFlags
	var symbols symbolFlags
	var format string
	var all bool
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Say whether two dumps show the same failure, and what differs",
		Example: `  bugcheck compare 030226-1.dmp 031026-1.dmp
  bugcheck compare --format json a.dmp b.dmp | jq .same`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := textOrJSON(format); err != nil {
				return err
			}
			return runCompare(cmd, args, &out, &symbols, format == "json", all)
		},
	}
	out.register(cmd)
	symbols.register(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "output: text, json")
	cmd.Flags().BoolVar(&all, "all", false, "show every change")
	return cmd
}

func runCompare(cmd *cobra.Command, args []string, out *outputFlags, symbols *symbolFlags, asJSON, all bool) error {
	s, err := begin(cmd, out, symbols)
	if err != nil {
		return err
	}
	s.opts.All = all
	in := &caseInput{finder: s.finder, stdin: cmd.InOrStdin(), errs: cmd.ErrOrStderr()}
	for _, name := range args {
		before := len(in.reports)
		in.read(cmd.Context(), name)
		if n := len(in.reports) - before; n != 1 && !in.bad {
			in.complain(name, fmt.Errorf("%d dumps are in it; one is wanted", n))
		}
	}
	if err := in.end(); err != nil {
		return err
	}
	c := analyze.Compare(in.reports[0], in.reports[1])
	if asJSON {
		enc := json.NewEncoder(s.w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(c)
	} else {
		err = render.Comparison(s.w, &c, s.opts)
	}
	if err != nil {
		return failed(err)
	}
	return s.close()
}
