package lab

import (
	"fmt"
	"testing"

	"bugcheck/lab/code"
)

// Every kind can be played on every build, and leaves what it says.
func TestPlay_EveryKind(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		for _, build := range code.Builds(arch) {
			for _, k := range Kinds() {
				t.Run(fmt.Sprintf("%s %d %s", arch, build, k.Name), func(t *testing.T) {
					c, err := Play(k.Name, Options{Arch: arch, Build: build})
					if err != nil {
						t.Fatal(err)
					}
					if c.Truth.Bugcheck.Code == "0x0" || c.Truth.Process.Name == "" || c.Truth.Verdict.Cause == "" {
						t.Errorf("the truth is not whole: %+v", c.Truth)
					}
				})
			}
		}
	}
}
