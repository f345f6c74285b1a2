package main

import (
	"fmt"
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

// recipes are the dumps that scripts can ask the lab for.
var recipes = map[string]func() *lab.Dump{
	"high-irql-17763":  func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows17763) },
	"high-irql-19041":  func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows19041) },
	"high-irql-26100":  func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows26100) },
	"high-irql-arm64":  func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows22000ARM64) },
	"high-irql-x86":    func() *lab.Dump { return lab.HighIRQLKernel(lab.Windows17763X86) },
	"security-check":   func() *lab.Dump { return lab.SecurityCheckFailure(lab.Windows26100) },
	"system-thread":    func() *lab.Dump { return lab.SystemThreadException(lab.Windows19041) },
	"system-service":   func() *lab.Dump { return lab.SystemServiceException(lab.Windows19041) },
	"hostile-names":    hostileNames,
	"unknown-stopcode": func() *lab.Dump { d := lab.Machine(lab.Windows19041); d.Code = 0xdead; return d },
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
			"lab": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(makeDump(ts.MkAbs("."), args)) },
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
