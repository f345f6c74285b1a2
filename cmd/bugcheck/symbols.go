package main

import (
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
	"bugcheck/render"
	"bugcheck/symbols"
)

func symbolsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "symbols",
		Short: "Show, fetch and pack the symbol files and images of a dump",
		Long: `Symbols tells which symbol files and images there are for the modules of a dump,
fetches what is missing, and packs files for machines without a network.

Servers get user and password from their address, or a bearer token from
BUGCHECK_SYMBOL_TOKENS (HOST=TOKEN, several parted by commas); proxies are those
of the environment (HTTPS_PROXY, NO_PROXY).`,
		Example: `  bugcheck symbols status MEMORY.DMP
  bugcheck symbols fetch MEMORY.DMP

  Without a network: name what is missing, get it elsewhere, bring it back.
  bugcheck symbols manifest MEMORY.DMP -o needed.txt
  bugcheck symbols pack --manifest needed.txt -o pack.zip
  bugcheck analyze --symbols pack.zip MEMORY.DMP`,
	}
	cmd.AddCommand(symbolsStatus(), symbolsVerify(), symbolsFetch(), symbolsPack(), symbolsManifest(), undecorateCommand())
	return cmd
}

// symbolsRun is what the commands below symbols share.
type symbolsRun struct {
	symbolFlags
	manifest string // a file with names, beside those of the dumps
	all      bool   // every module, not only those that analyze asks for
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
	cmd.Flags().BoolVar(&s.all, "all", false, "every module, not only those that analyze asks for: the kernel, and what the stack points into")
	return cmd
}

func symbolsStatus() *cobra.Command {
	s := &symbolsRun{symbolFlags: symbolFlags{offline: true}}
	return s.command("status FILE…", "Say what there is for each module, and what is missing",
		`Status prints a line for each module that analyze asks for: what names in it rest on (pdb,
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
		`Fetch finds the images that analyze asks for along the symbol path, and the
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

// modules are the indexes of the modules that are asked for.
func (s *symbolsRun) modules(m *kernel.Machine) []int {
	if !s.all {
		return m.Involved()
	}
	all := make([]int, len(m.Modules))
	for i := range all {
		all[i] = i
	}
	return all
}

func (s *symbolsRun) wanted(m *kernel.Machine) []symbols.Wanted {
	var list []symbols.Wanted
	for _, i := range s.modules(m) {
		list = append(list, m.Wanted(i))
	}
	return list
}

// kernelISF is the symbol file of Volatility that the kernel of a dump is known
// by: a small dump does not tell the identity of its PDB. Nil if there is none.
func kernelISF(m *kernel.Machine) *symbols.ISF {
	if nt := m.Symbols(0); nt != nil {
		return nt.ISF
	}
	return nil
}

// gathered is what was found for all dumps and manifests together.
type gathered struct {
	modules []symbols.Files
	alone   []symbols.Result // of symbol files that a manifest names
	isfs    []string         // where symbol files of Volatility lie that are used
}

func (g gathered) results() (list []symbols.Result) {
	for _, f := range g.modules {
		for _, r := range []symbols.Result{f.Image, f.PDB} {
			if r.Request != (symbols.Request{}) {
				list = append(list, r)
			}
		}
	}
	return append(list, g.alone...)
}

// gather finds the files of the modules of the dumps and of the manifest, each
// once.
func (s *symbolsRun) gather(ctx context.Context, names []string) (g gathered, err error) {
	var list []symbols.Wanted
	var alone []symbols.Request
	if s.manifest != "" {
		requests, err := readManifest(s.manifest)
		if err != nil {
			return g, failed(err)
		}
		list, alone = symbols.WantedOf(requests)
	}
	s.each(names, func(_ string, d *dump.File) {
		m := kernel.OpenWith(ctx, d, s.finder)
		list = append(list, s.wanted(m)...)
		if isf := kernelISF(m); isf != nil {
			g.isfs = append(g.isfs, isf.Where)
		}
	})
	seen := map[symbols.Wanted]bool{}
	list = slices.DeleteFunc(list, func(w symbols.Wanted) bool {
		again := seen[w]
		seen[w] = true
		return again
	})
	g.modules = s.finder.Files(ctx, list)
	g.alone = s.finder.Fetch(ctx, alone)
	for _, f := range g.modules {
		if f.ISF != "" && f.PDB.Where == "" {
			g.isfs = append(g.isfs, f.ISF)
		}
	}
	slices.Sort(g.isfs)
	g.isfs = slices.Compact(g.isfs)
	s.bars.finish()
	if ctx.Err() != nil {
		return g, failed(ctx.Err())
	}
	return g, nil
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

func (s *symbolsRun) fetch(ctx context.Context, names []string) error {
	g, err := s.gather(ctx, names)
	if err != nil {
		return err
	}
	return s.tell(g.results())
}

// shownMissing is how many missing files are named; status names all.
const shownMissing = 5

// tell says what came of a search: what is missing and why, then the sum.
func (s *symbolsRun) tell(results []symbols.Result) error {
	var found, plain int
	var size int64
	var names []string
	for _, r := range results {
		why := reason(r.Err)
		switch {
		case r.Err == nil:
			found++
			size += r.Size
		case why != "":
			fmt.Fprintf(s.out, "%s %s: %s\n", r.Kind, render.Printable(r.Request.String()), render.Printable(why))
		default:
			if plain++; plain <= shownMissing {
				names = append(names, render.Printable(r.Name))
			}
		}
	}
	fmt.Fprintf(s.out, "%s there, %.1f MiB; %d missing", counted(found, "file"), float64(size)/(1<<20), len(results)-found)
	if plain > 0 {
		fmt.Fprintf(s.out, ": %s", strings.Join(names, ", "))
	}
	if plain > shownMissing {
		fmt.Fprintf(s.out, " and %d more ('bugcheck symbols status' names all)", plain-shownMissing)
	}
	fmt.Fprintln(s.out)
	return s.servers()
}

// reason is what an error says beyond that a file is not there. Servers that do
// not answer are told once.
func reason(err error) string {
	var missing *symbols.NotFoundError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &missing):
		return err.Error()
	case missing.Err != nil:
		return missing.Err.Error()
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
	g, err := s.gather(ctx, names)
	if err != nil {
		return err
	}
	var requests []symbols.Request
	for _, r := range g.results() {
		requests = append(requests, r.Request)
	}
	err = s.write(func(w io.Writer) error {
		_, err := s.finder.WritePack(ctx, w, requests, g.isfs...)
		return err
	})
	if err != nil {
		return err
	}
	if len(g.isfs) > 0 {
		fmt.Fprintf(s.out, "with %s of Volatility\n", counted(len(g.isfs), "symbol file"))
	}
	return s.tell(g.results())
}

// write makes the file of --output; a part of one is removed.
func (s *symbolsRun) write(fill func(io.Writer) error) error {
	out, err := os.Create(s.output)
	if err != nil {
		return failed(err)
	}
	err = fill(out)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(s.output)
		return failed(err)
	}
	return nil
}

func (s *symbolsRun) writeManifest(ctx context.Context, names []string) (err error) {
	g, err := s.gather(ctx, names)
	if err != nil {
		return err
	}
	var requests []symbols.Request
	for _, r := range g.results() {
		if r.Err != nil {
			requests = append(requests, r.Request)
		}
	}
	if s.output == "" {
		return symbols.WriteManifest(s.out, requests)
	}
	return s.write(func(w io.Writer) error { return symbols.WriteManifest(w, requests) })
}
