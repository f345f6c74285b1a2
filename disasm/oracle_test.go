package disasm_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bugcheck/disasm"
	"bugcheck/internal/corpus"
)

// tool runs a program of LLVM 19, or ends the test where it is absent.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		corpus.Missing(t, name+" is not installed")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// line is one instruction as llvm-objdump writes it.
type line struct {
	pc   uint64
	code []byte
	text string
}

var objdump = regexp.MustCompile(`^\s*([0-9a-f]+): ((?:[0-9a-f]{2} )+|[0-9a-f]{8} )\s*\t(.*)$`)

// disassembled lists what llvm-objdump makes of the code of a file.
func disassembled(t testing.TB, arch, file string) []line {
	t.Helper()
	args := []string{"-d", "--no-leading-headers", file}
	if arch == "arm64" {
		args = append(args, "--mattr=+v8.5a,+lse,+rdm,+aes,+pauth,+crc")
	} else {
		args = append(args, "-M", "intel")
	}
	var list []line
	for _, s := range strings.Split(tool(t, "llvm-objdump-19", args...), "\n") {
		m := objdump.FindStringSubmatch(s)
		if m == nil {
			continue
		}
		var l line
		l.pc, _ = strconv.ParseUint(m[1], 16, 64)
		bytes := strings.ReplaceAll(m[2], " ", "")
		for i := 0; i < len(bytes); i += 2 {
			v, _ := strconv.ParseUint(bytes[i:i+2], 16, 8)
			l.code = append(l.code, byte(v))
		}
		if arch == "arm64" { // one word, its highest byte first
			l.code[0], l.code[1], l.code[2], l.code[3] = l.code[3], l.code[2], l.code[1], l.code[0]
		}
		l.text = strings.TrimSpace(m[3])
		if n := len(list) - 1; n >= 0 && loose[list[n].text] {
			// Here a prefix stands alone, on a line before its instruction.
			list[n].code = append(list[n].code, l.code...)
			list[n].text += " " + l.text
			continue
		}
		list = append(list, l)
	}
	return list
}

// count is what was compared.
type count struct{ instructions, unknown, unnamed, names, memory, targets int }

// compare holds Decode against each line: length, operands in memory and
// target must be the same; what has no name or another is counted.
func compare(t *testing.T, arch string, list []line) count {
	t.Helper()
	var c count
	seen := map[string]bool{}
	once := func(kind string, l line, got disasm.Instruction) {
		kind += " " + name(l.text)
		if !seen[kind] {
			seen[kind] = true
			t.Logf("%s: %x: %s; llvm %s", kind, l.code, got.Text, l.text)
		}
	}
	for _, l := range list {
		if strings.Contains(l.text, "<unknown>") || ignored(arch, l) {
			continue
		}
		c.instructions++
		got, err := disasm.Decode(arch, append(append([]byte{}, l.code...), make([]byte, 15)...), l.pc)
		switch {
		case err != nil:
			c.unknown++
			once("unknown", l, got)
			continue
		case got.Length != len(l.code):
			t.Errorf("%s %x: length %d (%s); llvm %d: %s", arch, l.code, got.Length, got.Text, len(l.code), l.text)
			continue
		case got.Mnemonic == "vex" || got.Mnemonic == "evex":
			c.unnamed++
			once("unnamed", l, got)
			continue
		case !sameName(got.Mnemonic, name(l.text)):
			c.names++
			once("name", l, got)
			continue
		}
		if want, ok := llvmMemory(arch, l); ok {
			c.memory++
			if !slices.ContainsFunc(got.Memory, func(m disasm.Memory) bool { return plainMemory(m) == want }) {
				t.Errorf("%s %x: %s: memory %+v; llvm %s %s", arch, l.code, got.Text, got.Memory, want, l.text)
			}
		}
		if m := target.FindStringSubmatch(l.text); m != nil && got.Flow != disasm.None && got.Flow < disasm.Return && comparableTarget(arch, l) {
			c.targets++
			if want, _ := strconv.ParseUint(m[1], 16, 64); !got.HasTarget || got.Target != want {
				t.Errorf("%s %x: %s: target %x; llvm %s", arch, l.code, got.Text, got.Target, l.text)
			}
		}
	}
	t.Logf("%s: %+v", arch, c)
	return c
}

// ignored: the near branches of x64 with a prefix 66, which AMD reads as 16 bits
// wide, Intel not.
func ignored(arch string, l line) bool {
	return arch == "x64" && l.code[0] == 0x66 && strings.HasPrefix(name(l.text), "j") && len(l.code) < 7
}

// comparableTarget: LLVM does not cut the targets of branches of 16 bits; what
// it writes of a far branch is a selector.
func comparableTarget(arch string, l line) bool {
	return name(l.text) != "lcall" && name(l.text) != "ljmp" && (arch != "x86" || !slices.Contains(l.code[:2], 0x66))
}

// loose are the prefixes that stand before a name.
var loose = map[string]bool{
	"lock": true, "rep": true, "repe": true, "repne": true, "repz": true, "repnz": true, "notrack": true,
	"data16": true, "data32": true, "addr16": true, "addr32": true, "rex64": true,
	"xacquire": true, "xrelease": true, "cs": true, "ds": true, "es": true, "ss": true, "fs": true, "gs": true,
}

// synonyms are names of LLVM for what has another here.
var synonyms = map[string]string{
	"movabs": "mov", "retfq": "retf", "sysretq": "sysret", "sysexitq": "sysexit", "lcall": "call", "ljmp": "jmp",
	"fucompi": "fucomip", "fcompi": "fcomip", "popal": "popad", "pushal": "pushad", "pushaw": "pusha", "popaw": "popa",
	"sshll": "sxtl", "sshll2": "sxtl2", "sgdtd": "sgdt", "sidtd": "sidt", "lgdtd": "lgdt", "lidtd": "lidt", "sgdtw": "sgdt", "sidtw": "sidt", "lgdtw": "lgdt", "lidtw": "lidt",
}

var predicates = regexp.MustCompile(`^(v?p?cmp)[a-z_]+?(ps|pd|ss|sd|ph|b|w|d|q|ub|uw|ud|uq)$`)

// sameName compares a name with LLVM's, which writes the sense of a comparison
// into the name.
func sameName(ours, theirs string) bool {
	if same, ok := synonyms[theirs]; ok {
		theirs = same
	}
	m := predicates.FindStringSubmatch(theirs)
	return ours == theirs || m != nil && strings.HasPrefix(ours, m[1]) && strings.HasPrefix(m[2], ours[len(m[1]):][:1])
}

// name is the mnemonic of a line.
func name(text string) string {
	f := strings.Fields(text)
	for len(f) > 1 && (loose[f[0]] || f[0][0] == '{') {
		f = f[1:]
	}
	return f[0]
}

var (
	target   = regexp.MustCompile(`\t(?:[a-z0-9]+, )*(?:#-?0x[0-9a-f]+, )?0x([0-9a-f]+)(?: <|$)`)
	brackets = regexp.MustCompile(`(?:\b([c-g]s):)?\[([^\]]*)\](?:, #(-?0x[0-9a-f]+|-?\d+))?(!?)`)
	lanes    = regexp.MustCompile(`\[\d+\]`)
	noAccess = regexp.MustCompile(`^(lea|nop|prefetch.*|prfu?m|invlpg|cldemote|ud[01]|adrp?|v(gather|scatter)pf.*|bnd.*|dc|ic|at|tlbi)$`)
)

// llvmMemory is the first operand in memory of a line, written as plainMemory
// writes it.
func llvmMemory(arch string, l line) (string, bool) {
	text, _, _ := strings.Cut(l.text, " # ")
	if arch == "arm64" {
		text = lanes.ReplaceAllString(text, "")
	}
	m := brackets.FindStringSubmatch(text)
	if m == nil || noAccess.MatchString(name(l.text)) {
		return "", false
	}
	if arch == "arm64" {
		return armMemory(m), true
	}
	want := disasm.Memory{Scale: 1, Segment: m[1]}
	if m[1] == "es" && (m[2] == "rdi" || m[2] == "edi" || m[2] == "di") {
		want.Segment = ""
	}
	sign := int64(1)
	for _, term := range strings.Fields(strings.Replace(m[2], "-0x", "- 0x", 1)) {
		n, err := strconv.ParseUint(strings.TrimPrefix(term, "0x"), hexOrNot(term), 64)
		switch {
		case term == "+" || term == "-":
			sign = map[string]int64{"+": 1, "-": -1}[term]
		case err == nil:
			want.Displacement = sign * int64(n)
		case term == "rip" || term == "eip":
			want.Displacement = int64(l.pc) + int64(len(l.code))
			if term == "eip" {
				want.Displacement &= 1<<32 - 1
			}
			i := strings.Fields(m[2])
			if len(i) == 3 {
				n, _ := strconv.ParseUint(strings.TrimPrefix(i[2], "0x"), hexOrNot(i[2]), 64)
				if i[1] == "-" {
					n = -n
				}
				want.Displacement += int64(n)
				if term == "eip" {
					want.Displacement &= 1<<32 - 1
				}
			}
			return plainMemory(want), true
		case strings.Contains(term, "*"):
			scale, index, _ := strings.Cut(term, "*")
			want.Scale, _ = strconv.Atoi(scale)
			want.Index = index
		case want.Base == "" && !strings.Contains(term, "mm"):
			want.Base = term
		default:
			want.Index = term
		}
	}
	if want.Index == "riz" || want.Index == "eiz" {
		want.Index, want.Scale = "", 1
	}
	// pop writes where the stack pointer points when it has moved.
	if name(l.text) == "pop" && (want.Base == "rsp" || want.Base == "esp") {
		want.Displacement += map[string]int64{"x64": 8, "x86": 4}[arch]
		if l.code[0] == 0x66 {
			want.Displacement += map[string]int64{"x64": -6, "x86": -2}[arch]
		}
	}
	return plainMemory(want), true
}

func hexOrNot(s string) int {
	if strings.HasPrefix(s, "0x") {
		return 16
	}
	return 10
}

// armMemory reads [x0, #8], [x0, x1, lsl #3], [x0], #8.
func armMemory(m []string) string {
	want := disasm.Memory{Scale: 1}
	for i, term := range strings.Split(m[2], ", ") {
		switch {
		case i == 0:
			want.Base = term
		case term[0] == '#':
			n, _ := strconv.ParseInt(term[1:], 0, 64)
			want.Displacement = n
		case term[0] == 'x' || term[0] == 'w':
			want.Index = term
		default:
			kind, shift, _ := strings.Cut(term, " #")
			n, _ := strconv.Atoi(shift)
			want.Scale, want.Signed = 1<<n, kind == "sxtw"
		}
	}
	if want.Index == "wzr" || want.Index == "xzr" {
		want.Index, want.Signed = "", false
	}
	return plainMemory(want)
}

// plainMemory is an operand in memory without its size and use.
func plainMemory(m disasm.Memory) string {
	if m.Index == "" {
		m.Scale = 1
	}
	if m.Bits == 32 || m.Bits == 16 {
		if m.Base == "" && m.Index == "" {
			m.Displacement &= 1<<m.Bits - 1
		}
	}
	return fmt.Sprintf("%s:%s+%s*%d%+d %v", m.Segment, m.Base, m.Index, m.Scale, m.Displacement, m.Signed)
}

// images lists the images of the corpus of a machine.
func images(t *testing.T, folder string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(corpus.Dir(t, "pe"), folder, "*.[ed][xl][el]"))
	if err != nil || len(list) == 0 {
		t.Fatalf("no images in %s: %v", folder, err)
	}
	return list
}

func TestCorpus_Oracle(t *testing.T) {
	for arch, folder := range map[string]string{"x64": "x64", "arm64": "ARM64"} {
		n := 0
		for _, file := range images(t, folder) {
			c := compare(t, arch, disassembled(t, arch, file))
			n += c.instructions
			if c.unknown+c.unnamed+c.names > 0 {
				t.Errorf("%s: %+v", filepath.Base(file), c)
			}
		}
		if n < 8000 {
			t.Errorf("%s: only %d instructions", arch, n)
		}
	}
}

// assembled compiles a file of testdata.
func assembled(t testing.TB, file string, args ...string) string {
	t.Helper()
	object := filepath.Join(t.TempDir(), "code.obj")
	tool(t, "clang-19", append([]string{"-c", "-O3", "-Wno-everything", "-o", object, file}, args...)...)
	return object
}

func TestCompiled_Oracle(t *testing.T) {
	for _, tt := range []struct {
		arch, file string
		args       []string
		least      int
	}{
		{"x64", "code.c", []string{"--target=x86_64-pc-windows-msvc", "-fcf-protection=full"}, 1000},
		{"x64", "code.c", []string{"--target=x86_64-pc-windows-msvc", "-mavx2", "-mfma", "-mbmi2", "-mlzcnt"}, 1000},
		{"x64", "code.c", []string{"--target=x86_64-pc-windows-msvc", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mprefer-vector-width=512"}, 1000},
		{"x86", "code.c", []string{"--target=i686-pc-windows-msvc", "-mno-sse"}, 1000},
		{"x86", "code.c", []string{"--target=i686-pc-windows-msvc", "-mavx2"}, 1000},
		{"arm64", "code.c", []string{"--target=aarch64-pc-windows-msvc", "-march=armv8.3-a+lse", "-mbranch-protection=standard"}, 900},
		{"arm64", "code.c", []string{"--target=aarch64-pc-windows-msvc", "-O0"}, 1000},
		{"x64", "x64.s", []string{"--target=x86_64-pc-windows-msvc"}, 380},
		{"arm64", "arm64.s", []string{"--target=aarch64-pc-windows-msvc"}, 240},
	} {
		t.Run(tt.arch+" "+tt.file+" "+strings.Join(tt.args[1:], " "), func(t *testing.T) {
			file := assembled(t, filepath.Join("testdata", tt.file), tt.args...)
			c := compare(t, tt.arch, disassembled(t, tt.arch, file))
			if c.instructions < tt.least || c.unknown+c.unnamed+c.names > 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}
