package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/render"
)

func demoCommand() *cobra.Command {
	var flags outputFlags
	var dumpFile string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Crash an invented machine and say why it crashed",
		Long: `Demo shows the program at work without a dump at hand: the fault lab writes the
small dump that a Windows Server 2019 would leave behind if somebody ran
NotMyFault's "High IRQL fault (Kernel-mode)" on it, and bugcheck analyses that.
Nothing is crashed and nothing is read from this machine.`,
		Example: `  bugcheck demo
  bugcheck demo --lang ja
  bugcheck demo --dump demo.dmp && bugcheck info demo.dmp`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, &flags, dumpFile) },
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&dumpFile, "dump", "", "keep the dump as `FILE`")
	return cmd
}

func runDemo(cmd *cobra.Command, flags *outputFlags, dumpFile string) error {
	lang, err := flags.language()
	if err != nil {
		return err
	}
	b, err := lab.HighIRQLKernel(lab.Windows17763).Bytes()
	if err != nil {
		return failed(err)
	}
	if dumpFile != "" {
		if err := os.WriteFile(dumpFile, b, 0o644); err != nil {
			return failed(err)
		}
	}
	f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return failed(err)
	}
	w, color, closeFile, err := flags.open(cmd)
	if err != nil {
		return err
	}
	opts := render.Options{Lang: lang, Color: color}
	err = render.Text(w, analyze.Report(kernel.Open(f), "demo.dmp", version), opts)
	if err == nil {
		_, err = fmt.Fprint(w, "\n", render.DemoHint(opts))
	}
	if closeErr := closeFile(); err == nil {
		err = closeErr
	}
	if err != nil {
		return failed(err)
	}
	return nil
}
