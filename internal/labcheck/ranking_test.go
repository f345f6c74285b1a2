package labcheck_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/labcheck"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/report"
)

// behind says who is behind the faults whose stack does not convict him: he must be
// named, or be the first of the alternatives.
var behind = map[string]string{
	"buffer-overflow": "myfault.sys",
	"code-overwrite":  "myfault.sys",
	"stack-trash":     "myfault.sys",
	"high-irql-user":  "myfault.sys",
	"double-free":     "myfault.sys",
	"hang-irp":        "myfault.sys",
	"hang-dpc":        "myfault.sys",
	"leak-paged":      "myfault.sys",
	"leak-nonpaged":   "myfault.sys",
	"power-irp":       "labusb.sys",
	"dpc-watchdog":    "labnet.sys",
	"clock-watchdog":  "labnet.sys",
	"display-timeout": "labdisp.sys",
}

// first is the driver that a verdict puts first, and what speaks for it.
func first(v *report.Verdict) (image, why string) {
	if v.Cause == report.CauseDriver {
		return v.Image, v.Summary.String()
	}
	if len(v.Alternatives) == 0 {
		return "", ""
	}
	return v.Alternatives[0].Image, v.Alternatives[0].Why.String()
}

// In dumps of the whole memory the right driver ranks first, with a reason, and the steps
// say what to do about it.
func TestRanking(t *testing.T) {
	for _, k := range lab.Kinds() {
		if c, err := lab.Play(k.Name, lab.Options{Arch: "x64", Build: 26100}); err != nil || c.Truth.Verdict.Hint != "" && behind[k.Name] == "" {
			t.Errorf("%s: who is behind it is not told here (%v)", k.Name, err)
		}
	}
	list := builds
	if testing.Short() {
		list = builds[1:2]
	}
	for kind, want := range behind {
		for _, o := range list {
			t.Run(fmt.Sprintf("%s %s %d", kind, o.Arch, o.Build), func(t *testing.T) { checkRanking(t, kind, want, o) })
		}
	}
}

func checkRanking(t *testing.T, kind, want string, o lab.Options) {
	b, err := labcheck.New(kind, o, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, d := range []string{"full", "kernel", "active"} {
		for _, symbols := range []bool{false, true} {
			r, err := b.Report(d, symbols)
			if err != nil {
				t.Fatal(err)
			}
			v := &r.Verdict
			if image, why := first(v); !strings.EqualFold(image, want) || why == "" {
				t.Errorf("%s, symbols %v: %s (%q) is first, not %s: %v", d, symbols, image, why, want, v.Alternatives)
			}
			if steps := fmt.Sprint(v.NextSteps); !strings.Contains(strings.ToLower(steps), want) {
				t.Errorf("%s, symbols %v: no step about %s: %s", d, symbols, want, steps)
			}
		}
	}
}

// reportOf analyses a kernel dump of a machine that was changed after its crash was played.
func reportOf(t *testing.T, c *lab.Crash) *report.Report {
	t.Helper()
	file := &labcheck.File{}
	if err := c.Write(file, "kernel"); err != nil {
		t.Fatal(err)
	}
	d, err := dump.Open(file, file.Size())
	if err != nil {
		t.Fatal(err)
	}
	return analyze.Report(kernel.Open(d), "", "")
}

// A driver that keeps requests by design sets a routine that cancels them: though it has
// kept one for longer, it ranks behind the driver that did not; who does not give up what
// was cancelled ranks first.
func TestRanking_Requests(t *testing.T) {
	const cancel, cancelRoutine = 0x44, 0x68 // of the IRP
	for _, o := range builds {
		for _, tt := range []struct {
			name  string
			give  func(t *testing.T, s *lab.System, irp uint64)
			first string
		}{
			{"can be cancelled", func(t *testing.T, s *lab.System, irp uint64) {
				word(t, s, irp+cancelRoutine, s.Driver("labnet").Module.Entry)
			}, "myfault.sys"},
			{"cannot be cancelled", func(*testing.T, *lab.System, uint64) {}, "labnet.sys"},
			{"was cancelled", func(t *testing.T, s *lab.System, irp uint64) {
				if err := s.Space.Write(irp+cancel, []byte{1}); err != nil {
					t.Fatal(err)
				}
			}, "labnet.sys"},
		} {
			t.Run(fmt.Sprintf("%s %d %s", o.Arch, o.Build, tt.name), func(t *testing.T) {
				c := played(t, "hang-irp", o)
				s := c.System
				thread := s.Process("services.exe").Threads[0]
				event, err := s.Event()
				if err != nil {
					t.Fatal(err)
				}
				irp, err := s.AddIRP(s.Driver("labnet").Devices[0], lab.Request{Major: 14, IOCTL: 0x170002, Thread: thread, User: true})
				if err != nil {
					t.Fatal(err)
				}
				tt.give(t, s, irp)
				if err := s.Wait(thread, event, 0); err != nil {
					t.Fatal(err)
				}
				if err := s.Set(thread.Address, "_KTHREAD", "WaitTime", 4, 1); err != nil { // since Windows started
					t.Fatal(err)
				}
				v := reportOf(t, c).Verdict
				if len(v.Alternatives) != 2 || v.Alternatives[0].Image != tt.first {
					t.Errorf("%v", v.Alternatives)
				}
			})
		}
	}
}

// A ring of threads that wait for each other's locks is told, link by link.
func TestDeadlock(t *testing.T) {
	for _, o := range builds {
		t.Run(fmt.Sprintf("%s %d", o.Arch, o.Build), func(t *testing.T) {
			c := played(t, "hang-irp", o)
			s := c.System
			first, second := s.Process("System").Threads[1], s.Process("services.exe").Threads[0]
			a, b := s.Resource("LabA"), s.Resource("LabB")
			facts := func() string { return fmt.Sprint(reportOf(t, c).Verdict.Evidence) }
			for _, err := range []error{s.Acquire(a, first, false), s.Acquire(b, second, false), s.WaitForResource(a, second, false)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := facts(); strings.Contains(got, "deadlock") {
				t.Errorf("one waits for the other, who waits for nobody: %s", got)
			}
			if err := s.WaitForResource(b, first, true); err != nil {
				t.Fatal(err)
			}
			got := facts()
			for _, want := range []string{
				"Threads that wait for locks of each other in a ring (a deadlock): 2.",
				fmt.Sprintf("Thread %d of System waits for the lock (ERESOURCE) at 0x%x, which thread %d of services.exe has.", first.ID, b, second.ID),
				fmt.Sprintf("Thread %d of services.exe waits for the lock (ERESOURCE) at 0x%x, which thread %d of System has.", second.ID, a, first.ID),
			} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %s", want, got)
				}
			}
		})
	}
}

func played(t *testing.T, kind string, o lab.Options) *lab.Crash {
	t.Helper()
	c, err := lab.Play(kind, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func word(t *testing.T, s *lab.System, va, value uint64) {
	t.Helper()
	if err := s.Space.Write(va, binary.LittleEndian.AppendUint64(nil, value)); err != nil {
		t.Fatal(err)
	}
}

// Which drivers verifier watched is told, and no step asks for what it did already.
func TestWatched(t *testing.T) {
	const flags, verifying = 0x68, 0x4b104000 // of the driver's entry in the list of loaded drivers
	for _, o := range builds {
		t.Run(fmt.Sprintf("%s %d", o.Arch, o.Build), func(t *testing.T) {
			c := played(t, "fast-fail", o)
			before := reportOf(t, c).Verdict
			if steps := fmt.Sprint(before.NextSteps); !strings.Contains(steps, "verifier /standard /driver labflt.sys") || strings.Contains(fmt.Sprint(before.Evidence), "Driver verifier") {
				t.Errorf("watched by nobody: %s; %v", steps, before.Evidence)
			}
			for _, name := range []string{"labusb.sys", "labflt.sys"} {
				if err := c.Space.Write(c.Module(name).Entry+flags, binary.LittleEndian.AppendUint32(nil, verifying)); err != nil {
					t.Fatal(err)
				}
			}
			after := reportOf(t, c).Verdict
			if facts := fmt.Sprint(after.Evidence); !strings.Contains(facts, "Driver verifier") || !strings.Contains(facts, "labflt.sys") || !strings.Contains(facts, "labusb.sys") {
				t.Errorf("%s", facts)
			}
			if steps := fmt.Sprint(after.NextSteps); strings.Contains(steps, "verifier /standard") {
				t.Errorf("%s", steps)
			}
		})
	}
}

// A request that a driver of Windows has points at the driver from outside Windows on the
// same device, behind those that have a request themselves.
func TestRanking_Filters(t *testing.T) {
	for _, o := range builds {
		t.Run(fmt.Sprintf("%s %d", o.Arch, o.Build), func(t *testing.T) {
			c := played(t, "hang-irp", o)
			s := c.System
			thread := s.Process("services.exe").Threads[0]
			event, err := s.Event()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.AddIRP(s.Driver("labusb").Devices[0], lab.Request{Major: 22, Minor: 2, Thread: thread, Current: 1}); err != nil {
				t.Fatal(err)
			}
			if err := s.Wait(thread, event, 0); err != nil {
				t.Fatal(err)
			}
			if err := s.Set(thread.Address, "_KTHREAD", "WaitTime", 4, 1); err != nil {
				t.Fatal(err)
			}
			v := reportOf(t, c).Verdict
			if len(v.Alternatives) != 2 || v.Alternatives[0].Image != "myfault.sys" || v.Alternatives[1].Image != "labusb.sys" {
				t.Errorf("%v", v.Alternatives)
			}
			if facts := fmt.Sprint(v.Evidence); !strings.Contains(facts, "USBXHCI.SYS is part of Windows; drivers from outside Windows on the same device: labusb.sys.") {
				t.Error(facts)
			}
		})
	}
}
