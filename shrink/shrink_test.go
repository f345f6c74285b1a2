package shrink_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/labcheck"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/mem"
	"bugcheck/report"
	"bugcheck/shrink"
)

// open writes a lab dump of a kind and opens it.
func open(t *testing.T, c *lab.Crash, kind string) *dump.File {
	t.Helper()
	file := &labcheck.File{}
	if err := c.Write(file, kind); err != nil {
		t.Fatal(err)
	}
	d, err := dump.Open(file, file.Size())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// small shrinks a dump and opens what came of it.
func small(t *testing.T, d *dump.File, o shrink.Options) (*dump.File, shrink.Kept) {
	t.Helper()
	var b bytes.Buffer
	kept, err := shrink.Write(&b, d, o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := dump.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f, kept
}

// outcome is what a small dump must give like the large one.
func outcome(r *report.Report) any {
	type frame struct{ Address, SP report.Hex }
	var frames []frame
	for _, f := range r.Stack {
		if uint64(f.Address)>>63 == 0 { // a program's: not kept
			break
		}
		frames = append(frames, frame{f.Address, f.StackPointer})
	}
	var alternatives []string
	for _, a := range r.Verdict.Alternatives {
		alternatives = append(alternatives, a.Image)
	}
	return map[string]any{
		"code": r.Bugcheck.Code, "parameters": len(r.Bugcheck.Parameters), "irql": r.IRQL,
		"cause": r.Verdict.Cause, "image": r.Verdict.Image, "confidence": r.Verdict.Confidence,
		"bucket": r.Verdict.Bucket, "summary": r.Verdict.Summary.String(), "alternatives": alternatives, "stack": frames,
	}
}

// The small dump of every kind has the verdict of the large one, and its stack.
func TestWrite_SameVerdict(t *testing.T) {
	for _, o := range []lab.Options{{Arch: "x64", Build: 26100}, {Arch: "x64", Build: 17763}, {Arch: "arm64", Build: 26100}} {
		for _, k := range lab.Kinds() {
			t.Run(o.Arch+" "+k.Name, func(t *testing.T) {
				c, err := lab.Play(k.Name, o)
				if err != nil {
					t.Fatal(err)
				}
				d := open(t, c, "kernel")
				f, kept := small(t, d, shrink.Options{})
				want := analyze.Report(kernel.Open(d), "", "")
				got := analyze.Report(kernel.Open(f), "", "")
				if diff := cmp.Diff(outcome(want), outcome(got)); diff != "" {
					t.Errorf("(-large +small):\n%s", diff)
				}
				if f.Kind != dump.Triage || len(f.Notes) > 0 || kept.Memory > 4<<20 {
					t.Errorf("kind %s, notes %v, %v", f.Kind, f.Notes, kept)
				}
			})
		}
	}
}

// Modules of the program that was at work are told from drivers after it as before.
func TestWrite_SameVerdict_Program(t *testing.T) {
	c, err := lab.Play("high-irql-user", lab.Options{Arch: "x64", Build: 17763})
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, c, "full")
	f, _ := small(t, d, shrink.Options{})
	want, got := analyze.Report(kernel.Open(d), "", ""), analyze.Report(kernel.Open(f), "", "")
	if diff := cmp.Diff(outcome(want), outcome(got)); diff != "" {
		t.Errorf("(-large +small):\n%s", diff)
	}
	if len(want.Modules) != len(got.Modules) {
		t.Errorf("%d drivers, of %d before", len(got.Modules), len(want.Modules))
	}
}

// Nothing that belongs to programs is kept, even of a dump that holds it.
func TestWrite_NoUserMemory(t *testing.T) {
	c, err := lab.Play("high-irql-kernel", lab.Options{Arch: "x64", Build: 19041})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := small(t, open(t, c, "full"), shrink.Options{Stacks: true})
	for _, r := range f.Runs {
		if r.Address>>63 == 0 {
			t.Errorf("%d bytes at %v are a program's", r.Size, r.Address)
		}
	}
}

func TestWrite_KeepStacks(t *testing.T) {
	c, err := lab.Play("hang-irp", lab.Options{Arch: "x64", Build: 19041})
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, c, "kernel")
	threads := 0
	for _, p := range c.Processes {
		threads += len(p.Threads)
	}
	f, kept := small(t, d, shrink.Options{Stacks: true})
	if kept.Stacks < threads/2 || kept.Stacks > threads {
		t.Errorf("%d stacks are kept, of %d threads", kept.Stacks, threads)
	}
	waiting := c.Process("notmyfault64.exe").Threads[0]
	b := make([]byte, 64)
	if n, err := f.Memory.ReadAt(b, mem.VA(waiting.KernelStack)); n < len(b) {
		t.Errorf("the stack of a waiting thread: %d bytes, %v", n, err)
	}
}

func TestWrite_Refuses(t *testing.T) {
	c, err := lab.Play("breakpoint", lab.Options{Arch: "x64", Build: 19041})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := shrink.Write(&b, open(t, c, "small"), shrink.Options{}); err == nil || !strings.Contains(err.Error(), "small dump already") || b.Len() > 0 {
		t.Errorf("of a small dump: %v, %d bytes", err, b.Len())
	}
}
