// Package msinfo reads what Windows' System Information (msinfo32) saved: an .nfo file.
// Of its hundreds of lists it takes the summary of the machine, and of that only what
// describes it: names of people and computers stay where they are.
//
// The format is XML, mostly in UTF-16: MsInfo, Category (name), Data (Item, Value). The
// elements are named in English in every language, their contents in the machine's. No
// description is published; the elements are those that other readers of the format test
// with.
package msinfo

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// ErrFormat says that a file is no saved System Information.
var ErrFormat = errors.New("not a file of System Information (.nfo)")

// Item is one line of the summary.
type Item struct{ Name, Value string }

const (
	maxSize  = 64 << 20 // bytes read; real files have some 5 MiB
	maxItems = 40
)

// taken are the lines of the summary that describe the machine, as English and Japanese
// Windows name them, and what they are called here.
var taken = map[string]string{
	"OS Name": "Windows", "OS 名": "Windows",
	"Version": "Version", "バージョン": "Version",
	"System Manufacturer": "Manufacturer", "システム製造元": "Manufacturer",
	"System Model": "Model", "システム モデル": "Model",
	"Processor": "Processor", "プロセッサ": "Processor",
	"BIOS Version/Date": "Firmware", "BIOS バージョン/日付": "Firmware",
	"BaseBoard Product": "Mainboard", "ベースボード製品": "Mainboard",
	"Installed Physical Memory (RAM)": "Memory", "インストール済みの物理メモリ (RAM)": "Memory",
	"Page File Space": "Page file", "ページ ファイルの空き領域": "Page file",
	"Virtualization-based security": "Virtualization-based security", "仮想化ベースのセキュリティ": "Virtualization-based security",
}

// Detect reports that a file begins as an .nfo file may: with XML, in UTF-16 or in bytes.
func Detect(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe<\x00?\x00x\x00")) || bytes.HasPrefix(head, []byte("<?xml ve")) || bytes.HasPrefix(head, []byte("\xef\xbb\xbf<?xml"))
}

// Read returns the summary's lines that describe the machine.
func Read(r io.ReaderAt, size int64) ([]Item, error) {
	b := make([]byte, min(size, maxSize))
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("system information: %w", err)
	}
	d := xml.NewDecoder(strings.NewReader(decode(b[:n])))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	return items(d)
}

// items reads Data elements of the first Category, which is the summary; it ends where the
// next one begins. A file that is cut off gives what it has.
func items(d *xml.Decoder) (list []Item, err error) {
	root, categories := false, 0
	for len(list) < maxItems {
		t, err := d.Token()
		if err != nil {
			break
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "MsInfo":
			root = true
		case "Category":
			if categories++; categories > 1 {
				return list, nil
			}
		case "Data":
			var row struct {
				Item  string
				Value string
			}
			if d.DecodeElement(&row, &e) != nil {
				return list, nil
			}
			if name := taken[strings.TrimSpace(row.Item)]; name != "" {
				list = append(list, Item{Name: name, Value: win.Clean(strings.Join(strings.Fields(row.Value), " "))})
			}
		}
		if !root {
			return nil, ErrFormat
		}
	}
	if !root {
		return nil, ErrFormat
	}
	return list, nil
}

// decode is the text of a file in UTF-16 behind its mark, or in UTF-8.
func decode(b []byte) string {
	if len(b) < 2 || le.U16(b, 0) != 0xfeff {
		return string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	}
	u := make([]uint16, (len(b)-2)/2)
	for i := range u {
		u[i] = le.U16(b, 2+2*i)
	}
	return string(utf16.Decode(u))
}
