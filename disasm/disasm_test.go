package disasm_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"bugcheck/disasm"

	"github.com/google/go-cmp/cmp"
)

// unhex reads bytes written in hexadecimal.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// uses writes the operands in memory: "r8 [rsp]", and the bits of an address
// that are not the machine's.
func uses(i disasm.Instruction) string {
	var list []string
	for _, m := range i.Memory {
		use := ""
		if m.Read {
			use = "r"
		}
		if m.Write {
			use += "w"
		}
		list = append(list, fmt.Sprintf("%s%d %s", use, m.Size, m))
	}
	return strings.Join(list, ", ")
}

func TestDecode(t *testing.T) {
	const at = 0xfffff80000001000
	for _, tt := range []struct{ arch, code, text, memory, flow string }{
		{"x64", "8b4110", "mov     eax,dword ptr [rcx+10h]", "r4 [rcx+10h]", "none"},
		{"x64", "4889442408", "mov     qword ptr [rsp+8],rax", "w8 [rsp+8]", "none"},
		{"x64", "488b05f9ffffff", "mov     rax,qword ptr [fffff800`00001000]", "r8 [fffff800`00001000]", "none"},
		{"x64", "65488b042588010000", "mov     rax,qword ptr gs:[188h]", "r8 gs:[188h]", "none"},
		{"x64", "428b4c88f0", "mov     ecx,dword ptr [rax+r9*4-10h]", "r4 [rax+r9*4-10h]", "none"},
		{"x64", "48a18877665544332211", "mov     rax,qword ptr [11223344`55667788]", "r8 [11223344`55667788]", "none"},
		{"x64", "4883c428", "add     rsp,28h", "", "none"},
		{"x64", "4883c4f8", "add     rsp,0FFFFFFFFFFFFFFF8h", "", "none"},
		{"x64", "c70101000000", "mov     dword ptr [rcx],1", "w4 [rcx]", "none"},
		{"x64", "488d4c2420", "lea     rcx,[rsp+20h]", "", "none"},
		{"x64", "f0480fc101", "lock xadd qword ptr [rcx],rax", "rw8 [rcx]", "none"},
		{"x64", "4887 01", "xchg    qword ptr [rcx],rax", "rw8 [rcx]", "none"},
		{"x64", "483b01", "cmp     rax,qword ptr [rcx]", "r8 [rcx]", "none"},
		{"x64", "48 3901", "cmp     qword ptr [rcx],rax", "r8 [rcx]", "none"},
		{"x64", "0fba2903", "bts     dword ptr [rcx],3", "rw4 [rcx]", "none"},
		{"x64", "0f9401", "sete    byte ptr [rcx]", "w1 [rcx]", "none"},
		{"x64", "50", "push    rax", "w8 [rsp-8]", "none"},
		{"x64", "ff7108", "push    qword ptr [rcx+8]", "r8 [rcx+8], w8 [rsp-8]", "none"},
		{"x64", "8f442410", "pop     qword ptr [rsp+10h]", "w8 [rsp+18h], r8 [rsp]", "none"},
		{"x64", "5d", "pop     rbp", "r8 [rsp]", "none"},
		{"x64", "c9", "leave", "r8 [rbp]", "none"},
		{"x64", "c3", "ret", "r8 [rsp]", "return"},
		{"x64", "48cf", "iretq", "r40 [rsp]", "return"},
		{"x64", "e8fb0f0000", "call    fffff800`00002000", "w8 [rsp-8]", "call fffff80000002000"},
		{"x64", "ff1502000000", "call    qword ptr [fffff800`00001008]", "r8 [fffff800`00001008], w8 [rsp-8]", "call"},
		{"x64", "ffd0", "call    rax", "w8 [rsp-8]", "call"},
		{"x64", "ffe0", "jmp     rax", "", "jump"},
		{"x64", "ebfe", "jmp     fffff800`00001000", "", "jump fffff80000001000"},
		{"x64", "7505", "jne     fffff800`00001007", "", "conditional fffff80000001007"},
		{"x64", "0f84fa000000", "je      fffff800`00001100", "", "conditional fffff80000001100"},
		{"x64", "cd29", "int     29h", "", "interrupt"},
		{"x64", "cc", "int3", "", "interrupt"},
		{"x64", "0f0b", "ud2", "", "interrupt"},
		{"x64", "0f05", "syscall", "", "interrupt"},
		{"x64", "f348a5", "rep movs qword ptr [rdi],qword ptr [rsi]", "r8 [rsi], w8 [rdi]", "none"},
		{"x64", "f3aa", "rep stos byte ptr [rdi]", "w1 [rdi]", "none"},
		{"x64", "ac", "lods    byte ptr [rsi]", "r1 [rsi]", "none"},
		{"x64", "f2ae", "repne scas byte ptr [rdi]", "r1 [rdi]", "none"},
		{"x64", "67a4", "movs    byte ptr [edi],byte ptr [esi]", "r1 [esi], w1 [edi]", "none"},
		{"x64", "d7", "xlatb   byte ptr [rbx]", "r1 [rbx+al]", "none"},
		{"x64", "0f01ca", "clac", "", "none"},
		{"x64", "f30f1efa", "endbr64", "", "none"},
		{"x64", "f3480f1ec8", "rdsspq  rax", "", "none"},
		{"x64", "480f38f60b", "wrssq   qword ptr [rbx],rcx", "w8 [rbx]", "none"},
		{"x64", "0f78442408", "vmread  qword ptr [rsp+8],rax", "w8 [rsp+8]", "none"},
		{"x64", "660fae30", "clwb    zmmword ptr [rax]", "r64 [rax]", "none"},
		{"x64", "0f1f440000", "nop     dword ptr [rax+rax]", "", "none"},
		{"x64", "0f2801", "movaps  xmm0,xmmword ptr [rcx]", "r16 [rcx]", "none"},
		{"x64", "c5fe6f01", "vmovdqu ymm0,ymmword ptr [rcx]", "r32 [rcx]", "none"},
		{"x64", "62f1fe487f4102", "vmovdqu64 zmmword ptr [rcx+80h],zmm0", "w64 [rcx+80h]", "none"},
		{"x64", "c4e26d900489", "vpgatherdd ymm0,dword ptr [rcx+ymm1*4],ymm2", "r4 [rcx+ymm1*4]", "none"},
		{"x64", "62f57c485801", "evex", "", "none"},
		{"x64", "f20f5801", "addsd   xmm0,qword ptr [rcx]", "r8 [rcx]", "none"},
		{"x64", "d900", "fld     dword ptr [rax]", "r4 [rax]", "none"},
		{"x64", "dd5c2410", "fstp    qword ptr [rsp+10h]", "w8 [rsp+10h]", "none"},
		{"x64", "db6d10", "fld     tbyte ptr [rbp+10h]", "r10 [rbp+10h]", "none"},
		{"x64", "0f01542410", "lgdt    tbyte ptr [rsp+10h]", "r10 [rsp+10h]", "none"},
		{"x64", "0fae01", "fxsave  [rcx]", "w512 [rcx]", "none"},
		{"x64", "62f37c18c27a0cee", "evex", "", "none"},
		{"x86", "8b4508", "mov     eax,dword ptr [ebp+8]", "r4 [ebp+8]", "none"},
		{"x86", "64a118000000", "mov     eax,dword ptr fs:[18h]", "r4 fs:[18h]", "none"},
		{"x86", "a10010ff80", "mov     eax,dword ptr [80FF1000h]", "r4 [80FF1000h]", "none"},
		{"x86", "678b4702", "mov     eax,dword ptr [bx+2]", "r4 [bx+2]", "none"},
		{"x86", "60", "pushad", "w32 [esp-20h]", "none"},
		{"x86", "c20c00", "ret     0Ch", "r4 [esp]", "return"},
		{"x86", "e8fbffffff", "call    1000h", "w4 [esp-4]", "call 1000"},
		{"x86", "40", "inc     eax", "", "none"},
		{"arm64", "200840f9", "ldr         x0,[x1,#16]", "r8 [x1+10h]", "none"},
		{"arm64", "fd7bbea9", "stp         x29,x30,[sp,#-32]!", "w16 [sp-20h]", "none"},
		{"arm64", "fd7bc2a8", "ldp         x29,x30,[sp],#32", "r16 [sp]", "none"},
		{"arm64", "2048e2b8", "", "", "error"},
		{"arm64", "20d862b8", "ldr         w0,[x1,w2,sxtw #2]", "r4 [x1+w2*4]", "none"},
		{"arm64", "40000058", "ldr         x0,fffff800`00001008", "r8 [fffff800`00001008]", "none"},
		{"arm64", "4100e0f8", "ldaddal     x0,x1,[x2]", "rw8 [x2]", "none"},
		{"arm64", "41fce0c8", "casal       x0,x1,[x2]", "rw8 [x2]", "none"},
		{"arm64", "3f2303d5", "paciasp", "", "none"},
		{"arm64", "ff0f5fd6", "retab", "", "return"},
		{"arm64", "c0035fd6", "ret", "", "return"},
		{"arm64", "00003fd6", "blr         x0", "", "call"},
		{"arm64", "02000094", "bl          fffff800`00001008", "", "call fffff80000001008"},
		{"arm64", "41000054", "b.ne        fffff800`00001008", "", "conditional fffff80000001008"},
		{"arm64", "400000b4", "cbz         x0,fffff800`00001008", "", "conditional fffff80000001008"},
		{"arm64", "00003ed4", "brk         #0xf000", "", "interrupt"},
		{"arm64", "01000090", "adrp        x1,fffff800`00001000", "", "none"},
	} {
		pc := uint64(at)
		if tt.arch == "x86" {
			pc = 0x1000
		}
		code := unhex(t, tt.code)
		got, err := disasm.Decode(tt.arch, code, pc)
		flow := got.Flow.String()
		if got.HasTarget {
			flow += fmt.Sprintf(" %x", got.Target)
		}
		if err != nil {
			flow = "error"
		} else if got.Length != len(code) {
			t.Errorf("%s %s: length %d", tt.arch, tt.code, got.Length)
		}
		if diff := cmp.Diff([]string{tt.text, tt.memory, tt.flow}, []string{got.Text, uses(got), flow}); diff != "" {
			t.Errorf("%s %s: %v (-want +got):\n%s", tt.arch, tt.code, err, diff)
		}
	}
}

func TestMemory_Address(t *testing.T) {
	registers := map[string]uint64{
		"rax": 0x1_0000_0010, "rcx": 0xffffa00000001000, "rbx": 0x2000, "rsp": 0x7000, "r9": 0xffffffff_fffffff0, "rdi": 0xabcd,
		"x1": 0x5000, "x2": 0xfffffffe, "sp": 0x9000, "gs_base": 0xfffff80000000000, "ebp": 0x12340000,
	}
	get := func(name string) (uint64, bool) { v, ok := registers[name]; return v, ok }
	for _, tt := range []struct {
		arch, code string
		want       uint64
		ok         bool
	}{
		{"x64", "8b4110", 0xffffa00000001010, true},
		{"x64", "428b4489f8", 0xffffa00000000fb8, true}, // [rcx+r9*4-8]
		{"x64", "678b01", 0x1000, true},                 // [ecx]
		{"x64", "67428b0c08", 0, true},                  // [eax+r9d]
		{"x64", "65488b042588010000", 0xfffff80000000188, true},
		{"x64", "64488b042588010000", 0, false}, // fs
		{"x64", "8b4610", 0, false},             // rsi
		{"x64", "488b0501000000", 0x100000008, true},
		{"x64", "50", 0x6ff8, true},
		{"x64", "d7", 0x2010, true}, // rbx + al
		{"x64", "c4e26d900489", 0, false},
		{"x64", "0fab03", 0x2000, true},                // bts [rbx],eax: bit 16
		{"x64", "480fa303", 0x2000 + 0x20000000, true}, // bt [rbx],rax: bit 2^32+16
		{"x64", "4c0fa30b", 0x2000 - 8, true},          // bt [rbx],r9: bit -16
		{"x86", "8b45fc", 0x1233fffc, true},
		{"x86", "678b05", 0xabcd, true}, // [di]
		{"arm64", "200840f9", 0x5010, true},
		{"arm64", "20d862b8", 0x5000 - 8, true},            // [x1,w2,sxtw #2]
		{"arm64", "205862b8", 0x5000 + 4*0xfffffffe, true}, // [x1,w2,uxtw #2]
		{"arm64", "fd7bbea9", 0x8fe0, true},
		{"arm64", "600040f9", 0, false}, // x3
	} {
		i, err := disasm.Decode(tt.arch, unhex(t, tt.code), 0x100000000)
		if err != nil || len(i.Memory) == 0 {
			t.Errorf("%s %s: %v", tt.arch, tt.code, err)
			continue
		}
		if got, ok := i.Memory[0].Address(get); got != tt.want || ok != tt.ok {
			t.Errorf("%s %s (%s): %x, %v; want %x, %v", tt.arch, tt.code, i.Text, got, ok, tt.want, tt.ok)
		}
	}
}

func TestWhole(t *testing.T) {
	for name, want := range map[string]string{
		"rax": "rax 64", "eax": "rax 32", "ax": "rax 16", "al": "rax 8", "r9": "r9 64", "r9d": "r9 32", "r10w": "r10 16", "r15b": "r15 8",
		"esi": "rsi 32", "si": "rsi 16", "x3": "x3 64", "w3": "x3 32", "wsp": "sp 32", "sp": "sp 64", "rip": "rip 64", "w": "w 64", "": " 64",
	} {
		whole, bits := disasm.Whole(name)
		if got := fmt.Sprint(whole, " ", bits); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Each start of an instruction is too short, and an error says so.
func TestDecode_Short(t *testing.T) {
	for _, tt := range []struct{ arch, code string }{
		{"x64", "65488b042588010000"}, {"x64", "62f1fe487f4102"}, {"x64", "48b88877665544332211"}, {"x64", "c4e26d900489"},
		{"x64", "f3480f1ec8"}, {"x64", "660f3a0fc103"}, {"x86", "ea785634121000"}, {"x86", "67668b4702"}, {"arm64", "200840f9"},
	} {
		code := unhex(t, tt.code)
		if i, err := disasm.Decode(tt.arch, code, 0); err != nil || i.Length != len(code) {
			t.Errorf("%s %s: %d, %v", tt.arch, tt.code, i.Length, err)
		}
		for n := range code {
			if i, err := disasm.Decode(tt.arch, code[:n], 0); !errors.Is(err, disasm.ErrFormat) {
				t.Errorf("%s %x: %+v, %v; want ErrFormat", tt.arch, code[:n], i, err)
			}
		}
	}
}

func TestDecode_Errors(t *testing.T) {
	for what, tt := range map[string]struct{ arch, code string }{
		"machine":              {"ia64", "90"},
		"prefixes without end": {"x64", strings.Repeat("66", 40)},
		"longer than 15":       {"x64", strings.Repeat("66", 14) + "0f1f440000"},
		"not of x64":           {"x64", "06"},
		"no opcode":            {"x64", "0f04"},
		"a map that is not":    {"x64", "c4f0789000"},
		"APX":                  {"x64", "62fcfe487f4102"},
		"no word":              {"arm64", "ffffffff"},
	} {
		if i, err := disasm.Decode(tt.arch, unhex(t, tt.code), 0); !errors.Is(err, disasm.ErrFormat) || i.Length != 0 {
			t.Errorf("%s: %+v, %v", what, i, err)
		}
	}
}

// Several goroutines may decode.
func TestDecode_Concurrent(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for arch, code := range map[string]string{"x64": "8b4110", "arm64": "200c40b9"} {
				if _, err := disasm.Decode(arch, unhex(t, code), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"8b4110", "f0480fc101", "62f1fe487f4102", "c4e26d900489", "200840f9", "f30f1efa", "67668b4702", "48a18877665544332211", "0f01ca"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		for arch, longest := range map[string]int{"x64": 15, "x86": 15, "arm64": 4} {
			i, err := disasm.Decode(arch, code, 0xfffff80000001000)
			if err != nil {
				if !errors.Is(err, disasm.ErrFormat) {
					t.Errorf("%s %x: %v", arch, code, err)
				}
				continue
			}
			if i.Length < 1 || i.Length > min(longest, len(code)) || i.Text == "" || i.Mnemonic == "" {
				t.Errorf("%s %x: %+v", arch, code, i)
			}
			for _, m := range i.Memory {
				m.Address(func(string) (uint64, bool) { return ^uint64(0), true })
				if !m.Read && !m.Write || m.Bits == 0 || m.Index != "" && m.Scale == 0 || m.String() == "" {
					t.Errorf("%s %x: %+v", arch, code, m)
				}
			}
			again, err := disasm.Decode(arch, code[:i.Length], 0xfffff80000001000)
			if err != nil || !cmp.Equal(i, again) {
				t.Errorf("%s %x: %v: other without what follows: %s", arch, code, err, cmp.Diff(i, again))
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, tt := range []struct{ arch, code string }{{"x64", "488b442428"}, {"arm64", "200840f9"}} {
		b.Run(tt.arch, func(b *testing.B) {
			code := unhex(b, tt.code)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := disasm.Decode(tt.arch, code, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
