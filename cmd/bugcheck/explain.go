package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bugcheck/analyze"
	"bugcheck/render"
	"bugcheck/report"
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
tells what these say too. A line pasted from the event log will do. Part of a name
lists the codes that contain it; a number without 0x that is no stop code in
hexadecimal is read as decimal, as event 41 has it.`,
		Example: `  bugcheck explain 0x0000009F 3 0xffffd68fe35b8050 0xffffd007d6287ba0 0xffffd68fe383b8a0
  bugcheck explain "The bugcheck was: 0x000000d1 (0x29, 0x2, 0x0, 0xfffff800a56d1ae9)"
  bugcheck explain DRIVER_IRQL_NOT_LESS_OR_EQUAL
  bugcheck explain --lang ja 0x139 3
  bugcheck explain watchdog`,
		Args: cobra.MinimumNArgs(1),
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
	asked, err := parseStop(strings.Join(args, " "))
	if err != nil {
		return err
	}
	codes := asked.codes(lang)
	if len(codes) == 0 {
		return fmt.Errorf("%q is no stop code in the catalogue: give a number (0xD1) or a name", strings.Join(args, " "))
	}
	w, color, closeFile, err := flags.open(cmd)
	if err != nil {
		return err
	}
	err = writeExplanation(w, codes, asked, format, render.Options{Lang: lang, Color: color})
	if closeErr := closeFile(); err == nil {
		err = closeErr
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

func writeExplanation(w io.Writer, codes []win.StopCode, asked stop, format string, opts render.Options) error {
	switch {
	case len(codes) > 1:
		return render.CodeList(w, codes)
	case format == "json":
		return render.ExplanationJSON(w, codes[0], asked.parameters, opts)
	}
	return render.Explanation(w, codes[0], asked.parameters, advice(codes[0], asked.parameters), opts)
}

// advice is what the stop code alone calls for: the next steps of a verdict on
// nothing but code and parameters.
func advice(c win.StopCode, parameters []uint64) []report.Text {
	f := analyze.Facts{Code: c.Code, RawCode: c.Code, Name: c.Name, Live: c.Live}
	copy(f.Parameters[:], parameters)
	return analyze.Judge(f).NextSteps
}

// stop is a stop code as a person gave it.
type stop struct {
	number     string // as written, without 0x; "" if a name was given
	prefixed   bool   // it had 0x, so it is no decimal number
	name       string
	parameters []uint64
}

// token is a number or a word in what people paste.
var token = regexp.MustCompile("(?i)[0-9a-z_`]+")

// parseStop reads what people have at hand: a number or a name with up to four
// parameters, or a line pasted from the event log or a blue screen, such as
// "0x000000d1 (0x29, 0x2, 0x0, 0xfffff800a56d1ae9)".
func parseStop(s string) (stop, error) {
	tokens := token.FindAllString(s, -1)
	for i, t := range tokens {
		if strings.HasPrefix(strings.ToLower(t), "0x") {
			tokens = tokens[i:] // a sentence around the code
			break
		}
	}
	if len(tokens) == 0 {
		return stop{}, errors.New("give a stop code: a number (0xD1) or a name")
	}
	if _, err := parseNumber(tokens[0]); err != nil {
		return parseNamed(tokens)
	}
	p, err := parseParameters(tokens[1:])
	prefixed := strings.HasPrefix(strings.ToLower(tokens[0]), "0x")
	return stop{number: strings.TrimPrefix(strings.ToLower(tokens[0]), "0x"), prefixed: prefixed, parameters: p}, err
}

// parseNamed takes words up to the first number as a name.
func parseNamed(tokens []string) (stop, error) {
	n := 1
	for n < len(tokens) && !isNumber(tokens[n]) {
		n++
	}
	p, err := parseParameters(tokens[n:])
	return stop{name: strings.Join(tokens[:n], "_"), parameters: p}, err
}

func isNumber(s string) bool { return s[0] >= '0' && s[0] <= '9' }

func parseParameters(tokens []string) ([]uint64, error) {
	var list []uint64
	for _, t := range tokens[:min(len(tokens), 4)] {
		v, err := parseNumber(t)
		if err != nil {
			return nil, fmt.Errorf("parameter %q is not a number such as 0x3 or ffffd68f`e35b8050", t)
		}
		list = append(list, v)
	}
	return list, nil
}

// codes finds what was meant: the number as hexadecimal, as stop codes are
// written; where that is none, as decimal, as event 41 of Kernel-Power has it.
func (s stop) codes(lang win.Lang) []win.StopCode {
	if s.name != "" {
		return lang.Find(s.name)
	}
	for _, base := range []int{16, 10} {
		v, err := strconv.ParseUint(strings.ReplaceAll(strings.TrimSuffix(s.number, "h"), "`", ""), base, 32)
		if err != nil || base == 10 && s.prefixed {
			continue
		}
		for _, code := range []uint32{uint32(v), win.BaseCode(uint32(v))} {
			if c, ok := lang.Code(code); ok {
				return []win.StopCode{c}
			}
		}
	}
	return nil
}

// parseNumber reads a hexadecimal number with or without 0x, h, and the
// debugger's backtick.
func parseNumber(s string) (uint64, error) {
	s = strings.ToLower(strings.TrimSpace(strings.ReplaceAll(s, "`", "")))
	s = strings.TrimSuffix(strings.TrimPrefix(s, "0x"), "h")
	return strconv.ParseUint(s, 16, 64)
}
