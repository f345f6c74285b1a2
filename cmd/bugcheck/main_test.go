package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bugcheck/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bugcheck": func() { os.Exit(run()) }})
}

// recipe is what the lab makes a dump of.
type recipe interface{ Bytes() ([]byte, error) }

// recipes are the dumps that scripts can ask the lab for.
var recipes = map[string]func() recipe{
	"high-irql-17763":  func() recipe { return lab.HighIRQLKernel(lab.Windows17763) },
	"high-irql-19041":  func() recipe { return lab.HighIRQLKernel(lab.Windows19041) },
	"high-irql-26100":  func() recipe { return lab.HighIRQLKernel(lab.Windows26100) },
	"high-irql-arm64":  func() recipe { return lab.HighIRQLKernel(lab.Windows22000ARM64) },
	"high-irql-x86":    func() recipe { return lab.HighIRQLKernel(lab.Windows17763X86) },
	"security-check":   func() recipe { return lab.SecurityCheckFailure(lab.Windows26100) },
	"system-thread":    func() recipe { return lab.SystemThreadException(lab.Windows19041) },
	"system-service":   func() recipe { return lab.SystemServiceException(lab.Windows19041) },
	"hostile-names":    func() recipe { return hostileNames() },
	"unknown-stopcode": func() recipe { d := lab.Machine(lab.Windows19041); d.Code = 0xdead; return d },
	"null-read":        func() recipe { return lab.NullRead(lab.Windows19041) },
	"null-read-x86":    func() recipe { return lab.NullRead(lab.Windows17763X86) },
	"heap-corruption":  func() recipe { return lab.HeapCorruption(lab.Windows26100) },
	"hang":             func() recipe { return lab.Hang(lab.Windows26100) },
	"hostile-program":  func() recipe { return hostileProgram() },
}

// hostileNames is a dump whose names would write to a terminal, to HTML and to
// Markdown.
func hostileNames() *lab.Dump {
	d := lab.HighIRQLKernel(lab.Windows17763)
	for i := range d.Drivers {
		if strings.HasSuffix(d.Drivers[i].Path, "myfault.sys") {
			d.Drivers[i].Path = "<script>\x1b[31m|`*evil*`\u202e\r\n.sys"
		}
	}
	d.Process.Name = "\x1b]0;x\x07a.exe"
	d.Comment = "\x1b[2J"
	return d
}

// hostileProgram is the same for a program.
func hostileProgram() *lab.UserDump {
	d := lab.UncaughtCPP(lab.Windows19041)
	d.Modules[0].Path = "C:\\<script>\x1b[31m|`*evil*`\u202e\r\n.exe"
	d.Threads[0].Name = "\x1b]0;x\x07a"
	d.Comment = "\x1b[2J"
	d.Annotations = [][2]string{{"\x1b[2J", "<b>\x07"}}
	for i := range d.Memory {
		d.Memory[i].Data = []byte(strings.ReplaceAll(string(d.Memory[i].Data), "settings", "\x1b[2Jtings"))
	}
	return d
}

// TestScripts runs the command line as users do: testdata/script/*.txtar.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("LANG", "en_US.UTF-8")
			env.Setenv("LC_ALL", "")
			env.Setenv("_NT_SYMBOL_PATH", env.WorkDir) // no server is asked
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve": func(ts *testscript.TestScript, _ bool, args []string) { serve(ts, args[0], args[1]) },
			"lab":   func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(makeDump(ts.MkAbs("."), args)) },
		},
		RequireExplicitExec: true,
	})
}

// makeDump writes RECIPE FILE [BYTES]: the lab's dump, cut to so many bytes.
func makeDump(dir string, args []string) error {
	recipe, ok := recipes[args[0]]
	if !ok {
		return fmt.Errorf("no recipe %q", args[0])
	}
	b, err := recipe().Bytes()
	if err != nil {
		return err
	}
	if len(args) == 3 {
		var n int
		if _, err := fmt.Sscan(args[2], &n); err != nil {
			return err
		}
		b = b[:n]
	}
	return os.WriteFile(filepath.Join(dir, args[1]), b, 0o600)
}

// serve starts a server for a folder, and puts its address into a variable. Asked
// as a proxy, it answers for any host. What lies in a folder secret needs the bearer
// token "open".
func serve(ts *testscript.TestScript, folder, variable string) {
	files := http.FileServer(http.Dir(ts.MkAbs(folder)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/secret/") && r.Header.Get("Authorization") != "Bearer open" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv(variable, server.URL)
}
