package oracles

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/mem"

	"github.com/google/go-cmp/cmp"
)

// MemProcFS finds kernel, structures and processes of lab machines by what it knows of
// Windows alone, on ARM64 too, and translates 10,000 addresses of each as this module does.
func TestSystem_MemProcFS(t *testing.T) {
	tool(t, "venv/bin/python")
	for _, tt := range []struct {
		arch   string
		build  int
		format ram.Format
	}{
		{"x64", 17763, ram.Full}, {"x64", 19041, ram.ActiveBitmap}, {"x64", 22621, ram.FullBitmap}, {"x64", 26100, ram.ActiveBitmap},
		{"arm64", 26100, ram.FullBitmap}, // of 22000 it finds all offsets but VadRoot's, which it looks for below 0x7f0
	} {
		t.Run(fmt.Sprintf("%s/%d", tt.arch, tt.build), func(t *testing.T) {
			s, file := system(t, tt.arch, tt.build, tt.format, recognizable)
			f := open(t, file)
			questions, want := addressesOf(s)
			lines := oracle{name: "memprocfs", command: []string{"venv/bin/python", "procfs.py"}}.run(t, []string{file}, questions)
			at := max(0, len(lines)-len(want))
			compare(t, lines[at:], want)
			compare(t, answersOf(f.Space, s, questions), want)
			compareMachine(t, s, kernel.Open(f), lines[:at])
		})
	}
}

// recognizable adds what MemProcFS knows Windows by and the lab leaves out: a section
// POOLCODE of the kernel (it looks for the name in the headers), and EPROCESS.VadRoot, which
// follows ExitStatus (it looks for an address of the kernel's there).
func recognizable(t testing.TB, s *lab.System) {
	t.Helper()
	headers := make([]byte, ram.PageSize)
	check(t, s.Space.Read(s.Modules[0].Base, headers))
	if i := bytes.Index(headers, []byte("PAGEVRFY")); i >= 0 && !bytes.Contains(headers, []byte("POOLCODE")) {
		check(t, s.Space.Write(s.Modules[0].Base+uint64(i), []byte("POOLCODE")))
	}
	status, _ := s.Field("_EPROCESS", "ExitStatus")
	for _, p := range s.Processes {
		at := p.Address + status + 4
		if v, err := s.Word(at); err == nil && v == 0 {
			check(t, s.Space.Write(at, binary.LittleEndian.AppendUint64(nil, p.Address)))
		}
	}
}

// addressesOf asks for 10,000 addresses of some processes, mapped and not, with the lab's
// answers. Of the kernel's half only System has any: MemProcFS hides it from programs.
func addressesOf(s *lab.System) (questions, answers []string) {
	r := rand.New(rand.NewPCG(3, 10))
	last := s.Modules[len(s.Modules)-1]
	for _, name := range []string{"System", "explorer.exe", "notmyfault64.exe", "lsass.exe"} {
		p := s.Process(name)
		places := []struct{ va, size uint64 }{{0x7ff000000000, 0x1000000000}}
		if p.ID == 4 {
			places = append(places, []struct{ va, size uint64 }{
				{s.Modules[0].Base, 0x200000}, {p.Address &^ 0xfff, 0x80000}, {last.Base, 0x20000}}...)
		}
		for _, u := range p.UserImages {
			places = append(places, struct{ va, size uint64 }{u.Base - 0x4000, uint64(u.Size) + 0x8000})
		}
		for i := range 2500 {
			at := places[i%len(places)]
			va := at.va + r.Uint64N(at.size)&^0xf
			to, text := "-", "-"
			if pa, err := p.Space.Translate(va); err == nil {
				b := make([]byte, 16)
				_ = s.Memory.Read(pa, b)
				to, text = fmt.Sprintf("%#x", pa), hex.EncodeToString(b)
			}
			questions = append(questions, fmt.Sprintf("v %d %#x\n", p.ID, va))
			answers = append(answers, fmt.Sprintf("v %d %#x %s %s", p.ID, va, to, text))
		}
	}
	return questions, answers
}

// answersOf answers the same with this module's readers.
func answersOf(space func(mem.PA) *mem.Space, s *lab.System, questions []string) (lines []string) {
	roots := map[uint64]*mem.Space{}
	for _, p := range s.Processes {
		roots[uint64(p.ID)] = space(mem.PA(p.Space.Root()))
	}
	for _, q := range questions {
		var id, va uint64
		_, _ = fmt.Sscanf(q, "v %d %v", &id, &va)
		to, text := "-", "-"
		if pa, err := roots[id].Translate(mem.VA(va)); err == nil {
			to = fmt.Sprintf("%#x", uint64(pa))
		}
		if b, err := mem.Read(roots[id], mem.VA(va), 16); err == nil {
			text = hex.EncodeToString(b)
		}
		lines = append(lines, fmt.Sprintf("v %d %#x %s %s", id, va, to, text))
	}
	return lines
}

// compareMachine compares processes, command lines and modules.
func compareMachine(t *testing.T, s *lab.System, m *kernel.Machine, lines []string) {
	t.Helper()
	made, theirs, ours := map[string][]string{}, map[string][]string{}, map[string][]string{}
	for _, l := range lines {
		kind, rest, _ := strings.Cut(l, " ")
		var id, base uint64
		if n, _ := fmt.Sscanf(rest, "%d %v", &id, &base); kind == "module" && n == 2 && base>>63 != 0 && id != 4 {
			continue // csrss.exe and its like see the kernel's modules too
		}
		theirs[kind] = append(theirs[kind], rest)
	}
	add := func(to map[string][]string, kind, format string, a ...any) {
		to[kind] = append(to[kind], fmt.Sprintf(format, a...))
	}
	add(made, "build", "%d", s.Build)
	add(ours, "build", "%d", m.Header.Build)
	for _, p := range s.Processes[1:] {
		add(made, "process", "%d %d %#x %#x %s", p.ID, p.Parent, p.Address, p.Space.Root(), p.Name[:min(len(p.Name), 14)])
		if p.Exited.IsZero() && p.CommandLine != "" {
			add(made, "command", "%d %s", p.ID, strings.TrimSpace(p.CommandLine))
		}
		for _, u := range p.UserImages {
			add(made, "module", "%d %#x %#x %s", p.ID, u.Base, u.Size, u.Name)
		}
	}
	for _, d := range s.Modules {
		add(made, "module", "4 %#x %#x %s", d.Base, d.Size, d.Name)
	}
	list, err := m.Processes()
	check(t, err)
	for _, p := range list {
		add(ours, "process", "%d %d %#x %#x %s", *p.PID, *p.Parent, uint64(p.Address), uint64(p.DirectoryTable), p.Name[:min(len(p.Name), 14)])
		if p.CommandLine != "" {
			add(ours, "command", "%d %s", *p.PID, p.CommandLine)
		}
		if p.Exited.IsZero() {
			addModules(t, m, p, func(line string) { add(ours, "module", "%s", line) })
		}
	}
	for _, kind := range []string{"build", "process", "command", "module"} {
		for _, l := range []map[string][]string{made, theirs, ours} {
			slices.Sort(l[kind])
		}
		if diff := cmp.Diff(made[kind], theirs[kind]); diff != "" {
			t.Errorf("%s: the lab (-), MemProcFS (+):\n%s", kind, diff)
		}
		if diff := cmp.Diff(made[kind], ours[kind]); diff != "" {
			t.Errorf("%s: the lab (-), this module (+):\n%s", kind, diff)
		}
	}
}

// addModules lists the modules of a process, those of the kernel with the System process.
func addModules(t *testing.T, m *kernel.Machine, p kernel.Process, add func(string)) {
	t.Helper()
	own := m
	if *p.PID != 4 {
		var err error
		own, err = m.As(p)
		check(t, err)
	}
	for _, d := range own.Modules {
		if d.User == (*p.PID != 4) {
			add(fmt.Sprintf("%d %#x %#x %s", *p.PID, uint64(d.Base), d.Size, d.Name))
		}
	}
}
