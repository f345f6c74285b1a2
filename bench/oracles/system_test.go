package oracles

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"

	"github.com/google/go-cmp/cmp"
)

// system makes a whole machine that crashed, lets change work on it, and dumps it.
func system(t testing.TB, arch string, build int, format ram.Format, change ...func(testing.TB, *lab.System)) (*lab.System, string) {
	t.Helper()
	s, err := lab.NewSystem(arch, build, 1<<30)
	check(t, err)
	check(t, s.SetBugCheck(0xd1, [4]uint64{0xffffb30c45bad000, 2, 0, s.Modules[len(s.Modules)-1].Base + 0x1981}, "myfault.sys"))
	for _, f := range change {
		f(t, s)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), fmt.Sprintf("%s-%d.dmp", arch, build)))
	check(t, err)
	defer f.Close()
	check(t, s.Dump(f, format))
	return s, f.Name()
}

// row is a row of an answer of volatility3, by the names of its columns.
type row map[string]any

// number is a cell of a row; what is absent is 0.
func (r row) number(column string) uint64 {
	n, _ := r[column].(json.Number)
	v, _ := n.Int64()
	return uint64(v)
}

// forensics runs plugins of volatility3 on a dump, with the symbol file of its kernel.
func forensics(t *testing.T, s *lab.System, dump string, plugins ...string) map[string][]row {
	t.Helper()
	dir := t.TempDir()
	pdb := filepath.Join(dir, s.Modules[0].Image.PDBName)
	check(t, os.WriteFile(pdb, s.Modules[0].Image.PDB, 0o600))
	python := func(script string, args ...string) []string {
		return oracle{name: script, command: []string{"venv/bin/python", script}}.run(t, args, nil)
	}
	python("isf.py", pdb, dir)
	rows := map[string][]row{}
	for _, line := range python("forensics.py", append([]string{dump, dir}, plugins...)...) {
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var r row
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		name := r["plugin"].(string)
		rows[name] = append(rows[name], r)
	}
	return rows
}

// facts of the machine, a line each, as the lab made it (made), as volatility3 reads it
// (theirs) and as this module does (ours).
type facts struct{ made, theirs, ours []string }

func (f facts) compare(t *testing.T, what string) {
	t.Helper()
	if len(f.made) == 0 {
		t.Fatalf("%s: the lab made none", what)
	}
	for _, l := range [][]string{f.made, f.theirs, f.ours} {
		slices.Sort(l)
	}
	if diff := cmp.Diff(f.made, f.theirs); diff != "" {
		t.Errorf("%s: the lab (-), volatility3 (+):\n%s", what, diff)
	}
	if diff := cmp.Diff(f.made, f.ours); diff != "" {
		t.Errorf("%s: the lab (-), this module (+):\n%s", what, diff)
	}
}

// short cuts an address to the 48 bits that volatility3 prints.
func short(va uint64) uint64 { return va & (1<<48 - 1) }

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// volatility3 finds the kernel of a lab machine by its own means, and with the types of the
// kernel's symbol file reads the same processes, threads and modules as this module.
func TestSystem_Volatility(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute, and nothing for the race detector")
	}
	tool(t, "venv/bin/python")
	plugins := []string{"windows.info.Info", "windows.crashinfo.Crashinfo", "windows.pslist.PsList", "windows.modules.Modules",
		"windows.threads.Threads", "windows.unloadedmodules.UnloadedModules", "windows.kpcrs.KPCRs"}
	for _, build := range []int{19041, 26100} {
		t.Run(fmt.Sprint(build), func(t *testing.T) {
			s, dump := system(t, "x64", build, ram.ActiveBitmap)
			own := plugins
			if build != 26100 { // whose symbol file has no PEB
				own = append(slices.Clone(plugins), "windows.cmdline.CmdLine", "windows.dlllist.DllList", "windows.psscan.PsScan",
					"windows.thrdscan.ThrdScan", "windows.handles.Handles")
			}
			rows := forensics(t, s, dump, own...)
			m := kernel.Open(open(t, dump))
			compareInfo(t, s, rows)
			compareProcesses(t, s, rows, m)
			compareModules(t, s, rows, m)
			if rows["windows.dlllist.DllList"] != nil {
				compareLibraries(t, s, rows, m)
				compareScans(t, s, rows)
			}
		})
	}
}

// compareInfo holds what volatility3 says of the whole against the lab.
func compareInfo(t *testing.T, s *lab.System, rows map[string][]row) {
	t.Helper()
	info := map[string]string{}
	for _, r := range rows["windows.info.Info"] {
		info[fmt.Sprint(r["Variable"])] = fmt.Sprint(r["Value"])
	}
	for name, want := range map[string]string{
		"Kernel Base": fmt.Sprintf("%#x", short(s.Modules[0].Base)), "DTB": fmt.Sprintf("%#x", s.Space.Root()),
		"Major/Minor": fmt.Sprintf("15.%d", s.Build), "KeNumberProcessors": fmt.Sprint(s.Plan.Processors), "MachineType": "34404",
		"SystemTime":          s.Time.Format("2006-01-02 15:04:05-07:00"),
		"KdDebuggerDataBlock": fmt.Sprintf("%#x", short(s.Symbol("KdDebuggerDataBlock"))),
	} {
		if info[name] != want {
			t.Errorf("info, %s: volatility3 %q, the lab %q", name, info[name], want)
		}
	}
	crash := rows["windows.crashinfo.Crashinfo"]
	if len(crash) != 1 {
		t.Fatalf("crashinfo: %d rows", len(crash))
	}
	for name, want := range map[string]uint64{
		"MinorVersion": uint64(s.Build), "NumberProcessors": uint64(s.Plan.Processors), "SystemTime": uint64(s.Time.Unix()),
		"PsActiveProcessHead": s.Symbol("PsActiveProcessHead"), "PsLoadedModuleList": s.Symbol("PsLoadedModuleList"),
		"KdDebuggerDataBlock": s.Symbol("KdDebuggerDataBlock"), "DirectoryTableBase": s.Crashed.Thread.Process.Space.Root(),
	} {
		if v := fmt.Sprint(crash[0][name]); v != fmt.Sprint(want) {
			t.Errorf("crashinfo, %s: volatility3 %s, the lab %d", name, v, want)
		}
	}
	var processors []uint64
	for _, r := range rows["windows.kpcrs.KPCRs"] {
		processors = append(processors, r.number("PRCB Offset"))
	}
	var want []uint64
	for _, p := range s.Processors {
		want = append(want, short(p.Address))
	}
	if !slices.Equal(processors, want) {
		t.Errorf("processors: volatility3 %#x, the lab %#x", processors, want)
	}
}

// compareProcesses compares processes with their command lines, and threads.
func compareProcesses(t *testing.T, s *lab.System, rows map[string][]row, m *kernel.Machine) {
	t.Helper()
	var processes, commands, threads facts
	ended := map[uint64]bool{}
	line := func(address, id, parent uint64, name string, threads, session int, created, exited int64) string {
		return fmt.Sprintf("%x: %d %d %s threads %d session %d from %d to %d", short(address), id, parent, name[:min(len(name), 14)],
			threads, session, created, exited)
	}
	for _, p := range s.Processes[1:] { // the idle process is on no list
		processes.made = append(processes.made, line(p.Address, uint64(p.ID), uint64(p.Parent), p.Name, len(p.Threads), p.Session, unix(p.Created), unix(p.Exited)))
		if p.Exited.IsZero() { // one that ended has no user memory any more
			commands.made = append(commands.made, fmt.Sprintf("%d %s", p.ID, strings.TrimSpace(p.CommandLine)))
		}
		for _, h := range p.Threads {
			threads.made = append(threads.made, fmt.Sprintf("%d %d %x start %x", p.ID, h.ID, short(h.Address), short(h.Start)))
		}
	}
	for _, r := range rows["windows.pslist.PsList"] {
		ended[r.number("PID")] = r["ExitTime"] != nil
		session := -1
		if r["SessionId"] != nil {
			session = int(r.number("SessionId"))
		}
		processes.theirs = append(processes.theirs, line(r.number("Offset(V)"), r.number("PID"), r.number("PPID"), fmt.Sprint(r["ImageFileName"]),
			int(r.number("Threads")), session, int64(r.number("CreateTime")), int64(r.number("ExitTime"))))
	}
	for _, r := range rows["windows.cmdline.CmdLine"] {
		text, _ := r["Args"].(string)
		if !ended[r.number("PID")] {
			commands.theirs = append(commands.theirs, fmt.Sprintf("%d %s", r.number("PID"), strings.TrimSpace(text)))
		}
	}
	for _, r := range rows["windows.threads.Threads"] {
		threads.theirs = append(threads.theirs, fmt.Sprintf("%d %d %x start %x", r.number("PID"), r.number("TID"), r.number("Offset"), r.number("Win32StartAddress")))
	}
	list, err := m.Processes()
	check(t, err)
	for _, p := range list {
		session := -1
		if p.Session != nil {
			session = int(*p.Session)
		}
		processes.ours = append(processes.ours, line(uint64(p.Address), *p.PID, *p.Parent, p.Name, int(*p.Threads), session, unix(p.Created), unix(p.Exited)))
		if p.Exited.IsZero() {
			commands.ours = append(commands.ours, fmt.Sprintf("%d %s", *p.PID, p.CommandLine))
		}
		own, err := m.Threads(p)
		check(t, err)
		for _, h := range own {
			threads.ours = append(threads.ours, fmt.Sprintf("%d %d %x start %x", *p.PID, *h.ID, short(uint64(h.Address)), short(uint64(h.Win32Start))))
		}
	}
	processes.compare(t, "processes")
	if rows["windows.cmdline.CmdLine"] != nil {
		commands.compare(t, "command lines")
	}
	threads.compare(t, "threads")
}

// compareScans holds what volatility3 finds by the headers of pool and objects, and behind
// handles, against the lab.
func compareScans(t *testing.T, s *lab.System, rows map[string][]row) {
	t.Helper()
	made, found := map[string][]string{}, map[string][]string{}
	line := func(pid, address uint64) string { return fmt.Sprintf("%d %x", pid, short(address)) }
	for _, p := range s.Processes[1:] {
		made["processes"] = append(made["processes"], line(uint64(p.ID), p.Address))
		for _, h := range p.Threads {
			made["threads"] = append(made["threads"], line(uint64(p.ID), h.Address))
		}
	}
	for _, r := range rows["windows.psscan.PsScan"] {
		found["processes"] = append(found["processes"], line(r.number("PID"), r.number("Offset(V)")))
	}
	for _, r := range rows["windows.thrdscan.ThrdScan"] {
		found["threads"] = append(found["threads"], line(r.number("PID"), r.number("Offset")))
	}
	for kind, want := range made {
		slices.Sort(want)
		slices.Sort(found[kind])
		if diff := cmp.Diff(want, found[kind]); diff != "" {
			t.Errorf("%s in pool: the lab (-), volatility3 (+):\n%s", kind, diff)
		}
	}
	handles := 0
	for _, r := range rows["windows.handles.Handles"] {
		if r["Type"] != "Thread" {
			continue
		}
		if handles++; !slices.Contains(made["threads"], line(r.number("PID"), r.number("Offset"))) {
			t.Errorf("handle %#x of process %d: volatility3 finds a thread at %x, the lab has none there",
				r.number("HandleValue"), r.number("PID"), r.number("Offset"))
		}
	}
	if handles == 0 {
		t.Error("volatility3 finds no handle of a thread")
	}
}

// compareModules compares the kernel's modules, loaded and unloaded.
func compareModules(t *testing.T, s *lab.System, rows map[string][]row, m *kernel.Machine) {
	t.Helper()
	var loaded, unloaded facts
	line := func(base, size uint64, name string) string { return fmt.Sprintf("%x %x %s", short(base), size, name) }
	for _, d := range s.Modules {
		loaded.made = append(loaded.made, line(d.Base, uint64(d.Size), d.Name))
	}
	for _, d := range s.Unloaded {
		unloaded.made = append(unloaded.made, line(d.Start, d.End-d.Start, d.Name))
	}
	for _, r := range rows["windows.modules.Modules"] {
		loaded.theirs = append(loaded.theirs, line(r.number("Base"), r.number("Size"), fmt.Sprint(r["Name"])))
	}
	for _, r := range rows["windows.unloadedmodules.UnloadedModules"] {
		start := r.number("StartAddress")
		unloaded.theirs = append(unloaded.theirs, line(start, r.number("EndAddress")-start, fmt.Sprint(r["Name"])))
	}
	for _, d := range m.Modules {
		if !d.User {
			loaded.ours = append(loaded.ours, line(uint64(d.Base), d.Size, d.Name))
		}
	}
	for _, d := range m.Unloaded {
		unloaded.ours = append(unloaded.ours, line(uint64(d.Start), uint64(d.End-d.Start), d.Name))
	}
	loaded.compare(t, "modules")
	unloaded.compare(t, "unloaded modules")
}

// compareLibraries compares the modules of all programs.
func compareLibraries(t *testing.T, s *lab.System, rows map[string][]row, m *kernel.Machine) {
	t.Helper()
	var libraries facts
	line := func(id, base, size uint64, path string) string {
		return fmt.Sprintf("%d %x %x %s", id, base, size, path)
	}
	for _, p := range s.Processes {
		for _, u := range p.UserImages {
			libraries.made = append(libraries.made, line(uint64(p.ID), u.Base, uint64(u.Size), u.Path))
		}
	}
	for _, r := range rows["windows.dlllist.DllList"] {
		libraries.theirs = append(libraries.theirs, line(r.number("PID"), r.number("Base"), r.number("Size"), fmt.Sprint(r["Path"])))
	}
	list, err := m.Processes()
	check(t, err)
	for _, p := range list {
		if !p.Exited.IsZero() {
			continue
		}
		own, err := m.As(p)
		check(t, err)
		for _, u := range own.Modules {
			if u.User {
				libraries.ours = append(libraries.ours, line(*p.PID, uint64(u.Base), u.Size, u.Path))
			}
		}
	}
	libraries.compare(t, "programs' modules")
}

// kdmp-parser finds the machine's modules through the list of the header, and those of the
// current program through KPRCB, TEB and PEB.
func TestSystem_Kdmp(t *testing.T) {
	tool(t, "kdmp")
	for _, build := range []int{17763, 19041, 20348, 22621, 26100} {
		s, dump := system(t, "x64", build, ram.ActiveBitmap)
		var drivers, libraries, wantDrivers, wantLibraries []string
		for _, l := range oracles[0].run(t, []string{dump}, nil) {
			kind, rest, _ := strings.Cut(l, " ")
			switch kind {
			case "driver":
				drivers = append(drivers, rest)
			case "library":
				libraries = append(libraries, rest)
			}
		}
		for _, d := range s.Modules {
			wantDrivers = append(wantDrivers, fmt.Sprintf("%#x %#x %s", d.Base, d.Base+uint64(d.Size), d.Path))
		}
		for _, u := range s.Crashed.Thread.Process.UserImages {
			wantLibraries = append(wantLibraries, fmt.Sprintf("%#x %#x %s", u.Base, u.Base+uint64(u.Size), u.Path))
		}
		for _, l := range [][]string{drivers, libraries, wantDrivers, wantLibraries} {
			slices.Sort(l)
		}
		if diff := cmp.Diff(wantDrivers, drivers); diff != "" {
			t.Errorf("%d, modules: the lab (-), kdmp-parser (+):\n%s", build, diff)
		}
		if diff := cmp.Diff(wantLibraries, libraries); diff != "" || len(libraries) == 0 {
			t.Errorf("%d, the current program's modules: the lab (-), kdmp-parser (+):\n%s", build, diff)
		}
	}
}
