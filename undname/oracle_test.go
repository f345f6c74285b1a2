package undname_test

import (
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/undname"
)

// tool runs a program of LLVM 19, or ends the test where it is absent.
func tool(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		corpus.Missing(t, name+" is not installed")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

// llvm asks llvm-undname for each name; "" is one that it cannot decode. It
// writes the name, then what it makes of it if anything, then an empty line.
func llvm(t testing.TB, names []string, flags ...string) []string {
	t.Helper()
	lines := strings.Split(tool(t, strings.Join(names, "\n")+"\n", "llvm-undname-19", flags...), "\n")
	answers := make([]string, len(names))
	at := 0
	for i, name := range names {
		if at+1 >= len(lines) || lines[at] != name {
			t.Fatalf("llvm-undname: line %d is not %q", at, name)
		}
		answers[i] = lines[at+1]
		at += 2
		if answers[i] != "" {
			at++
		}
	}
	return answers
}

// decorated picks the decorated names out of text, each once.
func decorated(text string, split *regexp.Regexp) []string {
	seen := map[string]bool{}
	var list []string
	for _, m := range split.FindAllStringSubmatch(text, -1) {
		// Names of 4096 bytes are cut off, and end anywhere.
		if name := m[1]; !seen[name] && len(name) < 4000 {
			seen[name] = true
			list = append(list, name)
		}
	}
	return list
}

var (
	quoted    = regexp.MustCompile("`(\\.?\\?[^`]*)`")
	ofObject  = regexp.MustCompile(`(?m) (\?\S*)$`)
	llvmLacks = regexp.MustCompile(`_[LM]|\$2U|\$[AB][A-P]+@|\?0\?[A-Za-z_]|\?__[EF]\?\$`)
)

// A space that LLVM leaves out behind a name that ends with _.
func respaced(s string) string { return strings.ReplaceAll(s, "_ ", "_") }

// agrees holds Full and Name against llvm-undname.
func agrees(t *testing.T, names []string, least int) {
	t.Helper()
	whole := llvm(t, names)
	bare := llvm(t, names, "--no-access-specifier", "--no-calling-convention",
		"--no-member-type", "--no-variable-type")
	same, ours, short := 0, 0, 0
	for i, name := range names {
		got, err := undname.Full(name)
		switch {
		case err != nil && (whole[i] == "" || len(whole[i]) > 16<<10 || strings.Contains(err.Error(), "more than a name")):
			continue
		case err == nil && whole[i] == "" && llvmLacks.MatchString(name):
			ours++
			continue
		case strings.HasPrefix(got, "void __regcall ") && strings.HasPrefix(whole[i], "void "):
			ours++
			continue
		case err != nil || respaced(got) != respaced(whole[i]):
			t.Errorf("%s: %v\n got %s\nllvm %s", name, err, got, whole[i])
			continue
		}
		same++
		if brief, ok := comparable(name, bare[i]); ok {
			short++
			got := squeeze(undname.Name(name))
			if !strings.Contains(brief+"(", got+"(") {
				t.Errorf("%s: name\n got %s\nllvm %s", name, got, brief)
			}
		}
	}
	t.Logf("%d names: %d declarations and %d bare names agree, %d are ours alone", len(names), same, short, ours)
	if same < least {
		t.Errorf("%d names compared; want %d or more", same, least)
	}
}

var words = regexp.MustCompile(`\b(?:class|struct|union|enum) | +|^const |^\[thunk\]: |__(?:cdecl|stdcall|thiscall|fastcall|vectorcall)`)

// squeeze takes out of a name in what the two ways to write it differ.
func squeeze(s string) string {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "[thunk]: "), "const ")
	return strings.NewReplacer("constructor", "ctor", "destructor", "dtor").Replace(words.ReplaceAllString(s, ""))
}

// comparable is what LLVM says of a name with little more, unless it holds a whole symbol,
// or is one of the kinds that Name calls otherwise.
func comparable(name, brief string) (string, bool) {
	for _, s := range []string{"$1", "$E", "$H", "$I", "$J", "$M", "??_C", "??_R0", "??__E", "??__F", ".?"} {
		if strings.Contains(name, s) {
			return "", false
		}
	}
	if strings.Contains(brief, "`") && strings.Contains(brief, "'::`") {
		return "", false
	}
	return squeeze(brief), brief != ""
}

func TestCorpus_Oracle(t *testing.T) {
	var names []string
	err := filepath.WalkDir(corpus.Dir(t, "pe"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".pdb" {
			out := tool(t, "", "llvm-pdbutil-19", "dump", "-publics", "-globals", "-symbols", "-types", path)
			names = append(names, decorated(out, quoted)...)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	agrees(t, names, 200)
}

// compiled lists the decorated names in what clang makes of a source.
func compiled(t testing.TB, source string) []string {
	t.Helper()
	if _, err := exec.LookPath("clang-19"); err != nil {
		corpus.Missing(t, "clang-19 is not installed")
	}
	var text strings.Builder
	for _, flags := range [][]string{
		{"--target=x86_64-pc-windows-msvc", "/Od", "/EHa"},
		{"--target=i686-pc-windows-msvc", "/O1", "/EHsc"},
	} {
		object := filepath.Join(t.TempDir(), "names.obj")
		args := append([]string{"--driver-mode=cl"}, flags...)
		args = append(args, "/c", "/std:c++20", "-Wno-everything", "/Fo"+object, "--", source)
		if out, err := exec.Command("clang-19", args...).CombinedOutput(); err != nil {
			t.Fatalf("clang-19: %v\n%s", err, out)
		}
		text.WriteString(tool(t, "", "llvm-nm-19", object))
	}
	return decorated(text.String(), ofObject)
}

func TestCompiled_Oracle(t *testing.T) {
	agrees(t, compiled(t, filepath.Join("testdata", "oracle.cpp")), 1000)
}

// Types that are made of types at random.
func TestGenerated_Oracle(t *testing.T) {
	source := filepath.Join(t.TempDir(), "generated.cpp")
	if err := os.WriteFile(source, []byte(generate(600)), 0o600); err != nil {
		t.Fatal(err)
	}
	agrees(t, compiled(t, source), 3000)
}

// generate writes n types, and functions and variables that use them.
func generate(n int) string {
	r := rand.New(rand.NewSource(1))
	var b strings.Builder
	b.WriteString(`struct S { int m; }; class K {}; union U {}; enum E { e }; namespace n { struct D { struct I; }; }
template <class... T> struct P; template <class T, int N> struct Q; template <class T> struct F { static void f(T *); template <class V> static int v; };
template <class T> void F<T>::f(T *) {} template <class T> template <class V> int F<T>::v;
`)
	// Objects can be returned and be an array's; others are functions or arrays.
	object := []string{"int", "char", "unsigned long long", "bool", "S", "K", "U", "E", "n::D", "double", "P<>", "Q<int, 3>"}
	other := []string{}
	pick := func() string { return object[r.Intn(len(object))] }
	for i := range n {
		t, name, made := pick(), fmt.Sprintf("T%d", i), ""
		isObject := true
		switch r.Intn(13) {
		case 0, 1:
			made = t + " *"
		case 2:
			made = "const " + t + " *"
		case 3:
			made = t + " *const *"
		case 4:
			made = fmt.Sprintf("P<%s, const %s, %s>", t, pick(), pick())
		case 5:
			made = fmt.Sprintf("Q<%s, %d>", t, r.Intn(2000)-1000)
		case 6:
			made = fmt.Sprintf("%s (*)(%s, %s)", t, pick(), pick())
		case 7:
			made = fmt.Sprintf("%s (S::*)(%s, ...) const", t, pick())
		case 8:
			made = t + " K::*"
		case 9:
			made, isObject = fmt.Sprintf("%s[%d]", t, 1+r.Intn(9)), false
		case 10:
			made, isObject = fmt.Sprintf("%s(%s &, const %s &&)", t, pick(), pick()), false
		case 11:
			if len(other) > 0 {
				made = other[r.Intn(len(other))] + [...]string{" *", " *const volatile *"}[r.Intn(2)]
			}
		case 12:
			made = fmt.Sprintf("P<P<%s &>, %s *volatile, P<%s>>", t, pick(), t)
		}
		if made == "" {
			made = "const volatile " + t + " *"
		}
		fmt.Fprintf(&b, "using %s = %s;\n", name, made)
		if isObject && r.Intn(4) > 0 {
			object = append(object, name)
		} else if !isObject {
			other = append(other, name)
		}
		fmt.Fprintf(&b, "void f%d(%s *, %s *, const %s &, %s &&, %s *) {}\n", i, name, pick(), name, pick(), name)
		fmt.Fprintf(&b, "%s *v%d; template struct F<%s>; template int F<%s>::v<const %s>;\n", name, i, name, pick(), pick())
		if len(object) > 60 { // the types stay short
			object = append(object[:12], object[len(object)-8:]...)
		}
	}
	return b.String()
}
