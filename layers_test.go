package bugcheck

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// layers lists every package with its layer: a package imports only packages of
// lower layers. A new package is a decision, so it is added here by hand.
var layers = map[string]int{
	"report":               0,
	"win":                  0,
	"internal/le":          0,
	"internal/corpus":      0,
	"lab/ram":              0,
	"lab/code":             0,
	"lab/eventlog":         0,
	"lab":                  1,
	"undname":              0,
	"disasm":               0,
	"windbglog":            0,
	"mem":                  1,
	"internal/archive":     2,
	"internal/cab":         1,
	"internal/damage":      1,
	"internal/evtx":        1,
	"internal/msinfo":      1,
	"internal/memtest":     2,
	"dump":                 2,
	"pe":                   2,
	"pdb":                  2,
	"symbols":              3,
	"unwind":               3,
	"kernel":               4,
	"analyze":              5,
	"timeline":             5,
	"render":               6,
	"internal/rules":       6, // works on finished reports: analyze must not see it
	"shrink":               6,
	"internal/labcheck":    6,
	"bench/labtable":       7,
	"cmd/bugcheck":         7,
	"bench/agreement/logs": 6,
	"bench/agreement":      7,
}

// standalone packages import nothing of ours, but for packages below their own
// path.
var standalone = map[string]bool{
	"report": true, "win": true, "internal/le": true, "undname": true, "disasm": true, "windbglog": true,
	"lab": true, "lab/code": true, "lab/ram": true, "lab/eventlog": true,
}

func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		seen[pkg] = true
		layer, ok := layers[pkg]
		if !ok {
			t.Errorf("package %s is not in the table of layers", pkg)
			return nil
		}
		for _, imported := range imports(t, path) {
			checkImport(t, path, pkg, layer, imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range layers {
		if !seen[pkg] {
			t.Errorf("the table of layers names %s, which has no code", pkg)
		}
	}
}

func checkImport(t *testing.T, path, pkg string, layer int, imported string) {
	t.Helper()
	switch theirs, known := layers[imported]; {
	case !known:
		t.Errorf("%s imports %s, which is not in the table of layers", path, imported)
	case standalone[pkg] && !strings.HasPrefix(imported, pkg+"/"):
		t.Errorf("%s: package %s stands alone, but imports %s", path, pkg, imported)
	case theirs >= layer:
		t.Errorf("%s (layer %d) imports %s (layer %d)", path, layer, imported, theirs)
	}
}

// imports lists the packages of this module that a file imports.
func imports(t *testing.T, path string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		if ours, ok := strings.CutPrefix(p, "bugcheck/"); ok {
			list = append(list, ours)
		}
	}
	return list
}
