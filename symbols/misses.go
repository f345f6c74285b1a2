package symbols

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// misses remembers which files a server does not have, for a day, in one small
// file of the cache. Every line is EXPIRY SERVER NAME/KEY, parted by tabs, the
// expiry in seconds since 1970; processes append whole lines. What cannot be
// read or written is no error: the server is asked again.
type misses struct {
	path string // "": nothing is remembered
	now  time.Time

	mu    sync.Mutex
	known map[string]bool
}

const (
	missesName   = "bugcheck-missing.txt"
	missesExpire = 24 * time.Hour
	maxMisses    = 1 << 20 // bytes; a larger file is begun anew
)

// misses returns the memory of a store.
func (f *Finder) misses(sink *treeStore) *misses {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sink.usable() != nil {
		sink = f.defaultCache()
	}
	if m, ok := f.missing[sink.dir]; ok {
		return m
	}
	m := &misses{now: f.opts.Now}
	if !m.now.IsZero() && sink.usable() == nil {
		m.path = filepath.Join(sink.dir, missesName)
		m.load()
		sink.sweep(f.opts.Now)
	}
	f.missing[sink.dir] = m
	return m
}

// sweep removes what downloads left that were killed a day ago or earlier.
func (t *treeStore) sweep(now time.Time) {
	left, _ := filepath.Glob(filepath.Join(t.dir, tempName))
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && now.Sub(info.ModTime()) > missesExpire {
			_ = os.Remove(path)
		}
	}
}

func missKey(server string, q Request) string {
	return server + "\t" + strings.ToLower(q.Name) + "/" + strings.ToUpper(q.Key)
}

func (m *misses) load() {
	m.known = map[string]bool{}
	info, err := os.Stat(m.path)
	if err != nil {
		return
	}
	if info.Size() > maxMisses {
		_ = os.Remove(m.path)
		return
	}
	b, _ := os.ReadFile(m.path)
	live := 0
	lines := strings.Split(string(b), "\n")
	for _, line := range lines {
		expiry, key, _ := strings.Cut(line, "\t")
		at, err := strconv.ParseInt(expiry, 10, 64)
		if left := time.Unix(at, 0).Sub(m.now); err == nil && left > 0 && left <= missesExpire {
			m.known[key] = true
			live++
		}
	}
	if live == 0 && len(lines) > 1 {
		_ = os.Remove(m.path)
	}
}

func (m *misses) has(server string, q Request) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[missKey(server, q)]
}

func (m *misses) add(server string, q Request) {
	if m.path == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := missKey(server, q)
	if m.known[key] {
		return
	}
	m.known[key] = true
	if os.MkdirAll(filepath.Dir(m.path), 0o755) != nil {
		return
	}
	file, err := os.OpenFile(m.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer file.Close()
	fmt.Fprintf(file, "%d\t%s\n", m.now.Add(missesExpire).Unix(), key)
}
