package symbols

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"bugcheck/pe"
)

// Kind is what kind of file is asked for.
type Kind string

// The kinds, as manifests write them.
const (
	Image Kind = "image"
	PDB   Kind = "pdb"
)

// Request names a file by its identity.
type Request struct {
	Name string // "ntkrnlmp.pdb"
	Key  string // the folder in a symbol store: pe.PDB.Key or pe.File.ImageKey
	Kind Kind
}

func (q Request) String() string { return q.Name + " " + q.Key }

// PDBRequest asks for the symbol file that an image names.
func PDBRequest(p pe.PDB) Request { return Request{Name: baseName(p.Path), Key: p.Key(), Kind: PDB} }

// ImageRequest asks for an image by the timestamp and SizeOfImage of its
// headers; name may be a whole path.
func ImageRequest(name string, timestamp, size uint32) Request {
	return Request{Name: baseName(name), Key: fmt.Sprintf("%08X%x", timestamp, size), Kind: Image}
}

// baseName is what stands behind the last separator of either system.
func baseName(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

// maxFileName is the longest name of a file on the systems we know, bytes.
const maxFileName = 255

// check refuses names and keys that no file has: they come from dumps and
// manifests, and become parts of paths.
func (q Request) check() error {
	if q.Name == "" || len(q.Name) > maxFileName || strings.ContainsAny(q.Name, `\/:*?"<>|,`) ||
		strings.ContainsFunc(q.Name, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) ||
		strings.Trim(q.Name, ". ") == "" || !filepath.IsLocal(q.Name) {
		return fmt.Errorf("%q is no name of a file", q.Name)
	}
	if len(q.Key) < 9 || len(q.Key) > 40 {
		return fmt.Errorf("%q is no identity of a file", q.Key)
	}
	for i := range len(q.Key) {
		if hexDigit(q.Key[i]) < 0 {
			return fmt.Errorf("%q is no identity of a file", q.Key)
		}
	}
	return nil
}

// Found is a file whose identity is right.
type Found struct {
	io.ReaderAt
	Size  int64    // bytes
	Where string   // path, or pack and entry
	file  *os.File // to be closed; nil: memory, or part of a pack
}

// Close ends the use of the file.
func (f Found) Close() {
	if f.file != nil {
		f.file.Close()
	}
}

// located is where a file lies whose identity is right: on disk, or open.
type located struct {
	path string // "": r
	temp bool   // path is a download that no store has yet

	r     io.ReaderAt
	size  int64
	where string
}

func (l located) open(q Request) (Found, error) {
	if l.path == "" {
		return Found{ReaderAt: l.r, Size: l.size, Where: l.where}, nil
	}
	file, err := os.Open(l.path)
	if err != nil {
		return Found{}, &NotFoundError{Request: q, Err: err}
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return Found{}, &NotFoundError{Request: q, Err: err}
	}
	return Found{ReaderAt: file, Size: info.Size(), Where: l.path, file: file}, nil
}

// errNotHere says that a store does not have a file.
var errNotHere = errors.New("not there")

// What errors.Is finds in the errors of a search.
var (
	ErrNotFound    = errors.New("not found")           // in every *NotFoundError
	ErrUnreachable = errors.New("unreachable")         // a server could not be asked
	ErrOffline     = errors.New("servers not asked")   // Options.Offline
	ErrMismatch    = errors.New("not the wanted file") // in every *MismatchError
)

// NotFoundError says that a file is in none of the places, and which of them
// could not be asked.
type NotFoundError struct {
	Request
	Unreachable []string // servers
	Offline     bool     // there are servers, and they were not asked
	Err         error    // the first trouble of another kind, such as a damaged file; may be nil
}

func (e *NotFoundError) Error() string {
	s := e.Request.String() + ": not found"
	if len(e.Unreachable) > 0 {
		s += "; unreachable: " + strings.Join(e.Unreachable, ", ")
	}
	if e.Offline {
		s += "; servers were not asked"
	}
	if e.Err != nil {
		s += "; " + e.Err.Error()
	}
	return s
}

// Is tells the reasons apart.
func (e *NotFoundError) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return true
	case ErrUnreachable:
		return len(e.Unreachable) > 0
	case ErrOffline:
		return e.Offline
	}
	return false
}

// Unwrap returns the trouble of another kind.
func (e *NotFoundError) Unwrap() error { return e.Err }

// add takes the error of one element of the path.
func (e *NotFoundError) add(err error) {
	var down *unreachableError
	switch {
	case errors.Is(err, errNotHere) || errors.Is(err, ErrMismatch):
	case errors.Is(err, ErrOffline):
		e.Offline = true
	case errors.As(err, &down):
		e.Unreachable = append(e.Unreachable, down.server)
	case e.Err == nil:
		e.Err = err
	}
}

// unreachableError says that a server did not answer.
type unreachableError struct {
	server string
	err    error
}

func (e *unreachableError) Error() string { return e.server + ": " + e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// MismatchError says that a file has the right name and is another one. Such a
// file is never used and never kept.
type MismatchError struct {
	Request
	Where string // path or address
	Found string // its identity; "" where it is not a file of that kind
	Err   error  // why it has no identity; else nil
}

func (e *MismatchError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: wanted %s %s: %v", e.Where, e.Kind, e.Key, e.Err)
	}
	return fmt.Sprintf("%s: wanted %s %s, found %s", e.Where, e.Kind, e.Key, e.Found)
}

// Is makes errors.Is(err, ErrMismatch) hold.
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }

// Unwrap returns why the file has no identity.
func (e *MismatchError) Unwrap() error { return e.Err }
