package bugcheck

import (
	"os"
	"testing"

	"bugcheck/lab"
)

// goldenPrograms are the programs' crashes whose reports are kept.
var goldenPrograms = map[string]func() *lab.UserDump{
	"null-read-program-19041-x64":       func() *lab.UserDump { return lab.NullRead(lab.Windows19041) },
	"null-read-program-17763-x86":       func() *lab.UserDump { return lab.NullRead(lab.Windows17763X86) },
	"null-read-program-22000-arm64":     func() *lab.UserDump { return lab.NullRead(lab.Windows22000ARM64) },
	"stack-exhaustion-program-x64":      func() *lab.UserDump { return lab.StackExhaustion(lab.Windows19041) },
	"fast-fail-program-26100-x64":       func() *lab.UserDump { return lab.FastFailExit(lab.Windows26100) },
	"cpp-exception-program-19041-x64":   func() *lab.UserDump { return lab.UncaughtCPP(lab.Windows19041) },
	"heap-corruption-program-17763-x86": func() *lab.UserDump { return lab.HeapCorruption(lab.Windows17763X86) },
	"in-page-error-program-26100-x64":   func() *lab.UserDump { return lab.InPageError(lab.Windows26100) },
	"unloaded-code-program-19041-x64":   func() *lab.UserDump { return lab.UnloadedCode(lab.Windows19041) },
	"hang-program-26100-x64":            func() *lab.UserDump { return lab.Hang(lab.Windows26100) },
}

func TestGolden_Programs(t *testing.T) {
	if *update && os.Getenv("CI") != "" {
		t.Fatal("-update is refused in CI")
	}
	for name, recipe := range goldenPrograms {
		t.Run(name, func(t *testing.T) { checkGolden(t, name, recipe()) })
	}
}
