// Package labcheck holds the analysis against the fault lab: it writes a dump of
// an invented machine, analyses it, and says where the report is not what the
// lab knows to be true. Used by tests and by the command that makes the table in
// docs/lab.md.
package labcheck

import (
	"context"
	"fmt"
	"os"
	"strings"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/report"
	"bugcheck/symbols"
)

// Bench is a crashed machine with its symbols.
type Bench struct {
	Crash *lab.Crash
	store *symbols.Finder
}

// New plays a kind; dir takes the symbols.
func New(kind string, o lab.Options, dir string) (*Bench, error) {
	c, err := lab.Play(kind, o)
	if err != nil {
		return nil, err
	}
	store, err := os.MkdirTemp(dir, "symbols-")
	if err != nil {
		return nil, err
	}
	if err := c.WriteSymbols(store); err != nil {
		return nil, err
	}
	f, err := symbols.Open(symbols.Options{Path: store, Offline: true})
	if err != nil {
		return nil, err
	}
	return &Bench{Crash: c, store: f}, nil
}

// Close gives up what New opened.
func (b *Bench) Close() { b.store.Close() }

// Symbols finds the machine's symbol files and images, until Close.
func (b *Bench) Symbols() *symbols.Finder { return b.store }

// Dump writes a dump of a kind.
func (b *Bench) Dump(kind string) (*File, error) {
	file := &File{}
	return file, b.Crash.Write(file, kind)
}

// Report writes a dump of a kind and analyses it, with the machine's symbols or
// without.
func (b *Bench) Report(kind string, withSymbols bool) (*report.Report, error) {
	file, err := b.Dump(kind)
	if err != nil {
		return nil, err
	}
	d, err := dump.Open(file, file.Size())
	if err != nil {
		return nil, err
	}
	var finder *symbols.Finder
	if withSymbols {
		finder = b.store
	}
	return analyze.Report(kernel.OpenWith(context.Background(), d, finder), "lab.dmp", "test"), nil
}

// Compare lists where a report of a dump of a kind differs from the truth.
func Compare(t lab.Truth, r *report.Report, kind string, withSymbols bool) []string {
	c := &comparison{}
	whole := kind != "small"
	if r.Bugcheck == nil {
		return []string{"no stop code"}
	}
	c.equal("bugcheck.code", r.Bugcheck.Code.String(), t.Bugcheck.Code)
	for i, p := range t.Bugcheck.Parameters {
		c.equal(fmt.Sprintf("bugcheck.parameters[%d]", i), r.Bugcheck.Parameters[i].Value.String(), p)
	}
	if r.Process == nil {
		c.add("process", "none", t.Process.Name)
	} else {
		c.equal("process.name", r.Process.Name, t.Process.Name)
		if r.Process.PID != nil && *r.Process.PID != t.Process.PID {
			c.add("process.pid", fmt.Sprint(*r.Process.PID), fmt.Sprint(t.Process.PID))
		}
	}
	if t.IRQL != nil && r.IRQL != nil && *r.IRQL != *t.IRQL {
		c.add("irql", fmt.Sprint(*r.IRQL), fmt.Sprint(*t.IRQL))
	}
	if !Undecided(r, kind, withSymbols) {
		c.verdict(&t.Verdict, &r.Verdict, whole)
	}
	if whole || withSymbols { // a small dump holds no unwind data
		c.stack(t.Stack, r.Stack, withSymbols, kind)
	}
	return c.wrong
}

// Undecided reports that the report of a small dump says honestly that it cannot
// tell: such a dump has no unwind data, and without the images of a symbol path the
// callers are guesses.
func Undecided(r *report.Report, kind string, withSymbols bool) bool {
	return kind == "small" && !withSymbols && r.Verdict.Cause == report.CauseUnknown && r.Verdict.Confidence == report.Low
}

// comparison gathers differences.
type comparison struct{ wrong []string }

func (c *comparison) add(what, got, want string) {
	c.wrong = append(c.wrong, fmt.Sprintf("%s: got %s, want %s", what, got, want))
}

func (c *comparison) equal(what, got, want string) {
	if !strings.EqualFold(got, want) {
		c.add(what, got, want)
	}
}

// verdict: where the culprit is not on the stack, no driver may be named in its
// place, and whole memory must point at it.
func (c *comparison) verdict(want *lab.TruthVerdict, got *report.Verdict, whole bool) {
	if want.Cause == "" {
		return
	}
	c.equal("verdict.cause", got.Cause, want.Cause)
	switch {
	case want.Image != "":
		c.equal("verdict.image", got.Image, want.Image)
	case got.Cause == report.CauseDriver:
		c.add("verdict.image", got.Image, "none")
	}
	if want.Bit != nil && (got.Bit == nil || *got.Bit != *want.Bit) {
		c.add("verdict.bit", bitWord(got.Bit), bitWord(want.Bit))
	}
	if want.Hint == "" || !whole {
		return
	}
	first := got.Image
	if len(got.Alternatives) > 0 && !strings.EqualFold(first, want.Hint) {
		first = got.Alternatives[0].Image
	}
	c.equal("verdict.alternatives[0].image", first, want.Hint)
}

func bitWord(bit *int) string {
	if bit == nil {
		return "none"
	}
	return fmt.Sprint(*bit)
}

// stack: the callers must be there one by one, none of them by scanning. Dumps
// without the programs' memory hold no frames of them.
func (c *comparison) stack(want []lab.TruthFrame, got []report.Frame, withSymbols bool, kind string) {
	var frames []report.Frame
	for _, f := range got {
		if !f.Inline {
			frames = append(frames, f)
		}
	}
	if len(want) == 0 {
		return
	}
	at := 0
	for at < len(frames) && frames[at].Address.String() != want[0].Address {
		at++
	}
	if at == len(frames) {
		c.add("stack", fmt.Sprintf("no frame at %s among %d", want[0].Address, len(frames)), want[0].Symbol)
		return
	}
	user := kind == "full" || kind == "active"
	for i, w := range want {
		if at+i == len(frames) {
			if !user && isUser(w.Address) {
				return
			}
			c.add(fmt.Sprintf("stack[%d]", i), "the end", w.Symbol)
			return
		}
		f := frames[at+i]
		if !user && isUser(f.Address.String()) {
			return // where the thread came from: the address alone
		}
		c.frame(i, w, f, withSymbols)
	}
}

func isUser(address string) bool { return len(address) < len("0xfffff80312a00000") }

func (c *comparison) frame(i int, want lab.TruthFrame, got report.Frame, withSymbols bool) {
	what := fmt.Sprintf("stack[%d] (%s)", i, want.Symbol)
	c.equal(what+".address", got.Address.String(), want.Address)
	c.equal(what+".stack_pointer", got.StackPointer.String(), want.StackPointer)
	if got.Trust == report.TrustScan {
		c.add(what+".trust", got.Trust, report.TrustUnwind)
	}
	if withSymbols && want.Symbol != "" {
		c.equal(what+".symbol", got.Symbol, want.Symbol)
	}
}
