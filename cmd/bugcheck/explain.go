package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bugcheck/render"
	"bugcheck/win"
)

func explainCommand() *cobra.Command {
	var flags outputFlags
	var format string
	cmd := &cobra.Command{
		Use:   "explain CODE|NAME [P1 P2 P3 P4]",
		Short: "Tell what a stop code and its parameters mean",
		Long: `Explain tells what a stop code means: from a photo of a blue screen or an entry of
the event log, without a dump. With the four numbers that stand beside it, it
tells what these say too. Part of a name lists the codes that contain it.`,
		Example: `  bugcheck explain 0x0000009F 3 0xffffd68fe35b8050 0xffffd007d6287ba0 0xffffd68fe383b8a0
  bugcheck explain DRIVER_IRQL_NOT_LESS_OR_EQUAL
  bugcheck explain --lang ja 0x139 3
  bugcheck explain watchdog`,
		Args: cobra.RangeArgs(1, 5),
		RunE: func(cmd *cobra.Command, args []string) error { return runExplain(cmd, args, &flags, format) },
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&format, "format", "text", "output: text, json")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.ValidArgsFunction = completeCode
	return cmd
}

// completeCode offers the names of stop codes.
func completeCode(_ *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if len(args) == 0 {
		for _, c := range win.English.Codes() {
			if strings.HasPrefix(c.Name, strings.ToUpper(part)) {
				names = append(names, c.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func runExplain(cmd *cobra.Command, args []string, flags *outputFlags, format string) error {
	lang, err := flags.language()
	if err != nil {
		return err
	}
	if format != "text" && format != "json" {
		return fmt.Errorf("--format %q: the formats are text, json", format)
	}
	var parameters []uint64
	for _, a := range args[1:] {
		v, err := parseNumber(a)
		if err != nil {
			return fmt.Errorf("parameter %q is not a number such as 0x3 or ffffd68f`e35b8050", a)
		}
		parameters = append(parameters, v)
	}
	codes := findCodes(args[0], lang)
	w, color, closeFile, err := flags.open(cmd)
	if err != nil {
		return err
	}
	err = writeExplanation(w, args[0], codes, parameters, format, render.Options{Lang: lang, Color: color})
	if closeErr := closeFile(); err == nil && closeErr != nil {
		err = failed(closeErr)
	}
	return err
}

func writeExplanation(w io.Writer, asked string, codes []win.StopCode, parameters []uint64, format string, opts render.Options) error {
	switch {
	case len(codes) == 0:
		return fmt.Errorf("%q is no stop code in the catalogue: give a number (0xD1) or a name", asked)
	case len(codes) > 1:
		return render.CodeList(w, codes)
	case format == "json":
		return render.ExplanationJSON(w, codes[0], parameters, opts)
	}
	return render.Explanation(w, codes[0], parameters, opts)
}

// findCodes reads a number as people write it (0xD1, 000000d1, D1h, 209 is hex
// too: stop codes are always hexadecimal), else a name.
func findCodes(s string, lang win.Lang) []win.StopCode {
	if v, err := parseNumber(s); err == nil && v <= 0xffffffff {
		if c, ok := lang.Code(uint32(v)); ok {
			return []win.StopCode{c}
		}
		if c, ok := lang.Code(win.BaseCode(uint32(v))); ok {
			return []win.StopCode{c}
		}
	}
	return lang.Find(s)
}

// parseNumber reads a hexadecimal number with or without 0x, h, and the
// debugger's backtick.
func parseNumber(s string) (uint64, error) {
	s = strings.ToLower(strings.TrimSpace(strings.ReplaceAll(s, "`", "")))
	s = strings.TrimSuffix(strings.TrimPrefix(s, "0x"), "h")
	return strconv.ParseUint(s, 16, 64)
}
