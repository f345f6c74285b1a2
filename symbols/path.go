package symbols

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// DefaultServer is Microsoft's public symbol server.
const DefaultServer = "https://msdl.microsoft.com/download/symbols"

// maxStores is how many stores srv* takes ("Using SymSrv").
const maxStores = 10

// PathError says which element of a symbol path is wrong.
type PathError struct {
	Element string
	What    string
}

func (e *PathError) Error() string { return fmt.Sprintf("symbol path: %q: %s", e.Element, e.What) }

// parse reads a symbol path: elements between semicolons, each a folder, a
// pack, a server, srv*STORE…, symsrv*symsrv.dll*STORE… or cache*FOLDER.
func (f *Finder) parse(path string) error {
	var caches chain // of cache*, for the elements to its right
	for element := range strings.SplitSeq(path, ";") {
		element = strings.Trim(strings.TrimSpace(element), `"`)
		if element == "" {
			continue
		}
		keyword, rest, starred := strings.Cut(element, "*")
		if !starred {
			c, err := f.plain(element)
			if err != nil {
				return &PathError{hideSecrets(element), err.Error()}
			}
			f.chains = append(f.chains, slices.Concat(caches, c))
			continue
		}
		if strings.EqualFold(keyword, "cache") {
			cache, err := f.cacheElement(rest)
			if err != nil {
				return &PathError{hideSecrets(element), err.Error()}
			}
			caches = slices.Concat(caches, chain{cache})
			f.chains = append(f.chains, chain{cache})
			continue
		}
		c, err := f.serverElement(keyword, rest)
		if err != nil {
			return &PathError{hideSecrets(element), err.Error()}
		}
		f.chains = append(f.chains, slices.Concat(caches, c))
	}
	return nil
}

// hideSecrets drops user, password and query from the addresses of a path.
func hideSecrets(path string) string {
	var out strings.Builder
	for path != "" {
		n := strings.IndexAny(path, ";*")
		if n < 0 {
			n = len(path)
		}
		part := path[:n]
		if trimmed := strings.Trim(strings.TrimSpace(part), `"`); isURL(trimmed) {
			part = "https://…"
			if u, err := url.Parse(trimmed); err == nil {
				part = shownURL(u)
			}
		}
		out.WriteString(part)
		if n < len(path) {
			out.WriteByte(path[n])
			n++
		}
		path = path[n:]
	}
	return out.String()
}

// cacheElement is what stands behind cache*; nothing means the default cache.
func (f *Finder) cacheElement(dir string) (*treeStore, error) {
	if strings.Contains(dir, "*") || isURL(dir) {
		return nil, errors.New("cache* takes one folder")
	}
	if dir == "" {
		dir = f.opts.Cache
	}
	if dir == "" {
		return nil, errors.New("there is no default folder for the cache")
	}
	return &treeStore{dir: dir}, nil
}

// serverElement reads the stores behind srv* or symsrv*symsrv.dll*.
func (f *Finder) serverElement(keyword, rest string) (chain, error) {
	switch strings.ToLower(keyword) {
	case "srv":
	case "symsrv":
		library, stores, _ := strings.Cut(rest, "*")
		if library != "" && !strings.EqualFold(baseName(library), "symsrv.dll") {
			return nil, fmt.Errorf("the symbol server library %q is not supported", library)
		}
		rest = stores
	default:
		return nil, fmt.Errorf("%q is not a keyword (srv, symsrv, cache)", keyword)
	}
	stores := strings.Split(rest, "*")
	if len(stores) > maxStores {
		return nil, fmt.Errorf("%d stores, more than %d", len(stores), maxStores)
	}
	if strings.Trim(rest, "* ") == "" {
		stores = []string{"", DefaultServer}
	}
	var c chain
	for _, s := range stores {
		next, err := f.storeOf(strings.Trim(strings.TrimSpace(s), `"`), c)
		if err != nil {
			return nil, err
		}
		c = next
	}
	return c, nil
}

// storeOf appends one store of srv*. A server needs a folder before it; nothing
// between two asterisks means the default cache.
func (f *Finder) storeOf(s string, c chain) (chain, error) {
	switch {
	case isURL(s):
		return f.behindFolder(s, c)
	case isPack(s):
		return append(c, f.packAt(s)), nil
	case s == "" && f.opts.Cache == "":
		return nil, errors.New("there is no default folder for the cache")
	case s == "":
		s = f.opts.Cache
	}
	return append(c, &treeStore{dir: s}), nil
}

func (f *Finder) behindFolder(address string, c chain) (chain, error) {
	sink := -1
	for i, s := range c {
		if _, ok := s.(*treeStore); ok {
			sink = i
		}
	}
	if sink < 0 {
		if f.opts.Cache == "" {
			return nil, errors.New("a server needs a folder before it: srv*FOLDER*https://…")
		}
		c, sink = append(c, &treeStore{dir: f.opts.Cache}), len(c)
	}
	s, err := f.serverAt(address)
	if err != nil {
		return nil, err
	}
	return append(c, &serverStore{server: s, sink: c[sink].(*treeStore)}), nil
}

// plain is an element without an asterisk. A bare address is read as srv*.
func (f *Finder) plain(element string) (chain, error) {
	switch {
	case isURL(element):
		return f.behindFolder(element, nil)
	case isPack(element):
		return chain{f.packAt(element)}, nil
	}
	dir := &folder{dir: element}
	f.folders = append(f.folders, dir)
	return chain{dir}, nil
}

func isURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

func isPack(s string) bool { return len(s) > 4 && strings.EqualFold(s[len(s)-4:], ".zip") }

func (f *Finder) packAt(path string) *pack {
	for _, p := range f.packs {
		if p.path == path {
			return p
		}
	}
	p := &pack{path: path}
	f.packs = append(f.packs, p)
	return p
}

// serverAt returns one server for each address, so that it is asked once
// whether it can be reached.
func (f *Finder) serverAt(address string) (*server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("not an address of a server")
	}
	for _, s := range f.servers {
		if s.base.String() == u.String() {
			return s, nil
		}
	}
	s := &server{base: u, shown: shownURL(u), answered: make(chan struct{})}
	f.servers = append(f.servers, s)
	return s, nil
}

// shownURL is an address without user, password and query, which may be
// secrets.
func shownURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
