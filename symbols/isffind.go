package symbols

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"bugcheck/pe"
)

// ISFRef is a symbol file of Volatility that lies on the path. It has not been
// read.
type ISFRef struct {
	PDB   pe.PDB // what its name says: GUID-AGE.json.xz, in a folder that is named like the PDB; zero if it says nothing
	Where string

	pack  *pack
	entry *zip.File
}

// isfEndings are the names of symbol files of Volatility.
var isfEndings = [...]string{".json", ".json.gz", ".json.xz"}

func isISFName(name string) bool { return isfStem(name) != "" }

// isfStem is a name without its ending; "" if it is none of these.
func isfStem(name string) string {
	for _, ending := range isfEndings {
		if n := len(name) - len(ending); n > 0 && strings.EqualFold(name[n:], ending) {
			return name[:n]
		}
	}
	return ""
}

// isfIdentity reads GUID-AGE, the age in decimal, and the name of the folder.
func isfIdentity(where string) pe.PDB {
	where = strings.ReplaceAll(filepath.ToSlash(where), `\`, "/")
	guid, age, _ := strings.Cut(isfStem(path.Base(where)), "-")
	g, ok := guidOf(guid)
	n, err := strconv.ParseUint(age, 10, 32)
	if !ok || err != nil {
		return pe.PDB{}
	}
	p := pe.PDB{GUID: g, Age: uint32(n)}
	if dir := path.Base(path.Dir(where)); strings.EqualFold(path.Ext(dir), ".pdb") {
		p.Path = dir
	}
	return p
}

// ISFs lists the symbol files of Volatility in the folders and packs of the
// path, by their names; none is decoded.
func (f *Finder) ISFs() []ISFRef {
	var list []ISFRef
	for _, d := range f.folders {
		if (&treeStore{dir: d.dir}).usable() != nil || f.answers(context.Background(), d) != nil {
			continue
		}
		d.once.Do(d.walk)
		for _, path := range d.isfs {
			list = append(list, ISFRef{PDB: isfIdentity(path), Where: path})
		}
	}
	for _, p := range f.packs {
		if f.answers(context.Background(), p) != nil {
			continue
		}
		p.once.Do(p.open)
		for _, e := range p.isfs {
			list = append(list, ISFRef{PDB: isfIdentity(e.Name), Where: p.path + "/" + e.Name, pack: p, entry: e})
		}
	}
	return list
}

// Open decodes the file.
func (r ISFRef) Open() (*ISF, error) {
	var f *ISF
	err := r.read(func(in io.ReaderAt, size int64) (err error) {
		f, err = OpenISF(in, size)
		return err
	})
	if f != nil {
		f.Where = r.Where
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", r.Where, err)
	}
	return f, err
}

// read hands out the bytes of the file, as it is packed.
func (r ISFRef) read(use func(in io.ReaderAt, size int64) error) error {
	if r.pack != nil {
		in, size, err := r.pack.reader(r.entry)
		if err != nil {
			return err
		}
		return use(in, size)
	}
	file, err := os.Open(r.Where)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return use(file, info.Size())
}

// storeName is where the file lies in a pack: its own name, which has its
// identity, behind that of the PDB if that is known.
func (r ISFRef) storeName() string {
	where := strings.ReplaceAll(filepath.ToSlash(r.Where), `\\`, "/")
	name := path.Base(where)
	if r.PDB.Path != "" {
		name = r.PDB.Path + "/" + name
	}
	return "isf/" + name
}

// ISF finds the symbol file of Volatility that was made from a PDB: by its
// name, and then by what it says itself. Errors are as for Image.
func (f *Finder) ISF(ctx context.Context, p pe.PDB) (*ISF, error) {
	q := PDBRequest(p)
	var mismatch error
	missing := &NotFoundError{Request: q}
	for _, ref := range f.ISFs() {
		if p == (pe.PDB{}) || ref.PDB.GUID != p.GUID || ref.PDB.Age != p.Age {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		isf, err := ref.Open()
		if err != nil {
			missing.add(err)
			continue
		}
		if isf.PDB.GUID == p.GUID && isf.PDB.Age == p.Age {
			return isf, nil
		}
		mismatch = errors.Join(mismatch, &MismatchError{Request: q, Where: ref.Where, Found: isf.PDB.Key()})
	}
	if mismatch != nil {
		return nil, mismatch
	}
	return nil, missing
}
