package symbols

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"slices"
)

// packManifest is the name of the list in a pack.
const packManifest = "manifest.txt"

// WritePack writes a zip with all files of the requests that are found: a
// store of two tiers, not compressed, so that it can be read in place as an
// element of a symbol path, and a manifest of all that was asked for. Symbol
// files of Volatility are named by where they lie (Files.ISF, ISF.Where). The
// error is that of writing; what is missing stands in the results.
func (f *Finder) WritePack(ctx context.Context, w io.Writer, requests []Request, isfs ...string) ([]Result, error) {
	results := f.Fetch(ctx, requests)
	z := zip.NewWriter(w)
	mark, err := z.Create("index2.txt") // that a store has two tiers
	if err == nil {
		_, err = mark.Write([]byte("."))
	}
	written := map[string]bool{}
	for i := 0; i < len(results) && err == nil; i++ {
		r := &results[i]
		name := firstTier(r.Name) + "/" + r.Name + "/" + r.Key + "/" + r.Name
		if r.Err != nil || written[name] {
			continue
		}
		written[name] = true
		err = f.packFile(ctx, z, name, r)
	}
	if err == nil {
		err = f.packISFs(z, isfs)
	}
	if err != nil {
		return results, err
	}
	list, err := z.Create(packManifest)
	if err != nil {
		return results, err
	}
	if err := WriteManifest(list, requests); err != nil {
		return results, err
	}
	return results, z.Close()
}

// packISFs copies symbol files of Volatility as they are.
func (f *Finder) packISFs(z *zip.Writer, isfs []string) error {
	written := map[string]bool{}
	for _, ref := range f.ISFs() {
		name := ref.storeName()
		if !slices.Contains(isfs, ref.Where) || written[name] {
			continue
		}
		written[name] = true
		out, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			return err
		}
		err = ref.read(func(in io.ReaderAt, size int64) error {
			_, err := io.Copy(out, io.NewSectionReader(in, 0, size))
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", ref.Where, err)
		}
	}
	return nil
}

// packFile copies one file; one that cannot be found again counts as missing.
func (f *Finder) packFile(ctx context.Context, z *zip.Writer, name string, r *Result) error {
	found, err := f.Find(ctx, r.Request)
	if err != nil {
		r.Err = err
		return nil
	}
	defer found.Close()
	out, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, io.NewSectionReader(found, 0, found.Size)); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	return nil
}
