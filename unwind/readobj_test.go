package unwind

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pe"

	"github.com/google/go-cmp/cmp"
)

// readobj runs llvm-readobj, an independent decoder.
func readobj(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command(tool(t, "llvm-readobj"), "--unwind", path).Output()
	if err != nil {
		t.Fatalf("llvm-readobj %s: %v", path, err)
	}
	return string(out)
}

// cut takes the lines of llvm-readobj that a pattern matches, as the pattern's
// groups joined by spaces.
func cut(out string, pattern *regexp.Regexp) (list []string) {
	for line := range strings.Lines(out) {
		if m := pattern.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			list = append(list, strings.TrimSpace(strings.Join(m[1:], " ")))
		}
	}
	return list
}

var (
	chained   = regexp.MustCompile(`Chained \{[^}]*\}`)
	lines64   = regexp.MustCompile(`^(PrologSize: \d+|FrameRegister: .+|0x..: (?:PUSH|ALLOC|SET|SAVE_NONVOL|PUSH_MACH).*)`)
	linesARM  = regexp.MustCompile(`^(?:(StartOffset: \d+|EpilogueStartIndex: \d+|EpilogueOffset: \d+)|0x([0-9a-f]+) +;.*)$`)
	homes     = regexp.MustCompile(`^stp (x[0-7], x[0-7]), .*`)
	functions = regexp.MustCompile(`^Function: 0x([0-9A-F]+)`)
)

var operations = map[uint8]string{
	opPushNonvol: "PUSH_NONVOL", opAllocLarge: "ALLOC_LARGE", opAllocSmall: "ALLOC_SMALL", opSetFPReg: "SET_FPREG",
	opSaveNonvol: "SAVE_NONVOL", opSaveNonvolFar: "SAVE_NONVOL_FAR", opPushMachFrame: "PUSH_MACHFRAME",
}

// lines writes what was decoded as llvm-readobj does.
func (u *info64) lines() []string {
	p := u.parts[0]
	name := func(i uint8) string { return strings.ToUpper(machine64.names[i]) }
	frame := "-"
	if p.frame != 0 {
		frame = fmt.Sprintf("%s (0x%X)", name(p.frame), p.frame)
	}
	list := []string{fmt.Sprintf("PrologSize: %d", p.prolog), "FrameRegister: " + frame}
	for _, o := range p.ops {
		line := fmt.Sprintf("0x%02X: %s", o.at, operations[o.code])
		switch o.code {
		case opPushNonvol:
			line += " reg=" + name(o.info)
		case opAllocLarge, opAllocSmall:
			line += fmt.Sprintf(" size=%d", o.size)
		case opSetFPReg:
			line += fmt.Sprintf(" reg=%s, offset=0x%X", name(p.frame), uint32(p.offset)*16)
		case opSaveNonvol, opSaveNonvolFar:
			line += fmt.Sprintf(" reg=%s, offset=0x%X", name(o.info), o.size)
		}
		list = append(list, line)
	}
	return list
}

func (u *infoARM64) lines(single bool) (list []string) {
	add := func(index int) {
		for index < len(u.codes) {
			n, _ := codeLength(u.codes[index])
			list = append(list, fmt.Sprintf("%x", u.codes[index:min(index+n, len(u.codes))]))
			if u.codes[index] == codeEnd || u.codes[index] == codeEndC {
				return
			}
			index += n
		}
	}
	if single {
		list = append(list, fmt.Sprintf("EpilogueOffset: %d", u.scopes[0].index))
		add(0)
		if u.scopes[0].index > 0 {
			add(u.scopes[0].index)
		}
		return list
	}
	add(0)
	for _, s := range u.scopes {
		list = append(list, fmt.Sprintf("StartOffset: %d", s.start), fmt.Sprintf("EpilogueStartIndex: %d", s.index))
		add(s.index)
	}
	return list
}

// compare holds what is decoded of an image against llvm-readobj.
func compare(t *testing.T, path string) {
	t.Helper()
	f := openImage(t, path)
	list, err := f.Functions()
	if err != nil {
		t.Fatal(err)
	}
	out := chained.ReplaceAllString(readobj(t, path), "")
	var want, got []string
	if f.Header.Machine == pe.X64 {
		want = cut(out, lines64)
	} else {
		want = cut(out, linesARM)
	}
	for _, fn := range list {
		switch {
		case f.Header.Machine == pe.X64:
			u, err := decode64(f, fn)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, u.lines()...)
		case fn.Packed == 0:
			u, err := decodeARM64(f, fn)
			if err != nil {
				t.Fatal(err)
			}
			head, err := read(f, fn.Unwind, 4)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, u.lines(order.Uint32(head)>>21&1 != 0)...)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-llvm +ours):\n%.3000s", path, d)
	}
	t.Logf("%s: %d lines of %d functions", filepath.Base(path), len(want), len(list))
	comparePacked(t, f, out)
}

// comparePacked holds packed unwind data against llvm-readobj.
func comparePacked(t *testing.T, f *pe.File, out string) {
	t.Helper()
	list, err := f.Functions()
	if err != nil {
		t.Fatal(err)
	}
	byBegin := map[uint64]pe.Function{}
	for _, fn := range list {
		byBegin[uint64(f.Header.ImageBase)+uint64(fn.Begin)] = fn
	}
	compared := 0
	for _, block := range strings.Split(out, "RuntimeFunction {")[1:] {
		_, text, ok := strings.Cut(block, "FrameSize: ")
		m := functions.FindStringSubmatch(strings.TrimSpace(block))
		if !ok || m == nil {
			continue
		}
		at, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		fn := byBegin[at]
		p := decodePacked(fn.Packed)
		if _, all := p.size(); all == 0 && p.home || p.fragment || p.regI == 1 && p.cr == crSavedLR {
			// llvm-readobj counts the homes to the saves also where nothing is saved,
			// shows a fragment as a function, and calls x19 with lr alone invalid. In
			// this the unwinder of .NET is followed.
			continue
		}
		_, text, _ = strings.Cut(text, "[\n")
		text, _, _ = strings.Cut(text, "\n    ]")
		var want []string
		for line := range strings.Lines(text) {
			want = append(want, homes.ReplaceAllString(strings.Replace(strings.TrimSpace(line), ", #0]", "]", 1), "home $1"))
		}
		if d := cmp.Diff(want, instructions(unpack(fn).codes)); d != "" {
			t.Fatalf("packed data 0x%x %+v (-llvm +ours):\n%s", fn.Packed, p, d)
		}
		compared++
	}
	if compared > 0 {
		t.Logf("%d functions with packed data", compared)
	}
}

// instructions writes the codes of a prologue as llvm-readobj writes packed data.
func instructions(codes []byte) (list []string) {
	home := 8
	for len(codes) > 0 {
		c := codes[0]
		n, _ := codeLength(c)
		v := int(c)
		if n > 1 {
			v = v<<8 | int(codes[1])
		}
		codes = codes[n:]
		z, x := v&63*8, v>>6&15
		at := strings.Replace(fmt.Sprintf("[sp, #%d]", z), ", #0]", "]", 1)
		before := fmt.Sprintf("[sp, #-%d]!", z+8)
		register := func(i int) string {
			if i == lr {
				return "lr"
			}
			return fmt.Sprintf("x%d", i)
		}
		line := ""
		switch {
		case c < 0x20:
			line = fmt.Sprintf("sub sp, sp, #%d", v&31*16)
		case c < 0x80:
			line = "stp x29, lr, " + at
		case c < 0xc0:
			line = "stp x29, lr, " + before
		case c < 0xc8:
			line = fmt.Sprintf("sub sp, sp, #%d", v&0x7ff*16)
		case c < 0xcc:
			line = fmt.Sprintf("stp x%d, x%d, %s", 19+x, 20+x, at)
		case c < 0xd0:
			line = fmt.Sprintf("stp x%d, x%d, %s", 19+x, 20+x, before)
		case c < 0xd4:
			line = fmt.Sprintf("str %s, %s", register(19+x), at)
		case c < 0xd6:
			line = fmt.Sprintf("str %s, [sp, #-%d]!", register(19+v>>5&15), v&31*8+8)
		case c < 0xd8:
			line = fmt.Sprintf("stp x%d, lr, %s", 19+x&7*2, at)
		case c < 0xda:
			line = fmt.Sprintf("stp d%d, d%d, %s", 8+x&7, 9+x&7, at)
		case c < 0xdc:
			line = fmt.Sprintf("stp d%d, d%d, %s", 8+x&7, 9+x&7, before)
		case c < 0xde:
			line = fmt.Sprintf("str d%d, %s", 8+x&7, at)
		case c == 0xde:
			line = fmt.Sprintf("str d%d, [sp, #-%d]!", 8+v>>5&7, v&31*8+8)
		case c == codeSetFP:
			line = "mov x29, sp"
		case c == codeNop:
			home -= 2
			line = fmt.Sprintf("home x%d, x%d", home, home+1)
		case c == codePAC:
			line = "pacibsp"
		case c == codeEnd:
			return append(list, "end")
		}
		list = append(list, line)
	}
	return list
}

func TestOracle_Images(t *testing.T) {
	for _, path := range images(t, corpus.Dir(t, "pe")) {
		compare(t, path)
	}
}

func TestOracle_Drivers(t *testing.T) {
	for _, m := range []pe.Machine{pe.X64, pe.ARM64} {
		for _, i := range []int{1, 2, 4} {
			compare(t, driver(t, m, variants[i], uint64(i), 40))
		}
	}
}

// TestOracle_Packed: all that packed unwind data can say, but for odd frame sizes.
func TestOracle_Packed(t *testing.T) {
	var list []pe.Function
	begin := pe.RVA(textRVA)
	for _, frame := range []uint32{6, 14, 20, 33, 34, 48, 100, 255, 256, 300, 511} {
		for v := range uint32(8 * 11 * 2 * 4) {
			regF, regI, h, cr := v%8, v/8%11, v/88%2, v/176
			word := 1 | 60<<2 | regF<<13 | regI<<16 | h<<20 | cr<<21 | frame<<23
			if p := decodePacked(word); valid(p) {
				list = append(list, pe.Function{Begin: begin, End: begin + 240, Packed: word})
				begin += 4
			}
		}
	}
	for len(list) > 0 {
		const most = 1000
		n := min(most, len(list))
		var pdata []byte
		for _, fn := range list[:n] {
			pdata = append(pdata, words(uint32(fn.Begin), fn.Packed)...)
		}
		path := filepath.Join(t.TempDir(), "packed.sys")
		if err := os.WriteFile(path, imageBytes(pe.ARM64, nil, nil, pdata), 0o600); err != nil {
			t.Fatal(err)
		}
		comparePacked(t, openImage(t, path), readobj(t, path))
		list = list[n:]
	}
}

// valid reports whether a compiler could write packed data: the frame has room
// for what is saved, and for fp and lr.
func valid(p packed) bool {
	_, all := p.size()
	if p.cr >= crChainedPAC {
		all += 16
	}
	return p.frame >= all
}
