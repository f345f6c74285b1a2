package render

import (
	"strings"
	"testing"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

func pointer[T any](v T) *T { return &v }

// leaking is a machine whose nonpaged pool a driver has used up.
func leaking() *report.Top {
	at := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	return &report.Top{
		System:   &report.System{Version: "10.0.17763", Name: "Windows Server 2019", Processors: 2, CrashedAt: &at},
		Bugcheck: &report.Bugcheck{Code: 0xe2, Name: "MANUALLY_INITIATED_CRASH"},
		Pressure: []report.Evidence{{Fact: report.T("%s: %s", "nonpaged pool", "91 %"), Trust: report.Recorded}},
		Memory: report.TopMemory{
			Physical: pointer(uint64(4 << 30)), Available: pointer(uint64(1 << 30)),
			NonPaged: pointer(uint64(3500 << 20)), NonPagedLimit: pointer(uint64(3840 << 20)), Paged: pointer(uint64(200 << 20)),
		},
		Processors: []report.TopProcessor{
			{Number: 0, Idle: true, At: "nt!KiIdleLoop+0x2c"},
			{Number: 1, Crashed: true, IRQL: pointer(uint8(2)), Process: "notmyfault64.exe", PID: pointer(uint64(4312)), DPC: "myfault+0x1000", DPCQueue: []string{"nt!KiTimer"}},
		},
		Processes: []report.TopProcess{
			{PID: 4312, Name: "notmyfault64.exe", Commit: pointer(uint64(6 << 20)), Handles: pointer(uint64(120)), Threads: 3, CPUSeconds: pointer(1.25)},
			{PID: 900, Name: "old.exe", Exited: &at},
		},
		Threads: 3,
		Pool:    []report.TopPool{{Tag: "Leak", NonPaged: 3400 << 20, Blocks: 870400, Drivers: []string{"myfault.sys"}}},
		Notes:   []report.Note{{Where: "memory", Text: report.T("The list ends early.")}},
	}
}

func TestTop_Text(t *testing.T) {
	for _, tt := range []struct {
		lang win.Lang
		want []string
	}{
		{win.English, []string{
			"0x000000E2 MANUALLY_INITIATED_CRASH", "  recorded  nonpaged pool: 91 %",
			"Physical        3 GiB of 4 GiB (75 %)", "Commit          not in the dump", "Nonpaged pool   3.4 GiB of 3.8 GiB (91 %)", "Paged pool      200 MiB",
			"    0  idle, at nt!KiIdleLoop+0x2c", "*   1  notmyfault64.exe (4312), IRQL 2", "in the deferred procedure myfault+0x1000",
			"4312   6 MiB            -      120        3  1.2 s  notmyfault64.exe", "old.exe (ended)",
			"  Leak   3.3 GiB  0 KiB  870400  myfault.sys", "memory: The list ends early.",
		}},
		{win.Japanese, []string{"非ページ プール 3.8 GiB 中 3.4 GiB (91 %)", "*   1  notmyfault64.exe (4312)、IRQL 2", "old.exe (終了済み)"}},
	} {
		var out strings.Builder
		if err := Top(&out, leaking(), Options{Lang: tt.lang}); err != nil {
			t.Fatal(err)
		}
		for _, w := range tt.want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: %q is missing in:\n%s", tt.lang, w, out.String())
			}
		}
	}
}

func TestTop_Rows(t *testing.T) {
	top := &report.Top{}
	for i := range shownRows + 3 {
		top.Processes = append(top.Processes, report.TopProcess{PID: uint64(4 * i), Name: "svchost.exe"})
	}
	for _, tt := range []struct {
		all  bool
		rows int
	}{{false, shownRows}, {true, shownRows + 3}} {
		var out strings.Builder
		if err := Top(&out, top, Options{Lang: win.English, All: tt.all}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "svchost.exe"); n != tt.rows {
			t.Errorf("all %v: %d rows, want %d", tt.all, n, tt.rows)
		}
	}
	if !strings.Contains(topText(t, &report.Top{}), "None of the resources") {
		t.Error("an empty machine does not say that nothing was short")
	}
}

func topText(t *testing.T, top *report.Top) string {
	t.Helper()
	var out strings.Builder
	if err := Top(&out, top, Options{Lang: win.English}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		n    uint64
		want string
	}{{0, "0 KiB"}, {512, "0.5 KiB"}, {4096, "4 KiB"}, {1536 << 10, "1.5 MiB"}, {64 << 30, "64 GiB"}, {5 << 40, "5 TiB"}, {2048 << 40, "2048 TiB"}} {
		if got := size(tt.n); got != tt.want {
			t.Errorf("size(%d) = %s, want %s", tt.n, got, tt.want)
		}
	}
}
