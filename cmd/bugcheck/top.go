package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/archive"
	"bugcheck/kernel"
	"bugcheck/render"
	"bugcheck/report"
)

func topCommand() *cobra.Command {
	var out outputFlags
	var symbols symbolFlags
	var format string
	var all bool
	cmd := &cobra.Command{
		Use:   "top FILE…",
		Short: "Show what a machine's memory and processors were used for when it crashed",
		Long: `Top shows the machine's resources at the moment of the crash, as Task Manager and
Resource Monitor would have: processors with what ran on them, processes by
memory, handles and threads, pool by tag with the drivers that use the tag,
physical memory and commit against their limits; and what of it was short.

It needs the memory of the machine: a full, kernel, active or live dump.`,
		Example: `  bugcheck top MEMORY.DMP
  bugcheck top --all MEMORY.DMP
  bugcheck top --format json MEMORY.DMP | jq .pressure`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := textOrJSON(format); err != nil {
				return err
			}
			return runTop(cmd, args, &out, &symbols, format == "json", all)
		},
	}
	out.register(cmd)
	symbols.register(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "output: text, json")
	cmd.Flags().BoolVar(&all, "all", false, "show every process and pool tag")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runTop(cmd *cobra.Command, args []string, out *outputFlags, symbols *symbolFlags, asJSON, all bool) error {
	s, err := begin(cmd, out, symbols)
	if err != nil {
		return err
	}
	s.opts.All = all
	noDump := false
	for _, name := range args {
		err := eachDump(name, cmd.InOrStdin(), func(name string, d *dump.File) error {
			t := analyze.Top(kernel.OpenWith(cmd.Context(), d, s.finder), filepath.Base(name), version)
			return writeTop(s.w, t, s.opts, asJSON)
		})
		if err != nil {
			noDump = true
			fmt.Fprintf(cmd.ErrOrStderr(), "bugcheck: %s: %v\n", render.Printable(name), render.Printable(err.Error()))
		}
	}
	if err := s.close(); err != nil {
		return err
	}
	if noDump {
		return &exitError{status: exitNoDump}
	}
	return nil
}

func writeTop(w io.Writer, t *report.Top, opts render.Options, asJSON bool) error {
	if !asJSON {
		return render.Top(w, t, opts)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(t)
}

// eachDump opens the dumps in a file, which may be an archive.
func eachDump(name string, stdin io.Reader, use func(name string, d *dump.File) error) error {
	f, closeFile, err := openFile(name, stdin)
	if err != nil {
		return err
	}
	defer closeFile()
	var failure error
	err = archive.Each(f, func(f archive.File) {
		d, err := dump.Open(f, f.Size)
		if err == nil {
			err = use(f.Name, d)
		}
		if err != nil && failure == nil {
			failure = err
		}
	})
	if failure != nil {
		return failure
	}
	return err
}
