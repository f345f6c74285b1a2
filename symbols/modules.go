package symbols

import (
	"context"
	"sync"

	"bugcheck/pe"
)

// Wanted is a loaded image, as far as a dump identifies it.
type Wanted struct {
	Name            string // file name, may have a path
	Timestamp, Size uint32 // of its headers; zero: not known
	PDB             pe.PDB // what it names as its symbol file; zero: only the image tells
}

// loaded is what a Finder keeps of modules: dumps of one machine share it.
type loaded struct {
	mu      sync.Mutex
	modules map[Wanted]*moduleCall
	isfs    map[string]*ISF // decoded, by where they lie; nil: damaged
	open    []Found
}

// moduleCall is one look for a module, whose result all who ask share.
type moduleCall struct {
	once   sync.Once
	module *Module
}

// Modules finds what there is for several images, four at once. What a context
// that ends left out is missing.
func (f *Finder) Modules(ctx context.Context, list []Wanted) []*Module {
	found := make([]*Module, len(list))
	slots := make(chan struct{}, downloadsAtOnce)
	var wait sync.WaitGroup
	for i, w := range list {
		slots <- struct{}{}
		wait.Go(func() {
			found[i] = f.Module(ctx, w)
			<-slots
		})
	}
	wait.Wait()
	return found
}

// Module finds the image, and the symbol file that it names; what was found is
// kept for as long as the Finder lives.
func (f *Finder) Module(ctx context.Context, w Wanted) *Module {
	c := f.loaded.call(w)
	c.once.Do(func() { c.module = f.load(ctx, w) })
	if ctx.Err() != nil { // what it cut off may be there the next time
		f.loaded.forget(w)
	}
	return c.module
}

// call is the look for one module.
func (l *loaded) call(w Wanted) *moduleCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.modules[w]
	if c == nil {
		c = &moduleCall{}
		if l.modules == nil {
			l.modules = map[Wanted]*moduleCall{}
		}
		l.modules[w] = c
	}
	return c
}

func (l *loaded) forget(w Wanted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.modules, w)
}

// keep closes a file with the Finder.
func (l *loaded) keep(found Found) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, found)
}

// close ends the use of the files.
func (l *loaded) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, file := range l.open {
		file.Close()
	}
	l.open, l.modules = nil, nil
}

// maxProbed is how many symbol files of Volatility ISFWhere decodes: each takes
// about a tenth of a second.
const maxProbed = 32

// ISFWhere finds a symbol file of Volatility by what it says, where the PDB's
// identity is not known. Nil if none of those on the path is right.
func (f *Finder) ISFWhere(right func(*ISF) bool) *ISF {
	for i, ref := range f.ISFs() {
		if i == maxProbed {
			return nil
		}
		if isf := f.decoded(ref); isf != nil && right(isf) {
			return isf
		}
	}
	return nil
}

// decoded decodes a symbol file of Volatility once; nil if that fails.
func (f *Finder) decoded(ref ISFRef) *ISF {
	l := &f.loaded
	l.mu.Lock()
	defer l.mu.Unlock()
	isf, ok := l.isfs[ref.Where]
	if ok {
		return isf
	}
	if l.isfs == nil {
		l.isfs = map[string]*ISF{}
	}
	if isf, _ = ref.Open(); isf != nil && isf.Len() == 0 {
		isf = nil
	}
	l.isfs[ref.Where] = isf
	return isf
}

// Path is the symbol path that the Finder looks along, without the secrets that
// addresses may hold.
func (f *Finder) Path() string { return hideSecrets(f.opts.Path) }
