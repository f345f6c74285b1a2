package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"bugcheck/internal/rules"
	"bugcheck/kernel"
	"bugcheck/render"
	"bugcheck/symbols"
	"bugcheck/timeline"
)

// batch analyses files in parallel and prints the results in their order.
type batch struct {
	files     []string
	several   bool
	out       io.Writer
	errs      io.Writer
	stdin     io.Reader
	finder    *symbols.Finder
	bars      *downloads
	rules     *rules.Set      // of the user
	reference *kernel.Machine // of the dump that code is compared with; nil: none
	logs      []*timeline.Log // of the machine, if they were given
	format    string
	opts      render.Options
	progress  bool // somebody sees standard error
	terminal  bool // and the results go to a terminal too

	lines  render.Lines
	noDump bool
}

// progressOn reports that somebody sees a progress bar.
func progressOn() bool { return term.IsTerminal(int(os.Stderr.Fd())) }

// window is how many finished files may wait for an earlier one, a worker: it
// bounds the reports that are held at once.
const window = 4

// run analyses all files. Memory does not grow with their number: a file's
// results are printed and dropped before the window moves on.
func (b *batch) run(parent context.Context) error {
	workers := runtime.GOMAXPROCS(0)
	results := make(chan chan []outcome, workers*window)
	slots := make(chan struct{}, workers)
	ctx, stop := context.WithCancel(parent)
	defer stop()
	go func() {
		defer close(results)
		for _, name := range b.files {
			result := make(chan []outcome, 1)
			select {
			case results <- result:
			case <-ctx.Done():
				return
			}
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				var list []outcome
				b.analyzeFile(ctx, name, func(o outcome) { list = append(list, o) })
				result <- list
			}()
		}
	}()
	err := b.print(results)
	if cause := context.Cause(parent); cause != nil {
		return failed(fmt.Errorf("stopped: %w", cause))
	}
	return err
}

func (b *batch) print(results <-chan chan []outcome) error {
	step, finish := b.bar()
	err := b.printAll(results, step)
	finish()
	if err != nil {
		return failed(err)
	}
	if b.several && b.format == "text" {
		if err := b.lines.Summary(b.out, b.opts); err != nil {
			return failed(err)
		}
	}
	if b.noDump {
		return &exitError{status: exitNoDump}
	}
	return nil
}

func (b *batch) printAll(results <-chan chan []outcome, step func()) error {
	for result := range results {
		list := <-result
		b.bars.finish()
		b.several = b.several || len(list) > 1 // an archive may hold several dumps
		for _, o := range list {
			if err := b.one(o); err != nil {
				return err
			}
		}
		step()
	}
	return nil
}

// bar shows progress over several files on a terminal: what to call after each
// file and at the end. While it stands, what is printed goes above it.
func (b *batch) bar() (step, finish func()) {
	if !b.progress || !b.several {
		return func() {}, func() {}
	}
	p := mpb.New(mpb.WithOutput(b.errs), mpb.WithWidth(40))
	bar := p.AddBar(int64(len(b.files)), mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.CountersNoUnit("%d / %d")))
	out, errs := b.out, b.errs
	b.errs = p
	if b.terminal {
		b.out = p
	}
	return func() { bar.Increment() }, func() {
		bar.Abort(true)
		p.Wait()
		b.out, b.errs = out, errs
	}
}

// one prints the result of one dump.
func (b *batch) one(o outcome) error {
	if o.err != nil {
		b.noDump = true
		b.lines.NotOpened()
		_, err := fmt.Fprintf(b.errs, "bugcheck: %s: %v\n", render.Printable(o.name), render.Printable(o.err.Error()))
		return err
	}
	if len(b.logs) > 0 {
		o.report.Incident = timeline.Of(b.logs, o.report, b.opts.Lang)
	}
	b.rules.Apply(o.report, b.opts.Lang)
	if o.report.Dump.Truncated {
		fmt.Fprintf(b.errs, "bugcheck: %s: the dump is cut off; what is left of it was analysed\n", render.Printable(o.name))
	}
	if b.several && b.format == "text" {
		return b.lines.Add(b.out, o.report, b.opts)
	}
	return writeReport(b.out, o.report, b.format, b.opts, b.several)
}
