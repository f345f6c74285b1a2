package win

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// japaneseWords are the variants that the Japanese texts do not use, and what they
// use instead.
var japaneseWords = []struct{ variant, right string }{
	{`[！-｝]`, "half-width"}, // brackets first of all
	{`[ぁ-んァ-ヴー一-龥]\(|\)[ぁ-んァ-ヴー一-龥]`, "a space outside the bracket"},
	{`[ぁ-ん一-龥] [ぁ-ん]|[ァ-ヴー] [ぁ-ん]|[ぁ-ん] [ァ-ヴ一-龥]`, "no space"},
	{`[/\\][0-9A-Za-z./\\]+。|scheme_current。`, "a space behind a command, so that it can be copied"},

	{`非ページプール`, "非ページ プール"},
	{`ページプール`, "ページ プール"},
	{`特別プール`, "特殊プール"},
	{`ドライバー ?検証`, "Driver Verifier"},
	{`レジスター`, "レジスタ"},
	{`(null|ヌル|Null) ?ポインター|ポインターは null`, "NULL ポインター"},
	{`マスク(不可|不能|できない)割り込み`, "マスク不可能割り込み"},
	{`巻き戻[しさ]`, "アンワインド"},
	{`System ログ|システムログ`, "システム ログ"},
	{`リターン ?アドレス`, "戻りアドレス"},
	{`作業項目|ワークアイテム`, "ワーク アイテム"},
	{`マシン`, "コンピューター"},
	{`開発元|製造元`, "提供元, or メーカー for hardware"},
	{`[^部自]分か[りるらっれ]`, "わかり"},
	{`気付`, "気づ"},
	{`(^|[^の])他の`, "ほかの"},
	{`揃`, "そろ"},
	{`診断情報|トリアージデータ`, "トリアージ データ"},
	{`状態コード`, "ステータス コード"},
	{`リーダー/ライター`, "読み取り/書き込み"},
	{`スピンロック`, "スピン ロック"},
	{`プッシュロック`, "プッシュ ロック"},
	{`資源`, "リソース"},
	{`クッキー |Cookie`, "クッキー"},
	{`スタックにい[るたまな]`, "スタックにあ"},
	{`誰が(原因|起こ|引き|壊)`, "何が"},

	{`サーバ([^ー]|$)`, "サーバー"},
	{`ユーザ([^ー]|$)`, "ユーザー"},
	{`ドライバ([^ー]|$)`, "ドライバー"},
	{`コンピュータ([^ー]|$)`, "コンピューター"},
	{`コントローラ([^ー]|$)`, "コントローラー"},
	{`フォルダ([^ー]|$)`, "フォルダー"},
	{`フィルタ([^ーリ]|$)`, "フィルター"},
	{`ポインタ([^ー]|$)`, "ポインター"},
	{`バッファ([^ーリ]|$)`, "バッファー"},
	{`スケジューラ([^ー]|$)`, "スケジューラー"},
	{`バッテリ([^ー]|$)`, "バッテリー"},
	{`メモリー|プロセッサー`, "メモリ, プロセッサ"},

	{`[ァ-ヴー](ドライバー|フィルター|アダプター|コントローラー|マネージャー|ライブラリ|デバイス|カーネル|ネットワーク|システム|ストレージ|モード|プール)`, "a space between katakana words"},
	{`(ドライバー|カーネル|ファイル|ユーザー|デバイス|ネットワーク|ディスプレイ|ストレージ|クラッシュ|イベント|ワーキング)[ァ-ヴ]`, "a space between katakana words"},
}

// japaneseOther are words that only look like a variant.
var japaneseOther = strings.NewReplacer(
	"仮想マシン", "-", "物理マシン", "-", "マシン チェック", "-", "メモリースティック", "-",
	"ミニドライバー", "-", "ミニフィルター", "-", "プレフィルター", "-", "サブシステム", "-",
	"富士通 ", "", "東芝 ", "",
)

func TestJapanese_OneWordAThing(t *testing.T) {
	var rules []*regexp.Regexp
	for _, w := range japaneseWords {
		rules = append(rules, regexp.MustCompile(w.variant))
	}
	files, err := fs.Glob(data, "data/*.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := data.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			n++
			for _, text := range strings.Split(strings.TrimRight(line, "\n"), "\t") {
				if !japanese(text) {
					continue
				}
				text = japaneseOther.Replace(text)
				for i, r := range rules {
					if found := r.FindString(text); found != "" {
						t.Errorf("%s:%d: %q: %s: %q", name, n, found, japaneseWords[i].right, text)
					}
				}
			}
		}
	}
}

func japanese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 'ぁ' && r <= 'ヿ' || r >= '一' && r <= '龥' })
}
