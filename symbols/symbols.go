// Package symbols finds the files that give addresses their names: symbol files
// (PDB) and images, on disk, on symbol servers and in packs, by the identity
// that the crashed machine recorded; and it reads Volatility's symbol files
// (ISF), which serve where there is no PDB.
//
// A file is used only if its own bytes say that it is the one that was asked
// for. The package asks no server but those in the path it is given, reads no
// environment and no clock, and does not decode PDB files: package pdb does.
//
// Sources: "Advanced SymSrv Use", "Symbol path for Windows debuggers" and
// "Using SymStore" in Microsoft's documentation. The grammar of the path and
// the layouts of stores and packs: docs/symbols.md.
package symbols

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"bugcheck/pe"
)

// Options say where to look. The zero Options look nowhere.
type Options struct {
	Path   string   // a symbol path as in _NT_SYMBOL_PATH; several are joined by ;
	Cache  string   // the folder for what servers give where the path names none; "": the path must
	Images []string // folders with the machine's own images, such as C:\Windows\System32\drivers

	Offline bool              // ask no server
	Client  *http.Client      // nil: NewClient()
	Tokens  map[string]string // bearer tokens by host name, such as symbols.example.com

	// Wait is how long a server may take for its first answer before it counts
	// as unreachable for this run; zero is 2 seconds.
	Wait time.Duration
	// Now lets what a server does not have be remembered in the cache for a
	// day; zero asks anew every time.
	Now time.Time
	// Progress is called while a file comes in, from several goroutines; total
	// is -1 where it is not known. Bytes.
	Progress func(name string, done, total int64)
}

// Finder finds files along a symbol path. It is safe for concurrent use, and
// remembers for its life what it found, what it did not, and which servers
// cannot be reached.
type Finder struct {
	opts    Options
	chains  []chain
	images  []chain // Options.Images
	folders []*folder
	packs   []*pack
	servers []*server
	slots   chan struct{} // a place for each download at once

	listMu sync.Mutex
	lists  map[string]map[string]string // of folders: names by lower-case name
	shares map[string]*share            // \\server\share

	mu      sync.Mutex
	loaded  loaded // what modules use
	calls   map[Request]*call
	missing map[string]*misses // by folder
	order   []Request          // as they were first asked
	memory  int64              // bytes that unpacked files hold
	probed  bool
}

// call is one search, whose result all who ask share.
type call struct {
	done      chan struct{}
	at        located
	err       error
	cancelled bool
}

// Download bounds: symbol servers allow few connections, and the line is the
// bottleneck.
const downloadsAtOnce = 4

// defaultWait is within the two seconds that a user without a network waits.
const defaultWait = 1900 * time.Millisecond

// Open reads the path. An error says what of its grammar is wrong; places that
// do not exist are no error.
func Open(o Options) (*Finder, error) {
	if o.Client == nil {
		o.Client = NewClient()
	}
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	f := &Finder{opts: o, slots: make(chan struct{}, downloadsAtOnce), calls: map[Request]*call{}, missing: map[string]*misses{}, lists: map[string]map[string]string{}, shares: map[string]*share{}}
	if err := f.parse(o.Path); err != nil {
		return nil, err
	}
	for _, dir := range o.Images {
		if dir != "" {
			f.images = append(f.images, chain{&folder{dir: dir, flat: true}})
		}
	}
	return f, nil
}

// Close closes files and packs. What was found must not be read any more.
func (f *Finder) Close() {
	f.loaded.close()
	for _, p := range f.packs {
		p.close()
	}
}

// Image finds an image by its name and by the timestamp and SizeOfImage of its
// headers. Errors are *NotFoundError and *MismatchError.
func (f *Finder) Image(ctx context.Context, name string, timestamp, size uint32) (Found, error) {
	return f.Find(ctx, ImageRequest(name, timestamp, size))
}

// PDB finds the symbol file that an image names. Errors are as for Image.
func (f *Finder) PDB(ctx context.Context, p pe.PDB) (Found, error) {
	return f.Find(ctx, PDBRequest(p))
}

// Find finds one file. The caller closes it.
func (f *Finder) Find(ctx context.Context, q Request) (Found, error) {
	if err := q.check(); err != nil {
		return Found{}, &NotFoundError{Request: q, Err: err}
	}
	for {
		at, again, err := f.shared(ctx, q)
		switch {
		case err == nil:
			return at.open(q)
		case !again:
			return Found{}, err
		}
	}
}

// shared searches once for all who ask for the same file. A search that was
// cancelled is forgotten, and whoever waited for it is to ask again.
func (f *Finder) shared(ctx context.Context, q Request) (at located, again bool, err error) {
	f.mu.Lock()
	c, running := f.calls[q]
	if !running {
		c = &call{done: make(chan struct{})}
		f.calls[q] = c
		if !slices.Contains(f.order, q) {
			f.order = append(f.order, q)
		}
	}
	f.mu.Unlock()
	if running {
		select {
		case <-c.done:
			return c.at, c.cancelled, c.err
		case <-ctx.Done():
			return located{}, false, ctx.Err()
		}
	}
	c.at, c.err = f.search(ctx, q)
	if c.err != nil && ctx.Err() != nil {
		c.cancelled = true
		f.mu.Lock()
		delete(f.calls, q)
		f.mu.Unlock()
	}
	close(c.done)
	return c.at, false, c.err
}

// search goes along the path. The first file whose identity is right wins; what
// else was met is told only if none is.
func (f *Finder) search(ctx context.Context, q Request) (located, error) {
	missing := &NotFoundError{Request: q}
	var mismatch *MismatchError
	chains := f.chains
	if q.Kind == Image {
		chains = slices.Concat(f.images, f.chains)
	}
	for _, c := range chains {
		at, err := c.find(ctx, f, q)
		if err == nil {
			return at, nil
		}
		if ctx.Err() != nil {
			return located{}, ctx.Err()
		}
		var wrongOne *MismatchError
		if errors.As(err, &wrongOne) && mismatch == nil {
			mismatch = wrongOne
		}
		missing.add(err)
	}
	if mismatch != nil {
		return located{}, mismatch
	}
	return located{}, missing
}

// chain is one element of the path: stores from the nearest to the farthest.
type chain []store

// store is a place where files may lie. It returns errNotHere, a
// *MismatchError, an *unreachableError or what else went wrong.
type store interface {
	find(ctx context.Context, f *Finder, q Request) (located, error)
}

// find asks store after store; what a farther one has is copied to the folders
// before it.
func (c chain) find(ctx context.Context, f *Finder, q Request) (located, error) {
	var first error
	for i, s := range c {
		var at located
		err := f.answers(ctx, s)
		if err == nil {
			at, err = s.find(ctx, f, q)
		}
		if err == nil {
			return c[:i].keep(ctx, f, q, at)
		}
		if ctx.Err() != nil {
			return located{}, ctx.Err()
		}
		if first == nil || errors.Is(first, errNotHere) {
			first = err
		}
	}
	return located{}, first
}

// keep copies a file into the folders of c, the farthest first, and returns the
// nearest copy. A folder that cannot be written to is passed over; a download
// that none of them took goes to the default cache.
func (c chain) keep(ctx context.Context, f *Finder, q Request, at located) (located, error) {
	for _, s := range slices.Backward(c) {
		dir, ok := s.(*treeStore)
		if !ok || f.answers(ctx, dir) != nil {
			continue
		}
		if kept, err := dir.put(q, at); err == nil {
			at = kept
		}
	}
	if !at.temp {
		return at, nil
	}
	kept, err := f.defaultCache().put(q, at)
	if err != nil {
		_ = os.Remove(at.path)
	}
	return kept, err
}

func (f *Finder) defaultCache() *treeStore { return &treeStore{dir: f.opts.Cache} }
