package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// crashFiles are where Windows keeps dumps and event logs, below its folder.
var crashFiles = []string{
	`MEMORY.DMP`, `Minidump`, `LiveKernelReports`,
	`System32\winevt\Logs\System.evtx`, `System32\winevt\Logs\Application.evtx`,
}

// here lists what of a crash is on this machine: below $SystemRoot, which every process on
// Windows has and no other system sets.
func here(systemRoot string) []string {
	var found []string
	if systemRoot == "" {
		return nil
	}
	for _, f := range crashFiles {
		name := filepath.Join(systemRoot, filepath.FromSlash(strings.ReplaceAll(f, `\`, "/")))
		if _, err := os.Stat(name); err == nil || errors.Is(err, fs.ErrPermission) {
			found = append(found, name)
		}
	}
	return found
}

// runHere tells the story of the machine that it runs on; elsewhere it says how to use the
// program.
func runHere(cmd *cobra.Command, _ []string) error {
	found := here(os.Getenv("SystemRoot"))
	if len(found) == 0 {
		return cmd.Help()
	}
	var out outputFlags
	var symbols symbolFlags
	var files []string
	in := &caseInput{stdin: cmd.InOrStdin(), errs: cmd.ErrOrStderr()}
	for _, name := range found {
		list, err := filesIn(name)
		files = append(files, list...)
		if err != nil {
			in.complain(name, plainError(err))
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "bugcheck: looking at %s (bugcheck --help tells what else it does)\n", strings.Join(found, ", "))
	return runCase(cmd, in, files, &out, &symbols, caseFlags{format: "text"})
}

// filesIn lists a file, or what a case takes of a folder, with the first folder in it that
// may not be read.
func filesIn(name string) (files []string, denied error) {
	_ = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && denied == nil:
			denied = err
		case err == nil && isFile(path, d) && slices.Contains(caseNames, strings.ToLower(filepath.Ext(path))):
			files = append(files, path)
		}
		return nil
	})
	return files, denied
}
