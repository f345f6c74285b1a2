package win

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
)

func TestCatalogue_Complete(t *testing.T) {
	for _, lang := range []Lang{English, Japanese} {
		codes := lang.Codes()
		if len(codes) != 425 {
			t.Errorf("%s: %d stop codes, want 425", lang, len(codes))
		}
		for _, c := range codes {
			if c.Name == "" || c.Category == "" {
				t.Errorf("%s: 0x%x has no name or category", lang, c.Code)
			}
			checkText(t, lang, c.Code, "meaning", c.Meaning)
			for i, p := range c.Parameters {
				if p == "" {
					t.Errorf("%s: 0x%x parameter %d is empty", lang, c.Code, i+1)
				}
			}
			for _, v := range lang.Values(c.Code) {
				checkText(t, lang, c.Code, "value", v.Meaning)
			}
		}
	}
}

// checkText refuses texts that are missing, cut, or in the other language.
func checkText(t *testing.T, lang Lang, code uint32, what, s string) {
	t.Helper()
	end, hasJapanese := ".", strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) })
	if lang == Japanese {
		end = "。"
	}
	switch {
	case len(s) < 15:
		t.Errorf("%s: 0x%x: %s %q is too short to mean anything", lang, code, what, s)
	case hasJapanese != (lang == Japanese):
		t.Errorf("%s: 0x%x: %s is in another language: %q", lang, code, what, s)
	case !strings.Contains(s, end):
		t.Errorf("%s: 0x%x: %s is no sentence: %q", lang, code, what, s)
	}
}

func TestCatalogue_LanguagesHaveTheSameValues(t *testing.T) {
	n := 0
	for _, c := range English.Codes() {
		en, ja := English.Values(c.Code), Japanese.Values(c.Code)
		if len(en) != len(ja) {
			t.Errorf("0x%x: %d values in English, %d in Japanese", c.Code, len(en), len(ja))
			continue
		}
		for i := range en {
			n++
			if en[i].Parameter != ja[i].Parameter || en[i].Value != ja[i].Value {
				t.Errorf("0x%x value %d: %d/0x%x in English, %d/0x%x in Japanese", c.Code, i, en[i].Parameter, en[i].Value, ja[i].Parameter, ja[i].Value)
			}
		}
	}
	if n < 1202 {
		t.Errorf("%d values, want 1202 or more", n)
	}
}

func TestBaseCode(t *testing.T) {
	for code, want := range map[uint32]uint32{0x1000007e: 0x7e, 0x1000008e: 0x8e, 0x1000007f: 0x7f, 0x100000ea: 0xea, 0xd1: 0xd1, 0x10000001: 0x10000001} {
		if got := BaseCode(code); got != want {
			t.Errorf("BaseCode(0x%x) = 0x%x, want 0x%x", code, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	if got := English.Find("driver_irql_not_less_or_equal"); len(got) != 1 || got[0].Code != 0xd1 {
		t.Errorf("exact name: %v", got)
	}
	if got := English.Find("IRQL_NOT_LESS"); len(got) < 2 {
		t.Errorf("part of a name found %d codes, want several", len(got))
	}
	if got := English.Find("no such name"); len(got) != 0 {
		t.Errorf("nonsense found %v", got)
	}
}

func TestDriver(t *testing.T) {
	for _, tt := range []struct {
		image     string
		microsoft bool
		known     bool
	}{
		{"NTFS.sys", true, true},
		{"ntoskrnl.exe", true, true},
		{"nvlddmkm.sys", false, true},
		{"myfault.sys", false, true},
		{"dump_stornvme.sys", true, true},
		{"no-such-driver.sys", false, false},
	} {
		d, ok := English.Driver(tt.image)
		if ok != tt.known || d.Microsoft() != tt.microsoft {
			t.Errorf("Driver(%q) = %+v, %v; want Microsoft's %v, known %v", tt.image, d, ok, tt.microsoft, tt.known)
		}
	}
}

func TestDrivers_Table(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range Table("drivers", 6) {
		if seen[row[0]] || row[0] != strings.ToLower(row[0]) {
			t.Errorf("data/drivers.tsv: %q stands twice or has capitals", row[0])
		}
		seen[row[0]] = true
		for i, cell := range row {
			if cell == "" {
				t.Errorf("data/drivers.tsv: %s: column %d is empty", row[0], i+1)
			}
		}
	}
}

// TestHappened: every row is of a code or a category, in both languages, and is a
// clause; every category has one but those that say nothing of what happened.
func TestHappened(t *testing.T) {
	keys := map[string]bool{}
	for _, c := range English.Codes() {
		keys[fmt.Sprintf("0x%08X", c.Code)], keys[c.Category] = true, true
		if c.Category != "other" && c.Category != "livedump" && (English.Happened(c.Code) == "" || Japanese.Happened(c.Code) == "") {
			t.Errorf("0x%x (%s): nothing says what happened", c.Code, c.Category)
		}
	}
	for key, row := range happened() {
		if !keys[key] {
			t.Errorf("data/happened.tsv: %s is no code and no category", key)
		}
		for _, s := range row {
			if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "。") || strings.Contains(s, "%") {
				t.Errorf("data/happened.tsv: %s: %q is no clause", key, s)
			}
		}
	}
}
