// Package oracles holds the lab's whole-memory dumps against readers that know neither the
// lab nor this module: the crate kdmp-parser, the packages leechcorepyc and volatility3. They
// are installed into a folder by install.sh; $BUGCHECK_ORACLES names it.
package oracles

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/lab/ram"
)

// oracle is an independent reader, which answers questions about pages line by line.
type oracle struct {
	name    string
	command []string // relative to $BUGCHECK_ORACLES, but for scripts of this folder
	reads   []ram.Format
	// What it does not know, or knows otherwise than the processor's manual.
	noSpaces  bool // it reads physical memory alone
	mustExist bool // it translates no address whose page is not in the dump
}

var oracles = []oracle{
	{
		// It knows no types 2 and 7, Windows' own kernel dumps up to 7 and automatic ones, and no ELF.
		name: "kdmp-parser", command: []string{"kdmp"},
		reads: []ram.Format{ram.Full, ram.FullBitmap, ram.ActiveBitmap, ram.KernelBitmap, ram.KernelRanges,
			ram.UserRanges, ram.FullRanges, ram.Live},
	},
	{
		// A type that it does not know it takes for bare memory.
		name: "leechcore", command: []string{"venv/bin/python", "leechcore.py"}, noSpaces: true,
		reads: []ram.Format{ram.Full, ram.FullBitmap, ram.ActiveBitmap, ram.KernelBitmap, ram.Live, ram.ELF},
	},
	{
		name: "volatility3", command: []string{"venv/bin/python", "volatility.py"}, mustExist: true,
		reads: []ram.Format{ram.Full, ram.FullBitmap, ram.ActiveBitmap, ram.ELF},
	},
}

// run returns the lines that an oracle prints, given lines.
func (o oracle) run(t testing.TB, args []string, questions []string) []string {
	t.Helper()
	command := append(slices.Clone(o.command), args...)
	command[0] = tool(t, command[0])
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(strings.Join(questions, ""))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s", o.name, args, err, complaint.Bytes()[:min(complaint.Len(), 4000)])
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// tool returns the path of what install.sh installed, or ends the test.
func tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("BUGCHECK_ORACLES"), name)
	if _, err := os.Stat(path); os.Getenv("BUGCHECK_ORACLES") == "" || err != nil {
		corpus.Missing(t, "the independent readers are not here: bench/oracles/install.sh DIR, BUGCHECK_ORACLES=DIR")
	}
	return path
}

// Every oracle says of 10,000 physical and 10,000 virtual addresses what the lab put there.
func TestPages_Oracles(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes with the race detector, and no goroutines to watch")
	}
	tool(t, "kdmp")
	for _, arch := range []string{"x64", "arm64"} {
		m := invent(t, arch, 5<<30)
		for _, format := range ram.Formats() {
			file := m.write(t, format)
			for _, o := range oracles {
				if !slices.Contains(o.reads, format) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%v/%s", arch, format, o.name), func(t *testing.T) {
					q, want := m.questions(format, o, arch == "arm64" || o.noSpaces)
					got := o.run(t, []string{file}, q)
					compare(t, got[max(0, len(got)-len(want)):], want)
					compareHeader(t, got[:max(0, len(got)-len(want))], m.facts(format, arch))
				})
			}
			check(t, os.Remove(file))
		}
	}
}

// compare reports the first lines that differ, and how many do.
func compare(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d answers to %d questions", len(got), len(want))
	}
	n := 0
	for i := range want {
		if got[i] != want[i] {
			if n++; n <= 5 {
				t.Errorf("got  %s\nwant %s", got[i], want[i])
			}
		}
	}
	if n > 0 {
		t.Errorf("%d of %d answers differ", n, len(want))
	}
}

// compareHeader holds what an oracle says of the header, as far as it does, against facts.
func compareHeader(t *testing.T, got []string, want map[string]uint64) {
	t.Helper()
	for _, line := range got {
		var name, text string
		if _, err := fmt.Sscan(line, &name, &text); err != nil || name == "type" {
			continue
		}
		var n uint64
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Errorf("no number: %q", line)
		}
		if w, known := want[name]; !known || n != w {
			t.Errorf("%s: got %#x, want %#x", name, n, w)
		}
	}
}

// facts says what the header holds, by the oracles' names.
func (m *machine) facts(format ram.Format, arch string) map[string]uint64 {
	h := &m.header
	facts := map[string]uint64{
		"pages": m.count(format), "build": uint64(h.Build), "machine": 0x8664, "processors": uint64(h.Processors),
		"cr3": h.DirectoryTableBase, "code": uint64(h.Code), "debuggerdata": h.KdDebuggerDataBlock,
		"exception": 0x80000003, "time": uint64(h.Time.Unix()+11644473600) * 1e7, "uptime": uint64(h.Uptime / 100),
	}
	if arch == "arm64" {
		facts["machine"] = 0xaa64
	}
	for i, p := range h.Parameters {
		facts[fmt.Sprintf("parameter%d", i+1)] = p
	}
	// CONTEXT of x64, winnt.h. Of a machine that is none kdmp-parser reads the same places.
	for i, name := range strings.Fields("rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 rip") {
		facts[name] = binary.LittleEndian.Uint64(h.Context[0x78+8*i:])
	}
	return facts
}

// keeps reports whether a format keeps a page.
func (m *machine) keeps(format ram.Format, pfn uint64) bool {
	var b [1]byte
	if m.memory.Read(pfn*ram.PageSize, b[:]) != nil {
		return false
	}
	switch class := m.memory.Class(pfn); format {
	case ram.Full, ram.FullBitmap, ram.FullRanges, ram.ELF:
		return true
	case ram.ActiveBitmap, ram.UserRanges:
		return class == ram.ClassKernel || class == ram.ClassUser
	default:
		return class == ram.ClassKernel
	}
}

// count returns how many pages a format keeps.
func (m *machine) count(format ram.Format) (n uint64) {
	for _, run := range m.memory.Runs() {
		for pfn := run.Base; pfn < run.Base+run.Count; pfn++ {
			if m.keeps(format, pfn) {
				n++
			}
		}
	}
	return n
}

// questions returns what to ask an oracle about a dump, and what it must answer.
func (m *machine) questions(format ram.Format, o oracle, physicalOnly bool) (questions, answers []string) {
	bytes := func(pa uint64) string {
		b := make([]byte, 16)
		if !m.keeps(format, pa/ram.PageSize) || m.memory.Read(pa, b) != nil {
			return "-"
		}
		return hex.EncodeToString(b)
	}
	for _, pa := range m.pages {
		questions = append(questions, fmt.Sprintf("p %#x\n", pa))
		answers = append(answers, fmt.Sprintf("p %#x %s", pa, bytes(pa)))
	}
	if physicalOnly {
		return questions, answers
	}
	for _, a := range m.addresses {
		pa, content := "-", "-"
		if a.mapped {
			pa, content = fmt.Sprintf("%#x", a.pa), bytes(a.pa)
		}
		if o.mustExist && content == "-" {
			pa = "-"
		}
		questions = append(questions, fmt.Sprintf("v %#x %#x\n", a.cr3, a.va))
		answers = append(answers, fmt.Sprintf("v %#x %s %s", a.va, pa, content))
	}
	return questions, answers
}
