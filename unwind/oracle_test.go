package unwind

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pe"
)

func openImage(t testing.TB, path string) *pe.File {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := pe.Open(bytes.NewReader(b), int64(len(b)), pe.InFile)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// images lists the images in a folder.
func images(t testing.TB, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch strings.ToLower(filepath.Ext(path)) {
		case ".exe", ".dll", ".sys":
			if !d.IsDir() {
				list = append(list, path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// simulateImage runs the oracle on an image.
func simulateImage(t *testing.T, path string) *oracle {
	t.Helper()
	o, err := newOracle(openImage(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return simulate(t, o, path)
}

// simulate runs the oracle, and says what it found.
func simulate(t *testing.T, o *oracle, path string) *oracle {
	t.Helper()
	o.run()
	t.Logf("%s: %v, %d functions (%d skipped: %v), %d positions in %d of %d bytes, %d wrong",
		filepath.Base(path), o.m, o.functions, o.left(), o.skipped, o.positions, o.reached, o.bytes, o.failed)
	for _, f := range o.failures {
		t.Log(f)
	}
	if o.failed > 0 {
		t.Errorf("%s: the unwinder is wrong at %d of %d positions", path, o.failed, o.positions)
	}
	return o
}

// left is how many functions could not be simulated.
func (o *oracle) left() (n int) {
	for _, k := range o.skipped {
		n += k
	}
	return n
}

// total adds up what the oracle did on images, and bounds what it leaves out.
type total struct{ functions, skipped, positions, wrong int }

func (s *total) add(o *oracle) {
	s.functions += o.functions
	s.skipped += o.left()
	s.positions += o.positions
	s.wrong += o.failed
}

func (s *total) report(t *testing.T, what string) {
	t.Helper()
	t.Logf("%s: %d functions, %d of them skipped, %d positions, %d wrong", what, s.functions, s.skipped, s.positions, s.wrong)
	if s.positions == 0 || s.skipped*50 > s.functions {
		t.Errorf("%s: %d of %d functions are skipped, more than 2 %%", what, s.skipped, s.functions)
	}
}

// TestSimulation_Images runs Microsoft's code. $BUGCHECK_IMAGES may name a
// folder with more of it.
func TestSimulation_Images(t *testing.T) {
	list := images(t, corpus.Dir(t, "pe"))
	if dir := os.Getenv("BUGCHECK_IMAGES"); dir != "" {
		list = append(list, images(t, dir)...)
	}
	var sum total
	for _, path := range list {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) { sum.add(simulateImage(t, path)) })
	}
	sum.report(t, "images")
}

// amount is how many functions to compile a variant: $BUGCHECK_FUNCTIONS, else
// what takes a few seconds.
func amount(t testing.TB) int {
	if s := os.Getenv("BUGCHECK_FUNCTIONS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 20
	}
	return 60
}

// TestSimulation_Drivers runs what clang makes of functions of many shapes.
func TestSimulation_Drivers(t *testing.T) {
	for _, m := range []pe.Machine{pe.X64, pe.ARM64} {
		var sum total
		for i, options := range variants {
			if m == pe.X64 && strings.Contains(options[len(options)-1], "pac-ret") {
				continue
			}
			sum.add(simulateImage(t, driver(t, m, options, uint64(i), amount(t))))
		}
		sum.report(t, m.String())
	}
}
