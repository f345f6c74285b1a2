package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bugcheck/internal/rules"
	"bugcheck/render"
	"bugcheck/report"
	"bugcheck/win"
)

func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Check rules of your own: known issues and owners",
		Long: `A rule file says what you know and no dump does: that a crash is a known issue,
with its link and what to do, or who looks after a driver. 'bugcheck analyze
--rules FILE' adds that to the report; the verdict stays what it is.

  # rules.yaml
  rules:
    - name: old-audio-driver
      when: modules.exists(m, m.image.glob("IntcAudioBus.sys") && version_less(m.version, "10.29.0.5714"))
      issue:
        name: Old Intel Smart Sound driver
        link: https://wiki.example.com/audio
        advice: Install the driver of the machine's maker.
      owner: desktop team
      tests:
        match:
          - modules: [{image: IntcAudioBus.sys, version: 10.29.0.5152}]
        no_match:
          - modules: [{image: IntcAudioBus.sys, version: 10.29.0.5714}]

A condition (when) is an expression of CEL (https://cel.dev) over the fields of the
report in JSON: 'bugcheck rules fields' lists them. What the report does not have is
not known: a rule that depends on it does not match; has(process.name) asks.
Beside CEL's own functions there are
  TEXT.glob("nv*.sys")        * any text, ? one character; case does not matter
  stack.frames("nt!Ke*")      the callers that match MODULE!FUNCTION, or MODULE
  version_less("10.2", "10.10.1")`,
		Example: `  bugcheck rules test rules.yaml
  bugcheck rules test rules.yaml MEMORY.DMP report.json
  bugcheck rules fields
  bugcheck analyze --rules rules.yaml MEMORY.DMP`,
	}
	cmd.AddCommand(rulesTestCommand(), rulesFieldsCommand())
	return cmd
}

func rulesFieldsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "fields",
		Short:   "List the fields of a report that conditions can name",
		Example: "  bugcheck rules fields | grep verdict",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(rules.Fields(), "\n"))
			return err
		},
	}
}

func rulesTestCommand() *cobra.Command {
	var flags symbolFlags
	cmd := &cobra.Command{
		Use:   "test FILE [DUMP|FOLDER|REPORT.json]…",
		Short: "Try every rule of a file on its own examples",
		Long: `Test reads a rule file and tries every rule on the examples that stand in it
(tests: match, no_match), one line a rule. Of dumps, and of reports that 'analyze
--format json' wrote, it says which rules match. It fails where a rule does not do
as its examples say, or cannot be evaluated.`,
		Example: `  bugcheck rules test rules.yaml
  bugcheck rules test rules.yaml --offline MEMORY.DMP
  bugcheck rules test rules.yaml reports/*.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runRulesTest(cmd, args, &flags) },
	}
	flags.register(cmd)
	return cmd
}

// readRules reads a rule file; an empty name is none. What is wrong with it is
// printed, one line each.
func readRules(cmd *cobra.Command, name string) (*rules.Set, error) {
	if name == "" {
		return nil, nil
	}
	b, err := readLimited(name, rules.MaxFile)
	if err != nil {
		return nil, &exitError{status: exitUsage, err: fmt.Errorf("%s: %w", render.Printable(name), plainError(err))}
	}
	set, err := rules.Parse(name, b)
	var problems rules.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Fprintln(cmd.ErrOrStderr(), p)
		}
		return nil, &exitError{status: exitUsage}
	}
	return set, err
}

// readLimited reads a file up to one byte more than the limit, so that what is too
// long can be told.
func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

func runRulesTest(cmd *cobra.Command, args []string, flags *symbolFlags) error {
	set, err := readRules(cmd, args[0])
	if err != nil {
		return err
	}
	t := &ruleTest{set: set, out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr()}
	t.examples(args[0])
	if len(args) > 1 {
		if err := t.files(cmd, args[1:], flags); err != nil {
			return err
		}
	}
	switch {
	case t.unread:
		return &exitError{status: exitNoDump}
	case t.failed:
		return &exitError{status: exitFailed}
	}
	return nil
}

// ruleTest prints how rules do, and keeps whether they do as they should.
type ruleTest struct {
	set    *rules.Set
	out    io.Writer
	errs   io.Writer
	failed bool
	unread bool // a file was no dump and no report
}

func (t *ruleTest) examples(file string) {
	for _, o := range t.set.Test(file) {
		word, count := "OK", fmt.Sprintf("%d examples", o.Examples)
		switch {
		case len(o.Failures) > 0:
			word, t.failed = "FAIL", true
		case o.Examples == 1:
			count = "1 example"
		case o.Examples == 0:
			count = "no examples"
		}
		fmt.Fprintf(t.out, "%-4s %s (%s)\n", word, o.Rule, count)
		for _, f := range o.Failures {
			fmt.Fprintf(t.out, "     %s\n", f)
		}
	}
}

// files says which rules match dumps and reports.
func (t *ruleTest) files(cmd *cobra.Command, names []string, flags *symbolFlags) error {
	names, _, err := expand(names)
	if err != nil {
		return err
	}
	finder, err := flags.finder(nil)
	if err != nil {
		return err
	}
	defer finder.Close()
	b := batch{finder: finder, stdin: cmd.InOrStdin(), opts: render.Options{Lang: win.English}}
	for _, name := range names {
		if strings.EqualFold(filepath.Ext(name), ".json") {
			t.reportFile(name)
			continue
		}
		b.analyzeFile(cmd.Context(), name, t.dump)
	}
	return nil
}

// maxReport is the longest report in JSON that is read; one with every module and
// thread of a large program has some hundred KiB.
const maxReport = 64 << 20

func (t *ruleTest) reportFile(name string) {
	b, err := readLimited(name, maxReport)
	if err == nil && len(b) > maxReport {
		err = fmt.Errorf("longer than %d MiB", maxReport>>20)
	}
	if err != nil {
		t.unreadable(name, plainError(err))
		return
	}
	t.match(name, b)
}

func (t *ruleTest) dump(o outcome) {
	if o.err != nil {
		t.unreadable(o.name, o.err)
		return
	}
	t.match(o.name, jsonOf(o.report))
}

// jsonOf is a report as rules see it: in English.
func jsonOf(r *report.Report) []byte {
	var b bytes.Buffer
	_ = render.JSON(&b, r, win.English, false) // a buffer takes all
	return b.Bytes()
}

func (t *ruleTest) unreadable(name string, err error) {
	t.unread = true
	fmt.Fprintf(t.errs, "bugcheck: %s: %s\n", render.Printable(name), render.Printable(err.Error()))
}

func (t *ruleTest) match(name string, reportJSON []byte) {
	names, failed, err := t.set.Match(reportJSON)
	if err != nil {
		t.unreadable(name, err)
		return
	}
	found := "no rule matches"
	if len(names) > 0 {
		found = "matches " + strings.Join(names, ", ")
	}
	fmt.Fprintf(t.out, "%s: %s\n", render.Printable(name), found)
	for _, err := range failed {
		t.failed = true
		fmt.Fprintf(t.out, "     %s\n", render.Printable(err.Error()))
	}
}
