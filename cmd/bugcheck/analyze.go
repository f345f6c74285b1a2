package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/archive"
	"bugcheck/kernel"
	"bugcheck/render"
	"bugcheck/report"
	"bugcheck/timeline"
	"bugcheck/windbglog"
)

// analyzeFlags are the flags of the analyze command.
type analyzeFlags struct {
	outputFlags
	symbolFlags
	format    string
	events    []string
	reference string
	rules     string
	all       bool
}

func analyzeCommand() *cobra.Command {
	var flags analyzeFlags
	cmd := &cobra.Command{
		Use:   "analyze FILE|FOLDER…",
		Short: "Say why Windows or a program crashed",
		Long: `Analyze opens crash dumps, of Windows or of a program, and says what happened,
who did it and how sure that is, with the evidence.

It works without symbols, and better with them: they give the callers and their
names. It looks along --symbols, else _NT_SYMBOL_PATH, else asks Microsoft's
symbol server for the files of the kernel and of the drivers on the stack, by
name and identity; nothing of the dump is sent. --offline asks no server.

Dumps inside .zip, .cab, .7z, .gz, .zst and .xz files are opened in place; - reads
standard input; of a folder all dumps in and below it are taken. Several dumps
get one line each and a summary by failure bucket.

Where no dump is left but the text that WinDbg's !analyze -v printed, give it
that: it judges by what the text says, and puts WinDbg's own answer beside.

--rules FILE adds what you know to what the dump says: known issues and owners by
rules of your own (see 'bugcheck rules').`,
		Example: `  bugcheck analyze 112326-8250-01.dmp
  bugcheck analyze --lang ja MEMORY.DMP
  bugcheck analyze --format json dump.zip | jq .verdict
  bugcheck analyze --format markdown -o report.md MEMORY.DMP
  bugcheck analyze C:\Windows\Minidump
  bugcheck analyze --events System.evtx MEMORY.DMP
  bugcheck analyze windbg.txt
  bugcheck analyze --symbols 'srv*D:\symbols*https://symbols.example.com' 112326.dmp
  bugcheck analyze --offline --symbols pack.zip 112326.dmp
  bugcheck analyze --reference GOOD.DMP MEMORY.DMP
  bugcheck analyze --rules rules.yaml MEMORY.DMP
  ssh server cat /dumps/MEMORY.DMP | bugcheck analyze -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runAnalyze(cmd, args, &flags) },
	}
	flags.outputFlags.register(cmd)
	flags.symbolFlags.register(cmd)
	cmd.Flags().StringVar(&flags.format, "format", "text", "output: "+strings.Join(formats, ", "))
	cmd.Flags().BoolVar(&flags.all, "all", false, "show every frame and driver")
	cmd.Flags().StringSliceVar(&flags.events, "events", nil, "event logs (.evtx) of the machine: adds what led to the crash, and what was new")
	cmd.Flags().StringVar(&flags.reference, "reference", "", "compare code with another `DUMP` of the same build, of whole memory, where no image is at hand")
	cmd.Flags().StringVar(&flags.rules, "rules", "", "known issues and owners by the rules in `FILE`")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runAnalyze(cmd *cobra.Command, args []string, flags *analyzeFlags) error {
	lang, err := flags.language()
	if err != nil {
		return err
	}
	if !slices.Contains(formats, flags.format) {
		return fmt.Errorf("--format %q: the formats are %s", flags.format, strings.Join(formats, ", "))
	}
	known, err := readRules(cmd, flags.rules)
	if err != nil {
		return err
	}
	files, several, err := expand(args)
	if err != nil {
		return err
	}
	var logs []*timeline.Log
	for _, name := range flags.events {
		list, err := readLogs(name, cmd.InOrStdin())
		if err != nil {
			return &exitError{status: exitNoDump, err: fmt.Errorf("%s: %w", name, err)}
		}
		logs = append(logs, list...)
	}
	bars := &downloads{out: cmd.ErrOrStderr()}
	progress := bars.progress()
	if several {
		progress = nil // the bar over the files is enough
	}
	finder, err := flags.finder(progress)
	if err != nil {
		return err
	}
	defer finder.Close()
	reference, closeReference, err := openReference(cmd.Context(), flags.reference)
	if err != nil {
		return err
	}
	defer closeReference()
	w, color, closeFile, err := flags.open(cmd)
	if err != nil {
		return err
	}
	b := batch{
		finder: finder, bars: bars, logs: logs, reference: reference, rules: known,
		files: files, several: several, out: w, errs: cmd.ErrOrStderr(), stdin: cmd.InOrStdin(), format: flags.format,
		opts: render.Options{Lang: lang, Color: color, All: flags.all}, progress: progressOn(), terminal: flags.file == "" && term.IsTerminal(int(os.Stdout.Fd())),
	}
	err = b.run(cmd.Context())
	if closeErr := closeFile(); err == nil && closeErr != nil {
		err = failed(closeErr)
	}
	return err
}

// dumpNames are the endings of what is taken from a folder.
var dumpNames = []string{".dmp", ".mdmp", ".hdmp", ".zip", ".cab", ".7z", ".gz", ".zst", ".xz"}

// expand lists the files that the arguments name; of folders, those below them
// that are named like dumps or archives. several says that more than one result
// is to be expected.
func expand(args []string) (files []string, several bool, err error) {
	return expandAll(args, dumpNames)
}

// caseNames are the endings of what a case takes from a folder.
var caseNames = append([]string{".evtx", ".wer", ".nfo", ".cab"}, dumpNames...)

// expandAll is expand for files with other endings.
func expandAll(args, endings []string) (files []string, several bool, err error) {
	for _, a := range args {
		info, err := os.Stat(a)
		if a == "-" || err != nil || !info.IsDir() {
			files = append(files, a) // what cannot be opened is told in its turn
			continue
		}
		several = true
		if files, err = below(files, a, endings); err != nil {
			return nil, false, &exitError{status: exitNoDump, err: err}
		}
	}
	return files, several || len(files) > 1, nil
}

func below(files []string, folder string, endings []string) ([]string, error) {
	before := len(files)
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && isFile(path, d) && slices.Contains(endings, strings.ToLower(filepath.Ext(path))) {
			files = append(files, path)
		}
		return nil // a folder that cannot be read is passed over
	})
	if err == nil && len(files) == before {
		err = fmt.Errorf("%s: no dumps in this folder", folder)
	}
	return files, err
}

// isFile reports a file, or a link to one.
func isFile(path string, d os.DirEntry) bool {
	if d.Type()&os.ModeSymlink == 0 {
		return d.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// outcome is what came of one dump: a report, or the error that says what the
// file is instead.
type outcome struct {
	name   string
	report *report.Report
	err    error
}

// analyzeFile opens a file and analyses every dump in it.
func (b *batch) analyzeFile(ctx context.Context, name string, yield func(outcome)) {
	f, closeFile, err := openFile(name, b.stdin)
	if err != nil {
		yield(outcome{name: name, err: err})
		return
	}
	defer closeFile()
	err = archive.Each(f, func(f archive.File) {
		d, err := dump.Open(f, f.Size)
		if err != nil {
			logs := logReports(f)
			for _, r := range logs {
				yield(outcome{name: f.Name, report: r})
			}
			if len(logs) == 0 {
				yield(outcome{name: f.Name, err: err})
			}
			return
		}
		yield(outcome{name: f.Name, report: analyze.ReportAgainst(kernel.OpenWith(ctx, d, b.finder), b.reference, filepath.Base(f.Name), version)})
	})
	if err != nil {
		yield(outcome{name: name, err: err})
	}
}

// logReports reads what is no dump as debugger's logs; none if it holds none.
func logReports(f archive.File) []*report.Report {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, min(f.Size, windbglog.MaxSize)))
	if err != nil {
		return nil
	}
	var list []*report.Report
	logs := windbglog.Parse(b)
	for i := range logs {
		list = append(list, analyze.LogReport(&logs[i], filepath.Base(f.Name), f.Size, version))
	}
	return list
}

// openReference opens the dump that code is compared with; nil for none.
func openReference(ctx context.Context, name string) (*kernel.Machine, func(), error) {
	if name == "" {
		return nil, func() {}, nil
	}
	f, closeFile, err := openFile(name, nil)
	if err != nil {
		return nil, nil, &exitError{status: exitNoDump, err: fmt.Errorf("%s: %w", name, err)}
	}
	d, err := dump.Open(f, f.Size)
	if err != nil {
		closeFile()
		return nil, nil, &exitError{status: exitNoDump, err: fmt.Errorf("%s: %w", name, err)}
	}
	return kernel.OpenWith(ctx, d, nil), closeFile, nil
}

// openFile opens a file, or takes all of standard input for "-".
func openFile(name string, stdin io.Reader) (f archive.File, closeFile func(), err error) {
	if name == "-" {
		return archive.Spool("stdin", stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return f, nil, plainError(err)
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("a folder, not a dump")
	}
	if err != nil {
		file.Close()
		return f, nil, plainError(err)
	}
	return archive.File{Name: name, ReaderAt: file, Size: info.Size()}, func() { file.Close() }, nil
}

// plainError drops the operation and path of a file error: the line it is
// printed in names the file.
func plainError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
