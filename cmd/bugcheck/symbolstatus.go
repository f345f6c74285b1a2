package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/pdb"
	"bugcheck/pe"
	"bugcheck/render"
	"bugcheck/symbols"
)

func (s *symbolsRun) status(ctx context.Context, names []string) error {
	s.each(names, func(name string, d *dump.File) {
		m := kernel.OpenWith(ctx, d, s.finder)
		files := s.finder.Files(ctx, s.wanted(m))
		fmt.Fprintf(s.out, "%s: %s\n", render.Printable(name), counted(len(files), "module"))
		var there int
		for i, f := range files {
			word, detail := statusOf(f)
			if isf := kernelISF(m); i == 0 && word != "pdb" && isf != nil {
				word, detail = "isf", isf.Where+lacks(f.Missing())
			}
			if word == "pdb" || word == "isf" {
				there++
			}
			fmt.Fprintf(s.out, "  %-24s %-10s %s\n", render.Printable(f.Name), word, render.Printable(detail))
		}
		s.summary(files, there)
	})
	return ctx.Err()
}

// statusOf is the word of the report for a module, and where its files lie or
// what is missing.
func statusOf(f symbols.Files) (word, detail string) {
	missing := f.Missing()
	for _, r := range missing {
		if errors.Is(r.Err, symbols.ErrMismatch) {
			return "mismatched", r.Err.Error()
		}
	}
	switch {
	case f.PDB.Where != "":
		return "pdb", f.PDB.Where + lacks(missing)
	case f.ISF != "":
		return "isf", f.ISF + lacks(missing)
	case f.Image.Where != "":
		return "export", f.Image.Where + lacks(missing)
	case len(missing) == 0:
		return "none", "the dump does not identify it"
	}
	return "none", strings.TrimPrefix(lacks(missing), "; ")
}

func lacks(missing []symbols.Result) string {
	var s string
	for _, r := range missing {
		s += "; no " + string(r.Kind) + " " + r.Request.String()
	}
	return s
}

// summary says how much is missing.
func (s *symbolsRun) summary(files []symbols.Files, there int) {
	n := map[symbols.Kind]int{}
	for _, f := range files {
		for _, r := range f.Missing() {
			n[r.Kind]++
		}
	}
	fmt.Fprintf(s.out, "%d of %s symbols; missing: %s, %s.\n", there, has(len(files)), counted(n[symbols.Image], "image"), counted(n[symbols.PDB], "symbol file"))
	if n[symbols.Image] > 0 {
		fmt.Fprintln(s.out, "Which symbol file belongs to a missing image is known only once that is there.")
	}
}

func has(n int) string {
	if n == 1 {
		return "1 module has"
	}
	return counted(n, "module") + " have"
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *symbolsRun) verify(ctx context.Context, names []string) error {
	g, err := s.gather(ctx, names)
	if err != nil {
		return err
	}
	var good, bad int
	for _, r := range g.results() {
		switch err := s.whole(ctx, r.Request); {
		case err == nil:
			good++
		case errors.Is(err, symbols.ErrNotFound):
		default:
			bad++
			fmt.Fprintf(s.out, "%s: %s\n", render.Printable(r.Request.String()), render.Printable(err.Error()))
		}
	}
	fmt.Fprintf(s.out, "%s whole, %d not\n", counted(good, "file"), bad)
	if bad > 0 {
		return &exitError{status: exitFailed}
	}
	return nil
}

// whole reads all tables of a file that a search finds.
func (s *symbolsRun) whole(ctx context.Context, q symbols.Request) error {
	found, err := s.finder.Find(ctx, q)
	if err != nil {
		return err
	}
	defer found.Close()
	if q.Kind == symbols.PDB {
		err = wholePDB(found)
	} else {
		err = wholeImage(found)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", found.Where, err)
	}
	return err
}

func wholePDB(found symbols.Found) error {
	f, err := pdb.Open(found, found.Size)
	if err != nil {
		return err
	}
	_, err1 := f.Modules()
	_, err2 := f.Publics()
	_, err3 := f.Types()
	return cmp.Or(err1, err2, err3)
}

func wholeImage(found symbols.Found) error {
	f, err := pe.Open(found, found.Size, pe.InFile)
	if err != nil {
		return err
	}
	list, err := f.Sections()
	for _, section := range list {
		if section.Offset != 0 && int64(section.Offset)+int64(section.RawSize) > found.Size && err == nil {
			err = fmt.Errorf("section %s lies past its end", section.Name)
		}
	}
	_, err1 := f.Exports()
	_, err2 := f.Functions()
	return cmp.Or(err, err1, err2)
}
