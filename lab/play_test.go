package lab

import (
	"fmt"
	"testing"

	"bugcheck/lab/code"
)

// Every kind can be played on every build, and leaves what it says. With -short on
// the newest builds alone.
func TestPlay_EveryKind(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		builds := code.Builds(arch)
		if testing.Short() {
			builds = builds[len(builds)-1:]
		}
		for _, build := range builds {
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
