package symbols

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bugcheck/internal/cab"
)

// treeStore is a symbol store in a folder: NAME/KEY/NAME, and NA/NAME/KEY/NAME
// where the file index2.txt says that it has two tiers. It is also the cache.
type treeStore struct{ dir string }

// errForeign says that a path is one of Windows, and this is another system.
var errForeign = errors.New("not a folder of this system")

// usable refuses C:\… and \\server\… where they would be names of files.
func (t *treeStore) usable() error {
	if t.dir == "" {
		return errors.New("no folder")
	}
	drive := len(t.dir) >= 3 && t.dir[1] == ':' && (t.dir[2] == '\\' || t.dir[2] == '/')
	if (drive || strings.HasPrefix(t.dir, `\\`)) && !filepath.IsAbs(t.dir) {
		return errForeign
	}
	return nil
}

// places are the folders that may hold q, that of the store's own layout first.
func (t *treeStore) places(q Request) []string {
	flat, two := filepath.Join(q.Name, q.Key), filepath.Join(firstTier(q.Name), q.Name, q.Key)
	if _, err := os.Stat(filepath.Join(t.dir, "index2.txt")); err == nil {
		return []string{two, flat}
	}
	return []string{flat, two}
}

// firstTier is the folder of the first two letters.
func firstTier(name string) string {
	n := 0
	for i := range name {
		if n == 2 {
			return name[:i]
		}
		n++
	}
	return name
}

func (t *treeStore) find(_ context.Context, f *Finder, q Request) (located, error) {
	if t.usable() != nil {
		return located{}, errNotHere
	}
	result := errNotHere
	for _, place := range t.places(q) {
		dir, ok := f.resolve(t.dir, place)
		if !ok {
			continue
		}
		at, err := f.inKeyFolder(q, dir)
		if err == nil || !errors.Is(err, errNotHere) {
			return at, err
		}
		result = err
	}
	return located{}, result
}

// inKeyFolder looks for a file in the folder of its identity: plain, packed, or
// a pointer to it.
func (f *Finder) inKeyFolder(q Request, dir string) (located, error) {
	for _, name := range []string{q.Name, packedName(q.Name)} {
		if path, ok := f.resolve(dir, name); ok {
			at, err := f.fileAt(q, path)
			if err == nil || !errors.Is(err, errNotHere) {
				return at, err
			}
		}
	}
	if path, ok := f.resolve(dir, "file.ptr"); ok {
		return f.pointer(q, path)
	}
	return located{}, errNotHere
}

// resolve finds a path below root, in whatever case its parts are written:
// stores come from Windows.
func (f *Finder) resolve(root, rel string) (string, bool) {
	path := filepath.Join(root, rel)
	if _, err := os.Lstat(path); err == nil {
		return path, true
	}
	path = root
	for part := range strings.SplitSeq(filepath.ToSlash(rel), "/") {
		next := filepath.Join(path, part)
		if _, err := os.Lstat(next); err != nil {
			name, ok := f.sameName(path, part)
			if !ok {
				return "", false
			}
			next = filepath.Join(path, name)
		}
		path = next
	}
	return path, true
}

// sameName finds a name in a folder that differs at most in case. A folder is
// listed once: what comes later under the very name that is asked for is found
// without the list.
func (f *Finder) sameName(dir, name string) (string, bool) {
	f.listMu.Lock()
	defer f.listMu.Unlock()
	names, ok := f.lists[dir]
	if !ok {
		names = map[string]string{}
		if d, err := os.Open(dir); err == nil {
			list, _ := d.Readdirnames(maxWalked) // as far as it can be read
			d.Close()
			for _, n := range list {
				names[strings.ToLower(n)] = n
			}
		}
		f.lists[dir] = names
	}
	found, ok := names[strings.ToLower(name)]
	return found, ok
}

// packedName is the name of the cabinet that a file is packed in: its last
// letter is an underscore.
func packedName(name string) string { return name[:len(name)-1] + "_" }

// fileAt checks the identity of a file on disk, and unpacks a cabinet.
func (f *Finder) fileAt(q Request, path string) (located, error) {
	file, err := os.Open(path)
	if err != nil {
		return located{}, notHere(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return located{}, err
	}
	if !info.Mode().IsRegular() {
		return located{}, errNotHere
	}
	if !isCabinet(file) {
		return located{path: path, where: path}, verify(q, file, info.Size(), path)
	}
	return f.unpacked(q, file, info.Size(), path)
}

// notHere makes errNotHere of what os says of a file that does not exist.
func notHere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errNotHere
	}
	return err
}

func isCabinet(r io.ReaderAt) bool {
	var b [4]byte
	n, _ := r.ReadAt(b[:], 0)
	return string(b[:n]) == "MSCF"
}

// Bounds of what is unpacked, bytes: the largest symbol files have two GiB, but
// those go through a folder of the path.
const (
	maxFile      = 4 << 30
	maxInMemory  = 512 << 20
	maxAllMemory = 1 << 30
)

// unpacked unpacks a cabinet into memory.
func (f *Finder) unpacked(q Request, r io.ReaderAt, size int64, where string) (located, error) {
	var b bytes.Buffer
	if err := unpackCabinet(&b, q, r, size, maxInMemory); err != nil {
		return located{}, fmt.Errorf("%s: %w", where, err)
	}
	return f.inMemory(q, b.Bytes(), where)
}

// inMemory checks the identity of an unpacked file. What all files together take
// is bounded.
func (f *Finder) inMemory(q Request, b []byte, where string) (located, error) {
	r := bytes.NewReader(b)
	if err := verify(q, r, r.Size(), where); err != nil {
		return located{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.memory+r.Size() > maxAllMemory {
		return located{}, fmt.Errorf("%s: files of more than %d MiB would be unpacked into memory; name a folder before it, to keep them in", where, maxAllMemory>>20)
	}
	f.memory += r.Size()
	return located{r: r, size: r.Size(), where: where}, nil
}

// unpackCabinet writes the member that is named like the file, or the only one.
func unpackCabinet(w io.Writer, q Request, r io.ReaderAt, size, limit int64) error {
	c, err := cab.Open(r, size)
	if err != nil {
		return err
	}
	for _, m := range c.Members {
		if len(c.Members) == 1 || strings.EqualFold(baseName(m.Name), q.Name) {
			return c.Unpack(w, m, limit)
		}
	}
	return fmt.Errorf("%w: it does not hold %s", cab.ErrFormat, q.Name)
}

// maxPointer is the longest file.ptr that is read, bytes.
const maxPointer = 4096

// pointer follows a file.ptr: one line PATH:… or MSG:… ("Using SymStore").
func (f *Finder) pointer(q Request, path string) (located, error) {
	file, err := os.Open(path)
	if err != nil {
		return located{}, notHere(err)
	}
	defer file.Close()
	target, err := readPointer(file)
	if err != nil {
		return located{}, fmt.Errorf("%s: %w", path, err)
	}
	if !filepath.IsAbs(target) && !strings.ContainsAny(target, `:\`) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	return f.fileAt(q, target)
}

// readPointer returns the path of a file.ptr; what a MSG says is an error.
func readPointer(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPointer)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	keyword, value, _ := strings.Cut(strings.TrimSpace(line), ":")
	switch strings.ToUpper(keyword) {
	case "PATH":
		return value, nil
	case "MSG":
		return "", fmt.Errorf("the store says %q", value)
	}
	return "", errors.New("neither PATH nor MSG")
}

// put copies a file into the store, or moves a download there. Nobody sees a
// part of it: it is written beside, and renamed.
func (t *treeStore) put(q Request, at located) (located, error) {
	if err := t.usable(); err != nil {
		return at, err
	}
	dest := filepath.Join(t.dir, t.places(q)[0], q.Name)
	kept := located{path: dest, where: dest}
	if holds(q, dest) {
		if at.temp {
			_ = os.Remove(at.path)
		}
		return kept, nil
	}
	source := at.path
	if !at.temp {
		var err error
		if source, err = t.copyOf(q, at); err != nil {
			return at, err
		}
	}
	err := t.move(source, dest)
	if err == nil {
		return kept, nil
	}
	// Windows does not replace a file that another process has open.
	there := holds(q, dest)
	if there || !at.temp {
		_ = os.Remove(source)
	}
	if there {
		return kept, nil
	}
	return at, err
}

// holds reports that a file is q, as another process may have made it.
func holds(q Request, path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	return err == nil && verify(q, file, info.Size(), path) == nil
}

func (t *treeStore) move(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(from, 0o644); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (t *treeStore) copyOf(q Request, at located) (string, error) {
	from, err := at.open(q)
	if err != nil {
		return "", err
	}
	defer from.Close()
	tmp, err := t.temp()
	if err != nil {
		return "", err
	}
	_, err = io.Copy(tmp, io.NewSectionReader(from, 0, from.Size))
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return "", err
	}
	return tmp.Name(), nil
}

// tempName is what files are called until they are whole.
const tempName = "bugcheck-*.tmp"

// temp makes a file that is to be renamed into the store. A new store gets the
// empty pingme.txt by which debuggers know one.
func (t *treeStore) temp() (*os.File, error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return nil, err
	}
	ping := filepath.Join(t.dir, "pingme.txt")
	if mark, err := os.OpenFile(ping, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err == nil {
		mark.Close()
	}
	return os.CreateTemp(t.dir, tempName)
}
