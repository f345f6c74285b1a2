package oracles

import (
	"encoding/hex"
	"fmt"
	"os"
	"testing"

	"bugcheck/dump"
	"bugcheck/lab/ram"
	"bugcheck/mem"
)

// This module's own readers say the same as the oracles, of every format.
func TestPages_Ours(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		m := invent(t, arch, 5<<30)
		for _, format := range ram.Formats() {
			t.Run(fmt.Sprintf("%s/%v", arch, format), func(t *testing.T) {
				f := open(t, m.write(t, format))
				_, want := m.questions(format, oracle{}, false)
				compare(t, m.answers(f), want)
				compareHeader(t, headerLines(f), m.facts(format, arch))
				// The lab's memory here has no debugger data block, in which the reader of a core looks for more.
				if len(f.Notes) > 0 && format != ram.ELF {
					t.Errorf("notes of a sound dump: %v", f.Notes)
				}
			})
		}
	}
}

// open opens a dump until the test ends.
func open(t testing.TB, path string) *dump.File {
	t.Helper()
	r, err := os.Open(path)
	check(t, err)
	t.Cleanup(func() { r.Close() })
	info, err := r.Stat()
	check(t, err)
	f, err := dump.Open(r, info.Size())
	check(t, err)
	return f
}

// answers puts the questions of an oracle to this module's readers.
func (m *machine) answers(f *dump.File) (lines []string) {
	b := make([]byte, 16)
	for _, pa := range m.pages {
		text := "-"
		if n, err := f.Physical.ReadPhysical(b, mem.PA(pa)); err == nil && n == len(b) {
			text = hex.EncodeToString(b)
		}
		lines = append(lines, fmt.Sprintf("p %#x %s", pa, text))
	}
	spaces := map[uint64]*mem.Space{}
	for _, a := range m.addresses {
		if spaces[a.cr3] == nil {
			spaces[a.cr3] = f.Space(mem.PA(a.cr3))
		}
		to, text := "-", "-"
		if pa, err := spaces[a.cr3].Translate(mem.VA(a.va)); err == nil {
			to = fmt.Sprintf("%#x", uint64(pa))
		}
		if n, err := spaces[a.cr3].ReadAt(b, mem.VA(a.va)); err == nil && n == len(b) {
			text = hex.EncodeToString(b)
		}
		lines = append(lines, fmt.Sprintf("v %#x %s %s", a.va, to, text))
	}
	return lines
}

// headerLines says what this module reads in a header, in the oracles' words.
func headerLines(f *dump.File) (lines []string) {
	h := f.Header
	add := func(name string, value uint64) { lines = append(lines, fmt.Sprintf("%s %#x", name, value)) }
	add("pages", f.Pages)
	add("build", uint64(h.Build))
	add("processors", uint64(h.Processors))
	add("cr3", uint64(h.DirectoryTable))
	add("code", uint64(h.BugCheckCode))
	add("debuggerdata", uint64(h.DebuggerData))
	add("time", uint64(h.Time.Unix()+11644473600)*1e7)
	add("uptime", uint64(h.Uptime/100))
	for i, p := range h.Parameters {
		add(fmt.Sprintf("parameter%d", i+1), p)
	}
	return lines
}
