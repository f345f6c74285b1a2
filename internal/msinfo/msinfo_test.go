package msinfo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

const nfo = `<?xml version="1.0"?>
<MsInfo>
<Metadata><Version>8.0</Version></Metadata>
<Category name="System Summary">
<Data><Item><![CDATA[OS Name]]></Item><Value><![CDATA[Microsoft Windows Server 2022]]></Value></Data>
<Data><Item><![CDATA[System Name]]></Item><Value><![CDATA[SECRET-PC]]></Value></Data>
<Data><Item><![CDATA[System Model]]></Item><Value><![CDATA[Model  7]]></Value></Data>
<Data><Item><![CDATA[User Name]]></Item><Value><![CDATA[SECRET]]></Value></Data>
<Data><Item><![CDATA[Installed Physical Memory (RAM)]]></Item><Value><![CDATA[64.0 GB]]></Value></Data>
<Category name="Hardware Resources">
<Data><Item><![CDATA[Processor]]></Item><Value><![CDATA[of another list]]></Value></Data>
</Category></Category></MsInfo>`

func wide(s string) []byte {
	b := []byte{0xff, 0xfe}
	for _, c := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

func TestRead(t *testing.T) {
	want := []Item{{"Windows", "Microsoft Windows Server 2022"}, {"Model", "Model 7"}, {"Memory", "64.0 GB"}}
	for name, b := range map[string][]byte{"UTF-16": wide(nfo), "UTF-8": []byte(nfo)} {
		if !Detect(b) {
			t.Errorf("%s: not detected", name)
		}
		got, err := Read(bytes.NewReader(b), int64(len(b)))
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
	japanese := strings.NewReplacer("OS Name", "OS 名", "System Model", "システム モデル", "Installed Physical Memory (RAM)", "インストール済みの物理メモリ (RAM)").Replace(nfo)
	if got, _ := Read(bytes.NewReader(wide(japanese)), int64(len(wide(japanese)))); len(got) != 3 {
		t.Errorf("Japanese: got %v", got)
	}
}

// TestRead_Cut: whatever is left of a file is read; what is no such file is refused.
func TestRead_Cut(t *testing.T) {
	b := wide(nfo)
	for n := 0; n < len(b); n += 7 {
		got, err := Read(bytes.NewReader(b[:n]), int64(n))
		if len(got) > 3 || err != nil && !errors.Is(err, ErrFormat) {
			t.Fatalf("cut at %d: %v, %v", n, got, err)
		}
	}
	other := []byte(`<?xml version="1.0"?><Events><Data><Item>OS Name</Item></Data></Events>`)
	if _, err := Read(bytes.NewReader(other), int64(len(other))); !errors.Is(err, ErrFormat) {
		t.Errorf("other XML: got %v, want ErrFormat", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(nfo))
	f.Add(wide(nfo))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := Read(bytes.NewReader(b), int64(len(b)))
		if len(list) > maxItems || err == nil && !strings.Contains(decode(b), "MsInfo") {
			t.Errorf("%d items, %v", len(list), err)
		}
	})
}
