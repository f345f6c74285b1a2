package kernel_test

import (
	"fmt"
	"strings"
	"testing"

	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/report"

	"github.com/google/go-cmp/cmp"
)

var wholeColumns = []string{
	"x64 17763", "x64 17763late", "x64 19041", "x64 20348", "x64 22000", "x64 22621", "x64 26100", "arm64 22000", "arm64 26100",
}

func notes(m *kernel.Machine) string {
	var list []string
	for _, n := range m.Notes {
		list = append(list, n.Where+": "+n.Text.String())
	}
	return strings.Join(list, "\n")
}

// names lists a machine's modules with what identifies them.
func names(m *kernel.Machine) []string {
	var list []string
	for _, mod := range m.Modules {
		list = append(list, fmt.Sprintf("%s %s %x", mod.Module, mod.Name, mod.Timestamp))
	}
	return list
}

var wholeModules = []string{
	"nt ntoskrnl.exe 11111111", "gone gone.sys 33333333", "myfault myfault.sys 22222222",
	"notmyfault64 notmyfault64.exe 0", "ntdll ntdll.dll 0",
}

// What a small dump carries in lists and blocks is found in whole memory.
func TestOpen_Whole(t *testing.T) {
	for _, column := range wholeColumns {
		w := newWorld(t, column)
		m := w.open()
		if diff := cmp.Diff(wholeModules, names(m)); diff != "" {
			t.Errorf("%s: modules (-want +got):\n%s", column, diff)
		}
		p, ok := m.Process()
		if !ok || p.Name != "notmyfault64.exe" || p.PID == nil || *p.PID != 4244 || p.Address != w.notmyfault || p.Trust != report.Recorded {
			t.Errorf("%s: Process() = %+v, %v; want notmyfault64.exe, 4244, at %v", column, p, ok, w.notmyfault)
		}
		th, ok := m.Thread()
		if !ok || th.Address != w.crashing || th.ID == nil || *th.ID != 4300 {
			t.Errorf("%s: Thread() = %+v, %v; want 4300 at %v", column, th, ok, w.crashing)
		}
		if n := m.Processor().Number; n == nil || *n != 1 {
			t.Errorf("%s: processor %v, want 1", column, n)
		}
		if irql, ok := m.IRQL(); !ok || irql != 2 {
			t.Errorf("%s: IRQL %d, %v; want 2", column, irql, ok)
		}
		if low, high, ok := m.StackLimits(); !ok || low != stackTop-0x6000 || high != stackTop {
			t.Errorf("%s: stack %v to %v, %v", column, low, high, ok)
		}
		if m.Blocks.StackTop != w.rsp || len(m.Blocks.Stack) != 0x800 {
			t.Errorf("%s: stack of %d bytes at %v, want 2048 at %v", column, len(m.Blocks.Stack), m.Blocks.StackTop, w.rsp)
		}
		if len(m.Unloaded) != 2 || m.Unloaded[0].Name != "newer.sys" || m.Unloaded[1].Name != "older.sys" {
			t.Errorf("%s: unloaded %+v, want newer.sys, older.sys", column, m.Unloaded)
		}
		if len(m.Notes) != 0 {
			t.Errorf("%s: notes:\n%s", column, notes(m))
		}
	}
}

// The file that was opened is not changed: another machine may be made of it.
func TestOpen_WholeLeavesFile(t *testing.T) {
	w := newWorld(t, "x64 19041")
	f := w.dumpFile()
	kernel.Open(f)
	if len(f.Drivers) != 0 || f.Blocks.Thread != nil || len(f.Notes) != 0 {
		t.Errorf("the file has %d drivers, %d notes", len(f.Drivers), len(f.Notes))
	}
	again := kernel.Open(f)
	if diff := cmp.Diff(wholeModules, names(again)); diff != "" {
		t.Errorf("modules the second time (-want +got):\n%s", diff)
	}
}

func TestProcesses(t *testing.T) {
	for _, column := range wholeColumns {
		w := newWorld(t, column)
		m := w.open()
		list, err := m.Processes()
		if err != nil || len(list) != 3 {
			t.Fatalf("%s: %d processes, %v; want 3", column, len(list), err)
		}
		system, exited, p := list[0], list[1], list[2]
		if system.Name != "System" || *system.PID != 4 || system.CommandLine != "" || system.Session != nil {
			t.Errorf("%s: System is %+v", column, system)
		}
		if exited.Name != "gone.exe" || exited.Exited.IsZero() || exited.ExitStatus == nil || *exited.ExitStatus != 0xc0000005 {
			t.Errorf("%s: gone.exe is %+v", column, exited)
		}
		if p.Name != "notmyfault64.exe" || p.Path != `\Device\HarddiskVolume3\tools\notmyfault64.exe` || p.CommandLine != "notmyfault64.exe /crash" {
			t.Errorf("%s: name %q, path %q, command line %q", column, p.Name, p.Path, p.CommandLine)
		}
		if *p.Parent != 1000 || *p.Session != 1 || *p.Threads != 1 || *p.Handles != 300 || p.Created.Year() != 2024 || !p.Exited.IsZero() {
			t.Errorf("%s: parent %d, session %d, threads %d, handles %d, created %v, exited %v", column, *p.Parent, *p.Session, *p.Threads, *p.Handles, p.Created, p.Exited)
		}
		if *p.WorkingSet != 100*mem.PageSize || *p.Commit != 50*mem.PageSize || *p.VirtualSize != 1<<30 || p.DirectoryTable != w.user {
			t.Errorf("%s: working set %d, commit %d, virtual %d, directory %v", column, *p.WorkingSet, *p.Commit, *p.VirtualSize, p.DirectoryTable)
		}
	}
}

// A list that is torn in its middle gives what both of its ends lead to.
func TestModules_TornList(t *testing.T) {
	for _, tt := range []struct {
		name string
		tear func(w *world, entries []mem.VA)
		want []string
		note string
	}{
		{"a link to nowhere", func(w *world, e []mem.VA) { w.put64(e[0], 0x4141414141414140) }, wholeModules, "loaded modules"},
		{"a link to itself", func(w *world, e []mem.VA) { w.putVA(e[1], e[1]) }, wholeModules, "comes back"},
		{"a link back", func(w *world, e []mem.VA) { w.putVA(e[1], e[0]) }, wholeModules, "comes back"},
		{"both links", func(w *world, e []mem.VA) { w.put64(e[1], 0); w.put64(e[1]+8, 0) }, append([]string{wholeModules[0]}, wholeModules[2:]...), "not back"},
		{"the head", func(w *world, _ []mem.VA) { w.put64(w.modules, 0); w.put64(w.modules+8, 0) }, append(append([]string{wholeModules[0]}, wholeModules[3:]...), wholeModules[2]), "The kernel is not in the list"},
	} {
		w := newWorld(t, "x64 19041")
		e := []mem.VA{mem.VA(w.read64(w.modules))}
		for len(e) < 3 {
			e = append(e, mem.VA(w.read64(e[len(e)-1])))
		}
		tt.tear(w, e)
		m := w.open()
		if diff := cmp.Diff(tt.want, names(m)); diff != "" {
			t.Errorf("%s: modules (-want +got):\n%s", tt.name, diff)
		}
		if !strings.Contains(notes(m), tt.note) {
			t.Errorf("%s: no note has %q:\n%s", tt.name, tt.note, notes(m))
		}
	}
}
