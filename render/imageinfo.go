package render

import (
	"fmt"
	"io"
	"time"

	"bugcheck/pe"
	"bugcheck/win"
)

// ImageInfo writes what a driver or program says of itself: version resource,
// identity for symbol servers, sections. Parts that are damaged are named.
func ImageInfo(w io.Writer, name string, f *pe.File) error {
	t := newTable(w)
	damage := func(err error) {
		if err != nil {
			t.row("Note", "%s", Printable(err.Error()))
		}
	}
	t.row("File", "%s, %d bytes", Printable(name), f.Size)
	t.row("Kind", "Windows image, %s", f.Header.Machine)
	if d, ok := win.English.Driver(name); ok {
		t.row("Known as", "%s: %s", d.Owner, d.What)
	}
	damage(imageVersion(t, f))
	damage(imageIdentity(t, f))
	functions, err := f.Functions()
	damage(err)
	t.row("Functions", "%d with unwind data", len(functions))
	sections, err := f.Sections()
	damage(err)
	for _, s := range sections {
		t.row("Section", "%-8s %v, %d bytes", s.Name, s.RVA, s.VirtualSize)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write info: %w", err)
	}
	return nil
}

// imageVersion writes the version resource.
func imageVersion(t table, f *pe.File) error {
	v, err := f.Version()
	if v.File != (pe.VersionNumber{}) {
		t.row("Version", "%s", v.File)
	}
	for _, key := range []string{"CompanyName", "FileDescription", "ProductName", "FileVersion", "OriginalFilename", "LegalCopyright"} {
		t.row(key, "%s", Printable(v.Strings[key]))
	}
	return err
}

// imageIdentity writes what symbol servers know the image and its symbols by.
func imageIdentity(t table, f *pe.File) error {
	reproducible, err := f.Reproducible()
	stamp := fmt.Sprintf("0x%08x", f.Header.Timestamp)
	if !reproducible && f.Header.Timestamp != 0 {
		stamp += time.Unix(int64(f.Header.Timestamp), 0).UTC().Format(" (2006-01-02 15:04:05 UTC)")
	}
	t.row("Timestamp", "%s", stamp)
	t.row("Checksum", "0x%x", f.Header.Checksum)
	t.row("Image key", "%s", f.ImageKey())
	pdb, errPDB := f.PDB()
	if err == nil {
		err = errPDB
	}
	if pdb.Path != "" {
		t.row("Symbols", "%s %s", Printable(pdb.Path), pdb.Key())
	}
	return err
}
