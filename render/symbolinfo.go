package render

import (
	"fmt"
	"io"

	"bugcheck/pdb"
	"bugcheck/pe"
)

// SymbolInfo writes what a symbol file holds: the identity that images and symbol
// servers know it by, and how much of each kind. Parts that are damaged are named.
func SymbolInfo(w io.Writer, name string, size int64, f *pdb.File) error {
	t := newTable(w)
	t.row("File", "%s, %d bytes", Printable(name), size)
	t.row("Kind", "symbol file, %s", pe.Machine(f.Machine))
	t.row("Key", "%s", f.Key())
	count := func(what string, n int, err error) {
		t.row(what, "%d", n)
		if err != nil {
			t.row("Note", "%s", Printable(err.Error()))
		}
	}
	publics, err := f.Publics()
	count("Publics", len(publics), err)
	procedures, err := f.Procedures()
	count("Procedures", len(procedures), err)
	types, err := f.Types()
	count("Named types", len(types), err)
	lines, err := f.LineTable()
	count("Lines", len(lines), err)
	if f.Stripped {
		t.row("Note", "private symbols were removed")
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write info: %w", err)
	}
	return nil
}
