package symbols

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// folder is a plain element of a symbol path. It is searched as the debuggers
// do (DIR, DIR/sys, DIR/symbols/sys, …), as a store, and at last in all folders
// below it by file name.
type folder struct {
	dir  string
	flat bool // nothing below it: it holds the machine's own files

	once  sync.Once
	files map[string][]string // lower-case name → paths below dir
	isfs  []string            // paths of symbol files of Volatility
}

// Bounds of a walk: whole disks are not meant to be named.
const (
	maxWalked      = 500_000
	maxWalkedDepth = 12
	maxCandidates  = 32 // files of one name whose identity is read
)

func (d *folder) find(ctx context.Context, f *Finder, q Request) (located, error) {
	t := &treeStore{dir: d.dir}
	if t.usable() != nil {
		return located{}, errNotHere
	}
	best := errNotHere
	try := func(at located, err error) (located, bool) {
		if err != nil && errors.Is(best, errNotHere) {
			best = err
		}
		return at, err == nil
	}
	if d.flat {
		at, ok := try(f.named(q, d.dir))
		return at, errIf(!ok, best)
	}
	if at, ok := try(t.find(ctx, f, q)); ok {
		return at, nil
	}
	for _, dir := range d.usual(q) {
		if at, ok := try(f.named(q, filepath.Join(d.dir, dir))); ok {
			return at, nil
		}
	}
	for _, path := range d.below(q) {
		if at, ok := try(f.fileAt(q, path)); ok {
			return at, nil
		}
	}
	return located{}, best
}

func errIf(bad bool, err error) error {
	if bad {
		return err
	}
	return nil
}

// usual are the folders that debuggers look in: that of the image's kind, and
// the same below symbols.
func (d *folder) usual(q Request) []string {
	kinds := []string{"sys", "exe", "dll"}
	if ext := strings.TrimPrefix(strings.ToLower(filepath.Ext(q.Name)), "."); q.Kind == Image && ext != "" {
		kinds = []string{ext}
	}
	dirs := []string{"."}
	for _, k := range kinds {
		dirs = append(dirs, k, filepath.Join("symbols", k))
	}
	return dirs
}

// named looks for a file in one folder by its name alone.
func (f *Finder) named(q Request, dir string) (located, error) {
	for _, name := range []string{q.Name, packedName(q.Name)} {
		if path, ok := f.resolve(dir, name); ok {
			if at, err := f.fileAt(q, path); !errors.Is(err, errNotHere) {
				return at, err
			}
		}
	}
	return located{}, errNotHere
}

// below lists the files of that name in all folders, those first whose path has
// the identity in it.
func (d *folder) below(q Request) []string {
	d.once.Do(d.walk)
	list := slices.Concat(d.files[strings.ToLower(q.Name)], d.files[strings.ToLower(packedName(q.Name))])
	right := func(path string) int {
		if strings.EqualFold(filepath.Base(filepath.Dir(path)), q.Key) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b string) int { return right(a) - right(b) })
	return list[:min(len(list), maxCandidates)]
}

// walk lists the files below the folder that may be asked for.
func (d *folder) walk() {
	d.files = map[string][]string{}
	seen := 0
	depth := strings.Count(filepath.Clean(d.dir), string(filepath.Separator))
	_ = filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if seen++; seen > maxWalked {
			return filepath.SkipAll
		}
		if err != nil {
			return nil // a folder that cannot be read is passed over
		}
		if e.IsDir() {
			if strings.Count(path, string(filepath.Separator))-depth > maxWalkedDepth {
				return filepath.SkipDir
			}
			return nil
		}
		switch name := strings.ToLower(e.Name()); {
		case isISFName(name):
			d.isfs = append(d.isfs, path)
		case isSymbolName(name):
			d.files[name] = append(d.files[name], path)
		}
		return nil
	})
}

// isSymbolName reports a name that images and symbol files have.
func isSymbolName(name string) bool {
	switch filepath.Ext(name) {
	case ".pdb", ".sys", ".exe", ".dll", ".drv", ".efi", ".mui", ".ocx", ".cpl":
		return true
	}
	return strings.HasSuffix(name, "_")
}
