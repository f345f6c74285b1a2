package render

import (
	"bytes"
	"strings"
	"testing"

	"bugcheck/report"
)

// A command is to be copied: it has a line of its own, however long it is, and a code
// span in Markdown.
func TestSteps_Commands(t *testing.T) {
	command := `reg add HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v CrashDumpEnabled /t REG_DWORD /d 7 /f`
	r := &report.Report{Verdict: report.Verdict{NextSteps: []report.Text{
		report.T("Have Windows write it next time: %s, then restart.", report.Command(command)),
		report.T("Repair the system files: %s, then %s.", report.Command("DISM /Online"), report.Command("sfc /scannow")),
	}}}
	var text, markdown bytes.Buffer
	if err := Text(&text, r, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := Markdown(&markdown, r, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ got, want string }{
		{text.String(), "next time:\n            " + command + "\n          then restart.\n"},
		{text.String(), "  then    Repair the system files:\n            DISM /Online\n          then\n            sfc /scannow\n          Commands: in"},
		{markdown.String(), "1. Have Windows write it next time: `" + command + "`, then restart.\n"},
		{markdown.String(), "2. Repair the system files: `DISM /Online`, then `sfc /scannow`.\n\nCommands: in"},
	} {
		if !strings.Contains(tt.got, tt.want) {
			t.Errorf("lacks %q:\n%s", tt.want, tt.got)
		}
	}
}

func TestSteps_Elevation(t *testing.T) {
	for command, want := range map[string]bool{
		"verifier /standard /driver a.sys": true, "bugcheck top MEMORY.DMP": false, "Get-PnpDevice -PresentOnly": false,
	} {
		if got := needElevation([]report.Text{report.T("Run %s.", report.Command("%s", command))}); got != want {
			t.Errorf("%s: %v", command, got)
		}
	}
	if needElevation([]report.Text{report.T("Update %s.", "a.sys")}) {
		t.Error("a step without a command")
	}
}
