package symbols

import (
	"context"
	"slices"
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
	order   []Wanted        // of modules, as they were first asked for
	isfs    map[string]*ISF // decoded, by where they lie; nil: damaged
}

// maxModules bounds what many dumps of different machines make a Finder hold: some
// 2 MiB and two open files a module. Older ones are forgotten; whoever still uses
// one keeps it, and its files are closed when it is garbage.
const maxModules = 192

// moduleCall is one look for a module, whose result all who ask share.
type moduleCall struct {
	once   sync.Once
	module *Module
}

// Modules finds what there is for several images, four at once. What a context
// that ends left out is missing.
func (f *Finder) Modules(ctx context.Context, list []Wanted) []*Module {
	found := make([]*Module, len(list))
	atOnce(len(list), func(i int) { found[i] = f.Module(ctx, list[i]) })
	return found
}

// Module finds the image, and the symbol file that it names; what was found is
// kept for the next dump.
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
	if c := l.modules[w]; c != nil {
		return c
	}
	if l.modules == nil {
		l.modules = map[Wanted]*moduleCall{}
	}
	if len(l.order) == maxModules {
		delete(l.modules, l.order[0])
		l.order = l.order[1:]
	}
	c := &moduleCall{}
	l.modules[w], l.order = c, append(l.order, w)
	return c
}

func (l *loaded) forget(w Wanted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.modules, w)
	l.order = slices.DeleteFunc(l.order, func(o Wanted) bool { return o == w })
}

// close ends the use of the files.
func (l *loaded) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.modules {
		c.module.close()
	}
	l.modules, l.order = nil, nil
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
