package disasm_test

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const stride = 32 // bytes from one instruction to the next: no-operations fill up

// modRMs are each form of an operand in memory, and each register.
func modRMs(r *rand.Rand) byte {
	if r.Intn(3) == 0 {
		return 0xc0 | byte(r.Intn(64))
	}
	return []byte{0x00, 0x04, 0x05, 0x44, 0x45, 0x84, 0x92}[r.Intn(7)] | byte(r.Intn(8))<<3
}

// operands are ModR/M, a SIB, and bytes for displacement and immediate.
func operands(r *rand.Rand) []byte {
	return []byte{modRMs(r), []byte{0x24, 0x25, 0x88, 0x6d, 0x0c}[r.Intn(5)], byte(r.Intn(255)), 0x7f, 0x11, 0x22, 0x33}
}

// prefixed are instructions of every opcode map, with every prefix.
func prefixed(r *rand.Rand, x64 bool, each int) [][]byte {
	prefixes := [][]byte{{}, {0x66}, {0xf2}, {0xf3}, {0x67}, {0x66, 0x67}}
	if x64 {
		prefixes = [][]byte{{}, {0x66}, {0xf2}, {0xf3}, {0x67}, {0x48}, {0x41}, {0x66, 0x48}, {0xf3, 0x4c}, {0x65}, {0x47}}
	}
	var list [][]byte
	for _, table := range [][]byte{{}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}} {
		for opcode := range 256 {
			if len(table) == 0 && strings.IndexByte("\x0f\x26\x2e\x36\x3e\x64\x65\x66\x67\xd5\xf0\xf2\xf3", byte(opcode)) >= 0 ||
				len(table) == 0 && x64 && opcode&0xf0 == 0x40 || len(table) == 1 && (opcode == 0x38 || opcode == 0x3a) {
				continue // a prefix
			}
			for range each {
				code := append([]byte{}, prefixes[r.Intn(len(prefixes))]...)
				list = append(list, append(append(append(code, table...), byte(opcode)), operands(r)...))
			}
		}
	}
	return list
}

// vectors are instructions of VEX and EVEX.
func vectors(r *rand.Rand, each int) [][]byte {
	var list [][]byte
	for table := byte(1); table <= 3; table++ {
		for opcode := range 256 {
			for range each {
				pp, w, v := byte(r.Intn(4)), byte(r.Intn(2))<<7, []byte{0x78, 0x78, 0x58}[r.Intn(3)]
				code := []byte{0xc4, 0xe0 | table, w | v | byte(r.Intn(2))<<2 | pp, byte(opcode)}
				list = append(list, append(code, operands(r)...))
				code = []byte{0x62, 0xf0 | table, w | v | 4 | pp, byte(r.Intn(3))<<5 | 8 | byte(r.Intn(2)), byte(opcode)}
				list = append(list, append(code, operands(r)...))
			}
		}
	}
	return list
}

// Every opcode with operands of every form: what LLVM decodes has the same
// length here and the same operand in memory.
func TestOpcodes_Oracle(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	for _, tt := range []struct {
		arch, target string
		list         [][]byte
	}{
		{"x64", "x86_64-pc-windows-msvc", append(prefixed(r, true, 12), vectors(r, 4)...)},
		{"x86", "i686-pc-windows-msvc", append(prefixed(r, false, 8), vectors(r, 2)...)},
	} {
		var b strings.Builder
		b.WriteString(".text\n")
		for _, code := range tt.list {
			b.WriteString(".byte ")
			for range stride - len(code) {
				code = append(code, 0x90)
			}
			for i, c := range code {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, "%d", c)
			}
			b.WriteByte('\n')
		}
		file := filepath.Join(t.TempDir(), "opcodes.s")
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		var list []line
		for _, l := range disassembled(t, tt.arch, assembled(t, file, "--target="+tt.target)) {
			if l.pc%stride == 0 && !loose[l.text] {
				list = append(list, l)
			}
		}
		c := compare(t, tt.arch, list)
		if c.instructions < 4000 || c.memory < 1500 {
			t.Errorf("%s: too few: %+v", tt.arch, c)
		}
		if c.unknown*10 > c.instructions || c.names*50 > c.instructions {
			t.Errorf("%s: too many are not known: %+v", tt.arch, c)
		}
	}
}

// Words of ARM64 at random, most of them loads, stores and branches.
func TestWords_Oracle(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	var b strings.Builder
	b.WriteString(".text\n")
	for i := range 24000 {
		w := r.Uint32()
		switch i % 4 {
		case 0, 1:
			w = w&^0x0a000000 | 0x08000000 // loads and stores
		case 2:
			w = w&^0x1c000000 | 0x14000000 // branches, system
		}
		fmt.Fprintf(&b, ".inst 0x%08x\n", w)
	}
	file := filepath.Join(t.TempDir(), "words.s")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := compare(t, "arm64", disassembled(t, "arm64", assembled(t, file, "--target=aarch64-pc-windows-msvc")))
	if c.instructions < 8000 || c.memory < 4000 || c.targets < 1000 {
		t.Errorf("too few: %+v", c)
	}
	if c.unknown*20 > c.instructions || c.names*20 > c.instructions {
		t.Errorf("too many are not known: %+v", c)
	}
}
