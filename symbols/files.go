package symbols

import (
	"context"
	"strconv"

	"bugcheck/pe"
)

// Files is where the files of a module lie. Unlike Module, nothing is kept open.
type Files struct {
	Wanted
	Image Result // without a request where the dump does not identify it
	PDB   Result // without a request where nothing names it
	ISF   string // where a symbol file of Volatility lies that stands for a missing PDB; "" if none
}

// Requests are the files that are needed, as far as they are known.
func (m Files) Requests() (list []Request) {
	for _, r := range m.results() {
		list = append(list, r.Request)
	}
	return list
}

// Missing are the files that were not found, or only wrong ones.
func (m Files) Missing() (list []Result) {
	for _, r := range m.results() {
		if r.Err != nil {
			list = append(list, r)
		}
	}
	return list
}

func (m Files) results() (list []Result) {
	for _, r := range []Result{m.Image, m.PDB} {
		if r.Request != (Request{}) {
			list = append(list, r)
		}
	}
	return list
}

// Files finds the image of each module and the symbol file that it names, four
// modules at once.
func (f *Finder) Files(ctx context.Context, list []Wanted) []Files {
	isfs := map[string]string{}
	for _, ref := range f.ISFs() {
		if ref.PDB != (pe.PDB{}) {
			isfs[ref.PDB.Key()] = ref.Where
		}
	}
	found := make([]Files, len(list))
	atOnce(len(list), func(i int) {
		found[i] = f.files(ctx, list[i])
		found[i].ISF = isfs[found[i].PDB.Key]
	})
	return found
}

func (f *Finder) files(ctx context.Context, w Wanted) Files {
	m := Files{Wanted: w}
	id := w.PDB
	if w.Timestamp != 0 && w.Size != 0 {
		q := ImageRequest(w.Name, w.Timestamp, w.Size)
		image, err := f.Find(ctx, q)
		m.Image = Result{Request: q, Where: image.Where, Size: image.Size, Err: err}
		if err == nil {
			if file, err := pe.Open(image, image.Size, pe.InFile); err == nil && id == (pe.PDB{}) {
				id, _ = file.PDB()
			}
			image.Close()
		}
	}
	if id != (pe.PDB{}) {
		m.PDB = f.fetch(ctx, PDBRequest(id))
	}
	return m
}

// WantedOf turns the requests of a manifest into modules: an image brings the
// symbol file that it names. Symbol files alone are returned beside them.
func WantedOf(requests []Request) (modules []Wanted, pdbs []Request) {
	for _, q := range requests {
		if q.Kind == PDB {
			pdbs = append(pdbs, q)
			continue
		}
		if len(q.Key) < 9 {
			continue
		}
		timestamp, err := strconv.ParseUint(q.Key[:8], 16, 32)
		size, err2 := strconv.ParseUint(q.Key[8:], 16, 32)
		if err == nil && err2 == nil {
			modules = append(modules, Wanted{Name: q.Name, Timestamp: uint32(timestamp), Size: uint32(size)})
		}
	}
	return modules, pdbs
}
