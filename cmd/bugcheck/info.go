package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"bugcheck/dump"
	"bugcheck/internal/archive"
	"bugcheck/pdb"
	"bugcheck/pe"
	"bugcheck/render"
)

func infoCommand() *cobra.Command {
	var flags outputFlags
	cmd := &cobra.Command{
		Use:   "info FILE…",
		Short: "Print what stands in a dump, a driver's file or a symbol file",
		Long: `Info prints what stands in a dump, without a judgement: the header, the blocks of
a small dump, its memory ranges and tagged data, and what is damaged; of a
program's dump the streams, threads and modules. Of a driver or program it prints
the version resource, the identity that symbol servers know it by, and its
sections; of a symbol file (PDB) its identity and how much it holds. Its names are
those of the formats, in every language.`,
		Example: `  bugcheck info MEMORY.DMP
  bugcheck info myfault.sys
  bugcheck info ntkrnlmp.pdb
  bugcheck info dumps.zip`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runInfo(cmd, args, &flags) },
	}
	flags.register(cmd)
	return cmd
}

func runInfo(cmd *cobra.Command, args []string, flags *outputFlags) error {
	if _, err := flags.language(); err != nil {
		return err
	}
	w, _, closeFile, err := flags.open(cmd)
	if err != nil {
		return err
	}
	noDump := false
	for _, name := range args {
		if err := infoFile(w, name, cmd.InOrStdin()); err != nil {
			noDump = true
			fmt.Fprintf(cmd.ErrOrStderr(), "bugcheck: %s: %v\n", render.Printable(name), render.Printable(err.Error()))
		}
	}
	if err := closeFile(); err != nil {
		return failed(err)
	}
	if noDump {
		return &exitError{status: exitNoDump}
	}
	return nil
}

// infoOne prints a dump; or a Windows image, which tells what a driver named in a
// report is; or a symbol file.
func infoOne(w io.Writer, f archive.File) error {
	name := filepath.Base(f.Name)
	d, err := dump.Open(f, f.Size)
	if err == nil {
		return render.Info(w, name, d)
	}
	if image, errImage := pe.Open(f, f.Size, pe.InFile); errImage == nil {
		return render.ImageInfo(w, name, image)
	}
	symbols, errPDB := pdb.Open(f, f.Size)
	if errPDB == nil {
		return render.SymbolInfo(w, name, f.Size, symbols)
	}
	if isPDB(f) {
		return errPDB
	}
	return err
}

// isPDB knows the first bytes of symbol files, of all versions.
func isPDB(f archive.File) bool {
	const magic = "Microsoft C/C++ "
	head := make([]byte, len(magic))
	n, _ := f.ReadAt(head, 0)
	return string(head[:n]) == magic
}

func infoFile(w io.Writer, name string, stdin io.Reader) error {
	f, closeFile, err := openFile(name, stdin)
	if err != nil {
		return err
	}
	defer closeFile()
	var errs []error
	err = archive.Each(f, func(f archive.File) {
		errs = append(errs, infoOne(w, f))
	})
	return errors.Join(append(errs, err)...)
}
