package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jeandeaual/go-locale"
	"github.com/mattn/go-colorable"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bugcheck/render"
	"bugcheck/report"
	"bugcheck/symbols"
	"bugcheck/win"
)

// outputFlags are what the commands that print share.
type outputFlags struct {
	lang string
	file string
}

func (o *outputFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.lang, "lang", "", "language: en or ja (default: that of the locale)")
	cmd.Flags().StringVarP(&o.file, "output", "o", "", "write to `FILE` instead of standard output")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"en", "ja"}, cobra.ShellCompDirectiveNoFileComp))
}

// language is the one asked for, else that of the locale.
func (o *outputFlags) language() (win.Lang, error) {
	switch o.lang {
	case "en":
		return win.English, nil
	case "ja":
		return win.Japanese, nil
	case "":
		return localeLanguage(), nil
	}
	return "", fmt.Errorf("--lang %q: the languages are en and ja", o.lang)
}

// localeLanguage follows the usual variables; where none is set (Windows), it
// asks the system.
func localeLanguage() win.Lang {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return languageOf(v)
		}
	}
	if v, err := locale.GetLocale(); err == nil {
		return languageOf(v)
	}
	return win.English
}

func languageOf(tag string) win.Lang {
	if strings.HasPrefix(strings.ToLower(tag), "ja") {
		return win.Japanese
	}
	return win.English
}

// open returns where to write, whether it takes colours, and how to close it.
func (o *outputFlags) open(cmd *cobra.Command) (w io.Writer, color bool, closeFile func() error, err error) {
	if o.file != "" {
		f, err := os.Create(o.file)
		if err != nil {
			return nil, false, nil, failed(err)
		}
		return f, false, f.Close, nil
	}
	w = cmd.OutOrStdout()
	if w == os.Stdout && wantsColor() {
		return colorable.NewColorable(os.Stdout), true, func() error { return nil }, nil
	}
	return w, false, func() error { return nil }, nil
}

func wantsColor() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(os.Stdout.Fd()))
}

// formats are the words of --format.
var formats = []string{"text", "json", "markdown", "windbg"}

// writeReport renders one report. JSON is indented unless it is one of several.
func writeReport(w io.Writer, r *report.Report, format string, opts render.Options, several bool) error {
	switch format {
	case "json":
		return render.JSON(w, r, opts.Lang, !several)
	case "markdown":
		return render.Markdown(w, r, opts)
	case "windbg":
		return render.WinDbg(w, r)
	}
	return render.Text(w, r, opts)
}

// session is a command at work on dumps: where it looks for symbols and where it prints.
type session struct {
	finder *symbols.Finder
	w      io.Writer
	opts   render.Options
	close  func() error // of the output; the finder is closed with it
}

// begin opens what the flags name.
func begin(cmd *cobra.Command, out *outputFlags, symbols *symbolFlags) (*session, error) {
	lang, err := out.language()
	if err != nil {
		return nil, err
	}
	finder, err := symbols.finder(nil)
	if err != nil {
		return nil, err
	}
	w, color, closeFile, err := out.open(cmd)
	if err != nil {
		finder.Close()
		return nil, err
	}
	s := &session{finder: finder, w: w, opts: render.Options{Lang: lang, Color: color}}
	s.close = func() error {
		finder.Close()
		if err := closeFile(); err != nil {
			return failed(err)
		}
		return nil
	}
	return s, nil
}

// textOrJSON checks the --format of commands that write no more than these two.
func textOrJSON(format string) error {
	if format != "text" && format != "json" {
		return fmt.Errorf("--format %q: the formats are text, json", format)
	}
	return nil
}
