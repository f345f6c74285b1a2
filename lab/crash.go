package lab

import (
	"fmt"
	"os"
	"path/filepath"

	"bugcheck/lab/code"
	"bugcheck/lab/ram"
)

// DumpKinds are the kinds of dump files that Write makes, the words of the report, and the
// other forms that such files have.
func DumpKinds() []string {
	list := []string{"full", "kernel", "active", "small", "live"}
	for _, f := range ram.Formats() {
		switch f {
		case ram.Full, ram.KernelBitmap, ram.ActiveBitmap, ram.Live:
		default:
			list = append(list, f.String())
		}
	}
	return list
}

// Write writes the crashed machine as a dump of one of DumpKinds. The file is sparse: what
// is zero takes no room.
func (c *Crash) Write(w ram.File, kind string) error {
	if kind != "small" {
		format, err := ram.ParseFormat(kind)
		if err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		return c.Dump(w, format)
	}
	b, err := c.Small()
	if err != nil {
		return err
	}
	if err := w.Truncate(int64(len(b))); err != nil {
		return fmt.Errorf("lab: small dump: %w", err)
	}
	_, err = w.WriteAt(b, 0)
	return err
}

// WriteSymbols writes images and symbol files into a folder as symbol stores have them:
// NAME/KEY/NAME.
func (c *Crash) WriteSymbols(dir string) error {
	for _, name := range c.code.Names() {
		image, _ := c.code.Image(name)
		if err := store(dir, image.PDBName, image.PDBKey, image.PDB); err != nil {
			return err
		}
		if err := store(dir, image.Name, imageKey(image), image.File); err != nil {
			return err
		}
	}
	return nil
}

// imageKey is the name of an image's folder in a symbol store.
func imageKey(i *code.Image) string { return fmt.Sprintf("%08X%x", i.Timestamp, i.Size) }

func store(dir, name, key string, b []byte) error {
	folder := filepath.Join(dir, name, key)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name), b, 0o644)
}

// TruthOf is the truth of a dump of one of DumpKinds: a small dump holds the first letters
// of the process's name alone, and one of a machine that goes on is no crash.
func (c *Crash) TruthOf(kind string) Truth {
	t := c.Truth
	if kind == "small" && len(t.Process.Name) > 14 {
		t.Process.Name = t.Process.Name[:14]
	}
	if kind == "small" && c.flip == FlipPTE { // it holds no page tables: nobody can tell
		t.Verdict = TruthVerdict{}
	}
	return t
}
