package render

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"bugcheck/report"
	"bugcheck/win"
)

// sayers are the functions whose string arguments are words for people: how many
// of their first arguments may be.
var sayers = map[string]int{"T": 1, "say": 1, "row": 1, "mdRow": 1, "note": 2, "section": 2}

// messages are all formats that the program can say in the text and Markdown
// formats, found in the source.
func messages(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for _, w := range causeWords {
		found[w] = true
	}
	for _, w := range []string{
		report.High, report.Medium, report.Low, report.Recorded, report.Derived, report.Guessed,
		report.TrustContext, report.TrustUnwind, report.TrustFramePointer, report.TrustScan, "now", "then",
	} {
		found[w] = true
	}
	for vector := range uint64(32) {
		found[win.TrapName(vector)] = true
	}
	for _, w := range infoNames {
		found[w] = true
	}
	for _, dir := range []string{"../report", "../dump", "../kernel", "../analyze", "../internal/rules", "../timeline", "."} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "info.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					for _, s := range sentences(call) {
						found[s] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list := make([]string, 0, len(found))
	for s := range found {
		if s != "" && s != "%s" {
			list = append(list, s)
		}
	}
	sort.Strings(list)
	return list
}

func sentences(call *ast.CallExpr) []string {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
	case *ast.Ident:
		name = f.Name
	}
	var list []string
	for i := 0; i < sayers[name] && i < len(call.Args); i++ {
		if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, _ := strconv.Unquote(lit.Value)
			list = append(list, s)
		}
	}
	return list
}

func TestMessages_AllInJapanese(t *testing.T) {
	have := map[string]string{}
	for _, row := range win.Table("messages.ja", 2) {
		have[row[0]] = row[1]
	}
	said := map[string]bool{}
	for _, m := range messages(t) {
		said[m] = true
		ja, ok := have[m]
		if !ok {
			t.Errorf("win/data/messages.ja.tsv lacks %q", m)
			continue
		}
		if err := sameVerbs(m, ja); err != nil {
			t.Errorf("%q: %v", m, err)
		}
	}
	for m := range have {
		if !said[m] {
			t.Errorf("win/data/messages.ja.tsv translates %q, which nobody says", m)
		}
	}
	if out := os.Getenv("BUGCHECK_MESSAGES"); out != "" {
		if err := os.WriteFile(out, []byte(strings.Join(messages(t), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// sameVerbs checks that a translation formats the same arguments: rendering
// both with marked arguments must show each mark in both.
func sameVerbs(en, ja string) error {
	var args []any
	for i := 0; i < strings.Count(en, "%")-2*strings.Count(en, "%%"); i++ {
		args = append(args, 7000+i)
	}
	en = strings.NewReplacer("%s", "%v", "%x", "%v", "%d", "%v", "%08x", "%v", "%016x", "%v").Replace(en)
	ja = strings.NewReplacer("%s", "%v", "%x", "%v", "%d", "%v", "%08x", "%v", "%016x", "%v",
		"]s", "]v", "]x", "]v", "]d", "]v", "]08x", "]v", "]016x", "]v").Replace(ja)
	want, got := fmt.Sprintf(en, args...), fmt.Sprintf(ja, args...)
	for _, a := range args {
		mark := fmt.Sprint(a)
		if strings.Contains(want, mark) && !strings.Contains(got, mark) {
			return fmt.Errorf("the translation drops an argument: %q", ja)
		}
	}
	if strings.Contains(got, "%!") {
		return fmt.Errorf("the translation formats other arguments: %q", got)
	}
	return nil
}
