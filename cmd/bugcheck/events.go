package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bugcheck/internal/archive"
	"bugcheck/internal/evtx"
	"bugcheck/render"
	"bugcheck/report"
	"bugcheck/timeline"
)

func eventsCommand() *cobra.Command {
	var out outputFlags
	var format, since string
	var all bool
	cmd := &cobra.Command{
		Use:   "events LOG…",
		Short: "Tell a machine's crashes from its event logs",
		Long: `Events reads Windows event logs (System.evtx, Application.evtx, exported or copied
from C:\Windows\System32\winevt\Logs, also damaged ones) and tells each crash once:
its stop code, when it was, where the dump lies or why there is none, what went
wrong before it and what was new. Several files of one machine are read as one.`,
		Example: `  bugcheck events System.evtx
  bugcheck events --since 30d System.evtx Application.evtx
  bugcheck events --format json System.evtx | jq .incidents`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(caseFormats, format) {
				return fmt.Errorf("--format %q: the formats are %s", format, strings.Join(caseFormats, ", "))
			}
			from, err := parseSince(since, now())
			if err != nil {
				return err
			}
			return runEvents(cmd, args, &out, from, format, all)
		},
	}
	out.register(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "output: "+strings.Join(caseFormats, ", "))
	cmd.Flags().StringVar(&since, "since", "", "only crashes from then on: 2026-03-01, or 30d before now")
	cmd.Flags().BoolVar(&all, "all", false, "show every event and every start")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(caseFormats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// now is the clock that --since counts from.
var now = time.Now

// parseSince reads a date, a time, or a number of days or hours before now.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	unit, ok := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour}[s[len(s)-1]]
	n, err := strconv.Atoi(s[:len(s)-1])
	if !ok || err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("--since %q: want a date such as 2026-03-01, or 30d, or 12h", s)
	}
	return now.Add(-time.Duration(n) * unit), nil
}

func runEvents(cmd *cobra.Command, args []string, out *outputFlags, since time.Time, format string, all bool) error {
	lang, err := out.language()
	if err != nil {
		return err
	}
	w, color, closeFile, err := out.open(cmd)
	if err != nil {
		return err
	}
	var logs []*timeline.Log
	bad := false
	for _, name := range args {
		list, err := readLogs(name, cmd.InOrStdin())
		logs = append(logs, list...)
		if err != nil {
			bad = true
			fmt.Fprintf(cmd.ErrOrStderr(), "bugcheck: %s: %v\n", render.Printable(name), render.Printable(err.Error()))
		}
	}
	if len(logs) > 0 {
		e := timeline.Tell(logs, nil, timeline.Options{Since: since, Lang: lang})
		e.Tool = report.Tool{Name: "bugcheck", Version: version}
		if err := writeEvents(w, e, render.Options{Lang: lang, Color: color, All: all}, format); err != nil {
			return failed(err)
		}
	}
	if err := closeFile(); err != nil {
		return failed(err)
	}
	if bad {
		return &exitError{status: exitNoDump}
	}
	return nil
}

// readLogs reads an event log, or those in an archive.
func readLogs(name string, stdin io.Reader) ([]*timeline.Log, error) {
	f, closeFile, err := openFile(name, stdin)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	var logs []*timeline.Log
	var failure error
	err = archive.EachOf(f, func(_ string, head []byte) bool { return evtx.Detect(head) }, func(f archive.File) {
		l, err := timeline.Read(f, f.Size, filepath.Base(f.Name))
		if err == nil {
			logs = append(logs, l)
		} else if failure == nil {
			failure = err
		}
	})
	if errors.Is(err, archive.ErrNothing) {
		err = fmt.Errorf("no event log (.evtx) is in the archive")
	}
	return logs, cmp.Or(err, failure)
}

func writeEvents(w io.Writer, e *report.Events, opts render.Options, format string) error {
	switch format {
	case "text":
		return render.Events(w, e, opts)
	case "markdown":
		return render.EventsMarkdown(w, e, opts)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(e)
}
