package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bugcheck/dump"
	"bugcheck/internal/archive"
	"bugcheck/kernel"
	"bugcheck/pdb"
	"bugcheck/pe"
	"bugcheck/render"
	"bugcheck/symbols"
)

func symbolsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "symbols",
		Short: "Show, fetch and pack the symbol files and images of a dump",
		Long: `Symbols tells which symbol files and images there are for the modules of a dump,
fetches what is missing, and packs files for machines without a network.`,
		Example: `  bugcheck symbols status MEMORY.DMP
  bugcheck symbols fetch MEMORY.DMP

  Without a network: name what is missing, get it elsewhere, bring it back.
  bugcheck symbols manifest MEMORY.DMP -o needed.txt
  bugcheck symbols pack --manifest needed.txt -o pack.zip
  bugcheck analyze --symbols pack.zip MEMORY.DMP`,
	}
	cmd.AddCommand(symbolsStatus(), symbolsVerify(), symbolsFetch(), symbolsPack(), symbolsManifest())
	return cmd
}

// symbolsRun is what the commands below symbols share.
type symbolsRun struct {
	symbolFlags
	manifest string // a file with names, beside those of the dumps
	output   string

	finder *symbols.Finder
	bars   *downloads
	out    io.Writer
	errs   io.Writer
	stdin  io.Reader
	noDump bool // a file was no dump
}

// command makes a subcommand that opens the symbol path and then runs.
func (s *symbolsRun) command(use, short, long, example string, run func(context.Context, []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example}
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if len(args) == 0 && s.manifest == "" {
			return errors.New("name a dump")
		}
		s.out, s.errs, s.stdin = cmd.OutOrStdout(), cmd.ErrOrStderr(), cmd.InOrStdin()
		s.bars = &downloads{out: s.errs}
		if s.finder, err = s.symbolFlags.finder(s.bars.progress()); err != nil {
			return err
		}
		defer s.finder.Close()
		if err := run(cmd.Context(), args); err != nil {
			return err
		}
		if s.noDump {
			return &exitError{status: exitNoDump}
		}
		return nil
	}
	cmd.Flags().StringVar(&s.path, "symbols", "", "symbol `PATH`, or a pack (default: $_NT_SYMBOL_PATH, else Microsoft's server)")
	return cmd
}

func symbolsStatus() *cobra.Command {
	s := &symbolsRun{symbolFlags: symbolFlags{offline: true}}
	return s.command("status FILE…", "Say what there is for each module, and what is missing",
		`Status prints a line for each module of a dump: what names in it rest on (pdb,
isf, export, none, or mismatched: only files of another build are there), and
where that lies or what is missing. It asks no server.`,
		"  bugcheck symbols status MEMORY.DMP", s.status)
}

func symbolsVerify() *cobra.Command {
	s := &symbolsRun{symbolFlags: symbolFlags{offline: true}}
	return s.command("verify FILE…", "Read the files that are there, and check that they are whole",
		`Verify reads the symbol files and images that are there for a dump, and tells
which of them are damaged or of another build; then the exit status is 1. It asks
no server.`,
		"  bugcheck symbols verify MEMORY.DMP", s.verify)
}

func symbolsFetch() *cobra.Command {
	s := &symbolsRun{}
	cmd := s.command("fetch [FILE…]", "Fetch what is missing",
		`Fetch finds the images of all modules of a dump along the symbol path, and the
symbol files that they name, four at once, and keeps them in the cache. Servers
are asked for files by name and identity; nothing of the dump is sent. The exit
status is 1 if a server could not be reached.`,
		"  bugcheck symbols fetch MEMORY.DMP\n  bugcheck symbols fetch --manifest needed.txt", s.fetch)
	s.moreFlags(cmd)
	return cmd
}

func symbolsPack() *cobra.Command {
	s := &symbolsRun{}
	cmd := s.command("pack [FILE…] -o PACK.zip", "Write what there is into one file, to carry it elsewhere",
		`Pack fetches like fetch, and writes all that is found into a zip. That is an
element of a symbol path: --symbols PACK.zip.`,
		"  bugcheck symbols pack MEMORY.DMP -o pack.zip\n  bugcheck symbols pack --manifest needed.txt -o pack.zip", s.pack)
	s.moreFlags(cmd)
	cmd.Flags().StringVarP(&s.output, "output", "o", "", "write the pack to `FILE`")
	_ = cmd.MarkFlagRequired("output")
	return cmd
}

func symbolsManifest() *cobra.Command {
	s := &symbolsRun{symbolFlags: symbolFlags{offline: true}}
	cmd := s.command("manifest FILE…", "Name the files that are missing, to get them elsewhere",
		`Manifest writes a line for each file that is missing: name, identity, kind. On a
machine with a network, fetch and pack take it with --manifest.`,
		"  bugcheck symbols manifest MEMORY.DMP -o needed.txt", s.writeManifest)
	cmd.Flags().StringVarP(&s.output, "output", "o", "", "write to `FILE` instead of standard output")
	return cmd
}

func (s *symbolsRun) moreFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.offline, "offline", false, "ask no symbol server")
	cmd.Flags().StringVar(&s.manifest, "manifest", "", "take the files that a manifest `FILE` names")
}

// each opens every dump in the files. What is none is told, and remembered for
// the exit status.
func (s *symbolsRun) each(names []string, visit func(name string, d *dump.File)) {
	for _, name := range names {
		f, closeFile, err := openFile(name, s.stdin)
		if err == nil {
			err = archive.Each(f, func(f archive.File) {
				d, err := dump.Open(f, f.Size)
				if err != nil {
					s.notDump(f.Name, err)
					return
				}
				visit(f.Name, d)
			})
			closeFile()
		}
		if err != nil {
			s.notDump(name, err)
		}
	}
}

func (s *symbolsRun) notDump(name string, err error) {
	s.noDump = true
	fmt.Fprintf(s.errs, "bugcheck: %s: %v\n", render.Printable(name), render.Printable(err.Error()))
}

// wantedOf lists the modules of a dump.
func wantedOf(m *kernel.Machine) []symbols.Wanted {
	list := make([]symbols.Wanted, len(m.Modules))
	for i := range m.Modules {
		list[i] = m.Wanted(i)
	}
	return list
}

// gather finds the files of all modules of the dumps and of the manifest, each
// once.
func (s *symbolsRun) gather(ctx context.Context, names []string) ([]symbols.Files, []symbols.Result, error) {
	var list []symbols.Wanted
	var alone []symbols.Request
	if s.manifest != "" {
		requests, err := readManifest(s.manifest)
		if err != nil {
			return nil, nil, failed(err)
		}
		list, alone = symbols.WantedOf(requests)
	}
	s.each(names, func(_ string, d *dump.File) { list = append(list, wantedOf(kernel.Open(d))...) })
	seen := map[symbols.Wanted]bool{}
	list = slices.DeleteFunc(list, func(w symbols.Wanted) bool {
		again := seen[w]
		seen[w] = true
		return again
	})
	files := s.finder.Files(ctx, list)
	results := s.finder.Fetch(ctx, alone)
	s.bars.finish()
	return files, results, ctx.Err()
}

func readManifest(name string) ([]symbols.Request, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := symbols.ReadManifest(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return list, err
}

func (s *symbolsRun) status(ctx context.Context, names []string) error {
	s.each(names, func(name string, d *dump.File) {
		m := kernel.OpenWith(ctx, d, s.finder)
		files := s.finder.Files(ctx, wantedOf(m))
		fmt.Fprintf(s.out, "%s: %s\n", render.Printable(name), counted(len(files), "module"))
		var there int
		for i, f := range files {
			word, detail := statusOf(f)
			if nt := m.Symbols(0); i == 0 && word != "pdb" && nt != nil && nt.ISF != nil {
				word, detail = "isf", "recognised by what the dump points at"
			}
			if word == "pdb" || word == "isf" {
				there++
			}
			fmt.Fprintf(s.out, "  %-24s %-10s %s\n", render.Printable(f.Name), word, render.Printable(detail))
		}
		s.summary(files, there)
	})
	return ctx.Err()
}

// statusOf is the word of the report for a module, and where its files lie or
// what is missing.
func statusOf(f symbols.Files) (word, detail string) {
	missing := f.Missing()
	for _, r := range missing {
		if errors.Is(r.Err, symbols.ErrMismatch) {
			return "mismatched", r.Err.Error()
		}
	}
	switch {
	case f.PDB.Where != "":
		return "pdb", f.PDB.Where + lacks(missing)
	case f.ISF != "":
		return "isf", f.ISF + lacks(missing)
	case f.Image.Where != "":
		return "export", f.Image.Where + lacks(missing)
	case len(missing) == 0:
		return "none", "the dump does not identify it"
	}
	return "none", strings.TrimPrefix(lacks(missing), "; ")
}

func lacks(missing []symbols.Result) string {
	var s string
	for _, r := range missing {
		s += "; no " + string(r.Kind) + " " + r.Request.String()
	}
	return s
}

// summary says how much is missing.
func (s *symbolsRun) summary(files []symbols.Files, there int) {
	n := map[symbols.Kind]int{}
	for _, f := range files {
		for _, r := range f.Missing() {
			n[r.Kind]++
		}
	}
	fmt.Fprintf(s.out, "%d of %s symbols; missing: %s, %s.\n", there, has(len(files)), counted(n[symbols.Image], "image"), counted(n[symbols.PDB], "symbol file"))
	if n[symbols.Image] > 0 {
		fmt.Fprintln(s.out, "Which symbol file belongs to a missing image is known only once that is there.")
	}
}

func has(n int) string {
	if n == 1 {
		return "1 module has"
	}
	return counted(n, "module") + " have"
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *symbolsRun) fetch(ctx context.Context, names []string) error {
	files, alone, err := s.gather(ctx, names)
	if err != nil {
		return failed(err)
	}
	return s.tell(files, alone)
}

// tell says what came of a search: a line for each file that is missing, one for
// each server that did not answer, and the sum.
func (s *symbolsRun) tell(files []symbols.Files, alone []symbols.Result) error {
	var found int
	var size int64
	var missing []symbols.Result
	take := func(r symbols.Result) {
		switch {
		case r.Err != nil:
			missing = append(missing, r)
		case r.Where != "":
			found++
			size += r.Size
		}
	}
	for _, f := range files {
		take(f.Image)
		take(f.PDB)
	}
	for _, r := range alone {
		take(r)
	}
	for _, r := range missing {
		fmt.Fprintf(s.out, "missing %-5s %s%s\n", r.Kind, render.Printable(r.Request.String()), render.Printable(reason(r.Err)))
	}
	fmt.Fprintf(s.out, "%s there, %.1f MiB; %d missing\n", counted(found, "file"), float64(size)/(1<<20), len(missing))
	return s.servers()
}

// reason is what an error says beyond that a file is not there. Servers that do
// not answer are told once.
func reason(err error) string {
	var missing *symbols.NotFoundError
	switch {
	case !errors.As(err, &missing):
		return ": " + err.Error()
	case missing.Err != nil:
		return ": " + missing.Err.Error()
	}
	return ""
}

// servers tells of those that did not answer.
func (s *symbolsRun) servers() error {
	var down bool
	for _, server := range s.finder.State().Servers {
		if server.Err != nil {
			down = true
			fmt.Fprintf(s.errs, "bugcheck: %s could not be reached: %s\n", render.Printable(server.URL), render.Printable(server.Err.Error()))
		}
	}
	if down {
		return &exitError{status: exitFailed}
	}
	return nil
}

func (s *symbolsRun) pack(ctx context.Context, names []string) error {
	files, alone, err := s.gather(ctx, names)
	if err != nil {
		return failed(err)
	}
	var requests []symbols.Request
	for _, f := range files {
		requests = append(requests, f.Requests()...)
	}
	for _, r := range alone {
		requests = append(requests, r.Request)
	}
	out, err := os.Create(s.output)
	if err != nil {
		return failed(err)
	}
	_, err = s.finder.WritePack(ctx, out, requests)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(s.output) // a part of a pack is none
		return failed(err)
	}
	return s.tell(files, alone)
}

func (s *symbolsRun) writeManifest(ctx context.Context, names []string) (err error) {
	files, _, err := s.gather(ctx, names)
	if err != nil {
		return failed(err)
	}
	var requests []symbols.Request
	for _, f := range files {
		for _, r := range f.Missing() {
			requests = append(requests, r.Request)
		}
	}
	if s.output == "" {
		return symbols.WriteManifest(s.out, requests)
	}
	out, err := os.Create(s.output)
	if err != nil {
		return failed(err)
	}
	err = symbols.WriteManifest(out, requests)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

func (s *symbolsRun) verify(ctx context.Context, names []string) error {
	files, _, err := s.gather(ctx, names)
	if err != nil {
		return failed(err)
	}
	var good, bad int
	for _, f := range files {
		for _, q := range f.Requests() {
			switch err := s.whole(ctx, q); {
			case err == nil:
				good++
			case errors.Is(err, symbols.ErrNotFound):
			default:
				bad++
				fmt.Fprintf(s.out, "%s: %s\n", render.Printable(q.String()), render.Printable(err.Error()))
			}
		}
	}
	fmt.Fprintf(s.out, "%s whole, %d not\n", counted(good, "file"), bad)
	if bad > 0 {
		return &exitError{status: exitFailed}
	}
	return nil
}

// whole reads all tables of a file that a search finds.
func (s *symbolsRun) whole(ctx context.Context, q symbols.Request) error {
	found, err := s.finder.Find(ctx, q)
	if err != nil {
		return err
	}
	defer found.Close()
	if q.Kind == symbols.PDB {
		err = wholePDB(found)
	} else {
		err = wholeImage(found)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", found.Where, err)
	}
	return err
}

func wholePDB(found symbols.Found) error {
	f, err := pdb.Open(found, found.Size)
	if err != nil {
		return err
	}
	_, err1 := f.Modules()
	_, err2 := f.Publics()
	_, err3 := f.Types()
	return cmp.Or(err1, err2, err3)
}

func wholeImage(found symbols.Found) error {
	f, err := pe.Open(found, found.Size, pe.InFile)
	if err != nil {
		return err
	}
	list, err := f.Sections()
	for _, section := range list {
		if section.Offset != 0 && int64(section.Offset)+int64(section.RawSize) > found.Size && err == nil {
			err = fmt.Errorf("section %s lies past its end", section.Name)
		}
	}
	_, err1 := f.Exports()
	_, err2 := f.Functions()
	return cmp.Or(err, err1, err2)
}
