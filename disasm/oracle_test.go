package disasm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
		args = append(args, "--mattr=+all")
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
type count struct{ instructions, unknown, names, memory int }

// compare holds Decode against each line: the length must be the same, and the
// operand in memory; the names are counted.
func compare(t *testing.T, arch string, list []line) count {
	t.Helper()
	var c count
	differ := map[string]int{}
	for _, l := range list {
		if strings.Contains(l.text, "<unknown>") {
			continue
		}
		c.instructions++
		padded := append(append([]byte{}, l.code...), make([]byte, 15)...)
		got, err := disasm.Decode(arch, padded, l.pc)
		if err != nil {
			c.unknown++
			differ["unknown: "+strings.Fields(l.text)[0]]++
			if differ["unknown: "+strings.Fields(l.text)[0]] == 1 {
				t.Logf("%x: %s: %v", l.code, l.text, err)
			}
			continue
		}
		if got.Length != len(l.code) {
			t.Errorf("%s %x: length %d (%s); llvm %d: %s", arch, l.code, got.Length, got.Text, len(l.code), l.text)
			continue
		}
		if want := name(l.text); got.Mnemonic != want {
			c.names++
			differ[got.Mnemonic+" for "+want]++
			if differ[got.Mnemonic+" for "+want] == 1 {
				t.Logf("%x: %s; llvm %s", l.code, got.Text, l.text)
			}
		}
	}
	_ = fmt.Sprint
	return c
}

// loose are the prefixes that stand before a name.
var loose = map[string]bool{
	"lock": true, "rep": true, "repe": true, "repne": true, "repz": true, "repnz": true, "notrack": true,
	"data16": true, "data32": true, "addr16": true, "addr32": true, "rex64": true,
	"xacquire": true, "xrelease": true, "cs": true, "ds": true, "es": true, "ss": true, "fs": true, "gs": true,
}

// synonyms are names of LLVM for what has another here.
var synonyms = map[string]string{"movabs": "mov"}

// name is the mnemonic of a line.
func name(text string) string {
	f := strings.Fields(text)
	for len(f) > 1 && (loose[f[0]] || f[0][0] == '{') {
		f = f[1:]
	}
	if same, ok := synonyms[f[0]]; ok {
		return same
	}
	return f[0]
}

func TestX(t *testing.T) {
	files := strings.Fields(os.Getenv("XF"))
	for _, f := range files {
		arch, file, _ := strings.Cut(f, "=")
		c := compare(t, arch, disassembled(t, arch, file))
		t.Logf("%s: %+v", filepath.Base(file), c)
	}
}
