package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCaseInput_Denied: what this user may not read is told of, with what helps.
func TestCaseInput_Denied(t *testing.T) {
	var errs bytes.Buffer
	in := &caseInput{errs: &errs}
	in.complain(`C:\Windows\MEMORY.DMP`, fmt.Errorf("open: %w", fs.ErrPermission))
	err := in.end()
	var exit *exitError
	if !errors.As(err, &exit) || exit.status != exitNoDump {
		t.Errorf("exit status: got %v, want %d", err, exitNoDump)
	}
	if said := errs.String(); !strings.Contains(said, "MEMORY.DMP: open: permission denied") || !strings.Contains(said, "started as administrator") {
		t.Errorf("said: %s", said)
	}
}

func TestHere(t *testing.T) {
	root := t.TempDir()
	if got := here(root); got != nil {
		t.Errorf("a machine without crashes: %v", got)
	}
	if err := os.MkdirAll(filepath.Join(root, "Minidump"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := here(root); len(got) != 1 || filepath.Base(got[0]) != "Minidump" {
		t.Errorf("a folder of dumps: %v", got)
	}
	if got := here(""); got != nil {
		t.Errorf("no Windows at all: %v", got)
	}
}
