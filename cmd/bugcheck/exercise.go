package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bugcheck/lab"
	"bugcheck/render"
)

func labExerciseCommand() *cobra.Command {
	var flags labFlags
	var out outputFlags
	var folder string
	cmd := &cobra.Command{
		Use:   "exercise [KIND]",
		Short: "Find out, step by step, why an invented server stopped",
		Long: `Exercise is a walk for learners: from the event log with its stop code to the driver
that did it. It lets an invented server crash, asks one question a step, and
checks the answers. KIND is a fault of lab list; high-irql-kernel is the first.`,
		Example: `  bugcheck lab exercise
  bugcheck lab exercise stack-trash --lang ja`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := "high-irql-kernel"
			if len(args) == 1 {
				kind = args[0]
			}
			return runExercise(cmd, kind, folder, &flags, &out)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&out.lang, "lang", "", "language: en or ja (default: that of the locale)")
	cmd.Flags().StringVar(&folder, "dir", ".", "put dump and event log into `DIR`")
	return cmd
}

func runExercise(cmd *cobra.Command, kind, folder string, flags *labFlags, out *outputFlags) error {
	lang, err := out.language()
	if err != nil {
		return err
	}
	c, err := flags.play(kind)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return failed(err)
	}
	name, log := filepath.Join(folder, "MEMORY.DMP"), filepath.Join(folder, "System.evtx")
	for _, n := range []string{name, log} {
		if _, err := os.Stat(n); err == nil {
			return failed(fmt.Errorf("%s is there already; --dir names another folder", n))
		}
	}
	if err := writeDump(c, name, flags.dump); err != nil {
		return failed(err)
	}
	if err := writeEventLog(c, "", log); err != nil {
		return err
	}
	e := exerciseOf(c, flags.dump, name, log)
	return ask(cmd.InOrStdin(), cmd.OutOrStdout(), e.Steps(), render.Options{Lang: lang})
}

// exerciseOf takes from the truth what is asked.
func exerciseOf(c *lab.Crash, dump, name, log string) render.Exercise {
	t := c.TruthOf(dump)
	return render.Exercise{Log: log, Dump: name, Code: c.Code, Name: render.StopName(c.Code), Process: t.Process.Name, Image: t.Verdict.Image, Hint: t.Verdict.Hint}
}

// ask puts the questions and reads an answer a line.
func ask(in io.Reader, out io.Writer, steps []render.Step, opts render.Options) error {
	lines := bufio.NewScanner(in)
	if err := render.Say(out, render.ExerciseTitle, opts); err != nil {
		return err
	}
	for _, s := range steps {
		fmt.Fprintln(out)
		if err := render.Say(out, s.Tell, opts); err != nil {
			return err
		}
		if err := render.Say(out, s.Ask, opts); err != nil {
			return err
		}
		for tries := 0; ; tries++ {
			if tries > 1 { // with the command
				if err := render.Say(out, s.Tell, opts); err != nil {
					return err
				}
			}
			fmt.Fprint(out, "> ")
			if !lines.Scan() || strings.EqualFold(strings.TrimSpace(lines.Text()), "q") {
				fmt.Fprintln(out)
				return render.Say(out, render.ExerciseLeft, opts)
			}
			answer := lines.Text()
			if s.Accepts(answer) {
				break
			}
			if strings.TrimSpace(answer) != "" {
				if err := render.Say(out, render.ExerciseWrong, opts); err != nil {
					return err
				}
			}
			if err := render.Say(out, s.Hint, opts); err != nil {
				return err
			}
		}
		if err := render.Say(out, s.Right, opts); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	return render.Say(out, render.ExerciseDone, opts)
}
