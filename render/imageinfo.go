package render

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"bugcheck/pe"
	"bugcheck/win"
)

// ImageInfo writes what a driver or program says of itself: version resource,
// identity for symbol servers, sections. Parts that are damaged are named.
func ImageInfo(w io.Writer, name string, f *pe.File) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(label, format string, args ...any) {
		if text := strings.TrimSpace(fmt.Sprintf(format, args...)); text != "" {
			fmt.Fprintf(t, "%s\t%s\n", label, text)
		}
	}
	damage := func(err error) {
		if err != nil {
			row("Note", "%s", Printable(err.Error()))
		}
	}
	row("File", "%s, %d bytes", Printable(name), f.Size)
	row("Kind", "Windows image, %s", f.Header.Machine)
	if d, ok := win.English.Driver(name); ok {
		row("Known as", "%s: %s", d.Owner, d.What)
	}
	damage(imageVersion(row, f))
	damage(imageIdentity(row, f))
	functions, err := f.Functions()
	damage(err)
	row("Functions", "%d with unwind data", len(functions))
	sections, err := f.Sections()
	damage(err)
	for _, s := range sections {
		row("Section", "%-8s %v, %d bytes", s.Name, s.RVA, s.VirtualSize)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write info: %w", err)
	}
	return nil
}

// imageVersion writes the version resource.
func imageVersion(row func(string, string, ...any), f *pe.File) error {
	v, err := f.Version()
	if v.File != (pe.VersionNumber{}) {
		row("Version", "%s", v.File)
	}
	for _, key := range []string{"CompanyName", "FileDescription", "ProductName", "FileVersion", "OriginalFilename", "LegalCopyright"} {
		row(key, "%s", Printable(v.Strings[key]))
	}
	return err
}

// imageIdentity writes what symbol servers know the image and its symbols by.
func imageIdentity(row func(string, string, ...any), f *pe.File) error {
	reproducible, err := f.Reproducible()
	stamp := fmt.Sprintf("0x%08x", f.Header.Timestamp)
	if !reproducible && f.Header.Timestamp != 0 {
		stamp += time.Unix(int64(f.Header.Timestamp), 0).UTC().Format(" (2006-01-02 15:04:05 UTC)")
	}
	row("Timestamp", "%s", stamp)
	row("Checksum", "0x%x", f.Header.Checksum)
	row("Image key", "%s", f.ImageKey())
	pdb, errPDB := f.PDB()
	if err == nil {
		err = errPDB
	}
	if pdb.Path != "" {
		row("Symbols", "%s %s", Printable(pdb.Path), pdb.Key())
	}
	return err
}
