package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bugcheck/dump"
	"bugcheck/shrink"
)

func shrinkCommand() *cobra.Command {
	var output, keep string
	cmd := &cobra.Command{
		Use:   "shrink FILE -o SMALL",
		Short: "Make a small dump out of a large one, without the programs' memory",
		Long: `Shrink turns a full, kernel, active or live dump into a small dump that gives the
same verdict: it keeps the crashed processor's blocks and stack, the driver list
and what the analysis reads of the kernel's memory. Nothing of the programs'
memory is kept. Debuggers read the file like a small dump of Windows' own.`,
		Example: `  bugcheck shrink MEMORY.DMP -o small.dmp
  bugcheck shrink MEMORY.DMP -o small.dmp --keep-stacks all`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep != "" && keep != "all" {
				return fmt.Errorf("--keep-stacks %q: the one value is all", keep)
			}
			if output == "" {
				return errors.New("-o FILE says where to write the small dump")
			}
			return runShrink(cmd, args[0], output, shrink.Options{Stacks: keep == "all"})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the small dump to `FILE`")
	cmd.Flags().StringVar(&keep, "keep-stacks", "", "all: keep the kernel stacks of all threads")
	return cmd
}

func runShrink(cmd *cobra.Command, name, output string, opts shrink.Options) error {
	f, closeFile, err := openFile(name, cmd.InOrStdin())
	if err != nil {
		return &exitError{status: exitNoDump, err: fmt.Errorf("%s: %w", name, err)}
	}
	defer closeFile()
	d, err := dump.Open(f, f.Size)
	if err != nil {
		return &exitError{status: exitNoDump, err: fmt.Errorf("%s: %w", name, err)}
	}
	kept, err := writeWhole(output, func(file *os.File) (shrink.Kept, error) { return shrink.Write(file, d, opts) })
	if err != nil {
		return failed(fmt.Errorf("%s: %w", name, err))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", filepath.Base(output), kept)
	return nil
}

// writeWhole writes a file whole or not at all.
func writeWhole[T any](name string, write func(*os.File) (T, error)) (T, error) {
	var none T
	file, err := os.CreateTemp(filepath.Dir(name), ".bugcheck-*")
	if err != nil {
		return none, plainError(err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	v, err := write(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return none, err
	}
	return v, os.Rename(file.Name(), name)
}
