package unwind

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bugcheck/internal/corpus"
	"bugcheck/pe"
)

// The C code that is compiled: functions of every shape that changes how a
// compiler lays out a frame.

const preamble = `
#ifdef _M_IX86
typedef unsigned u64;
#define STD __stdcall
#define DYN(n) (void *)(n)
#else
typedef unsigned long long u64;
#define STD
#define DYN(n) __builtin_alloca(n)
#endif
typedef __builtin_va_list va_list;
int _fltused;
u64 ext(void *p, u64 a, u64 b);
double extd(double a, double b);
__declspec(noreturn) void die(u64);
struct big { u64 v[5]; };
struct big extb(u64 a, struct big b, u64 c, double d, u64 e, u64 f, u64 g);
u64 sum(u64 n, ...);
#define COLD(x) __builtin_expect(!!(x), 0)
`

// generator writes functions.
type generator struct {
	r   *rand.Rand
	b   strings.Builder
	x86 bool
}

func (g *generator) f(format string, args ...any) { fmt.Fprintf(&g.b, format, args...) }

// sizes of local arrays: none, small, over a page, over 64 KiB.
var sizes = []int{0, 0, 1, 3, 16, 100, 120, 500, 505, 520, 600, 4000, 4090, 5000, 8000, 65000, 70000, 140000}

func (g *generator) pick(n int) bool { return g.r.IntN(n) == 0 }

// function writes function number i, which may call those before it.
func (g *generator) function(i int) {
	params, live, doubles := g.r.IntN(8), g.r.IntN(14), 0
	if g.pick(3) {
		doubles = 1 + g.r.IntN(10)
	}
	variadic, alloca, size := g.pick(10), g.pick(8), sizes[g.r.IntN(len(sizes))]
	aligned := ""
	if g.pick(12) {
		aligned = fmt.Sprintf("__declspec(align(%d)) ", 32<<g.r.IntN(3))
	}
	convention := ""
	if !variadic && g.pick(3) {
		convention = "STD "
	}
	g.f("__declspec(noinline) u64 %sf%d(u64 a0", convention, i)
	for p := range params {
		g.f(", u64 a%d", p+1)
	}
	if variadic {
		g.f(", ...")
	}
	g.f(") {\n u64 x = a0;\n")
	if g.pick(6) && !variadic && size < 1000 {
		g.f(" if (a0 == 7) return x;\n")
	}
	if size > 0 {
		g.f(" %schar buf[%d]; x += ext(buf, x, %d);\n", aligned, size, i)
	} else if aligned != "" {
		g.f(" %schar buf[64]; x += ext(buf, x, %d);\n", aligned, i)
	}
	for k := range live {
		g.f(" u64 v%d = x * (u64)%d + a%d;\n", k, g.r.IntN(1000)+3, g.r.IntN(params+1))
	}
	for k := range doubles {
		g.f(" double d%d = (double)(long long)x * %d.5;\n", k, k+1)
	}
	if variadic {
		g.f(" va_list ap; __builtin_va_start(ap, a%d); x += __builtin_va_arg(ap, u64); x += __builtin_va_arg(ap, u64); __builtin_va_end(ap);\n", params)
	}
	if live+doubles > 0 || g.pick(2) {
		g.f(" x += ext(&x, x, 1);\n")
	}
	g.body(i)
	if alloca {
		g.f(" { char *m = DYN(a0 & 0xffff); x += ext(m, x, 2); }\n")
	}
	for k := range live {
		g.f(" x ^= v%d + ext(0, v%d, x);\n", k, k)
	}
	for k := range doubles {
		g.f(" x += (u64)(long long)extd(d%d, d%d);\n", k, (k+1)%doubles)
	}
	// clang 19 moves the stack pointer without unwind data in the handlers of a
	// function that allocates dynamically.
	g.end(i, !alloca && !g.x86)
}

func (g *generator) body(i int) {
	for range g.r.IntN(4) {
		switch g.r.IntN(8) {
		case 0:
			g.f(" for (u64 n = 0; n < a0; n++) x += ext(&x, n, x);\n")
		case 1:
			g.f(" switch (a0) {\n")
			for c := range 6 + g.r.IntN(8) {
				g.f("  case %d: x += ext(0, x, %d); break;\n", c, c*c+i)
			}
			g.f(" }\n")
		case 2:
			g.f(" if (COLD(x == %d)) { ext(0, x, 99); ext(0, a0, 98); die(x); }\n", i)
		case 3:
			g.f(" if (a0 > %d) return x + %d;\n", g.r.IntN(100), i)
		case 4:
			g.f(" if (COLD(a0 == %d)) { x += ext(&x, 3, 4) * ext(0, x, 5); x ^= ext(&x, 8, 9); }\n", i)
		case 5:
			g.f(" { struct big b = {{x, a0}}; b = extb(x, b, 1, 2.0, 3, 4, a0); x += b.v[1]; }\n")
		case 6:
			g.f(" x += sum(4, x, a0, x + 1, (u64)2, (u64)3, (u64)4, x, x, x, a0);\n")
		case 7:
			g.f(" if (a0 & 1) { x += ext(0, x, a0 * %d); if (x & 4) return ext(0, x, 1) + 1; }\n", i)
		}
	}
}

// end returns, calls another function as its last act, or guards a block.
func (g *generator) end(i int, guard bool) {
	kind := g.r.IntN(6)
	if !guard && kind > 1 {
		kind = 5
	}
	switch kind {
	case 0:
		g.f(" return ext((void *)a0, x, %d);\n}\n", i)
	case 1:
		g.f(" u64 (*p)(void *, u64, u64) = (u64 (*)(void *, u64, u64))a0; return p(0, x, %d);\n}\n", i)
	case 2:
		g.f(" __try { x += ext((void *)a0, x, 3); } __except (1) { x = ext(0, x, 4); }\n return x;\n}\n")
	case 3:
		g.f(" __try { x += ext((void *)a0, x, 3); } __finally { x ^= ext(0, x, 4); }\n return x;\n}\n")
	default:
		g.f(" return x;\n}\n")
	}
}

// source writes n functions.
func source(seed uint64, n int, x86 bool) string {
	g := generator{r: rand.New(rand.NewPCG(seed, 7)), x86: x86}
	g.b.WriteString(preamble)
	for i := range n {
		g.function(i)
	}
	g.f("typedef u64 (*any)();\nany table[] = {")
	for i := range n {
		g.f("(any)f%d, ", i)
	}
	g.f("};\nany *DriverEntry(u64 i) { return table + i; }\n")
	return g.b.String()
}

// tool finds a tool of LLVM.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name + "-19")
	if err != nil {
		corpus.Missing(t, name+"-19 is not here")
	}
	return path
}

func run(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%.2000s", name, args, err, out)
	}
}

const exports = "LIBRARY ntoskrnl.exe\nEXPORTS\next\nextd\nextb\nsum\ndie\n_chkstk\n__chkstk\n__C_specific_handler\nmemset\nmemcpy\n"

// variants are the options that frames depend on.
var variants = [][]string{
	{"/O1"}, {"/O2"}, {"/Od"}, {"/O1", "/Oy-"}, {"/O2", "/Oy-"}, {"/Od", "/Oy-"},
	{"/O2", "-mllvm", "-hot-cold-split=true"}, {"/O2", "/clang:-mbranch-protection=pac-ret"},
}

// driver compiles n functions with some options and links them.
func driver(t testing.TB, m pe.Machine, options []string, seed uint64, n int) string {
	t.Helper()
	clang, link, lib := tool(t, "clang"), tool(t, "lld-link"), tool(t, "llvm-dlltool")
	dir := t.TempDir()
	target, short, machine := "x86_64-pc-windows-msvc", "i386:x86-64", "x64"
	switch m {
	case pe.ARM64:
		target, short, machine = "aarch64-pc-windows-msvc", "arm64", "arm64"
	case pe.X86:
		target, short, machine = "i686-pc-windows-msvc", "i386", "x86"
		options = append(options[:len(options):len(options)], "/Z7")
	}
	for name, text := range map[string]string{"a.c": source(seed, n, m == pe.X86), "k.def": exports} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, lib, "-m", short, "-d", "k.def", "-l", "k.lib")
	args := append([]string{"--driver-mode=cl", "-target", target, "/c", "/GS-", "/kernel", "/w", "/Foa.obj"}, options...)
	run(t, dir, clang, append(args, "a.c")...)
	name := fmt.Sprintf("%s%s.sys", machine, strings.NewReplacer("/", "_", ":", "", "=", "").Replace(strings.Join(options, "")))
	args = []string{"/driver", "/subsystem:native", "/nodefaultlib", "/machine:" + machine, "/entry:DriverEntry", "/release", "/out:" + name, "a.obj", "k.lib"}
	if m == pe.X86 {
		args = append(args, "/safeseh:no", "/debug:full", "/pdb:a.pdb")
	}
	run(t, dir, link, args...)
	return filepath.Join(dir, name)
}
