package dump_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/lab"
	"bugcheck/mem"
)

// words are 32-bit words as they stand in a stream.
func words(v ...uint32) []byte {
	var b []byte
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// Streams that the lab's recipes do not have, written word by word after
// minidumpapiset.h.
func TestMinidump_RareStreams(t *testing.T) {
	d := lab.NullRead(lab.Windows19041)
	id := d.Threads[0].ID
	counters := make([]byte, 0x98)
	put32(counters, 0, 2)
	for i, v := range map[int]uint64{0x10: 9 << 20, 0x38: 6 << 20, 0x50: 40 << 20, 0x58: 5 << 20} {
		binary.LittleEndian.PutUint64(counters[i:], v)
	}
	system := make([]byte, 0x1ec)
	put32(system, 8, 0x1000)
	for i, v := range map[int]uint64{0x74: 100, 0x7c: 800, 0x84: 1000, 0x8c: 900} {
		binary.LittleEndian.PutUint64(system[i:], v)
	}
	assertion := make([]byte, 0x308)
	for i, text := range []string{"p != 0", "f", "a.c"} {
		for n, c := range text {
			assertion[0x100*i+2*n] = byte(c)
		}
	}
	put32(assertion, 0x300, 12)
	put32(assertion, 0x304, 1)
	created := uint64(133500000000000000)
	d.Streams = []lab.UserStream{
		{Type: 10, Data: []byte("by hand\x00")},
		{Type: 13, Data: words(0x18, 0x18, 0x20, 0xc, 3, 0)},
		{Type: 17, Data: words(0xc, 0x40, 1, id, 0, 0, 259, uint32(created), uint32(created>>32), 0, 0, 10_000_000, 0, 20_000_000, 0, 0x1234, 0x7ff6, 3, 0)},
		{Type: 19, Data: words(0x20, 2, 0x10, 0x18)},
		{Type: 21, Data: system},
		{Type: 22, Data: counters},
		{Type: 0x47670002, Data: assertion},
		{Type: 12, Data: append(words(0x10, 0x28, 1, 0), words(0x1c4, 0, 0, 0, 0, 0x1f0003, 1, 2, 0, 0)...)},
	}
	f := open(t, userBytes(t, d))
	u := f.User
	th := u.Threads[0]
	if len(f.Notes) != 0 || f.Header.Comment != "by hand" || u.FunctionTables != 3 || u.Tokens != 2 {
		t.Errorf("notes %v, comment %q, %d function tables, %d tokens", f.Notes, f.Header.Comment, u.FunctionTables, u.Tokens)
	}
	if th.Start != mem.VA(0x7ff600001234) || th.Kernel != time.Second || th.User != 2*time.Second || th.Created.Year() != 2024 {
		t.Errorf("thread %+v", th)
	}
	if m := u.Memory; m != (dump.SystemMemory{Known: true, PageSize: 0x1000, Available: 100, Committed: 800, CommitLimit: 1000, CommitPeak: 900}) {
		t.Errorf("memory %+v", m)
	}
	if c := u.Counters; c == nil || c.WorkingSet != 9<<20 || c.PageFile != 6<<20 || c.Virtual != 40<<20 || c.Private != 5<<20 {
		t.Errorf("counters %+v", c)
	}
	if a := u.Assertion; a == nil || *a != (dump.Assertion{Expression: "p != 0", Function: "f", File: "a.c", Line: 12, Type: 1}) {
		t.Errorf("assertion %+v", a)
	}
	if len(u.Handles) != 1 || u.Handles[0].Value != 0x1c4 || u.Handles[0].Access != 0x1f0003 {
		t.Errorf("handles %+v", u.Handles)
	}
}

// A dump with the longer thread list alone.
func TestMinidump_ThreadEx(t *testing.T) {
	d := lab.NullRead(lab.Windows19041)
	want := open(t, userBytes(t, d)).User.Threads
	d.Streams = []lab.UserStream{{Type: 8, Data: make([]byte, 4+0x40)}}
	b := userBytes(t, d)
	list, ex := int(u32(b, stream(t, b, 3)+8)), int(u32(b, stream(t, b, 8)+8))
	copy(b[ex:], b[list:list+4+0x30])
	put32(b, stream(t, b, 3), 0xffff)
	got := open(t, b).User.Threads
	if len(got) != 1 || got[0] != want[0] {
		t.Errorf("threads %+v, want %+v", got, want)
	}
}

// Every size of the miscellaneous information: what lies past its end is not read.
func TestMinidump_MiscSizes(t *testing.T) {
	whole := userBytes(t, lab.NullRead(lab.Windows19041))
	for _, tt := range []struct {
		size                       uint32
		process, integrity, string bool
	}{{0x10, false, false, false}, {0x18, true, false, false}, {0x2c, true, false, false}, {0xe8, true, true, false}, {0x340, true, true, true}} {
		b := append([]byte(nil), whole...)
		at := stream(t, b, 15)
		misc := int(u32(b, at+8))
		put32(b, misc, tt.size)
		put32(b, misc+4, 0x1f7) // all that there is
		put32(b, at+4, tt.size)
		f := open(t, b)
		p := f.User.Process
		if (p.ID != nil) != tt.process || (p.Integrity != nil) != tt.integrity || (p.TimeZoneMinutes != nil) != tt.integrity || (f.User.BuildString != "") != tt.string {
			t.Errorf("size %#x: process %+v, build %q", tt.size, p, f.User.BuildString)
		}
	}
}

// What real files say of themselves must agree: one part of a file with another.
func TestCorpus_Minidumps(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t, "minidumps"), "*", "*.dmp"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no minidumps: %v", err)
	}
	read := 0
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "invalid-range.dmp" || filepath.Base(name) == "invalid-record-count.dmp" {
			continue
		}
		f := open(t, b)
		walkUser(t, f)
		checkConsistent(t, filepath.Base(name), f)
		read++
	}
	if read < 13 {
		t.Errorf("%d files were read", read)
	}
}

func checkConsistent(t *testing.T, name string, f *dump.File) {
	t.Helper()
	u := f.User
	if len(f.Notes) != 0 || f.Truncated {
		t.Errorf("%s: truncated %v, notes %v", name, f.Truncated, f.Notes)
	}
	if d := f.Header.Time.Sub(u.Process.Created); d < -time.Second || d > 24*time.Hour {
		t.Errorf("%s: written %v, the process began %v", name, f.Header.Time, u.Process.Created)
	}
	if m := u.Memory; m.Known && (m.Committed > m.CommitPeak || m.CommitPeak > m.CommitLimit || m.PageSize != 0x1000) {
		t.Errorf("%s: memory %+v", name, m)
	}
	if c := u.Counters; c != nil && (c.WorkingSet > c.PeakWorkingSet || c.Virtual > c.PeakVirtual || c.Private > c.Virtual) {
		t.Errorf("%s: counters %+v", name, c)
	}
	for _, th := range u.Threads {
		if got, err := mem.Read(f.Memory, th.Stack, int(th.StackSize)); err != nil || len(got) == 0 || f.ThreadContext(th) == nil {
			t.Errorf("%s: thread %d: stack %d bytes, %v", name, th.ID, len(got), err)
		}
	}
	for _, m := range f.Drivers {
		if r, ok := u.RegionAt(m.Base); m.Name == "" || ok && r.State != dump.MemCommit {
			t.Errorf("%s: module %q at %v lies in %+v", name, m.Name, m.Base, r)
		}
	}
	if len(u.Handles) != int(u.HandleCount) {
		t.Errorf("%s: %d of %d handles", name, len(u.Handles), u.HandleCount)
	}
}
