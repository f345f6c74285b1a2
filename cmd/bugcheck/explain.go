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
lists the codes that contain it. Event 41 writes its BugcheckCode as a decimal
number: a number without 0x that is a stop code both ways is told with both.`,
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
	if err := textOrJSON(format); err != nil {
		return err
	}
	asked, err := parseStop(strings.Join(args, " "))
	if err != nil {
		return err
	}
	codes := asked.codes(lang)
	switch {
	case asked.ambiguous(codes) && format == "json":
		return fmt.Errorf("%s can be read as 0x%x or as 0x%x: give one of them", asked.number, codes[0].Code, codes[1].Code)
	case len(codes) == 0:
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
	case asked.ambiguous(codes):
		return render.TwoCodes(w, asked.number, codes[0], codes[1], opts)
	case len(codes) > 1:
		return render.CodeList(w, codes)
	case format == "json":
		return render.ExplanationJSON(w, codes[0], asked.parameters, opts)
	}
	return render.Explanation(w, codes[0], asked.parameters, analyze.Advice(codes[0], asked.parameters), opts)
}

// stop is a stop code as a person gave it.
type stop struct {
	number     string // as written, without 0x; "" if a name was given
	bases      []int  // that the number may be written in, the likelier first
	name       string
	parameters []uint64
}

// token is a number or a word in what people paste.
var token = regexp.MustCompile("(?i)[0-9a-z_`]+")

// event41 is how Kernel-Power 41 writes a stop code, in the text and in the XML of an
// event: the code in decimal, parameters in hexadecimal behind 0x.
var (
	event41          = regexp.MustCompile(`(?i)BugcheckCode\W+(0x)?([0-9a-f]+)`)
	event41Parameter = regexp.MustCompile(`(?i)BugcheckParameter([1-4])\W+(?:0x)?([0-9a-f]+)`)
)

// parseEvent41 reads the data of an event 41.
func parseEvent41(s string) (stop, bool) {
	m := event41.FindStringSubmatch(s)
	if m == nil {
		return stop{}, false
	}
	found := stop{number: strings.ToLower(m[2]), bases: []int{10}}
	if m[1] != "" {
		found.bases = []int{16}
	}
	for _, p := range event41Parameter.FindAllStringSubmatch(s, 4) {
		i := int(p[1][0] - '1')
		v, _ := strconv.ParseUint(p[2], 16, 64)
		for len(found.parameters) <= i {
			found.parameters = append(found.parameters, 0)
		}
		found.parameters[i] = v
	}
	return found, true
}

// parseStop reads what people have at hand: a number or a name with up to four
// parameters, or a line pasted from the event log or a blue screen, such as
// "0x000000d1 (0x29, 0x2, 0x0, 0xfffff800a56d1ae9)".
func parseStop(s string) (stop, error) {
	if found, ok := parseEvent41(s); ok {
		if strings.Trim(found.number, "0") == "" {
			return stop{}, errors.New("BugcheckCode 0: the event tells of no stop code")
		}
		return found, nil
	}
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
	number, prefixed := strings.CutPrefix(strings.ToLower(tokens[0]), "0x")
	bases := []int{16, 10}
	if prefixed || number[0] == '0' { // event 41 does not fill up with zeros
		bases = []int{16}
	}
	return stop{number: number, bases: bases, parameters: p}, err
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

// codes finds what was meant: a number in each of its bases, a name as it is or as a part
// of names.
func (s stop) codes(lang win.Lang) []win.StopCode {
	if s.name != "" {
		return lang.Find(s.name)
	}
	var found []win.StopCode
	for _, base := range s.bases {
		v, err := strconv.ParseUint(strings.ReplaceAll(strings.TrimSuffix(s.number, "h"), "`", ""), base, 32)
		if err != nil || strings.HasSuffix(s.number, "h") && base == 10 {
			continue
		}
		if c, ok := known(lang, uint32(v)); ok && (len(found) == 0 || found[0].Code != c.Code) {
			found = append(found, c)
		}
	}
	return found
}

// known is a stop code of the catalogue, as given or without the bit that marks small dumps.
func known(lang win.Lang, code uint32) (win.StopCode, bool) {
	if c, ok := lang.Code(code); ok {
		return c, true
	}
	return lang.Code(win.BaseCode(code))
}

// ambiguous reports a number that is one stop code in hexadecimal and another in decimal.
func (s stop) ambiguous(codes []win.StopCode) bool { return s.name == "" && len(codes) > 1 }

// parseNumber reads a hexadecimal number with or without 0x, h, and the
// debugger's backtick.
func parseNumber(s string) (uint64, error) {
	s = strings.ToLower(strings.TrimSpace(strings.ReplaceAll(s, "`", "")))
	s = strings.TrimSuffix(strings.TrimPrefix(s, "0x"), "h")
	return strconv.ParseUint(s, 16, 64)
}
