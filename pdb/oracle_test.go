package pdb_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pdb"
	"bugcheck/pe"
	"bugcheck/win"

	gocmp "github.com/google/go-cmp/cmp"
)

// sample is a PDB with its image.
type sample struct{ name, pdb, image string }

// variant is a PDB that the tests have made by clang and lld-link.
type variant struct {
	name, target, machine string
	compile, link         []string
}

var variants = []variant{
	{"x64", "x86_64", "x64", []string{"/Z7", "/Oy-"}, nil},
	{"x64-public", "x86_64", "x64", nil, nil},
	{"x64-pages", "x86_64", "x64", []string{"/Z7", "/Oy-"}, []string{"/pdbpagesize:16384"}},
	{"arm64", "aarch64", "arm64", []string{"/Z7"}, nil},
	{"x86", "i686", "x86", []string{"/Z7", "/Oy-"}, []string{"/safeseh:no"}},
	{"x86-fpo", "i686", "x86", []string{"/Z7", "/Oy"}, []string{"/safeseh:no"}},
}

// build compiles and links every variant, once.
var build = sync.OnceValues(func() ([]sample, error) {
	dir, err := os.MkdirTemp("", "pdb-test-")
	if err != nil {
		return nil, err
	}
	var list []sample
	for _, v := range variants {
		s := sample{v.name, filepath.Join(dir, v.name+".pdb"), filepath.Join(dir, v.name+".dll")}
		if err := v.build(dir, s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
})

func (v variant) build(dir string, s sample) error {
	var objects []string
	for _, source := range []string{"one.cpp", "two.c"} {
		object := filepath.Join(dir, v.name+"-"+source+".obj")
		args := append([]string{"--driver-mode=cl", "-target", v.target + "-pc-windows-msvc", "/c", "/O2", "/GS-", "/GR-", "/Fo" + object}, v.compile...)
		if out, err := exec.Command("clang-19", append(args, "testdata/"+source)...).CombinedOutput(); err != nil {
			return fmt.Errorf("clang: %w: %s", err, out)
		}
		objects = append(objects, object)
	}
	args := append([]string{"/dll", "/noentry", "/nodefaultlib", "/machine:" + v.machine, "/debug:full", "/Brepro", "/out:" + s.image, "/pdb:" + s.pdb}, v.link...)
	if out, err := exec.Command("lld-link-19", append(args, objects...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("lld-link: %w: %s", err, out)
	}
	return nil
}

// made is the samples that the tests have made.
func made(t testing.TB) []sample {
	t.Helper()
	for _, tool := range []string{"clang-19", "lld-link-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			corpus.Missing(t, tool+" is not here")
		}
	}
	list, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// real is the samples in the corpus.
func real(t testing.TB) []sample {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t, "pe"), "*", "*.pdb"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no PDBs: %v", err)
	}
	var list []sample
	for _, file := range files {
		images, _ := filepath.Glob(strings.TrimSuffix(file, "pdb") + "[de][lx][le]")
		if len(images) != 1 {
			t.Fatalf("images of %s: %v", file, images)
		}
		list = append(list, sample{filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file), file, images[0]})
	}
	return list
}

func TestMain(m *testing.M) {
	code := m.Run()
	if list, err := build(); err == nil && len(list) > 0 {
		_ = os.RemoveAll(filepath.Dir(list[0].pdb))
	}
	os.Exit(code)
}

// each runs a test on every sample.
func each(t *testing.T, test func(t *testing.T, s sample, f *pdb.File)) {
	for name, list := range map[string]func(testing.TB) []sample{"real": real, "made": made} {
		t.Run(name, func(t *testing.T) {
			for _, s := range list(t) {
				t.Run(s.name, func(t *testing.T) { test(t, s, openFile(t, s.pdb)) })
			}
		})
	}
}

func openFile(t testing.TB, path string) *pdb.File {
	t.Helper()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	info, err := r.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := pdb.Open(r, info.Size())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

// run runs an independent reader.
func run(t testing.TB, tool string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		corpus.Missing(t, tool+" is not here")
	}
	out, err := exec.Command(tool, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", tool, args, err)
	}
	return string(out)
}

func dump(t testing.TB, s sample, args ...string) string {
	t.Helper()
	return run(t, "llvm-pdbutil-19", append(append([]string{"dump"}, args...), s.pdb)...)
}

// same compares what the independent reader says with what we say.
func same(t *testing.T, what string, want, got []string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("%s (-llvm +ours):\n%.3000s", what, d)
	}
	t.Logf("%s: %d", what, len(want))
}

// sections reads the RVAs of the sections.
func sections(t testing.TB, s sample) []uint64 {
	t.Helper()
	var list []uint64
	for _, m := range regexp.MustCompile(`(?m)^ +([0-9A-F]+) virtual address`).FindAllStringSubmatch(dump(t, s, "--section-headers"), -1) {
		list = append(list, hex(t, m[1]))
	}
	return list
}

func hex(t testing.TB, text string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func decimal(t testing.TB, text string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// address is section:offset as an RVA; zero for a section that is not there.
func address(t testing.TB, sections []uint64, section, offset string) uint64 {
	t.Helper()
	i := int(decimal(t, section))
	if i == 0 || i > len(sections) {
		return 0
	}
	return sections[i-1] + decimal(t, offset)
}

// The key of a PDB is the one that its image asks for.
func TestOracle_Key(t *testing.T) {
	each(t, func(t *testing.T, s sample, f *pdb.File) {
		b, err := os.ReadFile(s.image)
		if err != nil {
			t.Fatal(err)
		}
		image, err := pe.Open(strings.NewReader(string(b)), int64(len(b)), pe.InFile)
		if err != nil {
			t.Fatal(err)
		}
		want, err := image.PDB()
		if err != nil || want.Key() != f.Key() || f.Machine != uint16(image.Header.Machine) {
			t.Errorf("key %s, machine 0x%x; want %s, 0x%x, %v", f.Key(), f.Machine, want.Key(), image.Header.Machine, err)
		}
		summary := dump(t, s, "--summary")
		for _, line := range []string{"GUID: " + strings.ToUpper(f.GUID.String()), fmt.Sprintf("Age: %d", f.FileAge),
			fmt.Sprintf("Signature: %d", f.Signature), fmt.Sprintf("Is stripped: %v", f.Stripped)} {
			if !strings.Contains(summary, line+"\n") {
				t.Errorf("llvm-pdbutil does not say %q", line)
			}
		}
	})
}

var publicLine = regexp.MustCompile("S_PUB32 \\[size = \\d+\\] `(.*)`\n +flags = (.*), addr = (\\d+):(\\d+)")

func TestOracle_Publics(t *testing.T) {
	each(t, func(t *testing.T, s sample, f *pdb.File) {
		at := sections(t, s)
		var want, got []string
		for _, m := range publicLine.FindAllStringSubmatch(dump(t, s, "--publics"), -1) {
			code := strings.Contains(m[2], "function") || strings.Contains(m[2], "code")
			want = append(want, fmt.Sprintf("%x %v %s", address(t, at, m[3], m[4]), code, win.Clean(m[1])))
		}
		list, err := f.Publics()
		for _, p := range list {
			got = append(got, fmt.Sprintf("%x %v %s", p.RVA, p.Function, p.Name))
		}
		slices.Sort(want)
		slices.Sort(got)
		same(t, "publics", want, got, err)
		checkFound(t, f, list)
	})
}

// checkFound looks every symbol up, by name and by address.
func checkFound(t *testing.T, f *pdb.File, list []pdb.Symbol) {
	t.Helper()
	for _, p := range list {
		if p.RVA == 0 {
			continue // an absolute symbol
		}
		if got, ok := f.Find(p.Name); !strings.Contains(p.Name, "\ufffd") && (!ok || got.Name != p.Name || got.RVA != p.RVA && got.Kind == p.Kind && p.Kind == pdb.Public) {
			t.Errorf("Find(%q) = %+v, %v; want %+v", p.Name, got, ok, p)
		}
		if got, ok := f.At(p.RVA); !ok || got.RVA != p.RVA || got.Displacement != 0 {
			t.Errorf("At(%x) = %+v, %v; want %+v", p.RVA, got, ok, p)
		}
	}
}

var procedureLine = regexp.MustCompile("S_[GL]PROC32(?:_ID)? \\[size = \\d+\\] `(.*)`\n.*addr = (\\d+):(\\d+), code size = (\\d+)")

func TestOracle_Procedures(t *testing.T) {
	each(t, func(t *testing.T, s sample, f *pdb.File) {
		at := sections(t, s)
		var want, got []string
		for _, m := range procedureLine.FindAllStringSubmatch(dump(t, s, "--symbols"), -1) {
			want = append(want, fmt.Sprintf("%x %s %s", address(t, at, m[2], m[3]), m[4], m[1]))
		}
		list, err := f.Procedures()
		for _, p := range list {
			got = append(got, fmt.Sprintf("%x %d %s", p.RVA, p.Size, p.Name))
		}
		slices.Sort(want)
		slices.Sort(got)
		same(t, "procedures", want, got, err)
		checkFound(t, f, list)
		for _, p := range list {
			if got, ok := f.At(p.RVA + p.Size - 1); !ok || got.Name != p.Name && got.RVA != p.RVA || got.Size != p.Size || got.Displacement != p.Size-1 {
				t.Errorf("At(the end of %+v) = %+v, %v", p, got, ok)
			}
		}
	})
}

func TestOracle_Modules(t *testing.T) {
	module := regexp.MustCompile("(?m)^ *Mod \\d+ \\| `(.*)`:")
	each(t, func(t *testing.T, s sample, f *pdb.File) {
		var want, got []string
		for _, m := range module.FindAllStringSubmatch(dump(t, s, "--modules"), -1) {
			want = append(want, m[1])
		}
		list, err := f.Modules()
		files := 0
		for _, m := range list {
			got = append(got, m.Name)
			files += len(m.Files)
		}
		same(t, "modules", want, got, err)
		if lines := strings.Count(dump(t, s, "--files"), "\n- "); lines != files {
			t.Errorf("%d source files; llvm-pdbutil shows %d", files, lines)
		}
	})
}

// typeRecords cuts llvm-pdbutil's text into records, by their number.
func typeRecords(text string) map[uint64]string {
	head := regexp.MustCompile(`(?m)^ +0x([0-9A-F]+) \| `)
	all := head.FindAllStringSubmatchIndex(text, -1)
	records := map[uint64]string{}
	for i, m := range all {
		end := len(text)
		if i+1 < len(all) {
			end = all[i+1][0]
		}
		index, _ := strconv.ParseUint(text[m[2]:m[3]], 16, 64)
		records[index] = text[m[1]:end]
	}
	return records
}

var (
	typeHead    = regexp.MustCompile("^LF_(STRUCTURE|CLASS|UNION|ENUM|INTERFACE) \\[size = \\d+\\] `(.*)`")
	typeRefers  = regexp.MustCompile(`forward ref \((?:(?:->|<-|=) 0x([0-9A-F]+)|<unresolved>)\)`)
	typeFields  = regexp.MustCompile(`field list: 0x([0-9A-F]+)`)
	typeSize    = regexp.MustCompile(`sizeof (\d+)`)
	fieldMember = regexp.MustCompile("- LF_MEMBER \\[name = `(.*)`, Type = 0x([0-9A-F]+).*, offset = (\\d+)")
	fieldBase   = regexp.MustCompile(`LF_BCLASS\n? *type = 0x([0-9A-F]+).*, offset = (\d+)`)
	fieldValue  = regexp.MustCompile(`- LF_ENUMERATE \[(.*) = (-?\d+)\]`)
	fieldMore   = regexp.MustCompile(`LF_INDEX\n? *(?:\[)?(?:continuation|type) = 0x([0-9A-F]+)`)
	bitLength   = regexp.MustCompile(`LF_BITFIELD.*\n.*type = 0x[0-9A-F]+.*, bit offset = (\d+), # bits = (\d+)`)
)

// layoutLines is what llvm-pdbutil says of the fields of a type.
func layoutLines(t *testing.T, records map[uint64]string, list uint64) []string {
	var lines []string
	for list != 0 {
		text := records[list]
		list = 0
		for _, m := range fieldBase.FindAllStringSubmatch(text, -1) {
			lines = append(lines, fmt.Sprintf("base %x at %s", hex(t, m[1]), m[2]))
		}
		for _, m := range fieldMember.FindAllStringSubmatch(text, -1) {
			line := fmt.Sprintf("%s %x at %s", m[1], hex(t, m[2]), m[3])
			if b := bitLength.FindStringSubmatch(records[hex(t, m[2])]); b != nil {
				line += fmt.Sprintf(" bits %s %s", b[1], b[2])
			}
			lines = append(lines, line)
		}
		for _, m := range fieldValue.FindAllStringSubmatch(text, -1) {
			lines = append(lines, m[1]+" = "+m[2])
		}
		if m := fieldMore.FindStringSubmatch(text); m != nil {
			list = hex(t, m[1])
		}
	}
	return lines
}

func ourLayout(typ pdb.Type) []string {
	var bases, lines []string
	for _, m := range typ.Fields {
		line := fmt.Sprintf("%s %x at %d", m.Name, m.Index, m.Offset)
		switch {
		case m.Base:
			bases = append(bases, fmt.Sprintf("base %x at %d", m.Index, m.Offset))
			continue
		case m.Name == "__VFN_table":
			continue
		case m.Bits != 0:
			line += fmt.Sprintf(" bits %d %d", m.Bit, m.Bits)
		}
		lines = append(lines, line)
	}
	for _, v := range typ.Values {
		lines = append(lines, fmt.Sprintf("%s = %d", v.Name, v.Value))
	}
	return append(bases, lines...)
}

// Every definition has the layout, and every forward reference leads to the
// definition, that llvm-pdbutil says.
func TestOracle_Types(t *testing.T) {
	each(t, func(t *testing.T, s sample, f *pdb.File) {
		records := typeRecords(dump(t, s, "--types"))
		definitions, named := 0, 0
		for index, text := range records {
			head := typeHead.FindStringSubmatch(text)
			if head == nil {
				continue
			}
			typ, ok, err := f.TypeAt(pdb.TypeIndex(index))
			if err != nil || !ok || typ.Name != head[2] {
				t.Errorf("TypeAt(%x) = %+v, %v, %v; want %s", index, typ, ok, err, head[2])
				continue
			}
			if m := typeRefers.FindStringSubmatch(text); m != nil {
				want := index
				if m[1] != "" {
					want = hex(t, m[1])
				}
				if uint64(typ.Index) != want {
					t.Errorf("%s: 0x%x refers to 0x%x, want 0x%x", typ.Name, index, typ.Index, want)
				}
				continue
			}
			definitions++
			checkLayout(t, records, text, typ)
			if found, ok, err := f.Type(typ.Name); err == nil && ok && found.Index == typ.Index {
				named++
			}
		}
		t.Logf("%d definitions, %d by name", definitions, named)
		if named < definitions*9/10 {
			t.Errorf("%d of %d types are found by name", named, definitions)
		}
	})
}

func checkLayout(t *testing.T, records map[uint64]string, text string, typ pdb.Type) {
	t.Helper()
	var want []string
	if m := typeFields.FindStringSubmatch(text); m != nil {
		want = layoutLines(t, records, hex(t, m[1]))
	}
	if d := gocmp.Diff(want, ourLayout(typ)); d != "" {
		t.Errorf("%s (-llvm +ours):\n%.2000s", typ.Name, d)
	}
	if m := typeSize.FindStringSubmatch(text); m != nil && decimal(t, m[1]) != typ.Size {
		t.Errorf("%s has %d bytes, want %s", typ.Name, typ.Size, m[1])
	}
}

var frameLine = regexp.MustCompile(`(?m)^([0-9A-F]{8}) \| +(\d+) \| +(\d+) \| +(\d+) \| +(\d+) \| +(\d+) \| +(\d+) \| +(true|false) \| +(true|false) \| +(true|false) \| (.*)$`)

func TestOracle_FrameData(t *testing.T) {
	for _, s := range made(t) {
		if !strings.HasPrefix(s.name, "x86") {
			continue
		}
		f := openFile(t, s.pdb)
		all := frameLine.FindAllStringSubmatch(dump(t, s, "--fpo"), -1)
		for i, m := range all {
			rva := uint32(hex(t, m[1]))
			got, ok := f.FrameData(rva)
			ours := fmt.Sprintf("%08X %d %d %d %d %d %d %v %v %v %s", got.RVA, got.Size, got.Locals, got.Params, got.StackMax, got.Prolog, got.SavedRegs,
				got.SEH, got.CPPEH, got.FunctionStart, got.Program)
			if want := strings.Join(m[1:], " "); !ok || ours != want {
				t.Errorf("%s: entry %d: %s, %v; want %s", s.name, i, ours, ok, want)
			}
			// The last byte belongs to the innermost stretch.
			last, ok := f.FrameData(rva + got.Size - 1)
			if !ok || last.RVA < rva || last.RVA+last.Size != rva+got.Size {
				t.Errorf("%s: entry %d: the last byte is in %+v, %v", s.name, i, last, ok)
			}
		}
		if len(all) < 20 {
			t.Errorf("%s: %d entries", s.name, len(all))
		}
		if _, ok := f.FrameData(0x10); ok {
			t.Errorf("%s: the header of the image has frame data", s.name)
		}
	}
}
