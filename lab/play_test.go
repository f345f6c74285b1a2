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

// A flip is one bit, where the kind says; other kinds refuse it.
func TestPlay_Flips(t *testing.T) {
	for _, arch := range []string{"x64", "arm64"} {
		o := Options{Arch: arch, Build: 26100}
		sound, err := Play("receive-ring", o)
		if err != nil {
			t.Fatal(err)
		}
		if v := sound.Truth.Verdict; v.Cause != "driver" || v.Bit != nil {
			t.Errorf("%s without a flip: %+v", arch, v)
		}
		k, _ := KindNamed("receive-ring")
		for _, o.Flip = range k.Flips {
			c, err := Play("receive-ring", o)
			if err != nil {
				t.Fatal(err)
			}
			if v := c.Truth.Verdict; v.Cause != "hardware" || v.Image != "" || v.Bit == nil {
				t.Errorf("%s, %s: %+v", arch, o.Flip, v)
			}
			if p := c.Parameters; (p[0] == sound.Parameters[0]) != (o.Flip == FlipPTE) || p[3] != sound.Parameters[3] {
				t.Errorf("%s, %s: parameters %x; without the flip %x", arch, o.Flip, p, sound.Parameters)
			}
		}
		for _, wrong := range []struct{ kind, flip string }{{"fast-fail", FlipCode}, {"receive-ring", "disk"}} {
			if _, err := Play(wrong.kind, Options{Arch: arch, Build: 26100, Flip: wrong.flip}); err == nil {
				t.Errorf("%s is played with %q flipped", wrong.kind, wrong.flip)
			}
		}
	}
}
