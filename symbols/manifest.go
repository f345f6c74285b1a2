package symbols

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrManifest is wrapped by every error that says that text is no manifest.
var ErrManifest = errors.New("not a valid manifest")

// maxManifest bounds how many files a manifest names.
const maxManifest = 100_000

// WriteManifest writes the names of files that are needed, to carry them to a
// machine with a network: NAME,KEY,KIND on a line each. Requests that name no
// file are left out.
func WriteManifest(w io.Writer, requests []Request) error {
	b := bufio.NewWriter(w)
	_, _ = b.WriteString("# symbol files and images that are needed: name,identity,kind\n")
	seen := map[Request]bool{}
	for _, q := range requests {
		if !seen[q] && q.check() == nil {
			seen[q] = true
			fmt.Fprintf(b, "%s,%s,%s\n", q.Name, q.Key, q.Kind)
		}
	}
	return b.Flush()
}

// ReadManifest reads what WriteManifest wrote, and the manifests of Microsoft's
// symchk, whose third field is a number. Lines that are wrong are left out; the
// error names the first.
func ReadManifest(r io.Reader) ([]Request, error) {
	var list []Request
	var first error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		q, err := manifestLine(line)
		if err == nil && len(list) == maxManifest {
			return list, fmt.Errorf("%w: more than %d files", ErrManifest, maxManifest)
		}
		if err != nil {
			if first == nil {
				first = fmt.Errorf("%w: line %d: %w", ErrManifest, n, err)
			}
			continue
		}
		list = append(list, q)
	}
	if err := lines.Err(); err != nil && first == nil {
		first = fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return list, first
}

func manifestLine(line string) (Request, error) {
	name, rest, _ := strings.Cut(line, ",")
	key, kind, _ := strings.Cut(rest, ",")
	q := Request{Name: strings.TrimSpace(name), Key: strings.TrimSpace(key)}
	switch kind := Kind(strings.ToLower(strings.TrimSpace(kind))); {
	case kind == Image || kind == PDB:
		q.Kind = kind
	case len(q.Key) > 32: // a GUID and an age
		q.Kind = PDB
	default:
		q.Kind = Image
	}
	return q, q.check()
}
