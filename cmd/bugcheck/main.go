// Command bugcheck says why Windows crashed, from a crash dump, on any machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is the program's; a release build sets it by -ldflags.
var version = "0.1.0"

// Exit statuses, a contract with scripts (docs/report.md).
const (
	exitFailed = 1 // the program failed
	exitUsage  = 2 // the command line is wrong
	exitNoDump = 3 // at least one file could not be opened as a dump
)

// exitError carries an exit status; its text has been printed unless it wraps
// an error.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func failed(err error) error { return &exitError{status: exitFailed, err: err} }

func main() {
	// Small dumps are small: a lower heap target costs nothing and keeps
	// batches of many files flat.
	debug.SetGCPercent(50)
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := root().ExecuteContext(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(os.Stderr, "bugcheck:", exit.err)
		}
		return exit.status
	}
	fmt.Fprintln(os.Stderr, "bugcheck:", err)
	fmt.Fprintln(os.Stderr, "Run 'bugcheck --help' for usage.")
	return exitUsage
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bugcheck",
		Short: "Say why Windows crashed, from a crash dump, on any machine",
		Long: `bugcheck opens Windows crash dumps on Linux, macOS and Windows and says which
driver (or memory, disk, firmware) made Windows stop, with the evidence.

On Windows, without a command, it looks for the dumps and event logs of the
machine that it runs on, and tells their story.`,
		Example: `  bugcheck analyze MEMORY.DMP              why did this machine crash?
  bugcheck analyze C:\Windows\Minidump     all dumps of a folder, and a summary
  bugcheck explain 0xD1                    what does this stop code mean?
  bugcheck demo                            see it at work without a dump`,
		Args:          cobra.NoArgs,
		RunE:          runHere,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	cmd.SetVersionTemplate("bugcheck {{.Version}}\n")
	cmd.AddCommand(analyzeCommand(), explainCommand(), infoCommand(), symbolsCommand(), topCommand(), eventsCommand(), caseCommand(), compareCommand(), shrinkCommand(), rulesCommand(), labCommand(), demoCommand(), versionCommand())
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  bugcheck version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.OutOrStdout(), "bugcheck", version)
			return nil
		},
	}
}
