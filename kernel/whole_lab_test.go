package kernel_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/mem"

	"github.com/google/go-cmp/cmp"
)

// sparse is a file in memory whose holes cost nothing.
type sparse struct {
	pages map[int64]*[0x1000]byte
	size  int64
}

func (s *sparse) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at := off + int64(done)
		page := s.pages[at>>12]
		if page == nil {
			page = &[0x1000]byte{}
			s.pages[at>>12] = page
		}
		done += copy(page[at&0xfff:], p[done:])
	}
	s.size = max(s.size, off+int64(done))
	return done, nil
}

func (s *sparse) Truncate(size int64) error {
	s.size = max(s.size, size)
	return nil
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off+int64(done) < s.size {
		at := off + int64(done)
		n := int(min(int64(len(p)-done), 0x1000-at&0xfff, s.size-at))
		if page := s.pages[at>>12]; page != nil {
			copy(p[done:done+n], page[at&0xfff:])
		} else {
			clear(p[done : done+n])
		}
		done += n
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// plans are the lab's machines.
var plans = []lab.Plan{
	{Arch: "x64", Build: 17763}, {Arch: "x64", Build: 19041}, {Arch: "x64", Build: 20348},
	{Arch: "x64", Build: 22621}, {Arch: "x64", Build: 26100}, {Arch: "arm64", Build: 22000}, {Arch: "arm64", Build: 26100},
}

func labSystem(tb testing.TB, p lab.Plan) *lab.System {
	tb.Helper()
	p.Memory = 1 << 30
	s, err := p.System()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// labDump is a machine of the lab's in a format.
func labDump(tb testing.TB, s *lab.System, format ram.Format) *dump.File {
	tb.Helper()
	b := &sparse{pages: map[int64]*[0x1000]byte{}}
	if err := s.Dump(b, format); err != nil {
		tb.Fatal(err)
	}
	f, err := dump.Open(b, b.size)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// The lab's machines are read as they were made, from full and from kernel dumps.
func TestLab_Whole(t *testing.T) {
	for _, p := range plans {
		s := labSystem(t, p)
		for _, format := range []ram.Format{ram.FullBitmap, ram.KernelBitmap} {
			t.Run(fmt.Sprintf("%s %d %v", p.Arch, p.Build, format), func(t *testing.T) {
				m := kernel.Open(labDump(t, s, format))
				if len(m.Notes) > 0 {
					t.Errorf("notes:\n%s", notes(m))
				}
				checkLabModules(t, s, m)
				checkLabProcesses(t, s, m, format == ram.FullBitmap)
				checkLabProcessors(t, s, m)
			})
		}
	}
}

// A kernel that no debugger is attached to, large pages, five levels of tables: the
// machine is the same.
func TestLab_WholeVariants(t *testing.T) {
	for _, p := range []lab.Plan{
		{Arch: "x64", Build: 19041, Encoded: true}, {Arch: "arm64", Build: 26100, Encoded: true},
		{Arch: "x64", Build: 22621, LargePages: true, Processors: 5}, {Arch: "x64", Build: 26100, Levels: 5},
	} {
		s := labSystem(t, p)
		m := kernel.Open(labDump(t, s, ram.ELF))
		checkLabModules(t, s, m)
		checkLabProcesses(t, s, m, true)
		checkLabProcessors(t, s, m)
		if got := strings.Contains(notes(m), "It was encoded"); got != p.Encoded {
			t.Errorf("%+v: notes:\n%s", p, notes(m))
		}
	}
}

func checkLabModules(t *testing.T, s *lab.System, m *kernel.Machine) {
	t.Helper()
	var got, want []string
	for _, mod := range m.Modules {
		if !mod.User {
			got = append(got, fmt.Sprintf("%s %s %v %x %x", mod.Name, mod.Path, mod.Base, mod.Size, mod.Timestamp))
		}
	}
	for _, mod := range s.Modules {
		want = append(want, fmt.Sprintf("%s %s %v %x %x", mod.Name, mod.Path, mem.VA(mod.Base), mod.Size, mod.Timestamp))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	got, want = nil, nil
	for _, u := range m.Unloaded {
		got = append(got, fmt.Sprint(u.Name, u.Start, u.End))
	}
	for _, u := range s.Unloaded {
		want = append(want, fmt.Sprint(u.Name, mem.VA(u.Start), mem.VA(u.End)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unloaded (-want +got):\n%s", diff)
	}
}

func checkLabProcesses(t *testing.T, s *lab.System, m *kernel.Machine, user bool) {
	t.Helper()
	list, err := m.Processes()
	if err != nil {
		t.Error(err)
	}
	var got, want []string
	for _, p := range list {
		line := ""
		if user {
			line = p.CommandLine
		}
		session := -1
		if p.Session != nil {
			session = int(*p.Session)
		}
		got = append(got, fmt.Sprintf("%v %s %s %d %d session %d handles %d threads %d created %v exited %v: %s", p.Address, p.Name, p.Path, *p.PID, *p.Parent,
			session, number(p.Handles), number(p.Threads), p.Created, !p.Exited.IsZero(), line))
		checkLabThreads(t, s, m, p)
	}
	for _, p := range s.Processes[1:] {
		line, session := "", p.Session
		if user && p.Exited.IsZero() {
			line = strings.TrimSpace(p.CommandLine)
		}
		want = append(want, fmt.Sprintf("%v %s %s %d %d session %d handles %d threads %d created %v exited %v: %s", mem.VA(p.Address), p.Name, p.Path, p.ID, p.Parent,
			session, p.Handles, len(p.Threads), p.Created, !p.Exited.IsZero(), line))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
}

// number is zero where none is known.
func number(n *uint32) uint32 {
	if n == nil {
		return 0
	}
	return *n
}

func checkLabThreads(t *testing.T, s *lab.System, m *kernel.Machine, p kernel.Process) {
	t.Helper()
	list, err := m.Threads(p)
	if err != nil {
		t.Error(err)
	}
	var made *lab.EProcess
	for _, e := range s.Processes {
		if mem.VA(e.Address) == p.Address {
			made = e
		}
	}
	if made == nil || len(made.Threads) != len(list) {
		t.Errorf("%s: %d threads", p.Name, len(list))
		return
	}
	for i, th := range list {
		w := made.Threads[i]
		if th.Address != mem.VA(w.Address) || *th.ID != uint64(w.ID) || uint8(th.State) != w.State || th.StackBase != mem.VA(w.StackBase) || th.Win32Start != mem.VA(w.Start) || th.Process != p.Address {
			t.Errorf("%s: thread %+v, want %+v", p.Name, th, w)
		}
	}
}

func checkLabProcessors(t *testing.T, s *lab.System, m *kernel.Machine) {
	t.Helper()
	list, err := m.Processors()
	if err != nil || len(list) != len(s.Processors) {
		t.Fatalf("%d processors, %v; want %d", len(list), err, len(s.Processors))
	}
	for i, p := range list {
		w := s.Processors[i]
		if p.Address != mem.VA(w.Address) || p.Thread != mem.VA(w.Thread.Address) || p.IdleThread != mem.VA(w.Idle.Address) || *p.IRQL != w.IRQL || p.Crashed != (w == s.Crashed) {
			t.Errorf("processor %+v, want %+v", p, w)
		}
	}
	th, ok := m.Thread()
	if !ok || th.Address != mem.VA(s.Crashed.Thread.Address) {
		t.Errorf("thread %v, want %#x", th.Address, s.Crashed.Thread.Address)
	}
	if proc, ok := m.Process(); !ok || !strings.EqualFold(proc.Name, s.Crashed.Thread.Process.Name) {
		t.Errorf("process %q, want %q", proc.Name, s.Crashed.Thread.Process.Name)
	}
}
