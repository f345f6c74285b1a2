package unwind_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/corpus"
	"bugcheck/kernel"
	"bugcheck/mem"
	"bugcheck/pe"
	"bugcheck/report"
	"bugcheck/unwind"
)

// moreImages opens the images below $BUGCHECK_IMAGES by name and timestamp.
func moreImages(t *testing.T) map[string]*pe.File {
	t.Helper()
	list := map[string]*pe.File{}
	dir := os.Getenv("BUGCHECK_IMAGES")
	if dir == "" {
		t.Skip("BUGCHECK_IMAGES names no folder of images")
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if f, err := pe.Open(bytes.NewReader(b), int64(len(b)), pe.InFile); err == nil {
			list[strings.ToLower(filepath.Base(path))+f.ImageKey()] = f
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestWalk_PublishedStack: the stack of a real dump, which a debugger with the
// kernel's symbols has printed, through the drivers whose images are at hand.
func TestWalk_PublishedStack(t *testing.T) {
	images, compared := moreImages(t), 0
	for _, e := range corpus.Dumps(t) {
		if len(e.Stack) == 0 {
			continue
		}
		b, err := os.ReadFile(e.Path(t))
		if err != nil {
			t.Fatal(err)
		}
		f, err := dump.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		m := kernel.Open(f)
		regs, err := m.ContextAt(mem.VA(corpus.Number(t, e.Parameters[3])))
		if err != nil {
			continue // another stop code, whose parameter is no CONTEXT
		}
		w := unwind.Walker{Stack: f.Memory, Modules: func(pc mem.VA) (unwind.Module, bool) {
			d, ok := m.ModuleAt(pc)
			return unwind.Module{Base: d.Base, Image: images[strings.ToLower(d.Name)+fmt.Sprintf("%08X%x", d.Timestamp, d.Size)]}, ok
		}}
		frames, err := w.Walk(unwind.FromReport(pe.X64, regs))
		if !errors.Is(err, unwind.ErrNoImage) {
			t.Errorf("%s: %v", e.File, err)
		}
		for i, want := range e.Stack {
			if corpus.Number(t, want.Address) != uint64(frames[0].PC) {
				continue
			}
			for k, got := range frames {
				want := e.Stack[i+k]
				if uint64(got.PC) != corpus.Number(t, want.Address) || uint64(got.SP) != corpus.Number(t, want.Pointer) || k > 0 && got.Trust != report.TrustUnwind {
					t.Errorf("%s: frame %d: %v %v %s, want %s %s in %s", e.File, k, got.PC, got.SP, got.Trust, want.Address, want.Pointer, want.Module)
				}
				compared++
			}
		}
		t.Logf("%s: %d frames compared; then %v", e.File, compared, err)
	}
	if compared < 2 {
		t.Errorf("only %d frames compared", compared)
	}
}
