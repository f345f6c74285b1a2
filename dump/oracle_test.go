package dump_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/lab/ram"
	"bugcheck/mem"
)

// question is what testdata/oracle.py is asked of one dump.
type question struct {
	File      string   `json:"file"`
	Arch      uint32   `json:"arch"`
	PAE       bool     `json:"pae"`
	Type      uint32   `json:"type"`
	Root      uint64   `json:"root"`
	Addresses []uint64 `json:"addresses"`
}

// TestOracle_Translation asks kdmp-parser and Volatility 3 the same as ours, on
// fixtures of the formats that they know and on dumps of the lab: 10,000
// addresses of one, some of each other. bench/oracles/install.sh installs both into
// a folder; $BUGCHECK_ORACLES names it.
func TestOracle_Translation(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing for the race detector")
	}
	python := filepath.Join(os.Getenv("BUGCHECK_ORACLES"), "venv", "bin", "python")
	if _, err := os.Stat(python); os.Getenv("BUGCHECK_ORACLES") == "" || err != nil {
		corpus.Missing(t, "kdmp-parser and volatility3 are not here: bench/oracles/install.sh DIR, BUGCHECK_ORACLES=DIR")
	}
	files := map[string]*dump.File{}
	var input bytes.Buffer
	ask := func(b []byte, q question) {
		q.File = filepath.Join(t.TempDir(), fmt.Sprintf("%d.dmp", len(files)))
		if err := os.WriteFile(q.File, b, 0o600); err != nil {
			t.Fatal(err)
		}
		files[q.File] = open(t, b)
		if err := json.NewEncoder(&input).Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range wholeCases() {
		if c.form != elfCore && (c.paging == mem.PagingX64 || c.arch == 0x14c && (c.dumpType == 1 || c.dumpType == 5)) {
			ask(c.bytes(), question{Arch: c.arch, PAE: c.pae, Type: c.dumpType, Root: uint64(c.root), Addresses: c.addresses()})
		}
	}
	l := newLabMachine(t, "x64", 4, 0)
	addresses := l.manyPages(t)
	for _, format := range []ram.Format{ram.Full, ram.KernelBitmap, ram.FullRanges} {
		b := l.dump(t, format)
		ask(b, question{Arch: 0x8664, Type: u32(b, 0xf98), Root: l.space.Root(), Addresses: addresses})
	}
	cmd := exec.Command(python, "testdata/oracle.py")
	cmd.Stdin = &input
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	compareOracle(t, files, string(out))
}

// addresses are some in each chunk, and those behind it.
func (c *wholeCase) addresses() []uint64 {
	var list []uint64
	for _, chunk := range c.chunks {
		for off := 0; off < len(chunk.Data)-8; off += 88 {
			list = append(list, uint64(chunk.Address)+uint64(off))
		}
		list = append(list, uint64(chunk.Address)+uint64(len(chunk.Data)))
	}
	return list
}

// manyPages maps 2,000 pages and returns 10,000 addresses in and around them.
func (l *labMachine) manyPages(t *testing.T) []uint64 {
	t.Helper()
	const base, pages = uint64(0xffffa30000000000), 2000
	rnd := rand.New(rand.NewPCG(1, 2))
	for range pages {
		va := base + rnd.Uint64N(1<<20)<<12
		if err := l.space.Map(va, ram.PageSize, ram.Writable); err != nil {
			t.Fatal(err)
		}
		if err := l.space.Write(va, fill(va, ram.PageSize)); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			l.pages = append(l.pages, labPage{va: va + rnd.Uint64N(ram.PageSize/8)*8})
		}
	}
	var list []uint64
	for _, p := range l.pages {
		list = append(list, p.va)
	}
	for len(list) < 10000 {
		list = append(list, base+rnd.Uint64N(1<<20)<<12)
	}
	return list
}

func compareOracle(t *testing.T, files map[string]*dump.File, out string) {
	t.Helper()
	asked := map[string]int{}
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		if len(f) < 4 || files[f[1]] == nil {
			continue // a message of the reader
		}
		var va uint64
		_, _ = fmt.Sscanf(f[2], "%x", &va)
		s := files[f[1]].Memory.(*mem.Space)
		want := "-"
		info, err := s.Page(mem.VA(va))
		if b, errRead := mem.Read(s, mem.VA(va), 8); err == nil && errRead == nil {
			pa, _ := s.Translate(mem.VA(va))
			want = fmt.Sprintf("%x %x", uint64(pa), b)
		}
		if asked[f[0]]++; f[3] == "-" && f[0] == "kdmp-parser" && info.State == mem.Transition || info.State == mem.Prototype {
			continue // those it does not read
		}
		if f[3] != want {
			t.Errorf("%s, dump type %d, %v: %s, ours %s", f[0], files[f[1]].Header.DumpType, mem.VA(va), f[3], want)
		}
	}
	if asked["kdmp-parser"] < 30000 || asked["volatility3"] < 10000 {
		t.Errorf("answers: %v", asked)
	}
	t.Logf("answers compared: %v", asked)
}
