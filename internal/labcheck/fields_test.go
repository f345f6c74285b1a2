package labcheck_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"bugcheck/mem"
)

// structure is one that an analysis reads, and the offsets in it that are harmed.
type structure struct {
	name    string
	at      mem.VA
	offsets []int
}

// every lists the offsets of all words of a structure.
func every(size int) []int {
	var list []int
	for at := 0; at < size; at += 8 {
		list = append(list, at)
	}
	return list
}

// used lists the offsets of those fields of structures that the table of layouts has.
func (s *specimen) used(t *testing.T, structures ...string) []int {
	t.Helper()
	table, err := os.ReadFile("../../kernel/structures.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(line, "\t")
		for _, name := range structures {
			if at := s.m.Field(name, cells[min(1, len(cells)-1)]); cells[0] == name && at >= 0 {
				list = append(list, at)
			}
		}
	}
	if len(list) < 10 {
		t.Fatalf("%d fields of %v", len(list), structures)
	}
	return list
}

// main lists the structures that most depends on.
func (s *specimen) main(t *testing.T) []structure {
	t.Helper()
	p := s.crash.Crashed
	list := []structure{
		{"debugger data block", s.m.Header.DebuggerData, every(len(s.m.Blocks.DebuggerData))},
		{"KPRCB", mem.VA(p.Address), s.used(t, "_KPRCB")},
		{"ETHREAD", mem.VA(p.Thread.Address), s.used(t, "_ETHREAD", "_KTHREAD")},
		{"EPROCESS", mem.VA(p.Thread.Process.Address), s.used(t, "_EPROCESS", "_KPROCESS")},
	}
	entry := s.m.Header.LoadedModules
	for i := range s.m.Modules {
		entry = mem.VA(s.word(t, entry))
		if i == 0 || i == len(s.m.Modules)-1 {
			list = append(list, structure{fmt.Sprintf("list entry of module %d", i), entry, every(0xa0)})
		}
	}
	return list
}

// Each word of the debugger data block and of the entries of the kernel and of the last
// driver, and each field of the current processor, thread and process that is read, holds
// another value in turn: 0, -1, its own address, its neighbour's.
func TestDamage_Fields(t *testing.T) {
	eachSpecimen(t, "high-irql-kernel", func(t *testing.T, s *specimen) {
		was, step := analysed(&harmed{file: s.file}, false), stride(t)
		n := 0
		for _, st := range s.main(t) {
			for _, off := range st.offsets {
				if n++; n%step == 0 {
					s.harmField(t, st, off, was)
				}
			}
		}
	})
}

func (s *specimen) harmField(t *testing.T, st structure, off int, was result) {
	t.Helper()
	va := (st.at + mem.VA(off)) &^ 7
	for name, v := range map[string]uint64{"0": 0, "-1": ^uint64(0), "its own address": uint64(va), "its neighbour": s.word(t, va+8)} {
		what := fmt.Sprintf("%s+0x%x holds %s", st.name, off, name)
		h := &harmed{file: s.file, over: map[int64][]byte{s.offset(t, va): binary.LittleEndian.AppendUint64(nil, v)}}
		is := analysed(h, false)
		if is.err != nil {
			t.Errorf("%s: %v", what, is.err)
			continue
		}
		s.judge(t, what, was, is)
		if gone := lost(was.report, is.report); gone != "" && !noted(was.report, is.report) {
			t.Errorf("%s: no note, but %s", what, gone)
		}
	}
}
