package render

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"one two three", 7, "one two|three"},
		{"one", 1, "one"},
		{"", 10, ""},
		{"メモリを読み取りました。", 12, "メモリを読み|取りました。"},
		{"読み取りました。次", 16, "読み取りました。|次"}, // the mark fits
		{"読み取りました。次", 14, "読み取りまし|た。次"}, // no mark begins a line
		{"値は (0x1) です", 8, "値は|(0x1) で|す"},
		{"ハードウェアが", 8, "ハード|ウェアが"}, // no small kana begins a line
		{"そのファイルを", 6, "その|ファイ|ルを"},
		{"解放した「値」です", 10, "解放した|「値」です"}, // no opening mark ends a line
		{"人々の", 2, "人々|の"},
	} {
		if got := strings.Join(wrap(tt.in, tt.limit), "|"); got != tt.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
		for _, l := range wrap(tt.in, tt.limit) {
			if cells(l) > tt.limit && len(words(l)) > 1 {
				t.Errorf("wrap(%q, %d): line %q is too long", tt.in, tt.limit, l)
			}
		}
	}
}

func TestMarkdown_Escapes(t *testing.T) {
	if got, want := md("<b>|`*_[x](y)"), "&lt;b&gt;\\|\\`\\*\\_\\[x\\](y)"; got != want {
		t.Errorf("md: got %q, want %q", got, want)
	}
	if got, want := code("a`b"), "`a'b`"; got != want {
		t.Errorf("code: got %q, want %q", got, want)
	}
}

func TestWrap_Kinsoku(t *testing.T) {
	text := "ハードウェア (Ｗ) が、「訂正できない」エラーを返しました。ファームウェアを更新し、チェックしてください…。"
	for limit := 2; limit < 40; limit++ {
		for _, l := range wrap(text, limit) {
			r := []rune(l)
			if strings.ContainsRune(noLineStart, r[0]) || strings.ContainsRune(noLineEnd, r[len(r)-1]) {
				t.Errorf("wrap(%q, %d): line %q", text, limit, l)
			}
		}
	}
}
