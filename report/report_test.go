package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestText_In(t *testing.T) {
	translate := func(s string) string {
		return map[string]string{"%s read %s": "%[2]s が %[1]s", "freed memory": "解放済みのメモリ"}[s]
	}
	text := T("%s read %s", "x.sys", T("freed memory"))
	if got, want := text.String(), "x.sys read freed memory"; got != want {
		t.Errorf("English: got %q, want %q", got, want)
	}
	if got, want := text.In(translate), "解放済みのメモリ が x.sys"; got != want {
		t.Errorf("translated: got %q, want %q", got, want)
	}
	if got := T("100 % sure").String(); got != "100 % sure" {
		t.Errorf("a text without arguments is formatted: %q", got)
	}
}

// TestJSON_Contract: the names that scripts rely on.
func TestJSON_Contract(t *testing.T) {
	pid, target := uint64(4), Hex(0x29)
	r := Report{
		Schema: Schema, Bugcheck: &Bugcheck{Code: 0x1000007e, Parameters: []Parameter{{Value: 0xffffffffc0000005}}},
		Process: &Process{Name: "System", PID: &pid}, Exception: &Exception{Code: 0xc0000005, Target: &target},
		Registers: Registers{{"rip", 0xfffff8048b58334c}, {"rsp", 0}},
		Stack:     []Frame{{Address: 0xfffff8048b58334c, Trust: TrustContext}},
		Verdict:   Verdict{Summary: T("%d", 1), Cause: CauseDriver, Confidence: High},
	}
	b, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"schema":1`, `"code":"0x1000007e"`, `"value":"0xffffffffc0000005"`, `"pid":4`, `"target":"0x29"`,
		`"registers":{"rip":"0xfffff8048b58334c","rsp":"0x0"}`, `"inline":false`, `"trust":"context"`,
		`"summary":"1"`, `"cause":"driver"`, `"confidence":"high"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Registers) != 2 || back.Registers[0] != r.Registers[0] || back.Registers[1] != r.Registers[1] {
		t.Errorf("registers read back: %v, want %v", back.Registers, r.Registers)
	}
	if back.Verdict.Summary.String() != "1" || *back.Exception.Target != 0x29 || back.Bugcheck.Code != 0x1000007e {
		t.Errorf("read back: %+v", back)
	}
}

func TestRegisters_UnmarshalJSON(t *testing.T) {
	for _, bad := range []string{`[]`, `3`, `{"rip": 3}`, `{"rip": "0xzz"}`, `{"rip": null, "rsp": "0x"}`, `{"rip"`} {
		var r Registers
		if err := json.Unmarshal([]byte(bad), &r); err == nil {
			t.Errorf("%s was read as %v", bad, r)
		}
	}
	var r Registers
	for _, none := range []string{`null`, `{}`, `{"rip": null}`} {
		if err := json.Unmarshal([]byte(none), &r); err != nil || len(r) != 0 {
			t.Errorf("%s: got %v, %v", none, r, err)
		}
	}
}

func TestHex_UnmarshalText(t *testing.T) {
	var h Hex
	if err := h.UnmarshalText([]byte("0xFFFFF8048B58334C")); err != nil || h != 0xfffff8048b58334c {
		t.Errorf("got %v, %v", h, err)
	}
	if err := h.UnmarshalText([]byte("twelve")); err == nil {
		t.Error("a word was read as a number")
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                              "0 s",
		59 * time.Second:               "59 s",
		time.Minute:                    "1 min",
		62*time.Minute + 5*time.Second: "1 h 2 min",
		48 * time.Hour:                 "2 d",
		49*time.Hour + time.Minute:     "2 d 1 h",
	} {
		if got := Span(d).String(); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
